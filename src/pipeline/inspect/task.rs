//! A task of the hosted worker: what it asks for, what it would come to here, and why it failed where it came from.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Memory, Planned, Resolved, kept, problem, project_of_task};
use crate::pipeline::{
    media::{Media, MediaFile},
    options::{Layer, Preset},
    run::error::{Error, Result},
    types::{error::ErrorReport, progress::Stage},
    weights::Places,
    worker_tasks::{self, Blame, KnownFault, Role, Task, TaskFile},
};

/// A task, and what was found out about it.
#[derive(Debug)]
pub struct TaskInspection {
    pub path: PathBuf,
    pub task: Task,
    pub files: Files,
    /// With its preset.
    pub resolved: Option<(Option<Preset>, Resolved)>,
    pub plan: Option<Planned>,
    pub memory: Option<Memory>,
    pub faults: Vec<KnownFault>,
    pub problems: Vec<ErrorReport>,
    /// Whether anything was said of where its files lie.
    pub placed: bool,
}

impl TaskInspection {
    /// Of a task whose files were looked for; `placed`: whether anything was said of where they lie.
    pub fn of(mut task: Task, placed: bool, places: &Places, media: &Media) -> Result<Self> {
        task.find_loras(places);
        let (files, errors) = Files::probe(&task, media);
        let (resolved, unresolved) = kept(resolve(&task).map(Some));
        let (plan, refused) = match &resolved {
            Some((_, resolved)) if errors.is_empty() => {
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
        let errors = errors.into_iter().map(|error| (error, Stage::Probe));
        let errors = errors.chain(unresolved.map(|error| (error, Stage::Settings)));
        let errors = errors.chain(refused.map(|error| (error, Stage::Plan)));
        let problems = errors.map(|(error, stage)| problem(error, stage)).collect::<Result<_>>()?;
        let both = resolved.as_ref().zip(plan.as_ref());
        let memory = both.and_then(|((_, resolved), planned)| resolved.memory(&planned.plan, places));
        let path = task.path.clone();
        Ok(Self { path, task, files, resolved, plan, memory, faults, problems, placed })
    }

    pub fn missing(&self) -> usize {
        self.task.inputs.iter().filter(|input| input.file.is_none()).count()
    }

    /// Whether a run would not be refused. What nobody mapped refuses nothing; what was looked for and is not there does.
    pub fn possible(&self) -> bool {
        self.problems.is_empty() && self.task.obstacles().next().is_none() && (self.missing() == 0 || !self.placed)
    }

    pub fn verdict(&self) -> String {
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

    pub fn json(&self) -> Value {
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
}

/// The task's options over its preset's, as far as no weights are needed for it.
fn resolve(task: &Task) -> Result<(Option<Preset>, Resolved)> {
    let preset = task.preset.as_deref().map(Preset::find).transpose()?;
    let of_preset = preset.as_ref().map(|preset| worker_tasks::preset_of_era(preset, task.era));
    let layers: Vec<Layer> = of_preset.into_iter().chain([task.layer()]).collect();
    Ok((preset, Resolved { project: project_of_task(task, &layers)?, layers }))
}

/// What is known of the task's own files; by their places among its inputs.
#[derive(Debug)]
pub struct Files(Vec<(TaskFile, MediaFile)>);

impl Files {
    fn probe(task: &Task, media: &Media) -> (Self, Vec<Error>) {
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
        (Self(facts), problems)
    }

    pub fn of(&self, input: &TaskFile) -> Option<&MediaFile> {
        self.0.iter().find(|(other, _)| other == input).map(|(_, material)| material)
    }
}
