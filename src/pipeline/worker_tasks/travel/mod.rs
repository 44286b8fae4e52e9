//! Tasks that travel from image to image: the whole way, one segment of it, and the stitch at its end.

use serde::Serialize;

mod guidance;
mod keys;
mod segment;
mod whole;

pub(super) use keys::IGNORED;
pub(super) use segment::segment;
pub(super) use whole::whole;

use super::{
    Draft, Role,
    era::Era,
    join::{length, snapped},
    json::{JsonObject, JsonValueAt, first},
    loras::Family,
    sampling::{self, SVI},
};
use crate::pipeline::{
    options::{Each, Length},
    plan::{Curve, Lengths, Round, Tone},
    types::video::Size,
    weights::Conditioning,
};

/// What a travel task comes to besides its settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Travel {
    pub way: Way,
    pub size_asked: Size,
    /// Whether each segment goes on from the frames of the one before it.
    pub chained: bool,
    /// Which one of its way, where the task is for one alone.
    pub segment: Option<usize>,
}

/// How a segment is told its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// By an image model's own mask.
    I2v,
    /// By a guide.
    Vace,
}

impl Way {
    /// How a model of this kind is shown frames.
    pub fn conditioning(self) -> Conditioning {
        match self {
            Self::I2v => Conditioning::Images,
            Self::Vace => Conditioning::Vace,
        }
    }
}

/// The segments in numbers, as settings that the planner takes. What the worker rounded, the planner rounds alike.
fn ask(frames: Vec<usize>, overlaps: Vec<usize>, draft: &mut Draft) {
    draft.values.travel.segment_count = Some(frames.len());
    draft.values.travel.frames = Some(Each::Each(frames));
    draft.values.travel.overlap = Some(Each::Each(overlaps));
    draft.values.travel.lengths = Some(Lengths::Unrounded);
    draft.values.travel.round = Some(match draft.era {
        Era::V2 => Round::Down,
        Era::Oct25 | Era::V1 => Round::Nearest,
    });
}

/// What every travel task says.
struct Common {
    way: Way,
    asked: Size,
    chained: bool,
}

fn common(places: &[&JsonObject], details: &JsonObject, draft: &mut Draft) -> Option<Common> {
    let keys = |key| places.iter().map(|fields| (*fields, key)).collect::<Vec<_>>();
    let lacks = |key, wanted| places[places.len().min(2) - 1].lacks::<()>(key, wanted);
    let model = first(&keys("model_name"), JsonValueAt::text);
    if model.is_none() {
        lacks("model_name", "the model's name");
    }
    let size = first(&keys("parsed_resolution_wh"), JsonValueAt::size);
    if size.is_none() && places.iter().all(|fields| fields.at("parsed_resolution_wh").is_none()) {
        lacks("parsed_resolution_wh", "a size such as \"902x508\"");
    }
    let vace = model.as_deref().is_some_and(|model| model.contains("vace"));
    let way = first(&keys("model_type"), |spot| match spot.text()?.as_str() {
        "i2v" => Some(Way::I2v),
        "vace" => Some(Way::Vace),
        _ => spot.wrong("vace or i2v"),
    });
    let way = way.unwrap_or(if vace { Way::Vace } else { Way::I2v });
    if way == Way::I2v && model.as_deref().is_some_and(|model| model.contains("lightning")) && draft.era == Era::V1 {
        draft.meets("taken-for-vace");
    }
    let svi = first(&keys("use_svi"), JsonValueAt::truth).unwrap_or(false);
    let apart = details.read("independent_segments", JsonValueAt::truth);
    let chained = first(&[(details, "chain_segments")], JsonValueAt::truth).unwrap_or(!apart.unwrap_or(false));
    let fps = first(&[(details, "fps_helpers")], JsonValueAt::rate).unwrap_or_else(|| "16".parse().expect("a rate"));
    if svi {
        draft.cannot(&details.place("use_svi"), SVI);
    }
    draft.values.common.fps = Some(fps);
    let snap = size.map(snapped);
    draft.values.common.made_size = snap;
    draft.values.common.size = snap;
    draft.preset = model;
    // The segment's own sampling; `num_inference_steps` and its like are not looked for in its own overrides.
    let loose = &places[places.len().saturating_sub(2)..];
    sampling::read(places, loose, Family::Travel, draft);
    if size.zip(snap).is_some_and(|(size, snap)| size != snap) {
        draft.meets("image-stretched");
    }
    let chained = way == Way::Vace && chained;
    Some(Common { way, asked: size?, chained })
}

/// How a segment's frames look: those that are carried over to it, and those that it makes.
fn looks(places: &[&JsonObject], draft: &mut Draft) {
    let number = |key: &str, plain: f64| {
        let keys: Vec<_> = places.iter().map(|fields| (*fields, key)).collect();
        first(&keys, JsonValueAt::number).filter(|value| *value != plain)
    };
    let strength = number("subsequent_starting_strength_adjustment", 0.0);
    let desaturate = number("desaturate_subsequent_starting_frames", 0.0);
    let brightness = number("adjust_brightness_subsequent_starting_frames", 0.0);
    let saturation = number("after_first_post_generation_saturation", 1.0).filter(|saturation| *saturation >= 0.0);
    let brighter = number("after_first_post_generation_brightness", 0.0);
    let sharp = number("crossfade_sharp_amt", f64::NAN).unwrap_or(Curve::SHARPENING);
    if strength.or(desaturate).or(brightness).or(brighter).is_some() {
        draft.meets("brightness-sign");
    }
    let values = &mut draft.values;
    values.travel.strength = strength.map(|adjustment| (1.0 + adjustment).clamp(0.0, 1.0));
    values.travel.desaturate = desaturate.map(|weight| weight.clamp(0.0, 1.0));
    // At first + made carried frames darker.
    let sign = if draft.era == Era::V2 { 1.0 } else { -1.0 };
    values.travel.brightness = brightness.map(|brightness| (sign * brightness).clamp(-1.0, 1.0));
    let tone = Tone { saturation: saturation.unwrap_or(1.0), brightness: brighter.unwrap_or(0.0) };
    values.travel.later = Some(tone).filter(|tone| *tone != Tone::PLAIN);
    values.travel.curve = Some(Curve::Sharpened(sharp));
}

/// What a segment may have for itself and no part of wanctl has.
fn beyond(fields: &JsonObject, draft: &mut Draft) {
    if fields.at("svi_predecessor_video_url").is_some() {
        draft.cannot(&fields.place("svi_predecessor_video_url"), SVI);
    }
    if fields.read("regenerate_anchors", JsonValueAt::truth) == Some(true) {
        draft.differs(fields.place("regenerate_anchors"), "overlaps cross whole");
    }
}

/// Pictures of what things look like.
fn references(places: &[&JsonObject], way: Way, draft: &mut Draft) {
    let key = "vace_image_refs_to_prepare_by_worker";
    let Some((fields, spot)) = places.iter().find_map(|fields| Some((fields, fields.at(key)?))) else { return };
    let listed: Vec<JsonObject> = spot.list().unwrap_or_default().iter().filter_map(JsonValueAt::fields).collect();
    if listed.is_empty() {
        return;
    }
    if way == Way::I2v {
        return draft.differs(fields.place(key), "an image-to-video model is shown no reference images");
    }
    for reference in &listed {
        if let Some(address) = reference.need("original_path", "an address", JsonValueAt::text) {
            draft.input(Role::Reference, reference.place("original_path"), address);
        }
    }
    draft.differs(fields.place(key), "every segment is shown all of them, at full strength");
}

/// Whether the way begins with a film that is there already.
fn continued(details: &JsonObject, draft: &mut Draft) -> bool {
    let key = "continue_from_video_resolved_path";
    match details.read(key, JsonValueAt::text).filter(|address| !address.is_empty()) {
        Some(address) => {
            draft.input(Role::Clip, details.place(key), address);
            true
        }
        None => false,
    }
}

fn lengths(spot: &JsonValueAt) -> Option<Vec<usize>> {
    spot.list()?.iter().map(positive).collect()
}

fn positive(spot: &JsonValueAt) -> Option<usize> {
    match length(spot)? {
        Length::Frames(frames) => Some(frames),
        Length::Seconds(_) => spot.wrong("a number of frames"),
    }
}
