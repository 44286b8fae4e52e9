//! `inspect`: facts that can be trusted, and what a join would be or why it cannot be.

use serde_json::json;

use super::{harness::Room, material::EXACT};

#[test]
fn a_clips_facts_are_printed() {
    let room = Room::new();
    room.real_pair();
    let run = room.run("inspect a.mp4").good();
    for words in [
        "a.mp4\n",
        "frames    26, 1.040 s, 25 fps (25/1)",
        "video     h264 Constrained Baseline, yuv420p, 8 bit",
        "size      160x90",
        "colour    bt601, limited range (untagged, by size)",
        "sound     aac, 48000 Hz, stereo",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    assert_eq!(run.stderr, "");
    assert_eq!(room.files(), ["a.mp4", "b.mp4"]);
}

#[test]
fn unusual_facts_are_printed_too() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 12, "30000/1001");
    room.ffmpeg(&format!("-i a.mp4 -vf setsar=4/3 -colorspace bt709 {EXACT} narrow.mp4"));
    // ffmpeg 5.1 counts this against the clock.
    room.ffmpeg("-i narrow.mp4 -c copy -metadata:s:v rotate=90 turned.mp4");
    let run = room.run("inspect turned.mp4").good();
    for words in [
        "29.97 fps (30000/1001)",
        "36x85 as shown; stored 64x36, turned by 270°, pixel aspect 4/3",
        "bt709, limited range (tagged)",
        "sound     none",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    room.numbered("a.mp4", 20, 40, "30000/1001");
    room.ffmpeg(&format!("-i a.mp4 -vf select=not(eq(n\\,4)) -fps_mode vfr -pix_fmt yuv422p10le {EXACT} deep.mkv"));
    let run = room.run("inspect deep.mkv").good();
    for words in ["frames    39, 1.33", "variable, taken as 29.97 fps (its header's rate", "yuv422p10le, 10 bit"] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
}

#[test]
fn images_are_told_from_clips_and_several_files_are_shown_in_order() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 12, "25");
    room.ffmpeg("-i a.mp4 -frames:v 1 one.png");
    room.ffmpeg("-i a.mp4 -frames:v 1 -pix_fmt yuvj420p one.jpg");
    let run = room.run("inspect one.png a.mp4 one.jpg").good();
    let places =
        ["one.png\n", "a still image", "a.mp4\n", "12, 0.480 s", "one.jpg\n"].map(|words| run.stdout.find(words));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}", run.stdout);
    assert!(!run.stdout.contains("joined"));
    let run = room.run("inspect one.png a.mp4 one.jpg --json").good();
    let kinds: Vec<_> = run.events().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["image", "clip", "image"]);
    assert_eq!(run.events()[2]["size"], json!([64, 36]));
}

#[test]
fn what_becomes_of_an_image_is_said_and_a_bad_one_is_a_problem_by_name() {
    let room = Room::new();
    room.ffmpeg("-f lavfi -i color=red@0.4:size=64x48,format=rgba -frames:v 1 -pix_fmt rgba64be glass.png");
    room.ffmpeg("-f lavfi -i testsrc2=size=64x48:rate=8 -frames:v 3 -c:v libwebp_anim moves.webp");
    assert_eq!(room.run("inspect moves.webp --json").good().event("clip")["frames"], 3);
    std::fs::write(room.path("cut.png"), &std::fs::read(room.path("glass.png")).unwrap()[..90]).unwrap();
    let run = room.run("inspect glass.png").good();
    for words in ["a still image", "png, 16 bit", "64x48", "transparent in places; laid over white (#ffffff)"] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    for (name, problem) in [("cut.png", "cut.png is a damaged PNG image"), ("gone.png", "gone.png does not exist")] {
        let run = room.run(&format!("inspect {name}")).fails(3);
        assert!(run.stdout.contains(&format!("problem {problem}")), "{}", run.stdout);
    }
}

#[test]
fn of_several_clips_the_join_is_shown() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 30, "25");
    room.numbered("b.mp4", 20, 30, "30");
    let run = room.run("inspect a.mp4 b.mp4").good();
    for words in ["joined, with no other word", "30..82", "b.mp4 runs at 30 fps and was resampled to 25"] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    let run = room.run("inspect a.mp4 b.mp4 --json").good();
    let events = run.events();
    assert_eq!(events.len(), 3);
    let (clip, join) = (&events[0], &events[2]);
    assert_eq!(
        (&clip["type"], &clip["path"], &clip["frames"], &clip["fps"]),
        (&"clip".into(), &"a.mp4".into(), &30.into(), &"25/1".into())
    );
    assert_eq!(
        (&join["type"], &join["possible"], &join["warnings"][0]["code"]),
        (&"join".into(), &true.into(), &"resampled".into())
    );
    let dry = room.run("join a.mp4 b.mp4 --dry-run --json").good();
    assert_eq!(join["plan"], dry.event("plan")["plan"]);
}

#[test]
fn a_bad_file_among_good_ones_is_said_and_the_others_are_shown() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 12, "25");
    std::fs::write(room.path("text.mp4"), "no video at all").unwrap();
    let run = room.run("inspect a.mp4 text.mp4 gone.mp4 a.mp4").fails(3);
    for words in [
        "frames    12",
        "problem text.mp4 is no video and no image that ffmpeg can read",
        "problem gone.mp4 does not exist",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    assert_eq!(run.stdout.matches("frames    12").count(), 2);
    let run = room.run("inspect a.mp4 text.mp4 --json").fails(3);
    let problem = &run.events()[1];
    assert_eq!((&problem["type"], &problem["path"]), (&"problem".into(), &"text.mp4".into()));
    assert_eq!((&problem["problem"]["code"], &problem["problem"]["exit"]), (&"input".into(), &3.into()));
}

#[test]
fn a_join_that_cannot_be_is_explained() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 30, "25");
    room.ffmpeg("-i a.mp4 -frames:v 1 one.mp4");
    // One frame is a clip, though a short one.
    let run = room.run("inspect a.mp4 one.mp4").good();
    assert!(run.stdout.contains("one.mp4 is short: 1 frame of context"), "{}", run.stdout);
    let run = room.run("join a.mp4 one.mp4 --mode replace --gap 40 --json").fails(3);
    let error = run.event("error");
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    assert_eq!((text("code"), text("stage")), ("input".into(), "plan".into()));
    assert!(text("message").contains("one.mp4") && text("message").contains("40"), "{error}");
    assert!(text("help").contains("--gap"), "{error}");
}
