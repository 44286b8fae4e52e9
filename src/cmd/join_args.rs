//! Flags that only a join of clips understands.

use std::path::PathBuf;

use wanctl::pipeline::{
    options::{FrameRange, Length, Options},
    plan::{Mode, PlanError, check_ranges},
};

use super::args::ShapeArgs;

#[derive(clap::Args, Debug)]
pub(crate) struct JoinArgs {
    /// Frames (or seconds, 0.5s) of each clip shown to the engine at each seam
    /// [default: 8, with an image-to-video model 1]
    #[arg(long, value_name = "N|Ns", allow_hyphen_values = true, help_heading = "Plan")]
    context: Option<Length>,

    /// Frames (or seconds) to generate at each seam [default: 53, with --mode replace 16]
    #[arg(long, value_name = "N|Ns", allow_hyphen_values = true, help_heading = "Plan")]
    gap: Option<Length>,

    /// Where the generated frames go [default: insert]
    #[arg(long, help_heading = "Plan")]
    mode: Option<Mode>,

    /// Frames at each end of the generated frames that cross-fade with the clip's own [default: 0, with --engine wan 4]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16), help_heading = "Plan")]
    blend: Option<u16>,

    /// Generate frames A to B (B excluded) of one clip anew; length and sound stay; may be repeated, in order
    #[arg(long = "range", value_name = "A..B", allow_hyphen_values = true, help_heading = "Plan")]
    ranges: Vec<FrameRange>,

    /// Pin a frame at one and two thirds of the gap
    #[arg(long, help_heading = "Plan")]
    anchors: bool,
}

impl JoinArgs {
    /// What was typed of these, for these clips.
    pub(crate) fn typed(&self, clips: &[PathBuf], shape: &ShapeArgs) -> Result<Options, PlanError> {
        let Self { context, gap, mode, blend, ranges, anchors } = self;
        // Before any clip is opened. Without one there is a task.
        match (clips.len(), ranges.is_empty()) {
            (1, true) if !shape.looped => return Err(PlanError::TooFewClips { found: 1 }),
            (found @ 2.., false) => return Err(PlanError::RangeOfClips { found }),
            _ => check_ranges(&ranges.iter().map(|range| range.0.clone()).collect::<Vec<_>>())?,
        }
        Ok(shape.typed(Options {
            context: *context,
            gap: *gap,
            mode: *mode,
            blend: blend.map(usize::from),
            ranges: (!ranges.is_empty()).then(|| ranges.clone()),
            anchors: anchors.then_some(true),
            ..Options::default()
        }))
    }

    /// The first of these that was typed.
    pub(crate) fn first(&self) -> Option<&'static str> {
        let Self { context, gap, mode, blend, ranges, anchors } = self;
        let given = [
            (context.is_some(), "--context"),
            (gap.is_some(), "--gap"),
            (mode.is_some(), "--mode"),
            (blend.is_some(), "--blend"),
            (!ranges.is_empty(), "--range"),
            (*anchors, "--anchors"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }
}
