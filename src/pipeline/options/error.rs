//! What can be wrong with what was asked, before any file of footage is opened.

use std::{path::PathBuf, sync::Arc};

use super::{EngineChoice, Parts, Source};
use crate::pipeline::{
    job::schedule::Expert,
    media::Codec,
    plan::MaskRule,
    types::error::{ErrorCode, ErrorDetails, Reportable},
};

#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("{} cannot be lossless here", codec)]
    NotLossless { codec: Codec },
    #[error("ffv1 is lossless and has no --crf")]
    NoQuality,
    #[error("--x264-preset goes with the codec h264, and the codec is {codec}")]
    X264Preset { codec: Codec },
    #[error("--crf {crf} is out of range for {}", codec)]
    CrfTooHigh { crf: u32, codec: Codec, most: u32 },
    #[error("the output's extension {} contradicts the codec {}", found.as_deref().map_or("(none)".into(), |found| format!("`.{found}`")), codec)]
    Extension { found: Option<String>, codec: Codec, wanted: &'static str },
    #[error("{option} is {found} ({from})")]
    Range { option: &'static str, found: String, wanted: &'static str, from: Source },
    #[error("guidance has {found} values, and there {} ({from})", phases_are(*phases))]
    Guidance { found: usize, phases: usize, from: Source },
    #[error("there are {found} thresholds, and there {} ({from})", phases_are(*phases))]
    Thresholds { found: usize, phases: usize, from: Source },
    #[error("the LoRA {} has {found} weights, and there {} ({from})", file.display(), phases_are(*phases))]
    LoraPhases { file: PathBuf, found: usize, phases: usize, from: Source },
    #[error("phase {phase} is the low-noise expert's, and the model has one transformer for all noise ({from})")]
    OneExpert { phase: usize, from: Source },
    #[error("a phase of the high-noise expert comes after one of the low-noise expert ({from})")]
    ExpertOrder { from: Source },
    #[error("no phase is the {expert}-noise expert's, which would never be used ({from})")]
    ExpertUnused { expert: Expert, from: Source },
    #[error("segment {segment}: {error}")]
    OfSegment { segment: usize, error: Box<Self> },
    #[error("with --strict nothing may be ignored: {what}")]
    Ignored { what: String },
    #[error("cannot read the prompts in {}: {source}", path.display())]
    PromptFile { path: PathBuf, source: Arc<std::io::Error> },
    #[error("{} has {found} prompts, and the film has {parts}", path.display())]
    PromptCount { path: PathBuf, found: usize, parts: Parts, from: Source },
    #[error("there are {found} {what}, and the film has {parts} ({from})")]
    Counted { found: usize, what: &'static str, parts: Parts, from: Source },
    #[error("the mask rule is {rule}, and this model has another way to be shown frames ({from})")]
    MaskRule { rule: MaskRule, from: Source },
    #[error("{option} does not go with a range")]
    BesideRange { option: &'static str, from: Source },
    #[error("a travel that continues a clip cannot loop back to its first image")]
    LoopContinued,
    #[error("{found} segments are said, and {images} images have {between} between them ({from})")]
    Segments { found: usize, images: usize, between: usize, from: Source },
    #[error("{} takes no {option}", shown_to(*engine))]
    NotGuided { engine: EngineChoice, option: &'static str },
    #[error("there is no {} {part}: the film has {parts}", parts.of)]
    NoSuchPart { part: usize, parts: Parts },
    #[error("there is nothing to make, only pieces to put together")]
    NoParts,
    #[error("{} is an image, and {} a video", image.display(), clip.display())]
    Mixed { image: PathBuf, clip: PathBuf },
    #[error("{option} is of a {of}")]
    NotOfThis { option: String, of: &'static str },
    #[error("--jobs {jobs} needs --device cpu, and the device is {device}")]
    Jobs { jobs: usize, device: String },
    #[error("--engine {engine} takes no {option}")]
    NotForEngine { engine: EngineChoice, option: String },
}

/// A wrong option, or a file that is wrong.
fn code_of(from: &Source) -> ErrorCode {
    match from {
        Source::Flag | Source::BuiltIn | Source::Weights => ErrorCode::Usage,
        Source::Preset(_) | Source::Story(_) | Source::Task(_) | Source::TaskField { .. } => ErrorCode::Input,
    }
}

fn phases_are(phases: usize) -> String {
    if phases == 1 { "is one phase".into() } else { format!("are {phases} phases") }
}

fn shown_to(engine: EngineChoice) -> String {
    match engine {
        EngineChoice::Wan => "an image-to-video model".into(),
        other => format!("--engine {other}"),
    }
}

impl Reportable for OptionsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::PromptFile { .. } => ErrorCode::Input,
            Self::OfSegment { error, .. } => error.code(),
            Self::PromptCount { from, .. }
            | Self::Counted { from, .. }
            | Self::Segments { from, .. }
            | Self::Range { from, .. }
            | Self::Guidance { from, .. }
            | Self::Thresholds { from, .. }
            | Self::LoraPhases { from, .. }
            | Self::OneExpert { from, .. }
            | Self::ExpertOrder { from }
            | Self::ExpertUnused { from, .. }
            | Self::BesideRange { from, .. }
            | Self::MaskRule { from, .. } => code_of(from),
            Self::NotLossless { .. }
            | Self::NoQuality
            | Self::X264Preset { .. }
            | Self::CrfTooHigh { .. }
            | Self::Extension { .. }
            | Self::Ignored { .. }
            | Self::LoopContinued
            | Self::NotGuided { .. }
            | Self::NoSuchPart { .. }
            | Self::NoParts
            | Self::Mixed { .. }
            | Self::NotOfThis { .. }
            | Self::Jobs { .. }
            | Self::NotForEngine { .. } => ErrorCode::Usage,
        }
    }

    fn details(&self) -> ErrorDetails {
        let (wanted, help) = match self {
            Self::NotLossless { .. } => {
                ("--codec ffv1, or none, with --lossless".into(), "leave out --codec or --lossless")
            }
            Self::NoQuality => ("no --crf with ffv1".into(), "leave out --crf"),
            Self::X264Preset { .. } => ("--codec h264, without --lossless".into(), "leave out --x264-preset"),
            Self::CrfTooHigh { most, .. } => (format!("0 to {most}"), "14 is the default; lower is better and larger"),
            Self::Extension { wanted, .. } => (format!("a name that ends with {wanted}"), "change -o or --codec"),
            Self::Range { wanted, .. } => ((*wanted).into(), "correct the number"),
            Self::Guidance { phases: 1, .. } => ("one value".into(), "leave out what stands after the `;`"),
            Self::Guidance { phases, .. } => {
                (format!("one value, or {phases}: one for each phase"), "such as --guidance \"3.5;1\" for two phases")
            }
            Self::Thresholds { phases, .. } => {
                (format!("{} of them, one between every two phases", phases - 1), "or say the steps of every phase")
            }
            Self::LoraPhases { phases: 1, .. } => {
                ("one weight".into(), "weights that change from step to step have commas between them: 1,0.5")
            }
            Self::LoraPhases { phases, .. } => {
                (format!("one weight, or {phases}: one for each phase"), "such as 1;0 for two phases")
            }
            Self::OneExpert { .. } => (
                "phases of the high-noise expert alone".into(),
                "give both experts: --model high=FILE --model low=FILE",
            ),
            Self::ExpertOrder { .. } => {
                ("the high-noise expert's phases first".into(), "order the phases as the noise falls")
            }
            Self::ExpertUnused { .. } => {
                ("phases of both experts".into(), "say which phases are whose: expert: high, expert: low")
            }
            Self::OfSegment { error, .. } => return error.details(),
            Self::Ignored { .. } => ("only what counts".into(), "leave it out, or leave out --strict"),
            Self::PromptFile { .. } => {
                ("a text file with one prompt for each seam on a line of its own".into(), "check --prompts")
            }
            Self::PromptCount { parts: Parts { count, of }, .. } => {
                (format!("{count} lines, one for each {of}"), "an empty line is an empty prompt")
            }
            Self::Counted { what, parts: Parts { count, of }, .. } => {
                (format!("{count} {what}, one for each {of}"), "or one for all of them")
            }
            Self::MaskRule { .. } => {
                ("frames with an image-to-video model, exact or reference with VACE".into(), "leave out --mask-rule")
            }
            Self::BesideRange { option, from } => (
                format!("no {option} ({from}): a range says how much is made, and where"),
                "leave it out, or leave out --range",
            ),
            Self::LoopContinued => ("--loop or --continue".into(), "leave one of them out"),
            Self::Segments { between, .. } => {
                (format!("{between} segments or more"), "say one for every two neighbouring images, or leave them out")
            }
            Self::NotGuided { .. } => (
                "--engine wan with a VACE model, which is shown a guide".into(),
                "leave it out, or name a VACE model with --model or --preset",
            ),
            Self::NoSuchPart { parts, .. } => (format!("1 to {}", parts.count), "correct --segment"),
            Self::NoParts => ("a film with seams or segments".into(), "leave out --emit"),
            Self::Mixed { .. } => (
                "videos alone for a join, or images alone for a travel".into(),
                "a travel continues a video with --continue",
            ),
            Self::NotOfThis { .. } => {
                ("videos with options of a join, images with options of a travel".into(), "leave the option out")
            }
            Self::Jobs { .. } => {
                ("--jobs with the CPU, or several GPUs".into(), "such as --device cpu --jobs 2, or --device cuda:0,1")
            }
            Self::NotForEngine { .. } => {
                ("--engine wan".into(), "leave the option out, or name the weights with --model or --preset")
            }
        };
        ErrorDetails { wanted: Some(wanted), help: Some(help.into()), ..ErrorDetails::default() }
    }
}
