//! `wanctl inspect`: facts and problems, and what a join would be.

use std::path::{Path, PathBuf};

use clap::ArgAction;
use serde_json::{Map, Value, json};

use wanctl::pipeline::{
    frames::film::Inputs,
    inspect::{FileKind, Inspection, ModelSurvey, RunInspection, StoryInspection, TaskInspection, weights_of},
    media::{Clip, Media, MediaFile},
    options::{Content, EngineChoice, Facts, Kind, existing_file, resolve, story::Story},
    plan::FramePlan,
    run::{
        engine::Engine,
        error::{Error, Result},
        session::warnings,
    },
    system::child::ProcessLimits,
    types::{
        cancel::CancelToken,
        progress::{Progress, Stage, Warning},
    },
    weights::{Places, Surroundings},
    worker_tasks::{Era, Task},
};

use crate::cmd::{
    Ui,
    args::{self, task_args::PlaceArgs},
    library::{self, About},
    output::{
        log::Verbosity,
        show, show_plan, show_run, show_story, show_task,
        ui::{self, Outcome},
    },
};

/// Facts and problems of clips, images, stories, tasks, presets, weights, LoRAs and run folders; of several clips also what
/// a join of them would be
#[derive(clap::Args, Debug)]
#[command(after_help = crate::cmd::after_help(), after_long_help = crate::cmd::after_long_help())]
pub(crate) struct Args {
    /// Clips, images, stories, tasks, presets by name or file, weight files, or folders of a model or of a run
    #[arg(value_name = "FILE", value_parser = existing_file(), required_unless_present = "list_models")]
    files: Vec<PathBuf>,

    /// Which weights are here, what they are, and which presets can run with them
    #[arg(long, conflicts_with = "files")]
    list_models: bool,

    /// Where weights are looked for, before WANCTL_MODELS and the folders of other tools; may be repeated
    #[arg(long, value_name = "DIR")]
    models: Vec<PathBuf>,

    #[command(flatten)]
    place: PlaceArgs,

    /// Version of the hosted worker whose defaults and presets a task had [default: by the task's date]
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

pub(crate) fn run(args: Args, cancel: &CancelToken, ui: &Ui) -> Result<Outcome> {
    let Args { files, list_models, models, place, era, json: _, quiet: _, verbose: _ } = args;
    if list_models {
        return library::list(&models, ui);
    }
    let (media, program) = (Media::new(cancel.clone()), Engine::new(ProcessLimits::new(cancel.clone())));
    let about = About { era, models: &models };
    let kinds: Vec<FileKind> = files.iter().map(|file| FileKind::of(file)).collect();
    let media_files = files.iter().zip(&kinds).filter(|(_, kind)| matches!(kind, FileKind::Media));
    let media_files: Vec<PathBuf> = media_files.map(|(file, _)| file.clone()).collect();
    ui.begin(Stage::Probe, 0);
    let mut probed = media.probe_files(&media_files).into_iter();
    ui.end_progress();
    let (mut clips, mut answer) = (vec![], Outcome::Usable);
    for (file, kind) in files.iter().zip(kinds) {
        let told = match kind {
            FileKind::Run => run_folder(file, ui),
            FileKind::Story => story(file, &about, &program, &media, ui),
            FileKind::Preset(preset) => {
                preset.map_err(Error::from).and_then(|preset| library::inspect(&preset, &about, ui))
            }
            FileKind::Task => task(file, &place, &about, &media, ui),
            FileKind::Weights => weights_of(file).map(|found| weights(file, &found, ui)),
            FileKind::Media => match probed.next().expect("one answer for each file") {
                Ok(material) => {
                    let clip = footage_of(file, &material, ui);
                    match media.usable(material, false) {
                        Ok(_) => {
                            clips.extend(clip);
                            Ok(Outcome::Usable)
                        }
                        Err(error) => Err(Error::from(error)),
                    }
                }
                Err(error) if error.is_about_the_file() => Err(Error::from(error)),
                Err(error) => return Err(error.into()),
            },
        };
        match told {
            Ok(Outcome::Usable) => {}
            Ok(Outcome::Unusable) => answer = Outcome::Unusable,
            Err(problem) => {
                answer = Outcome::Unusable;
                let failure = ui.problem(problem)?;
                ui.event("problem", &json!({ "path": file, "problem": failure }));
                if !ui.json() {
                    ui.print(&format!("{}\n{}", show::name(file), ui::indented(&failure)));
                }
            }
        }
    }
    // What cannot be read was said; what is left says nothing about a join of all.
    if clips.len() > 1 && clips.len() == files.len() && joined(clips, ui)? == Outcome::Unusable {
        answer = Outcome::Unusable;
    }
    Ok(answer)
}

/// A run folder.
fn run_folder(folder: &Path, ui: &Ui) -> Result<Outcome> {
    let seen = RunInspection::of(folder)?;
    ui.event("run", &seen);
    if !ui.json() {
        ui.print(&format!("{}\n{}", show::name(folder), show_run::text(&seen)));
    }
    Ok(if seen.missing.is_empty() { Outcome::Usable } else { Outcome::Unusable })
}

/// A task, whole.
fn task(path: &Path, place: &PlaceArgs, about: &About<'_>, media: &Media, ui: &Ui) -> Result<Outcome> {
    let (task, placed) = place.open(path, about.era, media)?;
    let places = Places::new(about.models, Surroundings::here());
    let seen = TaskInspection::of(task, placed, &places, media)?;
    ui.event("task", &seen.json());
    if !ui.json() {
        ui.print(&show_task::inspection(&seen));
    }
    Ok(if seen.possible() { Outcome::Usable } else { Outcome::Unusable })
}

/// One story, whole. `program` is asked what it can hold where the story names no engine.
fn story(path: &Path, about: &About<'_>, program: &Engine, media: &Media, ui: &Ui) -> Result<Outcome> {
    ui.begin(Stage::Settings, 0);
    let seen = StoryInspection::of(Story::read(path)?, (about.era, about.models), program, media, ui)?;
    ui.end_progress();
    ui.event("story", &seen.json());
    if !ui.json() {
        ui.print(&show_story::text(&seen));
    }
    Ok(if seen.possible() { Outcome::Usable } else { Outcome::Unusable })
}

/// The facts of a clip or an image; the clip, if it is one.
fn footage_of(file: &Path, material: &MediaFile, ui: &Ui) -> Option<Clip> {
    let (text, clip) = match material {
        MediaFile::Clip(clip) => {
            let mut event = json!(clip);
            let made = clip.note.as_deref().and_then(|note| Task::of_film(file, Some(note)).ok());
            if let Some(task) = made {
                event["made_by"] = task.command().to_string().into();
            }
            ui.event("clip", &event);
            (show::clip(clip), Some((**clip).clone()))
        }
        MediaFile::Still(still) => {
            ui.event("image", still);
            (show::still(still), None)
        }
    };
    if !ui.json() {
        ui.print(&format!("{}\n{text}", show::name(file)));
    }
    clip
}

/// A checkpoint, a LoRA, or a whole model.
fn weights(path: &Path, found: &Inspection, ui: &Ui) -> Outcome {
    let (kind, event, text, problems) = match found {
        Inspection::Checkpoint(survey) => {
            let problems: Vec<String> = survey.problems.iter().map(ToString::to_string).collect();
            let mut event = json!({ "path": path });
            if let (Value::Object(event), Value::Object(facts)) = (&mut event, json!(survey)) {
                event.extend(facts);
            }
            event["problems"] = json!(problems);
            ("checkpoint", event, show::checkpoint(survey, &problems), !problems.is_empty())
        }
        Inspection::Model(model) => {
            let ModelSurvey { files, parts } = &**model;
            let surveys: Map<_, _> = parts.iter().map(|(part, survey)| ((*part).into(), json!(survey))).collect();
            let event = json!({ "path": path, "files": files, "parts": surveys });
            ("model", event, show::model(files, parts), false)
        }
        other => unreachable!("{other:?} is no weights"),
    };
    ui.event(kind, &event);
    if !ui.json() {
        ui.print(&format!("{}\n{text}", show::name(path)));
    }
    if problems { Outcome::Unusable } else { Outcome::Usable }
}

/// What `wanctl join` would make of these clips, and whether it would.
fn joined(clips: Vec<Clip>, ui: &Ui) -> Result<Outcome> {
    ui.begin(Stage::Plan, 0);
    let planned = as_joined(clips);
    ui.end_progress();
    let (answer, event, text) = match planned {
        Ok((plan, warnings)) => {
            let notes = warnings.iter().map(|warning| format!("\n  note     {}", warning.message));
            let text = indent(&show_plan::plan(&plan, None)) + &notes.collect::<String>();
            (Outcome::Usable, json!({ "possible": true, "plan": plan, "warnings": warnings }), text)
        }
        Err(error) => {
            let failure = ui.problem(error)?;
            (Outcome::Unusable, json!({ "possible": false, "problem": failure }), ui::indented(&failure))
        }
    };
    ui.event("join", &event);
    if !ui.json() {
        ui.print(&format!("joined, with no other word\n{text}"));
    }
    Ok(answer)
}

/// What `wanctl join` would do with these clips and no options.
fn as_joined(clips: Vec<Clip>) -> Result<(FramePlan, Vec<Warning>)> {
    let options = resolve(&[], Facts::of(Content::Clips(clips.len()), EngineChoice::Auto))?;
    let inputs = Inputs::new(clips, &options.common, false);
    let Kind::Join(join) = &options.kind else { unreachable!("clips are joined") };
    let plan = join.plan(&options.common, inputs.sources(), inputs.film.for_plan())?;
    let warnings = warnings(&inputs, &plan).collect();
    Ok((plan, warnings))
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
