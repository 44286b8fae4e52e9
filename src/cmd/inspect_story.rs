//! `wanctl inspect` of a story: the journey that it tells, and whether it can be made here.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use wanctl::pipeline::{
    error::{Error, Result},
    inspect::Planned,
    job::Device,
    media::Media,
    options::{JourneyPaths, Parts, story::Story},
    run::{
        engine::Engine,
        project::Project,
        resolver::{OptionResolver, OptionSources, TRAVELS},
    },
    types::{
        error::ErrorReport,
        progress::{Progress, Stage},
    },
    weights::{CheckpointError, Places, Surroundings},
    worker_tasks::InputPaths,
};

use super::{
    Ui,
    inspect_task::{About, kept},
    resolved::{Memory, Resolved},
    show::{self, counted},
    show_plan, show_settings,
    show_task::Rows,
    ui::{self, Answer},
};

/// One story, whole. `program` is asked what it can hold where the story names no engine.
pub(crate) fn inspect(path: &Path, about: &About<'_>, program: &Engine, media: &Media, ui: &Ui) -> Result<Answer> {
    ui.begin(Stage::Settings, 0);
    let story = Story::read(path)?;
    let files: Vec<PathBuf> = story.paths.all().cloned().collect();
    let mut problems = vec![];
    ui.begin(Stage::Probe, 0);
    for error in media
        .probe_usable(&files, story.values.tracks(), story.values.common.tone_map.unwrap_or(false))
        .into_iter()
        .filter_map(Result::err)
    {
        match error.is_about_the_file() {
            true => problems.push(ui.problem(Error::from(error))?),
            false => return Err(error.into()),
        }
    }
    let all_here = problems.is_empty();
    // Each is told with its stage.
    let mut tell = |error: Option<Error>| -> Result<()> {
        problems.extend(error.map(|error| ui.problem(error)).transpose()?);
        Ok(())
    };
    ui.begin(Stage::Settings, 0);
    let (journey, unresolved) = kept(Journey::of(&story, about, program, ui).map(Some));
    tell(unresolved)?;
    ui.begin(Stage::Plan, 0);
    let planned = journey.as_ref().map(|journey| Planned::of(&journey.resolved.project, all_here, false, media));
    let (plan, refused) = kept(planned.transpose());
    tell(refused)?;
    ui.end_progress();
    let places = Places::new(about.models, Surroundings::here());
    let both = journey.as_ref().zip(plan.as_ref());
    let memory = both.and_then(|(journey, planned)| journey.resolved.memory(&planned.plan, &places));
    let seen = Seen { story, journey, plan, memory, problems };
    ui.event("story", &seen.json());
    if !ui.json() {
        ui.print(&seen.text());
    }
    Ok(if seen.possible() { Answer::Yes } else { Answer::No })
}

/// What the story comes to over its preset.
struct Journey {
    resolved: Resolved,
    /// Why that engine makes it, where nobody says which.
    because: Option<String>,
    /// The weights that are not here: those of a run would have to be.
    lacks: Option<ErrorReport>,
}

impl Journey {
    fn of(story: &Story, &About { era, models }: &About<'_>, program: &Engine, ui: &Ui) -> Result<Self> {
        let resolver = |program| {
            let sources =
                OptionSources { era, story: Some(story), models, program, shown: TRAVELS, ..OptionSources::default() };
            OptionResolver::new(sources, ui)
        };
        let inputs = InputPaths::Journey(story.paths.clone());
        let content = inputs.content();
        let (mut resolver, mut lacks) = match resolver(Some((program, Device::Auto))) {
            Err(error) if is_for_weights(&error) => (resolver(None)?, Some(error)),
            resolver => (resolver?, None),
        };
        resolver.resolve_without_weights(content)?;
        let found = match lacks {
            Some(_) => None,
            None => Some(resolver.resolve(content, None, ui)),
        };
        let options = match found {
            Some(Ok(options)) => options,
            Some(Err(error)) if !is_for_weights(&error) => return Err(error),
            missing => {
                lacks = lacks.or(missing.and_then(Result::err));
                resolver.resolve_by_names(content)?
            }
        };
        let because = resolver.because.clone();
        let resolved = Resolved { project: Project { inputs, options }, layers: resolver.layers };
        Ok(Self { resolved, because, lacks: lacks.map(|error| ui.failure(&error)) })
    }
}

/// Whether all that is wrong is that weights are not here.
fn is_for_weights(error: &Error) -> bool {
    matches!(error, Error::Weights(CheckpointError::NotFound { .. }))
}

/// A story, and what was found out about it.
struct Seen {
    story: Story,
    journey: Option<Journey>,
    plan: Option<Planned>,
    memory: Option<Memory>,
    problems: Vec<ErrorReport>,
}

impl Seen {
    /// Whether a run would not be refused. Weights that are not here refuse nothing: the work can be meant for elsewhere.
    fn possible(&self) -> bool {
        self.problems.is_empty()
    }

    fn verdict(&self) -> String {
        let weights = self.journey.as_ref().is_some_and(|journey| journey.lacks.is_some());
        let input = if self.possible() { "no input problem found" } else { "a run would be refused" };
        format!("{input}{}", if weights { "; weights are not here" } else { "" })
    }

    fn json(&self) -> Value {
        let Self { story: Story { path, paths, preset, values: _ }, journey, plan, memory, problems } = self;
        let resolved = journey.as_ref().map(|journey| &journey.resolved);
        json!({
            "path": path,
            "preset": preset,
            "files": paths,
            "settings": resolved.map(|resolved| json!({ "plan": resolved.options(), "wan": resolved.options().generation() })),
            "engine_because": journey.as_ref().and_then(|journey| journey.because.as_ref()),
            "plan": plan.as_ref().map(Planned::json),
            "warnings": plan.as_ref().map_or(&[][..], |planned| &planned.warnings),
            "memory": memory.as_ref().map(Memory::json),
            "remarks": resolved.map_or(vec![], Resolved::remarks),
            "lacks": journey.as_ref().and_then(|journey| journey.lacks.as_ref()).map(ui::remark),
            "problems": problems,
            "possible": self.possible(),
            "verdict": self.verdict(),
        })
    }

    fn text(&self) -> String {
        let Self { story: Story { path, paths, preset, values: _ }, journey, plan, memory, problems } = self;
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
                rows.row("memory", memory.text());
            }
            resolved.remarks().iter().for_each(|remark| rows.row("remark", remark));
            if let Some(lacks) = lacks {
                rows.row("not here", &lacks.message);
            }
        }
        problems.iter().for_each(|problem| rows.problem(&ui::indented(problem)));
        rows.row("verdict", self.verdict());
        format!("{}\n{}", show::name(path), rows.text())
    }
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
