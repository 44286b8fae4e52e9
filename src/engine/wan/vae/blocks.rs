//! The blocks of which both halves of the VAE are built.
//!
//! Letters: T frames of a chunk, H and W sides, C channels. A chunk lies in memory as [T, H, W, C]: what a convolution
//! remembers then joins it as one piece, a norm reads along memory, and convolutions run channels-last.
//! Reference: diffusers 0.42.1, `models/autoencoders/autoencoder_kl_wan.py`.

use tch::{Device, Kind, Tensor};

use super::causal_cache::Turn;
use crate::engine::weights::{Weights, WeightsError};

type Result<T> = std::result::Result<T, WeightsError>;
type Place = (Kind, Device);

/// The smallest length that a norm divides by, as in the reference.
const EPS: f64 = 1e-12;
/// Frames that a kernel of three sees beside its own.
const PAST: i64 = 2;

/// Sides of a chunk [T, H, W, C].
pub(super) fn sides(x: &Tensor) -> [i64; 4] {
    let (frames, height, width, channels) = x.size4().expect("a chunk is [T, H, W, C]");
    [frames, height, width, channels]
}

/// What is needed to make a tensor beside `x`.
pub(super) fn place(x: &Tensor) -> Place {
    (x.kind(), x.device())
}

/// A kernel [O, C, ...] laid out as chunks are.
pub(super) fn channels_last(kernel: &Tensor) -> Tensor {
    match kernel.dim() {
        4 => kernel.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        _ => kernel.permute([0, 2, 3, 4, 1]).contiguous().permute([0, 4, 1, 2, 3]),
    }
}

/// `x` [T, H, W, C] with a kernel [O, C, 3, 3] on each frame -> [T, H', W', O].
pub(super) fn per_frame(x: &Tensor, kernel: &Tensor, bias: &Tensor, stride: i64, padding: i64) -> Tensor {
    let x = x.permute([0, 3, 1, 2]);
    let y = x.conv2d(kernel, Some(bias), [stride, stride], [padding, padding], [1, 1], 1);
    y.permute([0, 2, 3, 1]).contiguous()
}

/// `x` [T, H, W, C] with a kernel [O, C, t, h, w] -> [T', H, W, O]; no padding in time.
pub(super) fn through_time(x: &Tensor, kernel: &Tensor, bias: &Tensor, stride: i64, padding: i64) -> Tensor {
    let x = x.unsqueeze(0).permute([0, 4, 1, 2, 3]);
    let y = x.conv3d(kernel, Some(bias), [stride, 1, 1], [0, padding, padding], [1, 1, 1], 1);
    y.permute([0, 2, 3, 4, 1]).squeeze_dim(0).contiguous()
}

/// Brings the channels of a pixel to length √C, then each by its gamma; lengths are taken in f32.
#[derive(Debug)]
pub(super) struct Norm {
    gamma: Tensor,
    root: f64,
}

impl Norm {
    /// `dimensions` is how many sides of length 1 the file has behind the channels.
    pub(super) fn load(w: Weights, channels: i64, dimensions: usize) -> Result<Self> {
        let shape: Vec<i64> = std::iter::once(channels).chain([1; 3].into_iter().take(dimensions)).collect();
        Ok(Self { gamma: w.get("gamma", &shape)?.reshape([channels]), root: (channels as f64).sqrt() })
    }

    /// The norm of `x` [..., C], written into `out` of the same shape.
    fn write(&self, x: &Tensor, out: &mut Tensor) {
        let length = x.norm_scalaropt_dim_dtype(2, [-1], true, Kind::Float).clamp_min_(EPS) / self.root;
        let _ = x.div_out(out, &length);
        *out *= &self.gamma;
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let mut out = x.empty_like();
        self.write(x, &mut out);
        out
    }

    /// silu(norm(x)).
    fn write_active(&self, x: &Tensor, mut out: Tensor) {
        self.write(x, &mut out);
        let _ = out.silu_();
    }
}

/// A 3 x 3 x 3 convolution that sees two frames of the past and none of the future.
#[derive(Debug)]
pub(super) struct CausalConv {
    kernel: Tensor,
    /// The part of the kernel that meets the first frame: all others meet the zeros before it.
    present: Tensor,
    bias: Tensor,
}

impl CausalConv {
    pub(super) fn load(w: Weights, inputs: i64, outputs: i64) -> Result<Self> {
        let kernel = w.get("weight", &[outputs, inputs, 3, 3, 3])?;
        let present = channels_last(&kernel.select(2, PAST));
        Ok(Self { kernel: channels_last(&kernel), present, bias: w.get("bias", &[outputs])? })
    }

    /// `x` [T, H, W, C] -> [T, H, W, O].
    pub(super) fn forward(&self, x: &Tensor, turn: &mut Turn) -> Tensor {
        self.written(sides(x), place(x), |mut out| out.copy_(x), turn)
    }

    /// The convolution of silu(norm(x)). `x` is let go before the convolution starts.
    pub(super) fn after(&self, norm: &Norm, x: Tensor, turn: &mut Turn) -> Tensor {
        self.written(sides(&x), place(&x), move |out| norm.write_active(&x, out), turn)
    }

    fn written(&self, size: [i64; 4], place: Place, write: impl FnOnce(Tensor), turn: &mut Turn) -> Tensor {
        if turn.opening() {
            let x = Tensor::empty(size, place);
            write(x.shallow_clone());
            let y = per_frame(&x, &self.present, &self.bias, 1, 1);
            *turn.next() = Some(x);
            return y;
        }
        let joined = turn.follow(PAST, size, place, write);
        through_time(&joined, &self.kernel, &self.bias, 1, 1)
    }
}

/// A convolution of one pixel: a matrix.
#[derive(Debug)]
pub(super) struct Pointwise {
    matrix: Tensor,
    bias: Tensor,
}

impl Pointwise {
    /// `dimensions` is 2 or 3: how the file writes the kernel. Only the first `used` outputs are kept.
    pub(super) fn load(w: Weights, inputs: i64, outputs: i64, dimensions: usize, used: i64) -> Result<Self> {
        let shape: Vec<i64> = [outputs, inputs].into_iter().chain([1; 3].into_iter().take(dimensions)).collect();
        let matrix = w.get("weight", &shape)?.reshape([outputs, inputs]).narrow(0, 0, used).contiguous();
        Ok(Self { matrix, bias: w.get("bias", &[outputs])?.narrow(0, 0, used).contiguous() })
    }

    /// `x` [..., C] -> [..., O].
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.matrix, Some(&self.bias))
    }
}

#[derive(Debug)]
pub(super) struct Residual {
    norm1: Norm,
    conv1: CausalConv,
    norm2: Norm,
    conv2: CausalConv,
    shortcut: Option<Pointwise>,
}

impl Residual {
    pub(super) fn load(w: Weights, inputs: i64, outputs: i64) -> Result<Self> {
        let shortcut = match inputs == outputs {
            true => None,
            false => Some(Pointwise::load(&w / "conv_shortcut", inputs, outputs, 3, outputs)?),
        };
        Ok(Self {
            norm1: Norm::load(&w / "norm1", inputs, 3)?,
            conv1: CausalConv::load(&w / "conv1", inputs, outputs)?,
            norm2: Norm::load(&w / "norm2", outputs, 3)?,
            conv2: CausalConv::load(&w / "conv2", outputs, outputs)?,
            shortcut,
        })
    }

    /// `x` [T, H, W, C] -> [T, H, W, O].
    pub(super) fn forward(&self, x: Tensor, turn: &mut Turn) -> Tensor {
        let y = self.conv1.after(&self.norm1, x.shallow_clone(), turn);
        let mut y = self.conv2.after(&self.norm2, y, turn);
        match &self.shortcut {
            Some(shortcut) => y += shortcut.forward(&x),
            None => y += x,
        }
        y
    }
}

/// One head of attention among the pixels of a frame.
#[derive(Debug)]
struct Attention {
    norm: Norm,
    to_qkv: Pointwise,
    proj: Pointwise,
}

impl Attention {
    fn load(w: Weights, channels: i64) -> Result<Self> {
        Ok(Self {
            norm: Norm::load(&w / "norm", channels, 2)?,
            to_qkv: Pointwise::load(&w / "to_qkv", channels, 3 * channels, 2, 3 * channels)?,
            proj: Pointwise::load(&w / "proj", channels, channels, 2, channels)?,
        })
    }

    /// `x` [T, H, W, C] -> the same.
    fn forward(&self, x: Tensor) -> Tensor {
        let [frames, height, width, channels] = sides(&x);
        // Frame by frame: where libtorch writes the scores out, they are (H·W)² for each.
        for frame in 0..frames {
            let mut frame = x.narrow(0, frame, 1);
            let pixels = frame.view([1, 1, height * width, channels]);
            let qkv = self.to_qkv.forward(&self.norm.forward(&pixels)).chunk(3, -1);
            let [q, k, v] = &qkv[..] else { unreachable!("chunk(3)") };
            let y = Tensor::scaled_dot_product_attention(q, k, v, None::<&Tensor>, 0.0, false, None, false);
            frame += self.proj.forward(&y).view([1, height, width, channels]);
        }
        x
    }
}

/// Where both halves are narrowest.
#[derive(Debug)]
pub(super) struct Middle {
    first: Residual,
    attention: Attention,
    second: Residual,
}

impl Middle {
    pub(super) fn load(w: Weights, channels: i64) -> Result<Self> {
        Ok(Self {
            first: Residual::load(&w / "resnets" / 0, channels, channels)?,
            attention: Attention::load(&w / "attentions" / 0, channels)?,
            second: Residual::load(&w / "resnets" / 1, channels, channels)?,
        })
    }

    /// `x` [T, H, W, C] -> the same.
    pub(super) fn forward(&self, x: Tensor, turn: &mut Turn) -> Tensor {
        let x = self.first.forward(x, turn);
        self.second.forward(self.attention.forward(x), turn)
    }
}
