//! The weight of a product, as numbers or in 8 bits.

use tch::{Kind, Tensor};

use super::{ToDevice, Transfer};
use crate::engine::weights::{
    Weights, WeightsError,
    codes::{Codes, Packed, pack},
};

#[derive(Debug)]
pub(super) enum Matrix {
    /// [outputs, inputs]
    Plain(Tensor),
    Codes(Codes, Packed),
}

impl ToDevice for Matrix {
    fn moved(&self, bring: &Transfer) -> Self {
        match self {
            Self::Plain(weight) => Self::Plain(weight.moved(bring)),
            Self::Codes(Codes { codes, scale }, how) => {
                Self::Codes(Codes { codes: codes.moved(bring), scale: scale.moved(bring) }, *how)
            }
        }
    }
}

impl Matrix {
    pub(super) fn load(w: &Weights, inputs: i64, outputs: i64) -> Result<Self, WeightsError> {
        Ok(match w.how_packed() {
            None => Self::Plain(w.get("weight", &[outputs, inputs])?),
            Some(how) => Self::Codes(w.codes("weight", [outputs, inputs])?, how),
        })
    }

    /// [.., inputs] to [.., outputs] in the kind of `x`.
    pub(super) fn times(&self, x: &Tensor, bias: Option<&Tensor>) -> Tensor {
        match self {
            Self::Plain(weight) => x.linear(weight, bias),
            Self::Codes(codes, how) => {
                let y = match how {
                    Packed::Narrow if suits(&codes.codes) => narrow(x, codes),
                    _ => widened(x, codes),
                };
                match bias {
                    Some(bias) => y + bias,
                    None => y,
                }
            }
        }
    }
}

/// Codes are exact in every wider kind, so only their product is rounded.
fn widened(x: &Tensor, Codes { codes, scale }: &Codes) -> Tensor {
    x.linear(&codes.to_kind(x.kind()), None::<&Tensor>).g_mul_(scale)
}

/// `_scaled_mm` takes sides that are multiples of 16 (libtorch 2.11, aten/src/ATen/native/cuda/ScaledBlas.cpp).
fn suits(codes: &Tensor) -> bool {
    codes.size().iter().all(|side| side % 16 == 0)
}

/// What goes in is packed as well, each row by its largest. The scales come after the product, which thus is the one form
/// of `_scaled_mm` that every device has.
fn narrow(x: &Tensor, Codes { codes, scale }: &Codes) -> Tensor {
    let (shape, one) = (x.size(), Tensor::ones([1], (Kind::Float, x.device())));
    let (inwards, own) = pack(&x.reshape([-1, shape[shape.len() - 1]]).to_kind(Kind::Float));
    let y = inwards.internal_scaled_mm(&codes.tr(), &one, &one, None::<&Tensor>, None::<&Tensor>, Kind::Float, false);
    let y = (y * own).g_mul_(scale).to_kind(x.kind());
    y.view([&shape[..shape.len() - 1], &[codes.size()[0]]].concat().as_slice())
}
