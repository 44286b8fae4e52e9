//! Resolved settings as they are asked for once more: every value said, so that no default decides anything later.

use std::path::PathBuf;

use super::{
    Each, Generation, JourneySettings, Lora, LoraAsk, Options, Prompts, Sampling, SegmentSampling, Settings,
    WanSettings,
};
use crate::pipeline::{
    plan::Blend,
    weights::{ModelFiles, Role, Wanted},
};

/// `wan`: where a Wan model made the frames.
pub fn again(settings: &Settings, wan: Option<&WanSettings>) -> Options {
    let Settings {
        engine,
        context,
        gap,
        mode,
        align,
        mask_rule,
        blend,
        fps,
        size,
        made_size,
        fit,
        video_track,
        audio_track,
        tone_map,
        looped,
        ranges,
        anchors,
    } = settings;
    let plan = Options {
        engine: Some(engine.value),
        context: Some(context.value),
        gap: Some(gap.value),
        mode: Some(mode.value),
        align: Some(align.value),
        mask_rule: Some(mask_rule.value),
        // One that shrinks to the context is the engine's own.
        blend: match blend.value {
            Blend::Exactly(blend) => Some(blend),
            Blend::UpTo(_) => None,
        },
        fps: fps.value,
        size: size.value,
        made_size: made_size.value,
        fit: Some(fit.value),
        video_track: video_track.value,
        audio_track: audio_track.value,
        tone_map: Some(tone_map.value),
        looped: Some(looped.value),
        ranges: Some(ranges.value.clone()),
        anchors: Some(anchors.value),
        ..Options::default()
    };
    with_wan(plan, wan)
}

/// The same for a journey.
pub fn journey_again(settings: &JourneySettings, wan: Option<&WanSettings>) -> Options {
    let JourneySettings {
        engine,
        frames,
        overlap,
        round,
        lengths,
        align,
        mask_rule,
        fps,
        size,
        made_size,
        fit,
        video_track,
        audio_track,
        tone_map,
        looped,
        strength,
        desaturate,
        brightness,
        later,
        curve,
        apart,
        structure,
        treatment,
        ..
    } = settings;
    let plan = Options {
        engine: Some(engine.value),
        segments: Some(frames.len()),
        frames: Some(Each::Each(frames.value.clone())),
        overlap: Some(Each::Each(overlap.value.clone())),
        round: Some(round.value),
        lengths: Some(lengths.value),
        align: Some(align.value),
        mask_rule: Some(mask_rule.value),
        fps: fps.value,
        size: size.value,
        made_size: made_size.value,
        fit: Some(fit.value),
        video_track: video_track.value,
        audio_track: audio_track.value,
        tone_map: Some(tone_map.value),
        looped: Some(looped.value),
        strength: Some(strength.value),
        desaturate: Some(desaturate.value),
        brightness: Some(brightness.value),
        later: Some(later.value),
        curve: Some(curve.value),
        apart: Some(apart.value),
        structure: Some(structure.value.clone()).filter(|uses| !uses.is_empty()),
        treatment: Some(treatment.value),
        ..Options::default()
    };
    with_wan(plan, wan)
}

fn with_wan(plan: Options, wan: Option<&WanSettings>) -> Options {
    let Some(wan) = wan else { return plan };
    let WanSettings { models, generation, seed: _ } = wan;
    let Generation {
        prompts,
        negative_prompt,
        negative_prompts,
        sampling,
        segments,
        seed,
        noise,
        seed_mode,
        own_seeds,
        cfg_zero,
        control_scale,
        dtype,
        vae_tile,
        offload,
        ignored: _,
    } = generation;
    let Sampling { steps: _, phases, guidance: _, shift, solver, grid, loras, schedule: _ } = sampling;
    let lora = |Lora { file, weights, strengths: _ }: &Lora| LoraAsk { file: file.clone(), weights: weights.clone() };
    let said = |loras: &[Lora]| loras.iter().map(lora).collect();
    let own_loras: Vec<_> = segments.iter().map(|own| own.as_ref().map(|own| said(&own.loras))).collect();
    let sampled = |own: &Sampling| {
        let Sampling { phases, shift, solver, .. } = own;
        let (place, loras) = (None, None);
        SegmentSampling { place, phases: phases.value.clone(), shift: **shift, solver: **solver, loras }
    };
    let of_all = sampled(sampling);
    let own_sampling = segments.iter().map(|own| own.as_ref().map(sampled).filter(|own| *own != of_all));
    let own_sampling: Vec<Option<SegmentSampling>> = own_sampling.collect();
    Options {
        model: Some(named(models)),
        prompts: Some(Prompts::Each(prompts.value.clone())),
        negative_prompt: Some(negative_prompt.value.clone()),
        negative_prompts: Some(negative_prompts.value.clone()).filter(|own| !own.is_empty()),
        phases: Some(phases.value.clone()),
        shift: Some(shift.value),
        solver: Some(solver.value),
        grid: Some(grid.value),
        loras: Some(said(loras)),
        segment_loras: Some(own_loras).filter(|own| !own.is_empty()),
        segment_sampling: Some(own_sampling).filter(|own| own.iter().any(Option::is_some)),
        seed: Some(seed.value),
        noise: Some(noise.value),
        seed_mode: (!seed_mode.is_built_in()).then_some(seed_mode.value),
        seeds: Some(own_seeds.value.clone()).filter(|own| !own.is_empty()),
        cfg_zero_steps: cfg_zero.value.map(|zero| zero.zero_steps),
        control_scale: Some(control_scale.value),
        dtype: Some(dtype.value),
        vae_tile: Some(vae_tile.value),
        offload: Some(offload.value),
        ..plan
    }
}

/// Every file of a model by its part.
fn named(models: &ModelFiles) -> Vec<Wanted> {
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
    use serde_json::{Value, json};

    use super::*;
    use crate::pipeline::{
        options::{EngineChoice, Layer, LoraFiles, Parts, Source, Weights},
        weights::Transformer,
    };

    /// The values without who said them.
    fn values(settings: &Settings) -> Value {
        let told = serde_json::to_value(settings).unwrap();
        told.as_object().unwrap().iter().map(|(name, sourced)| (name.clone(), sourced["value"].clone())).collect()
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
                let weights = Weights { models: models(experts), loras: LoraFiles::new() };
                let wan = WanSettings::of(&layers, weights, Parts::seams(2), None).unwrap();
                (Settings::of(&layers, EngineChoice::Wan).unwrap(), wan)
            };
            let values: Options = serde_json::from_value(asked).unwrap();
            let (settings, first) = resolved(Source::Flag, values);
            let written = serde_json::to_string(&again(&settings, Some(&first))).unwrap();
            let values: Options = serde_json::from_str(&written).unwrap();
            let named: Vec<_> = values.model.iter().flatten().map(|wanted| wanted.path.clone()).collect();
            let ModelFiles { high, low, vae, text, tokenizer, .. } = models(experts);
            assert_eq!(named, [high, low, vae, text, vec![tokenizer]].concat());
            assert!(values.model.iter().flatten().all(|wanted| experts == 2 || wanted.role != Some(Role::High)));
            let (_, second) = resolved(Source::Task("film.mp4".into()), values);
            assert_eq!(first.request(0), second.request(0));
            assert_eq!(first.request(1), second.request(1));
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
            let of = |from, values| Settings::of(&[Layer { from, values }], EngineChoice::Rife).unwrap();
            let first = of(Source::Flag, serde_json::from_value(asked).unwrap());
            let written = serde_json::to_string(&again(&first, None)).unwrap();
            let second = of(Source::Task("film.mp4".into()), serde_json::from_str(&written).unwrap());
            assert_eq!(values(&first), values(&second), "{written}");
        }
    }
}
