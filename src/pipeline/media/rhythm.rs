//! A clip's rate, told from when its frames are shown.

use num_rational::Ratio;

use super::clip::Timing;
use crate::pipeline::video::Fps;

/// Frames on the file's clock.
pub(super) struct Ticks {
    pub(super) times: Vec<i64>,
    /// How long the last frame is shown.
    pub(super) last: i64,
    pub(super) base: Ratio<i64>,
}

/// The rate, and whether every frame stands on its grid to within one tick of the file's clock, or a millisecond: that
/// is Matroska's tick, and files that were copied out of one keep its rounding under a finer clock. `told` are the rates
/// that the file's header tells, the likelier one first.
pub(super) fn rhythm(ticks: &Ticks, told: [Option<Fps>; 2]) -> (Fps, Timing) {
    let count = ticks.times.len() as i64;
    let average = ticks.times.first().zip(ticks.times.last()).filter(|_| count > 1).and_then(|(first, last)| {
        let seconds = ticks.base * (last - first);
        Fps::new((count - 1).checked_mul(*seconds.denom())?, *seconds.numer())
    });
    // Headers round as well: Matroska's can say 19001/317 for 60000/1001.
    let standard = [told[0], told[1], average].map(|fps| fps.map(near_a_standard));
    let candidates = standard.into_iter().chain(told).chain([average]).flatten();
    if let Some(fps) = candidates.into_iter().find(|&fps| on_grid(ticks, fps)) {
        return (fps, Timing::Constant);
    }
    // Of uneven steps the usual one tells the rate: a clip with dropped frames has few long ones.
    let mut steps: Vec<i64> = ticks.times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    let usual = steps.get(steps.len() / 2).filter(|&&step| step > 0).and_then(|&middle| {
        // 33 and 34 ms are one step of 1001/30 ms, rounded.
        let rounding = (ticks.base.recip() / 1000).to_integer().max(1);
        let alike = || steps.iter().filter(|step| step.abs_diff(middle) <= rounding as u64);
        let seconds = ticks.base * alike().sum::<i64>() / alike().count() as i64;
        Fps::new(*seconds.denom(), *seconds.numer())
    });
    let fps = usual.or(told[0]).unwrap_or_else(|| Fps::new(25, 1).expect("25 is above 0"));
    (near_a_standard(fps), Timing::Variable)
}

fn on_grid(ticks: &Ticks, fps: Fps) -> bool {
    let wide = |ratio: Ratio<i64>| (i128::from(*ratio.numer()), i128::from(*ratio.denom()));
    let ((base, per_base), (rate, per_rate)) = (wide(ticks.base), wide(fps.ratio()));
    // All in units of 1 / (per_base * rate) seconds.
    let (tick, frame, millisecond) = (base * rate, per_rate * per_base, per_base * rate / 1000);
    let first = ticks.times.first().copied().unwrap_or(0);
    ticks.times.iter().zip(0_i128..).all(|(&time, index)| {
        let off = (i128::from(time - first) * tick - index * frame).abs();
        off <= tick.max(millisecond) && off * 2 < frame
    })
}

/// The broadcast and web rates; a measured average within half a percent is one of them.
fn near_a_standard(fps: Fps) -> Fps {
    let standard = [
        (12, 1),
        (15, 1),
        (16, 1),
        (24000, 1001),
        (24, 1),
        (25, 1),
        (30000, 1001),
        (30, 1),
        (48, 1),
        (50, 1),
        (60000, 1001),
        (60, 1),
        (120, 1),
    ];
    let measured = fps.as_f64();
    let near = standard.into_iter().filter_map(|(frames, seconds)| Fps::new(frames, seconds));
    let off = |candidate: &Fps| (candidate.as_f64() / measured - 1.0).abs();
    let best = near.min_by(|a, b| off(a).total_cmp(&off(b))).filter(|best| off(best) < 0.005);
    // Measured averages have denominators that no container holds.
    best.or_else(|| Fps::new((measured * 1000.0).round() as i64, 1000)).unwrap_or(fps)
}
