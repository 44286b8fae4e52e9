//! What a run leaves so that it can be done again: in its run.json and inside its film, in the same words.

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Command, Role, Stitch, Task, TaskFile, Work, envelope::not_a_task, error::TaskError};
use crate::pipeline::options::{
    Audio, Content, EngineSettings, FilmOptions, FilmSettings, JourneyPaths, Options, Seed,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<PathBuf>,
    /// In place of clips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    journey: Option<JourneyPaths>,
    /// Of pieces that are there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stitch: Option<Stitch>,
    settings: Options,
    film: FilmOptions,
    engine: EngineSettings,
}

/// What a film is made of.
#[derive(Debug, Clone)]
pub enum InputPaths {
    Clips(Vec<PathBuf>),
    Journey(JourneyPaths),
    Pieces(Vec<PathBuf>, Stitch),
}

impl InputPaths {
    /// As far as options depend on them.
    pub fn content(&self) -> Content {
        match self {
            Self::Clips(clips) => Content::Clips(clips.len()),
            Self::Journey(JourneyPaths { images, continued, structure, references }) => Content::Images {
                images: images.len(),
                continued: continued.is_some(),
                structure: !structure.is_empty(),
                references: !references.is_empty(),
            },
            Self::Pieces(..) => Content::Pieces,
        }
    }

    /// What works on them.
    pub fn command(&self) -> Command {
        match self {
            Self::Clips(_) => Command::Join,
            Self::Journey(_) => Command::Travel,
            Self::Pieces(_, stitch) => stitch.by,
        }
    }

    /// All of them, in the order of the plan's.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Clips(clips) => clips.clone(),
            Self::Journey(paths) => paths.all().cloned().collect(),
            Self::Pieces(pieces, _) => pieces.clone(),
        }
    }
}

impl Recorded {
    /// `settings`: with what was chosen on the way.
    pub fn new(
        inputs: &InputPaths,
        settings: Options,
        film: &FilmSettings,
        engine: EngineSettings,
    ) -> io::Result<Self> {
        let mut film = film.to_options();
        if let Some(Audio::File(file)) = &mut film.audio {
            *file = std::path::absolute(&file)?;
        }
        let whole = |paths: &[PathBuf]| paths.iter().map(std::path::absolute).collect::<Result<_, _>>();
        let (command, inputs, journey, stitch) = match inputs {
            InputPaths::Clips(clips) => (Command::Join, whole(clips)?, None, None),
            InputPaths::Journey(paths) => {
                (Command::Travel, vec![], Some(paths.clone().map(std::path::absolute)?), None)
            }
            InputPaths::Pieces(pieces, stitch) => (stitch.by, whole(pieces)?, None, Some(stitch.clone())),
        };
        Ok(Self {
            version: VERSION,
            wanctl: env!("CARGO_PKG_VERSION").into(),
            command: command.to_string(),
            inputs,
            journey,
            stitch,
            settings,
            film,
            engine,
        })
    }

    /// As a run's manifest has it under `repeat`.
    pub fn of_manifest(repeat: &Value) -> Option<Self> {
        serde_json::from_value(repeat.clone()).ok()
    }

    /// That of a Wan model, drawn where it was random.
    pub fn seed(&self) -> Option<u64> {
        match self.settings.wan.seed? {
            Seed::Fixed(seed) => Some(seed),
            Seed::Random => None,
        }
    }

    /// As the film carries it that will stand in `folder`.
    pub fn note(&self, folder: &Path) -> String {
        let within = |path: PathBuf| path.strip_prefix(folder).map(Path::to_owned).unwrap_or(path);
        let Ok(journey) =
            self.journey.clone().map(|paths| paths.map(|path| Ok::<_, Infallible>(within(path)))).transpose();
        let note = Self { inputs: self.inputs.iter().cloned().map(within).collect(), journey, ..self.clone() };
        serde_json::to_string(&note).expect("settings have only string keys")
    }

    fn task(self, path: &Path) -> Result<Task, TaskError> {
        let Self { version, wanctl, command, inputs, journey, stitch, settings, film, engine } = self;
        let (work, inputs) = match (command.parse(), journey, stitch) {
            (Ok(_), None, Some(stitch)) => (Work::Stitch(stitch), clips(inputs)),
            (Ok(Command::Join), None, None) => (Work::Join, clips(inputs)),
            (Ok(Command::Travel), Some(paths), None) => (Work::Journey, places(paths)),
            _ => (Work::Join, vec![]),
        };
        if version != VERSION || inputs.is_empty() {
            return Err(not_a_task(
                path,
                format!("it has settings of version {version} for `{command}`, by wanctl {wanctl}"),
            ));
        }
        Ok(Task { inputs, values: settings, film, engine: Some(engine), ..Task::empty(path, work) })
    }
}

fn clips(clips: Vec<PathBuf>) -> Vec<TaskFile> {
    named(Role::Clip, "inputs", clips).collect()
}

fn places(JourneyPaths { images, continued, structure, references }: JourneyPaths) -> Vec<TaskFile> {
    named(Role::Clip, "journey.continued", continued)
        .chain(named(Role::Image, "journey.images", images))
        .chain(named(Role::Guide, "journey.structure", structure))
        .chain(named(Role::Reference, "journey.references", references))
        .collect()
}

fn named(role: Role, place: &'static str, paths: impl IntoIterator<Item = PathBuf>) -> impl Iterator<Item = TaskFile> {
    let input = move |(index, path): (usize, PathBuf)| {
        TaskFile::new(role, format!("{place}[{index}]"), path.to_string_lossy().into_owned())
    };
    paths.into_iter().enumerate().map(input)
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
