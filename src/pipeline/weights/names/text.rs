//! The umT5 encoder: the original names, and Hugging Face's (transformers 5.23.0, `modeling_umt5.py`).

use super::{Table, Target, known, numbered, renamed};

const TOP: Table = &[("token_embedding.weight", "shared.weight"), ("norm.weight", "encoder.final_layer_norm.weight")];

/// Below `blocks.N.`, and below `encoder.block.N.`.
const BLOCK: Table = &[
    ("norm1.", "layer.0.layer_norm."),
    ("attn.q.", "layer.0.SelfAttention.q."),
    ("attn.k.", "layer.0.SelfAttention.k."),
    ("attn.v.", "layer.0.SelfAttention.v."),
    ("attn.o.", "layer.0.SelfAttention.o."),
    ("pos_embedding.embedding.", "layer.0.SelfAttention.relative_attention_bias."),
    ("norm2.", "layer.1.layer_norm."),
    ("ffn.gate.0.", "layer.1.DenseReluDense.wi_0."),
    ("ffn.fc1.", "layer.1.DenseReluDense.wi_1."),
    ("ffn.fc2.", "layer.1.DenseReluDense.wo."),
];

/// The table of words has two names, and some files hold it twice.
pub(in crate::pipeline::weights) const SECOND_NAME: &str = "encoder.embed_tokens.weight";
pub(in crate::pipeline::weights) const FIRST_NAME: &str = "shared.weight";

pub(super) fn target(name: &str) -> Target {
    match name {
        // The tokenizer that Comfy packs into the file.
        "spiece_model" => Target::Unused,
        name => Target::Whole(canonical(name)),
    }
}

pub(super) fn canonical(name: &str) -> String {
    let block = name.strip_prefix("blocks.").and_then(numbered);
    if let Some((number, rest)) = block.and_then(|(number, rest)| Some((number, renamed(BLOCK, rest)?))) {
        return format!("encoder.block.{number}.{rest}");
    }
    renamed(TOP, name).unwrap_or_else(|| name.to_owned())
}

/// Of a name that is ours.
pub(super) fn knows(name: &str) -> bool {
    let block = name.strip_prefix("encoder.block.").and_then(numbered);
    name == SECOND_NAME || known(TOP, name) || block.is_some_and(|(_, rest)| known(BLOCK, rest))
}

#[cfg(test)]
pub(super) fn original(name: &str) -> String {
    let back = |table: Table, name: &str| {
        table.iter().find_map(|(theirs, ours)| Some(format!("{theirs}{}", name.strip_prefix(ours)?)))
    };
    match name.strip_prefix("encoder.block.").and_then(numbered) {
        Some((number, rest)) => format!("blocks.{number}.{}", back(BLOCK, rest).unwrap()),
        None => back(TOP, name).unwrap(),
    }
}
