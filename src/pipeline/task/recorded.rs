//! What a run leaves so that it can be done again: in its run.json and inside its film, in the same words.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Input, Role, Task, Work, envelope::not_a_task, error::TaskError};
use crate::pipeline::{
    media::Codec,
    settings::{Audio, EngineSettings, FilmAsk, FilmSettings, Overrides},
};

const VERSION: u32 = 1;

/// Everything that decides a film but the program itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    version: u32,
    wanctl: String,
    command: String,
    /// Clips in the folder of the film are named from there, so that the two can be moved together.
    inputs: Vec<PathBuf>,
    settings: Overrides,
    film: FilmAsk,
    engine: EngineSettings,
}

impl Recorded {
    /// `settings`: with what was chosen on the way.
    pub fn new(
        inputs: &[PathBuf],
        settings: Overrides,
        film: &FilmSettings,
        engine: EngineSettings,
    ) -> io::Result<Self> {
        let FilmSettings { codec, crf, lossless, audio } = film;
        let film = FilmAsk {
            codec: Some(*codec),
            crf: (*codec != Codec::Ffv1).then_some(*crf),
            lossless: *lossless,
            audio: Some(match audio {
                Audio::File(file) => Audio::File(std::path::absolute(file)?),
                other => other.clone(),
            }),
        };
        Ok(Self {
            version: VERSION,
            wanctl: env!("CARGO_PKG_VERSION").into(),
            command: "join".into(),
            inputs: inputs.iter().map(std::path::absolute).collect::<Result<_, _>>()?,
            settings,
            film,
            engine,
        })
    }

    /// As the film carries it that will stand in `folder`.
    pub fn note(&self, folder: &Path) -> String {
        let within = |path: &PathBuf| path.strip_prefix(folder).map_or_else(|_| path.clone(), Path::to_owned);
        let note = Self { inputs: self.inputs.iter().map(within).collect(), ..self.clone() };
        serde_json::to_string(&note).expect("settings have only string keys")
    }

    fn task(self, path: &Path) -> Result<Task, TaskError> {
        let Self { version, wanctl, command, inputs, settings, film, engine } = self;
        if version != VERSION || command != "join" {
            return Err(not_a_task(
                path,
                format!("it has settings of version {version} for `{command}`, by wanctl {wanctl}"),
            ));
        }
        let input = |(index, input): (usize, PathBuf)| {
            Input::new(Role::Clip, format!("inputs[{index}]"), input.to_string_lossy().into_owned())
        };
        Ok(Task {
            inputs: inputs.into_iter().enumerate().map(input).collect(),
            values: settings,
            film,
            engine: Some(engine),
            ..Task::empty(path, Work::Join)
        })
    }
}

/// A run.json.
pub(super) fn of_run(path: &Path, mut manifest: Map<String, Value>) -> Result<Task, TaskError> {
    match manifest.remove("repeat") {
        Some(recorded) => read(path, recorded),
        None => Err(not_a_task(path, "it is the run.json of a run that ended before its settings were known".into())),
    }
}

/// The note in a film.
pub(super) fn of_film(path: &Path, note: &str) -> Result<Task, TaskError> {
    let value = serde_json::from_str(note);
    read(path, value.map_err(|error| TaskError::NotJson { path: path.to_owned(), problem: error.to_string() })?)
}

fn read(path: &Path, value: Value) -> Result<Task, TaskError> {
    let recorded: Result<Recorded, _> = serde_json::from_value(value);
    recorded.map_err(|error| not_a_task(path, format!("its settings cannot be read: {error}")))?.task(path)
}
