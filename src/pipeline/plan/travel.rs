//! Planning a journey: one segment between every two images, and the film that passes through each of them at a known
//! frame. There is one timeline, that of the film.

use std::ops::Range;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

use super::{
    Align, Curve, Film, FramePlan, FrameRef, Journey, Key, Look, MaskRule, Mode, Origin, PlanError, PlanWarning, Round,
    Segment, Shape, Slot, Source, Stretch, TimelineItem, Tone, Treatment, error::MOST_FRAMES, latents,
    warning::MANY_FRAMES,
};

/// What the user asked of a journey.
#[derive(Debug, Clone, PartialEq)]
pub struct TravelParams {
    pub segments: Vec<SegmentAsk>,
    pub round: Round,
    pub lengths: Lengths,
    pub align: Align,
    pub mask_rule: MaskRule,
    /// Whether an end image fills the latent that it is in, so that the model is told to keep it.
    pub fill_latents: bool,
    /// Whether a segment may go to no image: a model makes up what follows.
    pub open_ends: bool,
    /// Whether the journey ends where it began.
    pub looped: bool,
    /// How two segments that overlap become one film.
    pub curve: Curve,
    pub look: Look,
    pub later: Tone,
    pub structure: Vec<StructureAsk>,
    pub treatment: Treatment,
}

impl TravelParams {
    /// Segments that share their images and are shown nothing else; there are none of them yet.
    pub const PLAIN: Self = Self {
        segments: vec![],
        round: Round::Down,
        lengths: Lengths::Rounded,
        align: Align::Latent,
        mask_rule: MaskRule::Exact,
        fill_latents: false,
        open_ends: true,
        looped: false,
        curve: Curve::Even,
        look: Look::PLAIN,
        later: Tone::PLAIN,
        structure: vec![],
        treatment: Treatment::Raw,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentAsk {
    /// Its length.
    pub frames: usize,
    /// Frames of what went before that the model is shown.
    pub overlap: usize,
}

/// How long a segment is for the model, and what of it is new in the film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Lengths {
    /// An overlap is a multiple of 4, and neighbours share their image, which is shown once
    #[serde(alias = "shared")]
    Rounded,
    /// Any overlap; neighbours share it alone, and with none an image is shown twice
    #[serde(alias = "worker")]
    Unrounded,
}

/// Frames of a clip that guide what is made, by their place in the film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructureAsk {
    /// Of the journey's structure clips.
    pub clip: usize,
    pub film: Range<usize>,
    pub frames: Range<usize>,
    /// Whether these frames are spread over that stretch of the film; else they stand one by one from its start.
    pub spread: bool,
}

/// What a journey is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    pub images: Vec<Source>,
    pub continued: Option<Continued>,
    pub structure: Vec<Source>,
    /// Pictures that say what things look like; every segment is shown them.
    pub references: Vec<Source>,
}

/// A clip that the journey goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continued {
    pub clip: Source,
    /// Whether the film begins with it.
    pub in_film: bool,
}

pub fn travel(places: Places, film: Film, ask: &TravelParams) -> Result<FramePlan, PlanError> {
    let Places { images, continued, structure, references } = places;
    if images.is_empty() {
        return Err(PlanError::NoImages);
    }
    let way = TravelLayout {
        first_image: usize::from(continued.is_some()),
        images: images.len(),
        before: continued.as_ref().map(|continued| continued.clip.length()),
        in_film: continued.as_ref().is_some_and(|continued| continued.in_film),
        first_structure: usize::from(continued.is_some()) + images.len(),
        ask,
    };
    if way.before == Some(0) {
        let path = continued.map(|continued| continued.clip.path).unwrap_or_default();
        return Err(PlanError::EmptyClip { path });
    }
    let legs = way.legs()?;
    let first_reference = way.first_structure + structure.len();
    let references_of = first_reference..first_reference + references.len();
    let seams: Vec<Segment> = legs.iter().map(|leg| way.seam(leg, &legs, references_of.clone())).collect();
    let timeline = way.timeline(&legs);
    let journey = Journey {
        keys: way.keys(&legs),
        look: ask.look,
        later: ask.later,
        treatment: (!ask.structure.is_empty()).then_some(ask.treatment),
    };
    let long = |(seam, frames): (usize, usize)| PlanWarning::ManyFrames { seam, frames };
    let lengths = legs.iter().map(|leg| leg.frames).enumerate();
    let mut warnings: Vec<PlanWarning> = lengths.filter(|(_, frames)| *frames > MANY_FRAMES).map(long).collect();
    let rounded = ask.segments.iter().zip(&legs).find(|(asked, leg)| asked.frames != leg.own);
    if let Some((asked, leg)) = rounded {
        let (seam, asked, used) = (leg.number, asked.frames, leg.own);
        warnings.push(PlanWarning::Rounded { seam, asked, used, round: ask.round });
    }

    let Film { fps, size, made_size } = film;
    let clip = continued.map(|continued| continued.clip);
    Ok(FramePlan {
        command: "travel",
        fps,
        size,
        made_size,
        align: ask.align,
        mask_rule: ask.mask_rule,
        inputs: clip.into_iter().chain(images).chain(structure).chain(references).collect(),
        seams,
        timeline,
        journey: Some(journey),
        warnings,
    })
}

/// A segment in numbers.
#[derive(Debug)]
struct SegmentLayout {
    number: usize,
    /// Without the overlap.
    own: usize,
    /// To the model, overlap included.
    frames: usize,
    overlap: usize,
    /// Frames at its start that what goes before has too.
    shared: usize,
    /// Where its first frame stands in the film.
    start: usize,
    /// The inputs that it comes from and goes to.
    ends: [Option<usize>; 2],
}

/// Which input is what, and how the film is put together.
struct TravelLayout<'a> {
    first_image: usize,
    images: usize,
    /// How long the clip is that the journey goes on from.
    before: Option<usize>,
    in_film: bool,
    first_structure: usize,
    ask: &'a TravelParams,
}

impl TravelLayout<'_> {
    /// The image at this place on the way, which ends with the last one unless it leads back.
    fn image(&self, at: usize) -> Option<usize> {
        let at = if self.ask.looped && at == self.images { 0 } else { at };
        (at < self.images).then_some(self.first_image + at)
    }

    fn legs(&self) -> Result<Vec<SegmentLayout>, PlanError> {
        let TravelParams { segments, round, lengths, fill_latents, open_ends, .. } = self.ask;
        let mut legs: Vec<SegmentLayout> = vec![];
        for (number, asked) in segments.iter().enumerate() {
            let own = round.to_4n1(asked.frames);
            let ends = match (self.before, number.checked_sub(1)) {
                (Some(_), before) => [before.and_then(|at| self.image(at)), self.image(number)],
                (None, _) => [self.image(number), self.image(number + 1)],
            };
            let goes_on = number > 0 || self.before.is_some();
            let last = legs.last();
            let overlap = match lengths {
                _ if !goes_on => 0,
                Lengths::Rounded if asked.overlap % 4 != 0 => {
                    return Err(PlanError::OverlapNotFours { overlap: asked.overlap });
                }
                Lengths::Rounded => asked.overlap,
                Lengths::Unrounded => {
                    let even = asked.overlap / 2 * 2;
                    last.map_or(even, |last| even.min(last.own)).min(own)
                }
            };
            let with_overlap = |own: usize| match lengths {
                Lengths::Rounded => own + overlap,
                Lengths::Unrounded => Round::Down.to_4n1(own + overlap),
            };
            let frames = with_overlap(own);
            let shared = match lengths {
                _ if !goes_on => 0,
                Lengths::Rounded => overlap + 1,
                Lengths::Unrounded => overlap,
            };
            // A crossing leaves a frame of what went before that no other crossing takes.
            let has = last.map_or(self.before.unwrap_or(usize::MAX), |last| last.frames - last.shared.max(1));
            let most = own.min(has).saturating_sub(shared - overlap.min(shared) + 1);
            let most = match lengths {
                Lengths::Rounded => most / 4 * 4,
                Lengths::Unrounded => most,
            };
            if overlap > most {
                return Err(PlanError::OverlapTooLong { segment: number, overlap, most });
            }
            // Something is known at its start, something is made, and what is known at its end comes last.
            let end = match ends[1] {
                None => 0,
                Some(_) if *fill_latents => 4,
                Some(_) => 1,
            };
            let known = overlap.max(shared).max(1) + end;
            if frames <= known {
                let long_enough = |frames: &usize| with_overlap(round.to_4n1(*frames)) > known;
                let least = (1..).find(long_enough).expect("rounding has bounds");
                return Err(PlanError::SegmentTooShort { segment: number, frames: asked.frames, least });
            }
            if frames > MOST_FRAMES {
                return Err(PlanError::SegmentTooLong { segment: number, frames });
            }
            if ends[0].is_none() && !goes_on || ends[0].is_none() && number > 0 && overlap == 0 {
                return Err(PlanError::SegmentFromNowhere { segment: number, images: self.images });
            }
            let start = match (last, self.before) {
                (Some(last), _) => last.start + last.frames - shared,
                (None, Some(before)) if self.in_film => before - shared,
                (None, _) => 0,
            };
            legs.push(SegmentLayout { number, own, frames, overlap, shared, start, ends });
        }
        let open = legs.iter().find(|leg| leg.ends[1].is_none() && !open_ends);
        open.map_or(Ok(()), |leg| Err(PlanError::SegmentOpen { segment: leg.number, images: self.images }))?;
        Ok(legs)
    }

    /// The frames that stand before a segment: where they come from, and how many there are.
    fn before(&self, leg: &SegmentLayout, legs: &[SegmentLayout]) -> Option<(Origin, usize)> {
        match leg.number.checked_sub(1) {
            Some(last) => Some((Origin::Gap(last), legs[last].frames)),
            None => self.before.map(|frames| (Origin::Input(0), frames)),
        }
    }

    fn slots(&self, leg: &SegmentLayout, legs: &[SegmentLayout]) -> Vec<Slot> {
        let still = |input| FrameRef { origin: Origin::Input(input), index: 0 };
        let [from, to] = leg.ends;
        // A clip that is gone on from has no image at its end but its own last frame.
        let carried = match from {
            Some(_) => leg.overlap,
            None => leg.shared.max(1),
        };
        let mut slots = vec![];
        if let Some((origin, frames)) = self.before(leg, legs) {
            // Shared with the image: what is carried ends before it.
            let end = frames - (leg.shared - leg.overlap) * usize::from(from.is_some());
            slots.extend((end - carried..end).map(|index| Slot::Carry(FrameRef { origin, index })));
        }
        if let Some(image) = from.filter(|_| leg.overlap == 0 || leg.shared > leg.overlap) {
            slots.push(Slot::Keep(still(image)));
        }
        let made = slots.len()..leg.frames - usize::from(to.is_some());
        slots.extend(made.clone().map(|frame| self.guided(leg.start + frame)));
        if let Some(image) = to {
            slots.push(Slot::Keep(still(image)));
            if self.ask.fill_latents {
                slots[made.end - 3..made.end].fill(Slot::Anchor(still(image)));
            }
        }
        slots
    }

    /// What guides the frame at this place of the film.
    fn guided(&self, at: usize) -> Slot {
        let over = self.ask.structure.iter().find(|structure| structure.film.contains(&at));
        let Some(StructureAsk { clip, film, frames, spread }) = over else { return Slot::Fill };
        let step = at - film.start;
        let index = match spread {
            true => step * frames.len().saturating_sub(1) / film.len(),
            false => step,
        };
        match index < frames.len() {
            true => {
                let origin = Origin::Input(self.first_structure + clip);
                Slot::Structure(FrameRef { origin, index: frames.start + index })
            }
            false => Slot::Fill,
        }
    }

    fn seam(&self, leg: &SegmentLayout, legs: &[SegmentLayout], references: Range<usize>) -> Segment {
        let slots = self.slots(leg, legs);
        let known_before = slots.iter().take_while(|slot| slot.is_known()).count();
        let after = usize::from(leg.ends[1].is_some());
        let gap = leg.frames - known_before - after;
        let from = leg.ends[0].unwrap_or(self.first_image.saturating_sub(1));
        let latents = latents(&slots, self.ask.mask_rule);
        let asked = self.ask.segments[leg.number];
        Segment {
            between: [from, leg.ends[1].unwrap_or(from)],
            range: None,
            mode: Mode::Insert,
            requested: Shape {
                context: [asked.overlap, after],
                gap: asked.frames.saturating_sub(after + usize::from(leg.ends[0].is_some())),
            },
            used: Shape { context: [known_before, after], gap },
            removed: [0; 2],
            blend: [0; 2],
            references: references.collect(),
            slots,
            latents,
        }
    }

    fn timeline(&self, legs: &[SegmentLayout]) -> Vec<TimelineItem> {
        let mut timeline = vec![];
        // What is still to be shown of what went before the leg.
        let mut open = self.before.filter(|_| self.in_film).map(|frames| (Origin::Input(0), 0..frames));
        for leg in legs {
            let origin = Origin::Gap(leg.number);
            // One frame that two share is a cut.
            let crossed = if leg.overlap > 0 { leg.shared } else { 0 };
            let start = match open.take() {
                None if leg.number == 0 => 0,
                None => unreachable!("every segment after the first follows one"),
                Some((before, mut frames)) => {
                    frames.end -= crossed;
                    let from = Stretch { origin: before, frames: frames.end..frames.end + crossed };
                    timeline.push(piece(before, frames));
                    if crossed > 0 {
                        let to = Stretch { origin, frames: 0..crossed };
                        timeline.push(TimelineItem::Cross { from, to, curve: self.ask.curve });
                    }
                    leg.shared
                }
            };
            open = Some((origin, start..leg.frames));
        }
        if let Some((origin, mut frames)) = open {
            // The image that a loop ends with is its first frame.
            frames.end -= usize::from(self.ask.looped);
            timeline.push(piece(origin, frames));
        }
        timeline.retain(|piece| !piece.frames().is_empty());
        timeline
    }

    /// Every image at the frame of the film that shows it; one that is shown twice, at the first.
    fn keys(&self, legs: &[SegmentLayout]) -> Vec<Key> {
        let first = legs.first().and_then(|leg| Some(Key { input: leg.ends[0]?, frame: leg.start }));
        let ends = legs.iter().filter_map(|leg| Some(Key { input: leg.ends[1]?, frame: leg.start + leg.frames - 1 }));
        let last = legs.len().saturating_sub(1);
        let ends = ends.enumerate().filter(|(number, _)| !(self.ask.looped && *number == last)).map(|(_, key)| key);
        first.into_iter().chain(ends).collect()
    }
}

fn piece(origin: Origin, frames: Range<usize>) -> TimelineItem {
    match origin {
        Origin::Input(input) => TimelineItem::Copy { input, frames },
        Origin::Gap(seam) => TimelineItem::Made { seam, frames },
    }
}
