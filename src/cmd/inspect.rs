//! `wanctl inspect`: facts and problems, and what a join would be.

use std::path::{Path, PathBuf};

use clap::ArgAction;
use color_eyre::eyre::{Report, Result};
use serde_json::{Value, json};

use wanctl::pipeline::{
    cancel::Cancel,
    checkpoint::{self, Checkpoint, CheckpointError, ModelFiles, Wanted},
    film::Cast,
    media::{Material, Media},
    plan::FramePlan,
    progress::{Progress, Stage},
    settings::{EngineChoice, Era, Settings},
    task::looks_like_json,
};

use super::{
    Ui, args,
    inspect_task::{self, About},
    library, show, show_plan,
    task::PlaceArgs,
    ui::{Answer, Verbosity},
};

/// Facts and problems of clips, images, tasks, presets, weights and LoRAs; of several clips also what a join of them would be
#[derive(clap::Args, Debug)]
#[command(after_help = super::EXIT_CODES)]
pub(crate) struct Args {
    /// Clips, images, tasks, presets by name or file, weight files, or folders of a model
    #[arg(value_name = "FILE", required_unless_present = "list_models")]
    files: Vec<PathBuf>,

    /// Which weights are here, what they are, and which presets can run with them
    #[arg(long, conflicts_with = "files")]
    list_models: bool,

    /// Where weights are looked for, before WANCTL_MODELS and the folders of other tools; may be repeated
    #[arg(long, value_name = "DIR")]
    models: Vec<PathBuf>,

    #[command(flatten)]
    place: PlaceArgs,

    /// What a preset held in an era of the hosted worker: oct25, v1 or v2
    #[arg(long, value_name = "ERA")]
    era: Option<Era>,

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
    if args.list_models {
        return library::list(&args.models, ui);
    }
    let media = Media::new(cancel.clone());
    let is_weights = |file: &&PathBuf| checkpoint::holds_weights(file);
    let presets: Vec<_> = args.files.iter().map(|file| library::preset(file)).collect();
    let is_task = |file: &&PathBuf| looks_like_json(file);
    let footage = args.files.iter().zip(&presets);
    let footage = footage.filter(|(file, preset)| preset.is_none() && !is_weights(file) && !is_task(file));
    let footage: Vec<PathBuf> = footage.map(|(file, _)| file.clone()).collect();
    ui.begin(Stage::Probe, 0);
    let mut probed = media.probe_files(&footage).into_iter();
    ui.end_progress();
    let (mut clips, mut answer) = (vec![], Answer::Yes);
    for (file, preset) in args.files.iter().zip(presets) {
        let problem = if let Some(preset) = preset {
            let told = preset.map_err(Report::new);
            match told.and_then(|preset| library::inspect(&preset, args.era, &args.models, ui)) {
                Ok(()) => continue,
                Err(error) => error,
            }
        } else if is_task(&file) {
            let about = About { era: args.era, models: &args.models };
            match inspect_task::inspect(file, &args.place, &about, &media, ui) {
                Ok(Answer::Yes) => continue,
                Ok(Answer::No) => {
                    answer = Answer::No;
                    continue;
                }
                Err(error) => error,
            }
        } else if is_weights(&file) {
            match weights(file, ui) {
                Ok(Answer::Yes) => continue,
                Ok(Answer::No) => {
                    answer = Answer::No;
                    continue;
                }
                Err(error) => Report::new(error),
            }
        } else {
            match probed.next().expect("one answer for each file") {
                Ok(material) => {
                    let text = match &material {
                        Material::Clip(clip) => {
                            ui.event("clip", clip);
                            show::clip(clip)
                        }
                        Material::Still(still) => {
                            ui.event("image", still);
                            show::still(still)
                        }
                    };
                    if !ui.json() {
                        ui.print(&format!("{}\n{text}", show::name(file)));
                    }
                    if let Material::Clip(clip) = material {
                        clips.push(*clip);
                    }
                    continue;
                }
                Err(error) if error.is_about_the_file() => Report::new(error),
                Err(error) => return Err(error.into()),
            }
        };
        answer = Answer::No;
        let failure = ui.failure(&problem);
        ui.event("problem", &json!({ "path": file, "problem": failure }));
        if !ui.json() {
            ui.print(&format!("{}\n{}", show::name(file), failure.indented()));
        }
    }
    // What cannot be read was said; what is left says nothing about a join of all.
    if clips.len() > 1 && clips.len() == args.files.len() {
        ui.begin(Stage::Plan, 0);
        let planned = as_joined(clips);
        ui.end_progress();
        match planned {
            Ok((plan, warnings)) => {
                ui.event("join", &json!({ "possible": true, "plan": plan, "warnings": warnings }));
                if !ui.json() {
                    ui.print(&format!("joined, with no other word\n{}", indent(&show_plan::plan(&plan, None))));
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

/// A checkpoint, a LoRA, or a whole model, by the headers of its files.
fn weights(path: &Path, ui: &Ui) -> Result<Answer, CheckpointError> {
    if checkpoint::holds_model(path)? {
        return model(path, ui);
    }
    let survey = Checkpoint::open(&[path.to_owned()])?.survey()?;
    let problems: Vec<String> = survey.problems.iter().map(ToString::to_string).collect();
    let mut event = json!({ "path": path });
    if let (Value::Object(event), Value::Object(facts)) = (&mut event, json!(survey)) {
        event.extend(facts);
    }
    event["problems"] = json!(problems);
    ui.event("checkpoint", &event);
    if !ui.json() {
        ui.print(&format!("{}\n{}", show::name(path), show::checkpoint(&survey, &problems)));
    }
    Ok(if problems.is_empty() { Answer::Yes } else { Answer::No })
}

/// A model's folder, part by part; one that lacks a part is no model.
fn model(folder: &Path, ui: &Ui) -> Result<Answer, CheckpointError> {
    let files = ModelFiles::find(&[Wanted { role: None, path: folder.to_owned() }])?;
    let parts = [("high", &files.high), ("low", &files.low), ("vae", &files.vae), ("text", &files.text)];
    let parts = parts.into_iter().filter(|(_, paths)| !paths.is_empty());
    let parts = parts.map(|(part, paths)| Ok((part, Checkpoint::open(paths)?.survey()?)));
    let parts = parts.collect::<Result<Vec<_>, CheckpointError>>()?;
    let surveys: serde_json::Map<_, _> = parts.iter().map(|(part, survey)| ((*part).into(), json!(survey))).collect();
    ui.event("model", &json!({ "path": folder, "files": files, "parts": surveys }));
    if !ui.json() {
        ui.print(&format!("{}\n{}", show::name(folder), show::model(&files, &parts)));
    }
    Ok(Answer::Yes)
}

/// What `wanctl join` would do with these clips and no options.
fn as_joined(clips: Vec<wanctl::pipeline::media::Clip>) -> Result<(FramePlan, Vec<Value>)> {
    let settings = Settings::of(&[], EngineChoice::Auto)?;
    let cast = Cast::new(clips, &settings, false);
    let plan = settings.plan(cast.sources(), cast.film.for_plan())?;
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
