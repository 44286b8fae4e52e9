//! What a checkpoint is, told from its header.

use super::*;

fn all_kinds() -> Vec<ModelKind> {
    let image = |positions| Some(ImageEmbedder { dim: 8, positions, keys: true });
    vec![
        ModelKind::Transformer(small()),
        ModelKind::Transformer(small_vace()),
        ModelKind::Transformer(Transformer { in_channels: 36, ..small() }),
        ModelKind::Transformer(Transformer { in_channels: 36, image: image(None), ..small() }),
        ModelKind::Transformer(Transformer { in_channels: 36, image: image(Some(10)), ..small() }),
        ModelKind::Transformer(Transformer { in_channels: 48, out_channels: 48, ..small() }),
        ModelKind::VaceModule(VaceModule { dim: 128, ffn: 8, blocks: 3, in_channels: 96 }),
        ModelKind::Vae(small_vae(VaeGeneration::Wan21)),
        ModelKind::Vae(small_vae(VaeGeneration::Wan22)),
        ModelKind::TextEncoder(small_text()),
        ModelKind::ClipVision(small_clip()),
    ]
}

#[test]
fn every_kind_is_known_in_every_naming_whatever_the_file_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sd_xl_base_1.0.safetensors");
    for what in all_kinds() {
        for (made, naming) in [
            (ours(&what), None),
            (originals(&what, ""), Some("original")),
            (originals(&what, "model.diffusion_model."), Some("original")),
            (originals(&what, "diffusion_model."), Some("original")),
        ] {
            write(&path, &made);
            let checkpoint = open(&path).unwrap();
            let survey = checkpoint.survey().unwrap();
            assert!(survey.problems.is_empty(), "{:?}", survey.problems);
            assert_eq!(survey.what, what);
            assert_eq!(survey.tensors, made.len());
            if let Some(naming) = naming.filter(|_| !matches!(what, ModelKind::ClipVision(_))) {
                assert_eq!(survey.naming, Some(naming));
            }
        }
    }
}

#[test]
fn published_sizes_are_called_by_their_names() {
    let names: Vec<String> = names::tests::published().iter().map(|(_, what)| what.name()).collect();
    let expected = [
        "Wan 2.1 T2V 1.3B",
        "Wan 2.1 T2V 14B or an expert of Wan 2.2 T2V A14B",
        "Wan 2.1 VACE 1.3B",
        "Wan 2.1 VACE 14B or an expert of Wan 2.2 VACE-Fun A14B",
        "Wan 2.1 I2V 14B",
        "Wan 2.1 FLF2V 14B",
        "an expert of Wan 2.2 I2V A14B",
        "Wan 2.2 TI2V 5B",
        "the Wan 2.1 VAE",
        "the Wan 2.2 VAE",
        "the umT5-XXL encoder",
        "the image half of CLIP ViT-H/14",
    ];
    assert_eq!(names, expected);
}

#[test]
fn tensors_that_are_missing_misshapen_or_too_many_are_named_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let what = ModelKind::Transformer(small());
    let with = |change: &dyn Fn(&mut Vec<TensorEntry>)| {
        let mut made = originals(&what, "diffusion_model.");
        change(&mut made);
        write(&path, &made);
        let (_, problems) = open(&path).unwrap().check().unwrap();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let q = "diffusion_model.blocks.1.self_attn.q.weight";
    let place = open(&write(&path, &ours(&what))).unwrap();
    let file = name(place.path());
    assert_eq!(
        with(&|made| made.retain(|(name, ..)| name != q)),
        [format!("tensor `blocks.1.attn1.to_q.weight` is missing from {file}")]
    );
    let replace = |made: &mut Vec<TensorEntry>, new: TensorEntry| {
        made.retain(|(name, ..)| *name != new.0);
        made.push(new);
    };
    assert_eq!(
        with(&|made| replace(made, zeros(q, Stored::F16, &[128, 64]))),
        [format!("tensor `{q}` in {file} has shape [128, 64], expected [128, 128]")]
    );
    assert_eq!(
        with(&|made| replace(made, zeros(q, Stored::I8, &[128, 128]))),
        [format!("tensor `{q}` in {file} is packed as i8, which wanctl cannot read")]
    );
    let stranger = "diffusion_model.ref_conv.weight";
    assert_eq!(
        with(&|made| made.push(zeros(stranger, Stored::F16, &[1]))),
        [format!("tensor `{stranger}` in {file} belongs to no model that wanctl knows")]
    );
    // A number that is named by no tensor must not become a loop without end.
    let far = format!("blocks.{}.scale_shift_table", u64::MAX);
    assert_eq!(with(&|made| made.push(zeros(far.clone(), Stored::F16, &[1]))).len(), 1);
}

#[test]
fn an_absurd_block_number_is_a_stranger_and_not_a_loop_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let mut made = ours(&ModelKind::Transformer(small()));
    made.push(zeros("blocks.4000000000.scale_shift_table", Stored::F16, &[1]));
    write(&path, &made);
    let (what, problems) = open(&path).unwrap().check().unwrap();
    assert_eq!(what, ModelKind::Transformer(small()));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("`blocks.4000000000.scale_shift_table`"));
}

#[test]
fn heads_come_from_the_config_beside_the_file_and_else_from_the_width() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let narrow = Transformer { dim: 32, heads: 2, head_dim: 16, ..small_vace() };
    write(&path, &ours(&ModelKind::Transformer(narrow.clone())));
    assert!(refusal(&path).ends_with("does not say how many heads it has: its width 32 is no multiple of 128"));
    let config = folder.path().join("config.json");
    for heads in ["num_attention_heads", "num_heads"] {
        std::fs::write(&config, serde_json::json!({ heads: 2 }).to_string()).unwrap();
        assert_eq!(open(&path).unwrap().what().unwrap(), ModelKind::Transformer(narrow.clone()));
    }
    std::fs::write(&config, r#"{"num_heads": 2, "vace_layers": [0, 3]}"#).unwrap();
    let vace = Some(Vace { layers: vec![0, 3], in_channels: 96 });
    assert_eq!(open(&path).unwrap().what().unwrap(), ModelKind::Transformer(Transformer { vace, ..narrow }));
    // Of another model: not believed.
    std::fs::write(&config, r#"{"num_heads": 5, "vace_layers": [0, 1, 2]}"#).unwrap();
    assert!(refusal(&path).contains("how many heads"));
}

#[test]
fn a_vaes_latents_are_as_its_config_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let vae = small_vae(VaeGeneration::Wan21);
    write(&path, &ours(&ModelKind::Vae(vae.clone())));
    assert_eq!(open(&path).unwrap().what().unwrap(), ModelKind::Vae(vae.clone()));
    let (mean, std) = (vec![0.25; 16], vec![2.0; 16]);
    let config = serde_json::json!({ "latents_mean": mean, "latents_std": std });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let said = Vae { mean: Some(mean), std: Some(std), ..vae };
    assert_eq!(open(&path).unwrap().what().unwrap(), ModelKind::Vae(said));
}

#[test]
fn a_checkpoint_of_another_architecture_is_called_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wan2.1_vace_14B.safetensors");
    for (names, words) in [
        (&["double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight"][..], "Flux or HunyuanVideo"),
        (&["model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.out.2.weight"], "UNet of Stable"),
        (&["transformer_blocks.0.attn1.to_q.weight", "patchify_proj.weight"], "LTX-Video"),
        (&["encoder.down.0.block.0.conv1.weight", "decoder.up.0.block.0.conv1.weight"], "a VAE of Stable Diffusion"),
        (
            &["encoder.conv_in.weight", "encoder.down_blocks.0.resnets.0.conv1.weight", "encoder.conv_norm_out.weight"],
            "a VAE of Stable Diffusion",
        ),
        (
            &[
                "shared.weight",
                "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                "encoder.block.1.layer.0.SelfAttention.q.weight",
            ],
            "a T5 encoder, not umT5",
        ),
        (&["text_model.encoder.layers.0.mlp.fc1.weight"], "the text half of CLIP"),
        (&["model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight"], "a language model"),
        (&["block0.conv0.0.0.weight"], "a RIFE network"),
    ] {
        let made: Vec<TensorEntry> = names.iter().map(|name| zeros(*name, Stored::F16, &[1])).collect();
        write(&path, &made);
        let what = open(&path).unwrap().what().unwrap();
        assert!(matches!(what, ModelKind::Foreign { .. }) && what.name().contains(words), "{names:?}: {}", what.name());
    }
    write(&path, &[zeros("something", Stored::F16, &[1])]);
    assert_eq!(open(&path).unwrap().what().unwrap(), ModelKind::Unknown { tensors: vec!["something".into()] });
}

#[test]
fn packed_weights_and_scales_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let weight = zeros("blocks.0.ffn.0.weight", Stored::F8_E4M3, &[4, 6]);
    let beside = |name: &str| format!("blocks.0.ffn.0.{name}");
    let words = |json: &str| (beside("comfy_quant"), Stored::U8, vec![json.len()], json.as_bytes().to_vec());
    for (other, said) in [
        (words(r#"{"format": "nvfp4"}"#), "`blocks.0.ffn.0.weight` in F is packed as nvfp4, which"),
        (words("junk"), "`blocks.0.ffn.0.weight` in F is packed as something it does not name"),
        (floats(beside("weight_scale"), &[2, 3], &[1.0; 6]), "has shape [2, 3], expected [] or [4, 1] of floats"),
        (floats(beside("scale_weight"), &[3], &[1.0; 3]), "has shape [3], expected [] or [4, 1] of floats"),
        (zeros(beside("scale_weight"), Stored::I64, &[1]), "has shape [1], expected [] or [4, 1] of floats"),
    ] {
        write(&path, &[weight.clone(), other]);
        let error = open(&path).unwrap_err().to_string().replace(&name(&path), "F");
        assert!(error.contains(said), "{said} in {error}");
    }
    let metadata = r#"{"layers": {"blocks.0.ffn.0": {"format": "mxfp8"}}}"#;
    write_with(&path, std::slice::from_ref(&weight), &[("_quantization_metadata", metadata)]);
    assert!(open(&path).unwrap_err().to_string().contains("is packed as mxfp8"));
    let metadata = metadata.replace("mxfp8", "float8_e4m3fn");
    let scale = zeros(beside("weight_scale"), Stored::F16, &[4]);
    write_with(&path, &[weight.clone(), scale], &[("_quantization_metadata", &metadata)]);
    let checkpoint = open(&path).unwrap();
    assert_eq!(checkpoint.entry("blocks.0.ffn.net.0.proj.weight").unwrap().scale, Some(&[0.0; 4][..]));
    assert_eq!(checkpoint.names().count(), 1);
    // A scale of nothing is a tensor that nobody asks for.
    write(&path, &[floats(beside("scale_weight"), &[], &[1.0])]);
    assert_eq!(open(&path).unwrap().names().collect::<Vec<_>>(), ["blocks.0.ffn.net.0.proj.scale_weight"]);
}

#[test]
fn scales_of_16_bits_are_read_as_numbers() {
    let bits = |values: &[u16]| values.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>();
    let halves = bits(&[0x3c00, 0xc000, 0x0001, 0x7bff, 0x0400, 0x0000]);
    let expected = [1.0, -2.0, 2_f32.powi(-24), 65504.0, 2_f32.powi(-14), 0.0];
    assert_eq!(Dtype::F16.floats(&halves).unwrap(), expected);
    assert_eq!(Dtype::Bf16.floats(&bits(&[0x3f80, 0xc000, 0x0000])).unwrap(), [1.0, -2.0, 0.0]);
    assert_eq!(Dtype::F64.floats(&1.5_f64.to_le_bytes()).unwrap(), [1.5]);
    assert_eq!(Dtype::I8.floats(&[1]), None);
}
