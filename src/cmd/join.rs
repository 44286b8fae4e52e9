//! `wanctl join`: clips in, one film out.

use std::{path::PathBuf, time::Instant};

use wanctl::pipeline::{
    error::Result,
    options::Parts,
    types::cancel::CancelToken,
    worker_tasks::{Command, Needs},
};

use super::{
    RunLog, Ui,
    args::{self, EngineArgs, FilmArgs, PartArgs, RunArgs, ShapeArgs},
    asked::{JOINS, PresetArgs},
    join_args::JoinArgs,
    making::{self, Begun, Making},
    task::TaskArgs,
    ui::Answer,
    wan_args::WanArgs,
    work::Work,
};

/// Join clips in order into one film
///
/// Both clips stay as they are; between them stand frames that carry one over into the other.
#[derive(clap::Args, Debug)]
#[command(after_help = super::after_help(), after_long_help = super::after_long_help())]
pub(crate) struct Args {
    /// Video files, in the order of the film
    #[arg(value_name = "CLIP", value_parser = args::file(), required_unless_present = "task")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    engine: EngineArgs,
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
    let Args { inputs, join, shape, task, preset, engine, wan, film, transition, part, run } = args;
    let typed = join.typed(&inputs, &shape)?;
    let part = part.part();
    let ranges = typed.ranges.as_ref().map_or(0, Vec::len);
    let seams = if ranges > 0 { ranges } else { (inputs.len() + usize::from(shape.looped)).saturating_sub(1) };
    let stem = task.is_absent().then(|| args::default_name(&inputs, if ranges > 0 { "range" } else { "join" }, ""));
    making::refuse_taken(&film, (stem, transition.as_deref()), (part, Parts::seams(seams)), &inputs, &run)?;
    let begun = Begun::new(&run, cancel);
    let task = task.open(&preset, &begun.media, ui)?;
    let (film, output) = film.settled(task.as_ref(), transition.as_deref())?;
    let with = engine.settings(task.as_ref().and_then(|task| task.engine.clone()))?;
    let asked = begun.asked(&preset, (&wan, typed), (task.as_ref(), None), (JOINS, with.device.first()), ui)?;
    let needs = Needs { sound: true, prompts: asked.reads_prompts_of_a_task() };
    let work = match &task {
        None => Work::join(inputs, &asked)?,
        Some(task) => match task.stitch(Command::Join, &needs)? {
            Some(pieces) => Work::stitch(pieces, &asked)?,
            None => Work::join(task.clips(&needs)?, &asked)?,
        },
    };
    let task = task.as_ref();
    Making { work, asked, task, part, film, output, transition, with, run: &run, begun: &begun, started }.make(ui, log)
}
