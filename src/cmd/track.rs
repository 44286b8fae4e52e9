//! How far a run is, and each of those that work at once: bars on a terminal, else lines and events.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use wanctl::pipeline::progress::{Progress, Stage, Warning};

use super::Ui;

/// One count: a bar, and what is known of it.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) bar: ProgressBar,
    state: Mutex<State>,
    /// What it is one of, `seam` or `segment`, where others are made beside it and people need to be told which.
    beside: Option<&'static str>,
}

/// One of those that work at once.
struct Voice<'a> {
    ui: &'a Ui,
    track: Track,
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

    fn warn(&self, warning: Warning) {
        self.note(&format!("warning: {}", warning.message));
        tracing::debug!(code = warning.code, "warning: {}", warning.message);
        self.event("warning", &warning);
    }

    fn voices(&self, count: usize, of: &'static str) -> Vec<Box<dyn Progress + '_>> {
        // What comes now has bars of its own.
        self.track.bar.finish_and_clear();
        let voice = |_| {
            Box::new(Voice { ui: self, track: Track::new(&self.bars, (count > 1).then_some(of)) }) as Box<dyn Progress>
        };
        (0..count).map(voice).collect()
    }
}

impl Progress for Voice<'_> {
    fn begin(&self, stage: Stage, total: usize) {
        self.track.begin(self.ui, stage, None, None, total);
    }

    fn begin_seam(&self, stage: Stage, seam: usize, total: usize) {
        self.track.begin(self.ui, stage, Some(seam), None, total);
    }

    fn begin_part(&self, stage: Stage, seam: usize, part: &'static str, total: usize) {
        self.track.begin(self.ui, stage, Some(seam), Some(part), total);
    }

    fn within(&self, done: usize, share: f64) {
        self.track.within(self.ui, done, share);
    }

    fn warn(&self, warning: Warning) {
        self.ui.warn(warning);
    }

    fn voices(&self, count: usize, of: &'static str) -> Vec<Box<dyn Progress + '_>> {
        self.ui.voices(count, of)
    }
}

impl Drop for Voice<'_> {
    fn drop(&mut self) {
        self.track.bar.finish_and_clear();
    }
}

impl Track {
    pub(super) fn new(bars: &MultiProgress, beside: Option<&'static str>) -> Self {
        let now = Instant::now();
        let state = State {
            stage: Stage::Settings,
            seam: None,
            part: None,
            total: 0,
            begun: now,
            due: now,
            interval: FIRST_LOG_INTERVAL,
        };
        Self {
            bar: bars.add(ProgressBar::no_length().with_style(bar_style("{msg}"))),
            state: Mutex::new(state),
            beside,
        }
    }

    fn begin(&self, ui: &Ui, stage: Stage, seam: Option<usize>, part: Option<&'static str>, total: usize) {
        let now = Instant::now();
        let interval = if ui.json() { EVENT_INTERVAL } else { FIRST_LOG_INTERVAL };
        *self.state() = State { stage, seam, part, total, begun: now, due: now + interval, interval };
        tracing::debug!(stage = stage.name(), total, "begin");
        self.bar.set_message(self.name());
        let width = if self.beside.is_some() { 18 } else { 7 };
        if total > 0 {
            self.bar.set_style(bar_style(&format!("{{msg:<{width}}} {{wide_bar:.cyan/blue}} {{prefix}} {{eta:>4}}")));
            self.bar.set_prefix(format!("0/{total}"));
            self.bar.set_length(total as u64 * SHARES);
        } else {
            self.bar.set_style(bar_style(&format!("{{msg:<{width}}} {{spinner}} {{elapsed}}")));
        }
        // Last, since it draws.
        self.bar.reset();
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// The stage that was begun last.
    pub(super) fn stage(&self) -> Stage {
        self.state().stage
    }

    /// What is counted, for people.
    fn name(&self) -> String {
        let State { stage, seam, part, .. } = *self.state();
        let name = part.unwrap_or(stage.name());
        match (self.beside, seam) {
            (Some(of), Some(seam)) => format!("{of} {} {name}", seam + 1),
            _ => name.to_owned(),
        }
    }

    fn within(&self, ui: &Ui, done: usize, share: f64) {
        self.bar.set_position(done as u64 * SHARES + (share * SHARES as f64) as u64);
        let mut state = self.state();
        if state.total > 0 {
            self.bar.set_prefix(format!("{done}/{}", state.total));
        }
        let now = Instant::now();
        if now < state.due && !(done == state.total && ui.json()) {
            return;
        }
        let spent = (now - state.begun).as_secs_f64();
        let reached = done as f64 + share;
        let left = (state.total as f64 - reached).max(0.0);
        let eta = if reached > 0.0 { spent / reached * left } else { 0.0 };
        let (stage, seam, part, total) = (state.stage, state.seam, state.part, state.total);
        if !ui.json() {
            state.interval *= 2;
        }
        state.due = now + state.interval;
        drop(state);
        if ui.json() {
            let eta = (eta * 10.0).round() / 10.0;
            let mut event = json!({"stage": stage, "done": done, "total": total, "eta_s": eta});
            if share > 0.0 {
                event["share"] = ((share * 1000.0).round() / 1000.0).into();
            }
            if let Some(seam) = seam {
                event["seam"] = seam.into();
            }
            if let Some(part) = part {
                event["part"] = part.into();
            }
            ui.event("progress", &event);
        } else if self.bar.is_hidden() && total > 0 {
            let more = if share > 0.0 { format!(" and {:.0} %", share * 100.0) } else { String::new() };
            ui.note(&format!("{} {done}/{total}{more}, about {eta:.0} s left", self.name()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}
