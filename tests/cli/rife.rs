//! The embedded network, through the command: real frames, the real engine program beside `wanctl`.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use super::harness::{Room, fixture, psnr};

const SIZE: (usize, usize) = (192, 108);

/// One shot cut in three: a.mkv, the eight frames that follow it (truth.mkv), and b.mkv. Lossless, so that what is made
/// is compared with nothing but the truth.
fn shot() -> Room {
    let room = Room::new();
    let source = fixture("bunny_a.mp4");
    let cut = |name: &str, first: usize, last: usize| {
        let filter =
            format!("select=between(n\\,{first}\\,{last}),setpts=N/25/TB,scale=192:108:flags=area,format=gbrp");
        room.material(name, &filter, || {
            let source = source.to_str().unwrap();
            room.ffmpeg_words(&["-i", source, "-an", "-vf", &filter, "-c:v", "ffv1", "-pix_fmt", "bgr0", name]);
        });
    };
    cut("a.mkv", 8, 19);
    cut("truth.mkv", 20, 27);
    cut("b.mkv", 28, 39);
    room
}

fn made(room: &Room, engine: &str) -> Vec<Vec<u8>> {
    let words =
        ["join", "a.mkv", "b.mkv", "--engine", engine, "--gap", "8", "--lossless", "--threads", "2", "--overwrite"];
    room.wanctl(&words).good();
    room.frames("a_join_b.mkv", "rgb24", SIZE)[12..20].to_vec()
}

fn mean_psnr(frames: &[Vec<u8>], truth: &[Vec<u8>]) -> f64 {
    frames.iter().zip(truth).map(|(frame, truth)| psnr(frame, truth)).sum::<f64>() / frames.len() as f64
}

#[test]
#[ignore = "slow: a network makes four seams"]
fn a_range_is_made_as_it_is_between_two_clips() {
    let room = shot();
    let between = made(&room, "rife");
    let concat = "concat=n=3";
    room.ffmpeg_words(&[
        "-i",
        "a.mkv",
        "-i",
        "truth.mkv",
        "-i",
        "b.mkv",
        "-filter_complex",
        concat,
        "-c:v",
        "ffv1",
        "whole.mkv",
    ]);
    let words = "join whole.mkv --range 12..20 --engine rife --threads 2 --lossless --overwrite";
    room.run(words).good();
    let own = room.frames("whole.mkv", "rgb24", SIZE);
    let film = room.frames("whole_range.mkv", "rgb24", SIZE);
    assert!(film[12..20] == between && film[..12] == own[..12] && film[20..] == own[20..]);
    // Hints are frames of the clip to this engine: contexts of 8 and 8 are the same seven frames that it looks at.
    room.run(&words.replace("12..20", "12..21")).good();
    let with_hints = room.frames("whole_range.mkv", "rgb24", SIZE);
    room.run(&words.replace("12..20", "12..21 --align exact")).good();
    assert!(room.frames("whole_range.mkv", "rgb24", SIZE) == with_hints);
    room.run(&words.replace("12..20", "0..8")).fails(3).says("no frame before it");
}

#[test]
fn frames_that_were_taken_out_are_made_again_better_than_by_a_dissolve() {
    let room = shot();
    let truth = room.frames("truth.mkv", "rgb24", SIZE);
    let (rife, dissolve) = (mean_psnr(&made(&room, "rife"), &truth), mean_psnr(&made(&room, "dissolve"), &truth));
    assert!(rife > dissolve + 1.0, "rife {rife:.2} dB, dissolve {dissolve:.2} dB");
}

#[test]
#[ignore = "slow: a network makes two seams"]
fn the_same_threads_give_the_same_bytes() {
    let room = shot();
    assert!(made(&room, "rife") == made(&room, "rife"));
}

#[test]
fn with_no_word_about_it_the_engine_is_the_network_and_that_is_said() {
    let room = shot();
    let run = room.wanctl(&["join", "a.mkv", "b.mkv", "--engine", "auto", "--gap", "4", "--json"]).good();
    assert_eq!(run.event("result")["engine"], "rife");
    assert!(run.stderr.contains("engine: rife"), "{}", run.stderr);
}

#[test]
#[ignore = "slow: a network makes six seams"]
fn every_shape_of_plan_is_made() {
    let room = shot();
    let plans: [&[&str]; 4] = [
        &["a.mkv", "b.mkv", "--mode", "replace", "--gap", "4", "--context", "1"],
        &["a.mkv", "b.mkv", "a.mkv", "--loop", "--gap", "4", "--blend", "2"],
        &["a.mkv", "b.mkv", "--gap", "12", "--anchors"],
        &["a.mkv", "b.mkv", "--gap", "5", "--align", "exact", "--size", "46x200", "--fit", "stretch"],
    ];
    for plan in plans {
        let words = [&["join", "--engine", "rife", "--overwrite", "-o", "film.mp4", "--json"], plan].concat();
        let run = room.wanctl(&words).good();
        assert_eq!(run.event("result")["frames"], run.event("plan")["plan"]["frames"]);
    }
}

#[test]
fn cuda_that_is_not_there_is_named_and_nothing_is_used_in_its_place() {
    let room = shot();
    let words = ["join", "a.mkv", "b.mkv", "--engine", "rife", "--gap", "4", "--device", "cuda:7", "--json"];
    let run = room.wanctl(&words).fails(9).says("CUDA cannot be used").says("--device cpu");
    assert_eq!(run.event("error")["stage"], "engine");
    assert!(!room.path("a_join_b.mkv").exists());
}

#[test]
#[ignore = "slow: frames of full size"]
fn an_engine_that_may_take_too_little_memory_says_so() {
    let room = shot();
    let engine = PathBuf::from(env!("CARGO_BIN_EXE_wanctl-engine"));
    let limited = room.path("limited");
    fs::write(&limited, format!("#!/bin/sh\nulimit -v 900000\nexec '{}' \"$@\"\n", engine.display())).unwrap();
    Command::new("chmod").args(["+x", limited.to_str().unwrap()]).status().unwrap();
    let room = room.with("WANCTL_ENGINE", limited.to_str().unwrap());
    let words = ["join", "a.mkv", "b.mkv", "--engine", "rife", "--gap", "4", "--size", "1920x1080", "--json"];
    let run = room.wanctl(&words);
    let error = run.event("error");
    // Which of its many allocations fails is chance, and so is whether libtorch can still say it.
    assert!(run.code == 5 || run.code == 9, "{error}");
    assert!(!room.path("a_join_b.mp4").exists());
}

/// A job folder as a failed run leaves it, for the engine by hand.
fn job(room: &Room) -> PathBuf {
    let words = ["join", "a.mkv", "b.mkv", "--engine", "rife", "--gap", "4", "--keep", "--json", "--overwrite"];
    let result = room.wanctl(&words).good().event("result");
    PathBuf::from(result["run_folder"].as_str().unwrap()).join("seam_00")
}

fn by_hand(folder: &std::path::Path) -> (i32, Vec<Value>) {
    let output = Command::new(env!("CARGO_BIN_EXE_wanctl-engine")).arg(folder).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
#[ignore = "slow: eight starts of the engine"]
fn a_job_can_be_done_again_by_hand_and_one_that_was_tampered_with_is_refused() {
    let room = shot();
    let folder = job(&room);
    let made = fs::read(folder.join("made.safetensors")).unwrap();
    fs::remove_file(folder.join("made.safetensors")).unwrap();
    let (code, events) = by_hand(&folder);
    assert_eq!((code, events.last().unwrap()["type"].as_str()), (0, Some("done")));
    assert!(fs::read(folder.join("made.safetensors")).unwrap() == made);

    let guide = fs::read(folder.join("guide.safetensors")).unwrap();
    let request = fs::read_to_string(folder.join("request.json")).unwrap();
    let mut edited = guide.clone();
    *edited.last_mut().unwrap() ^= 1;
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("guide.safetensors", guide[..guide.len() / 2].to_vec(), "not the file that its request names"),
        ("guide.safetensors", edited, "not the file that its request names"),
        ("request.json", request.replace("\"frames\": ", "\"frames\": 1").into_bytes(), "its request says"),
        (
            "request.json",
            request.replace(env!("CARGO_PKG_VERSION"), "0.0.9").into_bytes(),
            "was written by wanctl 0.0.9",
        ),
        ("request.json", b"{\"version\": 1".to_vec(), "not what it should be"),
    ];
    for (file, content, words) in cases {
        let whole = fs::read(folder.join(file)).unwrap();
        fs::write(folder.join(file), content).unwrap();
        let (code, events) = by_hand(&folder);
        let error = events.last().unwrap();
        assert_eq!((code, error["type"].as_str()), (9, Some("error")));
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        fs::write(folder.join(file), whole).unwrap();
    }
    assert_eq!(by_hand(std::path::Path::new("/nowhere/at/all")).0, 9);
}
