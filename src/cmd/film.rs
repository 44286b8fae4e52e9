//! What join and travel do alike: names that are taken, a dry run, and what is said of the film.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use wanctl::pipeline::{
    frames::film::plain,
    inspect::work_of,
    job::memory::Sizes,
    options::{Generation, Parts},
    run::{
        command::{Film, RunCommand, RunResult},
        error::Result,
        names,
        session::Scope,
    },
    system::output::{self, Destination},
    types::progress::Progress,
    worker_tasks::{InputPaths, Task},
};

use crate::cmd::{
    Ui,
    args::{FilmArgs, RunArgs},
    output::{show_plan, show_settings, ui::Outcome},
};

/// Refuses names that are taken before anything is opened: the film's, and those of its transitions. `stem` is the film's
/// default name; none where a task decides what is made, and only a name that was typed is known yet.
pub(crate) fn refuse_taken(
    film: &FilmArgs,
    (stem, transition): (Option<PathBuf>, Option<&Path>),
    (scope, parts): (Scope, Parts),
    inputs: &[PathBuf],
    run: &RunArgs,
) -> Result<()> {
    if run.dry_run {
        return Ok(());
    }
    let (mut taken, mut output) = (vec![], film.output.clone());
    if let Some(stem) = stem {
        let (film, _) = film.settled(None, transition)?;
        taken = names::numbered(transition, parts);
        output = output.or_else(|| Some(names::of_film(stem, scope, parts, &film)));
    }
    taken.extend(output);
    output::distinct(taken.iter().map(PathBuf::as_path))?;
    Ok(taken.iter().try_for_each(|name| Destination::check(name, run.replace(), inputs))?)
}

/// The stem of the film's name where nobody says one.
pub(crate) fn stem(task: Option<&Task>, inputs: &InputPaths, ranges: bool) -> PathBuf {
    match (task.and_then(Task::output_stem), inputs) {
        (Some(stem), _) => PathBuf::from(stem),
        (None, InputPaths::Clips(clips)) => names::default_stem(clips, if ranges { "range" } else { "join" }),
        (None, InputPaths::Journey(paths)) => names::default_stem(&paths.images, "travel"),
        (None, InputPaths::Pieces(pieces, _)) => names::default_stem(pieces, "stitch"),
    }
}

/// Makes the film, or with `--dry-run` prints the plan, and with which numbers it would be made.
pub(crate) fn run(command: RunCommand<'_>, dry_run: bool, ui: &Ui) -> Result<Outcome> {
    if !dry_run {
        let (result, folder) = command.run(ui)?;
        if let RunResult::Film(Film { frames, fps, seconds, .. }) = &result {
            ui.note(&format!("{frames} frames at {} fps, decoded and counted; {seconds:.1} s", plain(*fps)));
        }
        print_result(&result, result.output(), folder, ui);
        return Ok(Outcome::Usable);
    }
    let output = command.output.clone();
    let (project, plan) = command.dry_run(ui)?;
    if !ui.json() {
        ui.print(&show_plan::plan(&plan, Some(&output)));
        ui.print(&show_settings::lines(&project.options).join("\n"));
        if let Some(wan) = project.options.wan() {
            let Generation { dtype, offload, vae_tile, .. } = &wan.generation;
            ui.print(&show_settings::samplers(&wan.generation));
            let asked = work_of(&plan, (**dtype, **offload, **vae_tile));
            ui.print(&format!("memory   {}", show_settings::memory(&Sizes::of(&wan.models)?, &asked)));
        }
    }
    Ok(Outcome::Usable)
}

/// The result, with the run's folder if that stays: an event, or the output's name.
pub(crate) fn print_result(result: &impl Serialize, output: &Path, folder: Option<PathBuf>, ui: &Ui) {
    let mut event = json!(result);
    event["run_folder"] = folder.map_or(Value::Null, |folder| folder.to_string_lossy().into());
    ui.event("result", &event);
    if !ui.json() {
        ui.print(&output.to_string_lossy());
    }
}
