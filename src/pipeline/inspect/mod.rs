//! What a file is, and the facts of it, without a run.

mod planned;
mod resolved;
mod run;
mod story;
mod task;

use std::path::{Path, PathBuf};

pub use planned::{Planned, project_of_task};
pub use resolved::{Memory, Resolved, thresholds, work_of};
pub use run::RunInspection;
pub use story::{Journey, StoryInspection};
pub use task::TaskInspection;

use super::{
    media::{Media, MediaFile},
    options::{Preset, PresetError, story::Story},
    run::{
        error::{Error, Result},
        folder::{RunError, is_run_folder},
    },
    types::{
        error::{ErrorCode, ErrorReport},
        progress::Stage,
    },
    weights::{self, Checkpoint, CheckpointError, ModelFiles, Survey, Wanted},
    worker_tasks::{Task, looks_like_json},
};

/// What a file is taken for.
#[derive(Debug)]
pub enum FileKind {
    Run,
    Story,
    /// Also one that is not there, by its name.
    Preset(Box<Result<Preset, PresetError>>),
    Task,
    Weights,
    /// A clip or an image.
    Media,
}

impl FileKind {
    /// By its name, and where that does not tell by its beginning.
    pub fn of(file: &Path) -> Self {
        if is_run_folder(file) {
            return Self::Run;
        }
        if Story::is_meant(file) {
            return Self::Story;
        }
        match Preset::meant_by(file) {
            Some(preset) => Self::Preset(Box::new(preset)),
            None if looks_like_json(file) => Self::Task,
            None if weights::holds_weights(file) => Self::Weights,
            None => Self::Media,
        }
    }
}

/// The facts of a file or folder.
#[derive(Debug)]
pub enum Inspection {
    Clip(Box<super::media::Clip>),
    Image(super::media::Still),
    /// A checkpoint or a LoRA, by its header.
    Checkpoint(Box<Survey>),
    /// A whole model's folder, part by part.
    Model(Box<ModelSurvey>),
    Preset(Box<Preset>),
    Story(Box<Story>),
    /// Of the hosted worker.
    Task(Box<Task>),
    Run(Box<RunInspection>),
}

/// A model, and what each of its parts is.
#[derive(Debug)]
pub struct ModelSurvey {
    pub files: ModelFiles,
    /// `high`, `low`, `vae` and `text`, as far as they are there.
    pub parts: Vec<(&'static str, Survey)>,
}

/// Reads the facts of one file or folder, whatever it is.
pub fn inspect(file: &Path, media: &Media) -> Result<Inspection> {
    Ok(match FileKind::of(file) {
        FileKind::Run => Inspection::Run(Box::new(RunInspection::of(file)?)),
        FileKind::Story => Inspection::Story(Box::new(Story::read(file)?)),
        FileKind::Preset(preset) => Inspection::Preset(Box::new((*preset)?)),
        FileKind::Task => Inspection::Task(Box::new(Task::read(file, None, None)?)),
        FileKind::Weights => weights_of(file)?,
        FileKind::Media => {
            let mut probed = media.probe_files(&[PathBuf::from(file)]);
            match probed.pop().expect("one answer for one file")? {
                MediaFile::Clip(clip) => Inspection::Clip(clip),
                MediaFile::Still(still) => Inspection::Image(still),
            }
        }
    })
}

/// What is wrong with something that is inspected: whatever a run of it would end with, an inspection ends with exit code 3.
///
/// # Errors
///
/// What says nothing of the file, such as programs that are missing or an interruption.
pub fn problem(error: Error, stage: Stage) -> Result<ErrorReport> {
    let report = ErrorReport::new(&error, stage);
    match report.code {
        ErrorCode::Usage | ErrorCode::Input | ErrorCode::Weights | ErrorCode::Memory => {
            Ok(ErrorReport { code: ErrorCode::Input, exit: ErrorCode::Input.exit(), ..report })
        }
        ErrorCode::Media | ErrorCode::Disk | ErrorCode::Engine | ErrorCode::Timeout | ErrorCode::Interrupted => {
            Err(error)
        }
    }
}

/// What there is, and why there is none.
fn kept<T>(found: Result<Option<T>>) -> (Option<T>, Option<Error>) {
    match found {
        Ok(found) => (found, None),
        Err(error) => (None, Some(error)),
    }
}

/// A checkpoint, a LoRA, or a whole model, by the headers of its files.
pub fn weights_of(path: &Path) -> Result<Inspection> {
    let read = || match weights::holds_model(path)? {
        true => model(path),
        false => Ok(Inspection::Checkpoint(Box::new(Checkpoint::open(&[path.to_owned()])?.survey()?))),
    };
    match read() {
        Err(CheckpointError::Empty { path: empty }) if empty == *path && path.is_dir() => {
            Err(RunError::ForeignFolder { path: empty }.into())
        }
        read => Ok(read?),
    }
}

/// A model's folder; one that lacks a part is no model.
fn model(folder: &Path) -> Result<Inspection, CheckpointError> {
    let files = ModelFiles::find(&[Wanted { role: None, path: folder.to_owned() }])?;
    let parts = [("high", &files.high), ("low", &files.low), ("vae", &files.vae), ("text", &files.text)];
    let parts = parts.into_iter().filter(|(_, paths)| !paths.is_empty());
    let parts = parts.map(|(part, paths)| Ok((part, Checkpoint::open(paths)?.survey()?)));
    let parts = parts.collect::<Result<Vec<_>, CheckpointError>>()?;
    Ok(Inspection::Model(Box::new(ModelSurvey { files, parts })))
}
