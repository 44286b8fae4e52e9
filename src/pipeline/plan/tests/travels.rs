//! Journeys of every small shape, and those whose numbers are known.

use std::collections::HashSet;

use super::*;
use crate::pipeline::plan::{Continued, Curve, Lengths, Places, Round, SegmentAsk, TravelParams, travel};

const PLAIN: TravelParams = TravelParams::PLAIN;

/// As a task has it.
fn worker() -> TravelParams {
    TravelParams {
        lengths: Lengths::Unrounded,
        align: Align::Exact,
        mask_rule: MaskRule::Reference,
        curve: Curve::Sharpened(0.3),
        ..PLAIN
    }
}

fn film() -> Film {
    let size = Size::new(832, 480);
    Film { fps: fps("16"), size, made_size: size }
}

fn places(images: usize, continued: Option<usize>) -> Places {
    let image = |n| Source { still: true, ..source(&format!("{n}.png"), 1) };
    Places {
        images: (0..images).map(image).collect(),
        continued: continued.map(|frames| Continued { clip: source("before.mp4", frames), in_film: true }),
        structure: vec![],
        references: vec![],
    }
}

fn journey(segments: usize, frames: usize, overlap: usize, ask: TravelParams) -> TravelParams {
    TravelParams { segments: vec![SegmentAsk { frames, overlap }; segments], ..ask }
}

fn keys(plan: &FramePlan) -> Vec<usize> {
    plan.journey.iter().flat_map(|journey| &journey.keys).map(|key| key.frame).collect()
}

struct Case {
    images: usize,
    continued: Option<usize>,
    ask: TravelParams,
    plan: FramePlan,
}

/// Every plan of few images with short segments, both ways of counting.
fn for_every_plan(mut check: impl FnMut(&Case, &str)) {
    let mut seen = 0;
    for (images, continued, looped) in [(1, None, false), (2, None, false), (3, None, false), (4, None, false)]
        .into_iter()
        .chain([(1, Some(30), false), (3, Some(20), false), (3, None, true), (2, None, true)])
    {
        let segments = if looped || continued.is_some() { images } else { (images - 1).max(1) };
        for (frames, overlap) in (5..30).flat_map(|frames| (0..13).map(move |overlap| (frames, overlap))) {
            for (ask, fill_latents) in [(PLAIN, false), (PLAIN, true), (worker(), false)] {
                for round in [Round::Down, Round::Up, Round::Nearest] {
                    let ask =
                        TravelParams { looped, fill_latents, round, ..journey(segments, frames, overlap, ask.clone()) };
                    let what = format!("{images} images, {continued:?}, loop {looped}, {frames}/{overlap}, {ask:?}");
                    let Ok(plan) = travel(places(images, continued), film(), &ask) else { continue };
                    seen += 1;
                    check(&Case { images, continued, ask, plan }, &what);
                }
            }
        }
    }
    assert!(seen > 3000, "only {seen} journeys could be planned");
}

/// Where every frame of the film comes from; of a crossing, the second.
fn film_frames(plan: &FramePlan) -> Vec<FrameRef> {
    let refs = plan.timeline.iter().flat_map(|piece| {
        let (origin, frames) = match piece {
            TimelineItem::Copy { input, frames } => (Origin::Input(*input), frames.clone()),
            TimelineItem::Made { seam, frames } => (Origin::Gap(*seam), frames.clone()),
            TimelineItem::Cross { to, .. } => (to.origin, to.frames.clone()),
            TimelineItem::Blend { .. } => unreachable!("no journey has one"),
        };
        frames.map(move |index| FrameRef { origin, index })
    });
    refs.collect()
}

#[test]
fn every_guide_has_4n_plus_1_frames_that_the_model_can_be_shown() {
    for_every_plan(|Case { plan, .. }, what| {
        for seam in &plan.seams {
            assert_eq!(seam.slots.len() % 4, 1, "{what}");
            assert!(seam.slots.len() <= 129 && seam.used.gap >= 1, "{what}");
            let [before, after] = seam.used.context;
            assert_eq!(before + seam.used.gap + after, seam.slots.len(), "{what}");
            assert_eq!(seam.made(), before..before + seam.used.gap, "{what}");
            assert!(seam.slots[..before].iter().all(|slot| slot.is_known()), "{what}");
        }
    });
}

#[test]
fn the_film_shows_every_image_at_its_key_frame() {
    for_every_plan(|Case { images, continued, ask, plan }, what| {
        let frames = film_frames(plan);
        assert_eq!(frames.len(), plan.frames(), "{what}");
        let keys = &plan.journey.as_ref().unwrap().keys;
        let shown: HashSet<usize> = keys.iter().map(|key| key.input).collect();
        let first = usize::from(continued.is_some());
        assert_eq!(shown, (first..first + images).collect(), "{what}");
        assert!(keys.is_sorted_by_key(|key| key.frame), "{what}");
        for key in keys {
            let FrameRef { origin: Origin::Gap(seam), index } = frames[key.frame] else { panic!("{what}") };
            // An overlap of the worker's is carried over from a segment that ends with the image.
            let slot = plan.seams[seam].slots[index];
            let carried = ask.lengths == Lengths::Unrounded && matches!(slot, Slot::Carry(_));
            let image = FrameRef { origin: Origin::Input(key.input), index: 0 };
            assert!(carried || slot == Slot::Keep(image), "{what}: {key:?} is {slot:?}");
        }
    });
}

#[test]
fn every_made_frame_is_shown_once_and_in_order() {
    for_every_plan(|Case { plan, .. }, what| {
        let frames = film_frames(plan);
        let mut last = None;
        for frame in frames {
            let place = match frame.origin {
                Origin::Input(_) => (0, frame.index),
                Origin::Gap(seam) => (seam + 1, frame.index),
            };
            assert!(last < Some(place), "{what}");
            last = Some(place);
        }
        let made = |seam: usize| {
            let of_seam = plan.timeline.iter().filter_map(move |piece| match piece {
                TimelineItem::Made { seam: made, frames } if *made == seam => Some(frames.clone()),
                TimelineItem::Cross { to, .. } if to.origin == Origin::Gap(seam) => Some(to.frames.clone()),
                TimelineItem::Cross { from, .. } if from.origin == Origin::Gap(seam) => Some(from.frames.clone()),
                _ => None,
            });
            of_seam.flatten().collect::<HashSet<_>>()
        };
        for (number, seam) in plan.seams.iter().enumerate() {
            let shown = made(number);
            assert!(seam.made().all(|index| shown.contains(&index)), "{what}");
        }
    });
}

#[test]
fn what_is_carried_over_stands_before_the_segment_in_the_film() {
    for_every_plan(|Case { plan, ask, .. }, what| {
        for (number, seam) in plan.seams.iter().enumerate() {
            let carried: Vec<FrameRef> = seam
                .slots
                .iter()
                .filter_map(|slot| match slot {
                    Slot::Carry(frame) => Some(*frame),
                    _ => None,
                })
                .collect();
            assert!(carried.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "{what}");
            let Some(last) = carried.last() else { continue };
            let before = match last.origin {
                Origin::Gap(before) => {
                    assert_eq!(before + 1, number, "{what}");
                    plan.seams[before].slots.len()
                }
                Origin::Input(clip) => plan.inputs[clip].length(),
            };
            // The image itself stands in the place of the frame that shows it.
            let image = ask.lengths == Lengths::Rounded && matches!(last.origin, Origin::Gap(_));
            assert_eq!(last.index + 1 + usize::from(image), before, "{what}");
        }
    });
}

#[test]
fn crossings_show_the_same_moment_twice() {
    for_every_plan(|Case { plan, .. }, what| {
        for piece in &plan.timeline {
            let TimelineItem::Cross { from, to, .. } = piece else { continue };
            assert_eq!(from.frames.len(), to.frames.len(), "{what}");
            let Origin::Gap(after) = to.origin else { panic!("{what}") };
            for (before, index) in from.frames.clone().zip(to.frames.clone()) {
                let shown = plan.seams[after].slots[index].frame().expect("an overlap is shown");
                let same = shown == FrameRef { origin: from.origin, index: before };
                let image =
                    matches!(from.origin, Origin::Gap(seam) if plan.seams[seam].slots[before].frame() == Some(shown));
                assert!(same || image, "{what}");
            }
        }
    });
}

#[test]
fn shared_images_make_n_times_f_minus_1_plus_1_frames_whatever_the_overlap() {
    for_every_plan(|Case { continued, ask, plan, .. }, what| {
        if ask.lengths == Lengths::Unrounded {
            return;
        }
        let own = ask.round.to_4n1(ask.segments[0].frames);
        let made = ask.segments.len() * (own - 1);
        let wanted = match (continued, ask.looped) {
            (Some(before), _) => before + made,
            (None, true) => made,
            (None, false) => made + 1,
        };
        assert_eq!(plan.frames(), wanted, "{what}");
        let first = continued.map_or(0, |before| before - 1);
        assert!(keys(plan).iter().all(|key| (key - first) % (own - 1) == 0), "{what}");
    });
}

#[test]
fn no_latent_is_half_known_where_overlaps_and_ends_fill_theirs() {
    for_every_plan(|Case { ask, plan, .. }, what| {
        if !ask.fill_latents {
            return;
        }
        for seam in &plan.seams {
            for latent in &seam.latents {
                let known = seam.slots[latent.frames.clone()].iter().filter(|slot| slot.is_known()).count();
                assert!(known == 0 || known == latent.frames.len(), "{what}");
            }
        }
    });
}

#[test]
fn the_workers_films_have_the_workers_length() {
    for (overlap, sent, frames, wanted) in [
        (10, [81, 89, 89, 89, 89], 397, [0, 80, 159, 238, 317, 396]),
        (8, [81, 89, 89, 89, 89], 405, [0, 80, 161, 242, 323, 404]),
        (0, [81; 5], 405, [0, 80, 161, 242, 323, 404]),
    ] {
        let plan = travel(places(6, None), film(), &journey(5, 81, overlap, worker())).unwrap();
        assert_eq!(plan.seams.iter().map(|seam| seam.slots.len()).collect::<Vec<_>>(), sent, "{overlap}");
        assert_eq!((plan.frames(), keys(&plan)), (frames, wanted.to_vec()), "{overlap}");
    }
}

#[test]
fn a_journey_of_the_contract_is_planned_to_the_letter() {
    let plan = travel(places(14, None), film(), &journey(13, 81, 0, PLAIN)).unwrap();
    assert_eq!(plan.frames(), 13 * 80 + 1);
    assert_eq!(keys(&plan), (0..14).map(|n| n * 80).collect::<Vec<_>>());
    assert_eq!(plan.dependency_chains(), (0..13).map(|n| vec![n]).collect::<Vec<_>>());
    let chained = travel(places(4, None), film(), &journey(3, 81, 8, PLAIN)).unwrap();
    assert_eq!(chained.dependency_chains(), [vec![0, 1, 2]]);
    assert_eq!((chained.seams[1].slots.len(), chained.seams[1].used.context), (89, [9, 1]));
}

#[test]
fn a_length_that_is_not_4n_plus_1_goes_where_it_is_told_and_says_so() {
    for (asked, down, up, nearest) in
        [(80, 77, 81, 81), (81, 81, 81, 81), (82, 81, 85, 81), (83, 81, 85, 81), (84, 81, 85, 85)]
    {
        for (round, wanted) in [(Round::Down, down), (Round::Up, up), (Round::Nearest, nearest)] {
            assert_eq!(round.to_4n1(asked), wanted, "{asked} {round}");
            let plan = travel(places(2, None), film(), &TravelParams { round, ..journey(1, asked, 0, PLAIN) }).unwrap();
            assert_eq!(plan.frames(), wanted);
            let said = plan.warnings.iter().any(|warning| warning.code() == "rounded");
            assert_eq!(said, wanted != asked, "{asked} {round}");
        }
    }
}

#[test]
fn a_structure_clip_stands_at_its_own_place_in_the_film() {
    use crate::pipeline::plan::StructureAsk;
    let mut there = places(3, None);
    there.structure = vec![source("dance.mp4", 30)];
    let structure = vec![StructureAsk { clip: 0, film: 5..25, frames: 0..30, spread: false }];
    let plan = travel(there, film(), &TravelParams { structure, ..journey(2, 17, 4, PLAIN) }).unwrap();
    for (seam, start) in plan.seams.iter().zip([0, 12]) {
        for (index, slot) in seam.slots.iter().enumerate() {
            let at = start + index;
            if let Slot::Structure(FrameRef { origin, index }) = slot {
                assert_eq!((*origin, *index), (Origin::Input(3), at - 5));
            } else if !slot.is_known() {
                assert!(!(5..25).contains(&at), "{at}");
            }
        }
    }
}

#[test]
fn a_journey_that_cannot_be_says_why() {
    let said = |images, ask: TravelParams| travel(places(images, None), film(), &ask).unwrap_err().to_string();
    assert_eq!(said(0, journey(1, 81, 0, PLAIN)), "a travel needs an image");
    assert_eq!(
        said(3, journey(2, 81, 6, PLAIN)),
        "an overlap of 6 frames is no multiple of 4, and four frames share a latent"
    );
    assert_eq!(
        said(3, journey(2, 17, 20, PLAIN)),
        "segment 2 cannot show 20 frames of what went before: 12 are the most"
    );
    assert_eq!(
        said(2, journey(1, 4, 0, PLAIN)),
        "segment 1 is too short: of 4 frames nothing would be left to make, and 5 are the least"
    );
    assert_eq!(
        said(2, journey(1, 200, 0, PLAIN)),
        "segment 1 with its overlap is 197 frames, more than the 129 that the model can be shown"
    );
    assert_eq!(
        said(2, journey(3, 17, 0, PLAIN)),
        "segment 3 has no image to start from, and nothing is carried over to it"
    );
    let empty = travel(places(2, Some(0)), film(), &journey(2, 17, 0, PLAIN)).unwrap_err();
    assert_eq!(empty.to_string(), "before.mp4 has no frames");
}

#[test]
fn the_least_length_that_is_named_is_taken_and_one_frame_less_is_not() {
    for fill_latents in [false, true] {
        for round in [Round::Down, Round::Up, Round::Nearest] {
            for overlap in [0, 4] {
                let ask = |frames| journey(2, frames, overlap, TravelParams { fill_latents, round, ..PLAIN });
                let plan = |frames| travel(places(3, None), film(), &ask(frames));
                let short = |frames| matches!(plan(frames), Err(PlanError::SegmentTooShort { .. }));
                for frames in (0..9).filter(|frames| short(*frames)) {
                    let Err(PlanError::SegmentTooShort { least, .. }) = plan(frames) else { unreachable!() };
                    assert!(least > frames && !short(least) && short(least - 1), "{frames}: {least} with {round:?}");
                }
            }
        }
    }
}

#[test]
fn a_segment_that_goes_to_no_image_needs_an_engine_that_makes_up_what_follows() {
    for (images, segments) in [(1, 1), (2, 2)] {
        let ask =
            |open_ends| journey(segments, 9, if segments > 1 { 4 } else { 0 }, TravelParams { open_ends, ..PLAIN });
        travel(places(images, None), film(), &ask(true)).unwrap();
        let error = travel(places(images, None), film(), &ask(false)).unwrap_err();
        assert!(matches!(error, PlanError::SegmentOpen { segment, .. } if segment + 1 == segments), "{error}");
    }
}
