//! The engine that needs none: what lies between two known frames is their mixture.

use crate::pipeline::{
    frames::source::GuideFrames,
    plan::{FrameRef, Segment, Slot},
    types::{pixels, video::Frame},
};

/// Frame `index` of the seam's guide. A known frame is itself, also where an anchor pins the gap; what only guides an
/// engine is not seen.
pub fn made(seam: &Segment, known: &GuideFrames, index: usize) -> Frame {
    let shown =
        |index: &usize| seam.slots[*index].frame().filter(|_| !matches!(seam.slots[*index], Slot::Structure(_)));
    let before = (0..=index).rev().find_map(|index| Some((index, shown(&index)?)));
    let after = (index..seam.slots.len()).find_map(|index| Some((index, shown(&index)?)));
    let frame = |at: FrameRef| known.frame(at);
    match (before, after) {
        (Some((start, from)), Some((end, to))) if end > start => {
            let weight = (index - start) as f32 / (end - start) as f32;
            let from = frame(from);
            Frame { size: from.size, rgb: pixels::mix(&from.rgb, &frame(to).rgb, weight) }
        }
        (Some((_, only)), _) | (None, Some((_, only))) => frame(only).clone(),
        (None, None) => unreachable!("a plan shows at least one frame on each side of a gap"),
    }
}
