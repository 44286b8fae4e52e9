//! Stories as text for people.

use wanctl::pipeline::{
    inspect::{Journey, Planned, StoryInspection},
    options::{JourneyPaths, Parts, story::Story},
};

use crate::cmd::output::{
    show::{self, counted},
    show_plan, show_settings,
    show_task::Rows,
    ui,
};

/// A story: the travel that it tells, and whether it can be made here.
pub(crate) fn text(seen: &StoryInspection) -> String {
    let StoryInspection { story: Story { path, paths, preset, values: _ }, journey, plan, memory, problems } = seen;
    let mut rows = Rows::default();
    rows.row("story", told(paths, journey.as_ref().map(|journey| journey.resolved.options().parts)));
    if let Some(preset) = preset {
        rows.row("preset", preset);
    }
    match plan {
        Some(Planned { plan, sure: true, warnings }) => {
            rows.lines(show_plan::plan(plan, None).lines());
            warnings.iter().for_each(|warning| rows.row("note", &warning.message));
        }
        // Sizes and the film's length are those of files that are not here.
        Some(Planned { plan, sure: false, .. }) => rows.lines(show_plan::parts(plan)),
        None => {}
    }
    if let Some(Journey { resolved, because: _, lacks }) = journey {
        rows.lines(show_settings::lines(resolved.options()));
        if let Some(generation) = resolved.options().generation() {
            rows.lines(show_settings::samplers(generation).lines());
        }
        if let Some(memory) = memory {
            rows.row("memory", show_settings::memory_of(memory));
        }
        resolved.remarks().iter().for_each(|remark| rows.row("remark", remark));
        if let Some(lacks) = lacks {
            rows.row("not here", &lacks.message);
        }
    }
    problems.iter().for_each(|problem| rows.problem(&ui::indented(problem)));
    rows.row("verdict", seen.verdict());
    format!("{}\n{}", show::name(path), rows.text())
}

/// `4 images, 3 segments, 1 reference image`
fn told(JourneyPaths { images, continued, structure, references }: &JourneyPaths, parts: Option<Parts>) -> String {
    let several = [(structure, "structure clip"), (references, "reference image")];
    let several = several.iter().filter(|(files, _)| !files.is_empty());
    let parts = [
        Some(counted(images.len(), "image")),
        parts.map(|parts| parts.to_string()),
        continued.as_ref().map(|clip| format!("going on from {}", show::name(clip))),
    ];
    let beside = several.map(|(files, what)| counted(files.len(), what));
    parts.into_iter().flatten().chain(beside).collect::<Vec<_>>().join(", ")
}
