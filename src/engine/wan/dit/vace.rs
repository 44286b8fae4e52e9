//! The control branch: blocks that run beside the main ones and hint at what a video should show.

use std::{
    iter::{Peekable, Zip},
    slice,
};

use tch::{Kind, Tensor};

use super::{
    Config, PATCH, VaceConfig,
    block::{Block, Given},
    patches, slices,
};
use crate::engine::{
    layers::Linear,
    weights::{Weights, WeightsError},
};

#[derive(Debug)]
pub(super) struct Vace {
    patch_embedding: Linear,
    proj_in: Linear,
    blocks: Vec<Hinting>,
    kind: Kind,
}

#[derive(Debug)]
struct Hinting {
    block: Block,
    proj_out: Linear,
    /// The main block after which the hint is added.
    layer: usize,
}

impl Vace {
    pub(super) fn load(w: &Weights, config: &Config, vace: &VaceConfig) -> Result<Self, WeightsError> {
        let (dim, blocks) = (config.dim(), w / "vace_blocks");
        let hinting = |(index, layer): (usize, &usize)| {
            let proj_out = Linear::load(&blocks / index / "proj_out", dim, dim)?;
            Ok::<_, WeightsError>(Hinting { block: Block::load(&blocks / index, config)?, proj_out, layer: *layer })
        };
        let f32s = w.in_kind(Kind::Float);
        Ok(Self {
            patch_embedding: Linear::of_patches(&f32s / "vace_patch_embedding", vace.channels, PATCH, dim)?,
            proj_in: Linear::load(&blocks / 0 / "proj_in", dim, dim)?,
            blocks: vace.layers.iter().enumerate().map(hinting).collect::<Result<_, _>>()?,
            kind: w.kind(),
        })
    }

    pub(super) fn layers(&self) -> usize {
        self.blocks.len()
    }

    /// What the branch starts from, but for the noisy patches: `control` [1, 96, F, H, W] to [N, D].
    pub(super) fn seed(&self, control: &Tensor) -> Tensor {
        let tokens = self.patch_embedding.forward(&patches(&control.to_kind(Kind::Float)));
        self.proj_in.forward(&tokens.to_kind(self.kind))
    }

    /// The branch beside main patches `x` [N, D] that no block has changed yet.
    pub(super) fn stream<'a>(&'a self, x: &Tensor, seed: &Tensor, scales: &'a [f64]) -> Stream<'a> {
        assert_eq!(scales.len(), self.blocks.len(), "a scale for each hint");
        Stream { rest: self.blocks.iter().zip(scales).peekable(), control: x + seed }
    }
}

/// Advances by a block when the main blocks have come to its layer, so that one hint exists at a time.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    rest: Peekable<Zip<slice::Iter<'a, Hinting>, slice::Iter<'a, f64>>>,
    /// [N, D] in f32.
    control: Tensor,
}

impl Stream<'_> {
    /// Adds the hint of main block `layer`, if it has one, to what came out of it, `x` [N, D] in f32.
    pub(super) fn hint(&mut self, layer: usize, x: &mut Tensor, given: &Given) -> bool {
        let Some((Hinting { block, proj_out, .. }, scale)) = self.rest.next_if(|(next, _)| next.layer == layer) else {
            return false;
        };
        block.forward(&mut self.control, given);
        for (start, n) in slices(x) {
            let hint = proj_out.forward(&self.control.narrow(0, start, n).to_kind(block.kind));
            let _ = x.narrow(0, start, n).g_add_(&(hint * *scale));
        }
        true
    }
}
