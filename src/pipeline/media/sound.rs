//! The film's sound: stretches of the clips' own, silence between, one continuous encode.

use std::{
    f64::consts::PI,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use super::{
    Media,
    clip::name,
    error::{MediaError, Tool},
    ffmpeg_compat,
    levels::{ExpectedSound, ExpectedStretch, Levels},
    process::{Child, Pipes},
    sound_reader::{SoundForm, SoundReader, SoundSource},
};
use crate::pipeline::types::video::Time;

/// One stretch of the soundtrack. All lengths are in samples of the track's rate.
#[derive(Debug, Clone)]
pub struct SoundPart<'a> {
    /// None is silence; two are heard together.
    pub voices: Vec<Voice<'a>>,
    pub samples: u64,
}

/// A clip that is heard.
#[derive(Debug, Clone)]
pub struct Voice<'a> {
    pub source: SoundSource<'a>,
    /// After the clip's first picture.
    pub from: Time,
    pub fade_in: u64,
    pub fade_out: u64,
}

#[derive(Debug, Clone)]
pub struct Soundtrack<'a> {
    pub rate: u32,
    /// ffmpeg's name of the channel layout.
    pub layout: String,
    pub channels: u32,
    pub parts: Vec<SoundPart<'a>>,
}

/// What the sound is coded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundCodec {
    Aac,
    Flac,
}

/// Sound that is missing in a recording whose packets were lost; silence stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingSound {
    /// The file's name.
    pub name: String,
    pub path: PathBuf,
    /// Seconds of the clip.
    pub at: f64,
    pub length: f64,
}

impl fmt::Display for MissingSound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, path: _, at, length } = self;
        write!(f, "{name} lacks {length:.3} s of sound at {at:.3} s; silence stands there")
    }
}

/// A soundtrack that is written.
#[derive(Debug)]
pub struct WrittenSound {
    /// What the film must sound like.
    pub expected: ExpectedSound,
    pub missing: Vec<MissingSound>,
}

/// Samples that are mixed at once.
const BLOCK: u64 = 16_384;

impl Media {
    /// Writes the soundtrack.
    pub fn sound(&self, track: &Soundtrack<'_>, codec: SoundCodec, output: &Path) -> Result<WrittenSound, MediaError> {
        let channels = track.channels as usize;
        let mut encoder = Child::start(
            self,
            Tool::Ffmpeg,
            "encoding the sound",
            Pipes::InWithProgress,
            arguments(track, codec, output),
        )?;
        let mut written =
            WrittenSound { expected: ExpectedSound { rate: track.rate, channels, stretches: vec![] }, missing: vec![] };
        let mut position = 0;
        for part in &track.parts {
            let mut voices = self.open(track, part, position)?;
            let mut at = 0;
            while at < part.samples {
                let block = BLOCK.min(part.samples - at);
                let mut mix = vec![0.0; block as usize * channels];
                for (voice, reader, start) in &mut voices {
                    reader.add(*start + at as i64, &mut mix, |moment| voice.gain(at + moment as u64, part.samples))?;
                }
                let bytes: Vec<u8> = mix.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                encoder.write(&bytes).map_err(|error| error.writing(output))?;
                at += block;
            }
            let alone = voices.len() == 1;
            for (voice, reader, _) in voices {
                let SoundSource { path, .. } = voice.source;
                let (levels, gaps) = reader.end()?;
                let name = name(path);
                let missing = gaps.iter().map(|gap| MissingSound {
                    name: name.clone(),
                    path: path.to_owned(),
                    at: gap.at,
                    length: gap.length,
                });
                written.missing.extend(missing);
                let range = position + voice.fade_in..(position + part.samples).saturating_sub(voice.fade_out);
                if alone && !range.is_empty() {
                    written.expected.stretches.push(ExpectedStretch { name, range, levels });
                }
            }
            position += part.samples;
        }
        encoder.end().map_err(|error| error.writing(output))?;
        Ok(written)
    }

    /// The readers of a part that begins at moment `position` of the film, each with its first moment in the clip.
    fn open<'a>(
        &self,
        track: &'a Soundtrack<'a>,
        part: &'a SoundPart<'a>,
        position: u64,
    ) -> Result<Vec<(&'a Voice<'a>, SoundReader<'a>, i64)>, MediaError> {
        let &Soundtrack { rate, ref layout, channels, .. } = track;
        let channels = channels as usize;
        let form = SoundForm { rate, channels, layout };
        let open = |voice: &'a Voice<'a>| {
            let start = (voice.from * i64::from(rate)).round().to_integer();
            let levels = Levels::new(rate, channels, position..position + part.samples);
            let expected = (position as f64 - start as f64, levels);
            Ok((voice, SoundReader::open(self, voice.source, form, expected)?, start))
        };
        part.voices.iter().map(open).collect()
    }
}

impl Voice<'_> {
    /// How loud it is at moment `at` of `samples`: half a period of a sine in each fade, as ffmpeg's hsin.
    fn gain(&self, at: u64, samples: u64) -> f32 {
        let fade = |at: u64, length: u64| {
            if at < length { 0.5 - 0.5 * (PI * at as f64 / length as f64).cos() } else { 1.0 }
        };
        (fade(at, self.fade_in) * fade(samples - at, self.fade_out)) as f32
    }
}

fn arguments(track: &Soundtrack<'_>, codec: SoundCodec, output: &Path) -> Vec<OsString> {
    let Soundtrack { rate, layout, channels, .. } = track;
    let (rate, channel_count) = (rate.to_string(), channels.to_string());
    let mut words: Vec<OsString> =
        ["-v", "error", "-y", "-nostats", "-progress", "pipe:1", "-xerror"].map(OsString::from).to_vec();
    let raw = ["-f", "f32le", "-ar", &rate, "-ac", &channel_count, "-channel_layout", layout, "-i", "pipe:0"];
    words.extend(raw.map(OsString::from));
    words.extend(coding(codec, *channels));
    words.push(ffmpeg_compat::url(output));
    words
}

fn coding(codec: SoundCodec, channels: u32) -> Vec<OsString> {
    let words = match codec {
        // 96 kbit/s a channel is where listeners no longer tell AAC from its source.
        SoundCodec::Aac => vec![
            "-c:a".into(),
            "aac".into(),
            "-b:a".into(),
            format!("{}k", 96 * channels.clamp(1, 6)),
            "-f".into(),
            "mp4".into(),
        ],
        SoundCodec::Flac => vec!["-c:a".into(), "flac".into(), "-f".into(), "matroska".into()],
    };
    words.into_iter().map(OsString::from).collect()
}
