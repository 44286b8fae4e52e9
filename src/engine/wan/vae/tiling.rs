//! A picture in pieces that overlap, for where the whole does not fit into memory.
//!
//! Reference: diffusers 0.42.1, `models/autoencoders/autoencoder_kl_wan.py`, `tiled_encode`, `tiled_decode`, `blend_v`,
//! `blend_h`. Its own pieces are `Tiles` of 256.

use tch::{Kind, Tensor};
use wanctl::pipeline::job::memory;

use super::SIDE;

/// Squares, each of which overlaps the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiles {
    /// In latents.
    pub(super) side: i64,
    /// From the start of one to the start of the next, in latents.
    pub(super) stride: i64,
}

impl Tiles {
    /// Sides are multiples of so many pixels: a quarter of one is then whole latents.
    pub(crate) const STEP: i64 = 4 * SIDE;
    /// Smaller ones would see too little of the picture.
    pub(crate) const LEAST: i64 = memory::LEAST_TILE as i64;

    /// Of so many pixels a side, a quarter of which lies on the next. None unless that is a multiple of [`Tiles::STEP`].
    pub(crate) fn new(pixels: i64) -> Option<Self> {
        (pixels > 0 && pixels % Self::STEP == 0).then_some(Self { side: pixels / SIDE, stride: pixels / SIDE / 4 * 3 })
    }
}

/// A stretch of one side of the picture, in latents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: i64,
    length: i64,
}

impl Span {
    /// Of `x`, in whose `dimension` each latent is `scale` long.
    pub(super) fn of(self, x: &Tensor, dimension: i64, scale: i64) -> Tensor {
        x.narrow(dimension, self.start * scale, self.length * scale)
    }
}

/// The pieces of one picture.
#[derive(Debug)]
pub(super) struct Mosaic {
    rows: Vec<Span>,
    columns: Vec<Span>,
    tiles: Option<Tiles>,
}

impl Mosaic {
    /// `height` and `width` in latents. A picture no larger than a tile stays whole.
    pub(super) fn new(tiles: Option<Tiles>, height: i64, width: i64) -> Self {
        let tiles = tiles.filter(|tiles| height > tiles.side || width > tiles.side);
        let spans = |length: i64| match tiles {
            None => vec![Span { start: 0, length }],
            Some(tiles) => (0..length)
                .step_by(tiles.stride as usize)
                .map(|start| Span { start, length: tiles.side.min(length - start) })
                .collect(),
        };
        Self { rows: spans(height), columns: spans(width), tiles }
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    pub(super) fn whole(&self) -> bool {
        self.tiles.is_none()
    }

    /// Makes every piece [..., H', W'] by row and column, each latent `scale` long, and joins them to [..., H, W].
    pub(super) fn assemble<E>(
        &self,
        scale: i64,
        mut make: impl FnMut(Span, Span) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        let Some(tiles) = self.tiles else { return make(self.rows[0], self.columns[0]) };
        let (stride, shared) = (tiles.stride * scale, (tiles.side - tiles.stride) * scale);
        let mut strips = vec![];
        // What is left of the pieces above: their last rows, blended already.
        let mut above: Vec<Tensor> = vec![];
        for row in &self.rows {
            let (mut below, mut pieces) = (vec![], vec![]);
            let mut left: Option<Tensor> = None;
            for (index, column) in self.columns.iter().enumerate() {
                let piece = make(*row, *column)?;
                if let Some(above) = above.get(index) {
                    blend(above, &piece, -2);
                }
                if let Some(left) = &left {
                    blend(left, &piece, -1);
                }
                below.push(last(&piece, -2, shared).copy());
                left = Some(last(&piece, -1, shared).copy());
                let kept = |x: &Tensor, dimension| x.narrow(dimension, 0, stride.min(x.size()[axis(x, dimension)]));
                pieces.push(kept(&kept(&piece, -2), -1).copy());
            }
            strips.push(Tensor::cat(&pieces, -1));
            above = below;
        }
        Ok(Tensor::cat(&strips, -2))
    }
}

fn axis(x: &Tensor, dimension: i64) -> usize {
    (x.dim() as i64 + dimension) as usize
}

/// Up to `length` of the end of `x` along `dimension`, counted from behind.
fn last(x: &Tensor, dimension: i64, length: i64) -> Tensor {
    let side = x.size()[axis(x, dimension)];
    let length = length.min(side);
    x.narrow(dimension, side - length, length)
}

/// Lets the beginning of `piece` come out of the end of `before`: at first all of it is `before`.
fn blend(before: &Tensor, piece: &Tensor, dimension: i64) {
    let side = |x: &Tensor| x.size()[axis(x, dimension)];
    let length = side(before).min(side(piece));
    let (before, mut start) = (last(before, dimension, length), piece.narrow(dimension, 0, length));
    let ramp = Tensor::arange(length, (Kind::Float, piece.device())) / length as f64;
    let ramp = if dimension == -2 { ramp.unsqueeze(-1) } else { ramp };
    start.copy_(&(before * (1.0 - &ramp) + &start * ramp));
}
