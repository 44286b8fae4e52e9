//! Job folders: what the engine is asked and shown, and whether what it left is what was asked.

use std::{fs, path::Path};

use super::EngineError;
use crate::pipeline::{
    frames::{generated::EngineOutput, source::GuideFrames},
    job::{self, Backend, FrameFile, GuideHead, JobError, JobResult, Request, SlotKind},
    plan::{FramePlan, Mask, Slot},
    types::{
        pixels,
        video::{Frame, Size},
    },
};

/// What the engine is asked to make at a seam.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The run that it belongs to.
    pub run: &'a str,
    pub maker: &'a Backend,
    pub plan: &'a FramePlan,
    pub seam: usize,
}

/// Writes a seam's job folder: what the engine is asked and shown.
pub fn write_job(
    folder: &Path,
    Ask { run, maker, plan, seam }: Ask<'_>,
    known: &GuideFrames,
    references: &[Frame],
) -> Result<(), EngineError> {
    fs::create_dir_all(folder).map_err(|source| JobError::Write { path: folder.to_owned(), source })?;
    let size = plan.made_size;
    let head = head(plan, seam);
    let path = folder.join(job::GUIDE);
    let slots = &plan.seams[seam].slots;
    job::write_guide::<JobError>(&path, &head, |index| {
        Ok(slots[index].frame().map_or_else(|| Frame::filled(size, pixels::GREY), |at| known.frame(at).clone()))
    })?;
    let guide = job::hash(&path)?;
    let references = match references {
        [] => None,
        _ => {
            let path = folder.join(job::REFERENCES);
            let pictures: Vec<&[u8]> = references.iter().map(|picture| picture.rgb.as_slice()).collect();
            job::write_frames(&path, size, &pictures)?;
            Some(job::hash(&path)?)
        }
    };
    let request = Request {
        version: job::VERSION,
        program: job::PROGRAM.into(),
        run: run.to_owned(),
        seam,
        maker: maker.clone(),
        width: size.width,
        height: size.height,
        frames: slots.len(),
        guide,
        references,
    };
    Ok(job::write_json(&folder.join(job::REQUEST), &request)?)
}

fn head(plan: &FramePlan, seam: usize) -> GuideHead {
    let seam = &plan.seams[seam];
    let kind = |slot: &Slot| match slot {
        Slot::Keep(_) | Slot::Repeat(_) | Slot::Carry(_) => SlotKind::Keep,
        Slot::Anchor(_) => SlotKind::Anchor,
        Slot::Hint(_) => SlotKind::Hint,
        Slot::Structure(_) => SlotKind::Structure,
        Slot::Fill => SlotKind::Fill,
    };
    let unit = |generate: bool| if generate { 1.0 } else { 0.0 };
    GuideHead {
        size: plan.made_size,
        slots: seam.slots.iter().map(kind).collect(),
        mask: seam.known().map(|known| unit(!known)).collect(),
        latent_mask: seam.latents.iter().map(|latent| unit(latent.mask != Mask::Keep)).collect(),
    }
}

/// A job is done when its result names the request as it stands and the frames as they are.
pub fn check(folder: &Path) -> Result<EngineOutput, EngineError> {
    let wrong =
        |problem: &str, wanted: String, found: String| EngineError::Wrong { problem: problem.into(), wanted, found };
    let request: Request = job::read_json(&folder.join(job::REQUEST))?;
    if !folder.join(job::RESULT).exists() {
        return Err(wrong("there is no result", format!("{} in {}", job::RESULT, folder.display()), "none".into()));
    }
    let outcome: JobResult = job::read_json(&folder.join(job::RESULT))?;
    let asked = job::hash(&folder.join(job::REQUEST))?;
    if outcome.request != asked {
        return Err(wrong("its result is for another request", asked, outcome.request));
    }
    let made = folder.join(job::MADE);
    let hash = job::hash(&made)?;
    if outcome.made != hash {
        return Err(wrong("its frames are not those it vouched for", outcome.made, hash));
    }
    let (frames, guide) = (FrameFile::open(&made)?, FrameFile::open(&folder.join(job::GUIDE))?);
    let size = Size::new(request.width, request.height);
    if (frames.frames, frames.size) != (request.frames, size) {
        let say = |frames: usize, size: Size| format!("{frames} frames of {size}");
        return Err(wrong("its frames do not fit", say(request.frames, size), say(frames.frames, frames.size)));
    }
    Ok(EngineOutput { outcome, guide, frames })
}
