//! Failed tasks, reproduced: what `inspect` says of them, what `guide` and `join` make of them, and what they refuse.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::harness::Room;

const JOIN: &str = "join_clips_4ef4789d.json";
const CLIPS: [&str; 2] = ["1759979314012-starting-zur35tv.mp4", "1759979300478-ending-0huzxs.mp4"];
/// The size class that broke the worker: 4:2:0 has no half pixel.
const ODD: &str = "853:480";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tasks").join(name)
}

impl Room {
    fn task(&self, name: &str) {
        fs::copy(fixture(name), self.path(name)).unwrap();
    }

    fn put(&self, name: &str, task: &Value) {
        fs::write(self.path(name), task.to_string()).unwrap();
    }

    /// The failed join's two clips, in `assets`.
    fn assets(&self) {
        fs::create_dir_all(self.path("assets")).unwrap();
        for (name, source) in CLIPS.iter().zip(["testsrc2", "testsrc"]) {
            let recipe = format!(
                "-f lavfi -i {source}=size=864x480:rate=24 -frames:v 24 -vf format=rgb24,scale={ODD},setsar=1 \
                 -c:v libx264 -preset ultrafast -qp 0 -pix_fmt yuv444p assets/"
            );
            self.material(&format!("assets/{name}"), &recipe, || drop(self.ffmpeg(&format!("{recipe}{name}"))));
        }
    }

    /// A join of a.mkv and b.mkv as a task has it.
    fn small_task(&self, change: impl Fn(&mut Value)) {
        let mut task = json!({ "id": "0123abcd-ef", "task_type": "join_clips", "params": {
            "starting_video_path": "a.mp4", "ending_video_path": "b.mp4", "context_frame_count": 8,
            "gap_frame_count": 17, "fps": 25, "seed": 7, "prompt": "a fox" } });
        change(&mut task["params"]);
        self.put("task.json", &task);
    }
}

#[test]
fn the_failed_join_is_told_whole() {
    let room = Room::new();
    room.task(JOIN);
    let run = room.run(&format!("inspect {JOIN}")).good();
    for words in [
        "join_clips, 4ef4789d-04c7-47f2-a2d2-751402f64657, Failed, made 2025-10-10T17:36:03",
        "era       oct25",
        "zur35tv.mp4\n            not here: nothing maps it to a file",
        "asked 10 + 33 + 10, used 10 + 33 + 10: 53 frames for the engine, 33 of them to make",
        "14 latents: keep 0 to 2, generate 3 to 10, keep 11 to 13",
        "params.priority: the worker's queue",
        "Guide video creation returned None",
        "its frame writer gave up",
        "phases 2 high+2 high+2 low",
        "lora_250928_rank128_fp16.safetensors (0.75;1;0)",
        "verdict   no input problem found: the worker failed by a fault of its own (ffmpeg-error-lost); 2 files are not here",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    let task = room.run(&format!("inspect {JOIN} --json")).good().event("task");
    assert_eq!((&task["era"], &task["possible"]), (&"oct25".into(), &true.into()));
    assert_eq!((&task["plan"]["sure"], &task["plan"]["seams"][0]["guide_frames"]), (&false.into(), &53.into()));
    assert_eq!(task["worker"]["diagnosis"]["fault"]["name"], "ffmpeg-error-lost");
}

#[test]
fn the_failed_segments_have_no_input_problem_and_the_workers_fault_is_named() {
    let room = Room::new();
    for (name, segment) in [("travel_segment_78cd8678.json", 0), ("travel_segment_e040ae48.json", 2)] {
        room.task(name);
        let run = room.run(&format!("inspect {name}")).good();
        for words in [
            "size      896x496, asked 902x508",
            &format!("segment   {segment}: 81 frames, 21 latents; shown: 0 and 80"),
            "verdict   no input problem found: the worker failed by a fault of its own (preset-looked-up-by-empty-name)",
            "it looked the model up by an empty name",
            "high_noise.safetensors, 1.2;0\n",
            "VBVR_HIGH.safetensors, 1.05;1.05\n",
            "low_noise.safetensors, 0;1.0\n",
            "its phases as thresholds: 826.0999755859375\n",
            "phases 3 high+3 low",
            "3    882.526    high         1     1.2    1.05       0\n",
            "4    769.674     low         1       0    1.05       1\n",
            "remark    VBVR_HIGH.safetensors works in steps of the other expert",
        ] {
            assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
        }
        let task = room.run(&format!("inspect {name} --json")).good().event("task");
        assert_eq!(task["settings"]["size"]["value"], json!([896, 496]));
        assert_eq!((&task["conflicts"], &task["problems"]), (&json!([]), &json!([])));
        assert_eq!(task["sampler"]["thresholds"], json!([826.0999755859375]));
        assert_eq!((&task["sampler"]["steps"]["value"], &task["inputs"][2]["weights"]), (&6.into(), &"0;1.0".into()));
    }
    room.task("travel_orchestrator_8172a7f6.json");
    let run = room.run("inspect travel_orchestrator_8172a7f6.json").good();
    for words in ["13 segments", "another task failed first", "(parent-error-overwritten)", "... (14 of them)"] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
}

#[test]
fn with_its_clips_a_task_has_a_plan() {
    let room = Room::new();
    room.task(JOIN);
    room.assets();
    let run = room.run(&format!("inspect {JOIN} --assets assets")).good();
    for words in ["24 frames, 24 fps, 853x480 (odd), h264, no sound", "fault     ffmpeg-error-lost:"] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    let task = room.run(&format!("inspect {JOIN} --assets assets --json")).good().event("task");
    assert_eq!((&task["plan"]["sure"], &task["plan"]["plan"]["frames"]), (&true.into(), &(24 + 33 + 24).into()));
    assert_eq!(task["inputs"][0]["facts"]["picture"]["size"], json!([853, 480]));
}

#[test]
fn what_nobody_mapped_refuses_nothing_and_what_was_looked_for_in_vain_does() {
    let room = Room::new();
    room.task(JOIN);
    room.assets();
    room.run(&format!("inspect {JOIN}")).good();
    fs::remove_file(room.path("assets").join(CLIPS[1])).unwrap();
    let run = room.run(&format!("inspect {JOIN} --assets assets")).fails(3);
    assert!(run.stdout.contains(&format!("not here: no {} in assets", CLIPS[1])), "{}", run.stdout);
    let url = format!("https://storage.invalid/join-clips/{}", CLIPS[0]);
    let run = room.run(&format!("inspect {JOIN} --map {url}=gone.mp4")).fails(3);
    assert!(run.stdout.contains("mapped to gone.mp4, which is not there"), "{}", run.stdout);
    let run = room.run(&format!("inspect {JOIN} --assets nowhere")).fails(3);
    assert!(run.stdout.contains("--assets nowhere cannot be searched"), "{}", run.stdout);
    let run = room.run(&format!("inspect {JOIN} --map https://x.invalid/z.mp4=gone.mp4")).fails(3);
    assert!(run.stdout.contains("names nothing in the task"), "{}", run.stdout);
}

#[test]
fn two_files_of_one_name_are_no_answer() {
    let room = Room::new();
    room.task(JOIN);
    room.assets();
    fs::create_dir(room.path("assets/more")).unwrap();
    fs::copy(room.path("assets").join(CLIPS[0]), room.path("assets/more").join(CLIPS[0])).unwrap();
    let run = room.run(&format!("guide --task {JOIN} --assets assets --json")).fails(3);
    let error = run.event("error");
    assert!(error["found"].as_str().unwrap().contains(&format!("2 files are called {}", CLIPS[0])), "{error}");
}

#[test]
fn the_failed_join_is_drawn_without_gpu_or_weights() {
    let room = Room::new();
    room.task(JOIN);
    room.assets();
    let run = room.run(&format!("guide --task {JOIN} --assets assets")).good();
    assert_eq!(run.stdout, "task_4ef4789d_guide\n");
    let plan: Value = serde_json::from_slice(&fs::read(room.path("task_4ef4789d_guide/plan.json")).unwrap()).unwrap();
    assert_eq!((&plan["align"], &plan["mask_rule"]), (&"exact".into(), &"reference".into()));
    assert_eq!((&plan["size"], &plan["made_size"]), (&json!([852, 480]), &json!([848, 480])));
    assert_eq!(plan["seams"][0]["guide_frames"], 53);
    let frames = room.frames("task_4ef4789d_guide/guide.mp4", "rgb24", (848, 480));
    assert_eq!(frames.len(), 53);
    assert!(frames[20].iter().all(|sample| [127, 128].contains(sample)));
    assert!(frames[9].iter().any(|sample| ![127, 128].contains(sample)));
}

#[test]
fn a_task_is_joined_under_its_own_name() {
    let room = Room::new();
    room.real_pair();
    room.small_task(|_| {});
    let run = room.run("join --task task.json --engine dissolve").good();
    assert_eq!(run.stdout, "task_0123abcd.mp4\n");
    assert_eq!(room.frames("task_0123abcd.mp4", "yuv420p", (160, 90)).len(), 26 + 17 + 28);
    // The command line has the last word.
    let run = room.run("join --task task.json --engine dissolve --gap 9 --mode replace -o other.mkv").good();
    assert_eq!(run.stdout, "other.mkv\n");
    assert_eq!(room.frames("other.mkv", "yuv420p", (160, 90)).len(), 26 + 28);
}

#[test]
fn all_that_cannot_be_had_is_one_error() {
    let room = Room::new();
    room.put(
        "task.json",
        &json!({ "task_type": "join_clips_orchestrator", "params": { "orchestrator_details": {
            "clip_list": [{"url": "https://x.invalid/a.mp4"}, {"url": "https://x.invalid/b.mp4"}],
            "enhance_prompt": true, "audio_url": "https://x.invalid/song.mp3" } } }),
    );
    let error = room.run("join --task task.json --engine wan --json").fails(3).event("error");
    let found = error["found"].as_str().unwrap();
    for words in ["x.invalid/a.mp4", "x.invalid/b.mp4", "song.mp3", "enhance_prompt"] {
        assert!(found.contains(words), "{words} in {found}");
    }
    assert_eq!(found.lines().count(), 4, "{found}");
    // Nothing reads a prompt here.
    let error = room.run("join --task task.json --engine dissolve --json").fails(3).event("error");
    assert!(!error["found"].as_str().unwrap().contains("enhance_prompt"), "{error}");
    assert_eq!(room.files(), ["task.json"]);
}

#[test]
fn bad_tasks_are_refused_with_the_place_that_is_wrong() {
    let room = Room::new();
    room.real_pair();
    for (change, words) in [
        (json!({ "context_frame_count": "abc" }), "params.context_frame_count: wanted a whole number, found \"abc\""),
        (json!({ "gap_frame_count": [] }), "params.gap_frame_count: wanted a whole number, found []"),
        (json!({ "starting_video_path": null }), "params.starting_video_path: wanted the first clip, found nothing"),
        (json!({ "phase_config": 3 }), "params.phase_config: wanted an object, found 3"),
    ] {
        room.small_task(|params| {
            change.as_object().unwrap().iter().for_each(|(key, value)| params[key] = value.clone())
        });
        let error = room.run("join --task task.json --json").fails(3).event("error");
        assert!(error["found"].as_str().unwrap().contains(words), "{error}");
        let run = room.run("inspect task.json").fails(3);
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    room.small_task(|params| params["context_frame_count"] = "8".into());
    room.run("join --task task.json --engine dissolve --dry-run").good();
}

#[test]
fn no_task_hurts_the_program() {
    let room = Room::new();
    let deep = format!("{{\"task_type\": \"join_clips\", \"params\": {}", "[".repeat(10_000));
    let large = format!("{{\"params\": \"{}\"}}", "x".repeat(10_000_000));
    for (text, words) in [
        ("{\"task_type\": ", "is no JSON: EOF"),
        (deep.as_str(), "is no JSON: recursion limit exceeded"),
        (large.as_str(), "is no task: it has 100000"),
        ("[]", "is no task: it holds a list"),
        ("{}", "is no task: it has no task_type"),
    ] {
        fs::write(room.path("task.json"), text).unwrap();
        room.run("join --task task.json").fails(3).says(words);
        room.run("inspect task.json").fails(3);
    }
}

#[test]
fn bare_params_need_their_type() {
    let room = Room::new();
    room.real_pair();
    let params = json!({ "starting_video_path": "a.mp4", "ending_video_path": "b.mp4", "fps": 25 });
    room.put("params.json", &params);
    room.run("join --task params.json --dry-run").fails(3).says("it has no task_type");
    let plan = room
        .run("join --task params.json --task-type join_clips --engine dissolve --dry-run --json")
        .good()
        .event("plan");
    assert_eq!(plan["plan"]["seams"][0]["used"]["gap"], 53);
    room.run("join --task params.json --task-type join_clip").fails(2);
}

#[test]
fn options_of_a_task_without_one_are_wrong_usage() {
    let room = Room::new();
    room.real_pair();
    for words in ["join a.mp4 b.mp4 --map x=y", "guide a.mp4 b.mp4 --assets .", "join --task t.json a.mp4", "join"] {
        room.run(words).fails(2);
    }
}

#[test]
fn types_that_join_nothing_are_told() {
    let room = Room::new();
    room.task("travel_segment_78cd8678.json");
    room.run("join --task travel_segment_78cd8678.json")
        .fails(3)
        .says("is a travel_segment, which wanctl join does not do");
}

#[test]
fn strictly_no_key_is_without_effect() {
    let room = Room::new();
    room.real_pair();
    room.small_task(|params| params["colour"] = "red".into());
    room.run("join --task task.json --engine dissolve --dry-run").good().says("params.colour");
    let error = room.run("join --task task.json --engine dissolve --strict --dry-run --json").fails(3).event("error");
    assert!(error["found"].as_str().unwrap().contains("params.colour: no key that wanctl knows"), "{error}");
    room.small_task(|_| {});
    room.run("join --task task.json --engine dissolve --strict --dry-run").good();
}

#[test]
fn a_task_never_falls_back_to_another_engine() {
    let room = Room::new();
    room.real_pair();
    room.small_task(|_| {});
    let run = room.wanctl(&["join", "--task", "task.json", "--engine", "auto"]).fails(4);
    assert!(!run.stderr.contains("rife"), "{}", run.stderr);
}

#[test]
fn a_tasks_numbers_stand_over_its_presets_and_the_command_lines_over_both() {
    let room = Room::new();
    room.real_pair();
    room.small_task(|params| params["guidance_scale"] = 2.into());
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan/tiny");
    let plan = |more: &[&str]| {
        let words = ["join", "--task", "task.json", "--model", tiny, "--dry-run", "--json"];
        room.wanctl(&[&words[..], more].concat()).good().event("plan")
    };
    let wan = &plan(&[])["settings"]["wan"];
    assert_eq!(wan["guidance"], json!({ "value": [2.0, 1.0, 1.0], "from": "task task.json" }));
    assert_eq!(wan["shift"], json!({ "value": 5.0, "from": "preset wan22-vace-lightning" }));
    assert_eq!(wan["seed"], json!({ "value": 7, "from": "task task.json" }));
    assert_eq!(wan["prompts"]["value"], json!(["a fox"]));
    let wan = &plan(&["--shift", "8", "--seed", "8"])["settings"]["wan"];
    assert_eq!(wan["shift"], json!({ "value": 8.0, "from": "command line" }));
    assert_eq!(wan["seed"]["value"], 8);
}

#[test]
fn loras_are_found_where_weights_lie_too() {
    let room = Room::new();
    room.task("travel_segment_78cd8678.json");
    fs::create_dir_all(room.path("weights")).unwrap();
    fs::create_dir_all(room.path("assets")).unwrap();
    for name in ["high_noise", "VBVR_HIGH", "low_noise"] {
        fs::write(room.path(format!("weights/{name}.safetensors")), "").unwrap();
    }
    room.ffmpeg("-f lavfi -i testsrc=size=64x36 -frames:v 1 assets/image_00.png");
    let line = "inspect travel_segment_78cd8678.json --models weights --assets assets --json";
    let task = room.run(line).fails(3).event("task");
    assert!(task["inputs"][0]["file"].as_str().unwrap().ends_with("weights/high_noise.safetensors"), "{task}");
    assert_eq!(task["verdict"].as_str().unwrap().split("; ").last(), Some("one file is not here"));
    fs::copy(room.path("assets/image_00.png"), room.path("assets/image_01.png")).unwrap();
    let task = room.run(line).good().event("task");
    assert_eq!(task["inputs"][3]["facts"]["size"], json!([64, 36]));
}

#[test]
fn a_model_that_no_preset_knows_is_told_with_the_nearest() {
    let room = Room::new();
    room.real_pair();
    room.small_task(|params| params["model"] = "wan_2_2_vace_lightning_baseline_2_2".into());
    let run = room.run("inspect task.json").fails(3);
    assert!(run.stdout.contains("wan_2_2_vace_lightning_baseline_2_2_2"), "{}", run.stdout);
}

/// The script in docs/tasks.md, as it stands there.
#[test]
fn the_readmes_script_tells_a_failure_by_its_exit_code_and_its_error() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tasks.md")).unwrap();
    let script = readme.split("```sh\n").find(|block| block.starts_with("#!/bin/sh")).unwrap();
    let script = script.split("```").next().unwrap();
    let room = Room::new();
    room.task(JOIN);
    room.assets();
    fs::write(room.path("reproduce.sh"), script).unwrap();
    let run = || {
        let bin = Path::new(env!("CARGO_BIN_EXE_wanctl")).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["reproduce.sh", JOIN, "assets"]).env("PATH", path).env("HOME", room.path(""));
        command.env("WANCTL_WORK_DIR", room.path("runs")).current_dir(room.path("")).stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run();
    assert_eq!((code, said.as_str()), (0, "its input is sound: see task_4ef4789d_guide/sheet.png\n"));
    fs::remove_file(room.path("assets").join(CLIPS[1])).unwrap();
    let (code, said) = run();
    assert_eq!(code, 3, "{said}");
    assert!(said.starts_with("exit 3, input at settings: ") && said.contains(CLIPS[1]), "{said}");
}
