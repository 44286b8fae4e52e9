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
    child::Leash,
    engine::Engine,
    film::plain,
    footage::Footage,
    media::Media,
    output::{self, Destination},
    render::Render,
    settings::Audio,
};

use super::{
    RunLog, Ui,
    args::{EngineArgs, FilmArgs, PlanArgs, RunArgs},
    session::{self, Prepared},
    show,
    ui::Answer,
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
    film: FilmArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

pub(crate) fn run(args: Args, cancel: &Cancel, ui: &Ui, log: &RunLog) -> Result<Answer> {
    let started = Instant::now();
    let Args { plan: plan_args, engine, film, run } = args;
    let settings = plan_args.settings()?;
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

    session::with_run("join", &run, ui, log, |folder| {
        let maker = session::maker(&settings, ui);
        let Prepared { cast, plan } = session::prepare(&plan_args, &settings, film_settings.lossless, &media, ui)?;
        folder.record("settings", &json!({ "plan": settings, "film": film_settings }))?;
        folder.record("plan", &plan)?;
        let footage = Footage { media: &media, cast: &cast, fit: settings.fit };
        let place = folder.path().to_owned();
        let between = Between::Dissolve;
        let mut render = Render { footage, plan: &plan, settings: &film_settings, run_folder: &place, between };
        if let Some(maker) = &maker {
            let program = Engine::new(Leash::new(cancel));
            let outcomes = render.run_engine(&program, maker, engine.settings(), folder.id(), ui)?;
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
            "engine": session::engine_name(maker.as_ref()),
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
