//! How loud sound is from moment to moment, and whether a film sounds as its clips do.

use std::{f64::consts::PI, ops::Range};

use super::error::MediaError;

/// Levels are measured over 5 ms each.
const PER_SECOND: u64 = 200;
/// Mean squares below -60 dB of full scale are silence.
const SILENCE: f64 = 1e-6;
/// Above -50 dB something is heard.
const AUDIBLE: f64 = 1e-5;
/// Hops in which something must be heard (100 ms), and how little of a clip's energy is silence: 20 dB less.
const BLOCK: i64 = 20;
const LOST: f64 = 0.01;
/// A shift is told from at least so many hops in which something is heard.
const EVIDENCE: usize = 4;
/// Seconds by which a shift is looked for.
const FARTHEST: f64 = 2.0;
/// In dB: what levels differ by at most, and the mean difference from which a shift is looked for.
const LARGEST: f64 = 20.0;
const DOUBTFUL: f64 = 2.5;
/// A shift explains a difference where less than this of it is left.
const EXPLAINED: f64 = 0.4;
/// AAC keeps nothing above some 16 kHz: what lies there alone cannot be compared.
const KEPT_BELOW: f64 = 16_000.0;

/// One hop of sound: sums over its samples.
#[derive(Debug, Clone, Copy, Default)]
struct Hop {
    squares: f64,
    /// Of the differences between neighbours, which are large where the pitch is high.
    steps: f64,
    samples: u32,
}

/// The levels of a stretch of a film, hop by hop from the film's start.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    rate: u64,
    channels: usize,
    first: usize,
    hops: Vec<Hop>,
    last: Vec<f32>,
}

impl Levels {
    /// For moments `range` of a film; what lies outside is not measured.
    pub(super) fn new(rate: u32, channels: usize, range: Range<u64>) -> Self {
        let rate = u64::from(rate);
        let first = (range.start * PER_SECOND / rate) as usize;
        let end = (range.end * PER_SECOND).div_ceil(rate) as usize;
        Self { rate, channels, first, hops: vec![Hop::default(); end.saturating_sub(first)], last: vec![0.0; channels] }
    }

    /// Samples that stand at moment `at` of the film.
    pub(super) fn add(&mut self, at: i64, samples: &[f32]) {
        for (moment, frame) in (at..).zip(samples.chunks_exact(self.channels)) {
            let hop = u64::try_from(moment).ok().map(|moment| (moment * PER_SECOND / self.rate) as usize);
            let hop = hop.and_then(|hop| self.hops.get_mut(hop.checked_sub(self.first)?));
            if let Some(hop) = hop {
                for (sample, last) in frame.iter().zip(&self.last) {
                    hop.squares += f64::from(sample * sample);
                    hop.steps += f64::from((sample - last) * (sample - last));
                    hop.samples += 1;
                }
            }
            self.last.copy_from_slice(frame);
        }
    }

    fn hop(&self, hop: i64) -> Hop {
        usize::try_from(hop)
            .ok()
            .and_then(|hop| self.hops.get(hop.checked_sub(self.first)?))
            .copied()
            .unwrap_or_default()
    }
}

impl Hop {
    fn level(self) -> f64 {
        self.squares / f64::from(self.samples.max(1))
    }

    fn decibels(self) -> f64 {
        self.level().max(SILENCE).log10() * 10.0
    }
}

/// The sound that a film should have.
#[derive(Debug)]
pub struct ExpectedSound {
    pub(super) rate: u32,
    pub(super) channels: usize,
    pub(super) stretches: Vec<ExpectedStretch>,
}

/// A stretch in which one source is heard alone and at its own level.
#[derive(Debug)]
pub(super) struct ExpectedStretch {
    /// The source's name, for people.
    pub(super) name: String,
    /// Moments of the film.
    pub(super) range: Range<u64>,
    /// The source's own, at its own timestamps.
    pub(super) levels: Levels,
}

impl ExpectedSound {
    /// An error where a stretch is silent that should be heard, or lies more than `frame` seconds off.
    pub(super) fn compare(&self, film: &Levels, frame: f64) -> Result<(), MediaError> {
        let near = ((frame * PER_SECOND as f64).ceil() as i64).max(2);
        self.stretches.iter().try_for_each(|stretch| stretch.compare(film, near))
    }
}

impl ExpectedStretch {
    fn compare(&self, film: &Levels, near: i64) -> Result<(), MediaError> {
        let rate = self.levels.rate;
        let hops = (self.range.start * PER_SECOND).div_ceil(rate) as i64..(self.range.end * PER_SECOND / rate) as i64;
        let seconds = |hop: i64| hop as f64 / PER_SECOND as f64;
        let name = &self.name;
        if let Some(shift) = self.shift(film, hops.clone(), near) {
            let (at, late) = (seconds(hops.start), if shift > 0 { "late" } else { "early" });
            let off = seconds(shift.abs());
            return Err(MediaError::Wrong {
                problem: format!("the sound of {name}, which begins at {at:.3} s, is {off:.3} s {late}"),
                wanted: format!("sound where {name} has it, within {:.3} s", seconds(near)),
                found: format!("{off:.3} s {late}, at {at:.3} s"),
            });
        }
        if let Some((hop, wanted, found)) = self.silence(film, hops, near) {
            let at = seconds(hop);
            let decibels =
                |level: f64| if level < SILENCE { "silence".into() } else { format!("{:.0} dB", level.log10() * 10.0) };
            return Err(MediaError::Wrong {
                problem: format!("the sound of {name} falls silent at {at:.3} s"),
                wanted: format!("{}, as in {name}", decibels(wanted)),
                found: format!("{} at {at:.3} s", decibels(found)),
            });
        }
        Ok(())
    }

    /// The first hop from which on nothing is left of the source, and both levels.
    fn silence(&self, film: &Levels, hops: Range<i64>, near: i64) -> Option<(i64, f64, f64)> {
        let block = BLOCK.min(hops.end - hops.start);
        if block < EVIDENCE as i64 {
            return None;
        }
        let whole = block as f64 * self.levels.rate as f64 / PER_SECOND as f64 * self.levels.channels as f64;
        (hops.start..=hops.end - block).step_by(BLOCK as usize / 4).find_map(|start| {
            let source = sum((start..start + block).map(|hop| self.levels.hop(hop)));
            if f64::from(source.samples) < 0.5 * whole || source.level() < AUDIBLE || self.is_too_high(source) {
                return None;
            }
            // What is a little off is heard all the same.
            let heard = sum((start - near..start + block + near).map(|hop| film.hop(hop)));
            (heard.squares < LOST * source.squares)
                .then(|| (start, source.level(), heard.squares / f64::from(source.samples)))
        })
    }

    /// Whether nearly all of it is so high that a codec leaves it out.
    fn is_too_high(&self, hop: Hop) -> bool {
        let share = (KEPT_BELOW / self.levels.rate as f64).min(0.5);
        share < 0.5 && hop.steps > 0.9 * 4.0 * (PI * share).sin().powi(2) * hop.squares
    }

    /// By how many hops the film's sound is late (or early, below 0); None where it is not, or where that cannot be told.
    fn shift(&self, film: &Levels, hops: Range<i64>, near: i64) -> Option<i64> {
        let length = hops.end - hops.start;
        let farthest = ((FARTHEST * PER_SECOND as f64) as i64).min(length);
        let source = |hop: i64| Some(self.levels.hop(hop)).filter(|hop| !self.is_too_high(*hop)).map(Hop::decibels);
        let source: Vec<Option<f64>> = hops.clone().map(source).collect();
        if source.iter().flatten().filter(|level| **level > AUDIBLE.log10() * 10.0).count() < EVIDENCE {
            return None;
        }
        let around = hops.start - farthest..hops.end + farthest;
        let around: Vec<Option<f64>> = around.map(|hop| Some(film.hop(hop).decibels())).collect();
        let against_film = |shift: i64| difference(&source, &around[(farthest + shift) as usize..]);
        let (_, here) = least(-near.min(farthest)..=near.min(farthest), against_film)?;
        if here < DOUBTFUL {
            return None;
        }
        let outside = (-farthest..=farthest).filter(|shift| shift.abs() > near);
        let (shift, there) = least(outside, against_film)?;
        // A steady sound is like itself wherever it is: it cannot be located.
        let ahead = shift.unsigned_abs() as usize;
        let located = difference(&source[..source.len() - ahead], &source[ahead..]) > DOUBTFUL;
        (located && there < EXPLAINED * here).then_some(shift)
    }
}

fn sum(hops: impl Iterator<Item = Hop>) -> Hop {
    hops.fold(Hop::default(), |sum, hop| Hop {
        squares: sum.squares + hop.squares,
        steps: sum.steps + hop.steps,
        samples: sum.samples + hop.samples,
    })
}

/// How many decibels two stretches are apart on average where at least one is heard.
fn difference(one: &[Option<f64>], other: &[Option<f64>]) -> f64 {
    let heard = AUDIBLE.log10() * 10.0;
    let pairs = one.iter().zip(other).filter_map(|(one, other)| Some(((*one)?, (*other)?)));
    let pairs = pairs.filter(|(one, other)| one.max(*other) > heard);
    let (sum, count) =
        pairs.fold((0.0, 0), |(sum, count), (one, other)| (sum + (one - other).abs().min(LARGEST), count + 1));
    sum / f64::from(count.max(1))
}

/// The shift with the least difference; of several that are as good, the nearest.
fn least(shifts: impl Iterator<Item = i64>, difference: impl Fn(i64) -> f64) -> Option<(i64, f64)> {
    let all: Vec<(i64, f64)> = shifts.map(|shift| (shift, difference(shift))).collect();
    let least = all.iter().map(|(_, difference)| *difference).min_by(f64::total_cmp)?;
    all.into_iter().filter(|(_, difference)| *difference < least + 0.5).min_by_key(|(shift, _)| shift.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 16_000;

    /// Words: noise that swells and fades, told by the moment alone.
    fn speech(moment: i64) -> f32 {
        let time = moment as f64 / f64::from(RATE);
        let swell = (time * 2.3 * PI).sin() * (time * 0.7 * PI).sin() * (time * 5.1).cos();
        let noise =
            ((moment as u64).wrapping_mul(6_364_136_223_846_793_005) >> 33) as f64 / f64::from(1_u32 << 31) * 2.0 - 1.0;
        (0.4 * swell * swell * noise) as f32
    }

    fn beeps(moment: i64) -> f32 {
        let time = moment as f64 / f64::from(RATE);
        if time.fract() < 0.04 { (time * 1000.0 * 2.0 * PI).sin() as f32 * 0.5 } else { 0.0 }
    }

    fn tone(moment: i64) -> f32 {
        (moment as f64 / f64::from(RATE) * 440.0 * 2.0 * PI).sin() as f32 * 0.3
    }

    fn levels(sound: impl Fn(i64) -> f32) -> Levels {
        let mut levels = Levels::new(RATE, 1, 0..u64::from(RATE) * 6);
        levels.add(0, &(0..i64::from(RATE) * 6).map(sound).collect::<Vec<_>>());
        levels
    }

    /// A film of 6 s whose source is heard from 2 s to 4 s, at 25 fps.
    fn compared(source: fn(i64) -> f32, film: impl Fn(i64) -> f32) -> Result<(), String> {
        let rate = u64::from(RATE);
        let stretch = ExpectedStretch { name: "b.mp4".into(), range: 2 * rate..4 * rate, levels: levels(source) };
        let expected = ExpectedSound { rate: RATE, channels: 1, stretches: vec![stretch] };
        expected.compare(&levels(film), 0.04).map_err(|error| error.to_string())
    }

    #[test]
    fn sound_that_is_there_passes_whatever_it_is_like() {
        for source in [speech, beeps, tone, |_: i64| 0.0] {
            compared(source, source).unwrap();
            // Half a frame off, a little quieter, with a codec's noise.
            compared(source, |moment| 0.7 * source(moment - 320) + 0.0005 * speech(moment * 7)).unwrap();
        }
        // A steady tone cannot be located.
        compared(tone, |moment| tone(moment + 4321)).unwrap();
    }

    #[test]
    fn sound_that_falls_silent_is_told_with_its_place() {
        for source in [speech, tone] {
            let muted = |moment: i64| if (48_000..56_000).contains(&moment) { 0.0 } else { source(moment) };
            let error = compared(source, muted).unwrap_err();
            assert!(error.contains("b.mp4 falls silent at 3."), "{error}");
        }
        let gone = compared(beeps, |moment| if moment > 40_000 { 0.0 } else { beeps(moment) }).unwrap_err();
        assert!(gone.contains("falls silent at 2.9") || gone.contains("falls silent at 3.0"), "{gone}");
        // Outside of its stretch it is nobody's.
        compared(speech, |moment| if moment < 30_000 { 0.0 } else { speech(moment) }).unwrap();
    }

    #[test]
    fn sound_that_is_off_by_more_than_a_frame_is_told_with_by_how_much() {
        let speech: fn(i64) -> f32 = speech;
        let beeps: fn(i64) -> f32 = beeps;
        for (source, by, words) in [
            (speech, 1600, "0.100 s late"),
            (speech, -1600, "0.100 s early"),
            (speech, 12_000, "0.750 s late"),
            (beeps, 800, "0.050 s late"),
            (beeps, -4800, "0.300 s early"),
        ] {
            let error = compared(source, |moment| source(moment - by)).unwrap_err();
            assert!(error.contains(words) && error.contains("begins at 2.000 s"), "{error}");
        }
    }

    #[test]
    fn what_lies_above_all_that_a_codec_keeps_is_not_missed() {
        let rate = 48_000;
        let tone = |hertz: f64| {
            (0..rate).map(move |moment| (f64::from(moment) / f64::from(rate) * hertz * 2.0 * PI).sin() as f32)
        };
        let of = |hertz: f64| {
            let mut levels = Levels::new(rate, 1, 0..u64::from(rate));
            levels.add(0, &tone(hertz).collect::<Vec<_>>());
            let stretch = ExpectedStretch { name: "a.mp4".into(), range: 0..u64::from(rate), levels };
            let expected = ExpectedSound { rate, channels: 1, stretches: vec![stretch] };
            expected.compare(&Levels::new(rate, 1, 0..u64::from(rate)), 0.04)
        };
        of(19_000.0).unwrap();
        of(12_000.0).unwrap_err();
    }
}
