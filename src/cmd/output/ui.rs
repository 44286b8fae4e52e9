//! Standard output and standard error: bars and notes on stderr, results and events on stdout, errors with what to do.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the one file that prints")]

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    sync::OnceLock,
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;
use serde_json::{Map, Value, json};

use wanctl::pipeline::{
    inspect,
    options::ResolvedOptions,
    plan::FramePlan,
    run::{
        error::{Error, Result},
        session::Observer,
    },
    system::environment,
    types::{
        error::{ErrorDetails, ErrorReport},
        progress::Stage,
    },
};

use crate::cmd::output::{
    log::{LineWriter, RunLog, Verbosity},
    show_settings,
    track::Track,
};

/// What a command that ran to its end has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Usable,
    /// What was inspected cannot be used; that has been said.
    Unusable,
}

#[derive(Debug)]
pub(crate) struct Ui {
    json: bool,
    verbosity: Verbosity,
    pub(crate) bars: MultiProgress,
    /// Of the run as a whole.
    pub(crate) track: Track,
    log: RunLog,
    run: OnceLock<(String, std::path::PathBuf)>,
}

impl Ui {
    pub(crate) fn new(json: bool, verbosity: Verbosity, log: RunLog) -> Self {
        let shown = verbosity >= Verbosity::Normal && io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let track = Track::new(&bars);
        Self { json, verbosity, bars, track, log, run: OnceLock::new() }
    }

    pub(crate) fn json(&self) -> bool {
        self.json
    }

    pub(crate) fn color(&self) -> bool {
        io::stderr().is_terminal() && environment::NO_COLOR.get().is_none()
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
    pub(crate) fn line(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.bars.suspend(|| say(text));
        }
    }

    pub(crate) fn end_progress(&self) {
        self.track.bar.finish_and_clear();
    }

    pub(crate) fn line_writer(&self) -> LineWriter {
        LineWriter::new(self.bars.clone())
    }

    /// Reports the error in both forms; its exit code.
    pub(crate) fn error(&self, error: &Error) -> u8 {
        self.end_progress();
        let failure = self.failure(error);
        let text = text_of(&failure, self.run_folder());
        say(&text);
        tracing::debug!("{text}");
        self.event("error", &failure);
        failure.exit
    }

    /// As long as it is there.
    fn run_folder(&self) -> Option<&Path> {
        self.run.get().map(|(_, folder)| folder.as_path()).filter(|folder| folder.exists())
    }

    pub(crate) fn failure(&self, error: &Error) -> ErrorReport {
        let run_folder = self.run_folder().map(|folder| folder.to_string_lossy().into_owned());
        ErrorReport { run_folder, ..ErrorReport::new(error, self.track.stage()) }
    }
}

impl Observer for Ui {
    /// From now on every event names the run.
    fn run_started(&self, id: &str, folder: &Path, log: &Path) -> io::Result<()> {
        self.log.open(log)?;
        let _ = self.run.set((id.to_owned(), folder.to_owned()));
        Ok(())
    }

    fn planned(&self, plan: &FramePlan, options: &ResolvedOptions) {
        self.event("plan", &json!({ "plan": plan, "settings": { "plan": options, "wan": options.wan() } }));
        for line in show_settings::lines(options) {
            tracing::info!("{line}");
        }
    }

    fn idle(&self) {
        self.end_progress();
    }

    fn stage(&self) -> Stage {
        self.track.stage()
    }
}

impl Ui {
    /// What is wrong with something that is inspected.
    pub(crate) fn problem(&self, error: Error) -> Result<ErrorReport> {
        inspect::problem(error, self.track.stage())
    }
}

/// A line on stderr. A reader that went away is no reason to stop the work, and `eprintln!` would panic.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Below a file's name.
pub(crate) fn indented(report: &ErrorReport) -> String {
    let text = text_of(report, None);
    let lines = text.lines().filter(|line| !line.starts_with("  stage") && !line.starts_with("  code"));
    let line = |line: &str| {
        let line = line.strip_prefix("error:").map_or(line.trim_start().to_owned(), |line| format!("problem{line}"));
        format!("  {line}")
    };
    lines.map(line).collect::<Vec<_>>().join("\n")
}

fn text_of(report: &ErrorReport, run_folder: Option<&Path>) -> String {
    let ErrorReport { code, exit, stage, message, details, run_folder: _ } = report;
    let ErrorDetails { file, frame, wanted, found, command, stderr, help } = details;
    let mut text = format!("error: {message}");
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let value = value.lines().collect::<Vec<_>>().join("\n          ");
            text += &format!("\n  {name:<7} {value}");
        }
    };
    row("stage", Some(stage.name().into()));
    row("file", file.as_ref().map(|file| file.display().to_string()));
    row("frame", frame.map(|frame| frame.to_string()));
    row("wanted", wanted.clone());
    row("found", found.clone());
    row("command", command.clone());
    row("it said", stderr.clone());
    row("help", help.clone());
    row("run", run_folder.map(|folder| folder.display().to_string()));
    let code = json!(code);
    row("code", Some(format!("{} (exit {exit})", code.as_str().unwrap_or("?"))));
    text
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
