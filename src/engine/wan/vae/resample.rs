//! Half and twice the size, in space and, except for a video's first frame, in time.
//!
//! Letters as in `blocks.rs`. Reference: diffusers 0.42.1, `models/autoencoders/autoencoder_kl_wan.py`, `WanResample`.

use tch::{Kind, Tensor};

use super::{
    blocks::{channels_last, per_frame, place, sides, through_time},
    causal_cache::Turn,
};
use crate::engine::weights::{Weights, WeightsError};

type Result<T> = std::result::Result<T, WeightsError>;

/// Whether the number of frames changes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axes {
    Space,
    SpaceAndTime,
}

/// A kernel of three frames and one pixel.
#[derive(Debug)]
struct TimeConv {
    kernel: Tensor,
    bias: Tensor,
}

impl TimeConv {
    fn load(w: &Weights, axes: Axes, inputs: i64, outputs: i64) -> Result<Option<Self>> {
        let w = match axes {
            Axes::Space => return Ok(None),
            Axes::SpaceAndTime => w / "time_conv",
        };
        let kernel = channels_last(&w.get("weight", &[outputs, inputs, 3, 1, 1])?);
        Ok(Some(Self { kernel, bias: w.get("bias", &[outputs])? }))
    }
}

#[derive(Debug)]
pub(super) struct Down {
    kernel: Tensor,
    bias: Tensor,
    time: Option<TimeConv>,
}

impl Down {
    pub(super) fn load(w: Weights, channels: i64, axes: Axes) -> Result<Self> {
        let space = &w / "resample" / 1;
        Ok(Self {
            kernel: channels_last(&space.get("weight", &[channels, channels, 3, 3])?),
            bias: space.get("bias", &[channels])?,
            time: TimeConv::load(&w, axes, channels, channels)?,
        })
    }

    /// `x` [T, H, W, C] -> [T/2, H/2, W/2, C]; the first frame, or all of them without time: [T, H/2, W/2, C].
    pub(super) fn forward(&self, x: Tensor, turn: &mut Turn) -> Tensor {
        let padded = x.constant_pad_nd([0, 0, 0, 1, 0, 1]);
        drop(x);
        let y = per_frame(&padded, &self.kernel, &self.bias, 2, 0);
        let Some(TimeConv { kernel, bias }) = &self.time else { return y };
        if turn.opening() {
            *turn.next() = Some(y.shallow_clone());
            return y;
        }
        let joined = turn.follow(1, sides(&y), place(&y), move |mut out| out.copy_(&y));
        through_time(&joined, kernel, bias, 2, 0)
    }
}

#[derive(Debug)]
pub(super) struct Up {
    /// By row and column of the pixel inside the two by two that one pixel becomes: [O, C, 2, 2].
    ///
    /// Each reads only two by two of the small pixels, since a big pixel's neighbours are twins. That is less than half
    /// of the work of the reference, which doubles the picture first, and the doubled picture is never made.
    kernels: [[Tensor; 2]; 2],
    bias: Tensor,
    time: Option<TimeConv>,
}

impl Up {
    pub(super) fn load(w: Weights, channels: i64, axes: Axes) -> Result<Self> {
        let (space, outputs) = (&w / "resample" / 1, channels / 2);
        let kernel = space.in_kind(Kind::Float).get("weight", &[outputs, channels, 3, 3])?;
        let kernels =
            halves(&kernel, 2).map(|rows| halves(&rows, 3).map(|kernel| channels_last(&kernel.to_kind(space.kind()))));
        let bias = space.get("bias", &[outputs])?;
        Ok(Self { kernels, bias, time: TimeConv::load(&w, axes, channels, 2 * channels)? })
    }

    /// `x` [T, H, W, C] -> [2T, 2H, 2W, C/2]; the first frame, or all of them without time: [T, 2H, 2W, C/2].
    pub(super) fn forward(&self, x: Tensor, turn: &mut Turn) -> Tensor {
        let x = match &self.time {
            None => x,
            Some(time) => twice_the_frames(time, x, turn),
        };
        let [frames, height, width, channels] = sides(&x);
        let doubled = Tensor::empty([frames, height, 2, width, 2, channels / 2], place(&x));
        for (row, kernels) in (0..).zip(&self.kernels) {
            for (column, kernel) in (0..).zip(kernels) {
                let y = per_frame(&x, kernel, &self.bias, 1, 1);
                let y = y.narrow(1, row, height).narrow(2, column, width);
                doubled.select(4, column).select(2, row).copy_(&y);
            }
        }
        doubled.view([frames, 2 * height, 2 * width, channels / 2])
    }
}

/// `x` [T, H, W, C] -> [2T, H, W, C]. The first frame stays one, and is not seen by those after it.
fn twice_the_frames(time: &TimeConv, x: Tensor, turn: &mut Turn) -> Tensor {
    if turn.opening() {
        turn.next();
        return x;
    }
    let [frames, height, width, channels] = sides(&x);
    let joined = turn.follow(2, sides(&x), place(&x), move |mut out| out.copy_(&x));
    let pairs = through_time(&joined, &time.kernel, &time.bias, 1, 0);
    let pairs = pairs.view([frames, height, width, 2, channels]).permute([0, 3, 1, 2, 4]);
    pairs.reshape([2 * frames, height, width, channels])
}

/// A kernel of three along `dimension`, for the first and the second of the two pixels that one becomes.
///
/// The first meets its left neighbour and itself twice, the second itself twice and its right neighbour.
fn halves(kernel: &Tensor, dimension: i64) -> [Tensor; 2] {
    let tap = |index| kernel.narrow(dimension, index, 1);
    let first = Tensor::cat(&[tap(0), tap(1) + tap(2)], dimension);
    [first, Tensor::cat(&[tap(0) + tap(1), tap(2)], dimension)]
}
