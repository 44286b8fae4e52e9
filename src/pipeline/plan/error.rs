//! What a plan can fail with.

use std::{ops::Range, path::PathBuf};

use super::{Align, Side, Source, name};
use crate::pipeline::types::error::{ErrorCode, ErrorDetails, Reportable};

/// More frames than one call of the model is given.
pub(super) const MOST_FRAMES: usize = 129;

/// A clip in a message: its path and its length in frames of the film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    pub path: PathBuf,
    pub frames: usize,
}

impl From<&Source> for Short {
    fn from(source: &Source) -> Self {
        Self { path: source.path.clone(), frames: source.length() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("a join needs two clips or more, got {found}")]
    TooFewClips { found: usize },
    #[error("a loop needs a clip")]
    NothingToLoop,
    #[error("a context of 0 shows the model nothing of the clips")]
    NoContext,
    #[error("a gap of 0 leaves nothing to make")]
    NoGap,
    #[error("a gap of {gap} beside contexts of {context} shrinks to nothing on its way to 4n+1 frames")]
    GapVanishes { context: usize, gap: usize },
    #[error("a blend of {blend} is longer than the context of {context}")]
    BlendTooLong { blend: usize, context: usize },
    #[error("{frames} frames are more than the {MOST_FRAMES} that the model can be shown")]
    TooManyFrames { frames: usize },
    #[error("anchors need a gap of {least} frames or more with {align} alignment, and {used} are used")]
    NoRoomForAnchors { align: Align, used: usize, least: usize },
    #[error("{} has no frames", name(.path))]
    EmptyClip { path: PathBuf },
    #[error("{}, but replace takes {takes}{}", lengths(.clips), leaving(.clips, *.takes))]
    TooShortToReplace { clips: Vec<Short>, takes: usize },
    #[error("{}, and no context of theirs beside a gap of {} to {most} makes 4n+1 frames", lengths(.clips), .least)]
    TooShortToAlign { clips: Vec<Short>, least: usize, most: usize },
    #[error("a range is of one clip, got {found}")]
    RangeOfClips { found: usize },
    #[error("the ranges {} and {} {}", shown(.first), shown(.second), meeting(.first, .second))]
    RangesMeet { first: Range<usize>, second: Range<usize> },
    #[error("{} has {length} frames, and {} of it were to be made again", name(.path), shown(.range))]
    RangeBeyond { path: PathBuf, range: Range<usize>, length: usize },
    #[error("{} is all of {}: nothing would be left to go by", shown(&(0..*.length)), name(.path))]
    RangeIsAll { path: PathBuf, length: usize },
    #[error("{} of {} has no frame {side} it, and the engine needs one there", shown(.range), name(.path))]
    RangeOpen { path: PathBuf, range: Range<usize>, side: Side },
    #[error("{} with its contexts is {frames} frames, more than the {MOST_FRAMES} that the model can be shown", shown(.range))]
    RangeTooLong { range: Range<usize>, frames: usize },
    #[error("a travel needs an image")]
    NoImages,
    #[error("an overlap of {overlap} frames is no multiple of 4, and four frames share a latent")]
    OverlapNotFours { overlap: usize },
    #[error("segment {} cannot show {overlap} frames of what went before: {most} are the most", .segment + 1)]
    OverlapTooLong { segment: usize, overlap: usize, most: usize },
    #[error("segment {} is too short: of {} nothing would be left to make, and {least} are the least", .segment + 1, frames_of(*.frames))]
    SegmentTooShort { segment: usize, frames: usize, least: usize },
    #[error("segment {} with its overlap is {frames} frames, more than the {MOST_FRAMES} that the model can be shown", .segment + 1)]
    SegmentTooLong { segment: usize, frames: usize },
    #[error("segment {} has no image to start from, and nothing is carried over to it", .segment + 1)]
    SegmentFromNowhere { segment: usize, images: usize },
    #[error("segment {} has no image to go to, and this engine only carries one picture over into another", .segment + 1)]
    SegmentOpen { segment: usize, images: usize },
    #[error("{pieces} pieces meet at {} places, and {found} overlaps were given", .pieces.saturating_sub(1))]
    Overlaps { pieces: usize, found: usize },
    #[error("{} has {} to give, and its overlaps take {wants}", name(.path), frames(*.has))]
    PieceTooShort { path: PathBuf, has: usize, wants: usize },
}

impl Reportable for PlanError {
    /// Usage where the options are wrong whatever the clips, input where the clips are too short for them.
    fn code(&self) -> ErrorCode {
        match self {
            Self::EmptyClip { .. }
            | Self::TooShortToReplace { .. }
            | Self::TooShortToAlign { .. }
            | Self::RangeBeyond { .. }
            | Self::RangeIsAll { .. }
            | Self::RangeOpen { .. }
            | Self::Overlaps { .. }
            | Self::PieceTooShort { .. } => ErrorCode::Input,
            _ => ErrorCode::Usage,
        }
    }

    fn details(&self) -> ErrorDetails {
        let (wanted, found, help) = match self {
            Self::TooFewClips { found } => {
                ("2 clips or more".into(), clips(*found), "give another clip, or one alone with --loop or --range")
            }
            Self::NothingToLoop => ("1 clip or more".into(), clips(0), "give a clip"),
            Self::NoContext => ("a context of 1 or more".into(), "a context of 0".into(), "use --context 1 or more"),
            Self::NoGap => ("a gap of 1 or more".into(), "a gap of 0".into(), "use --gap 1 or more"),
            Self::GapVanishes { context, gap } => (
                "a gap of which 1 frame or more is left".into(),
                format!("contexts of {context} and a gap of {gap}"),
                // No context takes more than 3 frames of it.
                "use --gap 4 or more, or --align latent",
            ),
            Self::BlendTooLong { blend, context } => (
                format!("a blend of {context} or less"),
                format!("a blend of {blend}"),
                "lower --blend or raise --context",
            ),
            Self::TooManyFrames { frames: found } => {
                (format!("{MOST_FRAMES} frames or less"), frames(*found), "lower --gap or --context")
            }
            Self::NoRoomForAnchors { used, least, .. } => (
                format!("a used gap of {least} or more"),
                format!("a used gap of {used}"),
                "use --gap 12 or more, or leave out --anchors",
            ),
            Self::EmptyClip { .. } => ("1 frame or more".into(), frames(0), "leave the clip out"),
            Self::TooShortToReplace { clips, takes } => (
                format!("{takes} frames to replace and one left in each clip"),
                listed(clips),
                "lower --gap or use --mode insert",
            ),
            Self::TooShortToAlign { clips, least, most } => (
                format!("a gap of {least} to {most} and a context on each side that add up to 4n+1 frames"),
                listed(clips),
                "use another --gap or --align latent",
            ),
            Self::RangeOfClips { found } => ("1 clip".into(), clips(*found), "give one clip, or leave out --range"),
            Self::RangesMeet { first, second } => (
                "ranges in order, with a frame or more between every two".into(),
                format!("{} before {}", shown(first), shown(second)),
                "put them in order, and make one of two that touch",
            ),
            Self::RangeBeyond { range, length, .. } => {
                (format!("a range within {}", shown(&(0..*length))), shown(range), "frames count from 0; B is left out")
            }
            Self::RangeIsAll { length, .. } => {
                ("a frame or more that stays".into(), shown(&(0..*length)), "use a shorter range")
            }
            Self::RangeOpen { range, side, .. } => (
                format!("a frame {side} the range"),
                shown(range),
                "use a range within the clip, or an engine that needs no frame there (--engine wan, a VACE model)",
            ),
            Self::RangeTooLong { frames: found, .. } => {
                (format!("{MOST_FRAMES} frames or less"), frames(*found), "use a shorter range or lower --context")
            }
            Self::NoImages => ("1 image or more".into(), "none".into(), "give an image"),
            Self::OverlapNotFours { overlap } => {
                ("a multiple of 4".into(), frames(*overlap), "use --overlap 4, 8, 12 and so on, or 0")
            }
            Self::OverlapTooLong { overlap, most, .. } => (
                format!("an overlap of {most} or less"),
                frames(*overlap),
                "lower --overlap, or raise --frames of the segments beside it",
            ),
            Self::SegmentTooShort { frames: found, least, .. } => {
                (format!("{least} frames or more"), frames(*found), "raise --frames")
            }
            Self::SegmentTooLong { frames: found, .. } => {
                (format!("{MOST_FRAMES} frames or less"), frames(*found), "lower --frames or --overlap")
            }
            Self::SegmentFromNowhere { images, .. } => (
                "an image, or an overlap with the segment before".into(),
                format!("{images} images in all"),
                "give more images, or an --overlap",
            ),
            Self::SegmentOpen { images, .. } => (
                "an image at the end of every segment".into(),
                format!("{images} {}", if *images == 1 { "image" } else { "images" }),
                "give another image, or use --engine wan, which makes up what follows",
            ),
            Self::Overlaps { pieces, found } => (
                format!("{} overlaps", pieces.saturating_sub(1)),
                format!("{found} overlaps"),
                "give one for every two neighbours",
            ),
            Self::PieceTooShort { has, wants, .. } => (
                format!("{} or more", frames(*wants)),
                frames(*has),
                "the piece is not the one that was meant, or was cut",
            ),
        };
        let (wanted, found, help) = (Some(wanted), Some(found), Some(help.into()));
        ErrorDetails { file: self.file(), wanted, found, help, ..ErrorDetails::default() }
    }
}

impl PlanError {
    /// The clip that is to blame, or the shortest of several.
    fn file(&self) -> Option<PathBuf> {
        match self {
            Self::EmptyClip { path }
            | Self::RangeBeyond { path, .. }
            | Self::RangeIsAll { path, .. }
            | Self::RangeOpen { path, .. }
            | Self::PieceTooShort { path, .. } => Some(path.clone()),
            Self::TooShortToReplace { clips, .. } | Self::TooShortToAlign { clips, .. } => {
                clips.iter().min_by_key(|clip| clip.frames).map(|clip| clip.path.clone())
            }
            _ => None,
        }
    }
}

/// `b.mp4 has 1 frame, c.mp4 2 and a.mp4 4`, the shortest first.
fn lengths(clips: &[Short]) -> String {
    let mut clips: Vec<_> = clips.iter().collect();
    clips.sort_by_key(|clip| clip.frames);
    let mut text = String::new();
    for (n, clip) in clips.iter().enumerate() {
        text += &match n {
            0 => format!("{} has {}", name(&clip.path), frames(clip.frames)),
            n if n + 1 < clips.len() => format!(", {} {}", name(&clip.path), clip.frames),
            _ => format!(" and {} {}", name(&clip.path), clip.frames),
        };
    }
    text
}

/// `a.mp4 4 frames, b.mp4 1 frame`, in the order of the film.
fn listed(clips: &[Short]) -> String {
    clips.iter().map(|clip| format!("{} {}", name(&clip.path), frames(clip.frames))).collect::<Vec<_>>().join(", ")
}

/// Without this, 17 frames that cannot give 16 would be a riddle.
fn leaving(clips: &[Short], takes: usize) -> &'static str {
    let all: usize = clips.iter().map(|clip| clip.frames).sum();
    if all < takes { "" } else { " and leaves one in each" }
}

/// `12..20`, as it is asked for.
pub(super) fn shown(range: &Range<usize>) -> String {
    format!("{}..{}", range.start, range.end)
}

/// What two ranges do that are not in order and apart.
fn meeting(first: &Range<usize>, second: &Range<usize>) -> &'static str {
    match () {
        () if second.end <= first.start => "are not in order",
        () if second.start == first.end => "touch",
        () => "overlap",
    }
}

/// The same, where a field has that name.
fn frames_of(n: usize) -> String {
    frames(n)
}

pub(super) fn frames(n: usize) -> String {
    format!("{n} {}", if n == 1 { "frame" } else { "frames" })
}

fn clips(n: usize) -> String {
    format!("{n} {}", if n == 1 { "clip" } else { "clips" })
}
