//! What join and guide do alike: facts, cast, plan, and a run folder around the work.

use std::path::PathBuf;

use color_eyre::eyre::Result;
use serde_json::{Value, json};

use wanctl::pipeline::{
    film::Cast,
    job::Maker,
    media::Media,
    plan::FramePlan,
    progress::{Progress, Stage, Warning},
    run::{Outcome, RunDir},
    settings::{EngineChoice, Settings, WanSettings},
};

use super::{RunLog, Ui, args::RunArgs, show_settings};

/// Facts, then a plan.
pub(crate) struct Prepared {
    pub(crate) cast: Cast,
    pub(crate) plan: FramePlan,
}

pub(crate) fn prepare(
    clips: &[PathBuf],
    settings: &Settings,
    wan: Option<&WanSettings>,
    lossless: bool,
    media: &Media,
    ui: &Ui,
) -> Result<Prepared> {
    ui.begin(Stage::Probe, clips.len());
    let clips = media.probe_clips(clips)?;
    let cast = Cast::new(clips, settings, lossless);
    ui.begin(Stage::Plan, 0);
    let plan = settings.plan(cast.sources(), cast.film.for_plan())?;
    ui.end_progress();
    for warning in &cast.warnings {
        ui.warn(warning.clone());
    }
    for warning in &plan.warnings {
        let file = warning.file().map(ToOwned::to_owned);
        ui.warn(Warning { code: warning.code(), file, message: warning.to_string() });
    }
    ui.event("plan", &json!({ "plan": plan, "settings": { "plan": settings, "wan": wan } }));
    for line in show_settings::settings(settings, wan) {
        tracing::info!("{line}");
    }
    Ok(Prepared { cast, plan })
}

/// Which engine does the work; one request for each seam. None is dissolve, which
/// needs no program.
pub(crate) fn makers(settings: &Settings, wan: Option<&WanSettings>, seams: usize, ui: &Ui) -> Option<Vec<Maker>> {
    if let Some(wan) = wan {
        ui.note(&format!("seed {}", *wan.seed));
        return Some((0..seams).map(|seam| Maker::Wan(Box::new(wan.request(seam)))).collect());
    }
    let maker = match *settings.engine {
        EngineChoice::Rife => Some(Maker::Rife),
        EngineChoice::Auto | EngineChoice::Wan => unreachable!("resolved before"),
        EngineChoice::Dissolve => None,
    };
    maker.map(|maker| vec![maker; seams])
}

/// The engine's word in results.
pub(crate) fn engine_name(maker: Option<&Maker>) -> &'static str {
    match maker {
        Some(Maker::Rife) => "rife",
        Some(Maker::Halving) => "halving",
        Some(Maker::Wan(_)) => "wan",
        None => "dissolve",
    }
}

/// Runs `work` with a folder of its own, or that of a run to go on with, in which its outcome is recorded.
pub(crate) fn with_run(
    command: &str,
    args: &RunArgs,
    ui: &Ui,
    log: &RunLog,
    resumed: Option<RunDir>,
    work: impl FnOnce(&mut RunDir) -> Result<Value>,
) -> Result<()> {
    let mut run = match resumed {
        Some(run) => run,
        None => RunDir::create(args.work_dir.as_deref(), command)?,
    };
    log.open(run.path())?;
    ui.run_started(run.id(), run.path());
    tracing::info!(folder = %run.path().display(), "run folder");
    match super::caught(|| work(&mut run)) {
        Ok(mut result) => {
            let folder = run.path().to_owned();
            let kept = run.finish(Outcome::Done { result: result.clone() }, args.keep())?;
            result["run_folder"] = kept.map_or(Value::Null, |_| folder.to_string_lossy().into());
            ui.end_progress();
            ui.event("result", &result);
            if let (Some(output), false) = (result["output"].as_str(), ui.json()) {
                ui.print(output);
            }
            Ok(())
        }
        Err(report) => {
            let failure = ui.failure(&report);
            // Nothing of a wrong option is worth keeping, also where it took the clips to find it out.
            let outcome = match failure.is_usage() {
                true => Outcome::Refused,
                false => Outcome::Failed { error: serde_json::to_value(failure)? },
            };
            // The first error is the one that matters; a full disk may forbid recording it.
            if let Err(second) = run.finish(outcome, args.keep()) {
                tracing::warn!(%second, "the outcome could not be recorded");
            }
            Err(report)
        }
    }
}
