//! The files that layers ask for: by path, or by name wherever weights lie.

use std::path::PathBuf;

use super::{Layer, Preset, pick};
use crate::pipeline::checkpoint::{
    Checkpoint, CheckpointError, Files, Located, ModelFiles, Part, Places, Published, Wanted,
};

#[derive(Debug)]
pub struct Weights {
    pub models: ModelFiles,
    /// In the order in which they are asked for.
    pub loras: Vec<PathBuf>,
}

impl Weights {
    pub fn find(layers: &[Layer], places: &Places) -> Result<Self, CheckpointError> {
        let named: Vec<Wanted> = pick(layers, |asked| asked.model.clone()).map_or(vec![], |asked| asked.value);
        let published = pick(layers, |asked| asked.published.clone()).map(|asked| asked.value);
        let located = published.as_ref().map_or_else(Located::default, |published| places.locate(published));
        let models = ModelFiles::find_or(&named, &located.wanted).map_err(|error| match error {
            CheckpointError::Incomplete { missing, .. } if published.is_some() => {
                let names = |part: &Part| located.missing.iter().find(|(missing, _)| missing == part);
                let missing = missing.iter().map(|part| names(part).map_or(part.name().into(), told));
                not_found(missing.collect(), places, published.as_ref())
            }
            error => error,
        })?;
        let mut loras = vec![];
        let mut missing = vec![];
        for asked in pick(layers, |asked| asked.loras.clone()).map_or(vec![], |asked| asked.value) {
            match places.lora(&asked.file)? {
                Some(path) => loras.push(path),
                None => missing.push(format!("the LoRA {}", asked.file.display())),
            }
        }
        match missing.is_empty() {
            true => Ok(Self { models, loras }),
            false => Err(not_found(missing, places, published.as_ref())),
        }
    }
}

impl Weights {
    /// How many bytes of weights are in memory at once at least: the parts take turns.
    pub fn largest_part(&self) -> Result<u64, CheckpointError> {
        let ModelFiles { high, low, text, .. } = &self.models;
        let parts = [high, low, text].into_iter().filter(|paths| !paths.is_empty());
        parts.map(|paths| Ok(Checkpoint::open(paths)?.bytes())).try_fold(0, |most, bytes| Ok(most.max(bytes?)))
    }
}

impl Preset {
    /// What of its weights is not here, each as a message has it; empty where it can run.
    pub fn lacks(&self, places: &Places) -> Vec<String> {
        let published = self.values.published.as_ref();
        let parts = published.map_or(vec![], |published| places.locate(published).missing);
        let loras = self.values.loras.iter().flatten();
        let loras = loras.filter(|lora| !lora.file.is_file() && places.find(&lora.file).is_none());
        parts.iter().map(told).chain(loras.map(|lora| format!("the LoRA {}", lora.file.display()))).collect()
    }

    /// The first built-in one whose weights are here and make a model that can be shown a guide.
    pub fn first_that_joins(places: &Places) -> Result<Option<(Self, Weights)>, CheckpointError> {
        for preset in Self::built_in() {
            if preset.lacks(places).is_empty() {
                let weights = Weights::find(&[preset.layer(None)], places)?;
                if weights.models.transformer.vace.is_some() {
                    return Ok(Some((preset, weights)));
                }
            }
        }
        Ok(None)
    }

    /// What `--preset auto` found nothing of.
    pub fn none_found(places: &Places) -> CheckpointError {
        not_found(vec!["the weights of a built-in preset (see `wanctl inspect --list-models`)".into()], places, None)
    }
}

fn not_found(missing: Vec<String>, places: &Places, published: Option<&Published>) -> CheckpointError {
    let published = published.map_or(vec![], |published| published.at.clone());
    CheckpointError::NotFound { missing, looked: places.folders().to_vec(), published }
}

/// `the VAE (wan_2.1_vae.safetensors or Wan2.1_VAE.pth)`.
fn told((part, names): &(Part, Vec<Files>)) -> String {
    let together =
        |files: &Files| files.names().iter().map(|name| name.display().to_string()).collect::<Vec<_>>().join(" with ");
    format!("{} ({})", part.name(), names.iter().map(together).collect::<Vec<_>>().join(" or "))
}
