//! One track of sound, decoded: its samples at their times in the clip.

use std::{ffi::OsString, path::Path};

use super::{
    Media,
    clip::{Sound, name},
    error::{MediaError, Tool, Unusable},
    ffmpeg_compat,
    levels::Levels,
    process::{Child, Pipes},
    sound_clock::ClockReader,
    steady::{Chunk, Gap, Placed, Steady},
};
use crate::pipeline::system::child::Transcript;

/// A track of a file.
#[derive(Debug, Clone, Copy)]
pub struct SoundSource<'a> {
    pub path: &'a Path,
    pub sound: &'a Sound,
}

/// Moments that are read at once, and in one chunk at most.
const READ: usize = 8192;
const CHUNK: usize = 1024;
/// Added to the file's clock: ffmpeg's readers of transport and program streams set a clock that starts at 0 anew where
/// the picture is not read.
const OFFSET: f64 = 1000.0;
/// Sound that a cut through a frame costs at either end, in seconds; more is damage.
const CUT: f64 = 0.2;

/// The form that sound is brought to.
#[derive(Debug, Clone, Copy)]
pub(super) struct SoundForm<'a> {
    pub(super) rate: u32,
    pub(super) channels: usize,
    /// ffmpeg's name of the channel layout.
    pub(super) layout: &'a str,
}

/// Reads forward.
pub(super) struct SoundReader<'a> {
    source: SoundSource<'a>,
    /// None where the track has no sample, and after its end.
    child: Option<Child>,
    /// Of the child that has ended.
    transcript: Option<Transcript>,
    form: SoundForm<'a>,
    clock: ClockReader<'a>,
    steady: Steady,
    placed: Option<Placed>,
    /// Where time 0 of the clip stands in the film, and the levels that the film should have.
    expected: (f64, Levels),
    bytes: Vec<u8>,
    /// On the file's clock, in seconds.
    begun: Option<f64>,
    ended: f64,
}

impl<'a> SoundReader<'a> {
    /// `expected`: what is measured of the source, and at which moment of the film its time 0 stands.
    pub(super) fn open(
        media: &Media,
        source: SoundSource<'a>,
        form: SoundForm<'a>,
        expected: (f64, Levels),
    ) -> Result<Self, MediaError> {
        let SoundForm { rate, channels, .. } = form;
        let child = if source.sound.clock.parts.is_empty() {
            None
        } else {
            let purpose = format!("decoding the sound of {}", name(source.path));
            Some(Child::start(media, Tool::Ffmpeg, purpose, Pipes::Out, arguments(source, form))?)
        };
        Ok(Self {
            source,
            child,
            transcript: None,
            form,
            clock: ClockReader::new(&source.sound.clock),
            steady: Steady::new(rate, channels),
            placed: None,
            expected,
            bytes: vec![0; READ * (channels + 1) * size_of::<f64>()],
            begun: None,
            ended: 0.0,
        })
    }

    /// Adds to `mix` what is heard from moment `start` of the clip on, each moment as `gain` says; silence where the
    /// track has nothing. Later calls begin where the one before ended, or behind.
    pub(super) fn add(&mut self, start: i64, mix: &mut [f32], gain: impl Fn(usize) -> f32) -> Result<(), MediaError> {
        let channels = self.form.channels;
        let end = start + (mix.len() / channels) as i64;
        loop {
            let Some(placed) = self.placed.take() else {
                match self.next()? {
                    Some(placed) => self.placed = Some(placed),
                    None => return Ok(()),
                }
                continue;
            };
            let ends = placed.start + (placed.samples.len() / channels) as i64;
            let (from, to) = (placed.start.max(start), ends.min(end));
            for moment in from..to {
                let (here, there) = ((moment - start) as usize, (moment - placed.start) as usize);
                for channel in 0..channels {
                    mix[here * channels + channel] += placed.samples[there * channels + channel] * gain(here);
                }
            }
            if ends >= end {
                self.placed = Some(placed);
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Option<Placed>, MediaError> {
        while self.steady.is_hungry() {
            self.read()?;
        }
        Ok(self.steady.place())
    }

    /// What was measured, and what is missing within the track.
    pub(super) fn end(self) -> Result<(Levels, Vec<Gap>), MediaError> {
        let gaps = self.missing()?;
        Ok((self.expected.1, gaps))
    }

    fn read(&mut self) -> Result<(), MediaError> {
        let Some(child) = &mut self.child else {
            self.steady.finish();
            return Ok(());
        };
        let filled = child.fill(&mut self.bytes)?;
        let width = self.form.channels + 1;
        let values = self.bytes[..filled].as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
        let values: Vec<f64> = values.collect();
        let ended = (filled < self.bytes.len()).then(|| (child.end(), child.transcript()));
        self.take(values.chunks_exact(width));
        if let Some((ended, transcript)) = ended {
            self.transcript = Some(transcript);
            self.child = None;
            self.steady.finish();
            ended.map_err(|error| self.blame(error))?;
        }
        Ok(())
    }

    /// Each moment's samples and, last, its time.
    fn take<'b>(&mut self, moments: impl Iterator<Item = &'b [f64]>) {
        let step = f64::from(self.form.rate).recip();
        let mut chunk: Option<(f64, Vec<f32>)> = None;
        let mut next = f64::NAN;
        for moment in moments {
            let [samples @ .., time] = moment else { continue };
            let follows = (time - next).abs() < step / 4.0;
            if !follows || chunk.as_ref().is_some_and(|(_, samples)| samples.len() >= CHUNK * self.form.channels) {
                self.push(chunk.take());
            }
            let (_, line) = chunk.get_or_insert_with(|| (*time, Vec::with_capacity(CHUNK * self.form.channels)));
            line.extend(samples.iter().map(|sample| *sample as f32));
            next = time + step;
        }
        self.push(chunk);
    }

    fn push(&mut self, chunk: Option<(f64, Vec<f32>)>) {
        let Some((time, samples)) = chunk else { return };
        let (rate, time) = (f64::from(self.form.rate), time - OFFSET);
        let length = (samples.len() / self.form.channels) as f64 / rate;
        self.begun.get_or_insert(time);
        self.ended = time + length;
        let time = self.clock.read(time, length);
        let (zero, levels) = &mut self.expected;
        levels.add((*zero + time * rate).round() as i64, &samples);
        self.steady.push(Chunk { time, samples });
    }

    /// What is missing between samples, where the decoder stumbled; an error where a file should not lack it.
    fn missing(&self) -> Result<Vec<Gap>, MediaError> {
        let Sound { codec, clock, loses_packets, .. } = self.source.sound;
        let transcript = self.transcript.clone().or_else(|| self.child.as_ref().map(Child::transcript));
        let Some(transcript) = transcript.filter(|said| ffmpeg_compat::blames_the_stream(&said.stderr, codec)) else {
            return Ok(vec![]);
        };
        let mut gaps = self.steady.gaps().to_vec();
        if *loses_packets {
            return Ok(gaps);
        }
        let first = clock.parts.first().map_or(0.0, |part| part.first);
        let head = self.begun.map_or(f64::INFINITY, |begun| begun - first);
        let tail = if self.transcript.is_some() { clock.end().unwrap_or_default() - self.ended } else { 0.0 };
        gaps.extend([head, tail].into_iter().filter(|missing| *missing > CUT).map(|length| Gap { at: 0.0, length }));
        if gaps.is_empty() { Ok(vec![]) } else { Err(self.damaged(transcript)) }
    }

    /// A decoder that stumbles over the stream is the file's fault, not ffmpeg's.
    fn blame(&self, error: MediaError) -> MediaError {
        match error {
            MediaError::Failed { transcript, .. }
                if ffmpeg_compat::blames_the_stream(&transcript.stderr, &self.source.sound.codec) =>
            {
                self.damaged(transcript)
            }
            other => other,
        }
    }

    fn damaged(&self, transcript: Transcript) -> MediaError {
        Unusable::new(self.source.path, "has damaged sound")
            .wanted("sound that decodes without error")
            .found(transcript.stderr.lines().next().unwrap_or_default())
            .help("copy or download it again, or join without sound: --audio mute")
            .said(transcript)
            .into()
    }
}

/// Every moment's samples, and behind them its time on the file's clock as one more channel: so a timestamp cannot come
/// apart from its samples, also where their form changes.
fn arguments(SoundSource { path, sound }: SoundSource<'_>, form: SoundForm<'_>) -> Vec<OsString> {
    let SoundForm { rate, channels, layout } = form;
    let mut words: Vec<OsString> = ["-v", "error", "-nostdin", "-copyts", "-itsoffset"].map(OsString::from).to_vec();
    words.extend([OFFSET.to_string().into(), "-vn".into(), "-i".into(), ffmpeg_compat::url(path)]);
    words.extend(["-map".into(), format!("0:{}", sound.stream).into(), "-af".into()]);
    let samples: Vec<String> = (0..channels).map(|channel| format!("val({channel})")).collect();
    let layout_with_time = ffmpeg_compat::any_layout(channels + 1);
    words.push(
        format!(
            "aresample={rate},aformat=sample_fmts=dblp:channel_layouts={layout},aeval={}|t:c={layout_with_time},\
             asetpts=NAN",
            samples.join("|")
        )
        .into(),
    );
    words.extend(["-c:a", "pcm_f64le", "-f", "f64le", "pipe:1"].map(OsString::from));
    words
}
