//! Pictures as tensors: sampling them at displaced places, blurring, resizing.

use tch::{Kind, Tensor};

/// How a picture is read between its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Bilinear = 0,
    Bicubic = 2,
}

/// Outside a picture its border goes on.
const BORDER: i64 = 1;

/// `x` [1, C, H, W] at the places p + `flow`(p), where `flow` [1, 2, H, W] is in pixels.
///
/// Written with corners not aligned, which is the same place of the same pixel, since pictures may be one pixel wide.
pub(super) fn displaced(x: &Tensor, flow: &Tensor, read: Read) -> Tensor {
    let (height, width) = sides(flow);
    let axis = |side: i64| (Tensor::arange(side, (Kind::Float, x.device())) * 2.0 + 1.0) / side as f64 - 1.0;
    let (across, down) = (axis(width).view([1, 1, width]), axis(height).view([1, height, 1]));
    let places = Tensor::stack(
        &[flow.select(1, 0) * (2.0 / width as f64) + across, flow.select(1, 1) * (2.0 / height as f64) + down],
        -1,
    );
    x.grid_sampler(&places, read as i64, BORDER, false)
}

/// 1 where p + `flow`(p) lies in the picture, else 0: [1, 1, H, W].
pub(super) fn inside(flow: &Tensor) -> Tensor {
    let (height, width) = sides(flow);
    let within = |flow: Tensor, side: i64, shape: [i64; 3]| {
        let place = &flow + Tensor::arange(side, (Kind::Float, flow.device())).view(shape);
        place.gt(-0.6).logical_and(&place.lt(side as f64 - 0.4))
    };
    let across = within(flow.select(1, 0), width, [1, 1, width]);
    let down = within(flow.select(1, 1), height, [1, height, 1]);
    across.logical_and(&down).to_kind(Kind::Float).unsqueeze(1)
}

/// Gaussian blur of every channel; outside, the border goes on.
pub(super) fn blur(x: &Tensor, sigma: f64) -> Tensor {
    let radius = (2.5 * sigma).round_ties_even() as i64;
    let distance = Tensor::arange_start(-radius, radius + 1, (Kind::Float, x.device()));
    let bell = (distance.square() / (-2.0 * sigma * sigma)).exp();
    let bell = (&bell / bell.sum(Kind::Float)).unbind(0);
    let wide = x.replication_pad2d([radius, radius, radius, radius]);
    along(&along(&wide, 3, &bell), 2, &bell)
}

/// The sums of as many neighbours along `dimension` as there are `weights`, which is so much shorter afterwards.
///
/// A picture for each weight, not a convolution: libtorch's takes ten times as long for so few channels.
fn along(x: &Tensor, dimension: i64, weights: &[Tensor]) -> Tensor {
    let length = x.size()[dimension as usize] - weights.len() as i64 + 1;
    let shifted = weights.iter().zip(0..).map(|(weight, start)| (x.narrow(dimension, start, length), weight));
    let mut sum: Option<Tensor> = None;
    for (shifted, weight) in shifted {
        sum = Some(match sum {
            Some(mut sum) => sum.addcmul_(&shifted, weight),
            None => shifted * weight,
        });
    }
    sum.expect("a bell has a middle")
}

/// `x` at another size, each pixel the mean of those it covers.
pub(super) fn shrunk(x: &Tensor, (height, width): (i64, i64)) -> Tensor {
    match sides(x) == (height, width) {
        true => x.shallow_clone(),
        false => x.adaptive_avg_pool2d([height, width]),
    }
}

/// `x` at another size, in between linear.
pub(super) fn stretched(x: &Tensor, (height, width): (i64, i64)) -> Tensor {
    match sides(x) == (height, width) {
        true => x.shallow_clone(),
        false => x.upsample_bilinear2d([height, width], false, None, None),
    }
}

/// Height and width.
pub(super) fn sides(x: &Tensor) -> (i64, i64) {
    let (_, _, height, width) = x.size4().expect("a picture has four dimensions");
    (height, width)
}

/// The length of each displacement: [1, 1, H, W].
pub(super) fn length(flow: &Tensor) -> Tensor {
    let (x, y) = (flow.narrow(1, 0, 1), flow.narrow(1, 1, 1));
    (x.square() + y.square()).sqrt()
}

/// `flow`, shortened where it is longer than `limit` [1, 1, H, W].
pub(super) fn limited(flow: &Tensor, limit: &Tensor) -> Tensor {
    flow * (limit / length(flow).clamp_min(1e-6)).clamp_max(1.0)
}

/// The mean over the colours of how far two pictures differ: [1, 1, H, W].
pub(super) fn difference(a: &Tensor, b: &Tensor) -> Tensor {
    (a - b).abs().mean_dim([1_i64].as_slice(), true, Kind::Float)
}

/// Rec. 601 luma: [1, 1, H, W].
pub(super) fn luma(x: &Tensor) -> Tensor {
    let weights = Tensor::from_slice(&[0.299_f32, 0.587, 0.114]).to_device(x.device()).view([1, 3, 1, 1]);
    (x * weights).sum_dim_intlist([1_i64].as_slice(), true, Kind::Float)
}
