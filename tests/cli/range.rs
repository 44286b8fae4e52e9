//! Ranges of one clip, made again in their places: the rest is the clip's own, and so are its length and its sound.
#![allow(clippy::single_range_in_vec_init, reason = "one range is meant, not its numbers")]

use std::fs;

use serde_json::{Value, json};

use super::{
    film::assert_follows,
    harness::Room,
    material::{EXACT, SMALL, farthest, flat_yuv, shown},
};

#[test]
#[ignore = "slow: seven films"]
fn everything_but_the_range_is_the_clips_own_byte_for_byte() {
    let room = Room::new();
    room.pattern("a.mp4", 0, 40, "25");
    let clips = [room.rgb("a.mp4", "bt601", "tv", SMALL)];
    // Words, and how many frames are copied, blended and made.
    for (words, counts) in [
        ("--range 12..20", [32, 0, 8]),
        ("--range 12..21 --align exact", [31, 0, 9]),
        ("--range 12..22 --blend 3", [24, 6, 10]),
        ("--range 5..7 --range 9..20 --range 30..39", [18, 0, 22]),
        ("--range 5..7 --range 9..20 --blend 2 --context 3", [21, 6, 13]),
        ("--range 1..39", [2, 0, 38]),
    ] {
        let (plan, run) = room.joined(&format!("a.mp4 {words} --lossless --overwrite -o film.mkv"));
        let film = room.frames("film.mkv", "rgb24", SMALL);
        assert_eq!(assert_follows(&plan, &clips, &film), counts, "{words}");
        assert_eq!((film.len(), &run.event("result")["frames"]), (40, &json!(40)));
    }
    // In its own YUV too.
    let own = room.frames("a.mp4", "yuv420p", SMALL);
    room.run("join a.mp4 --range 12..20 --crf 0").good();
    let film = room.frames("a_range.mp4", "yuv420p", SMALL);
    assert!(film[..12] == own[..12] && film[20..] == own[20..]);
    assert!(film[12..20].iter().zip(&own[12..20]).all(|(film, own)| farthest(film, own) > 0));
}

#[test]
fn the_sound_is_the_clips_own_from_end_to_end() {
    let room = Room::new();
    room.pattern("mute.mp4", 0, 40, "25");
    room.ffmpeg(
        "-i mute.mp4 -f lavfi -i anoisesrc=r=48000:seed=7:a=0.5:d=1.6 -map 0:v -map 1:a -c:v copy -c:a pcm_s16le a.mkv",
    );
    room.run("join a.mkv --range 3..9 --range 12..30 --lossless").good();
    let sound = |name: &str| room.ffmpeg(&format!("-i {name} -map 0:a -f s16le -"));
    let (own, film) = (sound("a.mkv"), sound("a_range.mkv"));
    assert_eq!(own.len(), 48000 * 2 * 8 / 5);
    assert!(film == own, "{} and {} bytes", own.len(), film.len());
}

#[test]
fn a_film_of_ranges_that_is_made_again_is_named_after_its_range() {
    let room = Room::new();
    room.pattern("a.mp4", 0, 40, "25");
    room.run("join a.mp4 --range 12..16 --engine dissolve -o first.mp4").good();
    let run = room.run("join --task first.mp4 --dry-run").good();
    assert!(run.stdout.contains("a_range.mp4"), "{}", run.stdout);
}

#[test]
fn the_plan_says_what_is_made_and_what_it_is_shown() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 60, "25");
    let people = room.run("join a.mp4 --range 20..37 --dry-run").good();
    for words in [
        "a_range.mp4",
        "60 frames, 2.400 s",
        "seam 1   a.mp4 20..37, made again",
        "asked 8 + 17 + 8, used 8 + 17 + 8: 33 frames for the engine, 17 of them to make",
        "3 frames beside it made too and not used",
        "20..37        made at seam 1 (17 frames)",
        "ranges 20..37",
    ] {
        assert!(people.stdout.contains(words), "{words} in {}", people.stdout);
    }
    let (plan, _) = room.joined("a.mp4 --range 20..37 --dry-run");
    assert_eq!((&plan["seams"][0]["range"], &plan["command"]), (&json!([20, 37]), &json!("join")));
    room.run("join a.mp4 --range 2..20 --dry-run").good().says("2..20 of a.mp4 has 2 frames of context before it");
    assert_eq!(room.files(), ["a.mp4"]);
}

#[test]
fn a_guide_shows_hints_and_masks_them() {
    let room = Room::new();
    let tone = |frame: usize| 20 + 5 * frame as u8;
    let own: Vec<_> = (0..40).map(|frame| flat_yuv(tone(frame), SMALL)).collect();
    room.raw_clip("a.mp4", "yuv420p", SMALL, "25", &own, EXACT);
    let run = room.run("guide a.mp4 --range 10..17 --range 30..40").good();
    assert_eq!(run.stdout, "a_guide\n");
    let plan: Value = serde_json::from_slice(&fs::read(room.path("a_guide/plan.json")).unwrap()).unwrap();
    for number in 0..2 {
        let seam = &plan["seams"][number];
        let kinds: Vec<_> =
            seam["slots"].as_array().unwrap().iter().flat_map(|run| run.as_object().unwrap().keys()).collect();
        assert!(kinds.iter().any(|kind| *kind == "hint"), "{seam}");
        let folder = format!("a_guide/seam_0{}", number + 1);
        let guide = room.frames(&format!("{folder}/guide.mp4"), "yuv420p", SMALL);
        let mask = room.frames(&format!("{folder}/mask.mp4"), "gray", SMALL);
        let slots = shown(seam);
        assert_eq!((guide.len(), mask.len()), (slots.len(), slots.len()));
        let mut at = 0;
        for run in seam["slots"].as_array().unwrap() {
            let (kind, body) = run.as_object().unwrap().iter().next().unwrap();
            let count = match kind.as_str() {
                "fill" => body.as_u64().unwrap(),
                _ => body["frames"][1].as_u64().unwrap() - body["frames"][0].as_u64().unwrap(),
            } as usize;
            for index in at..at + count {
                let white = if kind == "keep" { 0 } else { 255 };
                assert!(mask[index].iter().all(|sample| *sample == white), "mask {index} of {number}");
                if let Some((_, frame)) = slots[index] {
                    let found = guide[index][0];
                    assert!(found.abs_diff(tone(frame)) <= 2, "guide {index} is {found}, not {frame}");
                }
            }
            at += count;
        }
        assert!(room.path(format!("{folder}/sheet.png")).exists());
    }
}

#[test]
fn the_bare_piece_and_the_film_once_more() {
    let room = Room::new();
    room.pattern("a.mp4", 0, 40, "25");
    room.run("join a.mp4 --range 12..20 --range 30..33 --lossless --transition t.mkv").good();
    let film = room.frames("a_range.mkv", "rgb24", SMALL);
    // Nine frames before the first range and eight after it.
    assert!(room.frames("t_1.mkv", "rgb24", SMALL) == film[3..28]);
    room.run("join --task a_range.mkv -o again.mkv").good();
    assert!(room.frames("again.mkv", "rgb24", SMALL) == film);
    room.run("join --task a_range.mkv --gap 9 -o more.mkv").fails(2).says("gap does not go with a range");
}

#[test]
fn at_another_rate_frames_are_counted_after_it() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 50, "25");
    let (plan, _) = room.joined("a.mp4 --range 50..60 --fps 50");
    assert_eq!((&plan["frames"], &plan["seams"][0]["range"]), (&json!(100), &json!([50, 60])));
    room.run("join a.mp4 --range 50..60 --overwrite").fails(3).says("a.mp4 has 50 frames, and 50..60 of it");
}

#[test]
fn wrong_ranges_are_refused_before_or_after_the_clip_is_opened() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 40, "25");
    for (words, code, says) in [
        ("a.mp4 --range 9..3", 2, "wrong way round"),
        ("a.mp4 --range 5..5", 2, "holds no frame"),
        ("a.mp4 --range 5", 2, "no range of frames"),
        ("a.mp4 --range -5..5", 2, "no range of frames"),
        ("nix.mp4 --range 3..9 --range 9..12", 2, "touch"),
        ("nix.mp4 --range 3..9 --range 5..12", 2, "overlap"),
        ("nix.mp4 --range 13..19 --range 5..12", 2, "not in order"),
        ("nix.mp4 a.mp4 --range 3..9", 2, "a range is of one clip, got 2"),
        ("nix.mp4 --range 3..9 --loop", 2, "loop does not go with a range"),
        ("nix.mp4 --range 3..9 --anchors", 2, "anchors does not go with a range"),
        ("nix.mp4 --range 3..9 --gap 8", 2, "gap does not go with a range"),
        ("nix.mp4 --range 3..9 --mode insert", 2, "mode does not go with a range"),
        ("a.mp4 --range 30..41", 3, "a.mp4 has 40 frames, and 30..41 of it were to be made again"),
        ("a.mp4 --range 0..40", 3, "0..40 is all of a.mp4"),
        ("a.mp4 --range 0..9", 3, "0..9 of a.mp4 has no frame before it, and the engine needs one there"),
        ("a.mp4 --range 30..40", 3, "30..40 of a.mp4 has no frame after it"),
        ("a.mp4 --range 3..9 --blend 9", 2, "a blend of 9 is longer than the context of 8"),
    ] {
        room.run(&format!("join {words}")).fails(code).says(says);
        assert_eq!(room.files(), ["a.mp4"], "{words}");
    }
    // No engine, nothing that it needs.
    room.run("guide a.mp4 --range 0..9").good();
}

#[test]
#[ignore = "slow: two films and two guides"]
fn tasks_that_make_a_part_again_are_done_and_told() {
    let room = Room::new();
    room.pattern("a.mp4", 0, 60, "25");
    let own = room.frames("a.mp4", "yuv420p", SMALL);
    let inpaint = json!({ "id": "11112222-aa", "task_type": "inpaint_frames", "params": {
        "video_path": "a.mp4", "inpaint_start_frame": 20, "inpaint_end_frame": 37, "context_frame_count": 8,
        "prompt": "a fox", "seed": 7, "fps": 16 } });
    let edit = json!({ "id": "33334444-bb", "task_type": "edit_video_orchestrator", "params": {
        "orchestrator_details": { "source_video_url": "https://x.invalid/a.mp4", "source_video_fps": 25, "run_id": "r",
            "prompt": "a fox", "portions_to_regenerate": [
                { "start_frame": 40, "end_frame": 49, "prompt": "a hare" }, { "start_frame": 5, "end_frame": 10 }] } } });
    for (task, ranges) in [(&inpaint, vec![20..37]), (&edit, vec![5..11, 40..50])] {
        fs::write(room.path("task.json"), task.to_string()).unwrap();
        let run = room.run("join --task task.json --assets . --engine dissolve --crf 0 --overwrite -o film.mp4").good();
        assert!(!run.stderr.contains("no key that wanctl knows"), "{}", run.stderr);
        let film = room.frames("film.mp4", "yuv420p", SMALL);
        assert_eq!(film.len(), 60);
        for (at, (film, own)) in film.iter().zip(&own).enumerate() {
            assert_eq!(film != own, ranges.iter().any(|range| range.contains(&at)), "frame {at}");
        }
        let seen = room.run("inspect task.json --assets . --json").good().event("task");
        let plan = &seen["plan"]["plan"];
        let made: Vec<_> = plan["seams"].as_array().unwrap().iter().map(|seam| seam["range"].clone()).collect();
        assert_eq!(made, ranges.iter().map(|range| json!([range.start, range.end])).collect::<Vec<_>>());
        assert_eq!((&plan["align"], &seen["possible"]), (&json!("exact"), &json!(true)));
        room.run("guide --task task.json --assets . --overwrite -o drawn").good();
    }
    // Without the clip the plan is one of a clip that is long enough.
    let seen = room.run("inspect task.json --json").good().event("task");
    assert_eq!((&seen["plan"]["sure"], &seen["plan"]["seams"][1]["range"]), (&json!(false), &json!([40, 50])));
    assert!(seen["sampler"].is_object());
    let mut pinned = edit;
    pinned["params"]["orchestrator_details"]["keep_bridging_images"] = json!(true);
    fs::write(room.path("task.json"), pinned.to_string()).unwrap();
    let run = room.run("join --task task.json --assets . --engine dissolve --overwrite -o film.mp4").fails(3);
    run.says("anchors does not go with a range");
}
