//! The guide of a project: what the model would be shown, drawn into a folder, with a run folder of its own meanwhile.

use std::{fs, path::PathBuf};

use serde::Serialize;

use crate::pipeline::{
    frames::{generated::GeneratedFrames, source::FrameSource},
    media::Media,
    plan::FramePlan,
    report::guide,
    run::{
        error::{Error, Result},
        project::Project,
        session::{self, Observer, Prepared, RunFolderOf, RunSettings, Scope},
    },
    system::output::FolderDestination,
    types::{progress::Stage, video::Fps},
};

/// A folder of guide.mp4, mask.mp4, plan.json and sheet.png; of several segments the first two and the last stand in
/// seam_01, seam_02 and so on.
#[derive(Debug, Clone, Serialize)]
pub struct Guide {
    pub output: PathBuf,
    /// Of all guides together.
    pub frames: usize,
    pub fps: Fps,
}

/// The plan alone; nothing is written.
pub fn dry_run(project: &Project, media: &Media, observer: &dyn Observer) -> Result<FramePlan> {
    let prepared = session::prepare(project, false, media, observer)?;
    prepared.announce(&project.options, observer);
    Ok(prepared.plan)
}

/// Draws it; with the result the run's folder, where that stays.
pub fn draw(
    project: &Project,
    output: &std::path::Path,
    settings: &RunSettings,
    media: &Media,
    observer: &dyn Observer,
) -> Result<(Guide, Option<PathBuf>)> {
    let destination = FolderDestination::claim(output, settings.replace, guide::writes)?;
    let prepared = session::prepare(project, false, media, observer)?;
    let of = RunFolderOf { command: "guide", scope: Scope::Whole, settings, resumed: None };
    session::with_folder(of, observer, |folder| {
        prepared.announce(&project.options, observer);
        let Prepared { inputs, plan } = prepared;
        folder.record("plan", &plan)?;
        let frame_source = FrameSource { media, inputs: &inputs, fit: *project.options.common.fit };
        let mut between = GeneratedFrames::dissolve();
        let place = destination.temporary();
        guide::write_plan(&plan, place)?;
        for (number, seam) in plan.seams.iter().enumerate() {
            let place = match plan.seams.len() {
                1 => place.to_owned(),
                _ => place.join(format!("seam_{:02}", number + 1)),
            };
            fs::create_dir_all(&place).map_err(|error| Error::from(error).at("making the seam's folder"))?;
            observer.begin(Stage::Guide, seam.slots.len());
            let known = between.stand_in(&frame_source, &plan, number)?;
            guide::write(&frame_source, &plan, number, &known, &place, observer).map_err(|error| {
                Error::from(error).at(format!("{} {} of {}", project.options.parts.of, number + 1, plan.seams.len()))
            })?;
        }
        let path = destination.finish()?;
        Ok(Guide { output: path, frames: plan.seams.iter().map(|seam| seam.slots.len()).sum(), fps: plan.fps })
    })
}
