//! Planning a join: one seam between every two neighbouring clips, and the film that comes of it.

use std::ops::Range;

use serde::Serialize;

use super::{
    Align, FramePlan, FrameRef, LatentSpan, Mask, MaskRule, Mode, Origin, PlanError, PlanWarning, Segment, Shape, Slot,
    Source,
    error::MOST_FRAMES,
    fit::{Fit, Misfit, Why, fit},
    goal::AlignedLengths,
    stays::{self, KeptRange},
    warning::{End, MANY_FRAMES},
};
use crate::pipeline::types::video::{Fps, Size};

/// What the film will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Film {
    pub fps: Fps,
    pub size: Size,
    pub made_size: Size,
}

/// What the user asked of every seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinParams {
    /// Frames of either clip that the model is shown.
    pub context: usize,
    /// Frames to make.
    pub gap: usize,
    pub mode: Mode,
    pub align: Align,
    pub mask_rule: MaskRule,
    pub blend: Blend,
    /// Whether the last clip is joined to the first as well.
    pub looped: bool,
    /// Whether a frame is pinned at either third of the gap.
    pub anchors: bool,
}

/// Frames at either end of a made piece that fade into the clip's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Blend {
    /// By default, or what the context allows.
    UpTo(usize),
    /// As the user asked.
    Exactly(usize),
}

impl Blend {
    pub(super) fn frames(self) -> usize {
        match self {
            Self::UpTo(frames) | Self::Exactly(frames) => frames,
        }
    }
}

pub fn join(sources: Vec<Source>, film: Film, ask: &JoinParams) -> Result<FramePlan, PlanError> {
    let goal = AlignedLengths::of(ask);
    check(&sources, goal, ask)?;
    let lengths: Vec<_> = sources.iter().map(Source::length).collect();
    let fits = fit(&lengths, ask.looped, goal).map_err(|misfit| misfit.of(&sources, goal))?;
    let cut = Cut { lengths, fits };

    let stays = cut.stays();
    let blends = stays::blends(&stays, cut.fits.iter().map(|fit| fit.context), ask.blend);
    let seams = (0..cut.fits.len()).map(|seam| cut.seam(seam, blends[seam], ask)).collect::<Result<Vec<_>, _>>()?;
    let timeline = stays::timeline(&stays, &seams);
    let warnings = warnings(&sources, &seams, goal, ask);

    let Film { fps, size, made_size } = film;
    let &JoinParams { align, mask_rule, .. } = ask;
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

fn check(sources: &[Source], goal: AlignedLengths, ask: &JoinParams) -> Result<(), PlanError> {
    let &JoinParams { context, gap, align, looped, .. } = ask;
    // A clip too short for its context can bring a guide below the limit, but never below this.
    let shortest = goal.least.saturating_add(2);
    match ask.blend {
        _ if context == 0 => Err(PlanError::NoContext),
        _ if gap == 0 => Err(PlanError::NoGap),
        Blend::Exactly(blend) if blend > context => Err(PlanError::BlendTooLong { blend, context }),
        _ if align == Align::Exact && gap <= (2 * (context % 4) + gap % 4 + 3) % 4 => {
            Err(PlanError::GapVanishes { context, gap })
        }
        _ if shortest > MOST_FRAMES => {
            Err(PlanError::TooManyFrames { frames: gap.saturating_add(context.saturating_mul(2)) })
        }
        _ if looped && sources.is_empty() => Err(PlanError::NothingToLoop),
        _ if !looped && sources.len() < 2 => Err(PlanError::TooFewClips { found: sources.len() }),
        _ => match sources.iter().find(|source| source.length() == 0) {
            Some(empty) => Err(PlanError::EmptyClip { path: empty.path.clone() }),
            None => Ok(()),
        },
    }
}

impl Misfit {
    fn of(self, sources: &[Source], goal: AlignedLengths) -> PlanError {
        let clips = self.clips.iter().map(|&clip| (&sources[clip]).into()).collect();
        match self.why {
            Why::Replace { takes } => PlanError::TooShortToReplace { clips, takes },
            Why::Align => PlanError::TooShortToAlign { clips, least: goal.least, most: goal.gap },
        }
    }
}

/// The clips, and what every seam takes of them.
struct Cut {
    lengths: Vec<usize>,
    fits: Vec<Fit>,
}

impl Cut {
    fn clips_of(&self, seam: usize) -> [usize; 2] {
        [seam, (seam + 1) % self.lengths.len()]
    }

    /// The seams before and after a clip; the closing seam of a loop is before the first.
    fn seams_of(&self, clip: usize) -> [Option<usize>; 2] {
        let looped = self.fits.len() == self.lengths.len();
        let before = clip.checked_sub(1).or(looped.then(|| self.fits.len() - 1));
        [before, (clip < self.fits.len()).then_some(clip)]
    }

    /// The frames of a clip that are in the film.
    fn survivors(&self, clip: usize) -> Range<usize> {
        let [before, after] = self.seams_of(clip);
        let start = before.map_or(0, |seam| self.fits[seam].removed[1]);
        start..self.lengths[clip] - after.map_or(0, |seam| self.fits[seam].removed[0])
    }

    fn stays(&self) -> Vec<KeptRange> {
        let stay = |clip| KeptRange { input: clip, frames: self.survivors(clip), seams: self.seams_of(clip) };
        (0..self.lengths.len()).map(stay).collect()
    }

    fn seam(&self, seam: usize, blend: [usize; 2], ask: &JoinParams) -> Result<Segment, PlanError> {
        let Fit { made, removed, context } = self.fits[seam];
        let &JoinParams { mode, mask_rule, .. } = ask;
        let between @ [left, right] = self.clips_of(seam);
        let at = |clip, index| FrameRef { origin: Origin::Input(clip), index };
        let (end, start) = (self.survivors(left).end, self.survivors(right).start);

        // Wan's VAE packs four frames into one after the first, so a guide has 4n + 1 of them.
        let frames = (context[0] + made + context[1] + 2) / 4 * 4 + 1;
        if frames > MOST_FRAMES {
            return Err(PlanError::TooManyFrames { frames });
        }
        let mut slots: Vec<_> = (end - context[0]..end).map(|index| Slot::Keep(at(left, index))).collect();
        slots.extend(gap(made, [at(left, end - 1), at(right, start)], ask)?);
        slots.extend((start..start + context[1]).map(|index| Slot::Keep(at(right, index))));
        slots.resize(frames, Slot::Repeat(at(right, start + context[1] - 1)));

        let requested = Shape { context: [ask.context; 2], gap: ask.gap };
        let used = Shape { context, gap: made };
        let latents = latents(&slots, mask_rule);
        Ok(Segment { between, range: None, mode, requested, used, removed, blend, references: vec![], slots, latents })
    }
}

/// What the model is shown in the gap: nothing, or at either third the nearer clip's last frame before it.
fn gap(made: usize, pins: [FrameRef; 2], ask: &JoinParams) -> Result<Vec<Slot>, PlanError> {
    let mut slots = vec![Slot::Fill; made];
    if ask.anchors {
        // An anchor that shares its latent with frames to make would leave it half known.
        let (least, width) = match ask.align {
            Align::Exact => (3, 1),
            Align::Latent => (12, 4),
        };
        if made < least {
            return Err(PlanError::NoRoomForAnchors { align: ask.align, used: made, least });
        }
        for (third, pin) in (1..).zip(pins) {
            let first = made * third / 3 / width * width;
            slots[first..first + width].fill(Slot::Anchor(pin));
        }
    }
    Ok(slots)
}

/// The latents of a guide, and which of them the rule keeps.
pub fn latents(slots: &[Slot], rule: MaskRule) -> Vec<LatentSpan> {
    let count = slots.len().div_ceil(4);
    let known = |slot: &Slot| slot.is_known();
    let latent = |n: usize| {
        let frames = if n == 0 { 0..1 } else { 4 * n - 3..4 * n + 1 };
        let own = &slots[frames.clone()];
        let keep = match rule {
            MaskRule::Exact | MaskRule::Frames => own.iter().all(known),
            // Nearest-exact sampling along time: floor((n + 0.5) * frames / latents).
            MaskRule::Reference => known(&slots[(2 * n + 1) * slots.len() / (2 * count)]),
        };
        let mask = match rule {
            _ if keep => Mask::Keep,
            MaskRule::Frames if own.iter().any(known) => Mask::Partly,
            _ => Mask::Generate,
        };
        LatentSpan { frames, mask }
    };
    (0..count).map(latent).collect()
}

fn warnings(sources: &[Source], seams: &[Segment], goal: AlignedLengths, ask: &JoinParams) -> Vec<PlanWarning> {
    let mut warnings = vec![];
    for (seam, Segment { between, used, blend, slots, .. }) in seams.iter().enumerate() {
        for (side, end) in [End::End, End::Start].into_iter().enumerate() {
            let path = || sources[between[side]].path.clone();
            let context = used.context[side];
            if context < ask.context.min(goal.context[side]) {
                warnings.push(PlanWarning::ShortContext { path: path(), end, asked: ask.context, used: context });
            }
            let asked = match ask.blend {
                Blend::UpTo(blend) => blend.min(context),
                Blend::Exactly(blend) => blend,
            };
            if blend[side] < asked {
                warnings.push(PlanWarning::ShortBlend { path: path(), end, asked, used: blend[side] });
            }
        }
        if slots.len() > MANY_FRAMES {
            warnings.push(PlanWarning::ManyFrames { seam, frames: slots.len() });
        }
    }
    warnings
}
