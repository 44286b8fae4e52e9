//! The joins that are planned in tests.

use super::*;

mod contract;
mod every;
mod feasible;
mod ranges;
mod stitches;
mod travels;

const DEFAULTS: JoinParams = JoinParams {
    context: 8,
    gap: 53,
    mode: Mode::Insert,
    align: Align::Latent,
    mask_rule: MaskRule::Exact,
    blend: Blend::UpTo(0),
    looped: false,
    anchors: false,
};
const EXACT: JoinParams = JoinParams { align: Align::Exact, mask_rule: MaskRule::Reference, ..DEFAULTS };
/// For an image-to-video model.
const IMAGES: JoinParams = JoinParams { mask_rule: MaskRule::Frames, ..DEFAULTS };
const REPLACE: JoinParams = JoinParams { mode: Mode::Replace, ..EXACT };

fn fps(text: &str) -> Fps {
    text.parse().unwrap()
}

fn source(path: &str, frames: usize) -> Source {
    let size = Size::new(832, 480);
    Source { path: path.into(), frames, fps: fps("16"), size, resampled_frames: None, still: false }
}

fn plan(lengths: &[usize], ask: JoinParams) -> Result<FramePlan, PlanError> {
    let names = ["clips/a.mp4", "clips/b.mp4", "clips/c.mp4", "clips/d.mp4"];
    let size = Size::new(832, 480);
    let sources = lengths.iter().zip(names).map(|(&frames, name)| source(name, frames)).collect();
    join(sources, Film { fps: fps("16"), size, made_size: size }, &ask)
}

/// The contexts, gap, cuts and guide length of a plan's only seam.
fn numbers(plan: &FramePlan) -> ([usize; 2], usize, [usize; 2], usize) {
    let [seam] = &plan.seams[..] else { panic!("{} seams", plan.seams.len()) };
    (seam.used.context, seam.used.gap, seam.removed, seam.slots.len())
}

fn tuples(lengths: &[usize], clips: usize) -> Vec<Vec<usize>> {
    (0..clips).fold(vec![vec![]], |tuples, _| {
        tuples.iter().flat_map(|tuple| lengths.iter().map(|&length| [&tuple[..], &[length]].concat())).collect()
    })
}
