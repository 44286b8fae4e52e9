//! Several engines at once: the same film, one failure the end of all, and a broken run gone on with.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    engine::fake,
    harness::{Room, Run},
    refusals::{failure, manifest},
};

/// Four clips and an engine that behaves in this way.
fn room(way: &str) -> Room {
    let room = Room::new().with("WANCTL_ENGINE", fake().to_str().unwrap()).with("FAKE_ENGINE", way);
    for clip in ["a", "b", "c", "d"] {
        room.clip(&format!("{clip}.mp4"), 20, "24", "64x36");
    }
    room
}

/// Four seams.
const JOIN: [&str; 11] =
    ["join", "a.mp4", "b.mp4", "c.mp4", "d.mp4", "--loop", "--engine", "rife", "--gap", "4", "--lossless"];
const SEAMS: usize = 4;

fn join(room: &Room, more: &[&str]) -> Run {
    room.wanctl(&[&JOIN[..], &["-o", "film.mkv", "--json", "--overwrite"], more].concat())
}

fn film(room: &Room) -> Vec<Vec<u8>> {
    room.frames("film.mkv", "rgb24", (64, 36))
}

/// The words of every start of the engine.
fn starts(run_folder: &Path) -> Vec<String> {
    let log = fs::read_to_string(run_folder.join("run.log")).unwrap();
    log.lines().filter_map(|line| line.split_once("fake_engine ")).map(|(_, words)| words.to_owned()).collect()
}

fn folder(run: &Run) -> PathBuf {
    run.event("result")["run_folder"].as_str().unwrap().into()
}

/// The seams of a start, in order.
fn seams(start: &str) -> Vec<usize> {
    (0..SEAMS).filter(|seam| start.contains(&format!("seam_{seam:02}"))).collect()
}

#[test]
#[ignore = "slow: six films"]
fn seams_made_at_once_make_the_same_film_and_everyone_is_made_once() {
    let room = room("");
    let run = join(&room, &["--keep"]).good();
    assert_eq!(starts(&folder(&run)).iter().map(|start| seams(start)).collect::<Vec<_>>(), [[0, 1, 2, 3]]);
    let alone = film(&room);
    for jobs in 2..=6 {
        let run = join(&room, &["--keep", "--threads", "2", "--jobs", &jobs.to_string()]).good();
        assert!(film(&room) == alone, "{jobs} jobs");
        let starts = starts(&folder(&run));
        let count = jobs.min(SEAMS);
        assert_eq!(starts.len(), count);
        let place = format!("--device cpu --threads 2 --share {count} ");
        assert!(starts.iter().all(|start| start.contains(&place)), "{starts:?}");
        let mut all: Vec<usize> = starts.iter().flat_map(|start| seams(start)).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
        let events = run.events();
        for seam in 0..SEAMS {
            assert!(events.iter().any(|event| event["stage"] == "engine" && event["seam"] == seam), "{seam}");
        }
        let manifest = manifest(&folder(&run));
        assert_eq!(manifest["engine"].as_array().unwrap().len(), SEAMS);
    }
}

#[test]
#[ignore = "slow: two films of four seams"]
fn every_gpu_of_several_has_an_engine_of_its_own() {
    let room = room("");
    let run = join(&room, &["--keep", "--device", "cuda:1,0"]).good();
    let starts = starts(&folder(&run));
    assert_eq!(starts.len(), 2);
    for device in ["--device cuda:0 ", "--device cuda:1 "] {
        assert_eq!(starts.iter().filter(|start| start.contains(device)).count(), 1, "{starts:?}");
    }
    // What is recorded of them is asked again.
    room.wanctl(&["join", "--task", "film.mkv", "-o", "again.mkv", "--keep", "--json"]).good();
    assert!(room.frames("again.mkv", "rgb24", (64, 36)) == film(&room));
}

#[test]
fn people_are_told_which_seam_or_segment_it_is() {
    let room = room("slow");
    let words = [&JOIN[..], &["-o", "film.mkv", "--jobs", "2"]].concat();
    let run = room.wanctl(&words).good();
    for seam in ["seam 1 engine", "seam 2 engine"] {
        assert!(run.stderr.contains(seam), "{}", run.stderr);
    }
    room.stills(&["a.png", "b.png", "c.png"]);
    let travel = "travel a.png b.png c.png --engine rife --frames 5 --lossless -o journey.mkv --jobs 2";
    let run = room.run(travel).good();
    for segment in ["segment 1 engine", "segment 2 engine"] {
        assert!(run.stderr.contains(segment), "{}", run.stderr);
    }
}

#[test]
fn devices_and_jobs_that_contradict_are_refused_before_any_work() {
    let room = room("");
    for (words, says) in [
        (&["--device", "cuda:0,0"][..], "names cuda:0 twice"),
        (&["--device", "cpu,cuda:0"], "only GPUs work together"),
        (&["--device", "cuda:0,cpu"], "only GPUs work together"),
        (&["--device", "cuda:0,1", "--jobs", "2"], "--jobs 2 needs --device cpu, and the device is cuda:0,1"),
        (&["--device", "cuda:1", "--jobs", "3"], "--jobs 3 needs --device cpu, and the device is cuda:1"),
        (&["--jobs", "0"], "--jobs"),
        (&["--jobs", "x"], "--jobs"),
    ] {
        join(&room, words).fails(2).says(says);
        assert!(!room.path("runs").exists(), "{words:?}");
    }
}

#[test]
fn one_failure_ends_all_and_says_which_seam_it_was() {
    // The others would work for ever.
    let room = room("memory@1/alive");
    let run = join(&room, &["--jobs", "4"]).fails(5).says("seam 2 of 4: it is as it is");
    let error = run.event("error");
    assert_eq!((&error["code"], &error["stage"]), (&"memory".into(), &"engine".into()));
    assert!(error["command"].as_str().unwrap().contains("seam_01"), "{error}");
    assert!(!room.path("film.mkv").exists());
    room.assert_no_children();
}

#[test]
fn a_limit_for_the_run_ends_all() {
    let room = room("alive");
    join(&room, &["--jobs", "3", "--timeout", "3s"]).fails(10).says("time limit of 3 s");
    room.assert_no_children();
}

/// Starts a join and waits until so many engines are at work.
fn started(room: &Room, more: &[&str], engines: usize) -> Child {
    let words = [&JOIN[..], &["-o", "film.mkv", "--json"], more].concat();
    let child = room.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let at_work = || {
        let run = room.runs().pop()?;
        let logs = (0..SEAMS).filter(|seam| run.join(format!("seam_{seam:02}/engine.log")).exists());
        (logs.count() >= engines).then_some(())
    };
    while at_work().is_none() {
        thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn a_signal_ends_all() {
    let room = room("alive");
    let child = started(&room, &["--jobs", "3"], 3);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    failure(&child.wait_with_output().unwrap(), 130);
    room.assert_no_children();
    assert!(!room.path("film.mkv").exists());
}

#[test]
#[ignore = "slow: three films of four seams"]
fn what_is_made_is_believed_by_its_hash_and_what_is_not_is_made_again() {
    let room = room("memory@3");
    join(&room, &["--jobs", "2"]).fails(5);
    let run = room.runs().remove(0);
    let made = |seam: usize| run.join(format!("seam_{seam:02}/made.safetensors"));
    // The other engine may have been ended between writing a seam's frames and its result, which is written last.
    let whole: Vec<usize> =
        (0..SEAMS).filter(|seam| run.join(format!("seam_{seam:02}/result.json")).exists()).collect();
    assert!(!whole.is_empty() && !whole.contains(&3), "{whole:?}");
    let mut bytes = fs::read(made(whole[0])).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(made(whole[0]), bytes).unwrap();

    let room = room.with("FAKE_ENGINE", "");
    join(&room, &["--jobs", "2", "--resume", "--keep"]).good().says("going on with run");
    let mut again: Vec<usize> = starts(&run).iter().flat_map(|start| seams(start)).collect();
    again.sort_unstable();
    assert_eq!(again, (0..SEAMS).filter(|seam| !whole[1..].contains(seam)).collect::<Vec<_>>());
    let resumed = film(&room);
    join(&room, &[]).good();
    assert!(film(&room) == resumed);
}

/// With the real engine: killed when something is made and something is not.
#[cfg(feature = "torch")]
#[test]
#[ignore = "slow: a network makes twelve seams"]
fn a_run_of_several_engines_that_was_killed_goes_on_to_the_same_film() {
    let room = Room::new();
    for clip in ["a", "b", "c", "d"] {
        room.clip(&format!("{clip}.mp4"), 20, "24", "320x180");
    }
    let place = ["--device", "cpu", "--threads", "1"];
    let words = [&JOIN[..], &["-o", "film.mkv", "--json"], &place].concat();
    let mut child = room.command(&[&words[..], &["--jobs", "2"]].concat()).stdout(Stdio::null()).spawn().unwrap();
    let made = || {
        let run = room.runs().pop()?;
        (0..SEAMS).any(|seam| run.join(format!("seam_{seam:02}/result.json")).exists()).then_some(run)
    };
    let run = loop {
        match made() {
            Some(run) => break run,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    room.assert_children_end_within(Duration::from_secs(60));
    assert_eq!(manifest(&run)["outcome"], "running");

    let frames = || room.frames("film.mkv", "rgb24", (320, 180));
    room.wanctl(&[&words[..], &["--resume", "--jobs", "3", "--overwrite"]].concat()).good().says("going on with run");
    let resumed = frames();
    room.wanctl(&[&words[..], &["--overwrite"]].concat()).good();
    assert!(frames() == resumed);
}
