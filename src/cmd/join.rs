//! `wanctl join`: clips in, one film out.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use color_eyre::eyre::Result;
use serde_json::json;

use wanctl::pipeline::{
    cancel::Cancel, film::plain, footage::Footage, media::Media, output::Destination, render::Render,
};

use super::{
    RunLog, Ui,
    args::{FilmArgs, PlanArgs, RunArgs},
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
    film: FilmArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

pub(crate) fn run(args: Args, cancel: &Cancel, ui: &Ui, log: &RunLog) -> Result<Answer> {
    let started = Instant::now();
    let Args { plan: plan_args, film, run } = args;
    let settings = plan_args.settings()?;
    let film_settings = film.settings()?;
    let extension = format!(".{}", film_settings.extension());
    let output = film.output.clone().unwrap_or_else(|| plan_args.default_name("join", &extension));
    for name in std::iter::once(&output).chain(&film.transition) {
        film_settings.check_name(name)?;
    }
    let media = Media::new(cancel.with_timeout(run.timeout));
    if run.dry_run {
        let Prepared { plan, .. } = session::prepare(&plan_args, &settings, film_settings.lossless, &media, ui)?;
        if !ui.json() {
            ui.print(&show::plan(&plan, Some(&output)));
        }
        return Ok(Answer::Yes);
    }
    let destination = Destination::claim(&output, run.replace(), &plan_args.clips)?;
    let seams =
        if plan_args.clips.len() > 1 && !settings.looped { plan_args.clips.len() - 1 } else { plan_args.clips.len() };
    let transitions = transition_names(film.transition.as_deref(), seams);
    let transitions = transitions
        .iter()
        .map(|name| Destination::claim(name, run.replace(), &plan_args.clips))
        .collect::<Result<Vec<_>, _>>()?;

    session::with_run("join", &run, ui, log, |folder| {
        let engine = session::engine(&settings, ui);
        let Prepared { cast, plan } = session::prepare(&plan_args, &settings, film_settings.lossless, &media, ui)?;
        folder.record("settings", &json!({ "plan": settings, "film": film_settings }))?;
        folder.record("plan", &plan)?;
        let footage = Footage { media: &media, cast: &cast, fit: settings.fit };
        let render = Render { footage, plan: &plan, settings: &film_settings, run_folder: folder.path() };
        let mut written = vec![];
        for (seam, destination) in transitions.into_iter().enumerate() {
            written.push(render.transition(seam, destination, ui)?);
        }
        let finished = render.film(destination, ui)?;
        let seconds = |time: std::time::Duration| (time.as_secs_f64() * 100.0).round() / 100.0;
        ui.end_progress();
        ui.note(&format!(
            "{} frames at {} fps, decoded and counted; {:.1} s",
            finished.film.frames,
            plain(finished.film.fps),
            started.elapsed().as_secs_f64()
        ));
        Ok(json!({
            "output": finished.path,
            "transitions": written,
            "frames": finished.film.frames,
            "fps": finished.film.fps,
            "engine": engine,
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
