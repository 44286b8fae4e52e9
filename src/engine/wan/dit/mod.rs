//! Wan's video diffusion transformer, with VACE's control branch where the file has one.
//!
//! After `models/transformers/transformer_wan.py` and `transformer_wan_vace.py` of diffusers 0.42.1. The residual
//! stream and all that modulates it are f32; products and attention run in the weights' kind.
//! Letters: C channels; F frames, H and W sides in latent space; N = F·(H/2)·(W/2) patches; D width; T rows of text.

mod attention;
mod block;
mod blocks;
mod rope;
mod slabs;
#[cfg(test)]
mod tests;
mod vace;

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::job::memory;

pub(crate) use self::blocks::OffloadMode;

use self::{
    block::{Block, Given},
    blocks::Blocks,
    rope::Rope,
    vace::Vace,
};
use crate::engine::{
    layers::{LayerNorm, Linear},
    weights::{Weights, WeightsError},
};

const EPS: f64 = 1e-6;
/// Frames, height and width of what becomes one row.
const PATCH: [i64; 3] = [1, 2, 2];
/// Rows that are computed together where rows do not depend on each other, unless a scene says otherwise. Tests have more
/// than one slice, too.
const SLICE: i64 = if cfg!(test) { 7 } else { memory::SLICE as i64 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) heads: i64,
    pub(crate) head_dim: i64,
    pub(crate) in_channels: i64,
    pub(crate) out_channels: i64,
    pub(crate) text_dim: i64,
    pub(crate) freq_dim: i64,
    pub(crate) ffn_dim: i64,
    pub(crate) layers: usize,
    pub(crate) vace: Option<VaceConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VaceConfig {
    /// The main blocks that get a hint, rising from 0.
    pub(crate) layers: Vec<usize>,
    pub(crate) channels: i64,
}

impl Config {
    fn dim(&self) -> i64 {
        self.heads * self.head_dim
    }
}

#[derive(Debug)]
pub(crate) struct Transformer {
    config: Config,
    patch_embedding: Linear,
    time: [Linear; 3],
    text: [Linear; 2],
    blocks: Blocks<Block>,
    vace: Option<Vace>,
    scale_shift_table: Tensor,
    proj_out: Linear,
    kind: Kind,
    device: Device,
}

/// A prompt as one transformer reads it, the same for all steps: [T, D].
#[derive(Debug)]
pub(crate) struct Context(Tensor);

/// What a transformer is shown beside the prompt.
#[derive(Debug)]
pub(crate) enum Shown<'a> {
    /// VACE's control [1, 96, F, H, W], and how much each hint counts.
    Control(&'a Tensor, &'a [f64]),
    /// Channels that follow those of the latents: [1, C, F, H, W].
    Beside(&'a Tensor),
}

/// What else stays the same for all steps: where the patches lie, and what the model is shown.
#[derive(Debug)]
pub(crate) struct Scene {
    rope: Rope,
    control: Option<(Tensor, Vec<f64>)>,
    beside: Option<Tensor>,
    rows: i64,
}

impl Scene {
    /// The same, with so many rows computed together.
    pub(crate) fn with_rows(self, rows: i64) -> Self {
        Self { rows, ..self }
    }
}

#[derive(Debug)]
pub(crate) struct Input<'a> {
    /// [1, C, F, H, W] in f32.
    pub(crate) latents: &'a Tensor,
    /// 0 to 1000, as the schedule has it.
    pub(crate) timestep: f64,
    pub(crate) context: &'a Context,
    pub(crate) scene: &'a Scene,
}

impl Transformer {
    pub(crate) fn load(w: &Weights, config: Config, keep: OffloadMode) -> Result<Self, WeightsError> {
        let dim = config.dim();
        let f32s = w.in_kind(Kind::Float);
        let (time, text) = (&f32s / "condition_embedder", w.packed(None) / "condition_embedder" / "text_embedder");
        Ok(Self {
            patch_embedding: Linear::of_patches(&f32s / "patch_embedding", config.in_channels, PATCH, dim)?,
            time: [
                Linear::load(&time / "time_embedder" / "linear_1", config.freq_dim, dim)?,
                Linear::load(&time / "time_embedder" / "linear_2", dim, dim)?,
                Linear::load(&time / "time_proj", dim, 6 * dim)?,
            ],
            text: [
                Linear::load(&text / "linear_1", config.text_dim, dim)?,
                Linear::load(&text / "linear_2", dim, dim)?,
            ],
            blocks: Blocks::load(keep, w.device(), config.layers, {
                let (blocks, config) = (w / "blocks", config.clone());
                move |index| Block::load(&blocks / index, &config)
            })?,
            vace: config.vace.as_ref().map(|vace| Vace::load(w, &config, vace, keep)).transpose()?,
            scale_shift_table: f32s.get("scale_shift_table", &[1, 2, dim])?.squeeze_dim(0),
            proj_out: Linear::load(&f32s / "proj_out", dim, PATCH.iter().product::<i64>() * config.out_channels)?,
            kind: w.kind(),
            device: w.device(),
            config,
        })
    }

    /// The hints that VACE adds; none for a transformer without it.
    pub(crate) fn hints(&self) -> usize {
        self.vace.as_ref().map_or(0, Vace::layers)
    }

    /// How many blocks a forward runs through, those of the hints included.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len() + self.hints()
    }

    /// `text` [1, T, text_dim], the rows after the prompt zero. They are all looked at: none may be left out.
    pub(crate) fn context(&self, text: &Tensor) -> Context {
        let [inwards, outwards] = &self.text;
        let text = text.squeeze_dim(0).to_device(self.device).to_kind(self.kind);
        Context(outwards.forward(&inwards.forward(&text).gelu_("tanh")))
    }

    /// For latents of `size` F, H, W. Reference images are frames before the video, of the latents and the control alike.
    pub(crate) fn scene(&self, size: [i64; 3], shown: Option<Shown>) -> Scene {
        let rope = Rope::new(self.config.head_dim, size, self.device);
        match shown {
            None => Scene { rope, control: None, beside: None, rows: SLICE },
            Some(Shown::Control(control, scales)) => {
                let vace = self.vace.as_ref().expect("control is for a transformer with VACE");
                let control = Some((vace.seed(&control.to_device(self.device)), scales.to_vec()));
                Scene { rope, control, beside: None, rows: SLICE }
            }
            Some(Shown::Beside(beside)) => {
                Scene { rope, control: None, beside: Some(beside.to_device(self.device)), rows: SLICE }
            }
        }
    }

    /// The velocity: [1, C, F, H, W] in f32. `each` is called after each block.
    pub(crate) fn forward(&self, input: &Input, each: &mut dyn FnMut()) -> Tensor {
        let Input { latents, timestep, context: Context(text), scene } = input;
        let Scene { rope, control, beside, rows } = scene;
        let (time, block_time) = self.time(*timestep);
        let given = Given { text, time: &block_time, rope, rows: *rows };

        let channels = match beside {
            Some(beside) => Tensor::cat(&[*latents, beside], 1),
            None => latents.shallow_clone(),
        };
        let mut x = self.patch_embedding.forward(&patches(&channels)); // [N, D]
        let mut hints = match (&self.vace, control) {
            (Some(vace), Some((seed, scales))) => Some(vace.stream(&x, seed, scales)),
            _ => None,
        };
        for layer in 0..self.blocks.len() {
            self.blocks.get(layer).forward(&mut x, &given);
            each();
            if hints.as_mut().is_some_and(|hints| hints.hint(layer, &mut x, &given)) {
                each();
            }
        }

        let m = (&self.scale_shift_table + time).unbind(0);
        let [shift, scale] = &m[..] else { unreachable!("a table of two rows") };
        let y = LayerNorm::of(scale + 1.0, shift.shallow_clone(), EPS).forward(&x);
        let (_, _, f, h, w) = latents.size5().expect("latents are [1, C, F, H, W]");
        let [pf, ph, pw] = PATCH;
        self.proj_out
            .forward(&y)
            .reshape([f / pf, h / ph, w / pw, pf, ph, pw, self.config.out_channels])
            .permute([6, 0, 3, 1, 4, 2, 5])
            .reshape([1, self.config.out_channels, f, h, w])
    }

    /// The time as the head takes it, [1, D], and as the blocks take it, [6, D]; both f32.
    fn time(&self, timestep: f64) -> (Tensor, Tensor) {
        let [inwards, outwards, to_blocks] = &self.time;
        let time = sinusoid(timestep, self.config.freq_dim, self.device);
        let time = outwards.forward(&inwards.forward(&time).silu());
        let block_time = to_blocks.forward(&time.silu()).reshape([6, -1]);
        (time, block_time)
    }
}

/// [1, C, F, H, W] to one row for each patch, [N, C·1·2·2].
fn patches(x: &Tensor) -> Tensor {
    let (_, c, f, h, w) = x.size5().expect("[1, C, F, H, W]");
    let [pf, ph, pw] = PATCH;
    x.reshape([c, f / pf, pf, h / ph, ph, w / pw, pw])
        .permute([1, 3, 5, 0, 2, 4, 6]) // [F, H/2, W/2, C, 1, 2, 2]
        .reshape([-1, c * pf * ph * pw])
}

/// [1, dim]: cosines, then sines, of `t` at `dim / 2` frequencies.
///
/// Operation by operation what diffusers computes in f32 (`get_timestep_embedding`): in f64 the result of
/// a forward would differ by 2.5e-5. `exp` differs between CPUs in its last bit.
fn sinusoid(t: f64, dim: i64, device: Device) -> Tensor {
    let half = dim / 2;
    let exponents = Tensor::arange(half, (Kind::Float, device)) * -10_000_f64.ln() / half as f64;
    let angles = exponents.exp() * t;
    Tensor::cat(&[angles.cos(), angles.sin()], 0).unsqueeze(0)
}

/// Start and length of each slice of at most `at_once` rows of `x`.
fn slices(x: &Tensor, at_once: i64) -> impl Iterator<Item = (i64, i64)> + use<> {
    let rows = x.size()[0];
    (0..rows).step_by(at_once as usize).map(move |start| (start, at_once.min(rows - start)))
}
