//! An engine program that tests start in place of the real one: it does each job, or fails in the way `FAKE_ENGINE` says:
//! `WAY` at every job, `WAY@1` only at seam 1, `WAY@1/OTHER` in another way at the others.
//! It needs no libtorch. What it "makes" is the guide with flat blue frames where frames are to be made.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a small program of its own"
)]
#![allow(clippy::unwrap_used, reason = "a test's helper may die of what it did not expect")]

use std::{collections::BTreeMap, env, fs, path::Path, process, thread, time::Duration};

use wanctl::pipeline::job::{
    self, EngineFailure, EngineFailureCode, Event, ExecTarget, FrameFile, JobResult, Request, SlotKind,
};

macro_rules! sources {
    ($($path:literal),*) => { [$(($path, include_str!(concat!("../", $path)))),*] };
}

/// What decides how it reads a job and what it says of it. Tests ask for them by `--sources`: cargo does not build
/// examples with `--test`, and an old one fails in ways that say nothing.
const SOURCES: [(&str, &str); 5] = sources![
    "examples/fake_engine.rs",
    "src/pipeline/job/mod.rs",
    "src/pipeline/job/frames.rs",
    "src/pipeline/job/place.rs",
    "src/pipeline/job/wan.rs"
];

fn main() {
    if env::args().nth(1).is_some_and(|word| word == "--sources") {
        println!("{}", serde_json::to_string(&BTreeMap::from(SOURCES)).unwrap());
        return;
    }
    let ways = env::var("FAKE_ENGINE").unwrap_or_default();
    let way = ways.as_str();
    let words: Vec<_> = env::args_os().skip(1).collect();
    let (_, folders) = ExecTarget::parse(&words).unwrap();
    let program = if way == "version" { "0.0.1" } else { job::PROGRAM };
    match way {
        "nonsense" => println!("Segmentation faulty"),
        "mute" => {}
        _ => say(&Event::Started { program: program.into(), libtorch: "none".into() }),
    }
    for folder in folders.iter().map(Path::new) {
        let Request { seam, .. } = job::read_json(&folder.join(job::REQUEST)).unwrap();
        let way = way_at(&ways, seam);
        say(&Event::Job { seam, device: "cpu".into(), threads: 1 });
        match way {
            "exit" => {
                eprintln!("something broke inside");
                process::exit(3);
            }
            "killed" => end_by("KILL"),
            "aborted" => end_by("ABRT"),
            "silent" => thread::sleep(Duration::from_secs(600)),
            "alive" => loop {
                say(&Event::Alive);
                thread::sleep(Duration::from_millis(100));
            },
            "memory" | "weights" | "disk" | "engine" => {
                let code = serde_json::from_value(way.into()).unwrap();
                say(&Event::Error(EngineFailure::new(code, "it is as it is")));
                process::exit(9);
            }
            "noise" => println!("{{\"type\": \"sunshine\"}}\nnot even JSON"),
            // Long enough to be told of.
            "slow" => {
                say(&Event::Progress { seam, done: 0, total: 4, share: 0.0 });
                thread::sleep(Duration::from_millis(2500));
            }
            "late" => thread::sleep(Duration::from_millis(1500)),
            _ => {}
        }
        work(folder, seam, way);
    }
    if way == "error_after_all" {
        say(&Event::Error(EngineFailure::new(EngineFailureCode::Engine, "it failed at the very end")));
        process::exit(9);
    }
}

fn way_at(ways: &str, seam: usize) -> &str {
    let Some((way, rest)) = ways.split_once('@') else { return ways };
    let (only, other) = rest.split_once('/').unwrap_or((rest, ""));
    if only.parse() == Ok(seam) { way } else { other }
}

fn work(folder: &Path, seam: usize, way: &str) {
    let mut guide = FrameFile::open(&folder.join(job::GUIDE)).unwrap();
    let head = guide.guide_head().unwrap();
    let makes = |slot: &SlotKind| matches!(slot, SlotKind::Fill | SlotKind::Structure);
    let total = head.slots.iter().filter(|slot| makes(slot)).count();
    let mut frames: Vec<Vec<u8>> = (0..guide.frames).map(|index| guide.frame(index).unwrap().rgb).collect();
    let blue = [20, 40, 200].repeat(head.size.pixels());
    let fills = head.slots.iter().enumerate().filter(|(_, slot)| makes(slot));
    for (done, (index, _)) in fills.enumerate() {
        frames[index] = blue.clone();
        say(&Event::Progress { seam, done: done + 1, total, share: 0.0 });
        if way == "long_step" && done == 0 {
            thread::sleep(Duration::from_millis(600));
            say(&Event::Progress { seam, done: 1, total, share: 0.25 });
        }
    }
    if way == "count" {
        frames.pop();
    }
    let made = folder.join(job::MADE);
    job::write_frames(&made, head.size, &frames).unwrap();
    let outcome = JobResult {
        version: job::VERSION,
        program: job::PROGRAM.into(),
        libtorch: "none".into(),
        device: "cpu".into(),
        threads: 1,
        seconds: 0.0,
        request: if way == "stranger" { "0".repeat(64) } else { job::hash(&folder.join(job::REQUEST)).unwrap() },
        made: job::hash(&made).unwrap(),
        notes: vec![],
        peak_memory_bytes: None,
        peak_device_bytes: None,
        parts: vec![],
        part_peaks: vec![],
        part_estimates: vec![],
    };
    if way == "edited" {
        let mut bytes = fs::read(&made).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&made, bytes).unwrap();
    }
    if way == "note" {
        say(&Event::Note { seam, message: "the two shots have nothing in common".into() });
    }
    if way != "result" {
        job::write_json(&folder.join(job::RESULT), &outcome).unwrap();
    }
    say(&Event::Done { seam });
}

fn say(event: &Event) {
    println!("{}", serde_json::to_string(event).unwrap());
}

fn end_by(signal: &str) -> ! {
    let _ = process::Command::new("kill").args([&format!("-{signal}"), &process::id().to_string()]).status();
    thread::sleep(Duration::from_secs(10));
    process::exit(1);
}
