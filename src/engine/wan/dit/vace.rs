//! The control branch: blocks that run beside the main ones and hint at what a video should show.

use tch::{Kind, Tensor};

use super::{
    Config, PATCH, VaceConfig,
    block::{Block, Given},
    blocks::{Blocks, OffloadMode},
    patches, slices,
};
use crate::engine::{
    layers::{Linear, ToDevice, Transfer},
    weights::{Weights, WeightsError},
};

#[derive(Debug)]
pub(super) struct Vace {
    patch_embedding: Linear,
    proj_in: Linear,
    blocks: Blocks<Hinting>,
    /// The main block after which each hint is added.
    after: Vec<usize>,
    kind: Kind,
}

#[derive(Debug)]
struct Hinting {
    block: Block,
    proj_out: Linear,
}

impl ToDevice for Hinting {
    fn moved(&self, bring: &Transfer) -> Self {
        let Self { block, proj_out } = self;
        Self { block: block.moved(bring), proj_out: proj_out.moved(bring) }
    }
}

impl Vace {
    pub(super) fn load(
        w: &Weights,
        config: &Config,
        vace: &VaceConfig,
        keep: OffloadMode,
    ) -> Result<Self, WeightsError> {
        let (dim, blocks) = (config.dim(), w / "vace_blocks");
        let f32s = w.in_kind(Kind::Float);
        Ok(Self {
            patch_embedding: Linear::of_patches(&f32s / "vace_patch_embedding", vace.channels, PATCH, dim)?,
            proj_in: Linear::load(&blocks / 0 / "proj_in", dim, dim)?,
            blocks: Blocks::load(keep, w.device(), vace.layers.len(), {
                let config = config.clone();
                move |index| {
                    let proj_out = Linear::load(&blocks / index / "proj_out", dim, dim)?;
                    Ok(Hinting { block: Block::load(&blocks / index, &config)?, proj_out })
                }
            })?,
            after: vace.layers.clone(),
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
        Stream { vace: self, scales, next: 0, control: x + seed }
    }
}

/// Advances by a block when the main blocks have come to its layer, so that one hint exists at a time.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    vace: &'a Vace,
    scales: &'a [f64],
    next: usize,
    /// [N, D] in f32.
    control: Tensor,
}

impl Stream<'_> {
    /// Adds the hint of main block `layer`, if it has one, to what came out of it, `x` [N, D] in f32.
    pub(super) fn hint(&mut self, layer: usize, x: &mut Tensor, given: &Given) -> bool {
        let Self { vace, scales, next, control } = self;
        if vace.after.get(*next) != Some(&layer) {
            return false;
        }
        let held = vace.blocks.get(*next);
        let (Hinting { block, proj_out }, scale) = (&*held, scales[*next]);
        *next += 1;
        block.forward(control, given);
        for (start, n) in slices(x, given.rows) {
            let hint = proj_out.forward(&control.narrow(0, start, n).to_kind(block.kind));
            let _ = x.narrow(0, start, n).g_add_(&(hint * scale));
        }
        true
    }
}
