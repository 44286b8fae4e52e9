//! The plan's choices of two words each, the same on the command line and in plan.json.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Mode {
    /// Put the generated frames between the clips
    Insert,
    /// Let them replace as many of the clips' own frames, half from each side
    Replace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Align {
    /// Round lengths so that every latent is wholly known or wholly generated
    Latent,
    /// Keep the requested lengths; the gap is shortened by 0 to 3 frames
    Exact,
}

/// When a latent is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum MaskRule {
    /// Keep a latent if all its frames are known
    Exact,
    /// Keep it if the frame is known that nearest sampling along time picks, as in diffusers
    Reference,
    /// Frame by frame, as image-to-video models take it; set by the model, not on the command line.
    #[value(skip)]
    Frames,
}

/// What becomes of a latent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Mask {
    Keep,
    Generate,
    /// Some of its frames are kept, which only the rule `frames` can say.
    Partly,
}
