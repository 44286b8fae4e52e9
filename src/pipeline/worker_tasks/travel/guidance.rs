//! Clips that guide what a journey makes, in all the shapes that tasks have them in.

use super::Way;
use crate::pipeline::{
    options::{FrameRange, StructureUse},
    plan::Treatment,
    worker_tasks::{
        Draft, Role,
        json::JsonValueAt,
        json::{JsonObject, first},
    },
};

/// Of the first place that names any.
pub(super) fn read(places: &[&JsonObject], way: Way, draft: &mut Draft) {
    let keys = |key| places.iter().map(|fields| (*fields, key)).collect::<Vec<_>>();
    // Each says it in its own words.
    let config = places.iter().find_map(|fields| fields.read("structure_guidance", JsonValueAt::fields));
    let kind = match &config {
        Some(config) => config.read("preprocessing", JsonValueAt::text),
        None => first(&keys("structure_type"), JsonValueAt::text)
            .or(first(&keys("structure_video_type"), JsonValueAt::text)),
    };
    let uni3c = match &config {
        Some(config) => config.read("target", JsonValueAt::text).as_deref() == Some("uni3c"),
        None => first(&keys("use_uni3c"), JsonValueAt::truth) == Some(true),
    };
    let listed = match &config {
        Some(config) => config.at("videos"),
        None => places.iter().find_map(|fields| fields.at("structure_videos")),
    };
    let mut clips: Vec<(String, String, StructureUse)> = vec![];
    for video in listed.iter().flat_map(|spot| spot.list().unwrap_or_default()).filter_map(|video| video.fields()) {
        let Some(address) = video.need("path", "an address", JsonValueAt::text) else { continue };
        let stretch = |from: &str, to: &str| {
            let start = video.read(from, JsonValueAt::whole).unwrap_or(0);
            let end = video.read(to, JsonValueAt::whole);
            match end {
                Some(end) if end <= start => video.at(to)?.wrong(format!("a frame after {start}")),
                Some(end) => Some(FrameRange(start..end)),
                None if start == 0 => None,
                None => Some(FrameRange(start..u32::MAX as usize)),
            }
        };
        let film = stretch("start_frame", "end_frame");
        let frames = stretch("source_start_frame", "source_end_frame");
        let spread = treated(video.at("treatment").as_ref());
        clips.push((video.place("path"), address, StructureUse { clip: clips.len(), film, frames, spread }));
    }
    let one = ["structure_video_path", "uni3c_guide_video"].into_iter().find_map(|key| {
        let fields = places.iter().find(|fields| fields.at(key).is_some())?;
        let address = fields.read(key, JsonValueAt::text).filter(|address| !address.is_empty())?;
        Some((fields.place(key), address))
    });
    if let (true, Some((place, address))) = (clips.is_empty(), one) {
        let treatment = places.iter().find_map(|fields| fields.at("structure_video_treatment"));
        let spread = treated(treatment.as_ref());
        clips.push((place, address, StructureUse { clip: 0, film: None, frames: None, spread }));
    }
    let Some((place, ..)) = clips.first().cloned() else { return };
    draft.meets("structure-under-mask");
    draft.meets("structure-too-early");
    let treatment = match (uni3c, kind.as_deref().unwrap_or("flow")) {
        (false, "raw" | "none") => Some(Treatment::Raw),
        (false, "canny") => {
            draft.differs(place.clone(), "edges by Canny's method, where the worker had a network draw contours");
            Some(Treatment::Edges)
        }
        (uni3c, kind) => {
            let kind = if uni3c { "uni3c" } else { kind };
            draft.cannot(&place, &not_done(kind));
            None
        }
    };
    if way == Way::I2v && treatment.is_some() {
        draft.cannot(&place, "a structure clip takes a VACE model; this one goes from image to image");
    }
    for (place, address, _) in &clips {
        draft.input(Role::Guide, place.clone(), address.clone());
    }
    draft.values.travel.treatment = treatment;
    draft.values.travel.structure_use = Some(clips.into_iter().map(|(_, _, clip)| clip).collect());
}

/// Whether its frames are spread over the stretch that they guide.
fn treated(spot: Option<&JsonValueAt>) -> bool {
    let said = spot.and_then(|spot| match spot.text()?.as_str() {
        "adjust" => Some(true),
        "clip" => Some(false),
        _ => spot.wrong("adjust or clip"),
    });
    said.unwrap_or(true)
}

fn not_done(kind: &str) -> String {
    let why = match kind {
        "flow" => "flow pictures lose how fast things move",
        _ => "it takes a network that is not here",
    };
    format!(
        "guidance by {kind} is not done here: {why}; travel --structure CLIP,raw or CLIP,edges shows a clip to a VACE model"
    )
}
