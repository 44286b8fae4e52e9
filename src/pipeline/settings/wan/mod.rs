//! What a Wan model is asked: the layers resolved for the weights that were found, down to every step.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
    path::PathBuf,
};

use serde::Serialize;

use super::{
    Guidance, Layer, Multiplier, Noise, Overrides, Prompts, Seed, SettingsError, Source, Sourced, check,
    phases::{Phased, high_phases, phased},
    pick,
};
use crate::pipeline::{
    checkpoint::ModelFiles,
    job::{Dtype, LoraUse, VaeTile, Wan},
    schedule::{self, Expert, Grid, Phase, Solver, Step},
};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WanSettings {
    pub models: ModelFiles,
    /// One for each seam.
    pub prompts: Sourced<Vec<String>>,
    pub negative_prompt: Sourced<String>,
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
    pub seed: Sourced<u64>,
    pub control_scale: Sourced<f64>,
    pub dtype: Sourced<Dtype>,
    pub vae_tile: Sourced<VaeTile>,
    /// Options that change nothing here, and why.
    pub ignored: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lora {
    pub file: PathBuf,
    pub weights: Multiplier,
    /// At each step.
    pub strengths: Vec<f64>,
}

/// What a model is asked where nobody says it.
fn built_in(models: &ModelFiles) -> Layer {
    let (steps, shift, guidance, thresholds) = match models.low.is_empty() {
        // Wan2.1 9737cba, wan/vace.py.
        true => (50, 5.0, 5.0, None),
        // LightX2V f8aee98, configs/wan22_vace; the border as diffusers has it.
        false => (40, 8.0, 3.5, Some(vec![875.0])),
    };
    let values = Overrides {
        steps: Some(steps),
        shift: Some(shift),
        guidance: Some(Guidance::All(guidance)),
        thresholds,
        ..Overrides::default()
    };
    Layer { from: Source::BuiltIn, values }
}

/// What the weights' folder says of itself.
fn of_weights(models: &ModelFiles) -> Layer {
    let thresholds = models.boundary.map(|boundary| vec![boundary * 1000.0]);
    let values = Overrides { shift: models.flow_shift, thresholds, ..Overrides::default() };
    Layer { from: Source::Weights, values }
}

impl WanSettings {
    /// For so many seams, with these weights. `loras` are the files of the LoRAs that the layers ask for; `seed` is that
    /// of a run that is gone on with.
    pub fn of(
        asked: &[Layer],
        models: ModelFiles,
        loras: Vec<PathBuf>,
        seams: usize,
        seed: Option<u64>,
    ) -> Result<Self, SettingsError> {
        check::ranges(asked)?;
        let layers: Vec<Layer> =
            [built_in(&models), of_weights(&models)].into_iter().chain(asked.iter().cloned()).collect();
        let layers = &layers[..];
        let solver = pick(layers, |asked| asked.solver).unwrap_or(Sourced::built_in(Solver::Unipc));
        let grid = pick(layers, |asked| asked.grid).unwrap_or(Sourced::built_in(Grid::Diffusers));
        let shift = pick(layers, |asked| asked.shift).expect("the lowest layer says it");
        let experts: &[Expert] = if models.low.is_empty() { &[Expert::High] } else { &[Expert::High, Expert::Low] };
        let Phased { phases, steps, guidance } = phased(layers, experts, (*grid, *solver, *shift))?;

        let prompts = pick(layers, |asked| asked.prompts.clone());
        let prompts = prompts.unwrap_or(Sourced::built_in(Prompts::One(String::new())));
        let prompts = Sourced { value: prompts.value.of(seams)?, from: prompts.from };
        let negative_prompt =
            pick(layers, |asked| asked.negative_prompt.clone()).unwrap_or(Sourced::built_in(String::new()));
        let chosen = pick(layers, |asked| asked.seed).unwrap_or(Sourced::built_in(Seed::Random));
        let seed = chosen.map(|chosen| match chosen {
            Seed::Fixed(chosen) => chosen,
            Seed::Random => seed.unwrap_or_else(random_seed),
        });
        for (asked, option, says) in [
            (
                pick(layers, |asked| asked.noise.filter(|noise| *noise == Noise::Device)).map(|noise| noise.from),
                "noise",
                "device",
            ),
            (
                pick(layers, |asked| asked.cfg_zero_steps.filter(|steps| *steps > 0)).map(|steps| steps.from),
                "cfg_zero_steps",
                "more than 0",
            ),
        ] {
            if let Some(from) = asked {
                return Err(SettingsError::NotHere { option, says, from });
            }
        }
        let guided = guidance.iter().any(|guidance| *guidance > 1.0);
        let mut ignored = vec![];
        if negative_prompt.from == Source::Flag && !negative_prompt.is_empty() && !guided {
            ignored.push("the negative prompt counts only where the guidance is above 1, and it is nowhere".to_owned());
        }
        Ok(Self {
            loras: self::loras(layers, loras, &phases)?,
            schedule: schedule::steps(*grid, *solver, *shift, &phases),
            control_scale: pick(layers, |asked| asked.control_scale).unwrap_or(Sourced::built_in(1.0)),
            dtype: pick(layers, |asked| asked.dtype).unwrap_or(Sourced::built_in(Dtype::Auto)),
            vae_tile: pick(layers, |asked| asked.vae_tile).unwrap_or(Sourced::built_in(VaeTile::Auto)),
            models,
            prompts,
            negative_prompt,
            steps,
            phases,
            guidance,
            shift,
            solver,
            grid,
            seed,
            ignored,
        })
    }

    /// The request for one seam.
    pub fn request(&self, seam: usize) -> Wan {
        let lora = |Lora { file, strengths, .. }: &Lora| LoraUse { file: file.clone(), strengths: strengths.clone() };
        Wan {
            models: self.models.clone(),
            loras: self.loras.iter().map(lora).collect(),
            prompt: self.prompts[seam].clone(),
            negative_prompt: self.negative_prompt.value.clone(),
            solver: *self.solver,
            steps: self.schedule.clone(),
            seed: *self.seed,
            dtype: *self.dtype,
            vae_tile: *self.vae_tile,
            control_scale: *self.control_scale,
        }
    }
}

fn loras(
    layers: &[Layer],
    files: Vec<PathBuf>,
    phases: &Sourced<Vec<Phase>>,
) -> Result<Sourced<Vec<Lora>>, SettingsError> {
    let Some(asked) = pick(layers, |asked| asked.loras.clone()) else { return Ok(Sourced::built_in(vec![])) };
    let steps: Vec<usize> = phases.iter().map(|phase| phase.steps).collect();
    let from = asked.from;
    let lora = |(ask, file): (super::LoraAsk, PathBuf)| {
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
    let value = asked.value.into_iter().zip(files).map(lora).collect::<Result<_, _>>()?;
    Ok(Sourced { value, from })
}

impl Prompts {
    fn of(self, seams: usize) -> Result<Vec<String>, SettingsError> {
        let path = match self {
            Self::One(prompt) => return Ok(vec![prompt; seams]),
            Self::Each(prompts) if prompts.len() == seams => return Ok(prompts),
            Self::Each(prompts) => return Err(SettingsError::Prompts { found: prompts.len(), seams }),
            Self::File(path) => path,
        };
        let text = fs::read_to_string(&path)
            .map_err(|source| SettingsError::PromptFile { path: path.clone(), source: source.into() })?;
        let prompts: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        match prompts.len() {
            found if found == seams => Ok(prompts),
            found => Err(SettingsError::PromptCount { path, found, seams }),
        }
    }
}

/// A seed that nobody chose: 31 bits, so that it is easily typed.
pub fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() & 0x7fff_ffff
}

#[cfg(test)]
mod tests;
