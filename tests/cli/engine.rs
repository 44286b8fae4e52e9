//! The engine process, seen from `wanctl`: done well, and every way in which it can go wrong.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

use super::harness::{Room, Run};

/// examples/fake_engine.rs, which `cargo test` builds beside the tests.
pub(crate) fn fake() -> PathBuf {
    static FAKE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FAKE.get_or_init(|| {
        let tests = std::env::current_exe().unwrap();
        let program = tests.parent().unwrap().parent().unwrap().join("examples/fake_engine");
        is_of_these_sources(&program).map(|()| program)
    });
    found.clone().unwrap_or_else(|why| panic!("{why}"))
}

/// With `--test` cargo builds no examples: whether the one that is there was built from what is here now.
fn is_of_these_sources(program: &Path) -> Result<(), String> {
    let build = "; build it: cargo build --example fake_engine";
    let Ok(output) = Command::new(program).arg("--sources").output() else {
        return Err(format!("{} cannot be started{build}", program.display()));
    };
    // One that is too old for the question fails.
    let sources: BTreeMap<String, String> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let changed: Vec<&String> = sources
        .iter()
        .filter(|(path, text)| fs::read_to_string(root.join(path)).is_ok_and(|now| now != **text))
        .map(|(path, _)| path)
        .collect();
    match (sources.is_empty(), &changed[..]) {
        (false, []) => Ok(()),
        (true, _) => Err(format!("{} does not say what it was built from{build}", program.display())),
        (false, changed) => Err(format!("{} is older than {changed:?}{build}", program.display())),
    }
}

#[test]
fn a_fake_engine_that_is_missing_or_of_other_sources_is_told_with_what_builds_it() {
    let room = Room::new();
    let old = room.script("old", "echo '{\"examples/fake_engine.rs\": \"fn main() {}\"}'");
    let older = room.script("older", "exit 101");
    for (program, words) in [("gone", "cannot be started"), (&old, "examples/fake_engine.rs"), (&older, "does not say")]
    {
        let why = is_of_these_sources(Path::new(program)).unwrap_err();
        assert!(why.contains(words) && why.contains("cargo build --example fake_engine"), "{why}");
    }
}

/// A room in which the engine behaves in this way.
fn room(way: &str) -> Room {
    let room = Room::new().with("WANCTL_ENGINE", fake().to_str().unwrap()).with("FAKE_ENGINE", way);
    room.real_pair();
    room
}

const JOIN: [&str; 8] = ["join", "a.mp4", "b.mp4", "--engine", "rife", "--gap", "8", "--json"];

fn join(room: &Room) -> Run {
    room.wanctl(&JOIN)
}

/// Ends with this code, leaves no film, keeps the job folder, and is told in both forms.
#[track_caller]
fn fails(way: &str, code: i32, words: &str) -> Value {
    let room = room(way);
    let run = join(&room).fails(code).says(words);
    assert_eq!(room.files(), ["a.mp4", "b.mp4"]);
    let error = run.event("error");
    assert_eq!(error["stage"], "engine", "{error}");
    let folder = PathBuf::from(error["run_folder"].as_str().unwrap());
    assert!(folder.join("seam_00/request.json").exists());
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap();
    assert_eq!(manifest["outcome"], "failed");
    error
}

#[test]
fn what_the_engine_made_stands_between_the_clips() {
    let room = room("");
    let run = join(&room).good();
    let result = run.event("result");
    assert_eq!((result["frames"].as_u64(), result["engine"].as_str()), (Some(26 + 8 + 28), Some("rife")));
    assert!(run.events().iter().any(|event| event["stage"] == "engine" && event["seam"] == 0));
    let frames = room.frames("a_join_b.mp4", "rgb24", (160, 90));
    let blue = |frame: &[u8]| frame.as_chunks::<3>().0.iter().all(|[r, g, b]| *r < 60 && *g < 80 && *b > 160);
    let made: Vec<usize> = (0..frames.len()).filter(|&index| blue(&frames[index])).collect();
    assert_eq!(made, (26..34).collect::<Vec<_>>());
}

#[test]
#[ignore = "slow: a film of three seams"]
fn several_seams_are_made_with_one_start_of_the_engine() {
    let room = room("");
    let words = ["join", "a.mp4", "b.mp4", "a.mp4", "--engine", "rife", "--gap", "4", "--json", "--keep", "--loop"];
    let run = room.wanctl(&words).good();
    assert_eq!(run.event("result")["frames"], 26 + 28 + 26 + 3 * 4);
    let folder = PathBuf::from(run.event("result")["run_folder"].as_str().unwrap());
    let log = fs::read_to_string(folder.join("run.log")).unwrap();
    assert_eq!(log.matches("fake_engine ").count(), 1, "{log}");
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap();
    assert_eq!(manifest["engine"].as_array().unwrap().len(), 3);
}

#[test]
fn a_blend_fades_between_the_clip_and_what_was_made_of_its_context() {
    let room = room("");
    room.wanctl(&["join", "a.mp4", "b.mp4", "--engine", "rife", "--gap", "8", "--blend", "4", "--lossless"]).good();
    assert_eq!(room.frames("a_join_b.mkv", "rgb24", (160, 90)).len(), 26 + 8 + 28);
}

#[test]
fn what_the_engine_notes_is_a_warning() {
    let run = join(&room("note")).good().says("the two shots have nothing in common");
    assert_eq!(run.event("warning")["code"], "engine");
}

#[test]
fn how_far_a_long_step_is_is_told_too() {
    let run = join(&room("long_step")).good();
    let events = run.events();
    let within = events.iter().find(|event| event["share"].is_f64()).expect("an event within the step");
    assert_eq!((&within["type"], &within["stage"], &within["done"]), (&"progress".into(), &"engine".into(), &1.into()));
    assert_eq!(within["share"], 0.25);
    assert!(within["eta_s"].as_f64().unwrap() > 0.0);
}

#[test]
fn words_that_a_newer_engine_might_say_are_passed_over() {
    join(&room("noise")).good();
}

#[test]
fn an_engine_that_is_missing_is_named_with_what_builds_it() {
    let room = Room::new().with("WANCTL_ENGINE", "/nowhere/wanctl-engine");
    room.real_pair();
    let run = join(&room).fails(9).says("cannot be started").says("cargo build");
    assert_eq!(run.event("error")["file"], "/nowhere/wanctl-engine");
}

#[test]
fn an_engine_that_may_not_be_started_is_named() {
    let room = Room::new();
    room.real_pair();
    fs::write(room.path("engine"), "no program").unwrap();
    let engine = room.path("engine").to_str().unwrap().to_owned();
    let room = room.with("WANCTL_ENGINE", engine);
    join(&room).fails(9).says("cannot be started");
}

#[test]
fn an_engine_of_another_version_is_not_used() {
    let error = fails("version", 9, "of another version");
    assert!(error["found"].as_str().unwrap().contains("0.0.1"));
}

#[test]
fn a_program_that_is_no_engine_is_told_from_one() {
    fails("nonsense", 9, "of another version");
}

#[test]
fn an_engine_that_ends_with_an_error_shows_its_last_words() {
    let error = fails("exit", 9, "something broke inside");
    assert!(error["message"].as_str().unwrap().contains("exit status 3"), "{error}");
}

#[test]
fn an_engine_that_the_kernel_killed_ran_out_of_memory() {
    let error = fails("killed", 5, "signal 9");
    assert_eq!(error["code"], "memory");
    assert!(error["help"].as_str().unwrap().contains("--size"));
}

#[test]
fn an_engine_that_aborts_is_no_matter_of_memory() {
    fails("aborted", 9, "signal 6");
}

#[test]
fn an_engine_that_falls_silent_is_ended() {
    let room = room("silent").with("WANCTL_TEST_PATIENCE_MS", "700");
    join(&room).fails(10).says("said nothing for 0.7 s");
}

#[test]
fn an_engine_that_says_that_it_lives_is_waited_for_until_the_runs_own_limit() {
    let room = room("alive").with("WANCTL_TEST_PATIENCE_MS", "700");
    let words: Vec<&str> = JOIN.into_iter().chain(["--timeout", "3s"]).collect();
    room.wanctl(&words).fails(10).says("time limit of 3 s");
}

#[test]
fn what_the_engine_says_of_its_trouble_decides_the_exit_code() {
    for (way, code) in [("memory", 5), ("weights", 4), ("disk", 8), ("engine", 9), ("error_after_all", 9)] {
        let error = fails(way, code, if way == "error_after_all" { "at the very end" } else { "it is as it is" });
        assert_eq!(error["exit"], code);
    }
}

#[test]
fn work_that_is_not_what_was_asked_is_refused() {
    let ways = [
        ("count", "its frames do not fit"),
        ("edited", "not those it vouched for"),
        ("stranger", "for another request"),
        ("result", "there is no result"),
    ];
    for (way, words) in ways {
        fails(way, 9, words);
    }
}

#[test]
fn a_stop_ends_an_engine_that_would_work_for_ever() {
    let room = room("alive");
    let mut child =
        room.command(&JOIN).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let engine = || {
        let runs = fs::read_dir(room.path("runs")).ok()?;
        runs.flatten().find(|run| run.path().join("seam_00/engine.log").exists())
    };
    while engine().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let folder = room.path("").to_str().unwrap().to_owned();
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|process| {
        fs::read(process.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&folder))
    });
    assert_eq!(left.count(), 0);
}
