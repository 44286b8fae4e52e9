//! Pixels to latents.
//!
//! Letters as in `mod.rs` and `blocks.rs`; Z channels of a latent. Reference: diffusers 0.42.1,
//! `models/autoencoders/autoencoder_kl_wan.py`, `WanEncoder3d` and `AutoencoderKLWan.encode`.

use std::ops::Range;

use tch::Tensor;

use super::{
    Config, FRAMES, Pixels, SIDE, Scale, VaeError, Way,
    blocks::{CausalConv, Middle, Norm, Pointwise, Residual},
    causal_cache::CausalCache,
    check_finite, pixel_frames,
    prefix::{Beginning, Prefix},
    resample::{Axes, Down},
    tiling::Mosaic,
};
use crate::engine::weights::{Weights, WeightsError};

/// What follows each level.
const STEPS: [Option<Axes>; 4] = [Some(Axes::Space), Some(Axes::SpaceAndTime), Some(Axes::SpaceAndTime), None];
/// Of each level.
const RESIDUALS: usize = 2;

#[derive(Debug)]
enum Step {
    Residual(Residual),
    Down(Down),
}

#[derive(Debug)]
pub(crate) struct Encoder {
    conv_in: CausalConv,
    steps: Vec<Step>,
    middle: Middle,
    norm_out: Norm,
    conv_out: CausalConv,
    quant: Pointwise,
    scale: Scale,
}

impl Encoder {
    /// `w` is the place of the whole VAE: beside `encoder` this reads `quant_conv`.
    pub(crate) fn load(w: &Weights, config: &Config) -> Result<Self, WeightsError> {
        let (inside, latent) = (w / "encoder", config.z_dim);
        let conv_in = CausalConv::load(&inside / "conv_in", 3, config.base_dim)?;
        let (mut steps, mut width) = (vec![], config.base_dim);
        for (outputs, axes) in config.widths().into_iter().zip(STEPS) {
            for _ in 0..RESIDUALS {
                steps.push(Step::Residual(Residual::load(&inside / "down_blocks" / steps.len(), width, outputs)?));
                width = outputs;
            }
            if let Some(axes) = axes {
                steps.push(Step::Down(Down::load(&inside / "down_blocks" / steps.len(), width, axes)?));
            }
        }
        Ok(Self {
            conv_in,
            steps,
            middle: Middle::load(&inside / "mid_block", width)?,
            norm_out: Norm::load(&inside / "norm_out", width, 3)?,
            conv_out: CausalConv::load(&inside / "conv_out", width, 2 * latent)?,
            // The other half of its outputs says how uncertain the latents are, and nobody asks.
            quant: Pointwise::load(w / "quant_conv", 2 * latent, 2 * latent, 3, latent)?,
            scale: Scale::new(config, w),
        })
    }

    /// A video of F frames -> normalised latents [1, Z, n + 1, h, w] in f32. `progress` is told how much of what is done.
    pub(crate) fn encode(
        &self,
        video: &dyn Pixels,
        way: &Way,
        mut prefix: Option<&mut Prefix>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Tensor, VaeError> {
        let [frames, height, width] = video.sides();
        assert!(frames % FRAMES == 1 && height % SIDE == 0 && width % SIDE == 0, "{frames} frames of {width}x{height}");
        let chunks = way.chunks(1 + frames / FRAMES);
        let mosaic = Mosaic::new(way.tiles, height / SIDE, width / SIDE);
        let (mut done, total) = (0, mosaic.count() * chunks.len());
        mosaic.assemble(1, |rows, columns| {
            let read = |chunk: &Range<i64>| {
                let pixels = video.read(pixel_frames(chunk));
                columns.of(&rows.of(&pixels, 3, SIDE), 4, SIDE)
            };
            self.encode_piece(&read, &chunks, prefix.as_deref_mut(), &mut |chunks| {
                done += chunks;
                progress(done, total);
            })
        })
    }

    /// `read` gives the pixels [1, 3, f, H, W] of a chunk. Returns [1, Z, n + 1, h, w].
    fn encode_piece(
        &self,
        read: &dyn Fn(&Range<i64>) -> Tensor,
        chunks: &[Range<i64>],
        mut prefix: Option<&mut Prefix>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Tensor, VaeError> {
        let beginning = prefix.as_ref().and_then(|_| Beginning::of(read, chunks));
        let known = prefix.as_ref().zip(beginning.as_ref()).and_then(|(prefix, beginning)| prefix.known(beginning));
        let unknown = beginning.filter(|_| known.is_none());

        let mut made = known.unwrap_or_default();
        let (skipped, chunks) = chunks.split_at(chunks.partition_point(|chunk| chunk.end <= made.frames));
        progress(skipped.len());
        for chunk in chunks {
            made.latents.push(self.encode_chunk(&read(chunk), &mut made.tails, chunk.start)?);
            made.frames = chunk.end;
            if let (Some(prefix), Some(beginning)) = (&mut prefix, &unknown) {
                prefix.keep(beginning, &made);
            }
            progress(1);
        }
        Ok(Tensor::cat(&made.latents, 0).permute([3, 0, 1, 2]).unsqueeze(0).contiguous())
    }

    /// `pixels` [1, 3, f, H, W] -> normalised latents [T, h, w, Z] in f32; the first of them is the video's `first`.
    fn encode_chunk(&self, pixels: &Tensor, tails: &mut CausalCache, first: i64) -> Result<Tensor, VaeError> {
        let mut turn = tails.turn();
        let x = pixels.squeeze_dim(0).permute([1, 2, 3, 0]).to_kind(self.scale.kind);
        let mut x = self.conv_in.forward(&x, &mut turn);
        for step in &self.steps {
            x = match step {
                Step::Residual(residual) => residual.forward(x, &mut turn),
                Step::Down(down) => down.forward(x, &mut turn),
            };
        }
        let x = self.middle.forward(x, &mut turn);
        let x = self.conv_out.after(&self.norm_out, x, &mut turn);
        let latents = self.scale.normal(&self.quant.forward(&x));
        check_finite(&latents, "encoding", first)?;
        Ok(latents)
    }
}
