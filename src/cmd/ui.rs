//! The one voice of the program: bars and notes on stderr, results and events on stdout, errors with what to do.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the one file that prints")]

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use color_eyre::eyre::{Report, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tracing_subscriber::fmt::MakeWriter;

use wanctl::pipeline::{
    checkpoint::CheckpointError,
    engine::EngineError,
    fault::{Code, Details, Fault},
    footage::FootageError,
    media::MediaError,
    output::OutputError,
    plan::PlanError,
    progress::{Progress, Stage, Warning},
    render::GatherError,
    run::RunError,
    settings::{PresetError, SettingsError},
    story::StoryError,
    task::TaskError,
};

/// What a command that ran to its end has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    /// What was inspected cannot be used; that has been said.
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Verbosity {
    Quiet,
    #[default]
    Normal,
    Info,
    Debug,
}

#[derive(Debug)]
pub(crate) struct Ui {
    json: bool,
    verbosity: Verbosity,
    bars: MultiProgress,
    /// Of the run as a whole.
    track: Track,
    run: OnceLock<(String, std::path::PathBuf)>,
}

/// One count: a bar, and what is known of it.
#[derive(Debug)]
struct Track {
    bar: ProgressBar,
    state: Mutex<State>,
    /// Whether there are others beside it, so that people need to be told which seam it is.
    beside: bool,
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

impl Ui {
    pub(crate) fn new(json: bool, verbosity: Verbosity) -> Self {
        let shown = verbosity >= Verbosity::Normal && io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let track = Track::new(&bars, false);
        Self { json, verbosity, bars, track, run: OnceLock::new() }
    }

    pub(crate) fn json(&self) -> bool {
        self.json
    }

    pub(crate) fn color(&self) -> bool {
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// From now on every event names the run.
    pub(crate) fn run_started(&self, id: &str, folder: &Path) {
        let _ = self.run.set((id.to_owned(), folder.to_owned()));
    }

    /// One object on stdout, with `type`, version and run in front.
    pub(crate) fn event(&self, kind: &str, body: &impl Serialize) {
        if !self.json {
            return;
        }
        let mut event = Map::new();
        event.insert("type".into(), kind.into());
        event.insert("v".into(), 1.into());
        if let Some((run, _)) = self.run.get() {
            event.insert("run".into(), run.as_str().into());
        }
        match serde_json::to_value(body) {
            Ok(Value::Object(fields)) => event.extend(fields),
            other => tracing::error!(?other, "an event that is no object"),
        }
        // A reader that went away is no reason to stop the work.
        let _ = writeln!(io::stdout(), "{}", Value::Object(event));
    }

    /// The result, for people and pipes alike.
    pub(crate) fn print(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stdout(), "{text}");
        });
    }

    pub(crate) fn print_bytes(&self, bytes: &[u8]) -> Result<()> {
        match io::stdout().write_all(bytes) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A line for people; not with `-q`.
    pub(crate) fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.bars.suspend(|| say(text));
        }
    }

    pub(crate) fn end_progress(&self) {
        self.track.bar.finish_and_clear();
    }

    pub(crate) fn line_writer(&self) -> LineWriter {
        LineWriter(self.bars.clone())
    }

    /// Reports the error in both forms; its exit code.
    pub(crate) fn error(&self, report: &Report) -> u8 {
        self.end_progress();
        let failure = self.failure(report);
        let text = failure.text(self.run_folder());
        say(&text);
        tracing::debug!("{text}");
        self.event("error", &failure);
        failure.exit
    }

    /// As long as it is there.
    fn run_folder(&self) -> Option<&Path> {
        self.run.get().map(|(_, folder)| folder.as_path()).filter(|folder| folder.exists())
    }

    pub(crate) fn failure(&self, report: &Report) -> Failure {
        let fault = report.chain().find_map(as_fault);
        // What no room of ours has words for is the file system's doing or our own.
        let other = if report.chain().any(|error| error.is::<io::Error>()) { Code::Disk } else { Code::Engine };
        let code = fault.map_or(other, Fault::code);
        Failure {
            code,
            exit: code.exit(),
            stage: self.track.state().stage,
            message: chain(report),
            details: fault.map(Fault::details).unwrap_or_default(),
            run_folder: self.run_folder().map(|folder| folder.to_string_lossy().into_owned()),
        }
    }
}

/// A line on stderr. A reader that went away is no reason to stop the work, and `eprintln!` would panic.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Contexts first, the cause last.
fn chain(report: &Report) -> String {
    let mut parts: Vec<String> = vec![];
    for error in report.chain() {
        let text = error.to_string();
        // Errors that show their source in their own text would say it twice.
        if !parts.last().is_some_and(|last| last.ends_with(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// Looks for an error of ours.
fn as_fault<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a dyn Fault> {
    let media = error.downcast_ref::<MediaError>().map(|error| error as &dyn Fault);
    media
        .or_else(|| error.downcast_ref::<PlanError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<FootageError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<EngineError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<SettingsError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<PresetError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<TaskError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<OutputError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<CheckpointError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<RunError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<GatherError>().map(|error| error as &dyn Fault))
        .or_else(|| error.downcast_ref::<StoryError>().map(|error| error as &dyn Fault))
}

/// The error object of the contract.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    code: Code,
    exit: u8,
    stage: Stage,
    message: String,
    #[serde(flatten)]
    details: Details,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_folder: Option<String>,
}

impl Failure {
    pub(crate) fn is_usage(&self) -> bool {
        self.code == Code::Usage
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Below a file's name.
    pub(crate) fn indented(&self) -> String {
        let text = self.text(None);
        let lines = text.lines().filter(|line| !line.starts_with("  stage") && !line.starts_with("  code"));
        lines
            .map(|line| {
                format!(
                    "  {}",
                    line.strip_prefix("error:").map_or(line.trim_start().to_owned(), |line| format!("problem{line}"))
                )
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn text(&self, run_folder: Option<&Path>) -> String {
        let Details { file, frame, wanted, found, command, stderr, help } = &self.details;
        let mut text = format!("error: {}", self.message);
        let mut row = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let value = value.lines().collect::<Vec<_>>().join("\n          ");
                text += &format!("\n  {name:<7} {value}");
            }
        };
        row("stage", Some(self.stage.name().into()));
        row("file", file.as_ref().map(|file| file.display().to_string()));
        row("frame", frame.map(|frame| frame.to_string()));
        row("wanted", wanted.clone());
        row("found", found.clone());
        row("command", command.clone());
        row("it said", stderr.clone());
        row("help", help.clone());
        row("run", run_folder.map(|folder| folder.display().to_string()));
        row(
            "code",
            Some(format!(
                "{} (exit {})",
                serde_json::to_value(self.code).ok().as_ref().and_then(Value::as_str).unwrap_or("?"),
                self.exit
            )),
        );
        text
    }
}

/// clap prints its own text; a program that reads events gets an event as well.
pub(crate) fn report_usage(error: &clap::Error, json: bool) {
    let _ = error.print();
    if json && error.use_stderr() {
        let message = error.to_string();
        let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let event = json!({"type": "error", "v": 1, "code": "usage", "exit": 2, "stage": "settings", "message": message,
            "help": "see wanctl --help"});
        let _ = writeln!(io::stdout(), "{event}");
    }
}

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

    fn voices(&self, count: usize) -> Vec<Box<dyn Progress + '_>> {
        // What comes now has bars of its own.
        self.track.bar.finish_and_clear();
        let voice = |_| Box::new(Voice { ui: self, track: Track::new(&self.bars, count > 1) }) as Box<dyn Progress>;
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

    fn voices(&self, count: usize) -> Vec<Box<dyn Progress + '_>> {
        self.ui.voices(count)
    }
}

impl Drop for Voice<'_> {
    fn drop(&mut self) {
        self.track.bar.finish_and_clear();
    }
}

impl Track {
    fn new(bars: &MultiProgress, beside: bool) -> Self {
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
        let interval = if ui.json { EVENT_INTERVAL } else { FIRST_LOG_INTERVAL };
        *self.state() = State { stage, seam, part, total, begun: now, due: now + interval, interval };
        tracing::debug!(stage = stage.name(), total, "begin");
        self.bar.set_message(self.name());
        let width = if self.beside { 16 } else { 7 };
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

    /// What is counted, for people.
    fn name(&self) -> String {
        let State { stage, seam, part, .. } = *self.state();
        let name = part.unwrap_or(stage.name());
        match seam {
            Some(seam) if self.beside => format!("seam {} {name}", seam + 1),
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
        if now < state.due && !(done == state.total && ui.json) {
            return;
        }
        let spent = (now - state.begun).as_secs_f64();
        let reached = done as f64 + share;
        let left = (state.total as f64 - reached).max(0.0);
        let eta = if reached > 0.0 { spent / reached * left } else { 0.0 };
        let (stage, seam, part, total) = (state.stage, state.seam, state.part, state.total);
        if !ui.json {
            state.interval *= 2;
        }
        state.due = now + state.interval;
        drop(state);
        if ui.json {
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

/// Log lines that do not tear the bar.
#[derive(Debug, Clone)]
pub(crate) struct LineWriter(MultiProgress);

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
