//! Frames into a file: one encode, tagged, counted.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

use super::{
    Media,
    decode::pixel_format,
    error::{MediaError, Tool},
    ffmpeg_compat,
    process::{Child, Pipes},
};
use crate::pipeline::types::video::{Fps, Layout, Matrix, Range, Size};

/// Video codec of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum, Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Codec {
    H264,
    H265,
    Av1,
    /// Lossless; in mkv
    Ffv1,
}

/// x264's own presets, fastest first: how long the encoder searches for a smaller file of the same quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum X264Preset {
    Ultrafast,
    Superfast,
    Veryfast,
    Faster,
    Fast,
    Medium,
    Slow,
    Slower,
    Veryslow,
    Placebo,
}

/// What an encode is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A film; the preset counts for H.264 alone.
    Film(X264Preset),
    /// A guide or mask video: fast, and with little memory.
    Draft,
}

/// Everything that decides the bytes of a film but its frames.
#[derive(Debug, Clone)]
pub struct FilmFormat {
    pub size: Size,
    pub fps: Fps,
    pub layout: Layout,
    pub codec: Codec,
    pub crf: u32,
    pub effort: Effort,
    /// ffmpeg's names; None leaves them unsaid.
    pub primaries: Option<String>,
    pub transfer: Option<String>,
    /// Frames that must be coded without reference to others, such as the first of a stretch of flat grey.
    pub key_frames: Vec<usize>,
}

/// What a file holds beside its frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExtraStreams<'a> {
    /// Already coded.
    pub sound: Option<&'a Path>,
    /// As [`super::write_note`] wrote it.
    pub note: Option<&'a Path>,
}

/// A file that is being written.
pub struct Encoder {
    child: Child,
    output: PathBuf,
    written: usize,
    frame_bytes: usize,
    purpose: String,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("purpose", &self.purpose)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Media {
    /// Starts to write `output`.
    pub fn encode(
        &self,
        format: &FilmFormat,
        beside: ExtraStreams<'_>,
        output: &Path,
        purpose: &str,
    ) -> Result<Encoder, MediaError> {
        let child =
            Child::start(self, Tool::Ffmpeg, purpose, Pipes::InWithProgress, arguments(format, beside, output))?;
        let frame_bytes = format.layout.frame_bytes(format.size);
        Ok(Encoder { child, output: output.to_owned(), written: 0, frame_bytes, purpose: purpose.into() })
    }
}

impl Encoder {
    /// One frame in the format's layout.
    pub fn write(&mut self, frame: &[u8]) -> Result<(), MediaError> {
        assert_eq!(frame.len(), self.frame_bytes, "a frame of another size or layout");
        self.child.write(frame).map_err(|error| error.writing(&self.output))?;
        self.written += 1;
        Ok(())
    }

    pub fn written(&self) -> usize {
        self.written
    }

    /// Waits until the file is whole; how many frames are in it.
    pub fn finish(mut self) -> Result<usize, MediaError> {
        self.child.end().map_err(|error| error.writing(&self.output))?;
        let counted = self.child.frames_reported();
        if counted != self.written {
            return Err(MediaError::Wrong {
                problem: format!("ffmpeg took {counted} of {} frames while {}", self.written, self.purpose),
                wanted: format!("{} frames", self.written),
                found: format!("{counted} frames"),
            });
        }
        Ok(counted)
    }
}

fn arguments(format: &FilmFormat, beside: ExtraStreams<'_>, output: &Path) -> Vec<OsString> {
    let FilmFormat { size, fps, layout, codec, crf, effort, primaries, transfer, key_frames } = format;
    let ExtraStreams { sound, note } = beside;
    let mut words: Vec<OsString> = vec![];
    let mut say = |part: &[&str]| words.extend(part.iter().map(OsString::from));
    let (size, rate, crf) = (size.to_string(), fps.to_string(), crf.to_string());
    // Without -xerror, ffmpeg 5.1 ends well although the disk was too full for the file's index.
    say(&["-v", "error", "-y", "-nostats", "-progress", "pipe:1", "-stats_period", "0.2", "-xerror"]);
    say(&["-f", "rawvideo", "-pixel_format", pixel_format(*layout), "-video_size", &size, "-framerate", &rate]);
    say(&["-i", "pipe:0"]);
    if let Some(sound) = sound {
        words.extend(["-i".into(), ffmpeg_compat::url(sound)]);
    }
    if let Some(note) = note {
        words.extend(["-f".into(), "ffmetadata".into(), "-i".into(), ffmpeg_compat::url(note)]);
    }
    let mut say = |part: &[&str]| words.extend(part.iter().map(OsString::from));
    say(&["-map", "0:v:0"]);
    if sound.is_some() {
        say(&["-map", "1:a:0", "-c:a", "copy"]);
    }
    let metadata = match (note, sound) {
        (None, _) => "-1",
        (Some(_), None) => "1",
        (Some(_), Some(_)) => "2",
    };
    say(&["-map_metadata", metadata]);
    let preset = match effort {
        Effort::Film(preset) => *preset,
        Effort::Draft => X264Preset::Veryfast,
    };
    match codec {
        Codec::H264 => say(&["-c:v", "libx264", "-preset", &preset.to_string(), "-crf", &crf]),
        Codec::H265 => {
            say(&[
                "-c:v",
                "libx265",
                "-preset",
                "medium",
                "-crf",
                &crf,
                "-x265-params",
                "log-level=error",
                "-tag:v",
                "hvc1",
            ]);
        }
        Codec::Av1 => say(&["-c:v", "libsvtav1", "-preset", "8", "-crf", &crf]),
        Codec::Ffv1 => say(&["-c:v", "ffv1", "-level", "3", "-g", "1", "-slicecrc", "1"]),
    }
    if *effort == Effort::Draft {
        // Looking ahead would hold dozens of frames in memory for a few kilobytes less.
        say(&["-bf", "0", "-x264-params", "rc-lookahead=0:sync-lookahead=0"]);
    }
    match layout {
        Layout::Rgb => say(&["-pix_fmt", ffmpeg_compat::FFV1_RGB]),
        Layout::Yuv420 { matrix, range } => {
            let matrix = match matrix {
                Matrix::Bt601 => "smpte170m",
                Matrix::Bt709 => "bt709",
                Matrix::Bt2020 => "bt2020nc",
            };
            let range = match range {
                Range::Limited => "tv",
                Range::Full => "pc",
            };
            let (primaries, transfer) = (primaries.as_deref(), transfer.as_deref());
            // Said of the frames as well as of the stream: ffmpeg 7 converts where the two differ.
            let marks = format!(
                "setparams=range={range}:colorspace={matrix}:color_primaries={}:color_trc={}",
                primaries.unwrap_or("unknown"),
                transfer.unwrap_or("unknown")
            );
            say(&["-vf", &marks, "-pix_fmt", "yuv420p", "-color_range", range, "-colorspace", matrix]);
            say(&["-color_primaries", primaries.unwrap_or("unknown"), "-color_trc", transfer.unwrap_or("unknown")]);
        }
    }
    if !key_frames.is_empty() {
        let terms: Vec<String> = key_frames.iter().map(|frame| format!("eq(n,{frame})")).collect();
        say(&["-force_key_frames", &format!("expr:{}", terms.join("+"))]);
    }
    if is_mp4(output) {
        // Without it MP4 takes only the few tags that players show.
        say(&["-movflags", if note.is_some() { "+faststart+use_metadata_tags" } else { "+faststart" }, "-f", "mp4"]);
    } else {
        say(&["-f", "matroska"]);
    }
    words.push(ffmpeg_compat::url(output));
    words
}

fn is_mp4(output: &Path) -> bool {
    output.extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("mp4")
            || extension.eq_ignore_ascii_case("mov")
            || extension.eq_ignore_ascii_case("m4v")
    })
}
