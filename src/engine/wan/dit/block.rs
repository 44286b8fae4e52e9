//! One layer of the transformer.

use tch::{Kind, Tensor};

use super::{Config, EPS, attention::Attention, rope::Rope, slices};
use crate::engine::{
    layers::{LayerNorm, Linear, ToDevice, Transfer},
    weights::{Weights, WeightsError},
};

/// Self-attention, attention to the text, two products; a value of its own, to be loaded and dropped alone.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) attn1: Attention,
    pub(super) attn2: Attention,
    pub(super) norm2: LayerNorm,
    ffn: [Linear; 2],
    pub(super) scale_shift_table: Tensor,
    pub(super) kind: Kind,
}

/// What every block of a forward pass is given.
#[derive(Debug)]
pub(super) struct Given<'a> {
    /// [T, D]
    pub(super) text: &'a Tensor,
    /// [6, D] in f32.
    pub(super) time: &'a Tensor,
    pub(super) rope: &'a Rope,
    /// Rows that are computed together where rows do not depend on each other.
    pub(super) rows: i64,
}

impl ToDevice for Block {
    fn moved(&self, bring: &Transfer) -> Self {
        let Self { attn1, attn2, norm2, ffn, scale_shift_table, kind } = self;
        Self {
            attn1: attn1.moved(bring),
            attn2: attn2.moved(bring),
            norm2: norm2.moved(bring),
            ffn: ffn.moved(bring),
            scale_shift_table: scale_shift_table.moved(bring),
            kind: *kind,
        }
    }
}

impl Block {
    pub(super) fn load(w: Weights, config: &Config) -> Result<Self, WeightsError> {
        let dim = config.dim();
        let ffn = &w / "ffn" / "net";
        Ok(Self {
            attn1: Attention::load(&w / "attn1", dim, config.heads)?,
            attn2: Attention::load(&w / "attn2", dim, config.heads)?,
            norm2: LayerNorm::load(&w / "norm2", dim, EPS)?,
            ffn: [Linear::load(&ffn / 0 / "proj", dim, config.ffn_dim)?, Linear::load(&ffn / 2, config.ffn_dim, dim)?],
            scale_shift_table: w.in_kind(Kind::Float).get("scale_shift_table", &[1, 6, dim])?.squeeze_dim(0),
            kind: w.kind(),
        })
    }

    /// `x` [N, D] in f32, changed in place.
    pub(super) fn forward(&self, x: &mut Tensor, given: &Given) {
        let Given { text, time, rope, rows } = *given;
        let m = (&self.scale_shift_table + time).unbind(0);
        let [shift1, scale1, gate1, shift2, scale2, gate2] = &m[..] else { unreachable!("a table of six rows") };
        let norm1 = LayerNorm::of(scale1 + 1.0, shift1.shallow_clone(), EPS);
        let norm3 = LayerNorm::of(scale2 + 1.0, shift2.shallow_clone(), EPS);

        let seen = self.attn1.self_attention(x, &norm1, rope, rows);
        let text = self.attn2.seen(text);
        // From here on no row looks at another: a slice at a time needs memory for a slice only.
        for (start, n) in slices(x, rows) {
            let mut x = x.narrow(0, start, n);
            let _ = x.addcmul_(&self.attn1.out(&seen.narrow(0, start, n)), gate1);
            let y = self.norm2.forward(&x).to_kind(self.kind);
            let _ = x.g_add_(&self.attn2.cross_attention(&y, &text));
            let y = norm3.forward(&x).to_kind(self.kind);
            let _ = x.addcmul_(&self.feed(&y), gate2);
        }
    }

    /// [n, D] to [n, D].
    pub(super) fn feed(&self, y: &Tensor) -> Tensor {
        let [inwards, outwards] = &self.ffn;
        outwards.forward(&inwards.forward(y).gelu_("tanh"))
    }
}
