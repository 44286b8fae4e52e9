//! A Wan model's work: the order of its stages, for all seams at once, so that each network is loaded as seldom as can be.
//!
//! Prompts are read, guides become latents, noise becomes latents step by step, latents become frames. Every network is
//! gone before the next one comes. What is done of a seam is on disk after every step (`store`), and of several seams only
//! the one that is worked on is in memory.

mod control;
mod denoise;
mod dit;
mod guidance;
mod loras;
mod network;
mod offload;
mod pixels;
mod session;
mod solver;
mod store;
mod t5;
#[cfg(test)]
mod tests;
mod tokenizer;
mod vae;

use tch::Device;
use wanctl::pipeline::{
    job::{CfgZero, EngineFailure, EngineFailureCode, Event, GuideHead, Part, Wan},
    weights::Conditioning,
};

use self::{session::Session, tokenizer::TokenizerError, vae::VaeError};
use crate::engine::weights::WeightsError;

pub(crate) use self::store::Store;

/// One seam: what is asked, what is shown, and its folder.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) seam: usize,
    pub(crate) wan: &'a Wan,
    pub(crate) head: &'a GuideHead,
    /// How many reference images there are.
    pub(crate) references: usize,
    pub(crate) store: Store,
}

/// Takes a seam that is done: which, what became of it, and a voice to say so.
pub(crate) type Emit<'e> = dyn FnMut(usize, Done, &mut dyn FnMut(&Event)) -> Result<(), EngineFailure> + 'e;

/// What became of a seam.
#[derive(Debug)]
pub(crate) struct Done {
    /// 8-bit RGB, as many as the guide has.
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) parts: Parts,
}

/// What the parts of a seam's work took.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) seconds: Vec<(Part, f64)>,
    /// Bytes of a GPU's memory at the peak; none on the CPU.
    pub(crate) peaks: Vec<(Part, u64)>,
    /// Bytes of the device's memory by [`wanctl::pipeline::memory`]; none where no step was left to do.
    pub(crate) estimates: Vec<(Part, u64)>,
}

impl From<WeightsError> for EngineFailure {
    fn from(error: WeightsError) -> Self {
        Self::new(EngineFailureCode::Weights, error)
    }
}

impl From<TokenizerError> for EngineFailure {
    fn from(error: TokenizerError) -> Self {
        Self::new(EngineFailureCode::Weights, with_cause(&error))
    }
}

impl From<VaeError> for EngineFailure {
    fn from(error: VaeError) -> Self {
        Self::new(EngineFailureCode::Engine, error)
            .help("compute with --dtype f32, or name another file with --model vae=PATH")
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Does the seams in order; `emit` takes each when it is done. `share`: as a place has it.
pub(crate) fn run(
    tasks: &[Task<'_>],
    device: Device,
    share: usize,
    say: &mut dyn FnMut(&Event),
    emit: &mut Emit<'_>,
) -> Result<(), EngineFailure> {
    tasks.iter().try_for_each(check)?;
    let mut first = 0;
    while first < tasks.len() {
        let alike = |task: &Task<'_>| {
            let (this, that) = (task.wan, tasks[first].wan);
            let experts = |wan: &Wan| wan.steps.iter().map(|step| step.expert).collect::<Vec<_>>();
            // A LoRA's strengths are a matter of which expert does which step.
            (&this.models, this.dtype, this.vae_tile, this.offload)
                == (&that.models, that.dtype, that.vae_tile, that.offload)
                && (this.loras.is_empty() && that.loras.is_empty()
                    || (&this.loras, experts(this)) == (&that.loras, experts(that)))
        };
        let count = tasks[first..].iter().take_while(|task| alike(task)).count();
        let begin = first;
        let mut shifted = |index: usize, done: Done, say: &mut dyn FnMut(&Event)| emit(begin + index, done, say);
        Session::new(&tasks[first..first + count], device, share, say).run(&mut shifted)?;
        first += count;
    }
    Ok(())
}

/// The picture and the frames are such that latents and patches come out even. wanctl plans nothing else.
fn check(task: &Task<'_>) -> Result<(), EngineFailure> {
    loras::check(task.wan)?;
    if let Some(CfgZero { zero_steps }) = task.wan.cfg_zero
        && zero_steps >= task.wan.steps.len()
    {
        let message = format!("{zero_steps} steps of zero leave none of {} to make a picture in", task.wan.steps.len());
        return Err(
            EngineFailure::new(EngineFailureCode::Usage, message).help("take fewer steps of zero: one in 25 is usual")
        );
    }
    if task.references > 0 && task.wan.models.conditioning().is_ok_and(|kind| kind == Conditioning::Images) {
        let message = format!("{} reference images, and an image-to-video model looks at none", task.references);
        return Err(
            EngineFailure::new(EngineFailureCode::Usage, message).help("leave them out, or use a model with VACE")
        );
    }
    let (size, frames) = (task.head.size, task.head.slots.len());
    let even = size.width.is_multiple_of(GRID) && size.height.is_multiple_of(GRID);
    let wrong = match (even, frames % 4) {
        (true, 1) => return Ok(()),
        (false, _) => format!("a picture of {size}: both sides have to be multiples of {GRID}"),
        (true, _) => format!("{frames} frames: it takes 4n + 1 of them"),
    };
    Err(EngineFailure::new(EngineFailureCode::Usage, format!("the model cannot take {wrong}")))
}

/// Pixels of a patch's side.
const GRID: u32 = 16;
