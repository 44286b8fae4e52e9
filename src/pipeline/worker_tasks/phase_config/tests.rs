//! The worker's numbers, bit for bit, and what it should have refused.

use serde_json::json;

use super::*;

/// Of one of the worker's failed tasks.
fn example() -> Value {
    json!({
        "phases": [
            { "phase": 1, "guidance_scale": 1, "loras": [
                { "url": "https://h/high_noise.safetensors", "multiplier": "1.2" },
                { "url": "https://h/VBVR_HIGH.safetensors", "multiplier": "1.05" },
            ]},
            { "phase": 2, "guidance_scale": 1, "loras": [
                { "url": "https://h/low_noise.safetensors", "multiplier": "1.0" },
                { "url": "https://h/VBVR_HIGH.safetensors", "multiplier": "1.05" },
            ]},
        ],
        "num_phases": 2, "steps_per_phase": [3, 3], "flow_shift": 5, "sample_solver": "euler", "model_switch_phase": 1,
    })
}

/// As JSON holds them.
fn as_doubles(thresholds: Vec<f32>) -> Vec<f64> {
    thresholds.into_iter().map(f64::from).collect()
}

fn with(change: impl Fn(&mut Value)) -> Result<PhaseConfig, String> {
    let mut config = example();
    change(&mut config);
    PhaseConfig::read(&config).map_err(|error| {
        assert!(error.details().wanted.is_some() && error.details().help.is_some());
        error.to_string()
    })
}

#[test]
fn the_failed_tasks_phases_are_the_workers_numbers() {
    let config = with(|_| {}).unwrap();
    assert_eq!(as_doubles(config.thresholds()), [826.0999755859375]);
    let phases: Vec<_> = config.phases.iter().map(|phase| (phase.steps, phase.expert, phase.guidance)).collect();
    assert_eq!(phases, [(3, Expert::High, 1.0), (3, Expert::Low, 1.0)]);
    let written: Vec<_> = config.loras.iter().map(|lora| config.multiplier(lora)).collect();
    assert_eq!(written, ["1.2;0", "1.05;1.05", "0;1.0"]);
    let names: Vec<_> = config.loras.iter().map(|lora| lora.url.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["high_noise.safetensors", "VBVR_HIGH.safetensors", "low_noise.safetensors"]);
    let strengths = config.lora_asks().iter().map(|ask| ask.weights.over(&[3, 3]).unwrap()).collect::<Vec<_>>();
    assert_eq!(strengths[0], [1.2, 1.2, 1.2, 0.0, 0.0, 0.0]);
    assert_eq!((config.ignored, config.warnings), (vec![], vec![]));
}

/// Computed with numpy in f32.
#[test]
fn thresholds_are_numpys_bit_for_bit() {
    use Solver::{Dpmpp, Euler, Lcm, Unipc};
    for (solver, shift, steps, wanted) in [
        (Euler, 5.0, &[3, 3][..], &[826.0999755859375][..]),
        (Euler, 5.0, &[2, 2, 5], &[954.9156494140625, 863.310546875]),
        (Euler, 5.0, &[2, 2, 2], &[917.4817504882812, 663.2310180664062]),
        (Euler, 5.0, &[2, 4], &[917.4817504882812]),
        (Euler, 5.0, &[4, 2], &[663.2310180664062]),
        (Euler, 5.0, &[1, 1], &[502.49005126953125]),
        (Euler, 5.0, &[3, 2, 4], &[915.2940673828125, 792.05517578125]),
        (Euler, 8.0, &[3, 3], &[882.8162841796875]),
        (Euler, 3.0, &[2, 2, 4], &[914.9623413085938, 746.5421142578125]),
        (Euler, 3.0, &[2, 3, 3], &[914.9623413085938, 619.56298828125]),
        (Unipc, 5.0, &[3, 3], &[871.412841796875]),
        (Unipc, 5.0, &[2, 2, 2], &[935.3988037109375, 774.2540893554688]),
        (Dpmpp, 5.0, &[3, 3], &[871.212158203125]),
        (Lcm, 5.0, &[3, 3], &[500.5]),
        (Lcm, 8.0, &[3, 3], &[500.5]),
    ] {
        let found = as_doubles(thresholds(solver, steps, shift));
        assert_eq!(found, wanted, "{solver} {shift} {steps:?}");
    }
}

#[test]
fn thresholds_say_the_same_steps_again_whatever_the_phases() {
    use crate::pipeline::job::schedule::{Grid, levels, split};
    for shift in [1.0, 2.0, 3.0, 5.0, 8.0, 12.0] {
        for first in 1..8 {
            for second in 1..8 {
                for third in 0..8 {
                    let steps: Vec<usize> = [first, second, third].into_iter().filter(|steps| *steps > 0).collect();
                    let timesteps = levels(Grid::Wan2gp, Solver::Euler, steps.iter().sum(), shift).timesteps;
                    let thresholds = thresholds(Solver::Euler, &steps, shift);
                    let thresholds = as_doubles(thresholds);
                    assert_eq!(split(Grid::Wan2gp, &timesteps, &thresholds), steps, "shift {shift}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_said_is_as_the_worker_has_it() {
    let config = PhaseConfig::read(&json!({ "phases": [{}, {}, {}], "flow_shift": null })).unwrap();
    let phases: Vec<_> = config.phases.iter().map(|phase| (phase.steps, phase.expert, phase.guidance)).collect();
    assert_eq!(phases, [(2, Expert::High, 3.0), (2, Expert::High, 1.0), (2, Expert::Low, 1.0)]);
    assert_eq!((config.shift, config.solver), (5.0, Solver::Euler));
    let unnamed = with(|config| config["sample_solver"] = "".into()).unwrap();
    assert_eq!(unnamed.solver, Solver::Unipc);
}

#[test]
fn numbers_may_be_text_and_a_wrong_count_that_nothing_rests_on_is_only_told() {
    let config = with(|config| {
        config["steps_per_phase"] = json!(["3", 3.0]);
        config["flow_shift"] = "5".into();
        config["num_phases"] = 3.into();
        config["mode"] = "basic".into();
        config["phases"][0]["name"] = "x".into();
    })
    .unwrap();
    assert_eq!(as_doubles(config.thresholds()), [826.0999755859375]);
    assert_eq!(config.warnings, ["phase_config.num_phases is 3, and there are 2 phases: those count"]);
    assert_eq!(config.ignored, ["phase_config.mode", "phase_config.phases[0].name"]);
}

#[test]
fn a_lora_that_stands_twice_in_a_phase_counts_once_and_blank_urls_not_at_all() {
    let config = with(|config| {
        config["phases"][0]["loras"][1]["url"] = "https://h/high_noise.safetensors".into();
        config["phases"][1]["loras"][1]["url"] = " ".into();
    })
    .unwrap();
    let written: Vec<_> = config.loras.iter().map(|lora| config.multiplier(lora)).collect();
    assert_eq!(written, ["1.2;0", "0;1.0"]);
    assert!(config.warnings[0].contains("stands twice in phase 1"));
}

#[test]
fn an_expert_that_would_never_work_is_refused() {
    for (switch, words) in [
        (json!(2), "model_switch_phase is 2, and of 2 phases the low-noise expert would never be used"),
        (json!(null), "is 2 where nothing is said, and of 2 phases the low-noise expert would never be used"),
        (json!(0), "model_switch_phase is 0, and of 2 phases the low-noise expert would do all"),
        (json!(3), "never be used"),
    ] {
        let error = with(|config| config["model_switch_phase"] = switch.clone()).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn phases_that_do_not_add_up_are_refused() {
    for (steps, words) in [
        (json!([2, 2, 2]), "steps_per_phase has 3 values, and phases has 2 entries"),
        (json!([6]), "steps_per_phase has 1 values, and phases has 2 entries"),
        (json!([0, 6]), "phase_config.steps_per_phase[0]: wanted one step at least, found 0"),
        (json!([3, -1]), "phase_config.steps_per_phase[1]: wanted a whole number from 0 to 1000, found -1"),
        (json!([3, 2.5]), "phase_config.steps_per_phase[1]: wanted a whole number"),
        (json!("3,3"), "phase_config.steps_per_phase: wanted a list, found \"3,3\""),
    ] {
        let error = with(|config| config["steps_per_phase"] = steps.clone()).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let one = json!({ "steps_per_phase": [6], "phases": [{}], "model_switch_phase": 1 });
    assert_eq!(PhaseConfig::read(&one).unwrap_err().to_string(), "phase_config has 1 phases, wanted 2 or 3");
}

#[test]
fn wrong_types_are_told_by_their_paths() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 9] = [
        (|config| *config = json!([]), "phase_config: wanted an object, found []"),
        (|config| config["flow_shift"] = json!("x"), "phase_config.flow_shift: wanted a number, found \"x\""),
        (|config| config["flow_shift"] = json!(0), "phase_config.flow_shift: wanted a number from 0.01"),
        (|config| config["sample_solver"] = json!("causvid"), "sample_solver is causvid"),
        (|config| config["sample_solver"] = json!(1), "phase_config.sample_solver: wanted a solver's name, found 1"),
        (|config| config["phases"][1] = json!(7), "phase_config.phases[1]: wanted an object, found 7"),
        (|config| config["phases"][0]["loras"] = json!({}), "phase_config.phases[0].loras: wanted a list"),
        (
            |config| config["phases"][0]["loras"][1]["multiplier"] = json!(true),
            "phase_config.phases[0].loras[1].multiplier: wanted a number or text, found true",
        ),
        (
            |config| config["phases"][0]["guidance_scale"] = json!([1]),
            "phase_config.phases[0].guidance_scale: wanted a number, found [1]",
        ),
    ];
    for (change, words) in changes {
        let error = with(change).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_loras_values_are_one_or_as_many_as_the_phase_has_steps() {
    let lora = |text: &str| with(|config| config["phases"][0]["loras"][0]["multiplier"] = text.into());
    let written = |config: PhaseConfig| config.multiplier(&config.loras[0]);
    assert_eq!(lora("1,0.5,0").map(written), Ok("1,0.5,0;0".into()));
    assert!(lora("1,0.5").unwrap_err().ends_with("loras[0].multiplier has 2 values, and the phase has 3 steps"));
    assert!(lora("1;0").unwrap_err().contains("is for several phases, and it stands in one"));
    assert!(lora("x").unwrap_err().contains("`x` is no LoRA weight"));
    let without = with(|config| drop(config["phases"][0]["loras"][0].as_object_mut().unwrap().remove("multiplier")));
    assert_eq!(without.unwrap_err(), "phase_config.phases[0].loras[0].multiplier is missing");
}
