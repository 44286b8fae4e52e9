//! One frame out of one alignment: put on its exact time, bent so that motion goes on as the clips move, drawn, scored.

use tch::{Kind, Tensor};

use super::{
    canvas::{Canvas, Still},
    network::Sight,
    sample::{Read, blur, difference, displaced, inside, length, limited, shrunk, stretched},
};

/// A frame and how its pixels move: pixels per frame, forward in time, [1, 2, H, W] at the size of flows.
#[derive(Debug)]
pub(super) struct Moving {
    pub still: Still,
    /// None at the seam of a clip of one frame.
    pub velocity: Option<Tensor>,
}

/// What a frame between two others is asked to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Its place between the two, in (0, 1).
    pub t: f64,
    /// The frames from one to the other, so that D / span is the mean velocity.
    pub span: f64,
}

/// One way to make a frame.
#[derive(Debug)]
pub(super) struct Candidate {
    /// [1, 3, H, W] at the film's size.
    pub picture: Tensor,
    pub velocity: Tensor,
    /// How badly the two frames agree here: [1, 1, H, W] at the size of flows.
    pub score: Tensor,
}

/// How far a Hermite curve may leave the straight line, as a part of the displacement and in units.
const BEND: (f64, f64) = (0.15, 1.0);
/// How far the network's frame may stand from its time, likewise.
const MISTIMED: (f64, f64) = (0.25, 0.25);
/// What a pixel that only one frame shows is held to differ by.
const UNSEEN: f64 = 0.08;
const TINY: f64 = 1e-4;

/// The frame at `moment` between `a` and `b`. `sight` is where its pixels lie on both, with whole displacements.
pub(super) fn finish(canvas: &Canvas, a: &Moving, b: &Moving, sight: &Sight, moment: Moment) -> Candidate {
    let (Sight { to_a, to_b, mask }, velocity) = bent(canvas, a, b, sight, moment);
    let (seen_a, seen_b) = (blur(&inside(&to_a), 1.0), blur(&inside(&to_b), 1.0));
    let mask = &mask * (&seen_a + TINY) / (&mask * &seen_a + (1.0 - &mask) * &seen_b + TINY);

    let (from_a, from_b) = (canvas.drawn(&a.still, &to_a), canvas.drawn(&b.still, &to_b));
    let both = seen_a * seen_b;
    let score = shrunk(&difference(&from_a, &from_b), canvas.flow) * &both + (1.0 - both) * UNSEEN;
    let mask = stretched(&mask, canvas.full);
    Candidate { picture: mask * (from_a - &from_b) + from_b, velocity, score: blur(&score, 2.0) }
}

/// `sight` put on its time and on the curve that leaves `a` and reaches `b` at their own velocities, and its velocity.
fn bent(canvas: &Canvas, a: &Moving, b: &Moving, sight: &Sight, Moment { t, span }: Moment) -> (Sight, Tensor) {
    let way = &sight.to_b - &sight.to_a; // D: from a to b, through this pixel
    let long = length(&way);
    let mean = &way / span;

    let mistimed = &sight.to_a + &way * t;
    let mut off = limited(&mistimed, &(&long * MISTIMED.0 + MISTIMED.1 * canvas.unit));
    // How the clips' velocities differ from the mean one; a clip of one frame has none to differ.
    let differing = |end: &Moving, flow: &Tensor| {
        end.velocity.as_ref().map(|velocity| displaced(velocity, flow, Read::Bilinear) - &mean)
    };
    let (at_a, at_b) = (differing(a, &sight.to_a), differing(b, &sight.to_b));
    if let Some(bend) = weighed(&at_a, t * t * t - 2.0 * t * t + t, &at_b, t * t * t - t * t) {
        let limit = &long * (BEND.0 * 2.0 * t.min(1.0 - t)) + BEND.1 * canvas.unit;
        off += limited(&(bend * span), &limit);
    }
    let change = weighed(&at_a, 3.0 * t * t - 4.0 * t + 1.0, &at_b, 3.0 * t * t - 2.0 * t);
    let velocity = change.map_or_else(|| mean.shallow_clone(), |change| change + &mean);

    // What the network said of this pixel it said of one a little off: fetch it from there.
    let back = -blur(&off, 1.5);
    let said = displaced(&Tensor::cat(&[&sight.to_a, &sight.to_b, &sight.mask, &velocity], 1), &back, Read::Bilinear);
    let (to_a, to_b) = (said.narrow(1, 0, 2) + &back, said.narrow(1, 2, 2) + &back);
    (Sight { to_a, to_b, mask: said.narrow(1, 4, 1) }, said.narrow(1, 5, 2))
}

/// The sum of what there is, each times its factor.
fn weighed(a: &Option<Tensor>, a_factor: f64, b: &Option<Tensor>, b_factor: f64) -> Option<Tensor> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a * a_factor + b * b_factor),
        (Some(a), None) => Some(a * a_factor),
        (None, Some(b)) => Some(b * b_factor),
        (None, None) => None,
    }
}

/// The candidates' picture and velocity, at each pixel those of the best, with soft borders. `biases` are added to
/// their scores.
pub(super) fn best(canvas: &Canvas, candidates: &[Candidate], biases: &[Tensor]) -> (Tensor, Tensor) {
    if let [only] = candidates {
        return (only.picture.shallow_clone(), only.velocity.shallow_clone());
    }
    let scores: Vec<_> = candidates.iter().zip(biases).map(|(candidate, bias)| &candidate.score + bias).collect();
    let shares = blur(&(Tensor::cat(&scores, 1) * -150.0).softmax(1, Kind::Float), 1.5);
    let large = stretched(&shares, canvas.full);
    let (mut picture, mut velocity) = (candidates[0].picture.zeros_like(), candidates[0].velocity.zeros_like());
    for (candidate, index) in candidates.iter().zip(0..) {
        picture += large.narrow(1, index, 1) * &candidate.picture;
        velocity += shares.narrow(1, index, 1) * &candidate.velocity;
    }
    (picture, velocity)
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use wanctl::pipeline::types::video::Size;

    use super::*;

    /// A frame at `place` on its way, moving at `velocity`, both along x.
    struct End {
        place: f64,
        velocity: f64,
    }

    fn uniform(x: f64) -> Tensor {
        let whole = Tensor::full([1, 1, 8, 8], x, (Kind::Float, Device::Cpu));
        Tensor::cat(&[&whole, &whole.zeros_like()], 1)
    }

    fn moving(canvas: &Canvas, end: &End) -> Moving {
        let picture = Tensor::zeros([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        Moving { still: canvas.both(picture), velocity: Some(uniform(end.velocity)) }
    }

    /// Bisects as a bridge does, with exact flows, and collects where each frame stands.
    fn walk(canvas: &Canvas, a: &End, b: &End, count: usize, places: &mut Vec<f64>) {
        if count == 0 {
            return;
        }
        let before = count / 2;
        let span = count as f64 + 1.0;
        let t = (before as f64 + 1.0) / span;
        let way = b.place - a.place;
        let mask = Tensor::ones([1, 1, 8, 8], (Kind::Float, Device::Cpu));
        let sight = Sight { to_a: uniform(-t * way), to_b: uniform((1.0 - t) * way), mask };
        let (bent, velocity) = bent(canvas, &moving(canvas, a), &moving(canvas, b), &sight, Moment { t, span });
        let at = |x: &Tensor| x.double_value(&[0, 0, 4, 4]);
        let middle = End { place: a.place - at(&bent.to_a), velocity: at(&velocity) };
        assert!((bent.to_b.double_value(&[0, 0, 4, 4]) - (b.place - middle.place)).abs() < 1e-4);
        walk(canvas, a, &middle, before, places);
        places.push(middle.place);
        walk(canvas, &middle, b, count - before - 1, places);
    }

    #[test]
    fn bisection_of_exact_flows_is_the_cubic_itself() {
        let canvas = Canvas::new(Size::new(8, 8), Device::Cpu);
        for (count, va, vb) in [(9, 1.4, 0.7), (16, 0.8, 1.2), (31, 1.2, 1.0)] {
            let span = count as f64 + 1.0;
            let (a, b) = (End { place: 0.0, velocity: va }, End { place: span, velocity: vb });
            let mut places = vec![];
            walk(&canvas, &a, &b, count, &mut places);
            for (place, index) in places.iter().zip(1..) {
                let t = f64::from(index) / span;
                let straight = (3.0 * t * t - 2.0 * t * t * t) * span;
                let cubic = straight + span * ((t * t * t - 2.0 * t * t + t) * va + (t * t * t - t * t) * vb);
                assert!((place - cubic).abs() < 0.01, "{count} frames, frame {index}: {place}, wanted {cubic}");
            }
        }
    }

    #[test]
    fn limits_in_pixels_grow_with_the_canvas() {
        let off = |width: u32| {
            let canvas = Canvas::new(Size::new(width, 8), Device::Cpu);
            let still = |velocity| moving(&canvas, &End { place: 0.0, velocity });
            let sight = Sight { to_a: uniform(0.0), to_b: uniform(0.0), mask: uniform(1.0).narrow(1, 0, 1) };
            let (bent, _) = bent(&canvas, &still(9.0), &still(-9.0), &sight, Moment { t: 0.5, span: 10.0 });
            -bent.to_a.double_value(&[0, 0, 4, 4])
        };
        let (tuned, twice) = (off(320), off(640));
        assert!((tuned - 1.0).abs() < 1e-4 && (twice - 2.0).abs() < 1e-4, "{tuned}, {twice}");
    }
}
