//! One flag that says "stop", shared by everything that waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Why a run must stop early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// The time that the user allowed for the whole run is over.
    TimedOut(Duration),
}

/// Cheap to clone; all clones see the same flag.
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    flag: Arc<AtomicBool>,
    /// Of those that this one works for.
    parent: Option<Arc<AtomicBool>>,
    deadline: Option<(Instant, Duration)>,
}

impl CancelToken {
    /// The flag that a signal handler sets.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }

    /// The same flag, and a limit for the whole run that starts now.
    pub fn with_timeout(&self, allowed: Option<Duration>) -> Self {
        let deadline = allowed.and_then(|allowed| Some((Instant::now().checked_add(allowed)?, allowed)));
        Self { deadline, ..self.clone() }
    }

    /// Wanted where this one is, and where its own flag is set: whoever sets that knows why.
    pub fn own(&self) -> Self {
        Self { flag: Arc::default(), parent: Some(self.flag.clone()), deadline: self.deadline }
    }

    /// Sets the flag.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    pub fn wanted(&self) -> Option<Stop> {
        if [Some(&self.flag), self.parent.as_ref()].into_iter().flatten().any(|flag| flag.load(Ordering::Relaxed)) {
            return Some(Stop::Interrupted);
        }
        let (end, allowed) = self.deadline?;
        (Instant::now() >= end).then_some(Stop::TimedOut(allowed))
    }
}
