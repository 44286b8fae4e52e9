//! Where a track of sound stands against the picture: by timestamps of packets, also where a file's clock starts again.

use num_rational::Ratio;

use super::report::Packet;
use crate::pipeline::types::video::{Fps, Time};

/// A clock that goes back by so many seconds has started again.
const BACK: f64 = 0.25;
/// One that leaps by so many has too, in formats whose clock may (ffmpeg's dts_delta_threshold).
const LEAP: f64 = 10.0;
/// How far behind the first packet of a part its first decoded sample may be.
const FIRST_SAMPLE: f64 = 0.5;
/// The jump from which on a part is looked for.
const JUMP: f64 = 0.1;

/// The parts of a track in which its clock runs on; most have one.
#[derive(Debug, Clone, Default)]
pub(super) struct SoundClock {
    pub(super) parts: Vec<ClockPart>,
}

/// In seconds of the file's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ClockPart {
    /// When the first packet is heard, and when the last one ends.
    pub(super) first: f64,
    pub(super) end: f64,
    /// What time 0 of the clip would be; None where the sound goes on behind the part before.
    pub(super) zero: Option<f64>,
}

/// The packets of one stream between two starts of its clock.
struct Run {
    /// Places in the file.
    begins: usize,
    middle: usize,
    /// The first packet's time, and the least, in seconds.
    first: f64,
    least: f64,
    end: f64,
    /// Packets that are shown.
    shown: usize,
}

/// One stream's packets with their places in the file.
pub(super) struct StreamPackets<'a> {
    pub(super) packets: &'a [Packet],
    pub(super) stream: usize,
    pub(super) base: Ratio<i64>,
    /// Whether the format's clock may leap.
    pub(super) leaps: bool,
}

impl StreamPackets<'_> {
    fn runs(&self) -> Vec<Run> {
        let seconds = |ticks: i64| ticks as f64 * *self.base.numer() as f64 / *self.base.denom() as f64;
        let mut runs: Vec<(Run, Vec<usize>)> = vec![];
        let mut before = f64::NAN;
        let packets = self.packets.iter().enumerate().filter(|(_, packet)| packet.stream_index == self.stream);
        for (place, packet) in packets {
            let Some(decoded) = packet.dts.or(packet.pts).map(seconds) else { continue };
            let shown = packet.pts.map_or(decoded, seconds);
            let end = shown + packet.duration.map_or(0.0, seconds);
            let starts_again = decoded < before - BACK || self.leaps && decoded > before + LEAP;
            before = decoded;
            if runs.is_empty() || starts_again {
                let run = Run { begins: place, middle: place, first: shown, least: shown, end, shown: 0 };
                runs.push((run, vec![]));
            }
            if let Some((run, places)) = runs.last_mut() {
                places.push(place);
                (run.least, run.end) = (run.least.min(shown), run.end.max(end));
                run.shown += usize::from(!packet.flags.discard);
            }
        }
        let with_middle = |(run, places): (Run, Vec<usize>)| Run { middle: places[places.len() / 2], ..run };
        runs.into_iter().map(with_middle).collect()
    }
}

impl SoundClock {
    /// Of sound beside pictures, of which the first is shown at `picture` on the file's clock.
    pub(super) fn beside(sound: &StreamPackets<'_>, pictures: &StreamPackets<'_>, picture: Time, fps: Fps) -> Self {
        let pictures = pictures.runs();
        let mut zeros = vec![seconds(picture)];
        let mut shown = 0;
        for pair in pictures.windows(2) {
            shown += pair[0].shown;
            zeros.push(pair[1].least - seconds(fps.time_of(shown)));
        }
        let mut before = None;
        let part = |run: Run| {
            let number = pictures.iter().filter(|picture| picture.begins <= run.middle).count().saturating_sub(1);
            let zero = (before != Some(number)).then(|| zeros[number]);
            before = Some(number);
            ClockPart { first: run.first, end: run.end, zero }
        };
        Self { parts: sound.runs().into_iter().map(part).collect() }
    }

    /// Of sound by itself, in a file that begins at `start`.
    pub(super) fn alone(sound: &StreamPackets<'_>, start: Time) -> Self {
        let mut zero = Some(seconds(start));
        let part = |run: Run| ClockPart { first: run.first, end: run.end, zero: zero.take() };
        Self { parts: sound.runs().into_iter().map(part).collect() }
    }

    /// When the last packet ends, in seconds of the file's clock.
    pub(super) fn end(&self) -> Option<f64> {
        self.parts.last().map(|part| part.end)
    }
}

/// Follows a track from its start.
#[derive(Debug)]
pub(super) struct ClockReader<'a> {
    clock: &'a SoundClock,
    part: usize,
    zero: f64,
    /// Where the last samples ended on the file's clock.
    ended: Option<f64>,
}

impl<'a> ClockReader<'a> {
    pub(super) fn new(clock: &'a SoundClock) -> Self {
        let zero = clock.parts.first().and_then(|part| part.zero).unwrap_or_default();
        Self { clock, part: 0, zero, ended: None }
    }

    /// The time in the clip of samples that begin at `time` of the file's clock and last `length` seconds.
    pub(super) fn read(&mut self, time: f64, length: f64) -> f64 {
        let ended = self.ended.replace(time + length).unwrap_or(time);
        if (time - ended).abs() > JUMP {
            let later = self.clock.parts.iter().enumerate().skip(self.part + 1);
            let found =
                later.filter(|(_, part)| (time - part.first).abs() < FIRST_SAMPLE).map(|(number, _)| number).next();
            if let Some(number) = found {
                self.part = number;
                self.zero = self.clock.parts[number].zero.unwrap_or(time - (ended - self.zero));
            }
        }
        time - self.zero
    }
}

fn seconds(time: Time) -> f64 {
    *time.numer() as f64 / *time.denom() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::media::report::Flags;

    fn packet(stream_index: usize, time: i64) -> Packet {
        Packet { stream_index, pts: Some(time), dts: Some(time), duration: Some(40), flags: Flags::default() }
    }

    fn clock(packets: &[Packet]) -> SoundClock {
        let of = |stream| StreamPackets { packets, stream, base: Ratio::new(1, 1000), leaps: true };
        let first = packets.iter().find(|packet| packet.stream_index == 0).and_then(|packet| packet.pts).unwrap();
        SoundClock::beside(&of(1), &of(0), Ratio::new(first, 1000), Fps::new(25, 1).unwrap())
    }

    #[test]
    fn sound_keeps_its_distance_from_the_picture_in_every_part() {
        // Ten frames from 1.4 s on with sound from 1.6 s on, then ten more from 0.2 s on with sound from 0.1 s on.
        let mut packets: Vec<Packet> =
            (0..10).flat_map(|n| [packet(0, 1400 + 40 * n), packet(1, 1600 + 40 * n)]).collect();
        packets.extend((0..10).flat_map(|n| [packet(1, 100 + 40 * n), packet(0, 200 + 40 * n)]));
        let clock = clock(&packets);
        assert_eq!(clock.parts.iter().map(|part| part.zero).collect::<Vec<_>>(), [Some(1.4), Some(0.2 - 0.4)]);
        let mut reader = ClockReader::new(&clock);
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
        near(reader.read(1.6, 0.2), 0.2);
        near(reader.read(1.8, 0.2), 0.4);
        near(reader.read(0.1, 0.2), 0.3);
        near(reader.read(0.3, 0.2), 0.5);
    }

    #[test]
    fn sound_whose_clock_alone_starts_again_goes_on() {
        let packets: Vec<Packet> =
            (0..20).flat_map(|n| [packet(0, 40 * n), packet(1, if n < 10 { 40 * n } else { 40 * (n - 10) })]).collect();
        let clock = clock(&packets);
        assert_eq!(clock.parts.iter().map(|part| part.zero).collect::<Vec<_>>(), [Some(0.0), None]);
        let mut reader = ClockReader::new(&clock);
        reader.read(0.0, 0.4);
        assert!((reader.read(0.0, 0.4) - 0.4).abs() < 1e-9);
    }
}
