//! What comes of layers, with one expert and with two.

use std::fs;

use super::*;
use crate::pipeline::{
    job::{
        CfgZero,
        schedule::{self, Expert},
    },
    options::{LoraFiles, Preset, Prompts, Source, Sourced, WanOptions},
    types::error::{ErrorCode, Reportable},
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

fn weights() -> Weights {
    Weights { models: models(1), loras: LoraFiles::new() }
}

fn layer(from: Source, text: &str) -> Layer {
    Layer { from, values: serde_json::from_str(text).unwrap() }
}

fn flags(text: &str) -> Layer {
    layer(Source::Flag, text)
}

fn preset(name: &str) -> Layer {
    Preset::find(name).unwrap().layer()
}

fn of(layers: &[Layer], models: ModelFiles) -> Result<WanSettings, OptionsError> {
    WanSettings::of(layers, Weights { models, loras: LoraFiles::new() }, Parts::seams(2), Some(7))
}

fn phases(settings: &WanSettings) -> Vec<(usize, Expert, f64)> {
    settings.generation.sampling.phases.iter().map(|phase| (phase.steps, phase.expert, phase.guidance)).collect()
}

use Expert::{High, Low};

#[test]
fn two_experts_share_the_steps_at_the_boundary() {
    let asked = flags(r#"{"steps": 6, "guidance": {"each": [3, 1]}, "shift": 5, "prompts": {"one": "a fox"}}"#);
    let settings = of(&[asked], models(2)).unwrap();
    assert_eq!(phases(&settings), [(3, High, 3.0), (3, Low, 1.0)]);
    assert_eq!(settings.generation.sampling.schedule.len(), 6);
    assert_eq!(settings.request(1).prompt, "a fox");
    assert_eq!((settings.seed, settings.generation.seed.from), (7, Source::BuiltIn));
}

#[test]
fn a_folders_own_numbers_go_before_the_defaults_and_options_before_both() {
    let folder = ModelFiles { boundary: Some(0.9), flow_shift: Some(3.0), ..models(2) };
    let settings = of(&[flags(r#"{"steps": 6}"#)], folder.clone()).unwrap();
    assert_eq!(
        (
            settings.generation.sampling.shift.value,
            &settings.generation.sampling.shift.from,
            settings.generation.sampling.phases[0].steps
        ),
        (3.0, &Source::Weights, 2)
    );
    let settings = of(&[flags(r#"{"steps": 6, "shift": 8}"#)], folder).unwrap();
    assert_eq!(
        (
            settings.generation.sampling.shift.value,
            &settings.generation.sampling.shift.from,
            settings.generation.sampling.phases[0].steps
        ),
        (8.0, &Source::Flag, 3)
    );
}

#[test]
fn a_presets_phases_hide_what_is_said_below_and_give_way_above() {
    let lightning = preset("wan22-vace-lightning");
    let folder = ModelFiles { boundary: Some(0.5), flow_shift: Some(1.0), ..models(2) };
    let settings = of(std::slice::from_ref(&lightning), folder).unwrap();
    assert_eq!(phases(&settings), [(2, High, 3.0), (2, High, 1.0), (2, Low, 1.0)]);
    assert_eq!((settings.generation.sampling.steps.value, settings.generation.sampling.shift.value), (6, 5.0));
    assert_eq!(settings.generation.sampling.steps.from.to_string(), "preset wan22-vace-lightning");
    let timesteps: Vec<_> = settings.generation.sampling.schedule.iter().map(|step| step.timestep.round()).collect();
    assert_eq!(timesteps, [1000.0, 952.0, 883.0, 770.0, 557.0, 5.0]);
    let strengths: Vec<_> = settings.request(0).loras.into_iter().map(|lora| lora.strengths).collect();
    assert_eq!(strengths, [[0.75, 0.75, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]]);

    let with = |text: &str| of(&[lightning.clone(), flags(text)], models(2));
    assert_eq!(phases(&with(r#"{"guidance": {"all": 1}}"#).unwrap()), [(2, High, 1.0), (2, High, 1.0), (2, Low, 1.0)]);
    let some = with(r#"{"guidance": {"some": [5]}}"#).unwrap();
    assert_eq!(
        (phases(&some)[0].2, phases(&some)[1].2, some.generation.sampling.guidance.from),
        (5.0, 1.0, Source::Flag)
    );
    let lora = with(r#"{"loras": [{"file": "mine.safetensors", "weights": 0.5}]}"#).unwrap();
    assert_eq!(lora.generation.sampling.loras.value.len(), 1);
    assert_eq!(lora.generation.sampling.loras.value[0].strengths, [0.5; 6]);
}

#[test]
fn with_other_steps_the_phases_stay_where_they_are_between_noise_and_picture() {
    let steps =
        |layers: &[Layer]| phases(&of(layers, models(2)).unwrap()).iter().map(|phase| phase.0).collect::<Vec<_>>();
    let asked = |steps: usize| flags(&format!(r#"{{"steps": {steps}}}"#));
    // By its own thresholds, 883 and 558.
    assert_eq!(steps(&[preset("wan22-vace-lightning"), asked(12)]), [5, 4, 3]);
    // Half way between its own steps.
    let phases = r#"{"shift": 5, "solver": "euler", "grid": "wan2gp", "phases": [
        {"steps": 3, "expert": "high", "guidance": 1}, {"steps": 3, "expert": "low", "guidance": 1}]}"#;
    assert_eq!(steps(&[layer(Source::Preset("mine".into()), phases)]), [3, 3]);
    for (asked_steps, wanted) in [(6, [3, 3]), (12, [6, 6]), (2, [1, 1]), (1, [1, 0])] {
        assert_eq!(steps(&[layer(Source::Preset("mine".into()), phases), asked(asked_steps)]), wanted);
    }
    // Thresholds from above are a new border.
    let moved = flags(r#"{"thresholds": [900]}"#);
    assert_eq!(steps(&[layer(Source::Preset("mine".into()), phases), moved]), [2, 4]);
}

#[test]
fn every_built_in_preset_resolves_with_both_experts_at_work() {
    for preset in Preset::built_in() {
        let low = preset.values.wan.model_files.as_ref().is_some_and(|published| !published.low.is_empty());
        {
            let layers = [preset.layer()];
            let settings = of(&layers, models(if low { 2 } else { 1 })).unwrap();
            for expert in if low { &[High, Low][..] } else { &[High] } {
                assert!(
                    settings.generation.sampling.schedule.iter().any(|step| step.expert == *expert),
                    "{}: {expert}",
                    preset.name
                );
            }
            for lora in settings.generation.sampling.loras.iter() {
                assert!(lora.strengths.iter().any(|strength| *strength != 0.0), "{}: {lora:?}", preset.name);
            }
            // What its thresholds say is what its phases say.
            let own: Vec<usize> = settings.generation.sampling.phases.iter().map(|phase| phase.steps).collect();
            if let Some(thresholds) = &preset.values.wan.thresholds {
                let timesteps: Vec<f64> =
                    settings.generation.sampling.schedule.iter().map(|step| step.timestep).collect();
                assert_eq!(
                    schedule::split(*settings.generation.sampling.grid, &timesteps, thresholds),
                    own,
                    "{}",
                    preset.name
                );
            }
        }
    }
}

#[test]
fn numbers_that_do_not_match_the_experts_or_the_seams_are_refused() {
    let refused = |layers: &[Layer], experts: usize| {
        let error = of(layers, models(experts)).unwrap_err();
        assert!(error.details().wanted.is_some() && error.details().help.is_some());
        (error.code(), error.to_string())
    };
    let mine = |text: &str| layer(Source::Preset("mine".into()), text);
    let phase = |expert: &str| format!(r#"{{"steps": 2, "expert": "{expert}", "guidance": 1}}"#);
    let high_low = format!(r#"{{"phases": [{}, {}]}}"#, phase("high"), phase("low"));
    let lightning = || preset("wan22-vace-lightning");
    let task = |text: &str| layer(Source::Task("t.json".into()), text);
    for (layers, experts, code, words) in [
        (
            vec![flags(r#"{"guidance": {"each": [3, 1]}}"#)],
            1,
            ErrorCode::Usage,
            "guidance has 2 values, and there is one phase",
        ),
        (
            vec![mine(r#"{"guidance": {"each": [3, 1, 1]}}"#)],
            2,
            ErrorCode::Input,
            "and there are 2 phases (preset mine)",
        ),
        (vec![task(r#"{"guidance": {"some": [3, 1, 1]}}"#)], 2, ErrorCode::Input, "(task t.json)"),
        (
            vec![mine(&high_low)],
            1,
            ErrorCode::Input,
            "phase 2 is the low-noise expert's, and the model has one transformer",
        ),
        (
            vec![mine(&format!(r#"{{"phases": [{}]}}"#, phase("high")))],
            2,
            ErrorCode::Input,
            "no phase is the low-noise expert's",
        ),
        (
            vec![mine(&format!(r#"{{"phases": [{}]}}"#, phase("low")))],
            2,
            ErrorCode::Input,
            "no phase is the high-noise expert's",
        ),
        (
            vec![mine(&format!(r#"{{"phases": [{}, {}, {}]}}"#, phase("high"), phase("low"), phase("high")))],
            2,
            ErrorCode::Input,
            "a phase of the high-noise expert comes after one of the low-noise expert",
        ),
        (
            vec![flags(r#"{"thresholds": [900, 500]}"#)],
            2,
            ErrorCode::Usage,
            "there are 2 thresholds, and there are 2 phases",
        ),
        (
            vec![lightning(), flags(r#"{"thresholds": [900]}"#)],
            2,
            ErrorCode::Usage,
            "there are 1 thresholds, and there are 3",
        ),
        (
            vec![lightning(), flags(r#"{"loras": [{"file": "a.safetensors", "weights": "1;0"}]}"#)],
            2,
            ErrorCode::Usage,
            "the LoRA a.safetensors has 2 weights, and there are 3 phases (command line)",
        ),
        (
            vec![mine(r#"{"loras": [{"file": "a", "weights": "1;0"}]}"#)],
            1,
            ErrorCode::Input,
            "there is one phase (preset mine)",
        ),
        (vec![mine(r#"{"steps": 6, "cfg_zero_steps": 6}"#)], 1, ErrorCode::Input, "cfg_zero_steps is 6 (preset mine)"),
        (
            vec![task(r#"{"prompts": {"each": ["a"]}}"#)],
            1,
            ErrorCode::Input,
            "there are 1 prompts, and the film has 2 seams",
        ),
    ] {
        let (found, message) = refused(&layers, experts);
        assert!(found == code && message.contains(words), "{found:?} {message}");
    }
}

#[test]
fn guidance_is_plain_where_no_step_is_of_zeros() {
    let zero = |text: &str| of(&[flags(text)], models(1)).unwrap().request(0).cfg_zero;
    assert_eq!(zero("{}"), None);
    assert_eq!(zero(r#"{"cfg_zero_steps": 0}"#), None);
    assert_eq!(zero(r#"{"cfg_zero_steps": 2}"#), Some(CfgZero { zero_steps: 2 }));
}

#[test]
fn a_tasks_two_weights_are_stretched_over_three_phases_and_a_flags_are_not() {
    let lora = r#"{"loras": [{"file": "a.safetensors", "weights": "1.2;0"}]}"#;
    let task = layer(Source::Task("t.json".into()), lora);
    let settings = of(&[preset("wan22-vace-lightning"), task], models(2)).unwrap();
    assert_eq!(settings.generation.sampling.loras[0].strengths, [1.2, 1.2, 1.2, 1.2, 0.0, 0.0]);
}

#[test]
fn prompts_are_one_for_each_seam() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompts.txt");
    fs::write(&file, "one\ntwo\n").unwrap();
    let asked = |path: &std::path::Path| {
        let values = WanOptions { prompts: Some(Prompts::File(path.to_owned())), ..WanOptions::default() }.into();
        Layer { from: Source::Flag, values }
    };
    let with = |seams| WanSettings::of(&[asked(&file)], weights(), Parts::seams(seams), None);
    assert_eq!(with(2).unwrap().generation.prompts.value, ["one", "two"]);
    assert!(with(3).unwrap_err().to_string().contains("has 2 prompts, and the film has 3 seams"));
    let utf16: Vec<u8> = "\u{feff}one\r\ntwo\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for text in ["\u{feff}one\r\ntwo\r\n".as_bytes(), &utf16] {
        fs::write(&file, text).unwrap();
        assert_eq!(with(2).unwrap().generation.prompts.value, ["one", "two"]);
    }
    fs::write(&file, b"caf\xe9\ntwo\n").unwrap();
    assert!(with(2).unwrap_err().to_string().ends_with("is not UTF-8 text: byte 3 is 0xe9; save it as UTF-8"));
    let gone = of(&[asked("gone.txt".as_ref())], models(1));
    assert!(gone.unwrap_err().to_string().starts_with("cannot read the prompts in gone.txt"));
}

#[test]
fn a_seed_of_zero_is_that_seed_and_minus_one_is_any() {
    let seed = |text: &str| WanSettings::of(&[flags(text)], weights(), Parts::seams(1), None).unwrap();
    let zero = seed(r#"{"seed": 0}"#);
    assert_eq!((zero.seed, zero.generation.seed), (0, Sourced { value: Seed::Fixed(0), from: Source::Flag }));
    assert_eq!(of(&[flags(r#"{"seed": -1}"#)], models(1)).unwrap().seed, 7, "that of the run gone on with");
    assert!(seed("{}").seed <= 0x7fff_ffff);
}

#[test]
fn a_negative_prompt_that_nothing_heeds_is_told() {
    let asked = |guidance: f64| {
        let text = format!(r#"{{"negative_prompt": "rain", "guidance": {{"all": {guidance}}}}}"#);
        of(&[flags(&text)], models(1)).unwrap().generation.ignored.len()
    };
    assert_eq!((asked(1.0), asked(5.0)), (1, 0));
}

/// A story whose second segment has LoRAs of its own.
fn of_a_segment() -> Layer {
    let text = r#"{"loras": [{"file": "all", "weights": 1}],
        "segment_loras": [null, [{"file": "own", "weights": "1;0"}, {"file": "all", "weights": 0.5}]]}"#;
    layer(Source::Story("s.yaml".into()), text)
}

fn asked_for(settings: &WanSettings, segment: usize) -> Vec<String> {
    let request = settings.request(segment);
    request.loras.iter().map(|lora| format!("{} {:?}", lora.file.display(), lora.strengths)).collect()
}

#[test]
fn a_segments_loras_stand_over_those_of_all_and_under_the_command_lines() {
    let one_each = r#"[{"steps": 1, "expert": "high", "guidance": 1}, {"steps": 1, "expert": "low", "guidance": 1}]"#;
    let steps = flags(&format!(r#"{{"phases": {one_each}}}"#));
    let settings = of(&[of_a_segment(), steps.clone()], models(2)).unwrap();
    assert_eq!(asked_for(&settings, 0), ["all [1.0, 1.0]"]);
    assert_eq!(asked_for(&settings, 1), ["own [1.0, 0.0]", "all [0.5, 0.5]"]);
    let typed = flags(r#"{"loras": [{"file": "typed", "weights": 1}]}"#);
    let settings = of(&[of_a_segment(), steps, typed], models(2)).unwrap();
    assert_eq!((asked_for(&settings, 1), settings.generation.segments.len()), (vec!["typed [1.0, 1.0]".into()], 0));
}

#[test]
fn what_is_wrong_with_one_segment_is_told_with_its_number() {
    let error = of(&[of_a_segment()], models(1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Input);
    let words = "segment 2: the LoRA own has 2 weights, and there is one phase (story s.yaml)";
    assert!(error.to_string() == words && error.details().help.is_some(), "{error}");
    let short = layer(Source::Task("t.json".into()), r#"{"segment_loras": [null]}"#);
    let error = of(&[short], models(1)).unwrap_err();
    assert_eq!(error.to_string(), "there are 1 lists of LoRAs, and the film has 2 seams (task t.json)");
}
