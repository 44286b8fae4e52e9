//! What a Wan model is asked: every option as a value, what it is by default, and the steps that come of them.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
};

use serde::Serialize;

use super::{Prompts, SettingsError};
use crate::pipeline::{
    checkpoint::ModelFiles,
    job::{Dtype, VaeTile, Wan},
    schedule::{self, Expert, Grid, Phase, Solver, Step},
};

/// The options as they were given.
#[derive(Debug, Clone)]
pub struct WanAsk {
    pub prompts: Prompts,
    pub negative_prompt: Option<String>,
    pub steps: Option<usize>,
    /// One for all steps, or one for each expert.
    pub guidance: Option<Vec<f64>>,
    pub shift: Option<f64>,
    pub solver: Option<Solver>,
    pub grid: Option<Grid>,
    pub dtype: Dtype,
    pub vae_tile: VaeTile,
}

/// The same, resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WanSettings {
    pub models: ModelFiles,
    /// One for each seam.
    pub prompts: Vec<String>,
    pub negative_prompt: String,
    pub shift: f64,
    pub solver: Solver,
    pub grid: Grid,
    pub phases: Vec<Phase>,
    pub steps: Vec<Step>,
    pub seed: u64,
    pub dtype: Dtype,
    pub vae_tile: VaeTile,
}

/// What a model is asked where nothing else says it.
struct Defaults {
    steps: usize,
    shift: f64,
    guidance: [f64; 2],
    /// The high-noise expert's last timestep, over 1000.
    boundary: f64,
}

impl Defaults {
    fn of(models: &ModelFiles) -> Self {
        match models.low.is_empty() {
            // Wan2.1 9737cba, wan/vace.py: 50 steps, shift 5, guidance 5.
            true => Self { steps: 50, shift: 5.0, guidance: [5.0; 2], boundary: 0.0 },
            // LightX2V f8aee98, configs/wan22_vace: 40 steps, shift 8, 3.5 for both; the border as diffusers has it.
            false => Self { steps: 40, shift: 8.0, guidance: [3.5; 2], boundary: 0.875 },
        }
    }
}

impl WanAsk {
    /// For so many seams, with these weights. What the weights' folder says goes before our defaults.
    pub fn settings(self, models: ModelFiles, seams: usize, seed: u64) -> Result<WanSettings, SettingsError> {
        let Self { prompts, negative_prompt, steps, guidance, shift, solver, grid, dtype, vae_tile } = self;
        let defaults = Defaults::of(&models);
        let (solver, grid) = (solver.unwrap_or(Solver::Unipc), grid.unwrap_or(Grid::Diffusers));
        let shift = shift.or(models.flow_shift).unwrap_or(defaults.shift);
        let steps = steps.unwrap_or(defaults.steps);

        let experts: &[Expert] = if models.low.is_empty() { &[Expert::High] } else { &[Expert::High, Expert::Low] };
        let guidance = match guidance.as_deref() {
            None => defaults.guidance,
            Some([one]) => [*one; 2],
            Some([high, low]) if experts.len() == 2 => [*high, *low],
            Some(found) => {
                return Err(SettingsError::Guidance { found: found.len(), phases: experts.len() });
            }
        };
        let timesteps = schedule::levels(grid, solver, steps, shift).timesteps;
        let high = match experts {
            [_] => steps,
            _ => schedule::split(grid, &timesteps, &[models.boundary.unwrap_or(defaults.boundary) * 1000.0])[0],
        };
        let phases: Vec<Phase> = std::iter::zip(experts, std::iter::zip([high, steps - high], guidance))
            .map(|(&expert, (steps, guidance))| Phase { steps, expert, guidance })
            .filter(|phase| phase.steps > 0)
            .collect();
        Ok(WanSettings {
            prompts: prompts.of(seams)?,
            negative_prompt: negative_prompt.unwrap_or_default(),
            steps: schedule::steps(grid, solver, shift, &phases),
            models,
            shift,
            solver,
            grid,
            phases,
            seed,
            dtype,
            vae_tile,
        })
    }
}

impl WanSettings {
    /// The request for one seam.
    pub fn request(&self, seam: usize) -> Wan {
        let Self { models, prompts, negative_prompt, solver, steps, seed, dtype, vae_tile, .. } = self.clone();
        Wan {
            models,
            prompt: prompts[seam].clone(),
            negative_prompt,
            solver,
            steps,
            seed,
            dtype,
            vae_tile,
            control_scale: 1.0,
        }
    }
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
mod tests {
    use super::*;
    use crate::pipeline::checkpoint::Transformer;

    fn ask() -> WanAsk {
        WanAsk {
            prompts: Prompts::One("a fox".into()),
            negative_prompt: None,
            steps: Some(6),
            guidance: None,
            shift: None,
            solver: None,
            grid: None,
            dtype: Dtype::Auto,
            vae_tile: VaeTile::Auto,
        }
    }

    fn models(experts: usize) -> ModelFiles {
        let transformer = Transformer {
            dim: 5120,
            heads: 40,
            head_dim: 128,
            layers: 40,
            ffn: 13824,
            in_channels: 16,
            out_channels: 16,
            text_dim: 4096,
            freq_dim: 256,
            vace: None,
            image: None,
        };
        ModelFiles {
            high: vec!["high.safetensors".into()],
            low: if experts == 2 { vec!["low.safetensors".into()] } else { vec![] },
            vae: vec!["vae.safetensors".into()],
            text: vec!["text.safetensors".into()],
            tokenizer: "tokenizer.json".into(),
            boundary: None,
            flow_shift: None,
            transformer,
        }
    }

    #[test]
    fn two_experts_share_the_steps_at_the_boundary() {
        let ask = WanAsk { guidance: Some(vec![3.0, 1.0]), shift: Some(5.0), ..ask() };
        let settings = ask.settings(models(2), 2, 7).unwrap();
        let phases: Vec<_> = settings.phases.iter().map(|phase| (phase.steps, phase.expert, phase.guidance)).collect();
        assert_eq!(phases, [(3, Expert::High, 3.0), (3, Expert::Low, 1.0)]);
        assert_eq!(settings.steps.len(), 6);
        assert_eq!(settings.request(1).prompt, "a fox");
    }

    #[test]
    fn a_folders_own_numbers_go_before_the_defaults_and_options_before_both() {
        let folder = ModelFiles { boundary: Some(0.9), flow_shift: Some(3.0), ..models(2) };
        let settings = ask().settings(folder.clone(), 1, 7).unwrap();
        assert_eq!((settings.shift, settings.phases[0].steps), (3.0, 2));
        let settings = WanAsk { shift: Some(8.0), ..ask() }.settings(folder, 1, 7).unwrap();
        assert_eq!((settings.shift, settings.phases[0].steps), (8.0, 3));
    }

    #[test]
    fn numbers_that_do_not_match_the_experts_or_the_seams_are_refused() {
        let two = WanAsk { guidance: Some(vec![3.0, 1.0]), ..ask() };
        assert_eq!(
            two.settings(models(1), 1, 7).unwrap_err().to_string(),
            "--guidance has 2 values, and the model has one expert"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prompts.txt");
        fs::write(&file, "one\ntwo\n").unwrap();
        let asked = |seams| WanAsk { prompts: Prompts::File(file.clone()), ..ask() }.settings(models(1), seams, 7);
        assert_eq!(asked(2).unwrap().prompts, ["one", "two"]);
        assert!(asked(3).unwrap_err().to_string().contains("has 2 prompts, and the film has 3 seams"));
        let gone = WanAsk { prompts: Prompts::File("gone.txt".into()), ..ask() }.settings(models(1), 1, 7);
        assert!(gone.unwrap_err().to_string().starts_with("cannot read the prompts in gone.txt"));
    }
}
