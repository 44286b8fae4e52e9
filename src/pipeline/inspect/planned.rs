//! The plan of what is inspected: of its own files, or of such as it would have.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::pipeline::{
    media::Media,
    options::{EngineChoice, Facts, JourneyPaths, Kind, Layer, OptionsError, ResolvedOptions, resolve},
    plan::{self, Continued, FramePlan, JoinParams, Places, Source},
    run::{error::Result, project::Project, session::warnings},
    types::{
        progress::{Silent, Warning},
        video::{Fps, Size},
    },
    worker_tasks::{InputPaths, Role, Task, Work},
};

/// A plan of what is inspected.
#[derive(Debug)]
pub struct Planned {
    pub plan: FramePlan,
    /// Whether it is that of these files; else it is one of files that fit.
    pub sure: bool,
    pub warnings: Vec<Warning>,
}

impl Planned {
    pub fn json(&self) -> Value {
        match self.sure {
            true => json!({ "sure": true, "plan": self.plan }),
            false => json!({ "sure": false, "seams": self.plan.seams }),
        }
    }
}

/// What a task asks for, as far as no weights are needed; files that are not here go by their addresses.
pub fn project_of_task(task: &Task, layers: &[Layer]) -> Result<Project, OptionsError> {
    let all = |roles: &[Role]| -> Vec<PathBuf> {
        let inputs = task.inputs.iter().filter(|input| roles.contains(&input.role));
        inputs.map(|input| input.file.clone().unwrap_or_else(|| PathBuf::from(&input.address))).collect()
    };
    let (inputs, engine) = match &task.work {
        Work::Join | Work::Ranges(_) => (InputPaths::Clips(all(&[Role::Clip])), EngineChoice::Wan),
        Work::Stitch(stitch) => {
            let pieces = all(&[Role::Clip, Role::Transition]);
            (InputPaths::Pieces(pieces, stitch.clone()), EngineChoice::Dissolve)
        }
        Work::Journey | Work::Travel(_) => {
            let paths = JourneyPaths {
                images: all(&[Role::Image]),
                continued: all(&[Role::Clip]).into_iter().next(),
                structure: all(&[Role::Guide]),
                references: all(&[Role::Reference]),
            };
            (InputPaths::Journey(paths), EngineChoice::Wan)
        }
    };
    let conditioning = match &task.work {
        Work::Travel(travel) => Some(travel.way.conditioning()),
        _ => None,
    };
    let facts = Facts { conditioning, ..Facts::by_names(layers, inputs.content(), engine) };
    Ok(Project { options: resolve(layers, facts)?, inputs })
}

impl Planned {
    /// The plan of its files where all of them are here.
    pub fn of(project: &Project, all_here: bool, lossless: bool, media: &Media) -> Result<Self> {
        if !all_here {
            return Ok(Self { plan: plan_of_others(project)?, sure: false, warnings: vec![] });
        }
        let (inputs, plan) = project.plan(lossless, media, &Silent)?;
        let warnings = warnings(&inputs, &plan).collect();
        Ok(Self { plan, sure: true, warnings })
    }
}

/// The plan of files that fit, in the place of its own.
fn plan_of_others(project: &Project) -> Result<FramePlan> {
    let Project { inputs, options: ResolvedOptions { common, kind, .. } } = project;
    let fps = common.fps.unwrap_or_else(|| Fps::new(16, 1).expect("a rate"));
    let film = film(fps, *common.made_size);
    Ok(match (inputs, kind) {
        (InputPaths::Clips(clips), Kind::Join(join)) => {
            let JoinParams { context, gap, .. } = join.params(common, fps);
            let last = join.ranges.last().map_or(gap, |range| range.0.end);
            let clips = clips.iter().map(|path| clip(path, 2 * (context + last), &film)).collect();
            join.plan(common, clips, film)?
        }
        (InputPaths::Journey(JourneyPaths { images, continued, structure, references }), Kind::Travel(travel)) => {
            let still = |path: &PathBuf| Source { still: true, ..clip(path, 1, &film) };
            // As long as any model takes.
            let long = |path: &PathBuf| clip(path, 129, &film);
            let continued = continued.as_ref().map(|path| Continued { clip: long(path), in_film: !*travel.apart });
            let places = Places {
                images: images.iter().map(still).collect(),
                continued,
                structure: structure.iter().map(long).collect(),
                references: references.iter().map(still).collect(),
            };
            travel.plan(common, places, film)?
        }
        (InputPaths::Pieces(pieces, stitch), Kind::Stitch(_)) => {
            let film = self::film(fps, None);
            let pieces: Vec<Source> = pieces.iter().map(|path| clip(path, 1000, &film)).collect();
            plan::stitch(pieces.clone(), film, &stitch.ask(&pieces)?)?
        }
        (inputs, kind) => unreachable!("options for {inputs:?} were resolved as {kind:?}"),
    })
}

fn film(fps: Fps, size: Option<Size>) -> plan::Film {
    let size = size.unwrap_or(Size::new(16, 16));
    plan::Film { fps, size, made_size: size }
}

fn clip(path: &std::path::Path, frames: usize, film: &plan::Film) -> Source {
    Source { path: path.to_owned(), frames, fps: film.fps, size: film.size, resampled_frames: None, still: false }
}
