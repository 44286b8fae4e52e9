//! A run's own folder: what was asked, what was planned, how it ended. Kept where the run failed.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::Zoned;
use serde::Serialize;
use serde_json::{Value, json};

use super::fault::{Code, Details, Fault};

#[derive(Debug)]
pub struct RunDir {
    id: String,
    path: PathBuf,
    manifest: Value,
    /// Held while the run works, so that nobody else goes on with it.
    _lock: File,
}

const MANIFEST: &str = "run.json";
const LOCK: &str = "lock";
/// What a run is told by that goes on with another.
const TASK: &str = "task";

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
}

impl Fault for RunError {
    fn code(&self) -> Code {
        Code::Disk
    }

    fn details(&self) -> Details {
        let file = match self {
            Self::NoCache => None,
            Self::NotWritable { path, .. } => Some(path.clone()),
        };
        Details { file, help: Some("name a folder for it with --work-dir".into()), ..Details::default() }
    }
}

/// Written last of all into `run.json`, over "running".
#[derive(Debug)]
pub enum Outcome {
    Done {
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
    pub fn create(work_dir: Option<&Path>, command: &str) -> Result<Self, RunError> {
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
        let lock = File::create(path.join(LOCK)).and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|source| not_writable(&path, source))?;
        let run = Self { id, path, manifest, _lock: lock };
        run.write()?;
        Ok(run)
    }

    /// The newest run of this task (see [`RunDir::is_for`]) that did not end well and that nobody works on.
    pub fn resume(work_dir: Option<&Path>, task: &Value) -> Result<Option<Self>, RunError> {
        let Ok(entries) = fs::read_dir(place(work_dir)?) else { return Ok(None) };
        let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        // Their names begin with the time.
        folders.sort_unstable_by(|a, b| b.cmp(a));
        let Some(mut run) = folders.into_iter().find_map(|path| Self::unfinished(path, task)) else { return Ok(None) };
        if let Some(manifest) = run.manifest.as_object_mut() {
            manifest.remove("error");
        }
        run.manifest["outcome"] = "running".into();
        run.manifest["resumed"] = (run.manifest["resumed"].as_u64().unwrap_or(0) + 1).into();
        run.write()?;
        Ok(Some(run))
    }

    fn unfinished(path: PathBuf, task: &Value) -> Option<Self> {
        let manifest: Value = serde_json::from_slice(&fs::read(path.join(MANIFEST)).ok()?).ok()?;
        let open = matches!(manifest["outcome"].as_str(), Some("running" | "failed"));
        if !open || manifest[TASK] != *task {
            return None;
        }
        let lock = File::create(path.join(LOCK)).ok()?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return None,
            // A file system without locks cannot tell; the user asked for it.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let id = manifest["run"].as_str()?.to_owned();
        Some(Self { id, path, manifest, _lock: lock })
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
        self.manifest[key] = serde_json::to_value(value).expect("what is recorded has only string keys");
        self.write()
    }

    /// Where the folder still is afterwards.
    pub fn finish(mut self, outcome: Outcome, keep: Keep) -> Result<Option<PathBuf>, RunError> {
        let (word, key, value) = match outcome {
            Outcome::Done { result } => ("done", "result", result),
            Outcome::Failed { error } => ("failed", "error", error),
            Outcome::Refused => ("refused", "result", Value::Null),
        };
        self.manifest["outcome"] = word.into();
        self.manifest[key] = value;
        if word != "failed" && keep == Keep::OnFailure {
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
