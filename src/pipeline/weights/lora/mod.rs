//! LoRA files: which form, which tensors they change, and which models they can be for.

mod alphas;
mod fit;
mod names;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Serialize;

use super::{Checkpoint, CheckpointError, what::size};

use self::alphas::Alphas;
pub use fit::{Delta, Dropped, Fit, Pair};
pub(super) use names::is_one;

/// Who wrote it, as its names tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `diffusion_model.` in front, original names.
    Comfy,
    /// `transformer.` in front, diffusers' names.
    Diffusers,
    /// `lora_unet_` in front, underscores for dots.
    Kohya,
    /// Nothing in front.
    Bare,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lora {
    pub form: Form,
    /// Low ranks that occur, and in how many modules.
    pub ranks: BTreeMap<usize, usize>,
    /// Modules of the transformer that it changes.
    pub modules: usize,
    /// Whether it says how strong it wants to be; else as strong as its numbers.
    pub alpha: bool,
    /// Whole differences of weights or biases, beside the low-rank ones.
    pub differences: usize,
    /// Width of the model that it was made for.
    pub dim: Option<usize>,
    pub blocks: usize,
    pub vace: bool,
    /// Changes the image's keys and values, which only Wan 2.1 I2V and FLF2V have.
    pub image: bool,
    /// The kinds of adapter in it that wanctl does not apply.
    pub refused: BTreeSet<&'static str>,
    /// Stored names that name no module of a Wan transformer.
    pub unknown: Vec<String>,
    /// What is found for each tensor of the transformer, in our names.
    #[serde(skip)]
    changes: BTreeMap<String, Change>,
    /// Tensors that stand there twice, by two names.
    #[serde(skip)]
    twice: Vec<[String; 2]>,
}

/// What a file has for one tensor, as it lies there.
#[derive(Debug, Clone, Default, PartialEq)]
struct Change {
    down: Option<Stored>,
    up: Option<Stored>,
    alpha: Option<(Stored, f64)>,
    whole: Option<Stored>,
    /// What the pair is multiplied by.
    scale: f64,
}

/// A tensor of an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What the file calls it.
    pub name: String,
    pub shape: Vec<usize>,
}

impl Form {
    /// By the files that have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Comfy => "Comfy (diffusion_model.)",
            Self::Diffusers => "diffusers (transformer.)",
            Self::Kohya => "kohya (lora_unet_)",
            Self::Bare => "bare names",
        }
    }
}

impl Lora {
    /// The models that it can be for.
    pub fn made_for(&self) -> String {
        let size = self.dim.map_or("a Wan transformer".into(), |dim| match size(dim, None) {
            Some(size) => format!("Wan {size}"),
            None => format!("a Wan transformer of width {dim}"),
        });
        let image = if self.image { ", of Wan 2.1 I2V or FLF2V" } else { "" };
        let vace = if self.vace { ", with VACE" } else { "" };
        let blocks = if self.blocks > 0 { format!(", {} blocks or more", self.blocks) } else { String::new() };
        format!("{size}{image}{vace}{blocks}")
    }

    /// What keeps it from being applied to any model; `path` is its file.
    pub(super) fn problems(&self, path: &Path) -> Vec<CheckpointError> {
        let path = || path.to_owned();
        let refused = self.refused.iter().map(|kind| CheckpointError::Adapter { path: path(), kind });
        let mut problems: Vec<_> = refused.collect();
        if !self.unknown.is_empty() {
            problems.push(CheckpointError::Unmatched { path: path(), tensors: self.unknown.clone() });
        }
        let twice = self.twice.iter().cloned();
        problems.extend(twice.map(|[tensor, again]| CheckpointError::Twice { tensor, again, path: path() }));
        for change in self.changes.values() {
            let Change { down, up, alpha, whole: _, scale: _ } = change;
            let half = match (down, up, alpha) {
                (Some(half), None, _) | (None, Some(half), _) | (None, None, Some((half, _))) => Some(half),
                _ => None,
            };
            problems.extend(half.map(|half| CheckpointError::Half { tensor: half.name.clone(), path: path() }));
            if let Some((Stored { name, .. }, value)) = alpha
                && (*value == 0.0 || !value.is_finite())
            {
                problems.push(CheckpointError::Alpha { tensor: name.clone(), path: path(), found: *value });
            }
            if let (Some(down), Some(up)) = (down, up)
                && !(down.shape.len() > 1
                    && up.shape.len() > 1
                    && down.shape[0] > 0
                    && up.shape[1..].iter().product::<usize>() == down.shape[0])
            {
                let (wanted, other) = (up.shape.get(1).copied().unwrap_or(0), &up.name);
                problems.push(CheckpointError::LoraShape {
                    tensor: down.name.clone(),
                    path: path(),
                    wanted: format!("rank {wanted} of `{other}`"),
                    found: down.shape.clone(),
                });
            }
        }
        problems
    }

    /// Of a checkpoint of this family.
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let mut lora = Self {
            form: Form::Bare,
            ranks: BTreeMap::new(),
            modules: 0,
            alpha: false,
            differences: 0,
            dim: None,
            blocks: 0,
            vace: false,
            image: false,
            refused: BTreeSet::new(),
            unknown: vec![],
            changes: BTreeMap::new(),
            twice: vec![],
        };
        let (mut modules, mut forms) = (BTreeSet::new(), BTreeMap::<Form, usize>::new());
        for stored in checkpoint.names() {
            let Some(names::Read { form, piece, tensor }) = names::read(stored) else {
                lora.unknown.push(stored.to_owned());
                continue;
            };
            *forms.entry(form).or_default() += 1;
            lora.vace |= tensor.starts_with("vace_");
            lora.image |= fit::is_of_image(&tensor);
            let number = tensor.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
            if let Some(number) = number.and_then(|(number, _)| number.parse::<usize>().ok()) {
                lora.blocks = lora.blocks.max(number + 1);
            }
            modules.insert(tensor.trim_end_matches(".weight").trim_end_matches(".bias").to_owned());
            lora.put(checkpoint, stored, piece, tensor);
        }
        let alphas = Alphas::of(checkpoint.metadata("lora_adapter_metadata"));
        for (tensor, change) in &mut lora.changes {
            if let Some(rank) = change.down.as_ref().and_then(|down| down.shape.first()) {
                change.scale = match &change.alpha {
                    Some((_, alpha)) => alpha / *rank as f64,
                    None => alphas.scale(tensor, *rank),
                };
            }
        }
        lora.modules = modules.len();
        let most = forms.into_iter().max_by_key(|(_, count)| *count);
        lora.form = most.map_or(Form::Bare, |(form, _)| form);
        lora
    }

    fn put(&mut self, checkpoint: &Checkpoint, stored: &str, piece: names::AdapterTensor, tensor: String) {
        let Some(entry) = checkpoint.entry(stored) else { return };
        let found = Stored { name: stored.to_owned(), shape: entry.shape.to_vec() };
        if piece == names::AdapterTensor::Down {
            *self.ranks.entry(found.shape.first().copied().unwrap_or(0)).or_default() += 1;
            if tensor.ends_with(".attn1.to_q.weight") || tensor.ends_with(".attn2.to_q.weight") {
                self.dim = self.dim.or(found.shape.get(1).copied());
            }
        }
        let change = self.changes.entry(tensor).or_default();
        let before = match piece {
            names::AdapterTensor::Down => change.down.replace(found),
            names::AdapterTensor::Up => change.up.replace(found),
            names::AdapterTensor::Alpha => {
                self.alpha = true;
                let value = entry.dtype.floats(entry.bytes).and_then(|values| values.first().copied());
                change.alpha.replace((found, value.map_or(f64::NAN, f64::from))).map(|(before, _)| before)
            }
            names::AdapterTensor::Whole | names::AdapterTensor::Bias | names::AdapterTensor::Modulation => {
                self.differences += 1;
                change.whole.replace(found)
            }
            names::AdapterTensor::Refused(kind) => {
                self.refused.insert(kind);
                None
            }
        };
        self.twice.extend(before.map(|before| [stored.to_owned(), before.name]));
    }
}
