//! Log lines: on stderr as wanted, and always into the run's folder once there is one.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, Layer, fmt, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Verbosity {
    Quiet,
    #[default]
    Normal,
    Info,
    Debug,
}

/// The run's log: a file once there is a run folder, memory until then. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunLog(Arc<Mutex<Log>>);

#[derive(Debug)]
enum Log {
    Memory(Vec<u8>),
    File(File),
}

impl Default for Log {
    fn default() -> Self {
        Self::Memory(vec![])
    }
}

/// More is not kept for a run that may never begin.
const MOST_BYTES: usize = 1 << 20;

impl RunLog {
    /// From now on into this file, after what was logged before.
    pub(crate) fn open(&self, path: &Path) -> io::Result<()> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = File::create(path)?;
        if let Log::Memory(before) = &*log {
            // A log that cannot be written, as on a full disk, stops nothing.
            let _ = file.write_all(before);
        }
        *log = Log::File(file);
        Ok(())
    }
}

impl Write for &RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Log::File(file) => file.write(bytes),
            Log::Memory(before) => {
                if before.len() < MOST_BYTES {
                    before.extend_from_slice(bytes);
                }
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for RunLog {
    type Writer = &'a RunLog;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Installs both; `RUST_LOG` wins over `-v` and `-q`.
pub(crate) fn install(log: &RunLog, (color, lines): (bool, LineWriter), verbosity: Verbosity) {
    let default = match verbosity {
        Verbosity::Debug => "wanctl=debug",
        Verbosity::Info => "wanctl=info",
        Verbosity::Normal | Verbosity::Quiet => "off",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // A log that cannot be written, as on a full disk, is not worth a word between the others.
    let people = fmt::layer().log_internal_errors(false).without_time().with_ansi(color).with_writer(lines);
    let file = fmt::layer().log_internal_errors(false).with_ansi(false).with_writer(log.clone());
    tracing_subscriber::registry()
        .with(people.with_filter(filter))
        .with(file.with_filter(EnvFilter::new("wanctl=debug")))
        .init();
}

/// Log lines that do not tear the bar.
#[derive(Debug, Clone)]
pub(crate) struct LineWriter(MultiProgress);

impl LineWriter {
    pub(crate) fn new(bars: MultiProgress) -> Self {
        Self(bars)
    }
}

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for LineWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
