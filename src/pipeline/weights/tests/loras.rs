//! LoRAs in every form that people publish.

use super::*;
use crate::pipeline::types::error::{ErrorCode, Reportable};

fn lora_of(made: &[TensorEntry]) -> Lora {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder.path().join("lora.safetensors"), made);
    match open(&path).unwrap().what().unwrap() {
        ModelKind::Lora(lora) => lora,
        what => panic!("{}", what.name()),
    }
}

#[test]
fn every_form_is_known_by_its_names() {
    let pair = |down: &str, up: &str| vec![zeros(down, Stored::F16, &[4, 128]), zeros(up, Stored::BF16, &[128, 4])];
    for (form, made) in [
        (
            Form::Comfy,
            pair(
                "diffusion_model.blocks.3.self_attn.q.lora_A.weight",
                "diffusion_model.blocks.3.self_attn.q.lora_B.weight",
            ),
        ),
        (
            Form::Comfy,
            pair(
                "diffusion_model.blocks.3.self_attn.q.lora_down.weight",
                "diffusion_model.blocks.3.self_attn.q.lora_up.weight",
            ),
        ),
        (
            Form::Diffusers,
            pair(
                "transformer.blocks.3.attn1.to_q.lora_A.default.weight",
                "transformer.blocks.3.attn1.to_q.lora_B.default.weight",
            ),
        ),
        (
            Form::Diffusers,
            pair("transformer_2.blocks.3.attn1.to_q.lora_A.weight", "transformer_2.blocks.3.attn1.to_q.lora_B.weight"),
        ),
        (
            Form::Kohya,
            pair("lora_unet_blocks_3_self_attn_q.lora_down.weight", "lora_unet_blocks_3_self_attn_q.lora_up.weight"),
        ),
        (
            Form::Kohya,
            pair("lora_unet__blocks_3_self_attn_q.lora_down.weight", "lora_unet__blocks_3_self_attn_q.lora_up.weight"),
        ),
        (Form::Bare, pair("blocks.3.self_attn.q.lora.down.weight", "blocks.3.self_attn.q.lora.up.weight")),
        (Form::Bare, pair("blocks.3.attn1.to_q_lora.down.weight", "blocks.3.attn1.to_q_lora.up.weight")),
    ] {
        let lora = lora_of(&made);
        assert_eq!((lora.form, lora.modules, lora.dim, lora.blocks), (form, 1, Some(128), 4), "{}", made[0].0);
        assert_eq!(lora.ranks, BTreeMap::from([(4, 1)]));
        assert!(lora.unknown.is_empty() && lora.refused.is_empty() && !lora.alpha && !lora.vace && !lora.image);
    }
}

#[test]
fn alphas_differences_and_what_a_lora_is_for_are_told() {
    let at = |name: &str| format!("diffusion_model.{name}");
    let lora = lora_of(&[
        zeros(at("blocks.0.ffn.0.lora_down.weight"), Stored::F16, &[8, 128]),
        zeros(at("blocks.0.ffn.0.lora_up.weight"), Stored::F16, &[16, 8]),
        zeros(at("blocks.0.ffn.0.alpha"), Stored::F32, &[]),
        zeros(at("blocks.0.ffn.0.diff_b"), Stored::F16, &[16]),
        zeros(at("blocks.0.norm3.diff"), Stored::F16, &[128]),
        zeros(at("blocks.1.cross_attn.k_img.lora_down.weight"), Stored::F16, &[4, 128]),
        zeros(at("vace_blocks.0.after_proj.lora_down.weight"), Stored::F16, &[4, 128]),
        zeros(at("head.head.diff"), Stored::F16, &[64, 128]),
        zeros(at("nowhere.lora_down.weight"), Stored::F16, &[4, 128]),
        zeros("stranger", Stored::F16, &[4]),
    ]);
    assert_eq!((lora.modules, lora.blocks, lora.differences), (5, 2, 3));
    assert_eq!(lora.ranks, BTreeMap::from([(8, 1), (4, 2)]));
    assert!(lora.alpha && lora.vace && lora.image);
    assert_eq!(lora.unknown, ["diffusion_model.nowhere.lora_down.weight", "stranger"]);
}

#[test]
fn adapters_of_other_kinds_are_named() {
    for (ending, kind) in [
        ("dora_scale", "DoRA"),
        ("lora_magnitude_vector", "DoRA"),
        ("lokr_w1", "LoKr"),
        ("lokr_w2_a", "LoKr"),
        ("hada_w1_a", "LoHa"),
        ("lora_mid.weight", "LoCon with a middle"),
        ("oft_blocks", "OFT"),
    ] {
        let lora = lora_of(&[zeros(format!("lora_unet_blocks_0_ffn_0.{ending}"), Stored::F16, &[2, 2])]);
        assert_eq!(lora.refused.into_iter().collect::<Vec<_>>(), [kind], "{ending}");
        assert!(lora.unknown.is_empty(), "{ending}");
    }
}

fn lora_file() -> PathBuf {
    "mine/lora.safetensors".into()
}

fn fit(made: &[TensorEntry], transformer: &Transformer) -> Result<Fit, CheckpointError> {
    lora_of(made).fits(&lora_file(), transformer)
}

/// With everything that any transformer has.
fn everything() -> Transformer {
    Transformer { image: Some(ImageEmbedder { dim: 6, positions: Some(4), keys: true }), ..small_vace() }
}

/// A low-rank pair for a weight of this shape; rank 2.
fn pair(module: &str, [down, up]: [&str; 2], shape: &[usize]) -> [TensorEntry; 2] {
    let inputs = shape[1..].iter().product();
    [
        zeros(format!("{module}{down}"), Stored::F16, &[2, inputs]),
        zeros(format!("{module}{up}"), Stored::F16, &[shape[0], 2]),
    ]
}

/// Every tensor there is, by every form's name for it: as a pair where it is a product's weight, and whole.
#[test]
fn every_tensor_of_a_transformer_can_be_changed_in_every_form() {
    const AB: [&str; 2] = [".lora_A.weight", ".lora_B.weight"];
    const KOHYA: [&str; 2] = [".lora_down.weight", ".lora_up.weight"];
    let what = ModelKind::Transformer(everything());
    let spell = |name: &str, form: Form| match form {
        Form::Comfy => format!("diffusion_model.{}", original(&what, name)),
        Form::Diffusers => format!("transformer.{name}"),
        Form::Kohya => format!("lora_unet_{}", original(&what, name).replace('.', "_")),
        Form::Bare => name.to_owned(),
    };
    for (tensor, shape) in what.tensors().unwrap() {
        let module = tensor.trim_end_matches(".weight").trim_end_matches(".bias");
        for form in [Form::Comfy, Form::Diffusers, Form::Kohya, Form::Bare] {
            let weight = tensor.ends_with(".weight");
            // The last dot goes with the tensor's own word.
            let at = match tensor == module {
                true => spell(module, form),
                false => spell(&format!("{module}.weight"), form),
            };
            let at = at.trim_end_matches(".weight").trim_end_matches("_weight");
            let ending = if tensor.ends_with(".bias") { ".diff_b" } else { ".diff" };
            let whole = fit(&[zeros(format!("{at}{ending}"), Stored::F16, &shape)], &everything()).unwrap();
            assert_eq!(whole.deltas.keys().collect::<Vec<_>>(), [&tensor], "{at}{ending}");
            assert!(whole.deltas[&tensor].whole.is_some() && whole.deltas[&tensor].pair.is_none());
            if weight && shape.len() > 1 {
                let words = if form == Form::Kohya { KOHYA } else { AB };
                let low = fit(&pair(at, words, &shape), &everything()).unwrap();
                assert_eq!(low.deltas.keys().collect::<Vec<_>>(), [&tensor], "{at}");
                let pair = low.deltas[&tensor].pair.clone().unwrap();
                assert_eq!((pair.down.shape[0], pair.scale), (2, 1.0));
                assert!(low.varies(&lora_file()).is_ok(), "{tensor}");
            }
            // A product's weight and bias can stand beside it; nothing else can.
            let product = shape.len() > 1 && weight || tensor.ends_with(".bias") && !tensor.contains("norm");
            assert_eq!(whole.varies(&lora_file()).is_ok(), product, "{tensor}");
        }
    }
}

#[test]
fn a_modulation_is_changed_by_its_blocks_name() {
    for (name, tensor, shape) in [
        ("diffusion_model.blocks.1.diff_m", "blocks.1.scale_shift_table", [1, 6, 128]),
        ("lora_unet_vace_blocks_0.diff_m", "vace_blocks.0.scale_shift_table", [1, 6, 128]),
        ("diffusion_model.head.diff_m", "scale_shift_table", [1, 2, 128]),
        ("lora_unet_head.diff_m", "scale_shift_table", [1, 2, 128]),
    ] {
        let found = fit(&[zeros(name, Stored::F16, &shape)], &everything()).unwrap();
        assert_eq!(found.deltas.keys().collect::<Vec<_>>(), [tensor], "{name}");
        let error = found.varies(&lora_file()).unwrap_err();
        let words = format!(
            "mine/lora.safetensors cannot change its strength from step to step: it adds to norms and modulation, `{name}`"
        );
        assert_eq!(error.to_string(), words);
    }
}

const AT: &str = "diffusion_model.blocks.0.self_attn.q";

fn q_pair() -> Vec<TensorEntry> {
    pair(AT, [".lora_down.weight", ".lora_up.weight"], &[128, 128]).to_vec()
}

#[test]
fn alpha_is_over_the_rank_and_an_absent_one_is_the_rank() {
    let scale = |alpha: TensorEntry| {
        let found = fit(&[q_pair(), vec![alpha]].concat(), &small())?;
        Ok::<_, CheckpointError>(found.deltas["blocks.0.attn1.to_q.weight"].pair.as_ref().unwrap().scale)
    };
    let alpha = |shape: &[usize], value: f32| floats(format!("{AT}.alpha"), shape, &[value]);
    assert_eq!(scale(alpha(&[], 1.0)).unwrap(), 0.5);
    assert_eq!(scale(alpha(&[1], 4.0)).unwrap(), 2.0);
    let nothing: TensorEntry = (format!("{AT}.diff_b"), Stored::F16, vec![128], vec![0; 256]);
    assert_eq!(scale(nothing).unwrap(), 1.0);
    for (alpha, found) in [(alpha(&[], 0.0), "0"), (alpha(&[], f32::NAN), "NaN"), (alpha(&[], f32::INFINITY), "inf")] {
        let error = scale(alpha).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("tensor `{AT}.alpha` in mine/lora.safetensors is {found}, and no LoRA is that strong")
        );
        assert_eq!(error.code(), ErrorCode::Weights);
        assert!(error.details().help.unwrap().contains("--lora PATH=W"));
    }
}

#[test]
fn what_cannot_be_applied_is_named_with_what_was_expected() {
    let at = |name: &str| format!("diffusion_model.{name}");
    let q = |down: &[usize], up: &[usize]| {
        vec![
            zeros(format!("{AT}.lora_down.weight"), Stored::F16, down),
            zeros(format!("{AT}.lora_up.weight"), Stored::F16, up),
        ]
    };
    let in_block = |block: usize| {
        pair(&at(&format!("blocks.{block}.ffn.2")), [".lora_A.weight", ".lora_B.weight"], &[128, 8]).to_vec()
    };
    let vace = pair(&at("vace_blocks.1.after_proj"), [".lora_A.weight", ".lora_B.weight"], &[128, 128]).to_vec();
    let file = "mine/lora.safetensors";
    let plain = "a Wan transformer of width 128 with 2 blocks and 16 input channels";
    for (made, words) in [
        (
            q(&[2, 64], &[64, 2]),
            format!(
                "{file} is made for a Wan transformer of width 64, 1 blocks or more, and the transformer is {plain}"
            ),
        ),
        (
            in_block(4),
            format!("{file} is made for a Wan transformer, 5 blocks or more, and the transformer is {plain}"),
        ),
        (vace, format!("{file} is made for a Wan transformer, with VACE, and the transformer is {plain}")),
        (
            q(&[2, 128], &[64, 2]),
            format!(
                "tensor `{AT}.lora_up.weight` in {file} has shape [64, 2], expected [128, 2], for a weight of [128, 128]"
            ),
        ),
        (
            q(&[2, 128], &[128, 3]),
            format!(
                "tensor `{AT}.lora_down.weight` in {file} has shape [2, 128], expected rank 3 of `{AT}.lora_up.weight`"
            ),
        ),
        (
            q(&[0, 128], &[128, 0]),
            format!(
                "tensor `{AT}.lora_down.weight` in {file} has shape [0, 128], expected rank 0 of `{AT}.lora_up.weight`"
            ),
        ),
        (
            vec![zeros(at("blocks.0.ffn.0.diff_b"), Stored::F16, &[9])],
            format!("tensor `{}` in {file} has shape [9], expected [8]", at("blocks.0.ffn.0.diff_b")),
        ),
        (
            q(&[2, 128], &[128, 2])[..1].to_vec(),
            format!("tensor `{AT}.lora_down.weight` in {file} is one half of a pair, and the other is missing"),
        ),
        (
            vec![floats(format!("{AT}.alpha"), &[], &[1.0]), zeros(format!("{AT}.diff_b"), Stored::F16, &[128])],
            format!("tensor `{AT}.alpha` in {file} is one half of a pair, and the other is missing"),
        ),
        (
            (0..6).map(|index| zeros(format!("lora_te_{index}.lora_down.weight"), Stored::F16, &[2, 2])).collect(),
            format!(
                "{file} has 6 tensors that the model has no place for: `lora_te_0.lora_down.weight`, \
                 `lora_te_1.lora_down.weight`, `lora_te_2.lora_down.weight`, `lora_te_3.lora_down.weight` and 2 more"
            ),
        ),
        (
            [q_pair(), vec![zeros(format!("{AT}.dora_scale"), Stored::F16, &[128, 1])]].concat(),
            format!("{file} is a DoRA, which wanctl cannot apply"),
        ),
        (
            vec![
                zeros("transformer.blocks.0.attn1.to_q.diff_b", Stored::F16, &[128]),
                zeros("transformer_2.blocks.0.attn1.to_q.diff_b", Stored::F16, &[128]),
            ],
            format!(
                "tensor `transformer_2.blocks.0.attn1.to_q.diff_b` stands twice in {file}, also as \
                 `transformer.blocks.0.attn1.to_q.diff_b`"
            ),
        ),
    ] {
        let error = fit(&made, &small()).unwrap_err();
        assert_eq!(error.to_string(), words);
        assert_eq!((error.code(), error.details().file), (ErrorCode::Weights, Some(lora_file())));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder.path().join("vae.safetensors"), &ours(&ModelKind::Vae(small_vae(VaeGeneration::Wan21))));
    let error = Fit::open(&path, &small()).unwrap_err().to_string();
    assert!(error.ends_with("vae.safetensors is the Wan 2.1 VAE, wanted a LoRA for a Wan transformer"), "{error}");
}

#[test]
fn what_is_for_an_image_that_the_model_is_not_shown_is_dropped_and_told() {
    let at = |name: &str| format!("diffusion_model.{name}");
    let made = [
        q_pair(),
        pair(&at("blocks.0.cross_attn.k_img"), [".lora_down.weight", ".lora_up.weight"], &[128, 128]).to_vec(),
        vec![
            zeros(at("blocks.0.cross_attn.norm_k_img.diff"), Stored::F16, &[128]),
            zeros(at("img_emb.proj.0.diff_b"), Stored::F16, &[6]),
            zeros(at("patch_embedding.diff"), Stored::F16, &[128, 36, 1, 2, 2]),
            zeros(at("patch_embedding.diff_b"), Stored::F16, &[128]),
        ],
    ]
    .concat();
    let found = fit(&made, &small()).unwrap();
    let names: Vec<_> = found.deltas.keys().collect();
    assert_eq!(names, ["blocks.0.attn1.to_q.weight", "patch_embedding.bias"]);
    let dropped: Vec<_> = found.dropped.iter().map(|dropped| dropped.tensors.len()).collect();
    assert_eq!(dropped, [4, 1]);
    // A pair of a convolution comes with all its sides.
    let conv = [
        zeros(at("patch_embedding.lora_A.weight"), Stored::F16, &[2, 36, 1, 2, 2]),
        zeros(at("patch_embedding.lora_B.weight"), Stored::F16, &[128, 2, 1, 1, 1]),
    ];
    assert_eq!(fit(&conv, &small()).unwrap().dropped[0].tensors.len(), 2);
    let images = Transformer { in_channels: 36, ..small() };
    assert!(fit(&conv, &images).unwrap().deltas["patch_embedding.weight"].pair.is_some());
    // Another kernel is no matter of channels.
    let other = [zeros(at("patch_embedding.diff"), Stored::F16, &[128, 36, 1, 1, 1])];
    assert!(matches!(fit(&other, &small()), Err(CheckpointError::LoraShape { .. })));
}

#[test]
fn the_settings_in_a_files_metadata_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lora.safetensors");
    let settings = r#"{"transformer.lora_alpha": 8, "transformer.r": 2}"#;
    write_with(&path, &q_pair(), &[("lora_adapter_metadata", settings)]);
    let (_, found) = Fit::open(&path, &small()).unwrap();
    assert_eq!(found.deltas["blocks.0.attn1.to_q.weight"].pair.as_ref().unwrap().scale, 4.0);
}
