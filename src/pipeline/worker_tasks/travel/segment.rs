//! `travel_segment` and `individual_travel_segment`: one segment, told in up to three places of its task.

use super::{
    Common, Travel, ask, beyond, common, continued, guidance, keys::IGNORED, lengths, looks, positive, references,
};
use crate::pipeline::{
    options::{Prompts, Seed},
    worker_tasks::{
        Draft, Role,
        join::one_line,
        json::JsonValueAt,
        json::{JsonObject, first},
        sampling,
    },
};

pub(in crate::pipeline::worker_tasks) fn segment(
    params: &JsonObject,
    alone: bool,
    draft: &mut Draft,
) -> Option<Travel> {
    let own = params.read("individual_segment_params", JsonValueAt::fields);
    let details = match params.at("orchestrator_details") {
        Some(spot) => spot.fields()?,
        None => {
            let wanted = "the orchestrator's details, as the worker put them into each of its segments";
            return params.lacks("orchestrator_details", wanted);
        }
    };
    if details.at("orchestrator_details").is_some() || details.at("full_orchestrator_payload").is_some() {
        draft.meets("copies-disagree");
    }
    let mut places: Vec<&JsonObject> = own.iter().collect();
    places.extend([params, &details]);
    let common = common(&places, &details, draft);
    let keys = |key| places.iter().map(|fields| (*fields, key)).collect::<Vec<_>>();
    let index = match params.at("segment_index") {
        Some(spot) => spot.whole(),
        None if alone => Some(0),
        None => params.lacks("segment_index", "which segment of the way"),
    };
    let lengths = details.read("segment_frames_expanded", lengths);
    let target = params.read("segment_frames_target", positive);
    let expanded = index.and_then(|index| lengths.as_ref()?.get(index).copied());
    let asked = first(&keys("num_frames"), positive).or(target).or(expanded);
    if asked.is_none() {
        params.lacks::<()>("segment_frames_target", "how many frames");
    }
    let seed = first(&[(places[0], "seed_to_use"), (params, "seed_to_use")], sampling::seed);
    let prompt = first(&[(places[0], "enhanced_prompt"), (params, "enhanced_prompt")], JsonValueAt::text)
        .filter(|text| !text.trim().is_empty())
        .or_else(|| first(&[(places[0], "base_prompt"), (params, "base_prompt")], JsonValueAt::text))
        .unwrap_or_default();
    let negative = first(&[(places[0], "negative_prompt"), (params, "negative_prompt")], JsonValueAt::text);
    draft.values.wan.negative_prompt = negative.map(|text| one_line(&text));
    let overlap = params.read("frame_overlap_from_previous", JsonValueAt::whole).unwrap_or(0);
    let continued = continued(&details, draft);
    let chained = common.as_ref().is_some_and(|common| common.chained) && overlap >= 2;
    let goes_on = chained && (continued || index.is_some_and(|index| index > 0));
    if goes_on && !continued {
        draft.input(
            Role::Clip,
            "the film of the segment before this one (--map dependant_on=FILE)".into(),
            "dependant_on".into(),
        );
    }
    if let Some(index) = index {
        let images = segment_images(own.as_ref(), params, &details, (index, alone, continued));
        shown(images, goes_on, &details, draft);
    }

    looks(&places, draft);
    for fields in own.iter().chain([params, &details]) {
        beyond(fields, draft);
    }
    if let Some(common) = &common {
        guidance::read(&places, common.way, draft);
        references(&places, common.way, draft);
    }
    // Of the whole way: what concerns this segment was read above.
    for key in OF_THE_WHOLE {
        details.at(key);
    }
    for fields in own.iter().chain([params, &details]) {
        fields.finish(IGNORED);
    }

    let (Common { way, asked: size_asked, chained }, index, asked) = (common?, index?, asked?);
    if asked % 4 != 1 {
        draft.meets(if own.is_some() || alone { "length-not-4n1" } else { "lengths-rounded-two-ways" });
    }
    // Of what goes before it, the film of one segment has nothing but what it is shown.
    draft.values.travel.apart = Some(true);
    ask(vec![asked], vec![if goes_on { overlap } else { 0 }], draft);
    draft.values.wan.seed = Some(seed.unwrap_or(Seed::Fixed(12345)));
    draft.values.wan.prompts = Some(Prompts::One(one_line(&prompt)));
    Some(Travel { way, size_asked, chained, segment: Some(index) })
}

/// What a segment comes from and goes to, as files: frames that are carried over stand in the first image's place.
fn shown([start, end]: [Option<String>; 2], goes_on: bool, details: &JsonObject, draft: &mut Draft) {
    let start = start.filter(|_| !goes_on);
    if start.is_none() && !goes_on {
        let why = "a segment that has an image at its end alone is not made here";
        return draft.cannot(&details.place("input_image_paths_resolved"), why);
    }
    for (side, image) in [("start", start), ("end", end)] {
        if let Some(image) = image {
            draft.input(Role::Image, format!("{side} image"), image);
        }
    }
}

/// A segment's own images; else those at its place on the way.
fn segment_images(
    own: Option<&JsonObject>,
    params: &JsonObject,
    details: &JsonObject,
    (index, alone, continued): (usize, bool, bool),
) -> [Option<String>; 2] {
    let named = |fields: &JsonObject| {
        let ends = ["start_image_url", "end_image_url"].map(|key| fields.read(key, JsonValueAt::text));
        let listed = fields.read("input_image_paths_resolved", JsonValueAt::texts).unwrap_or_default();
        match ends {
            [None, None] => [listed.first().cloned(), listed.get(1).cloned()],
            ends => ends,
        }
    };
    let way = details.read("input_image_paths_resolved", JsonValueAt::texts).unwrap_or_default();
    let on_the_way = |at: usize| way.get(at).cloned();
    let candidates = [own.map(named), alone.then(|| named(params))];
    let found = candidates.into_iter().flatten().find(|ends| ends.iter().any(Option::is_some));
    let images = found.unwrap_or_else(|| match continued {
        true => [index.checked_sub(1).and_then(on_the_way), on_the_way(index)],
        false => [on_the_way(index), on_the_way(index + 1)],
    });
    if images.iter().all(Option::is_none) {
        details.lacks::<()>("input_image_paths_resolved", &format!("the images of segment {index}"));
    }
    images
}

/// What a segment's copy of the orchestrator's details says of other segments.
const OF_THE_WHOLE: &[&str] = &[
    "num_new_segments_to_generate",
    "base_prompts_expanded",
    "negative_prompts_expanded",
    "enhanced_prompts_expanded",
    "frame_overlap_expanded",
    "input_image_paths_resolved",
    "seed_base",
    "base_prompt",
    "negative_prompt",
    "phase_configs_expanded",
    "loras_per_segment_expanded",
];
