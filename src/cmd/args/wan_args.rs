//! Flags of a Wan model that are more than options.

use std::path::PathBuf;

use wanctl::pipeline::options::{Prompts, WanOptions, existing_file};

#[derive(clap::Args, Debug)]
pub(crate) struct WanArgs {
    #[command(flatten)]
    options: WanOptions,

    /// Where weights are looked for, before WANCTL_MODELS and the folders of other tools; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Wan")]
    pub(crate) models: Vec<PathBuf>,

    /// A file with one prompt for each seam or segment, a line each
    #[arg(long = "prompts", id = "prompt_file", value_name = "FILE", value_parser = existing_file(), conflicts_with = "prompts", help_heading = "Wan")]
    prompt_file: Option<PathBuf>,
}

impl WanArgs {
    pub(crate) fn options(&self) -> WanOptions {
        let prompts = self.prompt_file.clone().map(Prompts::File).or(self.options.prompts.clone());
        WanOptions { prompts, ..self.options.clone() }
    }
}
