//! Frames by their place in the plan: decoded from a clip when they are wanted, and no earlier.

use std::{collections::HashMap, ops::Range};

use rayon::prelude::*;

use super::{
    film::Cast,
    media::{Fit, Frames, Media, MediaError, Wanted},
    plan::{FrameRef, Origin, Seam},
    video::{Frame, Layout, Size},
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

impl<'a> Footage<'a> {
    /// A stretch of a clip in the film's own layout.
    pub fn stretch(&self, input: usize, frames: Range<usize>) -> Result<Frames<'a>, MediaError> {
        self.media.frames(self.wanted(input, frames, self.cast.film.size, self.cast.film.layout))
    }

    /// What the seam's guide shows, as the engine sees it.
    pub fn shown(&self, seam: &Seam) -> Result<Known, MediaError> {
        let (known, window) = (self.known(seam)?, self.cast.film.window());
        if window.is_clear() {
            return Ok(known);
        }
        let frames = known.frames.into_par_iter().map(|(at, frame)| (at, window.to_made(&frame)));
        Ok(Known { frames: frames.collect() })
    }

    /// The frames of the film that the seam's guide shows.
    pub fn known(&self, seam: &Seam) -> Result<Known, MediaError> {
        let size = self.cast.film.size;
        let decoded = runs(seam).into_par_iter().map(|(input, frames)| {
            let decoded = self.media.all_frames(self.wanted(input, frames.clone(), size, Layout::Rgb))?;
            let numbered = frames.zip(decoded).map(|(index, rgb)| {
                let at = FrameRef { origin: Origin::Input(input), index };
                (at, Frame { size, rgb })
            });
            Ok(numbered.collect())
        });
        let decoded: Vec<Vec<_>> = decoded.collect::<Result<_, MediaError>>()?;
        Ok(Known { frames: decoded.into_iter().flatten().collect() })
    }

    fn wanted(&self, input: usize, frames: Range<usize>, size: Size, layout: Layout) -> Wanted<'a> {
        let (clip, sampling) = (&self.cast.clips[input], &self.cast.samplings[input]);
        Wanted { clip, sampling, frames, size, fit: self.fit, layout }
    }
}

/// The shown frames as stretches of the clips, each of which is one call of the decoder.
fn runs(seam: &Seam) -> Vec<(usize, Range<usize>)> {
    let shown = seam.slots.iter().filter_map(|slot| slot.frame());
    let mut shown: Vec<(usize, usize)> = shown
        .map(|frame| match frame.origin {
            Origin::Input(input) => (input, frame.index),
            Origin::Gap(_) => unreachable!("a join shows frames of clips only"),
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
