//! Motion carried forward: where the pixels that arrive at each place of a later frame come from.

use tch::{Kind, Tensor};

use super::{
    affine::{Affine, numbers},
    sample::{blur, length, sides},
};

/// A place that so little of a pixel reaches is a hole.
const LEAST_COVER: f64 = 0.25;

/// The flow [1, 2, H, W] that fetches the frame `steps` frames on, when each pixel goes on at its `velocity`.
///
/// Where two pixels meet, the one that moves against the picture's main motion wins: it is likely in front.
/// Holes take their neighbours' motion, and the main motion where they have none.
pub(super) fn carried(velocity: &Tensor, steps: f64, unit: f64) -> Tensor {
    let main = Affine::fit(velocity, unit).field(sides(velocity), velocity.device());
    let own = length(&(velocity - &main)) * (steps.abs() / (4.0 * unit));
    let importance = own.clamp_max(1.0) * 4.0 + 1.0;
    let step = velocity * steps;
    let (sum, weight) = splat(&step, &importance);

    let covered = weight.gt_tensor(&(importance.min() * LEAST_COVER)).to_kind(Kind::Float);
    let neighbours = blur(&sum, 3.0) / blur(&weight, 3.0).clamp_min(1e-6);
    let near = blur(&covered, 3.0).gt(0.05);
    let fill = neighbours.where_self(&near, &(main * steps));
    -(sum / weight.clamp_min(1e-6)).where_self(&covered.gt(0.5), &fill)
}

/// Every pixel's `step`, weighed by its importance, spread over the four places around where it lands; and the weights.
fn splat(step: &Tensor, importance: &Tensor) -> (Tensor, Tensor) {
    let (height, width) = sides(step);
    let count = (height * width) as usize;
    let (steps, importance) = (numbers(step), numbers(importance));
    let (across, down) = steps.split_at(count);
    // x sum, y sum, weight, side by side, since they are written together.
    let mut sums = vec![[0.0_f64; 3]; count];
    for (index, ((&dx, &dy), &importance)) in across.iter().zip(down).zip(&importance).enumerate() {
        let (column, row) = ((index as i64 % width) as f32, (index as i64 / width) as f32);
        let (x, y) = (column + dx, row + dy);
        let (left, top) = (x.floor(), y.floor());
        for (x_at, x_part) in [(left, 1.0 - (x - left)), (left + 1.0, x - left)] {
            for (y_at, y_part) in [(top, 1.0 - (y - top)), (top + 1.0, y - top)] {
                let (x_at, y_at) = (x_at as i64, y_at as i64);
                if (0..width).contains(&x_at) && (0..height).contains(&y_at) {
                    let weight = f64::from(x_part * y_part * importance);
                    let sum = &mut sums[(y_at * width + x_at) as usize];
                    *sum = [sum[0] + weight * f64::from(dx), sum[1] + weight * f64::from(dy), sum[2] + weight];
                }
            }
        }
    }
    let sums = Tensor::from_slice(sums.as_flattened()).view([1, height, width, 3]).permute([0, 3, 1, 2]);
    let sums = sums.to_kind(Kind::Float).contiguous().to_device(step.device());
    (sums.narrow(1, 0, 2), sums.narrow(1, 2, 1))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn a_moving_square_is_fetched_from_where_it_was_and_covers_what_stands() {
        let velocity = Tensor::zeros([1, 2, 20, 30], (Kind::Float, Device::Cpu));
        let mut square = velocity.narrow(1, 0, 1).narrow(2, 5, 6).narrow(3, 5, 6);
        square += 3.0;
        let flow = carried(&velocity, 2.0, 1.0);
        // The square stands at columns 11 to 16 now. What is there came from six pixels to the left, by five parts of six.
        assert!((flow.double_value(&[0, 0, 7, 13]) + 5.0).abs() < 0.01);
        assert_eq!(flow.double_value(&[0, 0, 7, 25]), 0.0);
        assert_eq!(flow.double_value(&[0, 1, 7, 13]), 0.0);
    }
}
