//! A job folder: what `wanctl` asks of the engine program and what comes back. Both programs share these types.
//!
//! ```text
//! request.json       what to do; written by wanctl
//! guide.safetensors  frames u8 [T,H,W,3] RGB, slot u8 [T], mask f32 [T], latent_mask f32 [L]; written by wanctl
//! references.safetensors  wan, where there are any: frames u8 [R,H,W,3], what things look like; written by wanctl
//! latents.safetensors  wan: latents and the solver's history after every step, so that a killed job goes on; by the engine
//! control.safetensors  wan, of several jobs at once: what the guide became, until the job is done; by the engine
//! made.safetensors   frames u8 [T,H,W,3]; written by the engine
//! result.json        how it went, with hashes; written last
//! engine.log         what the engine said
//! ```
//!
//! Every file is written under another name and renamed, so that what has its name is whole.

mod frames;
pub mod memory;
mod place;
pub mod schedule;
mod wan;

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::pipeline::types::error::{ErrorCode, ErrorDetails, Reportable};

pub use frames::{FrameFile, GuideHead, write_frames, write_guide};
pub use place::{Device, ExecTarget};
pub use wan::{CfgZero, Dtype, LoraUse, Noise, Offload, Part, Strength, VaeTile, Wan};

/// Counts up with every change that an older program would misread.
pub const VERSION: u32 = 5;
/// Both programs come from one build; another build's numbers may mean other things.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");

pub const REQUEST: &str = "request.json";
pub const GUIDE: &str = "guide.safetensors";
pub const REFERENCES: &str = "references.safetensors";
pub const LATENTS: &str = "latents.safetensors";
pub const CONTROL: &str = "control.safetensors";
pub const MADE: &str = "made.safetensors";
pub const RESULT: &str = "result.json";
pub const LOG: &str = "engine.log";

/// Where a seam's job lies in its run's folder.
pub fn folder(run: &Path, seam: usize) -> PathBuf {
    run.join(format!("seam_{seam:02}"))
}

/// Which engine, and what only it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The embedded network, and the clips' own motion.
    Rife,
    /// The embedded network alone, by halves: what the former is measured against.
    Halving,
    /// A Wan model.
    Wan(Box<Wan>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub version: u32,
    pub program: String,
    /// The run that it belongs to.
    pub run: String,
    pub seam: usize,
    pub maker: Backend,
    pub width: u32,
    pub height: u32,
    /// Frames of the guide.
    pub frames: usize,
    /// SHA-256 of the guide file.
    pub guide: String,
    /// The same of the reference images' file, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
}

/// What a frame of the guide is, as its `slot` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotKind {
    Fill = 0,
    Hint = 1,
    Anchor = 2,
    Keep = 3,
    /// Of another clip, as guidance: shown, and made.
    Structure = 4,
}

impl SlotKind {
    pub fn of(byte: u8) -> Option<Self> {
        [Self::Fill, Self::Hint, Self::Anchor, Self::Keep, Self::Structure].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Said by the engine, one JSON object a line on its stdout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// The first of all.
    Started {
        program: String,
        libtorch: String,
    },
    /// Work on a seam begins, on a device, with so many threads.
    Job {
        seam: usize,
        device: String,
        threads: usize,
    },
    /// A part of the work begins that is counted by itself.
    Part {
        seam: usize,
        part: Part,
    },
    Progress {
        seam: usize,
        done: usize,
        total: usize,
        /// How much of the next step is done, from 0 to 1, where a step takes long.
        #[serde(default, skip_serializing_if = "is_zero")]
        share: f64,
    },
    /// Something that the user should know.
    Note {
        seam: usize,
        message: String,
    },
    /// Said now and then, however long a step takes.
    Alive,
    Error(EngineFailure),
    Done {
        seam: usize,
    },
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Why an engine gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFailure {
    pub code: EngineFailureCode,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineFailureCode {
    Usage,
    Weights,
    Memory,
    Disk,
    Engine,
}

impl EngineFailure {
    pub fn new(code: EngineFailureCode, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), help: None }
    }

    pub fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }
}

impl From<JobError> for EngineFailure {
    fn from(error: JobError) -> Self {
        let code =
            if matches!(error, JobError::Write { .. }) { EngineFailureCode::Disk } else { EngineFailureCode::Engine };
        Self::new(code, error)
    }
}

/// Written last: with it the job is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    pub version: u32,
    pub program: String,
    pub libtorch: String,
    pub device: String,
    pub threads: usize,
    pub seconds: f64,
    /// SHA-256 of the request that was answered and of what was made.
    pub request: String,
    pub made: String,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// What a GPU gave at its peak, since the jobs of this start began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_device_bytes: Option<u64>,
    /// Seconds that each part took; what several seams share counts for the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(Part, f64)>,
    /// Bytes that a GPU gave at the peak of each part, counted like its seconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_peaks: Vec<(Part, u64)>,
    /// Bytes that each part was estimated to take of the device's memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_estimates: Vec<(Part, u64)>,
}

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not what it should be: {problem}", path.display())]
    Malformed { path: PathBuf, problem: String },
}

impl JobError {
    fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    fn malformed(path: &Path, problem: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), problem: problem.into() }
    }
}

impl Reportable for JobError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Write { .. } => ErrorCode::Disk,
            Self::Read { .. } | Self::Malformed { .. } => ErrorCode::Engine,
        }
    }

    fn details(&self) -> ErrorDetails {
        let (Self::Read { path, .. } | Self::Write { path, .. } | Self::Malformed { path, .. }) = self;
        ErrorDetails { file: Some(path.clone()), ..ErrorDetails::default() }
    }
}

/// Writes a file whole or not at all.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), JobError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = File::create(&new).map(BufWriter::new).and_then(|mut file| {
        write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    written.map_err(JobError::write(&new))?;
    fs::rename(&new, path).map_err(JobError::write(path))
}

pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), JobError> {
    write_whole(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value).map_err(io::Error::other)?;
        file.write_all(b"\n")
    })
}

pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, JobError> {
    let file = File::open(path).map_err(JobError::read(path))?;
    serde_json::from_reader(BufReader::new(file)).map_err(|error| JobError::malformed(path, error.to_string()))
}

/// SHA-256 in hexadecimal digits.
pub fn hash(path: &Path) -> Result<String, JobError> {
    let mut hasher = Sha256::new();
    let file = File::open(path).map_err(JobError::read(path))?;
    io::copy(&mut BufReader::with_capacity(1 << 20, file), &mut hasher).map_err(JobError::read(path))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_one_line_of_json_each() {
        let events = [
            Event::Started { program: PROGRAM.into(), libtorch: "2.11.0".into() },
            Event::Progress { seam: 0, done: 3, total: 16, share: 0.0 },
            Event::Progress { seam: 0, done: 3, total: 16, share: 0.25 },
            Event::Error(EngineFailure {
                code: EngineFailureCode::Memory,
                message: "out of memory".into(),
                help: None,
            }),
        ];
        for event in events {
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }
}
