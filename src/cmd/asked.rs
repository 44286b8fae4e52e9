//! What the command line, a preset and the weights that are found come to: layers, and which engine stands for auto.

use std::path::PathBuf;

use serde_json::{Value, json};

use wanctl::pipeline::{
    error::Result,
    job::{
        Device, Dtype, Offload, VaeTile,
        memory::{RowsAtOnce, Sizes, Work},
    },
    options::{
        self, EngineChoice, JourneySettings, Layer, Options, Parts, Preset, Settings, SettingsError, Source, Sourced,
        WanSettings, Weights, story::Story,
    },
    run::engine::Engine,
    types::{
        progress::{Progress, Warning},
        video::Size,
    },
    weights::{Conditioning, Places, Published, Surroundings},
    worker_tasks::{self, Era, Task},
};

use super::Ui;

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
    /// Without a word, but what an era of the worker changes.
    pub(crate) fn of_era(era: Option<Era>) -> Self {
        Self { preset: None, era, strict: false }
    }
}

/// All layers, and what they rest on.
pub(crate) struct Asked {
    pub(crate) layers: Vec<Layer>,
    /// Which engine does the work.
    pub(crate) engine: Sourced<EngineChoice>,
    /// How the model is shown frames, once its weights are open.
    conditioning: Option<Conditioning>,
    /// Found already where the preset is the one that auto stands for.
    weights: Option<Weights>,
    places: Places,
    strict: bool,
    /// Why auto stands for that engine.
    pub(crate) because: Option<String>,
    /// Options that were typed for a Wan model, where auto stands for another engine.
    pub(crate) unread: Vec<&'static str>,
}

/// What was asked, from the highest to the lowest but a preset.
pub(crate) struct Words<'a> {
    pub(crate) flags: Options,
    /// Brings its preset and its era.
    pub(crate) task: Option<&'a Task>,
    pub(crate) story: Option<&'a Story>,
    /// The folders of `--models`.
    pub(crate) models: &'a [PathBuf],
    /// Asked what it can hold where nobody names an engine; without it (for a guide, which needs none) auto stays auto.
    pub(crate) program: Option<(&'a Engine, Device)>,
    /// How a model can be shown frames that does the command's work.
    pub(crate) shown: &'a [Conditioning],
}

/// A join by itself takes a model that is shown both clips.
pub(crate) const JOINS: &[Conditioning] = &[Conditioning::Vace];
/// A journey takes one that goes from image to image as well.
pub(crate) const TRAVELS: &[Conditioning] = &[Conditioning::Vace, Conditioning::Images];

impl Asked {
    pub(crate) fn new(args: &PresetArgs, words: Words<'_>, ui: &Ui) -> Result<Self> {
        let PresetArgs { preset, era, strict } = args;
        let Words { flags, task, story, models, program, shown } = words;
        let named = preset.as_deref().filter(|name| *name != "auto");
        let named = named.or(story.and_then(|story| story.preset.as_deref()));
        let named = named.or(task.and_then(|task| task.preset.as_deref())).map(Preset::find).transpose()?;
        let of_task = task.and_then(|task| task.era);
        let places = Places::new(models, Surroundings::here());
        let has_model = flags.model.is_some() || task.is_some_and(|task| task.values.model.is_some());
        let mut layers: Vec<Layer> =
            named.iter().map(|preset| worker_tasks::preset_of_era(preset, of_task.or(*era))).collect();
        layers.extend(story.map(Story::layer));
        layers.extend(task.map(Task::layer));
        layers.push(Layer { from: Source::Flag, values: flags });
        let mut asked = Self {
            engine: options::engine(&layers, EngineChoice::Auto),
            conditioning: None,
            layers,
            weights: None,
            places,
            strict: *strict,
            because: None,
            unread: vec![],
        };
        let open = named.is_none() && !has_model;
        let auto = match (program, *asked.engine) {
            // A task is done by what it was made for, or not at all.
            (Some(_), EngineChoice::Auto) if has_model || of_task.is_some() => EngineChoice::Wan,
            (Some((program, device)), EngineChoice::Auto) => asked.stand_in((program, device), shown, *era, ui)?,
            (Some(_), EngineChoice::Wan) if open => {
                let (preset, weights) =
                    Preset::first_for(shown, &asked.places)?.ok_or_else(|| Preset::none_found(&asked.places))?;
                asked.found(&preset, weights, *era);
                EngineChoice::Wan
            }
            _ => EngineChoice::Auto,
        };
        asked.engine = options::engine(&asked.layers, auto);
        let preset = asked.layers.iter().find_map(|layer| match &layer.from {
            Source::Preset(name) => Some(name.clone()),
            _ => None,
        });
        if let Some(era) = era
            && of_task.is_none()
            && !named.as_ref().is_some_and(worker_tasks::changed_between_eras)
        {
            let of =
                preset.map_or("no preset was asked for".into(), |name| format!("preset {name} was always the same"));
            asked.ignored(&format!("--era {era}: {of}"), ui)?;
        }
        Ok(asked)
    }

    /// What becomes of options for a Wan model beside another engine: an error where that engine was named, else one warning.
    pub(crate) fn check_options(&mut self, given: Vec<&'static str>, ui: &Ui) -> Result<(), SettingsError> {
        let engine = *self.engine;
        match (&given[..], &self.because) {
            _ if engine == EngineChoice::Wan => Ok(()),
            ([], _) => Ok(()),
            ([option, ..], None) => Err(SettingsError::NotForEngine { engine, option }),
            (options, Some(_)) => {
                let options = options.join(", ");
                self.ignored(&format!("{options}: of a Wan model, and {engine} makes the frames"), ui)?;
                self.unread = given;
                Ok(())
            }
        }
    }

    /// Whether a model reads the prompts that a task brings.
    pub(crate) fn reads_prompts_of_a_task(&self) -> bool {
        let typed = self.layers.last().is_some_and(|flags| flags.values.prompts.is_some());
        *self.engine == EngineChoice::Wan && !typed
    }

    /// Wan where a preset's weights are found and a device holds them, else rife, and why.
    fn stand_in(
        &mut self,
        (program, device): (&Engine, Device),
        shown: &[Conditioning],
        era: Option<Era>,
        ui: &Ui,
    ) -> Result<EngineChoice> {
        let Some((preset, weights)) = Preset::first_for(shown, &self.places)? else {
            self.say(
                "rife, since no weights of a Wan model were found (see `wanctl inspect --list-models`)".into(),
                ui,
            );
            return Ok(EngineChoice::Rife);
        };
        let asked = Options::merged(&self.layers);
        let dtype = match asked.dtype.unwrap_or(Dtype::Auto) {
            Dtype::Auto if device == Device::Cpu => Dtype::F32,
            Dtype::Auto => Dtype::Bf16,
            dtype => dtype,
        };
        // The smallest work that there can be: with its plan a run finds out whether its own fits as well.
        let work = Work {
            size: Size::new(16, 16),
            frames: 1,
            references: 0,
            dtype,
            packed: dtype == Dtype::Fp8,
            beside: 0,
            offload: asked.offload.unwrap_or(Offload::Auto),
            ahead: device != Device::Cpu,
            rows: RowsAtOnce::Auto,
            vae_tile: asked.vae_tile.unwrap_or(VaeTile::Auto),
        };
        let needs = Sizes::of(&weights.models)?.needs(&work);
        let needed = needs.iter().map(|need| need.least).max().unwrap_or(0);
        let held = program.devices().is_ok_and(|devices| {
            // Many minutes for a frame on the CPU: only where that is asked for.
            let meant = |name: &str| match device {
                Device::Auto => name.starts_with("cuda"),
                Device::Cpu => name == "cpu",
                Device::Cuda(index) => name == format!("cuda:{index}"),
            };
            devices.iter().any(|device| {
                device.available && meant(&device.name) && device.memory_bytes.is_some_and(|bytes| bytes >= needed)
            })
        });
        if !held {
            self.say(
                format!(
                    "rife, since no {} holds preset {} ({:.1} GB at once); --engine wan tries all the same",
                    if device == Device::Auto { "GPU" } else { "such device" },
                    preset.name,
                    needed as f64 / 1e9
                ),
                ui,
            );
            return Ok(EngineChoice::Rife);
        }
        self.say(format!("wan with preset {}, whose weights were found", preset.name), ui);
        self.found(&preset, weights, era);
        Ok(EngineChoice::Wan)
    }

    fn say(&mut self, because: String, ui: &Ui) {
        ui.note(&format!("engine: {because}"));
        self.because = Some(because);
    }

    fn found(&mut self, preset: &Preset, weights: Weights, era: Option<Era>) {
        self.layers.insert(0, worker_tasks::preset_of_era(preset, era));
        let own = |Options { loras, segment_loras, segment_sampling, .. }: &Options| {
            loras.is_some() || segment_loras.is_some() || segment_sampling.is_some()
        };
        let as_the_preset_says = era.is_none() && !self.layers[1..].iter().any(|layer| own(&layer.values));
        self.weights = Some(weights).filter(|_| as_the_preset_says);
    }

    /// What a join's plan needs.
    pub(crate) fn join(&self) -> Result<Settings, SettingsError> {
        let settings = Settings::of(&self.layers, *self.engine)?;
        match self.conditioning {
            Some(conditioning) => settings.for_model(conditioning),
            None => Ok(settings),
        }
    }

    /// What the plan of a journey of so many segments needs.
    pub(crate) fn journey(&self, parts: Parts, continued: bool) -> Result<JourneySettings, SettingsError> {
        let settings = JourneySettings::of(&self.layers, *self.engine, parts, continued)?;
        match self.conditioning {
            Some(conditioning) => settings.for_model(conditioning),
            None => Ok(settings),
        }
    }

    /// The model and its sampling, after which the settings are those for this model; `None` for another engine. `seed` is
    /// that of a run that is gone on with.
    pub(crate) fn wan(&mut self, parts: Parts, seed: Option<u64>, ui: &Ui) -> Result<Option<WanSettings>> {
        if *self.engine != EngineChoice::Wan {
            // That of a task is not asked for beside another engine.
            let of_task = self.layers.iter().any(|layer| matches!(layer.from, Source::Task(_)));
            let preset = self.layers.iter().find(|layer| matches!(layer.from, Source::Preset(_)) && !of_task);
            if let Some(Layer { from, .. }) = preset.filter(|preset| preset.values.published.is_some()) {
                self.ignored(&format!("the model of {from}: --engine {} makes the frames", *self.engine), ui)?;
            }
            let told = |layer: &&Layer| matches!(layer.from, Source::Story(_)) && is_for_a_model(&layer.values);
            if let Some(Layer { from, .. }) = self.layers.iter().find(told) {
                let what = format!("prompts, seeds and LoRAs of {from}: --engine {} makes the frames", *self.engine);
                self.ignored(&what, ui)?;
            }
            return Ok(None);
        }
        let weights = match self.weights.take() {
            Some(weights) => weights,
            None => Weights::find(&self.layers, &self.places)?,
        };
        let wan = WanSettings::of(&self.layers, weights, parts, seed)?;
        let generation = &wan.generation;
        for part in 0..if generation.segments.is_empty() { 1 } else { parts.count } {
            wan.request(part).check_loras()?;
        }
        self.conditioning = Some(wan.models.conditioning()?);
        for ignored in &generation.ignored {
            self.ignored(ignored, ui)?;
        }
        let replaced = self.layers.iter().any(|layer| {
            matches!(layer.from, Source::Preset(_))
                && layer.values.loras.as_ref().is_some_and(|loras| !loras.is_empty())
        });
        if replaced && generation.sampling.loras.from == Source::Flag {
            let message = "--lora takes the place of the preset's LoRAs: name those as well to keep them";
            ui.warn(Warning { code: "loras", file: None, message: message.into() });
        }
        Ok(Some(wan))
    }

    /// Where the model's files are not here: how it is shown frames, as their names tell it.
    pub(crate) fn take_names(&mut self) {
        self.conditioning = self.merged().published.as_ref().and_then(Published::conditioning);
    }

    fn ignored(&self, what: &str, ui: &Ui) -> Result<(), SettingsError> {
        if self.strict {
            return Err(SettingsError::Ignored { what: what.to_owned() });
        }
        ui.warn(Warning { code: "ignored", file: None, message: format!("ignored: {what}") });
        Ok(())
    }

    /// What was asked, for a run that goes on with another: all but a random seed, which is that run's own.
    pub(crate) fn task(&self) -> Value {
        let layer = |Layer { from, values }: &Layer| json!({ "from": from, "values": values });
        self.layers.iter().map(layer).collect()
    }

    /// All layers as one.
    pub(crate) fn merged(&self) -> Options {
        Options::merged(&self.layers)
    }
}

/// Whether anything is said that only a Wan model heeds.
fn is_for_a_model(values: &Options) -> bool {
    let Options { prompts, negative_prompt, negative_prompts, seed, seeds, loras, segment_loras, .. } = values;
    let negative = negative_prompt.is_some() || negative_prompts.is_some();
    prompts.is_some() || negative || seed.is_some() || seeds.is_some() || loras.is_some() || segment_loras.is_some()
}
