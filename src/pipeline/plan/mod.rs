//! Which frame goes where: the whole of a run's arithmetic, done before a single frame is decoded.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::pipeline::types::video::{Fps, Size, Time};

mod error;
mod fit;
mod goal;
mod join;
mod journey;
mod json;
mod range;
mod stays;
mod stitch;
#[cfg(test)]
mod tests;
mod travel;
mod warning;
mod words;

pub use error::{PlanError, Short};
pub use join::{Blend, Film, JoinParams, join, latents};
pub use journey::{Curve, Journey, Key, Look, Round, Stretch, Tone, Treatment};
pub use range::{RangeAsk, check_ranges, ranges};
pub use stitch::{StitchAsk, stitch};
pub use travel::{Continued, Lengths, Places, SegmentAsk, StructureAsk, TravelParams, travel};
pub use warning::{End, PlanWarning, Side};
pub use words::{Align, Mask, MaskRule, Mode};

/// Where frames come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The n-th clip that the user gave.
    Input(usize),
    /// What the engine makes of the n-th seam.
    Gap(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameRef {
    pub origin: Origin,
    pub index: usize,
}

/// One frame of a guide: what the model is shown there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// A frame of the film, shown as it is.
    Keep(FrameRef),
    /// The last frame of the context once more, to fill its latent; no frame of the film.
    Repeat(FrameRef),
    /// A frame that pins the gap; what the film uses is made all the same.
    Anchor(FrameRef),
    /// A frame of the film that shares its latent with frames to make: shown, made all the same, and not used.
    Hint(FrameRef),
    /// A frame of what stands before, shown in the look that was asked for.
    Carry(FrameRef),
    /// A frame of another clip that guides what is made here.
    Structure(FrameRef),
    /// Nothing.
    Fill,
}

impl Slot {
    pub fn frame(self) -> Option<FrameRef> {
        match self {
            Self::Keep(frame)
            | Self::Repeat(frame)
            | Self::Anchor(frame)
            | Self::Hint(frame)
            | Self::Carry(frame)
            | Self::Structure(frame) => Some(frame),
            Self::Fill => None,
        }
    }

    /// Whether the model is to keep what it is shown here.
    pub fn is_known(self) -> bool {
        !matches!(self, Self::Hint(_) | Self::Structure(_) | Self::Fill)
    }
}

/// Frames of a guide that the model sees as one, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LatentSpan {
    #[serde(serialize_with = "json::range")]
    pub frames: Range<usize>,
    pub mask: Mask,
}

/// Frames shown of each clip, and frames between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    pub context: [usize; 2],
    pub gap: usize,
}

/// One call of the engine: what it is shown between two clips, left and right, or of one clip around a range. Repeats are
/// no context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub between: [usize; 2],
    /// Where both sides are one clip around frames of it that are made again: these.
    pub range: Option<Range<usize>>,
    pub mode: Mode,
    pub requested: Shape,
    pub used: Shape,
    /// Frames of the left clip's end and of the right clip's start that are not in the film.
    pub removed: [usize; 2],
    pub blend: [usize; 2],
    /// Inputs that the model is shown beside the guide: what things look like.
    pub references: Vec<usize>,
    pub slots: Vec<Slot>,
    pub latents: Vec<LatentSpan>,
}

impl Segment {
    /// Which frames of the guide are made for the film.
    pub fn made(&self) -> Range<usize> {
        let start =
            self.slots.iter().position(|slot| matches!(slot, Slot::Fill | Slot::Anchor(_) | Slot::Structure(_)));
        let start = start.expect("every seam makes a frame");
        start..start + self.used.gap
    }

    /// The seam that must be made before, since this one shows frames of it.
    pub fn carried_from(&self) -> Option<usize> {
        self.slots.iter().find_map(|slot| match slot.frame()?.origin {
            Origin::Gap(before) => Some(before),
            Origin::Input(_) => None,
        })
    }

    /// Whether the model is to keep a frame. There is no other mask.
    pub fn known(&self) -> impl Iterator<Item = bool> {
        self.slots.iter().map(|slot| slot.is_known())
    }
}

/// Which way a blend goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fade {
    ClipToMade,
    MadeToClip,
}

/// A stretch of the film. Frames of a clip are counted at the film's rate, made ones in the seam's guide.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TimelineItem {
    Copy {
        input: usize,
        #[serde(serialize_with = "json::range")]
        frames: Range<usize>,
    },
    Blend {
        seam: usize,
        input: usize,
        #[serde(serialize_with = "json::range")]
        frames: Range<usize>,
        #[serde(serialize_with = "json::range")]
        made: Range<usize>,
        #[serde(skip)]
        fade: Fade,
    },
    Made {
        seam: usize,
        #[serde(serialize_with = "json::range")]
        frames: Range<usize>,
    },
    /// Two stretches of one length, the first fading into the second.
    Cross { from: Stretch, to: Stretch, curve: Curve },
}

impl TimelineItem {
    /// Those of the first of two.
    pub fn frames(&self) -> Range<usize> {
        match self {
            Self::Copy { frames, .. } | Self::Blend { frames, .. } | Self::Made { frames, .. } => frames.clone(),
            Self::Cross { from, .. } => from.frames.clone(),
        }
    }
}

/// A clip as the plan needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    #[serde(serialize_with = "json::path")]
    pub path: PathBuf,
    pub frames: usize,
    pub fps: Fps,
    pub size: Size,
    /// How many frames it has at the film's rate, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resampled_frames: Option<usize>,
    /// An image: one frame, and no rate of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub still: bool,
}

impl Source {
    /// Its length in frames of the film.
    pub fn length(&self) -> usize {
        self.resampled_frames.unwrap_or(self.frames)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct FramePlan {
    pub command: &'static str,
    pub fps: Fps,
    pub size: Size,
    /// The size that the engine makes frames in.
    pub made_size: Size,
    pub align: Align,
    pub mask_rule: MaskRule,
    pub inputs: Vec<Source>,
    pub seams: Vec<Segment>,
    pub timeline: Vec<TimelineItem>,
    pub journey: Option<Journey>,
    /// For the user; no part of plan.json.
    pub warnings: Vec<PlanWarning>,
}

impl FramePlan {
    /// How many frames the film has.
    pub fn frames(&self) -> usize {
        self.timeline.iter().map(|piece| piece.frames().len()).sum()
    }

    pub fn duration(&self) -> Time {
        self.fps.time_of(self.frames())
    }

    /// What is done to frames of the seam on their way into the film: to those of every segment that goes on from
    /// something.
    pub fn tone(&self, seam: usize) -> Tone {
        let goes_on = seam > 0 || matches!(self.seams[seam].slots.first(), Some(Slot::Carry(_)));
        self.journey.as_ref().filter(|_| goes_on).map_or(Tone::PLAIN, |journey| journey.later)
    }

    /// Seams that need what another one makes, one after the other; each of the others by itself.
    pub fn dependency_chains(&self) -> Vec<Vec<usize>> {
        let mut lanes: Vec<Vec<usize>> = vec![];
        for (number, seam) in self.seams.iter().enumerate() {
            let needs = seam.carried_from();
            match lanes.iter_mut().find(|lane| lane.last().copied() == needs) {
                Some(lane) => lane.push(number),
                None => lanes.push(vec![number]),
            }
        }
        lanes
    }
}

/// Messages name files, not paths.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
