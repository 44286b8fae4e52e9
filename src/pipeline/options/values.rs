//! Options whose values are more than a number or a word.

use clap::ValueEnum;
use std::{fmt, ops::Range, path::PathBuf, str::FromStr};
use strum::{Display, EnumString};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::pipeline::types::video::{Fps, Time, decimal};

/// Frames, or a time that becomes frames at the film's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Frames(usize),
    Seconds(Time),
}

/// Frames A to B of a clip, B excluded, written A..B; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameRange(pub Range<usize>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum EngineChoice {
    /// wan where its weights are found and a GPU holds them, or where --model or --preset names them; else rife
    Auto,
    /// A Wan model; needs its weights
    Wan,
    /// RIFE, a small interpolation network inside the engine program
    Rife,
    /// Cross-fade; needs no engine program
    Dissolve,
}

/// The prompts of all segments; read from a text, a list, or as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", remote = "Self")]
pub enum Prompts {
    One(String),
    Each(Vec<String>),
    /// A file with one on each line.
    File(PathBuf),
}

impl Serialize for Prompts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "wanted a text, or one for each segment")]
        enum Either {
            One(String),
            Each(Vec<String>),
            Written(#[serde(with = "Prompts")] Prompts),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::One(prompt) => Self::One(prompt),
            Either::Each(prompts) => Self::Each(prompts),
            Either::Written(prompts) => prompts,
        })
    }
}

impl From<String> for Prompts {
    fn from(prompt: String) -> Self {
        Self::One(prompt)
    }
}

/// The same for all segments, or one for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Each<T> {
    All(T),
    Each(Vec<T>),
}

impl<T: Clone> Each<T> {
    /// For so many; how many there are where it is another number.
    pub(super) fn of(&self, count: usize) -> Result<Vec<T>, usize> {
        match self {
            Self::All(value) => Ok(vec![value.clone(); count]),
            Self::Each(values) if values.len() == count => Ok(values.clone()),
            Self::Each(values) => Err(values.len()),
        }
    }
}

/// Which part of a structure clip guides which part of the film.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StructureUse {
    /// Of the journey's structure clips.
    pub clip: usize,
    /// None: from the film's start on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub film: Option<FrameRange>,
    /// None: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<FrameRange>,
    /// Whether its frames are spread over that part of the film, and do not stand one by one from its start.
    #[serde(default)]
    pub spread: bool,
}

/// Seeds of the segments that have none of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum SeedMode {
    /// The same seed for every segment
    Same,
    /// One more for each segment
    Increment,
    /// A hash of the seed and the segment's number
    Hash,
}

impl SeedMode {
    pub fn seed(self, base: u64, segment: usize) -> u64 {
        match self {
            Self::Same => base,
            Self::Increment => base.wrapping_add(segment as u64),
            Self::Hash => {
                let hash = Sha256::digest(format!("{base} {segment}"));
                u64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) >> 1)
            }
        }
    }
}

/// Guidance scale (CFG); read from a number, a list, or as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", remote = "Self")]
pub enum Guidance {
    /// One for all phases.
    All(f64),
    /// One for each phase.
    Each(Vec<f64>),
    /// For the first phases; those of which nothing is said stay as they are.
    Some(Vec<Option<f64>>),
}

/// Where the noise comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// Written -1.
    Random,
    Fixed(u64),
}

impl Serialize for Guidance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Guidance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "wanted a number, or one for each phase")]
        enum Either {
            All(f64),
            Each(Vec<f64>),
            Written(#[serde(with = "Guidance")] Guidance),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::All(scale) => Self::All(scale),
            Either::Each(scales) => Self::Each(scales),
            Either::Written(guidance) => guidance,
        })
    }
}

impl FromStr for Guidance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = |part: &str| part.trim().parse().ok().filter(|value: &f64| (0.0..=100.0).contains(value));
        let values: Option<Vec<f64>> = text.split(';').map(value).collect();
        match values.as_deref() {
            Some([one]) => Ok(Self::All(*one)),
            Some(each) => Ok(Self::Each(each.to_vec())),
            None => Err(format!("`{text}` is no guidance, wanted numbers from 0 to 100 such as 5 or 3.5;1")),
        }
    }
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
        const WANTED: &str = "wanted a number of frames from 1 on, such as 16, or seconds above 0, such as 0.5s";
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

impl FromStr for FrameRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| digits).map(|number| number as usize)
        };
        let ends = text.split_once("..").and_then(|(start, end)| Some(number(start)?..number(end)?));
        match ends {
            Some(range) if !range.is_empty() => Ok(Self(range)),
            Some(range) if range.start == range.end => Err(format!("`{text}` holds no frame: B of A..B is left out")),
            Some(range) => Err(format!("`{text}` is the wrong way round, wanted {}..{}", range.end, range.start)),
            None => Err(format!("`{text}` is no range of frames, wanted A..B such as 20..37, B left out")),
        }
    }
}

impl fmt::Display for FrameRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.0.start, self.0.end)
    }
}

impl Serialize for FrameRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FrameRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Frames(frames) => frames.serialize(serializer),
            // Of at most nine decimals and 3600: a double holds it exactly as typed.
            Self::Seconds(time) => {
                serializer.collect_str(&format_args!("{}s", *time.numer() as f64 / *time.denom() as f64))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "wanted a number of frames from 1 on, such as 16, or seconds above 0, such as \"0.5s\""
        )]
        enum Written {
            Frames(u64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Frames(frames) => frames.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Random => serializer.serialize_i64(-1),
            Self::Fixed(seed) => serializer.serialize_u64(*seed),
        }
    }
}

impl TryFrom<i64> for Seed {
    type Error = String;

    fn try_from(seed: i64) -> Result<Self, String> {
        match u64::try_from(seed) {
            Ok(seed) => Ok(Self::Fixed(seed)),
            Err(_) if seed == -1 => Ok(Self::Random),
            Err(_) => Err(format!("{seed} is no seed, wanted a whole number from 0, or -1 for a random one")),
        }
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
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

    #[test]
    fn a_length_is_written_as_it_is_typed() {
        for text in ["0.5s", "0.000000001s", "3599.999999999s", "1s", "0.1s"] {
            let length: Length = text.parse().unwrap();
            assert_eq!(serde_json::to_value(length).unwrap(), text);
            assert_eq!(serde_json::from_value::<Length>(text.into()).unwrap(), length);
        }
        assert_eq!(serde_json::to_value(Length::Frames(8)).unwrap(), 8);
        for text in ["0", "-3", "1.5", "\"0s\"", "null", "[]"] {
            assert!(serde_json::from_str::<Length>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_is_two_frames_in_order_and_is_written_as_it_is_typed() {
        for text in ["0..1", "20..37", "0..4294967295"] {
            let range: FrameRange = text.parse().unwrap();
            assert_eq!(serde_json::to_value(&range).unwrap(), text);
            assert_eq!(serde_json::from_value::<FrameRange>(text.into()).unwrap(), range);
        }
        for (text, words) in [
            ("5..5", "holds no frame"),
            ("9..3", "wrong way round, wanted 3..9"),
            ("", "no range"),
            ("5", "no range"),
            ("..5", "no range"),
            ("5..", "no range"),
            ("-1..5", "no range"),
            ("+1..5", "no range"),
            ("1..=5", "no range"),
            ("1...5", "no range"),
            ("0.5s..1s", "no range"),
            ("1..99999999999999999999", "no range"),
        ] {
            let problem = text.parse::<FrameRange>().unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn a_seed_is_a_number_or_minus_one() {
        let read = |text: &str| serde_json::from_str::<Seed>(text).ok();
        assert_eq!(read("-1"), Some(Seed::Random));
        assert_eq!(read("0"), Some(Seed::Fixed(0)));
        assert_eq!((read("-2"), read("1.5"), read("\"x\"")), (None, None, None));
    }
}
