//! Children of ours: watched while we wait for them, ended with us, their last words kept.
#![allow(clippy::disallowed_types, reason = "this module watches the programs that media and engine start")]

use std::{
    collections::VecDeque,
    env,
    fs::File,
    io::{self, Read, Write},
    process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use shared_child::SharedChild;

use crate::pipeline::types::cancel::{CancelToken, Stop};

/// What is kept of a child's stderr: its end, where the cause stands.
const TAIL_BYTES: usize = 32 * 1024;
/// A child that does nothing for so long never will.
const PATIENCE: Duration = Duration::from_secs(120);
/// How late a stop can come.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(20);
/// Linux gives a pipe 64 KiB; a whole frame in it lets both sides work at once.
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 1 << 20;

/// When to end a child of our own accord.
#[derive(Debug, Clone)]
pub struct ProcessLimits {
    pub cancel: CancelToken,
    /// How long a child may show no sign of life while we wait for it.
    pub patience: Duration,
}

impl ProcessLimits {
    pub fn new(cancel: CancelToken) -> Self {
        // For tests only: nobody wants to wait two minutes for one.
        #[expect(clippy::disallowed_methods, reason = "of no use to a user, so not in the list")]
        let patience = env::var("WANCTL_TEST_PATIENCE_MS").ok().and_then(|text| text.parse().ok());
        Self { cancel, patience: patience.map_or(PATIENCE, Duration::from_millis) }
    }
}

/// Why a child is of no use any more.
#[derive(Debug)]
pub enum ExitCause {
    NotStarted(io::Error),
    /// We ended it, since the run must stop.
    Stopped(Stop),
    /// We ended it, since it did nothing.
    Stalled,
    Failed(Failed),
}

/// It ended itself, or something else ended it.
#[derive(Debug, Clone, Default)]
pub struct Failed {
    /// Reads on after "failed while ...: ".
    pub how: String,
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// What a child was asked and what it said, for reports.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    pub command: String,
    pub stderr: String,
}

#[derive(Debug)]
pub struct Child {
    process: Arc<SharedChild>,
    watch: Arc<Watch>,
    watcher: Option<JoinHandle<()>>,
    stderr: Option<JoinHandle<()>>,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    command: String,
}

/// What the watching thread and we tell each other.
#[derive(Debug)]
pub struct Watch {
    over: AtomicBool,
    /// Milliseconds (plus one) after `started` at which we began to wait for the child, 0 while we do not.
    waiting_since: AtomicU64,
    verdict: Mutex<Option<Verdict>>,
    tail: Mutex<VecDeque<u8>>,
    started: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Stop(Stop),
    Stalled,
}

impl Watch {
    fn new() -> Self {
        Self {
            over: AtomicBool::new(false),
            waiting_since: AtomicU64::new(0),
            verdict: Mutex::new(None),
            tail: Mutex::new(VecDeque::new()),
            started: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }

    /// A sign of life: if we are waiting, the wait starts anew.
    pub fn beat(&self) {
        let since = self.waiting_since.load(Ordering::Relaxed);
        if since != 0 {
            // Losing the race against the end of the wait costs nothing: the next wait overwrites it.
            let _ = self.waiting_since.compare_exchange(since, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Marks the time in which the child keeps us waiting.
    pub fn during<T>(&self, wait: impl FnOnce() -> T) -> T {
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
    /// Starts `command` with all its streams piped, stdin only where `feeds` says so. What it says on stderr goes
    /// into `log` as well.
    pub fn start(
        mut command: Command,
        feeds: Feeds,
        leash: &ProcessLimits,
        log: Option<File>,
    ) -> Result<Self, ExitCause> {
        if let Some(stop) = leash.cancel.wanted() {
            return Err(ExitCause::Stopped(stop));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if feeds == Feeds::Yes { Stdio::piped() } else { Stdio::null() });
        // Ctrl-C in a terminal goes to every process of the group; ours ends its children itself, in order.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line = shell_words::join(words.map(|word| word.to_string_lossy()));
        tracing::debug!(command = %line, "start");
        let process = SharedChild::spawn(&mut command).map_err(ExitCause::NotStarted)?;

        let (stdin, stdout, stderr) = (process.take_stdin(), process.take_stdout(), process.take_stderr());
        if let Some(stdin) = &stdin {
            widen(stdin);
        }
        if let Some(stdout) = &stdout {
            widen(stdout);
        }
        let (process, watch) = (Arc::new(process), Arc::new(Watch::new()));
        let stderr = stderr.map(|stderr| {
            let watch = watch.clone();
            thread::spawn(move || keep_tail(stderr, log, &watch))
        });
        let watcher = {
            let (process, watch, leash) = (process.clone(), watch.clone(), leash.clone());
            thread::spawn(move || guard(&process, &watch, &leash))
        };
        Ok(Self { process, watch, watcher: Some(watcher), stderr, stdin, stdout, command: line })
    }

    pub fn watch(&self) -> Arc<Watch> {
        self.watch.clone()
    }

    /// For whoever reads it in a thread of its own.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// For whoever writes to it in a thread of its own.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), ExitCause> {
        let Some(stdin) = &mut self.stdin else { return Err(self.failed("it takes no more input")) };
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.watch.during(|| stdin.write(rest)) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Why it no longer reads is told by its end.
                Err(_) => return Err(self.end().err().unwrap_or_else(|| self.failed("it stopped reading early"))),
            }
        }
        Ok(())
    }

    /// Closes the child's input and waits; an error unless it ended well.
    pub fn end(&mut self) -> Result<(), ExitCause> {
        self.stdin = None;
        let outcome = self.watch.during(|| self.process.wait());
        self.join();
        match outcome {
            Ok(status) if status.success() => match *lock(&self.watch.verdict) {
                Some(Verdict::Stop(stop)) => Err(ExitCause::Stopped(stop)),
                _ => Ok(()),
            },
            Ok(status) => Err(self.ending(describe(status))),
            Err(error) => Err(self.failed(&format!("it cannot be waited for: {error}"))),
        }
    }

    /// The child's own words and what it was asked.
    pub fn transcript(&self) -> Transcript {
        let tail: Vec<u8> = lock(&self.watch.tail).iter().copied().collect();
        Transcript { command: self.command.clone(), stderr: String::from_utf8_lossy(&tail).trim_end().to_owned() }
    }

    /// The reason that lies deepest: we stopped it, or what is said.
    pub fn failed(&self, how: &str) -> ExitCause {
        self.ending(Failed { how: how.to_owned(), ..Failed::default() })
    }

    fn ending(&self, failed: Failed) -> ExitCause {
        match *lock(&self.watch.verdict) {
            Some(Verdict::Stop(stop)) => ExitCause::Stopped(stop),
            Some(Verdict::Stalled) => ExitCause::Stalled,
            None => ExitCause::Failed(failed),
        }
    }

    fn join(&mut self) {
        self.watch.over.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            watcher.thread().unpark();
            let _ = watcher.join();
        }
        if let Some(reader) = self.stderr.take() {
            let _ = reader.join();
        }
    }
}

/// Whether we write to the child's stdin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feeds {
    Yes,
    No,
}

/// A child's output. Why it broke off is told by the child's end.
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
fn guard(process: &SharedChild, watch: &Watch, leash: &ProcessLimits) {
    while !watch.over.load(Ordering::Relaxed) {
        let since = watch.waiting_since.load(Ordering::Relaxed);
        let stalled = since != 0 && watch.now().saturating_sub(since) > leash.patience.as_millis() as u64;
        let verdict = leash.cancel.wanted().map(Verdict::Stop).or(stalled.then_some(Verdict::Stalled));
        if let Some(verdict) = verdict {
            *lock(&watch.verdict) = Some(verdict);
            let _ = process.kill();
            return;
        }
        thread::park_timeout(WATCH_INTERVAL);
    }
}

fn keep_tail(mut stderr: impl Read, mut log: Option<File>, watch: &Watch) {
    let mut buffer = [0; 4096];
    while let Ok(bytes @ 1..) = stderr.read(&mut buffer) {
        watch.beat();
        if let Some(log) = &mut log {
            // A full disk must not hide what the child says.
            let _ = log.write_all(&buffer[..bytes]);
        }
        let mut tail = lock(&watch.tail);
        tail.extend(&buffer[..bytes]);
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
    }
}

fn describe(status: ExitStatus) -> Failed {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let hint = if signal == 9 { " (out of memory?)" } else { "" };
        return Failed { how: format!("it was killed by signal {signal}{hint}"), code: None, signal: Some(signal) };
    }
    let how = match status.code() {
        Some(code) => format!("it ended with exit status {code}"),
        None => "it ended without an exit status".into(),
    };
    Failed { how, code: status.code(), signal: None }
}

#[cfg(target_os = "linux")]
fn widen(pipe: &impl std::os::fd::AsFd) {
    // Refused where the user's pipe quota is spent; a narrow pipe works as well, only slower.
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
}

#[cfg(not(target_os = "linux"))]
fn widen<T>(_: &T) {}
