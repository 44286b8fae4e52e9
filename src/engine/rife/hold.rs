//! The clips' own motion, held for the first frames next to each seam: there it is known better than any path between.

use tch::Tensor;

use super::{
    canvas::{Canvas, Still},
    network::Network,
    splat::carried,
    velocity::{Motion, Side},
};

/// Shorter bridges leave no room for it.
pub(super) const LEAST_FRAMES: usize = 12;
/// The acceleration is looked for over so many frames.
pub(super) const REACH: usize = 4;
/// How much of the first frame is the clip's, and what is too little to bother.
const FIRST: f64 = 0.9;
const LEAST: f64 = 0.04;
/// In frames, how long the clip's share lasts, however steady or unsteady it moves. A longer hold makes double faces.
const SHORTEST: f64 = 1.2;
const LONGEST: f64 = 3.0;

pub(super) struct Hold {
    /// Frames of the whole bridge.
    frames: usize,
    sides: Vec<HeldSide>,
}

struct HeldSide {
    side: Side,
    seam: Still,
    /// Pixels per frame, forward in time.
    velocity: Tensor,
    /// Of the frame next to the seam, the one after it, and so on.
    shares: Vec<f64>,
}

impl Hold {
    pub(super) fn new(frames: usize) -> Self {
        Self { frames, sides: vec![] }
    }

    /// Holds the motion of the clip on `side`, whose frame at the seam is `seam`.
    pub(super) fn add(&mut self, canvas: &Canvas, side: Side, seam: &Still, motion: &Motion, velocity: &Tensor) {
        let lasts = match motion.acceleration() {
            Some(acceleration) => (3.0 * canvas.unit / acceleration.max(1e-3)).sqrt().clamp(SHORTEST, LONGEST),
            None => SHORTEST,
        };
        let share = |index: usize| FIRST * (-(index as f64 / lasts).powi(2)).exp();
        let shares = (0..self.frames).map(share).take_while(|share| *share > LEAST).collect();
        self.sides.push(HeldSide { side, seam: seam.shallow_clone(), velocity: velocity.shallow_clone(), shares });
    }

    /// Frame `index` of the bridge, drawn towards where its clip would have moved; none where no clip reaches.
    ///
    /// Drawn along the flow between the two, since a mean of both pictures is a double one.
    pub(super) fn apply(&self, network: &Network, canvas: &Canvas, index: usize, made: &Still) -> Option<Tensor> {
        let mut held = None;
        for HeldSide { side, seam, velocity, shares } in &self.sides {
            let steps = match side {
                Side::Before => index + 1,
                Side::After => self.frames - index,
            };
            let Some(share) = shares.get(steps - 1) else { continue };
            let far = steps as f64 * -side.step();
            let moved = canvas.both(canvas.drawn(seam, &carried(velocity, far, canvas.unit)));
            let made = held.take().unwrap_or_else(|| made.shallow_clone());
            let sight = network.look(&made.flow, &moved.flow, *share);
            held = Some(canvas.both(canvas.merged(&sight, &made, &moved)));
        }
        held.map(|still| still.full)
    }
}
