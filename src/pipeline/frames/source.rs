//! Frames by their place in the plan: decoded from an input when they are wanted, and no earlier.

use std::{collections::HashMap, ops::Range};

use rayon::prelude::*;

use crate::pipeline::{
    frames::{
        color_adjust,
        film::{Input, Inputs},
    },
    job::JobError,
    media::{Fit, Frames, Media, MediaError, UNDER, Wanted},
    plan::{FramePlan, FrameRef, Look, Origin, Segment, Slot, Treatment},
    types::{
        error::{ErrorCode, ErrorDetails, Reportable},
        video::{Frame, Layout},
    },
};

#[derive(Debug)]
pub struct FrameSource<'a> {
    pub media: &'a Media,
    pub inputs: &'a Inputs,
    pub fit: Fit,
}

/// The frames that a seam's guide shows, in RGB.
#[derive(Debug)]
pub struct GuideFrames {
    frames: HashMap<FrameRef, Frame>,
}

impl GuideFrames {
    pub fn frame(&self, at: FrameRef) -> &Frame {
        self.frames.get(&at).expect("every shown frame of the seam was decoded")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Job(#[from] JobError),
}

impl Reportable for FrameError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Media(error) => error.code(),
            Self::Job(error) => error.code(),
        }
    }

    fn details(&self) -> ErrorDetails {
        match self {
            Self::Media(error) => error.details(),
            Self::Job(error) => error.details(),
        }
    }
}

/// Frames of what was made before a seam, by their place in that one's guide; as the engine sees them, or as the film has
/// them, whichever is asked for.
pub type MadeBefore<'b> = &'b mut dyn FnMut(usize) -> Result<Frame, FrameError>;

/// What frames are drawn for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Engine,
    Film,
}

impl<'a> FrameSource<'a> {
    /// A stretch of a clip.
    pub fn stretch(&self, input: usize, frames: Range<usize>, layout: Layout) -> Result<Frames<'a>, MediaError> {
        match &self.inputs.all[input] {
            Input::Clip { clip, sampling } => {
                let (size, fit) = (self.inputs.film.size, self.fit);
                self.media.frames(Wanted { clip, sampling, frames, size, fit, layout })
            }
            Input::Still(_) => unreachable!("an image has no stretches"),
        }
    }

    /// What the seam's guide shows, as the engine sees it. `before` is asked for what is carried over from another seam.
    pub fn shown(
        &self,
        plan: &FramePlan,
        number: usize,
        before: Option<MadeBefore<'_>>,
    ) -> Result<GuideFrames, FrameError> {
        self.drawn(plan, number, before, For::Engine)
    }

    /// The same in the film's size, but for what only guides an engine.
    pub fn known(
        &self,
        plan: &FramePlan,
        number: usize,
        before: Option<MadeBefore<'_>>,
    ) -> Result<GuideFrames, FrameError> {
        self.drawn(plan, number, before, For::Film)
    }

    /// Whole on white, as the engine sees them: what things look like at a seam.
    pub fn references(&self, seam: &Segment) -> Result<Vec<Frame>, MediaError> {
        let reference = |input: &usize| match &self.inputs.all[*input] {
            Input::Still(still) => self.media.picture(still, self.inputs.film.made_size, Fit::Pad, UNDER),
            Input::Clip { .. } => unreachable!("references are images"),
        };
        seam.references.par_iter().map(reference).collect()
    }

    fn drawn(
        &self,
        plan: &FramePlan,
        number: usize,
        before: Option<MadeBefore<'_>>,
        whom: For,
    ) -> Result<GuideFrames, FrameError> {
        let seam = &plan.seams[number];
        let slots = || seam.slots.iter().filter(|slot| whom == For::Engine || !matches!(slot, Slot::Structure(_)));
        let window = self.inputs.film.window();
        let decoded = runs(slots()).into_par_iter().map(|(input, frames)| self.decoded(input, frames));
        let decoded: Vec<Vec<(FrameRef, Frame)>> = decoded.collect::<Result<_, MediaError>>()?;
        let mut frames: HashMap<FrameRef, Frame> = match whom {
            For::Engine if !window.is_clear() => {
                decoded.into_par_iter().flatten().map(|(at, frame)| (at, window.to_made(&frame))).collect()
            }
            For::Engine | For::Film => decoded.into_iter().flatten().collect(),
        };
        if let (Some(gap), Some(before)) = (seam.carried_from(), before) {
            for at in slots().filter_map(|slot| slot.frame()).filter(|at| at.origin == Origin::Gap(gap)) {
                let mut frame = before(at.index)?;
                color_adjust::tone(&mut frame, plan.tone(gap));
                frames.insert(at, frame);
            }
        }
        let (look, treatment) =
            plan.journey.as_ref().map_or((Look::PLAIN, None), |journey| (journey.look, journey.treatment));
        let shown_as: HashMap<FrameRef, Slot> = slots().filter_map(|slot| Some((slot.frame()?, *slot))).collect();
        frames.par_iter_mut().for_each(|(at, frame)| match shown_as[at] {
            Slot::Carry(_) => color_adjust::look(frame, look),
            Slot::Structure(_) if treatment == Some(Treatment::Edges) => color_adjust::edges(frame),
            _ => {}
        });
        Ok(GuideFrames { frames })
    }

    /// Frames of one input in the film's size.
    fn decoded(&self, input: usize, frames: Range<usize>) -> Result<Vec<(FrameRef, Frame)>, MediaError> {
        let (size, fit) = (self.inputs.film.size, self.fit);
        let pictures: Vec<Frame> = match &self.inputs.all[input] {
            Input::Still(still) => vec![self.media.picture(still, size, fit, [0; 3])?],
            Input::Clip { clip, sampling } => {
                let wanted = Wanted { clip, sampling, frames: frames.clone(), size, fit, layout: Layout::Rgb };
                self.media.all_frames(wanted)?.into_iter().map(|rgb| Frame { size, rgb }).collect()
            }
        };
        let at = |index| FrameRef { origin: Origin::Input(input), index };
        Ok(frames.map(at).zip(pictures).collect())
    }
}

/// The shown frames of the inputs as stretches, each of which is one call of a decoder.
fn runs<'s>(slots: impl Iterator<Item = &'s Slot>) -> Vec<(usize, Range<usize>)> {
    let mut shown: Vec<(usize, usize)> = slots
        .filter_map(|slot| slot.frame())
        .filter_map(|frame| match frame.origin {
            Origin::Input(input) => Some((input, frame.index)),
            Origin::Gap(_) => None,
        })
        .collect();
    shown.sort_unstable();
    shown.dedup();
    let mut runs: Vec<(usize, Range<usize>)> = vec![];
    for (input, index) in shown {
        match runs.last_mut() {
            Some((last, frames)) if *last == input && frames.end == index => frames.end += 1,
            _ => runs.push((input, index..index + 1)),
        }
    }
    runs
}
