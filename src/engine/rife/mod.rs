//! The embedded network and what is built on it: frames between two clips that carry both clips' motion on.
//!
//! The weights are in the program. See `docs/seams.md` for what this way of joining is worth, and against what.

mod affine;
mod align;
mod bridge;
mod canvas;
mod dissolve;
mod finish;
mod halve;
mod hold;
mod network;
mod sample;
mod splat;
mod still;
#[cfg(test)]
mod tests;
mod velocity;

use std::cell::RefCell;

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::types::video::Size;

use self::{
    bridge::Bridge,
    canvas::{Canvas, Still},
    finish::Moving,
    hold::Hold,
    network::Network,
    still::Stillness,
    velocity::{Motion, Side},
};
use crate::engine::{
    torch::{self, TorchError},
    weights::{Weights, WeightsError},
};

/// Made by `scripts/rife_weights.py`.
const WEIGHTS: &[u8] = include_bytes!("../../../data/rife/rife.safetensors");
/// A motion is told from so many frames next to the seam; more are not looked at.
const CONTEXT: usize = hold::REACH + 3;

#[derive(Debug, thiserror::Error)]
pub(crate) enum RifeError {
    #[error("the embedded network cannot be read")]
    Weights(#[from] WeightsError),
    #[error("the embedded network has tensors that nothing reads, such as `{0}`")]
    LeftOver(String),
    #[error(transparent)]
    Torch(#[from] TorchError),
}

/// The frames that were made, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filled {
    pub frames: Vec<Vec<u8>>,
    /// What the user should be told of how they were made.
    pub note: Option<String>,
}

/// How far the work on a gap is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// So many of the steps in which the clips' motion is measured, which come first.
    Motion { done: usize, total: usize },
    /// So many frames.
    Frames(usize),
}

/// The network on a device.
#[derive(Debug)]
pub(crate) struct Rife {
    network: Network,
    device: Device,
}

impl Rife {
    pub(crate) fn load(device: Device, kind: Kind) -> Result<Self, RifeError> {
        let loaded = torch::stage("loading the embedded network", || {
            let weights = Weights::embedded("rife.safetensors", WEIGHTS, device, kind)?;
            let network = Network::load(&weights)?;
            Ok((network, weights.left_over()))
        });
        match loaded?.map_err(RifeError::Weights)? {
            (_, left) if !left.is_empty() => Err(RifeError::LeftOver(left[0].clone())),
            (network, _) => Ok(Self { network, device }),
        }
    }

    /// The network alone: the frame at time `t` in (0, 1) between two, [1, 3, H, W], 0 to 1, of any size.
    #[cfg(test)]
    pub(crate) fn between(&self, a: &Tensor, b: &Tensor, t: f64) -> Tensor {
        self.network.look(a, b, t).picture(a, b)
    }

    /// `count` frames between a clip that ends with `before` and one that begins with `after`, at least one frame each.
    /// Frames are 8-bit RGB, all of one size.
    pub(crate) fn fill(
        &self,
        before: &[&[u8]],
        after: &[&[u8]],
        size: Size,
        count: usize,
        progress: &mut dyn FnMut(Reached),
    ) -> Result<Filled, TorchError> {
        self.made(count, progress, "making frames", |emit, progress| {
            const STEPS: usize = 4;
            let measured = |done| progress(Reached::Motion { done, total: STEPS });
            measured(0);
            let canvas = Canvas::new(size, self.device);
            let before: Vec<_> = before.iter().rev().take(CONTEXT).map(|rgb| canvas.still(rgb)).collect();
            let after: Vec<_> = after.iter().take(CONTEXT).map(|rgb| canvas.still(rgb)).collect();
            let (Some(a), Some(b)) = (before.first(), after.first()) else { panic!("a seam has a clip on each side") };

            let unrelated = dissolve::unrelated(&self.network, a, b);
            measured(1);
            let reach = (!unrelated && count >= hold::LEAST_FRAMES).then_some(hold::REACH);
            let motion = |clip: &[Still], side: Side| {
                let pictures: Vec<_> = clip.iter().map(|still| still.flow.shallow_clone()).collect();
                Motion::of(&self.network, &pictures, side, reach)
            };
            let moves_a = motion(&before, Side::Before);
            measured(2);
            let moves_b = motion(&after, Side::After);
            measured(3);
            if unrelated {
                dissolve::dissolve(&canvas, (a, &moves_a), (b, &moves_b), count, emit);
                return Some("the clips show different shots: a dissolve that keeps both moving joins them".to_owned());
            }

            let (way_a, way_b) = velocity::ways(&self.network, &a.flow, &b.flow);
            let span = count as f64 + 1.0;
            let end = |still: &Still, motion: &Motion, way: Tensor| Moving {
                still: still.shallow_clone(),
                velocity: motion.velocity(2.0).map(|velocity| motion.steadied(&velocity, &(way / span), canvas.unit)),
            };
            let stillness = Stillness::of(&before, &after);
            let (a, b) = (end(a, &moves_a, way_a), end(b, &moves_b, way_b));
            let hold = reach.map(|_| {
                let mut hold = Hold::new(count);
                for (side, end, motion) in [(Side::Before, &a, &moves_a), (Side::After, &b, &moves_b)] {
                    if let Some(velocity) = &end.velocity {
                        hold.add(&canvas, side, &end.still, motion, velocity);
                    }
                }
                hold
            });
            measured(STEPS);
            Bridge { network: &self.network, canvas, stillness, hold, emit }.fill(&a, &b, 0, count);
            None
        })
    }

    /// Plain recursive halving: what the network is worth without all of the above. Looks at one frame on each side.
    pub(crate) fn halve(
        &self,
        before: &[&[u8]],
        after: &[&[u8]],
        size: Size,
        count: usize,
        progress: &mut dyn FnMut(Reached),
    ) -> Result<Filled, TorchError> {
        self.made(count, progress, "halving", |emit, _| {
            let canvas = Canvas::new(size, self.device);
            let (Some(a), Some(b)) = (before.last(), after.first()) else { panic!("a seam has a clip on each side") };
            halve::halve(&self.network, &canvas.still(a).full, &canvas.still(b).full, 0, count, emit);
            None
        })
    }

    /// Collects what `work` emits, frame by frame in any order; `work` returns the note.
    fn made(
        &self,
        count: usize,
        progress: &mut dyn FnMut(Reached),
        stage: &'static str,
        work: impl FnOnce(&mut dyn FnMut(usize, Vec<u8>), &dyn Fn(Reached)) -> Option<String>,
    ) -> Result<Filled, TorchError> {
        if count == 0 {
            return Ok(Filled { frames: vec![], note: None });
        }
        let (mut frames, mut done) = (vec![vec![]; count], 0);
        let progress = RefCell::new(progress);
        let say = |reached| (*progress.borrow_mut())(reached);
        let note = torch::stage(stage, || {
            let mut emit = |index: usize, rgb| {
                frames[index] = rgb;
                done += 1;
                say(Reached::Frames(done));
            };
            work(&mut emit, &say)
        })?;
        Ok(Filled { frames, note })
    }
}
