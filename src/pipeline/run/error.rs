//! The one error of the library: whatever a function of the front door ends with.

use std::io;

use crate::pipeline::{
    frames::source::FrameError,
    job::JobError,
    media::MediaError,
    options::{OptionsError, PresetError, story::StoryError},
    plan::PlanError,
    run::{engine::EngineError, folder::RunError, render::RenderError},
    system::output::OutputError,
    types::error::{ErrorCode, ErrorDetails, Reportable},
    weights::CheckpointError,
    worker_tasks::TaskError,
};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every layer has an error of its own; its exit code and what it wanted and found are said where its variants are defined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Preset(#[from] PresetError),
    #[error(transparent)]
    Story(#[from] StoryError),
    #[error(transparent)]
    Frames(#[from] FrameError),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("{context}")]
    At { context: String, source: Box<Self> },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("wanctl itself failed: {0}")]
    Panic(String),
}

impl Error {
    /// The same error with where it happened in front.
    pub fn at(self, context: impl Into<String>) -> Self {
        Self::At { context: context.into(), source: Box::new(self) }
    }

    /// The layer's own error.
    fn layer(&self) -> Option<&dyn Reportable> {
        Some(match self {
            Self::Plan(error) => error,
            Self::Media(error) => error,
            Self::Weights(error) => error,
            Self::Job(error) => error,
            Self::Options(error) => error,
            Self::Preset(error) => error,
            Self::Story(error) => error,
            Self::Frames(error) => error,
            Self::Task(error) => error,
            Self::Output(error) => error,
            Self::Run(error) => error,
            Self::Engine(error) => error,
            Self::Render(error) => error,
            Self::At { source, .. } => return source.layer(),
            Self::Io(_) | Self::Panic(_) => return None,
        })
    }
}

impl Reportable for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::At { source, .. } => source.code(),
            Self::Io(_) => ErrorCode::Disk,
            Self::Panic(_) => ErrorCode::Engine,
            layer => layer.layer().map_or(ErrorCode::Engine, Reportable::code),
        }
    }

    fn details(&self) -> ErrorDetails {
        self.layer().map(Reportable::details).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_layer_keeps_its_code_and_its_help_behind_where_it_happened() {
        let layer = || PlanError::TooFewClips { found: 1 };
        let error = Error::from(layer()).at("seam 1 of 2");
        assert_eq!((error.code(), error.details()), (layer().code(), layer().details()));
        assert_eq!(error.to_string(), "seam 1 of 2");
        let io = Error::from(io::Error::other("no space")).at("making the folder");
        assert_eq!((io.code(), io.details()), (ErrorCode::Disk, ErrorDetails::default()));
    }
}
