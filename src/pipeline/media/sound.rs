//! The film's sound: stretches of the clips' own, silence between, one continuous encode.

use std::{collections::HashSet, ffi::OsString, path::Path};

use super::{
    Media,
    clip::{Clip, Sound},
    dialect,
    error::{MediaError, Tool, Unusable},
    process::{Child, Pipes},
};
use crate::pipeline::video::Time;

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
    pub clip: &'a Clip,
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

/// Sound on its file's own clock: holes are filled and overlaps cut, so that a sample's number is its time. Files that
/// were put together out of others have a hole of some ten milliseconds at every joint; left alone they add up to the
/// 100 ms from which ffmpeg would care. Below 5 ms it can be the rounding of a container's clock.
const ON_ITS_CLOCK: &str = "async=1:first_pts=0:min_hard_comp=0.005";

/// What the sound is coded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundCodec {
    Aac,
    Flac,
}

impl Media {
    /// Writes the soundtrack; `progress` hears now and then.
    pub fn sound(&self, track: &Soundtrack<'_>, codec: SoundCodec, output: &Path) -> Result<(), MediaError> {
        let arguments = arguments(track, codec, output);
        let mut child = Child::start(self, Tool::Ffmpeg, "making the sound", Pipes::Progress, arguments)?;
        child.wait_with(|_| {}).map_err(|error| {
            let heard = track.parts.iter().flat_map(|part| &part.voices).map(|voice| voice.clip);
            let sounds = heard.filter_map(|clip| Some((clip.path.as_path(), clip.sound.as_ref()?)));
            self.blame_sound(sounds, error).writing(output)
        })
    }

    /// A file of the user's own as the film's sound, cut or filled with silence to `samples`.
    pub fn sound_from_file(
        &self,
        file: &Path,
        sound: &Sound,
        samples: u64,
        rate: u32,
        codec: SoundCodec,
        output: &Path,
    ) -> Result<(), MediaError> {
        let mut words: Vec<OsString> = ["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", "-xerror"]
            .map(OsString::from)
            .to_vec();
        words.extend(["-i".into(), dialect::url(file), "-map".into(), "0:a:0".into(), "-af".into()]);
        words.push(
            format!("aresample={rate}:{ON_ITS_CLOCK},apad=whole_len={samples},atrim=end_sample={samples}").into(),
        );
        words.extend(coding(codec, sound.channels));
        words.push(dialect::url(output));
        let mut child = Child::start(self, Tool::Ffmpeg, "making the sound", Pipes::Progress, words)?;
        child.wait_with(|_| {}).map_err(|error| self.blame_sound([(file, sound)].into_iter(), error).writing(output))
    }

    /// ffmpeg names an input by its number at best, so each is decoded by itself to find the one that is damaged.
    fn blame_sound<'a>(&self, sounds: impl Iterator<Item = (&'a Path, &'a Sound)>, error: MediaError) -> MediaError {
        if !matches!(error, MediaError::Failed { .. }) {
            return error;
        }
        let mut heard = HashSet::new();
        let mut sounds = sounds.filter(|(path, _)| heard.insert(*path));
        sounds.find_map(|(path, sound)| self.damage(path, sound)).unwrap_or(error)
    }

    /// Why the sound of a file cannot be decoded; None where it can.
    fn damage(&self, path: &Path, sound: &Sound) -> Option<MediaError> {
        let mut words: Vec<OsString> =
            ["-v", "error", "-nostdin", "-nostats", "-progress", "pipe:1", "-xerror"].map(OsString::from).to_vec();
        words.extend(["-vn".into(), "-i".into(), dialect::url(path), "-map".into()]);
        words.push(format!("0:{}", sound.stream).into());
        words.extend(["-f", "null", "-"].map(OsString::from));
        let child = Child::start(self, Tool::Ffmpeg, "looking for damaged sound", Pipes::Progress, words);
        match child.and_then(|mut child| child.wait_with(|_| {})) {
            Err(MediaError::Failed { transcript, .. })
                if dialect::blames_the_stream(&transcript.stderr, &sound.codec) =>
            {
                let damaged = Unusable::new(path, "has damaged sound")
                    .wanted("sound that decodes without error")
                    .found(transcript.stderr.lines().next().unwrap_or_default())
                    .help("copy or download it again, or join without sound: --audio mute")
                    .said(transcript);
                Some(damaged.into())
            }
            Err(stop @ (MediaError::Interrupted | MediaError::TimedOut(_))) => Some(stop),
            _ => None,
        }
    }
}

fn arguments(track: &Soundtrack<'_>, codec: SoundCodec, output: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> =
        ["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", "-xerror"].map(OsString::from).to_vec();
    let (rate, layout) = (track.rate, &track.layout);
    let mut graph = vec![];
    let mut input = 0;
    let form = format!("aformat=sample_fmts=fltp:channel_layouts={layout}");
    for (number, SoundPart { voices, samples }) in track.parts.iter().enumerate() {
        let heard: Vec<_> = voices.iter().filter_map(|voice| Some((voice, voice.clip.sound.as_ref()?))).collect();
        for (place, (Voice { clip, from, fade_in, fade_out }, sound)) in heard.iter().enumerate() {
            words.extend(["-vn".into(), "-i".into(), dialect::url(&clip.path)]);
            let start = ((clip.picture_start + from) * i64::from(rate)).round().to_integer().max(0) as u64;
            let mut chain = format!(
                "[{input}:{}]aresample={rate}:{ON_ITS_CLOCK},{form},atrim=start_sample={start}:end_sample={},\
                 asetpts=N/SR/TB,apad=whole_len={samples}",
                sound.stream,
                start + samples,
            );
            if *fade_in > 0 {
                chain += &format!(",afade=t=in:start_sample=0:nb_samples={fade_in}:curve=hsin");
            }
            if *fade_out > 0 {
                let start = samples - fade_out;
                chain += &format!(",afade=t=out:start_sample={start}:nb_samples={fade_out}:curve=hsin");
            }
            graph.push(format!("{chain}[v{number}x{place}]"));
            input += 1;
        }
        graph.push(match heard.len() {
            0 => format!("anullsrc=r={rate}:cl={layout},{form},atrim=end_sample={samples}[p{number}]"),
            1 => format!("[v{number}x0]anull[p{number}]"),
            count => {
                let voices: String = (0..count).map(|place| format!("[v{number}x{place}]")).collect();
                format!("{voices}amix=inputs={count}:normalize=0[p{number}]")
            }
        });
    }
    let pads: String = (0..track.parts.len()).map(|number| format!("[p{number}]")).collect();
    graph.push(format!("{pads}concat=n={}:v=0:a=1[all]", track.parts.len()));
    words.extend(["-filter_complex".into(), graph.join(";").into(), "-map".into(), "[all]".into()]);
    words.extend(coding(codec, track.channels));
    words.push(dialect::url(output));
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
