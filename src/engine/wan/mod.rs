//! A Wan model's work: the order of its stages, for all seams at once, so that each network is loaded as seldom as can be.
//!
//! Prompts are read, guides become latents, noise becomes latents step by step, latents become frames. Every network is
//! gone before the next one comes. What is done of a seam is on disk after every step (`state`).

mod control;
mod dit;
mod pixels;
mod solver;
mod state;
mod t5;
#[cfg(test)]
mod tests;
mod vae;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    rc::Rc,
    time::Instant,
};

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::{
    checkpoint::{self, Checkpoint, ModelFiles, VaeGeneration, What},
    fault::Fault,
    job::{Dtype, Event, GuideHead, Part, Trouble, TroubleCode, VaeTile, Wan},
    schedule::Expert,
};

use self::{
    control::Guide,
    dit::{Context, Input, Scene, Transformer},
    solver::{History, Solver},
    state::State,
    t5::{T5Config, TEXT_ROWS, TextEncoder},
    vae::{Decoder, Encoder, Prefix, Tiles, VaeError, Way},
    words::{Tokenizer, WordsError},
};
use crate::engine::{
    torch,
    weights::{Weights, WeightsError},
};

pub(crate) use self::state::Store;

/// One seam: what is asked, what is shown, and where its state is kept.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) seam: usize,
    pub(crate) wan: &'a Wan,
    pub(crate) head: &'a GuideHead,
    /// The guide's frames, 8-bit RGB.
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) store: Store,
}

/// What became of a seam.
#[derive(Debug)]
pub(crate) struct Done {
    /// 8-bit RGB, as many as the guide has.
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) parts: Vec<(Part, f64)>,
}

impl From<WeightsError> for Trouble {
    fn from(error: WeightsError) -> Self {
        Self::new(TroubleCode::Weights, error)
    }
}

impl From<WordsError> for Trouble {
    fn from(error: WordsError) -> Self {
        Self::new(TroubleCode::Weights, with_cause(&error))
    }
}

impl From<VaeError> for Trouble {
    fn from(error: VaeError) -> Self {
        Self::new(TroubleCode::Engine, error)
            .help("compute with --dtype f32, or name another file with --model vae=PATH")
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Does the seams in order; `emit` takes each when it is done.
pub(crate) fn run(
    tasks: &[Task<'_>],
    device: Device,
    say: &mut dyn FnMut(&Event),
    emit: &mut dyn FnMut(usize, Done, &mut dyn FnMut(&Event)) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut first = 0;
    while first < tasks.len() {
        let alike = |task: &Task<'_>| {
            let (this, that) = (task.wan, tasks[first].wan);
            (&this.models, this.dtype, this.vae_tile) == (&that.models, that.dtype, that.vae_tile)
        };
        let count = tasks[first..].iter().take_while(|task| alike(task)).count();
        let begin = first;
        let mut shifted = |index: usize, done: Done, say: &mut dyn FnMut(&Event)| emit(begin + index, done, say);
        Session::new(&tasks[first..first + count], device, say).run(&mut shifted)?;
        first += count;
    }
    Ok(())
}

/// Seams with the same weights, on their way through the stages.
struct Session<'a, 's> {
    tasks: &'a [Task<'a>],
    models: &'a ModelFiles,
    device: Device,
    kind: Kind,
    say: &'s mut dyn FnMut(&Event),
    /// How far each seam is.
    states: Vec<Option<State>>,
    /// Seconds of each part, by seam.
    parts: Vec<BTreeMap<Part, f64>>,
}

impl<'a, 's> Session<'a, 's> {
    fn new(tasks: &'a [Task<'a>], device: Device, say: &'s mut dyn FnMut(&Event)) -> Self {
        let Wan { models, dtype, .. } = tasks[0].wan;
        let kind = match (dtype, device) {
            (Dtype::Auto, Device::Cpu) | (Dtype::F32, _) => Kind::Float,
            (Dtype::Auto | Dtype::Bf16, _) => Kind::BFloat16,
            (Dtype::F16, _) => Kind::Half,
        };
        let states = tasks.iter().map(|task| task.store.load()).collect();
        let parts = tasks.iter().map(|_| BTreeMap::new()).collect();
        Self { tasks, models, device, kind, say, states, parts }
    }

    fn run(
        mut self,
        emit: &mut dyn FnMut(usize, Done, &mut dyn FnMut(&Event)) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        if (0..self.tasks.len()).any(|index| self.next(index).is_some()) {
            let texts = self.texts()?;
            let controls = self.controls()?;
            self.denoise(&texts, &controls)?;
        }
        self.decode(emit)
    }

    /// The next step of a seam; none where all are done.
    fn next(&self, index: usize) -> Option<usize> {
        let done = self.states[index].as_ref().map_or(0, |state| state.done);
        (done < self.tasks[index].wan.steps.len()).then_some(done)
    }

    fn begin(&mut self, index: usize, part: Part) -> Instant {
        (self.say)(&Event::Part { seam: self.tasks[index].seam, part });
        Instant::now()
    }

    fn end(&mut self, index: usize, part: Part, begun: Instant) {
        *self.parts[index].entry(part).or_default() += begun.elapsed().as_secs_f64();
    }

    /// What lies in these files, and what it is.
    fn weights(&self, files: &[PathBuf], kind: Kind) -> Result<(Weights, What), Trouble> {
        let opened = Checkpoint::open(files).and_then(|checkpoint| Ok((checkpoint.what()?, checkpoint)));
        let (what, checkpoint) = opened.map_err(|error| {
            let trouble = Trouble::new(TroubleCode::Weights, with_cause(&error));
            match error.details().help {
                Some(help) => trouble.help(&help),
                None => trouble,
            }
        })?;
        Ok((Weights::of(Rc::new(checkpoint), self.device, kind), what))
    }

    /// Every prompt that a step will ask for, as [1, 512, width].
    fn texts(&mut self) -> Result<HashMap<String, Tensor>, Trouble> {
        let mut prompts = BTreeSet::new();
        let guided = |wan: &Wan| wan.steps.iter().any(|step| step.guidance > 1.0);
        for task in self.tasks {
            prompts.insert(&task.wan.prompt);
            if guided(task.wan) {
                prompts.insert(&task.wan.negative_prompt);
            }
        }
        let begun = self.begin(0, Part::Text);
        let tokenizer = Tokenizer::open(&self.models.tokenizer)?;
        let (weights, what) = self.weights(&self.models.text, self.kind)?;
        let What::TextEncoder(facts) = what else { return Err(foreign(&what, "a umT5 text encoder")) };
        if facts.dim != self.models.transformer.text_dim {
            let (made, read) = (facts.dim, self.models.transformer.text_dim);
            let message = format!("the text encoder makes rows of {made} numbers, and the transformer reads {read}");
            return Err(Trouble::new(TroubleCode::Weights, message).help("they belong to different models"));
        }
        let config = T5Config::of(&facts);
        let encoder = torch::stage("loading the text encoder", || TextEncoder::load(&weights, config))??;
        refuse_left_over(&weights)?;
        let mut rows = HashMap::new();
        for prompt in prompts {
            let ids = tokenizer.ids(prompt)?;
            let text = torch::stage("reading the prompt", || encoder.encode(&ids))?;
            debug_assert_eq!(text.size()[1], TEXT_ROWS);
            rows.insert(prompt.clone(), text);
        }
        self.end(0, Part::Text, begun);
        Ok(rows)
    }

    /// The guide of every seam that still has steps to go.
    fn controls(&mut self) -> Result<Vec<Option<Tensor>>, Trouble> {
        let begun = self.begin(0, Part::Encode);
        let (weights, config) = self.vae()?;
        let encoder = torch::stage("loading the VAE", || Encoder::load(&weights, &config))??;
        // What several seams begin with alike is encoded once; for one seam it would only cost memory.
        let mut prefix = (self.tasks.len() > 1).then(Prefix::default);
        let mut controls = vec![];
        for index in 0..self.tasks.len() {
            let task = &self.tasks[index];
            if self.next(index).is_none() {
                controls.push(None);
                continue;
            }
            let guide = Guide { head: task.head, frames: &task.frames };
            let way = &self.way(index, &config);
            let (say, seam, device) = (&mut *self.say, task.seam, self.device);
            let mut progress = |done: usize, total: usize| say(&Event::Progress { seam, done, total });
            let made = torch::stage("encoding the guide", || {
                control::control(&encoder, &guide, way, prefix.as_mut(), device, &mut progress)
            });
            controls.push(Some(made??));
        }
        self.end(0, Part::Encode, begun);
        Ok(controls)
    }

    /// In f32 whatever the rest has: it is small, and what it loses no later step brings back.
    fn vae(&self) -> Result<(Weights, vae::Config), Trouble> {
        let (weights, what) = self.weights(&self.models.vae, Kind::Float)?;
        match &what {
            What::Vae(facts) if facts.generation == VaeGeneration::Wan21 => Ok((weights, vae::Config::of(facts))),
            _ => Err(foreign(&what, "a Wan 2.1 VAE")),
        }
    }

    /// Whole where the device's memory, used or not, is enough: the same machine makes the same frames at any time.
    fn way(&self, index: usize, config: &vae::Config) -> Way {
        let Task { wan, head, .. } = &self.tasks[index];
        let (height, width) = (i64::from(head.size.height), i64::from(head.size.width));
        match wan.vae_tile {
            VaeTile::Off => Way::default(),
            VaeTile::Pixels(pixels) => Way { tiles: Tiles::new(i64::from(pixels)), ..Way::default() },
            VaeTile::Auto => match torch::memory(self.device) {
                // Some of it is other programs' and the weights'.
                Some(bytes) => Way::within(bytes / 4 * 3, config, Kind::Float, height, width),
                None => Way::default(),
            },
        }
    }

    /// All steps of all seams, one expert after the other.
    fn denoise(&mut self, texts: &HashMap<String, Tensor>, controls: &[Option<Tensor>]) -> Result<(), Trouble> {
        let all = 0..self.tasks.len();
        while let Some((first, step)) = all.clone().find_map(|index| Some((index, self.next(index)?))) {
            let expert = self.tasks[first].wan.steps[step].expert;
            let begun = self.begin(first, Part::Load);
            let transformer = self.transformer(expert)?;
            self.end(first, Part::Load, begun);
            for index in all.clone() {
                let Some(control) = &controls[index] else { continue };
                let wanted = |session: &Self| {
                    session.next(index).filter(|step| session.tasks[index].wan.steps[*step].expert == expert)
                };
                if wanted(self).is_none() {
                    continue;
                }
                let begun = self.begin(index, Part::Denoise);
                let question = self.question(index, &transformer, texts, control)?;
                while let Some(step) = wanted(self) {
                    self.step(index, step, &transformer, &question)?;
                }
                self.end(index, Part::Denoise, begun);
            }
        }
        Ok(())
    }

    fn transformer(&self, expert: Expert) -> Result<Transformer, Trouble> {
        let files = match expert {
            Expert::High => &self.models.high,
            Expert::Low => &self.models.low,
        };
        let (weights, what) = self.weights(files, self.kind)?;
        let config = match &what {
            What::Transformer(facts) if facts.vace.is_some() && facts.image.is_none() => dit::Config::of(facts),
            _ => return Err(foreign(&what, "a transformer with VACE")),
        };
        let transformer = torch::stage("loading the transformer", || Transformer::load(&weights, config))??;
        refuse_left_over(&weights)?;
        Ok(transformer)
    }

    /// What of a seam is the same in all steps of one expert.
    fn question(
        &self,
        index: usize,
        transformer: &Transformer,
        texts: &HashMap<String, Tensor>,
        control: &Tensor,
    ) -> Result<Question, Trouble> {
        let wan = self.tasks[index].wan;
        let guided = wan.steps.iter().any(|step| step.guidance > 1.0);
        let scales = vec![wan.control_scale; transformer.hints()];
        Ok(torch::stage("reading the guide", || {
            let (_, _, frames, height, width) = control.size5().expect("a control [1, C, T, H, W]");
            Question {
                prompt: transformer.context(&texts[&wan.prompt]),
                negative: guided.then(|| transformer.context(&texts[&wan.negative_prompt])),
                scene: transformer.scene([frames, height, width], Some((control, &scales))),
                shape: [1, LATENT_CHANNELS, frames, height, width],
            }
        })?)
    }

    fn step(
        &mut self,
        index: usize,
        number: usize,
        transformer: &Transformer,
        question: &Question,
    ) -> Result<(), Trouble> {
        let Task { wan, seam, store, .. } = &self.tasks[index];
        let (total, step) = (wan.steps.len(), &wan.steps[number]);
        if number == 0 || self.states[index].is_none() {
            (self.say)(&Event::Progress { seam: *seam, done: number, total });
        }
        let device = self.device;
        let before = self.states[index].take();
        let state = torch::stage("denoising", || {
            let State { latents, history, .. } = before.unwrap_or_else(|| State {
                done: 0,
                latents: noise(wan.seed, question.shape),
                history: History::default(),
            });
            let latents = latents.to_device(device);
            let history = History {
                clean: history.clean.iter().map(|clean| clean.to_device(device)).collect(),
                last: history.last.map(|last| last.to_device(device)),
            };
            let ask = |context: &Context| {
                let input = Input { latents: &latents, timestep: step.timestep, context, scene: &question.scene };
                transformer.forward(&input, &mut |_| {})
            };
            let prompted = ask(&question.prompt);
            let velocity = match &question.negative {
                Some(negative) if step.guidance > 1.0 => {
                    let unprompted = ask(negative);
                    &unprompted + (prompted - &unprompted) * step.guidance
                }
                _ => prompted,
            };
            let mut solver = Solver::new(wan.solver, &wan.steps, history);
            let latents = solver.step(number, &latents, &velocity);
            State { done: number + 1, latents, history: solver.history }
        })?;
        let finite = torch::stage("denoising", || state.latents.isfinite().all().int64_value(&[]) != 0)?;
        if !finite {
            return Err(Trouble::new(
                TroubleCode::Engine,
                format!(
                    "step {} of {total} of the {} expert gave numbers that are not finite",
                    number + 1,
                    step.expert
                ),
            )
            .help("compute with --dtype bf16 or f32; if that does not help, the weights or a LoRA are broken"));
        }
        store.save(&state)?;
        self.states[index] = Some(state);
        (self.say)(&Event::Progress { seam: *seam, done: number + 1, total });
        Ok(())
    }

    fn decode(
        mut self,
        emit: &mut dyn FnMut(usize, Done, &mut dyn FnMut(&Event)) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let begun = self.begin(0, Part::Decode);
        let (weights, config) = self.vae()?;
        let decoder = torch::stage("loading the VAE", || Decoder::load(&weights, &config))??;
        self.end(0, Part::Decode, begun);
        for index in 0..self.tasks.len() {
            let begun = self.begin(index, Part::Decode);
            let latents = self.states[index].take().expect("its steps are done").latents.to_device(self.device);
            let way = &self.way(index, &config);
            let (say, seam) = (&mut *self.say, self.tasks[index].seam);
            let mut progress = |done: usize, total: usize| say(&Event::Progress { seam, done, total });
            let mut frames = vec![];
            torch::stage("decoding the latents", || {
                decoder.decode(&latents, way, &mut progress, &mut |chunk: Tensor| frames.extend(pixels::frames(&chunk)))
            })??;
            self.end(index, Part::Decode, begun);
            let parts = std::mem::take(&mut self.parts[index]).into_iter().collect();
            emit(index, Done { frames, parts }, &mut *self.say)?;
        }
        Ok(())
    }
}

/// What a transformer is asked in every step of a seam.
struct Question {
    prompt: Context,
    negative: Option<Context>,
    scene: Scene,
    shape: [i64; 5],
}

/// Of Wan 2.1's VAE, which all models here share.
const LATENT_CHANNELS: i64 = 16;

/// The same on every machine and device: drawn on the CPU.
fn noise(seed: u64, shape: [i64; 5]) -> Tensor {
    tch::manual_seed(seed as i64);
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

fn foreign(what: &What, wanted: &str) -> Trouble {
    Trouble::new(TroubleCode::Weights, format!("wanted {wanted}, found {}", what.name()))
}

impl T5Config {
    fn of(facts: &checkpoint::TextEncoder) -> Self {
        let [vocab, dim, d_kv, heads, ff, layers, buckets] =
            [facts.vocab, facts.dim, facts.d_kv, facts.heads, facts.ff, facts.layers, facts.buckets]
                .map(|number| number as i64);
        // No file tells how far it looks; there is only one umT5.
        Self { vocab, dim, d_kv, heads, ff, layers, buckets, ..Self::default() }
    }
}

impl vae::Config {
    fn of(facts: &checkpoint::Vae) -> Self {
        let published = Self::default();
        Self {
            base_dim: facts.base_dim as i64,
            z_dim: facts.z_dim as i64,
            latents_mean: facts.mean.clone().unwrap_or_else(|| published.latents_mean.clone()),
            latents_std: facts.std.clone().unwrap_or_else(|| published.latents_std.clone()),
            ..published
        }
    }
}

impl dit::Config {
    fn of(facts: &checkpoint::Transformer) -> Self {
        let number = |number: usize| number as i64;
        Self {
            heads: number(facts.heads),
            head_dim: number(facts.head_dim),
            in_channels: number(facts.in_channels),
            out_channels: number(facts.out_channels),
            text_dim: number(facts.text_dim),
            freq_dim: number(facts.freq_dim),
            ffn_dim: number(facts.ffn),
            layers: facts.layers,
            vace: facts
                .vace
                .as_ref()
                .map(|vace| dit::VaceConfig { layers: vace.layers.clone(), channels: number(vace.in_channels) }),
        }
    }
}

fn refuse_left_over(weights: &Weights) -> Result<(), Trouble> {
    match weights.left_over().as_slice() {
        [] => Ok(()),
        [first, others @ ..] => Err(Trouble::new(
            TroubleCode::Weights,
            format!(
                "{} has tensors that nothing asks for: `{first}`{}",
                weights.file(),
                match others.len() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                }
            ),
        )
        .help("look at it with `wanctl inspect`: it is made for another program, or is another model")),
    }
}
