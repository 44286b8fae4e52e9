//! What a Wan model is asked: the layers resolved for the weights that were found, down to every step.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
    path::PathBuf,
};

use serde::Serialize;

use super::{
    Guidance, Layer, LoraAsk, Multiplier, Overrides, Parts, Prompts, Seed, SeedMode, SettingsError, Source, Sourced,
    Weights, check,
    layer::pick_own,
    phases::{Phased, high_phases, phased},
    pick, weights,
};
use crate::pipeline::{
    checkpoint::{ModelFiles, Published},
    job::{CfgZero, Dtype, LoraUse, Noise, Offload, VaeTile, Wan},
    schedule::{self, Expert, Grid, Phase, Solver, Step},
};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WanSettings {
    pub models: ModelFiles,
    /// One for each seam.
    pub prompts: Sourced<Vec<String>>,
    pub negative_prompt: Sourced<String>,
    /// Of single segments.
    #[serde(skip_serializing_if = "is_empty")]
    pub negative_prompts: Sourced<Vec<Option<String>>>,
    #[serde(flatten)]
    pub sampling: Sampling,
    pub seed: Sourced<u64>,
    pub noise: Sourced<Noise>,
    #[serde(skip_serializing_if = "Sourced::is_built_in")]
    pub seed_mode: Sourced<SeedMode>,
    /// Of single segments, whatever the mode says.
    #[serde(skip_serializing_if = "is_empty")]
    pub own_seeds: Sourced<Vec<Option<u64>>>,
    /// Of single segments, in place of those of the sampling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segment_loras: Vec<Option<Vec<Lora>>>,
    pub control_scale: Sourced<f64>,
    pub cfg_zero: Sourced<Option<CfgZero>>,
    pub dtype: Sourced<Dtype>,
    pub vae_tile: Sourced<VaeTile>,
    pub offload: Sourced<Offload>,
    /// Options that change nothing here, and why.
    pub ignored: Vec<String>,
}

/// How noise becomes a picture: what no weights are needed for to know it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sampling {
    pub steps: Sourced<usize>,
    pub phases: Sourced<Vec<Phase>>,
    /// Of each phase.
    pub guidance: Sourced<Vec<f64>>,
    pub shift: Sourced<f64>,
    pub solver: Sourced<Solver>,
    pub grid: Sourced<Grid>,
    pub loras: Sourced<Vec<Lora>>,
    /// Step by step what comes of all these.
    pub schedule: Vec<Step>,
}

/// What of a model its sampling rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelKind {
    pub two_experts: bool,
    /// As its folder says them.
    pub boundary: Option<f64>,
    pub flow_shift: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lora {
    pub file: PathBuf,
    pub weights: Multiplier,
    /// At each step.
    pub strengths: Vec<f64>,
}

impl From<&ModelFiles> for ModelKind {
    fn from(models: &ModelFiles) -> Self {
        let &ModelFiles { ref low, boundary, flow_shift, .. } = models;
        Self { two_experts: !low.is_empty(), boundary, flow_shift }
    }
}

/// By its names alone.
impl From<&Published> for ModelKind {
    fn from(published: &Published) -> Self {
        Self { two_experts: !published.low.is_empty(), boundary: None, flow_shift: None }
    }
}

impl ModelKind {
    /// What it is asked where nobody says it, and over that what its folder says.
    fn layers(self) -> [Layer; 2] {
        let (steps, shift, guidance, thresholds) = match self.two_experts {
            // Wan2.1 9737cba, wan/vace.py.
            false => (50, 5.0, 5.0, None),
            // LightX2V f8aee98, configs/wan22_vace; the border as diffusers has it.
            true => (40, 8.0, 3.5, Some(vec![875.0])),
        };
        let built_in = Overrides {
            steps: Some(steps),
            shift: Some(shift),
            guidance: Some(Guidance::All(guidance)),
            thresholds,
            ..Overrides::default()
        };
        let thresholds = self.boundary.map(|boundary| vec![boundary * 1000.0]);
        let of_weights = Overrides { shift: self.flow_shift, thresholds, ..Overrides::default() };
        [Layer { from: Source::BuiltIn, values: built_in }, Layer { from: Source::Weights, values: of_weights }]
    }
}

impl Sampling {
    /// With LoRAs that lie in `files`, or by the names that they are asked by.
    pub fn of(asked: &[Layer], model: ModelKind, files: Option<Vec<PathBuf>>) -> Result<Self, SettingsError> {
        check::ranges(asked)?;
        let layers: Vec<Layer> = model.layers().into_iter().chain(asked.iter().cloned()).collect();
        let layers = &layers[..];
        let solver = pick(layers, |asked| asked.solver).unwrap_or(Sourced::built_in(Solver::Unipc));
        let grid = pick(layers, |asked| asked.grid).unwrap_or(Sourced::built_in(Grid::Diffusers));
        let shift = pick(layers, |asked| asked.shift).expect("the lowest layer says it");
        let experts: &[Expert] = if model.two_experts { &[Expert::High, Expert::Low] } else { &[Expert::High] };
        let Phased { phases, steps, guidance } = phased(layers, experts, (*grid, *solver, *shift))?;
        Ok(Self {
            loras: loras(layers, files, &phases)?,
            schedule: schedule::steps(*grid, *solver, *shift, &phases),
            steps,
            phases,
            guidance,
            shift,
            solver,
            grid,
        })
    }
}

impl WanSettings {
    /// For so many seams, with these weights. `seed` is that of a run that is gone on with.
    pub fn of(asked: &[Layer], weights: Weights, seams: Parts, seed: Option<u64>) -> Result<Self, SettingsError> {
        let Weights { models, loras, segment_loras } = weights;
        let sampling = Sampling::of(asked, ModelKind::from(&models), Some(loras))?;
        let prompts = pick(asked, |asked| asked.prompts.clone());
        let prompts = prompts.unwrap_or(Sourced::built_in(Prompts::One(String::new())));
        let prompts = Sourced { value: prompts.value.of(seams, &prompts.from)?, from: prompts.from };
        let negative_prompt =
            pick(asked, |asked| asked.negative_prompt.clone()).unwrap_or(Sourced::built_in(String::new()));
        let negative_prompts =
            pick_own(asked, |asked| asked.negative_prompts.clone(), |asked| asked.negative_prompt.is_some());
        let negative_prompts = seams.single(negative_prompts, "negative prompts")?;
        let own_seeds = pick_own(asked, |asked| asked.seeds.clone(), |asked| asked.seed.is_some());
        let own_seeds = seams.single(own_seeds, "seeds")?;
        let own_loras = seams.single(weights::of_segments(asked), "lists of LoRAs")?;
        let of_segment = |(asked, files): (Option<Vec<LoraAsk>>, Option<Vec<PathBuf>>)| {
            let own = asked.zip(files).map(|(asked, files)| laid(asked, files, &own_loras.from, &sampling.phases));
            own.transpose()
        };
        let segment_loras =
            own_loras.value.iter().cloned().zip(segment_loras).map(of_segment).collect::<Result<_, _>>()?;
        let chosen = pick(asked, |asked| asked.seed).unwrap_or(Sourced::built_in(Seed::Random));
        let seed = chosen.map(|chosen| match chosen {
            Seed::Fixed(chosen) => chosen,
            Seed::Random => seed.unwrap_or_else(random_seed),
        });
        let zero = pick(asked, |asked| asked.cfg_zero_steps).unwrap_or(Sourced::built_in(0));
        if zero.value >= *sampling.steps {
            let (option, wanted) = ("cfg_zero_steps", "fewer than the steps that there are");
            return Err(SettingsError::Range { option, found: zero.value.to_string(), wanted, from: zero.from });
        }
        let cfg_zero = zero.map(|zero_steps| (zero_steps > 0).then_some(CfgZero { zero_steps }));
        let guided = sampling.guidance.iter().any(|guidance| *guidance > 1.0);
        let mut ignored = vec![];
        if negative_prompt.from == Source::Flag && !negative_prompt.is_empty() && !guided {
            ignored.push("the negative prompt counts only where the guidance is above 1, and it is nowhere".to_owned());
        }
        Ok(Self {
            cfg_zero,
            noise: pick(asked, |asked| asked.noise).unwrap_or(Sourced::built_in(Noise::Cpu)),
            control_scale: pick(asked, |asked| asked.control_scale).unwrap_or(Sourced::built_in(1.0)),
            dtype: pick(asked, |asked| asked.dtype).unwrap_or(Sourced::built_in(Dtype::Auto)),
            vae_tile: pick(asked, |asked| asked.vae_tile).unwrap_or(Sourced::built_in(VaeTile::Auto)),
            offload: pick(asked, |asked| asked.offload).unwrap_or(Sourced::built_in(Offload::Auto)),
            models,
            prompts,
            negative_prompt,
            negative_prompts,
            seed_mode: pick(asked, |asked| asked.seed_mode).unwrap_or(Sourced::built_in(SeedMode::Same)),
            own_seeds,
            segment_loras,
            sampling,
            seed,
            ignored,
        })
    }

    /// What one seam's noise is drawn from.
    pub fn seed_of(&self, seam: usize) -> u64 {
        let own = self.own_seeds.get(seam).copied().flatten();
        own.unwrap_or_else(|| self.seed_mode.seed(*self.seed, seam))
    }

    /// The request for one seam.
    pub fn request(&self, seam: usize) -> Wan {
        let lora = |Lora { file, strengths, .. }: &Lora| LoraUse { file: file.clone(), strengths: strengths.clone() };
        let own_loras = self.segment_loras.get(seam).and_then(Option::as_ref);
        let negative_prompt = self.negative_prompts.get(seam).and_then(Option::as_ref);
        Wan {
            models: self.models.clone(),
            loras: own_loras.unwrap_or(&self.sampling.loras.value).iter().map(lora).collect(),
            prompt: self.prompts[seam].clone(),
            negative_prompt: negative_prompt.unwrap_or(&self.negative_prompt.value).clone(),
            solver: *self.sampling.solver,
            steps: self.sampling.schedule.clone(),
            noise: *self.noise,
            seed: self.seed_of(seam),
            dtype: *self.dtype,
            vae_tile: *self.vae_tile,
            offload: *self.offload,
            control_scale: *self.control_scale,
            cfg_zero: *self.cfg_zero,
        }
    }
}

fn loras(
    layers: &[Layer],
    files: Option<Vec<PathBuf>>,
    phases: &Sourced<Vec<Phase>>,
) -> Result<Sourced<Vec<Lora>>, SettingsError> {
    let Some(asked) = pick(layers, |asked| asked.loras.clone()) else { return Ok(Sourced::built_in(vec![])) };
    let files = files.unwrap_or_else(|| asked.value.iter().map(|lora| lora.file.clone()).collect());
    Ok(Sourced { value: laid(asked.value, files, &asked.from, phases)?, from: asked.from })
}

/// With a strength for every step of these phases.
fn laid(asked: Vec<LoraAsk>, files: Vec<PathBuf>, from: &Source, phases: &[Phase]) -> Result<Vec<Lora>, SettingsError> {
    let steps: Vec<usize> = phases.iter().map(|phase| phase.steps).collect();
    let lora = |(ask, file): (LoraAsk, PathBuf)| {
        let weights = match from.is_task() {
            true => ask.weights.stretched(steps.len(), high_phases(phases)),
            false => ask.weights,
        };
        let found = weights.phases();
        match weights.over(&steps) {
            Some(strengths) => Ok(Lora { file, weights, strengths }),
            None => Err(SettingsError::LoraPhases { file, found, phases: steps.len(), from: from.clone() }),
        }
    };
    asked.into_iter().zip(files).map(lora).collect()
}

fn is_empty<T>(list: &Sourced<Vec<T>>) -> bool {
    list.is_empty()
}

impl Prompts {
    fn of(self, seams: Parts, from: &Source) -> Result<Vec<String>, SettingsError> {
        let path = match self {
            Self::One(prompt) => return Ok(vec![prompt; seams.count]),
            Self::Each(prompts) if prompts.len() == seams.count => return Ok(prompts),
            Self::Each(prompts) => return Err(seams.counted(prompts.len(), "prompts", from.clone())),
            Self::File(path) => path,
        };
        let text = fs::read_to_string(&path)
            .map_err(|source| SettingsError::PromptFile { path: path.clone(), source: source.into() })?;
        let prompts: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        match prompts.len() {
            found if found == seams.count => Ok(prompts),
            found => Err(SettingsError::PromptCount { path, found, parts: seams, from: from.clone() }),
        }
    }
}

/// A seed that nobody chose: 31 bits, so that it is easily typed.
pub fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() & 0x7fff_ffff
}

#[cfg(test)]
mod tests;
