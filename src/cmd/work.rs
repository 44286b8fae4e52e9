//! What is made: a join of clips, or a journey through images. They differ here, and alike is all that comes after.

use std::path::PathBuf;

use serde_json::{Value, json};

use wanctl::pipeline::{
    error::Result,
    frames::film::{Inputs, JourneyFiles, MadeSize, Shape},
    media::{Fit, Media},
    options::{
        self, EngineChoice, JourneyPaths, JourneySettings, Options, Parts, Settings, SettingsError, WanSettings,
    },
    plan::{self, FramePlan},
    types::progress::{Progress, Stage},
    worker_tasks::{Command, InputPaths, Stitch},
};

use super::{asked::Asked, show_settings};

pub(crate) enum Work {
    Join {
        clips: Vec<PathBuf>,
        settings: Settings,
    },
    Travel {
        paths: JourneyPaths,
        parts: Parts,
        settings: Box<JourneySettings>,
    },
    /// Pieces that are there already, put together.
    Stitch {
        pieces: Vec<PathBuf>,
        stitch: Stitch,
        settings: Settings,
    },
}

impl Work {
    pub(crate) fn join(clips: Vec<PathBuf>, asked: &Asked) -> Result<Self, SettingsError> {
        Ok(Self::Join { clips, settings: asked.join()? })
    }

    pub(crate) fn travel(paths: JourneyPaths, asked: &Asked) -> Result<Self, SettingsError> {
        let continued = paths.continued.is_some();
        let parts = options::count(&asked.layers, paths.images.len(), continued)?;
        let settings = asked.journey(parts, continued)?;
        settings.check_guides(!paths.structure.is_empty(), !paths.references.is_empty())?;
        Ok(Self::Travel { paths, parts, settings: Box::new(settings) })
    }

    pub(crate) fn stitch((pieces, stitch): (Vec<PathBuf>, Stitch), asked: &Asked) -> Result<Self, SettingsError> {
        Ok(Self::Stitch { pieces, stitch, settings: asked.join()? })
    }

    /// The same, for the model whose weights were found meanwhile.
    pub(crate) fn for_model(self, asked: &Asked) -> Result<Self, SettingsError> {
        match self {
            Self::Join { clips, .. } => Self::join(clips, asked),
            Self::Travel { paths, .. } => Self::travel(paths, asked),
            Self::Stitch { pieces, stitch, .. } => Self::stitch((pieces, stitch), asked),
        }
    }

    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Join { .. } => Command::Join,
            Self::Travel { .. } => Command::Travel,
            Self::Stitch { stitch, .. } => stitch.by,
        }
    }

    /// Its seams or segments.
    pub(crate) fn parts(&self) -> Parts {
        match self {
            Self::Join { clips, settings } => settings.seams(clips.len()),
            Self::Travel { parts, .. } => *parts,
            Self::Stitch { .. } => Parts::seams(0),
        }
    }

    pub(crate) fn inputs(&self) -> InputPaths {
        match self {
            Self::Join { clips, .. } => InputPaths::Clips(clips.clone()),
            Self::Travel { paths, .. } => InputPaths::Journey(paths.clone()),
            Self::Stitch { pieces, stitch, .. } => InputPaths::Pieces(pieces.clone(), stitch.clone()),
        }
    }

    /// All of them, in the order of the plan's.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Join { clips, .. } => clips.clone(),
            Self::Travel { paths, .. } => paths.all().cloned().collect(),
            Self::Stitch { pieces, .. } => pieces.clone(),
        }
    }

    /// As it is asked for once more.
    pub(crate) fn again(&self, wan: Option<&WanSettings>) -> Options {
        match self {
            Self::Join { settings, .. } | Self::Stitch { settings, .. } => options::again(settings, wan),
            Self::Travel { settings, .. } => options::journey_again(settings, wan),
        }
    }

    pub(crate) fn engine(&self) -> EngineChoice {
        match self {
            Self::Join { settings, .. } | Self::Stitch { settings, .. } => *settings.engine,
            Self::Travel { settings, .. } => *settings.engine,
        }
    }

    pub(crate) fn fit(&self) -> Fit {
        match self {
            Self::Join { settings, .. } | Self::Stitch { settings, .. } => *settings.fit,
            Self::Travel { settings, .. } => *settings.fit,
        }
    }

    /// With who said each.
    pub(crate) fn settings(&self) -> Value {
        match self {
            Self::Join { settings, .. } | Self::Stitch { settings, .. } => json!(settings),
            Self::Travel { settings, .. } => json!(settings),
        }
    }

    /// Name, value and source of each.
    pub(crate) fn sourced(&self) -> Vec<(String, String, String)> {
        match self {
            Self::Join { settings, .. } => show_settings::sourced(settings),
            // What a join is asked says nothing of other work.
            Self::Stitch { .. } => vec![],
            Self::Travel { settings, .. } => show_settings::sourced(settings),
        }
    }

    /// The same and those of the model as lines of text.
    pub(crate) fn lines(&self, wan: Option<&WanSettings>) -> Vec<String> {
        let of_model = wan.iter().flat_map(|wan| show_settings::sourced(&wan.generation));
        show_settings::by_source(self.sourced().into_iter().chain(of_model).collect())
    }

    /// The facts of its files, and the plan that comes of them.
    pub(crate) fn plan(&self, lossless: bool, media: &Media, progress: &dyn Progress) -> Result<(Inputs, FramePlan)> {
        progress.begin(Stage::Probe, self.files().len());
        let probed = || progress.begin(Stage::Plan, 0);
        match self {
            Self::Join { clips, settings } => {
                let inputs =
                    Inputs::new(media.probe_clips(clips, settings.tracks(), *settings.tone_map)?, settings, lossless);
                probed();
                let plan = settings.plan(inputs.sources(), inputs.film.for_plan())?;
                Ok((inputs, plan))
            }
            Self::Stitch { pieces, stitch, settings } => {
                let inputs =
                    Inputs::new(media.probe_clips(pieces, settings.tracks(), *settings.tone_map)?, settings, lossless);
                probed();
                let sources = inputs.sources();
                let ask = stitch.ask(&sources)?;
                let plan = plan::stitch(sources, inputs.film.for_plan(), &ask)?;
                Ok((inputs, plan))
            }
            Self::Travel { paths, settings, .. } => {
                let JourneyPaths { images, continued, structure, references } = paths;
                let continued: Vec<PathBuf> = continued.iter().cloned().collect();
                let files = JourneyFiles {
                    images: media.probe_stills(images, *settings.tone_map)?,
                    continued: media.probe_clips(&continued, settings.tracks(), *settings.tone_map)?.pop(),
                    in_film: !*settings.apart,
                    structure: media.probe_clips(structure, settings.tracks(), *settings.tone_map)?,
                    references: media.probe_stills(references, *settings.tone_map)?,
                };
                let JourneySettings { engine, fps, size, made_size, .. } = &**settings;
                let made = MadeSize::new(**engine, **made_size);
                let (inputs, places) = Inputs::journey(files, &Shape { fps: **fps, size: **size, made, lossless });
                probed();
                let plan = settings.plan(places, inputs.film.for_plan())?;
                Ok((inputs, plan))
            }
        }
    }
}
