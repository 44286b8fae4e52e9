//! The plan that a task comes to: of its own files, or of such as it would have.

use std::path::PathBuf;

use color_eyre::eyre::Result;
use serde_json::{Value, json};

use wanctl::pipeline::{
    media::Media,
    plan::{self, Continued, FramePlan, JoinAsk, Places, Source},
    progress::Silent,
    settings::{self, EngineChoice, JourneyPaths, JourneySettings, Layer, Parts, Settings, SettingsError},
    task::{Role, Stitch, Task, Work as Wanted},
    video::{Fps, Size},
};

use super::{show_settings, work::Work};

/// A task's plan.
pub(crate) struct Planned {
    pub(crate) plan: FramePlan,
    /// Whether it is that of these files; else it is one of files that fit.
    pub(crate) sure: bool,
}

/// What the plan needs, by what is to be made.
pub(crate) enum Planning {
    Join(Settings),
    Journey(Parts, Box<JourneySettings>),
    Stitch(Settings, Stitch),
}

impl Planning {
    pub(crate) fn of(task: &Task, layers: &[Layer]) -> Result<Self, SettingsError> {
        let count = |role| task.inputs.iter().filter(|input| input.role == role).count();
        Ok(match &task.work {
            Wanted::Join | Wanted::Ranges(_) => Self::Join(Settings::of(layers, EngineChoice::Wan)?),
            Wanted::Stitch(stitch) => Self::Stitch(Settings::of(layers, EngineChoice::Dissolve)?, stitch.clone()),
            Wanted::Journey | Wanted::Travel(_) => {
                let continued = count(Role::Clip) > 0;
                let parts = settings::count(layers, count(Role::Image), continued)?;
                let settings = JourneySettings::of(layers, EngineChoice::Wan, parts, continued)?;
                match &task.work {
                    Wanted::Travel(travel) => {
                        Self::Journey(parts, Box::new(settings.for_model(travel.way.conditioning())?))
                    }
                    _ => Self::Journey(parts, Box::new(settings)),
                }
            }
        })
    }

    pub(crate) fn plan(&self, task: &Task, media: &Media) -> Result<Planned> {
        let needed = task.inputs.iter().filter(|input| !matches!(input.role, Role::Audio | Role::Lora));
        if needed.clone().all(|input| input.file.is_some()) {
            let (_, plan) = self.work(task).plan(task.film.lossless, media, &Silent)?;
            return Ok(Planned { plan, sure: true });
        }
        let plan = match self {
            Self::Join(settings) => {
                let clips = needed.filter(|input| input.role == Role::Clip).count();
                let fps = rate(settings.fps.value);
                let JoinAsk { context, gap, .. } = settings.ask(fps);
                let last = settings.ranges.last().map_or(gap, |range| range.0.end);
                let film = film(fps, settings.made_size.value);
                settings.plan(vec![clip("clip".into(), 2 * (context + last), &film); clips], film)?
            }
            Self::Journey(_, settings) => {
                let film = film(rate(settings.fps.value), settings.made_size.value);
                let of = |role| {
                    let inputs = task.inputs.iter().filter(move |input| input.role == role);
                    inputs.map(|input| PathBuf::from(&input.address))
                };
                let still = |path| Source { still: true, ..clip(path, 1, &film) };
                // As long as any model takes.
                let long = |path| clip(path, 129, &film);
                let continued =
                    of(Role::Clip).next().map(|path| Continued { clip: long(path), in_film: !*settings.apart });
                let places = Places {
                    images: of(Role::Image).map(still).collect(),
                    continued,
                    structure: of(Role::Guide).map(long).collect(),
                    references: of(Role::Reference).map(still).collect(),
                };
                settings.plan(places, film)?
            }
            Self::Stitch(settings, stitch) => {
                let film = film(rate(settings.fps.value), None);
                let pieces = task.inputs.iter().filter(|input| matches!(input.role, Role::Clip | Role::Transition));
                let pieces: Vec<Source> = pieces.map(|input| clip((&input.address).into(), 1000, &film)).collect();
                plan::stitch(pieces.clone(), film, &stitch.ask(&pieces)?)?
            }
        };
        Ok(Planned { plan, sure: false })
    }

    /// With the task's own files.
    fn work(&self, task: &Task) -> Work {
        let all = |role| task.files(role).collect::<Vec<_>>();
        match self {
            Self::Join(settings) => Work::Join { clips: all(Role::Clip), settings: settings.clone() },
            Self::Journey(parts, settings) => {
                let paths = JourneyPaths {
                    images: all(Role::Image),
                    continued: task.files(Role::Clip).next(),
                    structure: all(Role::Guide),
                    references: all(Role::Reference),
                };
                Work::Travel { paths, parts: *parts, settings: settings.clone() }
            }
            Self::Stitch(settings, stitch) => {
                let (stitch, settings) = (stitch.clone(), settings.clone());
                Work::Stitch { pieces: task.pieces().collect(), stitch, settings }
            }
        }
    }

    pub(crate) fn engine(&self) -> EngineChoice {
        match self {
            Self::Join(settings) | Self::Stitch(settings, _) => *settings.engine,
            Self::Journey(_, settings) => *settings.engine,
        }
    }

    pub(crate) fn settings(&self) -> Value {
        match self {
            Self::Join(settings) | Self::Stitch(settings, _) => json!(settings),
            Self::Journey(_, settings) => json!(settings),
        }
    }

    /// Name, value and source of each.
    pub(crate) fn lines(&self) -> Vec<(String, String, String)> {
        match self {
            Self::Join(settings) => show_settings::sourced(settings),
            Self::Journey(_, settings) => show_settings::sourced(settings),
            // What a join is asked says nothing of other work.
            Self::Stitch(..) => vec![],
        }
    }
}

fn rate(asked: Option<Fps>) -> Fps {
    asked.unwrap_or_else(|| Fps::new(16, 1).expect("a rate"))
}

fn film(fps: Fps, size: Option<Size>) -> plan::Film {
    let size = size.unwrap_or(Size::new(16, 16));
    plan::Film { fps, size, made_size: size }
}

fn clip(path: PathBuf, frames: usize, film: &plan::Film) -> Source {
    Source { path, frames, fps: film.fps, size: film.size, resampled_frames: None, still: false }
}
