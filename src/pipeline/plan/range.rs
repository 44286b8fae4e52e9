//! Planning ranges: frames of one clip that are made again in their own place, so that its length and sound stay.
//!
//! What a range is shown stays in the film: frames that another range makes again are to go, and would only bring back
//! what is wrong with them. Where two ranges lie close, each sees no more than lies between them.

use std::ops::Range;

use super::{
    Align, Blend, Film, FramePlan, FrameRef, LatentSpan, Mask, MaskRule, Mode, Origin, PlanError, PlanWarning, Segment,
    Shape, Slot, Source,
    error::MOST_FRAMES,
    join::latents,
    stays::{self, KeptRange},
    warning::{MANY_FRAMES, Side},
};

/// What the user asked of one clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeAsk {
    /// Frames to make again, in order and apart.
    pub ranges: Vec<Range<usize>>,
    /// Frames before and after each that the model is shown.
    pub context: usize,
    pub align: Align,
    pub mask_rule: MaskRule,
    pub blend: Blend,
    /// Whether the engine needs a frame before and after what it makes.
    pub needs: [bool; 2],
}

pub fn ranges(sources: Vec<Source>, film: Film, ask: &RangeAsk) -> Result<FramePlan, PlanError> {
    let length = check(&sources, ask)?;
    let stays = stays(length, &ask.ranges);
    let beside = |seam: usize| [stays[seam].frames.len(), stays[seam + 1].frames.len()];
    let sights: Vec<_> =
        ask.ranges.iter().enumerate().map(|(seam, range)| Sight::of(range.len(), beside(seam), ask)).collect();
    let blends = stays::blends(&stays, sights.iter().map(|sight| sight.context), ask.blend);
    let seam = |((range, sight), blend): ((&Range<usize>, &Sight), _)| seam(range, sight, blend, ask);
    let seams = ask.ranges.iter().zip(&sights).zip(blends).map(seam).collect::<Result<Vec<_>, _>>()?;
    let timeline = stays::timeline(&stays, &seams);
    let warnings = warnings(&sources[0], &seams, ask);

    let Film { fps, size, made_size } = film;
    let &RangeAsk { align, mask_rule, .. } = ask;
    Ok(FramePlan {
        command: "join",
        fps,
        size,
        made_size,
        align,
        mask_rule,
        inputs: sources,
        seams,
        timeline,
        journey: None,
        warnings,
    })
}

/// In order, and with a frame between every two: what can be said before any clip is opened.
pub fn check_ranges(ranges: &[Range<usize>]) -> Result<(), PlanError> {
    match ranges.windows(2).find(|pair| pair[1].start <= pair[0].end) {
        Some(pair) => Err(PlanError::RangesMeet { first: pair[0].clone(), second: pair[1].clone() }),
        None => Ok(()),
    }
}

/// The clip's length, if these ranges are within it.
fn check(sources: &[Source], ask: &RangeAsk) -> Result<usize, PlanError> {
    let RangeAsk { ranges, context, align: _, mask_rule: _, blend, needs } = ask;
    let [source] = sources else { return Err(PlanError::RangeOfClips { found: sources.len() }) };
    let (path, length) = (&source.path, source.length());
    check_ranges(ranges)?;
    if *context == 0 {
        return Err(PlanError::NoContext);
    }
    if let Blend::Exactly(blend) = *blend
        && blend > *context
    {
        return Err(PlanError::BlendTooLong { blend, context: *context });
    }
    for range in ranges {
        if range.is_empty() || range.end > length {
            return Err(PlanError::RangeBeyond { path: path.clone(), range: range.clone(), length });
        }
        if *range == (0..length) {
            return Err(PlanError::RangeIsAll { path: path.clone(), length });
        }
        for (side, lacks) in [(Side::Before, range.start == 0), (Side::After, range.end == length)] {
            if lacks && needs[side as usize] {
                return Err(PlanError::RangeOpen { path: path.clone(), range: range.clone(), side });
            }
        }
    }
    Ok(length)
}

/// The stretches before, between and after the ranges; the first and the last can be empty.
fn stays(length: usize, ranges: &[Range<usize>]) -> Vec<KeptRange> {
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end));
    let ends = ranges.iter().map(|range| range.start).chain([length]);
    let stay = |(n, (start, end)): (usize, (usize, usize))| {
        let seams = [n.checked_sub(1), (n < ranges.len()).then_some(n)];
        KeptRange { input: 0, frames: start..end, seams }
    };
    starts.zip(ends).enumerate().map(stay).collect()
}

/// What is shown on both sides of a range.
#[derive(Debug, Clone, Copy)]
struct Sight {
    context: [usize; 2],
    /// How often the outermost frame is shown once more.
    repeats: [usize; 2],
}

impl Sight {
    /// Contexts as asked, grown by 0 to 3 frames in all to 4n+1 with `gap`; `has` is how many frames there are. Of all ways
    /// the one with the fewest repeats, then with the fewest frames that share a latent with made ones, then with a start
    /// of whole latents, as models know it.
    fn of(gap: usize, has: [usize; 2], ask: &RangeAsk) -> Self {
        // An end image is the last frame of a latent whose other three are made.
        let right = if has_end_image(ask) { 1 } else { ask.context };
        let [left, right] = [ask.context.min(has[0]), right.min(has[1])];
        // What is lacking to 1 modulo 4; -n = 3n there.
        let lacking = (1 + 3 * (left + gap + right)) % 4;
        let ways = (0..=lacking).map(|grows| [left + grows, right + lacking - grows]);
        let sights = ways.filter(|shown| [0, 1].iter().all(|&side| has[side] > 0 || shown[side] == 0)).map(|shown| {
            let context = [0, 1].map(|side| shown[side].min(has[side]));
            Self { context, repeats: [0, 1].map(|side| shown[side] - context[side]) }
        });
        let cost = |sight: &Self| {
            let [before, after] = sight.shared(gap);
            (sight.repeats.iter().sum::<usize>(), before + after, before)
        };
        sights.min_by_key(cost).expect("a range that is not the whole clip has a frame beside it")
    }

    /// Frames on either side that share a latent with made ones.
    fn shared(&self, gap: usize) -> [usize; 2] {
        let start = self.context[0] + self.repeats[0];
        [start.saturating_sub(1) % 4, 3 - (start + gap + 2) % 4]
    }
}

fn has_end_image(ask: &RangeAsk) -> bool {
    ask.align == Align::Latent && ask.mask_rule == MaskRule::Frames
}

fn seam(range: &Range<usize>, sight: &Sight, blend: [usize; 2], ask: &RangeAsk) -> Result<Segment, PlanError> {
    let &Sight { context: context @ [left, right], repeats: [before, after] } = sight;
    let gap = range.len();
    let frames = before + left + gap + right + after;
    if frames > MOST_FRAMES {
        return Err(PlanError::RangeTooLong { range: range.clone(), frames });
    }
    let (first, last) = (range.start - left, range.end + right);
    let at = |index| FrameRef { origin: Origin::Input(0), index };
    let mut slots = vec![Slot::Repeat(at(first)); before];
    slots.extend((first..range.start).map(|index| Slot::Keep(at(index))));
    slots.extend(vec![Slot::Fill; gap]);
    slots.extend((range.end..last).map(|index| Slot::Keep(at(index))));
    slots.resize(frames, Slot::Repeat(at(last - 1)));
    if ask.align == Align::Latent && ask.mask_rule != MaskRule::Frames {
        hint(&mut slots);
    }
    let latents = latents(&slots, ask.mask_rule);
    Ok(Segment {
        between: [0; 2],
        range: Some(range.clone()),
        mode: Mode::Replace,
        requested: Shape { context: [ask.context; 2], gap },
        used: Shape { context, gap },
        removed: [gap, 0],
        blend,
        references: vec![],
        slots,
        latents,
    })
}

/// No latent is half known: what is shown of one with frames to make becomes a hint.
fn hint(slots: &mut [Slot]) {
    for LatentSpan { frames, mask } in latents(slots, MaskRule::Exact) {
        for slot in slots[frames].iter_mut().filter(|_| mask == Mask::Generate) {
            *slot = slot.frame().map_or(Slot::Fill, Slot::Hint);
        }
    }
}

fn warnings(source: &Source, seams: &[Segment], ask: &RangeAsk) -> Vec<PlanWarning> {
    let mut warnings = vec![];
    for (number, Segment { range, used, blend, slots, .. }) in seams.iter().enumerate() {
        let range = range.clone().expect("every seam is of a range");
        for side in [Side::Before, Side::After] {
            let context = used.context[side as usize];
            let asked = if has_end_image(ask) && side == Side::After { 1 } else { ask.context };
            if context < asked {
                let (path, range) = (source.path.clone(), range.clone());
                warnings.push(PlanWarning::RangeContext { path, range, side, asked, used: context });
            }
            let asked = match ask.blend {
                Blend::UpTo(blend) => blend.min(context),
                Blend::Exactly(blend) => blend,
            };
            if blend[side as usize] < asked {
                let (path, range) = (source.path.clone(), range.clone());
                warnings.push(PlanWarning::RangeBlend { path, range, side, asked, used: blend[side as usize] });
            }
        }
        if slots.len() > MANY_FRAMES {
            warnings.push(PlanWarning::ManyFrames { seam: number, frames: slots.len() });
        }
    }
    warnings
}
