//! `--task`: a task, a run or a film in place of clips, and where its files lie.

use std::path::{Path, PathBuf};

use wanctl::pipeline::{
    media::Media,
    options::existing_file,
    run::error::Result,
    types::progress::{Progress, Warning},
    worker_tasks::{Assets, Era, Kind, Mapping, Task, TaskError, looks_like_json},
};

use crate::cmd::{Ui, args::PresetArgs};

/// What stands in place of clips and images.
#[derive(clap::Args, Debug)]
pub(crate) struct TaskArgs {
    /// In place of clips and images: a task as the hosted worker stores it, a run.json, or a film that wanctl wrote
    #[arg(long, value_name = "FILE", value_parser = existing_file(), conflicts_with = "inputs", help_heading = "Task")]
    task: Option<PathBuf>,

    #[command(flatten)]
    place: PlaceArgs,
}

/// What a task is, and where its files lie.
#[derive(clap::Args, Debug)]
pub(crate) struct PlaceArgs {
    /// What bare params are, such as join_clips
    #[arg(long, value_name = "TYPE", help_heading = "Task")]
    task_type: Option<Kind>,

    /// Where an address of the task lies on this disk; may be repeated
    #[arg(long = "map", value_name = "URL=PATH", help_heading = "Task")]
    maps: Vec<Mapping>,

    /// A folder with the task's files, searched by their names
    #[arg(long, value_name = "DIR", help_heading = "Task")]
    assets: Option<PathBuf>,
}

impl TaskArgs {
    pub(crate) fn is_absent(&self) -> bool {
        self.task.is_none()
    }

    /// The task, if one is named. What has no effect in it is said, or with `--strict` refused.
    pub(crate) fn open(&self, preset: &PresetArgs, media: &Media, ui: &Ui) -> Result<Option<Task>> {
        let Some(path) = &self.task else { return self.place.refuse().map(|()| None) };
        let (task, _) = self.place.open(path, preset.era, media)?;
        if preset.strict {
            task.check_strictly()?;
        }
        for remark in task.remarks() {
            ui.warn(Warning { code: "task", file: Some(path.clone()), message: remark });
        }
        Ok(Some(task))
    }
}

impl PlaceArgs {
    /// A task with its files looked for, and whether anything was said of where they lie.
    pub(crate) fn open(&self, path: &Path, era: Option<Era>, media: &Media) -> Result<(Task, bool)> {
        let Self { task_type, maps, assets } = self;
        let mut task = match looks_like_json(path) || !path.is_file() {
            true => Task::read(path, *task_type, era)?,
            false => Task::of_film(path, media.note(path)?.as_deref())?,
        };
        let assets = Assets::new(maps.clone(), assets.as_deref())?;
        task.place(&assets)?;
        Ok((task, assets.are_given()))
    }

    /// Without a task none of these has a meaning.
    fn refuse(&self) -> Result<()> {
        let Self { task_type, maps, assets } = self;
        let given = [(task_type.is_some(), "--task-type"), (!maps.is_empty(), "--map"), (assets.is_some(), "--assets")];
        match given.into_iter().find(|(given, _)| *given) {
            Some((_, option)) => Err(TaskError::NoTask { option }.into()),
            None => Ok(()),
        }
    }
}
