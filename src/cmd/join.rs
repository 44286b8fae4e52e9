//! `wanctl join`: clips in, one film out.

use std::{path::PathBuf, time::Instant};

use wanctl::pipeline::{
    error::Result,
    options::{CommonOptions, EngineSettings, ExecOptions, JoinOptions, Options, Parts, existing_file},
    run::resolver::{JOINS, OptionSources},
    types::cancel::CancelToken,
    worker_tasks::{Command, InputPaths, Needs},
};

use super::{
    RunLog, Ui,
    args::{self, FilmArgs, PartArgs, PresetArgs, RunArgs},
    making::{self, Begun, Making},
    task::TaskArgs,
    ui::Answer,
    wan_args::WanArgs,
};

/// Join clips in order into one film
///
/// Both clips stay as they are; between them stand frames that carry one over into the other.
#[derive(clap::Args, Debug)]
#[command(after_help = super::after_help(), after_long_help = super::after_long_help())]
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

pub(crate) fn run(args: Args, cancel: &CancelToken, ui: &Ui, log: &RunLog) -> Result<Answer> {
    let started = Instant::now();
    let Args { inputs, join, common, task, preset, exec, wan, film, transition, part, run } = args;
    let typed = Options { common, join, wan: wan.options(), ..Options::default() };
    typed.check_clip_count(inputs.len())?;
    let part = part.part();
    let ranges = typed.join.ranges.as_ref().map_or(0, Vec::len);
    let seams = if ranges > 0 {
        ranges
    } else {
        (inputs.len() + usize::from(typed.common.looped == Some(true))).saturating_sub(1)
    };
    let stem = task.is_absent().then(|| args::default_name(&inputs, if ranges > 0 { "range" } else { "join" }, ""));
    making::refuse_taken(&film, (stem, transition.as_deref()), (part, Parts::seams(seams)), &inputs, &run)?;
    let begun = Begun::new(&run, cancel);
    let task = task.open(&preset, &begun.media, ui)?;
    let (film, output) = film.settled(task.as_ref(), transition.as_deref())?;
    let with = EngineSettings::new(exec, task.as_ref().and_then(|task| task.engine.clone()))?;
    let sources =
        OptionSources { flags: typed, task: task.as_ref(), models: &wan.models, shown: JOINS, ..preset.sources() };
    let resolver = begun.resolver(sources, with.device.first(), ui)?;
    let needs = Needs { sound: true, prompts: resolver.reads_prompts_of_a_task() };
    let inputs = match &task {
        None => InputPaths::Clips(inputs),
        Some(task) => match task.stitch(Command::Join, &needs)? {
            Some((pieces, stitch)) => InputPaths::Pieces(pieces, stitch),
            None => InputPaths::Clips(task.clips(&needs)?),
        },
    };
    let task = task.as_ref();
    Making { inputs, resolver, task, part, film, output, transition, with, run: &run, begun: &begun, started }
        .make(ui, log)
}
