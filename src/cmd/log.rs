//! Log lines: on stderr as wanted, and always into the run's folder once there is one.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{EnvFilter, Layer, fmt, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

use super::ui::{Ui, Verbosity};

/// The run's log file, once there is a run. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunLog(Arc<Mutex<Option<File>>>);

impl RunLog {
    pub(crate) fn open(&self, path: &Path) -> io::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(File::create(path)?);
        Ok(())
    }
}

impl Write for &RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
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
pub(crate) fn install(log: &RunLog, ui: &Ui, verbosity: Verbosity) {
    let default = match verbosity {
        Verbosity::Debug => "wanctl=debug",
        Verbosity::Info => "wanctl=info",
        Verbosity::Normal | Verbosity::Quiet => "off",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // A log that cannot be written, as on a full disk, is not worth a word between the others.
    let people =
        fmt::layer().log_internal_errors(false).without_time().with_ansi(ui.color()).with_writer(ui.line_writer());
    let file = fmt::layer().log_internal_errors(false).with_ansi(false).with_writer(log.clone());
    tracing_subscriber::registry()
        .with(people.with_filter(filter))
        .with(file.with_filter(EnvFilter::new("wanctl=debug")))
        .init();
}
