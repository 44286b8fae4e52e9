//! What can be wrong with a task, said so that it can be put right.

use std::path::PathBuf;

use strum::VariantNames;

use super::{Command, json::WrongValue, kind::Kind};
use crate::pipeline::types::error::{ErrorCode, ErrorDetails, Reportable};

#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("cannot read the task {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is no task: it has {bytes} bytes", path.display())]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("{} is no JSON: {problem}", path.display())]
    NotJson { path: PathBuf, problem: String },
    #[error("{} is no task: {found}", path.display())]
    NotATask { path: PathBuf, found: String },
    #[error("{} has no settings of wanctl in it", path.display())]
    NoSettings { path: PathBuf },
    #[error("{} says that its type is {found}, and --task-type {asked}", path.display())]
    OtherType { path: PathBuf, found: String, asked: Kind },
    #[error("{} has {} that cannot be used: {}", path.display(), counted(wrong.len()), wrong[0])]
    Values { path: PathBuf, wrong: Vec<WrongValue> },
    #[error("{} cannot be done here as it is: {}", path.display(), first(items))]
    NotHere { path: PathBuf, items: Vec<String> },
    #[error("--map {given} names nothing in the task")]
    UnusedMap { given: String, addresses: Vec<String> },
    #[error("--assets {} cannot be searched: {source}", path.display())]
    Assets { path: PathBuf, source: std::io::Error },
    #[error("something in {} would be ignored: {}", path.display(), first(items))]
    Strict { path: PathBuf, items: Vec<String> },
    #[error("{option} goes with --task")]
    NoTask { option: &'static str },
    #[error("{} puts pieces together that are there: no engine is shown anything", path.display())]
    NothingShown { path: PathBuf },
    #[error("{} is {}, which wanctl {command} does not do", path.display(), a_kind(*kind, *right))]
    NotForCommand { path: PathBuf, kind: Option<Kind>, command: Command, right: Command },
}

/// The rest is in the details.
fn first(items: &[String]) -> String {
    match items {
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one}, and {} more", rest.len()),
        [] => String::new(),
    }
}

fn a_kind(kind: Option<Kind>, command: Command) -> String {
    match (kind, command) {
        (Some(kind), _) => format!("a {kind}"),
        (None, Command::Travel) => "a travel".into(),
        (None, Command::Join) => "a join".into(),
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "a value".into() } else { format!("{count} values") }
}

impl Reportable for TaskError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OtherType { .. } | Self::UnusedMap { .. } | Self::NoTask { .. } => ErrorCode::Usage,
            _ => ErrorCode::Input,
        }
    }

    fn details(&self) -> ErrorDetails {
        let lines = |items: &[String]| Some(items.join("\n"));
        let (file, wanted, found, help): (_, &str, _, String) = match self {
            Self::Unreadable { path, .. } => (path, "a file with a task", None, "check the name".into()),
            Self::TooLarge { path, bytes } => (
                path,
                "at most 8 MB: the largest tasks are some hundred kB",
                Some(format!("{bytes} bytes")),
                "give the task's row alone".into(),
            ),
            Self::NotJson { path, problem } => (
                path,
                "a task as JSON, a run.json, or a film that wanctl wrote",
                Some(problem.clone()),
                "check that the file is whole".into(),
            ),
            Self::NotATask { path, found } => (
                path,
                "a database row, {task_type, params}, or bare params with --task-type",
                Some(found.clone()),
                format!("the types are {}", Kind::VARIANTS.join(", ")),
            ),
            Self::NoSettings { path } => (
                path,
                "a film that wanctl wrote",
                None,
                "settings are lost where a film is converted; use the run.json of --keep".into(),
            ),
            Self::OtherType { path, found, .. } => {
                (path, "one type", Some(found.clone()), "leave out --task-type".into())
            }
            Self::Values { path, wrong } => (
                path,
                "values of these types",
                lines(&wrong.iter().map(ToString::to_string).collect::<Vec<_>>()),
                "wanctl inspect shows the rest of the task".into(),
            ),
            Self::NotHere { path, items } => (
                path,
                "everything that the task needs, on this disk",
                lines(items),
                "--map URL=PATH says where one address lies, --assets DIR where files of their names are".into(),
            ),
            Self::UnusedMap { given, addresses } => {
                return ErrorDetails {
                    wanted: Some("one of the task's addresses, `=`, and a path".into()),
                    found: Some(given.clone()),
                    help: Some(match addresses.is_empty() {
                        true => "the task has no addresses".into(),
                        false => format!("the task's addresses:\n{}", addresses.join("\n")),
                    }),
                    ..ErrorDetails::default()
                };
            }
            Self::NoTask { .. } => {
                let help = "leave it out, or name the task with --task".into();
                return ErrorDetails {
                    wanted: Some("--task FILE".into()),
                    help: Some(help),
                    ..ErrorDetails::default()
                };
            }
            Self::Assets { path, .. } => (path, "a folder", None, "check --assets".into()),
            Self::Strict { path, items } => {
                (path, "no key without effect, as --strict asks", lines(items), "leave out --strict".into())
            }
            Self::NothingShown { path } => (
                path,
                "a task that has frames made",
                None,
                "make its film: wanctl join or wanctl travel, with --task".into(),
            ),
            Self::NotForCommand { path, command, right, .. } => {
                let wanted = match command {
                    Command::Join => "a task that joins clips",
                    Command::Travel => "a task that travels through images",
                };
                (path, wanted, None, format!("use wanctl {right} --task {}", path.display()))
            }
        };
        ErrorDetails {
            file: Some(file.clone()),
            wanted: Some(wanted.into()),
            found,
            help: Some(help),
            ..ErrorDetails::default()
        }
    }
}
