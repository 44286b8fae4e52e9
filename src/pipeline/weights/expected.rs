//! The tensors that a model of given numbers has, each with its shape: what a checkpoint is held against before an
//! engine is started.

use std::collections::BTreeMap;

use super::{
    Checkpoint, CheckpointError, ClipVision, ModelKind, TextEncoder, Transformer, VaceModule, Vae, VaeGeneration,
};

/// Tensors below one prefix.
#[derive(Default)]
pub(super) struct List {
    shapes: BTreeMap<String, Vec<usize>>,
}

impl List {
    fn add(&mut self, name: String, shape: &[usize]) {
        self.shapes.insert(name, shape.to_vec());
    }

    /// With a bias.
    fn layer(&mut self, name: &str, shape: &[usize]) {
        self.add(format!("{name}.weight"), shape);
        self.add(format!("{name}.bias"), &shape[..1]);
    }

    /// A norm with weight and bias.
    fn norm(&mut self, name: &str, dim: usize) {
        self.layer(name, &[dim]);
    }
}

impl ModelKind {
    /// Names and shapes of what such a file holds. `None` where it is no model of ours, or one that changes another.
    pub fn tensors(&self) -> Option<BTreeMap<String, Vec<usize>>> {
        let mut list = List::default();
        match self {
            Self::Transformer(transformer) => transformer.list(&mut list),
            Self::VaceModule(module) => module.list(&mut list),
            Self::Vae(vae) => vae.list(&mut list),
            Self::TextEncoder(text) => text.list(&mut list),
            Self::ClipVision(clip) => clip.list(&mut list),
            Self::Lora(_) | Self::Foreign { .. } | Self::Unknown { .. } => return None,
        }
        Some(list.shapes)
    }
}

impl Transformer {
    fn list(&self, list: &mut List) {
        let &Self { dim, layers, ffn, in_channels, out_channels, text_dim, freq_dim, .. } = self;
        let (text, time) = ("condition_embedder.text_embedder", "condition_embedder.time_embedder");
        list.layer("patch_embedding", &[dim, in_channels, 1, 2, 2]);
        list.layer(&format!("{text}.linear_1"), &[dim, text_dim]);
        list.layer(&format!("{text}.linear_2"), &[dim, dim]);
        list.layer(&format!("{time}.linear_1"), &[dim, freq_dim]);
        list.layer(&format!("{time}.linear_2"), &[dim, dim]);
        list.layer("condition_embedder.time_proj", &[6 * dim, dim]);
        list.layer("proj_out", &[4 * out_channels, dim]);
        list.add("scale_shift_table".into(), &[1, 2, dim]);
        let keys = self.image.as_ref().is_some_and(|image| image.keys);
        if let Some(image) = &self.image {
            let place = "condition_embedder.image_embedder";
            list.norm(&format!("{place}.norm1"), image.dim);
            list.layer(&format!("{place}.ff.net.0.proj"), &[image.dim, image.dim]);
            list.layer(&format!("{place}.ff.net.2"), &[dim, image.dim]);
            list.norm(&format!("{place}.norm2"), dim);
            if let Some(positions) = image.positions {
                list.add(format!("{place}.pos_embed"), &[1, positions, image.dim]);
            }
        }
        for block in 0..layers {
            block_tensors(list, &format!("blocks.{block}"), dim, ffn);
            if keys {
                let place = format!("blocks.{block}.attn2");
                list.layer(&format!("{place}.add_k_proj"), &[dim, dim]);
                list.layer(&format!("{place}.add_v_proj"), &[dim, dim]);
                list.add(format!("{place}.norm_added_k.weight"), &[dim]);
            }
        }
        if let Some(vace) = &self.vace {
            VaceModule { dim, ffn, blocks: vace.layers.len(), in_channels: vace.in_channels }.list(list);
        }
    }
}

impl VaceModule {
    fn list(&self, list: &mut List) {
        let &Self { dim, ffn, blocks, in_channels } = self;
        list.layer("vace_patch_embedding", &[dim, in_channels, 1, 2, 2]);
        for block in 0..blocks {
            let place = format!("vace_blocks.{block}");
            block_tensors(list, &place, dim, ffn);
            if block == 0 {
                list.layer(&format!("{place}.proj_in"), &[dim, dim]);
            }
            list.layer(&format!("{place}.proj_out"), &[dim, dim]);
        }
    }
}

fn block_tensors(list: &mut List, place: &str, dim: usize, ffn: usize) {
    list.add(format!("{place}.scale_shift_table"), &[1, 6, dim]);
    for attention in ["attn1", "attn2"] {
        for module in ["to_q", "to_k", "to_v", "to_out.0"] {
            list.layer(&format!("{place}.{attention}.{module}"), &[dim, dim]);
        }
        list.add(format!("{place}.{attention}.norm_q.weight"), &[dim]);
        list.add(format!("{place}.{attention}.norm_k.weight"), &[dim]);
    }
    list.norm(&format!("{place}.norm2"), dim);
    list.layer(&format!("{place}.ffn.net.0.proj"), &[ffn, dim]);
    list.layer(&format!("{place}.ffn.net.2"), &[dim, ffn]);
}

/// Widths after each level, as multiples of the base.
const WIDTHS: [usize; 4] = [1, 2, 4, 4];
/// Whether a level also halves time, from the finest on; the last one halves nothing.
const IN_TIME: [bool; 3] = [false, true, true];

impl Vae {
    fn list(&self, list: &mut List) {
        let &Self { generation, base_dim, decoder_base_dim, z_dim, channels, .. } = self;
        let new = generation == VaeGeneration::Wan22;
        list.layer("quant_conv", &[2 * z_dim, 2 * z_dim, 1, 1, 1]);
        list.layer("post_quant_conv", &[z_dim, z_dim, 1, 1, 1]);

        let top = WIDTHS[3] * base_dim;
        list.layer("encoder.conv_in", &[base_dim, channels, 3, 3, 3]);
        let (mut before, mut flat) = (base_dim, 0..);
        for (level, width) in WIDTHS.map(|width| width * base_dim).into_iter().enumerate() {
            let mut place = |in_new: String| match new {
                true => format!("encoder.down_blocks.{level}.{in_new}"),
                false => format!("encoder.down_blocks.{}", flat.next().unwrap_or_default()),
            };
            resnet(list, &place("resnets.0".into()), before, width);
            resnet(list, &place("resnets.1".into()), width, width);
            if let Some(in_time) = IN_TIME.get(level) {
                let place = place("downsampler".into());
                list.layer(&format!("{place}.resample.1"), &[width, width, 3, 3]);
                if *in_time {
                    list.layer(&format!("{place}.time_conv"), &[width, width, 3, 1, 1]);
                }
            }
            before = width;
        }
        middle(list, "encoder", top);
        list.add("encoder.norm_out.gamma".into(), &[top, 1, 1, 1]);
        list.layer("encoder.conv_out", &[2 * z_dim, top, 3, 3, 3]);

        let top = WIDTHS[3] * decoder_base_dim;
        list.layer("decoder.conv_in", &[top, z_dim, 3, 3, 3]);
        middle(list, "decoder", top);
        let mut before = top;
        for (level, width) in WIDTHS.iter().rev().map(|width| width * decoder_base_dim).enumerate() {
            let place = format!("decoder.up_blocks.{level}");
            for step in 0..3 {
                resnet(list, &format!("{place}.resnets.{step}"), if step == 0 { before } else { width }, width);
            }
            before = width;
            if let Some(in_time) = IN_TIME.iter().rev().nth(level) {
                // Wan 2.1 halves the width where it enlarges.
                let (place, after) = match new {
                    true => (format!("{place}.upsampler"), width),
                    false => (format!("{place}.upsamplers.0"), width / 2),
                };
                list.layer(&format!("{place}.resample.1"), &[after, width, 3, 3]);
                if *in_time {
                    list.layer(&format!("{place}.time_conv"), &[2 * width, width, 3, 1, 1]);
                }
                before = after;
            }
        }
        list.add("decoder.norm_out.gamma".into(), &[decoder_base_dim, 1, 1, 1]);
        list.layer("decoder.conv_out", &[channels, decoder_base_dim, 3, 3, 3]);
    }
}

fn resnet(list: &mut List, place: &str, before: usize, after: usize) {
    list.add(format!("{place}.norm1.gamma"), &[before, 1, 1, 1]);
    list.layer(&format!("{place}.conv1"), &[after, before, 3, 3, 3]);
    list.add(format!("{place}.norm2.gamma"), &[after, 1, 1, 1]);
    list.layer(&format!("{place}.conv2"), &[after, after, 3, 3, 3]);
    if before != after {
        list.layer(&format!("{place}.conv_shortcut"), &[after, before, 1, 1, 1]);
    }
}

fn middle(list: &mut List, side: &str, width: usize) {
    let place = format!("{side}.mid_block");
    resnet(list, &format!("{place}.resnets.0"), width, width);
    resnet(list, &format!("{place}.resnets.1"), width, width);
    list.add(format!("{place}.attentions.0.norm.gamma"), &[width, 1, 1]);
    list.layer(&format!("{place}.attentions.0.to_qkv"), &[3 * width, width, 1, 1]);
    list.layer(&format!("{place}.attentions.0.proj"), &[width, width, 1, 1]);
}

impl TextEncoder {
    fn list(&self, list: &mut List) {
        let &Self { vocab, dim, heads, d_kv, ff, layers, buckets } = self;
        let inner = heads * d_kv;
        list.add("shared.weight".into(), &[vocab, dim]);
        list.add("encoder.final_layer_norm.weight".into(), &[dim]);
        for layer in 0..layers {
            let place = format!("encoder.block.{layer}.layer");
            list.add(format!("{place}.0.layer_norm.weight"), &[dim]);
            for module in ["q", "k", "v"] {
                list.add(format!("{place}.0.SelfAttention.{module}.weight"), &[inner, dim]);
            }
            list.add(format!("{place}.0.SelfAttention.o.weight"), &[dim, inner]);
            list.add(format!("{place}.0.SelfAttention.relative_attention_bias.weight"), &[buckets, heads]);
            list.add(format!("{place}.1.layer_norm.weight"), &[dim]);
            list.add(format!("{place}.1.DenseReluDense.wi_0.weight"), &[ff, dim]);
            list.add(format!("{place}.1.DenseReluDense.wi_1.weight"), &[ff, dim]);
            list.add(format!("{place}.1.DenseReluDense.wo.weight"), &[dim, ff]);
        }
    }
}

impl ClipVision {
    fn list(&self, list: &mut List) {
        let &Self { dim, layers, mlp, patch, positions } = self;
        list.add("embeddings.class_embedding".into(), &[dim]);
        list.add("embeddings.position_embedding.weight".into(), &[positions, dim]);
        list.add("embeddings.patch_embedding.weight".into(), &[dim, 3, patch, patch]);
        list.norm("pre_layrnorm", dim);
        list.norm("post_layernorm", dim);
        for layer in 0..layers {
            let place = format!("encoder.layers.{layer}");
            list.norm(&format!("{place}.layer_norm1"), dim);
            list.norm(&format!("{place}.layer_norm2"), dim);
            for module in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                list.layer(&format!("{place}.self_attn.{module}"), &[dim, dim]);
            }
            list.layer(&format!("{place}.mlp.fc1"), &[mlp, dim]);
            list.layer(&format!("{place}.mlp.fc2"), &[dim, mlp]);
        }
    }
}

impl Checkpoint {
    /// What it is, and everything that keeps it from being a whole one.
    pub fn check(&self) -> Result<(ModelKind, Vec<CheckpointError>), CheckpointError> {
        let what = self.what()?;
        let problems = what.tensors().map_or_else(Vec::new, |wanted| self.against(&wanted));
        Ok((what, problems))
    }

    fn against(&self, wanted: &BTreeMap<String, Vec<usize>>) -> Vec<CheckpointError> {
        let path = || self.path().to_owned();
        let mut problems = vec![];
        for (name, shape) in wanted {
            match self.entry(name) {
                None => problems.push(CheckpointError::Missing { tensor: name.clone(), path: path() }),
                Some(entry) if entry.shape != shape => problems.push(CheckpointError::Shape {
                    tensor: entry.stored.to_owned(),
                    path: entry.file.to_owned(),
                    wanted: format!("{shape:?}"),
                    found: entry.shape.to_vec(),
                }),
                Some(entry) if !entry.dtype.is_float() => problems.push(CheckpointError::Packed {
                    tensor: entry.stored.to_owned(),
                    path: entry.file.to_owned(),
                    format: entry.dtype.to_string(),
                }),
                Some(_) => {}
            }
        }
        let strangers = self.names().filter(|name| !wanted.contains_key(*name));
        problems.extend(
            strangers.filter_map(|name| self.entry(name)).map(|entry| CheckpointError::Stranger {
                tensor: entry.stored.to_owned(),
                path: entry.file.to_owned(),
            }),
        );
        problems
    }
}
