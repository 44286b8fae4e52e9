//! What published models take, by the names of their files, where those are not here to be read.

use super::{Sizes, Transformer};
use crate::pipeline::weights::{self, Files, ModelKind, Published, Vace};

/// A layer of umT5-XXL, and the VAE of Wan 2.1: numbers of their published headers.
const TEXT: u64 = 193_000_000;
const TEXT_ROW: u64 = 2 * 10240 + 4 * 4096 + 3 * 64 * 512;
const VAE: u64 = 127_000_000;
const VAE_BASE: u64 = 96;

impl Sizes {
    /// None where the names do not tell which model it is. Names can lie; a run reads headers.
    pub fn by_name(published: &Published) -> Option<Self> {
        let Published { high, low, .. } = published;
        let names = high.iter().flat_map(|files| match files {
            Files::One(name) => vec![name],
            Files::Together(names) => names.iter().collect(),
        });
        let names = names.map(|name| name.to_string_lossy().to_lowercase()).collect::<Vec<_>>().join(" ");
        let has = |word: &str| names.contains(word);
        // What the published configurations say (config.json beside the weights on Hugging Face).
        let (dim, layers, ffn, every) = match () {
            // All that have two experts are of this size.
            () if has("14b") || !low.is_empty() => (5120, 40, 13824, 5),
            () if has("1.3b") || has("1_3b") => (1536, 30, 8960, 2),
            () => return None,
        };
        let facts = weights::Transformer {
            dim,
            heads: dim / 128,
            head_dim: 128,
            layers,
            ffn,
            in_channels: if has("i2v") || has("image2video") { 36 } else { 16 },
            out_channels: 16,
            text_dim: 4096,
            freq_dim: 256,
            vace: has("vace").then(|| Vace { layers: (0..layers).step_by(every).collect(), in_channels: 96 }),
            image: None,
        };
        let vace = facts.vace.is_some();
        let transformer = Transformer::of(&ModelKind::Transformer(facts), dim, ffn, vace);
        Some(Self { text: TEXT, text_row: TEXT_ROW, vae: VAE, vae_base: VAE_BASE, transformer })
    }
}
