//! The files that layers ask for: by path, or by name wherever weights lie.

use super::{Layer, LoraAsk, LoraFiles, Preset, layer::of_segments, pick};
use crate::pipeline::{
    system::file_names,
    weights::{CheckpointError, Conditioning, Lacking, Located, ModelFiles, Part, Places, Wanted},
};

#[derive(Debug)]
pub struct Weights {
    pub models: ModelFiles,
    /// All that are asked for, also for single segments.
    pub loras: LoraFiles,
}

impl Weights {
    pub fn find(layers: &[Layer], places: &Places) -> Result<Self, CheckpointError> {
        let named: Vec<Wanted> = pick(layers, |asked| asked.wan.model.clone()).map_or(vec![], |asked| asked.value);
        let published = pick(layers, |asked| asked.wan.model_files.clone()).map(|asked| asked.value);
        let located = published.as_ref().map_or_else(Located::default, |published| places.locate(published));
        for Wanted { path, .. } in &located.wanted {
            file_names::written(path)?;
        }
        let models = match ModelFiles::find_or(&named, &located.wanted) {
            Err(CheckpointError::Incomplete { missing, .. })
                if missing.iter().any(|part| located.missing.iter().any(|(lacking, _)| covers(*part, *lacking))) =>
            {
                Err(missing)
            }
            models => Ok(models?),
        };
        let of_all = pick(layers, |asked| asked.wan.loras.clone());
        let of_segments = of_segments(layers).filter_map(|(_, layers)| pick(&layers, |asked| asked.wan.loras.clone()));
        let (mut loras, mut missing) = (LoraFiles::new(), vec![]);
        for asked in of_all.into_iter().chain(of_segments).flat_map(|asked| asked.value) {
            if loras.contains_key(&asked.file) {
                continue;
            }
            match places.lora(&asked.file)? {
                Some(path) => drop(loras.insert(asked.file, path)),
                None if missing.contains(&no_lora(&asked)) => {}
                None => missing.push(no_lora(&asked)),
            }
        }
        match models {
            Ok(models) if missing.is_empty() => Ok(Self { models, loras }),
            models => {
                let parts = models.err().unwrap_or_default();
                let wanted = |(part, _): &&(Part, Lacking)| parts.iter().any(|missing| covers(*missing, *part));
                let parts = located.missing.iter().filter(wanted).map(|(_, lacking)| lacking.clone());
                let missing = parts.chain(missing).collect();
                let published = published.map_or(vec![], |published| published.at);
                Err(CheckpointError::NotFound { missing, looked: places.folders().to_vec(), published })
            }
        }
    }
}

/// Without any transformer nobody can tell that it would be two.
fn covers(missing: Part, part: Part) -> bool {
    let transformers = [Part::Transformer, Part::High, Part::Low];
    missing == part || missing == Part::Transformer && transformers.contains(&part)
}

fn no_lora(asked: &LoraAsk) -> Lacking {
    Lacking { part: format!("the LoRA {}", asked.file.display()), names: vec![] }
}

impl Preset {
    /// What of its weights is not here; empty where it can run.
    pub fn lacks(&self, places: &Places) -> Vec<Lacking> {
        let published = self.values.wan.model_files.as_ref();
        let parts = published.map_or(vec![], |published| places.locate(published).missing);
        let loras = self.values.wan.loras.iter().flatten();
        let loras = loras.filter(|lora| !lora.file.is_file() && places.find(&lora.file).is_none());
        parts.into_iter().map(|(_, lacking)| lacking).chain(loras.map(no_lora)).collect()
    }

    /// The first built-in one whose weights are here and make a model that is conditioned in one of these ways.
    pub fn first_for(
        conditionings: &[Conditioning],
        places: &Places,
    ) -> Result<Option<(Self, Weights)>, CheckpointError> {
        for preset in Self::built_in() {
            if preset.lacks(places).is_empty() {
                let weights = Weights::find(&[preset.layer()], places)?;
                if weights.models.conditioning().is_ok_and(|own| conditionings.contains(&own)) {
                    return Ok(Some((preset, weights)));
                }
            }
        }
        Ok(None)
    }

    /// What `--preset auto` found nothing of.
    pub fn none_found(places: &Places) -> CheckpointError {
        let part = "the weights of a built-in preset (see `wanctl inspect --list-models`)".into();
        let missing = vec![Lacking { part, names: vec![] }];
        CheckpointError::NotFound { missing, looked: places.folders().to_vec(), published: vec![] }
    }
}
