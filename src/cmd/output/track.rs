//! How far a run is, and each of those that work at once: bars on a terminal, else lines and events.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use wanctl::pipeline::types::progress::{Parts, Progress, Stage, Warning};

use crate::cmd::{Ui, output::board::Board};

/// One count: a bar, and what is known of it.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) bar: ProgressBar,
    state: Mutex<State>,
}

/// One of those that work at once.
struct Voice<'a> {
    ui: &'a Ui,
    board: Arc<Board>,
    state: Mutex<State>,
    /// Of all of them: when the next line of a log is due, and how long until the one after it.
    log: Arc<Mutex<(Instant, Duration)>>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    seam: Option<usize>,
    part: Option<&'static str>,
    total: usize,
    begun: Instant,
    /// When the next event or log line is due, and how long until the one after it.
    due: Instant,
    interval: Duration,
}

/// Events come this often, log lines ever more rarely.
const EVENT_INTERVAL: Duration = Duration::from_millis(500);
const FIRST_LOG_INTERVAL: Duration = Duration::from_secs(2);
/// The bar moves within a step, too.
const SHARES: u64 = 1000;

impl Progress for Ui {
    fn begin(&self, stage: Stage, total: usize) {
        self.track.begin(self, stage, None, None, total);
    }

    fn begin_seam(&self, stage: Stage, seam: usize, total: usize) {
        self.track.begin(self, stage, Some(seam), None, total);
    }

    fn begin_part(&self, stage: Stage, seam: usize, part: &'static str, total: usize) {
        self.track.begin(self, stage, Some(seam), Some(part), total);
    }

    fn within(&self, done: usize, share: f64) {
        self.track.within(self, done, share);
    }

    fn note(&self, line: &str) {
        self.line(line);
    }

    fn warn(&self, warning: Warning) {
        self.line(&format!("warning: {}", warning.message));
        tracing::debug!(code = warning.code, "warning: {}", warning.message);
        self.event("warning", &warning);
    }

    fn voices(&self, count: usize, parts: &Parts) -> Vec<Box<dyn Progress + '_>> {
        // What comes now has bars of its own.
        self.track.bar.finish_and_clear();
        let board = Arc::new(Board::new(&self.bars, parts));
        let log = Arc::new(Mutex::new((Instant::now() + FIRST_LOG_INTERVAL, FIRST_LOG_INTERVAL)));
        let voice = |_| {
            let (board, log) = (Arc::clone(&board), Arc::clone(&log));
            Box::new(Voice { ui: self, board, state: Mutex::new(State::new()), log }) as Box<dyn Progress>
        };
        (0..count).map(voice).collect()
    }
}

impl Progress for Voice<'_> {
    fn begin(&self, stage: Stage, total: usize) {
        self.state().begin(stage, None, None, total, EVENT_INTERVAL);
    }

    fn begin_seam(&self, stage: Stage, seam: usize, total: usize) {
        self.begin_work(stage, seam, None, total);
    }

    fn begin_part(&self, stage: Stage, seam: usize, part: &'static str, total: usize) {
        self.begin_work(stage, seam, Some(part), total);
    }

    fn within(&self, done: usize, share: f64) {
        let mut state = self.state();
        let event = state.event(done, share).filter(|_| self.ui.json());
        let (seam, part, total) = (state.seam, state.part, state.total);
        drop(state);
        if let Some(seam) = seam {
            self.board.reached(seam, part, done, total, share);
        }
        if let Some(mut event) = event {
            let (all, left) = self.board.all();
            event["all_share"] = ((all * 1000.0).round() / 1000.0).into();
            event["all_eta_s"] = left.map(|left| (left * 10.0).round() / 10.0).into();
            self.ui.event("progress", &event);
        } else if !self.ui.json() && self.ui.track.bar.is_hidden() {
            self.log_line();
        }
    }

    fn made(&self, seam: usize) {
        self.board.made(seam);
    }

    fn note(&self, line: &str) {
        self.ui.note(line);
    }

    fn warn(&self, warning: Warning) {
        self.ui.warn(warning);
    }

    fn voices(&self, count: usize, parts: &Parts) -> Vec<Box<dyn Progress + '_>> {
        self.ui.voices(count, parts)
    }
}

impl Voice<'_> {
    fn begin_work(&self, stage: Stage, seam: usize, part: Option<&'static str>, total: usize) {
        let before = self.state().seam.filter(|before| *before != seam);
        if let Some(before) = before {
            self.board.left(before);
        }
        self.state().begin(stage, Some(seam), part, total, EVENT_INTERVAL);
        self.board.reached(seam, part, 0, total, 0.0);
    }

    /// For those who read a log: one line of all that is worked on, ever more rarely.
    fn log_line(&self) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, interval) = *log;
        let now = Instant::now();
        if now < due {
            return;
        }
        *log = (now + interval * 2, interval * 2);
        drop(log);
        self.ui.note(&self.board.line());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            stage: Stage::Settings,
            seam: None,
            part: None,
            total: 0,
            begun: now,
            due: now,
            interval: FIRST_LOG_INTERVAL,
        }
    }

    fn begin(
        &mut self,
        stage: Stage,
        seam: Option<usize>,
        part: Option<&'static str>,
        total: usize,
        interval: Duration,
    ) {
        let now = Instant::now();
        *self = Self { stage, seam, part, total, begun: now, due: now + interval, interval };
        tracing::debug!(stage = stage.name(), seam, part, total, "begin");
    }

    /// About how many seconds are left of what is counted.
    fn eta(&self, reached: f64) -> f64 {
        let left = (self.total as f64 - reached).max(0.0);
        if reached > 0.0 { self.begun.elapsed().as_secs_f64() / reached * left } else { 0.0 }
    }

    /// A progress event, where one is due.
    fn event(&mut self, done: usize, share: f64) -> Option<Value> {
        let now = Instant::now();
        if now < self.due && done != self.total {
            return None;
        }
        self.due = now + EVENT_INTERVAL;
        let eta = (self.eta(done as f64 + share) * 10.0).round() / 10.0;
        let mut event = json!({"stage": self.stage, "done": done, "total": self.total, "eta_s": eta});
        if share > 0.0 {
            event["share"] = ((share * 1000.0).round() / 1000.0).into();
        }
        if let Some(seam) = self.seam {
            event["seam"] = seam.into();
        }
        if let Some(part) = self.part {
            event["part"] = part.into();
        }
        Some(event)
    }
}

impl Track {
    pub(crate) fn new(bars: &MultiProgress) -> Self {
        Self { bar: bars.add(ProgressBar::no_length().with_style(bar_style("{msg}"))), state: Mutex::new(State::new()) }
    }

    fn begin(&self, ui: &Ui, stage: Stage, seam: Option<usize>, part: Option<&'static str>, total: usize) {
        let interval = if ui.json() { EVENT_INTERVAL } else { FIRST_LOG_INTERVAL };
        self.state().begin(stage, seam, part, total, interval);
        self.bar.set_message(part.unwrap_or(stage.name()));
        if total > 0 {
            self.bar.set_style(bar_style("{msg:<7} {wide_bar:.cyan/blue} {prefix} {eta:>4}"));
            self.bar.set_prefix(format!("0/{total}"));
            self.bar.set_length(total as u64 * SHARES);
        } else {
            self.bar.set_style(bar_style("{msg:<7} {spinner} {elapsed}"));
        }
        // Last, since it draws.
        self.bar.reset();
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// The stage that was begun last.
    pub(crate) fn stage(&self) -> Stage {
        self.state().stage
    }

    fn within(&self, ui: &Ui, done: usize, share: f64) {
        self.bar.set_position(done as u64 * SHARES + (share * SHARES as f64) as u64);
        let mut state = self.state();
        if state.total > 0 {
            self.bar.set_prefix(format!("{done}/{}", state.total));
        }
        if ui.json() {
            let event = state.event(done, share);
            drop(state);
            event.into_iter().for_each(|event| ui.event("progress", &event));
            return;
        }
        let now = Instant::now();
        if now < state.due || !self.bar.is_hidden() || state.total == 0 {
            return;
        }
        let (eta, total) = (state.eta(done as f64 + share), state.total);
        let name = state.part.unwrap_or(state.stage.name());
        state.interval *= 2;
        state.due = now + state.interval;
        drop(state);
        let more = if share > 0.0 { format!(" and {:.0} %", share * 100.0) } else { String::new() };
        ui.note(&format!("{name} {done}/{total}{more}, about {eta:.0} s left"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}
