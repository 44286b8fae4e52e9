//! The plan as plan.json says it.

use std::{ops::Range, path::Path};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{FramePlan, FrameRef, Journey, Origin, Segment, Slot};

const VERSION: u32 = 1;

pub(super) fn range<S: Serializer>(frames: &Range<usize>, serializer: S) -> Result<S::Ok, S::Error> {
    [frames.start, frames.end].serialize(serializer)
}

/// Lossy, since a path need not be text but JSON must be.
pub(super) fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Serialize for FramePlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { command, fps, size, made_size, align, mask_rule, inputs, seams, timeline, journey, warnings: _ } =
            self;
        let duration = self.duration();
        let mut json = serializer.serialize_struct("FramePlan", 16)?;
        json.serialize_field("version", &VERSION)?;
        json.serialize_field("command", command)?;
        json.serialize_field("fps", fps)?;
        json.serialize_field("size", size)?;
        json.serialize_field("made_size", made_size)?;
        json.serialize_field("align", align)?;
        json.serialize_field("mask_rule", mask_rule)?;
        json.serialize_field("inputs", inputs)?;
        json.serialize_field("seams", seams)?;
        json.serialize_field("timeline", timeline)?;
        if let Some(Journey { keys, look, later, treatment }) = journey {
            json.serialize_field("keys", keys)?;
            json.serialize_field("carried", look)?;
            json.serialize_field("later", later)?;
            json.serialize_field("structure", treatment)?;
        }
        json.serialize_field("frames", &self.frames())?;
        json.serialize_field("duration", &format!("{}/{}", duration.numer(), duration.denom()))?;
        json.end()
    }
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { between, range, mode, requested, used, removed, blend, references, slots, latents } = self;
        let mut json = serializer.serialize_struct("Seam", 11)?;
        json.serialize_field("between", between)?;
        match range {
            Some(range) => json.serialize_field("range", &[range.start, range.end])?,
            None => json.skip_field("range")?,
        }
        json.serialize_field("mode", mode)?;
        json.serialize_field("requested", requested)?;
        json.serialize_field("used", used)?;
        json.serialize_field("removed", removed)?;
        json.serialize_field("blend", blend)?;
        match &references[..] {
            [] => json.skip_field("references")?,
            references => json.serialize_field("references", references)?,
        }
        json.serialize_field("guide_frames", &slots.len())?;
        json.serialize_field("slots", &slots.chunk_by(follows).map(Run::of).collect::<Vec<_>>())?;
        json.serialize_field("latents", latents)?;
        json.end()
    }
}

/// Slots that one line can say.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Run {
    Keep(Stretch),
    Hint(Stretch),
    Repeat(Held),
    Anchor(Held),
    Carry(Stretch),
    Structure(Stretch),
    Fill(usize),
}

/// Neighbouring frames.
#[derive(Serialize)]
struct Stretch {
    #[serde(flatten)]
    origin: Origin,
    frames: [usize; 2],
}

/// One frame, shown several times.
#[derive(Serialize)]
struct Held {
    #[serde(flatten)]
    origin: Origin,
    frame: usize,
    count: usize,
}

impl Run {
    fn of(slots: &[Slot]) -> Self {
        let count = slots.len();
        let stretch = |FrameRef { origin, index }: FrameRef| Stretch { origin, frames: [index, index + count] };
        let held = |FrameRef { origin, index }: FrameRef| Held { origin, frame: index, count };
        match slots[0] {
            Slot::Keep(frame) => Self::Keep(stretch(frame)),
            Slot::Hint(frame) => Self::Hint(stretch(frame)),
            Slot::Repeat(frame) => Self::Repeat(held(frame)),
            Slot::Anchor(frame) => Self::Anchor(held(frame)),
            Slot::Carry(frame) => Self::Carry(stretch(frame)),
            Slot::Structure(frame) => Self::Structure(stretch(frame)),
            Slot::Fill => Self::Fill(count),
        }
    }
}

fn follows(one: &Slot, next: &Slot) -> bool {
    match (one, next) {
        (Slot::Keep(one), Slot::Keep(next))
        | (Slot::Hint(one), Slot::Hint(next))
        | (Slot::Carry(one), Slot::Carry(next))
        | (Slot::Structure(one), Slot::Structure(next)) => *next == FrameRef { index: one.index + 1, ..*one },
        _ => one == next,
    }
}
