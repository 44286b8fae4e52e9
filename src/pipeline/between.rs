//! The frames of a seam, whoever makes them: mixed here, or read from what the engine left in its job folder.

use super::{
    dissolve,
    engine::Made,
    footage::{Footage, Known},
    job::JobError,
    media::MediaError,
    plan::{Seam, Slot},
    video::Frame,
    window::Window,
};

/// Who made the frames of all seams.
#[derive(Debug)]
pub enum Between {
    Dissolve,
    /// One for each seam.
    Engine(Vec<Made>),
}

/// The frames of one seam, by their place in its guide.
#[derive(Debug)]
pub enum SeamFrames<'a> {
    Dissolve { seam: &'a Seam, known: Known },
    Engine { made: &'a mut Made, window: Window, known: Option<Known>, slots: &'a [Slot] },
}

impl Between {
    /// For one seam; its frames are held or open only as long as the value lives.
    pub fn seam<'a>(
        &'a mut self,
        footage: &Footage<'_>,
        seams: &'a [Seam],
        number: usize,
    ) -> Result<SeamFrames<'a>, MediaError> {
        Ok(match self {
            Self::Dissolve => SeamFrames::Dissolve { seam: &seams[number], known: footage.known(&seams[number])? },
            Self::Engine(made) => {
                let (made, window) = (&mut made[number], footage.cast.film.window());
                // Where the engine saw another picture than the film's, its guide is not the film's either.
                let known = match seams[number].blend {
                    [0, 0] => None,
                    _ if window.is_clear() => None,
                    _ => Some(footage.known(&seams[number])?),
                };
                let slots = &seams[number].slots;
                SeamFrames::Engine { made, window, known, slots }
            }
        })
    }
}

impl SeamFrames<'_> {
    /// What the guide shows; only where it shows something.
    pub fn shown(&mut self, index: usize) -> Result<Frame, JobError> {
        match self {
            Self::Dissolve { seam, known } => {
                let at = seam.slots[index].frame().expect("a frame that blends is shown");
                Ok(known.frame(at).clone())
            }
            Self::Engine { known: Some(known), slots, .. } => {
                let at = slots[index].frame().expect("a frame that blends is shown");
                Ok(known.frame(at).clone())
            }
            Self::Engine { made, .. } => made.guide.frame(index),
        }
    }

    pub fn made(&mut self, index: usize) -> Result<Frame, JobError> {
        match self {
            Self::Dissolve { seam, known } => Ok(dissolve::made(seam, known, index)),
            Self::Engine { made, window, .. } => {
                let frame = made.frames.frame(index)?;
                Ok(if window.is_clear() { frame } else { window.to_film(frame) })
            }
        }
    }
}
