//! Flags that commands share, and what they mean together.

pub(crate) mod task_args;
pub(crate) mod travel_args;
pub(crate) mod wan_args;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgAction, ValueEnum};

use wanctl::pipeline::{
    options::{CommonOptions, ExecOptions, FilmOptions, FilmSettings, OptionsError},
    run::{
        folder::Keep,
        resolver::OptionSources,
        session::{RunSettings, Scope},
    },
    system::{environment, output::Replace},
    worker_tasks::{Era, Task},
};

use self::{task_args::TaskArgs, wan_args::WanArgs};
use crate::cmd::output::log::Verbosity;

/// What join and travel have alike.
#[derive(clap::Args, Debug)]
pub(crate) struct MakeArgs {
    #[command(flatten)]
    pub(crate) common: CommonOptions,
    #[command(flatten)]
    pub(crate) exec: ExecOptions,
    #[command(flatten)]
    pub(crate) wan: WanArgs,
    #[command(flatten)]
    pub(crate) film: FilmArgs,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
    #[command(flatten)]
    pub(crate) preset: PresetArgs,
}

/// What only the finished file is about.
#[derive(clap::Args, Debug)]
pub(crate) struct FilmArgs {
    /// The film's name [default: A_join_B.mp4, A_travel_B.mp4 and the like, in the current folder]
    #[arg(short, long, value_name = "FILE", help_heading = "Film")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    options: FilmOptions,
}

/// A preset, and how strictly it is taken.
#[derive(clap::Args, Debug)]
pub(crate) struct PresetArgs {
    /// Preset name or YAML file; auto: the first built-in preset whose weights are found, in the order of
    /// `inspect --list-models`, unless --model names the weights [default: auto]
    #[arg(long, value_name = "NAME|FILE", help_heading = "Engine")]
    preset: Option<String>,

    /// Version of the hosted worker whose defaults and presets a task had [default: by the task's date]
    #[arg(long, value_name = "ERA", help_heading = "Task")]
    pub(crate) era: Option<Era>,

    /// Treat options and task fields without effect as errors
    #[arg(long, help_heading = "Run")]
    pub(crate) strict: bool,
}

impl PresetArgs {
    /// For options of these and of others.
    pub(crate) fn sources(&self) -> OptionSources<'_> {
        let Self { preset, era, strict } = self;
        OptionSources { preset: preset.as_deref(), era: *era, strict: *strict, ..OptionSources::default() }
    }
}

/// What of a film is made now, and what with.
#[derive(clap::Args, Debug)]
pub(crate) struct PartArgs {
    /// Continue the newest unfinished run of the same film; segments that it has generated are kept
    #[arg(long, help_heading = "Parts")]
    resume: bool,

    /// Make only segment K (of a join: seam K), counted from 1, as a film of its own; its run stays, so that the whole can
    /// be made from it
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true, conflicts_with_all = ["stitch_only", "resume"], help_heading = "Parts")]
    segment: Option<u32>,

    /// Write the film from the segments that a run has generated already, and generate nothing
    #[arg(long, conflicts_with = "resume", help_heading = "Parts")]
    stitch_only: bool,

    /// Write scripts for a cluster instead of running: a job for each segment or seam and one for the film; the run folder
    /// must lie where all nodes see it (--work-dir)
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["resume", "segment", "stitch_only"], help_heading = "Parts")]
    emit: Option<EmitArg>,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum EmitArg {
    /// Job scripts for sbatch
    Slurm,
}

impl PartArgs {
    pub(crate) fn scope(&self) -> Scope {
        let &Self { resume, segment, stitch_only, emit } = self;
        match segment {
            Some(segment) => Scope::One(segment as usize - 1),
            None if emit.is_some() => Scope::Emit,
            None if stitch_only => Scope::Stitch,
            None if resume => Scope::Rest,
            None => Scope::Whole,
        }
    }
}

/// What every working command has.
#[derive(clap::Args, Debug)]
pub(crate) struct RunArgs {
    /// Replace an existing output
    #[arg(long, help_heading = "Run")]
    overwrite: bool,

    /// Where run folders go [default: the user's cache folder]
    #[arg(long, value_name = "DIR", env = environment::WORK_DIR.name, hide_env = true, help_heading = "Run")]
    pub(crate) work_dir: Option<PathBuf>,

    /// Keep the run's folder also when all went well
    #[arg(long, help_heading = "Run")]
    keep: bool,

    /// End the whole run after this time (90s, 10m, 1h30m)
    #[arg(long, value_name = "D", value_parser = duration, allow_hyphen_values = true, help_heading = "Run")]
    pub(crate) timeout: Option<Duration>,

    /// Print the plan and stop
    #[arg(long, help_heading = "Run")]
    pub(crate) dry_run: bool,

    /// Events on stdout, one JSON object a line
    #[arg(long, help_heading = "Run")]
    pub(crate) json: bool,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Run")]
    quiet: bool,

    /// Say more (-vv: everything)
    #[arg(short, long, action = ArgAction::Count, help_heading = "Run")]
    verbose: u8,
}

impl FilmArgs {
    /// With what a task says, and whether the files' names fit.
    pub(crate) fn settled(
        &self,
        task: Option<&Task>,
        transition: Option<&Path>,
    ) -> Result<(FilmSettings, Option<PathBuf>), OptionsError> {
        let settings = FilmSettings::new(self.options.clone().over(task.map(Task::film).unwrap_or_default()))?;
        self.output.as_deref().into_iter().chain(transition).try_for_each(|name| settings.check_name(name))?;
        Ok((settings, self.output.clone()))
    }
}

impl RunArgs {
    pub(crate) fn verbosity(&self) -> Verbosity {
        verbosity(self.quiet, self.verbose)
    }

    pub(crate) fn replace(&self) -> Replace {
        if self.overwrite { Replace::Existing } else { Replace::Never }
    }

    pub(crate) fn settings(&self) -> RunSettings {
        let keep = if self.keep { Keep::Always } else { Keep::OnFailure };
        RunSettings { replace: self.replace(), keep, work_dir: self.work_dir.clone() }
    }
}

pub(crate) fn verbosity(quiet: bool, verbose: u8) -> Verbosity {
    match (quiet, verbose) {
        (true, _) => Verbosity::Quiet,
        (_, 0) => Verbosity::Normal,
        (_, 1) => Verbosity::Info,
        _ => Verbosity::Debug,
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("`{text}` is no time, wanted seconds or a time such as 90s, 10m or 1h30m, above 0");
    let time = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => humantime::parse_duration(text).map_err(|_| wanted())?,
    };
    if time.is_zero() { Err(wanted()) } else { Ok(time) }
}
