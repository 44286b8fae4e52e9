//! Whole tasks: the failed ones, and what others may hold.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::pipeline::{
    media::Codec,
    options::{Audio, EngineSettings, FilmSettings, FrameRange, JoinOptions, Length, Prompts, Seed},
    plan::Mode,
    types::video::{Fps, Size},
};

mod journeys;
mod stitches;

fn failed(name: &str) -> Task {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tasks").join(name);
    Task::read(&path, None, None).unwrap()
}

fn read(value: &Value) -> Result<Task, TaskError> {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("task.json");
    fs::write(&path, value.to_string()).unwrap();
    Task::read(&path, None, None)
}

/// What is wrong, without the file's name.
fn wrong(value: &Value) -> Vec<String> {
    match read(value).unwrap_err() {
        TaskError::Values { wrong, .. } => wrong.iter().map(ToString::to_string).collect(),
        other => panic!("{other}"),
    }
}

fn join(change: impl Fn(&mut Value)) -> Value {
    let mut task = json!({ "task_type": "join_clips", "created_at": "2026-02-20", "params": {
        "starting_video_path": "a.mp4", "ending_video_path": "b.mp4", "seed": 7, "prompt": "a fox",
    }});
    change(&mut task["params"]);
    task
}

fn travel(change: impl Fn(&mut Value)) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tasks/travel_orchestrator_8172a7f6.json");
    let mut task: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut task["params"]["orchestrator_details"]);
    task
}

fn segment(change: impl Fn(&mut Value)) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tasks/travel_segment_78cd8678.json");
    let mut task: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut task["params"]);
    task
}

fn ids(task: &Task) -> Vec<&str> {
    task.faults().map(|fault| fault.name).collect()
}

#[test]
fn the_failed_join_is_read_whole() {
    let task = failed("join_clips_4ef4789d.json");
    let row = task.row.as_ref().unwrap();
    assert_eq!(
        (row.kind, task.era, task.output_stem().unwrap()),
        (Kind::JoinClips, Some(Era::Oct25), "task_4ef4789d".into())
    );
    assert_eq!(task.preset.as_deref(), Some("lightning_baseline_2_2_2"));
    let values = &task.values;
    assert_eq!((values.join.context, values.join.gap), (Some(Length::Frames(10)), Some(Length::Frames(33))));
    assert_eq!((values.join.mode, values.wan.seed, values.common.fps), (Some(Mode::Insert), Some(Seed::Random), None));
    assert_eq!(values.wan.prompts, Some(Prompts::One("smooth camera glide between scenes".into())));
    assert_eq!((values.wan.steps, values.wan.negative_prompt.as_deref()), (Some(6), Some("")));
    let diagnosis = task.diagnosis().unwrap();
    assert_eq!((diagnosis.blame, diagnosis.fault.unwrap().name), (Blame::Worker, "ffmpeg-error-lost"));
    assert_eq!(task.obstacles().count(), 0);
    let ignored: Vec<_> = task.ignored.iter().map(|key| key.place.as_str()).collect();
    for key in ["worker_id", "params.run_id", "params.priority", "params.orchestrator_task_id"] {
        assert!(ignored.contains(&key), "{ignored:?}");
    }
    assert!(task.ignored.iter().all(|key| key.reason != "no key that wanctl knows"), "{:?}", task.ignored);
}

#[test]
fn numbers_as_text_and_params_as_text_are_read_alike() {
    let plain = join(|params| params["context_frame_count"] = 10.into());
    let text = join(|params| params["context_frame_count"] = "10".into());
    let mut whole = text.clone();
    whole["params"] = text["params"].to_string().into();
    let context = |task: &Value| read(task).unwrap().values;
    assert_eq!(context(&plain), context(&text));
    assert_eq!(context(&plain), context(&whole));
}

#[test]
fn every_field_of_a_join_is_checked_by_its_type() {
    for (key, value, wanted) in [
        ("context_frame_count", json!("abc"), "a whole number, found \"abc\""),
        ("context_frame_count", json!(0), "at least 1 frame, found 0"),
        ("gap_frame_count", json!(1.5), "a whole number, found 1.5"),
        ("gap_frame_count", json!(-3), "a whole number, found -3"),
        ("replace_mode", json!("yes"), "true or false, found \"yes\""),
        ("keep_bridging_images", json!(1), "true or false, found 1"),
        ("resolution", json!([902]), "a size such as \"902x508\" or [902, 508], found [902]"),
        ("resolution", json!("wide"), "a size such as \"902x508\" or [902, 508], found \"wide\""),
        ("fps", json!("fast"), "frames per second, 0.1 to 1000, found \"fast\""),
        ("prompt", json!(["a"]), "text, found [\"a\"]"),
        ("negative_prompt", json!(3), "text, found 3"),
        ("seed", json!("x"), "a whole number, found \"x\""),
        ("seed", json!(-2), "a seed from 0 up, or -1, found -2"),
        ("model", json!(14), "text, found 14"),
        ("num_inference_steps", json!(0), "1 to 1000 steps, found 0"),
        ("guidance_scale", json!("strong"), "a number, found \"strong\""),
        ("flow_shift", json!(true), "a number, found true"),
        ("sample_solver", json!("causvid"), "euler, unipc, dpm++ or lcm, found \"causvid\""),
        ("starting_video_path", json!({}), "text, found an object of 0 keys"),
        ("audio_url", json!(1), "text, found 1"),
    ] {
        let found = wrong(&join(|params| params[key] = value.clone()));
        assert_eq!(found.first(), Some(&format!("params.{key}: wanted {wanted}")), "{key}");
    }
}

#[test]
fn a_task_that_lacks_what_it_cannot_be_without_says_all_of_it() {
    let task = json!({ "task_type": "join_clips", "params": {} });
    let lacks = ["the first clip", "the second clip"];
    let keys = ["starting_video_path", "ending_video_path"];
    let wanted: Vec<_> =
        keys.iter().zip(lacks).map(|(key, what)| format!("params.{key}: wanted {what}, found nothing")).collect();
    assert_eq!(wrong(&task), wanted);
    for (kind, keys) in [
        ("join_clips_orchestrator", &["orchestrator_details"][..]),
        ("join_final_stitch", &["clip_list", "transition_task_ids"]),
        ("inpaint_frames", &["video_path", "inpaint_start_frame", "inpaint_end_frame"]),
        ("edit_video_orchestrator", &["orchestrator_details"]),
        ("travel_orchestrator", &["orchestrator_details"]),
        ("travel_segment", &["orchestrator_details"]),
        ("individual_travel_segment", &["orchestrator_details"]),
        ("travel_stitch", &["frame_overlap_settings_expanded", "num_total_segments_generated"]),
    ] {
        let found = wrong(&json!({ "task_type": kind, "params": {} }));
        let places: Vec<_> = found.iter().map(|wrong| wrong.split_once(": ").unwrap().0).collect();
        assert_eq!(places, keys.iter().map(|key| format!("params.{key}")).collect::<Vec<_>>(), "{kind}");
    }
    let details = json!({ "task_type": "travel_orchestrator", "params": { "orchestrator_details": {} } });
    assert_eq!(wrong(&details).len(), 7, "{:?}", wrong(&details));
}

#[test]
fn a_null_is_absent_in_a_task() {
    let nulls = join(|params| {
        for key in ["fps", "resolution", "num_inference_steps", "phase_config", "guidance_scale", "aspect_ratio"] {
            params[key] = Value::Null;
        }
    });
    let task = read(&nulls).unwrap();
    assert_eq!(task.values, read(&join(|_| {})).unwrap().values);
    // A null resolution broke the first worker, not the last one.
    assert!(!ids(&task).contains(&"null-as-value"));
    let mut early = nulls;
    early["created_at"] = "2025-12-24".into();
    assert!(ids(&read(&early).unwrap()).contains(&"null-as-value"));
}

#[test]
fn the_era_decides_what_was_not_said() {
    let fps = |day: &str| {
        let mut task = join(|_| {});
        task["created_at"] = day.into();
        let task = read(&task).unwrap();
        (task.era.unwrap(), task.values.common.fps)
    };
    assert_eq!(fps("2025-10-10"), (Era::Oct25, None));
    assert_eq!(fps("2025-11-28T00:00:00+00:00"), (Era::V1, Fps::new(16, 1)));
    assert_eq!(fps("2026-02-01 12:00:00"), (Era::V2, Fps::new(16, 1)));
    assert_eq!(fps("some day"), (Era::V2, Fps::new(16, 1)));
    let mut old = join(|params| params["model"] = "lightning_baseline_2_2_2".into());
    old["created_at"] = Value::Null;
    assert_eq!(read(&old).unwrap().era, Some(Era::Oct25));
}

#[test]
fn a_chain_is_clips_in_order_with_a_prompt_for_each_seam() {
    let chain = |change: &dyn Fn(&mut Value)| {
        let mut task = json!({ "task_type": "join_clips_orchestrator", "params": { "orchestrator_details": {
            "run_id": "r", "clip_list": [{"url": "a.mp4", "name": "clip_0"}, {"url": "b.mp4"}, {"url": "c.mp4"}],
            "per_join_settings": [{"prompt": "one"}, {}], "replace_mode": true, "resolution": [902, 508], "seed": -1,
            "audio_url": "https://x.invalid/song.mp3", "model": "wan_2_2_vace_lightning_baseline_2_2_2",
        }}});
        change(&mut task["params"]["orchestrator_details"]);
        read(&task)
    };
    let task = chain(&|_| {}).unwrap();
    let clips: Vec<_> = task.inputs.iter().map(|input| (input.role, input.address.as_str())).collect();
    let wanted = [
        (Role::Clip, "a.mp4"),
        (Role::Clip, "b.mp4"),
        (Role::Clip, "c.mp4"),
        (Role::Audio, "https://x.invalid/song.mp3"),
    ];
    assert_eq!(clips, wanted);
    assert_eq!(task.values.wan.prompts, Some(Prompts::Each(vec!["one".into(), "smooth transition".into()])));
    assert_eq!((task.values.join.mode, task.values.common.made_size), (Some(Mode::Replace), Some(Size::new(896, 496))));
    assert_eq!(task.film.audio, Some(Audio::File("https://x.invalid/song.mp3".into())));
    // Without a phase_config and without LoRAs, the distilled preset is left alone.
    assert!(ids(&task).contains(&"preset-without-loras"));

    let looped = chain(&|details| details["loop_first_clip"] = true.into()).unwrap();
    assert!(looped.obstacles().next().unwrap().contains("played backwards"));
    let model = chain(&|details| details["enhance_prompt"] = true.into()).unwrap();
    assert!(model.obstacles().next().unwrap().contains("vision model"));
    let other = chain(&|details| details["per_join_settings"][1]["gap_frame_count"] = 8.into()).unwrap();
    assert!(other.obstacles().next().unwrap().contains("per_join_settings[1].gap_frame_count"));
    let one = chain(&|details| details["clip_list"] = json!([{ "url": "a.mp4" }])).unwrap_err().to_string();
    assert!(one.contains("clip_list: wanted at least two clips"), "{one}");
}

#[test]
fn portions_are_frames_to_make_again() {
    let inpaint = |start: usize, end: usize| {
        read(&json!({ "task_type": "inpaint_frames", "params": {
            "video_path": "a.mp4", "inpaint_start_frame": start, "inpaint_end_frame": end } }))
    };
    let Work::Ranges(portions) = inpaint(20, 37).unwrap().work else { panic!() };
    assert_eq!(portions, [Portion { frames: 20..37, prompt: None }]);
    assert!(
        !ids(&inpaint(20, 37).unwrap()).contains(&"length-not-4n1")
            && ids(&inpaint(20, 38).unwrap()).contains(&"length-not-4n1")
    );
    let values = inpaint(20, 37).unwrap().values;
    assert_eq!(
        (values.join.ranges.unwrap(), values.join.gap, values.join.mode),
        (vec![FrameRange(20..37)], None, None)
    );
    assert!(inpaint(37, 37).unwrap_err().to_string().contains("wanted a frame after the first, 37, found 37"));

    let edit = |keeps: bool, portions: Value| {
        read(&json!({ "task_type": "edit_video_orchestrator", "params": { "orchestrator_details": {
            "source_video_url": "a.mp4", "source_video_fps": 24, "replace_mode": keeps, "run_id": "r",
            "portions_to_regenerate": portions } } }))
    };
    let two = json!([{"start_frame": 60, "end_frame": 80}, {"start_frame": 10, "end_frame": 30, "prompt": "a fox"}]);
    let frames = |task: Task| match task.work {
        Work::Ranges(portions) => portions.into_iter().map(|portion| portion.frames).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(frames(edit(false, two.clone()).unwrap()), [10..31, 60..81]);
    assert_eq!(edit(false, two.clone()).unwrap().values.join.ranges.unwrap(), [FrameRange(10..31), FrameRange(60..81)]);
    assert_eq!(frames(edit(true, two).unwrap()), [11..30, 61..80]);
    let touching = json!([{"start_frame": 10, "end_frame": 30}, {"start_frame": 30, "end_frame": 40}]);
    assert!(edit(false, touching).unwrap_err().to_string().contains("portions apart"));
    assert!(edit(false, json!([])).unwrap_err().to_string().contains("at least one portion"));
}

#[test]
fn lists_of_loras_that_contradict_the_phases_are_named_and_the_phases_count() {
    let task = read(&segment(|params| params["lora_multipliers"] = json!(["1.0;0", "1.05;1.05", "0;1.0"]))).unwrap();
    assert_eq!(task.values.wan.loras.unwrap()[0].weights.to_string(), "1.2;0");
    assert!(
        task.conflicts[0].contains("high_noise.safetensors 1;0") && task.conflicts[0].contains("which count"),
        "{:?}",
        task.conflicts
    );
    let found = wrong(&segment(|params| params["lora_multipliers"] = json!(["1", "1", "1", "1"])));
    assert!(found[0].contains("params.lora_names: wanted as many names as there are weights, 4"), "{found:?}");
}

#[test]
fn phases_that_cannot_be_are_refused_with_their_place() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 4] = [
        (|config| config["steps_per_phase"] = json!([2, 2, 2]), "steps_per_phase has 3 values, and phases has 2"),
        (|config| config["model_switch_phase"] = 2.into(), "the low-noise expert would never be used"),
        (|config| config["flow_shift"] = "x".into(), "params.phase_config.flow_shift: wanted a number, found \"x\""),
        (|config| config["phases"][0]["loras"][0]["multiplier"] = "1,2".into(), "has 2 values, and the phase has 3"),
    ];
    for (change, words) in cases {
        let found = wrong(&segment(|params| change(&mut params["phase_config"])));
        assert!(found[0].starts_with("params.phase_config") && found[0].contains(words), "{found:?}");
    }
    let steps = read(&segment(|params| params["num_inference_steps"] = 8.into())).unwrap();
    assert!(steps.conflicts[0].contains("num_inference_steps says 8"), "{:?}", steps.conflicts);
}

#[test]
fn unknown_keys_are_listed_and_strictness_makes_them_errors() {
    let task = read(&join(|params| params["contxt_frame_count"] = 4.into())).unwrap();
    let reason = "no key that wanctl knows".to_owned();
    assert!(task.ignored.contains(&Ignored { place: "params.contxt_frame_count".into(), reason }));
    assert!(task.check_strictly().unwrap_err().to_string().contains("params.contxt_frame_count"));
    let clean = read(&join(|_| {})).unwrap();
    clean.check_strictly().unwrap();
}

#[test]
fn all_that_is_not_here_is_one_error() {
    let mut task = read(&json!({ "task_type": "join_clips_orchestrator", "params": { "orchestrator_details": {
        "clip_list": [{"url": "https://x.invalid/a.mp4"}, {"url": "https://x.invalid/b.mp4"}], "enhance_prompt": true,
        "audio_url": "https://x.invalid/song.mp3" } } }))
    .unwrap();
    task.place(&Assets::default()).unwrap();
    let error = task.clips(&Needs { sound: true, prompts: true }).unwrap_err();
    let TaskError::NotHere { items, .. } = &error else { panic!("{error}") };
    assert_eq!(items.len(), 4, "{items:?}");
    let guide = task.clips(&Needs { sound: false, prompts: false }).unwrap_err();
    assert!(matches!(guide, TaskError::NotHere { items, .. } if items.len() == 2));
}

#[test]
fn two_addresses_cannot_be_one_file() {
    let room = tempfile::tempdir().unwrap();
    fs::write(room.path().join("clip.mp4"), "x").unwrap();
    let mut task = read(&join(|params| {
        params["starting_video_path"] = "https://x.invalid/1/clip.mp4".into();
        params["ending_video_path"] = "https://x.invalid/2/clip.mp4".into();
    }))
    .unwrap();
    task.place(&Assets::new(vec![], Some(room.path())).unwrap()).unwrap();
    assert!(task.inputs[0].file.is_some());
    assert!(task.inputs[1].why.as_ref().unwrap().contains("params.starting_video_path too"), "{:?}", task.inputs[1]);
}

#[test]
fn a_note_that_is_not_ours_is_refused_and_one_that_is_comes_back() {
    let film = Path::new("film.mp4");
    let refused = |note: Option<&str>| Task::of_film(film, note).unwrap_err().to_string();
    assert!(refused(None).contains("film.mp4 has no settings of wanctl in it"));
    assert!(refused(Some("{")).contains("film.mp4 is no JSON"));
    assert!(refused(Some("{}")).contains("its settings cannot be read: missing field `version`"));
    let settings = FilmSettings { codec: Codec::H265, crf: 20, x264_preset: None, lossless: false, audio: Audio::Mute };
    let engine = EngineSettings { device: "cpu".parse().unwrap(), threads: Some(3), jobs: 2 };
    let values: Options = JoinOptions { gap: Some(Length::Frames(9)), ..JoinOptions::default() }.into();
    let inputs = ["/clips/a.mp4".into(), "/elsewhere/b.mp4".into()];
    let note = Recorded::new(&InputPaths::Clips(inputs.to_vec()), values.clone(), &settings, engine.clone())
        .unwrap()
        .note(Path::new("/clips"));
    let task = Task::of_film(film, Some(&note)).unwrap();
    let addresses: Vec<_> = task.inputs.iter().map(|input| input.address.as_str()).collect();
    assert_eq!(addresses, ["a.mp4", "/elsewhere/b.mp4"]);
    assert_eq!((task.values, task.engine), (values, Some(engine)));
    let again = FilmSettings::new(task.film).unwrap();
    assert_eq!((again.codec, again.crf, again.audio), (Codec::H265, 20, Audio::Mute));
    let newer = note.replacen("\"version\":1", "\"version\":2", 1);
    assert!(refused(Some(&newer)).contains("it has settings of version 2 for `join`"));
    let other = note.replacen("\"gap\"", "\"gaps\"", 1);
    assert!(refused(Some(&other)).contains("unknown field `gaps`"));
}

#[test]
fn files_that_are_no_task_are_refused_before_they_hurt() {
    let room = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        let path = room.path().join("task.json");
        fs::write(&path, text).unwrap();
        Task::read(&path, None, None).unwrap_err().to_string()
    };
    assert!(read("not at all {").contains("is no JSON"));
    assert!(read("").contains("is no JSON"));
    assert!(read("[]").contains("it holds a list"));
    assert!(read("\"x\"").contains("it holds a text"));
    assert!(read(&"[".repeat(10_000)).contains("recursion limit"));
    assert!(read(&"{\"params\":".repeat(10_000)).contains("recursion limit"));
    let large =
        format!("{{\"task_type\": \"join_clips\", \"params\": {{\"prompt\": \"{}\"}}}}", "x".repeat(10_000_000));
    assert!(read(&large).contains("is no task: it has 10000"), "{}", read(&large).len());
    assert!(Task::read(&room.path().join("gone.json"), None, None).unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn runs_that_version_1_recorded_are_read() {
    let task = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runs").join(name);
        Task::read(&path, None, None).unwrap()
    };
    let join = task("join_v1.json");
    assert_eq!((join.command(), join.values.join.gap), (Command::Join, Some(Length::Frames(8))));
    let travel = task("travel_v1.json");
    assert_eq!((travel.command(), travel.values.travel.segment_count), (Command::Travel, Some(2)));
    assert_eq!(travel.values.travel.lengths, Some(crate::pipeline::plan::Lengths::Rounded));
    // What tasks of the hosted worker made of it.
    let old = r#"{"lengths": "worker", "curve": {"worker": 0.3}, "structure": [{"clip": 0}], "looped": true,
        "prompts": {"each": ["a"]}, "guidance": {"all": 5.0}}"#;
    let read: Options = serde_json::from_str(old).unwrap();
    assert_eq!(read.travel.curve, Some(crate::pipeline::plan::Curve::Sharpened(0.3)));
    assert_eq!(read.travel.structure_use.as_ref().map(Vec::len), Some(1));
    assert_eq!(read.common.looped, Some(true));
}
