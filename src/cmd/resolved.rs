//! What is inspected, resolved as far as it can be without a run: its work, its steps, and what they take of memory.

use serde_json::{Value, json};

use wanctl::pipeline::{
    job::{
        Dtype, Offload, VaeTile,
        memory::{Need, Sizes, Work as Load},
        schedule::Expert,
    },
    options::{Generation, Layer, Lora, Options, ResolvedOptions, Sampling, WanOptions, Weights},
    plan::FramePlan,
    run::project::Project,
    weights::Places,
};

use super::{show, show_settings, show_task};

pub(crate) struct Resolved {
    pub(crate) project: Project,
    pub(crate) layers: Vec<Layer>,
}

/// What the work would take.
pub(crate) struct Memory {
    told: String,
    /// By the weights themselves; else by their names.
    sure: bool,
    needs: Vec<Need>,
}

impl Resolved {
    pub(crate) fn options(&self) -> &ResolvedOptions {
        &self.project.options
    }

    /// By the headers of the model's files where they are here, else by the names that they were published under.
    pub(crate) fn memory(&self, plan: &FramePlan, places: &Places) -> Option<Memory> {
        self.options().generation()?;
        let WanOptions { model_files, dtype, offload, vae_tile, .. } = Options::merged(&self.layers).wan;
        let here = Weights::find(&self.layers, places).ok().and_then(|weights| Sizes::of(&weights.models).ok());
        let sizes = here.or_else(|| Sizes::by_name(&model_files?))?;
        let asked = (dtype.unwrap_or(Dtype::Auto), offload.unwrap_or(Offload::Auto), vae_tile.unwrap_or(VaeTile::Auto));
        let load = show_settings::work(plan, asked);
        let on_a_gpu = if load.dtype == Dtype::Auto { Dtype::Bf16 } else { load.dtype };
        let needs = sizes.needs(&Load { dtype: on_a_gpu, ..load });
        Some(Memory { told: show_settings::memory(&sizes, &load), sure: here.is_some(), needs })
    }

    /// LoRAs that by their names are for the other expert than some steps that they work in.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let Some(Generation { sampling, segments, .. }) = self.options().generation() else { return vec![] };
        let mut remarks = vec![];
        for Sampling { loras, schedule, .. } in [sampling].into_iter().chain(segments.iter().flatten()) {
            let wrong = |lora: &&Lora| {
                let name = show::name(&lora.file).to_lowercase();
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
                let name = show::name(&lora.file);
                let remark = format!("{name} works in steps of the other expert than its name says");
                if !remarks.contains(&remark) {
                    remarks.push(remark);
                }
            }
        }
        remarks
    }

    /// How it is sampled; of segments those that are sampled otherwise.
    pub(crate) fn sampler(&self) -> Option<Value> {
        let Generation { sampling, segments, .. } = self.options().generation()?;
        let told = |sampling: &Sampling| {
            let mut told = json!(sampling);
            told["thresholds"] = json!(show_task::thresholds(sampling));
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
    pub(crate) fn json(&self) -> Value {
        json!({ "sure": self.sure, "on_a_gpu": self.needs })
    }

    pub(crate) fn text(&self) -> String {
        let by = if self.sure { "" } else { ", for a model of its name: the weights are not here" };
        format!("{}{by}", self.told)
    }
}
