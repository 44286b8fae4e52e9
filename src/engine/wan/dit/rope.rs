//! Where a patch lies in time and space, told to attention as an angle.

use tch::{Device, Kind, Tensor};

use super::PATCH;

const THETA: f64 = 10_000.0;

/// The turn of each pair of a head's values, for every patch: complex [N, 1, head_dim / 2].
#[derive(Debug)]
pub(super) struct Rope(Tensor);

impl Rope {
    /// For latents of F frames, H by W: the axes share a head's pairs, time taking what thirds leave over.
    pub(super) fn new(head_dim: i64, [frames, height, width]: [i64; 3], device: Device) -> Self {
        let [f, h, w] = [frames / PATCH[0], height / PATCH[1], width / PATCH[2]];
        let side = 2 * (head_dim / 6);
        // f64, since an angle reaches a thousand radians and f32 would lose its fraction.
        let axis = |dim: i64, length: i64, shape: [i64; 3]| {
            let steps = Tensor::arange_start_step(0, dim, 2, (Kind::Double, device)) / dim as f64;
            let frequencies = (steps * -THETA.ln()).exp();
            let angles = Tensor::arange(length, (Kind::Double, device)).outer(&frequencies);
            let [a, b, c] = shape;
            angles.reshape([a, b, c, dim / 2]).expand([f, h, w, dim / 2], false)
        };
        let axes = [axis(head_dim - 2 * side, f, [f, 1, 1]), axis(side, h, [1, h, 1]), axis(side, w, [1, 1, w])];
        let angles = Tensor::cat(&axes, -1).reshape([f * h * w, 1, head_dim / 2]);
        Self(Tensor::complex(&angles.cos().to_kind(Kind::Float), &angles.sin().to_kind(Kind::Float)))
    }

    /// `x` [n, heads, head_dim] in f32, the rows from `start` on, with each pair of neighbours turned.
    pub(super) fn turn(&self, x: &Tensor, start: i64) -> Tensor {
        let pairs = x.unflatten(-1, [-1, 2]).view_as_complex();
        (pairs * self.0.narrow(0, start, x.size()[0])).view_as_real().flatten(-2, -1)
    }
}
