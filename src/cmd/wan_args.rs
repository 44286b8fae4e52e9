//! Flags that only a Wan model understands.

use std::path::PathBuf;

use wanctl::pipeline::{
    job::{
        Dtype, Noise, Offload, VaeTile,
        schedule::{Grid, Solver},
    },
    options::{Guidance, LoraAsk, Options, Prompts, Seed},
    weights::Wanted,
};

/// What a Wan model is asked, and its weights.
#[derive(clap::Args, Debug)]
pub(crate) struct WanArgs {
    /// Weights: a folder as published, or a file; high=, low=, vae=, text= and tokenizer= before a path say what it is
    #[arg(long, value_name = "PATH", help_heading = "Wan")]
    model: Vec<Wanted>,

    /// Where weights are looked for, before WANCTL_MODELS and the folders of other tools; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Wan")]
    models: Vec<PathBuf>,

    /// A LoRA and its weight, or one for each phase: PATH=1;0; may be repeated, and takes the place of the preset's
    #[arg(long, value_name = "PATH=W[;W...]", help_heading = "Wan")]
    lora: Vec<LoraAsk>,

    /// What the generated frames show
    #[arg(long, value_name = "TEXT", conflicts_with = "prompts", help_heading = "Wan")]
    prompt: Option<String>,

    /// A file with one prompt for each seam or segment, a line each
    #[arg(long, value_name = "FILE", value_parser = super::args::file(), help_heading = "Wan")]
    prompts: Option<PathBuf>,

    /// What they do not show; needs a guidance above 1
    #[arg(long, value_name = "TEXT", help_heading = "Wan")]
    negative_prompt: Option<String>,

    /// Denoising steps [default: the preset's, else 50, of two experts 40]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000), allow_negative_numbers = true, help_heading = "Wan")]
    steps: Option<u16>,

    /// Guidance scale (CFG); one value, or one for each phase
    /// [default: the preset's, else 5, of two experts 3.5]
    #[arg(long, value_name = "G[;G...]", value_parser = guidance, allow_hyphen_values = true, help_heading = "Wan")]
    guidance: Option<Guidance>,

    /// Timestep shift; higher values spend more steps at high noise [default: the preset's, else the model folder's own, else 5, of two experts 8]
    #[arg(long, value_name = "S", value_parser = shift, allow_hyphen_values = true, help_heading = "Wan")]
    shift: Option<f64>,

    /// Solver of the denoising steps [default: the preset's, else unipc]
    #[arg(long, value_name = "SOLVER", help_heading = "Wan")]
    solver: Option<Solver>,

    /// Noise schedule: whose timesteps and sigmas
    /// [default: the preset's, else diffusers]
    #[arg(long, value_name = "GRID", help_heading = "Wan")]
    grid: Option<Grid>,

    /// The same seed makes the same frames; -1 is random [default: random]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(-1..), allow_hyphen_values = true, help_heading = "Wan")]
    seed: Option<i64>,

    /// Number type of weights and computation [default: auto]
    #[arg(long, value_name = "DTYPE", help_heading = "Wan")]
    dtype: Option<Dtype>,

    /// Where noise is drawn from the seed [default: cpu]
    #[arg(long, value_name = "cpu|device", help_heading = "Wan")]
    noise: Option<Noise>,

    /// Tile size of the VAE in pixels: auto, off, or a number [default: auto]
    #[arg(long, value_name = "TILE", help_heading = "Wan")]
    vae_tile: Option<VaeTile>,

    /// Where the model's layers wait while others compute [default: auto]
    #[arg(long, value_name = "WHERE", help_heading = "Wan")]
    offload: Option<Offload>,
}

impl WanArgs {
    pub(crate) fn models(&self) -> &[PathBuf] {
        &self.models
    }

    /// What was typed of these, beside what was typed of the plan.
    pub(crate) fn typed(&self, plan: Options) -> Options {
        let Self {
            model,
            models: _,
            lora,
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
            noise,
            vae_tile,
            offload,
        } = self;
        Options {
            model: Some(model.clone()).filter(|model| !model.is_empty()),
            loras: Some(lora.clone()).filter(|loras| !loras.is_empty()),
            prompts: match prompts {
                Some(file) => Some(Prompts::File(file.clone())),
                None => prompt.clone().map(Prompts::One),
            },
            negative_prompt: negative_prompt.clone(),
            steps: steps.map(usize::from),
            guidance: guidance.clone(),
            shift: *shift,
            solver: *solver,
            grid: *grid,
            seed: seed.and_then(|seed| Seed::try_from(seed).ok()),
            dtype: *dtype,
            noise: *noise,
            vae_tile: *vae_tile,
            offload: *offload,
            ..plan
        }
    }
}

/// Those of these that were typed.
pub(crate) fn given(typed: &Options) -> Vec<&'static str> {
    let Options {
        model,
        loras,
        prompts,
        negative_prompt,
        steps,
        guidance,
        shift,
        solver,
        grid,
        seed,
        seed_mode,
        dtype,
        noise,
        vae_tile,
        offload,
        ..
    } = typed;
    let given = [
        (model.is_some(), "--model"),
        (loras.is_some(), "--lora"),
        (matches!(prompts, Some(Prompts::One(_))), "--prompt"),
        (matches!(prompts, Some(Prompts::Each(_) | Prompts::File(_))), "--prompts"),
        (negative_prompt.is_some(), "--negative-prompt"),
        (steps.is_some(), "--steps"),
        (guidance.is_some(), "--guidance"),
        (shift.is_some(), "--shift"),
        (solver.is_some(), "--solver"),
        (grid.is_some(), "--grid"),
        (seed.is_some(), "--seed"),
        (seed_mode.is_some(), "--seed-mode"),
        (dtype.is_some(), "--dtype"),
        (noise.is_some(), "--noise"),
        (vae_tile.is_some(), "--vae-tile"),
        (offload.is_some(), "--offload"),
    ];
    given.into_iter().filter_map(|(given, option)| given.then_some(option)).collect()
}

fn guidance(text: &str) -> Result<Guidance, String> {
    let value = |part: &str| part.trim().parse().ok().filter(|value: &f64| (0.0..=100.0).contains(value));
    let values: Option<Vec<f64>> = text.split(';').map(value).collect();
    match values.as_deref() {
        Some([one]) => Ok(Guidance::All(*one)),
        Some(each) => Ok(Guidance::Each(each.to_vec())),
        None => Err(format!("`{text}` is no guidance, wanted numbers from 0 to 100 such as 5 or 3.5;1")),
    }
}

fn shift(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| (0.01..=100.0).contains(value));
    value.ok_or_else(|| format!("`{text}` is no shift, wanted a number from 0.01 to 100"))
}
