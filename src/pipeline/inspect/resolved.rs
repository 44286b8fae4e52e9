//! What is inspected, resolved as far as it can be without a run: its work, its steps, and what they take of memory.

use std::path::Path;

use serde_json::{Value, json};

use crate::pipeline::{
    job::{
        Dtype, Offload, VaeTile,
        memory::{Need, RowsAtOnce, Sizes, Work},
        schedule::{Expert, Grid},
    },
    options::{Generation, Layer, Lora, Options, ResolvedOptions, Sampling, WanOptions, Weights},
    plan::FramePlan,
    run::project::Project,
    weights::Places,
    worker_tasks,
};

#[derive(Debug)]
pub struct Resolved {
    pub project: Project,
    pub layers: Vec<Layer>,
}

/// What the work would take of memory.
#[derive(Debug)]
pub struct Memory {
    pub sizes: Sizes,
    pub work: Work,
    /// By the weights themselves; else by their names.
    pub sure: bool,
    /// On a GPU.
    pub needs: Vec<Need>,
}

impl Resolved {
    pub fn options(&self) -> &ResolvedOptions {
        &self.project.options
    }

    /// By the headers of the model's files where they are here, else by the names that they were published under.
    pub fn memory(&self, plan: &FramePlan, places: &Places) -> Option<Memory> {
        self.options().generation()?;
        let WanOptions { model_files, dtype, offload, vae_tile, .. } = Options::merged(&self.layers).wan;
        let here = Weights::find(&self.layers, places).ok().and_then(|weights| Sizes::of(&weights.models).ok());
        let sizes = here.or_else(|| Sizes::by_name(&model_files?))?;
        let asked = (dtype.unwrap_or(Dtype::Auto), offload.unwrap_or(Offload::Auto), vae_tile.unwrap_or(VaeTile::Auto));
        let work = work_of(plan, asked);
        let on_a_gpu = if work.dtype == Dtype::Auto { Dtype::Bf16 } else { work.dtype };
        let needs = sizes.needs(&Work { dtype: on_a_gpu, ..work });
        Some(Memory { sizes, work, sure: here.is_some(), needs })
    }

    /// LoRAs that by their names are for the other expert than some steps that they work in.
    pub fn remarks(&self) -> Vec<String> {
        let Some(Generation { sampling, segments, .. }) = self.options().generation() else { return vec![] };
        let mut remarks = vec![];
        for Sampling { loras, schedule, .. } in [sampling].into_iter().chain(segments.iter().flatten()) {
            let wrong = |lora: &&Lora| {
                let name = file_name(&lora.file).to_lowercase();
                let says =
                    |word: Expert| name.split(|c: char| !c.is_alphanumeric()).any(|part| part == word.to_string());
                let other = match (says(Expert::High), says(Expert::Low)) {
                    (true, false) => Expert::Low,
                    (false, true) => Expert::High,
                    _ => return false,
                };
                schedule.iter().zip(&lora.strengths).any(|(step, strength)| step.expert == other && *strength != 0.0)
            };
            for lora in loras.iter().filter(wrong) {
                let name = file_name(&lora.file);
                let remark = format!("{name} works in steps of the other expert than its name says");
                if !remarks.contains(&remark) {
                    remarks.push(remark);
                }
            }
        }
        remarks
    }

    /// How it is sampled; of segments those that are sampled otherwise.
    pub fn sampler(&self) -> Option<Value> {
        let Generation { sampling, segments, .. } = self.options().generation()?;
        let told = |sampling: &Sampling| {
            let mut told = json!(sampling);
            told["thresholds"] = json!(thresholds(sampling));
            told
        };
        let mut sampler = told(sampling);
        if !segments.is_empty() {
            sampler["segments"] = segments.iter().map(|own| own.as_ref().map(told)).collect();
        }
        Some(sampler)
    }
}

impl Memory {
    pub fn json(&self) -> Value {
        json!({ "sure": self.sure, "on_a_gpu": self.needs })
    }
}

/// The largest guide of a plan, in numbers that the device chooses where nobody does.
pub fn work_of(plan: &FramePlan, (dtype, offload, vae_tile): (Dtype, Offload, VaeTile)) -> Work {
    Work {
        size: plan.made_size,
        frames: plan.seams.iter().map(|seam| seam.slots.len()).max().unwrap_or(0),
        references: plan.seams.iter().map(|seam| seam.references.len()).max().unwrap_or(0),
        dtype,
        packed: dtype == Dtype::Fp8,
        beside: 0,
        offload,
        ahead: true,
        rows: RowsAtOnce::Auto,
        vae_tile,
    }
}

/// The border timesteps of a Wan2GP sampler, bit for bit; of other grids there are none.
pub fn thresholds(sampling: &Sampling) -> Vec<f64> {
    let steps: Vec<usize> = sampling.phases.iter().map(|phase| phase.steps).collect();
    match *sampling.grid {
        Grid::Wan2gp => {
            worker_tasks::thresholds(*sampling.solver, &steps, *sampling.shift).into_iter().map(f64::from).collect()
        }
        _ => vec![],
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
