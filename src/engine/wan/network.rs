//! From what a checkpoint is to the shape of its network, and what is refused on the way.

use wanctl::pipeline::{
    job::{EngineFailure, EngineFailureCode},
    weights::{self, ModelKind},
};

use super::{dit, t5::T5Config, vae};
use crate::engine::weights::{Weights, patches::Patches};

pub(super) fn foreign(what: &ModelKind, wanted: &str) -> EngineFailure {
    EngineFailure::new(EngineFailureCode::Weights, format!("wanted {wanted}, found {}", what.name()))
}

impl T5Config {
    pub(super) fn of(facts: &weights::TextEncoder) -> Self {
        let [vocab, dim, d_kv, heads, ff, layers, buckets] =
            [facts.vocab, facts.dim, facts.d_kv, facts.heads, facts.ff, facts.layers, facts.buckets]
                .map(|number| number as i64);
        // No file tells how far it looks; there is only one umT5.
        Self { vocab, dim, d_kv, heads, ff, layers, buckets, ..Self::default() }
    }
}

impl vae::Config {
    pub(super) fn of(facts: &weights::Vae) -> Self {
        let published = Self::default();
        Self {
            base_dim: facts.base_dim as i64,
            z_dim: facts.z_dim as i64,
            latents_mean: facts.mean.clone().unwrap_or_else(|| published.latents_mean.clone()),
            latents_std: facts.std.clone().unwrap_or_else(|| published.latents_std.clone()),
            ..published
        }
    }
}

impl dit::Config {
    pub(super) fn of(facts: &weights::Transformer) -> Self {
        let number = |number: usize| number as i64;
        Self {
            heads: number(facts.heads),
            head_dim: number(facts.head_dim),
            in_channels: number(facts.in_channels),
            out_channels: number(facts.out_channels),
            text_dim: number(facts.text_dim),
            freq_dim: number(facts.freq_dim),
            ffn_dim: number(facts.ffn),
            layers: facts.layers,
            vace: facts
                .vace
                .as_ref()
                .map(|vace| dit::VaceConfig { layers: vace.layers.clone(), channels: number(vace.in_channels) }),
        }
    }
}

pub(super) fn refuse_left_over(weights: &Weights) -> Result<(), EngineFailure> {
    match weights.left_over().as_slice() {
        [] => Ok(()),
        [first, others @ ..] => Err(EngineFailure::new(
            EngineFailureCode::Weights,
            format!(
                "{} has tensors that nothing asks for: `{first}`{}",
                weights.file(),
                match others.len() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                }
            ),
        )
        .help("look at it with `wanctl inspect`: it is made for another program, or is another model")),
    }
}

/// A LoRA changes all that it is made to change, or nothing is made with it.
pub(super) fn refuse_unapplied(patches: &Patches) -> Result<(), EngineFailure> {
    match patches.left_over().as_slice() {
        [] => Ok(()),
        [(tensor, file), others @ ..] => {
            let message = format!("{file} changes `{tensor}` and {} more that nothing applies", others.len());
            Err(EngineFailure::new(EngineFailureCode::Weights, message))
        }
    }
}
