//! What alignment makes of the numbers that were asked for, before any clip is looked at.

use super::{Align, JoinParams, MaskRule, Mode};

/// The lengths to aim at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AlignedLengths {
    pub(super) context: [usize; 2],
    pub(super) gap: usize,
    /// The shortest gap that may be made where the clips or the 4n+1 rule call for less, and in which steps.
    pub(super) least: usize,
    pub(super) step: usize,
    /// What a whole context leaves when divided by four; None: any does.
    pub(super) residues: [Option<usize>; 2],
    pub(super) align: Align,
    pub(super) mode: Mode,
}

impl AlignedLengths {
    pub(super) fn of(ask: &JoinParams) -> Self {
        let &JoinParams { gap, align, mode, .. } = ask;
        // No clip is longer, and sums stay far from overflow.
        let context = ask.context.min(u32::MAX as usize);
        if align == Align::Exact {
            let least = gap.saturating_sub(3).max(1);
            return Self { context: [context; 2], gap, least, step: 1, residues: [None; 2], align, mode };
        }
        let fours = |frames: usize| (frames / 4 * 4).max(4);
        let left = (context + 1) / 4 * 4 + 1;
        // An end image is the last frame of a latent whose other three are made.
        let (right, shared) = match ask.mask_rule {
            MaskRule::Frames => (1, 1),
            MaskRule::Exact | MaskRule::Reference => (fours(context + 2), 0),
        };
        let down = |gap: usize| fours(gap.saturating_add(shared)) - shared;
        let nearest = down(gap.saturating_add(1));
        Self {
            context: [left, right],
            gap: nearest,
            least: down(gap).min(nearest),
            step: 4,
            residues: [Some(1), Some(right % 4)],
            align,
            mode,
        }
    }
}
