//! `inspect --list-models` and `inspect PRESET`: which weights are here, what they are, and which presets can run.

use std::path::PathBuf;

use serde_json::{Value, json};

use wanctl::pipeline::{
    options::{Content, EngineChoice, Facts, LoraFiles, ModelTraits, Preset, Sampling, resolve},
    run::error::Result,
    weights::{Checkpoint, Places, Surroundings},
    worker_tasks::{Era, preset_of_era},
};

use crate::cmd::{
    Ui,
    output::{show, show_settings, ui::Outcome},
};

/// What a file may be looked at with.
pub(crate) struct About<'a> {
    pub(crate) era: Option<Era>,
    /// Folders where weights and LoRAs may lie.
    pub(crate) models: &'a [PathBuf],
}

pub(crate) fn list(models: &[PathBuf], ui: &Ui) -> Result<Outcome> {
    let places = Places::new(models, Surroundings::here());
    if !ui.json() {
        let shown = |folder: &PathBuf| {
            let there = if folder.is_dir() { "" } else { " (not there)" };
            format!("  {}{there}", folder.display())
        };
        ui.print(&format!("looked in\n{}", places.folders().iter().map(shown).collect::<Vec<_>>().join("\n")));
    }
    for problem in &places.problems {
        ui.event("problem", &json!({ "problem": { "message": problem } }));
        if !ui.json() {
            ui.print(&format!("  problem   {problem}"));
        }
    }
    let mut rows = vec![];
    for path in places.checkpoints() {
        let facts =
            match Checkpoint::open(std::slice::from_ref(&path)).and_then(|file| Ok((file.what()?, file.bytes()))) {
                Ok((what, bytes)) => {
                    ui.event("weights", &json!({ "path": path, "name": what.name(), "what": what, "bytes": bytes }));
                    format!("{}, {}", what.name(), show::bytes(bytes))
                }
                Err(error) => {
                    let failure = ui.failure(&error.into());
                    ui.event("problem", &json!({ "path": path, "problem": failure.remark() }));
                    format!("problem: {}", failure.message)
                }
            };
        rows.push(format!("  {}\n    {facts}", path.display()));
    }
    if !ui.json() {
        ui.print(&format!("weights\n{}", if rows.is_empty() { "  none".into() } else { rows.join("\n") }));
        ui.print("presets");
    }
    let mut answer = Outcome::Usable;
    let built_in = Preset::built_in().into_iter().map(Ok);
    for preset in built_in.chain(Preset::of_user()) {
        match preset {
            Ok(preset) => listed(&preset, &places, ui),
            Err(error) => {
                answer = Outcome::Unusable;
                let failure = ui.problem(error.into())?;
                ui.event("problem", &json!({ "problem": failure }));
                if !ui.json() {
                    ui.print(&format!("  problem   {}", failure.message));
                }
            }
        }
    }
    Ok(answer)
}

fn listed(preset: &Preset, places: &Places, ui: &Ui) {
    let lacks = preset.lacks(places);
    let Preset { name, aliases, about, path, .. } = preset;
    ui.event(
        "preset",
        &json!({ "name": name, "aliases": aliases, "about": about, "path": path, "ready": lacks.is_empty(), "lacks": lacks }),
    );
    if !ui.json() {
        let ready = match lacks.len() {
            0 => "ready".into(),
            1 => format!("lacks {}", lacks[0].part),
            several => format!("lacks {several} parts"),
        };
        ui.print(format!("  {name:<36} {ready:<28} {about}").trim_end());
    }
}

/// Every value of it, resolved as if nothing else were asked.
pub(crate) fn inspect(preset: &Preset, &About { era, models }: &About<'_>, ui: &Ui) -> Result<Outcome> {
    let layers = [preset_of_era(preset, era)];
    let settings = resolve(&layers, Facts::of(Content::Clips(2), EngineChoice::Auto))?;
    let kind = preset.values.wan.model_files.as_ref().map(ModelTraits::from);
    let sampling = kind.map(|kind| Sampling::of(&layers, kind, &LoraFiles::new())).transpose()?;
    let lacks = preset.lacks(&Places::new(models, Surroundings::here()));
    let Preset { name, aliases, about, path, values, fps, max_frames, .. } = preset;
    ui.event(
        "preset",
        &json!({
            "name": name, "aliases": aliases, "about": about, "path": path, "asked": values, "plan": settings,
            "sampling": sampling, "fps": fps, "max_frames": max_frames, "ready": lacks.is_empty(), "lacks": lacks,
        }),
    );
    if !ui.json() {
        let mut values = show_settings::resolved(&settings);
        values.extend(sampling.iter().flat_map(show_settings::sourced));
        let texts = [("prompt", prompt(preset)), ("negative prompt", preset.values.wan.negative_prompt.clone())];
        values.extend(texts.into_iter().filter_map(|(name, text)| {
            Some((name.to_owned(), Value::from(text?).to_string(), layers[0].from.to_string()))
        }));
        ui.print(&show_settings::preset(preset, values, sampling.as_ref(), &lacks));
    }
    Ok(Outcome::Usable)
}

fn prompt(preset: &Preset) -> Option<String> {
    match preset.values.wan.prompts.as_ref()? {
        wanctl::pipeline::options::Prompts::One(prompt) => Some(prompt.clone()),
        _ => None,
    }
}
