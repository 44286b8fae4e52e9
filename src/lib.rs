//! Joins video clips and travels between images with the Wan video models, or with a small interpolation network.
//!
//! [`join`] and [`travel`] write a film, [`guide`] draws what a model would be shown, [`inspect`] reads the facts of a file.
//! The command line `wanctl` is these, with flags for [`Options`] and [`Settings`], and progress on the terminal; its
//! results are the same.
//!
//! ffmpeg and ffprobe have to be in the `PATH` (or named by `WANCTL_FFMPEG` and `WANCTL_FFPROBE`). Engines but dissolve
//! need the program `wanctl-engine` beside the one that runs, or named by `WANCTL_ENGINE`: only that one links libtorch.
//!
//! # Example
//!
//! ```
//! use wanctl::{CommonOptions, EngineChoice, JoinOptions, Length, Options, Settings, Silent};
//!
//! # fn main() -> wanctl::Result<()> {
//! let clips = ["tests/fixtures/clips/bunny_a.mp4".into(), "tests/fixtures/clips/bunny_b.mp4".into()];
//! let folder = tempfile::tempdir()?;
//! let options = Options {
//!     common: CommonOptions { engine: Some(EngineChoice::Dissolve), ..CommonOptions::default() },
//!     join: JoinOptions { gap: Some(Length::Frames(8)), ..JoinOptions::default() },
//!     ..Options::default()
//! };
//! let film = wanctl::join(&clips, &folder.path().join("film.mp4"), options, &Settings::default(), &Silent)?;
//!
//! // The film was decoded and counted before it got its name.
//! let own: usize = clips
//!     .iter()
//!     .map(|clip| match wanctl::inspect(clip)? {
//!         wanctl::Inspection::Clip(clip) => Ok(clip.frames),
//!         other => panic!("{other:?}"),
//!     })
//!     .sum::<wanctl::Result<usize>>()?;
//! assert_eq!(film.frames, own + 8);
//! # Ok(())
//! # }
//! ```
//!
//! The engine is no part of the library: its modules belong to the program `wanctl-engine`.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub mod pipeline;

pub use pipeline::{
    inspect::{Inspection, ModelSurvey},
    options::{
        CommonOptions, EngineChoice, ExecOptions, FilmOptions, FrameRange, JoinOptions, JourneyPaths, Length, Options,
        TravelOptions, WanOptions,
    },
    run::{
        command::Film,
        error::{Error, Result},
        guide::Guide,
        session::{Observer, RunSettings},
    },
    types::{
        cancel::CancelToken,
        error::{ErrorCode, ErrorDetails, Reportable},
        progress::{Progress, Silent},
    },
    worker_tasks::InputPaths,
};

use pipeline::{
    media::Media,
    options::{EngineSettings, FilmSettings},
    run::{
        command::{RunCommand, RunContext, RunResult},
        guide as guides,
        project::Project,
        resolver::{JOINS, OptionResolver, OptionSources, TRAVELS},
        session::Scope,
    },
    weights::Conditioning,
};

/// Everything about a run besides its files and its options.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// A preset below the options: its name, or a YAML file. None: the first built-in one whose weights are found, where a
    /// Wan model generates.
    pub preset: Option<String>,
    /// Folders in which weights are looked for, before `WANCTL_MODELS` and the folders of other tools.
    pub models: Vec<PathBuf>,
    /// Codec, quality and sound of the film.
    pub film: FilmOptions,
    /// Devices and threads of the engine.
    pub exec: ExecOptions,
    /// What may be replaced, and where the run folder goes.
    pub run: RunSettings,
    /// The longest that all of it may take.
    pub timeout: Option<Duration>,
    /// Ends the run from another thread.
    pub cancel: CancelToken,
}

/// Joins clips in order into the film `output`: the clips untouched, and between them generated frames.
///
/// One clip alone is made a seamless loop with `options.common.looped`, or has ranges of it generated anew with
/// `options.join.ranges`.
///
/// # Errors
///
/// Each error has an exit code, and says what was wanted and found ([`Reportable`]). Nothing stands at `output` then; the
/// run folder is kept, unless the options were wrong.
pub fn join(
    clips: &[PathBuf],
    output: &Path,
    options: Options,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Film> {
    options.check_clip_count(clips.len())?;
    film(InputPaths::Clips(clips.to_vec()), JOINS, output, options, settings, observer)
}

/// Travels through images in order, one segment between every two, into the film `output`.
///
/// # Errors
///
/// As [`join`].
pub fn travel(
    paths: JourneyPaths,
    output: &Path,
    options: Options,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Film> {
    film(InputPaths::Journey(paths), TRAVELS, output, options, settings, observer)
}

fn film(
    inputs: InputPaths,
    shown: &[Conditioning],
    output: &Path,
    options: Options,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Film> {
    let Settings { preset, models, film, exec, run, timeout, cancel } = settings;
    let context = RunContext::new(cancel, *timeout);
    let film = FilmSettings::new(film.clone())?;
    film.check_name(output)?;
    let exec = EngineSettings::new(exec.clone(), None)?;
    let sources =
        OptionSources { flags: options, preset: preset.as_deref(), models, shown, ..OptionSources::default() };
    let command = RunCommand {
        inputs,
        resolver: context.resolver(sources, exec.device.first(), observer)?,
        scope: Scope::Whole,
        film,
        output: output.to_owned(),
        transition: None,
        exec,
        run_folder: None,
        settings: run.clone(),
        context: &context,
        started: Instant::now(),
    };
    match command.run(observer)? {
        (RunResult::Film(film), _) => Ok(film),
        (RunResult::Scripts { .. }, _) => unreachable!("the whole film was asked for"),
    }
}

/// Draws what a model would be shown into the folder `output`: guide.mp4, mask.mp4, plan.json and sheet.png. No engine.
///
/// Of several segments each has a folder of its own beside plan.json.
///
/// # Errors
///
/// As [`join`].
pub fn guide(
    inputs: InputPaths,
    output: &Path,
    options: Options,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Guide> {
    let Settings { preset, models, run, timeout, cancel, film: _, exec: _ } = settings;
    let shown = match &inputs {
        InputPaths::Clips(_) | InputPaths::Pieces(..) => JOINS,
        InputPaths::Journey(_) => TRAVELS,
    };
    let sources =
        OptionSources { flags: options, preset: preset.as_deref(), models, shown, ..OptionSources::default() };
    let options = OptionResolver::new(sources, observer)?.resolve_without_weights(inputs.content())?;
    let media = Media::new(cancel.with_timeout(*timeout));
    Ok(guides::draw(&Project { inputs, options }, output, run, &media, observer)?.0)
}

/// Reads the facts of a clip, an image, a weights file, a model's folder, a preset by name or file, a story, a task of the
/// hosted worker, or a run folder.
///
/// # Errors
///
/// Where the file cannot be read, or is none of these.
pub fn inspect(file: &Path) -> Result<Inspection> {
    pipeline::inspect::inspect(file, &Media::new(CancelToken::default()))
}
