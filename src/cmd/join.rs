//! `wanctl join`: clips in, one film out.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use color_eyre::eyre::Result;
use serde_json::json;

use wanctl::pipeline::{
    between::Between,
    cancel::Cancel,
    checkpoint::Conditioning,
    child::Leash,
    engine::Engine,
    film::plain,
    footage::Footage,
    media::Media,
    output::{self, Destination},
    render::Render,
    run::RunDir,
    settings::{Audio, EngineChoice},
};

use super::{
    RunLog, Ui,
    args::{EngineArgs, FilmArgs, PlanArgs, RunArgs},
    session::{self, Prepared},
    show,
    ui::Answer,
    wan_args::WanArgs,
};

/// Join clips in order into one film
///
/// Both clips stay as they are; between them stand frames that carry one over into the other.
#[derive(clap::Args, Debug)]
#[command(after_help = super::EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    wan: WanArgs,
    #[command(flatten)]
    film: FilmArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Go on with the newest run of the same join that did not end well; what it has made is kept
    #[arg(long, help_heading = "Run")]
    resume: bool,
}

pub(crate) fn run(args: Args, cancel: &Cancel, ui: &Ui, log: &RunLog) -> Result<Answer> {
    let started = Instant::now();
    let Args { plan: plan_args, engine, wan, film, run, resume } = args;
    let settings = plan_args.settings(wan.has_model())?;
    if settings.engine != EngineChoice::Wan {
        wan.refuse(settings.engine)?;
    }
    let film_settings = film.settings()?;
    let extension = format!(".{}", film_settings.extension());
    let output = film.output.clone().unwrap_or_else(|| plan_args.default_name("join", &extension));
    for name in std::iter::once(&output).chain(&film.transition) {
        film_settings.check_name(name)?;
    }
    let cancel = cancel.with_timeout(run.timeout);
    let media = Media::new(cancel.clone());
    if run.dry_run {
        let Prepared { plan, .. } = session::prepare(&plan_args, &settings, film_settings.lossless, &media, ui)?;
        if !ui.json() {
            ui.print(&show::plan(&plan, Some(&output)));
        }
        return Ok(Answer::Yes);
    }
    let seams =
        if plan_args.clips.len() > 1 && !settings.looped { plan_args.clips.len() - 1 } else { plan_args.clips.len() };
    let transitions = transition_names(film.transition.as_deref(), seams);
    output::distinct(transitions.iter().chain([&output]))?;
    let mut inputs = plan_args.clips.clone();
    if let Audio::File(file) = &film_settings.audio {
        inputs.push(file.clone());
    }
    let claim = |name: &PathBuf| Destination::claim(name, run.replace(), &inputs);
    let destination = claim(&output)?;
    let transitions = transitions.iter().map(claim).collect::<Result<Vec<_>, _>>()?;

    let task = json!({
        "inputs": plan_args.clips.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?,
        "plan": settings,
        "engine": engine.settings(),
        "wan": wan,
    });
    let resumed = if resume { RunDir::resume(run.work_dir.as_deref(), &task)? } else { None };
    if resume {
        ui.note(
            &resumed
                .as_ref()
                .map_or("nothing to go on with: a new run".into(), |run| format!("going on with run {}", run.id())),
        );
    }
    let seed = resumed.as_ref().and_then(|run| run.recorded("settings")["wan"]["seed"].as_u64());
    // Before anything is decoded: what is missing of gigabytes of weights is soon said.
    let wan = (settings.engine == EngineChoice::Wan).then(|| wan.settings(seams, seed)).transpose()?;

    let settings = match wan.as_ref().map(|wan| wan.models.conditioning()).transpose()? {
        Some(Conditioning::Images) => settings.for_images()?,
        Some(Conditioning::Vace) | None => settings,
    };

    session::with_run("join", &run, ui, log, resumed, |folder| {
        let makers = session::makers(&settings, wan.as_ref(), seams, ui);
        let Prepared { cast, plan } = session::prepare(&plan_args, &settings, film_settings.lossless, &media, ui)?;
        folder.is_for(&task)?;
        folder.record("settings", &json!({ "plan": settings, "film": film_settings, "wan": wan }))?;
        folder.record("plan", &plan)?;
        let footage = Footage { media: &media, cast: &cast, fit: settings.fit };
        let place = folder.path().to_owned();
        let between = Between::Dissolve;
        let mut render = Render { footage, plan: &plan, settings: &film_settings, run_folder: &place, between };
        if let Some(makers) = &makers {
            let program = Engine::new(Leash::new(cancel));
            let outcomes = render.run_engine(&program, makers, engine.settings(), folder.id(), ui)?;
            folder.record("engine", &outcomes)?;
        }
        for (seam, destination) in transitions.iter().enumerate() {
            render.transition(seam, destination, ui)?;
        }
        let finished = render.film(&destination, ui)?;
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
            "seed": wan.as_ref().map(|wan| wan.seed),
            "seconds": seconds(started.elapsed()),
            "verify_seconds": seconds(finished.verifying),
        }))
    })?;
    Ok(Answer::Yes)
}

/// One name for one seam; for several the number goes before the extension.
fn transition_names(name: Option<&Path>, seams: usize) -> Vec<PathBuf> {
    let Some(name) = name else { return vec![] };
    if seams == 1 {
        return vec![name.to_owned()];
    }
    let numbered = |seam: usize| {
        let mut file = name.file_stem().unwrap_or_default().to_owned();
        file.push(format!("_{}", seam + 1));
        if let Some(extension) = name.extension() {
            file.push(".");
            file.push(extension);
        }
        name.with_file_name(file)
    };
    (0..seams).map(numbered).collect()
}
