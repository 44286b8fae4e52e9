//! A run folder around the work of a run, in which its outcome is recorded.

use std::{
    io, panic,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::json;

use crate::pipeline::{
    frames::film::Inputs,
    job::Backend,
    media::Media,
    options::{EngineChoice, ResolvedOptions},
    plan::FramePlan,
    run::{
        error::{Error, Result},
        folder::{Keep, RunDir, RunOutcome, Share},
        project::Project,
    },
    system::output::Replace,
    types::{
        error::{ErrorCode, ErrorReport},
        progress::{Progress, Silent, Stage, Warning},
    },
};

/// Watches a run: its progress, and what is known of it on the way.
pub trait Observer: Progress {
    /// The run has a folder, and may log into this file of it.
    fn run_started(&self, _id: &str, _folder: &Path, _log: &Path) -> io::Result<()> {
        Ok(())
    }

    /// What will be made.
    fn planned(&self, _plan: &FramePlan, _options: &ResolvedOptions) {}

    /// No stage is at work for now.
    fn idle(&self) {}

    /// Where the work stands, for the report of an error.
    fn stage(&self) -> Stage {
        Stage::Settings
    }
}

impl Observer for Silent {}

/// What of a film is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    #[default]
    Whole,
    /// All that is not generated yet.
    Rest,
    /// One segment or seam, counted from 0.
    One(usize),
    /// The film of segments that are generated.
    Stitch,
    /// Nothing: scripts are written for a cluster that makes it.
    Emit,
}

/// Where a run lies, and what it may replace.
#[derive(Debug, Clone)]
pub struct RunSettings {
    pub replace: Replace,
    /// Whether a run that went well leaves its folder.
    pub keep: Keep,
    /// Where run folders go; None: the user's cache folder.
    pub work_dir: Option<PathBuf>,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { replace: Replace::Never, keep: Keep::OnFailure, work_dir: None }
    }
}

/// Facts, then a plan.
pub(super) struct Prepared {
    pub(super) inputs: Inputs,
    pub(super) plan: FramePlan,
}

/// Reads and plans; nothing is written, so that what is refused here leaves nothing.
pub(super) fn prepare(project: &Project, lossless: bool, media: &Media, observer: &dyn Observer) -> Result<Prepared> {
    let (inputs, plan) = project.plan(lossless, media, observer)?;
    observer.idle();
    Ok(Prepared { inputs, plan })
}

impl Prepared {
    /// Tells what will be made.
    pub(super) fn announce(&self, options: &ResolvedOptions, observer: &dyn Observer) {
        warnings(&self.inputs, &self.plan).for_each(|warning| observer.warn(warning));
        observer.planned(&self.plan, options);
    }
}

/// What is said of the clips, then of the plan.
pub fn warnings(inputs: &Inputs, plan: &FramePlan) -> impl Iterator<Item = Warning> {
    let of_plan = plan.warnings.iter().map(|warning| {
        let file = warning.file().map(ToOwned::to_owned);
        Warning { code: warning.code(), file, message: warning.to_string() }
    });
    inputs.warnings.iter().cloned().chain(of_plan)
}

/// Which engine does the work; one request for each seam or segment. None is dissolve, which needs no program.
pub(super) fn backends(options: &ResolvedOptions, progress: &dyn Progress) -> Option<Vec<Backend>> {
    let parts = options.parts.count;
    if let Some(wan) = options.wan() {
        let seeds: Vec<u64> = (0..parts).map(|part| wan.seed_of(part)).collect();
        match seeds.iter().all(|seed| *seed == wan.seed) {
            true => progress.note(&format!("seed {}", wan.seed)),
            false => {
                progress.note(&format!("seeds {}", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")))
            }
        }
        return Some((0..parts).map(|part| Backend::Wan(Box::new(wan.request(part)))).collect());
    }
    let backend = match *options.common.engine {
        EngineChoice::Rife => Some(Backend::Rife),
        EngineChoice::Auto | EngineChoice::Wan => unreachable!("resolved before"),
        EngineChoice::Dissolve => None,
    };
    backend.map(|backend| vec![backend; parts])
}

/// The engine's word in results.
pub(super) fn engine_name(backend: Option<&Backend>) -> &'static str {
    match backend {
        Some(Backend::Rife) => "rife",
        Some(Backend::Halving) => "halving",
        Some(Backend::Wan(_)) => "wan",
        None => "dissolve",
    }
}

/// Whose folder it is.
pub(super) struct RunFolderOf<'a> {
    pub(super) command: &'static str,
    pub(super) scope: Scope,
    pub(super) settings: &'a RunSettings,
    /// The run that is gone on with.
    pub(super) resumed: Option<RunDir>,
}

/// Runs `work` with a folder of its own, or that of a run to go on with, in which its outcome is recorded; with its result
/// the folder, if it stays.
pub(super) fn with_folder<T: Serialize>(
    of: RunFolderOf<'_>,
    observer: &dyn Observer,
    work: impl FnOnce(&mut RunDir) -> Result<T>,
) -> Result<(T, Option<PathBuf>)> {
    let RunFolderOf { command, scope, settings, resumed } = of;
    let (share, name) = match scope {
        Scope::One(part) => (Share::Parts, format!("run_{}.log", part + 1)),
        Scope::Whole | Scope::Rest | Scope::Stitch | Scope::Emit => (Share::Nobody, "run.log".into()),
    };
    let mut run = match resumed {
        Some(run) => run.go_on(share)?,
        None => RunDir::create(settings.work_dir.as_deref(), command, share)?,
    };
    let path = run.path().to_owned();
    observer.run_started(run.id(), &path, &path.join(name))?;
    tracing::info!(folder = %path.display(), "run folder");
    match caught(|| work(&mut run)) {
        Ok(result) => {
            let told = json!(result);
            let outcome = match scope {
                Scope::One(_) | Scope::Emit => RunOutcome::Part { result: told },
                Scope::Whole | Scope::Rest | Scope::Stitch => RunOutcome::Done { result: told },
            };
            // What others have made stays with them.
            let keep = if scope == Scope::Stitch { Keep::Always } else { settings.keep };
            let kept = run.finish(outcome, keep)?;
            observer.idle();
            Ok((result, kept.map(|_| path)))
        }
        Err(error) => {
            let mut report = ErrorReport::new(&error, observer.stage());
            report.run_folder = Some(path.to_string_lossy().into_owned());
            // Nothing of a wrong option is worth keeping, also where it took the clips to find it out.
            let outcome = match report.code {
                ErrorCode::Usage => RunOutcome::Refused,
                _ => RunOutcome::Failed { error: json!(report) },
            };
            // The first error is the one that matters; a full disk may forbid recording it.
            if let Err(second) = run.finish(outcome, settings.keep) {
                tracing::warn!(%second, "the outcome could not be recorded");
            }
            Err(error)
        }
    }
}

/// Turns a panic, which is a fault of ours, into an error like any other.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    panic::catch_unwind(panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().map(ToString::to_string);
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::Panic(words.unwrap_or_else(|| "unknown panic".into())))
    })
}
