//! Two shots that show different things: each goes on moving to a rest while one dissolves into the other.

use tch::{Kind, Tensor};

use super::{
    canvas::{Canvas, Still, rgb},
    network::Network,
    sample::{Read, blur, difference, displaced, luma},
    velocity::Motion,
};

/// Measured on 39 pairs: moved onto each other, pictures of one shot differ less than this part of what they did ...
const RELATED_REST: f64 = 0.88;
/// ... or are at least so alike in structure.
const RELATED_STRUCTURE: f64 = 0.48;
/// Less is no difference that could tell anything.
const ONE_LEVEL: f64 = 1.0 / 255.0;
/// A fade must not look like a cut, nor a black frame's noise like a picture.
const CONTRAST: (f64, f64) = (0.25, 4.0);

/// True where the network finds nothing of `a` in `b`.
pub(super) fn unrelated(network: &Network, a: &Still, b: &Still) -> bool {
    let (a, b) = (&a.flow, &matched(&b.flow, &a.flow));
    let mean = |x: &Tensor| x.mean(Kind::Float).double_value(&[]);
    let before = mean(&difference(a, b));
    if before < ONE_LEVEL {
        return false;
    }
    let sight = network.look(a, b, 0.5);
    let moved_a = displaced(a, &sight.to_a, Read::Bilinear);
    let moved_b = displaced(b, &sight.to_b, Read::Bilinear);
    mean(&difference(&moved_a, &moved_b)) > RELATED_REST * before
        && mean(&structure(&luma(&moved_a), &luma(&moved_b))) < RELATED_STRUCTURE
}

/// `x` with the brightness and the contrast of `to`, colour by colour.
fn matched(x: &Tensor, to: &Tensor) -> Tensor {
    let mean = |x: &Tensor| x.mean_dim([2_i64, 3].as_slice(), true, Kind::Float);
    let spread = |x: &Tensor| (x - mean(x)).square().mean_dim([2_i64, 3].as_slice(), true, Kind::Float).sqrt();
    let gain = (spread(to) / spread(x).clamp_min(ONE_LEVEL)).clamp(CONTRAST.0, CONTRAST.1);
    (x - mean(x)) * gain + mean(to)
}

/// SSIM at each pixel (Wang et al. 2004), of pictures from 0 to 1.
fn structure(a: &Tensor, b: &Tensor) -> Tensor {
    let soft = |x: &Tensor| blur(x, 1.5);
    let (mean_a, mean_b) = (soft(a), soft(b));
    let (square_a, square_b, product) = (mean_a.square(), mean_b.square(), mean_a * mean_b);
    let variances = soft(&a.square()) - &square_a + soft(&b.square()) - &square_b;
    let covariance = soft(&(a * b)) - &product;
    (product * 2.0 + 1e-4) * (covariance * 2.0 + 9e-4) / ((square_a + square_b + 1e-4) * (variances + 9e-4))
}

/// Makes `count` frames between two shots; `emit` takes them in order.
pub(super) fn dissolve(
    canvas: &Canvas,
    (a, moves_a): (&Still, &Motion),
    (b, moves_b): (&Still, &Motion),
    count: usize,
    emit: &mut dyn FnMut(usize, Vec<u8>),
) {
    let (velocity_a, velocity_b) = (moves_a.velocity(4.0), moves_b.velocity(4.0));
    let whole = count as f64 + 1.0;
    // Own speed at the seam, at rest when the other seam comes.
    let way = |steps: usize| steps as f64 - (steps * steps) as f64 / (2.0 * whole);
    for index in 0..count {
        let from_a = drifted(canvas, a, velocity_a.as_ref(), way(index + 1));
        let from_b = drifted(canvas, b, velocity_b.as_ref(), -way(count - index));
        let late = (((index + 1) as f64 / whole - 0.15) / 0.7).clamp(0.0, 1.0);
        let share = late * late * (3.0 - 2.0 * late);
        emit(index, rgb(&(from_a * (1.0 - share) + from_b * share)));
    }
}

/// The shot `way` frames on: p solves p = x - way * v(p).
fn drifted(canvas: &Canvas, still: &Still, velocity: Option<&Tensor>, way: f64) -> Tensor {
    let Some(velocity) = velocity else { return still.full.shallow_clone() };
    let mut back = velocity.zeros_like();
    for _ in 0..3 {
        back = displaced(velocity, &back, Read::Bilinear) * -way;
    }
    canvas.drawn(still, &back)
}
