//! Tasks of the hosted worker, and runs of wanctl itself, as one layer of settings: what to do, with which files, and what
//! of it cannot be done here. Nothing of the worker is elsewhere.

use clap::ValueEnum;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use strum::{Display, EnumString};

use serde::{Deserialize, Serialize};

mod assets;
mod draft;
mod envelope;
mod era;
mod error;
mod faults;
mod join;
mod json;
mod kind;
mod loras;
mod phase_config;
mod ranges;
mod recorded;
mod sampling;
mod stitch;
mod travel;

#[cfg(test)]
mod tests;

pub use assets::{Assets, Mapping};
pub use envelope::{Row, looks_like_json};
pub use era::{Era, changed_between_eras, preset_of_era};
pub use error::TaskError;
pub use faults::{Blame, Diagnosis, KnownFault};
pub use json::Ignored;
pub use json::WrongValue;
pub use kind::Kind;
pub use phase_config::thresholds;
pub use ranges::Portion;
pub use recorded::{InputPaths, Recorded};
pub use stitch::Stitch;
pub use travel::{Travel, Way};

use crate::pipeline::{
    options::{EngineChoice, EngineSettings, FilmOptions, JourneyPaths, Layer, Options, Source},
    plan::Align,
    system::file_names,
    weights::Places,
};
use assets::{Home, file_name};
use draft::Draft;
use envelope::Envelope;
use json::Notes;

/// What a task asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub path: PathBuf,
    /// None for a run of wanctl.
    pub row: Option<Row>,
    pub era: Option<Era>,
    pub work: Work,
    pub preset: Option<String>,
    pub values: Options,
    pub film: FilmOptions,
    /// How the run's engine worked.
    pub engine: Option<EngineSettings>,
    pub inputs: Vec<TaskFile>,
    /// Keys that change nothing, here or there.
    pub ignored: Vec<Ignored>,
    /// Keys that changed something there and do not here.
    pub differs: Vec<Ignored>,
    pub conflicts: Vec<String>,
    /// What the worker had a vision model write.
    by_a_model: Vec<String>,
    /// What cannot be done at all.
    cannot: Vec<String>,
    faults: BTreeSet<&'static str>,
}

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    Join,
    Ranges(Vec<Portion>),
    /// A journey that wanctl made.
    Journey,
    Stitch(Stitch),
    Travel(Travel),
}

/// A file that a task names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskFile {
    pub role: Role,
    pub place: String,
    pub address: String,
    /// Of a LoRA, as the task has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Where it lies here.
    pub file: Option<PathBuf>,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl TaskFile {
    fn new(role: Role, place: String, address: String) -> Self {
        Self { role, place, address, weights: None, file: None, why: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Clip,
    Image,
    Audio,
    Lora,
    /// A clip that guides what is made.
    Guide,
    /// A picture of what things look like.
    Reference,
    Transition,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Lora => "lora",
            Self::Guide => "guide",
            Self::Reference => "reference",
            Self::Transition => "piece",
        }
    }
}

impl Task {
    /// A task, or a run.json. `kind` is what bare params are; `era` what the day does not say.
    pub fn read(path: &Path, kind: Option<Kind>, era: Option<Era>) -> Result<Self, TaskError> {
        let object = envelope::object(path)?;
        if object.contains_key("wanctl") && object.contains_key("run") {
            return recorded::of_run(path, object);
        }
        let Envelope { row, params, notes } = Envelope::open(path, object, kind)?;
        // A name that went out of use with that era's end is older than a day that nobody wrote down.
        let old_name = params.at("model").is_some_and(|model| model.value() == "lightning_baseline_2_2_2");
        let era = era.or(row.day().map(Era::of_day)).unwrap_or(if old_name { Era::Oct25 } else { Era::V2 });
        let mut draft = Draft::new(era, &notes);
        let work = match row.kind {
            Kind::JoinClips | Kind::JoinSegment => {
                join::clips(&params, &mut draft);
                Some(Work::Join)
            }
            Kind::JoinOrchestrator => {
                join::chain(&params, &mut draft);
                Some(Work::Join)
            }
            Kind::Inpaint => ranges::inpaint(&params, &mut draft).map(Work::Ranges),
            Kind::EditVideo => ranges::edit(&params, &mut draft).map(Work::Ranges),
            Kind::JoinStitch => stitch::of_join(&params, &mut draft).map(Work::Stitch),
            Kind::TravelStitch => stitch::of_travel(&params, &mut draft).map(Work::Stitch),
            Kind::TravelOrchestrator => travel::whole(&params, &mut draft).map(Work::Travel),
            Kind::TravelSegment => travel::segment(&params, false, &mut draft).map(Work::Travel),
            Kind::IndividualSegment => travel::segment(&params, true, &mut draft).map(Work::Travel),
        };
        // What the worker did it with, and how: nothing else is the same task.
        draft.values.common.engine = Some(match &work {
            Some(Work::Stitch(_)) => EngineChoice::Dissolve,
            _ => EngineChoice::Wan,
        });
        draft.values.common.align = Some(Align::Exact);
        let Draft { values, film, preset, inputs, differs, by_a_model, cannot, mut faults, has_phase_config, .. } =
            draft;
        let notes = notes.take();
        let (Some(work), true) = (work, notes.wrong.is_empty()) else {
            return Err(TaskError::Values { path: path.to_owned(), wrong: notes.wrong });
        };
        faults.extend(faults::of_task(&row, era, &values, preset.as_deref(), has_phase_config));
        let Notes { wrong: _, ignored, conflicts } = notes;
        let path = path.to_owned();
        Ok(Self {
            path,
            row: Some(row),
            era: Some(era),
            work,
            preset,
            values,
            film,
            engine: None,
            inputs,
            ignored,
            differs,
            conflicts,
            by_a_model,
            cannot,
            faults,
        })
    }

    /// The run that made a film, as the film's note tells it.
    pub fn of_film(path: &Path, note: Option<&str>) -> Result<Self, TaskError> {
        recorded::of_film(path, note.ok_or_else(|| TaskError::NoSettings { path: path.to_owned() })?)
    }

    fn empty(path: &Path, work: Work) -> Self {
        Self {
            path: path.to_owned(),
            row: None,
            era: None,
            work,
            preset: None,
            values: Options::default(),
            film: FilmOptions::default(),
            engine: None,
            inputs: vec![],
            ignored: vec![],
            differs: vec![],
            conflicts: vec![],
            by_a_model: vec![],
            cannot: vec![],
            faults: BTreeSet::new(),
        }
    }

    /// Looks for every file that the task names. What is not found stays so, with its reason.
    pub fn place(&mut self, assets: &Assets) -> Result<(), TaskError> {
        let addresses: Vec<String> = self.inputs.iter().map(|input| input.address.clone()).collect();
        assets.check(&addresses)?;
        // A film's clips are named from its own folder, a task's from where wanctl was started.
        let home = match self.row {
            None => Home::Recorded(self.path.parent().unwrap_or(Path::new(""))),
            Some(_) => Home::Written(Path::new("")),
        };
        for at in 0..self.inputs.len() {
            let (before, [input, ..]) = self.inputs.split_at_mut(at) else { continue };
            (input.file, input.why) = assets.look(&input.address, home);
            let other = before.iter().find(|other| other.address != input.address && other.file == input.file);
            if let (Some(other), Some(file)) = (other, &input.file) {
                let why = format!("{} is {} too, another address", file.display(), other.place);
                (input.file, input.why) = (None, Some(why));
            }
        }
        match &mut self.work {
            Work::Stitch(stitch) => stitch::read_records(stitch, &mut self.inputs, assets),
            _ => Ok(()),
        }
    }

    /// Looks for the LoRAs that are still missing where weights lie.
    pub fn find_loras(&mut self, places: &Places) {
        for input in self.inputs.iter_mut().filter(|input| input.role == Role::Lora && input.file.is_none()) {
            match places.find(Path::new(&file_name(&input.address))).map(file_names::written) {
                Some(Ok(file)) => (input.file, input.why) = (Some(file), None),
                Some(Err(lookalikes)) => input.why = Some(lookalikes.to_string()),
                None => {}
            }
        }
    }

    /// The same settings as a layer. LoRAs that lie here go by their paths, others by their names.
    pub fn layer(&self) -> Layer {
        let mut values = self.values.clone();
        let of_segments = values.wan.segment_loras.iter_mut().flatten().flatten().flatten();
        let sampling = values.wan.segment_sampling.iter_mut().flatten().flatten();
        let of_sampling = sampling.flat_map(|own| own.loras.iter_mut().flatten());
        for lora in values.wan.loras.iter_mut().flatten().chain(of_segments).chain(of_sampling) {
            let address = lora.file.to_string_lossy().into_owned();
            let input = self.inputs.iter().find(|input| input.address == address);
            // A run of wanctl knows its LoRAs by their paths, and names no inputs for them.
            let file = match input {
                Some(input) => input.file.clone(),
                None => Some(lora.file.clone()).filter(|file| file.is_file()),
            };
            lora.file = file.unwrap_or_else(|| file_name(&address).into());
        }
        Layer { from: Source::Task(self.path.clone()), values }
    }

    /// How the film's codec and sound are asked for.
    pub fn film(&self) -> FilmOptions {
        let audio = self.inputs.iter().find(|input| input.role == Role::Audio).and_then(|input| input.file.clone());
        let mut film = self.film.clone();
        if let Some(file) = audio {
            film.audio = Some(crate::pipeline::options::Audio::File(file));
        }
        film
    }

    /// The pieces of a film that is put together of some that are there, if this is what the command does with the task.
    pub fn stitch(&self, command: Command, needs: &Needs) -> Result<Option<(Vec<PathBuf>, Stitch)>, TaskError> {
        let Work::Stitch(stitch) = &self.work else { return Ok(None) };
        self.check(command, needs)?;
        Ok(Some((self.pieces().collect(), stitch.clone())))
    }

    /// Of a film that is put together of some that are there, those that are here, in order.
    pub fn pieces(&self) -> impl Iterator<Item = PathBuf> {
        let pieces = self.inputs.iter().filter(|input| matches!(input.role, Role::Clip | Role::Transition));
        pieces.filter_map(|input| input.file.clone())
    }

    /// The clips, in order, if the task joins clips or makes ranges of one again, and all that it needs is here.
    pub fn clips(&self, needs: &Needs) -> Result<Vec<PathBuf>, TaskError> {
        self.check(Command::Join, needs)?;
        self.shows()?;
        Ok(self.files(Role::Clip).collect())
    }

    /// The files of a journey, if the task is one, and all that it needs is here.
    pub fn journey(&self, needs: &Needs) -> Result<JourneyPaths, TaskError> {
        self.check(Command::Travel, needs)?;
        self.shows()?;
        Ok(JourneyPaths {
            images: self.files(Role::Image).collect(),
            continued: self.files(Role::Clip).next(),
            structure: self.files(Role::Guide).collect(),
            references: self.files(Role::Reference).collect(),
        })
    }

    fn shows(&self) -> Result<(), TaskError> {
        match &self.work {
            Work::Stitch(_) => Err(TaskError::NothingShown { path: self.path.clone() }),
            _ => Ok(()),
        }
    }

    /// Those of its files that are here.
    pub fn files(&self, role: Role) -> impl Iterator<Item = PathBuf> {
        self.inputs.iter().filter(move |input| input.role == role).filter_map(|input| input.file.clone())
    }

    /// What does this task's work.
    pub fn command(&self) -> Command {
        match &self.work {
            Work::Join | Work::Ranges(_) => Command::Join,
            Work::Journey | Work::Travel(_) => Command::Travel,
            Work::Stitch(stitch) => stitch.by,
        }
    }

    fn check(&self, command: Command, needs: &Needs) -> Result<(), TaskError> {
        if self.command() != command {
            let kind = self.row.as_ref().map(|row| row.kind);
            return Err(TaskError::NotForCommand { path: self.path.clone(), kind, command, right: self.command() });
        }
        let roles: &[Role] = match needs.sound {
            true => &[Role::Clip, Role::Image, Role::Guide, Role::Reference, Role::Transition, Role::Audio],
            false => &[Role::Clip, Role::Image, Role::Guide, Role::Reference, Role::Transition],
        };
        let missing = self.missing(roles);
        let by_a_model = self.by_a_model.iter().filter(|_| needs.prompts);
        let items: Vec<String> = missing.chain(by_a_model.cloned()).chain(self.cannot.iter().cloned()).collect();
        match items.is_empty() {
            true => Ok(()),
            false => Err(TaskError::NotHere { path: self.path.clone(), items }),
        }
    }

    fn missing(&self, roles: &[Role]) -> impl Iterator<Item = String> {
        let missing = self.inputs.iter().filter(|input| roles.contains(&input.role));
        missing.filter_map(|TaskFile { place, address, why, .. }| Some(format!("{place} {address}: {}", why.as_ref()?)))
    }

    /// What of a task cannot be done here whatever is mapped.
    pub fn obstacles(&self) -> impl Iterator<Item = &str> {
        self.by_a_model.iter().chain(&self.cannot).map(String::as_str)
    }

    /// What of a task should have had an effect, and has none.
    pub fn remarks(&self) -> Vec<String> {
        let unknown = self.ignored.iter().filter(|key| key.is_unknown());
        let keys = unknown.chain(&self.differs).map(|Ignored { place, reason }| format!("{place}: {reason}"));
        keys.chain(self.conflicts.iter().cloned()).collect()
    }

    /// With `--strict` such remarks are errors.
    pub fn check_strictly(&self) -> Result<(), TaskError> {
        match self.remarks() {
            items if items.is_empty() => Ok(()),
            items => Err(TaskError::Strict { path: self.path.clone(), items }),
        }
    }

    /// Of a run's own run.json the run's folder.
    pub fn run_folder(&self) -> Option<&Path> {
        let of_run = self.row.is_none() && self.path.file_name().is_some_and(|name| name == "run.json");
        self.path.parent().filter(|_| of_run)
    }

    /// `task_4ef4789d`.
    pub fn output_stem(&self) -> Option<String> {
        let id: String = self.row.as_ref()?.id.as_ref()?.chars().filter(|c| c.is_alphanumeric()).take(8).collect();
        Some(format!("task_{id}"))
    }

    /// Faults of the worker that the task itself would meet.
    pub fn faults(&self) -> impl Iterator<Item = KnownFault> {
        self.faults.iter().map(|id| faults::by_name(id))
    }

    /// Why the worker failed, where its words tell.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        faults::diagnosis(self.row.as_ref()?.error.as_deref()?)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Command {
    Join,
    Travel,
}

impl Command {
    pub fn word(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Travel => "travel",
        }
    }
}

/// What is needed of a task for the run at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    pub sound: bool,
    /// Where a model reads them.
    pub prompts: bool,
}
