//! Tasks that travel: read into settings, which the planner turns into the worker's own lengths and places.

use serde_json::{Value, json};

use super::{failed, ids, read, segment, travel, wrong};
use crate::pipeline::{
    job::schedule::{Expert, Solver},
    options::{
        self, Content, Each, EngineChoice, Facts, Generation, Layer, LoraFiles, ModelTraits, Parts, Prompts, Sampling,
        Seed, resolve,
    },
    plan::{self, Continued, Curve, FramePlan, Mask, Places, Slot, Source, Tone, Treatment},
    types::video::{Fps, Size},
    worker_tasks::{Role, Task, TaskFile, Way, Work},
};

/// With files of the right kinds in the place of its own.
fn planned(task: &Task) -> FramePlan {
    let Work::Travel(travel) = &task.work else { panic!("{:?}", task.work) };
    let of = |role| task.inputs.iter().filter(move |input| input.role == role);
    let layers = [task.layer()];
    let count = |role| of(role).count();
    let content = Content::Images {
        images: count(Role::Image),
        continued: count(Role::Clip) > 0,
        structure: count(Role::Guide) > 0,
        references: count(Role::Reference) > 0,
    };
    let conditioning = Some(travel.way.conditioning());
    let facts = Facts { conditioning, ..Facts::of(content, EngineChoice::Wan) };
    let resolved = resolve(&layers, facts).unwrap();
    let options::Kind::Travel(settings) = &resolved.kind else { panic!("{resolved:?}") };
    let (fps, size) = (Fps::new(16, 1).unwrap(), resolved.common.size.unwrap());
    let source =
        |path: &str, frames, still| Source { path: path.into(), frames, fps, size, resampled_frames: None, still };
    let clip = |frames| move |input: &TaskFile| source(&input.address, frames, false);
    let places = Places {
        images: of(Role::Image).map(|input| source(&input.address, 1, true)).collect(),
        continued: of(Role::Clip).map(clip(100)).next().map(|clip| Continued { clip, in_film: !*settings.apart }),
        structure: of(Role::Guide).map(clip(100)).collect(),
        references: of(Role::Reference).map(|input| source(&input.address, 1, true)).collect(),
    };
    settings.plan(&resolved.common, places, plan::Film { fps, size, made_size: size }).unwrap()
}

fn way(change: impl Fn(&mut Value)) -> Value {
    travel(|details| {
        *details = json!({ "num_new_segments_to_generate": 5, "segment_frames_expanded": [81, 81, 81, 81, 81],
            "frame_overlap_expanded": 10, "base_prompts_expanded": ["a", "", "", "", "e"], "base_prompt": "z",
            "negative_prompts_expanded": [], "model_type": "vace", "fps_helpers": 16,
            "model_name": "wan_2_2_vace_lightning_baseline_2_2_2", "parsed_resolution_wh": "854x480",
            "input_image_paths_resolved": ["0", "1", "2", "3", "4", "5"] });
        change(details);
    })
}

fn shown(plan: &FramePlan, seam: usize) -> Vec<usize> {
    let slots = plan.seams[seam].slots.iter().enumerate();
    slots.filter(|(_, slot)| slot.is_known()).map(|(index, _)| index).collect()
}

fn addresses(task: &Task, role: Role) -> Vec<&str> {
    task.inputs.iter().filter(|input| input.role == role).map(|input| input.address.as_str()).collect()
}

#[test]
fn the_failed_segments_have_nothing_wrong_in_them() {
    for (name, index) in [("travel_segment_78cd8678.json", 0), ("travel_segment_e040ae48.json", 2)] {
        let task = failed(name);
        let Work::Travel(travel) = &task.work else { panic!("{:?}", task.work) };
        assert_eq!((travel.way, travel.size_asked, travel.segment), (Way::I2v, Size::new(902, 508), Some(index)));
        let plan = planned(&task);
        assert_eq!((plan.size, plan.frames(), plan.seams.len()), (Size::new(896, 496), 81, 1));
        assert_eq!(shown(&plan, 0), [0, 80]);
        let image = |at: usize| format!("https://storage.invalid/travel/image_{at:02}.png");
        assert_eq!(addresses(&task, Role::Image), [image(index), image(index + 1)]);
        let phases = task.values.wan.phases.as_ref().unwrap();
        let phases: Vec<_> = phases.iter().map(|phase| (phase.steps, phase.expert, phase.guidance)).collect();
        assert_eq!(phases, [(3, Expert::High, 1.0), (3, Expert::Low, 1.0)]);
        assert_eq!((task.values.wan.shift, task.values.wan.solver), (Some(5.0), Some(Solver::Euler)));
        let loras = task.values.wan.loras.as_ref().unwrap();
        let weights: Vec<_> = loras.iter().map(|lora| lora.weights.to_string()).collect();
        assert_eq!(weights, ["1.2;0", "1.05;1.05", "0;1"]);
        // The stored threshold is the phases' own to the last bit, and the lists agree.
        assert_eq!(task.conflicts, [""; 0]);
        assert_eq!(task.diagnosis().unwrap().fault.unwrap().name, "preset-looked-up-by-empty-name");
        assert!(ids(&task).contains(&"preset-looked-up-by-empty-name"), "{:?}", ids(&task));
        assert!(task.ignored.iter().all(|key| key.reason != "no key that wanctl knows"), "{:?}", task.ignored);
    }
}

#[test]
fn the_failed_way_is_thirteen_segments_one_after_the_other() {
    let task = failed("travel_orchestrator_8172a7f6.json");
    let plan = planned(&task);
    assert_eq!((plan.seams.len(), plan.frames()), (13, 13 * 81));
    assert!((0..13).all(|seam| shown(&plan, seam) == [0, 80]));
    // Each by itself: none needs another one's frames.
    assert_eq!(plan.dependency_chains().len(), 13);
    assert_eq!(task.inputs.iter().filter(|input| input.role == Role::Image).count(), 14);
    assert_eq!(task.diagnosis().unwrap().fault.unwrap().name, "parent-error-overwritten");
    assert_eq!(task.conflicts, [""; 0]);
}

#[test]
fn a_stitched_way_has_one_timeline() {
    for (overlap, frames, keys) in [(10, 397, [0, 80, 159, 238, 317, 396]), (8, 405, [0, 80, 161, 242, 323, 404])] {
        let task = read(&way(|details| details["frame_overlap_expanded"] = overlap.into())).unwrap();
        let plan = planned(&task);
        assert_eq!((plan.frames(), plan.size), (frames, Size::new(848, 480)));
        let found: Vec<_> = plan.journey.as_ref().unwrap().keys.iter().map(|key| key.frame).collect();
        assert_eq!(found, keys);
        assert!(plan.seams.iter().skip(1).all(|seam| seam.slots.len() == 89));
        let prompts = ["a", "z", "z", "z", "e"].map(str::to_owned).into();
        assert_eq!(task.values.wan.prompts, Some(Prompts::Each(prompts)));
        assert_eq!(ids(&task).contains(&"overlap-made-even"), overlap == 10);
        // What the worker's mask made of the images and of the frames carried over.
        let kept = |seam: usize| {
            let latents = &plan.seams[seam].latents;
            latents.iter().filter(|latent| latent.mask == Mask::Keep).count()
        };
        assert_eq!((kept(0), kept(1)), (0, if overlap == 10 { 3 } else { 2 }));
        assert_eq!(shown(&plan, 1), (0..overlap).chain([88]).collect::<Vec<_>>());
        assert_eq!(task.values.travel.curve, Some(Curve::Sharpened(0.3)));
    }
}

#[test]
fn lengths_are_rounded_as_the_workers_own_version_did() {
    for (day, frames) in [("2026-02-20", 77), ("2026-01-05", 81), ("2025-10-10", 81)] {
        let mut task = way(|details| details["segment_frames_expanded"] = json!([80, 80, 80, 80, 80]));
        task["created_at"] = format!("{day}T00:00:00+00:00").into();
        let plan = planned(&read(&task).unwrap());
        assert_eq!(plan.seams[0].slots.len(), frames, "{day}");
    }
}

#[test]
fn looks_have_one_sign_whatever_the_workers_version() {
    let looks = |day: &str| {
        let mut task = way(|details| {
            details["subsequent_starting_strength_adjustment"] = (-0.25).into();
            details["desaturate_subsequent_starting_frames"] = 0.5.into();
            details["adjust_brightness_subsequent_starting_frames"] = 0.1.into();
            details["after_first_post_generation_saturation"] = 0.8.into();
            details["after_first_post_generation_brightness"] = (-0.1).into();
            details["crossfade_sharp_amt"] = 0.0.into();
        });
        task["created_at"] = format!("{day}T00:00:00+00:00").into();
        read(&task).unwrap().values
    };
    let (old, new) = (looks("2026-01-05"), looks("2026-02-20"));
    assert_eq!((old.travel.brightness, new.travel.brightness), (Some(-0.1), Some(0.1)));
    assert_eq!((new.travel.strength, new.travel.desaturate), (Some(0.75), Some(0.5)));
    assert_eq!(
        (new.travel.later, new.travel.curve),
        (Some(Tone { saturation: 0.8, brightness: -0.1 }), Some(Curve::Sharpened(0.0)))
    );
    let plain = read(&way(|_| {})).unwrap().values;
    assert_eq!((plain.travel.strength, plain.travel.brightness, plain.travel.later), (None, None, None));
}

#[test]
fn a_clip_goes_on_and_the_first_overlap_stands_twice() {
    let task = read(&way(|details| {
        details["continue_from_video_resolved_path"] = "before.mp4".into();
        details["input_image_paths_resolved"] = json!(["1", "2", "3", "4", "5"]);
    }))
    .unwrap();
    assert_eq!(task.values.travel.overlap, Some(Each::Each(vec![10; 5])));
    let plan = planned(&task);
    assert_eq!(plan.frames(), 100 + 5 * 79);
    assert!(matches!(plan.seams[0].slots[0], Slot::Carry(_)));
    assert!(ids(&task).contains(&"stitch-needs-overlap"));
}

#[test]
fn a_segment_of_a_chain_needs_the_film_before_it() {
    let chained = |index: usize| {
        segment(|params| {
            params["segment_index"] = index.into();
            params["model_name"] = "wan_2_2_vace_lightning_baseline_2_2_2".into();
            params["frame_overlap_from_previous"] = 8.into();
            params["orchestrator_details"]["model_type"] = "vace".into();
            params["orchestrator_details"]["chain_segments"] = true.into();
        })
    };
    let first = read(&chained(0)).unwrap();
    assert_eq!((addresses(&first, Role::Clip).len(), planned(&first).frames()), (0, 81));
    let second = read(&chained(1)).unwrap();
    assert_eq!(addresses(&second, Role::Clip), ["dependant_on"]);
    assert_eq!(addresses(&second, Role::Image), ["https://storage.invalid/travel/image_02.png"]);
    let plan = planned(&second);
    // The film of this segment alone, with what it is shown of the one before.
    assert_eq!((plan.frames(), shown(&plan, 0)), (89, (0..8).chain([88]).collect()));
}

#[test]
fn clips_guide_a_journey_in_every_shape_that_tasks_have_them_in() {
    for (change, film, clips) in [
        (json!({ "structure_video_path": "s.mp4", "structure_type": "raw" }), 0..397, 1),
        (
            json!({ "structure_videos": [{ "path": "s.mp4", "start_frame": 5, "end_frame": 25, "treatment": "clip" },
                { "path": "t.mp4", "start_frame": 30, "end_frame": 40 }], "structure_type": "raw" }),
            5..25,
            2,
        ),
        (
            json!({ "structure_guidance": { "preprocessing": "none", "videos": [{ "path": "s.mp4", "start_frame": 5,
                "end_frame": 25, "source_start_frame": 50, "source_end_frame": 60 }] } }),
            5..25,
            1,
        ),
    ] {
        let task = read(&way(|details| {
            let change = change.as_object().unwrap().clone();
            details.as_object_mut().unwrap().extend(change);
        }))
        .unwrap();
        assert_eq!((addresses(&task, Role::Guide).len(), task.values.travel.treatment), (clips, Some(Treatment::Raw)));
        assert_eq!(task.obstacles().count(), 0, "{:?}", task.obstacles().collect::<Vec<_>>());
        let plan = planned(&task);
        let guided = |at: usize| matches!(plan.seams[0].slots[at], Slot::Structure(_));
        assert!(!guided(0) && guided(film.start.max(1)) && guided(film.end.min(80) - 1), "{change}");
        assert!(!guided(film.start.max(1) - 1));
        assert!(ids(&task).contains(&"structure-under-mask"));
    }
}

#[test]
fn guidance_that_takes_a_network_is_refused_by_name() {
    for (kind, word) in [("flow", "flow"), ("depth", "depth"), ("uni3c", "uni3c")] {
        let task = way(|details| {
            details["structure_video_path"] = "s.mp4".into();
            details["structure_type"] = kind.into();
        });
        let task = read(&task).unwrap();
        let obstacle = task.obstacles().next().unwrap().to_owned();
        assert!(obstacle.contains(&format!("guidance by {word} is not done here")), "{obstacle}");
        assert!(obstacle.contains("--structure CLIP,raw"), "{obstacle}");
    }
    let of_images = read(&travel(|details| {
        details["structure_video_path"] = "s.mp4".into();
        details["structure_type"] = "raw".into();
    }));
    assert!(of_images.unwrap().obstacles().next().unwrap().contains("takes a VACE model"));
}

#[test]
fn single_segments_have_their_own_negatives_and_loras() {
    let task = read(&way(|details| {
        details["negative_prompts_expanded"] = json!(["x", "", "y", "", ""]);
        details["negative_prompt"] = "n".into();
        details["loras_per_segment_expanded"] =
            json!([null, [{ "path": "https://w.invalid/a.safetensors", "strength": 0.5 }], null, [], null]);
    }))
    .unwrap();
    let negatives = ["x", "n", "y", "n", "n"].map(|text| Some(text.to_owned()));
    assert_eq!(task.values.wan.negative_prompts, Some(negatives.into()));
    let own: Vec<_> =
        task.values.wan.segment_loras.as_ref().unwrap().iter().map(|own| own.as_ref().map(Vec::len)).collect();
    assert_eq!(own, [None, Some(1), None, Some(0), None]);
    assert_eq!(addresses(&task, Role::Lora), ["https://w.invalid/a.safetensors"]);
    // As a layer it goes by its name, where it lies nowhere.
    let layer = task.layer();
    let loras = layer.values.wan.segment_loras.unwrap();
    assert_eq!(loras[1].as_ref().unwrap()[0].file.to_string_lossy(), "a.safetensors");
    let short = wrong(&way(|details| details["loras_per_segment_expanded"] = json!([null])));
    assert!(short[0].contains("5 entries, one for each segment"), "{short:?}");
}

/// Two phases; `loras` of the first.
fn config(steps: [usize; 2], loras: Value) -> Value {
    json!({ "steps_per_phase": steps, "flow_shift": 8, "sample_solver": "unipc", "model_switch_phase": 1,
        "phases": [{ "phase": 1, "guidance_scale": 2, "loras": loras }, { "phase": 2, "guidance_scale": 1 }] })
}

fn lora(name: &str) -> Value {
    json!([{ "url": format!("https://w.invalid/{name}.safetensors"), "multiplier": "0.5" }])
}

/// A way of five whose second and fourth segment have phases of their own; the fourth has LoRAs beside them.
fn sampled_apart() -> Value {
    way(|details| {
        details["phase_config"] = json!({ "steps_per_phase": [1, 1, 2], "phases": [{ "loras": lora("all") }, {}, {}] });
        details["phase_configs_expanded"] =
            json!([null, config([1, 2], lora("own")), null, config([3, 1], lora("not_this")), null]);
        details["loras_per_segment_expanded"] =
            json!([null, null, null, [{ "path": "https://w.invalid/beside.safetensors", "strength": 1 }], null]);
    })
}

fn generation(task: &Task, flags: &str) -> Generation {
    let flags = Layer { from: options::Source::Flag, values: serde_json::from_str(flags).unwrap() };
    let model = ModelTraits { two_experts: true, boundary: None, flow_shift: None };
    Generation::of(&[task.layer(), flags], model, &LoraFiles::new(), Parts::segments(5)).unwrap()
}

/// Of each segment the steps of its phases, its solver, and the first LoRA at every step.
fn sampled(generation: &Generation) -> Vec<(Vec<usize>, Solver, String)> {
    let of = |segment| {
        let Sampling { phases, solver, loras, schedule, .. } = generation.sampling_of(segment);
        assert_eq!(schedule.len(), phases.iter().map(|phase| phase.steps).sum::<usize>());
        let loras: Vec<_> = loras.iter().map(|lora| format!("{} {:?}", lora.file.display(), lora.strengths)).collect();
        (phases.iter().map(|phase| phase.steps).collect(), **solver, loras.join(", "))
    };
    (0..5).map(of).collect()
}

#[test]
fn single_segments_have_phases_of_their_own() {
    let task = read(&sampled_apart()).unwrap();
    assert_eq!((task.conflicts.len(), task.differs.len()), (0, 0), "{:?} {:?}", task.conflicts, task.differs);
    let names = ["all", "beside", "own"].map(|name| format!("https://w.invalid/{name}.safetensors"));
    let mut asked = addresses(&task, Role::Lora);
    asked.sort();
    assert_eq!(asked, names, "what takes no part is not asked for");
    let all = (vec![1, 1, 2], Solver::Euler, "all.safetensors [0.5, 0.0, 0.0, 0.0]".to_owned());
    let own = (vec![1, 2], Solver::Unipc, "own.safetensors [0.5, 0.0, 0.0]".to_owned());
    let beside = (vec![3, 1], Solver::Unipc, "beside.safetensors [1.0, 1.0, 1.0, 1.0]".to_owned());
    let found = generation(&task, "{}");
    assert_eq!(sampled(&found), [all.clone(), own, all.clone(), beside, all]);
    let segment = found.segments[1].as_ref().unwrap();
    let place = "params.orchestrator_details.phase_configs_expanded[1]";
    for from in [&segment.phases.from, &segment.shift.from, &segment.solver.from, &segment.loras.from] {
        assert!(from.to_string().ends_with(&format!("task.json, {place}")), "{from}");
    }
    assert!(!segment.grid.from.to_string().contains(place), "what is of all stays so");
    assert_eq!((segment.shift.value, segment.guidance.value.clone()), (8.0, vec![2.0, 1.0]));
}

#[test]
fn the_command_line_has_the_last_word_on_single_segments_too() {
    let task = read(&sampled_apart()).unwrap();
    let found = generation(&task, r#"{"solver": "lcm", "steps": 8, "loras": []}"#);
    let steps: Vec<usize> = (0..5).map(|segment| found.sampling_of(segment).schedule.len()).collect();
    assert_eq!(steps, [8; 5]);
    assert!(sampled(&found).iter().all(|(_, solver, loras)| *solver == Solver::Lcm && loras.is_empty()));
    // Each keeps its own borders between noise and picture.
    assert_ne!(sampled(&found)[1].0, sampled(&found)[3].0);
}

#[test]
fn a_segments_phases_that_are_those_of_all_are_told_once() {
    let task = read(&way(|details| {
        details["phase_config"] = config([1, 2], lora("all"));
        details["phase_configs_expanded"] = json!(vec![config([1, 2], lora("all")); 5]);
    }))
    .unwrap();
    assert!(generation(&task, "{}").segments.is_empty());
    assert_eq!(addresses(&task, Role::Lora).len(), 1);
    let alone = read(&way(|details| details["phase_configs_expanded"] = json!(vec![config([1, 2], json!([])); 5])));
    assert!(
        !ids(&alone.unwrap()).contains(&"preset-without-loras"),
        "all segments have phases, though the way has none"
    );
}

#[test]
fn what_is_wrong_with_one_segments_phases_is_told_with_its_place() {
    let place = "params.orchestrator_details.phase_configs_expanded";
    let mut uneven = config([1, 2], json!([]));
    uneven["steps_per_phase"] = json!([1, 2, 3]);
    let mut switched = config([1, 2], json!([]));
    switched["model_switch_phase"] = 2.into();
    let mut weights = config([3, 2], lora("own"));
    weights["phases"][0]["loras"][0]["multiplier"] = "1,0".into();
    for (configs, at, words) in [
        (json!([null]), "", "wanted 5 entries, one for each segment"),
        (json!({}), "", "wanted a list"),
        (json!([null, 4, null, null, null]), "[1]", "wanted an object, found 4"),
        (json!([null, null, uneven, null, null]), "[2]", "steps_per_phase has 3 values, and phases has 2 entries"),
        (json!([null, null, null, null, switched]), "[4]", "of 2 phases the low-noise expert would never be used"),
        (json!([weights, null, null, null, null]), "[0]", "has 2 values, and the phase has 3 steps"),
        (
            json!([config([0, 2], json!([])), null, null, null, null]),
            "[0].steps_per_phase[0]",
            "wanted one step at least, found 0",
        ),
    ] {
        let found = wrong(&way(|details| details["phase_configs_expanded"] = configs.clone()));
        assert!(found.len() == 1 && found[0].starts_with(&format!("{place}{at}: ")), "{found:?}");
        assert!(found[0].contains(words), "{found:?}");
    }
}

#[test]
fn what_one_segments_phases_cannot_change_is_named() {
    let place = "params.orchestrator_details.phase_configs_expanded";
    let task = read(&way(|details| {
        let mut other = config([1, 2], json!([]));
        other["model_name"] = "another".into();
        other["num_phases"] = 3.into();
        let mut svi = config([1, 2], json!([]));
        svi["svi2pro"] = true.into();
        details["phase_configs_expanded"] = json!([other, null, svi, null, null]);
    }))
    .unwrap();
    assert!(task.ignored.iter().any(|key| key.place == format!("{place}[0].model_name")), "{:?}", task.ignored);
    assert_eq!(task.conflicts, [format!("{place}[0].num_phases is 3, and there are 2 phases: those count")]);
    let refused: Vec<_> = task.obstacles().collect();
    assert!(refused.len() == 1 && refused[0].starts_with(&format!("{place}[2].svi2pro: SVI")), "{refused:?}");
    // A model with one expert has no use for phases of two.
    let model = ModelTraits { two_experts: false, boundary: None, flow_shift: None };
    let error = Generation::of(&[task.layer()], model, &LoraFiles::new(), Parts::segments(5)).unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with("segment 1: phase 2 is the low-noise expert's"), "{told}");
    assert!(told.ends_with(&format!("task.json, {place}[0])")), "{told}");
}

#[test]
fn a_segments_own_values_go_before_its_tasks_and_those_before_the_ways() {
    let task = segment(|params| {
        params["individual_segment_params"] = json!({ "num_frames": 29, "seed_to_use": 42, "base_prompt": "own",
            "start_image_url": "s.png", "end_image_url": null });
        params["seed_to_use"] = 7.into();
        params["base_prompt"] = "task".into();
    });
    let task = read(&task).unwrap();
    assert_eq!(
        (task.values.wan.seed, &task.values.wan.prompts),
        (Some(Seed::Fixed(42)), &Some(Prompts::One("own".into())))
    );
    // One of the two named: the other is left open, though the way has it.
    assert_eq!(addresses(&task, Role::Image), ["s.png"]);
    let plan = planned(&task);
    assert_eq!((plan.frames(), shown(&plan, 0)), (29, vec![0]));
    assert_eq!(task.conflicts.len(), 2, "{:?}", task.conflicts);
    assert!(task.conflicts[0].contains("individual_segment_params.seed_to_use says 42 and params.seed_to_use says 7"));
}
