//! The models that a checkpoint can be, each with the numbers that make it, and what users call them.

use serde::{Deserialize, Serialize};

use super::Lora;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelKind {
    Transformer(Transformer),
    /// The part of a VACE transformer that a text-to-video one lacks.
    VaceModule(VaceModule),
    Vae(Vae),
    TextEncoder(TextEncoder),
    ClipVision(ClipVision),
    Lora(Lora),
    /// Somebody else's model.
    Foreign {
        name: &'static str,
    },
    Unknown {
        /// The first few tensors.
        tensors: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transformer {
    pub dim: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub layers: usize,
    pub ffn: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub text_dim: usize,
    pub freq_dim: usize,
    pub vace: Option<Vace>,
    pub image: Option<ImageEmbedder>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vace {
    /// The blocks after which a hint is added.
    pub layers: Vec<usize>,
    pub in_channels: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageEmbedder {
    pub dim: usize,
    /// Tokens of two images together, where they have a table of places.
    pub positions: Option<usize>,
    /// Whether every block has keys and values for the image.
    pub keys: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaceModule {
    pub dim: usize,
    pub ffn: usize,
    pub blocks: usize,
    pub in_channels: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VaeGeneration {
    #[serde(rename = "2.1")]
    Wan21,
    #[serde(rename = "2.2")]
    Wan22,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vae {
    pub generation: VaeGeneration,
    pub base_dim: usize,
    pub decoder_base_dim: usize,
    pub z_dim: usize,
    /// Of the pixels as the first convolution sees them.
    pub channels: usize,
    /// Of the latents; where `config.json` says them.
    pub mean: Option<Vec<f64>>,
    pub std: Option<Vec<f64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextEncoder {
    pub vocab: usize,
    pub dim: usize,
    pub heads: usize,
    pub d_kv: usize,
    pub ff: usize,
    pub layers: usize,
    pub buckets: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipVision {
    pub dim: usize,
    pub layers: usize,
    pub mlp: usize,
    pub patch: usize,
    pub positions: usize,
}

impl ModelKind {
    /// As a user knows it.
    pub fn name(&self) -> String {
        match self {
            Self::Transformer(transformer) => transformer.name(),
            Self::VaceModule(module) => module.name(),
            Self::Vae(vae) => vae.name().into(),
            Self::TextEncoder(text) => text.name().into(),
            Self::ClipVision(clip) => clip.name().into(),
            Self::Lora(_) => "a LoRA".into(),
            Self::Foreign { name } => (*name).to_owned(),
            Self::Unknown { .. } => "something that wanctl does not know".into(),
        }
    }
}

impl ModelKind {
    /// The numbers that tell one of its kind from another.
    pub fn numbers(&self) -> Option<String> {
        Some(match self {
            Self::Transformer(transformer) => transformer.numbers(),
            Self::VaceModule(VaceModule { dim, ffn, blocks, in_channels }) => {
                format!("{blocks} VACE blocks of width {dim} and {ffn}, {in_channels} channels in")
            }
            Self::Vae(Vae { base_dim, decoder_base_dim, z_dim, channels, .. }) => {
                format!(
                    "{z_dim} channels of latents, {channels} of pixels, widths from {base_dim} and {decoder_base_dim}"
                )
            }
            Self::TextEncoder(TextEncoder { vocab, dim, heads, ff, layers, .. }) => {
                format!("{layers} layers of width {dim} and {ff}, {heads} heads, {vocab} words")
            }
            Self::ClipVision(ClipVision { dim, layers, mlp, patch, .. }) => {
                format!("{layers} layers of width {dim} and {mlp}, patches of {patch}")
            }
            Self::Lora(_) | Self::Foreign { .. } => return None,
            Self::Unknown { tensors } => format!("tensors such as {}", tensors.join(", ")),
        })
    }
}

/// The published sizes, by width.
pub(super) fn size(dim: usize, layers: Option<usize>) -> Option<&'static str> {
    let sizes = [(1536, 30, "1.3B"), (3072, 30, "5B"), (5120, 40, "14B")];
    let fits = |of: &&(usize, usize, &'static str)| of.0 == dim && layers.is_none_or(|layers| layers == of.1);
    sizes.iter().find(fits).map(|(.., name)| *name)
}

/// How a transformer is shown the frames that it has to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditioning {
    /// A guide of any known frames, with a mask: VACE.
    Vace,
    /// Frames at the start and the end, beside the noise: image-to-video of Wan 2.2.
    Images,
}

impl Transformer {
    /// None for those that are shown nothing, or in a way that wanctl cannot.
    pub fn conditioning(&self) -> Option<Conditioning> {
        // The noise, four channels of a mask, and latents of the frames.
        let beside = 2 * self.out_channels + 4;
        match (self.in_channels, &self.vace, &self.image) {
            (channels, Some(_), None) if channels == self.out_channels => Some(Conditioning::Vace),
            (channels, None, None) if channels == beside => Some(Conditioning::Images),
            _ => None,
        }
    }

    /// By its numbers; an expert of Wan 2.2 and a model of 2.1 can have the same.
    pub fn name(&self) -> String {
        let image = self.image.as_ref().map(|image| image.positions.is_some());
        let known = match (size(self.dim, Some(self.layers)), self.in_channels, &self.vace, image) {
            (Some("1.3B"), 16, None, None) => "Wan 2.1 T2V 1.3B",
            (Some("1.3B"), 16, Some(_), None) => "Wan 2.1 VACE 1.3B",
            (Some("14B"), 16, None, None) => "Wan 2.1 T2V 14B or an expert of Wan 2.2 T2V A14B",
            (Some("14B"), 16, Some(_), None) => "Wan 2.1 VACE 14B or an expert of Wan 2.2 VACE-Fun A14B",
            (Some("14B"), 36, None, Some(false)) => "Wan 2.1 I2V 14B",
            (Some("14B"), 36, None, Some(true)) => "Wan 2.1 FLF2V 14B",
            (Some("14B"), 36, None, None) => "an expert of Wan 2.2 I2V A14B",
            (Some("5B"), 48, None, None) if self.out_channels == 48 => "Wan 2.2 TI2V 5B",
            _ => return self.described(),
        };
        known.to_owned()
    }

    /// A size that nobody published.
    fn described(&self) -> String {
        let vace = if self.vace.is_some() { " with VACE" } else { "" };
        let Self { dim, layers, in_channels, .. } = self;
        format!("a Wan transformer{vace} of width {dim} with {layers} blocks and {in_channels} input channels")
    }

    /// All that tells one from another.
    pub fn numbers(&self) -> String {
        let Self { dim, heads, layers, ffn, in_channels, out_channels, vace, image, .. } = self;
        let vace = vace.as_ref().map_or(String::new(), |vace| format!(", {} VACE blocks", vace.layers.len()));
        let image = if image.is_some() { ", an image embedder" } else { "" };
        let channels = format!("{in_channels} channels in, {out_channels} out");
        format!("{layers} blocks of width {dim} and {ffn}, {heads} heads, {channels}{vace}{image}")
    }
}

impl VaceModule {
    pub fn name(&self) -> String {
        match size(self.dim, None) {
            Some(size) => format!("a VACE module for Wan T2V {size}"),
            None => format!("a VACE module for a Wan transformer of width {}", self.dim),
        }
    }
}

impl Vae {
    pub fn name(&self) -> &'static str {
        match self.generation {
            VaeGeneration::Wan21 => "the Wan 2.1 VAE",
            VaeGeneration::Wan22 => "the Wan 2.2 VAE",
        }
    }
}

impl TextEncoder {
    pub fn name(&self) -> &'static str {
        if (self.dim, self.layers) == (4096, 24) { "the umT5-XXL encoder" } else { "a umT5 encoder" }
    }
}

impl ClipVision {
    pub fn name(&self) -> &'static str {
        if (self.dim, self.patch) == (1280, 14) {
            "the image half of CLIP ViT-H/14"
        } else {
            "the image half of a CLIP"
        }
    }
}
