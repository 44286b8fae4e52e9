//! Whether a LoRA can change a given transformer, and what it adds to each of its tensors.

use std::{collections::BTreeMap, path::Path};

use super::{Change, Lora, Stored};
use crate::pipeline::weights::{Checkpoint, CheckpointError, ModelKind, Transformer};

/// What a LoRA adds to one tensor where its strength is 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    pub pair: Option<Pair>,
    pub whole: Option<Stored>,
    /// Whether the tensor is a product's weight or bias: any other keeps one strength.
    pub product: bool,
}

/// `scale * up * down`, each with its trailing sides taken as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub down: Stored,
    pub up: Stored,
    /// `alpha / rank`; 1 where the file says no alpha.
    pub scale: f64,
}

/// A LoRA that can change a transformer.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// By the transformer's tensor, in our names.
    pub deltas: BTreeMap<String, Delta>,
    /// What it has for parts that the transformer lacks, by stored name, and which these are.
    pub dropped: Vec<Dropped>,
}

/// A part of other models, for which a LoRA can have tensors and be of use without them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub tensors: Vec<String>,
    pub part: &'static str,
}

/// Of what only Wan 2.1 I2V and FLF2V have.
pub(super) fn is_of_image(tensor: &str) -> bool {
    ["attn2.add_k_proj", "attn2.add_v_proj", "attn2.norm_added_k", "condition_embedder.image_embedder"]
        .iter()
        .any(|part| tensor.contains(part))
}

impl Fit {
    /// Of a LoRA's file, from its header alone.
    pub fn open(path: &Path, transformer: &Transformer) -> Result<(Checkpoint, Self), CheckpointError> {
        let checkpoint = Checkpoint::open(&[path.to_owned()])?;
        let fit = match checkpoint.what()? {
            ModelKind::Lora(lora) => lora.fits(path, transformer)?,
            what => {
                let (wanted, found) = ("a LoRA for a Wan transformer".into(), what.name());
                return Err(CheckpointError::Foreign { path: path.to_owned(), wanted, found });
            }
        };
        Ok((checkpoint, fit))
    }

    /// How many it holds.
    pub fn numbers(&self) -> u64 {
        let of = |stored: &Stored| stored.shape.iter().product::<usize>() as u64;
        let in_delta = |Delta { pair, whole, .. }: &Delta| {
            pair.as_ref().map_or(0, |pair| of(&pair.down) + of(&pair.up)) + whole.as_ref().map_or(0, of)
        };
        self.deltas.values().map(in_delta).sum()
    }

    /// Fails where it adds to tensors that are no products: those have one strength in all steps of an expert.
    pub fn varies(&self, path: &Path) -> Result<(), CheckpointError> {
        let fixed = self.deltas.values().filter(|delta| !delta.product);
        let tensors: Vec<String> = fixed.flat_map(|delta| &delta.whole).map(|whole| whole.name.clone()).collect();
        match tensors.is_empty() {
            true => Ok(()),
            false => Err(CheckpointError::Fixed { path: path.to_owned(), tensors }),
        }
    }
}

impl Lora {
    /// What it adds to the tensors of `transformer`; `path` is its file.
    pub fn fits(&self, path: &Path, transformer: &Transformer) -> Result<Fit, CheckpointError> {
        if let Some(problem) = self.problems(path).into_iter().next() {
            return Err(problem);
        }
        let shapes = ModelKind::Transformer(transformer.clone()).tensors().expect("a transformer has tensors");
        let vace = transformer.vace.as_ref().map_or(0, |vace| vace.layers.len());
        let beyond = |tensor: &String| {
            let number =
                tensor.strip_prefix("vace_blocks.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
            number.is_some_and(|number| number >= vace)
        };
        let other = self.dim.is_some_and(|dim| dim != transformer.dim)
            || self.blocks > transformer.layers
            || self.vace && transformer.vace.is_none()
            || self.changes.keys().any(beyond);
        if other {
            let (made_for, model) = (self.made_for(), transformer.name());
            return Err(CheckpointError::OtherModel { path: path.to_owned(), made_for, model });
        }

        let mut fit = Fit { deltas: BTreeMap::new(), dropped: vec![] };
        let (mut of_image, mut of_channels) = (vec![], vec![]);
        for (tensor, change) in &self.changes {
            let Some(shape) = shapes.get(tensor) else {
                match is_of_image(tensor) {
                    true => of_image.extend(change.names()),
                    false => {
                        let tensors = change.names().collect();
                        return Err(CheckpointError::Unmatched { path: path.to_owned(), tensors });
                    }
                }
                continue;
            };
            if tensor == "patch_embedding.weight" && change.has_other_channels(shape) {
                of_channels.extend(change.names());
                continue;
            }
            let weight = tensor.replace(".bias", ".weight");
            let product = weight.ends_with(".weight") && shapes.get(&weight).is_some_and(|shape| shape.len() > 1);
            fit.deltas.insert(tensor.clone(), change.delta(path, shape, product)?);
        }
        for (tensors, part) in [
            (of_image, "the image's keys, values and embedding, of Wan 2.1 I2V"),
            (of_channels, "a patch embedding of other input channels"),
        ] {
            if !tensors.is_empty() {
                fit.dropped.push(Dropped { tensors, part });
            }
        }
        Ok(fit)
    }
}

impl Change {
    fn names(&self) -> impl Iterator<Item = String> {
        let Self { down, up, alpha, whole, scale: _ } = self;
        let alpha = alpha.as_ref().map(|(alpha, _)| alpha);
        [down.as_ref(), up.as_ref(), alpha, whole.as_ref()].into_iter().flatten().map(|stored| stored.name.clone())
    }

    /// Whether it would fit but for the second side.
    fn has_other_channels(&self, shape: &[usize]) -> bool {
        let differs = |stored: &Stored, from: usize| {
            stored.shape.len() == shape.len()
                && stored.shape[1] != shape[1]
                && (from..shape.len()).all(|side| side == 1 || stored.shape[side] == shape[side])
        };
        self.whole.as_ref().is_some_and(|whole| differs(whole, 0))
            || self.down.as_ref().is_some_and(|down| differs(down, 2))
    }

    /// For a tensor of this shape.
    fn delta(&self, path: &Path, shape: &[usize], product: bool) -> Result<Delta, CheckpointError> {
        let Self { down, up, alpha: _, whole, scale } = self;
        let wrong = |stored: &Stored, wanted: String| CheckpointError::LoraShape {
            tensor: stored.name.clone(),
            path: path.to_owned(),
            wanted,
            found: stored.shape.clone(),
        };
        if let Some(whole) = whole
            && whole.shape != shape
        {
            return Err(wrong(whole, format!("{shape:?}")));
        }
        let pair = match (down, up) {
            (Some(down), Some(up)) => {
                let (rank, inputs) = (down.shape[0], shape[1..].iter().product::<usize>());
                if down.shape[1..].iter().product::<usize>() != inputs || shape.len() < 2 {
                    return Err(wrong(down, format!("[{rank}, {inputs}], for a weight of {shape:?}")));
                }
                if up.shape[0] != shape[0] {
                    return Err(wrong(up, format!("[{}, {rank}], for a weight of {shape:?}", shape[0])));
                }
                Some(Pair { down: down.clone(), up: up.clone(), scale: *scale })
            }
            _ => None,
        };
        Ok(Delta { pair, whole: whole.clone(), product })
    }
}
