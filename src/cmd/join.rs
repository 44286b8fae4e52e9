//! `wanctl join`: clips in, one film out.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use wanctl::pipeline::{
    options::{CommonOptions, EngineSettings, ExecOptions, JoinOptions, Options, Parts, existing_file},
    run::{
        command::{RunCommand, RunContext},
        error::Result,
        names,
        resolver::{JOINS, OptionSources},
    },
    types::cancel::CancelToken,
    worker_tasks::{Command, InputPaths, Needs, Task},
};

use crate::cmd::{
    Ui,
    args::{FilmArgs, PartArgs, PresetArgs, RunArgs, task_args::TaskArgs, wan_args::WanArgs},
    film,
    output::ui::Outcome,
};

/// Join clips in order into one film
///
/// Both clips stay as they are; between them stand frames that carry one over into the other.
#[derive(clap::Args, Debug)]
#[command(after_help = crate::cmd::after_help(), after_long_help = crate::cmd::after_long_help())]
pub(crate) struct Args {
    /// Video files, in the order of the film
    #[arg(value_name = "CLIP", value_parser = existing_file(), required_unless_present = "task")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    join: JoinOptions,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    exec: ExecOptions,
    #[command(flatten)]
    wan: WanArgs,
    #[command(flatten)]
    film: FilmArgs,
    /// Also write the generated segment by itself, context included (with several seams one file each, numbered)
    #[arg(long, value_name = "FILE", help_heading = "Film")]
    transition: Option<PathBuf>,
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
    let Args { inputs, join, common, task, preset, exec, wan, film, transition, part, run } = args;
    let typed = Options { common, join, wan: wan.options(), ..Options::default() };
    typed.check_clip_count(inputs.len())?;
    let scope = part.scope();
    let ranges = typed.join.ranges.as_ref().map_or(0, Vec::len);
    let seams = if ranges > 0 {
        ranges
    } else {
        (inputs.len() + usize::from(typed.common.looped == Some(true))).saturating_sub(1)
    };
    let stem = task.is_absent().then(|| names::default_stem(&inputs, if ranges > 0 { "range" } else { "join" }));
    film::refuse_taken(&film, (stem, transition.as_deref()), (scope, Parts::seams(seams)), &inputs, &run)?;
    let context = RunContext::new(cancel, run.timeout);
    let task = task.open(&preset, &context.media, ui)?;
    let (film, output) = film.settled(task.as_ref(), transition.as_deref())?;
    let exec = EngineSettings::new(exec, task.as_ref().and_then(|task| task.engine.clone()))?;
    let sources =
        OptionSources { flags: typed, task: task.as_ref(), models: &wan.models, shown: JOINS, ..preset.sources() };
    let resolver = context.resolver(sources, exec.device.first(), ui)?;
    let needs = Needs { sound: true, prompts: resolver.reads_prompts_of_a_task() };
    let inputs = match &task {
        None => InputPaths::Clips(inputs),
        Some(task) => match task.stitch(Command::Join, &needs)? {
            Some((pieces, stitch)) => InputPaths::Pieces(pieces, stitch),
            None => InputPaths::Clips(task.clips(&needs)?),
        },
    };
    let task = task.as_ref();
    let output = match output {
        Some(output) => output,
        None => {
            let ranges = resolver.merged().join.ranges.is_some_and(|ranges| !ranges.is_empty());
            let stem = film::stem(task, &inputs, ranges);
            names::of_film(stem, scope, resolver.parts(inputs.content())?, &film)
        }
    };
    let command = RunCommand {
        inputs,
        resolver,
        scope,
        film,
        output,
        transition,
        exec,
        run_folder: task.and_then(Task::run_folder).map(Path::to_owned),
        settings: run.settings(),
        context: &context,
        started,
    };
    film::run(command, run.dry_run, ui)
}
