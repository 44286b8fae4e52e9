//! Tasks that make a part of one clip again: one range, or several portions.

use serde::Serialize;

use super::{
    Draft, Role,
    join::{self, audio, settings},
    json::{JsonObject, JsonValueAt},
};
use crate::pipeline::options::{FrameRange, Length};

/// Frames of the clip to make again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Portion {
    pub frames: std::ops::Range<usize>,
    pub prompt: Option<String>,
}

/// `inpaint_frames`: one range, its end excluded.
pub(super) fn inpaint(params: &JsonObject, draft: &mut Draft) -> Option<Vec<Portion>> {
    settings(&[params], draft);
    draft.values.common.fps = None;
    if let Some(spot) = params.at("fps") {
        draft.differs(spot.place().into(), "frames are counted at the clip's own rate, which the film keeps");
    }
    draft.prompts(vec![params.read("prompt", JsonValueAt::text)]);
    if let Some(address) = params.need("video_path", "the clip", JsonValueAt::text) {
        draft.input(Role::Clip, params.place("video_path"), address);
    }
    let start = params.need("inpaint_start_frame", "the first frame to make again", JsonValueAt::whole);
    let end = params.need("inpaint_end_frame", "the frame after the last", JsonValueAt::whole);
    params.finish(join::IGNORED);
    let (start, end) = (start?, end?);
    if start >= end {
        let spot = params.at("inpaint_end_frame")?;
        return spot.wrong(format!("a frame after the first, {start}"));
    }
    let context = context(draft);
    if (end - start + 2 * context) % 4 != 1 {
        draft.meets("length-not-4n1");
    }
    Some(asked(vec![Portion { frames: start..end, prompt: None }], draft))
}

/// `edit_video_orchestrator`: portions of one clip, their ends included; with replace_mode their edge frames stay.
pub(super) fn edit(params: &JsonObject, draft: &mut Draft) -> Option<Vec<Portion>> {
    let details = params.need("orchestrator_details", "an object", JsonValueAt::fields)?;
    settings(&[&details], draft);
    draft.values.common.fps = details.read("source_video_fps", JsonValueAt::rate);
    let keeps_edges = details.read("replace_mode", JsonValueAt::truth).unwrap_or(false);
    if let Some(address) = details.need("source_video_url", "the clip", JsonValueAt::text) {
        draft.input(Role::Clip, details.place("source_video_url"), address);
    }
    audio(&details, draft);
    let spots = details.need("portions_to_regenerate", "a list of portions", JsonValueAt::list)?;
    if spots.is_empty() {
        details.at("portions_to_regenerate").and_then(|list| list.wrong::<()>("at least one portion"));
    }
    let mut portions: Vec<Portion> = vec![];
    for spot in &spots {
        let portion = spot.fields()?;
        let start = portion.need("start_frame", "the first frame", JsonValueAt::whole);
        let end = portion.need("end_frame", "the last frame", JsonValueAt::whole);
        let prompt = portion.read("prompt", JsonValueAt::text);
        portion.finish(&[
            ("start_time", "start_frame counts"),
            ("end_time", "end_frame counts"),
            ("frame_count", "told by the two frames"),
            ("gap_frame_count", "told by the two frames"),
            ("id", "the web page's"),
            ("start_frame_url", "the web page's"),
            ("end_frame_url", "the web page's"),
        ]);
        let (Some(start), Some(end)) = (start, end) else { continue };
        let frames = if keeps_edges { start + 1..end } else { start..end + 1 };
        if frames.is_empty() {
            portion.at("end_frame").and_then(|spot| spot.wrong::<()>(format!("a frame after the first, {start}")));
        }
        portions.push(Portion { frames, prompt });
    }
    let common = details.read("prompt", JsonValueAt::text);
    details.read("source_video_total_frames", JsonValueAt::whole);
    details.finish(join::IGNORED);
    params.finish(join::IGNORED);
    portions.sort_by_key(|portion| portion.frames.start);
    for pair in portions.windows(2) {
        if pair[1].frames.start <= pair[0].frames.end {
            let list = details.at("portions_to_regenerate")?;
            return list.wrong(format!("portions apart, not {:?} and {:?}", pair[0].frames, pair[1].frames));
        }
    }
    let context = context(draft);
    if portions.iter().any(|portion| (portion.frames.len() + 2 * context) % 4 != 1) {
        draft.meets("portion-shortened");
    }
    draft.prompts(portions.iter().map(|portion| portion.prompt.clone().or_else(|| common.clone())).collect());
    Some(asked(portions, draft))
}

/// The same as settings. What the worker made of them, joins with gaps, they are not here.
fn asked(portions: Vec<Portion>, draft: &mut Draft) -> Vec<Portion> {
    draft.values.join.ranges = Some(portions.iter().map(|portion| FrameRange(portion.frames.clone())).collect());
    (draft.values.join.gap, draft.values.join.mode) = (None, None);
    portions
}

fn context(draft: &Draft) -> usize {
    match draft.values.join.context {
        Some(Length::Frames(frames)) => frames,
        _ => 8,
    }
}
