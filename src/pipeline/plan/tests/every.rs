//! What holds for every join, checked over all small ones.

use std::{fmt, ops::Range, sync::LazyLock};

use super::*;

pub(super) struct Case {
    pub(super) lengths: Vec<usize>,
    pub(super) ask: JoinParams,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.lengths, self.ask)
    }
}

/// Joins of one to four short clips; blends, anchors and mask rules take turns.
pub(super) fn cases() -> impl Iterator<Item = Case> {
    let chains = [(1..22).collect(), vec![1, 2, 3, 5, 6, 9, 13, 20], vec![1, 2, 4, 7, 12], vec![1, 3, 8]];
    let chains = chains.into_iter().zip(1..).flat_map(|(lengths, clips)| tuples(&lengths, clips));
    let asks = [1, 2, 3, 4, 8].into_iter().flat_map(|context| {
        [1, 2, 3, 4, 6, 7, 12, 15].into_iter().flat_map(move |gap| {
            let images = JoinParams { mode: [Mode::Insert, Mode::Replace][gap % 2], ..IMAGES };
            [EXACT, DEFAULTS, REPLACE, JoinParams { mode: Mode::Replace, ..DEFAULTS }, images]
                .map(|ask| JoinParams { context, gap, ..ask })
                .into_iter()
                .flat_map(|ask| [false, true].map(|looped| JoinParams { looped, ..ask }))
        })
    });
    let asks: Vec<_> = asks.collect();
    chains.flat_map(move |lengths| asks.clone().into_iter().map(move |ask| (lengths.clone(), ask))).enumerate().map(
        |(n, (lengths, ask))| {
            let blend = [Blend::UpTo(4), Blend::UpTo(0), Blend::Exactly(1)][n / 3 % 3];
            Case { lengths, ask: JoinParams { blend, anchors: n % 5 == 0, ..ask } }
        },
    )
}

static PLANS: LazyLock<Vec<(Case, FramePlan)>> =
    LazyLock::new(|| cases().filter_map(|case| plan(&case.lengths, case.ask).ok().map(|plan| (case, plan))).collect());

/// Calls `holds` with every plan there is.
fn for_every_plan(holds: impl Fn(&Case, &FramePlan)) {
    assert!(PLANS.len() > 50_000, "{}", PLANS.len());
    PLANS.iter().for_each(|(case, plan)| holds(case, plan));
}

/// The frames that the film takes of a clip, in the film's order.
fn frames_used(plan: &FramePlan, clip: usize) -> Vec<usize> {
    let of_clip = |piece: &TimelineItem| match piece {
        TimelineItem::Copy { input, frames } | TimelineItem::Blend { input, frames, .. } if *input == clip => {
            Some(frames.clone())
        }
        _ => None,
    };
    plan.timeline.iter().filter_map(of_clip).flatten().collect()
}

fn survivors(case: &Case, plan: &FramePlan, clip: usize) -> Range<usize> {
    let removed = |side: usize| {
        plan.seams.iter().filter(|seam| seam.between[side] == clip).map(|seam| seam.removed[side]).sum::<usize>()
    };
    removed(1)..case.lengths[clip] - removed(0)
}

#[test]
fn every_made_frame_is_used_exactly_once_and_in_order() {
    for_every_plan(|case, plan| {
        for (n, seam) in plan.seams.iter().enumerate() {
            let of_seam = |piece: &TimelineItem| match piece {
                TimelineItem::Made { seam, frames } if *seam == n => Some(frames.clone()),
                _ => None,
            };
            let used: Vec<usize> = plan.timeline.iter().filter_map(of_seam).flatten().collect();
            assert!(used.into_iter().eq(seam.made()), "{case}");
            let shown_of_clips = |slot: &Slot| matches!(slot, Slot::Keep(_) | Slot::Repeat(_));
            assert!(seam.slots[seam.made()].iter().all(|slot| !shown_of_clips(slot)), "{case}");
            assert_eq!(seam.slots.iter().filter(|slot| !shown_of_clips(slot)).count(), seam.used.gap, "{case}");
        }
    });
}

#[test]
fn every_surviving_frame_is_used_exactly_once_and_in_order() {
    for_every_plan(|case, plan| {
        for clip in 0..case.lengths.len() {
            let survivors = survivors(case, plan, clip);
            assert!(!survivors.is_empty(), "{case}");
            assert!(frames_used(plan, clip).into_iter().eq(survivors), "{case}");
        }
    });
}

#[test]
fn the_film_goes_from_clip_to_seam_to_clip() {
    for_every_plan(|case, plan| {
        assert!(plan.timeline.iter().all(|piece| !piece.frames().is_empty()), "{case}");
        let place = |piece: &TimelineItem| match piece {
            TimelineItem::Copy { input, .. } | TimelineItem::Blend { input, .. } => 2 * input,
            TimelineItem::Made { seam, .. } => 2 * seam + 1,
            TimelineItem::Cross { .. } => unreachable!("no join has one"),
        };
        assert!(plan.timeline.is_sorted_by_key(place), "{case}");
    });
}

#[test]
fn replacing_keeps_the_length_and_inserting_adds_what_was_made() {
    for_every_plan(|case, plan| {
        let made: usize = plan.seams.iter().map(|seam| seam.used.gap).sum();
        let before: usize = case.lengths.iter().sum();
        assert_eq!(plan.frames(), before + if case.ask.mode == Mode::Insert { made } else { 0 }, "{case}");
        for Segment { removed, used, .. } in &plan.seams {
            assert_eq!(
                removed.iter().sum::<usize>(),
                if case.ask.mode == Mode::Insert { 0 } else { used.gap },
                "{case}"
            );
        }
    });
}

/// One index space, contexts of at least one frame, all of them of the film, and 4n+1 everywhere.
#[test]
fn contexts_are_the_surviving_frames_beside_the_gap() {
    for_every_plan(|case, plan| {
        for Segment { between: [left, right], used, slots, .. } in &plan.seams {
            assert_eq!(slots.len() % 4, 1, "{case}");
            let kept = |slots: &[Slot], clip| -> Vec<usize> {
                let index = |slot: &Slot| match slot {
                    Slot::Keep(FrameRef { origin: Origin::Input(input), index }) if *input == clip => *index,
                    _ => panic!("{slot:?} in {case}"),
                };
                slots.iter().map(index).collect()
            };
            let (end, start) = (survivors(case, plan, *left).end, survivors(case, plan, *right).start);
            let [before, after] = used.context;
            assert!(before > 0 && after > 0, "{case}");
            let gap_end = before + used.gap;
            assert!(kept(&slots[..before], *left).into_iter().eq(end - before..end), "{case}");
            assert!(kept(&slots[gap_end..gap_end + after], *right).into_iter().eq(start..start + after), "{case}");
            assert!(end - before >= survivors(case, plan, *left).start, "{case}");
            assert!(start + after <= survivors(case, plan, *right).end, "{case}");

            let last = Slot::Repeat(FrameRef { origin: Origin::Input(*right), index: start + after - 1 });
            assert!(slots[gap_end + after..].iter().all(|slot| *slot == last), "{case}");
            assert!(slots.len() == gap_end + after || case.ask.align == Align::Latent && after < 4, "{case}");
        }
    });
}

#[test]
fn gaps_and_contexts_are_as_near_to_what_was_asked_as_the_alignment_says() {
    for_every_plan(|case, plan| {
        let JoinParams { context, gap, align, mask_rule, .. } = case.ask;
        for Segment { used, .. } in &plan.seams {
            match align {
                Align::Exact => {
                    assert!((gap.saturating_sub(3)..=gap).contains(&used.gap), "{case}");
                    assert!(used.context.iter().all(|used| *used <= context), "{case}");
                }
                Align::Latent if mask_rule == MaskRule::Frames => {
                    assert!(used.gap % 4 == 3 && used.gap <= gap.max(3) + 1 && used.gap + 4 > gap, "{case}");
                    assert!(used.context[0] <= context.max(2) + 2 && used.context[1] == 1, "{case}");
                }
                Align::Latent => {
                    assert!(used.gap % 4 == 0 && used.gap <= gap.max(4) + 1 && used.gap + 4 > gap, "{case}");
                    assert!(used.context.iter().all(|used| *used <= context.max(2) + 2), "{case}");
                }
            }
        }
    });
}

/// The worker marked latents as known that hold frames to generate: the end of its gap stayed grey.
#[test]
fn no_latent_is_half_known_under_latent_alignment_but_that_of_an_end_image() {
    for_every_plan(|case, plan| {
        for seam in &plan.seams {
            let known: Vec<bool> = seam.known().collect();
            let mut next = 0;
            for LatentSpan { frames, mask } in &seam.latents {
                assert_eq!(frames.start, next, "{case}");
                next = frames.end;
                let shown = known[frames.clone()].iter().filter(|known| **known).count();
                match (mask, case.ask.mask_rule) {
                    (Mask::Partly, MaskRule::Frames) => assert!(shown == 1 && next == known.len(), "{case}"),
                    _ if case.ask.align == Align::Exact => {}
                    _ => assert_eq!(shown, if *mask == Mask::Keep { frames.len() } else { 0 }, "{case}"),
                }
            }
            assert_eq!(next, known.len(), "{case}");
        }
    });
}

#[test]
fn blends_lie_within_the_contexts_of_their_sides() {
    for_every_plan(|case, plan| {
        let wanted = match case.ask.blend {
            Blend::UpTo(blend) | Blend::Exactly(blend) => blend,
        };
        for (n, seam) in plan.seams.iter().enumerate() {
            assert!(
                seam.blend.iter().zip(seam.used.context).all(|(&blend, context)| blend <= context.min(wanted)),
                "{case}"
            );
            for piece in &plan.timeline {
                let TimelineItem::Blend { seam: of, input, frames, made, fade } = piece else { continue };
                if *of != n {
                    continue;
                }
                let side = usize::from(*fade == Fade::MadeToClip);
                assert_eq!((made.len(), seam.between[side]), (frames.len(), *input), "{case}");
                assert_eq!(frames.len(), seam.blend[side], "{case}");
                for (made, index) in made.clone().zip(frames.clone()) {
                    assert_eq!(
                        seam.slots[made],
                        Slot::Keep(FrameRef { origin: Origin::Input(*input), index }),
                        "{case}"
                    );
                }
            }
        }
        let blended = |piece: &&TimelineItem| matches!(piece, TimelineItem::Blend { .. });
        let pieces: usize = plan.timeline.iter().filter(blended).map(|piece| piece.frames().len()).sum();
        assert_eq!(pieces, plan.seams.iter().flat_map(|seam| seam.blend).sum::<usize>(), "{case}");
    });
}

#[test]
fn anchors_pin_the_thirds_of_the_gap_with_its_neighbours() {
    for_every_plan(|case, plan| {
        for Segment { between: [left, right], used, slots, .. } in &plan.seams {
            let width = if case.ask.align == Align::Latent { 4 } else { 1 };
            let anchors: Vec<_> = slots.iter().filter(|slot| matches!(slot, Slot::Anchor(_))).collect();
            assert_eq!(anchors.len(), if case.ask.anchors { 2 * width } else { 0 }, "{case}");
            if case.ask.anchors {
                let [before, _] = used.context;
                let at = |clip: &usize, index| Slot::Anchor(FrameRef { origin: Origin::Input(*clip), index });
                let (end, start) = (survivors(case, plan, *left).end, survivors(case, plan, *right).start);
                assert_eq!(slots[before + used.gap / 3], at(left, end - 1), "{case}");
                assert_eq!(slots[before + 2 * used.gap / 3], at(right, start), "{case}");
            }
        }
    });
}
