//! What was asked: every option as a typed value, with its default, checked where no file is needed for it.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use serde::{Serialize, Serializer};

mod wan;

pub use wan::{Prompts, WanAsk, WanSettings, random_seed};

use super::{
    fault::{Code, Details, Fault},
    job::Device,
    media::{Codec, Fit},
    plan::{Align, Blend, JoinAsk, MaskRule, Mode},
    video::{Fps, Size, Time, decimal},
};

/// Frames, or a time that becomes frames at the film's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Frames(usize),
    Seconds(Time),
}

impl Length {
    /// At least one frame, however short the time.
    pub fn frames(self, fps: Fps) -> usize {
        match self {
            Self::Frames(frames) => frames,
            Self::Seconds(time) => fps.frames_in(time).max(1),
        }
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WANTED: &str = "wanted a number of frames such as 16, or seconds such as 0.5s, above 0";
        let length = match text.strip_suffix('s') {
            Some(seconds) => decimal(seconds).filter(|_| !seconds.is_empty()).map(Self::Seconds),
            None => text.parse().ok().map(Self::Frames),
        };
        match length {
            Some(Self::Frames(1..=100_000)) => {}
            Some(Self::Seconds(time)) if time > Time::default() && time <= Time::from_integer(3600) => {}
            _ => return Err(format!("`{text}` is no length, {WANTED}")),
        }
        length.ok_or_else(|| WANTED.into())
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Frames(frames) => frames.serialize(serializer),
            Self::Seconds(time) => serializer.collect_str(&format_args!("{time}s")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    Auto,
    Wan,
    Rife,
    Dissolve,
}

impl EngineChoice {
    /// Made frames fade into the clips' own where the engine makes those anew.
    fn blend(self) -> usize {
        if self == Self::Wan { 4 } else { 0 }
    }
}

/// How the engine does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EngineSettings {
    pub device: Device,
    /// None: one for every core.
    pub threads: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Audio {
    Keep,
    Mute,
    File(PathBuf),
}

/// What a plan needs.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// None: what the model has by default.
    pub context: Option<Length>,
    /// None: what the mode has by default.
    pub gap: Option<Length>,
    #[serde(serialize_with = "as_text")]
    pub mode: Mode,
    #[serde(serialize_with = "as_text")]
    pub align: Align,
    /// None: what goes with the alignment.
    #[serde(skip)]
    pub mask_rule: Option<MaskRule>,
    pub blend: Option<usize>,
    pub fps: Option<Fps>,
    pub size: Option<Size>,
    pub fit: Fit,
    pub looped: bool,
    pub anchors: bool,
    pub engine: EngineChoice,
}

/// What only the finished file is about.
#[derive(Debug, Clone, Serialize)]
pub struct FilmSettings {
    pub codec: Codec,
    pub crf: u32,
    pub lossless: bool,
    pub audio: Audio,
}

impl Settings {
    /// The same, for a model that is shown frames at the start and the end.
    pub fn for_images(self) -> Result<Self, SettingsError> {
        match self.mask_rule {
            Some(rule) => Err(SettingsError::MaskRule { rule }),
            None => Ok(Self { mask_rule: Some(MaskRule::Frames), ..self }),
        }
    }

    /// The question to the planner, at the film's rate.
    pub fn ask(&self, fps: Fps) -> JoinAsk {
        let gap = self.gap.unwrap_or(Length::Frames(match self.mode {
            Mode::Insert => 53,
            Mode::Replace => 16,
        }));
        let mask_rule = self.mask_rule.unwrap_or(match self.align {
            Align::Latent => MaskRule::Exact,
            Align::Exact => MaskRule::Reference,
        });
        // An image-to-video model has learned to go from one frame to another.
        let context = self.context.unwrap_or(Length::Frames(if mask_rule == MaskRule::Frames { 1 } else { 8 }));
        JoinAsk {
            context: context.frames(fps),
            gap: gap.frames(fps),
            mode: self.mode,
            align: self.align,
            mask_rule,
            // What rife and dissolve make of the context is the context itself: nothing to fade.
            blend: self.blend.map_or(Blend::UpTo(self.engine.blend()), Blend::Exactly),
            looped: self.looped,
            anchors: self.anchors,
        }
    }
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

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{} cannot be lossless here", codec.name())]
    NotLossless { codec: Codec },
    #[error("ffv1 is lossless and has no --crf")]
    NoQuality,
    #[error("--crf {crf} is out of range for {}", codec.name())]
    CrfTooHigh { crf: u32, codec: Codec, most: u32 },
    #[error("the output's extension {} contradicts the codec {}", found.as_deref().map_or("(none)".into(), |found| format!("`.{found}`")), codec.name())]
    Extension { found: Option<String>, codec: Codec, wanted: &'static str },
    #[error("--guidance has {found} values, and the model has {}", if *phases == 1 { "one expert" } else { "two" })]
    Guidance { found: usize, phases: usize },
    #[error("cannot read the prompts in {}: {source}", path.display())]
    PromptFile { path: PathBuf, source: Arc<std::io::Error> },
    #[error("{} has {found} prompts, and the film has {seams} seams", path.display())]
    PromptCount { path: PathBuf, found: usize, seams: usize },
    #[error("--engine {engine} takes no {option}")]
    NotForEngine { engine: &'static str, option: &'static str },
    #[error("--mask-rule {rule} is for models with VACE, and this one starts and ends with images")]
    MaskRule { rule: MaskRule },
    #[error("--engine wan needs weights")]
    NoModel,
}

impl Fault for SettingsError {
    fn code(&self) -> Code {
        match self {
            Self::PromptFile { .. } | Self::PromptCount { .. } => Code::Input,
            _ => Code::Usage,
        }
    }

    fn details(&self) -> Details {
        let (wanted, help) = match self {
            Self::NotLossless { .. } => {
                ("--codec ffv1, or none, with --lossless".into(), "leave out --codec or --lossless")
            }
            Self::NoQuality => ("no --crf with ffv1".into(), "leave out --crf"),
            Self::CrfTooHigh { most, .. } => (format!("0 to {most}"), "14 is the default; lower is better and larger"),
            Self::Extension { wanted, .. } => (format!("a name that ends with {wanted}"), "change -o or --codec"),
            Self::Guidance { phases: 1, .. } => ("one value".into(), "leave out what stands after the `;`"),
            Self::Guidance { .. } => {
                ("one value, or one for each expert: HIGH;LOW".into(), "such as --guidance \"3.5;1\"")
            }
            Self::PromptFile { .. } => {
                ("a text file with one prompt for each seam on a line of its own".into(), "check --prompts")
            }
            Self::PromptCount { seams, .. } => {
                (format!("{seams} lines, one for each seam"), "an empty line is an empty prompt")
            }
            Self::NotForEngine { .. } => {
                ("--engine wan".into(), "leave the option out, or name the weights with --model")
            }
            Self::MaskRule { .. } => ("no --mask-rule with an image-to-video model".into(), "leave out --mask-rule"),
            Self::NoModel => ("--model FOLDER or --model FILE".into(), "or use --engine rife, which needs none"),
        };
        Details { wanted: Some(wanted), help: Some(help.into()), ..Details::default() }
    }
}

fn as_text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_frames_or_seconds_and_above_zero() {
        assert_eq!("8".parse(), Ok(Length::Frames(8)));
        let fps: Fps = "30000/1001".parse().unwrap();
        assert_eq!("0.5s".parse::<Length>().unwrap().frames(fps), 15);
        assert_eq!("0.001s".parse::<Length>().unwrap().frames(fps), 1);
        for text in [
            "0",
            "-1",
            "",
            "s",
            "0s",
            "0.0s",
            "x",
            "1e3",
            "99999999999999999999",
            "-0.5s",
            "nan",
            "inf",
            "1.5",
            "8f",
            "99999s",
            " 8",
        ] {
            assert!(text.parse::<Length>().is_err(), "{text:?}");
        }
    }
}
