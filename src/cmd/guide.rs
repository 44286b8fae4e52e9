//! `wanctl guide`: what the engine would be shown, drawn; no engine.

use std::path::PathBuf;

use wanctl::pipeline::{
    media::{Media, MediaFile},
    options::{CommonOptions, JoinOptions, Options, OptionsError, existing_file, flags_said},
    report::guide::writes,
    run::{
        error::Result,
        guide, names,
        project::Project,
        resolver::{JOINS, OptionResolver, OptionSources, TRAVELS},
    },
    system::output::FolderDestination,
    types::cancel::CancelToken,
    worker_tasks::{Command, InputPaths, Needs, Task},
};

use crate::cmd::{
    Ui,
    args::{
        PresetArgs, RunArgs,
        task_args::TaskArgs,
        travel_args::{Told, TravelArgs},
    },
    film,
    output::{show_plan, show_settings, ui::Outcome},
};

/// Draw what the engine would be shown: guide.mp4, mask.mp4, plan.json, sheet.png
///
/// Of videos it plans a join, of images a travel. With several seams or segments each has a folder of its own (seam_01,
/// seam_02, ...) beside plan.json.
#[derive(clap::Args, Debug)]
#[command(after_help = crate::cmd::after_help(), after_long_help = crate::cmd::after_long_help())]
pub(crate) struct Args {
    /// Video files or images, in the order of the film
    #[arg(value_name = "INPUT", value_parser = existing_file(), required_unless_present_any = ["task", "story"])]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    join: JoinOptions,
    #[command(flatten)]
    travel: TravelArgs,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    preset: PresetArgs,
    /// The folder's name [default: A_guide_B in the current folder]
    #[arg(short, long, value_name = "FOLDER", help_heading = "Film")]
    output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

pub(crate) fn run(args: Args, cancel: &CancelToken, ui: &Ui) -> Result<Outcome> {
    let Args { inputs, join, travel, common, task, preset, output, run } = args;
    let media = Media::new(cancel.with_timeout(run.timeout));
    let named = output.clone().or_else(|| match travel.story.is_none() && task.is_absent() {
        true => Some(names::default_stem(&inputs, "guide")),
        false => None,
    });
    if let Some(named) = named.filter(|_| !run.dry_run) {
        FolderDestination::check(&named, run.replace(), writes)?;
    }
    let task = task.open(&preset, &media, ui)?;
    let needs = Needs { sound: false, prompts: false };
    let travels = match &task {
        Some(task) => task.command() == Command::Travel,
        None => travel.story.is_some() || are_images(&inputs, &media)?,
    };
    let task = task.as_ref();
    let story;
    let (inputs, sources) = if travels {
        refuse(flags_said(&join).into_iter().map(|(flag, _)| flag).next(), "join of clips")?;
        let Told { typed, story: told, paths } = travel.told(&inputs, &common)?;
        story = told;
        let paths = task.map_or(Ok(paths.clone()), |task| task.journey(&needs).map(|below| paths.over(below)))?;
        let sources = OptionSources { flags: typed, task, story: story.as_ref(), shown: TRAVELS, ..preset.sources() };
        (InputPaths::Journey(paths), sources)
    } else {
        refuse(travel.first(), "travel through images")?;
        let flags = Options { common, join, ..Options::default() };
        flags.check_clip_count(inputs.len())?;
        let clips = task.map_or(Ok(inputs), |task| task.clips(&needs))?;
        (InputPaths::Clips(clips), OptionSources { flags, task, shown: JOINS, ..preset.sources() })
    };
    let options = OptionResolver::new(sources, ui)?.resolve_without_weights(inputs.content())?;
    let project = Project { inputs, options };
    let output = output.unwrap_or_else(|| match (task.and_then(Task::output_stem), &project.inputs) {
        (Some(stem), _) => format!("{stem}_guide").into(),
        (None, InputPaths::Clips(clips) | InputPaths::Pieces(clips, _)) => names::default_stem(clips, "guide"),
        (None, InputPaths::Journey(paths)) => names::default_stem(&paths.images, "guide"),
    });
    if run.dry_run {
        let plan = guide::dry_run(&project, &media, ui)?;
        if !ui.json() {
            ui.print(&show_plan::plan(&plan, None));
            ui.print(&show_settings::lines(&project.options).join("\n"));
        }
        return Ok(Outcome::Usable);
    }
    let (drawn, folder) = guide::draw(&project, &output, &run.settings(), &media, ui)?;
    film::print_result(&drawn, &drawn.output, folder, ui);
    Ok(Outcome::Usable)
}

/// Whether a travel is meant, and not a join.
fn are_images(inputs: &[PathBuf], media: &Media) -> Result<bool> {
    let probed = media.probe_files(inputs).into_iter().zip(inputs);
    let (mut image, mut clip) = (None, None);
    for (material, path) in probed {
        match material? {
            MediaFile::Still(_) => image = image.or(Some(path)),
            MediaFile::Clip(_) => clip = clip.or(Some(path)),
        }
    }
    match (image, clip) {
        (Some(image), Some(clip)) => Err(OptionsError::Mixed { image: image.clone(), clip: clip.clone() }.into()),
        (image, _) => Ok(image.is_some()),
    }
}

fn refuse(option: Option<String>, of: &'static str) -> Result<(), OptionsError> {
    option.map_or(Ok(()), |option| Err(OptionsError::NotOfThis { option, of }))
}
