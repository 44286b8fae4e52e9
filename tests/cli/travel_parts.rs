//! Films made in parts: one segment or seam at a time, by several programs at once, and put together of what is there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::SystemTime,
};

use serde_json::Value;

use super::{
    engine::fake,
    harness::{Room, Run},
};

const SIZE: (usize, usize) = (160, 90);

fn room() -> Room {
    let room = Room::new().with("WANCTL_ENGINE", fake().to_str().unwrap());
    room.stills(&["a.png", "b.png", "c.png", "d.png"]);
    room
}

const TRAVEL: &str = "travel a.png b.png c.png d.png --engine rife --frames 9 --lossless --json";

fn only_run(room: &Room) -> PathBuf {
    let mut runs: Vec<_> = fs::read_dir(room.path("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

fn made(run: &Path, part: usize) -> bool {
    run.join(format!("seam_{part:02}/result.json")).exists()
}

fn manifest(run: &Path) -> Value {
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

fn message(run: &Run) -> String {
    run.event("error")["message"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "slow: ten runs"]
fn segments_made_one_by_one_are_the_film_that_is_made_at_once() {
    for overlap in ["", " --overlap 4"] {
        let room = room();
        let words = format!("{TRAVEL}{overlap}");
        room.run(&format!("{words} -o whole.mkv")).good();
        // In any order; of a chain those before one are made with it.
        let first = room.run(&format!("{words} --segment 2")).good().event("result");
        assert_eq!(
            (&first["output"], &first["frames"]),
            (&"a_travel_d_segment_2.mkv".into(), &(9 + overlap.len() / 12 * 4).into())
        );
        let run = only_run(&room);
        let chained = !overlap.is_empty();
        assert_eq!((made(&run, 0), made(&run, 1), made(&run, 2)), (chained, true, false));
        assert_eq!(manifest(&run)["outcome"], "part");
        let refused = room.run(&format!("{words} --stitch-only")).fails(3);
        let missing = if chained { 3 } else { 1 };
        assert_eq!(message(&refused), format!("segment {missing} is not made yet"));
        let error = refused.event("error");
        assert!(error["help"].as_str().unwrap().contains(&format!("--segment {missing}")), "{error}");
        assert!(error["file"].as_str().unwrap().contains("seam_0"), "{error}");
        for segment in [1, 3] {
            room.run(&format!("{words} --segment {segment}")).good();
        }
        let film = room.run(&format!("{words} --stitch-only")).good().event("result");
        assert_eq!(film["output"], "a_travel_d.mkv");
        assert!(room.frames("a_travel_d.mkv", "rgb24", SIZE) == room.frames("whole.mkv", "rgb24", SIZE));
        assert_eq!(manifest(&only_run(&room))["outcome"], "done");
    }
}

#[test]
fn what_was_made_in_parts_is_gone_on_with() {
    let room = room();
    room.run(&format!("{TRAVEL} --segment 1")).good();
    let run = only_run(&room);
    let made_at = |part: usize| -> SystemTime {
        fs::metadata(run.join(format!("seam_{part:02}/made.safetensors"))).unwrap().modified().unwrap()
    };
    let before = made_at(0);
    let rest = room.run(&format!("{TRAVEL} --resume --keep")).good();
    assert!(rest.stderr.contains("going on with run"), "{}", rest.stderr);
    assert_eq!((made_at(0), only_run(&room)), (before, run.clone()));
    // Another journey is no part of it.
    let other = room.run("travel a.png b.png c.png --engine rife --frames 9 --stitch-only --json").fails(3);
    assert_eq!(message(&other), "no run has made parts of this film");
}

#[test]
fn a_runs_own_manifest_leads_back_to_its_folder_from_anywhere() {
    let room = room();
    room.run(&format!("{TRAVEL} --segment 1 --work-dir elsewhere")).good();
    let folder = fs::read_dir(room.path("elsewhere")).unwrap().next().unwrap().unwrap().path();
    let task = folder.join("run.json");
    let task = task.strip_prefix(room.path("")).unwrap().display().to_string();
    for segment in [2, 3] {
        room.run(&format!("travel --task {task} --segment {segment} -o {segment}.mkv")).good();
    }
    assert!((0..3).all(|part| made(&folder, part)));
    room.run(&format!("travel --task {task} --stitch-only -o film.mkv")).good();
    assert_eq!(room.frames("film.mkv", "rgb24", SIZE).len(), 25);
    let refused = room.run(&format!("join --task {task} --stitch-only -o other.mkv --json")).fails(3);
    assert!(message(&refused).contains("a travel, which wanctl join does not do"));
    fs::copy(task_path(&folder), room.path("run.json")).unwrap();
    fs::remove_file(task_path(&folder)).unwrap();
    room.run(&format!("travel --task {task} --stitch-only -o x.mkv --json")).fails(3);
}

fn task_path(folder: &Path) -> PathBuf {
    folder.join("run.json")
}

#[test]
#[ignore = "slow: seven runs"]
fn a_segment_of_another_journey_is_not_taken_for_one_of_this() {
    let room = room();
    for images in ["a.png b.png c.png", "c.png b.png a.png"] {
        let work = if images.starts_with('a') { "one" } else { "other" };
        for segment in [1, 2] {
            let words = format!("travel {images} --engine rife --frames 9 --segment {segment} --work-dir {work}");
            room.run(&format!("{words} -o {work}{segment}.mp4")).good();
        }
    }
    let run = |work: &str| fs::read_dir(room.path(work)).unwrap().next().unwrap().unwrap().path();
    let (one, other) = (run("one"), run("other"));
    fs::remove_dir_all(one.join("seam_01")).unwrap();
    fs::rename(other.join("seam_01"), one.join("seam_01")).unwrap();
    let words = "travel a.png b.png c.png --engine rife --frames 9 --work-dir one --json";
    let refused = room.run(&format!("{words} --stitch-only")).fails(3);
    assert_eq!(message(&refused), "segment 2 is of another film");
    assert!(!room.path("a_travel_c.mp4").exists());
    room.run(&format!("{words} --segment 2")).good();
    room.run(&format!("{words} --stitch-only")).good();
}

#[test]
fn a_finished_segment_that_broke_is_named_and_made_again() {
    let room = room();
    for segment in [1, 2, 3] {
        room.run(&format!("{TRAVEL} --segment {segment} -o {segment}.mkv")).good();
    }
    let broken = only_run(&room).join("seam_01/made.safetensors");
    let mut bytes = fs::read(&broken).unwrap();
    let whole = bytes.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&broken, bytes).unwrap();
    let refused = room.run(&format!("{TRAVEL} --stitch-only")).fails(3);
    assert!(message(&refused).starts_with("segment 2 is broken"), "{}", message(&refused));
    room.run(&format!("{TRAVEL} --resume --keep")).good();
    assert!(fs::read(&broken).unwrap() == whole);
}

#[test]
#[ignore = "slow: four films"]
fn seams_of_a_join_are_parts_too() {
    let room = Room::new().with("WANCTL_ENGINE", fake().to_str().unwrap());
    room.real_pair();
    let words = "join a.mp4 b.mp4 a.mp4 --engine rife --gap 8 --lossless --json";
    room.run(&format!("{words} -o whole.mkv")).good();
    for seam in [2, 1] {
        let result = room.run(&format!("{words} --segment {seam}")).good().event("result");
        assert_eq!(result["output"], format!("a_join_a_seam_{seam}.mkv"));
    }
    room.run(&format!("{words} --stitch-only -o film.mkv")).good();
    assert!(room.frames("film.mkv", "rgb24", SIZE) == room.frames("whole.mkv", "rgb24", SIZE));
    let refused = room.run(&format!("{words} --segment 3 -o x.mkv")).fails(2);
    assert_eq!(message(&refused), "there is no seam 3: the film has 2 seams");
}

#[test]
fn several_programs_make_parts_of_one_run_at_once_and_none_makes_the_whole_meanwhile() {
    let room = room().with("FAKE_ENGINE", "late");
    room.run(&format!("{TRAVEL} --segment 1 -o 1.mkv")).good();
    let task = only_run(&room).join("run.json").display().to_string();
    let start = |segment: &str| {
        let words = ["travel", "--task", &task, "--segment", segment, "-o", &format!("{segment}.mkv"), "--json"];
        room.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut children: Vec<_> = ["2", "3"].map(start).into();
    let folder = only_run(&room);
    let working = || (1..3).any(|part| folder.join(format!("seam_{part:02}/lock")).exists());
    while !working() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let busy = room.wanctl(&["travel", "--task", &task, "--resume", "-o", "w.mkv", "--json"]).fails(8);
    assert!(message(&busy).contains("is being worked on by another wanctl"));
    // The same one a second time waits for the first, and finds it made.
    children.push(room.command(&["travel", "--task", &task, "--segment", "3", "-o", "again.mkv"]).spawn().unwrap());
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert!(room.frames("again.mkv", "rgb24", SIZE) == room.frames("3.mkv", "rgb24", SIZE));
    room.wanctl(&["travel", "--task", &task, "--stitch-only", "-o", "film.mkv"]).good();
    assert_eq!(room.frames("film.mkv", "rgb24", SIZE).len(), 25);
}
