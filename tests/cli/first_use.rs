//! What a new user meets: names that are wrong, films that say how they were made, options of an engine that is not here,
//! runs that were killed.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    harness::{Room, Run},
    refusals::manifest,
};

fn room() -> Room {
    let room = Room::new();
    for clip in ["a.mp4", "b.mp4"] {
        room.clip(clip, 20, "24", "64x36");
    }
    room.stills(&["a.png", "b.png"]);
    room
}

fn run(room: &Room, words: &str) -> Run {
    room.wanctl(&words.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn what_fails_before_any_work_leaves_no_run_folder() {
    let room = room();
    fs::write(room.path("clip.txt"), "no clip").unwrap();
    fs::write(room.path("task.json"), r#"{"task_type": "join_clips", "params": {"starting_video_path": "gone.mp4"}}"#)
        .unwrap();
    fs::write(room.path("story.yaml"), "images: [a.png, gone.png]\nengine: dissolve\n").unwrap();
    fs::write(room.path("bad.yaml"), "name: bad\nengine: dissolve\ngop: 3\n").unwrap();
    let before = room.files();
    for (words, code) in [
        ("join gone.mp4 b.mp4", 3),
        ("join a.mp4 gone.mp4", 3),
        ("join a.mp4 clip.txt", 3),
        ("join gone.mp4 --loop", 3),
        ("join gone.mp4 --range 3..5", 3),
        ("join a.mp4 --range 30..50", 3),
        ("join a.mp4 b.mp4 --audio gone.wav", 3),
        ("join a.mp4 b.mp4 --audio clip.txt", 3),
        ("join a.mp4 b.mp4 --segment 3", 2),
        ("join a.mp4 b.mp4 --stitch-only --engine rife", 3),
        ("join a.mp4 b.mp4 --preset bad.yaml", 3),
        ("join a.mp4 b.mp4 --preset gone", 3),
        ("join a.mp4 b.mp4 --engine wan", 4),
        ("join a.mp4 b.mp4 --engine wan --model gone", 4),
        ("join --task gone.json", 3),
        ("join --task task.json", 3),
        ("travel gone.png b.png", 3),
        ("travel a.png --continue gone.mp4", 3),
        ("travel a.png clip.txt", 3),
        ("travel --story story.yaml", 3),
        ("travel --story gone.yaml", 3),
        ("guide gone.mp4 b.mp4", 3),
        ("guide a.png gone.png", 3),
        ("guide --task task.json", 3),
        ("join gone.mp4 b.mp4 --resume", 3),
        ("join gone.mp4 b.mp4 --emit slurm", 3),
    ] {
        let run = run(&room, words).fails(code);
        assert!(!room.path("runs").exists(), "{words}: {}", run.stderr);
        assert_eq!(room.files(), before, "{words}");
    }
}

#[test]
fn a_run_that_is_gone_on_with_and_cannot_be_planned_stays_as_it_was() {
    let room = room();
    let broken = room.script("broken", "exit 1");
    let words = ["join", "a.mp4", "b.mp4", "--engine", "rife", "--gap", "4", "-o", "film.mp4"];
    let mut command = room.command(&words);
    assert_eq!(command.env("WANCTL_ENGINE", broken).output().unwrap().status.code(), Some(9));
    let folder = room.runs().remove(0);
    let before = manifest(&folder);
    assert_eq!(before["outcome"], "failed");
    fs::rename(room.path("b.mp4"), room.path("c.mp4")).unwrap();
    room.wanctl(&[&words[..], &["--resume"]].concat()).fails(3);
    assert_eq!(manifest(&folder), before);
    assert_eq!(room.runs().len(), 1);
}

#[test]
fn a_taken_name_is_told_before_anything_is_opened() {
    let room = room();
    let names =
        ["film.mp4", "gone_join_gone2.mp4", "gone_range.mp4", "gone_loop.mp4", "gone_travel_gone2.mp4", "t_1.mp4"];
    for name in names {
        fs::write(room.path(name), "precious").unwrap();
    }
    fs::create_dir(room.path("gone_guide_gone2")).unwrap();
    fs::write(room.path("story.yaml"), "images: [gone.png, gone2.png]\nengine: dissolve\n").unwrap();
    // No program can be started, and no input is there.
    let room = room.with("WANCTL_FFPROBE", "/nowhere/ffprobe").with("WANCTL_ENGINE", "/nowhere/engine");
    for words in [
        "join gone.mp4 gone2.mp4 -o film.mp4",
        "join gone.mp4 gone2.mp4",
        "join gone.mp4 --loop",
        "join gone.mp4 --range 3..5",
        "join gone.mp4 gone2.mp4 --engine auto",
        "join gone.mp4 gone2.mp4 gone3.mp4 -o new.mp4 --transition t.mp4",
        "join --task gone.json -o film.mp4",
        "travel gone.png gone2.png -o film.mp4",
        "travel gone.png gone2.png",
        "travel --story story.yaml",
        "guide gone.mp4 gone2.mp4",
        "guide gone.png gone2.png",
        "guide --task gone.json -o gone_guide_gone2",
    ] {
        let run = run(&room, &format!("{words} --json")).fails(8);
        assert_eq!(run.event("error")["stage"], "settings", "{words}");
        assert!(run.stderr.contains("exists already"), "{words}: {}", run.stderr);
        assert!(!run.stderr.contains("engine:"), "{words}: {}", run.stderr);
    }
    assert!(!room.path("runs").exists());
}

#[test]
fn every_film_names_the_subcommand_that_makes_it_again() {
    let room = room();
    for (words, subcommand) in [
        ("join a.mp4 b.mp4 --gap 4", "join"),
        ("join a.mp4 --loop --gap 4", "join"),
        ("join a.mp4 --range 8..12", "join"),
        ("travel a.png b.png --frames 9", "travel"),
        ("travel a.png --continue a.mp4 --frames 9", "travel"),
    ] {
        run(&room, &format!("{words} -o a_film.mp4 --overwrite")).good();
        let told = run(&room, "inspect a_film.mp4").good().stdout;
        let line = format!("wanctl {subcommand} --task a_film.mp4");
        assert!(told.contains(&line), "{words}: {told}");
        assert_eq!(run(&room, "inspect a_film.mp4 --json").good().event("clip")["made_by"], subcommand);
        // The line works as it stands.
        room.wanctl(&[subcommand, "--task", "a_film.mp4", "-o", "again.mp4", "--overwrite"]).good();
    }
    let plain = run(&room, "inspect a.mp4 --json").good();
    assert!(plain.event("clip")["made_by"].is_null());
}

#[test]
fn a_segment_that_goes_to_no_image_is_refused_by_engines_that_carry_one_picture_into_another() {
    let room = room();
    fs::write(room.path("story.yaml"), "images: [a.png, {image: b.png, frames: 9}]\n").unwrap();
    for engine in ["rife", "dissolve"] {
        for words in ["travel a.png", "travel --story story.yaml", "travel a.png --dry-run"] {
            let run = run(&room, &format!("{words} --engine {engine} --json")).fails(2);
            let error = run.event("error");
            assert_eq!(error["stage"], "plan");
            assert!(error["message"].as_str().unwrap().contains("has no image to go to"), "{error}");
        }
    }
    run(&room, "travel a.png --loop --frames 9 --engine dissolve").good();
    run(&room, "travel a.png --continue a.mp4 --frames 9 --engine dissolve -o continued.mp4").good();
    run(&room, "guide a.png --frames 9").good();
}

#[test]
fn options_of_a_wan_model_are_one_warning_where_auto_finds_none() {
    let room = room();
    let words =
        "travel a.png b.png --engine auto --frames 9 --dry-run --json --prompt x --seed 3 --steps 4 --seed-mode hash";
    let run_ = run(&room, words).good();
    let warnings: Vec<Value> = run_.events().into_iter().filter(|event| event["type"] == "warning").collect();
    let [warning] = &warnings[..] else { panic!("one warning: {warnings:?}") };
    let told = warning["message"].as_str().unwrap();
    for word in ["--prompt", "--steps", "--seed", "--seed-mode", "rife makes the frames"] {
        assert!(told.contains(word), "{word} in {told}");
    }
    run(&room, &format!("{words} --strict")).fails(2).says("--strict").says("--prompt, --steps, --seed, --seed-mode");
    for engine in ["rife", "dissolve"] {
        let named = words.replace("--engine auto", &format!("--engine {engine}"));
        run(&room, &named).fails(2).says(&format!("--engine {engine} takes no --prompt"));
    }
    fs::write(room.path("mine.yaml"), "name: mine\nengine: dissolve\n").unwrap();
    let preset = words.replace("--engine auto", "--preset mine.yaml").replace("travel a.png b.png", "join a.mp4 b.mp4");
    let preset = preset.replace(" --frames 9", "").replace(" --seed-mode hash", "");
    let words: Vec<&str> = preset.split_whitespace().collect();
    let mut command = room.command(&["join"]);
    assert_eq!(command.args(&words[1..]).output().unwrap().status.code(), Some(2));
}

#[test]
fn the_least_number_is_named_for_one_that_is_too_small() {
    let room = room();
    for (words, least) in [
        ("travel a.png b.png --frames 4", "5"),
        ("travel a.png b.png --frames 0", "5"),
        ("travel a.png b.png --frames 1 --round up", "2"),
        ("travel a.png b.png --frames 2 --round nearest", "4"),
        ("travel a.png --continue a.mp4 --frames 4", "5"),
        ("travel a.png b.png a.png --overlap 3 --frames 9", "4"),
        ("join a.mp4 b.mp4 --gap 0", "1"),
        ("join a.mp4 b.mp4 --context 0", "1"),
        ("join a.mp4 b.mp4 --segment 0", "1"),
        ("join a.mp4 b.mp4 --jobs 0", "1"),
        ("join a.mp4 b.mp4 --threads 0", "1"),
        ("join a.mp4 b.mp4 --engine wan --steps 0", "1"),
        ("join a.mp4 b.mp4 --anchors --gap 4", "12"),
    ] {
        let run = run(&room, words).fails(2);
        let named = |line: &str| line.split(|letter: char| !letter.is_ascii_digit()).any(|number| number == least);
        assert!(run.stderr.lines().any(named), "{words}: {}", run.stderr);
    }
    // The least that is named is taken.
    for words in ["--frames 5", "--frames 2 --round up", "--frames 4 --round nearest"] {
        run(&room, &format!("travel a.png b.png {words} --dry-run")).good();
    }
}

/// Starts a run and kills it as its film is encoded.
fn killed(room: &Room, words: &[&str]) {
    let mut command = room.command(&[words, &["-vv"]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let begun = lines.map_while(Result::ok).any(|line| line.contains("stage=\"film\""));
    assert!(begun, "it came to an end");
    child.kill().unwrap();
    child.wait().unwrap();
    // Its ffmpeg ends by itself when nothing more comes, and may open its file only then.
    while !room.children().is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_one_and_by_resume_elsewhere() {
    let room = room();
    fs::create_dir(room.path("elsewhere")).unwrap();
    let left = |folder: &str| {
        let entries = fs::read_dir(room.path(folder)).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".wanctl-")).count()
    };
    let words = ["join", "a.mp4", "b.mp4", "--gap", "4", "-o", "film.mp4", "--transition", "elsewhere/t.mp4"];
    killed(&room, &words);
    assert_eq!((left("."), left("elsewhere")), (1, 1));
    let folder = room.runs().remove(0);
    // Not where it wrote: it is the run that knows.
    room.wanctl(&["join", "a.mp4", "b.mp4", "--gap", "4", "-o", "elsewhere/film.mp4", "--resume"]).good();
    assert_eq!((left("."), left("elsewhere"), folder.exists()), (0, 0, false));
    killed(&room, &words);
    assert_eq!((left("."), left("elsewhere")), (1, 1));
    room.wanctl(&words).good();
    assert_eq!((left("."), left("elsewhere")), (0, 0));
}

#[test]
fn a_run_folder_is_told_with_how_it_ended_and_the_command_that_goes_on() {
    let room = room();
    killed(&room, &["join", "a.mp4", "b.mp4", "--gap", "4", "-o", "film.mp4"]);
    let folder = room.runs().remove(0);
    let path = folder.to_str().unwrap();
    let told = room.wanctl(&["inspect", path]).good().stdout;
    for words in ["wanctl join", "killed", "1 seam", "film.mp4 (not there)", "a.mp4 b.mp4 --gap 4"] {
        assert!(told.contains(words), "{words} in {told}");
    }
    let event = room.wanctl(&["inspect", path, "--json"]).good().event("run");
    assert_eq!((event["state"].as_str(), event["seams"].as_u64()), (Some("killed"), Some(1)));
    let next = event["next"].as_str().unwrap();
    assert!(next.contains("--resume") && told.contains(next), "{next}");
    let next: Vec<&str> = next.split_whitespace().skip(1).collect();
    room.wanctl(&[&next[..], &["--keep"]].concat()).good();
    let event = room.wanctl(&["inspect", path, "--json"]).good().event("run");
    assert_eq!(event["state"], "done");
    let again = event["next"].as_str().unwrap();
    assert!(again.contains("wanctl join --task") && !again.contains("--resume"), "{again}");
    // A run of it would not find its clips.
    fs::remove_file(room.path("b.mp4")).unwrap();
    let gone = room.wanctl(&["inspect", path]).fails(3);
    assert!(gone.stdout.contains("b.mp4 is not there any more"), "{}", gone.stdout);
}

#[test]
fn a_failed_run_tells_its_error_and_its_seams() {
    let room = room();
    let engine = room.script("engine", "exit 1");
    let mut command =
        room.command(&["travel", "a.png", "b.png", "--engine", "rife", "--frames", "9", "-o", "film.mp4"]);
    assert_eq!(command.env("WANCTL_ENGINE", engine).output().unwrap().status.code(), Some(9));
    let folder = room.runs().remove(0);
    let run = room.wanctl(&["inspect", folder.to_str().unwrap()]).good();
    for words in ["failed", "1 segment, 0 made", "code    engine", "wanctl travel --task"] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
}

#[test]
fn folders_that_are_no_runs_are_refused_and_say_what_they_lack() {
    let room = room();
    for name in ["empty", "broken", "foreign"] {
        fs::create_dir(room.path(name)).unwrap();
    }
    fs::write(room.path("broken/run.json"), "{\"run\": ").unwrap();
    fs::write(room.path("foreign/run.json"), "{\"scripts\": {}}").unwrap();
    for (name, says) in [
        ("empty", "is neither a run folder nor a folder of weights"),
        ("broken", "is the run.json of no run"),
        ("foreign", "it lacks `run`, `command` or `outcome`"),
    ] {
        let run = room.wanctl(&["inspect", name]).fails(3);
        assert!(run.stdout.contains(says), "{}", run.stdout);
    }
}

/// All `code` and `exit` of an event, wherever they stand.
fn codes(value: &Value, found: &mut Vec<(String, i64)>) {
    match value {
        Value::Object(fields) => {
            if let (Some(code), Some(exit)) = (fields.get("code"), fields.get("exit")) {
                found.push((code.as_str().unwrap().to_owned(), exit.as_i64().unwrap()));
            }
            fields.values().for_each(|value| codes(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| codes(value, found)),
        _ => {}
    }
}

#[test]
fn the_code_that_inspect_tells_is_the_one_that_it_ends_with() {
    let room = room();
    room.clip("c.mp4", 5, "24", "64x36");
    fs::write(room.path("bad.safetensors"), "no weights").unwrap();
    fs::write(room.path("bad.yaml"), "images: [a.png\n").unwrap();
    fs::write(room.path("far.yaml"), "images: [a.png, gone.png]\n").unwrap();
    fs::write(room.path("short.yaml"), "images: [a.png, b.png]\nframes: 3\nengine: dissolve\n").unwrap();
    fs::write(room.path("wan.yaml"), "images: [a.png, b.png]\nengine: wan\nframes: 9\n").unwrap();
    fs::write(room.path("preset.yaml"), "name: x\nengine: fast\n").unwrap();
    fs::write(room.path("bad.json"), "{").unwrap();
    fs::write(room.path("task.json"), r#"{"task_type": "join_clips", "params": {"starting_video_path": 3}}"#).unwrap();
    fs::write(room.path("text.mp4"), "no clip").unwrap();
    fs::create_dir(room.path("folder")).unwrap();
    let broken = room.script("broken", "echo broken >&2; exit 1");
    for (words, exit) in [
        ("a.mp4 b.mp4", 0),
        ("wan.yaml", 0),
        ("bad.safetensors", 3),
        ("bad.yaml", 3),
        ("far.yaml", 3),
        ("short.yaml", 3),
        ("preset.yaml", 3),
        ("bad.json", 3),
        ("task.json", 3),
        ("text.mp4", 3),
        ("gone.mp4", 3),
        ("gone/gone.mp4", 3),
        ("folder", 3),
        ("a.mp4 text.mp4 bad.safetensors a.png", 3),
        ("--list-models --models folder", 0),
        ("--no-such-option", 2),
    ] {
        let run = run(&room, &format!("inspect --json {words}")).fails(exit);
        let mut found = vec![];
        run.events().iter().for_each(|event| codes(event, &mut found));
        let wanted = match exit {
            0 => vec![],
            2 => vec![("usage".to_owned(), 2)],
            _ => vec![("input".to_owned(), 3)],
        };
        assert!(exit == 0 || !found.is_empty(), "{words}: {}", run.stdout);
        found.sort();
        found.dedup();
        assert_eq!(found, wanted, "{words}: {}", run.stdout);
    }
    // What says nothing of the file ends as a run does.
    let room = room.with("WANCTL_FFPROBE", broken);
    for words in ["a.mp4", "far.yaml a.mp4"] {
        let run = run(&room, &format!("inspect --json {words}")).fails(7);
        let error = run.event("error");
        assert_eq!((&error["code"], &error["exit"]), (&"media".into(), &7.into()));
    }
}
