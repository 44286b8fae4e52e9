//! Frames by their place in the plan: decoded from an input when they are wanted, and no earlier.

use std::{collections::HashMap, ops::Range};

use rayon::prelude::*;

use crate::pipeline::{
    frames::{
        color_adjust,
        film::{Cast, Take},
    },
    job::JobError,
    media::{Fit, Frames, Media, MediaError, UNDER, Wanted},
    plan::{FramePlan, FrameRef, Look, Origin, Seam, Slot, Treatment},
    types::{
        error::{Code, Details, Fault},
        video::{Frame, Layout},
    },
};

#[derive(Debug)]
pub struct Footage<'a> {
    pub media: &'a Media,
    pub cast: &'a Cast,
    pub fit: Fit,
}

/// The frames that a seam's guide shows, in RGB.
#[derive(Debug)]
pub struct Known {
    frames: HashMap<FrameRef, Frame>,
}

impl Known {
    pub fn frame(&self, at: FrameRef) -> &Frame {
        self.frames.get(&at).expect("every shown frame of the seam was decoded")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FootageError {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Job(#[from] JobError),
}

impl Fault for FootageError {
    fn code(&self) -> Code {
        match self {
            Self::Media(error) => error.code(),
            Self::Job(error) => error.code(),
        }
    }

    fn details(&self) -> Details {
        match self {
            Self::Media(error) => error.details(),
            Self::Job(error) => error.details(),
        }
    }
}

/// Frames of what was made before a seam, by their place in that one's guide; as the engine sees them, or as the film has
/// them, whichever is asked for.
pub type MadeBefore<'b> = &'b mut dyn FnMut(usize) -> Result<Frame, FootageError>;

/// What frames are drawn for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Engine,
    Film,
}

impl<'a> Footage<'a> {
    /// A stretch of a clip.
    pub fn stretch(&self, input: usize, frames: Range<usize>, layout: Layout) -> Result<Frames<'a>, MediaError> {
        match &self.cast.takes[input] {
            Take::Clip { clip, sampling } => {
                let (size, fit) = (self.cast.film.size, self.fit);
                self.media.frames(Wanted { clip, sampling, frames, size, fit, layout })
            }
            Take::Still(_) => unreachable!("an image has no stretches"),
        }
    }

    /// What the seam's guide shows, as the engine sees it. `before` is asked for what is carried over from another seam.
    pub fn shown(
        &self,
        plan: &FramePlan,
        number: usize,
        before: Option<MadeBefore<'_>>,
    ) -> Result<Known, FootageError> {
        self.drawn(plan, number, before, For::Engine)
    }

    /// The same in the film's size, but for what only guides an engine.
    pub fn known(
        &self,
        plan: &FramePlan,
        number: usize,
        before: Option<MadeBefore<'_>>,
    ) -> Result<Known, FootageError> {
        self.drawn(plan, number, before, For::Film)
    }

    /// Whole on white, as the engine sees them: what things look like at a seam.
    pub fn references(&self, seam: &Seam) -> Result<Vec<Frame>, MediaError> {
        let reference = |input: &usize| match &self.cast.takes[*input] {
            Take::Still(still) => self.media.picture(still, self.cast.film.made_size, Fit::Pad, UNDER),
            Take::Clip { .. } => unreachable!("references are images"),
        };
        seam.references.par_iter().map(reference).collect()
    }

    fn drawn(
        &self,
        plan: &FramePlan,
        number: usize,
        before: Option<MadeBefore<'_>>,
        whom: For,
    ) -> Result<Known, FootageError> {
        let seam = &plan.seams[number];
        let slots = || seam.slots.iter().filter(|slot| whom == For::Engine || !matches!(slot, Slot::Structure(_)));
        let window = self.cast.film.window();
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
        Ok(Known { frames })
    }

    /// Frames of one input in the film's size.
    fn decoded(&self, input: usize, frames: Range<usize>) -> Result<Vec<(FrameRef, Frame)>, MediaError> {
        let (size, fit) = (self.cast.film.size, self.fit);
        let pictures: Vec<Frame> = match &self.cast.takes[input] {
            Take::Still(still) => vec![self.media.picture(still, size, fit, [0; 3])?],
            Take::Clip { clip, sampling } => {
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
