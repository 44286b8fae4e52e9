//! `wanctl inspect` of a run folder: how the run ended, what of it is made, and the command that goes on with it.

use std::path::{Path, PathBuf};

use serde_json::json;

use wanctl::pipeline::{
    error::Result,
    run::folder::{RunFacts, RunState},
    worker_tasks::{Assets, Role, Task},
};

use super::{Ui, show, show_task::Rows, ui::Answer};

/// One run folder.
pub(crate) fn inspect(folder: &Path, ui: &Ui) -> Result<Answer> {
    let facts = RunFacts::read(folder)?;
    let missing = missing(&facts);
    let next = next(&facts);
    let mut event = json!(facts);
    event["next"] = json!(next);
    event["missing"] = json!(missing);
    ui.event("run", &event);
    if !ui.json() {
        ui.print(&format!("{}\n{}", show::name(folder), text(&facts, next.as_deref(), &missing)));
    }
    Ok(if missing.is_empty() { Answer::Yes } else { Answer::No })
}

/// The inputs that a run of it would not find.
fn missing(facts: &RunFacts) -> Vec<PathBuf> {
    // A run that ended before its settings were known has none to do again.
    let Ok(mut task) = Task::read(&facts.manifest(), None, None) else { return vec![] };
    if task.place(&Assets::default()).is_err() {
        return vec![];
    }
    let gone = task.inputs.iter().filter(|input| input.file.is_none() && input.role != Role::Lora);
    gone.map(|input| PathBuf::from(&input.address)).collect()
}

/// The command that goes on with a run, or makes its film again.
fn next(facts: &RunFacts) -> Option<String> {
    if facts.state == RunState::Running {
        return None;
    }
    let words: Vec<String> = if facts.command == "guide" {
        let typed = facts.arguments.iter().skip(1).cloned();
        ["wanctl".to_owned()].into_iter().chain(typed).collect()
    } else {
        let task = facts.manifest().to_string_lossy().into_owned();
        let mut words = ["wanctl", &facts.command, "--task", &task].map(str::to_owned).to_vec();
        words.extend(facts.next_option().map(str::to_owned));
        let output = facts.output.iter().map(|output| ("-o", output));
        let transition = facts.transitions.first().filter(|_| facts.transitions.len() == 1);
        for (option, file) in output.chain(transition.map(|file| ("--transition", file))) {
            words.extend([option.to_owned(), file.to_string_lossy().into_owned()]);
        }
        if facts.output.as_ref().is_some_and(|output| output.exists()) {
            words.push("--overwrite".into());
        }
        words
    };
    Some(shell_words::join(words))
}

fn text(facts: &RunFacts, next: Option<&str>, missing: &[PathBuf]) -> String {
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
