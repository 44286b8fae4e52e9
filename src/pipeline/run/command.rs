//! From what was requested to a film: planned, recorded, generated, checked. Joins and travels, whole or in parts.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::pipeline::{
    frames::{generated::GeneratedFrames, source::FrameSource},
    job::Device,
    media::Media,
    options::{Audio, EngineSettings, FilmSettings, OptionsError, Parts},
    plan::{FramePlan, Key},
    run::{
        engine::Engine,
        error::Result,
        folder::{PartLock, RunDir, RunError, Share},
        names,
        project::Project,
        render::Render,
        resolver::{OptionResolver, OptionSources},
        session::{self, Observer, Prepared, RunFolderOf, RunSettings, Scope},
        slurm::Slurm,
    },
    system::{
        child::ProcessLimits,
        environment,
        output::{self, Destination, Replace, folder_of},
    },
    types::{cancel::CancelToken, progress::Progress, video::Fps},
    worker_tasks::{Command, InputPaths, Recorded},
};

/// What a run starts with: the time it has, and the programs it may start.
#[derive(Debug)]
pub struct RunContext {
    pub cancel: CancelToken,
    pub media: Media,
    pub engine: Engine,
}

impl RunContext {
    pub fn new(cancel: &CancelToken, timeout: Option<Duration>) -> Self {
        let cancel = cancel.with_timeout(timeout);
        Self { media: Media::new(cancel.clone()), engine: Engine::new(ProcessLimits::new(cancel.clone())), cancel }
    }

    /// Resolves options for a run, which the engine on this device generates.
    pub fn resolver(
        &self,
        sources: OptionSources<'_>,
        device: Device,
        progress: &dyn Progress,
    ) -> Result<OptionResolver> {
        let flags = sources.flags.wan_flags();
        let program = Some((&self.engine, device));
        let mut resolver = OptionResolver::new(OptionSources { program, ..sources }, progress)?;
        resolver.check_flags(flags, progress)?;
        Ok(resolver)
    }
}

/// A film to be made.
#[derive(Debug)]
pub struct RunCommand<'a> {
    pub inputs: InputPaths,
    pub resolver: OptionResolver,
    pub scope: Scope,
    pub film: FilmSettings,
    pub output: PathBuf,
    /// Where the generated segments are written by themselves, numbered if there are several.
    pub transition: Option<PathBuf>,
    pub exec: EngineSettings,
    /// The run to go on with; None: the newest of the same film.
    pub run_folder: Option<PathBuf>,
    pub settings: RunSettings,
    pub context: &'a RunContext,
    pub started: Instant,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum RunResult {
    Film(Film),
    /// Scripts that have a cluster make the film.
    Scripts {
        output: PathBuf,
        film: PathBuf,
    },
}

impl RunResult {
    /// The file that was asked for.
    pub fn output(&self) -> &Path {
        match self {
            Self::Film(film) => &film.output,
            Self::Scripts { output, .. } => output,
        }
    }
}

/// A film that was written and verified: every frame decoded and counted, sound compared.
#[derive(Debug, Clone, Serialize)]
pub struct Film {
    pub output: PathBuf,
    /// The generated segments by themselves.
    pub transitions: Vec<PathBuf>,
    pub frames: usize,
    pub fps: Fps,
    pub engine: &'static str,
    /// None for another engine than a Wan model.
    pub seed: Option<u64>,
    /// Of each segment.
    pub seeds: Option<Vec<u64>>,
    /// Where the images of a travel stand.
    pub keys: Option<Vec<Key>>,
    pub seconds: f64,
    pub verify_seconds: f64,
}

impl RunCommand<'_> {
    fn check(&self) -> Result<Parts> {
        let parts = self.resolver.parts(self.inputs.content())?;
        match self.scope {
            Scope::One(part) if part >= parts.count => Err(OptionsError::NoSuchPart { part: part + 1, parts }.into()),
            Scope::Emit if parts.count == 0 => Err(OptionsError::NoParts.into()),
            _ => Ok(parts),
        }
    }

    /// The plan alone; nothing is written.
    pub fn dry_run(mut self, observer: &dyn Observer) -> Result<(Project, FramePlan)> {
        self.check()?;
        let options = self.resolver.resolve(self.inputs.content(), None, observer)?;
        let project = Project { inputs: self.inputs, options };
        let prepared = prepare(&project, &self.film, &self.context.media, observer)?;
        prepared.announce(&project.options, observer);
        Ok((project, prepared.plan))
    }

    /// Makes it; with the result the run's folder, where that stays.
    pub fn run(self, observer: &dyn Observer) -> Result<(RunResult, Option<PathBuf>)> {
        let parts = self.check()?;
        let (destination, transitions) = self.claim(parts)?;
        let resumable = json!({
            "inputs": self.inputs.files().iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?,
            "asked": self.resolver.requested(),
        });
        let resumed = self.resumed(&resumable, observer)?;
        resumed.iter().for_each(remove_leftovers);
        let recorded = resumed.as_ref().and_then(|run| Recorded::of_manifest(run.recorded("repeat")));
        let seed = recorded.and_then(|recorded| recorded.seed());
        let Self { inputs, mut resolver, scope, film, output, exec, settings, context, started, .. } = self;
        let RunContext { cancel, media, engine } = context;
        // Before anything is decoded: what is missing of gigabytes of weights is soon said.
        let options = resolver.resolve(inputs.content(), seed, observer)?;
        let recorded = Recorded::new(&inputs, options.to_options(), &film, exec.clone())?;
        let home = std::path::absolute(&output)?;
        let note = recorded.note(home.parent().unwrap_or(&home));

        let project = Project { inputs, options };
        let prepared = prepare(&project, &film, media, observer)?;
        let Project { inputs: paths, options } = project;
        let (command, wan) = (paths.command(), options.wan());
        let names = transitions.iter().map(|transition| std::path::absolute(transition.path()));
        let (whole, names) = (!matches!(scope, Scope::One(_)), names.collect::<Result<Vec<_>, _>>()?);

        let of = RunFolderOf { command: command.word(), scope, settings: &settings, resumed };
        session::with_folder(of, observer, |folder| {
            folder.record("repeat", &recorded)?;
            folder.is_for(&resumable)?;
            if whole {
                folder.record("output", &home)?;
                folder.record("transitions", &names)?;
            }
            let backends = session::backends(&options, observer);
            prepared.announce(&options, observer);
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
            if scope == Scope::Emit {
                let gpu = wan.is_some() && exec.device.first() != Device::Cpu;
                return emit(folder, &plan, (command, &home), (gpu, settings.replace), observer);
            }
            let frame_source = FrameSource { media, inputs: &inputs, fit: *options.common.fit };
            let place = folder.path().to_owned();
            let between = GeneratedFrames::dissolve();
            let mut render =
                Render { frame_source, plan: &plan, settings: &film, note: &note, run_folder: &place, between };
            let made = needed(&plan, scope);
            if let Some(backends) = &backends {
                if scope == Scope::Stitch {
                    render.gather(backends, folder.id(), observer)?;
                } else {
                    let _held = hold(folder, scope, &made, parts, cancel, observer)?;
                    let outcomes = render.run_engine(engine, backends, &exec, (folder.id(), &made), observer)?;
                    folder.record("engine", &outcomes)?;
                }
            }
            for (seam, destination) in transitions.iter().enumerate() {
                render.transition(seam, destination, observer)?;
            }
            let finished = match scope {
                Scope::One(part) => render.transition(part, &destination, observer)?,
                Scope::Whole | Scope::Rest | Scope::Stitch | Scope::Emit => render.film(&destination, observer)?,
            };
            // The film last: where its name stands, everything does.
            let written = transitions.into_iter().map(Destination::finish).collect::<Result<Vec<_>, _>>()?;
            let path = destination.finish()?;
            let seconds = |time: Duration| (time.as_secs_f64() * 100.0).round() / 100.0;
            Ok(RunResult::Film(Film {
                output: path,
                transitions: written,
                frames: finished.film.frames,
                fps: finished.film.fps,
                engine: session::engine_name(backends.as_deref().and_then(<[_]>::first)),
                seed: wan.map(|wan| wan.seed),
                seeds,
                keys: plan.journey.as_ref().map(|journey| journey.keys.clone()),
                seconds: seconds(started.elapsed()),
                verify_seconds: seconds(finished.verifying),
            }))
        })
    }

    /// The names of the film and of its transitions, so that nobody else takes them meanwhile.
    fn claim(&self, parts: Parts) -> Result<(Destination, Vec<Destination>)> {
        let transitions = names::numbered(self.transition.as_deref(), parts);
        output::distinct(transitions.iter().map(PathBuf::as_path).chain([self.output.as_path()]))?;
        let mut inputs = self.inputs.files();
        if let Audio::File(file) = &self.film.audio {
            inputs.push(file.clone());
        }
        let claim = |name: &PathBuf| Destination::claim(name, self.settings.replace, &inputs);
        Ok((claim(&self.output)?, transitions.iter().map(claim).collect::<Result<_, _>>()?))
    }

    /// The run that is gone on with: the one whose run.json was given, else the newest of the same film.
    fn resumed(&self, resumable: &Value, observer: &dyn Observer) -> Result<Option<RunDir>> {
        let share = match self.scope {
            Scope::Whole | Scope::Emit => return Ok(None),
            Scope::One(_) => Share::Parts,
            Scope::Rest | Scope::Stitch => Share::Nobody,
        };
        let found = match &self.run_folder {
            Some(folder) => Some(RunDir::open(folder, share)?),
            None => RunDir::resume(self.settings.work_dir.as_deref(), resumable, share)?,
        };
        match (&found, self.scope) {
            (Some(run), _) => observer.note(&format!("going on with run {}", run.id())),
            (None, Scope::Stitch) => return Err(RunError::NothingMade.into()),
            (None, Scope::Rest) => observer.note("nothing to go on with: a new run"),
            (None, _) => {}
        }
        Ok(found)
    }
}

/// What a killed run left where it wrote, which may be elsewhere.
fn remove_leftovers(run: &RunDir) {
    let outputs = [run.recorded("output"), run.recorded("transitions")];
    let names =
        outputs.into_iter().flat_map(|names| names.as_array().map_or(vec![names], |names| names.iter().collect()));
    names.filter_map(Value::as_str).for_each(|name| output::remove_leftovers(&folder_of(Path::new(name))));
}

/// The facts of all files, the one that is heard among them, and the plan.
fn prepare(project: &Project, film: &FilmSettings, media: &Media, observer: &dyn Observer) -> Result<Prepared> {
    let prepared = session::prepare(project, film.lossless, media, observer)?;
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
    observer: &dyn Observer,
) -> Result<RunResult> {
    let folder = std::path::absolute(run.path())?;
    let told = std::env::vars().filter(|(name, _)| name.starts_with("WANCTL_") && name != environment::WORK_DIR.name);
    let script = Slurm {
        program: &std::env::current_exe()?,
        command: command.word(),
        run: &folder,
        output,
        overwrite: replace == Replace::Existing,
        parts: plan.seams.len(),
        chained: plan.dependency_chains().iter().any(|lane| lane.len() > 1),
        gpu,
        environment: told.map(|(name, value)| (name.clone(), absolute(&name, &value))).collect(),
    }
    .write()?;
    observer.note(&format!("{} and this program must lie where all nodes see them", folder.display()));
    Ok(RunResult::Scripts { output: script, film: output.to_owned() })
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
fn needed(plan: &FramePlan, scope: Scope) -> Vec<usize> {
    match scope {
        Scope::One(part) => {
            let lane = plan.dependency_chains().into_iter().find(|lane| lane.contains(&part)).unwrap_or_default();
            lane.into_iter().take_while(|before| *before <= part).collect()
        }
        Scope::Whole | Scope::Rest | Scope::Stitch | Scope::Emit => (0..plan.seams.len()).collect(),
    }
}

/// Of a single part, the folders of all that it needs, so that no other process makes them meanwhile.
fn hold(
    run: &RunDir,
    scope: Scope,
    made: &[usize],
    parts: Parts,
    cancel: &CancelToken,
    observer: &dyn Observer,
) -> Result<Vec<PartLock>> {
    let Scope::One(one) = scope else { return Ok(vec![]) };
    if made.len() > 1 {
        let of = parts.of;
        observer.note(&format!(
            "{of} {} goes on from those before it, which are made first where they are not yet",
            one + 1
        ));
    }
    let hold = |part: &usize| {
        let waits =
            || observer.note(&format!("{} {} is being made by another wanctl: waiting for it", parts.of, part + 1));
        Ok(run.hold(*part, cancel, waits)?)
    };
    made.iter().map(hold).collect()
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
