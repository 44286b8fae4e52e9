//! Tasks that join clips: one join, a segment of a chain, and the whole chain.

use super::{
    Draft, Role,
    envelope::BOOKKEEPING,
    era::Era,
    json::{JsonObject, JsonValueAt, first},
    loras::Family,
    sampling,
};
use crate::pipeline::{
    options::{Audio, Length, Prompts, Seed},
    plan::Mode,
    types::video::Size,
};

/// What a task without a model's name had.
const MODEL: &str = "wan_2_2_vace_lightning_baseline_2_2_2";

/// `join_clips`, and `join_clips_segment`, which is one of a chain.
pub(super) fn clips(params: &JsonObject, draft: &mut Draft) {
    settings(&[params], draft);
    for (key, wanted) in [("starting_video_path", "the first clip"), ("ending_video_path", "the second clip")] {
        match params.read(key, JsonValueAt::text).filter(|address| !address.is_empty()) {
            Some(address) => draft.input(Role::Clip, params.place(key), address),
            // A chain's worker took the film of the task before.
            None if params.read("orchestrator_task_id_ref", JsonValueAt::text).is_some()
                && key.starts_with("starting") =>
            {
                draft.input(Role::Clip, params.place(key), key.into());
            }
            None => drop(params.lacks::<()>(key, wanted)),
        }
    }
    draft.prompts(vec![params.read("prompt", JsonValueAt::text)]);
    if params.read("is_last_join", JsonValueAt::truth).unwrap_or(true) {
        audio(params, draft);
    }
    for key in ["transition_only", "skip_generation"] {
        if params.read(key, JsonValueAt::truth) == Some(true) {
            let why = match key {
                "transition_only" => "the whole film is made; --transition writes the piece alone",
                _ => "frames are made whatever the worker left out",
            };
            draft.differs(params.place(key), why);
        }
    }
    for key in ["is_first_join", "join_index", "audio_url"] {
        params.at(key);
    }
    params.finish(IGNORED);
}

/// `join_clips_orchestrator`: clips in order, one join between every two.
pub(super) fn chain(params: &JsonObject, draft: &mut Draft) {
    let Some(details) = params.need("orchestrator_details", "an object", JsonValueAt::fields) else { return };
    settings(&[&details], draft);
    let clips = clip_list(&details, draft);
    if details.read("loop_first_clip", JsonValueAt::truth) == Some(true) {
        draft.cannot(
            &details.place("loop_first_clip"),
            "the first clip is joined to itself played backwards; reverse it with ffmpeg and join the two files",
        );
    }
    let common = details.read("prompt", JsonValueAt::text).unwrap_or_else(|| "smooth transition".into());
    let mut prompts = vec![Some(common); clips.saturating_sub(1)];
    let own = details.read("per_join_settings", JsonValueAt::list).unwrap_or_default();
    for (seam, own) in own.iter().enumerate() {
        let Some(own) = own.fields() else { continue };
        if let (Some(prompt), Some(place)) = (own.read("prompt", JsonValueAt::text), prompts.get_mut(seam)) {
            *place = Some(prompt);
        }
        let same = |key| match own.at(key) {
            Some(spot) => details.at(key).is_some_and(|common| common.value() == spot.value()),
            None => true,
        };
        for key in PER_JOIN.iter().copied().filter(|key| !same(key)) {
            draft.cannot(&own.place(key), "all seams of a film have the same here; join in two runs");
        }
        own.finish(IGNORED);
    }
    draft.prompts(prompts);
    if details.read("enhance_prompt", JsonValueAt::truth) == Some(true) {
        draft.written_by_a_model(details.place("enhance_prompt"));
    }
    audio(&details, draft);
    details.finish(IGNORED);
    params.finish(IGNORED);
}

/// The clips' addresses; how many there are.
pub(super) fn clip_list(details: &JsonObject, draft: &mut Draft) -> usize {
    let clips = details.need("clip_list", "a list of clips", JsonValueAt::list).unwrap_or_default();
    for clip in clips.iter().filter_map(JsonValueAt::fields) {
        if let Some(address) = clip.need("url", "an address", JsonValueAt::text) {
            draft.input(Role::Clip, clip.place("url"), address);
        }
        clip.finish(&[("name", "a label of the web page"), ("id", BOOKKEEPING), ("duration", "probed")]);
    }
    if clips.len() == 1 {
        details.at("clip_list").and_then(|list| list.wrong::<()>("at least two clips"));
    }
    clips.len()
}

/// Which seams of a chain may not differ in.
const PER_JOIN: &[&str] = &[
    "context_frame_count",
    "gap_frame_count",
    "replace_mode",
    "keep_bridging_images",
    "negative_prompt",
    "seed",
    "model",
    "phase_config",
    "num_inference_steps",
    "guidance_scale",
    "resolution",
    "fps",
];

/// What all tasks that join have in common; of several places the first that says something counts.
pub(super) fn settings(places: &[&JsonObject], draft: &mut Draft) {
    let keys = |key| places.iter().map(|fields| (*fields, key)).collect::<Vec<_>>();
    let whole = |key, default| match first(&keys(key), length) {
        Some(length) => length,
        None => Length::Frames(default),
    };
    let truth = |key| first(&keys(key), JsonValueAt::truth).unwrap_or(false);
    let values = &mut draft.values;
    values.join.context = Some(whole("context_frame_count", 8));
    values.join.gap = Some(whole("gap_frame_count", 53));
    values.join.mode = Some(if truth("replace_mode") { Mode::Replace } else { Mode::Insert });
    values.join.anchors = Some(truth("keep_bridging_images"));
    values.wan.negative_prompt = first(&keys("negative_prompt"), JsonValueAt::text).map(|text| one_line(&text));
    values.wan.seed = Some(first(&keys("seed"), sampling::seed).unwrap_or(Seed::Random));

    let fps = first(&keys("fps"), |spot| if spot.is_zero() { Some(None) } else { spot.rate().map(Some) }).flatten();
    let own = truth("use_input_video_fps");
    // The first worker kept the clip's own rate where none was asked for; later ones made everything 16.
    let default = (draft.era != Era::Oct25).then(|| "16".parse().expect("a rate"));
    values.common.fps = fps.filter(|_| !own).or(default.filter(|_| !own));

    let size = first(&keys("resolution"), JsonValueAt::size).filter(|_| !truth("use_input_video_resolution"));
    values.common.made_size = size.map(snapped);
    if places.iter().any(|fields| fields.is_null("resolution")) && draft.era != Era::V2 {
        draft.meets("null-as-value");
    }
    if let Some(place) = places.iter().find_map(|fields| fields.at("aspect_ratio")) {
        draft.differs(place.place().into(), "the film has the first clip's shape; --size asks for another");
    }
    if let Some(strength) = places.iter().find_map(|fields| fields.at("vid2vid_init_strength"))
        && strength.number().is_some_and(|strength| strength < 1.0)
        && truth("replace_mode")
    {
        draft.differs(strength.place().into(), "made from noise alone, not from the frames that were there");
        draft.meets("starts-from-blend");
    }
    draft.preset = Some(first(&keys("model"), JsonValueAt::text).unwrap_or_else(|| MODEL.into()));
    sampling::read(places, places, Family::Join, draft);
}

/// Frames, at least one.
pub(super) fn length(spot: &JsonValueAt) -> Option<Length> {
    match spot.whole()? {
        frames @ 1..=100_000 => Some(Length::Frames(frames)),
        _ => spot.wrong("at least 1 frame"),
    }
}

/// Each side down to a multiple of 16, as the worker did.
pub(super) fn snapped(size: Size) -> Size {
    Size::new((size.width / 16 * 16).max(16), (size.height / 16 * 16).max(16))
}

/// The worker read only the first line of a prompt; all of them are meant.
pub(super) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

pub(super) fn audio(fields: &JsonObject, draft: &mut Draft) {
    if let Some(address) = fields.read("audio_url", JsonValueAt::text).filter(|address| !address.is_empty()) {
        draft.input(Role::Audio, fields.place("audio_url"), address.clone());
        draft.film.audio = Some(Audio::File(address.into()));
    }
}

impl Draft {
    /// One for each seam; blank ones are allowed.
    pub(super) fn prompts(&mut self, prompts: Vec<Option<String>>) {
        let several = |prompt: &Option<String>| prompt.as_ref().is_some_and(|prompt| prompt.trim().lines().count() > 1);
        if prompts.iter().any(several) {
            self.meets("first-line-of-prompt");
        }
        let prompts: Vec<String> = prompts.into_iter().map(|prompt| one_line(&prompt.unwrap_or_default())).collect();
        self.values.wan.prompts = Some(match prompts.as_slice() {
            [one, rest @ ..] if rest.iter().all(|other| other == one) => Prompts::One(one.clone()),
            _ => Prompts::Each(prompts),
        });
    }
}

/// Keys of joins that say nothing about the film.
pub(super) const IGNORED: &[(&str, &str)] = &[
    ("priority", "the worker's queue"),
    ("max_wait_time", "the worker's queue; --timeout limits a run"),
    ("run_id", BOOKKEEPING),
    ("project_id", BOOKKEEPING),
    ("shot_id", BOOKKEEPING),
    ("orchestrator_task_id", BOOKKEEPING),
    ("orchestrator_task_id_ref", BOOKKEEPING),
    ("orchestrator_run_id", BOOKKEEPING),
    ("parent_generation_id", BOOKKEEPING),
    ("based_on", BOOKKEEPING),
    ("child_order", BOOKKEEPING),
    ("is_single_item", BOOKKEEPING),
    ("transition_index", BOOKKEEPING),
    ("create_as_generation", BOOKKEEPING),
    ("segment_task_ids", BOOKKEEPING),
    ("full_orchestrator_payload", "a copy of the task above this one"),
    ("orchestrator_details", "a copy of the task above this one"),
    ("current_run_base_output_dir", "a folder of the worker's machine"),
    ("join_output_dir", "a folder of the worker's machine"),
    ("output_base_dir", "a folder of the worker's machine"),
    ("debug", "the worker's own files; --keep keeps a run's"),
    ("enhance_prompt", "done before this task was made"),
    ("vlm_device", "no vision model here"),
    ("tool_type", "the web page's"),
    ("advanced_mode", "the web page's"),
    ("motion_mode", "the web page's"),
    ("use_parallel_joins", "seams are made from the original clips in any case"),
    ("skip_frame_validation", "clips are always counted"),
    ("audio_guidance_scale", "of models that make sound"),
    ("embedded_guidance_scale", "of models that are not Wan"),
    ("loop_first_clip", "off"),
    ("selected_phase_preset_id", "the web page's"),
    ("per_join_settings", "empty"),
];
