//! ffmpeg and ffprobe: facts of clips, their frames, and the film. No other module starts either program.
#![allow(clippy::disallowed_types, reason = "this module starts ffmpeg and ffprobe")]

mod animation;
mod clip;
mod colours;
mod decode;
mod dynamic_range;
mod encode;
mod error;
mod ffmpeg_compat;
mod fit;
mod frame_rate;
mod full_decode;
mod hdr;
mod levels;
mod media_file;
mod note;
mod probe;
mod process;
mod reading;
mod report;
mod sound;
mod sound_clock;
mod sound_reader;
mod steady;
mod still;
#[cfg(test)]
mod tests;
mod tracks;
mod verify;

use std::{ffi::OsString, path::PathBuf};

pub use clip::{Clip, Color, Counts, Picture, RateSource, Sampling, Sound, Timing};
pub use decode::{Frames, Wanted};
pub use encode::{Codec, Effort, Encoder, ExtraStreams, FilmFormat, X264Preset};
pub use error::{MediaError, Tool, Unusable};
pub use fit::Fit;
pub use hdr::{DolbyVision, DynamicRange};
pub use levels::ExpectedSound;
pub use media_file::MediaFile;
pub use note::write_note;
pub use reading::UNDER;
pub use sound::{MissingSound, SoundCodec, SoundPart, Soundtrack, Voice, WrittenSound};
pub use sound_reader::SoundSource;
pub use still::Still;
pub use tracks::{Track, TrackChoice, TrackKind};
pub use verify::Verified;

use crate::pipeline::{
    system::{child::ProcessLimits, environment},
    types::cancel::CancelToken,
};

/// The two programs, and when to stop waiting for them.
#[derive(Debug, Clone)]
pub struct Media {
    ffmpeg: OsString,
    ffprobe: OsString,
    leash: ProcessLimits,
}

impl Media {
    /// Takes the programs that the environment names, else those on the PATH.
    pub fn new(cancel: CancelToken) -> Self {
        Self {
            ffmpeg: environment::FFMPEG.get().unwrap_or_else(|| "ffmpeg".into()),
            ffprobe: environment::FFPROBE.get().unwrap_or_else(|| "ffprobe".into()),
            leash: ProcessLimits::new(cancel),
        }
    }

    fn program(&self, tool: Tool) -> PathBuf {
        match tool {
            Tool::Ffmpeg => PathBuf::from(&self.ffmpeg),
            Tool::Ffprobe => PathBuf::from(&self.ffprobe),
        }
    }
}
