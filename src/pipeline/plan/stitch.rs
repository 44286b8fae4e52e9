//! Planning a film of pieces that are there already: one after the other, with a crossfade where two overlap.

use std::ops::Range;

use super::{Align, Curve, Film, FramePlan, MaskRule, Origin, PlanError, Source, Stretch, TimelineItem};

/// Pieces, and how they meet.
#[derive(Debug, Clone, PartialEq)]
pub struct StitchAsk {
    /// Frames of an input each.
    pub pieces: Vec<(usize, Range<usize>)>,
    /// Frames that each piece shares with the next one.
    pub overlaps: Vec<usize>,
    pub curve: Curve,
}

pub fn stitch(inputs: Vec<Source>, film: Film, ask: &StitchAsk) -> Result<FramePlan, PlanError> {
    let StitchAsk { pieces, overlaps, curve } = ask;
    if pieces.len() != overlaps.len() + 1 {
        return Err(PlanError::Overlaps { pieces: pieces.len(), found: overlaps.len() });
    }
    let mut timeline = vec![];
    let overlap_after = |number: usize| overlaps.get(number).copied().unwrap_or(0);
    for (number, (input, frames)) in pieces.iter().enumerate() {
        let source = &inputs[*input];
        let before = number.checked_sub(1).map_or(0, overlap_after);
        let after = overlap_after(number);
        if frames.end > source.length() || frames.len() < before + after || frames.is_empty() {
            let (path, has) = (source.path.clone(), source.length().min(frames.end).saturating_sub(frames.start));
            return Err(PlanError::PieceTooShort { path, has, wants: (before + after).max(1) });
        }
        timeline.push(TimelineItem::Copy { input: *input, frames: frames.start + before..frames.end - after });
        if after > 0 {
            let (next, next_frames) = &pieces[number + 1];
            let from = Stretch { origin: Origin::Input(*input), frames: frames.end - after..frames.end };
            let start = next_frames.start;
            let to = Stretch { origin: Origin::Input(*next), frames: start..start + after };
            timeline.push(TimelineItem::Cross { from, to, curve: *curve });
        }
    }
    timeline.retain(|piece| !piece.frames().is_empty());
    let Film { fps, size, made_size } = film;
    Ok(FramePlan {
        command: "stitch",
        fps,
        size,
        made_size,
        align: Align::Exact,
        mask_rule: MaskRule::Reference,
        inputs,
        seams: vec![],
        timeline,
        journey: None,
        warnings: vec![],
    })
}
