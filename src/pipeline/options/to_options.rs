//! Resolved settings as options that request them once more: every value said, so that no default decides anything later.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Generation, Kind, LoraAsk, Options, ResolvedOptions, Sampling, SegmentSampling, WanSettings};
use crate::pipeline::{
    plan::Blend,
    weights::{ModelFiles, Role, Wanted},
};

impl ResolvedOptions {
    pub fn to_options(&self) -> Options {
        let mut said = values(self);
        match &self.kind {
            // One that shrinks to the context is the engine's own.
            Kind::Join(join) if matches!(*join.blend, Blend::UpTo(_)) => drop(said.remove("blend")),
            Kind::Travel(_) => drop(said.insert("segment_count".into(), self.parts.count.into())),
            Kind::Join(_) | Kind::Stitch(_) => {}
        }
        if let Some(wan) = self.wan() {
            said.extend(of_wan(wan));
        }
        serde_json::from_value(Value::Object(said)).expect("every value has the name and the form of its option")
    }
}

/// The value of everything that has a source.
fn values(settings: &impl Serialize) -> Map<String, Value> {
    let Value::Object(settings) = json!(settings) else { unreachable!("settings are a structure") };
    let value = |(name, mut sourced): (String, Value)| {
        sourced.get("from")?;
        Some((name, sourced["value"].take()))
    };
    settings.into_iter().filter_map(value).collect()
}

fn of_wan(wan: &WanSettings) -> Map<String, Value> {
    let WanSettings { models, generation, seed: _ } = wan;
    let Generation { sampling, segments, .. } = generation;
    let mut said = values(generation);
    // The phases say them.
    said.remove("steps");
    said.remove("guidance");
    said.insert("loras".into(), json!(loras(sampling)));
    said.insert("model".into(), json!(files(models)));
    if !segments.is_empty() {
        let own_loras: Vec<_> = segments.iter().map(|own| own.as_ref().map(loras)).collect();
        said.insert("segment_loras".into(), json!(own_loras));
    }
    let sampled = |own: &Sampling| {
        let Sampling { phases, shift, solver, .. } = own;
        SegmentSampling { place: None, phases: phases.value.clone(), shift: **shift, solver: **solver, loras: None }
    };
    let of_all = sampled(sampling);
    let own = segments.iter().map(|own| own.as_ref().map(sampled).filter(|own| *own != of_all));
    let own: Vec<Option<SegmentSampling>> = own.collect();
    if own.iter().any(Option::is_some) {
        said.insert("segment_sampling".into(), json!(own));
    }
    said
}

fn loras(sampling: &Sampling) -> Vec<LoraAsk> {
    let lora = |lora: &super::Lora| LoraAsk { file: lora.file.clone(), weights: lora.weights.clone() };
    sampling.loras.iter().map(lora).collect()
}

/// Every file of a model by its part.
fn files(models: &ModelFiles) -> Vec<Wanted> {
    let ModelFiles { high, low, vae, text, tokenizer, boundary: _, flow_shift: _, transformer: _ } = models;
    let tokenizer = std::slice::from_ref(tokenizer);
    // Where there is one expert it has no name.
    let first = (!low.is_empty()).then_some(Role::High);
    let parts = [
        (first, &high[..]),
        (Some(Role::Low), low),
        (Some(Role::Vae), vae),
        (Some(Role::Text), text),
        (Some(Role::Tokenizer), tokenizer),
    ];
    let wanted = |(role, paths): (Option<Role>, &[PathBuf])| {
        paths.iter().map(move |path| Wanted { role, path: path.clone() }).collect::<Vec<_>>()
    };
    parts.into_iter().flat_map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::{
        options::{Content, EngineChoice, Facts, Layer, LoraFiles, Model, Source, Weights, resolve},
        weights::Transformer,
    };

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
            high: vec!["/m/high.safetensors".into(), "/m/module.safetensors".into()],
            low: if experts == 2 { vec!["/m/low.safetensors".into()] } else { vec![] },
            vae: vec!["/m/vae.safetensors".into()],
            text: vec!["/m/text.safetensors".into()],
            tokenizer: "/m/tokenizer.json".into(),
            boundary: Some(0.9),
            flow_shift: Some(3.0),
            transformer,
        }
    }

    #[test]
    fn a_models_steps_and_files_are_the_same_again() {
        for (experts, asked) in [
            (1, json!({ "steps": 7, "guidance": { "all": 2.5 }, "seed": 7 })),
            (2, json!({ "loras": [{ "file": "/m/a.safetensors", "weights": "1,0.5;0" }], "seed": -1 })),
            (2, json!({ "segment_loras": [null, [{ "file": "/m/a.safetensors", "weights": "1;0" }]] })),
            (
                2,
                json!({ "segment_sampling": [null, { "shift": 3, "solver": "euler", "phases": [
                { "steps": 1, "expert": "high", "guidance": 2 }, { "steps": 2, "expert": "low", "guidance": 1 }],
                "loras": [{ "file": "/m/a.safetensors", "weights": "1;0" }] }] }),
            ),
            (2, json!({ "steps": 6, "shift": 5, "solver": "euler", "grid": "wan2gp", "prompts": { "one": "a fox" } })),
        ] {
            let resolved = |from, values: Options| {
                let layers = [Layer { from, values }];
                let model = Model::Found(Box::new(Weights { models: models(experts), loras: LoraFiles::new() }));
                let facts = Facts { model, ..Facts::of(Content::Clips(3), EngineChoice::Wan) };
                resolve(&layers, facts).unwrap()
            };
            let values: Options = serde_json::from_value(asked).unwrap();
            let first = resolved(Source::Flag, values);
            let written = serde_json::to_string(&first.to_options()).unwrap();
            let values: Options = serde_json::from_str(&written).unwrap();
            let named: Vec<_> = values.wan.model.iter().flatten().map(|wanted| wanted.path.clone()).collect();
            let ModelFiles { high, low, vae, text, tokenizer, .. } = models(experts);
            assert_eq!(named, [high, low, vae, text, vec![tokenizer]].concat());
            assert!(values.wan.model.iter().flatten().all(|wanted| experts == 2 || wanted.role != Some(Role::High)));
            let second = resolved(Source::Task("film.mp4".into()), values);
            assert_eq!(first.wan().unwrap().request(0), second.wan().unwrap().request(0));
            assert_eq!(first.wan().unwrap().request(1), second.wan().unwrap().request(1));
        }
    }

    #[test]
    fn settings_asked_for_again_are_the_same_settings() {
        for asked in [
            json!({}),
            json!({ "mode": "replace", "gap": "0.5s", "fps": "30000/1001", "size": [902, 508], "fit": "pad" }),
            json!({ "engine": "wan", "align": "exact", "made_size": [896, 496], "looped": true, "anchors": true }),
            json!({ "ranges": ["3..9", "20..37"], "context": 5 }),
            json!({ "engine": "wan", "align": "exact", "mask_rule": "exact", "blend": 3, "context": 12 }),
        ] {
            let of = |from, values| {
                resolve(&[Layer { from, values }], Facts::of(Content::Clips(2), EngineChoice::Rife)).unwrap()
            };
            let first = of(Source::Flag, serde_json::from_value(asked).unwrap());
            let written = serde_json::to_string(&first.to_options()).unwrap();
            let second = of(Source::Task("film.mp4".into()), serde_json::from_str(&written).unwrap());
            assert_eq!(values(&first), values(&second), "{written}");
        }
    }
}
