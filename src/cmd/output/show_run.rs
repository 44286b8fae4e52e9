//! Run folders as text for people.

use wanctl::pipeline::{
    inspect::RunInspection,
    run::folder::{RunFacts, RunState},
};

use crate::cmd::output::{show, show_task::Rows};

/// How the run ended, what of it is made, and the command that goes on with it.
pub(crate) fn text(seen: &RunInspection) -> String {
    let RunInspection { facts, next, missing } = seen;
    let RunFacts { run, command, wanctl, started, state, arguments, output, seams, of, engine, made, error, .. } =
        facts;
    let mut rows = Rows::default();
    let by = wanctl.as_ref().map_or(String::new(), |wanctl| format!(", by wanctl {wanctl}"));
    rows.row("run", format!("{run}: wanctl {command}{by}"));
    if let Some(started) = started {
        rows.row("started", started);
    }
    rows.row("typed", shell_words::join(arguments.iter().skip(1)));
    rows.row(
        "outcome",
        match state {
            RunState::Running => "none yet: a process works on it",
            RunState::Killed => "none: the process was killed, or the machine stopped",
            RunState::Part => "parts of it are made",
            RunState::Failed => "failed",
            RunState::Done => "done",
        },
    );
    if let Some(output) = output {
        let there = if output.exists() { "" } else { " (not there)" };
        rows.row("film", format!("{}{there}", output.display()));
    }
    match (seams, engine) {
        (0, _) => rows.row("plan", "none"),
        (_, false) => rows.row("plan", show::counted(*seams, of)),
        (_, true) => {
            let numbers: Vec<String> = made.iter().map(|seam| (seam + 1).to_string()).collect();
            let numbers = if numbers.is_empty() { String::new() } else { format!(": {}", numbers.join(", ")) };
            rows.row("plan", format!("{}, {} made{numbers}", show::counted(*seams, of), made.len()));
        }
    }
    if let Some(error) = error {
        let of = |key: &str| error[key].as_str().map(str::to_owned);
        rows.row("error", of("message").unwrap_or_else(|| error.to_string()));
        let facts = ["stage", "file", "wanted", "found", "help", "code"];
        for (key, value) in facts.into_iter().filter_map(|key| Some((key, of(key)?))) {
            rows.row("", format!("{key:<7} {value}"));
        }
    }
    for file in missing {
        rows.row("problem", format!("{} is not there any more", file.display()));
    }
    if let Some(next) = next {
        rows.row(if facts.next_option().is_some() { "go on" } else { "again" }, next);
    }
    rows.text()
}
