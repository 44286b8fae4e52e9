//! What a journey has that a join has not: images at their frames, and how what is carried over looks.

use clap::{ValueEnum, builder::PossibleValue};
use std::ops::Range;
use strum::{Display, EnumString};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Origin, json};

/// Of a plan that passes through images.
#[derive(Debug, Clone, PartialEq)]
pub struct Journey {
    pub keys: Vec<Key>,
    /// Of the frames that a segment is shown of the one before it.
    pub look: Look,
    /// Of the frames made in every segment after the first.
    pub later: Tone,
    /// How structure clips are shown; none where there are none.
    pub treatment: Option<Treatment>,
}

/// An image, and the frame of the film that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Key {
    pub input: usize,
    pub frame: usize,
}

/// How carried frames are shown to the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// 1 as they are, 0 plain grey, mixed between.
    pub strength: f64,
    /// 0 as they are, 1 in greys, mixed between.
    pub desaturate: f64,
    /// Every value times 1 + this: + is brighter.
    pub brightness: f64,
}

impl Look {
    pub const PLAIN: Self = Self { strength: 1.0, desaturate: 0.0, brightness: 0.0 };
}

/// What is done to made frames on their way into the film.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tone {
    /// 1 as they are, 0 in greys.
    pub saturation: f64,
    /// Every value times 1 + this: + is brighter.
    pub brightness: f64,
}

impl Tone {
    pub const PLAIN: Self = Self { saturation: 1.0, brightness: 0.0 };
}

/// How two stretches of the same length cross-fade.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", remote = "Self")]
pub enum Curve {
    /// Linear and symmetric; no frame is one stretch alone.
    Even,
    /// Half a cosine that ends in the second stretch alone, its frames sharpened by so much on the way.
    #[serde(alias = "worker")]
    Sharpened(f64),
}

impl Curve {
    /// How strongly `--curve sharpened` sharpens: the default of Wan2GP, whose cross-fade it is.
    pub const SHARPENING: f64 = 0.3;
}

impl Serialize for Curve {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// From a word as on the command line, or as it is written.
impl<'de> Deserialize<'de> for Curve {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "wanted even or sharpened")]
        enum Either {
            Word(String),
            Written(#[serde(with = "Curve")] Curve),
        }
        match Either::deserialize(deserializer)? {
            Either::Word(word) => <Self as ValueEnum>::from_str(&word, false)
                .map_err(|_| Error::custom(format!("`{word}` is no curve, wanted even or sharpened"))),
            Either::Written(curve) => Ok(curve),
        }
    }
}

impl ValueEnum for Curve {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Even, Self::Sharpened(Self::SHARPENING)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Even => PossibleValue::new("even").help("Linear, alike from both ends"),
            Self::Sharpened(_) => PossibleValue::new("sharpened")
                .help("Half a cosine, with the frames on the way sharpened, as Wan2GP does it"),
        })
    }
}

/// A stretch of a clip, or of what is made at a seam.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stretch {
    #[serde(flatten)]
    pub origin: Origin,
    #[serde(serialize_with = "json::range")]
    pub frames: Range<usize>,
}

/// Where a length goes that is not 4n+1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Round {
    Down,
    Up,
    /// To the nearer one, down where both are as near
    Nearest,
}

impl Round {
    /// To 4n+1 frames, 1 at least.
    pub fn to_4n1(self, frames: usize) -> usize {
        let steps = match self {
            Self::Down => frames.max(1) - 1,
            Self::Up => frames + 2,
            Self::Nearest => frames,
        };
        steps / 4 * 4 + 1
    }
}

/// What of a structure clip the model is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Treatment {
    /// Its frames as they are
    Raw,
    /// White edges on black
    Edges,
}
