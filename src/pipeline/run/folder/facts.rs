//! What a run folder tells: how the run ended, what of it is made, and how to go on with it.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;

use super::{LOCK, MANIFEST, RunError};
use crate::pipeline::{job, run::engine, system::text};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// A process works in the folder now.
    Running,
    /// It was running and nobody holds its folder: killed, or the machine stopped.
    Killed,
    /// Parts of it are made, each by a run of its own.
    Part,
    Failed,
    Done,
}

/// The facts of a run folder.
#[derive(Debug, Clone, Serialize)]
pub struct RunFacts {
    pub path: PathBuf,
    pub run: String,
    /// The subcommand.
    pub command: String,
    pub wanctl: Option<String>,
    pub started: Option<String>,
    pub state: RunState,
    /// The command line, word by word.
    pub arguments: Vec<String>,
    /// Where the film goes.
    pub output: Option<PathBuf>,
    pub transitions: Vec<PathBuf>,
    /// Of the plan.
    pub frames: Option<u64>,
    pub seams: usize,
    /// `seam` or `segment`.
    pub of: &'static str,
    /// Whether the frames between come of an engine program, which leaves them in the folder.
    pub engine: bool,
    /// Seams whose frames are there and whole, from 0.
    pub made: Vec<usize>,
    pub error: Option<Value>,
}

impl RunFacts {
    /// Reads a folder and changes nothing in it.
    pub fn read(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(MANIFEST);
        let no_run = |problem: String| RunError::NoRun { path: path.clone(), problem };
        let bytes = std::fs::read(&path).map_err(|error| no_run(error.to_string()))?;
        let manifest: Value = text::from_json(&bytes).map_err(|error| no_run(error.to_string()))?;
        let word = |key: &str| manifest[key].as_str().map(str::to_owned);
        let (Some(run), Some(command), Some(outcome)) = (word("run"), word("command"), word("outcome")) else {
            return Err(no_run("it lacks `run`, `command` or `outcome`".into()));
        };
        let state = match outcome.as_str() {
            _ if is_held(folder) => RunState::Running,
            "running" => RunState::Killed,
            "part" => RunState::Part,
            "failed" | "refused" => RunState::Failed,
            "done" => RunState::Done,
            other => return Err(no_run(format!("its outcome is `{other}`"))),
        };
        let seams = manifest["plan"]["seams"].as_array().map_or(0, Vec::len);
        let made: Vec<usize> = (0..seams).filter(|seam| engine::check(&job::folder(folder, *seam)).is_ok()).collect();
        let paths = |value: &Value| -> Vec<PathBuf> {
            value.as_array().into_iter().flatten().filter_map(|path| Some(path.as_str()?.into())).collect()
        };
        let words = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
        };
        let pieces = manifest["plan"]["timeline"].as_array();
        Ok(Self {
            path: folder.to_owned(),
            run,
            wanctl: word("wanctl"),
            started: word("started"),
            state,
            arguments: words(&manifest["arguments"]),
            output: word("output").map(PathBuf::from),
            transitions: paths(&manifest["transitions"]),
            frames: manifest["plan"]["frames"].as_u64().filter(|_| pieces.is_some()),
            seams,
            of: if command == "travel" || manifest["plan"]["command"] == "travel" { "segment" } else { "seam" },
            engine: !made.is_empty() || (0..seams).any(|seam| job::folder(folder, seam).is_dir()),
            made,
            error: manifest.get("error").filter(|error| !error.is_null()).cloned(),
            command,
        })
    }

    /// The options that go on with the run, or make its film of what is made; none where the film is done or nothing can
    /// be gone on with.
    pub fn next_option(&self) -> Option<&'static str> {
        match (self.state, self.command.as_str()) {
            (RunState::Running | RunState::Done, _) | (_, "guide") => None,
            (RunState::Part, _) if self.made.len() == self.seams => Some("--stitch-only"),
            _ => Some("--resume"),
        }
    }

    pub fn manifest(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }
}

/// Whether a folder is, or was meant to be, a run's.
pub fn is_run_folder(folder: &Path) -> bool {
    folder.is_dir() && folder.join(MANIFEST).symlink_metadata().is_ok()
}

/// Whether a process works in the folder.
fn is_held(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::pipeline::run::folder::{RunDir, RunOutcome, Share};

    fn run(folder: &Path) -> RunDir {
        RunDir::create(Some(folder), "join", Share::Nobody).unwrap()
    }

    #[test]
    fn a_run_tells_how_it_stands() {
        let room = tempfile::tempdir().unwrap();
        let live = run(room.path());
        let path = live.path().to_owned();
        let state = || RunFacts::read(&path).unwrap().state;
        assert_eq!(state(), RunState::Running);
        drop(live);
        assert_eq!(state(), RunState::Killed);
        let reopened = || RunDir::open(&path, Share::Nobody).unwrap().go_on(Share::Nobody).unwrap();
        let keep = super::super::Keep::Always;
        for (outcome, wanted, option) in [
            (RunOutcome::Failed { error: json!({ "code": "engine" }) }, RunState::Failed, Some("--resume")),
            (RunOutcome::Part { result: json!({}) }, RunState::Part, Some("--stitch-only")),
            (RunOutcome::Done { result: json!({}) }, RunState::Done, None),
        ] {
            reopened().finish(outcome, keep).unwrap();
            let facts = RunFacts::read(&path).unwrap();
            assert_eq!((facts.state, facts.next_option()), (wanted, option));
            assert_eq!(facts.error.is_some(), wanted == RunState::Failed);
        }
    }

    #[test]
    fn a_run_that_is_only_looked_for_stays_as_it_was() {
        let room = tempfile::tempdir().unwrap();
        let first = run(room.path());
        let path = first.path().to_owned();
        first.finish(RunOutcome::Failed { error: json!({ "code": "engine" }) }, super::super::Keep::Always).unwrap();
        let before = fs::read(path.join(MANIFEST)).unwrap();
        drop(RunDir::open(&path, Share::Nobody).unwrap());
        assert_eq!(fs::read(path.join(MANIFEST)).unwrap(), before);
    }

    #[test]
    fn broken_and_foreign_folders_are_told() {
        let room = tempfile::tempdir().unwrap();
        for text in ["", "{", "[]", "{}", r#"{"run": "x", "command": "join", "outcome": "odd"}"#] {
            fs::write(room.path().join(MANIFEST), text).unwrap();
            assert!(is_run_folder(room.path()));
            assert!(matches!(RunFacts::read(room.path()), Err(RunError::NoRun { .. })), "{text}");
        }
        fs::remove_file(room.path().join(MANIFEST)).unwrap();
        assert!(!is_run_folder(room.path()));
    }
}
