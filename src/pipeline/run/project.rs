//! What a film is made of, and how: files, and options that are resolved for them.

use std::path::PathBuf;

use crate::pipeline::{
    frames::film::{Inputs, JourneyFiles, MadeSize, Shape},
    media::Media,
    options::{JourneyPaths, Kind, ResolvedOptions},
    plan::{self, FramePlan},
    run::error::Result,
    types::progress::{Progress, Stage},
    worker_tasks::InputPaths,
};

#[derive(Debug)]
pub struct Project {
    pub inputs: InputPaths,
    pub options: ResolvedOptions,
}

impl Project {
    /// The facts of its files, and the plan that comes of them. Nothing is written.
    pub fn plan(&self, lossless: bool, media: &Media, progress: &dyn Progress) -> Result<(Inputs, FramePlan)> {
        let Self { inputs, options: ResolvedOptions { common, kind, .. } } = self;
        progress.begin(Stage::Probe, inputs.files().len());
        let clips = |paths: &[PathBuf]| media.probe_clips(paths, common.tracks(), *common.tone_map);
        match (inputs, kind) {
            (InputPaths::Clips(paths), Kind::Join(join)) => {
                let inputs = Inputs::new(clips(paths)?, common, lossless);
                progress.begin(Stage::Plan, 0);
                let plan = join.plan(common, inputs.sources(), inputs.film.for_plan())?;
                Ok((inputs, plan))
            }
            (InputPaths::Pieces(paths, stitch), Kind::Stitch(_)) => {
                let inputs = Inputs::new(clips(paths)?, common, lossless);
                progress.begin(Stage::Plan, 0);
                let sources = inputs.sources();
                let ask = stitch.ask(&sources)?;
                let plan = plan::stitch(sources, inputs.film.for_plan(), &ask)?;
                Ok((inputs, plan))
            }
            (InputPaths::Journey(JourneyPaths { images, continued, structure, references }), Kind::Travel(travel)) => {
                let stills = |paths: &[PathBuf]| media.probe_stills(paths, *common.tone_map);
                let continued: Vec<PathBuf> = continued.iter().cloned().collect();
                let files = JourneyFiles {
                    images: stills(images)?,
                    continued: clips(&continued)?.pop(),
                    in_film: !*travel.apart,
                    structure: clips(structure)?,
                    references: stills(references)?,
                };
                let made = MadeSize::new(*common.engine, *common.made_size);
                let shape = Shape { fps: *common.fps, size: *common.size, made, lossless };
                let (inputs, places) = Inputs::journey(files, &shape);
                progress.begin(Stage::Plan, 0);
                let plan = travel.plan(common, places, inputs.film.for_plan())?;
                Ok((inputs, plan))
            }
            (inputs, kind) => unreachable!("options for {inputs:?} were resolved as {kind:?}"),
        }
    }
}
