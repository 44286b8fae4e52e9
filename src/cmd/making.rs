//! From what was asked to a film: planned, recorded, made, checked. Joins and journeys, whole or in parts.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};

use wanctl::pipeline::{
    error::Result,
    frames::{film::plain, generated::GeneratedFrames, source::FrameSource},
    job::{Device, memory::Sizes},
    media::Media,
    options::{Audio, EngineSettings, FilmSettings, Generation, Parts, SettingsError},
    plan::FramePlan,
    run::{
        engine::Engine,
        folder::{PartLock, RunDir, RunError, Share},
        project::Project,
        render::Render,
        resolver::{OptionResolver, OptionSources},
        slurm::Slurm,
    },
    system::{
        child::ProcessLimits,
        environment,
        output::{self, Destination, Replace, folder_of},
    },
    types::{cancel::CancelToken, progress::Progress},
    worker_tasks::{Command, InputPaths, Recorded, Task},
};

use super::{
    RunLog, Ui,
    args::{self, FilmArgs, Part, RunArgs},
    session::{self, Prepared},
    show_plan, show_settings,
    ui::Answer,
    wan_args,
};

/// What a command starts with: the time it has, and the programs it may start.
pub(crate) struct Begun {
    pub(crate) cancel: CancelToken,
    pub(crate) media: Media,
    pub(crate) program: Engine,
}

impl Begun {
    pub(crate) fn new(run: &RunArgs, cancel: &CancelToken) -> Self {
        let cancel = cancel.with_timeout(run.timeout);
        Self { media: Media::new(cancel.clone()), program: Engine::new(ProcessLimits::new(cancel.clone())), cancel }
    }

    /// Resolves options for a run, which an engine on this device generates.
    pub(crate) fn resolver(&self, sources: OptionSources<'_>, device: Device, ui: &Ui) -> Result<OptionResolver> {
        let typed = wan_args::typed(&sources.flags);
        let mut resolver =
            OptionResolver::new(OptionSources { program: Some((&self.program, device)), ..sources }, ui)?;
        resolver.check_flags(typed, ui)?;
        Ok(resolver)
    }
}

/// Refuses names that are taken before anything is opened: the film's, and those of its transitions. `stem` is the film's
/// default name; none where a task decides what is made, and only a name that was typed is known yet.
pub(crate) fn refuse_taken(
    film: &FilmArgs,
    (stem, transition): (Option<PathBuf>, Option<&Path>),
    (part, parts): (Part, Parts),
    inputs: &[PathBuf],
    run: &RunArgs,
) -> Result<()> {
    if run.dry_run {
        return Ok(());
    }
    let (mut names, mut output) = (vec![], film.output.clone());
    if let Some(stem) = stem {
        let (film, _) = film.settled(None, transition)?;
        names = numbered(transition, parts);
        output = output.or_else(|| Some(default_output(stem, part, parts, &film)));
    }
    names.extend(output);
    output::distinct(names.iter().map(PathBuf::as_path))?;
    Ok(names.iter().try_for_each(|name| Destination::check(name, run.replace(), inputs))?)
}

/// The film's name where nobody says one: `a_join_b.mp4`, of a single segment `a_travel_b_segment_2.mp4`.
pub(crate) fn default_output(stem: PathBuf, part: Part, parts: Parts, film: &FilmSettings) -> PathBuf {
    let mut name = stem.into_os_string();
    if let Part::One(part) = part {
        name.push(format!("_{}_{}", parts.of, part + 1));
    }
    name.push(format!(".{}", film.extension()));
    name.into()
}

/// Everything that was said, understood.
pub(crate) struct Making<'a> {
    pub(crate) inputs: InputPaths,
    pub(crate) resolver: OptionResolver,
    pub(crate) task: Option<&'a Task>,
    pub(crate) part: Part,
    pub(crate) film: FilmSettings,
    pub(crate) output: Option<PathBuf>,
    pub(crate) transition: Option<PathBuf>,
    pub(crate) with: EngineSettings,
    pub(crate) run: &'a RunArgs,
    pub(crate) begun: &'a Begun,
    pub(crate) started: Instant,
}

impl Making<'_> {
    pub(crate) fn make(self, ui: &Ui, log: &RunLog) -> Result<Answer> {
        let parts = self.resolver.parts(self.inputs.content())?;
        match self.part {
            Part::One(part) if part >= parts.count => {
                return Err(SettingsError::NoSuchPart { part: part + 1, parts }.into());
            }
            Part::Emit if parts.count == 0 => return Err(SettingsError::NoParts.into()),
            _ => {}
        }
        let output = self.output(parts);
        if self.run.dry_run {
            return self.show(&output, ui);
        }
        let transitions = numbered(self.transition.as_deref(), parts);
        output::distinct(transitions.iter().map(PathBuf::as_path).chain([output.as_path()]))?;
        let mut inputs = self.inputs.files();
        if let Audio::File(file) = &self.film.audio {
            inputs.push(file.clone());
        }
        let claim = |name: &PathBuf| Destination::claim(name, self.run.replace(), &inputs);
        let destination = claim(&output)?;
        let transitions = transitions.iter().map(claim).collect::<Result<Vec<_>, _>>()?;

        let resumable = json!({
            "inputs": self.inputs.files().iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?,
            "asked": self.resolver.requested(),
        });
        let resumed = self.resumed(&resumable, ui)?;
        if let Some(run) = &resumed {
            // Where that run wrote, which may be elsewhere.
            let outputs = [run.recorded("output"), run.recorded("transitions")];
            let names = outputs
                .into_iter()
                .flat_map(|names| names.as_array().map_or(vec![names], |names| names.iter().collect()));
            names.filter_map(Value::as_str).for_each(|name| output::remove_leftovers(&folder_of(Path::new(name))));
        }
        let seed = resumed.as_ref().and_then(|run| run.recorded("settings")["wan"]["seed"]["value"].as_u64());
        let Self { inputs, mut resolver, part, film, with, run, begun, started, .. } = self;
        let Begun { cancel, media, program } = begun;
        // Before anything is decoded: what is missing of gigabytes of weights is soon said.
        let options = resolver.resolve(inputs.content(), seed, ui)?;
        let recorded = Recorded::new(&inputs, options.to_options(), &film, with.clone())?;
        let home = std::path::absolute(&output)?;
        let note = recorded.note(home.parent().unwrap_or(&home));

        let project = Project { inputs, options };
        let prepared = prepare(&project, &film, media, ui)?;
        let Project { inputs: paths, options } = project;
        let (command, wan) = (paths.command(), options.wan());
        let names = transitions.iter().map(|transition| std::path::absolute(transition.path()));
        let (whole, names) = (!matches!(part, Part::One(_)), names.collect::<Result<Vec<_>, _>>()?);

        let scene = session::Scene { command: command.word(), part, args: run, resumed };
        session::with_run(scene, ui, log, |folder| {
            folder.record("repeat", &recorded)?;
            folder.is_for(&resumable)?;
            if whole {
                folder.record("output", &home)?;
                folder.record("transitions", &names)?;
            }
            let makers = session::makers(&options, ui);
            prepared.announce(&options, ui);
            let Prepared { inputs, plan } = prepared;
            folder.record(
                "settings",
                &json!({
                    "plan": options,
                    "film": film,
                    "wan": wan,
                    "asked": resolver.merged(),
                    "engine_because": resolver.because,
                    "ignored": resolver.unread,
                }),
            )?;
            folder.record("plan", &plan)?;
            let seeds = wan.map(|wan| (0..parts.count).map(|part| wan.seed_of(part)).collect::<Vec<_>>());
            folder.record("seeds", &seeds)?;
            if part == Part::Emit {
                let gpu = wan.is_some() && with.device.first() != Device::Cpu;
                return emit(folder, &plan, (command, &home), (gpu, run.replace()), ui);
            }
            let frame_source = FrameSource { media, inputs: &inputs, fit: *options.common.fit };
            let place = folder.path().to_owned();
            let between = GeneratedFrames::dissolve();
            let mut render =
                Render { frame_source, plan: &plan, settings: &film, note: &note, run_folder: &place, between };
            let made = needed(&plan, part);
            if let Some(makers) = &makers {
                if part == Part::Stitch {
                    render.gather(makers, folder.id(), ui)?;
                } else {
                    let _held = hold(folder, part, &made, parts, cancel, ui)?;
                    let outcomes = render.run_engine(program, makers, &with, (folder.id(), &made), ui)?;
                    folder.record("engine", &outcomes)?;
                }
            }
            for (seam, destination) in transitions.iter().enumerate() {
                render.transition(seam, destination, ui)?;
            }
            let finished = match part {
                Part::One(part) => render.transition(part, &destination, ui)?,
                Part::Whole | Part::Rest | Part::Stitch | Part::Emit => render.film(&destination, ui)?,
            };
            // The film last: where its name stands, everything does.
            let written = transitions.into_iter().map(Destination::finish).collect::<Result<Vec<_>, _>>()?;
            let path = destination.finish()?;
            let seconds = |time: std::time::Duration| (time.as_secs_f64() * 100.0).round() / 100.0;
            ui.end_progress();
            ui.note(&format!(
                "{} frames at {} fps, decoded and counted; {:.1} s",
                finished.film.frames,
                plain(finished.film.fps),
                started.elapsed().as_secs_f64()
            ));
            Ok(json!({
                "output": path,
                "transitions": written,
                "frames": finished.film.frames,
                "fps": finished.film.fps,
                "engine": session::engine_name(makers.as_deref().and_then(<[_]>::first)),
                "seed": wan.map(|wan| wan.seed),
                "seeds": seeds,
                "keys": plan.journey.as_ref().map(|journey| &journey.keys),
                "seconds": seconds(started.elapsed()),
                "verify_seconds": seconds(finished.verifying),
            }))
        })?;
        Ok(Answer::Yes)
    }

    /// The film's name.
    fn output(&self, parts: Parts) -> PathBuf {
        if let Some(output) = &self.output {
            return output.clone();
        }
        let stem = match self.task.and_then(Task::output_stem) {
            Some(stem) => PathBuf::from(stem),
            None => match &self.inputs {
                InputPaths::Clips(clips) => {
                    let ranges = self.resolver.merged().join.ranges.is_some_and(|ranges| !ranges.is_empty());
                    args::default_name(clips, if ranges { "range" } else { "join" }, "")
                }
                InputPaths::Journey(paths) => args::default_name(&paths.images, "travel", ""),
                InputPaths::Pieces(pieces, _) => args::default_name(pieces, "stitch", ""),
            },
        };
        default_output(stem, self.part, parts, &self.film)
    }

    /// The plan, and with which numbers it would be made.
    fn show(self, output: &Path, ui: &Ui) -> Result<Answer> {
        let Self { inputs, mut resolver, film, begun, .. } = self;
        let options = resolver.resolve(inputs.content(), None, ui)?;
        let project = Project { inputs, options };
        let prepared = prepare(&project, &film, &begun.media, ui)?;
        prepared.announce(&project.options, ui);
        let Prepared { plan, .. } = prepared;
        if !ui.json() {
            ui.print(&show_plan::plan(&plan, Some(output)));
            ui.print(&show_settings::lines(&project.options).join("\n"));
            if let Some(wan) = project.options.wan() {
                let Generation { dtype, offload, vae_tile, .. } = &wan.generation;
                ui.print(&show_settings::samplers(&wan.generation));
                let asked = show_settings::work(&plan, (**dtype, **offload, **vae_tile));
                ui.print(&format!("memory   {}", show_settings::memory(&Sizes::of(&wan.models)?, &asked)));
            }
        }
        Ok(Answer::Yes)
    }

    /// The run that is gone on with: the one whose run.json was given, else the newest of the same film.
    fn resumed(&self, resumable: &Value, ui: &Ui) -> Result<Option<RunDir>> {
        let share = match self.part {
            Part::Whole | Part::Emit => return Ok(None),
            Part::One(_) => Share::Parts,
            Part::Rest | Part::Stitch => Share::Nobody,
        };
        let found = match self.task.and_then(Task::run_folder) {
            Some(folder) => Some(RunDir::open(folder, share)?),
            None => RunDir::resume(self.run.work_dir.as_deref(), resumable, share)?,
        };
        match (&found, self.part) {
            (Some(run), _) => ui.note(&format!("going on with run {}", run.id())),
            (None, Part::Stitch) => return Err(RunError::NothingMade.into()),
            (None, Part::Rest) => ui.note("nothing to go on with: a new run"),
            (None, _) => {}
        }
        Ok(found)
    }
}

/// The facts of all files, the one that is heard among them, and the plan.
fn prepare(project: &Project, film: &FilmSettings, media: &Media, ui: &Ui) -> Result<Prepared> {
    let prepared = session::prepare(project, film.lossless, media, ui)?;
    if let Audio::File(file) = &film.audio {
        media.probe_sound(file)?;
    }
    Ok(prepared)
}

/// Writes the scripts that have a cluster do the rest.
fn emit(
    run: &RunDir,
    plan: &FramePlan,
    (command, output): (Command, &Path),
    (gpu, replace): (bool, Replace),
    ui: &Ui,
) -> Result<Value> {
    let folder = std::path::absolute(run.path())?;
    let told = std::env::vars().filter(|(name, _)| name.starts_with("WANCTL_") && name != environment::WORK_DIR.name);
    let script = Slurm {
        program: &std::env::current_exe()?,
        command: command.word(),
        run: &folder,
        output,
        overwrite: replace == Replace::Existing,
        parts: plan.seams.len(),
        chained: plan.lanes().iter().any(|lane| lane.len() > 1),
        gpu,
        environment: told.map(|(name, value)| (name.clone(), absolute(&name, &value))).collect(),
    }
    .write()?;
    ui.note(&format!("{} and this program must lie where all nodes see them", folder.display()));
    Ok(json!({ "output": script, "film": output }))
}

/// Jobs begin elsewhere: paths of the environment are told from the root on.
fn absolute(name: &str, value: &str) -> String {
    // A path list; the others are programs, which may stand for what PATH has.
    let paths = std::env::split_paths(value).map(|path| {
        match name == environment::MODELS.name || path.components().count() > 1 {
            true => std::path::absolute(&path).unwrap_or(path),
            false => path,
        }
    });
    std::env::join_paths(paths).map_or_else(|_| value.to_owned(), |joined| joined.to_string_lossy().into_owned())
}

/// What has to be made for a part of the film: a segment needs those that it goes on from.
fn needed(plan: &FramePlan, part: Part) -> Vec<usize> {
    match part {
        Part::One(part) => {
            let lane = plan.lanes().into_iter().find(|lane| lane.contains(&part)).unwrap_or_default();
            lane.into_iter().take_while(|before| *before <= part).collect()
        }
        Part::Whole | Part::Rest | Part::Stitch | Part::Emit => (0..plan.seams.len()).collect(),
    }
}

/// Of a single part, the folders of all that it needs, so that no other process makes them meanwhile.
fn hold(
    run: &RunDir,
    part: Part,
    made: &[usize],
    parts: Parts,
    cancel: &CancelToken,
    ui: &Ui,
) -> Result<Vec<PartLock>> {
    let Part::One(one) = part else { return Ok(vec![]) };
    if made.len() > 1 {
        let of = parts.of;
        ui.note(&format!("{of} {} goes on from those before it, which are made first where they are not yet", one + 1));
    }
    let hold = |part: &usize| {
        let waits = || ui.note(&format!("{} {} is being made by another wanctl: waiting for it", parts.of, part + 1));
        Ok(run.hold(*part, cancel, waits)?)
    };
    made.iter().map(hold).collect()
}

/// One name for one seam; for several the number goes before the extension.
fn numbered(name: Option<&Path>, parts: Parts) -> Vec<PathBuf> {
    let Some(name) = name else { return vec![] };
    if parts.count == 1 {
        return vec![name.to_owned()];
    }
    let numbered = |part: usize| {
        let mut file = name.file_stem().unwrap_or_default().to_owned();
        file.push(format!("_{}", part + 1));
        if let Some(extension) = name.extension() {
            file.push(".");
            file.push(extension);
        }
        name.with_file_name(file)
    };
    (0..parts.count).map(numbered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_elsewhere_are_told_whole_paths_and_words_stay_as_they_are() {
        let here = std::env::current_dir().unwrap();
        let within = |path: &str| here.join(path).to_string_lossy().into_owned();
        assert_eq!(absolute("WANCTL_MODELS", "models:/m/2"), format!("{}:/m/2", within("models")));
        assert_eq!(absolute("WANCTL_ENGINE", "target/wanctl-engine"), within("target/wanctl-engine"));
        assert_eq!(absolute("WANCTL_FFMPEG", "ffmpeg"), "ffmpeg");
        assert_eq!(absolute("WANCTL_ATTENTION", "flash"), "flash");
    }
}
