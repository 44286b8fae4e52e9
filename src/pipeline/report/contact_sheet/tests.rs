//! The sheet's invariants, over every small plan.

use super::{
    guide::{column_x, place},
    *,
};
use crate::pipeline::plan::{
    Align, Blend, Continued, Film, JoinParams, MaskRule, Mode, Places, RangeAsk, SegmentAsk, Slot, StructureAsk,
    TravelParams, join, ranges, travel,
};

const ASK: JoinParams = JoinParams {
    context: 8,
    gap: 53,
    mode: Mode::Insert,
    align: Align::Latent,
    mask_rule: MaskRule::Exact,
    blend: Blend::UpTo(0),
    looped: false,
    anchors: false,
};
const SMALL: Size = Size::new(32, 18);
const TEAL: Colour = [0, 90, 100];

fn plan(lengths: &[usize], size: Size, ask: JoinParams) -> Option<FramePlan> {
    let fps = "24".parse().unwrap();
    let source =
        |&frames: &usize| Source { path: "a.mp4".into(), frames, fps, size, resampled_frames: None, still: false };
    join(lengths.iter().map(source).collect(), Film { fps, size, made_size: size }, &ask).ok()
}

/// The sheet of a seam whose clips show one colour.
fn teal(plan: &FramePlan, number: usize) -> RgbImage {
    let frame = Frame::filled(plan.made_size, TEAL);
    let references = vec![frame.clone(); plan.seams[number].references.len()];
    drawn(plan, number, &references, &|_| &frame)
}

fn count(sheet: &RgbImage, colour: Colour) -> usize {
    sheet.pixels().filter(|pixel| pixel.0 == colour).count()
}

#[test]
fn every_latent_lies_within_one_row_and_every_frame_has_its_own_place() {
    for latent in 1..64 {
        let frames: Vec<_> = (4 * latent - 3..4 * latent + 1).map(place).collect();
        assert!(frames.windows(2).all(|pair| pair[1] == (pair[0].0, pair[0].1 + 1)), "{frames:?}");
        let [first, last] = [frames[0].1, frames[3].1].map(column_x);
        assert_eq!(last - first, 3 * (CELL + BETWEEN_FRAMES));
    }
    assert!((0..256).map(place).collect::<Vec<_>>().is_sorted_by(|a, b| a < b));
    assert_eq!(column_x(COLUMNS - 1) + CELL, RIGHT);
}

#[test]
fn the_sheet_of_every_small_plan_shows_each_frame_of_guide_and_mask() {
    let mut sheets = 0;
    for lengths in [&[1, 1][..], &[2, 9], &[40, 3], &[12, 7, 30]] {
        for (context, gap) in [(1, 4), (3, 7), (8, 12), (24, 16)] {
            for n in 0..16 {
                let mode = if n & 1 == 0 { Mode::Insert } else { Mode::Replace };
                let (align, mask_rule) = match n & 2 {
                    0 => (Align::Latent, MaskRule::Exact),
                    _ => (Align::Exact, MaskRule::Reference),
                };
                let (looped, anchors) = (n & 4 == 0, n & 8 == 0);
                let ask = JoinParams { context, gap, mode, align, mask_rule, looped, anchors, ..ASK };
                let Some(plan) = plan(lengths, SMALL, ask) else { continue };
                let number = n % plan.seams.len();
                let (sheet, seam) = (teal(&plan, number), &plan.seams[number]);
                let thumbnail = thumbnail_size(SMALL).pixels();
                let known = seam.known().filter(|known| *known).count();
                let made = seam.slots.len() - known;
                let (inner, swatch) = ((CELL - 2) * (MASK - 2), 16 * 16);
                assert_eq!(count(&sheet, GREY), made * thumbnail + swatch, "{ask:?}");
                assert_eq!(count(&sheet, WHITE), made * (CELL * MASK) as usize + swatch, "{ask:?}");
                assert_eq!(count(&sheet, BLACK), known * inner as usize + 14 * 14, "{ask:?}");
                let context: usize = seam.used.context.iter().sum();
                assert_eq!(count(&sheet, TEAL), (known + context) * thumbnail, "{ask:?}");
                assert!(sheet.width() == WIDTH && sheet.height() < 1700, "{} high: {ask:?}", sheet.height());
                sheets += 1;
            }
        }
    }
    assert!(sheets > 100, "{sheets}");
}

#[test]
fn the_longest_guide_of_the_narrowest_or_widest_clip_stays_a_sheet() {
    for (width, height) in [(8000, 10), (10, 4000), (1, 1), (2, 16384), (1920, 1080), (404, 720)] {
        let ask = JoinParams { context: 60, gap: 8, mode: Mode::Replace, ..ASK };
        let plan = plan(&[100, 100], Size::new(width, height), ask).unwrap();
        assert_eq!(plan.seams[0].slots.len(), 129);
        let sheet = teal(&plan, 0);
        assert!(sheet.height() < 4000, "{width}x{height}: {} high", sheet.height());
        assert!(count(&sheet, TEAL) > 0, "{width}x{height}");
    }
}

#[test]
fn a_thumbnail_keeps_the_shape_and_the_colours() {
    for (width, height) in [(16, 16), (60, 40), (120, 90), (333, 111), (1280, 720), (720, 1280), (1919, 1079)] {
        let size = Size::new(width, height);
        let small = thumbnail_size(size);
        assert!(small.width <= CELL && small.height <= TALLEST);
        let exact = f64::from(small.width) * f64::from(height) / f64::from(width);
        assert!((exact - f64::from(small.height)).abs() <= 1.0, "{size} became {small}");
        let mut frame = Frame::filled(size, TEAL);
        let half = size.rgb_bytes() / 2 / (width as usize * 3) * width as usize * 3;
        frame.rgb[half..].fill(200);
        let thumbnail = scaled(&frame, small);
        assert_eq!(
            (thumbnail.get_pixel(0, 0).0, thumbnail.get_pixel(small.width - 1, small.height - 1).0),
            (TEAL, [200; 3])
        );
    }
}

#[test]
fn a_long_name_loses_its_middle_and_keeps_its_end() {
    let (canvas, ink) = (Canvas::new(WIDTH, BACKGROUND), Ink { face: Face::Text, size: 36.0, colour: BRIGHT });
    let shortened = canvas.shortened(ink, &format!("start{}end.mp4", "中 ".repeat(200)), 500);
    assert!(canvas.width(ink, &shortened) <= 500);
    assert!(shortened.starts_with("start") && shortened.ends_with("end.mp4") && shortened.contains('…'), "{shortened}");
    assert_eq!(canvas.shortened(ink, "a.mp4", 500), "a.mp4");
    assert_eq!(canvas.shortened(ink, "a.mp4", 0), "");
}

#[test]
fn a_name_of_any_characters_is_one_line_that_can_be_drawn() {
    let mut plan = plan(&[20, 20], SMALL, ASK).unwrap();
    plan.inputs[0].path = format!("clips/{}\n\u{1b}[2J\u{202e}é中😀.mp4", "x".repeat(200)).into();
    plan.inputs[1].path = "..".into();
    assert!(name(&plan.inputs[0]).ends_with("x□□[2J\u{202e}é中😀.mp4"));
    assert!(teal(&plan, 0).height() < 2000);
}

#[test]
fn the_sheet_of_every_range_shows_hints_and_what_stands_on_no_side() {
    let fps = "24".parse().unwrap();
    for length in [5, 18, 40] {
        for range in [0..2, 0..4, 1..3, 2..4, 3..length, length - 2..length, 1..length - 1] {
            let source =
                Source { path: "a.mp4".into(), frames: length, fps, size: SMALL, resampled_frames: None, still: false };
            let ask = RangeAsk {
                ranges: vec![range.clone()],
                context: 8,
                align: Align::Latent,
                mask_rule: MaskRule::Exact,
                blend: Blend::UpTo(0),
                needs: [false; 2],
            };
            let plan = ranges(vec![source], Film { fps, size: SMALL, made_size: SMALL }, &ask).unwrap();
            let (sheet, seam) = (teal(&plan, 0), &plan.seams[0]);
            let thumbnail = thumbnail_size(SMALL).pixels();
            let made = seam.used.gap;
            let unknown = seam.known().filter(|known| !known).count();
            assert_eq!(count(&sheet, GREY), made * thumbnail + 16 * 16, "{length} {range:?}");
            assert_eq!(count(&sheet, WHITE), unknown * (CELL * MASK) as usize + 16 * 16, "{length} {range:?}");
            let context: usize = seam.used.context.iter().sum();
            let shown = seam.slots.len() - made;
            assert_eq!(count(&sheet, TEAL), (shown + context) * thumbnail, "{length} {range:?}");
        }
    }
}

#[test]
fn the_sheet_of_every_small_journey_shows_each_frame_and_each_source() {
    let fps = "16".parse().unwrap();
    let source = |name: &str, frames| Source {
        path: name.into(),
        frames,
        fps,
        size: SMALL,
        resampled_frames: None,
        still: frames == 1,
    };
    let film = Film { fps, size: SMALL, made_size: SMALL };
    let mut sheets = 0;
    for (images, goes_on, overlap, guided) in [(1, false, 0, 0), (2, true, 4, 0), (3, false, 8, 0), (3, true, 4, 60)] {
        for fill_latents in [false, true] {
            let continued = goes_on.then(|| Continued { clip: source("before.mp4", 30), in_film: true });
            let places = Places {
                images: (0..images).map(|n| source(&format!("{n}.png"), 1)).collect(),
                continued,
                structure: vec![source("structure.mp4", 99); guided / 60],
                references: vec![source("reference.png", 1); 2],
            };
            let segments = if goes_on { images } else { images.max(2) - 1 };
            let ask = TravelParams {
                segments: vec![SegmentAsk { frames: 33, overlap }; segments],
                fill_latents,
                structure: (0..guided / 60)
                    .map(|clip| StructureAsk { clip, film: 0..guided, frames: 0..guided, spread: false })
                    .collect(),
                ..TravelParams::PLAIN
            };
            let plan = travel(places, film, &ask).unwrap();
            for (number, seam) in plan.seams.iter().enumerate() {
                let sheet = teal(&plan, number);
                let thumbnail = thumbnail_size(SMALL).pixels();
                let count_of = |which: &dyn Fn(&Slot) -> bool| seam.slots.iter().filter(|slot| which(slot)).count();
                let (grey, unknown) = (count_of(&|slot| *slot == Slot::Fill), count_of(&|slot| !slot.is_known()));
                assert_eq!(count(&sheet, GREY), grey * thumbnail + 16 * 16, "{ask:?}");
                assert_eq!(count(&sheet, WHITE), unknown * (CELL * MASK) as usize + 16 * 16, "{ask:?}");
                // In the guide, and once more in a row of each source.
                let shown: HashSet<_> = seam.slots.iter().filter_map(|slot| slot.frame()).collect();
                let carried = count_of(&|slot| matches!(slot, Slot::Carry(_)));
                let guiding = count_of(&|slot| matches!(slot, Slot::Structure(_)));
                let rows = shown.len() - guiding + guiding.min(COLUMNS) + seam.references.len();
                let all = (seam.slots.len() - grey + rows) * thumbnail;
                assert_eq!(count(&sheet, TEAL), all, "{carried} carried, {ask:?}");
                assert!(sheet.height() < 1900, "{} high", sheet.height());
                sheets += 1;
            }
        }
    }
    assert_eq!(sheets, 2 * (1 + 2 + 2 + 3));
}
