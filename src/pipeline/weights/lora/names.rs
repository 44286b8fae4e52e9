//! What a LoRA's tensor is called, and which tensor of the transformer it changes by that name.

use super::Form;
use crate::pipeline::weights::names;

/// One tensor of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdapterTensor {
    Down,
    Up,
    Alpha,
    /// Of the weight, or of the tensor of that name.
    Whole,
    Bias,
    Modulation,
    Refused(&'static str),
}

const ENDINGS: &[(&str, AdapterTensor)] = &[
    (".lora_A.weight", AdapterTensor::Down),
    (".lora_B.weight", AdapterTensor::Up),
    (".lora_A.default.weight", AdapterTensor::Down),
    (".lora_B.default.weight", AdapterTensor::Up),
    (".lora_down.weight", AdapterTensor::Down),
    (".lora_up.weight", AdapterTensor::Up),
    (".lora.down.weight", AdapterTensor::Down),
    (".lora.up.weight", AdapterTensor::Up),
    ("_lora.down.weight", AdapterTensor::Down),
    ("_lora.up.weight", AdapterTensor::Up),
    (".lora_linear_layer.down.weight", AdapterTensor::Down),
    (".lora_linear_layer.up.weight", AdapterTensor::Up),
    (".alpha", AdapterTensor::Alpha),
    (".diff", AdapterTensor::Whole),
    (".diff_b", AdapterTensor::Bias),
    // LightX2V f8aee98, lightx2v/models/networks/wan/lora_adapter.py.
    (".diff_m", AdapterTensor::Modulation),
    (".dora_scale", AdapterTensor::Refused("DoRA")),
    (".lora_magnitude_vector", AdapterTensor::Refused("DoRA")),
    (".lora_magnitude_vector.weight", AdapterTensor::Refused("DoRA")),
    (".lora_magnitude_vector.default.weight", AdapterTensor::Refused("DoRA")),
    (".lokr_w1", AdapterTensor::Refused("LoKr")),
    (".lokr_w1_a", AdapterTensor::Refused("LoKr")),
    (".lokr_w1_b", AdapterTensor::Refused("LoKr")),
    (".lokr_w2", AdapterTensor::Refused("LoKr")),
    (".lokr_w2_a", AdapterTensor::Refused("LoKr")),
    (".lokr_w2_b", AdapterTensor::Refused("LoKr")),
    (".lokr_t2", AdapterTensor::Refused("LoKr")),
    (".hada_w1_a", AdapterTensor::Refused("LoHa")),
    (".hada_w1_b", AdapterTensor::Refused("LoHa")),
    (".hada_w2_a", AdapterTensor::Refused("LoHa")),
    (".hada_w2_b", AdapterTensor::Refused("LoHa")),
    (".hada_t1", AdapterTensor::Refused("LoHa")),
    (".hada_t2", AdapterTensor::Refused("LoHa")),
    (".lora_mid.weight", AdapterTensor::Refused("LoCon with a middle")),
    (".oft_blocks", AdapterTensor::Refused("OFT")),
    (".oft_diag", AdapterTensor::Refused("OFT")),
];

const KOHYA: [&str; 2] = ["lora_unet__", "lora_unet_"];
const DIFFUSERS: [&str; 2] = ["transformer_2.", "transformer."];

/// A stored name as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) form: Form,
    pub(super) piece: AdapterTensor,
    /// The transformer's tensor that it is for, in our names.
    pub(super) tensor: String,
}

fn split(name: &str) -> Option<(&str, AdapterTensor)> {
    ENDINGS.iter().find_map(|(ending, piece)| Some((name.strip_suffix(ending)?, *piece)))
}

/// Whether so named tensors change a model instead of making one.
pub(in crate::pipeline::weights) fn is_one<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| split(name).is_some_and(|(_, piece)| piece != AdapterTensor::Alpha))
}

/// `None` where it names nothing of a Wan transformer.
pub(super) fn read(stored: &str) -> Option<Read> {
    let (name, piece) = split(stored)?;
    let (form, module) = module(name);
    let module = module?;
    let candidates = match piece {
        AdapterTensor::Modulation => vec![format!("{module}.modulation")],
        AdapterTensor::Bias => vec![format!("{module}.bias")],
        // Modulation and places are tensors without a module.
        AdapterTensor::Whole => vec![module.clone(), format!("{module}.weight")],
        AdapterTensor::Down | AdapterTensor::Up | AdapterTensor::Alpha | AdapterTensor::Refused(_) => {
            vec![format!("{module}.weight")]
        }
    };
    let ours = candidates.iter().map(|name| names::transformer_name(name));
    let tensor = ours.into_iter().find(|name| names::is_transformer_tensor(name))?;
    Some(Read { form, piece, tensor })
}

/// The module as its file calls it, with dots, and the form of the name.
fn module(name: &str) -> (Form, Option<String>) {
    if let Some(rest) = KOHYA.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        return (Form::Kohya, dotted(rest));
    }
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    let comfy = names::PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    let diffusers = DIFFUSERS.iter().find_map(|prefix| name.strip_prefix(prefix));
    let (form, rest) = match (comfy, diffusers) {
        (Some(rest), _) => (Form::Comfy, rest),
        (None, Some(rest)) => (Form::Diffusers, rest),
        (None, None) => (Form::Bare, name),
    };
    (form, Some(rest.to_owned()))
}

/// `blocks_0_self_attn_q` is `blocks.0.self_attn.q`: by the modules there are, since underscores also stand in names.
fn dotted(name: &str) -> Option<String> {
    let known = |name: &str| names::transformer_modules().find(|module| module.replace('.', "_") == name);
    for stack in ["blocks", "vace_blocks"] {
        let rest = name.strip_prefix(stack).and_then(|rest| rest.strip_prefix('_'));
        let Some(rest) = rest else { continue };
        match rest.split_once('_') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                return known(rest).map(|module| format!("{stack}.{number}.{module}"));
            }
            // The whole block, whose modulation is changed.
            None if rest.bytes().all(|byte| byte.is_ascii_digit()) => return Some(format!("{stack}.{rest}")),
            _ => {}
        }
    }
    match name {
        "head" => Some(name.to_owned()),
        _ => known(name).map(str::to_owned),
    }
}
