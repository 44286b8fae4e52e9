//! `wanctl inspect`: facts and problems, and what a join would be.

use std::path::PathBuf;

use clap::ArgAction;
use color_eyre::eyre::{Report, Result};
use serde_json::{Value, json};

use wanctl::pipeline::{
    cancel::Cancel,
    film::Cast,
    media::Media,
    plan::{self, FramePlan},
    progress::{Progress, Stage},
};

use super::{
    Ui,
    args::{self, PlanArgs},
    show,
    ui::{Answer, Verbosity},
};

/// Facts and problems of clips and images; of several clips also what a join of them would be
#[derive(clap::Args, Debug)]
#[command(after_help = super::EXIT_CODES)]
pub(crate) struct Args {
    /// Clips or images
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// One JSON object a line on stdout, one per file
    #[arg(long)]
    pub(crate) json: bool,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more (-vv: everything)
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

impl Args {
    pub(crate) fn verbosity(&self) -> Verbosity {
        args::verbosity(self.quiet, self.verbose)
    }
}

pub(crate) fn run(args: Args, cancel: &Cancel, ui: &Ui) -> Result<Answer> {
    let media = Media::new(cancel.clone());
    ui.begin(Stage::Probe, 0);
    let probed = media.probe_files(&args.files);
    ui.end_progress();
    let (mut clips, mut answer) = (vec![], Answer::Yes);
    for (file, probed) in args.files.iter().zip(probed) {
        match probed {
            Ok(clip) => {
                ui.event(if clip.still { "image" } else { "clip" }, &clip);
                if !ui.json() {
                    ui.print(&format!("{}\n{}", show::name(file), show::clip(&clip)));
                }
                clips.push(clip);
            }
            Err(error) if error.is_about_the_file() => {
                answer = Answer::No;
                let failure = ui.failure(&Report::new(error));
                ui.event("problem", &json!({ "path": file, "problem": failure }));
                if !ui.json() {
                    ui.print(&format!("{}\n{}", show::name(file), failure.indented()));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    // What cannot be read was said; what is left says nothing about a join of all.
    if args.files.len() > 1 && answer == Answer::Yes && clips.iter().all(|clip| !clip.still) {
        ui.begin(Stage::Plan, 0);
        let planned = as_joined(clips);
        ui.end_progress();
        match planned {
            Ok((plan, warnings)) => {
                ui.event("join", &json!({ "possible": true, "plan": plan, "warnings": warnings }));
                if !ui.json() {
                    ui.print(&format!("joined, with no other word\n{}", indent(&show::plan(&plan, None))));
                    for warning in warnings {
                        ui.print(&format!("  note     {}", warning["message"].as_str().unwrap_or_default()));
                    }
                }
            }
            Err(error) => {
                answer = Answer::No;
                let failure = ui.failure(&error);
                ui.event("join", &json!({ "possible": false, "problem": failure }));
                if !ui.json() {
                    ui.print(&format!("joined, with no other word\n{}", failure.indented()));
                }
            }
        }
    }
    Ok(answer)
}

/// What `wanctl join` would do with these clips and no options.
fn as_joined(clips: Vec<wanctl::pipeline::media::Clip>) -> Result<(FramePlan, Vec<Value>)> {
    let settings = PlanArgs::defaults(clips.iter().map(|clip| clip.path.clone()).collect()).settings(false)?;
    let cast = Cast::new(clips, &settings, false);
    let plan = plan::join(cast.sources(), cast.film.for_plan(), &settings.ask(cast.film.fps))?;
    let of_clips = cast.warnings.iter().map(|warning| json!(warning));
    let of_plan = plan
        .warnings
        .iter()
        .map(|warning| json!({ "code": warning.code(), "file": warning.file(), "message": warning.to_string() }));
    let warnings = of_clips.chain(of_plan).collect();
    Ok((plan, warnings))
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
