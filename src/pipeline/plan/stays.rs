//! What stays of the clips, and the film that comes of it and of what is made between.

use std::ops::Range;

use super::{Blend, Fade, Segment, TimelineItem};

/// Frames of a clip that are in the film, and the seams before and after them.
#[derive(Debug, Clone)]
pub(super) struct KeptRange {
    pub(super) input: usize,
    pub(super) frames: Range<usize>,
    pub(super) seams: [Option<usize>; 2],
}

/// Blends lie within contexts, and the two blends of what stays share what it has.
pub(super) fn blends(stays: &[KeptRange], contexts: impl Iterator<Item = [usize; 2]>, blend: Blend) -> Vec<[usize; 2]> {
    let mut blends: Vec<_> = contexts.map(|sides| sides.map(|context| context.min(blend.frames()))).collect();
    for KeptRange { input: _, frames, seams } in stays {
        if let [Some(before), Some(after)] = *seams {
            let (has, start, end) = (frames.len(), blends[before][1], blends[after][0]);
            blends[before][1] = start.min((has / 2).max(has.saturating_sub(end)));
            blends[after][0] = end.min(has - blends[before][1]);
        }
    }
    blends
}

pub(super) fn timeline(stays: &[KeptRange], seams: &[Segment]) -> Vec<TimelineItem> {
    let mut timeline = vec![];
    for &KeptRange { input, ref frames, seams: sides } in stays {
        let [before, after] = sides.map(|seam| seam.map(|seam| (seam, &seams[seam])));
        let start = frames.start + before.map_or(0, |(_, seam)| seam.blend[1]);
        let end = frames.end - after.map_or(0, |(_, seam)| seam.blend[0]);

        if let Some((seam, Segment { blend, .. })) = before {
            let made = seams[seam].made().end;
            let made = made..made + blend[1];
            timeline.push(TimelineItem::Blend {
                seam,
                input,
                frames: frames.start..start,
                made,
                fade: Fade::MadeToClip,
            });
        }
        timeline.push(TimelineItem::Copy { input, frames: start..end });
        if let Some((seam, Segment { blend, .. })) = after {
            let whole = seams[seam].made();
            let made = whole.start - blend[0]..whole.start;
            timeline.push(TimelineItem::Blend { seam, input, frames: end..frames.end, made, fade: Fade::ClipToMade });
            timeline.push(TimelineItem::Made { seam, frames: whole });
        }
    }
    timeline.retain(|piece| !piece.frames().is_empty());
    timeline
}
