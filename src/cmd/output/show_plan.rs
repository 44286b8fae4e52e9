//! A plan as text for people.

use std::path::Path;

use wanctl::pipeline::{
    frames::film::plain,
    options::Part,
    plan::{FramePlan, Journey, Key, Mode, Origin, Segment, Slot, Source, Stretch, TimelineItem},
    types::video::Time,
};

use crate::cmd::output::show::{counted, name};

/// What the film will be, each seam or segment, where every frame comes from, and where each image stands.
pub(crate) fn plan(plan: &FramePlan, output: Option<&Path>) -> String {
    let mut lines = vec![];
    if let Some(output) = output {
        lines.push(format!("film     {}", output.display()));
    }
    let (frames, size, rate) = (plan.frames(), plan.size, plain(plan.fps));
    let made = if plan.made_size == size { String::new() } else { format!(", made at {}", plan.made_size) };
    lines.push(format!("         {frames} frames, {:.3} s, {rate} fps, {size}{made}", decimal(plan.duration())));
    lines.extend(plan.inputs.iter().enumerate().map(|(number, source)| input(number, source)));
    lines.extend(parts(plan));
    let mut at = 0;
    for piece in &plan.timeline {
        let frames = piece.frames();
        let span = format!("{at}..{}", at + frames.len());
        lines.push(format!("{:<8} {span:<13} {}", if at == 0 { "timeline" } else { "" }, shown(plan, piece)));
        at += frames.len();
    }
    if let Some(Journey { keys, .. }) = &plan.journey {
        for (number, Key { input, frame }) in keys.iter().enumerate() {
            let head = if number == 0 { "images" } else { "" };
            let time = exact(plan.fps.time_of(*frame));
            lines.push(format!("{head:<8} frame {frame:<7} {time:<13} {}", name(&plan.inputs[*input].path)));
        }
    }
    lines.join("\n")
}

/// Each seam or segment.
pub(crate) fn parts(plan: &FramePlan) -> Vec<String> {
    let part = |number| match plan.journey {
        Some(_) => segment(plan, number),
        None => seam(plan, number),
    };
    (0..plan.seams.len()).flat_map(part).collect()
}

fn input(number: usize, Source { path, frames, fps, size, resampled_frames, still }: &Source) -> String {
    let number = number + 1;
    if *still {
        return format!("image {number:<2} {}: {size}", name(path));
    }
    let resampled = resampled_frames.map_or(String::new(), |frames| format!(", {frames} at the film's rate"));
    format!("clip {number:<3} {}: {frames} frames, {} fps, {size}{resampled}", name(path), plain(*fps))
}

fn seam(plan: &FramePlan, number: usize) -> Vec<String> {
    let name = |input: usize| name(&plan.inputs[input].path);
    let Segment { between: [left, right], range, mode, requested, used, removed, blend, slots, .. } =
        &plan.seams[number];
    let sum = |contexts: [usize; 2], gap: usize| format!("{} + {gap} + {}", contexts[0], contexts[1]);
    let what = match range {
        Some(range) => format!("{} {}..{}, made again", name(*left), range.start, range.end),
        None => format!("{} to {}, {mode}", name(*left), name(*right)),
    };
    let mut lines = vec![
        format!("seam {:<3} {what}", number + 1),
        format!(
            "         asked {}, used {}: {} frames for the engine, {} of them to make",
            sum(requested.context, requested.gap),
            sum(used.context, used.gap),
            slots.len(),
            used.gap
        ),
    ];
    if *mode == Mode::Replace && range.is_none() {
        lines.push(format!(
            "         {} frames of {} and {} of {} make room",
            removed[0],
            name(*left),
            removed[1],
            name(*right)
        ));
    }
    if *blend != [0, 0] {
        lines.push(format!("         fading over {} and {} frames", blend[0], blend[1]));
    }
    let hints = slots.iter().filter(|slot| matches!(slot, Slot::Hint(_))).count();
    if hints > 0 {
        let frames = counted(hints, "frame");
        lines.push(format!("         {frames} beside it made too and not used: of one latent with made ones"));
    }
    let anchors: Vec<String> = slots
        .iter()
        .enumerate()
        .filter(|(_, slot)| matches!(slot, Slot::Anchor(_)))
        .map(|(index, _)| index.to_string())
        .collect();
    if !anchors.is_empty() {
        lines.push(format!("         anchored at {}", anchors.join(", ")));
    }
    lines
}

fn segment(plan: &FramePlan, number: usize) -> Vec<String> {
    let Segment { slots, used, references, .. } = &plan.seams[number];
    let count = |wanted: fn(&Slot) -> bool| slots.iter().filter(|slot| wanted(slot)).count();
    let carried = count(|slot| matches!(slot, Slot::Carry(_)));
    let still = |slot: &Slot| match slot {
        Slot::Keep(frame) => match frame.origin {
            Origin::Input(input) => Some(name(&plan.inputs[input].path)),
            Origin::Gap(_) => None,
        },
        _ => None,
    };
    let before = slots.iter().take(carried + 1).find_map(still);
    let from = match (before, carried, number) {
        (Some(image), 0, _) => image,
        (Some(image), carried, _) => format!("{} of what stands before and {image}", counted(carried, "frame")),
        (None, carried, _) => format!("{} of what stands before", counted(carried, "frame")),
    };
    let way = match slots.last().and_then(still).filter(|_| used.context[1] > 0) {
        Some(to) => format!("{from} to {to}"),
        None => format!("on from {from}"),
    };
    let mut line = format!("{} frames for the engine, {} of them to make", slots.len(), used.gap);
    let anchors = count(|slot| matches!(slot, Slot::Anchor(_)));
    if anchors > 0 {
        line += &format!(", {anchors} showing the last image too, to fill its latent");
    }
    let mut lines = vec![format!("{} {} {way}", Part::Segment, number + 1), format!("         {line}")];
    let guided = count(|slot| matches!(slot, Slot::Structure(_)));
    if guided > 0 {
        lines.push(format!("         {} guided by a structure clip", counted(guided, "frame")));
    }
    if !references.is_empty() {
        lines.push(format!("         beside {}", counted(references.len(), "reference image")));
    }
    lines
}

fn shown(plan: &FramePlan, piece: &TimelineItem) -> String {
    let name = |input: usize| name(&plan.inputs[input].path);
    let part = if plan.journey.is_some() { Part::Segment } else { Part::Seam };
    match piece {
        TimelineItem::Copy { input, frames } => format!("{} {}..{}", name(*input), frames.start, frames.end),
        TimelineItem::Made { seam, frames } if part == Part::Seam => {
            format!("made at seam {} ({} frames)", seam + 1, frames.len())
        }
        TimelineItem::Made { seam, frames } => format!("{part} {} ({} frames)", seam + 1, frames.len()),
        TimelineItem::Blend { input, frames, seam, .. } => {
            format!("{} {}..{} fading with seam {}", name(*input), frames.start, frames.end, seam + 1)
        }
        TimelineItem::Cross { from, to, .. } => {
            let place = |stretch: &Stretch| match stretch.origin {
                Origin::Input(input) => name(input),
                Origin::Gap(seam) => format!("{part} {}", seam + 1),
            };
            format!("{} fading into {} ({} frames)", place(from), place(to), from.frames.len())
        }
    }
}

fn decimal(time: Time) -> f64 {
    *time.numer() as f64 / *time.denom() as f64
}

/// `3.2 s`, and `10/3 s` where no three decimals say it.
fn exact(time: Time) -> String {
    match (time * 1000).is_integer() {
        true => format!("{} s", decimal(time)),
        false => format!("{}/{} s", time.numer(), time.denom()),
    }
}
