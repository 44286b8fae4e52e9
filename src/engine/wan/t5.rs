//! Wan's text encoder: the encoder half of umT5, which turns the ids of a prompt into the rows that the transformer
//! attends to.
//!
//! Shapes: L ids, D width, H heads, P positions relative to each other, 2L - 1 of them. Reference: transformers
//! 5.23.0, `models/umt5/modeling_umt5.py`, and what diffusers 0.42.1 does with it in `pipelines/wan/pipeline_wan.py`.
//! The reference pads every prompt to 512 ids and masks the padding; here only the ids themselves are run. A masked
//! key has no weight and positions are relative, so the rows are the same and cost a tenth.

use tch::{Device, Kind, Tensor};

use crate::engine::{
    layers::{Linear, RmsNorm},
    weights::{Weights, WeightsError},
};

/// Rows of a prompt as the transformer takes it, and so the most ids that a prompt has.
pub(crate) const TEXT_ROWS: i64 = 512;

const EPS: f64 = 1e-6;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct T5Config {
    pub(crate) vocab: i64,
    pub(crate) dim: i64,
    pub(crate) d_kv: i64,
    pub(crate) heads: i64,
    pub(crate) ff: i64,
    pub(crate) layers: i64,
    pub(crate) buckets: i64,
    pub(crate) max_distance: i64,
}

/// umT5-XXL, the only size that Wan comes with.
impl Default for T5Config {
    fn default() -> Self {
        Self { vocab: 256_384, dim: 4096, d_kv: 64, heads: 64, ff: 10_240, layers: 24, buckets: 32, max_distance: 128 }
    }
}

/// One table of how far apart two ids are, for every layer: each has weights of its own for it.
struct Buckets(Tensor);

impl Buckets {
    /// The bucket of each of the 2L - 1 positions that one of `len` ids has as seen from another, the lowest first.
    ///
    /// Made on the host by libtorch's own f32 logarithm: 16, 32 and 64 lie on the border of two buckets, and the last
    /// bit decides which.
    fn new(len: i64, cfg: &T5Config, device: Device) -> Self {
        let side = cfg.buckets / 2;
        let near = side / 2;
        let position = Tensor::arange_start(1 - len, len, (Kind::Int64, Device::Cpu));
        let distance = position.abs();
        let octaves =
            (distance.to_kind(Kind::Float) / near as f64).log() / (cfg.max_distance as f64 / near as f64).ln();
        let far = (octaves * (side - near) as f64).to_kind(Kind::Int64) + near;
        let bucket = distance.where_self(&distance.lt(near), &far.clamp_max(side - 1));
        Self((bucket + position.gt(0).to_kind(Kind::Int64) * side).to_device(device))
    }

    /// What a layer adds to its scores, [1, H, L, L], from its `table` [buckets, H].
    fn bias(&self, table: &Tensor) -> Tensor {
        let by_position = table.tr().index_select(1, &self.0); // [H, P]
        let len = (self.0.size()[0] + 1) / 2;
        // Window i of P starts at position i - (L - 1), so the last window is the first query's.
        by_position.unfold(1, len, 1).flip([1]).unsqueeze(0)
    }
}

#[derive(Debug)]
struct Layer {
    attention_norm: RmsNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    relative_attention_bias: Tensor,
    feed_forward_norm: RmsNorm,
    wi_0: Linear,
    wi_1: Linear,
    wo: Linear,
    heads: i64,
}

impl Layer {
    fn load(w: Weights, cfg: &T5Config) -> Result<Self, WeightsError> {
        let &T5Config { dim, d_kv, heads, ff, buckets, .. } = cfg;
        let (attention, feed_forward) = (&w / "layer" / 0, &w / "layer" / 1);
        let (to, dense) = (&attention / "SelfAttention", &feed_forward / "DenseReluDense");
        Ok(Self {
            attention_norm: RmsNorm::load(&attention / "layer_norm", dim, EPS)?,
            q: Linear::without_bias(&to / "q", dim, heads * d_kv)?,
            k: Linear::without_bias(&to / "k", dim, heads * d_kv)?,
            v: Linear::without_bias(&to / "v", dim, heads * d_kv)?,
            o: Linear::without_bias(&to / "o", heads * d_kv, dim)?,
            relative_attention_bias: (&to / "relative_attention_bias").get("weight", &[buckets, heads])?,
            feed_forward_norm: RmsNorm::load(&feed_forward / "layer_norm", dim, EPS)?,
            wi_0: Linear::without_bias(&dense / "wi_0", dim, ff)?,
            wi_1: Linear::without_bias(&dense / "wi_1", dim, ff)?,
            wo: Linear::without_bias(&dense / "wo", ff, dim)?,
            heads,
        })
    }

    /// `x` [1, L, D].
    fn forward(&self, x: &Tensor, buckets: &Buckets) -> Tensor {
        let kind = x.kind();
        let y = self.attention_norm.forward(x).to_kind(kind);
        let split = |x: Tensor| x.unflatten(-1, [self.heads, -1]).transpose(1, 2); // [1, H, L, d_kv]
        let [q, k, v] = [&self.q, &self.k, &self.v].map(|to| split(to.forward(&y)));
        let bias = buckets.bias(&self.relative_attention_bias);
        // No root of d_kv: these weights were trained without it. In plain products, since cuDNN's attention, which
        // libtorch prefers on Hopper, has no plan for every length with a bias, and no other kernel then stands in.
        let scores = q.matmul(&k.transpose(-2, -1)) + bias; // [1, H, L, L]
        let y = scores.softmax(-1, Kind::Float).to_kind(kind).matmul(&v);
        let x = x + self.o.forward(&y.transpose(1, 2).flatten(-2, -1));

        let y = self.feed_forward_norm.forward(&x).to_kind(kind);
        let y = self.wi_0.forward(&y).gelu("tanh") * self.wi_1.forward(&y);
        x + self.wo.forward(&y)
    }
}

/// The rows of each prompt, of ids: [1, n, D] in f32. `each` hears how many of all layers are done.
///
/// Every layer works once, for all prompts together, so it is loaded when its turn comes and gone before the next one: of
/// 9 GB in bf16, memory holds 0.4.
pub(crate) fn encode(
    w: &Weights,
    cfg: &T5Config,
    prompts: &[Vec<i64>],
    each: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Tensor>, WeightsError> {
    let &T5Config { vocab, dim, layers, .. } = cfg;
    let (shared, encoder) = (w / "shared", w / "encoder");
    let most = prompts.iter().flatten().max().copied().unwrap_or_default();
    assert!(
        most < vocab,
        "the text encoder knows {vocab} words and not word {most} of the tokenizer: they are of two models"
    );
    // The table of all words is 2.1 GB, of which a prompt needs a few rows.
    let rows = |ids: &Vec<i64>| Ok(shared.rows("weight", ids, [vocab, dim])?.unsqueeze(0));
    let mut all: Vec<Tensor> = prompts.iter().map(rows).collect::<Result<_, WeightsError>>()?;
    let buckets: Vec<Buckets> = prompts.iter().map(|ids| Buckets::new(ids.len() as i64, cfg, w.device())).collect();
    for index in 0..layers {
        let layer = Layer::load(&encoder / "block" / index, cfg)?;
        for (x, buckets) in all.iter_mut().zip(&buckets) {
            *x = layer.forward(x, buckets);
        }
        each(index as usize + 1, layers as usize);
    }
    let norm = RmsNorm::load(&encoder / "final_layer_norm", dim, EPS)?;
    Ok(all.iter().map(|x| norm.forward(x)).collect())
}

/// Rows [1, n, D] as the transformer reads them, [1, 512, D]: behind the words stand zeros.
pub(crate) fn padded(rows: &Tensor) -> Tensor {
    rows.constant_pad_nd([0, 0, 0, TEXT_ROWS - rows.size()[1]])
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, fs};

    use super::*;
    use crate::engine::torch;

    /// Of the deviation of the reference. Measured 5e-6, of which sums in the order of another processor may make a few;
    /// even the other gelu or another epsilon moves a row by more than this.
    const PARITY: f64 = 1e-4;

    /// Made by transformers: `make.py` in the folders of these files.
    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan");
    const NET: &str = "tiny/text_encoder/model.safetensors";

    fn weights(kind: Kind) -> Weights {
        // Tests run side by side, and two threads that wait for each other at every small step would crawl.
        tch::set_num_threads(1);
        let bytes = fs::read(format!("{FIXTURES}/{NET}")).unwrap();
        Weights::embedded("umt5.safetensors", bytes.leak(), Device::Cpu, kind).unwrap()
    }

    fn config() -> T5Config {
        T5Config { vocab: 223, dim: 32, d_kv: 8, heads: 4, ff: 48, layers: 2, ..T5Config::default() }
    }

    fn rows(kind: Kind, prompts: &[Vec<i64>]) -> Vec<Tensor> {
        let rows = encode(&weights(kind), &config(), prompts, &mut |_, _| {}).unwrap();
        rows.into_iter().map(|rows| rows.squeeze_dim(0)).collect()
    }

    fn fixture(file: &str) -> HashMap<String, Tensor> {
        Tensor::read_safetensors(format!("{FIXTURES}/{file}")).unwrap().into_iter().collect()
    }

    /// Some prompts' ids, and what the reference makes of them between padding: [L, D].
    fn prompts() -> Vec<(Vec<i64>, Tensor)> {
        let fixture = fixture("umt5.safetensors");
        let lens = Vec::<i64>::try_from(fixture["in.mask"].sum_dim_intlist(1, false, Kind::Int64)).unwrap();
        assert_eq!(lens, [11, 150]);
        let rows = |name: &str, i: usize| fixture[name].get(i as i64).narrow(0, 0, lens[i]);
        (0..2).map(|i| (rows("in.ids", i).try_into().unwrap(), rows("out.last_hidden_state", i))).collect()
    }

    /// The largest difference, in deviations of `expected`.
    fn distance(found: &Tensor, expected: &Tensor) -> f64 {
        assert_eq!(found.size(), expected.size());
        ((found - expected).abs().max() / expected.std(true)).double_value(&[])
    }

    #[test]
    fn the_rows_are_those_of_transformers_that_pads_and_masks() {
        let (prompts, expected): (Vec<_>, Vec<_>) = prompts().into_iter().unzip();
        for (rows, expected) in rows(Kind::Float, &prompts).iter().zip(&expected) {
            assert!(distance(rows, expected) < PARITY, "{:?}", rows.size());
        }
        let fixture = fixture("words/rows.safetensors");
        let ids: Vec<i64> = Vec::try_from(&fixture["in.ids"]).unwrap();
        let both = rows(Kind::Float, &[ids[..1].to_vec(), ids]);
        assert!(distance(&both[0], &fixture["out.one"]) < PARITY);
        let all = padded(&both[1].unsqueeze(0)).squeeze_dim(0).slice(0, None, None, 8);
        assert!(distance(&all, &fixture["out.every_eighth"]) < PARITY);
    }

    #[test]
    fn behind_the_prompt_are_zeros_up_to_512_rows() {
        let lens = [1, 11, 512];
        let all = rows(Kind::BFloat16, &lens.map(|len| vec![5; len as usize]));
        for (len, rows) in lens.into_iter().zip(all) {
            let rows = padded(&rows.unsqueeze(0));
            assert_eq!((rows.size(), rows.kind()), (vec![1, TEXT_ROWS, 32], Kind::Float));
            let is_zero = rows.abs().amax([0, 2], false).eq(0.0);
            assert_eq!(i64::try_from(is_zero.sum(Kind::Int64)).unwrap(), TEXT_ROWS - len);
            assert_eq!(is_zero.narrow(0, 0, len).any().int64_value(&[]), 0);
        }
    }

    #[test]
    fn every_position_falls_into_the_bucket_of_transformers() {
        let buckets = Buckets::new(TEXT_ROWS, &T5Config::default(), Device::Cpu).0;
        assert_eq!(buckets, fixture("words/rows.safetensors")["out.buckets"]);
    }

    #[test]
    fn the_bias_between_two_ids_is_that_of_their_distance() {
        let table = Tensor::arange(64, (Kind::Float, Device::Cpu)).reshape([32, 2]);
        let bias = Buckets::new(3, &T5Config::default(), Device::Cpu).bias(&table);
        // Row q, column k: bucket k - q + 16 for a key behind the query, q - k for one before it.
        let head = |offset: f32| [0., 17., 18., 1., 0., 17., 2., 1., 0.].map(|bucket| bucket * 2. + offset);
        assert_eq!(bias.size(), [1, 2, 3, 3]);
        assert_eq!(Vec::<f32>::try_from(bias.flatten(0, -1)).unwrap(), [head(0.), head(1.)].concat());
    }

    /// Measured 0.0105, and 0.0135 for transformers in bf16: it rounds between the steps of its gelu.
    #[test]
    fn in_bf16_the_rows_stay_within_a_fiftieth() {
        let (prompts, expected): (Vec<_>, Vec<_>) = prompts().into_iter().unzip();
        for (rows, expected) in rows(Kind::BFloat16, &prompts).iter().zip(&expected) {
            let error = ((rows - expected).norm() / expected.norm()).double_value(&[]);
            assert!(error < 2e-2, "{error}");
        }
    }

    #[test]
    fn every_tensor_of_the_file_is_used_and_every_layer_heard_of() {
        let weights = weights(Kind::Float);
        let mut heard = vec![];
        encode(&weights, &config(), &[vec![5]], &mut |done, all| heard.push((done, all))).unwrap();
        assert!(weights.left_over().is_empty(), "{:?}", weights.left_over());
        assert_eq!(heard, [(1, 2), (2, 2)]);
    }

    #[test]
    fn a_word_that_the_table_has_no_row_for_is_an_error_of_the_stage() {
        torch::silence_stages();
        let error = torch::stage("reading the prompt", || rows(Kind::Float, &[vec![5], vec![5, 223, 1]]));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("knows 223 words and not word 223"), "{error}");
    }

    #[test]
    fn another_size_than_the_file_has_is_named() {
        let refused = |config| encode(&weights(Kind::Float), &config, &[vec![5]], &mut |_, _| {}).unwrap_err();
        let error = refused(T5Config { ff: 49, ..config() });
        assert_eq!(
            error.to_string(),
            "tensor `encoder.block.0.layer.1.DenseReluDense.wi_0.weight` in umt5.safetensors has shape [48, 32], \
             expected [49, 32]"
        );
        let error = refused(T5Config { vocab: 256_384, ..config() });
        assert_eq!(
            error.to_string(),
            "tensor `shared.weight` in umt5.safetensors has shape [223, 32], expected [256384, 32]"
        );
    }
}
