//! Seams with the same weights on their way through the stages: prompts, guides, steps, frames.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    rc::Rc,
    time::Instant,
};

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::{
    job::{self, Dtype, EngineFailure, EngineFailureCode, Event, Part, VaeTile, Wan, memory},
    types::error::{ErrorCode, Reportable},
    weights::{Checkpoint, Conditioning, ModelFiles, ModelKind, VaeGeneration},
};

use super::{
    Done, Emit, Parts, Task,
    control::{self, Encode, Guide},
    dit::OffloadMode,
    network::{foreign, refuse_left_over},
    pixels,
    store::State,
    t5::{self, T5Config, TEXT_ROWS},
    tokenizer::{Tokenizer, TokenizerError},
    vae::{self, Decoder, Encoder, Prefix, Tiles, Way},
    with_cause,
};
use crate::engine::{
    torch::{self, TorchError, heap::SmallHeap, shim},
    weights::Weights,
};

/// Seams with the same weights, on their way through the stages.
pub(super) struct Session<'a, 's> {
    pub(super) tasks: &'a [Task<'a>],
    pub(super) models: &'a ModelFiles,
    pub(super) device: Device,
    pub(super) kind: Kind,
    /// Engines that work at once on this machine.
    pub(super) share: usize,
    /// What of the transformer stays on the device while others of its layers work.
    pub(super) keep: OffloadMode,
    pub(super) say: &'s mut dyn FnMut(&Event),
    /// Steps that are done of each seam.
    done: Vec<usize>,
    /// What the last step made, and of which seam: the next one need not read it again.
    at_hand: Option<(usize, State)>,
    /// What the guide became, where only one seam has steps to go.
    control: Option<Tensor>,
    /// Seconds of each part and its peak of a GPU's memory in bytes, by seam.
    parts: Vec<BTreeMap<Part, (f64, Option<u64>)>>,
    _heap: SmallHeap,
    /// What the parts of the largest task were estimated to take.
    pub(super) estimates: Vec<(Part, u64)>,
    /// Rows of the transformer that are computed together.
    pub(super) rows: i64,
}

impl<'a, 's> Session<'a, 's> {
    pub(super) fn new(tasks: &'a [Task<'a>], device: Device, share: usize, say: &'s mut dyn FnMut(&Event)) -> Self {
        let Wan { models, dtype, .. } = tasks[0].wan;
        let kind = match (dtype, device) {
            (Dtype::Auto | Dtype::Fp8, Device::Cpu) | (Dtype::F32, _) => Kind::Float,
            (Dtype::Auto | Dtype::Fp8 | Dtype::Bf16, _) => Kind::BFloat16,
            (Dtype::F16, _) => Kind::Half,
        };
        let done = tasks.iter().map(|task| task.store.load().map_or(0, |state| state.done)).collect();
        let parts = tasks.iter().map(|_| BTreeMap::new()).collect();
        let (keep, rows) = (OffloadMode::All, memory::SLICE as i64);
        let estimates = vec![];
        Self {
            tasks,
            models,
            device,
            kind,
            share,
            keep,
            say,
            done,
            at_hand: None,
            control: None,
            parts,
            estimates,
            rows,
            _heap: SmallHeap::new(),
        }
    }

    pub(super) fn run(mut self, emit: &mut Emit<'_>) -> Result<(), EngineFailure> {
        if (0..self.tasks.len()).any(|index| self.next(index).is_some()) {
            self.choose_offload()?;
            self.note_wide_products();
            self.note_dropped()?;
            let texts = self.texts()?;
            self.encode()?;
            self.denoise(&texts)?;
        }
        self.decode(emit)
    }

    /// The next step of a seam; none where all are done.
    pub(super) fn next(&self, index: usize) -> Option<usize> {
        let done = self.done[index];
        (done < self.tasks[index].wan.steps.len()).then_some(done)
    }

    /// Where a seam is; nowhere before its first step.
    pub(super) fn state(&mut self, index: usize) -> Result<Option<State>, EngineFailure> {
        if self.done[index] == 0 {
            return Ok(None);
        }
        let at_hand = self.at_hand.take().filter(|(of, _)| *of == index).map(|(_, state)| state);
        let store = &self.tasks[index].store;
        let state = at_hand.or_else(|| store.load()).filter(|state| state.done == self.done[index]);
        state.map(Some).ok_or_else(|| store.lost(job::LATENTS))
    }

    /// Where a seam is after a step.
    pub(super) fn reached(&mut self, index: usize, state: State) {
        self.done[index] = state.done;
        self.at_hand = Some((index, state));
    }

    /// What the guide of a seam became.
    pub(super) fn control(&self, index: usize) -> Result<Tensor, EngineFailure> {
        match &self.control {
            Some(control) => Ok(control.shallow_clone()),
            None => {
                let store = &self.tasks[index].store;
                let control = store.control().ok_or_else(|| store.lost(job::CONTROL))?;
                Ok(torch::stage("reading the guide", || control.to_device(self.device))?)
            }
        }
    }

    pub(super) fn begin(&mut self, index: usize, part: Part) -> Result<Instant, TorchError> {
        (self.say)(&Event::Part { seam: self.tasks[index].seam, part });
        // What the part before kept for later use is in the way of this one.
        shim::reset_peak(self.device)?;
        Ok(Instant::now())
    }

    pub(super) fn end(&mut self, index: usize, part: Part, begun: Instant) -> Result<(), TorchError> {
        let (seconds, peak) = self.parts[index].entry(part).or_default();
        *seconds += begun.elapsed().as_secs_f64();
        *peak = (*peak).max(shim::peak(self.device)?);
        Ok(())
    }

    /// What lies in these files, and what it is.
    pub(super) fn weights(&self, files: &[PathBuf], kind: Kind) -> Result<(Weights, ModelKind), EngineFailure> {
        let opened = Checkpoint::open(files).and_then(|checkpoint| Ok((checkpoint.what()?, checkpoint)));
        let (what, checkpoint) = opened.map_err(refused)?;
        Ok((Weights::of(Rc::new(checkpoint), self.device, kind), what))
    }

    /// `--dtype fp8` always spares memory; time it spares on some devices only.
    fn note_wide_products(&mut self) {
        let task = &self.tasks[0];
        if task.wan.dtype == Dtype::Fp8 && !torch::has_narrow_products(self.device) {
            let message = format!(
                "{} multiplies no 8-bit numbers: the weights are held in 8 bits and multiplied as {}",
                torch::name(self.device),
                if self.kind == Kind::Float { "f32" } else { "bf16" }
            );
            (self.say)(&Event::Note { seam: task.seam, message });
        }
    }

    /// Every prompt that a step will ask for, as [1, words, width].
    fn texts(&mut self) -> Result<HashMap<String, Tensor>, EngineFailure> {
        let mut prompts = BTreeSet::new();
        let guided = |wan: &Wan| wan.steps.iter().any(|step| step.guidance > 1.0);
        for task in self.tasks {
            prompts.insert(&task.wan.prompt);
            if guided(task.wan) {
                prompts.insert(&task.wan.negative_prompt);
            }
        }
        let begun = self.begin(0, Part::Text)?;
        let ids = self.ids(prompts)?;
        let (weights, what) = self.weights(&self.models.text, self.kind)?;
        let ModelKind::TextEncoder(facts) = what else { return Err(foreign(&what, "a umT5 text encoder")) };
        if facts.dim != self.models.transformer.text_dim {
            let (made, read) = (facts.dim, self.models.transformer.text_dim);
            let message = format!("the text encoder makes rows of {made} numbers, and the transformer reads {read}");
            return Err(EngineFailure::new(EngineFailureCode::Weights, message).help("they belong to different models"));
        }
        let config = T5Config::of(&facts);
        let (prompts, ids): (Vec<_>, Vec<_>) = ids.into_iter().unzip();
        let (say, seam) = (&mut *self.say, self.tasks[0].seam);
        let mut progress = |done, total| say(&Event::Progress { seam, done, total, share: 0.0 });
        let rows = torch::stage("reading the prompt", || t5::encode(&weights, &config, &ids, &mut progress))??;
        refuse_left_over(&weights)?;
        self.end(0, Part::Text, begun)?;
        Ok(prompts.into_iter().cloned().zip(rows).collect())
    }

    /// The tokenizer is gone afterwards: it holds as much as a small network.
    fn ids(&mut self, prompts: BTreeSet<&'a String>) -> Result<Vec<(&'a String, Vec<i64>)>, EngineFailure> {
        let tokenizer = Tokenizer::open(&self.models.tokenizer)?;
        let ids = |prompt: &'a String| Ok((prompt, tokenizer.ids(prompt)?));
        let ids: Vec<_> = prompts.into_iter().map(ids).collect::<Result<_, TokenizerError>>()?;
        if ids.iter().any(|(_, ids)| ids.len() as i64 >= TEXT_ROWS) {
            let message =
                format!("a prompt is longer than the {TEXT_ROWS} words that the model reads: its end is left out");
            (self.say)(&Event::Note { seam: self.tasks[0].seam, message });
        }
        Ok(ids)
    }

    pub(super) fn conditioning(&self) -> Result<Conditioning, EngineFailure> {
        self.models.conditioning().map_err(refused)
    }

    /// The guide of every seam that still has steps to go. Those of several wait in their folders for their steps.
    fn encode(&mut self) -> Result<(), EngineFailure> {
        let wanted: Vec<usize> = (0..self.tasks.len()).filter(|&index| self.next(index).is_some()).collect();
        let conditioning = self.conditioning()?;
        let begun = self.begin(0, Part::Encode)?;
        let (weights, config) = self.vae()?;
        let encoder = torch::stage("loading the VAE", || Encoder::load(&weights, &config))??;
        // What several seams begin with alike is encoded once; for one seam it would only cost memory.
        let mut prefix = (wanted.len() > 1).then(Prefix::default);
        for &index in &wanted {
            let task = &self.tasks[index];
            // Of a start that was killed.
            if wanted.len() > 1 && task.store.control().is_some() {
                continue;
            }
            let references = if task.references > 0 { task.store.references()? } else { vec![] };
            let guide = Guide { head: task.head, frames: &task.store.guide()?, references: &references };
            let encode = Encode { encoder: &encoder, way: &self.way(index, &config), device: self.device };
            let (say, seam) = (&mut *self.say, task.seam);
            let mut progress = |done: usize, total: usize| say(&Event::Progress { seam, done, total, share: 0.0 });
            let made = torch::stage("encoding the guide", || {
                control::control(conditioning, &guide, &encode, prefix.as_mut(), &mut progress)
            });
            match wanted.len() {
                1 => self.control = Some(made??),
                _ => task.store.keep_control(&made??)?,
            }
        }
        self.end(0, Part::Encode, begun)?;
        Ok(())
    }

    /// In f32 whatever the rest has: it is small, and what it loses no later step brings back.
    fn vae(&self) -> Result<(Weights, vae::Config), EngineFailure> {
        let (weights, what) = self.weights(&self.models.vae, Kind::Float)?;
        match &what {
            ModelKind::Vae(facts) if facts.generation == VaeGeneration::Wan21 => Ok((weights, vae::Config::of(facts))),
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
                Some(bytes) => Way::within(bytes / 4 * 3, config, Kind::Float, [height, width], self.device.is_cuda()),
                None => Way::default(),
            },
        }
    }

    fn decode(mut self, emit: &mut Emit<'_>) -> Result<(), EngineFailure> {
        let begun = self.begin(0, Part::Decode)?;
        let (weights, config) = self.vae()?;
        let decoder = torch::stage("loading the VAE", || Decoder::load(&weights, &config))??;
        self.end(0, Part::Decode, begun)?;
        for index in 0..self.tasks.len() {
            let begun = self.begin(index, Part::Decode)?;
            let state = self.state(index)?.expect("its steps are done");
            let references = self.tasks[index].references as i64;
            let way = &self.way(index, &config);
            let (say, seam) = (&mut *self.say, self.tasks[index].seam);
            let mut progress = |done: usize, total: usize| say(&Event::Progress { seam, done, total, share: 0.0 });
            let mut frames = vec![];
            torch::stage("decoding the latents", || {
                let latents = state.latents.to_device(self.device);
                // The first are the reference images again.
                let latents = latents.slice(2, references, None, 1);
                decoder.decode(&latents, way, &mut progress, &mut |chunk: Tensor| frames.extend(pixels::frames(&chunk)))
            })??;
            self.end(index, Part::Decode, begun)?;
            let parts = std::mem::take(&mut self.parts[index]);
            let parts = Parts {
                seconds: parts.iter().map(|(part, (seconds, _))| (*part, *seconds)).collect(),
                estimates: self.estimates.clone(),
                peaks: parts.iter().filter_map(|(part, (_, peak))| Some((*part, (*peak)?))).collect(),
            };
            emit(index, Done { frames, parts }, &mut *self.say)?;
            self.tasks[index].store.drop_control()?;
        }
        Ok(())
    }
}

/// An error of a module that both programs share.
pub(super) fn refused(error: impl Reportable + 'static) -> EngineFailure {
    let code = match error.code() {
        ErrorCode::Memory => EngineFailureCode::Memory,
        _ => EngineFailureCode::Weights,
    };
    let trouble = EngineFailure::new(code, with_cause(&error));
    match error.details().help {
        Some(help) => trouble.help(&help),
        None => trouble,
    }
}
