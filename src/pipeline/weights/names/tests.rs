//! Every name map is a bijection, held to the names of the published models.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::pipeline::weights::{
    ClipVision, ImageEmbedder, ModelKind, TextEncoder, Transformer, Vace, Vae, VaeGeneration,
};

/// The numbers of every published model, under the name that `names.py` has for it.
pub(in crate::pipeline::weights) fn published() -> Vec<(&'static str, ModelKind)> {
    let transformer = |dim: usize, in_channels: usize, vace: Option<usize>, image: Option<Option<usize>>| {
        let (layers, ffn) = match dim {
            1536 => (30, 8960),
            3072 => (30, 14336),
            _ => (40, 13824),
        };
        ModelKind::Transformer(Transformer {
            dim,
            heads: dim / 128,
            head_dim: 128,
            layers,
            ffn,
            in_channels,
            out_channels: if in_channels == 48 { 48 } else { 16 },
            text_dim: 4096,
            freq_dim: 256,
            vace: vace.map(|stride| Vace { layers: (0..layers).step_by(stride).collect(), in_channels: 96 }),
            image: image.map(|positions| ImageEmbedder { dim: 1280, positions, keys: true }),
        })
    };
    let vae = |generation, base_dim, decoder_base_dim, z_dim, channels| {
        ModelKind::Vae(Vae { generation, base_dim, decoder_base_dim, z_dim, channels, mean: None, std: None })
    };
    vec![
        ("T2V 1.3B", transformer(1536, 16, None, None)),
        ("T2V 14B", transformer(5120, 16, None, None)),
        ("VACE 1.3B", transformer(1536, 16, Some(2), None)),
        ("VACE 14B", transformer(5120, 16, Some(5), None)),
        ("I2V 2.1", transformer(5120, 36, None, Some(None))),
        ("FLF2V", transformer(5120, 36, None, Some(Some(514)))),
        ("I2V 2.2", transformer(5120, 36, None, None)),
        ("TI2V 5B", transformer(3072, 48, None, None)),
        ("VAE 2.1", vae(VaeGeneration::Wan21, 96, 96, 16, 3)),
        ("VAE 2.2", vae(VaeGeneration::Wan22, 160, 256, 48, 12)),
        (
            "umT5-XXL",
            ModelKind::TextEncoder(TextEncoder {
                vocab: 256_384,
                dim: 4096,
                heads: 64,
                d_kv: 64,
                ff: 10_240,
                layers: 24,
                buckets: 32,
            }),
        ),
        (
            "CLIP ViT-H",
            ModelKind::ClipVision(ClipVision { dim: 1280, layers: 32, mlp: 5120, patch: 14, positions: 257 }),
        ),
    ]
}

/// The way back from our names to the original ones, for tests.
pub(in crate::pipeline::weights) fn original(what: &ModelKind, name: &str) -> String {
    match what {
        ModelKind::Transformer(_) | ModelKind::VaceModule(_) => transformer::original(name),
        ModelKind::Vae(vae) => original_in_vae(vae.generation, name),
        ModelKind::TextEncoder(_) => text::original(name),
        _ => name.to_owned(),
    }
}

fn original_in_vae(generation: VaeGeneration, name: &str) -> String {
    let back = |pairs: &[(&str, &str)], name: &str| {
        let pair = pairs.iter().find_map(|(ours, theirs)| Some(format!("{theirs}{}", name.strip_prefix(ours)?)));
        pair.unwrap_or_else(|| name.to_owned())
    };
    let resnet = [
        ("norm1.", "residual.0."),
        ("conv1.", "residual.2."),
        ("norm2.", "residual.3."),
        ("conv2.", "residual.6."),
        ("conv_shortcut.", "shortcut."),
    ];
    let Some((side, rest)) = name.split_once('.').filter(|(side, _)| side.ends_with("coder")) else {
        return back(&[("quant_conv.", "conv1."), ("post_quant_conv.", "conv2.")], name);
    };
    let words: Vec<&str> = rest.splitn(5, '.').collect();
    let tail = |from: usize| back(&resnet, &words[from..].join("."));
    let new = generation == VaeGeneration::Wan22;
    let number = |word: &str| word.parse::<usize>().unwrap();
    let rest = match words[..] {
        ["mid_block", "attentions", "0", ..] => format!("middle.1.{}", words[3..].join(".")),
        ["mid_block", "resnets", at, ..] => format!("middle.{}.{}", 2 * number(at), tail(3)),
        ["down_blocks", level, "resnets", at, _] => format!("downsamples.{level}.downsamples.{at}.{}", tail(4)),
        ["down_blocks", level, "downsampler", ..] => format!("downsamples.{level}.downsamples.2.{}", tail(3)),
        ["down_blocks", at, ..] => format!("downsamples.{at}.{}", tail(2)),
        ["up_blocks", level, "resnets", at, _] if new => format!("upsamples.{level}.upsamples.{at}.{}", tail(4)),
        ["up_blocks", level, "upsampler", ..] => format!("upsamples.{level}.upsamples.3.{}", tail(3)),
        ["up_blocks", level, "resnets", at, _] => format!("upsamples.{}.{}", 4 * number(level) + number(at), tail(4)),
        ["up_blocks", level, "upsamplers", "0", _] => format!("upsamples.{}.{}", 4 * number(level) + 3, tail(4)),
        _ => back(&[("conv_in.", "conv1."), ("norm_out.", "head.0."), ("conv_out.", "head.2.")], rest),
    };
    format!("{side}.{rest}")
}

fn family(what: &ModelKind) -> Family {
    match what {
        ModelKind::Vae(_) => Family::Vae,
        ModelKind::TextEncoder(_) => Family::TextEncoder,
        ModelKind::ClipVision(_) => Family::ClipVision,
        _ => Family::Transformer,
    }
}

#[test]
fn every_published_model_has_the_tensors_that_diffusers_and_transformers_build() {
    #[derive(Deserialize)]
    struct Published {
        tensors: usize,
        numbers: u64,
        sha256: String,
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoints/names.json");
    let expected: BTreeMap<String, Published> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(expected.len(), published().len());
    for (name, what) in published() {
        let Published { tensors, numbers, sha256 } = &expected[name];
        let list = what.tensors().unwrap();
        assert_eq!(list.len(), *tensors, "{name}");
        let count: u64 = list.values().map(|shape| shape.iter().map(|side| *side as u64).product::<u64>()).sum();
        assert_eq!(count, *numbers, "{name}");
        let lines: BTreeSet<String> = list.iter().map(|(name, shape)| format!("{name} {shape:?}\n")).collect();
        assert_eq!(hash(lines.iter().map(String::as_str)), *sha256, "{name}");
    }
}

fn hash<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    lines.for_each(|line| hasher.update(line));
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_original_name_goes_to_its_own_name_in_our_code_and_ours_stay() {
    for (model, what) in published() {
        let family = family(&what);
        let ours: Vec<String> = what.tensors().unwrap().into_keys().collect();
        let originals: BTreeSet<String> = ours.iter().map(|name| original(&what, name)).collect();
        assert_eq!(originals.len(), ours.len(), "{model}");
        assert_eq!(Family::of(originals.iter().map(String::as_str)), Some(family), "{model}");
        assert_eq!(Family::of(ours.iter().map(String::as_str)), Some(family), "{model}");
        for name in &ours {
            for spelling in [name, &original(&what, name)] {
                assert_eq!(family.target(spelling), Target::Whole(name.clone()), "{model}: {spelling}");
            }
        }
    }
}

#[test]
fn names_of_known_files_are_read() {
    for (family, theirs, ours) in [
        (Family::Transformer, "blocks.7.block.self_attn.norm_q.weight", "blocks.7.attn1.norm_q.weight"),
        (Family::Transformer, "vace_blocks.0.before_proj.bias", "vace_blocks.0.proj_in.bias"),
        (Family::Transformer, "blocks.12.norm3.weight", "blocks.12.norm2.weight"),
        (Family::Transformer, "img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
        (Family::Transformer, "head.modulation", "scale_shift_table"),
        (Family::Transformer, "blocks.x.modulation", "blocks.x.modulation"),
        (Family::Vae, "decoder.upsamples.7.time_conv.weight", "decoder.up_blocks.1.upsamplers.0.time_conv.weight"),
        (Family::Vae, "decoder.upsamples.4.shortcut.bias", "decoder.up_blocks.1.resnets.0.conv_shortcut.bias"),
        (Family::Vae, "encoder.downsamples.10.residual.6.bias", "encoder.down_blocks.10.conv2.bias"),
        (Family::TextEncoder, "blocks.3.ffn.gate.0.weight", "encoder.block.3.layer.1.DenseReluDense.wi_0.weight"),
        (Family::ClipVision, "vision_model.pre_layrnorm.bias", "pre_layrnorm.bias"),
        (Family::ClipVision, "visual.transformer.31.mlp.2.weight", "encoder.layers.31.mlp.fc2.weight"),
    ] {
        assert_eq!(family.target(theirs), Target::Whole(ours.into()), "{theirs}");
    }
    let rows = ["q", "k", "v"].map(|part| format!("encoder.layers.4.self_attn.{part}_proj.bias"));
    assert_eq!(Family::ClipVision.target("visual.transformer.4.attn.to_qkv.bias"), Target::Rows(rows));
    for (family, name) in [
        (Family::Transformer, "blocks.0.attn2.norm_added_q.weight"),
        (Family::TextEncoder, "spiece_model"),
        (Family::ClipVision, "textual.model.embeddings.word_embeddings.weight"),
        (Family::ClipVision, "visual_projection.weight"),
    ] {
        assert_eq!(family.target(name), Target::Unused, "{name}");
    }
}
