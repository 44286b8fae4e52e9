//! Which model a checkpoint is, told from the names and shapes in it and never from what the file is called.

use serde_json::Value;

use super::{
    Checkpoint, CheckpointError, ClipVision, Family, ImageEmbedder, Lora, ModelKind, TextEncoder, Transformer, Vace,
    VaceModule, Vae, VaeGeneration, foreign,
};

/// Every Wan transformer divides its width into heads of this size.
const HEAD_DIM: usize = 128;

impl Checkpoint {
    /// Fails where it is a model of ours that lacks what tells its size.
    pub fn what(&self) -> Result<ModelKind, CheckpointError> {
        let has = |name: &str| self.entry(name).is_some();
        match self.family() {
            Some(Family::Lora) => return Ok(ModelKind::Lora(Lora::of(self))),
            Some(Family::Transformer) if has("vace_patch_embedding.weight") && !self.any("blocks.") => {
                return self.vace_module().map(ModelKind::VaceModule);
            }
            Some(Family::Transformer) if self.any("blocks.0.attn1.") || !self.is_foreign() => {
                return self.transformer().map(ModelKind::Transformer);
            }
            Some(Family::Vae) if has("encoder.norm_out.gamma") || !self.is_foreign() => {
                return self.vae().map(ModelKind::Vae);
            }
            // A plain T5 has one table of positions, umT5 has one in every block.
            Some(Family::TextEncoder) if self.layers("encoder.block.") < 2 || self.is_umt5() => {
                return self.text_encoder().map(ModelKind::TextEncoder);
            }
            Some(Family::ClipVision) => return self.clip_vision().map(ModelKind::ClipVision),
            _ => {}
        }
        Ok(match foreign::architecture(self.names()) {
            Some(name) => ModelKind::Foreign { name },
            None => ModelKind::Unknown { tensors: self.names().take(4).map(str::to_owned).collect() },
        })
    }

    /// What messages call it, whether it is whole or not.
    pub(super) fn label(&self) -> String {
        match (self.what(), self.family) {
            (Ok(what), _) => what.name(),
            (_, Some(Family::Transformer)) => "a part of a Wan transformer".into(),
            (_, Some(Family::Vae)) => "a part of a Wan VAE".into(),
            (_, Some(Family::TextEncoder)) => "a part of a umT5 encoder".into(),
            (_, _) => "something that wanctl does not know".into(),
        }
    }

    fn is_foreign(&self) -> bool {
        foreign::architecture(self.names()).is_some()
    }

    fn is_umt5(&self) -> bool {
        self.entry("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight").is_some()
    }

    fn any(&self, prefix: &str) -> bool {
        self.records.range(prefix.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// One more than the highest number behind `prefix`; a number that no file of so many tensors can have is a lie.
    fn layers(&self, prefix: &str) -> usize {
        let number = |name: &str| name.strip_prefix(prefix)?.split_once('.')?.0.parse::<usize>().ok();
        let numbers = self.names().filter_map(number).filter(|number| *number < self.records.len());
        numbers.max().map_or(0, |most| most + 1)
    }

    /// The sides of a tensor that tells a size.
    fn sides<const N: usize>(&self, name: &str) -> Result<[usize; N], CheckpointError> {
        let Some(entry) = self.entry(name) else {
            return Err(CheckpointError::Missing { tensor: name.to_owned(), path: self.path().to_owned() });
        };
        <[usize; N]>::try_from(entry.shape).ok().filter(|shape| !shape.contains(&0)).ok_or_else(|| {
            CheckpointError::Shape {
                tensor: entry.stored.to_owned(),
                path: entry.file.to_owned(),
                wanted: format!("{N} sides"),
                found: entry.shape.to_vec(),
            }
        })
    }

    fn said(&self, key: &str) -> Option<&Value> {
        self.config.as_ref().and_then(|config| config.get(key))
    }

    fn number_said(&self, key: &str) -> Option<usize> {
        self.said(key).and_then(Value::as_u64).and_then(|number| number.try_into().ok())
    }

    fn numbers_said<T>(&self, key: &str, of: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
        self.said(key)?.as_array()?.iter().map(of).collect()
    }

    fn transformer(&self) -> Result<Transformer, CheckpointError> {
        let [_, _, dim] = self.sides("scale_shift_table")?;
        let [_, in_channels, ..]: [_; 5] = self.sides("patch_embedding.weight")?;
        let [ffn, _] = self.sides("blocks.0.ffn.net.0.proj.weight")?;
        let [_, text_dim] = self.sides("condition_embedder.text_embedder.linear_1.weight")?;
        let [_, freq_dim] = self.sides("condition_embedder.time_embedder.linear_1.weight")?;
        let [out, _] = self.sides("proj_out.weight")?;
        let layers = self.layers("blocks.");

        // diffusers and the original repositories each have their own word for it.
        let said = self.number_said("num_attention_heads").or_else(|| self.number_said("num_heads"));
        let heads = said.filter(|heads| *heads > 0 && dim.is_multiple_of(*heads));
        let heads = heads.or_else(|| dim.is_multiple_of(HEAD_DIM).then_some(dim / HEAD_DIM));
        let heads = heads.ok_or_else(|| CheckpointError::Heads { path: self.path().to_owned(), dim })?;

        let vace = if self.any("vace_") {
            let [_, in_channels, ..]: [_; 5] = self.sides("vace_patch_embedding.weight")?;
            let blocks = self.layers("vace_blocks.");
            let said = self.numbers_said("vace_layers", |layer| layer.as_u64()?.try_into().ok());
            let said = said.filter(|layers| layers.len() == blocks);
            // Every published one spreads them evenly, from the first.
            let stride = layers / blocks.max(1);
            let layers = said.unwrap_or_else(|| (0..blocks).map(|block| block * stride).collect());
            Some(Vace { layers, in_channels })
        } else {
            None
        };
        let image = if self.any("condition_embedder.image_embedder.") {
            let [dim] = self.sides("condition_embedder.image_embedder.norm1.weight")?;
            let table = "condition_embedder.image_embedder.pos_embed";
            let positions = match self.entry(table) {
                Some(_) => Some(self.sides::<3>(table)?[1]),
                None => None,
            };
            let keys = self.entry("blocks.0.attn2.add_k_proj.weight").is_some();
            Some(ImageEmbedder { dim, positions, keys })
        } else {
            None
        };
        Ok(Transformer {
            dim,
            heads,
            head_dim: dim / heads,
            layers,
            ffn,
            in_channels,
            // The last layer makes patches of 1 x 2 x 2.
            out_channels: out / 4,
            text_dim,
            freq_dim,
            vace,
            image,
        })
    }

    fn vace_module(&self) -> Result<VaceModule, CheckpointError> {
        let [dim, in_channels, ..]: [_; 5] = self.sides("vace_patch_embedding.weight")?;
        let [ffn, _] = self.sides("vace_blocks.0.ffn.net.0.proj.weight")?;
        Ok(VaceModule { dim, ffn, blocks: self.layers("vace_blocks."), in_channels })
    }

    fn vae(&self) -> Result<Vae, CheckpointError> {
        let [base_dim, channels, ..]: [_; 5] = self.sides("encoder.conv_in.weight")?;
        let [decoder_base_dim, ..]: [_; 4] = self.sides("decoder.norm_out.gamma")?;
        let [z_dim, ..]: [_; 5] = self.sides("post_quant_conv.weight")?;
        let generation = match self.any("encoder.down_blocks.0.resnets.") {
            true => VaeGeneration::Wan22,
            false => VaeGeneration::Wan21,
        };
        let said = |key: &str| self.numbers_said(key, Value::as_f64).filter(|numbers| numbers.len() == z_dim);
        let (mean, std) = (said("latents_mean"), said("latents_std"));
        Ok(Vae { generation, base_dim, decoder_base_dim, z_dim, channels, mean, std })
    }

    fn text_encoder(&self) -> Result<TextEncoder, CheckpointError> {
        let [vocab, dim] = self.sides("shared.weight")?;
        let [inner, _] = self.sides("encoder.block.0.layer.0.SelfAttention.q.weight")?;
        let [buckets, heads] = self.sides("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")?;
        let [ff, _] = self.sides("encoder.block.0.layer.1.DenseReluDense.wi_0.weight")?;
        let layers = self.layers("encoder.block.");
        Ok(TextEncoder { vocab, dim, heads, d_kv: inner / heads, ff, layers, buckets })
    }

    fn clip_vision(&self) -> Result<ClipVision, CheckpointError> {
        let [dim, _, patch, _] = self.sides("embeddings.patch_embedding.weight")?;
        let [mlp, _] = self.sides("encoder.layers.0.mlp.fc1.weight")?;
        let [positions, _] = self.sides("embeddings.position_embedding.weight")?;
        Ok(ClipVision { dim, layers: self.layers("encoder.layers."), mlp, patch, positions })
    }
}
