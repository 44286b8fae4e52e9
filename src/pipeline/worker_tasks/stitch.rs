//! The last step of a chain: clips, and pieces between them that other tasks have made.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Command, Draft, Role, TaskError, TaskFile,
    assets::{Assets, Home, file_name},
    envelope::BOOKKEEPING,
    join::{audio, clip_list},
    json::{JsonObject, JsonValueAt},
};
use crate::pipeline::{
    plan::{Curve, PlanError, Source, StitchAsk},
    system::{file_names, text},
};

/// What is put together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stitch {
    /// The command that does it.
    pub by: Command,
    /// Frames left out at the start and at the end of each piece.
    pub cuts: Vec<[usize; 2]>,
    /// Frames that each piece shares with the next one.
    pub overlaps: Vec<usize>,
    pub curve: Curve,
}

impl Stitch {
    /// The question to the planner, for pieces of this length.
    pub fn ask(&self, sources: &[Source]) -> Result<StitchAsk, PlanError> {
        let Self { by: _, cuts, overlaps, curve } = self;
        let pieces = sources.iter().zip(cuts).enumerate().map(|(input, (source, [head, tail]))| {
            match source.length().checked_sub(head + tail) {
                Some(1..) => Ok((input, *head..source.length() - tail)),
                _ => {
                    let (path, has) = (source.path.clone(), source.length());
                    Err(PlanError::PieceTooShort { path, has, wants: head + tail + 1 })
                }
            }
        });
        Ok(StitchAsk { pieces: pieces.collect::<Result<_, _>>()?, overlaps: overlaps.clone(), curve: *curve })
    }
}

/// `join_final_stitch`: clips and the transitions between them, of which only their own records say how they were cut.
pub(super) fn of_join(params: &JsonObject, draft: &mut Draft) -> Option<Stitch> {
    let clips = clip_list(params, draft);
    let transitions = params.need("transition_task_ids", "the tasks that made the transitions", JsonValueAt::texts);
    draft.values.common.fps =
        Some(params.read("fps", JsonValueAt::rate).unwrap_or_else(|| "16".parse().expect("a rate")));
    let blend = params.read("blend_frames", JsonValueAt::whole).unwrap_or(15);
    let gap = ["gap_from_clip1", "gap_from_clip2"].map(|key| params.read(key, JsonValueAt::whole).unwrap_or(0));
    audio(params, draft);
    params.finish(IGNORED);
    let transitions = transitions?;
    if transitions.len() + 1 != clips && clips > 0 {
        let spot = params.at("transition_task_ids")?;
        return spot.wrong(format!("{} transitions between {clips} clips", clips.saturating_sub(1)));
    }
    let named = std::mem::take(&mut draft.inputs);
    let mut pieces = named.into_iter().peekable();
    for (index, task) in transitions.iter().enumerate() {
        draft.inputs.extend(pieces.next());
        let place = format!("{}[{index}]", params.place("transition_task_ids"));
        draft.input(Role::Transition, place, task.clone());
    }
    draft.inputs.extend(pieces);
    draft.meets("stitch-cuts-originals");
    let mut stitch =
        Stitch { by: Command::Join, cuts: vec![[0, 0]], overlaps: vec![], curve: Curve::Sharpened(Curve::SHARPENING) };
    for _ in &transitions {
        stitch.meet(gap, [blend, blend]);
    }
    Some(stitch)
}

impl Stitch {
    /// One more transition and the clip after it.
    fn meet(&mut self, gap: [usize; 2], overlaps: [usize; 2]) {
        if let Some(last) = self.cuts.last_mut() {
            last[1] = gap[0];
        }
        self.cuts.extend([[0, 0], [gap[1], 0]]);
        self.overlaps.extend(overlaps);
    }
}

/// What a transition's task returned.
#[derive(Deserialize)]
struct Returned {
    transition_url: String,
    gap_from_clip1: Option<usize>,
    gap_from_clip2: Option<usize>,
    context_from_clip1: Option<usize>,
    context_from_clip2: Option<usize>,
    blend_frames: Option<usize>,
}

/// Opens the records of transitions that lie here: each names its film, and how the clips beside it are cut.
pub(super) fn read_records(stitch: &mut Stitch, inputs: &mut [TaskFile], assets: &Assets) -> Result<(), TaskError> {
    let transitions = inputs.iter_mut().filter(|input| input.role == Role::Transition);
    for (index, input) in transitions.enumerate() {
        let Some(record) = input.file.clone().filter(|file| file.extension().is_some_and(|end| end == "json")) else {
            continue;
        };
        let wrong = |problem: String| TaskError::NotJson { path: record.clone(), problem };
        let text = fs::read(&record).map_err(|source| TaskError::Unreadable { path: record.clone(), source })?;
        let value: Value = text::from_json(&text).map_err(|error| wrong(error.to_string()))?;
        // A task's row has it as text.
        let value = match value.get("output_location") {
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?,
            _ => value,
        };
        let returned: Returned = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        let Returned { transition_url, gap_from_clip1, gap_from_clip2, .. } = returned;
        let [first, second] = [2 * index, 2 * index + 1];
        let cuts = &mut stitch.cuts;
        cuts[first][1] = gap_from_clip1.unwrap_or(cuts[first][1]);
        cuts[second + 1][0] = gap_from_clip2.unwrap_or(cuts[second + 1][0]);
        for (at, context) in [(first, returned.context_from_clip1), (second, returned.context_from_clip2)] {
            let overlap = context.or(returned.blend_frames);
            stitch.overlaps[at] = overlap.unwrap_or(stitch.overlaps[at]);
        }
        let home = record.parent().unwrap_or(Path::new(""));
        let beside = home.join(file_name(&transition_url));
        (input.file, input.why) = match file_names::written(&beside) {
            Ok(beside) if beside.is_file() => (Some(beside), None),
            Ok(_) => assets.look(&transition_url, Home::Written(home)),
            Err(lookalikes) => (None, Some(lookalikes.to_string())),
        };
        input.address = transition_url;
    }
    Ok(())
}

/// `travel_stitch`: the segments of a way.
pub(super) fn of_travel(params: &JsonObject, draft: &mut Draft) -> Option<Stitch> {
    let details = params.read("orchestrator_details", JsonValueAt::fields);
    let overlaps = match params.at("frame_overlap_settings_expanded") {
        Some(spot) => spot.wholes(),
        None => match &details {
            Some(details) => details.need("frame_overlap_expanded", "the overlaps", JsonValueAt::wholes),
            None => params.lacks("frame_overlap_settings_expanded", "the overlap of every two segments"),
        },
    };
    let segments = params.need("num_total_segments_generated", "how many segments", JsonValueAt::whole);
    draft.values.common.fps = params.read("fps_final_video", JsonValueAt::rate);
    params.read("parsed_resolution_wh", JsonValueAt::size);
    let sharp = params.read("crossfade_sharp_amt", JsonValueAt::number).unwrap_or(Curve::SHARPENING);
    let before = params.read("initial_continued_video_path", JsonValueAt::text).filter(|address| !address.is_empty());
    audio(params, draft);
    params.finish(super::travel::IGNORED);
    let (mut overlaps, segments) = (overlaps?, segments?);
    if segments == 0 {
        return params.at("num_total_segments_generated")?.wrong("at least one segment");
    }
    if overlaps.len() != segments - 1 {
        let place = params.at("frame_overlap_settings_expanded")?;
        return place.wrong(format!("{} overlaps between {segments} segments", segments - 1));
    }
    if segments > 1 && overlaps.iter().all(|overlap| *overlap == 0) {
        draft.meets("stitch-needs-overlap");
    }
    if let Some(address) = before {
        draft.input(Role::Clip, params.place("initial_continued_video_path"), address);
        draft.meets("stitch-needs-overlap");
        // The first of the list stood for both of the first two places.
        overlaps.insert(0, overlaps.first().copied().unwrap_or(0));
    }
    for index in 0..segments {
        draft.input(Role::Transition, format!("segment {index}"), format!("segment_{index}"));
    }
    let cuts = vec![[0, 0]; overlaps.len() + 1];
    Some(Stitch { by: Command::Travel, cuts, overlaps, curve: Curve::Sharpened(sharp) })
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
