//! LoRAs in every form that people publish.

use super::*;

fn lora_of(made: &[Made]) -> Lora {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder.path().join("lora.safetensors"), made);
    match open(&path).unwrap().what().unwrap() {
        What::Lora(lora) => lora,
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
