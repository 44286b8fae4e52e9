//! The frames of one shot between two clips: bisection by Hermite curves, each frame from the best of several alignments.
//!
//! The middle of a Hermite curve and the velocity there make the same curve again, so halving it over and over gives one
//! smooth path, which leaves each clip at that clip's own speed.

use super::{
    align::{LEAST_SPAN, by_main_motion, by_velocity},
    canvas::{Canvas, rgb},
    finish::{Moment, Moving, best, finish},
    hold::Hold,
    network::Network,
    still::Stillness,
};

/// For the plain alignment nothing, for the main motion a little: it keeps a whole background in its place.
const MAIN_BIAS: f64 = -0.01;

pub(super) struct Bridge<'a> {
    pub network: &'a Network,
    pub canvas: Canvas,
    pub stillness: Stillness,
    pub hold: Option<Hold>,
    /// Takes each frame, numbered from 0, as it is made; in what order, the halving says.
    pub emit: &'a mut dyn FnMut(usize, Vec<u8>),
}

impl Bridge<'_> {
    /// Makes `count` frames between `a` and `b`, of which the first is frame `first` of the bridge.
    pub(super) fn fill(&mut self, a: &Moving, b: &Moving, first: usize, count: usize) {
        if count == 0 {
            return;
        }
        let before = count / 2;
        let span = count as f64 + 1.0;
        let middle = self.between(a, b, Moment { t: (before as f64 + 1.0) / span, span });
        let hold = self.hold.as_ref();
        let held = hold.and_then(|hold| hold.apply(self.network, &self.canvas, first + before, &middle.still));
        let shown = held.map(|picture| self.stillness.kept(&picture));
        (self.emit)(first + before, rgb(shown.as_ref().unwrap_or(&middle.still.full)));
        self.fill(a, &middle, first, before);
        self.fill(&middle, b, first + before + 1, count - before - 1);
    }

    fn between(&self, a: &Moving, b: &Moving, moment: Moment) -> Moving {
        let Self { network, canvas, stillness, .. } = self;
        let plain = network.look(&a.still.flow, &b.still.flow, moment.t);
        let mut candidates = vec![finish(canvas, a, b, &plain, moment)];
        let mut biases = vec![plain.mask.zeros_like()];
        if moment.span >= LEAST_SPAN {
            if let Some(aligned) = by_main_motion(network, canvas, a, b, moment) {
                candidates.push(finish(canvas, a, b, &aligned.sight, moment));
                biases.push(plain.mask.full_like(MAIN_BIAS));
            }
            if let Some(aligned) = by_velocity(network, canvas, a, b, moment) {
                candidates.push(finish(canvas, a, b, &aligned.sight, moment));
                // Believed where the clips' own motion alone already made both frames agree.
                biases.push((-(aligned.rest / 0.05).square()).exp() * -0.02 + 0.004);
            }
        }
        let (picture, velocity) = best(canvas, &candidates, &biases);
        Moving { still: canvas.both(stillness.kept(&picture)), velocity: Some(velocity) }
    }
}
