//! The numbers, the words and the JSON that the reference promises.

use serde_json::json;

use super::*;
use crate::pipeline::types::error::{ErrorCode, Reportable};

/// The defaults and the shortest clips that they allow, worked out by hand.
#[test]
fn the_numbers_of_the_contract_hold() {
    let ask = |context, gap, ask| JoinParams { context, gap, ..ask };
    for (lengths, ask, context, gap, removed, shown) in [
        ([100, 120], EXACT, [8, 8], 53, [0, 0], 69),
        ([100, 120], REPLACE, [8, 8], 53, [26, 27], 69),
        ([100, 100], ask(8, 19, REPLACE), [8, 8], 17, [8, 9], 33),
        ([28, 200], REPLACE, [3, 8], 50, [25, 25], 61),
        ([20, 100], REPLACE, [1, 8], 52, [19, 33], 61),
        ([100, 100], ask(10, 33, EXACT), [10, 10], 33, [0, 0], 53),
        ([100, 100], ask(12, 19, REPLACE), [12, 12], 17, [8, 9], 41),
        ([100, 100], ask(15, 19, REPLACE), [15, 15], 19, [9, 10], 49),
        ([100, 100], ask(8, 24, REPLACE), [8, 8], 21, [10, 11], 37),
        ([100, 100], ask(8, 30, REPLACE), [8, 8], 29, [14, 15], 45),
        ([100, 100], DEFAULTS, [9, 8], 52, [0, 0], 69),
        ([100, 100], JoinParams { mode: Mode::Replace, gap: 16, ..DEFAULTS }, [9, 8], 16, [8, 8], 33),
        ([4, 3], DEFAULTS, [1, 3], 52, [0, 0], 57),
        ([100, 100], ask(1, 53, IMAGES), [1, 1], 51, [0, 0], 53),
        ([100, 100], ask(8, 11, IMAGES), [9, 1], 11, [0, 0], 21),
        ([100, 100], JoinParams { mode: Mode::Replace, context: 1, gap: 16, ..IMAGES }, [1, 1], 15, [7, 8], 17),
        ([4, 1], ask(1, 1, IMAGES), [1, 1], 3, [0, 0], 5),
    ] {
        assert_eq!(numbers(&plan(&lengths, ask).unwrap()), (context, gap, removed, shown), "{lengths:?} {ask:?}");
    }
    let replaced = plan(&[100, 120], REPLACE).unwrap();
    let kept = |slot: usize| replaced.seams[0].slots[slot].frame().unwrap().index;
    assert_eq!((kept(0), kept(7), kept(61), kept(68), replaced.frames()), (66, 73, 27, 34, 220));
}

/// As diffusers has it (`WanVACEPipeline.prepare_masks`): the mask is sampled along time, nearest.
#[test]
fn the_reference_keeps_a_latent_for_the_one_frame_it_picks() {
    for (gap, first, last) in [(53, [1, 5, 9, 13], [55, 59, 63, 67]), (17, [1, 5, 9, 12], [20, 23, 27, 31])] {
        let seam = &plan(&[100, 100], JoinParams { gap, ..EXACT }).unwrap().seams[0];
        let picks = |slot: usize| {
            let mut slots = vec![Slot::Fill; seam.slots.len()];
            slots[slot] = seam.slots[0];
            join::latents(&slots, MaskRule::Reference).iter().position(|latent| latent.mask == Mask::Keep)
        };
        let latents = seam.latents.len();
        assert_eq!(first.map(picks), [0, 1, 2, 3].map(Some));
        assert_eq!(last.map(picks), [4, 3, 2, 1].map(|back| Some(latents - back)));
    }
}

/// The worker's mask: seed 1 kept two grey frames at the end of its gap.
#[test]
fn only_the_reference_rule_keeps_a_latent_with_grey_frames() {
    let kept = |mask_rule| {
        let seam = &plan(&[100, 100], JoinParams { context: 10, gap: 33, mask_rule, ..EXACT }).unwrap().seams[0];
        let kept = seam.latents.iter().filter(|latent| latent.mask == Mask::Keep && latent.frames.end > 10);
        kept.map(|latent| latent.frames.start).collect::<Vec<_>>()
    };
    assert_eq!(kept(MaskRule::Reference), [41, 45, 49]);
    assert_eq!(kept(MaskRule::Exact), [45, 49]);
}

#[test]
fn a_short_clip_between_two_seams_gives_to_both_alike() {
    for clip in 2..24 {
        let ask = JoinParams { gap: 24, mode: Mode::Replace, ..DEFAULTS };
        let seams = plan(&[100, clip, 100], ask).unwrap().seams;
        assert_eq!(seams[0].removed[1] + seams[1].removed[0], clip - 1);
        assert!(seams[0].removed[1].abs_diff(seams[1].removed[0]) <= 1, "{clip}");
    }
}

#[test]
fn a_loop_of_one_clip_ends_with_the_gap_and_begins_with_its_blend() {
    let ask = JoinParams { gap: 16, blend: Blend::UpTo(4), looped: true, mode: Mode::Replace, ..DEFAULTS };
    let plan = plan(&[40], ask).unwrap();
    assert_eq!(plan.seams[0].between, [0, 0]);
    assert_eq!(
        plan.timeline,
        [
            TimelineItem::Blend { seam: 0, input: 0, frames: 8..12, made: 25..29, fade: Fade::MadeToClip },
            TimelineItem::Copy { input: 0, frames: 12..28 },
            TimelineItem::Blend { seam: 0, input: 0, frames: 28..32, made: 5..9, fade: Fade::ClipToMade },
            TimelineItem::Made { seam: 0, frames: 9..25 },
        ]
    );
}

#[test]
fn a_short_clip_warns_of_its_contexts_and_shares_itself_among_its_blends() {
    let plan = plan(&[100, 5, 100], JoinParams { blend: Blend::UpTo(4), ..EXACT }).unwrap();
    assert_eq!([plan.seams[0].blend, plan.seams[1].blend], [[4, 2], [3, 4]]);
    let warnings: Vec<_> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "b.mp4 is short: 5 frames of context at its start instead of 8",
            "b.mp4 blends 2 frames at its start instead of 4",
            "b.mp4 is short: 5 frames of context at its end instead of 8",
            "b.mp4 blends 3 frames at its end instead of 4",
        ]
    );
}

#[test]
fn a_guide_longer_than_the_model_knows_warns_and_one_too_long_is_refused() {
    let shown = |gap| plan(&[1000, 1000], JoinParams { gap, ..EXACT });
    assert_eq!(shown(65).unwrap().warnings, []);
    assert_eq!(shown(69).unwrap().warnings, [PlanWarning::ManyFrames { seam: 0, frames: 85 }]);
    assert!(shown(113 + 3).is_ok());
    assert_eq!(shown(113 + 4), Err(PlanError::TooManyFrames { frames: 133 }));
}

#[test]
fn numbers_as_large_as_they_come_are_refused_or_cut_to_the_clips() {
    for ask in [EXACT, REPLACE, DEFAULTS] {
        let huge = |context, gap| plan(&[1000, 1000], JoinParams { context, gap, ..ask });
        for (context, gap) in [(usize::MAX, usize::MAX), (8, usize::MAX), (usize::MAX, 16), (1 << 40, 1 << 40)] {
            assert!(matches!(huge(context, gap), Err(PlanError::TooManyFrames { .. })), "{context} {gap}");
        }
        assert!(plan(&[20, 20], JoinParams { context: usize::MAX, gap: 16, ..ask }).is_ok());
    }
}

#[test]
fn a_clip_too_short_to_replace_is_named() {
    let ask = JoinParams { gap: 16, mode: Mode::Replace, ..DEFAULTS };
    let error = plan(&[4, 1], ask).unwrap_err();
    let details = error.details();
    assert_eq!(error.code(), ErrorCode::Input);
    assert_eq!(error.to_string(), "b.mp4 has 1 frame and a.mp4 4, but replace takes 16");
    assert_eq!(details.file, Some("clips/b.mp4".into()));
    assert_eq!(details.wanted.unwrap(), "16 frames to replace and one left in each clip");
    assert_eq!(details.found.unwrap(), "a.mp4 4 frames, b.mp4 1 frame");
    assert_eq!(details.help.unwrap(), "lower --gap or use --mode insert");

    let refused = |lengths: &[usize], ask| plan(lengths, ask).unwrap_err().to_string();
    assert_eq!(
        refused(&[12, 10, 12, 90], ask),
        "b.mp4 has 10 frames, a.mp4 12 and c.mp4 12, but replace takes 32 and leaves one in each"
    );
    assert_eq!(refused(&[9, 8], ask), "b.mp4 has 8 frames and a.mp4 9, but replace takes 16 and leaves one in each");
    assert_eq!(
        refused(&[16], JoinParams { looped: true, ..ask }),
        "a.mp4 has 16 frames, but replace takes 16 and leaves one in each"
    );
    assert_eq!(
        refused(&[1, 1], JoinParams { gap: 1, context: 2, ..EXACT }),
        "a.mp4 has 1 frame and b.mp4 1, and no context of theirs beside a gap of 1 to 1 makes 4n+1 frames"
    );
}

#[test]
fn wrong_options_are_usage_errors_that_say_what_to_do() {
    let long = [100, 100];
    for (lengths, ask, error, help) in [
        (
            &long[..],
            JoinParams { context: 0, ..EXACT },
            "a context of 0 shows the model nothing of the clips",
            "use --context 1 or more",
        ),
        (&long, JoinParams { gap: 0, ..EXACT }, "a gap of 0 leaves nothing to make", "use --gap 1 or more"),
        (
            &long,
            JoinParams { context: 1, gap: 2, ..EXACT },
            "a gap of 2 beside contexts of 1 shrinks to nothing on its way to 4n+1 frames",
            "use --gap 4 or more, or --align latent",
        ),
        (
            &long,
            JoinParams { blend: Blend::Exactly(9), ..EXACT },
            "a blend of 9 is longer than the context of 8",
            "lower --blend or raise --context",
        ),
        (
            &long,
            JoinParams { gap: 200, ..EXACT },
            "216 frames are more than the 129 that the model can be shown",
            "lower --gap or --context",
        ),
        (
            &long,
            JoinParams { gap: 8, anchors: true, ..DEFAULTS },
            "anchors need a gap of 12 frames or more with latent alignment, and 8 are used",
            "use --gap 12 or more, or leave out --anchors",
        ),
        (
            &[100],
            EXACT,
            "a join needs two clips or more, got 1",
            "give another clip, or one alone with --loop or --range",
        ),
        (&[], JoinParams { looped: true, ..EXACT }, "a loop needs a clip", "give a clip"),
    ] {
        let found = plan(lengths, ask).unwrap_err();
        assert_eq!((found.code(), found.to_string().as_str()), (ErrorCode::Usage, error));
        assert_eq!(found.details().help.unwrap(), help);
    }
    let empty = plan(&[100, 0], EXACT).unwrap_err();
    assert_eq!((empty.code(), empty.to_string().as_str()), (ErrorCode::Input, "b.mp4 has no frames"));
}

/// Copies of examples/plan.json and examples/plan-wan-replace.json in the project's reference, in which a blend does not
/// yet say its seam.
#[test]
fn the_json_is_that_of_the_contract() {
    let film = |rate, width, height| {
        let size = Size::new(width, height);
        Film { fps: fps(rate), size, made_size: size }
    };
    let clip = |path: &str, frames, rate, film: Film| Source {
        path: path.into(),
        frames,
        fps: fps(rate),
        size: film.size,
        resampled_frames: None,
        still: false,
    };
    let json = |plan| serde_json::to_string(&plan).unwrap();
    let example =
        |text: &str| text.split_whitespace().collect::<String>().replace(r#""blend":{"#, r#""blend":{"seam":0,"#);

    let hd = film("24", 1280, 720);
    let b = Source { resampled_frames: Some(92), ..clip("b.mp4", 96, "25", hd) };
    let inserted = join(vec![clip("a.mp4", 120, "24", hd), b], hd, &DEFAULTS).unwrap();
    assert_eq!(json(inserted), example(include_str!("../../../../tests/fixtures/plan/plan.json")));

    let wan = film("16", 832, 480);
    let ask = JoinParams { mode: Mode::Replace, gap: 16, blend: Blend::UpTo(4), ..DEFAULTS };
    let replaced = join(["a.mp4", "b.mp4"].map(|path| clip(path, 81, "16", wan)).into(), wan, &ask).unwrap();
    assert_eq!(json(replaced), example(include_str!("../../../../tests/fixtures/plan/plan-wan-replace.json")));
}

#[test]
fn the_json_says_repeats_and_anchors_in_one_line_each() {
    let plan = plan(&[9, 3], JoinParams { gap: 12, anchors: true, ..DEFAULTS }).unwrap();
    assert_eq!(
        serde_json::to_value(&plan.seams[0]).unwrap()["slots"],
        json!([
            { "keep": { "input": 0, "frames": [0, 9] } },
            { "fill": 4 },
            { "anchor": { "input": 0, "frame": 8, "count": 4 } },
            { "anchor": { "input": 1, "frame": 0, "count": 4 } },
            { "keep": { "input": 1, "frames": [0, 3] } },
            { "repeat": { "input": 1, "frame": 2, "count": 1 } },
        ])
    );
}
