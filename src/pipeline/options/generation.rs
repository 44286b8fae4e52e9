//! What is asked of a Wan model, whichever it is: prompts, seeds, and how its frames are sampled.

use serde::Serialize;

use super::{
    Layer, LoraFiles, ModelTraits, OptionsError, Parts, Prompts, Sampling, Seed, SeedMode, Source, Sourced, WanOptions,
    layer::{of_segments, pick_own},
    pick,
};
use crate::pipeline::{
    job::{Dtype, Noise, Offload, VaeTile},
    system::text,
};

/// Every option but the files of the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generation {
    /// One for each seam.
    pub prompts: Sourced<Vec<String>>,
    pub negative_prompt: Sourced<String>,
    /// Of single segments.
    #[serde(skip_serializing_if = "is_empty")]
    pub negative_prompts: Sourced<Vec<Option<String>>>,
    #[serde(flatten)]
    pub sampling: Sampling,
    /// Of single segments that are sampled otherwise; empty where none is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Option<Sampling>>,
    pub seed: Sourced<Seed>,
    pub noise: Sourced<Noise>,
    #[serde(skip_serializing_if = "Sourced::is_built_in")]
    pub seed_mode: Sourced<SeedMode>,
    /// Of single segments, whatever the mode says.
    #[serde(skip_serializing_if = "is_empty")]
    pub seeds: Sourced<Vec<Option<u64>>>,
    pub control_scale: Sourced<f64>,
    pub cfg_zero_steps: Sourced<usize>,
    pub dtype: Sourced<Dtype>,
    pub vae_tile: Sourced<VaeTile>,
    pub offload: Sourced<Offload>,
    /// Options that change nothing here, and why.
    pub ignored: Vec<String>,
}

impl Generation {
    /// For so many seams or segments, by a model of this kind, with LoRAs that lie in `loras` or go by their names.
    pub fn of(asked: &[Layer], model: ModelTraits, loras: &LoraFiles, parts: Parts) -> Result<Self, OptionsError> {
        let sampling = Sampling::of(asked, model, loras)?;
        let segments = segments(asked, parts, &sampling, |layers| Sampling::of(layers, model, loras))?;
        let prompts = pick(asked, |asked| asked.wan.prompts.clone());
        let prompts = prompts.unwrap_or(Sourced::built_in(Prompts::One(String::new())));
        let prompts = Sourced { value: prompts.value.of(parts, &prompts.from)?, from: prompts.from };
        let negative_prompt =
            pick(asked, |asked| asked.wan.negative_prompt.clone()).unwrap_or(Sourced::built_in(String::new()));
        let negative_prompts =
            pick_own(asked, |asked| asked.wan.negative_prompts.clone(), |asked| asked.wan.negative_prompt.is_some());
        let negative_prompts = parts.single(negative_prompts, "negative prompts")?;
        let seeds = pick_own(asked, |asked| asked.wan.seeds.clone(), |asked| asked.wan.seed.is_some());
        let seeds = parts.single(seeds, "seeds")?;
        let zero = pick(asked, |asked| asked.wan.cfg_zero_steps).unwrap_or(Sourced::built_in(0));
        let all = || [&sampling].into_iter().chain(segments.iter().flatten());
        if all().any(|sampling| zero.value >= *sampling.steps) {
            let (option, wanted) = ("cfg_zero_steps", "fewer than the steps that there are");
            return Err(OptionsError::Range { option, found: zero.value.to_string(), wanted, from: zero.from });
        }
        let guided = all().any(|sampling| sampling.guidance.iter().any(|guidance| *guidance > 1.0));
        let mut ignored = vec![];
        if negative_prompt.from == Source::Flag && !negative_prompt.is_empty() && !guided {
            ignored.push("the negative prompt counts only where the guidance is above 1, and it is nowhere".to_owned());
        }
        Ok(Self {
            cfg_zero_steps: zero,
            seed: pick(asked, |asked| asked.wan.seed).unwrap_or(Sourced::built_in(Seed::Random)),
            noise: pick(asked, |asked| asked.wan.noise).unwrap_or(Sourced::built_in(Noise::Cpu)),
            control_scale: pick(asked, |asked| asked.wan.control_scale).unwrap_or(Sourced::built_in(1.0)),
            dtype: pick(asked, |asked| asked.wan.dtype).unwrap_or(Sourced::built_in(Dtype::Auto)),
            vae_tile: pick(asked, |asked| asked.wan.vae_tile).unwrap_or(Sourced::built_in(VaeTile::Auto)),
            offload: pick(asked, |asked| asked.wan.offload).unwrap_or(Sourced::built_in(Offload::Auto)),
            prompts,
            negative_prompt,
            negative_prompts,
            seed_mode: pick(asked, |asked| asked.travel.seed_mode).unwrap_or(Sourced::built_in(SeedMode::Same)),
            seeds,
            segments,
            sampling,
            ignored,
        })
    }

    /// How one seam or segment is sampled.
    pub fn sampling_of(&self, part: usize) -> &Sampling {
        self.segments.get(part).and_then(Option::as_ref).unwrap_or(&self.sampling)
    }
}

/// Of those that are sampled otherwise than `common` says.
fn segments(
    asked: &[Layer],
    parts: Parts,
    common: &Sampling,
    sampling: impl Fn(&[Layer]) -> Result<Sampling, OptionsError>,
) -> Result<Vec<Option<Sampling>>, OptionsError> {
    for Layer { from, values } in asked {
        let WanOptions { segment_loras, segment_sampling, .. } = &values.wan;
        let lists = [
            (segment_loras.as_ref().map(Vec::len), "lists of LoRAs"),
            (segment_sampling.as_ref().map(Vec::len), "ways of sampling"),
        ];
        for (found, what) in lists {
            if let Some(found) = found.filter(|found| *found != parts.count) {
                return Err(parts.counted(found, what, from.clone()));
            }
        }
    }
    let mut segments = vec![None; parts.count];
    for (segment, layers) in of_segments(asked) {
        let wrong = |error| OptionsError::OfSegment { segment: segment + 1, error: Box::new(error) };
        segments[segment] = Some(sampling(&layers).map_err(wrong)?).filter(|own| !own.equals(common));
    }
    if segments.iter().all(Option::is_none) {
        segments.clear();
    }
    Ok(segments)
}

fn is_empty<T>(list: &Sourced<Vec<T>>) -> bool {
    list.is_empty()
}

impl Prompts {
    fn of(self, parts: Parts, from: &Source) -> Result<Vec<String>, OptionsError> {
        let path = match self {
            Self::One(prompt) => return Ok(vec![prompt; parts.count]),
            Self::Each(prompts) if prompts.len() == parts.count => return Ok(prompts),
            Self::Each(prompts) => return Err(parts.counted(prompts.len(), "prompts", from.clone())),
            Self::File(path) => path,
        };
        let text = text::read(&path)
            .map_err(|source| OptionsError::PromptFile { path: path.clone(), source: source.into() })?;
        let prompts: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        match prompts.len() {
            found if found == parts.count => Ok(prompts),
            found => Err(OptionsError::PromptCount { path, found, parts, from: from.clone() }),
        }
    }
}
