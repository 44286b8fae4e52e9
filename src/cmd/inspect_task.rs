//! `wanctl inspect` of a task: what it asks for, what it would come to here, and why it failed where it came from.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use wanctl::pipeline::{
    error::{Error, Result},
    inspect::{Planned, project_of_task},
    media::{Media, MediaFile},
    options::{Layer, Preset},
    types::error::ErrorReport,
    weights::{Places, Surroundings},
    worker_tasks::{self, Blame, Era, KnownFault, Role, Task, TaskFile},
};

use super::{
    Ui,
    resolved::{Memory, Resolved},
    show,
    show_task::{self, Rows},
    task::PlaceArgs,
    ui::{self, Answer},
};

/// What a task or a story may be looked at with.
pub(crate) struct About<'a> {
    pub(crate) era: Option<Era>,
    /// Folders where weights and LoRAs may lie.
    pub(crate) models: &'a [PathBuf],
}

/// One task, whole.
pub(crate) fn inspect(path: &Path, place: &PlaceArgs, about: &About<'_>, media: &Media, ui: &Ui) -> Result<Answer> {
    let &About { era, models } = about;
    let (mut task, placed) = place.open(path, era, media)?;
    let places = Places::new(models, Surroundings::here());
    task.find_loras(&places);
    let mut files = Files::probe(&task, media);
    let (resolved, unresolved) = kept(resolve(&task).map(Some));
    let (plan, refused) = match &resolved {
        Some((_, resolved)) if files.problems.is_empty() => {
            let needed = task.inputs.iter().filter(|input| !matches!(input.role, Role::Audio | Role::Lora));
            let all_here = needed.clone().all(|input| input.file.is_some());
            kept(Planned::of(&resolved.project, all_here, task.film.lossless.unwrap_or(false), media).map(Some))
        }
        _ => (None, None),
    };
    let mut faults: Vec<KnownFault> =
        task.faults().chain(task.diagnosis().and_then(|diagnosis| diagnosis.fault)).collect();
    faults.sort_by_key(|fault| fault.name);
    faults.dedup();
    let errors = files.problems.drain(..).chain(unresolved).chain(refused);
    let problems = errors.map(|error| ui.problem(error)).collect::<Result<Vec<ErrorReport>>>()?;
    let both = resolved.as_ref().zip(plan.as_ref());
    let memory = both.and_then(|((_, resolved), planned)| resolved.memory(&planned.plan, &places));
    let seen = Seen { path, files, resolved, plan, memory, faults, problems, placed, task };
    ui.event("task", &seen.json());
    if !ui.json() {
        ui.print(&seen.text());
    }
    Ok(if seen.possible() { Answer::Yes } else { Answer::No })
}

/// The task's settings over its preset's, as far as no weights are needed for it.
fn resolve(task: &Task) -> Result<(Option<Preset>, Resolved)> {
    let preset = task.preset.as_deref().map(Preset::find).transpose()?;
    let of_preset = preset.as_ref().map(|preset| worker_tasks::preset_of_era(preset, task.era));
    let layers: Vec<Layer> = of_preset.into_iter().chain([task.layer()]).collect();
    Ok((preset, Resolved { project: project_of_task(task, &layers)?, layers }))
}

/// What there is, and why there is none.
pub(crate) fn kept<T>(found: Result<Option<T>>) -> (Option<T>, Option<Error>) {
    match found {
        Ok(found) => (found, None),
        Err(error) => (None, Some(error)),
    }
}

/// A task, and what was found out about it.
struct Seen<'a> {
    path: &'a Path,
    task: Task,
    files: Files,
    /// With its preset.
    resolved: Option<(Option<Preset>, Resolved)>,
    plan: Option<Planned>,
    memory: Option<Memory>,
    faults: Vec<KnownFault>,
    problems: Vec<ErrorReport>,
    /// Whether anything was said of where its files lie.
    placed: bool,
}

impl Seen<'_> {
    fn missing(&self) -> usize {
        self.task.inputs.iter().filter(|input| input.file.is_none()).count()
    }

    /// Whether a run would not be refused. What nobody mapped refuses nothing; what was looked for and is not there does.
    fn possible(&self) -> bool {
        self.problems.is_empty() && self.task.obstacles().next().is_none() && (self.missing() == 0 || !self.placed)
    }

    fn verdict(&self) -> String {
        let missing = match self.missing() {
            0 => String::new(),
            1 => "; one file is not here".into(),
            missing => format!("; {missing} files are not here"),
        };
        let diagnosis = self.task.diagnosis();
        let input = match (self.problems.len(), self.task.obstacles().count()) {
            (0, 0) => match diagnosis {
                Some(diagnosis) if diagnosis.blame == Blame::Worker => {
                    let fault = diagnosis.fault.map_or(String::new(), |fault| format!(" ({})", fault.name));
                    format!("no input problem found: the worker failed by a fault of its own{fault}")
                }
                Some(diagnosis) => format!("the worker refused it: {}", diagnosis.cause),
                None => "no input problem found".into(),
            },
            (0, _) => "it cannot be done here as it is".into(),
            (_, _) => "a run would be refused".into(),
        };
        input + &missing
    }

    fn json(&self) -> Value {
        let Self { path, task, files, resolved, plan, memory, faults, problems, placed: _ } = self;
        let Task { path: _, row, era, work, preset, film, inputs, ignored, differs, conflicts, .. } = task;
        let inputs: Vec<Value> = inputs
            .iter()
            .map(|input| {
                let mut value = json!(input);
                if let Some(material) = files.of(input) {
                    value["facts"] = json!(material);
                }
                value
            })
            .collect();
        let resolved = resolved.as_ref().map(|(_, resolved)| resolved);
        json!({
            "path": path,
            "task": row,
            "era": era,
            "preset": preset,
            "settings": resolved.map(Resolved::options),
            "sampler": resolved.and_then(Resolved::sampler),
            "memory": memory.as_ref().map(Memory::json),
            "film": film,
            "inputs": inputs,
            "work": work,
            "plan": plan.as_ref().map(Planned::json),
            "ignored": ignored,
            "differs": differs,
            "conflicts": conflicts,
            "remarks": resolved.map_or(vec![], Resolved::remarks),
            "obstacles": task.obstacles().collect::<Vec<_>>(),
            "faults": faults,
            "worker": { "error": row.as_ref().and_then(|row| row.error.clone()), "diagnosis": task.diagnosis() },
            "problems": problems,
            "possible": self.possible(),
            "verdict": self.verdict(),
        })
    }

    fn text(&self) -> String {
        let Self { path, task, files, resolved, plan, memory, faults, problems, placed: _ } = self;
        let mut rows = Rows::default();
        show_task::head(task, &mut rows);
        show_task::inputs(&task.inputs, |input| files.of(input), &mut rows);
        if let Some(preset) = &task.preset {
            let here = resolved.as_ref().and_then(|(preset, _)| preset.as_ref());
            let here =
                here.filter(|here| here.name != *preset).map_or(String::new(), |here| format!(", here {}", here.name));
            rows.row("preset", format!("{preset}{here}"));
        }
        let of_plan = plan.as_ref().map(|Planned { plan, .. }| plan);
        show_task::work(&task.work, of_plan, &mut rows);
        if let Some(Planned { plan, sure, .. }) = plan {
            match plan.journey {
                Some(_) => show_task::journey(plan, &task.work, &mut rows),
                None => show_task::seams(&plan.seams, &mut rows),
            }
            if !sure && plan.journey.is_none() {
                rows.row("", "if the clips are long enough");
            }
        }
        let resolved = resolved.as_ref().map(|(_, resolved)| resolved);
        if let Some(resolved) = resolved {
            show_task::resolved(resolved, &mut rows);
        }
        if let Some(memory) = memory {
            rows.row("memory", memory.text());
        }
        show_task::ignored("differs", &task.differs, &mut rows);
        show_task::ignored("ignored", &task.ignored, &mut rows);
        task.conflicts.iter().for_each(|conflict| rows.row("conflict", conflict));
        let remarks = resolved.into_iter().flat_map(Resolved::remarks);
        remarks.for_each(|remark| rows.row("remark", remark));
        task.obstacles().for_each(|obstacle| rows.row("obstacle", obstacle));
        show_task::worker(task, &mut rows);
        show_task::faults(faults, &mut rows);
        problems.iter().for_each(|problem| rows.problem(&ui::indented(problem)));
        rows.row("verdict", self.verdict());
        format!("{}\n{}", show::name(path), rows.text())
    }
}

/// What is known of the task's own files; by their places among its inputs.
struct Files {
    facts: Vec<(TaskFile, MediaFile)>,
    problems: Vec<Error>,
}

impl Files {
    fn probe(task: &Task, media: &Media) -> Self {
        let pictures = |input: &&TaskFile| {
            matches!(input.role, Role::Clip | Role::Image | Role::Guide | Role::Reference | Role::Transition)
        };
        let here: Vec<_> = task.inputs.iter().filter(pictures).filter(|input| input.file.is_some()).collect();
        let paths: Vec<_> = here.iter().filter_map(|input| input.file.clone()).collect();
        let (mut facts, mut problems) = (vec![], vec![]);
        for (input, probed) in here.into_iter().zip(media.probe_usable(
            &paths,
            task.values.tracks(),
            task.values.common.tone_map.unwrap_or(false),
        )) {
            match probed {
                Ok(material) => facts.push((input.clone(), material)),
                Err(error) => problems.push(Error::from(error)),
            }
        }
        for file in task.inputs.iter().filter(|input| input.role == Role::Audio).filter_map(|input| input.file.as_ref())
        {
            problems.extend(media.probe_sound(file).err().map(Error::from));
        }
        Self { facts, problems }
    }

    fn of(&self, input: &TaskFile) -> Option<&MediaFile> {
        self.facts.iter().find(|(other, _)| other == input).map(|(_, material)| material)
    }
}
