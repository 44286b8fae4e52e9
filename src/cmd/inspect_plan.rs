//! The plan of what is inspected: of its own files, or of such as it would have.

use std::path::PathBuf;

use serde_json::{Value, json};

use wanctl::pipeline::{
    error::Result,
    media::Media,
    options::{self, EngineChoice, JourneyPaths, JourneySettings, Layer, Settings, SettingsError},
    plan::{self, Continued, FramePlan, JoinParams, Places, Source},
    types::{
        progress::{Silent, Warning},
        video::{Fps, Size},
    },
    worker_tasks::{Role, Task, Work as Wanted},
};

use super::{session, work::Work};

/// A plan of what is inspected.
pub(crate) struct Planned {
    pub(crate) plan: FramePlan,
    /// Whether it is that of these files; else it is one of files that fit.
    pub(crate) sure: bool,
    pub(crate) warnings: Vec<Warning>,
}

impl Planned {
    pub(crate) fn json(&self) -> Value {
        match self.sure {
            true => json!({ "sure": true, "plan": self.plan }),
            false => json!({ "sure": false, "seams": self.plan.seams }),
        }
    }
}

impl Work {
    /// What a task asks for; files that are not here go by their addresses.
    pub(crate) fn of_task(task: &Task, layers: &[Layer]) -> Result<Self, SettingsError> {
        let all = |roles: &[Role]| -> Vec<PathBuf> {
            let inputs = task.inputs.iter().filter(|input| roles.contains(&input.role));
            inputs.map(|input| input.file.clone().unwrap_or_else(|| PathBuf::from(&input.address))).collect()
        };
        Ok(match &task.work {
            Wanted::Join | Wanted::Ranges(_) => {
                Self::Join { clips: all(&[Role::Clip]), settings: Settings::of(layers, EngineChoice::Wan)? }
            }
            Wanted::Stitch(stitch) => Self::Stitch {
                pieces: all(&[Role::Clip, Role::Transition]),
                stitch: stitch.clone(),
                settings: Settings::of(layers, EngineChoice::Dissolve)?,
            },
            Wanted::Journey | Wanted::Travel(_) => {
                let paths = JourneyPaths {
                    images: all(&[Role::Image]),
                    continued: all(&[Role::Clip]).into_iter().next(),
                    structure: all(&[Role::Guide]),
                    references: all(&[Role::Reference]),
                };
                let continued = paths.continued.is_some();
                let parts = options::count(layers, paths.images.len(), continued)?;
                let settings = JourneySettings::of(layers, EngineChoice::Wan, parts, continued)?;
                let settings = match &task.work {
                    Wanted::Travel(travel) => settings.for_model(travel.way.conditioning())?,
                    _ => settings,
                };
                Self::Travel { paths, parts, settings: Box::new(settings) }
            }
        })
    }

    /// The plan of its files where all of them are here.
    pub(crate) fn planned(&self, all_here: bool, lossless: bool, media: &Media) -> Result<Planned> {
        if !all_here {
            return Ok(Planned { plan: self.plan_of_others()?, sure: false, warnings: vec![] });
        }
        let (inputs, plan) = self.plan(lossless, media, &Silent)?;
        let warnings = session::warnings(&inputs, &plan).collect();
        Ok(Planned { plan, sure: true, warnings })
    }

    /// The plan of files that fit, in the place of its own.
    fn plan_of_others(&self) -> Result<FramePlan> {
        Ok(match self {
            Self::Join { clips, settings } => {
                let fps = rate(settings.fps.value);
                let JoinParams { context, gap, .. } = settings.ask(fps);
                let last = settings.ranges.last().map_or(gap, |range| range.0.end);
                let film = film(fps, settings.made_size.value);
                let clips = clips.iter().map(|path| clip(path, 2 * (context + last), &film)).collect();
                settings.plan(clips, film)?
            }
            Self::Travel { paths, settings, .. } => {
                let JourneyPaths { images, continued, structure, references } = paths;
                let film = film(rate(settings.fps.value), settings.made_size.value);
                let still = |path: &PathBuf| Source { still: true, ..clip(path, 1, &film) };
                // As long as any model takes.
                let long = |path: &PathBuf| clip(path, 129, &film);
                let continued =
                    continued.as_ref().map(|path| Continued { clip: long(path), in_film: !*settings.apart });
                let places = Places {
                    images: images.iter().map(still).collect(),
                    continued,
                    structure: structure.iter().map(long).collect(),
                    references: references.iter().map(still).collect(),
                };
                settings.plan(places, film)?
            }
            Self::Stitch { pieces, stitch, settings } => {
                let film = film(rate(settings.fps.value), None);
                let pieces: Vec<Source> = pieces.iter().map(|path| clip(path, 1000, &film)).collect();
                plan::stitch(pieces.clone(), film, &stitch.ask(&pieces)?)?
            }
        })
    }
}

fn rate(asked: Option<Fps>) -> Fps {
    asked.unwrap_or_else(|| Fps::new(16, 1).expect("a rate"))
}

fn film(fps: Fps, size: Option<Size>) -> plan::Film {
    let size = size.unwrap_or(Size::new(16, 16));
    plan::Film { fps, size, made_size: size }
}

fn clip(path: &std::path::Path, frames: usize, film: &plan::Film) -> Source {
    Source { path: path.to_owned(), frames, fps: film.fps, size: film.size, resampled_frames: None, still: false }
}
