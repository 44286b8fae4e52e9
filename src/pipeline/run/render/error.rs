//! Why the frames of a film cannot be generated, gathered or written.

use std::path::PathBuf;

use crate::pipeline::{
    frames::source::FrameError,
    job::JobError,
    media::MediaError,
    options::Part,
    run::engine::EngineError,
    types::error::{ErrorCode, ErrorDetails, Reportable},
};

#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Frames(#[from] FrameError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Job(#[from] JobError),
    /// `seam 2 of 3`, and what went wrong there.
    #[error("{segment}")]
    InSegment { segment: String, source: Box<Self> },
    #[error("{of} {part} is not made yet")]
    NotGenerated { of: Part, part: usize, folder: PathBuf },
    #[error("{of} {part} is of another film")]
    OtherFilm { of: Part, part: usize, folder: PathBuf },
    #[error("{of} {part} is broken: {source}")]
    Broken { of: Part, part: usize, folder: PathBuf, source: Box<EngineError> },
}

impl RenderError {
    /// The same error with the segment in front.
    pub(super) fn in_segment(self, segment: String) -> Self {
        Self::InSegment { segment, source: Box::new(self) }
    }
}

impl Reportable for RenderError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Media(error) => error.code(),
            Self::Frames(error) => error.code(),
            Self::Engine(error) => error.code(),
            Self::Job(error) => error.code(),
            Self::InSegment { source, .. } => source.code(),
            Self::NotGenerated { .. } | Self::OtherFilm { .. } | Self::Broken { .. } => ErrorCode::Input,
        }
    }

    fn details(&self) -> ErrorDetails {
        let (of, part, folder, wanted, found) = match self {
            Self::Media(error) => return error.details(),
            Self::Frames(error) => return error.details(),
            Self::Engine(error) => return error.details(),
            Self::Job(error) => return error.details(),
            Self::InSegment { source, .. } => return source.details(),
            Self::NotGenerated { of, part, folder } => (of, part, folder, "what it has made", "no result".to_owned()),
            Self::OtherFilm { of, part, folder } => {
                (of, part, folder, "what this film asks for", "another request".to_owned())
            }
            Self::Broken { of, part, folder, source } => {
                (of, part, folder, "the frames that its result vouches for", source.to_string())
            }
        };
        ErrorDetails {
            file: Some(folder.clone()),
            wanted: Some(wanted.into()),
            found: Some(found),
            help: Some(format!("make {of} {part} with --segment {part}, or all that is left with --resume")),
            ..ErrorDetails::default()
        }
    }
}
