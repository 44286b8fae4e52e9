//! What holds for ranges: over every range of every short clip, and pairs of ranges; then examples.
#![allow(clippy::single_range_in_vec_init, reason = "one range is meant, not its numbers")]

use std::{ops::Range, sync::LazyLock};

use serde_json::json;

use super::*;
use crate::pipeline::types::error::{ErrorCode, Reportable};

const ASK: RangeAsk = RangeAsk {
    ranges: vec![],
    context: 8,
    align: Align::Latent,
    mask_rule: MaskRule::Exact,
    blend: Blend::UpTo(0),
    needs: [false; 2],
};

fn plan_of(length: usize, ask: &RangeAsk) -> Result<FramePlan, PlanError> {
    let size = Size::new(832, 480);
    super::super::ranges(vec![source("clips/a.mp4", length)], Film { fps: fps("16"), size, made_size: size }, ask)
}

fn of(length: usize, ranges: &[Range<usize>], ask: &RangeAsk) -> FramePlan {
    plan_of(length, &RangeAsk { ranges: ranges.to_vec(), ..ask.clone() }).unwrap()
}

struct Case {
    length: usize,
    ask: RangeAsk,
    plan: FramePlan,
}

/// Every range of every clip of up to 26 frames and every pair of ranges up to 11, each with every context and alignment.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let spans = |length: usize| (0..length).flat_map(move |start| (start + 1..=length).map(move |end| start..end));
    let single = (2..26).flat_map(|length| spans(length).map(move |range| (length, vec![range])));
    let pairs = (3..12).flat_map(|length| {
        let pair = move |first: Range<usize>| spans(length).map(move |second| (length, vec![first.clone(), second]));
        spans(length).flat_map(pair).filter(|(_, ranges)| check_ranges(ranges).is_ok())
    });
    let rules = [
        (Align::Latent, MaskRule::Exact),
        (Align::Exact, MaskRule::Reference),
        (Align::Latent, MaskRule::Frames),
        (Align::Exact, MaskRule::Exact),
    ];
    let asked = single.chain(pairs).filter(|(length, ranges)| ranges[0] != (0..*length));
    let cases = asked.flat_map(|(length, ranges)| {
        let ask = move |context| {
            let ranges = ranges.clone();
            rules.into_iter().enumerate().map(move |(n, (align, mask_rule))| {
                let blend = [Blend::UpTo(4), Blend::UpTo(0), Blend::Exactly(1)][(n + context + length) % 3];
                (length, RangeAsk { ranges: ranges.clone(), context, align, mask_rule, blend, needs: [false; 2] })
            })
        };
        [1, 2, 3, 4, 8].into_iter().flat_map(ask)
    });
    cases.map(|(length, ask)| Case { plan: plan_of(length, &ask).unwrap(), length, ask }).collect()
});

fn for_every_plan(holds: impl Fn(&Case, &str)) {
    assert!(CASES.len() > 50_000, "{}", CASES.len());
    CASES.iter().for_each(|case| holds(case, &format!("{} frames, {:?}", case.length, case.ask)));
}

#[test]
fn the_film_is_the_clip_with_its_ranges_made_in_their_places() {
    for_every_plan(|Case { length, ask, plan }, what| {
        assert_eq!(plan.frames(), *length, "{what}");
        let mut at = 0;
        for piece in &plan.timeline {
            let frames = piece.frames();
            assert!(!frames.is_empty(), "{what}");
            match piece {
                TimelineItem::Copy { input, .. } | TimelineItem::Blend { input, .. } => {
                    assert_eq!((*input, frames.start), (0, at), "{what}");
                    assert!(ask.ranges.iter().all(|range| frames.end <= range.start || range.end <= at), "{what}");
                }
                TimelineItem::Made { seam, .. } => {
                    assert_eq!(
                        (at..at + frames.len(), &frames),
                        (ask.ranges[*seam].clone(), &plan.seams[*seam].made())
                    );
                }
                TimelineItem::Cross { .. } => unreachable!("no range has one"),
            }
            at += frames.len();
        }
    });
}

#[test]
fn every_range_is_shown_the_frames_beside_it_and_no_frame_that_is_made_again() {
    for_every_plan(|Case { length, ask, plan }, what| {
        assert_eq!(plan.seams.len(), ask.ranges.len(), "{what}");
        for (n, (seam, range)) in plan.seams.iter().zip(&ask.ranges).enumerate() {
            let made = seam.made();
            assert_eq!((seam.range.as_ref(), seam.used.gap, made.len()), (Some(range), range.len(), range.len()));
            assert!(seam.slots[made.clone()].iter().all(|slot| *slot == Slot::Fill), "{what}");
            let shown: Vec<isize> = (0..seam.slots.len())
                .filter(|at| !made.contains(at))
                .map(|at| match seam.slots[at].frame().unwrap() {
                    FrameRef { origin: Origin::Input(0), index } => index as isize,
                    frame => panic!("{frame:?} in {what}"),
                })
                .collect();
            // In order, in one piece but for the range, and what is out of reach as the last that is in reach.
            let from = if n == 0 { 0 } else { ask.ranges[n - 1].end } as isize;
            let to = ask.ranges.get(n + 1).map_or(*length, |next| next.start) as isize;
            let wanted = (0..seam.slots.len()).filter(|at| !made.contains(at)).map(|at| {
                let own = range.start as isize + at as isize - made.start as isize;
                own.clamp(from, to - 1)
            });
            assert!(wanted.eq(shown), "{what}: {:?}", seam.slots);
            let [left, right] = seam.used.context;
            assert!(left <= made.start && right <= seam.slots.len() - made.end, "{what}");
        }
    });
}

#[test]
fn contexts_are_as_asked_or_all_there_is_and_grow_by_at_most_three() {
    for_every_plan(|Case { length, ask, plan }, what| {
        for (n, (seam, range)) in plan.seams.iter().zip(&ask.ranges).enumerate() {
            let from = if n == 0 { 0 } else { ask.ranges[n - 1].end };
            let to = ask.ranges.get(n + 1).map_or(*length, |next| next.start);
            let has = [range.start - from, to - range.end];
            let right = if ask.align == Align::Latent && ask.mask_rule == MaskRule::Frames { 1 } else { ask.context };
            let least = [ask.context.min(has[0]), right.min(has[1])];
            let made = seam.made();
            let shown = [made.start, seam.slots.len() - made.end];
            let grown: usize = shown.iter().zip(least).map(|(shown, least)| shown.checked_sub(least).unwrap()).sum();
            assert!(grown <= 3 && seam.slots.len() % 4 == 1, "{what}");
            // A frame is repeated only where every frame that there is stands in the guide.
            let repeated = shown.iter().zip(seam.used.context).any(|(shown, context)| *shown > context);
            assert!(!repeated || seam.used.context == has, "{what}");
            assert!((0..2).all(|side| has[side] > 0 || shown[side] == 0), "{what}");
        }
    });
}

#[test]
fn no_latent_is_half_known_but_by_the_rule_of_frames() {
    for_every_plan(|Case { ask, plan, .. }, what| {
        for seam in &plan.seams {
            let known: Vec<bool> = seam.known().collect();
            for LatentSpan { frames, mask } in &seam.latents {
                let own = &seam.slots[frames.clone()];
                let count = known[frames.clone()].iter().filter(|known| **known).count();
                let hints = own.iter().any(|slot| matches!(slot, Slot::Hint(_)));
                if ask.align == Align::Exact || ask.mask_rule == MaskRule::Frames {
                    assert!(!hints, "{what}");
                    continue;
                }
                assert_eq!(count, if *mask == Mask::Keep { frames.len() } else { 0 }, "{what}");
                assert!(!hints || own.contains(&Slot::Fill), "{what}");
            }
        }
    });
}

#[test]
fn blends_lie_over_the_frames_beside_the_range_and_are_shared_between_two() {
    for_every_plan(|Case { ask, plan, .. }, what| {
        let (Blend::UpTo(most) | Blend::Exactly(most)) = ask.blend;
        let mut blended = 0;
        for piece in &plan.timeline {
            let TimelineItem::Blend { seam, frames, made, fade, .. } = piece else { continue };
            let seam = &plan.seams[*seam];
            let side = usize::from(*fade == Fade::MadeToClip);
            assert_eq!((frames.len(), made.len()), (seam.blend[side], seam.blend[side]), "{what}");
            for (slot, index) in made.clone().zip(frames.clone()) {
                assert_eq!(seam.slots[slot].frame().unwrap().index, index, "{what}");
                assert!(!matches!(seam.slots[slot], Slot::Repeat(_)), "{what}");
            }
            blended += frames.len();
        }
        assert_eq!(blended, plan.seams.iter().flat_map(|seam| seam.blend).sum::<usize>(), "{what}");
        for seam in &plan.seams {
            assert!((0..2).all(|side| seam.blend[side] <= most.min(seam.used.context[side])), "{what}");
        }
    });
}

#[test]
fn numbers_that_the_latents_like_are_those_of_a_join_that_replaces() {
    let seam = |gap: usize, ask: &RangeAsk| of(100, &[40..40 + gap], ask).seams[0].clone();
    let hints = |seam: &Segment| seam.slots.iter().filter(|slot| matches!(slot, Slot::Hint(_))).count();
    let numbers = |gap| {
        let seam = seam(gap, &ASK);
        (seam.used.context, hints(&seam), seam.slots.len())
    };
    assert_eq!(numbers(16), ([9, 8], 0, 33));
    assert_eq!(numbers(17), ([8, 8], 3, 33));
    assert_eq!(numbers(18), ([9, 10], 2, 37));
    assert_eq!(numbers(19), ([9, 9], 1, 37));
    let images = RangeAsk { context: 1, mask_rule: MaskRule::Frames, ..ASK };
    assert_eq!((seam(15, &images).used.context, seam(17, &images).used.context), ([1, 1], [1, 3]));
}

#[test]
fn at_an_end_of_the_clip_the_other_side_grows_and_what_it_lacks_is_repeated() {
    let slots = |length, range: Range<usize>| {
        serde_json::to_value(&of(length, &[range], &ASK).seams[0]).unwrap()["slots"].clone()
    };
    let keep = |start: usize, end: usize| json!({ "keep": { "input": 0, "frames": [start, end] } });
    let hint = |start: usize, end: usize| json!({ "hint": { "input": 0, "frames": [start, end] } });
    let repeat = |frame: usize, count: usize| json!({ "repeat": { "input": 0, "frame": frame, "count": count } });
    assert_eq!(slots(40, 0..6), json!([{ "fill": 6 }, hint(6, 9), keep(9, 17)]));
    assert_eq!(slots(40, 33..40), json!([keep(23, 32), hint(32, 33), { "fill": 7 }]));
    assert_eq!(slots(6, 2..6), json!([repeat(0, 3), keep(0, 2), { "fill": 4 }]));
    assert_eq!(slots(6, 0..4), json!([{ "fill": 4 }, hint(4, 5), keep(5, 6), repeat(5, 3)]));
}

#[test]
fn plan_json_says_the_range() {
    let plan = of(40, &[12..20], &ASK);
    let said = serde_json::to_value(&plan).unwrap();
    let seam = &said["seams"][0];
    assert_eq!(
        (&seam["between"], &seam["range"], &seam["mode"]),
        (&json!([0, 0]), &json!([12, 20]), &json!("replace"))
    );
    assert_eq!(seam["used"], json!({ "context": [9, 8], "gap": 8 }));
    assert_eq!(
        said["timeline"],
        json!([
            { "copy": { "input": 0, "frames": [0, 12] } },
            { "made": { "seam": 0, "frames": [9, 17] } },
            { "copy": { "input": 0, "frames": [20, 40] } },
        ])
    );
}

#[test]
fn what_a_range_lacks_is_told() {
    let ask = RangeAsk { blend: Blend::Exactly(4), ..ASK };
    let warnings = |length, ranges: &[Range<usize>]| {
        of(length, ranges, &ask).warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(warnings(100, &[40..50]), [""; 0]);
    assert_eq!(
        warnings(60, &[0..6, 9..20]),
        [
            "0..6 of a.mp4 has 0 frames of context before it instead of 8",
            "0..6 of a.mp4 blends 0 frames before it instead of 4",
            "0..6 of a.mp4 has 3 frames of context after it instead of 8",
            "0..6 of a.mp4 blends 1 frame after it instead of 4",
            "9..20 of a.mp4 has 3 frames of context before it instead of 8",
            "9..20 of a.mp4 blends 2 frames before it instead of 4",
        ]
    );
    let many = of(200, &[50..130], &ASK).warnings;
    assert_eq!(many, [PlanWarning::ManyFrames { seam: 0, frames: 97 }]);
}

#[test]
fn ranges_that_cannot_be_made_are_refused_with_what_to_do() {
    let refused = |length, ranges: &[Range<usize>], ask: &RangeAsk| {
        let error = plan_of(length, &RangeAsk { ranges: ranges.to_vec(), ..ask.clone() }).unwrap_err();
        assert!(error.details().help.is_some() && error.details().wanted.is_some());
        (error.code(), error.to_string())
    };
    let open = RangeAsk { needs: [true; 2], ..ASK };
    let one = |range: Range<usize>| vec![range];
    for (ranges, ask, code, words) in [
        (one(30..41), &ASK, ErrorCode::Input, "a.mp4 has 40 frames, and 30..41 of it were to be made again"),
        (one(0..40), &ASK, ErrorCode::Input, "0..40 is all of a.mp4: nothing would be left to go by"),
        (one(0..4), &open, ErrorCode::Input, "0..4 of a.mp4 has no frame before it, and the engine needs one there"),
        (one(36..40), &open, ErrorCode::Input, "36..40 of a.mp4 has no frame after it, and the engine needs one there"),
        (vec![3..9, 9..12], &ASK, ErrorCode::Usage, "the ranges 3..9 and 9..12 touch"),
        (vec![3..9, 5..12], &ASK, ErrorCode::Usage, "the ranges 3..9 and 5..12 overlap"),
        (vec![13..19, 5..12], &ASK, ErrorCode::Usage, "the ranges 13..19 and 5..12 are not in order"),
        (
            one(3..9),
            &RangeAsk { context: 0, ..ASK },
            ErrorCode::Usage,
            "a context of 0 shows the model nothing of the clips",
        ),
        (
            one(3..9),
            &RangeAsk { blend: Blend::Exactly(9), ..ASK },
            ErrorCode::Usage,
            "a blend of 9 is longer than the context of 8",
        ),
    ] {
        assert_eq!(refused(40, &ranges, ask), (code, words.to_owned()));
    }
    let long = refused(400, &[50..170], &ASK);
    let words = "50..170 with its contexts is 137 frames, more than the 129 that the model can be shown";
    assert_eq!(long, (ErrorCode::Usage, words.to_owned()));
    assert_eq!(refused(400, &[0..4], &RangeAsk { context: usize::MAX, ..ASK }).0, ErrorCode::Usage);
    let size = Size::new(832, 480);
    let film = Film { fps: fps("16"), size, made_size: size };
    let two = super::super::ranges(vec![source("a.mp4", 9), source("b.mp4", 9)], film, &ASK).unwrap_err();
    assert_eq!((two.code(), two.to_string()), (ErrorCode::Usage, "a range is of one clip, got 2".into()));
}
