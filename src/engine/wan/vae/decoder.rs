//! Latents to pixels.
//!
//! Letters as in `mod.rs` and `blocks.rs`; Z channels of a latent. Reference: diffusers 0.42.1,
//! `models/autoencoders/autoencoder_kl_wan.py`, `WanDecoder3d` and `AutoencoderKLWan.decode`.

use tch::{Device, Kind, Tensor};

use super::{
    Config, SIDE, Scale, VaeError, Way,
    blocks::{CausalConv, Middle, Norm, Pointwise, Residual},
    causal_cache::CausalCache,
    check_finite, pixel_frames,
    resample::{Axes, Up},
    tiling::Mosaic,
};
use crate::engine::weights::{Weights, WeightsError};

/// What follows each level, the deepest first.
const STEPS: [Option<Axes>; 4] = [Some(Axes::SpaceAndTime), Some(Axes::SpaceAndTime), Some(Axes::Space), None];
/// Of each level.
const RESIDUALS: usize = 3;

#[derive(Debug)]
struct Level {
    residuals: Vec<Residual>,
    up: Option<Up>,
}

#[derive(Debug)]
pub(crate) struct Decoder {
    scale: Scale,
    quant: Pointwise,
    conv_in: CausalConv,
    middle: Middle,
    levels: Vec<Level>,
    norm_out: Norm,
    conv_out: CausalConv,
}

impl Decoder {
    /// `w` is the place of the whole VAE: beside `decoder` this reads `post_quant_conv`.
    pub(crate) fn load(w: &Weights, config: &Config) -> Result<Self, WeightsError> {
        let (inside, latent) = (w / "decoder", config.z_dim);
        let widths = config.widths();
        let mut width = widths[3];
        let conv_in = CausalConv::load(&inside / "conv_in", latent, width)?;
        let middle = Middle::load(&inside / "mid_block", width)?;
        let mut levels = vec![];
        for (outputs, axes) in widths.into_iter().rev().zip(STEPS) {
            let place = &inside / "up_blocks" / levels.len();
            let mut residuals = vec![];
            for index in 0..RESIDUALS {
                residuals.push(Residual::load(&place / "resnets" / index, width, outputs)?);
                width = outputs;
            }
            let up = axes.map(|axes| Up::load(&place / "upsamplers" / 0, outputs, axes)).transpose()?;
            if up.is_some() {
                width = outputs / 2;
            }
            levels.push(Level { residuals, up });
        }
        Ok(Self {
            scale: Scale::new(config, w),
            quant: Pointwise::load(w / "post_quant_conv", latent, latent, 3, latent)?,
            conv_in,
            middle,
            levels,
            norm_out: Norm::load(&inside / "norm_out", width, 3)?,
            conv_out: CausalConv::load(&inside / "conv_out", width, 3)?,
        })
    }

    /// Normalised `latents` [1, Z, n + 1, h, w] -> pixels in -1 to 1, f32, handed to `emit` as [1, 3, f, H, W]: first the
    /// first frame, then chunk by chunk. `progress` is told how much of what is done.
    ///
    /// With tiles, frames are whole only at the end: until then they gather in the memory of the host, and stay there.
    pub(crate) fn decode(
        &self,
        latents: &Tensor,
        way: &Way,
        progress: &mut dyn FnMut(usize, usize),
        emit: &mut dyn FnMut(Tensor),
    ) -> Result<(), VaeError> {
        let (_, _, frames, height, width) = latents.size5().expect("latents are [1, Z, T, h, w]");
        let chunks = way.chunks(frames);
        let mosaic = Mosaic::new(way.tiles, height, width);
        let (mut done, total) = (0, mosaic.count() * chunks.len());
        let mut tick = || {
            done += 1;
            progress(done, total);
        };
        if mosaic.whole() {
            let mut tails = CausalCache::default();
            for chunk in &chunks {
                let part = latents.narrow(2, chunk.start, chunk.end - chunk.start);
                emit(self.decode_chunk(&part, &mut tails, pixel_frames(chunk).start)?.clamp_(-1.0, 1.0));
                tick();
            }
            return Ok(());
        }
        let mut video = mosaic.assemble(SIDE, |rows, columns| {
            let piece = columns.of(&rows.of(latents, 3, 1), 4, 1);
            let (mut tails, mut made) = (CausalCache::default(), vec![]);
            for chunk in &chunks {
                let part = piece.narrow(2, chunk.start, chunk.end - chunk.start);
                let pixels = self.decode_chunk(&part, &mut tails, pixel_frames(chunk).start)?;
                made.push(pixels.to_device(Device::Cpu));
                tick();
            }
            Ok(Tensor::cat(&made, 2))
        })?;
        let _ = video.clamp_(-1.0, 1.0);
        for chunk in chunks.iter().map(pixel_frames) {
            emit(video.narrow(2, chunk.start, chunk.end - chunk.start));
        }
        Ok(())
    }

    /// `latents` [1, Z, T, h, w] -> pixels [1, 3, f, H, W] in f32, not clamped; the first of them is the video's `first`.
    fn decode_chunk(&self, latents: &Tensor, tails: &mut CausalCache, first: i64) -> Result<Tensor, VaeError> {
        let mut turn = tails.turn();
        let latents = self.scale.raw(&latents.squeeze_dim(0).permute([1, 2, 3, 0]));
        let x = self.conv_in.forward(&self.quant.forward(&latents), &mut turn);
        let mut x = self.middle.forward(x, &mut turn);
        for Level { residuals, up } in &self.levels {
            for residual in residuals {
                x = residual.forward(x, &mut turn);
            }
            if let Some(up) = up {
                x = up.forward(x, &mut turn);
            }
        }
        let pixels = self.conv_out.after(&self.norm_out, x, &mut turn).to_kind(Kind::Float);
        check_finite(&pixels, "decoding", first)?;
        Ok(pixels.permute([3, 0, 1, 2]).unsqueeze(0))
    }
}
