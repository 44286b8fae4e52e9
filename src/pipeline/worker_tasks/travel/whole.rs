//! `travel_orchestrator`: the whole way, segment by segment.

use super::{Common, Travel, ask, beyond, common, continued, guidance, keys::IGNORED, lengths, looks, references};
use crate::pipeline::worker_tasks::era::Era;
use crate::pipeline::{
    options::{Prompts, Seed},
    worker_tasks::{Draft, Role, join::one_line, json::JsonObject, json::JsonValueAt, loras, sampling},
};

pub(in crate::pipeline::worker_tasks) fn whole(params: &JsonObject, draft: &mut Draft) -> Option<Travel> {
    let details = params.need("orchestrator_details", "an object", JsonValueAt::fields)?;
    let common = common(&[&details], &details, draft);
    let count = details.need("num_new_segments_to_generate", "how many segments", |spot| match spot.whole()? {
        0 => spot.wrong("at least one segment"),
        count => Some(count),
    });
    let asked = details.need("segment_frames_expanded", "the frames of each segment", lengths);
    let overlaps = match details.at("frame_overlap_expanded") {
        Some(spot) if spot.is_list() => spot.wholes(),
        Some(spot) => spot.whole().zip(count).map(|(overlap, count)| vec![overlap; count.saturating_sub(1)]),
        None => details.lacks("frame_overlap_expanded", "the overlap of every two segments"),
    };
    let images = images(&details, draft);
    let prompts = segment_prompts(&details, count.unwrap_or(0), draft);
    let seed = details.read("seed_base", sampling::seed).unwrap_or(Seed::Fixed(12345));
    let continued = continued(&details, draft);
    looks(&[&details], draft);
    beyond(&details, draft);
    if let Some(common) = &common {
        guidance::read(&[&details], common.way, draft);
        references(&[&details], common.way, draft);
    }
    loras::of_segments(&details, count.unwrap_or(0), draft);
    sampling::of_segments(&details, count.unwrap_or(0), draft);
    details.finish(IGNORED);
    params.finish(IGNORED);

    let (Common { way, asked: size_asked, chained }, count, asked, overlaps) = (common?, count?, asked?, overlaps?);
    let counted = |key, found: usize, wanted: usize| {
        if found != wanted {
            details.at(key).and_then(|spot| spot.wrong::<()>(format!("{wanted} entries for {count} segments")));
        }
        found == wanted
    };
    let long_enough = counted("segment_frames_expanded", asked.len(), count);
    // The worker kept a list for one segment, though nothing overlaps there.
    let overlaps_fit = count == 1 || counted("frame_overlap_expanded", overlaps.len(), count - 1);
    let needed = match (continued, images.len()) {
        (true, _) => count,
        (false, 1) => 1,
        (false, _) => count + 1,
    };
    if !(long_enough && overlaps_fit && counted("input_image_paths_resolved", images.len(), needed)) {
        return None;
    }
    if continued && count > 1 {
        draft.meets("stitch-needs-overlap");
    }
    // The first of a list stands between the clip gone on from and the first segment too.
    let overlap = |index: usize| match index.checked_sub(1) {
        _ if !chained => 0,
        Some(before) => overlaps.get(before).copied().unwrap_or(0),
        None if continued => overlaps.first().copied().unwrap_or(0),
        None => 0,
    };
    let shared: Vec<usize> = (0..count).map(overlap).collect();
    if shared.iter().any(|overlap| overlap % 4 == 2) {
        draft.meets("overlap-made-even");
    }
    if asked.iter().any(|frames| frames % 4 == 0) && draft.era != Era::V2 {
        draft.meets("lengths-rounded-two-ways");
    }
    if count > 1 {
        draft.meets("one-seed");
    }
    if chained && count > 1 {
        draft.meets("timelines-differ");
        if shared.iter().all(|overlap| *overlap == 0) {
            draft.meets("stitch-needs-overlap");
        }
    }
    ask(asked, shared, draft);
    draft.values.wan.seed = Some(seed);
    draft.values.wan.prompts = Some(Prompts::Each(prompts));
    Some(Travel { way, size_asked, chained, segment: None })
}

fn images(details: &JsonObject, draft: &mut Draft) -> Vec<String> {
    let images = details.need("input_image_paths_resolved", "a list of images", JsonValueAt::texts).unwrap_or_default();
    for (index, image) in images.iter().enumerate() {
        draft.input(Role::Image, format!("{}[{index}]", details.place("input_image_paths_resolved")), image.clone());
    }
    images
}

/// A segment's enhanced prompt, else its own, else the common one, with the texts around it.
fn segment_prompts(details: &JsonObject, count: usize, draft: &mut Draft) -> Vec<String> {
    let base =
        details.need("base_prompts_expanded", "a prompt for each segment", JsonValueAt::texts).unwrap_or_default();
    let enhanced = details.read("enhanced_prompts_expanded", JsonValueAt::texts).unwrap_or_default();
    let common = details.read("base_prompt", JsonValueAt::text).unwrap_or_default();
    let around = ["text_before_prompts", "text_after_prompts"]
        .map(|key| details.read(key, JsonValueAt::text).unwrap_or_default());
    let filled = |list: &[String], at: usize| list.get(at).filter(|text| !text.trim().is_empty()).cloned();
    if details.read("enhance_prompt", JsonValueAt::truth) == Some(true)
        && (0..count).any(|at| filled(&enhanced, at).is_none())
    {
        draft.written_by_a_model(details.place("enhance_prompt"));
    }
    let negatives = details.read("negative_prompts_expanded", JsonValueAt::texts).unwrap_or_default();
    let common_negative = details.read("negative_prompt", JsonValueAt::text).unwrap_or_default();
    let negatives: Vec<String> =
        (0..count).map(|at| one_line(&filled(&negatives, at).unwrap_or_else(|| common_negative.clone()))).collect();
    if let Some((first, rest)) = negatives.split_first() {
        draft.values.wan.negative_prompt = Some(first.clone());
        if rest.iter().any(|other| other != first) {
            draft.values.wan.negative_prompts = Some(negatives.into_iter().map(Some).collect());
        }
    }
    let whole = |at| {
        let prompt = filled(&enhanced, at).or_else(|| filled(&base, at)).unwrap_or_else(|| common.clone());
        let parts = [around[0].as_str(), prompt.as_str(), around[1].as_str()];
        let parts: Vec<String> = parts.iter().map(|part| one_line(part)).filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    };
    (0..count).map(whole).collect()
}
