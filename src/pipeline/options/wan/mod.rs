//! A Wan model, and what it is asked: the layers resolved for the weights that were found, down to every request.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

use serde::Serialize;

use super::{Generation, Layer, Lora, ModelTraits, OptionsError, Parts, Sampling, Seed, Weights};
use crate::pipeline::{
    job::{CfgZero, LoraUse, Wan},
    weights::ModelFiles,
};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WanSettings {
    pub models: ModelFiles,
    #[serde(flatten)]
    pub generation: Generation,
    /// That of `generation`, drawn where it is random.
    #[serde(skip)]
    pub seed: u64,
}

impl WanSettings {
    /// For so many seams or segments, with these weights. `seed` is that of a run that is gone on with.
    pub fn of(asked: &[Layer], weights: Weights, parts: Parts, seed: Option<u64>) -> Result<Self, OptionsError> {
        let Weights { models, loras } = weights;
        let mut generation = Generation::of(asked, ModelTraits::from(&models), &loras, parts)?;
        let seed = match *generation.seed {
            Seed::Fixed(chosen) => chosen,
            Seed::Random => seed.unwrap_or_else(random_seed),
        };
        generation.seed.value = Seed::Fixed(seed);
        Ok(Self { models, generation, seed })
    }

    /// What one seam's noise is drawn from.
    pub fn seed_of(&self, seam: usize) -> u64 {
        let Generation { seeds, seed_mode, .. } = &self.generation;
        seeds.get(seam).copied().flatten().unwrap_or_else(|| seed_mode.seed(self.seed, seam))
    }

    /// The request for one seam.
    pub fn request(&self, seam: usize) -> Wan {
        let Self { models, generation, .. } = self;
        let Sampling { solver, schedule, loras, .. } = generation.sampling_of(seam);
        let lora = |Lora { file, strengths, .. }: &Lora| LoraUse { file: file.clone(), strengths: strengths.clone() };
        let negative_prompt = generation.negative_prompts.get(seam).and_then(Option::as_ref);
        Wan {
            models: models.clone(),
            loras: loras.iter().map(lora).collect(),
            prompt: generation.prompts[seam].clone(),
            negative_prompt: negative_prompt.unwrap_or(&generation.negative_prompt.value).clone(),
            solver: **solver,
            steps: schedule.clone(),
            noise: *generation.noise,
            seed: self.seed_of(seam),
            dtype: *generation.dtype,
            vae_tile: *generation.vae_tile,
            offload: *generation.offload,
            control_scale: *generation.control_scale,
            cfg_zero: Some(*generation.cfg_zero_steps)
                .filter(|steps| *steps > 0)
                .map(|zero_steps| CfgZero { zero_steps }),
        }
    }
}

/// A seed that nobody chose: 31 bits, so that it is easily typed.
pub fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() & 0x7fff_ffff
}

#[cfg(test)]
mod tests;
