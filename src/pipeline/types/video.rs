//! Sizes, rates, times, frames.

use std::{fmt, str::FromStr};

use num_rational::Ratio;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    pub const fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Bytes of one 8-bit RGB frame.
    pub const fn rgb_bytes(self) -> usize {
        self.pixels() * 3
    }

    /// H.264 4:2:0 halves both sides for its colour planes, so the last odd column and row go.
    pub const fn even(self) -> Self {
        Self::new(self.width & !1, self.height & !1)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match sides {
            Some((width, height)) if (2..=16384).contains(&width) && (2..=16384).contains(&height) => {
                Ok(Self { width, height })
            }
            Some(_) => Err(format!("`{text}` is out of range, each side can be 2 to 16384")),
            None => Err(format!("`{text}` is no size, wanted WIDTHxHEIGHT such as 1280x720")),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.width, self.height].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "wanted a size such as 1280x720")]
        enum Either {
            Sides([u32; 2]),
            Text(String),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Sides([width, height]) => Self::new(width, height).to_string(),
            Either::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

/// An exact time in seconds.
pub type Time = Ratio<i64>;

/// Frames per second, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fps(Ratio<i64>);

impl Fps {
    /// None unless the rate is above 0.
    pub fn new(frames: i64, seconds: i64) -> Option<Self> {
        (frames > 0 && seconds > 0).then(|| Self(Ratio::new(frames, seconds)))
    }

    pub fn ratio(self) -> Ratio<i64> {
        self.0
    }

    /// When frame `index` starts.
    pub fn time_of(self, index: usize) -> Time {
        Ratio::from_integer(index as i64) / self.0
    }

    /// How many frames `time` lasts, to the nearest.
    pub fn frames_in(self, time: Time) -> usize {
        (time * self.0).round().to_integer().max(0) as usize
    }

    pub fn as_f64(self) -> f64 {
        *self.0.numer() as f64 / *self.0.denom() as f64
    }
}

/// `24/1`, as plan.json and ffmpeg write it.
impl fmt::Display for Fps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.numer(), self.0.denom())
    }
}

impl Serialize for Fps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "wanted a rate such as 24 or 30000/1001")]
        enum Either {
            Whole(u64),
            Number(f64),
            Text(String),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Whole(rate) => rate.to_string(),
            Either::Number(rate) => rate.to_string(),
            Either::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

impl FromStr for Fps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = match text.split_once('/') {
            Some((frames, seconds)) => {
                frames.parse().ok().zip(seconds.parse().ok()).and_then(|(frames, seconds)| Self::new(frames, seconds))
            }
            None => decimal(text).and_then(|ratio| Self::new(*ratio.numer(), *ratio.denom())).map(snapped_to_ntsc),
        };
        match rate {
            Some(rate) if (0.1..=1000.0).contains(&rate.as_f64()) => Ok(rate),
            Some(_) => Err(format!("`{text}` is out of range, a rate can be 0.1 to 1000 frames per second")),
            None => Err(format!("`{text}` is no rate, wanted a number or a ratio such as 24 or 30000/1001")),
        }
    }
}

/// 23.976, 29.97 and 59.94 stand for 24000/1001, 30000/1001 and 60000/1001.
fn snapped_to_ntsc(rate: Fps) -> Fps {
    let ntsc = Ratio::new((rate.as_f64() * 1.001).round() as i64 * 1000, 1001);
    let off = (rate.0 - ntsc).numer().abs() as f64 / *(rate.0 - ntsc).denom() as f64;
    if !rate.0.is_integer() && off < 0.005 { Fps(ntsc) } else { rate }
}

/// A decimal number as an exact ratio; None for what is no number or has more than nine decimals.
pub fn decimal(text: &str) -> Option<Ratio<i64>> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 9 || whole.len() > 9 || !format!("{whole}{part}").bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: i64 = format!("{whole}{part}").parse().ok()?;
    Some(Ratio::new(digits, 10_i64.pow(part.len() as u32)))
}

/// The YUV to RGB matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
}

impl Matrix {
    /// Kr and Kb of the standard (Rec. ITU-R BT.601-7, BT.709-6, BT.2020-2).
    pub fn weights(self) -> (f32, f32) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Range {
    Limited,
    Full,
}

/// How the bytes of a raw frame are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Planar 4:2:0, 8 bit.
    Yuv420 { matrix: Matrix, range: Range },
    /// 8-bit RGB, pixel by pixel.
    Rgb,
}

impl Layout {
    /// Bytes of one frame; both sides are even for `Yuv420`.
    pub fn frame_bytes(self, size: Size) -> usize {
        match self {
            Self::Yuv420 { .. } => size.pixels() * 3 / 2,
            Self::Rgb => size.rgb_bytes(),
        }
    }
}

/// One picture: 8-bit RGB, row by row.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub size: Size,
    pub rgb: Vec<u8>,
}

impl Frame {
    pub fn filled(size: Size, colour: [u8; 3]) -> Self {
        Self { size, rgb: colour.repeat(size.pixels()) }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({})", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_number_ratio_or_broadcast_decimal() {
        for (text, rate) in [
            ("24", "24/1"),
            ("30000/1001", "30000/1001"),
            ("23.976", "24000/1001"),
            ("29.97", "30000/1001"),
            ("12.5", "25/2"),
        ] {
            assert_eq!(text.parse::<Fps>().unwrap().to_string(), rate);
        }
        for text in ["0", "-1", "x", "1/0", "", "1e3", "99999", "24/", "nan"] {
            assert!(text.parse::<Fps>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_read_and_out_of_range_sides_are_refused() {
        assert_eq!("853x480".parse(), Ok(Size::new(853, 480)));
        for text in ["853", "0x480", "1x1", "-4x4", "853x", "99999x10", "axb"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
