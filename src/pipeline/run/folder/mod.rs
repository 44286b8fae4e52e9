//! A run's own folder: what was asked, what was planned, how it ended. Kept where the run failed.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::Zoned;
use serde::Serialize;
use serde_json::{Value, json};

mod facts;

pub use facts::{RunFacts, RunState, is_run_folder};

use crate::pipeline::{
    job,
    system::text,
    types::{
        cancel::{CancelToken, Stop},
        error::{ErrorCode, ErrorDetails, Reportable},
    },
};

#[derive(Debug)]
pub struct RunDir {
    id: String,
    path: PathBuf,
    manifest: Value,
    /// Whether this process tells the manifest; of several that make parts of one run, the first.
    tells: bool,
    /// Held while the run works, so that nobody else goes on with it.
    _lock: File,
}

/// Who may work in a run's folder at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    Nobody,
    /// Others that make other parts of it.
    Parts,
}

/// A part's folder, held by this process.
#[derive(Debug)]
pub struct PartLock(#[expect(dead_code, reason = "held until it is dropped")] File);

const MANIFEST: &str = "run.json";
const LOCK: &str = "lock";
/// What a run is told by that goes on with another.
const TASK: &str = "task";
/// How often a part is looked at that another process makes.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Whether a successful run leaves its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Always,
    OnFailure,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the user's cache folder is unknown")]
    NoCache,
    #[error("cannot write the run folder {}: {source}", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    #[error("{} is the run.json of no run: {problem}", path.display())]
    NoRun { path: PathBuf, problem: String },
    #[error("{} is neither a run folder nor a folder of weights", path.display())]
    ForeignFolder { path: PathBuf },
    #[error("the run {} is being worked on by another wanctl", path.display())]
    Busy { path: PathBuf },
    #[error("no run has made parts of this film")]
    NothingMade,
    #[error("{}", said(*.0))]
    Stopped(Stop),
}

impl Reportable for RunError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoRun { .. } | Self::ForeignFolder { .. } | Self::NothingMade => ErrorCode::Input,
            Self::Stopped(Stop::Interrupted) => ErrorCode::Interrupted,
            Self::Stopped(Stop::TimedOut(_)) => ErrorCode::Timeout,
            _ => ErrorCode::Disk,
        }
    }

    fn details(&self) -> ErrorDetails {
        let (file, help) = match self {
            Self::NoCache => (None, "name a folder for it with --work-dir"),
            Self::NotWritable { path, .. } => (Some(path), "name a folder for it with --work-dir"),
            Self::NoRun { path, .. } => (Some(path), "give the run.json inside a run's own folder"),
            Self::ForeignFolder { path } => (Some(path), "name a file in it, or a run's own folder (with run.json)"),
            Self::Busy { path } => (Some(path), "wait until it has ended, or end it"),
            Self::NothingMade => {
                (None, "make them with --segment K, or name another run with --task RUN/run.json or --work-dir")
            }
            Self::Stopped(_) => return ErrorDetails::default(),
        };
        ErrorDetails { file: file.cloned(), help: Some(help.into()), ..ErrorDetails::default() }
    }
}

fn said(stop: Stop) -> String {
    match stop {
        Stop::Interrupted => "interrupted".into(),
        Stop::TimedOut(allowed) => format!("the time limit of {} s ran out", allowed.as_secs_f64()),
    }
}

/// Written last of all into `run.json`, over "running".
#[derive(Debug)]
pub enum RunOutcome {
    Done {
        result: Value,
    },
    /// A part of it is made, and it can be gone on with.
    Part {
        result: Value,
    },
    Failed {
        error: Value,
    },
    /// The options were wrong: nothing was done, and nothing is kept.
    Refused,
}

/// Where run folders lie.
fn place(work_dir: Option<&Path>) -> Result<PathBuf, RunError> {
    match work_dir {
        Some(folder) => Ok(folder.to_owned()),
        None => Ok(dirs::cache_dir().ok_or(RunError::NoCache)?.join("wanctl").join("runs")),
    }
}

impl RunDir {
    /// A new folder in `work_dir`, or in the user's cache folder, with a manifest that says "running".
    pub fn create(work_dir: Option<&Path>, command: &str, share: Share) -> Result<Self, RunError> {
        let work_dir = place(work_dir)?;
        let now = Zoned::now();
        let not_writable = |path: &Path, source| RunError::NotWritable { path: path.to_owned(), source };
        fs::create_dir_all(&work_dir).map_err(|source| not_writable(&work_dir, source))?;
        let (id, path) = loop {
            // Runs that start in the same second are told apart by four digits of the clock.
            let fraction = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
            let id =
                format!("{}-{:04x}", now.strftime("%Y%m%d-%H%M%S"), (fraction / 1000) ^ std::process::id() & 0xffff);
            let path = work_dir.join(&id);
            match fs::create_dir(&path) {
                Ok(()) => break (id, path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(not_writable(&path, source)),
            }
        };
        let arguments: Vec<String> = std::env::args_os().map(|word: OsString| word.to_string_lossy().into()).collect();
        let manifest = json!({
            "version": 1,
            "wanctl": env!("CARGO_PKG_VERSION"),
            "run": id,
            "command": command,
            "arguments": arguments,
            "started": now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            "outcome": "running",
        });
        let hold = |file: File| match share {
            Share::Nobody => file.lock().map(|()| file),
            Share::Parts => file.lock_shared().map(|()| file),
        };
        let lock = File::create(path.join(LOCK)).and_then(hold).map_err(|source| not_writable(&path, source))?;
        let run = Self { id, path, manifest, tells: true, _lock: lock };
        run.write()?;
        Ok(run)
    }

    /// The newest run of this task (see [`RunDir::is_for`]) that did not end well and that nobody works on.
    pub fn resume(work_dir: Option<&Path>, task: &Value, share: Share) -> Result<Option<Self>, RunError> {
        let Ok(entries) = fs::read_dir(place(work_dir)?) else { return Ok(None) };
        let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        // Their names begin with the time.
        folders.sort_unstable_by(|a, b| b.cmp(a));
        let same = |manifest: &Value| {
            let open = matches!(manifest["outcome"].as_str(), Some("running" | "failed" | "part"));
            open && manifest[TASK] == *task
        };
        let found = folders.into_iter().find_map(|path| Self::held(path, share, same).ok());
        Ok(found)
    }

    /// The run in this folder, however it ended.
    pub fn open(folder: &Path, share: Share) -> Result<Self, RunError> {
        Self::held(folder.to_owned(), share, |_| true)
    }

    /// Begins work in the folder of an earlier run; until then that run is as it was.
    pub fn go_on(mut self, share: Share) -> Result<Self, RunError> {
        let run = &mut self;
        if share == Share::Parts {
            run.tells = false;
            return Ok(self);
        }
        if let Some(manifest) = run.manifest.as_object_mut() {
            manifest.remove("error");
        }
        run.manifest["outcome"] = "running".into();
        run.manifest["resumed"] = (run.manifest["resumed"].as_u64().unwrap_or(0) + 1).into();
        run.write()?;
        Ok(self)
    }

    fn held(path: PathBuf, share: Share, wanted: impl FnOnce(&Value) -> bool) -> Result<Self, RunError> {
        let no_run = |problem: String| RunError::NoRun { path: path.join(MANIFEST), problem };
        let text = fs::read(path.join(MANIFEST)).map_err(|error| no_run(error.to_string()))?;
        let manifest: Value = text::from_json(&text).map_err(|error| no_run(error.to_string()))?;
        let Some(id) = manifest["run"].as_str().map(ToOwned::to_owned).filter(|_| wanted(&manifest)) else {
            return Err(no_run("it is of another run".into()));
        };
        let lock = File::create(path.join(LOCK));
        let lock = lock.map_err(|source| RunError::NotWritable { path: path.clone(), source })?;
        let held = match share {
            Share::Nobody => lock.try_lock(),
            Share::Parts => lock.try_lock_shared(),
        };
        match held {
            Err(TryLockError::WouldBlock) => Err(RunError::Busy { path }),
            // A file system without locks cannot tell; the user asked for it.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { id, path, manifest, tells: true, _lock: lock }),
        }
    }

    /// Keeps other processes from a part while this one makes it. Where one does so already, that is said by `waits`.
    pub fn hold(&self, part: usize, cancel: &CancelToken, waits: impl FnOnce()) -> Result<PartLock, RunError> {
        let folder = job::folder(&self.path, part);
        let not_writable = |source| RunError::NotWritable { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(not_writable)?;
        let lock = File::create(folder.join(LOCK)).map_err(not_writable)?;
        let mut waits = Some(waits);
        while matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            waits.take().into_iter().for_each(|waits| waits());
            if let Some(stop) = cancel.wanted() {
                return Err(RunError::Stopped(stop));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(PartLock(lock))
    }

    /// Says what the run does, so that it can be gone on with.
    pub fn is_for(&mut self, task: &Value) -> Result<(), RunError> {
        self.record(TASK, task)
    }

    /// What an earlier part of the run recorded.
    pub fn recorded(&self, key: &str) -> &Value {
        &self.manifest[key]
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds what became known to the manifest.
    pub fn record(&mut self, key: &str, value: &impl Serialize) -> Result<(), RunError> {
        if !self.tells {
            return Ok(());
        }
        self.manifest[key] = serde_json::to_value(value).expect("what is recorded has only string keys");
        self.write()
    }

    /// Where the folder still is afterwards.
    pub fn finish(mut self, outcome: RunOutcome, keep: Keep) -> Result<Option<PathBuf>, RunError> {
        if !self.tells {
            return Ok(Some(self.path));
        }
        let (word, key, value) = match outcome {
            RunOutcome::Done { result } => ("done", "result", result),
            RunOutcome::Part { result } => ("part", "result", result),
            RunOutcome::Failed { error } => ("failed", "error", error),
            RunOutcome::Refused => ("refused", "result", Value::Null),
        };
        self.manifest["outcome"] = word.into();
        self.manifest[key] = value;
        if !["failed", "part"].contains(&word) && keep == Keep::OnFailure {
            let gone = fs::remove_dir_all(&self.path);
            return gone.map(|()| None).map_err(|source| RunError::NotWritable { path: self.path, source });
        }
        self.write()?;
        Ok(Some(self.path))
    }

    /// Whole or not at all: a killed run leaves the manifest before.
    fn write(&self) -> Result<(), RunError> {
        let path = self.path.join(MANIFEST);
        let write = || {
            let text = serde_json::to_string_pretty(&self.manifest).map_err(io::Error::other)?;
            let new = self.path.join("run.json.new");
            fs::write(&new, text + "\n")?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| RunError::NotWritable { path: path.clone(), source })
    }
}
