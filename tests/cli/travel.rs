//! Journeys through images as people ask for them: where each image stands, stories, and what is refused.

use std::fs;

use serde_json::{Value, json};

use super::{
    harness::{Room, psnr},
    refusals::can,
};

const SIZE: (usize, usize) = (160, 90);

fn room(images: usize) -> Room {
    let room = Room::new();
    room.stills(&["a.png", "b.png", "c.png", "d.png", "e.png"][..images]);
    room
}

/// The frames of the film that show an image, as the plan names them.
fn keys(plan: &Value) -> Vec<usize> {
    plan["plan"]["keys"].as_array().unwrap().iter().map(|key| key["frame"].as_u64().unwrap() as usize).collect()
}

#[test]
fn every_image_stands_at_its_printed_frame() {
    let room = room(3);
    let images = ["a.png", "b.png", "c.png"].map(|image| (image, room.picture(image, SIZE)));
    for (words, wanted, frames) in [
        ("--frames 17", vec![0, 16, 32], 33),
        ("--frames 17 --overlap 4", vec![0, 16, 32], 33),
        ("--frames 17 --loop", vec![0, 16, 32], 48),
        ("--round up --frames 14", vec![0, 16, 32], 33),
        ("--frames 17 --lengths unrounded --overlap 6", vec![0, 16, 31], 32),
    ] {
        let run = room.run(&format!("travel a.png b.png c.png --lossless --overwrite --json {words}")).good();
        assert_eq!(keys(&run.event("plan")), wanted, "{words}");
        assert_eq!(run.event("result")["frames"], frames, "{words}");
        assert_eq!(run.event("result")["output"], "a_travel_c.mkv");
        let film = room.frames("a_travel_c.mkv", "rgb24", SIZE);
        for ((image, picture), at) in images.iter().zip(wanted) {
            assert!(film[at] == *picture, "{words}: {image} at {at}");
        }
    }
}

#[test]
fn a_sharpened_cross_fade_changes_only_the_frames_that_cross_fade() {
    let room = room(3);
    let film = |curve: &str| {
        let words = "travel a.png b.png c.png --frames 17 --lengths unrounded --overlap 6 --lossless --overwrite";
        room.run(&format!("{words} --engine dissolve --curve {curve}")).good();
        room.frames("a_travel_c.mkv", "rgb24", SIZE)
    };
    let (even, sharpened) = (film("even"), film("sharpened"));
    let changed: Vec<usize> = (0..32).filter(|&frame| even[frame] != sharpened[frame]).collect();
    assert_eq!(changed, (11..17).collect::<Vec<_>>());
    room.run("travel a.png b.png --curve cubic").fails(2).says("possible values: even, sharpened");
    let run = room.run("travel a.png b.png c.png --overlap 4 --frames 17 --curve sharpened --dry-run").good();
    assert!(run.stdout.contains("curve sharpened by 0.3"), "{}", run.stdout);
}

#[test]
fn an_encoded_film_passes_close_to_every_image() {
    let room = room(3);
    let run = room.run("travel a.png b.png c.png --frames 9").good();
    assert!(run.stderr.contains("17 frames at 16 fps, decoded and counted"), "{}", run.stderr);
    let film = room.frames("a_travel_c.mp4", "rgb24", SIZE);
    for (image, at) in [("a.png", 0), ("b.png", 8), ("c.png", 16)] {
        let near = psnr(&film[at], &room.picture(image, SIZE));
        assert!(near > 34.0, "{image}: {near} dB");
    }
}

#[test]
fn a_dry_run_says_frame_and_time_of_each_image() {
    let room = room(3);
    let run = room.run("travel a.png b.png c.png --frames 17 --fps 24 --dry-run").good();
    for words in
        ["frame 0       0 s           a.png", "frame 16      2/3 s         b.png", "frame 32      4/3 s         c.png"]
    {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    assert_eq!(room.files(), ["a.png", "b.png", "c.png"]);
}

#[test]
fn a_single_image_starts_a_segment() {
    let room = room(1);
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan/tiny");
    let run = room.run(&format!("travel a.png --frames 9 --engine wan --model {tiny} --dry-run")).good();
    for words in ["film     a_travel.mp4", "9 frames"] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    // An engine that carries one picture over into another has nowhere to go.
    room.run("travel a.png --frames 9").fails(2).says("segment 1 has no image to go to");
}

#[test]
fn a_journey_goes_on_from_a_clip() {
    let room = room(2);
    room.clip("before.mp4", 20, "24", "160x90");
    let run = room.run("travel a.png b.png --continue before.mp4 --frames 17 --json").good();
    // The clip's last frame is where the first segment starts.
    assert_eq!(run.event("result")["frames"], 20 + 16 + 16);
    assert_eq!(keys(&run.event("plan")), [35, 51]);
    let film = room.frames("a_travel_b.mp4", "rgb24", SIZE);
    assert!(psnr(&film[10], &room.frames("before.mp4", "rgb24", SIZE)[10]) > 30.0);
    let error = room.run("travel a.png b.png --continue before.mp4 --loop --json -o loop.mp4").fails(2).event("error");
    assert!(error["message"].as_str().unwrap().contains("cannot loop back to its first image"), "{error}");
}

#[test]
fn inputs_of_one_name_and_one_input_twice_are_fine() {
    let room = room(2);
    fs::create_dir(room.path("other")).unwrap();
    fs::copy(room.path("b.png"), room.path("other/a.png")).unwrap();
    let run = room.run("travel a.png other/a.png --frames 9 --lossless").good();
    assert_eq!(run.stdout, "a_travel_a.mkv\n");
    let film = room.frames("a_travel_a.mkv", "rgb24", SIZE);
    assert!(film[0] == room.picture("a.png", SIZE) && film[8] == room.picture("other/a.png", SIZE));
    let run = room.run("travel a.png a.png b.png --frames 9 --lossless --json").good();
    assert_eq!(run.event("result")["frames"], 17);
    let film = room.frames("a_travel_b.mkv", "rgb24", SIZE);
    assert!(film[0] == film[8]);
}

#[test]
fn an_input_is_never_the_output() {
    let room = room(1);
    room.clip("before.mp4", 20, "24", "160x90");
    let before = fs::read(room.path("before.mp4")).unwrap();
    let words = "travel a.png --continue before.mp4 -o before.mp4 --overwrite --json";
    let error = room.run(words).fails(2).event("error");
    assert!(error["message"].as_str().unwrap().contains("before.mp4 is one of the inputs"), "{error}");
    assert_eq!(fs::read(room.path("before.mp4")).unwrap(), before);
}

#[test]
fn a_story_says_it_all_and_the_command_line_has_the_last_word() {
    let room = room(3);
    fs::create_dir(room.path("tale")).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        fs::rename(room.path(name), room.path("tale").join(name)).unwrap();
    }
    let story = "images: [a.png, {image: b.png, frames: 9}, c.png]\nframes: 13\nfps: 12\nsize: 80x48\nfit: pad\n";
    fs::write(room.path("tale/story.yaml"), story).unwrap();
    let run = room.run("travel --story tale/story.yaml --json").good();
    assert_eq!((&run.event("result")["frames"], &run.event("result")["fps"]), (&21.into(), &"12/1".into()));
    let settings = run.event("plan")["settings"]["plan"].clone();
    assert_eq!(
        (&settings["frames"]["value"], &settings["frames"]["from"]),
        (&json!([13, 9]), &"story tale/story.yaml".into())
    );
    assert_eq!(run.event("plan")["plan"]["size"], json!([80, 48]));
    let run = room.run("travel --story tale/story.yaml --frames 5 --overwrite --json").good();
    assert_eq!(run.event("result")["frames"], 9);
    let run = room.run("travel tale/c.png tale/a.png tale/b.png --story tale/story.yaml --dry-run").good();
    assert!(run.stdout.contains("frame 0       0 s           c.png"), "{}", run.stdout);
}

#[test]
fn a_story_that_cannot_be_meant_is_refused_with_its_place() {
    let room = room(2);
    for (text, words) in [
        ("images: &a [*a]", "recursion limit"),
        ("image: [a.png]", "did you mean `images`?"),
        ("images: [{image: a.png, promt: x}, b.png]", "did you mean `prompt`?"),
        ("images: [a.png, b.png]\nsegments: [{}, {}, {}]", "segment 3 has no image to start from"),
        ("images: [a.png, b.png, a.png]\nsegments: [{prompt: x}]", "1 segments are said, and 3 images have 2 between"),
        ("images: []", "a travel needs an image"),
        ("images: [gone.png]", "gone.png"),
    ] {
        fs::write(room.path("story.yaml"), text).unwrap();
        let run = room.run("travel --story story.yaml --json");
        assert!([2, 3].contains(&run.code), "{text}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{text}: {}", run.stderr);
    }
    assert_eq!(room.files(), ["a.png", "b.png", "story.yaml"]);
}

#[test]
fn numbers_that_make_no_journey_are_refused() {
    let room = room(3);
    for (words, message) in [
        ("--overlap 6", "no multiple of 4"),
        ("--frames 9 --overlap 12", "cannot show 12 frames of what went before"),
        ("--frames 1", "is too short"),
        ("--frames 200", "more than the 129"),
        ("--strength 2", "strength is 2"),
        ("--desaturate -1", "desaturate is -1"),
        ("--brightness 3", "brightness is 3"),
        ("--segment 3", "there is no segment 3: the film has 2 segments"),
    ] {
        let run = room.run(&format!("travel a.png b.png c.png {words} --json")).fails(2);
        let error = run.event("error");
        assert!(error["message"].as_str().unwrap().contains(message), "{words}: {error}");
        assert!(error["help"].is_string(), "{error}");
    }
    for words in ["--gap 8", "--context 8", "--transition t.mp4", "--range 1..2", "--seed-mode odd", "--round sideways"]
    {
        assert_eq!(room.run(&format!("travel a.png b.png {words}")).code, 2, "{words}");
    }
    for (kind, instead) in [("flow", "use raw"), ("depth", "use raw"), ("uni3c", "use raw"), ("canny", "use edges")] {
        room.run(&format!("travel a.png b.png --structure s.mp4,{kind}")).fails(2).says(kind).says(instead);
    }
    let run = room.run("travel a.png b.png --structure s.mp4 --json").fails(2).event("error");
    assert!(run["message"].as_str().unwrap().contains("--engine dissolve takes no structure clip"), "{run}");
    let run = room.run("travel a.png b.png --seed-mode hash --json").fails(2).event("error");
    assert!(run["message"].as_str().unwrap().contains("takes no --seed-mode"), "{run}");
}

#[test]
fn guides_are_of_videos_or_of_images_and_not_of_both() {
    let room = room(2);
    room.real_pair();
    room.run("guide a.png b.png --frames 9").good();
    assert!(room.path("a_guide_b/sheet.png").exists());
    let plan: Value = serde_json::from_slice(&fs::read(room.path("a_guide_b/plan.json")).unwrap()).unwrap();
    assert_eq!((&plan["command"], &plan["seams"][0]["guide_frames"]), (&"travel".into(), &9.into()));
    let run = room.run("guide a.png b.mp4 -o g --json").fails(2).event("error");
    assert!(run["message"].as_str().unwrap().contains("a.png is an image, and b.mp4 a video"), "{run}");
    let run = room.run("guide a.png b.png --gap 9 -o g --json").fails(2).event("error");
    assert!(run["message"].as_str().unwrap().contains("--gap is of a join of clips"), "{run}");
    let run = room.run("guide a.mp4 b.mp4 --frames 9 -o g --json").fails(2).event("error");
    assert!(run["message"].as_str().unwrap().contains("--frames is of a travel"), "{run}");
    room.run("join a.png b.png").fails(3).says("is a still image");
    room.run("travel a.mp4 b.mp4").fails(3).says("is a video");
}

#[test]
fn prompts_are_one_for_all_or_one_for_each_segment() {
    let room = room(3);
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan/tiny");
    for prompts in ["one\n", "one\ntwo\nthree\n"] {
        fs::write(room.path("prompts.txt"), prompts).unwrap();
        let words =
            format!("travel a.png b.png c.png --engine wan --model {tiny} --prompts prompts.txt --dry-run --json");
        let error = room.run(&words).fails(2).event("error");
        assert!(error["message"].as_str().unwrap().contains("prompts, and the film has 2 segments"), "{error}");
    }
    for seeds in [("same", [7, 7]), ("increment", [7, 8]), ("hash", [1340265452, 890799651])] {
        let words = format!(
            "travel a.png b.png c.png --frames 9 --engine wan --model {tiny} --seed 7 --seed-mode {} --emit slurm --json",
            seeds.0
        );
        let run = room.run(&words).good();
        let folder = run.event("result")["run_folder"].as_str().unwrap().to_owned();
        let manifest: Value = serde_json::from_slice(&fs::read(format!("{folder}/run.json")).unwrap()).unwrap();
        assert_eq!(manifest["seeds"], json!(seeds.1), "{}", seeds.0);
    }
}

#[test]
fn a_film_that_is_a_journey_is_made_again_from_itself() {
    let room = room(3);
    let first = room.run("travel a.png b.png c.png --frames 9 --overlap 4 --lossless --brightness 0.1 --json").good();
    room.run("travel --task a_travel_c.mkv -o again.mkv").good();
    assert!(room.frames("again.mkv", "rgb24", SIZE) == room.frames("a_travel_c.mkv", "rgb24", SIZE));
    let error = room.run("join --task a_travel_c.mkv -o other.mkv --json").fails(3).event("error");
    assert!(error["help"].as_str().unwrap().contains("wanctl travel --task"), "{error}");
    assert!(first.event("result")["seeds"].is_null());
}

#[test]
fn a_full_disk_in_the_middle_leaves_no_film() {
    if !can("mount a small disk", "unshare -m sh -c 'mount -t tmpfs -o size=64k none /mnt'") {
        return;
    }
    let room = room(3);
    fs::create_dir(room.path("small")).unwrap();
    let program = env!("CARGO_BIN_EXE_wanctl");
    let shell = format!(
        "mount -t tmpfs -o size=128k none small && {program} travel a.png b.png c.png --engine dissolve --frames 33 \
         --lossless -o small/film.mkv --json; code=$?; ls -A small; exit $code"
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", &shell]).current_dir(room.path(""));
    let output = command.env("WANCTL_WORK_DIR", room.path("runs")).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(said.contains("no space left"), "{said}");
    assert!(said.trim_end().ends_with('}'), "nothing is left on it: {said}");
}
