//! Runs that fail: what they must say, what they must keep, and what they must not leave behind.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::Room;

/// The error object of a run that failed as it should.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Value);

impl Refusal {
    /// The field holds these words.
    #[track_caller]
    pub(crate) fn with(self, field: &str, words: &str) -> Self {
        let Self(error) = &self;
        let found = error[field].as_str().unwrap_or_else(|| panic!("no {field} in {error:#}"));
        assert!(found.contains(words), "wanted {words:?} in {field} of {error:#}");
        self
    }

    pub(crate) fn frame(&self) -> u64 {
        self.0["frame"].as_u64().unwrap_or_else(|| panic!("no frame in {:#}", self.0))
    }
}

/// How the contract names an exit code.
fn word(exit: i32) -> &'static str {
    match exit {
        2 => "usage",
        3 => "input",
        4 => "weights",
        5 => "memory",
        7 => "media",
        8 => "disk",
        9 => "engine",
        10 => "timeout",
        130 => "interrupted",
        _ => panic!("no error ends with {exit}"),
    }
}

pub(crate) const FAST: [&str; 4] = ["a.mp4", "b.mp4", "--gap", "4"];

/// A room with a.mp4 and b.mp4, which join to 44 frames with a gap of 4.
pub(crate) fn room() -> Room {
    let room = Room::new();
    for name in ["a.mp4", "b.mp4"] {
        room.clip(name, 20, "24", "64x36");
    }
    room
}

impl Room {
    /// Joins to film.mp4 with these words more.
    pub(crate) fn joins(&self, more: &[&str]) -> crate::harness::Run {
        self.wanctl(&join_words(more))
    }

    /// The same, which fails with `exit`: said to people and programs alike, with nothing left beside it; recorded in the
    /// run's folder where work had begun, and without a folder where inputs were still read and planned.
    #[track_caller]
    pub(crate) fn refuses(&self, more: &[&str], exit: i32) -> Refusal {
        self.refused(self.command(&join_words(more)), exit)
    }

    #[track_caller]
    pub(crate) fn refused(&self, mut command: Command, exit: i32) -> Refusal {
        let (before, runs) = (self.files(), self.runs());
        let output = command.output().unwrap();
        assert_eq!(self.files(), before, "something is left");
        let new: Vec<PathBuf> = self.runs().into_iter().filter(|run| !runs.contains(run)).collect();
        let refusal = failure(&output, exit);
        let Refusal(error) = &refusal;
        self.assert_no_children();
        if ["settings", "probe", "plan"].contains(&error["stage"].as_str().unwrap()) {
            assert!(new.is_empty() && error["run_folder"].is_null(), "a folder before any work: {new:?}: {output:?}");
            return refusal;
        }
        let [folder] = &new[..] else { panic!("one run, but {new:?}: {output:?}") };
        assert_eq!(error["run_folder"].as_str().map(Path::new), Some(folder.as_path()));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(&format!("  run     {}", folder.display())), "the run folder is not named in {text}");
        let manifest = manifest(folder);
        assert_eq!(manifest["outcome"], "failed");
        let recorded = manifest["error"].as_object().expect("the manifest tells the error");
        for (field, value) in recorded {
            assert_eq!(&error[field], value, "{field}");
        }
        assert!(folder.join("run.log").is_file());
        refusal
    }

    /// Fails with `exit` before any work: no run folder is made.
    #[track_caller]
    pub(crate) fn refuses_at_once(&self, words: &[&str], exit: i32) -> Refusal {
        let (before, runs) = (self.files(), self.runs());
        let output = self.command(words).output().unwrap();
        assert_eq!(self.files(), before, "{words:?} left something");
        assert_eq!(self.runs(), runs, "{words:?} made a run folder");
        failure(&output, exit)
    }

    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("runs")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// An executable in the room. Written by a child: while we hold it open, a fork elsewhere would make it busy.
    pub(crate) fn script(&self, name: &str, body: &str) -> String {
        let path = self.path(name);
        let path = path.to_str().unwrap();
        let line = "printf '%s\\n' '#!/bin/sh' \"$1\" > \"$2\"; chmod +x \"$2\"";
        assert!(Command::new("sh").args(["-c", line, "sh", body, path]).status().unwrap().success());
        path.to_owned()
    }

    /// Every process that still works in the room's folder.
    pub(crate) fn children(&self) -> Vec<String> {
        let folder = fs::canonicalize(self.path(".")).unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let ours = entries.filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder));
        ours.map(|entry| {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            format!("{}: {}", entry.file_name().display(), String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
    }

    #[track_caller]
    pub(crate) fn assert_no_children(&self) {
        let children = self.children();
        assert!(children.is_empty(), "still there: {children:#?}");
    }

    /// For children whose parent was killed: they end by themselves, but not at once.
    #[track_caller]
    pub(crate) fn assert_children_end_within(&self, time: Duration) {
        let begun = Instant::now();
        while !self.children().is_empty() && begun.elapsed() < time {
            thread::sleep(Duration::from_millis(20));
        }
        self.assert_no_children();
    }
}

pub(crate) fn join_words<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["join", "-o", "film.mp4", "--engine", "dissolve", "--json"], more].concat()
}

pub(crate) fn manifest(run_folder: &Path) -> Value {
    let text = fs::read_to_string(run_folder.join("run.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The one error object on stdout, which says the same as the text on stderr.
#[track_caller]
pub(crate) fn failure(output: &Output, exit: i32) -> Refusal {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "signal {:?}\n{stdout}\n{stderr}", output.status.signal());
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!events.iter().any(|event| event["type"] == "result"), "a failed run has no result: {stdout}");
    let errors: Vec<&Value> = events.iter().filter(|event| event["type"] == "error").collect();
    let [error] = errors[..] else { panic!("one error, but: {stdout}\n{stderr}") };
    assert_eq!((error["code"].as_str(), error["exit"].as_i64()), (Some(word(exit)), Some(exit.into())), "{error:#}");
    assert_eq!(error["v"], 1);
    assert!(error["stage"].is_string(), "{error:#}");
    // What stands in the object's fields stands in the text, where it may be broken into lines.
    let text: String = stderr.split_whitespace().collect();
    for field in ["message", "wanted", "found", "help"] {
        let Some(value) = error[field].as_str() else { continue };
        let squeezed: String = value.split_whitespace().collect();
        assert!(text.contains(&squeezed) || value == "see wanctl --help", "{field} {value:?} is not in {stderr}");
    }
    Refusal((*error).clone())
}

/// Whether this machine can do what a test needs; says so where it cannot.
#[allow(clippy::print_stderr, reason = "a test that was skipped should not look like one that passed")]
pub(crate) fn can(what: &str, shell: &str) -> bool {
    let status = Command::new("sh").args(["-c", shell]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let can = status.is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: this machine cannot {what}");
    }
    can
}
