//! The few layers that the Wan models share. Loading may fail; a forward pass is plain math.

mod lora_adapter;
mod matrix;
#[cfg(test)]
mod tests;
mod to_device;

use tch::{Kind, Tensor};

pub(crate) use self::to_device::{ToDevice, Transfer};
use self::{lora_adapter::LoraAdapter, matrix::Matrix};
use crate::engine::weights::{Weights, WeightsError};

/// The only home of products with weights, so that LoRAs and 8 bits have one place to be.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Matrix,
    bias: Option<Tensor>,
    beside: Option<LoraAdapter>,
}

impl Linear {
    pub(crate) fn load(w: Weights, inputs: i64, outputs: i64) -> Result<Self, WeightsError> {
        let linear = Self::without_bias(w.clone(), inputs, outputs)?;
        Ok(Self { bias: Some(w.get("bias", &[outputs])?), ..linear })
    }

    pub(crate) fn without_bias(w: Weights, inputs: i64, outputs: i64) -> Result<Self, WeightsError> {
        Ok(Self { weight: Matrix::load(&w, inputs, outputs)?, bias: None, beside: LoraAdapter::load(&w)? })
    }

    /// Of a convolution whose stride is its kernel: the same product, once each patch of `channels` lies in a row,
    /// and on no GPU rounded to TF32 as convolutions are unasked.
    pub(crate) fn of_patches(
        w: Weights,
        channels: i64,
        [frames, height, width]: [i64; 3],
        outputs: i64,
    ) -> Result<Self, WeightsError> {
        let weight = w.get("weight", &[outputs, channels, frames, height, width])?;
        let bias = Some(w.get("bias", &[outputs])?);
        Ok(Self { weight: Matrix::Plain(weight.flatten(1, -1)), bias, beside: LoraAdapter::load(&w)? })
    }

    /// [.., inputs] in the weights' kind to [.., outputs].
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let mut y = self.weight.times(x, self.bias.as_ref());
        if let Some(beside) = &self.beside {
            beside.add(x, &mut y);
        }
        y
    }
}

/// Root-mean-square norm over the last dimension.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub(crate) fn load(w: Weights, dim: i64, eps: f64) -> Result<Self, WeightsError> {
        Ok(Self { weight: w.in_kind(Kind::Float).get("weight", &[dim])?, eps })
    }

    /// [.., dim] to the same in f32.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let length = x.norm_scalaropt_dim_dtype(2, [-1], true, Kind::Float);
        let scale = (length.square() / self.weight.size()[0] as f64 + self.eps).rsqrt();
        (x * scale).g_mul_(&self.weight)
    }
}

/// Layer norm over the last dimension.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn load(w: Weights, dim: i64, eps: f64) -> Result<Self, WeightsError> {
        let w = w.in_kind(Kind::Float);
        Ok(Self::of(w.get("weight", &[dim])?, w.get("bias", &[dim])?, eps))
    }

    /// With `weight` and `bias` [dim] in f32 that are no weights of the file.
    pub(crate) fn of(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        Self { weight, bias, eps }
    }

    /// [.., dim] to the same in f32.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.to_kind(Kind::Float).layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}

impl ToDevice for Linear {
    fn moved(&self, bring: &Transfer) -> Self {
        let Self { weight, bias, beside } = self;
        Self { weight: weight.moved(bring), bias: bias.moved(bring), beside: beside.moved(bring) }
    }
}

impl ToDevice for RmsNorm {
    fn moved(&self, bring: &Transfer) -> Self {
        let Self { weight, eps } = self;
        Self { weight: weight.moved(bring), eps: *eps }
    }
}

impl ToDevice for LayerNorm {
    fn moved(&self, bring: &Transfer) -> Self {
        let Self { weight, bias, eps } = self;
        Self { weight: weight.moved(bring), bias: bias.moved(bring), eps: *eps }
    }
}
