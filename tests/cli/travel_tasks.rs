//! Travel tasks of the hosted worker, run from their JSON, and stitches that need no engine.

use std::fs;

use serde_json::{Value, json};

use super::{
    engine::fake,
    harness::{Room, psnr},
    presets::lora,
};

const SIZE: (usize, usize) = (160, 80);

impl Room {
    fn way(&self, change: impl Fn(&mut Value)) {
        let mut task = json!({ "id": "0123abcd-ef", "task_type": "travel_orchestrator",
            "created_at": "2026-02-20T00:00:00+00:00", "params": { "orchestrator_details": {
            "num_new_segments_to_generate": 2, "segment_frames_expanded": [17, 17], "frame_overlap_expanded": [4],
            "base_prompts_expanded": ["x", "y"], "negative_prompts_expanded": [], "model_type": "vace",
            "model_name": "wan_2_2_vace_lightning_baseline_2_2_2", "parsed_resolution_wh": "162x90", "fps_helpers": 16,
            "seed_base": 7, "input_image_paths_resolved": ["https://x.invalid/a.png", "https://x.invalid/b.png",
            "https://x.invalid/c.png"] } } });
        change(&mut task);
        fs::write(self.path("task.json"), task.to_string()).unwrap();
    }
}

fn room() -> Room {
    let room = Room::new();
    room.stills(&["a.png", "b.png", "c.png"]);
    fs::create_dir(room.path("assets")).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        fs::rename(room.path(name), room.path("assets").join(name)).unwrap();
    }
    room
}

/// Which frame of a piece is nearest to it.
fn place(frame: &[u8], piece: &[Vec<u8>]) -> usize {
    let near = piece.iter().map(|other| psnr(frame, other)).enumerate();
    near.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
}

const TASK: &str = "travel --task task.json --assets assets --engine dissolve --json";

#[test]
fn a_way_is_made_at_the_workers_size_and_length() {
    let room = room();
    room.way(|_| {});
    let run = room.run(TASK).good();
    let result = run.event("result");
    // 17, and 21 for the model of which 4 are shared.
    assert_eq!((&result["output"], &result["frames"]), (&"task_0123abcd.mp4".into(), &(17 + 21 - 4).into()));
    assert_eq!(run.event("plan")["plan"]["size"], json!([160, 80]));
    assert_eq!(room.frames("task_0123abcd.mp4", "rgb24", SIZE).len(), 34);
    let inspected = room.run("inspect task.json --assets assets --json").good().event("task");
    assert_eq!((&inspected["plan"]["sure"], &inspected["plan"]["plan"]["frames"]), (&true.into(), &34.into()));
    assert_eq!(inspected["plan"]["plan"]["keys"], run.event("plan")["plan"]["keys"]);
    let told = room.run("inspect task.json").good();
    for words in [
        "by a guide (VACE), 2 segments, each going on from the one before",
        "size      160x80, asked 162x90",
        "segment   0: 17 frames",
        "segment   1: 21 frames, 4 of them carried over",
        "film      34 frames at 16 fps; images at frames 0, 16, 33",
    ] {
        assert!(told.stdout.contains(words), "{words} in {}", told.stdout);
    }
}

#[test]
fn an_image_models_segments_stand_one_after_the_other() {
    let room = room();
    room.way(|task| {
        task["params"]["orchestrator_details"]["model_type"] = "i2v".into();
        task["params"]["orchestrator_details"]["model_name"] = "wan_2_2_i2v_lightning_baseline_2_2_2".into();
    });
    let run = room.run(TASK).good();
    assert_eq!(run.event("result")["frames"], 34);
    let film = room.frames("task_0123abcd.mp4", "rgb24", SIZE);
    // The image between them is shown by both.
    assert!(psnr(&film[16], &film[17]) > 35.0);
}

#[test]
fn files_that_are_not_here_are_named_and_the_other_command_too() {
    let room = room();
    room.way(|_| {});
    let error = room.run("travel --task task.json --engine dissolve --json").fails(3).event("error");
    assert!(error["found"].as_str().unwrap().contains("https://x.invalid/c.png: nothing maps it"), "{error}");
    let error = room.run("join --task task.json --assets assets --engine dissolve --json").fails(3).event("error");
    assert!(error["help"].as_str().unwrap().contains("use wanctl travel --task task.json"), "{error}");
}

#[test]
fn a_segment_of_a_chain_is_made_from_the_film_before_it() {
    let room = room();
    room.way(|task| {
        let details = task["params"]["orchestrator_details"].clone();
        task["task_type"] = "travel_segment".into();
        task["params"] = json!({ "segment_index": 1, "segment_frames_target": 17, "frame_overlap_from_previous": 4,
            "base_prompt": "y", "model_name": "wan_2_2_vace_lightning_baseline_2_2_2", "parsed_resolution_wh": "162x90",
            "seed_to_use": 7, "orchestrator_details": details });
    });
    let error = room.run(TASK).fails(3).event("error");
    assert!(
        error["found"].as_str().unwrap().contains("the segment before this one (--map dependant_on=FILE)"),
        "{error}"
    );
    room.clip("before.mp4", 17, "16", "160x80");
    let run = room.run(&format!("{TASK} --map dependant_on=before.mp4")).good();
    assert_eq!(run.event("result")["frames"], 21);
    let film = room.frames("task_0123abcd.mp4", "rgb24", SIZE);
    let before = room.frames("before.mp4", "rgb24", SIZE);
    assert_eq!((place(&film[0], &before), place(&film[3], &before)), (13, 16));
}

#[test]
#[ignore = "slow: two films, read beside their pieces"]
fn pieces_are_stitched_without_any_engine() {
    let room = Room::new();
    for (name, frames) in [("segment_0.mp4", 20), ("segment_1.mp4", 24), ("segment_2.mp4", 16)] {
        room.clip(name, frames, "16", "96x64");
    }
    let task = json!({ "id": "5", "task_type": "travel_stitch", "params": { "num_total_segments_generated": 3,
        "frame_overlap_settings_expanded": [8, 0], "crossfade_sharp_amt": 0.3, "fps_final_video": 16 } });
    fs::write(room.path("task.json"), task.to_string()).unwrap();
    let maps = "--map segment_0=segment_0.mp4 --map segment_1=segment_1.mp4 --map segment_2=segment_2.mp4";
    let run = room.run(&format!("travel --task task.json {maps} --lossless --json")).good();
    assert_eq!(run.event("result")["frames"], 20 + 24 - 8 + 16);
    let film = room.frames("task_5.mkv", "rgb24", (96, 64));
    let piece = |name: &str| room.frames(name, "rgb24", (96, 64));
    let (first, second, third) = (piece("segment_0.mp4"), piece("segment_1.mp4"), piece("segment_2.mp4"));
    assert_eq!((place(&film[11], &first), place(&film[20], &second), place(&film[35], &second)), (11, 8, 23));
    assert_eq!((place(&film[36], &third), place(&film[51], &third)), (0, 15));
    let told = room.run("inspect task_5.mkv").good();
    assert!(told.stdout.contains("wanctl travel --task task_5.mkv"), "{}", told.stdout);
    room.run("travel --task task_5.mkv -o again.mkv").good();
    assert!(room.frames("again.mkv", "rgb24", (96, 64)) == film);
    let error = room.run(&format!("guide --task task.json {maps} --json")).fails(3).event("error");
    assert!(error["message"].as_str().unwrap().contains("no engine is shown anything"), "{error}");
}

#[test]
fn a_final_stitch_cuts_the_clips_as_the_transitions_records_say() {
    let room = Room::new();
    for (name, frames) in [("a.mp4", 30), ("t.mp4", 25), ("b.mp4", 30)] {
        room.clip(name, frames, "16", "96x64");
    }
    let record = json!({ "transition_url": "https://x.invalid/t.mp4", "frames": 25, "gap_from_clip1": 4,
        "gap_from_clip2": 5, "context_from_clip1": 8, "context_from_clip2": 8, "blend_frames": 8 });
    fs::write(room.path("t1.json"), record.to_string()).unwrap();
    let task = json!({ "id": "6", "task_type": "join_final_stitch", "params": { "clip_list": [{ "url": "a.mp4" },
        { "url": "b.mp4" }], "transition_task_ids": ["t1"], "blend_frames": 8, "fps": 16 } });
    fs::write(room.path("task.json"), task.to_string()).unwrap();
    let run = room.run("join --task task.json --map t1=t1.json --json").good();
    assert_eq!(run.event("result")["frames"], (30 - 4) + 25 + (30 - 5) - 16);
    let told = room.run("inspect task.json --map t1=t1.json").good();
    assert!(told.stdout.contains("3 pieces, overlapping by 8, 8"), "{}", told.stdout);
    let told = room.run("inspect task_6.mp4").good();
    assert!(told.stdout.contains("wanctl join --task task_6.mp4"), "{}", told.stdout);
}

/// Two phases, one LoRA in the first.
fn config(steps: [usize; 2], shift: f64, lora: &str) -> Value {
    json!({ "steps_per_phase": steps, "flow_shift": shift, "sample_solver": "euler", "model_switch_phase": 1,
        "phases": [{ "guidance_scale": 2, "loras": [{ "url": format!("https://x.invalid/{lora}"), "multiplier": 0.5 }] },
            { "guidance_scale": 1 }] })
}

/// A way whose second segment has phases of its own.
fn sampled_apart() -> Room {
    let room = room();
    room.way(|task| {
        let details = &mut task["params"]["orchestrator_details"];
        details["phase_config"] = config([2, 1], 5.0, "all.safetensors");
        details["phase_configs_expanded"] = json!([null, config([1, 3], 8.0, "own.safetensors")]);
    });
    for name in ["all", "own"] {
        lora(&room, &format!("assets/{name}.safetensors"));
    }
    room
}

#[test]
fn segments_are_sampled_each_by_its_own_phases() {
    let room = sampled_apart().with("WANCTL_ENGINE", fake().to_str().unwrap());
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan/tiny");
    let words = format!("travel --task task.json --assets assets --model {tiny} --device cpu");
    room.run(&format!("{words} --keep -o film.mp4")).good();
    let run = fs::read_dir(room.path("runs")).unwrap().next().unwrap().unwrap().path();
    let wan = |segment: usize| -> Value {
        let request = fs::read(run.join(format!("seam_{segment:02}/request.json"))).unwrap();
        serde_json::from_slice::<Value>(&request).unwrap()["maker"]["wan"].clone()
    };
    let experts = |wan: &Value| -> Vec<String> {
        let steps = wan["steps"].as_array().unwrap();
        steps.iter().map(|step| format!("{} {}", step["expert"].as_str().unwrap(), step["guidance"])).collect()
    };
    assert_eq!(experts(&wan(0)), ["high 2.0", "high 2.0", "low 1.0"]);
    assert_eq!(experts(&wan(1)), ["high 2.0", "low 1.0", "low 1.0", "low 1.0"]);
    for (segment, name, strengths) in [(0, "all", json!([0.5, 0.5, 0.0])), (1, "own", json!([0.5, 0.0, 0.0, 0.0]))] {
        let loras = wan(segment)["loras"].clone();
        assert!(loras[0]["file"].as_str().unwrap().ends_with(&format!("assets/{name}.safetensors")), "{loras}");
        assert_eq!((loras.as_array().unwrap().len(), &loras[0]["strengths"]), (1, &strengths));
    }
    assert_ne!(wan(0)["steps"][1]["sigma"], wan(1)["steps"][1]["sigma"], "another shift");
    // What is recorded says who said it, and is the same again.
    let manifest: Value = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    let own = &manifest["settings"]["wan"]["segments"];
    let place = "task task.json, params.orchestrator_details.phase_configs_expanded[1]";
    assert_eq!(
        (&own[0], &own[1]["phases"]["from"], &own[1]["shift"]["from"]),
        (&Value::Null, &place.into(), &place.into())
    );
    let wans = |words: &str| {
        let plan = room.run(&format!("{words} --dry-run --json")).good().event("plan");
        let wan = &plan["settings"]["wan"];
        json!([wan["schedule"], wan["segments"][1]["schedule"], wan["segments"][1]["loras"]["value"]])
    };
    assert_eq!(wans(&words), wans("travel --task film.mp4"));
    let dry = room.run(&format!("{words} --dry-run")).good();
    let told =
        format!("segment  2\nsettings {place}: steps 4, phases 1 high+3 low, guidance 2;1, shift 8, solver euler");
    assert!(dry.stdout.contains("segment  1\nlora 1 ") && dry.stdout.contains(&told), "{}", dry.stdout);
}

#[test]
fn a_task_is_inspected_with_the_phases_of_each_segment() {
    let room = sampled_apart();
    let told = room.run("inspect task.json --assets assets").good();
    for words in [
        "lora      assets/own.safetensors, 0.5;0",
        "segment   1\n  lora 1    assets/all.safetensors (0.5;0)",
        "segment   2\n  settings  task task.json, params.orchestrator_details.phase_configs_expanded[1]: steps 4, ",
    ] {
        assert!(told.stdout.contains(words), "{words} in {}", told.stdout);
    }
    let task = room.run("inspect task.json --assets assets --json").good().event("task");
    let segments = &task["sampler"]["segments"];
    assert_eq!((&segments[0], segments[1]["schedule"].as_array().unwrap().len()), (&Value::Null, 4));
    assert_eq!(segments[1]["thresholds"].as_array().unwrap().len(), 1);
    room.way(|task| {
        let details = &mut task["params"]["orchestrator_details"];
        details["phase_configs_expanded"] = json!([config([1, 0], 5.0, "own.safetensors")]);
    });
    let run = room.run("inspect task.json").fails(3);
    for words in [
        "params.orchestrator_details.phase_configs_expanded: wanted 2 entries, one for each segment, found",
        "params.orchestrator_details.phase_configs_expanded[0].steps_per_phase[1]: wanted one step at least, found 0",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
}
