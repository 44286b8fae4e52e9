//! The frames of seams, whoever makes them: mixed here, or read from what the engine left in its job folders.

use std::collections::BTreeMap;

use crate::pipeline::{
    frames::{
        dissolve,
        source::{FrameError, FrameSource, GuideFrames},
    },
    job::{FrameFile, JobResult},
    plan::FramePlan,
    types::video::Frame,
};

/// Segments held at once: neighbours can cross-fade.
const HELD: usize = 2;

/// What an engine wrote for one segment, read and checked.
#[derive(Debug)]
pub struct EngineOutput {
    pub outcome: JobResult,
    pub guide: FrameFile,
    pub frames: FrameFile,
}

fn of(made: &mut BTreeMap<usize, EngineOutput>, seam: usize) -> &mut EngineOutput {
    made.get_mut(&seam).expect("what the film shows was made")
}

/// The frames of all seams; of the last two, what was decoded for them is held.
#[derive(Debug, Default)]
pub struct GeneratedFrames {
    /// By its seam; none where frames are mixed here.
    engine: Option<BTreeMap<usize, EngineOutput>>,
    held: Vec<(usize, GuideFrames)>,
}

impl GeneratedFrames {
    pub fn dissolve() -> Self {
        Self::default()
    }

    /// By their seams.
    pub fn engine(made: BTreeMap<usize, EngineOutput>) -> Self {
        Self { engine: Some(made), held: vec![] }
    }

    /// Frame `index` of what is made at a seam, in the film's size.
    pub fn made(
        &mut self,
        frame_source: &FrameSource<'_>,
        plan: &FramePlan,
        seam: usize,
        index: usize,
    ) -> Result<Frame, FrameError> {
        match &mut self.engine {
            None => Ok(dissolve::made(&plan.seams[seam], self.known(frame_source, plan, seam)?, index)),
            Some(made) => {
                let (frame, window) = (of(made, seam).frames.frame(index)?, frame_source.inputs.film.window());
                Ok(if window.is_clear() { frame } else { window.to_film(frame) })
            }
        }
    }

    /// Frame `index` of the seam's guide, which shows one there, in the film's size.
    pub fn shown(
        &mut self,
        frame_source: &FrameSource<'_>,
        plan: &FramePlan,
        seam: usize,
        index: usize,
    ) -> Result<Frame, FrameError> {
        match &mut self.engine {
            // Where the engine saw another picture than the film's, its guide is not the film's either.
            Some(made) if frame_source.inputs.film.window().is_clear() => Ok(of(made, seam).guide.frame(index)?),
            _ => {
                let at = plan.seams[seam].slots[index].frame().expect("a frame that blends is shown");
                Ok(self.known(frame_source, plan, seam)?.frame(at).clone())
            }
        }
    }

    /// What the engine will be shown at a seam before anything is made: frames that are mixed here stand for those that
    /// will be carried over.
    pub fn stand_in(
        &mut self,
        frame_source: &FrameSource<'_>,
        plan: &FramePlan,
        seam: usize,
    ) -> Result<GuideFrames, FrameError> {
        let window = frame_source.inputs.film.window();
        match plan.seams[seam].carried_from() {
            None => frame_source.shown(plan, seam, None),
            Some(before) => frame_source.shown(
                plan,
                seam,
                Some(&mut |index| {
                    let frame = self.made(frame_source, plan, before, index)?;
                    Ok(if window.is_clear() { frame } else { window.to_made(&frame) })
                }),
            ),
        }
    }

    /// What a seam's guide shows in the film's size, and for that what is made at the seams before it.
    fn known(
        &mut self,
        frame_source: &FrameSource<'_>,
        plan: &FramePlan,
        seam: usize,
    ) -> Result<&GuideFrames, FrameError> {
        let place = |held: &[(usize, GuideFrames)]| held.iter().position(|(number, _)| *number == seam);
        if place(&self.held).is_none() {
            let known = match plan.seams[seam].carried_from() {
                None => frame_source.known(plan, seam, None)?,
                Some(before) => {
                    frame_source.known(plan, seam, Some(&mut |index| self.made(frame_source, plan, before, index)))?
                }
            };
            if self.held.len() == HELD {
                self.held.remove(0);
            }
            self.held.push((seam, known));
        }
        let at = place(&self.held).expect("it is there or was put there");
        Ok(&self.held[at].1)
    }
}
