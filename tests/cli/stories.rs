//! `inspect` of a story: the journey that it tells, what it rests on, and what would stop it.

use std::fs;

use serde_json::{Value, json};

use super::{
    harness::{Room, Run},
    presets::{comfy, lora},
};

const STORY: &str = "\
images: [a.png, {image: b.png, prompt: hedge, frames: 9, seed: 3}, c.png]
prompt: light
frames: 13
fps: 12
";

/// A folder with a story and its three images.
fn room(story: &str) -> Room {
    let room = Room::new();
    room.stills(&["a.png", "b.png", "c.png"]);
    fs::write(room.path("story.yaml"), story).unwrap();
    room
}

#[track_caller]
fn holds(run: &Run, all: &[&str]) {
    for words in all {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
}

#[test]
fn a_story_is_shown_as_its_journey_with_who_said_what() {
    let room = room(&format!("{STORY}engine: rife\n"));
    let run = room.run("inspect story.yaml").good();
    holds(
        &run,
        &[
            "story.yaml\n  story     3 images, 2 segments\n",
            "21 frames, 1.750 s, 12 fps, 160x90",
            "image 1   a.png: 160x90",
            "segment  1 a.png to b.png",
            "13 frames for the engine, 11 of them to make",
            "segment  2 b.png to c.png",
            "  images    frame 0       0 s           a.png",
            "frame 12      1 s           b.png",
            "settings  story story.yaml: engine rife, frames 13 9, ",
            "built-in: ",
            "verdict   no input problem found\n",
        ],
    );
    assert!(!run.stdout.contains("memory") && !run.stdout.contains("sampler"), "{}", run.stdout);
    let told = room.run("inspect story.yaml --json").good();
    assert!(told.stderr.contains("prompts, seeds and LoRAs of story story.yaml"), "{}", told.stderr);
    let event = told.event("story");
    let plan = room.run("travel --story story.yaml --dry-run --json").good().event("plan");
    assert_eq!((&event["plan"]["sure"], &event["plan"]["plan"]), (&json!(true), &plan["plan"]));
    assert_eq!((&event["possible"], &event["settings"]["wan"]), (&json!(true), &Value::Null));
    let settings = &event["settings"]["plan"];
    assert_eq!(settings["frames"], json!({ "value": [13, 9], "from": "story story.yaml" }));
    assert_eq!(settings["overlap"]["from"], "built-in");
}

#[test]
fn of_a_model_every_step_is_shown_by_its_presets_names_alone() {
    let room = room(&format!("{STORY}preset: wan22-vace-lightning\n"));
    let run = room.run("inspect story.yaml").good();
    holds(
        &run,
        &[
            "preset    wan22-vace-lightning\n",
            "story story.yaml: frames 13 9, ",
            "prompts \"light\" / \"hedge\"",
            "seeds null 3",
            "settings  preset wan22-vace-lightning: engine wan, ",
            "built-in: ",
            "seed random",
            "showing the last image too, to fill its latent",
            "   1   1000.000    high         3    0.75       0",
            "memory    about ",
            "for a model of its name: the weights are not here",
            "not here  the high-noise expert",
            "verdict   no input problem found; weights are not here\n",
        ],
    );
    let event = room.run("inspect story.yaml --json").good().event("story");
    assert_eq!((&event["preset"], &event["lacks"]["code"]), (&json!("wan22-vace-lightning"), &Value::Null));
    assert_eq!(event["settings"]["wan"]["prompts"]["value"], json!(["light", "hedge"]));
    assert_eq!(event["memory"]["sure"], json!(false));
    // An image-to-video model needs no latent filled.
    fs::write(room.path("story.yaml"), format!("{STORY}preset: wan22-i2v-lightning-4\n")).unwrap();
    let event = room.run("inspect story.yaml --json").good().event("story");
    assert_eq!(event["plan"]["plan"]["mask_rule"], "frames");
    // Nobody says which model it would be.
    fs::write(room.path("story.yaml"), format!("{STORY}engine: wan\n")).unwrap();
    let event = room.run("inspect story.yaml --json").good().event("story");
    assert_eq!((&event["settings"]["wan"], &event["plan"]["sure"]), (&Value::Null, &json!(true)));
    assert!(event["lacks"]["message"].as_str().unwrap().contains("the weights of a built-in preset"), "{event}");
}

#[test]
fn with_the_weights_here_it_is_what_the_dry_run_shows() {
    let room = room(&format!("{STORY}preset: wan22-vace-fun\nseed: 7\n"));
    comfy(&room);
    let told = room.run("inspect story.yaml").good();
    let dry = room.run("travel --story story.yaml --engine wan --dry-run").good();
    // But for who names the engine.
    let lines = dry.stdout.lines().skip(1).filter(|line| !line.contains("engine wan") && !line.contains("vace-fun: "));
    for line in lines {
        let (head, rest) = line.split_at_checked(8).unwrap_or((line, ""));
        assert!(told.stdout.contains(&format!("  {head} {rest}")), "{line} in {}", told.stdout);
    }
    let event = room.run("inspect story.yaml --json").good().event("story");
    let plan = room.run("travel --story story.yaml --engine wan --dry-run --json").good().event("plan");
    let mut settings = plan["settings"].clone();
    settings["wan"].as_object_mut().unwrap().remove("models");
    settings["plan"]["engine"]["from"] = "preset wan22-vace-fun".into();
    assert_eq!(event["settings"], settings);
    assert_eq!(event["plan"], json!({ "sure": true, "plan": plan["plan"] }));
    assert_eq!((&event["lacks"], &event["memory"]["sure"]), (&Value::Null, &json!(true)));
    lora(&room, "own.safetensors");
    fs::write(room.path("story.yaml"), "images: [a.png, {image: b.png, loras: [own.safetensors=1;0]}, c.png]\n")
        .unwrap();
    let words = "travel --story story.yaml --engine wan --dry-run --json";
    let wan = room.run(words).good().event("plan")["settings"]["wan"].clone();
    assert!(wan["segments"][1]["loras"]["value"][0]["file"].as_str().unwrap().ends_with("own.safetensors"), "{wan}");
}

#[test]
fn where_nobody_names_an_engine_the_one_that_a_run_would_take_is_told() {
    let room = room(STORY);
    let run = room.run("inspect story.yaml").good();
    holds(&run, &["built-in: engine rife"]);
    assert!(run.stderr.contains("engine: rife, since no weights of a Wan model were found"), "{}", run.stderr);
    let event = room.run("inspect story.yaml --json").good().event("story");
    assert!(event["engine_because"].as_str().unwrap().starts_with("rife, since"), "{event}");
}

#[test]
fn segments_with_loras_of_their_own_are_shown_apart() {
    let stops = "[a.png, {image: b.png, loras: [own_high.safetensors=1;0;0]}, c.png, a.png]";
    let room = room(&format!("images: {stops}\npreset: wan22-vace-lightning\nloras: [all.safetensors=0.5]\n"));
    let run = room.run("inspect story.yaml").good();
    holds(
        &run,
        &[
            "segment   1, 3\n  lora 1    all.safetensors (0.5)\n",
            "segment   2\n  settings  story story.yaml: loras own_high.safetensors 1;0;0\n  lora 1    own_high.safetensors",
        ],
    );
    let wan = room.run("inspect story.yaml --json").good().event("story")["settings"]["wan"].clone();
    assert_eq!((&wan["segments"][0], &wan["segments"][2]), (&Value::Null, &Value::Null));
    assert_eq!(wan["segments"][1]["loras"]["value"][0]["strengths"], json!([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
}

#[test]
fn every_file_that_is_missing_is_named_and_the_segments_are_shown_all_the_same() {
    let room = room(STORY);
    fs::remove_file(room.path("a.png")).unwrap();
    fs::write(room.path("c.png"), "no picture").unwrap();
    let run = room.run("inspect story.yaml").fails(3);
    holds(
        &run,
        &[
            "problem a.png does not exist",
            "problem c.png is no video and no image",
            "segment  2 b.png to c.png",
            "9 frames for the engine, 7 of them to make",
            "verdict   a run would be refused\n",
        ],
    );
    assert!(!run.stdout.contains("fps, "), "what nobody knows of the film is not shown: {}", run.stdout);
    let event = room.run("inspect story.yaml --json").fails(3).event("story");
    assert_eq!((&event["possible"], &event["plan"]["sure"]), (&json!(false), &json!(false)));
    let told = |problem: &Value| [problem["code"].clone(), problem["stage"].clone()];
    let problems: Vec<_> = event["problems"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(problems, [["input", "probe"], ["input", "probe"]]);
}

#[test]
fn what_is_no_story_is_refused_as_a_story_with_its_place() {
    let room = room("");
    for (text, words) in [
        ("images: [{image: a.png, promt: x}, b.png]", "images[0]: unknown field `promt`"),
        ("images: [a.png\n  - b.png\nframes: 3\n", "at line 3 column 7"),
        ("images: &a [*a]", "recursion limit"),
        ("{\"frames\": 13, \"images\": 4}", "images: invalid type: integer `4`, expected a sequence"),
        ("continue: before.mp4\nsegments: [{frame: 3}]\n", "did you mean `frames`?"),
        ("images: [a.png, b.png]\nstepps: 4\n", "unknown field `stepps`"),
    ] {
        fs::write(room.path("story.yaml"), text).unwrap();
        let run = room.run("inspect story.yaml").fails(3);
        holds(&run, &["problem the story story.yaml is wrong: ", words, "examples/story.yaml shows"]);
        let problem = room.run("inspect story.yaml --json").fails(3).event("problem");
        assert_eq!((&problem["path"], &problem["problem"]["code"]), (&json!("story.yaml"), &json!("input")));
    }
    // What it asks can be impossible too.
    for (text, stage, words) in [
        ("images: [a.png, b.png]\nsegments: [{}, {}, {}]\n", "plan", "segment 3 has no image to start from"),
        ("images: [a.png, b.png, a.png]\nsegments: [{}]\n", "settings", "1 segments are said, and 3 images have 2"),
        ("images: [a.png, b.png]\npreset: wan22-vace-lightnin\n", "settings", "did you mean wan22-vace-lightning,"),
        ("images: [a.png, b.png]\nengine: rife\nstructure: a.png\n", "settings", "takes no structure clip"),
    ] {
        fs::write(room.path("story.yaml"), text).unwrap();
        let run = room.run("inspect story.yaml").fails(3);
        holds(&run, &["  story     ", words, "a run would be refused"]);
        let event = room.run("inspect story.yaml --json").fails(3).event("story");
        assert_eq!(event["problems"][0]["stage"], stage, "{text}");
    }
}

#[test]
fn a_story_stands_among_other_files_and_a_preset_stays_a_preset() {
    let room = room(&format!("{STORY}engine: dissolve\n"));
    fs::write(room.path("mine.yaml"), "name: mine\nengine: dissolve\ncontext: 5\n").unwrap();
    let run = room.run("inspect mine.yaml story.yaml a.png --json").good();
    let kinds: Vec<_> = run.events().iter().map(|event| event["type"].clone()).collect();
    let kinds: Vec<_> = kinds.iter().filter(|kind| *kind != "warning").collect();
    assert_eq!(kinds, ["preset", "story", "image"]);
    fs::write(room.path("mine.yaml"), "name: mine\nimages_: 4\n").unwrap();
    room.run("inspect mine.yaml").fails(3);
    assert!(room.run("inspect mine.yaml").stdout.contains("the preset mine.yaml is wrong"));
}
