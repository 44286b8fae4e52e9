//! Flags that commands share, and what they mean together.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    ArgAction, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
};

use wanctl::pipeline::{
    media::{Codec, Fit, X264Preset},
    options::{Audio, Devices, EngineAsk, EngineChoice, EngineSettings, FilmAsk, FilmSettings, Options, SettingsError},
    plan::{Align, MaskRule},
    run::folder::Keep,
    system::{environment, file_names, output::Replace},
    types::video::{Fps, Size},
    worker_tasks::Task,
};

use super::ui::Verbosity;

/// A file that is there under this name, in whichever Unicode form it is stored.
pub(crate) fn file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| file_names::typed(&path))
}

/// What decides the plan of every film.
#[derive(clap::Args, Debug)]
pub(crate) struct ShapeArgs {
    /// How requested lengths meet the model's latents of 4 frames [default: latent]
    #[arg(long, help_heading = "Plan")]
    align: Option<Align>,

    /// When the model's mask keeps a latent [default: exact with --align latent, reference with exact]
    #[arg(long, help_heading = "Plan")]
    mask_rule: Option<MaskRule>,

    /// Also go on from the last one to the first; a single clip becomes a seamless loop
    #[arg(long = "loop", help_heading = "Plan")]
    pub(crate) looped: bool,

    /// Frames per second of the result, such as 24 or 30000/1001 [default: the first clip's, of images 16]
    #[arg(long, value_name = "R", allow_hyphen_values = true, help_heading = "Film")]
    fps: Option<Fps>,

    /// Size of the result [default: the first clip's or image's]
    #[arg(long, value_name = "WxH", allow_hyphen_values = true, help_heading = "Film")]
    size: Option<Size>,

    /// How clips and images of another shape are fitted to that size [default: crop]
    #[arg(long, help_heading = "Film")]
    fit: Option<Fit>,

    /// Audio track of each clip: 1 is the first audio track of a file
    /// [default: the one that the file marks as default, else the first]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true, help_heading = "Film")]
    audio_track: Option<u16>,

    /// Video track of each clip: 1 is the first video track of a file, covers not counted
    /// [default: the one that the file marks as default, else the first]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true, help_heading = "Film")]
    video_track: Option<u16>,

    /// Bring clips and images in HDR (PQ, HLG) to BT.709; without it they are refused
    #[arg(long, help_heading = "Film")]
    tone_map: bool,

    /// What generates the frames between clips or images [default: auto]
    #[arg(long, help_heading = "Engine")]
    engine: Option<EngineChoice>,
}

/// What only the finished file is about.
#[derive(clap::Args, Debug)]
pub(crate) struct FilmArgs {
    /// The film's name [default: A_join_B.mp4, A_travel_B.mp4 and the like, in the current folder]
    #[arg(short, long, value_name = "FILE", help_heading = "Film")]
    pub(crate) output: Option<PathBuf>,

    /// [default: h264]
    #[arg(long, help_heading = "Film", help = "Video codec [default: h264]")]
    codec: Option<Codec>,

    /// Quality of the encode, lower is better and larger [default: 14]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Film")]
    crf: Option<u32>,

    /// x264 preset, slower is smaller; with --codec h264 only [default: medium]
    #[arg(long, value_name = "PRESET", help_heading = "Film")]
    x264_preset: Option<X264Preset>,

    /// FFV1 RGB in mkv: decoded frames equal the frames computed, byte for byte
    #[arg(long, help_heading = "Film")]
    lossless: bool,

    /// Keep the clips' sound, mute it, or take it from a file [default: keep]
    #[arg(long, value_name = "keep|mute|FILE", value_parser = file(), help_heading = "Film")]
    audio: Option<PathBuf>,
}

/// How the engine works.
#[derive(clap::Args, Debug)]
pub(crate) struct EngineArgs {
    /// Where the engine computes: auto, cpu, cuda, cuda:N, or several GPUs that work at once: cuda:N,N
    /// [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Engine")]
    device: Option<Devices>,

    /// Threads of the engine [default: one for every core, shared among --jobs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), allow_negative_numbers = true, help_heading = "Engine")]
    threads: Option<u16>,

    /// Engines that work at once on the CPU, each with the model in memory [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), allow_negative_numbers = true, help_heading = "Engine")]
    jobs: Option<u16>,
}

impl EngineArgs {
    /// Over those of a run that is done again.
    pub(crate) fn settings(&self, again: Option<EngineSettings>) -> Result<EngineSettings, SettingsError> {
        let Self { device, threads, jobs } = self;
        let ask = EngineAsk { device: device.clone(), threads: threads.map(usize::from), jobs: jobs.map(usize::from) };
        EngineSettings::new(ask, again)
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

/// What of a film is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// All that is not made yet.
    Rest,
    /// One segment or seam, counted from 0.
    One(usize),
    /// The film of segments that are made.
    Stitch,
    /// Nothing: a cluster makes it.
    Emit,
}

impl PartArgs {
    pub(crate) fn part(&self) -> Part {
        let &Self { resume, segment, stitch_only, emit } = self;
        match segment {
            Some(segment) => Part::One(segment as usize - 1),
            None if emit.is_some() => Part::Emit,
            None if stitch_only => Part::Stitch,
            None if resume => Part::Rest,
            None => Part::Whole,
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

impl ShapeArgs {
    /// What was typed of these.
    pub(crate) fn typed(&self, beside: Options) -> Options {
        let Self { align, mask_rule, looped, fps, size, fit, audio_track, video_track, tone_map, engine } = self;
        Options {
            align: *align,
            mask_rule: *mask_rule,
            looped: looped.then_some(true),
            audio_track: audio_track.map(usize::from),
            video_track: video_track.map(usize::from),
            fps: *fps,
            size: *size,
            fit: *fit,
            tone_map: tone_map.then_some(true),
            engine: *engine,
            ..beside
        }
    }
}

/// `a_WORD_z`, after the first and the last clip; `a_loop` for one that is joined.
pub(crate) fn default_name(clips: &[PathBuf], word: &str, extension: &str) -> PathBuf {
    let stem = |clip: &PathBuf| clip.file_stem().unwrap_or(clip.as_os_str()).to_owned();
    let mut name = clips.first().map(stem).unwrap_or_default();
    match clips {
        [_, .., last] => {
            name.push(format!("_{word}_"));
            name.push(stem(last));
        }
        _ => name.push(if word == "join" { "_loop".into() } else { format!("_{word}") }),
    }
    name.push(extension);
    name.into()
}

impl FilmArgs {
    /// With what a task says, and whether the files' names fit.
    pub(crate) fn settled(
        &self,
        task: Option<&Task>,
        transition: Option<&Path>,
    ) -> Result<(FilmSettings, Option<PathBuf>), SettingsError> {
        let settings = FilmSettings::new(self.typed().over(task.map(Task::film).unwrap_or_default()))?;
        self.output.as_deref().into_iter().chain(transition).try_for_each(|name| settings.check_name(name))?;
        Ok((settings, self.output.clone()))
    }

    /// What was typed of these.
    fn typed(&self) -> FilmAsk {
        let Self { output: _, codec, crf, x264_preset, lossless, audio } = self;
        let audio = audio.as_ref().map(|audio| match audio.to_str() {
            Some("keep") => Audio::Keep,
            Some("mute") => Audio::Mute,
            _ => Audio::File(audio.clone()),
        });
        FilmAsk { codec: *codec, crf: *crf, x264_preset: *x264_preset, lossless: *lossless, audio }
    }
}

impl RunArgs {
    pub(crate) fn verbosity(&self) -> Verbosity {
        verbosity(self.quiet, self.verbose)
    }

    pub(crate) fn replace(&self) -> Replace {
        if self.overwrite { Replace::Existing } else { Replace::Never }
    }

    pub(crate) fn keep(&self) -> Keep {
        if self.keep { Keep::Always } else { Keep::OnFailure }
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
