//! A clip's rate, told from when its frames are shown.

use num_rational::Ratio;

use super::clip::{RateSource, Timing};
use crate::pipeline::types::video::Fps;

/// Frames on the file's clock.
pub(super) struct Ticks {
    pub(super) times: Vec<i64>,
    /// How long the last frame is shown.
    pub(super) last: i64,
    pub(super) base: Ratio<i64>,
}

/// A clip's rate, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameRate {
    pub(super) fps: Fps,
    pub(super) timing: Timing,
    pub(super) source: RateSource,
}

/// Above this a header's rate is a clock's and no camera's: 1000 and 90000 are common.
const HIGHEST_NOMINAL: f64 = 120.0;

/// The rate, and whether every frame stands on its grid to within one tick of the file's clock, or a millisecond: that
/// is Matroska's tick, and files that were copied out of one keep its rounding under a finer clock. `told` are the rates
/// that the file's header tells, the nominal one first.
///
/// Where frames are missing from the grid, because a recorder left repeats out, the nominal rate is that of the recording
/// if it is at most 120, all timestamps lie on its grid, and at least a tenth of the steps are single. Else the median step
/// tells the rate; where frames would be lost at it, the nominal rate if all lie on its grid, else the next standard rate
/// above the median that keeps them.
pub(super) fn frame_rate(ticks: &Ticks, told: [Option<Fps>; 2]) -> FrameRate {
    let count = ticks.times.len() as i64;
    let average = ticks.times.first().zip(ticks.times.last()).filter(|_| count > 1).and_then(|(first, last)| {
        let seconds = ticks.base * (last - first);
        Fps::new((count - 1).checked_mul(*seconds.denom())?, *seconds.numer())
    });
    // Headers round as well: Matroska's can say 19001/317 for 60000/1001.
    let standard = [told[0], told[1], average].map(|fps| fps.map(near_a_standard));
    let candidates = standard.into_iter().chain(told).chain([average]).flatten();
    if let Some(fps) = candidates.into_iter().find(|&fps| on_grid(ticks, fps)) {
        return FrameRate { fps, timing: Timing::Constant, source: RateSource::Steps };
    }
    let variable = |fps, source| FrameRate { fps, timing: Timing::Variable, source };
    let nominal = [standard[0], told[0]].into_iter().flatten().filter(|fps| fps.as_f64() <= HIGHEST_NOMINAL);
    let nominal = nominal.filter_map(|fps| Some((fps, grid_places(ticks, fps)?))).next();
    if let Some((fps, places)) = &nominal {
        let single = places.windows(2).filter(|pair| pair[1] - pair[0] == 1).count();
        let steps = places.len() - 1;
        if single * 10 >= steps {
            return variable(*fps, RateSource::Nominal { single, steps });
        }
    }
    // A clip with dropped frames has few long steps, so the median is the rate that it was taken at.
    let mut steps: Vec<i64> = ticks.times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    let usual = steps.get(steps.len() / 2).filter(|&&step| step > 0).and_then(|&middle| {
        // 33 and 34 ms are one step of 1001/30 ms, rounded.
        let rounding = (ticks.base.recip() / 1000).to_integer().max(1);
        let alike = || steps.iter().filter(|step| step.abs_diff(middle) <= rounding as u64);
        let seconds = ticks.base * alike().sum::<i64>() / alike().count() as i64;
        Fps::new(*seconds.denom(), *seconds.numer())
    });
    let median = near_a_standard(usual.or(told[0]).unwrap_or_else(|| Fps::new(25, 1).expect("25 is above 0")));
    if keeps_all(ticks, median) {
        return variable(median, RateSource::Median);
    }
    let higher = || standard_rates().filter(|fps| *fps > median);
    let fps = nominal.map(|(fps, _)| fps).or(higher().find(|&fps| keeps_all(ticks, fps))).or(higher().last());
    variable(fps.unwrap_or(median), RateSource::Raised { median })
}

fn on_grid(ticks: &Ticks, fps: Fps) -> bool {
    ticks.times.iter().zip(0_i128..).all(|(&time, index)| Grid::new(ticks, fps).is_at(time, index))
}

/// The place of every frame on the grid of a rate, the first at 0; None where one lies beside it or two share a place.
fn grid_places(ticks: &Ticks, fps: Fps) -> Option<Vec<i128>> {
    let grid = Grid::new(ticks, fps);
    let place = |&time: &i64| Some(grid.nearest(time)).filter(|&place| grid.is_at(time, place));
    let places: Vec<i128> = ticks.times.iter().map(place).collect::<Option<_>>()?;
    places.is_sorted_by(|a, b| a < b).then_some(places).filter(|places| places.len() > 1)
}

/// Whether every frame has a place of its own on the grid of a rate: that nearest to its time, or the next one where that
/// is hardly later.
fn keeps_all(ticks: &Ticks, fps: Fps) -> bool {
    const HARDLY: f64 = 1.0 / 24.0;
    let grid = Grid::new(ticks, fps);
    let mut next = 0;
    ticks.times.iter().all(|&time| {
        let nearest = grid.nearest(time);
        let place = nearest.max(next);
        next = place + 1;
        place == nearest || place == nearest + 1 && 1.0 / fps.as_f64() <= HARDLY
    })
}

/// Equal steps from a clip's first frame, in units of 1 / (per_base * rate) seconds.
struct Grid {
    first: i64,
    tick: i128,
    frame: i128,
    millisecond: i128,
}

impl Grid {
    fn new(ticks: &Ticks, fps: Fps) -> Self {
        let wide = |ratio: Ratio<i64>| (i128::from(*ratio.numer()), i128::from(*ratio.denom()));
        let ((base, per_base), (rate, per_rate)) = (wide(ticks.base), wide(fps.ratio()));
        let first = ticks.times.first().copied().unwrap_or(0);
        Self { first, tick: base * rate, frame: per_rate * per_base, millisecond: per_base * rate / 1000 }
    }

    fn after_first(&self, time: i64) -> i128 {
        i128::from(time - self.first) * self.tick
    }

    fn nearest(&self, time: i64) -> i128 {
        (self.after_first(time) + self.frame / 2).div_euclid(self.frame)
    }

    fn is_at(&self, time: i64, place: i128) -> bool {
        let off = (self.after_first(time) - place * self.frame).abs();
        off <= self.tick.max(self.millisecond) && off * 2 < self.frame
    }
}

/// The broadcast and web rates.
fn standard_rates() -> impl Iterator<Item = Fps> {
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
    standard.into_iter().filter_map(|(frames, seconds)| Fps::new(frames, seconds))
}

/// A measured average within half a percent of a standard rate is that one.
fn near_a_standard(fps: Fps) -> Fps {
    let measured = fps.as_f64();
    let off = |candidate: &Fps| (candidate.as_f64() / measured - 1.0).abs();
    let best = standard_rates().min_by(|a, b| off(a).total_cmp(&off(b))).filter(|best| off(best) < 0.005);
    // Measured averages have denominators that no container holds.
    best.or_else(|| Fps::new((measured * 1000.0).round() as i64, 1000)).unwrap_or(fps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::media::clip::sampled;

    fn fps(frames: i64) -> Fps {
        Fps::new(frames, 1).unwrap()
    }

    fn ticks(times: &[i64], base: (i64, i64)) -> Ticks {
        Ticks { times: times.to_vec(), last: 0, base: Ratio::new(base.0, base.1) }
    }

    /// All lists of so many steps out of these.
    fn lists(count: u32, steps: &[i64]) -> impl Iterator<Item = Vec<i64>> {
        let kinds = steps.len() as u64;
        (0..kinds.pow(count)).map(move |number| {
            let steps = (0..count).map(|at| steps[(number / kinds.pow(at) % kinds) as usize]);
            std::iter::once(0)
                .chain(steps.scan(0, |time, step| {
                    *time += step;
                    Some(*time)
                }))
                .collect()
        })
    }

    #[test]
    fn no_frame_of_a_clip_is_lost_at_its_own_rate_whatever_its_steps() {
        let told = [None, Some(fps(1000)), Some(fps(90000)), Some(fps(60)), Some(fps(30)), Some(fps(25))];
        // Milliseconds: the rounded steps of 60, 30 and 25 fps, half a second, and frames that come at once.
        for times in lists(5, &[1, 8, 16, 17, 33, 34, 40, 500]) {
            for nominal in told {
                let ticks = ticks(&times, (1, 1000));
                let rate = frame_rate(&ticks, [nominal, None]);
                let shown: Vec<_> = times.iter().map(|&time| ticks.base * time).collect();
                let end = shown[shown.len() - 1] + rate.fps.ratio().recip();
                let picks = sampled(&shown, end, rate.fps, true);
                let mut found = picks.clone();
                found.dedup();
                let all: Vec<usize> = (0..times.len()).collect();
                assert_eq!(found, all, "{times:?}, header {nominal:?}: {rate:?}");
            }
        }
    }

    #[test]
    fn on_a_grid_with_holes_the_nominal_rate_is_taken_from_a_tenth_of_single_steps_on() {
        let tick = (1, 15360);
        // Of 60 fps; one step of 30 frames is half a second.
        for (single, long) in (0..12).flat_map(|single| (1..40).map(move |long| (single, long))) {
            let steps = std::iter::repeat_n(256, single).chain(std::iter::repeat_n(30 * 256, long));
            let times: Vec<i64> = std::iter::once(0)
                .chain(steps.scan(0, |time, step| {
                    *time += step;
                    Some(*time)
                }))
                .collect();
            let found = frame_rate(&ticks(&times, tick), [Some(fps(60)), None]);
            if single == 0 {
                assert_eq!((found.fps, found.timing), (fps(2), Timing::Constant), "{single} {long}");
            } else if single * 10 >= single + long {
                let source = RateSource::Nominal { single, steps: single + long };
                assert_eq!(found, FrameRate { fps: fps(60), timing: Timing::Variable, source }, "{single} {long}");
            } else {
                // The median would lose some.
                assert_eq!(
                    (found.fps, found.source),
                    (fps(60), RateSource::Raised { median: fps(2) }),
                    "{single} {long}"
                );
            }
        }
    }

    #[test]
    fn a_nominal_rate_is_not_believed_above_120_or_where_a_time_lies_beside_its_grid() {
        // 240 fps with holes, and every third frame of 60 fps pulled aside by a third of a step.
        let fast: Vec<i64> = (0..40).filter(|n| n % 3 != 1).map(|n| n * 64).collect();
        let found = frame_rate(&ticks(&fast, (1, 15360)), [Some(fps(240)), None]);
        assert!(!matches!(found.source, RateSource::Nominal { .. }), "{found:?}");
        let beside: Vec<i64> = (0..40).map(|n| n * 256 + if n % 3 == 1 { 85 } else { 0 }).collect();
        let found = frame_rate(&ticks(&beside, (1, 15360)), [Some(fps(60)), None]);
        assert!(!matches!(found.source, RateSource::Nominal { .. }), "{found:?}");
        for off in -1..=1 {
            // One tick is rounding.
            let times: Vec<i64> =
                (0..40).filter(|n| n % 5 != 2).map(|n| n * 256 + if n % 4 == 3 { off } else { 0 }).collect();
            let found = frame_rate(&ticks(&times, (1, 15360)), [Some(fps(60)), None]);
            assert!(matches!(found.source, RateSource::Nominal { .. }), "{off}: {found:?}");
        }
    }

    #[test]
    fn unsteady_steps_have_the_rate_of_their_median() {
        // A phone's: 33 ms, up to 6 ms early or late.
        let times: Vec<i64> = (0..60).map(|n| n * 100 / 3 + (n * 7919 % 13) - 6 + 6).collect();
        let found = frame_rate(&ticks(&times, (1, 1000)), [Some(fps(1000)), None]);
        assert_eq!(found.timing, Timing::Variable);
        assert!((28.0..34.0).contains(&found.fps.as_f64()), "{found:?}");
    }
}
