//! What the command line, a preset, a story or a task and the weights that are found come to: layers of options, the engine
//! that stands for auto, and the values.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::pipeline::{
    job::{
        Device, Dtype, Offload, VaeTile,
        memory::{RowsAtOnce, Sizes, Work},
    },
    options::{
        self, Content, EngineChoice, Facts, Layer, Model, Options, OptionsError, Parts, Preset, ResolvedOptions,
        Source, Sourced, WanOptions, Weights, story::Story,
    },
    run::{engine::Engine, error::Result},
    types::{
        progress::{Progress, Warning},
        video::Size,
    },
    weights::{Conditioning, Places, Surroundings},
    worker_tasks::{self, Era, Task},
};

/// Resolves options from all that requests them.
#[derive(Debug)]
pub struct OptionResolver {
    /// From the lowest to the highest.
    pub layers: Vec<Layer>,
    /// Which engine does the work.
    pub engine: Sourced<EngineChoice>,
    /// Found already where the preset is the one that auto stands for.
    weights: Option<Weights>,
    places: Places,
    strict: bool,
    /// Why auto stands for that engine.
    pub because: Option<String>,
    /// Options that were typed for a Wan model, where auto stands for another engine.
    pub unread: Vec<String>,
}

/// Who requests options: each above the next one, and all above the preset.
#[derive(Debug, Default)]
pub struct OptionSources<'a> {
    /// Its name or file; `auto` is the same as none.
    pub preset: Option<&'a str>,
    /// Which version of the hosted worker's a preset is taken for.
    pub era: Option<Era>,
    /// Whether options without effect are errors.
    pub strict: bool,
    pub flags: Options,
    /// Brings its preset and its era.
    pub task: Option<&'a Task>,
    pub story: Option<&'a Story>,
    /// The folders of `--models`.
    pub models: &'a [PathBuf],
    /// Asked what it can hold where nobody names an engine; without it (for a guide, which needs none) auto stays auto.
    pub program: Option<(&'a Engine, Device)>,
    /// How a model can be shown frames that does the command's work.
    pub shown: &'a [Conditioning],
}

/// A join by itself takes a model that is shown both clips.
pub const JOINS: &[Conditioning] = &[Conditioning::Vace];
/// A travel takes one that goes from image to image as well.
pub const TRAVELS: &[Conditioning] = &[Conditioning::Vace, Conditioning::Images];

impl OptionResolver {
    pub fn new(sources: OptionSources<'_>, progress: &dyn Progress) -> Result<Self> {
        let OptionSources { preset, era, strict, flags, task, story, models, program, shown } = sources;
        let named = preset.filter(|name| *name != "auto");
        let named = named.or(story.and_then(|story| story.preset.as_deref()));
        let named = named.or(task.and_then(|task| task.preset.as_deref())).map(Preset::find).transpose()?;
        let of_task = task.and_then(|task| task.era);
        let places = Places::new(models, Surroundings::here());
        let has_model = flags.wan.model.is_some() || task.is_some_and(|task| task.values.wan.model.is_some());
        let mut layers: Vec<Layer> =
            named.iter().map(|preset| worker_tasks::preset_of_era(preset, of_task.or(era))).collect();
        layers.extend(story.map(Story::layer));
        layers.extend(task.map(Task::layer));
        layers.push(Layer { from: Source::Flag, values: flags });
        let mut resolver = Self {
            engine: options::engine(&layers, EngineChoice::Auto),
            layers,
            weights: None,
            places,
            strict,
            because: None,
            unread: vec![],
        };
        let open = named.is_none() && !has_model;
        let auto = match (program, *resolver.engine) {
            // A task is done by what it was made for, or not at all.
            (Some(_), EngineChoice::Auto) if has_model || of_task.is_some() => EngineChoice::Wan,
            (Some((program, device)), EngineChoice::Auto) => {
                resolver.stand_in((program, device), shown, era, progress)?
            }
            (Some(_), EngineChoice::Wan) if open => {
                let (preset, weights) =
                    Preset::first_for(shown, &resolver.places)?.ok_or_else(|| Preset::none_found(&resolver.places))?;
                resolver.found(&preset, weights, era);
                EngineChoice::Wan
            }
            _ => EngineChoice::Auto,
        };
        resolver.engine = options::engine(&resolver.layers, auto);
        let preset = resolver.layers.iter().find_map(|layer| match &layer.from {
            Source::Preset(name) => Some(name.clone()),
            _ => None,
        });
        if let Some(era) = era
            && of_task.is_none()
            && !named.as_ref().is_some_and(worker_tasks::changed_between_eras)
        {
            let of =
                preset.map_or("no preset was asked for".into(), |name| format!("preset {name} was always the same"));
            resolver.ignored(&format!("--era {era}: {of}"), progress)?;
        }
        Ok(resolver)
    }

    /// What becomes of options for a Wan model beside another engine: an error where that engine was named, else one warning.
    pub fn check_flags(&mut self, given: Vec<String>, progress: &dyn Progress) -> Result<(), OptionsError> {
        let engine = *self.engine;
        match (&given[..], &self.because) {
            _ if engine == EngineChoice::Wan => Ok(()),
            ([], _) => Ok(()),
            ([option, ..], None) => Err(OptionsError::NotForEngine { engine, option: option.clone() }),
            (options, Some(_)) => {
                let options = options.join(", ");
                self.ignored(&format!("{options}: of a Wan model, and {engine} makes the frames"), progress)?;
                self.unread = given;
                Ok(())
            }
        }
    }

    /// Whether a model reads the prompts that a task brings.
    pub fn reads_prompts_of_a_task(&self) -> bool {
        let typed = self.layers.last().is_some_and(|flags| flags.values.wan.prompts.is_some());
        *self.engine == EngineChoice::Wan && !typed
    }

    /// Wan where a preset's weights are found and a device holds them, else rife, and why.
    fn stand_in(
        &mut self,
        (program, device): (&Engine, Device),
        shown: &[Conditioning],
        era: Option<Era>,
        progress: &dyn Progress,
    ) -> Result<EngineChoice> {
        let Some((preset, weights)) = Preset::first_for(shown, &self.places)? else {
            self.say(
                "rife, since no weights of a Wan model were found (see `wanctl inspect --list-models`)".into(),
                progress,
            );
            return Ok(EngineChoice::Rife);
        };
        let requested = Options::merged(&self.layers);
        let dtype = match requested.wan.dtype.unwrap_or(Dtype::Auto) {
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
            offload: requested.wan.offload.unwrap_or(Offload::Auto),
            ahead: device != Device::Cpu,
            rows: RowsAtOnce::Auto,
            vae_tile: requested.wan.vae_tile.unwrap_or(VaeTile::Auto),
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
                progress,
            );
            return Ok(EngineChoice::Rife);
        }
        self.say(format!("wan with preset {}, whose weights were found", preset.name), progress);
        self.found(&preset, weights, era);
        Ok(EngineChoice::Wan)
    }

    fn say(&mut self, because: String, progress: &dyn Progress) {
        progress.note(&format!("engine: {because}"));
        self.because = Some(because);
    }

    fn found(&mut self, preset: &Preset, weights: Weights, era: Option<Era>) {
        self.layers.insert(0, worker_tasks::preset_of_era(preset, era));
        let own = |WanOptions { loras, segment_loras, segment_sampling, .. }: &WanOptions| {
            loras.is_some() || segment_loras.is_some() || segment_sampling.is_some()
        };
        let as_the_preset_says = era.is_none() && !self.layers[1..].iter().any(|layer| own(&layer.values.wan));
        self.weights = Some(weights).filter(|_| as_the_preset_says);
    }

    /// How many seams or segments there are.
    pub fn parts(&self, content: Content) -> Result<Parts, OptionsError> {
        options::parts(&self.layers, content)
    }

    /// The values without a model's weights, which a guide needs none of.
    pub fn resolve_without_weights(&self, content: Content) -> Result<ResolvedOptions, OptionsError> {
        options::resolve(&self.layers, Facts::of(content, *self.engine))
    }

    /// The values where the model's files are not here: what their names tell.
    pub fn resolve_by_names(&self, content: Content) -> Result<ResolvedOptions, OptionsError> {
        options::resolve(&self.layers, Facts::by_names(&self.layers, content, *self.engine))
    }

    /// The values, for the model whose weights are found. `seed` is that of a run that is gone on with.
    pub fn resolve(&mut self, content: Content, seed: Option<u64>, progress: &dyn Progress) -> Result<ResolvedOptions> {
        let weights = match (*self.engine, self.weights.take()) {
            (EngineChoice::Wan, Some(weights)) => Some(weights),
            (EngineChoice::Wan, None) => Some(Weights::find(&self.layers, &self.places)?),
            (EngineChoice::Auto | EngineChoice::Rife | EngineChoice::Dissolve, _) => {
                self.check_model_is_unused(progress)?;
                None
            }
        };
        let conditioning = weights.as_ref().map(|weights| weights.models.conditioning()).transpose()?;
        let model = weights.map_or(Model::None, |weights| Model::Found(Box::new(weights)));
        let facts = Facts { content, auto: *self.engine, conditioning, model, seed };
        let resolved = options::resolve(&self.layers, facts)?;
        let Some(wan) = resolved.wan() else { return Ok(resolved) };
        let generation = &wan.generation;
        for part in 0..if generation.segments.is_empty() { 1 } else { resolved.parts.count } {
            wan.request(part).check_loras()?;
        }
        for ignored in &generation.ignored {
            self.ignored(ignored, progress)?;
        }
        let replaced = self.layers.iter().any(|layer| {
            matches!(layer.from, Source::Preset(_))
                && layer.values.wan.loras.as_ref().is_some_and(|loras| !loras.is_empty())
        });
        if replaced && generation.sampling.loras.from == Source::Flag {
            let message = "--lora takes the place of the preset's LoRAs: name those as well to keep them";
            progress.warn(Warning { code: "loras", file: None, message: message.into() });
        }
        Ok(resolved)
    }

    /// What is requested of a model where another engine generates; that of a task is not requested then.
    fn check_model_is_unused(&self, progress: &dyn Progress) -> Result<(), OptionsError> {
        let engine = *self.engine;
        let of_task = self.layers.iter().any(|layer| matches!(layer.from, Source::Task(_)));
        let preset = self.layers.iter().find(|layer| matches!(layer.from, Source::Preset(_)) && !of_task);
        if let Some(Layer { from, .. }) = preset.filter(|preset| preset.values.wan.model_files.is_some()) {
            self.ignored(&format!("the model of {from}: --engine {engine} makes the frames"), progress)?;
        }
        let told = |layer: &&Layer| matches!(layer.from, Source::Story(_)) && is_for_a_model(&layer.values);
        if let Some(Layer { from, .. }) = self.layers.iter().find(told) {
            let what = format!("prompts, seeds and LoRAs of {from}: --engine {engine} makes the frames");
            self.ignored(&what, progress)?;
        }
        Ok(())
    }

    fn ignored(&self, what: &str, progress: &dyn Progress) -> Result<(), OptionsError> {
        if self.strict {
            return Err(OptionsError::Ignored { what: what.to_owned() });
        }
        progress.warn(Warning { code: "ignored", file: None, message: format!("ignored: {what}") });
        Ok(())
    }

    /// What was requested, for a run that goes on with another: all but a random seed, which is that run's own.
    pub fn requested(&self) -> Value {
        let layer = |Layer { from, values }: &Layer| json!({ "from": from, "values": values });
        self.layers.iter().map(layer).collect()
    }

    /// All layers as one.
    pub fn merged(&self) -> Options {
        Options::merged(&self.layers)
    }
}

/// Whether anything is said that only a Wan model heeds.
fn is_for_a_model(values: &Options) -> bool {
    let WanOptions { prompts, negative_prompt, negative_prompts, seed, seeds, loras, segment_loras, .. } = &values.wan;
    let negative = negative_prompt.is_some() || negative_prompts.is_some();
    prompts.is_some() || negative || seed.is_some() || seeds.is_some() || loras.is_some() || segment_loras.is_some()
}
