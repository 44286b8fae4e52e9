//! A clip: a video file and the facts about it that were measured, not believed.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use image::ImageFormat;
use num_rational::Ratio;
use serde::Serialize;

use super::{
    ffmpeg_compat,
    hdr::{DolbyVision, DynamicRange},
    sound_clock::SoundClock,
    tracks::{self, Track},
};
use crate::pipeline::types::video::{Fps, Matrix, Range, Size, Time};

/// Made by `Media::probe` alone, which refuses what later stages cannot use.
#[derive(Debug, Clone, Serialize)]
pub struct Clip {
    pub path: PathBuf,
    pub bytes: u64,
    /// The demuxer's name.
    pub container: String,
    /// What wanctl left in a film that it wrote.
    #[serde(skip)]
    pub note: Option<String>,
    pub picture: Picture,
    pub fps: Fps,
    pub timing: Timing,
    pub rate_source: RateSource,
    pub frames: usize,
    pub counts: Counts,
    #[serde(serialize_with = "as_text")]
    pub duration: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<Sound>,
    /// All streams of the file.
    pub tracks: Vec<Track>,
    /// When the first frame is shown, after the start of the file (of the earliest of its streams).
    #[serde(serialize_with = "as_text")]
    pub picture_start: Time,
    /// Read by the image crate, over white.
    #[serde(skip)]
    pub(super) animation: Option<ImageFormat>,
    /// Whether an animation is transparent anywhere, in any of its frames.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub transparent: bool,
    /// What a viewer does with the stored pictures of an animation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<&'static str>,
    /// What the decoder says of a recording that lacks parts, where what is there is taken all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Whether errors of the decoder are borne: they were counted, and are what this recording has.
    #[serde(skip)]
    pub(super) lenient: bool,
    /// When each frame is shown, after the first one.
    #[serde(skip)]
    pub(super) times: Vec<Time>,
    /// The same on the file's own clock, as its packets and decoded frames carry it.
    #[serde(skip)]
    pub(super) ticks: Vec<i64>,
    /// Where decoding can begin, in order; only the file's start where its seeking cannot be trusted.
    #[serde(skip)]
    pub(super) entries: Vec<Entry>,
}

/// The pictures of a clip.
#[derive(Debug, Clone, Serialize)]
pub struct Picture {
    #[serde(skip)]
    pub(super) stream: usize,
    pub codec: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    pub pixel_format: String,
    pub bits: u32,
    /// As stored, before rotation and pixel aspect.
    pub coded: Size,
    /// Degrees clockwise that a player turns the picture by.
    pub rotation: i32,
    #[serde(serialize_with = "as_text")]
    pub sample_aspect: Ratio<i64>,
    /// As shown, in square pixels.
    pub size: Size,
    pub color: Color,
    pub dynamic_range: DynamicRange,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dolby_vision: Option<DolbyVision>,
    /// What says so where it is not SDR.
    #[serde(skip)]
    pub(super) range_source: Option<String>,
    /// The filters that bring it to BT.709; then format and colours are what comes out of them.
    #[serde(skip)]
    pub(super) tone_map: Option<String>,
    pub interlaced: bool,
}

impl Picture {
    pub fn is_rgb(&self) -> bool {
        ffmpeg_compat::is_rgb(&self.pixel_format)
    }

    pub fn is_tone_mapped(&self) -> bool {
        self.tone_map.is_some()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Color {
    pub matrix: Matrix,
    pub range: Range,
    /// The file's own tags, where it has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tagged_matrix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primaries: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    Constant,
    Variable,
}

/// Where a clip's rate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RateSource {
    /// Every step between two frames is one of this rate.
    Steps,
    /// The header's nominal rate: so many of the steps are single ones of it, the others are multiples.
    Nominal { single: usize, steps: usize },
    /// The median step.
    Median,
    /// The next rate above that of the median step at which no frame is lost.
    Raised { median: Fps },
}

/// How many frames the file has by each way of counting.
#[derive(Debug, Clone, Serialize)]
pub struct Counts {
    /// Packets that are not marked for discarding.
    pub packets: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_times_rate: Option<usize>,
    /// In the file, and hidden by its edit list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Counted by decoding, where the others disagree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoded: Option<usize>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Sound {
    #[serde(skip)]
    pub(super) stream: usize,
    pub codec: String,
    pub rate: u32,
    pub channels: u32,
    /// ffmpeg's name of the channel layout.
    pub layout: String,
    /// How long its packets are, in seconds; 0 where that is not known.
    #[serde(skip)]
    pub(super) packet: f64,
    #[serde(skip)]
    pub(super) clock: SoundClock,
    /// Whether packets that are missing are no damage.
    #[serde(skip)]
    pub(super) loses_packets: bool,
}

impl Sound {
    /// Whether the track holds no sample.
    pub fn is_empty(&self) -> bool {
        self.clock.parts.is_empty()
    }
}

/// A key frame: from here on, every frame shown at or after it can be decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The frame that it is.
    pub(super) frame: usize,
    /// What to seek to: when it is shown, after the start of the file.
    pub(super) seek: Time,
    /// Whether frames that are shown before it come after it in the file (an open GOP). They lack what they are made
    /// from, and the decoder says so; nobody sees them.
    pub(super) leads: bool,
}

/// Which frame of the file each frame of the clip is, at the film's rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sampling {
    /// Every frame once.
    Own(usize),
    /// Frame n is the file's frame `picks[n]`.
    Resampled(Vec<usize>),
}

impl Sampling {
    pub fn frames(&self) -> usize {
        match self {
            Self::Own(frames) => *frames,
            Self::Resampled(picks) => picks.len(),
        }
    }

    pub fn file_frame(&self, index: usize) -> usize {
        match self {
            Self::Own(_) => index,
            Self::Resampled(picks) => picks[index],
        }
    }
}

impl Clip {
    /// What of the file is left out, in one line; None where nothing is.
    pub fn left_out(&self) -> Option<String> {
        tracks::left_out(&self.tracks)
    }

    /// The file's name, for people.
    pub fn name(&self) -> String {
        name(&self.path)
    }

    /// The clip at another rate, by its timestamps: frame n shows what stands on screen in the middle of its time.
    /// A clip that has this rate already is left as it is.
    pub fn at_rate(&self, fps: Fps) -> Sampling {
        if self.timing == Timing::Constant && self.fps == fps {
            return Sampling::Own(self.frames);
        }
        Sampling::Resampled(sampled(&self.times, self.duration, fps, self.fps == fps))
    }
}

/// Which frame each frame of a film at this rate shows, of frames at these times. `all`: none is left out, however short a
/// time it stands on screen; then one whose place is taken by the frame before it comes right after that one, and so does one
/// that is late by less than three quarters of a frame: at its own rate a clip does not stutter for that.
pub(super) fn sampled(times: &[Time], duration: Time, fps: Fps, all: bool) -> Vec<usize> {
    let half = fps.ratio().recip() / 2;
    let mut next = 0;
    let places = times.iter().map(|&time| {
        // The first frame of the film whose middle comes after that time.
        let place = ((time - half) * fps.ratio()).floor().to_integer() + 1;
        let hardly_late = all && time * fps.ratio() - (next as i64) < Time::new(3, 4);
        let place = match place.max(0) as usize {
            place if all && (place < next || hardly_late) => next,
            place => place,
        };
        next = place + 1;
        place
    });
    let places: Vec<usize> = places.collect();
    let least = places.last().map_or(1, |last| last + 1);
    let count = match all {
        // The last one, too, is held only for three quarters of a frame or more.
        true => ((duration * fps.ratio() + Time::new(1, 4)).floor().to_integer().max(0) as usize).max(least),
        false => fps.frames_in(duration).max(1),
    };
    let mut file_frame = 0;
    let picks = (0..count).map(|index| {
        while places.get(file_frame + 1).is_some_and(|&place| place <= index) {
            file_frame += 1;
        }
        file_frame
    });
    picks.collect()
}

pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn as_text<S: serde::Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
