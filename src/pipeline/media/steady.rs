//! Decoded sound laid out by its timestamps, without a click where those are unsteady.
//!
//! Timestamps of sound are rounded, come from a recorder that was busy, or from a clock that is slow. The samples are
//! whole all the same, so they stay together: a gap is filled and an overlap is cut only where all timestamps behind it
//! are later or earlier than all before it. What the timestamps drift by is taken up by resampling, at most 0.5 %.

use std::{collections::VecDeque, f64::consts::PI};

/// Seconds of sound that are looked at before any of it is placed.
const AHEAD: f64 = 1.0;
/// A jump of the timestamps by so many seconds is one of the recording.
const JUMP: f64 = 0.1;
/// Jumps below are those of a container's clock.
const ROUNDING: f64 = 0.002;
/// By how much the timestamps on both sides of a gap or an overlap must differ at least.
const APART: f64 = 0.003;
/// So many chunks tell whether timestamps jumped or are unsteady.
const EVIDENCE: usize = 8;
/// And so many before them.
const FEW: usize = 4;
/// Seconds that timestamps may drift before their sound is resampled, and those at which that ends.
const DRIFT: [f64; 2] = [0.005, 0.001];
/// The most that sound is stretched, and the seconds in which a drift is taken up.
const STRETCH: f64 = 0.005;
const TAKEN_UP_IN: f64 = 2.0;
/// Samples on each side that an interpolated one is made of.
const REACH: usize = 16;

/// Samples that follow each other, with the time of the first in seconds.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) time: f64,
    /// Channel by channel for each moment.
    pub(super) samples: Vec<f32>,
}

/// Samples with the place of the first, counted in moments from time 0.
#[derive(Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) start: i64,
    pub(super) samples: Vec<f32>,
}

/// Missing sound that silence stands for, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gap {
    pub(super) at: f64,
    pub(super) length: f64,
}

#[derive(Debug)]
pub(super) struct Steady {
    rate: f64,
    channels: usize,
    ahead: VecDeque<Chunk>,
    /// Moments in `ahead`.
    held: usize,
    over: bool,
    /// The place of the next moment; None before the first.
    next: Option<i64>,
    /// Time at which the last chunk ended by its timestamp, in moments.
    ended: f64,
    /// How much later than their places the last timestamps were, in moments, with the length of their chunks.
    past: VecDeque<(f64, usize)>,
    resampler: Resampler,
    drifting: bool,
    stretch: f64,
    /// Where all that is placed ends.
    written: i64,
    gaps: Vec<Gap>,
}

impl Steady {
    pub(super) fn new(rate: u32, channels: usize) -> Self {
        Self {
            rate: f64::from(rate),
            channels,
            ahead: VecDeque::new(),
            held: 0,
            over: false,
            next: None,
            ended: 0.0,
            past: VecDeque::new(),
            resampler: Resampler::new(channels),
            drifting: false,
            stretch: 0.0,
            written: 0,
            gaps: vec![],
        }
    }

    /// Whether more sound is needed before [`Self::place`] can go on.
    pub(super) fn is_hungry(&self) -> bool {
        !self.over && (self.held as f64) < AHEAD * self.rate
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.held += self.moments(&chunk);
        self.ahead.push_back(chunk);
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        self.over = true;
    }

    /// Gaps so far.
    pub(super) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The next samples, each place once and in order, none where all of a chunk is cut; None at the end.
    pub(super) fn place(&mut self) -> Option<Placed> {
        let jump = self.ahead.front()?.time * self.rate - self.ended;
        let first = self.ahead.front()?.time * self.rate;
        match self.next {
            Some(_) if jump.abs() <= ROUNDING * self.rate => {}
            Some(next) if jump.abs() <= JUMP * self.rate => {
                let later: Vec<f64> = self.later().iter().map(|moments| moments + first - next as f64).collect();
                if let Some(step) = self.step(&later) {
                    self.step_to(next + step);
                }
            }
            before => {
                let later = self.later();
                // Unsteady from the start on: the mean is the best guess. Rounding is no reason to move.
                let steady = later.iter().all(|moments| moments.abs() <= ROUNDING * self.rate);
                let mean = later.iter().sum::<f64>() / later.len() as f64;
                let start = (first + if steady { 0.0 } else { mean }).round() as i64;
                match before {
                    None => (self.next, self.written) = (Some(start), start),
                    Some(_) => self.step_to(start),
                }
            }
        }
        let next = self.next?;
        let chunk = self.ahead.pop_front()?;
        let length = self.moments(&chunk);
        self.held -= length;
        self.ended = first + length as f64;
        self.past.push_back((first - next as f64, length));
        while self.past.iter().skip(1).map(|(_, length)| length).sum::<usize>() as f64 > AHEAD * self.rate {
            self.past.pop_front();
        }
        // A few timestamps say nothing of a drift.
        let seen = self.past.iter().map(|(_, length)| length).sum::<usize>();
        if seen as f64 > AHEAD / 2.0 * self.rate {
            let drift = self.past.iter().map(|(later, _)| later).sum::<f64>() / self.past.len() as f64;
            self.drifting = drift.abs() > DRIFT[usize::from(self.drifting)] * self.rate;
            let stretch = (drift / (self.rate * TAKEN_UP_IN)).clamp(-STRETCH, STRETCH);
            self.stretch = if self.drifting { stretch } else { 0.0 };
        }
        let following = self.ahead.iter().flat_map(|chunk| &chunk.samples).copied();
        let mut samples = self.resampler.stretched(chunk.samples, following, self.stretch);
        let end = next + (samples.len() / self.channels) as i64;
        // What stands there already is cut.
        let start = self.written.clamp(next, end);
        samples.drain(..(start - next) as usize * self.channels);
        self.next = Some(end);
        self.written = self.written.max(end);
        Some(Placed { start, samples })
    }

    /// How much later the timestamps ahead are than if their sound followed on from the first one, in moments.
    fn later(&self) -> Vec<f64> {
        let (mut later, mut moments) = (vec![], 0);
        let Some(first) = self.ahead.front() else { return later };
        for chunk in &self.ahead {
            let at = (chunk.time - first.time) * self.rate - moments as f64;
            let before = later.last().copied().unwrap_or(0.0);
            if f64::abs(at - before) > JUMP * self.rate || moments as f64 > AHEAD * self.rate {
                break;
            }
            later.push(at);
            moments += self.moments(chunk);
        }
        later.truncate(self.until_step(&later));
        later
    }

    /// How many of these belong together: up to where all that follow are later or earlier than all before.
    fn until_step(&self, later: &[f64]) -> usize {
        let mut steps = FEW..later.len().saturating_sub(EVIDENCE - 1);
        steps.find(|at| self.are_apart(&later[..*at], &later[*at..])).unwrap_or(later.len())
    }

    fn are_apart(&self, before: &[f64], after: &[f64]) -> bool {
        let range = |values: &[f64]| {
            values
                .iter()
                .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| [low.min(*value), high.max(*value)])
        };
        let ([low, high], [before_low, before_high]) = (range(after), range(before));
        let apart = APART * self.rate;
        low > before_high + apart || high < before_low - apart
    }

    /// By how many moments the sound itself jumps here; None where only a timestamp does.
    fn step(&self, later: &[f64]) -> Option<i64> {
        if later.len() < EVIDENCE || self.past.len() < FEW {
            return None;
        }
        let past: Vec<f64> = self.past.iter().map(|(later, _)| *later).collect();
        self.are_apart(&past, later).then(|| (later.iter().sum::<f64>() / later.len() as f64).round() as i64)
    }

    /// Goes on at `start`, behind a gap or over what stands there.
    fn step_to(&mut self, start: i64) {
        if start > self.written {
            let length = (start - self.written) as f64 / self.rate;
            self.gaps.push(Gap { at: self.written as f64 / self.rate, length });
        }
        self.past.clear();
        (self.drifting, self.stretch) = (false, 0.0);
        self.resampler = Resampler::new(self.channels);
        self.next = Some(start);
    }

    fn moments(&self, chunk: &Chunk) -> usize {
        chunk.samples.len() / self.channels
    }
}

/// Stretches sound a little, without a seam between chunks.
#[derive(Debug)]
struct Resampler {
    channels: usize,
    /// The last moments of the chunk before.
    before: Vec<f32>,
    /// Where the next moment stands between two of the source; 0 until the first stretch.
    phase: f64,
}

impl Resampler {
    fn new(channels: usize) -> Self {
        Self { channels, before: vec![0.0; REACH * channels], phase: 0.0 }
    }

    /// `samples`, longer by `stretch` of their length; `following` are the next ones.
    fn stretched(&mut self, samples: Vec<f32>, following: impl Iterator<Item = f32>, stretch: f64) -> Vec<f32> {
        let (channels, length) = (self.channels, samples.len() / self.channels);
        let mut line = std::mem::take(&mut self.before);
        line.extend(&samples);
        self.before = line[line.len() - REACH * channels..].to_vec();
        if stretch == 0.0 && self.phase == 0.0 {
            return samples;
        }
        line.extend(following.take((REACH + 1) * channels));
        line.resize((length + 2 * REACH + 1) * channels, 0.0);
        let step = 1.0 / (1.0 + stretch);
        let mut stretched = Vec::with_capacity(samples.len() + channels);
        while self.phase < length as f64 {
            let (whole, part) = (self.phase.floor(), self.phase.fract());
            let weights = weights(part);
            for channel in 0..channels {
                let taps = (0..2 * REACH).map(|tap| line[(whole as usize + tap + 1) * channels + channel]);
                stretched
                    .push(taps.zip(weights).map(|(sample, weight)| f64::from(sample) * weight).sum::<f64>() as f32);
            }
            self.phase += step;
        }
        self.phase -= length as f64;
        stretched
    }
}

/// A sinc under a Hann window, for a moment `part` after one of the source; its weight is the one at `REACH - 1`.
fn weights(part: f64) -> [f64; 2 * REACH] {
    let mut weights = [0.0; 2 * REACH];
    for (tap, weight) in weights.iter_mut().enumerate() {
        let distance = tap as f64 - (REACH as f64 - 1.0) - part;
        let window = (distance * PI / (2.0 * REACH as f64)).cos().powi(2);
        *weight = if distance.abs() < 1e-9 { 1.0 } else { (distance * PI).sin() / (distance * PI) * window };
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8000;
    const LENGTH: usize = 160;

    /// A tone in chunks of 20 ms whose timestamps `stamp` moves, all placed and laid out from the first moment.
    fn placed(
        chunks: usize,
        samples: impl Fn(usize) -> usize,
        stamp: impl Fn(usize) -> f64,
    ) -> (Steady, i64, Vec<f32>) {
        let mut steady = Steady::new(RATE, 1);
        let (mut chunk, mut line, mut first) = (0, vec![], None);
        loop {
            while steady.is_hungry() {
                if chunk == chunks {
                    steady.finish();
                    break;
                }
                let from = samples(chunk);
                let samples = (from..from + LENGTH).map(tone).collect();
                let time = from as f64 / f64::from(RATE) + stamp(chunk);
                steady.push(Chunk { time, samples });
                chunk += 1;
            }
            let Some(Placed { start, samples }) = steady.place() else { break };
            if samples.is_empty() {
                continue;
            }
            let first = *first.get_or_insert(start);
            assert!(start - first >= line.len() as i64, "a place twice");
            line.resize((start - first) as usize, 0.0);
            line.extend(samples);
        }
        (steady, first.unwrap_or(0), line)
    }

    fn tone(at: usize) -> f32 {
        (at as f64 / f64::from(RATE) * 300.0 * 2.0 * PI).sin() as f32
    }

    fn noise(chunk: usize) -> f64 {
        ((chunk * 7919 + 31) % 1000) as f64 / 1000.0 - 0.5
    }

    /// Places where three samples are on no sine of the tone's pitch.
    fn clicks(line: &[f32]) -> usize {
        let turn = 2.0 * (2.0 * PI * 300.0 / f64::from(RATE)).cos() as f32;
        line.windows(3).filter(|three| (three[2] - turn * three[1] + three[0]).abs() > 0.03).count()
    }

    #[test]
    fn steady_sound_is_placed_as_it_is() {
        let (steady, first, line) = placed(200, |chunk| chunk * LENGTH, |_| 0.25);
        assert_eq!(first, 2000);
        assert!(line.iter().enumerate().all(|(at, sample)| *sample == tone(at)) && line.len() == 200 * LENGTH);
        assert!(steady.gaps().is_empty());
    }

    #[test]
    fn rounded_and_unsteady_timestamps_change_no_sample() {
        for size in [0.001, 0.02, 0.04] {
            let (steady, first, line) = placed(400, |chunk| chunk * LENGTH, |chunk| 1.0 + noise(chunk) * size);
            assert!(line.iter().enumerate().all(|(at, sample)| *sample == tone(at)), "{size}");
            assert!((first - 8000).abs() <= 20 && steady.gaps().is_empty(), "{size}: {first}");
        }
    }

    #[test]
    fn a_gap_is_filled_where_it_is_and_an_overlap_is_cut() {
        // 30 ms are missing, also where the timestamps are unsteady; then a whole second.
        let (early, later) = (20, 100);
        for (hole, size, joint) in
            [(240, 0.0, later), (240, 0.01, later), (8000, 0.0, later), (8000, 0.02, later), (240, 0.0, early)]
        {
            let at = |chunk| chunk * LENGTH + if chunk >= joint { hole } else { 0 };
            let (steady, _, line) = placed(200, at, |chunk| noise(chunk) * size);
            let close = (size * 8000.0 * 0.2) as usize + 1;
            assert!(line.len().abs_diff(200 * LENGTH + hole) <= close, "{hole} {size}: {}", line.len());
            assert_eq!(steady.gaps().len(), 1, "{hole} {size}: {:?}", steady.gaps());
            let gap = steady.gaps()[0];
            assert!(
                (gap.length - hole as f64 / 8000.0).abs() < 0.004 && (gap.at - joint as f64 * 0.02).abs() < 0.01,
                "{gap:?}"
            );
        }
        // The last 40 ms before the joint come twice.
        let (steady, _, line) = placed(200, |chunk| chunk * LENGTH - if chunk >= 100 { 320 } else { 0 }, |_| 0.0);
        assert_eq!(line.len(), 200 * LENGTH - 320);
        assert_eq!((steady.gaps().len(), clicks(&line)), (0, 0));
    }

    #[test]
    fn what_a_slow_clock_drifts_by_is_taken_up_without_a_click() {
        for drift in [0.001, -0.001, 0.0003] {
            let stamp = |chunk: usize| chunk as f64 * 0.02 * drift;
            let (steady, _, line) = placed(3000, |chunk| chunk * LENGTH, stamp);
            // But for the last moments, behind which nothing is known.
            assert_eq!(clicks(&line[..line.len() - 2 * REACH]), 0, "{drift}");
            let wanted = 3000.0 * 160.0 * (1.0 + drift);
            assert!((line.len() as f64 - wanted).abs() < 0.008 * 8000.0, "{drift}: {} {wanted}", line.len());
            assert!(steady.gaps().is_empty());
        }
    }
}
