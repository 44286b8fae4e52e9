//! `wanctl travel`: images in, a film that passes through each of them.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use wanctl::pipeline::{
    options::{CommonOptions, EngineSettings, ExecOptions, Parts, existing_file},
    run::{
        command::{RunCommand, RunContext},
        error::Result,
        names,
        resolver::{OptionSources, TRAVELS},
    },
    types::cancel::CancelToken,
    worker_tasks::{Command, InputPaths, Needs, Task},
};

use crate::cmd::{
    Ui,
    args::{
        FilmArgs, PartArgs, PresetArgs, RunArgs,
        task_args::TaskArgs,
        travel_args::{Told, TravelArgs},
        wan_args::WanArgs,
    },
    film,
    output::ui::Outcome,
};

/// Move through images in order, one segment between every two
///
/// The film passes through each image at a known frame, which --dry-run prints. From a single image a segment starts (with
/// --engine wan, which makes up what follows).
#[derive(clap::Args, Debug)]
#[command(after_help = crate::cmd::after_help(), after_long_help = crate::cmd::after_long_help())]
pub(crate) struct Args {
    /// Images, in the order of the film
    #[arg(value_name = "IMAGE", value_parser = existing_file(), required_unless_present_any = ["task", "story"])]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    travel: TravelArgs,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    exec: ExecOptions,
    #[command(flatten)]
    wan: WanArgs,
    #[command(flatten)]
    film: FilmArgs,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    preset: PresetArgs,
}

pub(crate) fn run(args: Args, cancel: &CancelToken, ui: &Ui) -> Result<Outcome> {
    let started = Instant::now();
    let Args { inputs, travel, common, task, preset, exec, wan, film, part, run } = args;
    let Told { mut typed, story, paths } = travel.told(&inputs, &common)?;
    typed.wan = wan.options();
    let scope = part.scope();
    let stem = task.is_absent().then(|| names::default_stem(&paths.images, "travel"));
    let files: Vec<PathBuf> = paths.all().cloned().collect();
    film::refuse_taken(&film, (stem, None), (scope, Parts::segments(0)), &files, &run)?;
    let context = RunContext::new(cancel, run.timeout);
    let task = task.open(&preset, &context.media, ui)?;
    let (film, output) = film.settled(task.as_ref(), None)?;
    let exec = EngineSettings::new(exec, task.as_ref().and_then(|task| task.engine.clone()))?;
    let sources = OptionSources {
        flags: typed,
        task: task.as_ref(),
        story: story.as_ref(),
        models: &wan.models,
        shown: TRAVELS,
        ..preset.sources()
    };
    let resolver = context.resolver(sources, exec.device.first(), ui)?;
    let needs = Needs { sound: true, prompts: resolver.reads_prompts_of_a_task() };
    let inputs = match &task {
        None => InputPaths::Journey(paths),
        Some(task) => match task.stitch(Command::Travel, &needs)? {
            Some((pieces, stitch)) => InputPaths::Pieces(pieces, stitch),
            None => InputPaths::Journey(paths.over(task.journey(&needs)?)),
        },
    };
    let task = task.as_ref();
    let output = match output {
        Some(output) => output,
        None => {
            let stem = film::stem(task, &inputs, false);
            names::of_film(stem, scope, resolver.parts(inputs.content())?, &film)
        }
    };
    let command = RunCommand {
        inputs,
        resolver,
        scope,
        film,
        output,
        transition: None,
        exec,
        run_folder: task.and_then(Task::run_folder).map(Path::to_owned),
        settings: run.settings(),
        context: &context,
        started,
    };
    film::run(command, run.dry_run, ui)
}
