//! What only the finished file is about: codec, quality, sound, name.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{FilmOptions, OptionsError, fields::merged};
use crate::pipeline::media::{Codec, X264Preset};

/// The film's sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audio {
    Keep,
    Mute,
    File(PathBuf),
}

impl FilmOptions {
    /// This, and where it says nothing, what lies below. A codec that is said decides what quality and preset mean: those
    /// below were said of another one.
    pub fn over(self, below: Self) -> Self {
        let says_codec = self.codec.is_some() || self.lossless == Some(true);
        let below = if says_codec { Self { audio: below.audio, ..Self::default() } } else { below };
        merged([&below, &self])
    }
}

/// What only the finished file is about.
#[derive(Debug, Clone, Serialize)]
pub struct FilmSettings {
    pub codec: Codec,
    pub crf: u32,
    /// None: medium for H.264; other codecs have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x264_preset: Option<X264Preset>,
    pub lossless: bool,
    pub audio: Audio,
}

impl FilmSettings {
    /// The codec, given what `--lossless`, `--codec` and `--crf` say together.
    pub fn new(ask: FilmOptions) -> Result<Self, OptionsError> {
        let FilmOptions { codec, crf, x264_preset, lossless, audio } = ask;
        let lossless = lossless.unwrap_or(false);
        let audio = audio.unwrap_or(Audio::Keep);
        let codec = match (codec, lossless) {
            (None | Some(Codec::Ffv1), true) => Codec::Ffv1,
            (Some(codec), true) => return Err(OptionsError::NotLossless { codec }),
            (codec, false) => codec.unwrap_or(Codec::H264),
        };
        let most = match codec {
            Codec::H264 | Codec::H265 => 51,
            Codec::Av1 => 63,
            Codec::Ffv1 if crf.is_some() => return Err(OptionsError::NoQuality),
            Codec::Ffv1 => 0,
        };
        if codec != Codec::H264 && x264_preset.is_some() {
            return Err(OptionsError::X264Preset { codec });
        }
        match crf {
            Some(crf) if crf > most => Err(OptionsError::CrfTooHigh { crf, codec, most }),
            crf => Ok(Self { codec, crf: crf.unwrap_or(14), x264_preset, lossless, audio }),
        }
    }

    /// As it is requested once more.
    pub fn to_options(&self) -> FilmOptions {
        let Self { codec, crf, x264_preset, lossless, audio } = self;
        FilmOptions {
            codec: Some(*codec),
            crf: (*codec != Codec::Ffv1).then_some(*crf),
            x264_preset: *x264_preset,
            lossless: Some(*lossless),
            audio: Some(audio.clone()),
        }
    }

    /// The extension of the output's default name.
    pub fn extension(&self) -> &'static str {
        match self.codec {
            Codec::Ffv1 => "mkv",
            _ => "mp4",
        }
    }

    /// Refuses a name whose extension promises another file than will be written.
    pub fn check_name(&self, output: &std::path::Path) -> Result<(), OptionsError> {
        let extension = output.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let fits = match (self.codec, extension.as_deref()) {
            (_, Some("mkv")) => true,
            (Codec::Ffv1, _) => false,
            (_, extension) => matches!(extension, Some("mp4" | "mov" | "m4v")),
        };
        if fits {
            return Ok(());
        }
        let wanted = if self.codec == Codec::Ffv1 { ".mkv" } else { ".mp4, .mov, .m4v or .mkv" };
        Err(OptionsError::Extension { found: extension, codec: self.codec, wanted })
    }
}
