//! Sharing out: how many frames each seam makes, takes from its clips and shows of them, in a whole chain at once.
//!
//! Seams meet in the clip between them: what one removes there, the other can neither remove nor show. So the
//! cheapest way through the chain is looked for, seam by seam, among all ways to make each of them.

use std::{collections::BTreeMap, iter};

use super::{Align, Mode, goal::AlignedLengths};

/// What one seam makes, takes away and shows; the sides are left and right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) made: usize,
    pub(super) removed: [usize; 2],
    pub(super) context: [usize; 2],
}

/// Clips that are too short together, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) clips: Vec<usize>,
    pub(super) why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// Their seams take so many frames.
    Replace { takes: usize },
    /// No contexts and gap of theirs add up to 4n+1.
    Align,
}

pub(super) fn fit(lengths: &[usize], looped: bool, goal: AlignedLengths) -> Result<Vec<Fit>, Misfit> {
    let chain = Chain::of(lengths, looped, goal);
    let named = |(first, seams): Run, why| {
        let mut clips: Vec<_> =
            chain.clips_of((first, seams)).map(|clip| (chain.first + clip) % lengths.len()).collect();
        clips.sort_unstable();
        clips.dedup();
        Misfit { clips, why }
    };

    let gaps = chain.affordable_gaps().map_err(|run| named(run, Why::Replace { takes: run.1 * goal.gap }))?;
    let halves = chain.share(&gaps).expect("every run of seams can pay for its gaps");
    let mut choices = match goal.align {
        Align::Latent => halves,
        Align::Exact => chain.align(&halves).ok_or_else(|| {
            let short = |run: &Run| chain.part(*run).align(&halves[run.0..run.0 + run.1]).is_none();
            let run = chain.runs().find(|run| run.0 + run.1 <= chain.seams() && short(run));
            named(run.unwrap_or((0, chain.seams())), Why::Align)
        })?,
    };
    choices.rotate_right(chain.first);
    Ok(shown(lengths, &choices, goal))
}

/// Every seam shows what the cuts of all seams leave it.
fn shown(lengths: &[usize], choices: &[Choice], goal: AlignedLengths) -> Vec<Fit> {
    let clips = |seam| [seam, (seam + 1) % lengths.len()];
    let mut survivors = lengths.to_vec();
    for (seam, choice) in choices.iter().enumerate() {
        iter::zip(clips(seam), choice.edges).for_each(|(clip, edge)| survivors[clip] -= edge.cut);
    }
    let fit = |(seam, &Choice { made, edges, .. }): (usize, &Choice)| {
        let context = [0, 1].map(|side| {
            let reach = goal.context[side].min(survivors[clips(seam)[side]]);
            let residue = match goal.align {
                Align::Latent => goal.residues[side],
                Align::Exact => edges[side].residue,
            };
            // A right context of less than a latent is repeated to fill it.
            Edge { residue, ..edges[side] }.context(reach).unwrap_or(reach)
        });
        Fit { made, removed: edges.map(|edge| edge.cut), context }
    };
    choices.iter().enumerate().map(fit).collect()
}

/// What a seam does at one of its two clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    cut: usize,
    /// What its context leaves when divided by four; None: it takes what is there.
    residue: Option<usize>,
}

impl Edge {
    /// How many of the frames in reach make a context; None where that is not even one.
    fn context(self, reach: usize) -> Option<usize> {
        let over = self.residue.map_or(0, |residue| (reach + 4 - residue) % 4);
        reach.checked_sub(over).filter(|&context| context > 0)
    }
}

/// One way to make a seam.
#[derive(Debug, Clone, Copy)]
struct Choice {
    made: usize,
    edges: [Edge; 2],
    cost: Cost,
}

/// What counts, first things first: frames (squared, so that seams share) by which a cut misses its aim, context given
/// up beyond what a short clip forces, frames the gap loses, and less than nothing for taking from the longer context.
type Cost = [i64; 4];

const FREE: Cost = [0; 4];

fn sum<const N: usize>(costs: [Cost; N]) -> Cost {
    std::array::from_fn(|n| costs.iter().map(|cost| cost[n]).sum())
}

/// Neighbouring seams: the first, and how many.
type Run = (usize, usize);

/// Clips in a row, seam n between clips n and n + 1.
struct Chain {
    clips: Vec<usize>,
    /// Which of the user's clips stands first.
    first: usize,
    /// The last clip is the first once more, and short enough for its two seams to meet in it.
    ring: bool,
    goal: AlignedLengths,
}

impl Chain {
    fn of(lengths: &[usize], looped: bool, goal: AlignedLengths) -> Self {
        if !looped {
            return Self { clips: lengths.to_vec(), first: 0, ring: false, goal };
        }
        // Where the two seams of the longest clip cannot meet, the loop is a chain from that clip to itself.
        let first = (0..lengths.len()).rev().max_by_key(|&clip| lengths[clip]).unwrap_or(0);
        let clips = (0..=lengths.len()).map(|n| lengths[(first + n) % lengths.len()]).collect();
        let ring = lengths[first] < 2 * goal.gap + goal.context[0].max(goal.context[1]);
        Self { clips, first, ring, goal }
    }

    fn seams(&self) -> usize {
        self.clips.len() - 1
    }

    /// Every run of seams, short ones first; in a ring also across the end.
    fn runs(&self) -> impl Iterator<Item = Run> {
        let seams = self.seams();
        (1..=seams)
            .flat_map(move |run| (0..seams).map(move |first| (first, run)))
            .filter(move |(first, run)| self.ring || first + run <= seams)
    }

    fn clips_of(&self, (first, seams): Run) -> impl Iterator<Item = usize> {
        let (around, all) = (self.ring && seams == self.seams(), self.seams());
        (first..=first + seams - usize::from(around)).map(move |clip| if self.ring { clip % all } else { clip })
    }

    fn part(&self, (first, seams): Run) -> Self {
        Self { clips: self.clips[first..=first + seams].to_vec(), first: 0, ring: false, goal: self.goal }
    }

    /// The gaps aimed at, shorter where the clips of a run cannot pay for them; or the run that never can.
    /// That no run is short is also enough (Hall's theorem, for seams in a row).
    fn affordable_gaps(&self) -> Result<Vec<usize>, Run> {
        let AlignedLengths { gap, least, step, mode, .. } = self.goal;
        let mut gaps = vec![gap; self.seams()];
        let seams_of = |(first, seams): Run| (first..first + seams).map(|seam| seam % self.seams());
        let is_short = |gaps: &[usize], run: Run| {
            let has: usize = self.clips_of(run).map(|clip| self.clips[clip] - 1).sum();
            seams_of(run).map(|seam| gaps[seam]).sum::<usize>() > has
        };
        while mode == Mode::Replace
            && let Some(run) = self.runs().find(|run| is_short(&gaps, *run))
        {
            if seams_of(run).all(|seam| gaps[seam] == least) {
                return Err(run);
            }
            seams_of(run).for_each(|seam| gaps[seam] = (gaps[seam] - step).max(least));
        }
        Ok(gaps)
    }

    /// Half of each gap from either side, or as near to that as short clips allow.
    fn share(&self, gaps: &[usize]) -> Option<Vec<Choice>> {
        self.cheapest(|seam, reach| {
            cuts(self.goal.mode, gaps[seam], reach, [usize::MAX; 2])
                .map(|(cut, miss)| Choice {
                    made: gaps[seam],
                    edges: cut.map(|cut| Edge { cut, residue: None }),
                    cost: [miss, 0, 0, 0],
                })
                .collect()
        })
    }

    /// Contexts and gaps that add up to 4n+1. A clip that gives less than half in `halves` gives no more here.
    fn align(&self, halves: &[Choice]) -> Option<Vec<Choice>> {
        let AlignedLengths { gap, least, mode, .. } = self.goal;
        self.cheapest(|seam, reach| {
            let [left, right] = halves[seam].edges.map(|edge| edge.cut);
            let half = (left + right) / 2;
            let most = [if left < half { left } else { usize::MAX }, if left > half { right } else { usize::MAX }];
            let ways = (least..=gap).flat_map(|made| (0..4).map(move |residue| (made, residue)));
            ways.flat_map(|(made, residue)| {
                // left + made + right = 1 modulo 4, and -n = 3n there.
                let residues = [residue, (1 + 3 * (made + residue)) % 4];
                cuts(mode, made, reach, most).map(move |(cut, miss)| Choice {
                    made,
                    edges: [0, 1].map(|side| Edge { cut: cut[side], residue: Some(residues[side]) }),
                    cost: [miss, 0, (gap - made) as i64, 0],
                })
            })
            .collect()
        })
    }

    /// Cuts that miss their aim by more than `reach` cost more than its square: a cheaper way needs no wider search.
    fn cheapest(&self, choices: impl Fn(usize, usize) -> Vec<Choice>) -> Option<Vec<Choice>> {
        let widest = if self.goal.mode == Mode::Insert { 0 } else { self.goal.gap };
        for reach in iter::successors(Some(0), |&reach| Some(2 * reach + 1)) {
            let way = self.way(|seam| choices(seam, reach));
            if reach >= widest || way.as_ref().is_some_and(|way| way.cost[0] <= (reach * reach) as i64) {
                return way.map(|way| way.seams);
            }
        }
        None
    }

    /// From seam to seam, the cheapest way to each way of leaving it; a ring also remembers how it began.
    fn way(&self, choices: impl Fn(usize) -> Vec<Choice>) -> Option<Way> {
        let mut ways = BTreeMap::from([((None, None), Way { cost: FREE, seams: vec![] })]);
        for seam in 0..self.seams() {
            let (choices, mut next) = (choices(seam), BTreeMap::<_, Way>::new());
            for ((begun, left), way) in ways {
                for choice in &choices {
                    let [entry, exit] = choice.edges.map(Some);
                    let in_clip = if self.ring && seam == 0 { Some(FREE) } else { self.in_clip(seam, left, entry) };
                    let Some(in_clip) = in_clip else { continue };
                    let cost = sum([way.cost, in_clip, choice.cost]);
                    let key = (if self.ring { begun.or(entry) } else { None }, exit);
                    if next.get(&key).is_none_or(|best| cost < best.cost) {
                        next.insert(key, Way { cost, seams: [way.seams.as_slice(), &[*choice]].concat() });
                    }
                }
            }
            ways = next;
        }
        let closed = ways.into_iter().filter_map(|((begun, left), way)| {
            Some(Way { cost: sum([way.cost, self.in_clip(self.seams(), left, begun)?]), ..way })
        });
        closed.min_by_key(|way| way.cost)
    }

    /// What it costs to have the seam before a clip and the one after it meet there; None where there is no room.
    fn in_clip(&self, clip: usize, before: Option<Edge>, after: Option<Edge>) -> Option<Cost> {
        let cut = |edge: Option<Edge>| edge.map_or(0, |edge| edge.cut);
        let survivors = self.clips[clip].checked_sub(cut(before) + cut(after))?;
        let mut cost = FREE;
        for (edge, context) in [before, after].into_iter().zip([self.goal.context[1], self.goal.context[0]]) {
            let Some(edge) = edge else { continue };
            let reach = context.min(survivors);
            let context = edge.context(reach)?;
            let given_up = (reach - context) as i64;
            cost = sum([cost, [0, given_up, 0, -given_up * (reach + context) as i64]]);
        }
        Some(cost)
    }
}

struct Way {
    cost: Cost,
    seams: Vec<Choice>,
}

/// Ways to cut `made` frames out of two clips, up to `reach` off the best one, and the square of by how much.
fn cuts(mode: Mode, made: usize, reach: usize, most: [usize; 2]) -> impl Iterator<Item = ([usize; 2], i64)> {
    let (aim, reach, made) = match mode {
        Mode::Insert => (0, 0, 0),
        Mode::Replace => ((made / 2).clamp(made.saturating_sub(most[1]), most[0]), reach, made),
    };
    (aim.saturating_sub(reach)..=made.min(aim + reach))
        .map(move |left| ([left, made - left], left.abs_diff(aim).pow(2) as i64))
}
