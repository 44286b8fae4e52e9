//! A story: the travel that it tells, and whether it can be made here.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Memory, Planned, Resolved, kept, problem};
use crate::pipeline::{
    job::Device,
    media::Media,
    options::story::Story,
    run::{
        engine::Engine,
        error::{Error, Result},
        project::Project,
        resolver::{OptionResolver, OptionSources, TRAVELS},
    },
    types::{
        error::ErrorReport,
        progress::{Progress, Stage},
    },
    weights::{CheckpointError, Places, Surroundings},
    worker_tasks::{Era, InputPaths},
};

/// What the story comes to over its preset.
#[derive(Debug)]
pub struct Journey {
    pub resolved: Resolved,
    /// Why that engine makes it, where nobody says which.
    pub because: Option<String>,
    /// The weights that are not here: those of a run would have to be.
    pub lacks: Option<ErrorReport>,
}

impl Journey {
    fn of(
        story: &Story,
        (era, models): (Option<Era>, &[PathBuf]),
        program: &Engine,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let resolver = |program| {
            let sources =
                OptionSources { era, story: Some(story), models, program, shown: TRAVELS, ..OptionSources::default() };
            OptionResolver::new(sources, progress)
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
            None => Some(resolver.resolve(content, None, progress)),
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
        Ok(Self { resolved, because, lacks: lacks.map(|error| ErrorReport::new(&error, Stage::Settings)) })
    }
}

/// Whether all that is wrong is that weights are not here.
fn is_for_weights(error: &Error) -> bool {
    matches!(error, Error::Weights(CheckpointError::NotFound { .. }))
}

/// A story, and what was found out about it.
#[derive(Debug)]
pub struct StoryInspection {
    pub story: Story,
    pub journey: Option<Journey>,
    pub plan: Option<Planned>,
    pub memory: Option<Memory>,
    pub problems: Vec<ErrorReport>,
}

impl StoryInspection {
    /// Of a story; `program` is asked what it can hold where the story names no engine.
    pub fn of(
        story: Story,
        (era, models): (Option<Era>, &[PathBuf]),
        program: &Engine,
        media: &Media,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let files: Vec<PathBuf> = story.paths.all().cloned().collect();
        let mut problems = vec![];
        progress.begin(Stage::Probe, 0);
        let tone_map = story.values.common.tone_map.unwrap_or(false);
        for error in media.probe_usable(&files, story.values.tracks(), tone_map).into_iter().filter_map(Result::err) {
            match error.is_about_the_file() {
                true => problems.push(problem(Error::from(error), Stage::Probe)?),
                false => return Err(error.into()),
            }
        }
        let all_here = problems.is_empty();
        progress.begin(Stage::Settings, 0);
        let (journey, unresolved) = kept(Journey::of(&story, (era, models), program, progress).map(Some));
        problems.extend(unresolved.map(|error| problem(error, Stage::Settings)).transpose()?);
        progress.begin(Stage::Plan, 0);
        let planned = journey.as_ref().map(|journey| Planned::of(&journey.resolved.project, all_here, false, media));
        let (plan, refused) = kept(planned.transpose());
        problems.extend(refused.map(|error| problem(error, Stage::Plan)).transpose()?);
        let places = Places::new(models, Surroundings::here());
        let both = journey.as_ref().zip(plan.as_ref());
        let memory = both.and_then(|(journey, planned)| journey.resolved.memory(&planned.plan, &places));
        Ok(Self { story, journey, plan, memory, problems })
    }

    /// Whether a run would not be refused. Weights that are not here refuse nothing: the work can be meant for elsewhere.
    pub fn possible(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn verdict(&self) -> String {
        let weights = self.journey.as_ref().is_some_and(|journey| journey.lacks.is_some());
        let input = if self.possible() { "no input problem found" } else { "a run would be refused" };
        format!("{input}{}", if weights { "; weights are not here" } else { "" })
    }

    pub fn json(&self) -> Value {
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
            "lacks": journey.as_ref().and_then(|journey| journey.lacks.as_ref()).map(ErrorReport::remark),
            "problems": problems,
            "possible": self.possible(),
            "verdict": self.verdict(),
        })
    }
}
