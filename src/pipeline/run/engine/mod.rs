//! The parent's side of the engine: job folders written, the engine program started and listened to, its work checked.
#![allow(clippy::disallowed_types, reason = "this module starts the engine program")]

mod folder;

use std::{
    env, fs, io,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::Command,
};

use serde::Deserialize;

pub use folder::{Ask, check, write_job};

use crate::pipeline::{
    frames::generated::EngineOutput,
    job::{self, EngineFailure, EngineFailureCode, Event, ExecTarget, JobError},
    system::{
        child::{Child, ExitCause, Failed, Feeds, ProcessLimits, Transcript},
        environment,
    },
    types::{
        cancel::{CancelToken, Stop},
        error::{ErrorCode, ErrorDetails, Reportable},
    },
};

/// The engine program, and how long it may be silent.
#[derive(Debug)]
pub struct Engine {
    program: PathBuf,
    leash: ProcessLimits,
}

/// A line of `wanctl-engine --devices`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeviceFacts {
    /// As `--device` takes it.
    pub name: String,
    pub available: bool,
    /// All of its memory, used or not.
    pub memory_bytes: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the engine program cannot be started: {source}")]
    NotStarted { program: PathBuf, source: io::Error },
    #[error("the engine program is of another version")]
    Version { program: PathBuf, found: String },
    #[error("the engine failed: {how}")]
    Died { how: String, signal: Option<i32>, transcript: Transcript },
    #[error("the engine said nothing for {seconds} s")]
    Silent { seconds: f64, transcript: Transcript },
    #[error("{}", trouble.message)]
    EngineFailure { trouble: EngineFailure, transcript: Transcript },
    #[error("the engine's work is not what was asked: {problem}")]
    Wrong { problem: String, wanted: String, found: String },
    #[error("interrupted")]
    Interrupted,
    #[error("the time limit of {} s ran out", .0.as_secs_f64())]
    TimedOut(std::time::Duration),
    #[error(transparent)]
    Job(#[from] JobError),
}

impl From<Stop> for EngineError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupted => Self::Interrupted,
            Stop::TimedOut(allowed) => Self::TimedOut(allowed),
        }
    }
}

/// The kernel's own signal to a process that takes too much memory. It says nothing else.
const KILLED: i32 = 9;

impl Reportable for EngineError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Died { signal: Some(KILLED), .. } => ErrorCode::Memory,
            Self::NotStarted { .. } | Self::Version { .. } | Self::Died { .. } | Self::Wrong { .. } => {
                ErrorCode::Engine
            }
            Self::Silent { .. } | Self::TimedOut(_) => ErrorCode::Timeout,
            Self::Interrupted => ErrorCode::Interrupted,
            Self::Job(error) => error.code(),
            Self::EngineFailure { trouble, .. } => match trouble.code {
                EngineFailureCode::Usage => ErrorCode::Usage,
                EngineFailureCode::Weights => ErrorCode::Weights,
                EngineFailureCode::Memory => ErrorCode::Memory,
                EngineFailureCode::Disk => ErrorCode::Disk,
                EngineFailureCode::Engine => ErrorCode::Engine,
            },
        }
    }

    fn details(&self) -> ErrorDetails {
        let said = |transcript: &Transcript, help: Option<&str>| ErrorDetails {
            command: Some(transcript.command.clone()),
            stderr: (!transcript.stderr.is_empty()).then(|| transcript.stderr.clone()),
            help: help.map(ToOwned::to_owned),
            ..ErrorDetails::default()
        };
        const SMALLER: &str = "make the picture smaller with --size, close other programs, or use --engine dissolve";
        match self {
            Self::NotStarted { program, .. } => ErrorDetails {
                file: Some(program.clone()),
                wanted: Some("the program wanctl-engine beside wanctl, or named by WANCTL_ENGINE".into()),
                help: Some("build it with `./just setup && cargo build --release`, or use --engine dissolve".into()),
                ..ErrorDetails::default()
            },
            Self::Version { program, found } => ErrorDetails {
                file: Some(program.clone()),
                wanted: Some(format!("wanctl-engine {}", job::PROGRAM)),
                found: Some(found.clone()),
                help: Some("build both programs together: cargo build --release".into()),
                ..ErrorDetails::default()
            },
            Self::Died { signal: Some(KILLED), transcript, .. } => said(transcript, Some(SMALLER)),
            Self::Died { transcript, .. } => {
                let unlinked = transcript.stderr.contains("error while loading shared libraries");
                said(transcript, unlinked.then_some("libtorch is not where it was at the build: `./just setup`, or set LD_LIBRARY_PATH to its lib folder"))
            }
            Self::Silent { transcript, .. } => said(transcript, None),
            Self::EngineFailure { trouble, transcript } => {
                let help = trouble.help.as_deref();
                said(transcript, help.or((trouble.code == EngineFailureCode::Memory).then_some(SMALLER)))
            }
            Self::Wrong { wanted, found, .. } => ErrorDetails {
                wanted: Some(wanted.clone()),
                found: Some(found.clone()),
                help: Some("the job folder inside the run folder holds what was asked and what came".into()),
                ..ErrorDetails::default()
            },
            Self::TimedOut(_) => {
                ErrorDetails { help: Some("allow more with --timeout".into()), ..ErrorDetails::default() }
            }
            Self::Interrupted => ErrorDetails::default(),
            Self::Job(error) => error.details(),
        }
    }
}

impl Engine {
    /// The program that `WANCTL_ENGINE` names, else the one beside this one.
    pub fn new(leash: ProcessLimits) -> Self {
        let beside = || {
            let name = format!("wanctl-engine{}", env::consts::EXE_SUFFIX);
            env::current_exe().map_or_else(|_| name.clone().into(), |program| program.with_file_name(&name))
        };
        Self::at(environment::ENGINE.get().map_or_else(beside, PathBuf::from), leash)
    }

    pub fn at(program: PathBuf, leash: ProcessLimits) -> Self {
        Self { program, leash }
    }

    /// What it can work on.
    pub fn devices(&self) -> Result<Vec<DeviceFacts>, EngineError> {
        let mut command = Command::new(&self.program);
        command.arg("--devices");
        let started = Child::start(command, Feeds::No, &self.leash, None);
        let mut child = started.map_err(|ending| self.meaning(ending, Transcript::default()))?;
        let lines = BufReader::new(&mut child).lines().map_while(Result::ok);
        let devices = lines.filter_map(|line| serde_json::from_str(&line).ok()).collect();
        let ended = child.end();
        let transcript = child.transcript();
        ended.map(|()| devices).map_err(|ending| self.meaning(ending, transcript))
    }

    /// The same program, and a word that ends all that it does.
    pub fn together(&self) -> (Self, CancelToken) {
        let Self { program, leash: ProcessLimits { cancel, patience } } = self;
        let cancel = cancel.own();
        (
            Self { program: program.clone(), leash: ProcessLimits { cancel: cancel.clone(), patience: *patience } },
            cancel,
        )
    }

    /// Does the jobs in order with one start of the program; what each of them made.
    pub fn run(
        &self,
        place: &ExecTarget,
        folders: &[PathBuf],
        mut hear: impl FnMut(&Event),
    ) -> Result<Vec<EngineOutput>, EngineError> {
        let log = folders.first().map(|folder| folder.join(job::LOG));
        let log = log.and_then(|path| fs::File::create(path).ok());
        let mut command = Command::new(&self.program);
        command.args(place.words()).args(folders);
        // libgomp's threads wait by spinning, which on a busy machine makes everything several times slower.
        #[expect(clippy::disallowed_methods, reason = "it is libgomp's")]
        let said = env::var_os("OMP_WAIT_POLICY").is_some();
        if !said {
            command.env("OMP_WAIT_POLICY", "passive");
        }
        let started = Child::start(command, Feeds::No, &self.leash, log);
        let mut child = started.map_err(|ending| self.meaning(ending, Transcript::default()))?;
        let mut trouble = None;
        let heard = self.listen(&mut child, |event| {
            if let Event::Error(error) = event {
                trouble = Some(error.clone());
            }
            hear(event);
        });
        // A program of another version, or one that talks nonsense, is not waited for.
        heard?;
        let ended = child.end();
        let transcript = child.transcript();
        match (ended, trouble) {
            (Err(ExitCause::Stopped(stop)), _) => Err(stop.into()),
            (_, Some(trouble)) => Err(EngineError::EngineFailure { trouble, transcript }),
            (Err(ending), None) => Err(self.meaning(ending, transcript)),
            (Ok(()), None) => folders.iter().map(|folder| check(folder)).collect(),
        }
    }

    fn listen(&self, child: &mut Child, mut hear: impl FnMut(&Event)) -> Result<(), EngineError> {
        let mut first = true;
        for line in BufReader::new(child).lines() {
            // A broken pipe or broken UTF-8 ends the talk; the program's end tells the rest.
            let Ok(line) = line else { break };
            let event = serde_json::from_str::<Event>(&line);
            if first {
                match &event {
                    Ok(Event::Started { program, .. }) if program == job::PROGRAM => {}
                    Ok(Event::Started { program, .. }) => return Err(self.version(format!("wanctl-engine {program}"))),
                    _ => {
                        return Err(self
                            .version(format!("a program that says `{}`", line.chars().take(60).collect::<String>())));
                    }
                }
                first = false;
            }
            match event {
                Ok(event) => hear(&event),
                Err(error) => tracing::warn!(%line, %error, "an event that is not understood"),
            }
        }
        Ok(())
    }

    fn version(&self, found: String) -> EngineError {
        EngineError::Version { program: self.program.clone(), found }
    }

    fn meaning(&self, ending: ExitCause, transcript: Transcript) -> EngineError {
        match ending {
            ExitCause::NotStarted(source) => EngineError::NotStarted { program: self.program.clone(), source },
            ExitCause::Stopped(stop) => stop.into(),
            ExitCause::Stalled => EngineError::Silent { seconds: self.leash.patience.as_secs_f64(), transcript },
            ExitCause::Failed(Failed { how, signal, .. }) => EngineError::Died { how, signal, transcript },
        }
    }
}
