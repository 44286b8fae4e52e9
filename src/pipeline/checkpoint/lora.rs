//! LoRA files: which form, which modules they change, and which models they can be for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Checkpoint, names, what::size};

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
}

/// One tensor of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Down,
    Up,
    Alpha,
    Difference,
    Refused(&'static str),
}

const ENDINGS: &[(&str, Piece)] = &[
    (".lora_A.weight", Piece::Down),
    (".lora_B.weight", Piece::Up),
    (".lora_A.default.weight", Piece::Down),
    (".lora_B.default.weight", Piece::Up),
    (".lora_down.weight", Piece::Down),
    (".lora_up.weight", Piece::Up),
    (".lora.down.weight", Piece::Down),
    (".lora.up.weight", Piece::Up),
    ("_lora.down.weight", Piece::Down),
    ("_lora.up.weight", Piece::Up),
    (".lora_linear_layer.down.weight", Piece::Down),
    (".lora_linear_layer.up.weight", Piece::Up),
    (".alpha", Piece::Alpha),
    (".diff", Piece::Difference),
    (".diff_b", Piece::Difference),
    (".diff_m", Piece::Difference),
    (".dora_scale", Piece::Refused("DoRA")),
    (".lora_magnitude_vector", Piece::Refused("DoRA")),
    (".lora_magnitude_vector.weight", Piece::Refused("DoRA")),
    (".lora_magnitude_vector.default.weight", Piece::Refused("DoRA")),
    (".lokr_w1", Piece::Refused("LoKr")),
    (".lokr_w1_a", Piece::Refused("LoKr")),
    (".lokr_w1_b", Piece::Refused("LoKr")),
    (".lokr_w2", Piece::Refused("LoKr")),
    (".lokr_w2_a", Piece::Refused("LoKr")),
    (".lokr_w2_b", Piece::Refused("LoKr")),
    (".lokr_t2", Piece::Refused("LoKr")),
    (".hada_w1_a", Piece::Refused("LoHa")),
    (".hada_w1_b", Piece::Refused("LoHa")),
    (".hada_w2_a", Piece::Refused("LoHa")),
    (".hada_w2_b", Piece::Refused("LoHa")),
    (".hada_t1", Piece::Refused("LoHa")),
    (".hada_t2", Piece::Refused("LoHa")),
    (".lora_mid.weight", Piece::Refused("LoCon with a middle")),
    (".oft_blocks", Piece::Refused("OFT")),
    (".oft_diag", Piece::Refused("OFT")),
];

const KOHYA: [&str; 2] = ["lora_unet__", "lora_unet_"];
const DIFFUSERS: [&str; 2] = ["transformer_2.", "transformer."];

fn split(name: &str) -> Option<(&str, Piece)> {
    ENDINGS.iter().find_map(|(ending, piece)| Some((name.strip_suffix(ending)?, *piece)))
}

/// Whether so named tensors change a model instead of making one.
pub(super) fn is_one<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| split(name).is_some_and(|(_, piece)| piece != Piece::Alpha))
}

/// The module in our names, and the form that its name has.
fn module(name: &str) -> (Form, Option<String>) {
    if let Some(rest) = KOHYA.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        return (Form::Kohya, dotted(rest).map(|name| canonical(&name)));
    }
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    let comfy = names::PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    let diffusers = DIFFUSERS.iter().find_map(|prefix| name.strip_prefix(prefix));
    let (form, rest) = match (comfy, diffusers) {
        (Some(rest), _) => (Form::Comfy, rest),
        (None, Some(rest)) => (Form::Diffusers, rest),
        (None, None) => (Form::Bare, name),
    };
    (form, Some(canonical(rest)))
}

/// A module has no dot at its end, its weight's name has.
fn canonical(module: &str) -> String {
    let name = names::transformer_name(&format!("{module}.weight"));
    match name.strip_suffix(".weight") {
        Some(name) => name.to_owned(),
        None => module.to_owned(),
    }
}

/// `blocks_0_self_attn_q` is `blocks.0.self_attn.q`: by the modules there are, since underscores also stand in names.
fn dotted(name: &str) -> Option<String> {
    let known = |name: &str| names::transformer_modules().find(|module| module.replace('.', "_") == name);
    for stack in ["blocks", "vace_blocks"] {
        let rest = name.strip_prefix(stack).and_then(|rest| rest.strip_prefix('_'));
        if let Some((number, rest)) = rest.and_then(|rest| rest.split_once('_'))
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            return known(rest).map(|module| format!("{stack}.{number}.{module}"));
        }
    }
    known(name).map(str::to_owned)
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
    pub fn fits(&self) -> String {
        let size = self.dim.map_or("a Wan transformer".into(), |dim| match size(dim, None) {
            Some(size) => format!("Wan {size}"),
            None => format!("a Wan transformer of width {dim}"),
        });
        let image = if self.image { ", of Wan 2.1 I2V or FLF2V" } else { "" };
        let vace = if self.vace { ", with VACE" } else { "" };
        format!("{size}{image}{vace}, {} blocks or more", self.blocks)
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
        };
        let (mut modules, mut forms) = (BTreeSet::new(), BTreeMap::<Form, usize>::new());
        for stored in checkpoint.names() {
            let Some((name, piece)) = split(stored) else {
                lora.unknown.push(stored.to_owned());
                continue;
            };
            let (form, module) = module(name);
            *forms.entry(form).or_default() += 1;
            let Some(module) = module.filter(|module| names::is_transformer_module(module)) else {
                lora.unknown.push(stored.to_owned());
                continue;
            };
            let shape = checkpoint.entry(stored).map_or(vec![], |entry| entry.shape.to_vec());
            match piece {
                Piece::Down => {
                    *lora.ranks.entry(shape.first().copied().unwrap_or(0)).or_default() += 1;
                    if module.ends_with(".attn1.to_q") || module.ends_with(".attn2.to_q") {
                        lora.dim = lora.dim.or(shape.get(1).copied());
                    }
                }
                Piece::Up => {}
                Piece::Alpha => lora.alpha = true,
                Piece::Difference => lora.differences += 1,
                Piece::Refused(kind) => drop(lora.refused.insert(kind)),
            }
            lora.vace |= module.starts_with("vace_");
            lora.image |= module.contains(".add_k_proj") || module.contains("image_embedder");
            let number = module.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
            if let Some(number) = number.and_then(|(number, _)| number.parse::<usize>().ok()) {
                lora.blocks = lora.blocks.max(number + 1);
            }
            modules.insert(module);
        }
        lora.modules = modules.len();
        let most = forms.into_iter().max_by_key(|(_, count)| *count);
        lora.form = most.map_or(Form::Bare, |(form, _)| form);
        lora
    }
}
