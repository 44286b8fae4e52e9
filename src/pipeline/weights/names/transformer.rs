//! The diffusion transformer: the original names, and diffusers 0.42.1's (`transformer_wan.py`).

use super::{Table, Target, known, numbered, renamed};

const TOP: Table = &[
    ("patch_embedding.", "patch_embedding."),
    ("vace_patch_embedding.", "vace_patch_embedding."),
    ("text_embedding.0.", "condition_embedder.text_embedder.linear_1."),
    ("text_embedding.2.", "condition_embedder.text_embedder.linear_2."),
    ("time_embedding.0.", "condition_embedder.time_embedder.linear_1."),
    ("time_embedding.2.", "condition_embedder.time_embedder.linear_2."),
    ("time_projection.1.", "condition_embedder.time_proj."),
    ("img_emb.proj.0.", "condition_embedder.image_embedder.norm1."),
    ("img_emb.proj.1.", "condition_embedder.image_embedder.ff.net.0.proj."),
    ("img_emb.proj.3.", "condition_embedder.image_embedder.ff.net.2."),
    ("img_emb.proj.4.", "condition_embedder.image_embedder.norm2."),
    ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    ("head.head.", "proj_out."),
    ("head.modulation", "scale_shift_table"),
];

/// Below `blocks.N.` and `vace_blocks.N.`.
const BLOCK: Table = &[
    ("modulation", "scale_shift_table"),
    ("self_attn.q.", "attn1.to_q."),
    ("self_attn.k.", "attn1.to_k."),
    ("self_attn.v.", "attn1.to_v."),
    ("self_attn.o.", "attn1.to_out.0."),
    ("self_attn.norm_q.", "attn1.norm_q."),
    ("self_attn.norm_k.", "attn1.norm_k."),
    ("cross_attn.q.", "attn2.to_q."),
    ("cross_attn.k.", "attn2.to_k."),
    ("cross_attn.v.", "attn2.to_v."),
    ("cross_attn.o.", "attn2.to_out.0."),
    ("cross_attn.norm_q.", "attn2.norm_q."),
    ("cross_attn.norm_k.", "attn2.norm_k."),
    ("cross_attn.k_img.", "attn2.add_k_proj."),
    ("cross_attn.v_img.", "attn2.add_v_proj."),
    ("cross_attn.norm_k_img.", "attn2.norm_added_k."),
    // The only one of a block's three norms that has weights: third there, second here.
    ("norm3.", "norm2."),
    ("ffn.0.", "ffn.net.0.proj."),
    ("ffn.2.", "ffn.net.2."),
    ("before_proj.", "proj_in."),
    ("after_proj.", "proj_out."),
];

const STACKS: [&str; 2] = ["blocks.", "vace_blocks."];

pub(super) fn target(name: &str) -> Target {
    // The image's query norm: some files have it, no model uses it.
    if name.contains(".norm_added_q.") {
        return Target::Unused;
    }
    Target::Whole(canonical(name))
}

pub(in crate::pipeline::weights) fn canonical(name: &str) -> String {
    for stack in STACKS {
        let Some((number, rest)) = name.strip_prefix(stack).and_then(numbered) else { continue };
        // Wan2GP keeps a wrapper's name.
        let rest = rest.strip_prefix("block.").unwrap_or(rest);
        let rest = renamed(BLOCK, rest).unwrap_or_else(|| rest.to_owned());
        return format!("{stack}{number}.{rest}");
    }
    renamed(TOP, name).unwrap_or_else(|| name.to_owned())
}

/// Of a name that is ours.
pub(super) fn knows(name: &str) -> bool {
    let in_block =
        |stack: &&str| name.strip_prefix(*stack).and_then(numbered).is_some_and(|(_, rest)| known(BLOCK, rest));
    known(TOP, name) || STACKS.iter().any(in_block)
}

/// The modules of a block and of the rest by their original names and by ours, without the last dot; for names that
/// lost theirs.
pub(in crate::pipeline::weights) fn modules() -> impl Iterator<Item = &'static str> {
    TOP.iter().chain(BLOCK).flat_map(|(theirs, ours)| [theirs, ours]).map(|name| name.trim_end_matches('.'))
}

#[cfg(test)]
pub(super) fn original(name: &str) -> String {
    let back = |table: Table, name: &str| {
        table.iter().find_map(|(theirs, ours)| match name.strip_prefix(ours)? {
            "" => Some((*theirs).to_owned()),
            rest if ours.ends_with('.') => Some(format!("{theirs}{rest}")),
            _ => None,
        })
    };
    for stack in STACKS {
        if let Some((number, rest)) = name.strip_prefix(stack).and_then(numbered) {
            return format!("{stack}{number}.{}", back(BLOCK, rest).unwrap());
        }
    }
    back(TOP, name).unwrap()
}
