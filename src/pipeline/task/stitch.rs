//! The last step of a chain: clips, and pieces between them that other tasks have made.

use serde::Serialize;

use super::{
    Draft, Role,
    envelope::BOOKKEEPING,
    fields::Fields,
    join::{audio, clip_list},
    spot::Spot,
};
use crate::pipeline::settings::Length;

/// What is put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stitch {
    pub pieces: usize,
    pub overlaps: Vec<usize>,
}

/// `join_final_stitch`: clips and the transitions between them.
pub(super) fn of_join(params: &Fields, draft: &mut Draft) -> Option<Stitch> {
    let clips = clip_list(params, draft);
    let transitions = params.need("transition_task_ids", "the tasks that made the transitions", Spot::texts);
    draft.values.fps = Some(params.read("fps", Spot::rate).unwrap_or_else(|| "16".parse().expect("a rate")));
    let blend = params.read("blend_frames", Spot::whole).unwrap_or(15);
    draft.values.blend = Some(blend);
    let gaps = ["gap_from_clip1", "gap_from_clip2"].map(|key| params.read(key, Spot::whole));
    if let [Some(left), Some(right)] = gaps {
        draft.values.gap = Some(Length::Frames(left + right));
    }
    audio(params, draft);
    params.finish(IGNORED);
    let transitions = transitions?;
    if transitions.len() + 1 != clips && clips > 0 {
        let spot = params.at("transition_task_ids")?;
        return spot.wrong(format!("{} transitions between {clips} clips", clips.saturating_sub(1)));
    }
    for (index, task) in transitions.iter().enumerate() {
        let place = format!("{}[{index}]", params.place("transition_task_ids"));
        draft.input(Role::Transition, place, task.clone());
    }
    draft.meets("P-29");
    Some(Stitch { pieces: clips + transitions.len(), overlaps: vec![blend; 2 * transitions.len()] })
}

/// `travel_stitch`: the segments of a way.
pub(super) fn of_travel(params: &Fields, draft: &mut Draft) -> Option<Stitch> {
    let details = params.read("orchestrator_details", Spot::fields);
    let overlaps = match params.at("frame_overlap_settings_expanded") {
        Some(spot) => spot.wholes(),
        None => match &details {
            Some(details) => details.need("frame_overlap_expanded", "the overlaps", Spot::wholes),
            None => params.lacks("frame_overlap_settings_expanded", "the overlap of every two segments"),
        },
    };
    let segments = params.need("num_total_segments_generated", "how many segments", Spot::whole);
    draft.values.fps = params.read("fps_final_video", Spot::rate);
    params.read("parsed_resolution_wh", Spot::size);
    let before = params.read("initial_continued_video_path", Spot::text).filter(|address| !address.is_empty());
    audio(params, draft);
    params.finish(super::travel::IGNORED);
    let (overlaps, segments) = (overlaps?, segments?);
    let mut pieces = segments;
    if let Some(address) = before {
        draft.input(Role::Clip, params.place("initial_continued_video_path"), address);
        draft.meets("P-14");
        pieces += 1;
    }
    if segments == 0 {
        return params.at("num_total_segments_generated")?.wrong("at least one segment");
    }
    if overlaps.len() != segments - 1 {
        let place = params.at("frame_overlap_settings_expanded")?;
        return place.wrong(format!("{} overlaps between {segments} segments", segments - 1));
    }
    for index in 0..segments {
        draft.input(Role::Transition, format!("segment {index}"), format!("segment_{index}"));
    }
    if segments > 1 && overlaps.iter().all(|overlap| *overlap == 0) {
        draft.meets("P-14");
    }
    Some(Stitch { pieces, overlaps })
}

const IGNORED: &[(&str, &str)] = &[
    ("orchestrator_task_id_ref", BOOKKEEPING),
    ("orchestrator_task_id", BOOKKEEPING),
    ("orchestrator_run_id", BOOKKEEPING),
    ("project_id", BOOKKEEPING),
    ("run_id", BOOKKEEPING),
    ("parent_generation_id", BOOKKEEPING),
    ("child_order", BOOKKEEPING),
    ("chain_mode", "passed the last film on"),
    ("current_run_base_output_dir", "a folder of the worker's machine"),
    ("output_base_dir", "a folder of the worker's machine"),
    ("priority", "the worker's queue"),
    ("tool_type", "the web page's"),
];
