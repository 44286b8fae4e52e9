//! Everything that can go wrong with ffmpeg, ffprobe and the files they are given.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::pipeline::{
    system::child::Transcript,
    types::{
        cancel::Stop,
        error::{ErrorCode, ErrorDetails, Reportable},
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Ffmpeg,
    Ffprobe,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ffmpeg => "ffmpeg",
            Self::Ffprobe => "ffprobe",
        })
    }
}

/// Why a clip cannot be used.
#[derive(Debug, Clone, Default)]
pub struct Unusable {
    pub file: PathBuf,
    /// Reads on after the file's name: "has no picture".
    pub problem: String,
    pub wanted: Option<String>,
    pub found: Option<String>,
    pub frame: Option<usize>,
    pub help: Option<String>,
    pub transcript: Option<Transcript>,
}

impl Unusable {
    pub fn new(file: &Path, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), problem: problem.into(), ..Self::default() }
    }

    pub fn wanted(mut self, wanted: impl Into<String>) -> Self {
        self.wanted = Some(wanted.into());
        self
    }

    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub fn frame(mut self, frame: usize) -> Self {
        self.frame = Some(frame);
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn said(mut self, transcript: Transcript) -> Self {
        self.transcript = Some(transcript);
        self
    }
}

impl From<Unusable> for MediaError {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(Box::new(unusable))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    #[error("{tool} cannot be started as `{}`: {source}", program.display())]
    Missing { tool: Tool, program: PathBuf, source: io::Error },
    #[error("{tool} failed while {purpose}: {how}")]
    Failed { tool: Tool, purpose: String, how: String, transcript: Transcript },
    #[error("{tool} showed no progress for {} s while {purpose}", patience.as_secs_f64())]
    Stalled { tool: Tool, purpose: String, patience: Duration, transcript: Transcript },
    #[error("interrupted")]
    Interrupted,
    #[error("the time limit of {} s ran out", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("{} {}", name(&.0.file), .0.problem)]
    Unusable(Box<Unusable>),
    #[error("no space left{} while {purpose}", folder.as_ref().map_or(String::new(), |folder| format!(" in {}", folder.display())))]
    NoSpace { purpose: String, folder: Option<PathBuf>, transcript: Transcript },
    #[error("the film came out wrong: {problem}")]
    Wrong { problem: String, wanted: String, found: String },
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl From<Stop> for MediaError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupted => Self::Interrupted,
            Stop::TimedOut(allowed) => Self::TimedOut(allowed),
        }
    }
}

impl MediaError {
    /// Names the disk that is full: the one on which `output` lies.
    pub(super) fn writing(self, output: &Path) -> Self {
        match self {
            Self::NoSpace { purpose, transcript, .. } => {
                Self::NoSpace { purpose, folder: output.parent().map(Path::to_owned), transcript }
            }
            other => other,
        }
    }

    /// Whether another file would not have failed so.
    pub fn is_about_the_file(&self) -> bool {
        matches!(self, Self::Unusable(_))
    }
}

impl Reportable for MediaError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } | Self::Failed { .. } | Self::Wrong { .. } => ErrorCode::Media,
            Self::Stalled { .. } | Self::TimedOut(_) => ErrorCode::Timeout,
            Self::Interrupted => ErrorCode::Interrupted,
            Self::Unusable(_) => ErrorCode::Input,
            Self::NoSpace { .. } | Self::Io { .. } => ErrorCode::Disk,
        }
    }

    fn details(&self) -> ErrorDetails {
        let said = |transcript: &Transcript| ErrorDetails {
            command: Some(transcript.command.clone()),
            stderr: (!transcript.stderr.is_empty()).then(|| transcript.stderr.clone()),
            ..ErrorDetails::default()
        };
        match self {
            Self::Missing { tool, program, source } => ErrorDetails {
                wanted: Some(format!("{tool} on the PATH, or named by WANCTL_{}", tool.to_string().to_uppercase())),
                found: Some(format!("`{}`: {source}", program.display())),
                help: Some("install ffmpeg (`./just setup` does), or name the program in that variable".into()),
                ..ErrorDetails::default()
            },
            Self::Failed { transcript, .. } => ErrorDetails {
                help: Some("try that command by hand; where it works, report this together with the run folder".into()),
                ..said(transcript)
            },
            Self::Stalled { transcript, .. } => ErrorDetails {
                help: Some(
                    "the machine may be out of memory or its disk may hang; run again with -vv to see more".into(),
                ),
                ..said(transcript)
            },
            Self::NoSpace { folder, transcript, .. } => ErrorDetails {
                file: folder.clone(),
                help: Some("free some space, or write elsewhere: the film with -o, all else with --work-dir".into()),
                ..said(transcript)
            },
            Self::Interrupted => ErrorDetails::default(),
            Self::TimedOut(_) => {
                ErrorDetails { help: Some("allow more with --timeout".into()), ..ErrorDetails::default() }
            }
            Self::Unusable(unusable) => {
                let Unusable { file, problem: _, wanted, found, frame, help, transcript } = (**unusable).clone();
                ErrorDetails {
                    file: Some(file),
                    wanted,
                    found,
                    frame,
                    help,
                    ..transcript.as_ref().map(said).unwrap_or_default()
                }
            }
            Self::Wrong { wanted, found, .. } => ErrorDetails {
                wanted: Some(wanted.clone()),
                found: Some(found.clone()),
                help: Some("nothing was written; run again with --keep -vv and report it with the run folder".into()),
                ..ErrorDetails::default()
            },
            Self::Io { path, .. } => ErrorDetails { file: Some(path.clone()), ..ErrorDetails::default() },
        }
    }
}
