//! What join, travel and guide do alike: facts, cast, plan, and a run folder around the work.

use serde_json::{Value, json};

use wanctl::pipeline::{
    error::Result,
    frames::film::Inputs,
    job::Backend,
    media::Media,
    options::{EngineChoice, ResolvedOptions},
    plan::FramePlan,
    run::{
        folder::{Keep, Outcome, RunDir, Share},
        project::Project,
    },
    types::progress::{Progress, Warning},
};

use super::{
    RunLog, Ui,
    args::{Part, RunArgs},
    show_settings,
};

/// Facts, then a plan.
pub(crate) struct Prepared {
    pub(crate) inputs: Inputs,
    pub(crate) plan: FramePlan,
}

/// Reads and plans; nothing is written, so that what is refused here leaves nothing.
pub(crate) fn prepare(project: &Project, lossless: bool, media: &Media, ui: &Ui) -> Result<Prepared> {
    let (inputs, plan) = project.plan(lossless, media, ui)?;
    ui.end_progress();
    Ok(Prepared { inputs, plan })
}

impl Prepared {
    /// Tells what will be made.
    pub(crate) fn announce(&self, options: &ResolvedOptions, ui: &Ui) {
        let Self { inputs, plan } = self;
        warnings(inputs, plan).for_each(|warning| ui.warn(warning));
        ui.event("plan", &json!({ "plan": plan, "settings": { "plan": options, "wan": options.wan() } }));
        for line in show_settings::lines(options) {
            tracing::info!("{line}");
        }
    }
}

/// What is said of the clips, then of the plan.
pub(crate) fn warnings(inputs: &Inputs, plan: &FramePlan) -> impl Iterator<Item = Warning> {
    let of_plan = plan.warnings.iter().map(|warning| {
        let file = warning.file().map(ToOwned::to_owned);
        Warning { code: warning.code(), file, message: warning.to_string() }
    });
    inputs.warnings.iter().cloned().chain(of_plan)
}

/// Which engine does the work; one request for each seam or segment. None is dissolve, which needs no program.
pub(crate) fn makers(options: &ResolvedOptions, ui: &Ui) -> Option<Vec<Backend>> {
    let parts = options.parts.count;
    if let Some(wan) = options.wan() {
        let seeds: Vec<u64> = (0..parts).map(|part| wan.seed_of(part)).collect();
        match seeds.iter().all(|seed| *seed == wan.seed) {
            true => ui.note(&format!("seed {}", wan.seed)),
            false => ui.note(&format!("seeds {}", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))),
        }
        return Some((0..parts).map(|part| Backend::Wan(Box::new(wan.request(part)))).collect());
    }
    let maker = match *options.common.engine {
        EngineChoice::Rife => Some(Backend::Rife),
        EngineChoice::Auto | EngineChoice::Wan => unreachable!("resolved before"),
        EngineChoice::Dissolve => None,
    };
    maker.map(|maker| vec![maker; parts])
}

/// The engine's word in results.
pub(crate) fn engine_name(maker: Option<&Backend>) -> &'static str {
    match maker {
        Some(Backend::Rife) => "rife",
        Some(Backend::Halving) => "halving",
        Some(Backend::Wan(_)) => "wan",
        None => "dissolve",
    }
}

/// Where a run takes place.
pub(crate) struct Scene<'a> {
    pub(crate) command: &'static str,
    pub(crate) part: Part,
    pub(crate) args: &'a RunArgs,
    /// The run that is gone on with.
    pub(crate) resumed: Option<RunDir>,
}

/// Runs `work` with a folder of its own, or that of a run to go on with, in which its outcome is recorded.
pub(crate) fn with_run(
    scene: Scene<'_>,
    ui: &Ui,
    log: &RunLog,
    work: impl FnOnce(&mut RunDir) -> Result<Value>,
) -> Result<()> {
    let Scene { command, part, args, resumed } = scene;
    let (share, name) = match part {
        Part::One(part) => (Share::Parts, format!("run_{}.log", part + 1)),
        Part::Whole | Part::Rest | Part::Stitch | Part::Emit => (Share::Nobody, "run.log".into()),
    };
    let mut run = match resumed {
        Some(run) => run.go_on(share)?,
        None => RunDir::create(args.work_dir.as_deref(), command, share)?,
    };
    log.open(&run.path().join(name))?;
    ui.run_started(run.id(), run.path());
    tracing::info!(folder = %run.path().display(), "run folder");
    match super::caught(|| work(&mut run)) {
        Ok(mut result) => {
            let folder = run.path().to_owned();
            let outcome = match part {
                Part::One(_) | Part::Emit => Outcome::Part { result: result.clone() },
                Part::Whole | Part::Rest | Part::Stitch => Outcome::Done { result: result.clone() },
            };
            // What others have made stays with them.
            let keep = if part == Part::Stitch { Keep::Always } else { args.keep() };
            let kept = run.finish(outcome, keep)?;
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
                false => Outcome::Failed { error: json!(failure) },
            };
            // The first error is the one that matters; a full disk may forbid recording it.
            if let Err(second) = run.finish(outcome, args.keep()) {
                tracing::warn!(%second, "the outcome could not be recorded");
            }
            Err(report)
        }
    }
}
