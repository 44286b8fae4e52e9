//! Wan's VAE 2.1: videos to latents and back, streamed in chunks of frames.
//!
//! A video of F = 4n + 1 frames of H x W has latents of n + 1 frames of h = H/8 by w = W/8. Each latent frame is four
//! frames, except that the first is one. The length of a chunk changes memory and time, and the numbers by rounding.
//! Reference: diffusers 0.42.1, `models/autoencoders/autoencoder_kl_wan.py`.

mod blocks;
mod causal_cache;
mod decoder;
mod encoder;
mod prefix;
mod resample;
#[cfg(test)]
mod tests;
mod tiling;

use std::ops::Range;

use tch::{Kind, Tensor};
use wanctl::pipeline::job::{Part, memory};

pub(crate) use self::{decoder::Decoder, encoder::Encoder, prefix::Prefix, tiling::Tiles};
use crate::engine::weights::Weights;

/// Pixels along a side that one latent stands for.
const SIDE: i64 = 8;
/// Frames that one latent frame stands for, the first excepted.
const FRAMES: i64 = 4;

#[derive(Debug, thiserror::Error)]
pub(crate) enum VaeError {
    #[error("{stage} gave numbers that are not finite in frame {frame}")]
    NonFinite { stage: &'static str, frame: i64 },
}

/// In the words of a diffusers `config.json`. The default is what was published.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub base_dim: i64,
    /// Channels of a latent, Z.
    pub z_dim: i64,
    /// The width of each level, in `base_dim`.
    pub dim_mult: [i64; 4],
    pub latents_mean: Vec<f64>,
    pub latents_std: Vec<f64>,
}

impl Default for Config {
    fn default() -> Self {
        let latents_mean = [
            -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
            -0.1922, -0.9497, 0.2503, -0.2921,
        ];
        let latents_std = [
            2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
            1.1253, 2.8251, 1.9160,
        ];
        Self {
            base_dim: 96,
            z_dim: 16,
            dim_mult: [1, 2, 4, 4],
            latents_mean: latents_mean.into(),
            latents_std: latents_std.into(),
        }
    }
}

impl Config {
    fn widths(&self) -> [i64; 4] {
        self.dim_mult.map(|times| times * self.base_dim)
    }

    /// What decoding in chunks of one needs at its peak on a GPU or the CPU; encoding needs less.
    fn bytes_per_pixel(&self, kind: Kind, gpu: bool) -> f64 {
        memory::vae_bytes_per_pixel(self.base_dim as u64, kind.elt_size_in_bytes() as u64, Part::Decode, gpu) as f64
    }
}

/// How a video goes through the VAE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// Latent frames at a time, after the first; at least one. The reference takes one.
    pub chunk: i64,
    /// Pieces of the picture, for little memory. Unlike chunks they change the picture: each piece sees only itself.
    pub tiles: Option<Tiles>,
}

impl Default for Way {
    fn default() -> Self {
        Self { chunk: 1, tiles: None }
    }
}

impl Way {
    /// For a picture of `height` by `width` pixels in `bytes` of memory beside the weights: whole if that is enough, else
    /// with the largest tiles for which it is, and never smaller than [`Tiles::LEAST`].
    pub(crate) fn within(bytes: u64, config: &Config, kind: Kind, [height, width]: [i64; 2], gpu: bool) -> Self {
        let pixels = bytes as f64 / config.bytes_per_pixel(kind, gpu);
        if (height * width) as f64 <= pixels {
            return Self::default();
        }
        let side = (pixels.sqrt() as i64 / Tiles::STEP * Tiles::STEP).max(Tiles::LEAST);
        Self { tiles: Tiles::new(side), ..Self::default() }
    }

    /// `frames` latent frames in chunks: the first alone.
    fn chunks(&self, frames: i64) -> Vec<Range<i64>> {
        assert!(self.chunk > 0 && frames > 0, "{frames} frames in chunks of {}", self.chunk);
        let later = (1..frames).step_by(self.chunk as usize);
        std::iter::once(0..1).chain(later.map(|start| start..frames.min(start + self.chunk))).collect()
    }
}

/// The frames that latent frames stand for.
fn pixel_frames(latent: &Range<i64>) -> Range<i64> {
    let first = |frame| match frame {
        0 => 0,
        frame => 1 + (frame - 1) * FRAMES,
    };
    first(latent.start)..first(latent.end)
}

/// A video that is read piece by piece, so that it never lies in memory as floats whole.
pub(crate) trait Pixels {
    /// F, H, W.
    fn sides(&self) -> [i64; 3];
    /// [1, 3, f, H, W] in -1 to 1, on the VAE's device.
    fn read(&self, frames: Range<i64>) -> Tensor;
}

impl Pixels for Tensor {
    fn sides(&self) -> [i64; 3] {
        let (_, _, frames, height, width) = self.size5().expect("a video is [1, 3, F, H, W]");
        [frames, height, width]
    }

    fn read(&self, frames: Range<i64>) -> Tensor {
        self.narrow(2, frames.start, frames.end - frames.start)
    }
}

/// What the denoiser calls a latent is (latent - mean) / std.
#[derive(Debug)]
struct Scale {
    mean: Tensor,
    std: Tensor,
    /// Of the network between.
    kind: Kind,
}

impl Scale {
    fn new(config: &Config, w: &Weights) -> Self {
        let row = |numbers: &[f64]| Tensor::from_slice(numbers).to_kind(Kind::Float).to_device(w.device());
        Self { mean: row(&config.latents_mean), std: row(&config.latents_std), kind: w.kind() }
    }

    /// [..., Z] of the network -> f32.
    fn normal(&self, latents: &Tensor) -> Tensor {
        (latents.to_kind(Kind::Float) - &self.mean) / &self.std
    }

    /// [..., Z] in f32 -> as the network takes them.
    fn raw(&self, latents: &Tensor) -> Tensor {
        (latents.to_kind(Kind::Float) * &self.std + &self.mean).to_kind(self.kind)
    }
}

/// `x` [T, ...] of frames that begin with `first`.
fn check_finite(x: &Tensor, stage: &'static str, first: i64) -> Result<(), VaeError> {
    let good = x.isfinite();
    if good.all().int64_value(&[]) == 1 {
        return Ok(());
    }
    let bad = good.logical_not().flatten(1, -1).any_dim(1, false).nonzero();
    Err(VaeError::NonFinite { stage, frame: first + bad.int64_value(&[0, 0]) })
}
