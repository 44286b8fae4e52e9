//! Films of pieces that are there already.

use super::*;
use crate::pipeline::plan::{Curve, StitchAsk, stitch};

fn stitched(lengths: &[usize], overlaps: &[usize]) -> Result<FramePlan, PlanError> {
    let inputs = lengths.iter().enumerate().map(|(n, &frames)| source(&format!("{n}.mp4"), frames)).collect();
    let size = Size::new(832, 480);
    let pieces = lengths.iter().copied().enumerate().map(|(n, frames)| (n, 0..frames)).collect();
    let ask = StitchAsk { pieces, overlaps: overlaps.to_vec(), curve: Curve::Sharpened(0.3) };
    stitch(inputs, Film { fps: fps("16"), size, made_size: size }, &ask)
}

#[test]
fn a_stitched_film_is_as_long_as_its_pieces_less_what_they_share() {
    let mut seen = 0;
    for lengths in tuples(&[1, 4, 7, 12], 3) {
        for overlaps in tuples(&[0, 1, 3, 6], 2) {
            let Ok(plan) = stitched(&lengths, &overlaps) else {
                let takes = [overlaps[0], overlaps[0] + overlaps[1], overlaps[1]];
                assert!(lengths.iter().zip(takes).any(|(has, takes)| *has < takes), "{lengths:?} {overlaps:?}");
                continue;
            };
            seen += 1;
            let wanted = lengths.iter().sum::<usize>() - overlaps.iter().sum::<usize>();
            assert_eq!(plan.frames(), wanted, "{lengths:?} {overlaps:?}");
            let crossed: usize = plan
                .timeline
                .iter()
                .filter(|piece| matches!(piece, TimelineItem::Cross { .. }))
                .map(|piece| piece.frames().len())
                .sum();
            assert_eq!(crossed, overlaps.iter().sum::<usize>());
        }
    }
    assert!(seen > 300, "only {seen}");
}

#[test]
fn overlaps_that_do_not_fit_are_refused_by_name() {
    assert_eq!(
        stitched(&[9, 9, 9], &[3]).unwrap_err().to_string(),
        "3 pieces meet at 2 places, and 1 overlaps were given"
    );
    assert_eq!(
        stitched(&[9, 5, 9], &[3, 3]).unwrap_err().to_string(),
        "1.mp4 has 5 frames to give, and its overlaps take 6"
    );
}
