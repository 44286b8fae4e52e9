//! `wanctl travel`: images in, a film that passes through each of them.

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
    asked::{PresetArgs, TRAVELS},
    making::{self, Begun, Making},
    task::TaskArgs,
    travel_args::{Told, TravelArgs},
    ui::Answer,
    wan_args::WanArgs,
    work::Work,
};

/// Move through images in order, one segment between every two
///
/// The film passes through each image at a known frame, which --dry-run prints. From a single image a segment starts (with
/// --engine wan, which makes up what follows).
#[derive(clap::Args, Debug)]
#[command(after_help = super::after_help(), after_long_help = super::after_long_help())]
pub(crate) struct Args {
    /// Images, in the order of the film
    #[arg(value_name = "IMAGE", value_parser = args::file(), required_unless_present_any = ["task", "story"])]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    travel: TravelArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    engine: EngineArgs,
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

pub(crate) fn run(args: Args, cancel: &CancelToken, ui: &Ui, log: &RunLog) -> Result<Answer> {
    let started = Instant::now();
    let Args { inputs, travel, shape, task, preset, engine, wan, film, part, run } = args;
    let Told { typed, story, paths } = travel.told(&inputs, &shape)?;
    let part = part.part();
    let stem = task.is_absent().then(|| args::default_name(&paths.images, "travel", ""));
    let files: Vec<PathBuf> = paths.all().cloned().collect();
    making::refuse_taken(&film, (stem, None), (part, Parts::segments(0)), &files, &run)?;
    let begun = Begun::new(&run, cancel);
    let task = task.open(&preset, &begun.media, ui)?;
    let (film, output) = film.settled(task.as_ref(), None)?;
    let with = engine.settings(task.as_ref().and_then(|task| task.engine.clone()))?;
    let said = (task.as_ref(), story.as_ref());
    let asked = begun.asked(&preset, (&wan, typed), said, (TRAVELS, with.device.first()), ui)?;
    let needs = Needs { sound: true, prompts: asked.reads_prompts_of_a_task() };
    let work = match &task {
        None => Work::travel(paths, &asked)?,
        Some(task) => match task.stitch(Command::Travel, &needs)? {
            Some(pieces) => Work::stitch(pieces, &asked)?,
            None => Work::travel(paths.over(task.journey(&needs)?), &asked)?,
        },
    };
    let task = task.as_ref();
    let transition = None;
    Making { work, asked, task, part, film, output, transition, with, run: &run, begun: &begun, started }.make(ui, log)
}
