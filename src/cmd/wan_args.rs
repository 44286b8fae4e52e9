//! Flags that only a Wan model understands.

use std::path::PathBuf;

use color_eyre::eyre::Result;
use serde::Serialize;

use wanctl::pipeline::{
    checkpoint::{ModelFiles, Wanted},
    job::{Dtype, Offload, VaeTile},
    schedule::{Grid, Solver},
    settings::{EngineChoice, Prompts, SettingsError, WanAsk, WanSettings, random_seed},
};

/// What a Wan model is asked, and its weights. As JSON it is what a run is told by that goes on with another: a random
/// seed is that run's own.
#[derive(clap::Args, Debug, Serialize)]
pub(crate) struct WanArgs {
    /// Weights: a folder as published, or a file; high=, low=, vae=, text= and tokenizer= before a path say what it is
    #[arg(long, value_name = "PATH", help_heading = "Wan")]
    model: Vec<Wanted>,

    /// What the made frames show
    #[arg(long, value_name = "TEXT", conflicts_with = "prompts", help_heading = "Wan")]
    prompt: Option<String>,

    /// A file with one prompt for each seam, a line each
    #[arg(long, value_name = "FILE", help_heading = "Wan")]
    prompts: Option<PathBuf>,

    /// What they do not show; counts where the guidance is above 1
    #[arg(long, value_name = "TEXT", help_heading = "Wan")]
    negative_prompt: Option<String>,

    /// Steps from noise to picture [default: 50, of two experts 40]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000), allow_negative_numbers = true, help_heading = "Wan")]
    steps: Option<u16>,

    /// How far away from the negative prompt; one value, or one for each expert [default: 5, of two experts 3.5]
    #[arg(long, value_name = "G[;G]", value_parser = guidance, allow_hyphen_values = true, help_heading = "Wan")]
    guidance: Option<Guidance>,

    /// More steps where the picture is undecided [default: the folder's own, else 5, of two experts 8]
    #[arg(long, value_name = "S", value_parser = shift, allow_hyphen_values = true, help_heading = "Wan")]
    shift: Option<f64>,

    /// How a step is taken: euler, unipc, dpm++ or lcm [default: unipc]
    #[arg(long, value_name = "SOLVER", help_heading = "Wan")]
    solver: Option<Solver>,

    /// Whose noise levels: wan2gp, diffusers, official or distill [default: diffusers]
    #[arg(long, value_name = "GRID", help_heading = "Wan")]
    grid: Option<Grid>,

    /// The same seed makes the same frames; -1 is random [default: random]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(-1..), allow_hyphen_values = true, help_heading = "Wan")]
    seed: Option<i64>,

    /// Numbers to compute in: auto, bf16, f16 or f32
    #[arg(long, value_name = "DTYPE", default_value = "auto", hide_default_value = true, help_heading = "Wan")]
    dtype: Dtype,

    /// Show the VAE the picture in parts: auto, off, or their size in pixels
    #[arg(long, value_name = "TILE", default_value = "auto", hide_default_value = true, help_heading = "Wan")]
    vae_tile: VaeTile,

    /// Where the model's layers are while others work: auto, none (all on the device), blocks (one or two on it)
    #[arg(long, value_name = "WHERE", default_value = "auto", hide_default_value = true, help_heading = "Wan")]
    offload: Offload,
}

/// A named type, so that clap takes the list as one value.
#[derive(Debug, Clone, Serialize)]
struct Guidance(Vec<f64>);

impl WanArgs {
    pub(crate) fn has_model(&self) -> bool {
        !self.model.is_empty()
    }

    /// For an engine that is not Wan: none of these may be there.
    pub(crate) fn refuse(&self, engine: EngineChoice) -> Result<(), SettingsError> {
        let Self {
            model,
            prompt,
            prompts,
            negative_prompt,
            steps,
            guidance,
            shift,
            solver,
            grid,
            seed,
            dtype,
            vae_tile,
            offload,
        } = self;
        let given = [
            (!model.is_empty(), "--model"),
            (prompt.is_some(), "--prompt"),
            (prompts.is_some(), "--prompts"),
            (negative_prompt.is_some(), "--negative-prompt"),
            (steps.is_some(), "--steps"),
            (guidance.is_some(), "--guidance"),
            (shift.is_some(), "--shift"),
            (solver.is_some(), "--solver"),
            (grid.is_some(), "--grid"),
            (seed.is_some(), "--seed"),
            (*dtype != Dtype::Auto, "--dtype"),
            (*vae_tile != VaeTile::Auto, "--vae-tile"),
            (*offload != Offload::Auto, "--offload"),
        ];
        let engine = match engine {
            EngineChoice::Dissolve => "dissolve",
            EngineChoice::Auto | EngineChoice::Rife | EngineChoice::Wan => "rife",
        };
        match given.into_iter().find(|(given, _)| *given) {
            Some((_, option)) => Err(SettingsError::NotForEngine { engine, option }),
            None => Ok(()),
        }
    }

    /// Finds the weights and resolves the rest, for so many seams. `seed` is that of a run that is gone on with.
    pub(crate) fn settings(&self, seams: usize, seed: Option<u64>) -> Result<WanSettings> {
        let Self {
            model,
            prompt,
            prompts,
            negative_prompt,
            steps,
            guidance,
            shift,
            solver,
            grid,
            seed: asked,
            dtype,
            vae_tile,
            offload,
        } = self;
        if model.is_empty() {
            return Err(SettingsError::NoModel.into());
        }
        let models = ModelFiles::find(model)?;
        let ask = WanAsk {
            prompts: match prompts {
                Some(file) => Prompts::File(file.clone()),
                None => Prompts::One(prompt.clone().unwrap_or_default()),
            },
            negative_prompt: negative_prompt.clone(),
            steps: steps.map(usize::from),
            guidance: guidance.as_ref().map(|Guidance(values)| values.clone()),
            shift: *shift,
            solver: *solver,
            grid: *grid,
            dtype: *dtype,
            vae_tile: *vae_tile,
            offload: *offload,
        };
        let chosen = asked.and_then(|seed| u64::try_from(seed).ok());
        Ok(ask.settings(models, seams, chosen.or(seed).unwrap_or_else(random_seed))?)
    }
}

fn guidance(text: &str) -> Result<Guidance, String> {
    let value = |part: &str| part.trim().parse().ok().filter(|value: &f64| (0.0..=100.0).contains(value));
    let values: Option<Vec<f64>> = text.split(';').map(value).collect();
    let values = values.filter(|values| values.len() <= 2);
    values
        .map(Guidance)
        .ok_or_else(|| format!("`{text}` is no guidance, wanted one or two numbers from 0 to 100 such as 5 or 3.5;1"))
}

fn shift(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| (0.01..=100.0).contains(value));
    value.ok_or_else(|| format!("`{text}` is no shift, wanted a number from 0.01 to 100"))
}
