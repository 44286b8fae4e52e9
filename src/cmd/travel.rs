//! `wanctl travel`: images in, a film that passes through each of them.

use std::path::PathBuf;

use wanctl::pipeline::{
    options::{Parts, existing_file},
    run::{error::Result, resolver::TRAVELS},
    types::cancel::CancelToken,
    worker_tasks::InputPaths,
};

use crate::cmd::{
    Ui,
    args::{
        MakeArgs,
        travel_args::{Told, TravelArgs},
    },
    film::{self, Requested},
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
    pub(crate) make: MakeArgs,
}

pub(crate) fn run(args: Args, cancel: &CancelToken, ui: &Ui) -> Result<Outcome> {
    let Args { inputs, travel, make } = args;
    let Told { typed: options, story, paths } = travel.told(&inputs, &make.common)?;
    let (inputs, parts) = (InputPaths::Journey(paths), Parts::segments(0));
    film::make(make, Requested { options, story, inputs, parts, transition: None, shown: TRAVELS }, cancel, ui)
}
