//! LoRAs of a task, in all the shapes that tasks have them in.

use super::{
    Draft, Role, TaskFile,
    era::Era,
    json::{JsonObject, JsonValueAt},
    phase_config::{ConfigLora, PhaseConfig},
};
use crate::pipeline::options::{LoraAsk, Multiplier, multipliers};

/// Where LoRAs stand beside a phase_config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `additional_loras`.
    Join,
    /// `lora_names` and `lora_multipliers`; `segment_loras` go before all others.
    Travel,
}

/// One of them, by its address.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lora {
    place: String,
    address: String,
    weights: Multiplier,
    /// The weights word for word.
    written: String,
}

/// Asks for these; each is a file that the task names. None is an answer too where a phase_config says all.
pub(super) fn ask(loras: Vec<Lora>, says_all: bool, draft: &mut Draft) {
    let asks = asked(loras, draft);
    draft.values.wan.loras = (says_all || !asks.is_empty()).then_some(asks);
}

/// The same of one segment; what several ask for alike is one file that the task names.
pub(super) fn asked(loras: Vec<Lora>, draft: &mut Draft) -> Vec<LoraAsk> {
    let mut asks = vec![];
    for Lora { place, address, weights, written } in loras {
        let input = TaskFile { weights: Some(written), ..TaskFile::new(Role::Lora, place, address.clone()) };
        let same = |other: &TaskFile| {
            (other.role, &other.address, &other.weights) == (input.role, &input.address, &input.weights)
        };
        if !draft.inputs.iter().any(same) {
            draft.inputs.push(input);
        }
        asks.push(LoraAsk { file: address.into(), weights });
    }
    asks
}

pub(super) fn of_config(place: &str, config: &PhaseConfig) -> Vec<Lora> {
    let lora = |(lora, LoraAsk { file: _, weights }): (&ConfigLora, LoraAsk)| Lora {
        place: place.into(),
        address: lora.url.clone(),
        weights,
        written: config.multiplier(lora),
    };
    config.loras.iter().zip(config.lora_asks()).map(lora).collect()
}

/// `segment_loras`, which replace all others.
pub(super) fn of_segment(places: &[&JsonObject], draft: &mut Draft) -> Option<Vec<Lora>> {
    let spot = places.iter().find_map(|fields| fields.at("segment_loras"))?;
    Some(read(&spot, draft))
}

/// `loras_per_segment_expanded`: of single segments, in place of all others.
pub(super) fn of_segments(details: &JsonObject, segments: usize, draft: &mut Draft) {
    let Some(all) = details.read("loras_per_segment_expanded", |spot| spot.of_segments(segments)) else { return };
    let lists: Vec<_> = all.into_iter().map(|own| own.map(|own| asked(read(&own, draft), draft))).collect();
    if lists.iter().any(Option::is_some) {
        draft.values.wan.segment_loras = Some(lists);
    }
}

/// Those that stand beside a phase_config, or in its place.
pub(super) fn beside(places: &[&JsonObject], family: Family, draft: &mut Draft) -> Vec<Lora> {
    let at = |key| places.iter().find_map(|fields| fields.at(key));
    match family {
        Family::Join => {
            let Some(spot) = at("additional_loras") else { return vec![] };
            let loras = read(&spot, draft);
            if !loras.is_empty() && draft.era == Era::Oct25 {
                draft.differs(spot.place().into(), "they take the place of the preset's own, which --lora adds");
            }
            loras
        }
        Family::Travel => at("lora_names").map_or(vec![], |names| named(&names, at("lora_multipliers").as_ref())),
    }
}

/// Says where lists of the same LoRAs differ.
pub(super) fn compare(place: &str, counts: &[Lora], said: &[Lora], draft: &mut Draft) {
    let shown = |loras: &[Lora]| {
        let name = |address: &str| super::assets::file_name(address);
        let all: Vec<_> = loras.iter().map(|lora| format!("{} {}", name(&lora.address), lora.weights)).collect();
        all.join(", ")
    };
    let same = counts.len() == said.len()
        && counts.iter().zip(said).all(|(a, b)| (&a.address, &a.weights) == (&b.address, &b.weights));
    if !same {
        let other = said.first().map_or("", |lora| &lora.place);
        draft.conflict(format!(
            "the LoRAs at {other} are {}, and {place} has {}, which count",
            shown(said),
            shown(counts)
        ));
    }
}

/// A map of weights by address, or a list of objects.
fn read(spot: &JsonValueAt, draft: &mut Draft) -> Vec<Lora> {
    if !spot.is_list() {
        return mapped(spot);
    }
    let listed: Vec<_> = spot.list().unwrap_or_default().iter().filter_map(listed).collect();
    if !listed.is_empty() {
        draft.meets("lora-shape");
    }
    listed
}

fn one() -> Multiplier {
    Multiplier::new(vec![vec![1.0]]).expect("1 is a weight")
}

fn mapped(spot: &JsonValueAt) -> Vec<Lora> {
    let Some(fields) = spot.fields() else { return vec![] };
    let lora = |address: &String| {
        let weights = fields.read(address, multiplier)?;
        Some(Lora { place: fields.place(address), address: address.clone(), written: weights.to_string(), weights })
    };
    fields.keys().iter().filter_map(lora).collect()
}

fn listed(spot: &JsonValueAt) -> Option<Lora> {
    let fields = spot.fields()?;
    let address =
        fields.read("path", JsonValueAt::text).or_else(|| fields.need("url", "an address", JsonValueAt::text))?;
    let weights = ["strength", "multiplier", "weight"].iter().find_map(|key| fields.read(key, multiplier));
    fields.finish(&[("name", "a label"), ("id", "a label")]);
    let weights = weights.unwrap_or_else(one);
    Some(Lora { place: spot.place().into(), address, written: weights.to_string(), weights })
}

/// `lora_names` beside `lora_multipliers`, which is a list or one text.
fn named(names: &JsonValueAt, weights: Option<&JsonValueAt>) -> Vec<Lora> {
    let addresses = names.texts().unwrap_or_default();
    let weights = match weights {
        None => vec![],
        Some(spot) if spot.is_list() => spot.list().unwrap_or_default().iter().filter_map(multiplier).collect(),
        Some(spot) => match multipliers(&spot.text().unwrap_or_default(), addresses.len()) {
            Ok(weights) => weights,
            Err(problem) => spot.wrong(problem).unwrap_or_default(),
        },
    };
    if weights.len() > addresses.len() {
        names.wrong::<()>(format!("as many names as there are weights, {}", weights.len()));
    }
    let weights = weights.into_iter().chain(std::iter::repeat_with(one));
    let lora = |((index, address), weights): ((usize, String), Multiplier)| Lora {
        place: format!("{}[{index}]", names.place()),
        address,
        written: weights.to_string(),
        weights,
    };
    addresses.into_iter().enumerate().zip(weights).map(lora).collect()
}

/// A number, or text in the sampler's own grammar.
fn multiplier(spot: &JsonValueAt) -> Option<Multiplier> {
    let text = match spot.value() {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => number.to_string(),
        _ => return spot.wrong("a weight such as 0.8, or one for each phase: \"1;0\""),
    };
    text.parse().ok().or_else(|| spot.wrong("a weight such as 0.8, or one for each phase: \"1;0\""))
}
