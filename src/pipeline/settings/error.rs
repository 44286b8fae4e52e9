//! What can be wrong with what was asked, before any file of footage is opened.

use std::{path::PathBuf, sync::Arc};

use crate::pipeline::{
    fault::{Code, Details, Fault},
    media::Codec,
};

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
    #[error("there are {found} prompts, and the film has {seams} seams")]
    Prompts { found: usize, seams: usize },
    #[error("--engine {engine} takes no {option}")]
    NotForEngine { engine: &'static str, option: &'static str },
    #[error("--engine wan needs weights")]
    NoModel,
}

impl Fault for SettingsError {
    fn code(&self) -> Code {
        match self {
            Self::PromptFile { .. } | Self::PromptCount { .. } | Self::Prompts { .. } => Code::Input,
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
            Self::Prompts { seams, .. } => (format!("{seams} prompts, one for each seam"), "or one for all of them"),
            Self::NotForEngine { .. } => {
                ("--engine wan".into(), "leave the option out, or name the weights with --model")
            }
            Self::NoModel => ("--model FOLDER or --model FILE".into(), "or use --engine rife, which needs none"),
        };
        Details { wanted: Some(wanted), help: Some(help.into()), ..Details::default() }
    }
}
