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
    run::RunDir,
    settings::{self, Audio, FilmSettings},
    task::{Recorded, Task},
};

use super::{
    RunLog, Ui,
    args::{self, EngineArgs, FilmArgs, PlanArgs, RunArgs},
    asked::{Asked, PresetArgs},
    session::{self, Prepared},
    show, show_settings,
    task::TaskArgs,
    ui::Answer,
    wan_args::{self, WanArgs},
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
    task: TaskArgs,
    #[command(flatten)]
    preset: PresetArgs,
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
    let Args { plan: plan_args, task, preset, engine, wan, film, run, resume } = args;
    let typed = wan.typed(plan_args.typed()?);
    let cancel = cancel.with_timeout(run.timeout);
    let media = Media::new(cancel.clone());
    let task = task.open(&preset, &media, ui)?;
    let of_task = task.as_ref().map(Task::film).unwrap_or_default();
    let film_settings = FilmSettings::new(film.typed().over(of_task))?;
    let with = engine.settings(task.as_ref().and_then(|task| task.engine.clone()))?;
    for name in film.output.iter().chain(&film.transition) {
        film_settings.check_name(name)?;
    }
    let program = Engine::new(Leash::new(cancel));
    let with_program = Some((&program, with.device.first()));
    let mut asked = Asked::new(&preset, typed.clone(), task.as_ref(), wan.models(), with_program, ui)?;
    wan_args::refuse(&typed, *asked.settings.engine)?;
    let settings = asked.settings.clone();
    let clips = &asked.clips("join", &plan_args, task.as_ref())?;
    let extension = format!(".{}", film_settings.extension());
    let output = film.output.clone().unwrap_or_else(|| match task.as_ref().and_then(Task::output_stem) {
        Some(stem) => (stem + &extension).into(),
        None => args::default_name(clips, if settings.ranges.is_empty() { "join" } else { "range" }, &extension),
    });
    let seams = settings.seams(clips.len());
    if run.dry_run {
        let wan = asked.wan(seams, None, ui)?;
        let settings = asked.settings.clone();
        let lossless = film_settings.lossless;
        let Prepared { plan, .. } = session::prepare(clips, &settings, wan.as_ref(), lossless, &media, ui)?;
        if !ui.json() {
            ui.print(&show::plan(&plan, Some(&output)));
            ui.print(&show_settings::settings(&settings, wan.as_ref()).join("\n"));
            if let Some(wan) = &wan {
                ui.print(&show_settings::sampler(&wan.sampling));
                ui.print(&show_settings::memory(wan, &plan)?);
            }
        }
        return Ok(Answer::Yes);
    }
    let transitions = transition_names(film.transition.as_deref(), seams);
    output::distinct(transitions.iter().chain([&output]))?;
    let mut inputs = clips.clone();
    if let Audio::File(file) = &film_settings.audio {
        inputs.push(file.clone());
    }
    let claim = |name: &PathBuf| Destination::claim(name, run.replace(), &inputs);
    let destination = claim(&output)?;
    let transitions = transitions.iter().map(claim).collect::<Result<Vec<_>, _>>()?;

    let resumable = json!({
        "inputs": clips.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?,
        "asked": asked.task(),
    });
    let resumed = if resume { RunDir::resume(run.work_dir.as_deref(), &resumable)? } else { None };
    if resume {
        ui.note(
            &resumed
                .as_ref()
                .map_or("nothing to go on with: a new run".into(), |run| format!("going on with run {}", run.id())),
        );
    }
    let seed = resumed.as_ref().and_then(|run| run.recorded("settings")["wan"]["seed"]["value"].as_u64());
    // Before anything is decoded: what is missing of gigabytes of weights is soon said.
    let wan = asked.wan(seams, seed, ui)?;
    let settings = asked.settings.clone();
    let recorded = Recorded::new(clips, settings::again(&settings, wan.as_ref()), &film_settings, with.clone())?;
    let home = std::path::absolute(&output)?;
    let note = recorded.note(home.parent().unwrap_or(&home));

    session::with_run("join", &run, ui, log, resumed, |folder| {
        folder.record("repeat", &recorded)?;
        let makers = session::makers(&settings, wan.as_ref(), seams, ui);
        let Prepared { cast, plan } =
            session::prepare(clips, &settings, wan.as_ref(), film_settings.lossless, &media, ui)?;
        folder.is_for(&resumable)?;
        folder.record(
            "settings",
            &json!({
                "plan": settings,
                "film": film_settings,
                "wan": wan,
                "asked": asked.merged(),
                "engine_because": asked.because,
            }),
        )?;
        folder.record("plan", &plan)?;
        let footage = Footage { media: &media, cast: &cast, fit: *settings.fit };
        let place = folder.path().to_owned();
        let between = Between::dissolve();
        let mut render =
            Render { footage, plan: &plan, settings: &film_settings, note: &note, run_folder: &place, between };
        if let Some(makers) = &makers {
            let outcomes = render.run_engine(&program, makers, &with, folder.id(), ui)?;
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
            "seed": wan.as_ref().map(|wan| *wan.seed),
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
