//! What engines are asked at the seams of a plan, and where that lies.

use std::path::{Path, PathBuf};

use super::{error::RenderError, of_seams};
use crate::pipeline::{
    frames::generated::EngineOutput,
    frames::source::FrameSource,
    job::{self, Backend},
    plan::FramePlan,
    run::engine::{self, Ask},
};

pub(super) struct JobWriter<'a> {
    /// One for each seam.
    pub(super) makers: &'a [Backend],
    pub(super) frame_source: &'a FrameSource<'a>,
    pub(super) plan: &'a FramePlan,
    pub(super) run: &'a str,
    pub(super) run_folder: &'a Path,
}

impl JobWriter<'_> {
    pub(super) fn folder(&self, seam: usize) -> PathBuf {
        job::folder(self.run_folder, seam)
    }

    /// Writes what the engine is asked and shown at a seam, and of what was made `before` it.
    pub(super) fn draw(&self, seam: usize, before: Option<&mut EngineOutput>) -> Result<(), RenderError> {
        self.draw_in(&self.folder(seam), seam, before)
    }

    pub(super) fn draw_in(
        &self,
        folder: &Path,
        seam: usize,
        before: Option<&mut EngineOutput>,
    ) -> Result<(), RenderError> {
        let Self { makers, frame_source, plan, run, .. } = *self;
        let in_segment = |error: RenderError| error.in_segment(of_seams(plan, seam));
        let known = match before {
            None => frame_source.shown(plan, seam, None),
            Some(made) => frame_source.shown(plan, seam, Some(&mut |index| Ok(made.frames.frame(index)?))),
        };
        let known = known.map_err(|error| in_segment(error.into()))?;
        let references = frame_source.references(&plan.seams[seam]).map_err(|error| in_segment(error.into()))?;
        let ask = Ask { run, maker: &makers[seam], plan, seam };
        Ok(engine::write_job(folder, ask, &known, &references)?)
    }
}
