//! How fast a clip's pixels move where it meets the gap.

use tch::{Kind, Tensor};

use super::{
    network::Network,
    sample::{Read, blur, difference, displaced, length},
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

    pub(super) fn acceleration(&self) -> Option<f64> {
        self.acceleration
    }
}

/// Where each pixel of `a` lies on `b`, out of the network's view of the frame half way: [1, 2, H, W] in pixels.
fn flow(network: &Network, a: &Tensor, b: &Tensor) -> Tensor {
    let half_way = network.look(a, b, 0.5);
    // The trajectory through x stands at x + to_a(x) on `a`: for each of a's pixels, look for its x.
    let mut back = half_way.to_a.zeros_like();
    for _ in 0..3 {
        back = -displaced(&half_way.to_a, &back, Read::Bilinear);
    }
    displaced(&(half_way.to_b - half_way.to_a), &back, Read::Bilinear)
}
