//! The image half of CLIP ViT-H/14: the original names, and Hugging Face's (transformers 5.23.0, `modeling_clip.py`).

use super::{Table, Target, known, numbered, renamed};

/// Below `visual.`.
const TOP: Table = &[
    ("cls_embedding", "embeddings.class_embedding"),
    ("pos_embedding", "embeddings.position_embedding.weight"),
    ("patch_embedding.", "embeddings.patch_embedding."),
    ("pre_norm.", "pre_layrnorm."),
    ("post_norm.", "post_layernorm."),
];

/// Below `visual.transformer.N.`, and below `encoder.layers.N.`.
const LAYER: Table = &[
    ("norm1.", "layer_norm1."),
    ("norm2.", "layer_norm2."),
    ("attn.proj.", "self_attn.out_proj."),
    ("mlp.0.", "mlp.fc1."),
    ("mlp.2.", "mlp.fc2."),
];

const STACKED: [&str; 3] = ["self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."];

pub(super) fn target(name: &str) -> Target {
    // The half that reads text, and what compares both halves.
    const OTHER_HALF: [&str; 5] = ["textual.", "text_model.", "visual_projection.", "text_projection.", "visual.head"];
    if OTHER_HALF.iter().any(|start| name.starts_with(start)) || matches!(name, "log_scale" | "logit_scale") {
        return Target::Unused;
    }
    let Some(rest) = name.strip_prefix("visual.") else {
        // Before transformers 5 every name had this in front.
        let name = name.strip_prefix("vision_model.").unwrap_or(name);
        return match name {
            "embeddings.position_ids" => Target::Unused,
            name => Target::Whole(name.to_owned()),
        };
    };
    let Some((number, rest)) = rest.strip_prefix("transformer.").and_then(numbered) else {
        return match renamed(TOP, rest) {
            Some(name) if rest.ends_with("_embedding") => Target::Flat(name),
            Some(name) => Target::Whole(name),
            None => Target::Whole(name.to_owned()),
        };
    };
    match rest.strip_prefix("attn.to_qkv.") {
        Some(part) => Target::Rows(STACKED.map(|module| format!("encoder.layers.{number}.{module}{part}"))),
        None => {
            let rest = renamed(LAYER, rest).unwrap_or_else(|| rest.to_owned());
            Target::Whole(format!("encoder.layers.{number}.{rest}"))
        }
    }
}

/// Of a name that is ours.
pub(super) fn knows(name: &str) -> bool {
    let layer = name.strip_prefix("encoder.layers.").and_then(numbered);
    let in_layer = |rest: &str| known(LAYER, rest) || STACKED.iter().any(|start| rest.starts_with(start));
    known(TOP, name) || layer.is_some_and(|(_, rest)| in_layer(rest))
}
