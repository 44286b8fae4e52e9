//! A run folder: how the run ended, what of it is made, and the command that goes on with it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::pipeline::{
    run::{
        error::Result,
        folder::{RunFacts, RunState},
    },
    worker_tasks::{Assets, Role, Task},
};

#[derive(Debug, Clone, Serialize)]
pub struct RunInspection {
    #[serde(flatten)]
    pub facts: RunFacts,
    /// The command that goes on with it, or makes its film again; none while a process works on it.
    pub next: Option<String>,
    /// Inputs that are not there any more.
    pub missing: Vec<PathBuf>,
}

impl RunInspection {
    pub fn of(folder: &Path) -> Result<Self> {
        let facts = RunFacts::read(folder)?;
        Ok(Self { next: next(&facts), missing: missing(&facts), facts })
    }
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
