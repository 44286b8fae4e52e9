//! ffmpeg and ffprobe as children: their frames, their progress, and what their ends mean.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read},
    process::{ChildStdin, ChildStdout, Command},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use ffmpeg_sidecar::command::FfmpegCommand;

use super::{
    Media,
    error::{MediaError, Tool},
};
use crate::pipeline::system::child::{self, ExitCause, Failed, Feeds, Transcript, WATCH_INTERVAL, Watch};

/// The signal of a process that wrote past its file size limit.
const FILE_SIZE_LIMIT: i32 = 25;

/// Which of a child's streams we hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pipes {
    /// We read what it makes.
    Out,
    /// We feed it from a thread of its own, and read what it makes.
    InAndOut,
    /// We feed it, and it reports its progress on its stdout.
    InWithProgress,
    /// It works by itself and reports its progress on its stdout.
    Progress,
}

pub(super) struct Child {
    child: child::Child,
    reports: Option<JoinHandle<()>>,
    /// The last `frame=` of the child's progress report.
    frames: Arc<AtomicU64>,
    media: Media,
    tool: Tool,
    purpose: String,
}

impl Child {
    /// Starts `tool`; `purpose` completes "failed while ...".
    pub(super) fn start(
        media: &Media,
        tool: Tool,
        purpose: impl Into<String>,
        pipes: Pipes,
        arguments: Vec<OsString>,
    ) -> Result<Self, MediaError> {
        let program = media.program(tool);
        // From a bare command: the crate's own preset asks for a log level meant for its parser.
        let mut command = FfmpegCommand::from(Command::new(&program));
        command.create_no_window().args(&arguments);
        let command = Command::from(command);
        let feeds = match pipes {
            Pipes::InAndOut | Pipes::InWithProgress => Feeds::Yes,
            Pipes::Out | Pipes::Progress => Feeds::No,
        };
        let started = child::Child::start(command, feeds, &media.leash, None);
        let mut child = started.map_err(|ending| match ending {
            ExitCause::NotStarted(source) => MediaError::Missing { tool, program, source },
            ExitCause::Stopped(stop) => stop.into(),
            ExitCause::Stalled | ExitCause::Failed(_) => unreachable!("a child that was not started"),
        })?;
        let frames = Arc::new(AtomicU64::new(0));
        let reports = match pipes {
            Pipes::Out | Pipes::InAndOut => None,
            Pipes::InWithProgress | Pipes::Progress => child.take_stdout().map(|stdout| {
                let (watch, frames) = (child.watch(), frames.clone());
                thread::spawn(move || read_progress(stdout, &watch, &frames))
            }),
        };
        Ok(Self { child, reports, frames, media: media.clone(), tool, purpose: purpose.into() })
    }

    /// Fills `buffer` as far as the child's output goes; what it returns is less only at the end.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, MediaError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.child.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self.meaning(self.child.failed(&format!("its output cannot be read: {error}"))));
                }
            }
        }
        Ok(filled)
    }

    /// For a thread that feeds the child while we read.
    pub(super) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.take_stdin()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        self.child.write_all(bytes).map_err(|ending| self.meaning(ending))
    }

    /// Frames that the child says it has done.
    pub(super) fn frames_reported(&self) -> usize {
        self.frames.load(Ordering::Relaxed) as usize
    }

    /// Waits for the child, calling `each` now and then.
    pub(super) fn wait_with(&mut self, mut each: impl FnMut(usize)) -> Result<(), MediaError> {
        self.child.close_stdin();
        let watch = self.child.watch();
        watch.during(|| {
            while !self.reports.as_ref().is_none_or(JoinHandle::is_finished) {
                thread::sleep(WATCH_INTERVAL);
                each(self.frames_reported());
            }
        });
        self.end()
    }

    /// Closes the child's input and waits; an error unless it ended well.
    pub(super) fn end(&mut self) -> Result<(), MediaError> {
        let ended = self.child.end();
        if let Some(reports) = self.reports.take() {
            let _ = reports.join();
        }
        ended.map_err(|ending| self.meaning(ending))
    }

    pub(super) fn transcript(&self) -> Transcript {
        self.child.transcript()
    }

    fn meaning(&self, ending: ExitCause) -> MediaError {
        let (transcript, purpose, tool) = (self.transcript(), self.purpose.clone(), self.tool);
        match ending {
            ExitCause::Stopped(stop) => stop.into(),
            ExitCause::Stalled => {
                MediaError::Stalled { tool, purpose, patience: self.media.leash.patience, transcript }
            }
            ExitCause::NotStarted(source) => MediaError::Missing { tool, program: self.media.program(tool), source },
            ExitCause::Failed(Failed { how, signal, .. }) => {
                let full = ["No space left on device", "File too large", "Disk quota exceeded"];
                let no_space = full.iter().any(|words| transcript.stderr.contains(words));
                if no_space || signal == Some(FILE_SIZE_LIMIT) {
                    return MediaError::NoSpace { purpose, folder: None, transcript };
                }
                MediaError::Failed { tool, purpose, how, transcript }
            }
        }
    }
}

/// A child's output for parsers.
impl Read for Child {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.child.read(buffer)
    }
}

/// Reads ffmpeg's `-progress` lines, `key=value`.
fn read_progress(stdout: ChildStdout, watch: &Watch, frames: &AtomicU64) {
    let (mut last, mut lines) = (String::new(), BufReader::new(stdout).lines());
    while let Some(Ok(line)) = lines.next() {
        if let Some(count) = line.strip_prefix("frame=").and_then(|text| text.trim().parse().ok()) {
            frames.store(count, Ordering::Relaxed);
        }
        // Repeated reports of the same numbers are no sign of life.
        if line.starts_with("out_time_us=") && line != last {
            watch.beat();
            last = line;
        }
    }
}
