//! What join and travel do alike: names that are taken, a dry run, and what is said of the film.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Serialize;
use serde_json::{Value, json};

use wanctl::pipeline::{
    frames::film::plain,
    inspect::work_of,
    job::memory::Sizes,
    options::{EngineSettings, Generation, Options, Parts, story::Story},
    run::{
        command::{Film, RunCommand, RunContext, RunResult},
        error::Result,
        names,
        resolver::OptionSources,
        session::Scope,
    },
    system::output::{self, Destination, Replace},
    types::{cancel::CancelToken, progress::Progress},
    weights::Conditioning,
    worker_tasks::{InputPaths, Needs, Task},
};

use crate::cmd::{
    Ui,
    args::{FilmArgs, MakeArgs},
    output::{show_plan, show_settings, ui::Outcome},
};

/// What the command line asks to be made, besides what join and travel have alike.
pub(crate) struct Requested {
    pub(crate) options: Options,
    pub(crate) story: Option<Story>,
    /// None of them are named where there is a task.
    pub(crate) inputs: InputPaths,
    pub(crate) parts: Parts,
    pub(crate) transition: Option<PathBuf>,
    /// How a model can be shown frames that does this.
    pub(crate) shown: &'static [Conditioning],
}

/// From flags to a film, or with `--dry-run` to its plan.
pub(crate) fn make(args: MakeArgs, requested: Requested, cancel: &CancelToken, ui: &Ui) -> Result<Outcome> {
    let started = Instant::now();
    let MakeArgs { common, exec, wan, film, part, run, task, preset } = args;
    let Requested { options, story, inputs, parts, transition, shown } = requested;
    let options = Options { common, wan: wan.options(), ..options };
    let (scope, command) = (part.scope(), inputs.command());
    if !run.dry_run {
        let stem = task.is_absent().then(|| stem(None, &inputs, has_ranges(&options)));
        refuse_taken(&film, (stem, transition.as_deref()), (scope, parts), (&inputs.files(), run.replace()))?;
    }
    let context = RunContext::new(cancel, run.timeout);
    let task = task.open(&preset, &context.media, ui)?;
    let task = task.as_ref();
    let (film, output) = film.settled(task, transition.as_deref())?;
    let exec = EngineSettings::new(exec, task.and_then(|task| task.engine.clone()))?;
    let story = story.as_ref();
    let sources = OptionSources { flags: options, task, story, models: &wan.models, shown, ..preset.sources() };
    let resolver = context.resolver(sources, exec.device.first(), ui)?;
    let needs = Needs { sound: true, prompts: resolver.reads_prompts_of_a_task() };
    let inputs = match (task, inputs) {
        (None, inputs) => inputs,
        (Some(task), inputs) => match (task.stitch(command, &needs)?, inputs) {
            (Some((pieces, stitch)), _) => InputPaths::Pieces(pieces, stitch),
            (None, InputPaths::Journey(paths)) => InputPaths::Journey(paths.over(task.journey(&needs)?)),
            (None, _) => InputPaths::Clips(task.clips(&needs)?),
        },
    };
    let output = match output {
        Some(output) => output,
        None => {
            let stem = stem(task, &inputs, has_ranges(&resolver.merged()));
            names::of_film(stem, scope, resolver.parts(inputs.content())?, &film)
        }
    };
    let (run_folder, settings) = (task.and_then(Task::run_folder).map(Path::to_owned), run.settings());
    let context = &context;
    let command =
        RunCommand { inputs, resolver, scope, film, output, transition, exec, run_folder, settings, context, started };
    if run.dry_run { dry_run(command, ui) } else { self::run(command, ui) }
}

fn has_ranges(options: &Options) -> bool {
    options.join.ranges.as_ref().is_some_and(|ranges| !ranges.is_empty())
}

/// Refuses names that are taken before anything is opened: the film's, and those of its transitions. `stem` is the film's
/// default name; none where a task decides what is made, and only a name that was typed is known yet.
fn refuse_taken(
    film: &FilmArgs,
    (stem, transition): (Option<PathBuf>, Option<&Path>),
    (scope, parts): (Scope, Parts),
    (inputs, replace): (&[PathBuf], Replace),
) -> Result<()> {
    let (mut taken, mut output) = (vec![], film.output.clone());
    if let Some(stem) = stem {
        let (film, _) = film.settled(None, transition)?;
        taken = names::numbered(transition, parts);
        output = output.or_else(|| Some(names::of_film(stem, scope, parts, &film)));
    }
    taken.extend(output);
    output::distinct(taken.iter().map(PathBuf::as_path))?;
    Ok(taken.iter().try_for_each(|name| Destination::check(name, replace, inputs))?)
}

/// The stem of the film's name where nobody says one.
fn stem(task: Option<&Task>, inputs: &InputPaths, ranges: bool) -> PathBuf {
    match (task.and_then(Task::output_stem), inputs) {
        (Some(stem), _) => PathBuf::from(stem),
        (None, InputPaths::Clips(clips)) => names::default_stem(clips, if ranges { "range" } else { "join" }),
        (None, InputPaths::Journey(paths)) => names::default_stem(&paths.images, "travel"),
        (None, InputPaths::Pieces(pieces, _)) => names::default_stem(pieces, "stitch"),
    }
}

fn run(command: RunCommand<'_>, ui: &Ui) -> Result<Outcome> {
    let (result, folder) = command.run(ui)?;
    if let RunResult::Film(Film { frames, fps, seconds, .. }) = &result {
        ui.note(&format!("{frames} frames at {} fps, decoded and counted; {seconds:.1} s", plain(*fps)));
    }
    print_result(&result, result.output(), folder, ui);
    Ok(Outcome::Usable)
}

/// Prints the plan, and with which numbers it would be made.
fn dry_run(command: RunCommand<'_>, ui: &Ui) -> Result<Outcome> {
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
