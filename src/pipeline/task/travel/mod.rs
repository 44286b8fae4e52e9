//! Tasks that travel from image to image: the whole way, one segment of it, and the stitch at its end.

use std::ops::Range;

use serde::Serialize;

mod keys;
mod segment;
mod whole;

pub(super) use keys::IGNORED;
pub(super) use segment::segment;
pub(super) use whole::whole;

use super::{
    Draft, Role,
    fields::{Fields, first},
    join::{length, snapped},
    sampling::{self, Family},
    spot::Spot,
};
use crate::pipeline::{
    plan::{self, FrameRef, Mask, MaskRule, Origin, Slot},
    settings::{Era, Length, Seed},
    video::{Fps, Size},
};

/// What a travel task comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Travel {
    pub way: Way,
    pub size_asked: Size,
    pub size: Size,
    pub fps: Fps,
    /// Whether each segment goes on from the frames of the one before it.
    pub chained: bool,
    pub segments: Vec<Segment>,
    /// Of the film that is stitched of them; none where they stay films of their own.
    pub frames: Option<usize>,
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

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Segment {
    pub index: usize,
    pub asked: usize,
    /// To the model, overlap included.
    pub frames: usize,
    pub latents: usize,
    /// Of the frames, those that the model is shown.
    #[serde(serialize_with = "as_ranges")]
    pub shown: Vec<Range<usize>>,
    /// How many latents the worker's mask marked as known; an image model has a mask of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_latents: Option<usize>,
    /// With the segment before.
    pub overlap: usize,
    /// The frame of the film that shows its first image.
    pub key_frame: Option<usize>,
    pub images: [Option<String>; 2],
    pub prompt: String,
    pub seed: Seed,
}

fn as_ranges<S: serde::Serializer>(ranges: &[Range<usize>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ranges.iter().map(|range| [range.start, range.end]))
}

impl Segment {
    /// With what is shown of it worked out.
    fn new(
        way: Way,
        (index, asked, frames, overlap): (usize, usize, usize, usize),
        images: [Option<String>; 2],
    ) -> Self {
        let mut shown = vec![];
        if overlap > 0 || images[0].is_some() {
            shown.push(0..overlap.max(1));
        }
        if images[1].is_some() {
            shown.push(frames - 1..frames);
        }
        let any = FrameRef { origin: Origin::Input(0), index: 0 };
        let slot = |frame| match shown.iter().any(|range: &Range<usize>| range.contains(&frame)) {
            true => Slot::Keep(any),
            false => Slot::Fill,
        };
        let slots: Vec<Slot> = (0..frames).map(slot).collect();
        let kept =
            || plan::latents(&slots, MaskRule::Reference).iter().filter(|latent| latent.mask == Mask::Keep).count();
        Self {
            index,
            asked,
            frames,
            latents: (frames - 1) / 4 + 1,
            kept_latents: (way == Way::Vace).then(kept),
            shown,
            overlap,
            key_frame: None,
            images,
            prompt: String::new(),
            seed: Seed::Random,
        }
    }
}

/// Lengths as the worker rounded them: at first to the nearest 4n+1 from above, later down.
fn quantised(frames: usize, era: Era) -> usize {
    match era {
        Era::V2 => (frames.max(1) - 1) / 4 * 4 + 1,
        Era::Oct25 | Era::V1 => frames / 4 * 4 + 1,
    }
}

/// Images that the mask says nothing of, and latents of which it says too much.
fn known_latents(segment: &Segment, draft: &mut Draft) {
    let Segment { kept_latents, shown, .. } = segment;
    let whole = shown.iter().map(|range| range.len().div_ceil(4)).sum::<usize>();
    if kept_latents.is_some_and(|kept| kept != whole) {
        draft.meets("P-34");
    }
}

/// What every travel task says.
struct Common {
    way: Way,
    asked: Size,
    size: Size,
    fps: Fps,
    chained: bool,
    /// Whether the worker made one film of the segments.
    stitched: bool,
}

fn common(places: &[&Fields], details: &Fields, draft: &mut Draft) -> Option<Common> {
    let keys = |key| places.iter().map(|fields| (*fields, key)).collect::<Vec<_>>();
    let lacks = |key, wanted| places[places.len().min(2) - 1].lacks::<()>(key, wanted);
    let model = first(&keys("model_name"), Spot::text);
    if model.is_none() {
        lacks("model_name", "the model's name");
    }
    let size = first(&keys("parsed_resolution_wh"), Spot::size);
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
        draft.meets("P-72");
    }
    let svi = first(&keys("use_svi"), Spot::truth).unwrap_or(false);
    let apart = details.read("independent_segments", Spot::truth);
    let chained = first(&[(details, "chain_segments")], Spot::truth).unwrap_or(!apart.unwrap_or(false));
    let fps = first(&[(details, "fps_helpers")], Spot::rate).unwrap_or_else(|| "16".parse().expect("a rate"));
    if svi {
        draft.cannot(&details.place("use_svi"), "SVI chains segments by a model of its own, which is not here");
    }
    draft.values.fps = Some(fps);
    let snap = size.map(snapped);
    draft.values.made_size = snap;
    draft.values.size = snap;
    draft.preset = model;
    // The segment's own sampling; `num_inference_steps` and its like are not looked for in its own overrides.
    let loose = &places[places.len().saturating_sub(2)..];
    sampling::read(places, loose, Family::Travel, draft);
    if size.zip(snap).is_some_and(|(size, snap)| size != snap) {
        draft.meets("P-57");
    }
    let chained = way == Way::Vace && chained;
    Some(Common { way, asked: size?, size: snap?, fps, chained, stitched: chained })
}

/// Keys that change how a segment's frames look, and that no part of wanctl does yet.
fn common_keys(fields: &Fields, draft: &mut Draft) {
    const LOOKS: &[&str] = &[
        "subsequent_starting_strength_adjustment",
        "desaturate_subsequent_starting_frames",
        "adjust_brightness_subsequent_starting_frames",
        "after_first_post_generation_brightness",
    ];
    for key in LOOKS {
        if let Some(spot) = fields.at(key)
            && spot.number().is_some_and(|value| value != 0.0)
        {
            draft.meets("P-60");
        }
    }
    if let Some(spot) = fields.at("after_first_post_generation_saturation") {
        spot.number();
    }
    let guidance = ["structure_guidance", "structure_videos", "structure_video_path", "uni3c_guide_video"];
    for spot in guidance.iter().filter_map(|key| fields.at(key)) {
        let place = spot.place().to_owned();
        let addresses: Vec<String> = match spot.value() {
            serde_json::Value::String(address) => vec![address],
            value => value
                .pointer("/videos")
                .or(Some(&value))
                .and_then(|videos| videos.as_array().cloned())
                .unwrap_or_default()
                .iter()
                .filter_map(|video| video["path"].as_str().map(str::to_owned))
                .collect(),
        };
        if !addresses.is_empty() {
            draft.meets("P-21");
        }
        for address in addresses {
            draft.input(Role::Guide, place.clone(), address);
        }
    }
    if fields.at("svi_predecessor_video_url").is_some() {
        let why = "SVI chains segments by a model of its own, which is not here";
        draft.cannot(&fields.place("svi_predecessor_video_url"), why);
    }
}

/// Whether the way begins with a film that is there already.
fn continued(details: &Fields, draft: &mut Draft) -> bool {
    let key = "continue_from_video_resolved_path";
    match details.read(key, Spot::text).filter(|address| !address.is_empty()) {
        Some(address) => {
            draft.input(Role::Clip, details.place(key), address);
            true
        }
        None => false,
    }
}

fn lengths(spot: &Spot) -> Option<Vec<usize>> {
    spot.list()?.iter().map(positive).collect()
}

fn positive(spot: &Spot) -> Option<usize> {
    match length(spot)? {
        Length::Frames(frames) => Some(frames),
        Length::Seconds(_) => spot.wrong("a number of frames"),
    }
}
