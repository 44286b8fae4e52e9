//! What only the finished file is about: codec, quality, sound, name.

use std::path::PathBuf;

use serde::Serialize;

use super::SettingsError;
use crate::pipeline::media::Codec;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Audio {
    Keep,
    Mute,
    File(PathBuf),
}

/// What only the finished file is about.
#[derive(Debug, Clone, Serialize)]
pub struct FilmSettings {
    pub codec: Codec,
    pub crf: u32,
    pub lossless: bool,
    pub audio: Audio,
}

impl FilmSettings {
    /// The codec, given what `--lossless`, `--codec` and `--crf` say together.
    pub fn new(codec: Option<Codec>, crf: Option<u32>, lossless: bool, audio: Audio) -> Result<Self, SettingsError> {
        let codec = match (codec, lossless) {
            (None | Some(Codec::Ffv1), true) => Codec::Ffv1,
            (Some(codec), true) => return Err(SettingsError::NotLossless { codec }),
            (codec, false) => codec.unwrap_or(Codec::H264),
        };
        let most = match codec {
            Codec::H264 | Codec::H265 => 51,
            Codec::Av1 => 63,
            Codec::Ffv1 if crf.is_some() => return Err(SettingsError::NoQuality),
            Codec::Ffv1 => 0,
        };
        match crf {
            Some(crf) if crf > most => Err(SettingsError::CrfTooHigh { crf, codec, most }),
            crf => Ok(Self { codec, crf: crf.unwrap_or(14), lossless, audio }),
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
    pub fn check_name(&self, output: &std::path::Path) -> Result<(), SettingsError> {
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
        Err(SettingsError::Extension { found: extension, codec: self.codec, wanted })
    }
}
