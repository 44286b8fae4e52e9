//! Attention, of patches to each other and of patches to a text.

use tch::{Kind, Tensor};

use super::{EPS, rope::Rope, slices};
use crate::engine::{
    layers::{LayerNorm, Linear, RmsNorm, ToDevice, Transfer},
    weights::{Weights, WeightsError},
};

/// Letters: N patches, n of them in a slice, T rows of text, D width.
#[derive(Debug)]
pub(super) struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    norm_q: RmsNorm,
    norm_k: RmsNorm,
    heads: i64,
    kind: Kind,
}

/// What is looked at: [rows, D] each.
#[derive(Debug)]
pub(super) struct KeyValue {
    keys: Tensor,
    values: Tensor,
}

impl ToDevice for Attention {
    fn moved(&self, bring: &Transfer) -> Self {
        let Self { to_q, to_k, to_v, to_out, norm_q, norm_k, heads, kind } = self;
        Self {
            to_q: to_q.moved(bring),
            to_k: to_k.moved(bring),
            to_v: to_v.moved(bring),
            to_out: to_out.moved(bring),
            norm_q: norm_q.moved(bring),
            norm_k: norm_k.moved(bring),
            heads: *heads,
            kind: *kind,
        }
    }
}

impl Attention {
    pub(super) fn load(w: Weights, dim: i64, heads: i64) -> Result<Self, WeightsError> {
        Ok(Self {
            to_q: Linear::load(&w / "to_q", dim, dim)?,
            to_k: Linear::load(&w / "to_k", dim, dim)?,
            to_v: Linear::load(&w / "to_v", dim, dim)?,
            to_out: Linear::load(&w / "to_out" / 0, dim, dim)?,
            norm_q: RmsNorm::load(&w / "norm_q", dim, EPS)?,
            norm_k: RmsNorm::load(&w / "norm_k", dim, EPS)?,
            heads,
            kind: w.kind(),
        })
    }

    /// What each row of `x` [N, D] sees in all of them after `norm`: [N, D], to be handed to [`Self::out`].
    pub(super) fn self_attention(&self, x: &Tensor, norm: &LayerNorm, rope: &Rope, rows: i64) -> Tensor {
        let empty = || Tensor::empty(x.size(), (self.kind, x.device()));
        let [q, k, v] = [empty(), empty(), empty()];
        for (start, n) in slices(x, rows) {
            let y = norm.forward(&x.narrow(0, start, n)).to_kind(self.kind);
            let turned = |x: Tensor| rope.turn(&self.split(&x), start).flatten(1, 2);
            q.narrow(0, start, n).copy_(&turned(self.norm_q.forward(&self.to_q.forward(&y))));
            k.narrow(0, start, n).copy_(&turned(self.norm_k.forward(&self.to_k.forward(&y))));
            v.narrow(0, start, n).copy_(&self.to_v.forward(&y));
        }
        self.attend(&q, &KeyValue { keys: k, values: v })
    }

    /// `text` [T, D] as [`Self::cross_attention`] wants it.
    pub(super) fn seen(&self, text: &Tensor) -> KeyValue {
        let keys = self.norm_k.forward(&self.to_k.forward(text)).to_kind(self.kind);
        KeyValue { keys, values: self.to_v.forward(text) }
    }

    /// What `y` [n, D] sees of a text: [n, D].
    pub(super) fn cross_attention(&self, y: &Tensor, text: &KeyValue) -> Tensor {
        let q = self.norm_q.forward(&self.to_q.forward(y)).to_kind(self.kind);
        self.out(&self.attend(&q, text))
    }

    /// The last product: [n, D] to [n, D].
    pub(super) fn out(&self, seen: &Tensor) -> Tensor {
        self.to_out.forward(seen)
    }

    /// `q` [n, D] to [n, D].
    fn attend(&self, q: &Tensor, KeyValue { keys, values }: &KeyValue) -> Tensor {
        let [q, k, v] = [q, keys, values].map(|x| self.split(x).transpose(0, 1).unsqueeze(0)); // [1, heads, rows, head_dim]
        let y = Tensor::scaled_dot_product_attention(&q, &k, &v, None::<&Tensor>, 0.0, false, None, false);
        y.squeeze_dim(0).transpose(0, 1).flatten(-2, -1)
    }

    /// [n, D] to [n, heads, head_dim].
    fn split(&self, x: &Tensor) -> Tensor {
        x.unflatten(-1, [self.heads, -1])
    }
}
