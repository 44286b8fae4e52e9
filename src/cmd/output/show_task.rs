//! A task as text for people.

use std::collections::BTreeMap;

use wanctl::pipeline::{
    frames::film::plain,
    inspect::{Planned, Resolved, TaskInspection, thresholds},
    media::MediaFile,
    plan::{FramePlan, Journey, LatentSpan, Mask, Segment, Slot},
    types::video::Size,
    worker_tasks::{Diagnosis, Ignored, KnownFault, Portion, Role, Row, Stitch, Task, TaskFile, Travel, Way, Work},
};

use crate::cmd::output::{
    show::{self, counted},
    show_settings, ui,
};

/// Rows of a table whose first column is a word.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<String>);

impl Rows {
    pub(crate) fn row(&mut self, word: &str, value: impl AsRef<str>) {
        for (number, line) in value.as_ref().lines().enumerate() {
            self.0.push(format!("  {:<9} {line}", if number == 0 { word } else { "" }));
        }
    }

    /// Lines whose first column is one narrower than here.
    pub(crate) fn lines<T: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = T>) {
        for line in lines {
            let (head, rest) = line.as_ref().split_at_checked(8).unwrap_or((line.as_ref(), ""));
            self.0.push(format!("  {head} {rest}"));
        }
    }

    /// As every problem of a file is shown.
    pub(crate) fn problem(&mut self, lines: &str) {
        self.0.push(lines.into());
    }

    pub(crate) fn text(&self) -> String {
        self.0.join("\n")
    }
}

/// What the task is, and what became of it.
fn head(task: &Task, rows: &mut Rows) {
    match &task.row {
        Some(Row { id, kind, status, created_at, error: _ }) => {
            let parts = [
                Some(kind.to_string()),
                id.clone(),
                status.clone(),
                created_at.as_ref().map(|day| format!("made {day}")),
            ];
            rows.row("task", parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
        }
        None => rows.row("task", "a run of wanctl"),
    }
    if let Some(era) = task.era {
        rows.row("era", era.to_string());
    }
}

/// The files that the task names. Many in a row that are missing alike are one line.
pub(crate) fn inputs<'a>(inputs: &[TaskFile], facts: impl Fn(&TaskFile) -> Option<&'a MediaFile>, rows: &mut Rows) {
    for run in inputs.chunk_by(|a, b| {
        a.role == b.role && a.role == Role::Image && a.file.is_none() && b.file.is_none() && a.why == b.why
    }) {
        let why = |input: &TaskFile| format!("not here: {}", input.why.as_deref().unwrap_or("not looked for"));
        match run {
            [first, _, _, .., last] => {
                rows.row(first.role.name(), format!("{}\n... ({} of them)", first.address, run.len()));
                rows.row("", format!("{}\n{}", last.address, why(last)));
            }
            few => {
                for input in few {
                    let TaskFile { role, place: _, address, weights, file, why: _ } = input;
                    let weights = weights.as_ref().map_or(String::new(), |weights| format!(", {weights}"));
                    match file {
                        Some(file) => {
                            rows.row(role.name(), format!("{}{weights}{}", file.display(), material(facts(input))));
                        }
                        None => rows.row(role.name(), format!("{address}{weights}\n{}", why(input))),
                    }
                }
            }
        }
    }
}

fn material(material: Option<&MediaFile>) -> String {
    let of = |size: Size| format!("{size}{}", if size == size.even() { "" } else { " (odd)" });
    match material {
        None => String::new(),
        Some(MediaFile::Still(still)) => format!(": {}", of(still.size)),
        Some(MediaFile::Clip(clip)) => {
            let sound = clip.sound.as_ref().map_or("no sound", |sound| sound.codec.as_str());
            let (size, codec) = (of(clip.picture.size), &clip.picture.codec);
            format!(": {} frames, {} fps, {size}, {codec}, {sound}", clip.frames, plain(clip.fps))
        }
    }
}

/// The seams that would be made; `sure`: with the clips' own lengths.
fn seams(seams: &[Segment], rows: &mut Rows) {
    for (
        number,
        Segment { range, mode, requested, used, removed, slots, latents, blend: _, between: _, references: _ },
    ) in seams.iter().enumerate()
    {
        let sum = |contexts: [usize; 2], gap: usize| format!("{} + {gap} + {}", contexts[0], contexts[1]);
        let word = format!("seam {}", number + 1);
        rows.row(
            &word,
            format!(
                "{}, asked {}, used {}: {} frames for the engine, {} of them to make",
                range.as_ref().map_or(mode.to_string(), |range| format!("{}..{}", range.start, range.end)),
                sum(requested.context, requested.gap),
                sum(used.context, used.gap),
                slots.len(),
                used.gap
            ),
        );
        if *removed != [0, 0] && range.is_none() {
            rows.row("", format!("{} and {} frames of the clips make room", removed[0], removed[1]));
        }
        rows.row("", format!("{} latents: {}", latents.len(), runs(latents)));
    }
}

/// `keep 0 to 2, generate 3 to 10, keep 11 to 13`
fn runs(latents: &[LatentSpan]) -> String {
    let mut at = 0;
    let runs = latents.chunk_by(|a, b| a.mask == b.mask).map(|run| {
        let first = at;
        at += run.len();
        let word = if run[0].mask == Mask::Keep { "keep" } else { "generate" };
        if run.len() == 1 { format!("{word} {first}") } else { format!("{word} {first} to {}", at - 1) }
    });
    runs.collect::<Vec<_>>().join(", ")
}

/// What is to be made where that is no join.
fn work(work: &Work, plan: Option<&FramePlan>, rows: &mut Rows) {
    match work {
        Work::Join | Work::Journey => {}
        Work::Ranges(portions) => {
            for Portion { frames, prompt } in portions {
                let prompt = prompt.as_ref().map_or(String::new(), |prompt| format!(", {prompt:?}"));
                rows.row(
                    "range",
                    format!("frames {}..{}, {} to make again{prompt}", frames.start, frames.end, frames.len()),
                );
            }
        }
        Work::Stitch(Stitch { by: _, cuts, overlaps, curve: _ }) => {
            let overlaps: Vec<_> = overlaps.iter().map(ToString::to_string).collect();
            rows.row("stitch", format!("{} pieces, overlapping by {}", cuts.len(), overlaps.join(", ")));
        }
        Work::Travel(Travel { way, size_asked, chained, segment }) => {
            let way = match way {
                Way::I2v => "image to video",
                Way::Vace => "by a guide (VACE)",
            };
            let segments = plan.map_or(String::new(), |plan| format!(", {}", counted(plan.seams.len(), "segment")));
            let alone = segment.map_or(String::new(), |segment| format!(", number {segment} of its way"));
            let chained = if *chained { ", each going on from the one before" } else { "" };
            rows.row("travel", format!("{way}{segments}{alone}{chained}"));
            let asked = plan.filter(|plan| plan.size != *size_asked);
            let size = asked.map_or(size_asked.to_string(), |plan| format!("{}, asked {size_asked}", plan.size));
            rows.row("size", size);
        }
    }
}

/// A journey's segments and images; those that are alike are one line.
fn journey(plan: &FramePlan, work: &Work, rows: &mut Rows) {
    let Some(Journey { keys, .. }) = &plan.journey else { return };
    let (vace, first) = match work {
        Work::Travel(Travel { way, segment, .. }) => (*way == Way::Vace, segment.unwrap_or(0)),
        _ => (false, 0),
    };
    let told: Vec<String> = plan.seams.iter().map(|seam| segment(seam, vace)).collect();
    let mut at = first;
    for run in told.chunk_by(|a, b| a == b) {
        let last = at + run.len() - 1;
        let numbers = if at == last { at.to_string() } else { format!("{at} to {last}") };
        rows.row("segment", format!("{numbers}: {}", run[0]));
        at = last + 1;
    }
    let frames: Vec<_> = keys.iter().map(|key| key.frame.to_string()).collect();
    let rate = plain(plan.fps);
    rows.row("film", format!("{} frames at {rate} fps; images at frames {}", plan.frames(), frames.join(", ")));
}

fn segment(Segment { slots, latents, .. }: &Segment, vace: bool) -> String {
    let mut shown = vec![];
    let mut at = 0;
    for run in slots.chunk_by(|a, b| a.is_known() == b.is_known()) {
        let last = at + run.len() - 1;
        if run[0].is_known() {
            shown.push(if at == last { at.to_string() } else { format!("{at} to {last}") });
        }
        at = last + 1;
    }
    let carried = slots.iter().filter(|slot| matches!(slot, Slot::Carry(_))).count();
    let carried = if carried > 0 { format!(", {carried} of them carried over") } else { String::new() };
    let kept = latents.iter().filter(|latent| latent.mask == Mask::Keep).count();
    // An image model has a mask of its own.
    let kept = if vace { format!(", {kept} of them marked as known") } else { String::new() };
    let (frames, latents) = (slots.len(), latents.len());
    format!("{frames} frames{carried}, {latents} latents{kept}; shown: {}", shown.join(" and "))
}

/// Keys without effect, those with one reason together.
fn ignored(word: &str, keys: &[Ignored], rows: &mut Rows) {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Ignored { place, reason } in keys {
        reasons.entry(reason).or_default().push(place);
    }
    for (reason, places) in reasons {
        rows.row(word, format!("{}: {reason}", places.join(", ")));
    }
}

/// What the worker would have met with it.
fn known_faults(faults: &[KnownFault], rows: &mut Rows) {
    for KnownFault { name, there, here } in faults {
        rows.row("fault", format!("{name}: {there}\nhere: {here}"));
    }
}

/// How the worker failed.
fn worker(task: &Task, rows: &mut Rows) {
    let Some(error) = task.row.as_ref().and_then(|row| row.error.as_ref()) else { return };
    rows.row("worker", format!("said: {error}"));
    let Some(Diagnosis { cause, blame: _, fault }) = task.diagnosis() else {
        return rows.row("", "why: these words are not known");
    };
    rows.row("", format!("why: {cause}{}", fault.map_or(String::new(), |fault| format!(" ({})", fault.name))));
}

/// What was resolved, under who said it, and what comes of it step by step.
fn values(resolved: &Resolved, rows: &mut Rows) {
    rows.lines(show_settings::lines(resolved.options()));
    let Some(generation) = resolved.options().generation() else { return };
    // Segments that are sampled otherwise have others.
    if generation.segments.is_empty() {
        let thresholds: Vec<_> = thresholds(&generation.sampling).iter().map(ToString::to_string).collect();
        if !thresholds.is_empty() {
            rows.row("", format!("its phases as thresholds: {}", thresholds.join(", ")));
        }
    }
    rows.lines(show_settings::samplers(generation).lines());
}

/// A task of the hosted worker, whole.
pub(crate) fn inspection(seen: &TaskInspection) -> String {
    let TaskInspection { path, task, files, resolved, plan, memory, faults, problems, placed: _ } = seen;
    let mut rows = Rows::default();
    head(task, &mut rows);
    inputs(&task.inputs, |input| files.of(input), &mut rows);
    if let Some(preset) = &task.preset {
        let here = resolved.as_ref().and_then(|(preset, _)| preset.as_ref());
        let here =
            here.filter(|here| here.name != *preset).map_or(String::new(), |here| format!(", here {}", here.name));
        rows.row("preset", format!("{preset}{here}"));
    }
    let of_plan = plan.as_ref().map(|Planned { plan, .. }| plan);
    work(&task.work, of_plan, &mut rows);
    if let Some(Planned { plan, sure, .. }) = plan {
        match plan.journey {
            Some(_) => journey(plan, &task.work, &mut rows),
            None => seams(&plan.seams, &mut rows),
        }
        if !sure && plan.journey.is_none() {
            rows.row("", "if the clips are long enough");
        }
    }
    let resolved = resolved.as_ref().map(|(_, resolved)| resolved);
    if let Some(resolved) = resolved {
        values(resolved, &mut rows);
    }
    if let Some(memory) = memory {
        rows.row("memory", show_settings::memory_of(memory));
    }
    ignored("differs", &task.differs, &mut rows);
    ignored("ignored", &task.ignored, &mut rows);
    task.conflicts.iter().for_each(|conflict| rows.row("conflict", conflict));
    let remarks = resolved.into_iter().flat_map(Resolved::remarks);
    remarks.for_each(|remark| rows.row("remark", remark));
    task.obstacles().for_each(|obstacle| rows.row("obstacle", obstacle));
    worker(task, &mut rows);
    known_faults(faults, &mut rows);
    problems.iter().for_each(|problem| rows.problem(&ui::indented(problem)));
    rows.row("verdict", seen.verdict());
    format!("{}\n{}", show::name(path), rows.text())
}
