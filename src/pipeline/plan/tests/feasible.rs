//! That what is planned is the best there is, and what is refused has no way at all.

use super::{
    every::{Case, cases},
    *,
};
use crate::pipeline::types::error::{ErrorCode, Reportable};

/// One side of one seam, as it may be made.
#[derive(Clone, Copy)]
struct Side {
    cut: usize,
    context: usize,
}

/// Whether there is any way at all to make a join, by trying them all.
fn can_be_made(case: &Case) -> bool {
    let JoinParams { context, gap, mode, align, mask_rule, looped, .. } = case.ask;
    // With an end image its latent has three frames that are made.
    let shared = if mask_rule == MaskRule::Frames { 1 } else { 0 };
    let gaps = match align {
        Align::Exact => gap.saturating_sub(3).max(1)..=gap,
        Align::Latent => ((gap + shared) / 4 * 4).max(4) - shared..=((gap + 1 + shared) / 4 * 4).max(4) - shared,
    };
    let mut ways = vec![];
    for made in gaps.filter(|made| align == Align::Exact || (made + shared) % 4 == 0) {
        for left in if mode == Mode::Replace { 0..=made } else { 0..=0 } {
            let right = if mode == Mode::Replace { made - left } else { 0 };
            // One frame is context enough where latents can be filled by repeating it.
            let most = if align == Align::Exact { context } else { 1 };
            for (before, after) in (1..=most).flat_map(|before| (1..=most).map(move |after| (before, after))) {
                if align == Align::Latent || (before + made + after) % 4 == 1 {
                    ways.push([Side { cut: left, context: before }, Side { cut: right, context: after }]);
                }
            }
        }
    }
    let meet = |clip: usize, before: Side, after: Side| {
        before.cut + after.cut + before.context.max(after.context) <= case.lengths[clip]
    };
    let nothing = Side { cut: 0, context: 0 };
    let clips = case.lengths.len();
    let firsts = if looped { ways.iter().map(|way| way[0]).collect() } else { vec![nothing] };
    firsts.into_iter().any(|first| {
        let mut reached = vec![nothing];
        for clip in 0..if looped { clips } else { clips - 1 } {
            // By what is cut and what is shown of a clip, in the small cases that are asked.
            let mut next = [[false; 8]; 16];
            for before in reached {
                let starts_loop = looped && clip == 0;
                for [left, right] in &ways {
                    let begins = !starts_loop || left.cut == first.cut && left.context == first.context;
                    if begins && (starts_loop || meet(clip, before, *left)) {
                        next[right.cut][right.context] = true;
                    }
                }
            }
            let sides = next.iter().enumerate().flat_map(|(cut, row)| {
                row.iter().enumerate().filter(|(_, there)| **there).map(move |(context, _)| Side { cut, context })
            });
            reached = sides.collect();
        }
        let last = if looped { 0 } else { clips - 1 };
        reached.into_iter().any(|before| meet(last, before, first))
    })
}

#[test]
fn every_join_that_can_be_made_is_planned() {
    let (mut planned, mut refused) = (0, 0);
    let is_small = |case: &Case| case.ask.context < 5 && case.ask.gap < [13, 13, 5, 4][case.lengths.len() - 1];
    for Case { lengths, ask } in cases().filter(is_small) {
        let case = Case { lengths, ask: JoinParams { anchors: false, ..ask } };
        match plan(&case.lengths, case.ask) {
            Err(error) if error.code() == ErrorCode::Usage => {}
            Err(error) => {
                assert!(!can_be_made(&case), "{case}: {error}");
                refused += 1;
            }
            Ok(_) => {
                assert!(can_be_made(&case), "{case}");
                planned += 1;
            }
        }
    }
    assert!(planned > 10_000 && refused > 2_000, "{planned} {refused}");
}

/// The rule of exact alignment for two clips, word by word: the smallest shortening that works with the contexts that
/// its own removal leaves; else the one that gives up the fewest frames of context, each side keeping one.
fn by_the_rule(lengths: [usize; 2], ask: &JoinParams) -> Option<([usize; 2], usize, [usize; 2])> {
    let ways = (0..4.min(ask.gap)).filter_map(|shortened| {
        let made = ask.gap - shortened;
        let takes = if ask.mode == Mode::Replace { made } else { 0 };
        let mut left = takes / 2;
        left = left.min(lengths[0] - 1);
        left = left.max(takes.saturating_sub(lengths[1] - 1));
        let removed = [left, takes.checked_sub(left)?];
        let mut context = [0, 1].map(|side| lengths[side].saturating_sub(removed[side]).min(ask.context));
        let given_up = (context[0] + made + context[1] + 3) % 4;
        for _ in 0..given_up {
            let larger = usize::from(context[1] > context[0]);
            context[larger] = context[larger].saturating_sub(1);
        }
        (!context.contains(&0)).then_some((given_up, shortened, (context, made, removed)))
    });
    ways.min_by_key(|&(given_up, shortened, _)| (given_up, shortened)).map(|(_, _, way)| way)
}

#[test]
fn two_clips_are_aligned_exactly_by_the_rule() {
    let mut planned = 0;
    for lengths in tuples(&(1..16).collect::<Vec<_>>(), 2) {
        for (context, gap) in (1..10).flat_map(|context| (1..20).map(move |gap| (context, gap))) {
            for ask in [EXACT, REPLACE].map(|ask| JoinParams { context, gap, ..ask }) {
                let Ok(plan) = plan(&lengths, ask) else { continue };
                let (context, made, removed, _) = numbers(&plan);
                if let Some((by_rule, made_by_rule, removed_by_rule)) = by_the_rule([lengths[0], lengths[1]], &ask) {
                    let sorted = |mut sides: [usize; 2]| {
                        sides.sort_unstable();
                        sides
                    };
                    planned += 1;
                    assert_eq!((made, removed), (made_by_rule, removed_by_rule), "{lengths:?} {ask:?}");
                    assert_eq!(sorted(context), sorted(by_rule), "{lengths:?} {ask:?}");
                }
            }
        }
    }
    assert!(planned > 50_000, "{planned}");
}
