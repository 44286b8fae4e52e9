//! How fast a clip's pixels move where it meets the gap.

use tch::{Kind, Tensor};

use super::{
    network::Network,
    sample::{Read, blur, difference, displaced, length, limited, luma, sides},
};

/// Which clip of the two, and so which way its time runs from the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

impl Side {
    /// A step into the clip, in the film's time.
    pub(super) fn step(self) -> f64 {
        match self {
            Self::Before => -1.0,
            Self::After => 1.0,
        }
    }
}

/// Frames further from the seam tell of another time.
const NEIGHBOURS: usize = 3;
/// A difference of colours that speaks against a flow.
const RESIDUAL: f64 = 0.06;
/// A clip's velocity counts in full only where it differs from the gap's by far more than twice what its frames do among
/// themselves, in pixels per frame.
const CAUTION: f64 = 4.0;
const LEAST_DOUBT: f64 = 0.05;

/// What the frames next to the seam say of its motion.
#[derive(Debug)]
pub(super) struct Motion {
    side: Side,
    /// From the frame at the seam to its first, second, ... neighbour in its clip: [1, 2, H, W] in pixels.
    flows: Vec<Tensor>,
    /// How much each is to be believed: [1, 1, H, W].
    weights: Vec<Tensor>,
    /// Pixels per frame and frame, as a mean over the picture; none where the clip is too short to tell.
    acceleration: Option<f64>,
}

impl Motion {
    /// Of a clip's frames, the one at the seam first. With `Some` reach, the acceleration over up to so many frames.
    pub(super) fn of(network: &Network, frames: &[Tensor], side: Side, reach: Option<usize>) -> Self {
        let Some((seam, clip)) = frames.split_first() else { panic!("a seam without a frame") };
        let (mut flows, mut weights) = (vec![], vec![]);
        for (neighbour, distance) in clip.iter().zip(1..=NEIGHBOURS) {
            let flow = flow(network, seam, neighbour);
            let residual = difference(seam, &displaced(neighbour, &flow, Read::Bilinear)) / RESIDUAL;
            weights.push((-residual.square()).exp() * distance as f64 + 0.01);
            flows.push(flow);
        }
        let reach = reach.map_or(0, |reach| reach.min(frames.len().saturating_sub(3)));
        let acceleration = (reach > 0).then(|| {
            let far = flow(network, &frames[reach], &frames[reach + 2]);
            let change = blur(&((&flows[1] - far) / 2.0), 3.0);
            length(&change).mean(Kind::Float).double_value(&[]) / reach as f64
        });
        Self { side, flows, weights, acceleration }
    }

    /// Pixels per frame, forward in time, on the frame at the seam: [1, 2, H, W]. None for a clip of one frame.
    pub(super) fn velocity(&self, sigma: f64) -> Option<Tensor> {
        let weight = self.weights.iter().map(Tensor::shallow_clone).reduce(|a, b| a + b)?;
        let steps = self.flows.iter().zip(&self.weights).zip(1..);
        let sum = steps.map(|((flow, weight), distance)| flow * weight * (self.side.step() / f64::from(distance)));
        let sum = sum.reduce(|a, b| a + b)?;
        Some(blur(&sum, sigma) / blur(&weight, sigma))
    }

    /// `velocity` at the seam, drawn towards the mean one over the gap where it differs by no more than the neighbours do
    /// among themselves: there it says little of what comes. Lengths in `unit`s.
    pub(super) fn steadied(&self, velocity: &Tensor, mean: &Tensor, unit: f64) -> Tensor {
        let differing = velocity - mean;
        let square = blur(&length(&differing).square(), 2.0);
        let doubt = (self.unsteadiness(velocity) + (LEAST_DOUBT * unit).powi(2)) * CAUTION;
        mean + differing * (&square / (&square + doubt))
    }

    /// How far the neighbours' velocities lie from the one made of them, squared: [1, 1, H, W].
    fn unsteadiness(&self, velocity: &Tensor) -> Tensor {
        let steps = self.flows.iter().zip(&self.weights).zip(1..);
        let sum = steps.map(|((flow, weight), distance)| {
            length(&(flow * (self.side.step() / f64::from(distance)) - velocity)).square() * weight
        });
        let weight = self.weights.iter().map(Tensor::shallow_clone).reduce(|a, b| a + b);
        let (Some(sum), Some(weight)) = (sum.reduce(|a, b| a + b), weight) else {
            panic!("a velocity without a neighbour")
        };
        blur(&sum, 4.0) / blur(&weight, 4.0)
    }

    pub(super) fn acceleration(&self) -> Option<f64> {
        self.acceleration
    }
}

/// Where each pixel of `a` lies on `b`: [1, 2, H, W] in pixels.
///
/// The network's flow alone would not do: it makes small motions smaller, by half on average.
fn flow(network: &Network, a: &Tensor, b: &Tensor) -> Tensor {
    refined(a, b, seen(network, a, b))
}

/// Out of the network's view of the frame half way.
fn seen(network: &Network, a: &Tensor, b: &Tensor) -> Tensor {
    let half_way = network.look(a, b, 0.5);
    carried_to(&half_way.to_a, &(&half_way.to_b - &half_way.to_a))
}

/// The way from `a` to `b` as the network sees it, for each pixel of `a` and for each of `b`: [1, 2, H, W] in pixels.
pub(super) fn ways(network: &Network, a: &Tensor, b: &Tensor) -> (Tensor, Tensor) {
    let half_way = network.look(a, b, 0.5);
    let way = &half_way.to_b - &half_way.to_a;
    (carried_to(&half_way.to_a, &way), carried_to(&half_way.to_b, &way))
}

/// `way`, known at the frame half way, for the pixels of the frame that `to` leads to.
fn carried_to(to: &Tensor, way: &Tensor) -> Tensor {
    // The trajectory through x stands at x + to(x) there: for each pixel there, look for its x.
    let mut back = to.zeros_like();
    for _ in 0..3 {
        back = -displaced(to, &back, Read::Bilinear);
    }
    displaced(way, &back, Read::Bilinear)
}

/// The window over which a pixel's neighbours say the same, and the turns it takes.
const WINDOW: f64 = 3.0;
const TURNS: usize = 4;
/// What slopes of noise add up to, so that an even surface keeps the flow it has.
const NOISE: f64 = 2e-5;

/// `flow` from `a` to `b` made exact by the brightness of both (Lucas and Kanade, with a's slopes for all turns).
fn refined(a: &Tensor, b: &Tensor, flow: Tensor) -> Tensor {
    let (a, b) = (luma(a), luma(b));
    let (height, width) = sides(&a);
    let wide = a.replication_pad2d([1, 1, 1, 1]);
    let at = |down: i64, across: i64| wide.narrow(2, 1 + down, height).narrow(3, 1 + across, width);
    let (x, y) = ((at(0, 1) - at(0, -1)) / 2.0, (at(1, 0) - at(-1, 0)) / 2.0);
    let sums = blur(&Tensor::cat(&[x.square(), &x * &y, y.square()], 1), WINDOW);
    let (xx, xy, yy) = (sums.narrow(1, 0, 1) + NOISE, sums.narrow(1, 1, 1), sums.narrow(1, 2, 1) + NOISE);
    let determinant = &xx * &yy - xy.square();
    let one = determinant.ones_like();
    (0..TURNS).fold(flow, |flow, _| {
        let off = displaced(&b, &flow, Read::Bilinear) - &a;
        let sums = blur(&Tensor::cat(&[&x * &off, &y * &off], 1), WINDOW);
        let (by_x, by_y) = (sums.narrow(1, 0, 1), sums.narrow(1, 1, 1));
        let step = Tensor::cat(&[&xy * &by_y - &yy * &by_x, &xy * &by_x - &xx * &by_y], 1) / &determinant;
        flow + limited(&step, &one)
    })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_shift_of_a_part_of_a_pixel_is_found_and_an_even_surface_stays() {
        tch::manual_seed(3);
        let a = (blur(&Tensor::rand([1, 3, 60, 80], (Kind::Float, Device::Cpu)), 2.0) - 0.5) * 3.0 + 0.5;
        let none = a.zeros_like().narrow(1, 0, 2);
        let shift = Tensor::cat(&[none.narrow(1, 0, 1) + 0.4, none.narrow(1, 1, 1) - 0.3], 1);
        let b = displaced(&a, &shift, Read::Bicubic);
        // b shows at x what a shows at x + shift.
        let off = (refined(&a, &b, none.shallow_clone()) + &shift).narrow(2, 15, 30).narrow(3, 20, 40);
        let off = off.abs().mean(Kind::Float).double_value(&[]);
        assert!(off < 0.05, "{off}");
        let grey = a.full_like(0.5);
        assert_eq!(refined(&grey, &grey, shift.shallow_clone()), shift);
    }
}
