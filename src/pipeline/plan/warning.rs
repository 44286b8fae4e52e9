//! What a plan has to say of short clips and long guides.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    Round,
    error::{frames, shown},
    name,
};

/// More frames than the model was trained on.
pub(super) const MANY_FRAMES: usize = 81;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanWarning {
    /// A clip gives less context than asked; the end is the one at which the seam lies.
    ShortContext {
        path: PathBuf,
        end: End,
        asked: usize,
        used: usize,
    },
    /// A blend is shorter than asked, or than the default.
    ShortBlend {
        path: PathBuf,
        end: End,
        asked: usize,
        used: usize,
    },
    ManyFrames {
        seam: usize,
        frames: usize,
    },
    /// A segment's length is not 4n+1; said of the first such.
    Rounded {
        seam: usize,
        asked: usize,
        used: usize,
        round: Round,
    },
    /// Beside a range is less context than asked.
    RangeContext {
        path: PathBuf,
        range: Range<usize>,
        side: Side,
        asked: usize,
        used: usize,
    },
    /// A range blends over fewer frames than asked.
    RangeBlend {
        path: PathBuf,
        range: Range<usize>,
        side: Side,
        asked: usize,
        used: usize,
    },
}

/// Of a range, in the film's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Start,
    End,
}

impl PlanWarning {
    /// The word that an event names it by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ShortContext { .. } | Self::RangeContext { .. } => "short_context",
            Self::ShortBlend { .. } | Self::RangeBlend { .. } => "short_blend",
            Self::ManyFrames { .. } => "many_frames",
            Self::Rounded { .. } => "rounded",
        }
    }

    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::ShortContext { path, .. }
            | Self::ShortBlend { path, .. }
            | Self::RangeContext { path, .. }
            | Self::RangeBlend { path, .. } => Some(path),
            Self::ManyFrames { .. } | Self::Rounded { .. } => None,
        }
    }
}

impl fmt::Display for PlanWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortContext { path, end, asked, used } => {
                write!(f, "{} is short: {} of context at its {end} instead of {asked}", name(path), frames(*used))
            }
            Self::ShortBlend { path, end, asked, used } => {
                write!(f, "{} blends {} at its {end} instead of {asked}", name(path), frames(*used))
            }
            Self::RangeContext { path, range, side, asked, used } => {
                let (range, path, used) = (shown(range), name(path), frames(*used));
                write!(f, "{range} of {path} has {used} of context {side} it instead of {asked}")
            }
            Self::RangeBlend { path, range, side, asked, used } => {
                let (range, path, used) = (shown(range), name(path), frames(*used));
                write!(f, "{range} of {path} blends {used} {side} it instead of {asked}")
            }
            Self::ManyFrames { seam, frames } => {
                let seam = seam + 1;
                write!(f, "seam {seam} shows the model {frames} frames, more than the {MANY_FRAMES} it was trained on")
            }
            Self::Rounded { seam, asked, used, round } => {
                let segment = seam + 1;
                write!(
                    f,
                    "segment {segment} has {} instead of {asked}: lengths are 4n+1, rounded {round}",
                    frames(*used)
                )
            }
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::End => "end",
        })
    }
}
