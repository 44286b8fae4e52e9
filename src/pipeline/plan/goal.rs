//! What alignment makes of the numbers that were asked for, before any clip is looked at.

use super::{Align, JoinAsk, Mode};

/// The lengths to aim at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goal {
    pub(super) context: [usize; 2],
    pub(super) gap: usize,
    /// The shortest gap that may be made where the clips or the 4n+1 rule call for less, and in which steps.
    pub(super) least: usize,
    pub(super) step: usize,
    pub(super) align: Align,
    pub(super) mode: Mode,
}

impl Goal {
    pub(super) fn of(ask: &JoinAsk) -> Self {
        let &JoinAsk { gap, align, mode, .. } = ask;
        // No clip is longer, and sums stay far from overflow.
        let context = ask.context.min(u32::MAX as usize);
        match align {
            Align::Exact => {
                Self { context: [context; 2], gap, least: gap.saturating_sub(3).max(1), step: 1, align, mode }
            }
            Align::Latent => {
                let fours = |frames: usize| (frames / 4 * 4).max(4);
                let nearest = fours(gap.saturating_add(1));
                let context = [(context + 1) / 4 * 4 + 1, fours(context + 2)];
                Self { context, gap: nearest, least: fours(gap).min(nearest), step: 4, align, mode }
            }
        }
    }
}
