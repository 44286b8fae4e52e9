//! `wanctl join`: clips in, one film out.

use std::path::PathBuf;

use wanctl::pipeline::{
    options::{JoinOptions, Options, Parts, existing_file},
    run::{error::Result, resolver::JOINS},
    types::cancel::CancelToken,
    worker_tasks::InputPaths,
};

use crate::cmd::{
    Ui,
    args::MakeArgs,
    film::{self, Requested},
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
    /// Also write the generated segment by itself, context included (with several seams one file each, numbered)
    #[arg(long, value_name = "FILE", help_heading = "Film")]
    transition: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) make: MakeArgs,
}

pub(crate) fn run(args: Args, cancel: &CancelToken, ui: &Ui) -> Result<Outcome> {
    let Args { inputs, join, transition, make } = args;
    let options = Options { common: make.common.clone(), join, ..Options::default() };
    options.check_clip_count(inputs.len())?;
    let seams = match options.join.ranges.as_ref().map_or(0, Vec::len) {
        0 => (inputs.len() + usize::from(options.common.looped == Some(true))).saturating_sub(1),
        ranges => ranges,
    };
    let (inputs, parts) = (InputPaths::Clips(inputs), Parts::seams(seams));
    film::make(make, Requested { options, story: None, inputs, parts, transition, shown: JOINS }, cancel, ui)
}
