//! `wanctl guide`: what the engine would be shown, drawn; no engine.

use std::{fs, path::PathBuf};

use color_eyre::eyre::{Result, WrapErr};
use serde_json::json;

use wanctl::pipeline::{
    between::Between,
    cancel::Cancel,
    footage::Footage,
    guide,
    media::Media,
    output::FolderDestination,
    progress::{Progress, Stage},
    task::Task,
};

use super::{
    RunLog, Ui,
    args::{self, PlanArgs, RunArgs},
    asked::{Asked, PresetArgs},
    session::{self, Prepared},
    show, show_settings,
    task::TaskArgs,
    ui::Answer,
};

/// Draw what the engine would be shown at a seam: guide.mp4, mask.mp4, plan.json, sheet.png
///
/// With several seams every seam has a folder of its own (seam_01, seam_02, ...) beside plan.json.
#[derive(clap::Args, Debug)]
#[command(after_help = super::EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    preset: PresetArgs,
    /// The folder to write [default: A_guide_B in the current folder]
    #[arg(short, long, value_name = "DIR", help_heading = "Run")]
    output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

pub(crate) fn run(args: Args, cancel: &Cancel, ui: &Ui, log: &RunLog) -> Result<Answer> {
    let Args { plan: plan_args, task, preset, output, run } = args;
    let media = Media::new(cancel.with_timeout(run.timeout));
    let task = task.open(&preset, &media, ui)?;
    let asked = Asked::new(&preset, plan_args.typed()?, task.as_ref(), &[], None, ui)?;
    let clips = asked.clips("guide", &plan_args, task.as_ref())?;
    let settings = asked.settings;
    let output = output.unwrap_or_else(|| match task.as_ref().and_then(Task::output_stem) {
        Some(stem) => format!("{stem}_guide").into(),
        None => args::default_name(&clips, "guide", ""),
    });
    if run.dry_run {
        let Prepared { plan, .. } = session::prepare(&clips, &settings, None, false, &media, ui)?;
        if !ui.json() {
            ui.print(&show::plan(&plan, None));
            ui.print(&show_settings::settings(&settings, None).join("\n"));
        }
        return Ok(Answer::Yes);
    }
    let destination = FolderDestination::claim(&output, run.replace(), guide::writes)?;
    session::with_run("guide", &run, ui, log, None, |folder| {
        let Prepared { cast, plan } = session::prepare(&clips, &settings, None, false, &media, ui)?;
        folder.record("plan", &plan)?;
        let footage = Footage { media: &media, cast: &cast, fit: *settings.fit };
        let place = destination.temporary();
        guide::write_plan(&plan, place)?;
        let mut stand_in = Between::dissolve();
        for (number, seam) in plan.seams.iter().enumerate() {
            let place = match plan.seams.len() {
                1 => place.to_owned(),
                _ => place.join(format!("seam_{:02}", number + 1)),
            };
            fs::create_dir_all(&place).wrap_err("making the seam's folder")?;
            ui.begin(Stage::Guide, seam.slots.len());
            let known = stand_in.stand_in(&footage, &plan, number)?;
            guide::write(&footage, &plan, number, &known, &place, ui)
                .wrap_err_with(|| format!("seam {} of {}", number + 1, plan.seams.len()))?;
        }
        let path = destination.finish()?;
        Ok(
            json!({ "output": path, "frames": plan.seams.iter().map(|seam| seam.slots.len()).sum::<usize>(), "fps": plan.fps }),
        )
    })?;
    Ok(Answer::Yes)
}
