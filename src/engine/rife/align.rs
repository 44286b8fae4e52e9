//! Other ways to line two frames up than the network's own: by the picture's main motion, and by the clips' velocities.
//!
//! The network sees the two already moved onto each other, and so has only the rest to find.

use tch::{Kind, Tensor};

use super::{
    affine::{Affine, Pair, translation},
    canvas::Canvas,
    finish::{Moment, Moving},
    network::{Network, Sight},
    sample::{Read, blur, difference, displaced, inside, length, sides},
    splat::carried,
};

/// Shorter spans leave nothing to line up.
pub(super) const LEAST_SPAN: f64 = 8.0;
/// A main motion is worth a try if it makes the frames differ by less than this part of what they did.
const MAIN_GATE: f64 = 0.65;
/// Likewise the clips' velocities.
const DENSE_GATE: f64 = 0.75;
const DENSE_OVERLAP: f64 = 0.3;
/// In units: slower clips have no use for it.
const DENSE_MOTION: f64 = 3.0;

/// Where a pixel lies on both frames, and how far the alignment differs before the network's help: [1, 1, H, W].
#[derive(Debug)]
pub(super) struct Alignment {
    pub sight: Sight,
    pub rest: Tensor,
}

/// By one affine motion of the whole picture; none where that does not help.
pub(super) fn by_main_motion(
    network: &Network,
    canvas: &Canvas,
    a: &Moving,
    b: &Moving,
    Moment { t, span }: Moment,
) -> Option<Alignment> {
    let (picture_a, picture_b) = (&a.still.flow, &b.still.flow);
    let pair = Pair::new(picture_a, picture_b);
    let fit = |end: &Moving| end.velocity.as_ref().map(|velocity| Affine::fit(velocity, canvas.unit).scaled(span));
    let (fit_a, fit_b) = (fit(a), fit(b));
    let mean = fit_a.zip(fit_b).map(|(a, b)| a.mean(&b));
    let tries = [mean, fit_a, fit_b, Some(translation(picture_a, picture_b))];
    let judged = tries.into_iter().flatten().map(|motion| (pair.disagreement(&motion), motion));
    let (off, motion) = judged.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
    if motion.largest() <= canvas.unit || off >= MAIN_GATE * pair.disagreement(&Affine::default()) {
        return None;
    }

    let align = |motion: &Affine| {
        let flow = motion.field(sides(picture_a), canvas.device);
        aligned(network, picture_a, picture_b, t, &(&flow * -t), &(&flow * (1.0 - t)))
    };
    let first = align(&motion);
    let refined = Affine::fit(&(&first.sight.to_b - &first.sight.to_a), canvas.unit);
    Some(if pair.disagreement(&refined) < 0.97 * off { align(&refined) } else { first })
}

/// By each pixel's velocity at both seams; none where one is not known or that does not help.
pub(super) fn by_velocity(
    network: &Network,
    canvas: &Canvas,
    a: &Moving,
    b: &Moving,
    Moment { t, span }: Moment,
) -> Option<Alignment> {
    let (velocity_a, velocity_b) = (a.velocity.as_ref()?, b.velocity.as_ref()?);
    let fastest = length(velocity_a).maximum(&length(velocity_b));
    if quantile(&fastest, 0.98) * span / 2.0 <= DENSE_MOTION * canvas.unit {
        return None;
    }
    let to_a = carried(velocity_a, t * span, canvas.unit);
    let to_b = carried(velocity_b, -(1.0 - t) * span, canvas.unit);

    let (picture_a, picture_b) = (&a.still.flow, &b.still.flow);
    let both = inside(&to_a) * inside(&to_b);
    let mean = |x: &Tensor| x.mean(Kind::Float).double_value(&[]);
    let overlap = mean(&both);
    let moved = difference(&displaced(picture_a, &to_a, Read::Bilinear), &displaced(picture_b, &to_b, Read::Bilinear));
    let off = mean(&(moved * both)) / overlap.max(1e-9);
    let helps = off < DENSE_GATE * mean(&difference(picture_a, picture_b)) && overlap > DENSE_OVERLAP;
    helps.then(|| aligned(network, picture_a, picture_b, t, &to_a, &to_b))
}

/// What the network sees of two pictures moved by `to_a` and `to_b`, as displacements from the unmoved ones.
fn aligned(network: &Network, a: &Tensor, b: &Tensor, t: f64, to_a: &Tensor, to_b: &Tensor) -> Alignment {
    let moved_a = displaced(a, to_a, Read::Bilinear);
    let moved_b = displaced(b, to_b, Read::Bilinear);
    let (in_a, in_b) = (inside(to_a).gt(0.5), inside(to_b).gt(0.5));
    // What lies outside one picture is taken from the other, so that the network sees no invented motion there.
    let whole_a = moved_b.where_self(&in_b.logical_and(&in_a.logical_not()), &moved_a);
    let whole_b = moved_a.where_self(&in_a.logical_and(&in_b.logical_not()), &moved_b);
    let Sight { to_a: rest_a, to_b: rest_b, mask } = network.look(&whole_a, &whole_b, t);
    Alignment {
        rest: blur(&difference(&whole_a, &whole_b), 2.0),
        sight: Sight {
            to_a: displaced(to_a, &rest_a, Read::Bilinear) + rest_a,
            to_b: displaced(to_b, &rest_b, Read::Bilinear) + rest_b,
            mask,
        },
    }
}

fn quantile(x: &Tensor, part: f64) -> f64 {
    let count = x.numel() as i64;
    let rank = 1 + (part * (count - 1) as f64).round() as i64;
    x.reshape([-1]).kthvalue(rank, 0, false).0.double_value(&[])
}
