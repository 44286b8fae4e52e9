//! LoRAs beside a product, whose strengths change from step to step: `y + s·up(down x)`, several as one pair.

use std::rc::Rc;

use tch::Tensor;

use super::{ToDevice, Transfer};
use crate::engine::weights::{
    Weights, WeightsError,
    patches::{Addition, Strengths},
};

/// What stands beside one product. Letters: R all ranks together, L LoRAs with a bias.
#[derive(Debug)]
pub(super) struct LoraAdapter {
    strengths: Rc<Strengths>,
    low: Option<Low>,
    /// [outputs, inputs], and whose it is, [1].
    whole: Vec<(Tensor, Tensor)>,
    bias: Option<Bias>,
}

#[derive(Debug)]
struct Low {
    /// [R, inputs]
    down: Tensor,
    /// [outputs, R]
    up: Tensor,
    /// Whose each rank is, [R].
    of: Tensor,
}

#[derive(Debug)]
struct Bias {
    /// [L, outputs] in f32.
    rows: Tensor,
    /// LoRA index of each row, shape [L].
    of: Tensor,
}

impl ToDevice for LoraAdapter {
    fn moved(&self, bring: &Transfer) -> Self {
        let Self { strengths, low, whole, bias } = self;
        let low = low.as_ref().map(|Low { down, up, of }| Low {
            down: down.moved(bring),
            up: up.moved(bring),
            of: of.moved(bring),
        });
        let bias = bias.as_ref().map(|Bias { rows, of }| Bias { rows: rows.moved(bring), of: of.moved(bring) });
        // The strengths are set once for all layers, where they work.
        Self { strengths: Rc::clone(strengths), low, whole: whole.moved(bring), bias }
    }
}

impl LoraAdapter {
    /// None where no LoRA stands beside it.
    pub(super) fn load(w: &Weights) -> Result<Option<Self>, WeightsError> {
        let place = |places: &[i64]| Tensor::from_slice(places).to_device(w.device());
        let (mut downs, mut ups, mut of, mut whole) = (vec![], vec![], vec![], vec![]);
        for (index, addition) in w.beside("weight", w.how_packed().is_some())? {
            let Addition { pair, whole: own } = addition;
            if let Some((up, down)) = pair {
                of.extend(std::iter::repeat_n(index as i64, down.size()[0] as usize));
                downs.push(down.to_kind(w.kind()));
                ups.push(up.to_kind(w.kind()));
            }
            whole.extend(own.map(|own| (own.to_kind(w.kind()), place(&[index as i64]))));
        }
        let low =
            (!of.is_empty()).then(|| Low { down: Tensor::cat(&downs, 0), up: Tensor::cat(&ups, 1), of: place(&of) });
        let (places, rows): (Vec<i64>, Vec<Tensor>) = w
            .beside("bias", false)?
            .into_iter()
            .filter_map(|(index, addition)| Some((index as i64, addition.whole?.view(-1))))
            .unzip();
        let bias = (!rows.is_empty()).then(|| Bias { rows: Tensor::stack(&rows, 0), of: place(&places) });
        let nothing = low.is_none() && whole.is_empty() && bias.is_none();
        Ok((!nothing).then(|| Self { strengths: w.strengths(), low, whole, bias }))
    }

    /// Adds to `y` [.., outputs] what the LoRAs make of `x` [.., inputs].
    pub(super) fn add(&self, x: &Tensor, y: &mut Tensor) {
        let Self { strengths, low, whole, bias } = self;
        let now = |of: &Tensor| strengths.at(of).to_kind(x.kind());
        if let Some(Low { down, up, of }) = low {
            let inner = x.linear(down, None::<&Tensor>) * now(of);
            let _ = y.g_add_(&inner.linear(up, None::<&Tensor>));
        }
        for (weight, of) in whole {
            let _ = y.g_add_(&(x.linear(weight, None::<&Tensor>) * now(of)));
        }
        if let Some(Bias { rows, of }) = bias {
            let sum = strengths.at(of).unsqueeze(0).matmul(rows).squeeze_dim(0);
            let _ = y.g_add_(&sum.to_kind(x.kind()));
        }
    }
}
