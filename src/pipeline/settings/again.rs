//! Resolved settings as they are asked for once more: every value said, so that no default decides anything later.

use std::path::PathBuf;

use super::{LoraAsk, Overrides, Prompts, Sampling, Seed, Settings, WanSettings, wan::Lora};
use crate::pipeline::{
    checkpoint::{ModelFiles, Role, Wanted},
    plan::Blend,
};

/// `wan`: where a Wan model made the frames.
pub fn again(settings: &Settings, wan: Option<&WanSettings>) -> Overrides {
    let Settings { engine, context, gap, mode, align, mask_rule, blend, fps, size, made_size, fit, looped, anchors } =
        settings;
    let plan = Overrides {
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
        looped: Some(looped.value),
        anchors: Some(anchors.value),
        ..Overrides::default()
    };
    let Some(wan) = wan else { return plan };
    let WanSettings { models, prompts, negative_prompt, sampling, seed, control_scale, dtype, vae_tile, ignored: _ } =
        wan;
    let Sampling { steps: _, phases, guidance: _, shift, solver, grid, loras, schedule: _ } = sampling;
    let lora = |Lora { file, weights, strengths: _ }: &Lora| LoraAsk { file: file.clone(), weights: weights.clone() };
    Overrides {
        model: Some(named(models)),
        prompts: Some(Prompts::Each(prompts.value.clone())),
        negative_prompt: Some(negative_prompt.value.clone()),
        phases: Some(phases.value.clone()),
        shift: Some(shift.value),
        solver: Some(solver.value),
        grid: Some(grid.value),
        loras: Some(loras.iter().map(lora).collect()),
        seed: Some(Seed::Fixed(seed.value)),
        control_scale: Some(control_scale.value),
        dtype: Some(dtype.value),
        vae_tile: Some(vae_tile.value),
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
    use crate::pipeline::settings::{EngineChoice, Layer, Source};

    /// The values without who said them.
    fn values(settings: &Settings) -> Value {
        let told = serde_json::to_value(settings).unwrap();
        told.as_object().unwrap().iter().map(|(name, sourced)| (name.clone(), sourced["value"].clone())).collect()
    }

    #[test]
    fn settings_asked_for_again_are_the_same_settings() {
        for asked in [
            json!({}),
            json!({ "mode": "replace", "gap": "0.5s", "fps": "30000/1001", "size": [902, 508], "fit": "pad" }),
            json!({ "engine": "wan", "align": "exact", "made_size": [896, 496], "looped": true, "anchors": true }),
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
