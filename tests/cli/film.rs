//! Films: every frame is the one that the plan names, and the file is what was asked for.

use std::fs;

use super::{
    harness::{Room, psnr},
    material::{SMALL, Size, farthest, mix, pair, shown},
};
use serde_json::Value;

const REAL: Size = (160, 90);

/// Checks every frame of a lossless film against the clips' own frames; how many are copied, blended and made.
#[track_caller]
pub(crate) fn assert_follows(plan: &Value, clips: &[Vec<Vec<u8>>], film: &[Vec<u8>]) -> [usize; 3] {
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let dissolved = |seam: &Value, index: usize| {
        let slots = shown(seam);
        let known = |at: usize| slots[at].map(|(input, frame)| (at, &clips[input][frame]));
        let (start, from) = (0..=index).rev().find_map(known).unwrap();
        let (end, to) = (index..slots.len()).find_map(known).unwrap();
        mix(from, to, if end > start { (index - start) as f64 / (end - start) as f64 } else { 0.0 })
    };
    let (mut at, mut counted) = (0, [0; 3]);
    for piece in plan["timeline"].as_array().unwrap() {
        let (kind, body) = piece.as_object().unwrap().iter().next().unwrap();
        let (start, end) = pair(&body["frames"]);
        for step in 0..end - start {
            let index = start + step;
            let seam = || &plan["seams"][number(&body["seam"])];
            match kind.as_str() {
                "copy" => {
                    assert!(film[at] == clips[number(&body["input"])][index], "frame {at} is not {index} of {body}");
                    counted[0] += 1;
                }
                "blend" => {
                    let own = &clips[number(&body["input"])][index];
                    let made = dissolved(seam(), pair(&body["made"]).0 + step);
                    let t = (step + 1) as f64 / (end - start + 1) as f64;
                    let weight = t * t * (3.0 - 2.0 * t);
                    let to_made = pair(&body["made"]).1 <= number(&seam()["used"]["context"][0]);
                    let mixed = if to_made { mix(own, &made, weight) } else { mix(&made, own, weight) };
                    assert!(farthest(&film[at], &mixed) <= 2, "frame {at} does not blend {body}");
                    counted[1] += 1;
                }
                _ => {
                    let off = farthest(&film[at], &dissolved(seam(), index));
                    assert!(off <= 1, "frame {at} is {off} off the dissolve {index} of {body}");
                    counted[2] += 1;
                }
            }
            at += 1;
        }
    }
    assert_eq!(at, film.len());
    assert_eq!(number(&plan["frames"]), film.len());
    counted
}

#[test]
fn the_real_pair_keeps_every_frame_of_both_clips_byte_for_byte_when_lossless() {
    let room = Room::new();
    room.real_pair();
    let (plan, run) = room.joined("a.mp4 b.mp4 --lossless");
    assert_eq!(run.event("result")["output"], "a_join_b.mkv");
    let clips = ["a.mp4", "b.mp4"].map(|clip| room.rgb(clip, "bt601", "tv", REAL));
    let film = room.frames("a_join_b.mkv", "rgb24", REAL);
    assert_eq!(assert_follows(&plan, &clips, &film), [26 + 28, 0, 52]);
    let stream = room.stream("a_join_b.mkv", "v");
    assert_eq!((stream["codec_name"].as_str(), stream["r_frame_rate"].as_str()), (Some("ffv1"), Some("25/1")));
}

#[test]
fn h264_leaves_the_clips_own_yuv_alone_outside_the_seam() {
    let room = Room::new();
    room.real_pair();
    let own = [room.frames("a.mp4", "yuv420p", REAL), room.frames("b.mp4", "yuv420p", REAL)].concat();
    let outside = |name: &str| {
        let film = room.frames(name, "yuv420p", REAL);
        assert_eq!(film.len(), 26 + 12 + 28);
        [&film[..26], &film[38..]].concat()
    };
    // CRF 0 is lossless in x264: were there a conversion anywhere, bytes would differ.
    room.run("join a.mp4 b.mp4 --gap 12 --crf 0 -o exact.mp4").good();
    assert!(outside("exact.mp4") == own);
    // Blends are part of the seam: only what lies outside of them keeps its bytes.
    room.run("join a.mp4 b.mp4 --gap 12 --crf 0 --blend 3 -o blend.mp4").good();
    let blended = outside("blend.mp4");
    let same: Vec<bool> = blended.iter().zip(&own).map(|(film, own)| film == own).collect();
    assert!(same[..23].iter().chain(&same[29..]).all(|same| *same), "{same:?}");
    room.run("join a.mp4 b.mp4 --gap 12 -o film.mp4").good();
    for (index, (film, own)) in outside("film.mp4").iter().zip(&own).enumerate() {
        assert!(psnr(film, own) > 40.0, "frame {index}: {} dB", psnr(film, own));
    }
}

#[test]
#[ignore = "slow: eight films"]
fn films_of_every_shape_follow_their_plans_frame_by_frame() {
    let room = Room::new();
    let lengths = [30, 26, 34];
    for (seed, frames) in lengths.into_iter().enumerate() {
        room.pattern(&format!("{seed}.mp4"), seed, frames, "25");
    }
    let clips = [0, 1, 2].map(|seed| room.rgb(&format!("{seed}.mp4"), "bt601", "tv", SMALL));
    // Words, and how many frames are copied, blended and made.
    let films = [
        ("0.mp4 1.mp4 --mode replace", [30 + 26 - 16, 0, 16]),
        ("0.mp4 1.mp4 --mode replace --align exact --gap 9 --blend 2", [30 + 26 - 9 - 4, 4, 9]),
        ("0.mp4 1.mp4 --gap 12 --anchors --blend 4", [30 + 26 - 8, 8, 12]),
        ("0.mp4 1.mp4 2.mp4 --gap 8 --mode replace --context 4", [90 - 16, 0, 16]),
        ("0.mp4 --loop --gap 8", [30, 0, 8]),
        ("0.mp4 --loop --gap 8 --mode replace --blend 1", [30 - 8 - 2, 2, 8]),
        ("0.mp4 1.mp4 2.mp4 --loop --gap 8 --context 3", [90, 0, 24]),
        ("0.mp4 1.mp4 2.mp4 --loop --gap 8 --mode replace", [90 - 24, 0, 24]),
    ];
    for (words, counts) in films {
        let (plan, run) = room.joined(&format!("{words} --lossless --overwrite -o film.mkv"));
        let film = room.frames("film.mkv", "rgb24", SMALL);
        let input = |path: &Value| path.as_str().unwrap()[..1].parse::<usize>().unwrap();
        let inputs = plan["inputs"].as_array().unwrap().iter().map(|source| clips[input(&source["path"])].clone());
        assert_eq!(assert_follows(&plan, &inputs.collect::<Vec<_>>(), &film), counts, "{words}");
        assert_eq!(run.event("result")["frames"], film.len());
    }
}

#[test]
fn replaced_frames_are_absent_and_the_length_stays() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 30, "25");
    room.numbered("b.mp4", 120, 30, "25");
    room.run("join a.mp4 b.mp4 --mode replace --crf 0").good();
    let film = room.numbers("a_join_b.mp4", SMALL);
    assert_eq!(film.len(), 60);
    assert_eq!(film[..22], (20..42).collect::<Vec<u8>>());
    assert_eq!(film[38..], (128..150).collect::<Vec<u8>>());
    // 41 is the last of a that is shown, 128 the first of b; the 16 between rise from one to the other.
    assert!(film[21..39].is_sorted() && film[22] > 41 && film[37] < 128, "{film:?}");
    // The closing piece of a loop stands at the end and leads to the film's first frame.
    room.run("join a.mp4 --loop --mode replace --gap 8 --crf 0").good();
    let film = room.numbers("a_loop.mp4", SMALL);
    assert_eq!((film.len(), film[0], film[21]), (30, 24, 45));
    assert!(film[21..].is_sorted_by(|one, next| one > next) && film[29] > 24, "{film:?}");
}

#[test]
#[ignore = "slow: three films and a guide"]
fn stdout_is_the_path_and_the_default_name_says_what_was_joined() {
    let room = Room::new();
    room.numbered("one.mp4", 20, 12, "25");
    room.numbered("two.x.mp4", 60, 12, "25");
    fs::create_dir(room.path("in")).unwrap();
    fs::rename(room.path("one.mp4"), room.path("one clip.mp4")).unwrap();
    fs::rename(room.path("two.x.mp4"), room.path("in/two.x.mp4")).unwrap();
    let names = [
        (vec!["join", "one clip.mp4", "in/two.x.mp4"], "one clip_join_two.x.mp4"),
        (vec!["join", "in/two.x.mp4", "one clip.mp4", "in/two.x.mp4", "--codec", "ffv1"], "two.x_join_two.x.mkv"),
        (vec!["join", "one clip.mp4", "--loop"], "one clip_loop.mp4"),
        (vec!["guide", "one clip.mp4", "in/two.x.mp4"], "one clip_guide_two.x"),
    ];
    for (mut words, name) in names {
        words.extend(["--gap", "4", "--context", "1"]);
        assert_eq!(room.wanctl(&words).good().stdout, format!("{name}\n"));
        assert!(room.path(name).exists());
    }
    assert_eq!(room.files().len(), 2 + 4, "{:?}", room.files());
}

#[cfg(unix)]
#[test]
#[ignore = "slow: three runs"]
fn the_film_has_the_mode_that_the_umask_says_and_a_second_run_has_the_same_frames() {
    use std::{os::unix::fs::PermissionsExt, process::Command};
    let room = Room::new();
    room.pattern("a.mp4", 0, 12, "25");
    room.pattern("b.mp4", 1, 12, "25");
    let program = room.command(&[""; 0]).get_program().to_owned();
    let under = |umask: &str, words: &str| {
        let shell = format!("umask {umask}; exec \"$0\" {words}");
        let output = Command::new("sh").arg("-c").arg(shell).arg(&program).current_dir(room.path("")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let mode = |name: &str| fs::metadata(room.path(name)).unwrap().permissions().mode() & 0o777;
    under("022", "join a.mp4 b.mp4 -q --gap 8 --work-dir runs --transition t.mp4 -o film.mp4");
    assert_eq!((mode("film.mp4"), mode("t.mp4")), (0o644, 0o644));
    let first = room.frames("film.mp4", "yuv420p", SMALL);
    under("077", "join a.mp4 b.mp4 -q --gap 8 --work-dir runs --overwrite -o film.mp4");
    assert_eq!(mode("film.mp4"), 0o600);
    assert!(room.frames("film.mp4", "yuv420p", SMALL) == first);
    under("022", "guide a.mp4 b.mp4 -q --gap 8 --work-dir runs -o drawn");
    assert_eq!((mode("drawn"), mode("drawn/guide.mp4"), mode("drawn/plan.json")), (0o755, 0o644, 0o644));
}

#[test]
#[ignore = "slow: four encoders"]
fn every_codec_gives_a_readable_film_and_odd_rates_are_exact() {
    let room = Room::new();
    room.real_pair();
    let own = room.frames("a.mp4", "yuv420p", REAL);
    for (codec, extension, name, least) in [
        ("h264", "mov", "h264", 40.0),
        ("h265", "mp4", "hevc", 35.0),
        ("av1", "mkv", "av1", 35.0),
        ("ffv1", "mkv", "ffv1", 300.0),
    ] {
        let output = format!("{codec}.{extension}");
        room.run(&format!("join a.mp4 b.mp4 --gap 4 --codec {codec} --fps 30000/1001 -o {output}")).good();
        let stream = room.stream(&output, "v");
        assert_eq!((&stream["codec_name"], &stream["r_frame_rate"]), (&name.into(), &"30000/1001".into()));
        let film = room.frames(&output, "yuv420p", REAL);
        // 1.04 and 1.12 s are 31.17 and 33.57 frames at that rate.
        assert_eq!((film.len(), stream["nb_read_packets"].as_str()), (31 + 4 + 34, Some("69")));
        assert!(psnr(&film[0], &own[0]) > least, "{codec}: {}", psnr(&film[0], &own[0]));
    }
}

#[test]
#[ignore = "slow: two films"]
fn the_transition_is_the_bare_piece_with_its_context() {
    let room = Room::new();
    room.pattern("a.mp4", 0, 20, "25");
    room.pattern("b.mp4", 1, 20, "25");
    let (_, run) = room.joined("a.mp4 b.mp4 a.mp4 --gap 8 --lossless --transition t.mkv");
    assert_eq!(run.event("result")["transitions"], serde_json::json!(["t_1.mkv", "t_2.mkv"]));
    let film = room.frames("a_join_a.mkv", "rgb24", SMALL);
    assert!(room.frames("t_1.mkv", "rgb24", SMALL) == film[11..36]);
    assert!(room.frames("t_2.mkv", "rgb24", SMALL) == film[39..64]);
    let (_, run) = room.joined("a.mp4 b.mp4 --gap 8 --lossless --transition t.mkv");
    assert_eq!(run.event("result")["transitions"], serde_json::json!(["t.mkv"]));
    assert_eq!(room.files(), ["a.mp4", "a_join_a.mkv", "a_join_b.mkv", "b.mp4", "t.mkv", "t_1.mkv", "t_2.mkv"]);
}

#[test]
fn a_dry_run_writes_nothing_and_shows_the_plan() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 30, "25");
    room.numbered("b.mp4", 60, 30, "25");
    let people = room.run("join a.mp4 b.mp4 --dry-run").good().stdout;
    for words in ["a_join_b.mp4", "112 frames, 4.480 s, 25 fps, 64x36", "asked 8 + 53 + 8, used 9 + 52 + 8", "30..82"] {
        assert!(people.contains(words), "{words} in {people}");
    }
    let (plan, run) = room.joined("a.mp4 b.mp4 --dry-run");
    assert_eq!((run.events().len(), &plan["frames"], &plan["duration"]), (1, &112.into(), &"112/25".into()));
    room.run("guide a.mp4 b.mp4 --dry-run").good();
    assert_eq!(room.files(), ["a.mp4", "b.mp4"]);
    assert!(!room.path("runs").exists());
}

#[test]
fn events_have_the_shape_of_the_contract() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 30, "24");
    room.numbered("b.mp4", 60, 30, "25");
    let (_, run) = room.joined("a.mp4 b.mp4");
    let events = run.events();
    let keys = |kind: &str| -> Vec<String> { run.event(kind).as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys("plan"), ["type", "v", "run", "plan", "settings"]);
    assert_eq!(keys("progress"), ["type", "v", "run", "stage", "done", "total", "eta_s"]);
    assert_eq!(keys("warning"), ["type", "v", "run", "code", "file", "message"]);
    let wanted = ["type", "v", "run", "output", "frames", "fps", "engine", "seconds", "run_folder"];
    let found = keys("result");
    assert!(wanted.iter().all(|key| found.iter().any(|found| found == key)), "{found:?}");
    assert!(events.iter().all(|event| event["v"] == 1 && event["run"] == events[0]["run"]));
    let warning = run.event("warning");
    assert_eq!((&warning["code"], &warning["file"]), (&"resampled".into(), &"b.mp4".into()));
    assert_eq!(warning["message"], "b.mp4 runs at 25 fps and was resampled to 24");
    let result = events.last().unwrap();
    assert_eq!(
        (&result["type"], &result["fps"], &result["engine"]),
        (&"result".into(), &"24/1".into(), &"dissolve".into())
    );
    let done = events.iter().rfind(|event| event["stage"] == "film").unwrap();
    assert_eq!((&done["done"], &done["total"]), (&result["frames"], &result["frames"]));
    assert_eq!(run.event("plan")["plan"]["inputs"][1]["resampled_frames"], 29);
    // Everything for people is on stderr, and -q leaves nothing of it.
    assert!(run.stderr.contains("warning: b.mp4 runs at 25 fps"));
    assert_eq!(room.run("join a.mp4 b.mp4 -q --overwrite").good().stderr, "");
}

#[test]
fn a_clip_may_be_joined_to_itself_and_a_film_joined_again() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 12, "25");
    room.run("join a.mp4 a.mp4 --gap 4 --crf 0 -o twice.mp4").good();
    room.run("join twice.mp4 a.mp4 --gap 4 --crf 0 -o thrice.mp4").good();
    let (own, film) = (room.numbers("a.mp4", SMALL), room.numbers("thrice.mp4", SMALL));
    assert_eq!(film.len(), 3 * 12 + 2 * 4);
    for start in [0, 16, 32] {
        assert_eq!(film[start..start + 12], own);
    }
}
