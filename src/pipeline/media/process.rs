//! Children: started for a purpose, watched while we wait for them, ended with us.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ffmpeg_sidecar::command::FfmpegCommand;
use shared_child::SharedChild;

use super::{
    Media,
    error::{MediaError, Tool, Transcript},
};
use crate::pipeline::cancel::{Cancel, Stop};

/// What is kept of a child's stderr: its end, where the cause stands.
const TAIL_BYTES: usize = 32 * 1024;
/// How late a stop can come.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);
/// Linux gives a pipe 64 KiB; a whole frame in it lets both sides work at once.
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 1 << 20;

/// Which of a child's streams we hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pipes {
    /// We read what it makes.
    Out,
    /// We feed it, and it reports its progress on its stdout.
    InWithProgress,
    /// It works by itself and reports its progress on its stdout.
    Progress,
}

pub(super) struct Child {
    process: Arc<SharedChild>,
    watch: Arc<Watch>,
    watcher: Option<JoinHandle<()>>,
    stderr: Option<JoinHandle<()>>,
    reports: Option<JoinHandle<()>>,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    tool: Tool,
    purpose: String,
    patience: Duration,
    command: String,
}

/// What the watching thread and we tell each other.
#[derive(Default)]
struct Watch {
    over: AtomicBool,
    /// Milliseconds (plus one) after `started` at which we began to wait for the child, 0 while we do not.
    waiting_since: AtomicU64,
    verdict: Mutex<Option<Verdict>>,
    tail: Mutex<VecDeque<u8>>,
    /// The last `frame=` of the child's progress report.
    frames: AtomicU64,
    started: Started,
}

struct Started(Instant);

impl Default for Started {
    fn default() -> Self {
        Self(Instant::now())
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    Stop(Stop),
    Stalled,
}

impl Watch {
    fn now(&self) -> u64 {
        self.started.0.elapsed().as_millis() as u64 + 1
    }

    /// A sign of life: if we are waiting, the wait starts anew.
    fn beat(&self) {
        let since = self.waiting_since.load(Ordering::Relaxed);
        if since != 0 {
            // Losing the race against the end of the wait costs nothing: the next wait overwrites it.
            let _ = self.waiting_since.compare_exchange(since, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn during<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.waiting_since.store(self.now(), Ordering::Relaxed);
        let outcome = wait();
        self.waiting_since.store(0, Ordering::Relaxed);
        outcome
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        if let Some(stop) = media.cancel.wanted() {
            return Err(stop.into());
        }
        let program = media.program(tool);
        let mut builder = FfmpegCommand::new_with_path(&program);
        let command = builder.as_inner_mut();
        // The builder presets arguments of its own; ours are complete.
        *command = Command::new(&program);
        command.args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if pipes == Pipes::InWithProgress { Stdio::piped() } else { Stdio::null() });
        // Ctrl-C in a terminal goes to every process of the group; ours ends its children itself, in order.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let line = command_line(&program, &arguments);
        tracing::debug!(command = %line, "start");
        let process = SharedChild::spawn(command).map_err(|source| MediaError::Missing { tool, program, source })?;

        let (stdin, stdout, stderr) = (process.take_stdin(), process.take_stdout(), process.take_stderr());
        if let Some(stdin) = &stdin {
            widen(stdin);
        }
        if let Some(stdout) = &stdout {
            widen(stdout);
        }
        let process = Arc::new(process);
        let watch = Arc::new(Watch::default());
        let stderr = stderr.map(|stderr| {
            let watch = watch.clone();
            thread::spawn(move || keep_tail(stderr, &watch))
        });
        let (stdout, reports) = match pipes {
            Pipes::Out => (stdout, None),
            Pipes::InWithProgress | Pipes::Progress => {
                let watch = watch.clone();
                (None, stdout.map(|stdout| thread::spawn(move || read_progress(stdout, &watch))))
            }
        };
        let watcher = {
            let (process, watch, cancel, patience) =
                (process.clone(), watch.clone(), media.cancel.clone(), media.patience);
            thread::spawn(move || guard(&process, &watch, &cancel, patience))
        };
        Ok(Self {
            process,
            watch,
            watcher: Some(watcher),
            stderr,
            reports,
            stdin,
            stdout,
            tool,
            purpose: purpose.into(),
            patience: media.patience,
            command: line,
        })
    }

    /// Fills `buffer` as far as the child's output goes; what it returns is less only at the end.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, MediaError> {
        let Some(stdout) = &mut self.stdout else { return Ok(0) };
        let mut filled = 0;
        while filled < buffer.len() {
            match self.watch.during(|| stdout.read(&mut buffer[filled..])) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(format!("its output cannot be read: {error}"))),
            }
        }
        Ok(filled)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        let Some(stdin) = &mut self.stdin else { return Err(self.failure("it takes no more input".into())) };
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.watch.during(|| stdin.write(rest)) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Why it no longer reads is told by its end.
                Err(_) => {
                    return Err(self.end().err().unwrap_or_else(|| self.failure("it stopped reading early".into())));
                }
            }
        }
        Ok(())
    }

    /// Frames that the child says it has done.
    pub(super) fn frames_reported(&self) -> usize {
        self.watch.frames.load(Ordering::Relaxed) as usize
    }

    /// Waits for the child, calling `each` now and then.
    pub(super) fn wait_with(&mut self, mut each: impl FnMut(usize)) -> Result<(), MediaError> {
        self.stdin = None;
        while !self.reports.as_ref().is_none_or(JoinHandle::is_finished) {
            thread::sleep(WATCH_INTERVAL);
            each(self.frames_reported());
        }
        self.end()
    }

    /// Closes the child's input and waits; an error unless it ended well.
    pub(super) fn end(&mut self) -> Result<(), MediaError> {
        self.stdin = None;
        let outcome = self.watch.during(|| self.process.wait());
        self.join();
        match outcome {
            Ok(status) if status.success() => match *lock(&self.watch.verdict) {
                Some(Verdict::Stop(stop)) => Err(stop.into()),
                _ => Ok(()),
            },
            Ok(status) => Err(self.failure(describe(status))),
            Err(error) => Err(self.failure(format!("it cannot be waited for: {error}"))),
        }
    }

    /// The child's own words and what it was asked.
    pub(super) fn transcript(&self) -> Transcript {
        let tail: Vec<u8> = lock(&self.watch.tail).iter().copied().collect();
        Transcript { command: self.command.clone(), stderr: String::from_utf8_lossy(&tail).trim_end().to_owned() }
    }

    /// The reason that lies deepest: we stopped it, the disk is full, or what it says itself.
    fn failure(&self, how: String) -> MediaError {
        let (transcript, purpose, tool) = (self.transcript(), self.purpose.clone(), self.tool);
        match *lock(&self.watch.verdict) {
            Some(Verdict::Stop(stop)) => return stop.into(),
            Some(Verdict::Stalled) => {
                return MediaError::Stalled { tool, purpose, patience: self.patience, transcript };
            }
            None => {}
        }
        let full = ["No space left on device", "File too large", "Disk quota exceeded"];
        if full.iter().any(|words| transcript.stderr.contains(words)) || how.contains(FILE_SIZE_LIMIT) {
            return MediaError::NoSpace { purpose, transcript };
        }
        MediaError::Failed { tool, purpose, how, transcript }
    }

    fn join(&mut self) {
        self.watch.over.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            watcher.thread().unpark();
            let _ = watcher.join();
        }
        for reader in [self.stderr.take(), self.reports.take()].into_iter().flatten() {
            let _ = reader.join();
        }
    }
}

/// A child's output for parsers. Why it broke off is told by the child's end.
impl Read for Child {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stdout) = &mut self.stdout else { return Ok(0) };
        self.watch.during(|| stdout.read(buffer))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.watcher.is_some() {
            let _ = self.process.kill();
            let _ = self.process.wait();
            self.join();
        }
    }
}

/// Ends the child when a stop is wanted or it keeps us waiting for too long.
fn guard(process: &SharedChild, watch: &Watch, cancel: &Cancel, patience: Duration) {
    while !watch.over.load(Ordering::Relaxed) {
        let since = watch.waiting_since.load(Ordering::Relaxed);
        let stalled = since != 0 && watch.now().saturating_sub(since) > patience.as_millis() as u64;
        let verdict = cancel.wanted().map(Verdict::Stop).or(stalled.then_some(Verdict::Stalled));
        if let Some(verdict) = verdict {
            *lock(&watch.verdict) = Some(verdict);
            let _ = process.kill();
            return;
        }
        thread::park_timeout(WATCH_INTERVAL);
    }
}

fn keep_tail(mut stderr: impl Read, watch: &Watch) {
    let mut buffer = [0; 4096];
    while let Ok(bytes @ 1..) = stderr.read(&mut buffer) {
        watch.beat();
        let mut tail = lock(&watch.tail);
        tail.extend(&buffer[..bytes]);
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
    }
}

/// Reads ffmpeg's `-progress` lines, `key=value`.
fn read_progress(stdout: ChildStdout, watch: &Watch) {
    let (mut last, mut lines) = (String::new(), BufReader::new(stdout).lines());
    while let Some(Ok(line)) = lines.next() {
        if let Some(frames) = line.strip_prefix("frame=").and_then(|text| text.trim().parse().ok()) {
            watch.frames.store(frames, Ordering::Relaxed);
        }
        // Repeated reports of the same numbers are no sign of life.
        if line.starts_with("out_time_us=") && line != last {
            watch.beat();
            last = line;
        }
    }
}

/// The signal of a process that wrote past its file size limit.
const FILE_SIZE_LIMIT: &str = "signal 25";

fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let hint = if signal == 9 { " (out of memory?)" } else { "" };
        return format!("it was killed by signal {signal}{hint}");
    }
    match status.code() {
        Some(code) => format!("it ended with exit status {code}"),
        None => "it ended without an exit status".into(),
    }
}

/// As it could be typed into a shell.
fn command_line(program: &std::path::Path, arguments: &[OsString]) -> String {
    let words = std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    shell_words::join(words.map(|word| word.to_string_lossy()))
}

#[cfg(target_os = "linux")]
fn widen(pipe: &impl std::os::fd::AsFd) {
    // Refused where the user's pipe quota is spent; a narrow pipe works as well, only slower.
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
}

#[cfg(not(target_os = "linux"))]
fn widen<T>(_: &T) {}
