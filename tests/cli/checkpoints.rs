//! `inspect` of weights, and joins with weights that cannot be used: said before any work, by file and tensor.

use std::{
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

use super::harness::Room;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan").join(name)
}

/// A room with the tiny model in its folder `tiny`, to be taken apart, and the pickles.
fn room() -> Room {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_dir() { copy(&from, &to) } else { fs::write(to, fs::read(from).unwrap()).unwrap() }
        }
    }
    let room = Room::new();
    for name in ["tiny", "pickles"] {
        copy(&fixture(name), &room.path(name));
    }
    room
}

fn write(path: &Path, names: &[(&str, &[usize])]) {
    let bytes = vec![0; 2 << 20];
    let views = names.iter().map(|(name, shape)| {
        (*name, TensorView::new(Dtype::F16, shape.to_vec(), &bytes[..2 * shape.iter().product::<usize>()]).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_model_folder_is_told_part_by_part() {
    let room = room();
    let run = room.run("inspect tiny").good();
    for words in [
        "tiny\n",
        "high      a Wan transformer with VACE of width 128",
        "75 f16, 1.14 MB: transformer/diffusion_pytorch_model.safetensors",
        "low       a Wan transformer with VACE",
        "vae       the Wan 2.1 VAE, 194 bf16",
        "text      a umT5 encoder, 22 bf16",
        "tokenizer tokenizer/tokenizer.json",
        "boundary  0.875",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    assert_eq!(run.stderr, "");
    let event = room.run("inspect tiny --json").good().event("model");
    assert_eq!((&event["path"], &event["files"]["boundary"]), (&json!("tiny"), &json!(0.875)));
    assert_eq!(event["files"]["transformer"]["vace"], json!({ "layers": [0], "in_channels": 96 }));
    assert_eq!(event["parts"]["low"]["dtypes"], json!({ "f16": 75 }));

    fs::remove_dir_all(room.path("tiny/transformer_2")).unwrap();
    fs::remove_file(room.path("tiny/tokenizer/tokenizer.json")).unwrap();
    let run = room.run("inspect tiny").fails(3);
    let words = "problem the model is not whole: the low-noise expert and the tokenizer are missing";
    assert!(run.stdout.contains(words), "{}", run.stdout);
}

#[test]
fn single_files_are_told_whatever_their_names_say() {
    let room = room();
    fs::copy(room.path("pickles/vae.pth"), room.path("flux.pt")).unwrap();
    fs::copy(room.path("tiny/transformer/diffusion_pytorch_model.safetensors"), room.path("vae")).unwrap();
    let run = room.run("inspect flux.pt vae tiny/text_encoder").good();
    for words in [
        "flux.pt\n  what      the Wan 2.1 VAE\n",
        "naming    original",
        "vae\n  what      a Wan transformer with VACE",
        "1 VACE blocks",
        "naming    diffusers",
        "text_encoder\n  what      a umT5 encoder\n",
        "naming    huggingface",
        "file      52.37 kB in 1 file",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    assert!(!run.stdout.contains("joined"));
    let events = room.run("inspect flux.pt vae --json").good().events();
    let facts = |index: usize| {
        let event = &events[index];
        (event["type"].clone(), event["path"].clone(), event["what"]["kind"].clone(), event["problems"].clone())
    };
    assert_eq!(facts(0), (json!("checkpoint"), json!("flux.pt"), json!("vae"), json!([])));
    assert_eq!(facts(1), (json!("checkpoint"), json!("vae"), json!("transformer"), json!([])));
}

#[test]
fn a_loras_form_rank_and_problems_are_told() {
    let room = Room::new();
    let (down, up) = ("blocks.0.self_attn.q.lora_down.weight", "blocks.0.self_attn.q.lora_up.weight");
    let prefixed = |name: &str| format!("diffusion_model.{name}");
    write(&room.path("a.safetensors"), &[(&prefixed(down), &[64, 5120]), (&prefixed(up), &[5120, 64])]);
    let run = room.run("inspect a.safetensors").good();
    for words in [
        "what      a LoRA\n",
        "form      Comfy (diffusion_model.)",
        "modules   1: rank 64 in 1, no alpha",
        "for       Wan 14B, 1 blocks or more",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
    let event = room.run("inspect a.safetensors --json").good().event("checkpoint");
    let what = &event["what"];
    assert_eq!((&what["form"], &what["ranks"], &what["dim"]), (&json!("comfy"), &json!({ "64": 1 }), &json!(5120)));

    write(&room.path("b.safetensors"), &[("lora_unet_blocks_0_ffn_0.lokr_w1", &[2, 2]), ("elsewhere.diff", &[2])]);
    let run = room.run("inspect b.safetensors").fails(3);
    for words in [
        "b.safetensors is a LoKr, which wanctl cannot apply",
        "b.safetensors has 1 tensor that the model has no place for: `elsewhere.diff`",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
}

#[test]
fn broken_foreign_and_malicious_files_are_exit_3_and_nothing_runs() {
    let room = room();
    let whole = fs::read(room.path("tiny/vae/diffusion_pytorch_model.safetensors")).unwrap();
    fs::write(room.path("short.safetensors"), &whole[..whole.len() - 1]).unwrap();
    fs::write(room.path("absurd.safetensors"), [&[0xff; 8], &whole[8..]].concat()).unwrap();
    fs::write(room.path("note.safetensors"), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    fs::write(room.path("model.gguf"), "GGUF and so on").unwrap();
    write(&room.path("flux.safetensors"), &[("double_blocks.0.img_attn.qkv.weight", &[2])]);
    for (file, words) in [
        ("short.safetensors", "problem short.safetensors is cut short: `"),
        ("absurd.safetensors", "problem absurd.safetensors is no safetensors file: its header would be"),
        ("note.safetensors", "is only a note of Git LFS, not the file"),
        ("model.gguf", "is a GGUF file, which wanctl cannot read"),
        ("flux.safetensors", "is a transformer of Flux or HunyuanVideo, wanted a Wan model"),
        ("pickles/evil_system.pth", "system`, which no checkpoint needs"),
        ("pickles/evil_eval.pth", "eval`, which no checkpoint needs"),
        ("pickles/evil_getattr.pth", "which no checkpoint needs"),
        ("pickles/evil_bare.pth", "is a bare pickle"),
        ("gone.safetensors", "cannot read gone.safetensors"),
    ] {
        let run = room.run(&format!("inspect {file}")).fails(3);
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
        assert!(!room.path("pickle-was-obeyed").exists());
    }
    let run = room.run("inspect pickles/evil_system.pth --json").fails(3);
    assert_eq!(run.event("problem")["problem"]["code"], "input");
}

#[test]
fn a_join_with_weights_that_cannot_be_used_is_exit_4_before_any_work() {
    let room = room();
    room.numbered("a.mp4", 20, 20, "16");
    room.numbered("b.mp4", 20, 20, "16");
    let at = |name: &str| room.path("tiny").join(name);
    let join = "join a.mp4 b.mp4 --engine wan";
    let transformer = "tiny/transformer/diffusion_pytorch_model.safetensors";
    let refused = |options: &str, words: &str| {
        room.run(&format!("{join} {options}")).fails(4).says(words).says("code    weights (exit 4)");
        assert!(!room.path("a_join_b.mp4").exists() && !room.path("pickle-was-obeyed").exists());
    };
    refused("--model tiny/vae", "the transformer, the text encoder and the tokenizer are missing");
    refused("--model tiny --model vae=tiny/text_encoder", "text_encoder is a umT5 encoder, wanted a Wan VAE");
    refused("--model tiny --model vae=pickles/evil_system.pth", "system`, which no checkpoint needs");
    refused("--model tiny --model high=tiny/vae", "vae is the Wan 2.1 VAE, wanted a Wan transformer");

    let whole = fs::read(room.path(transformer)).unwrap();
    fs::write(room.path(transformer), &whole[..whole.len() / 2]).unwrap();
    refused("--model tiny", "diffusion_pytorch_model.safetensors is cut short");
    // The header is text: another letter is another tensor.
    let text = String::from_utf8_lossy(&whole[8..]).find("blocks.0.attn1.to_q.weight").unwrap();
    let mut renamed = whole.clone();
    renamed[8 + text] = b'x';
    fs::write(room.path(transformer), &renamed).unwrap();
    refused("--model tiny", "tensor `blocks.0.attn1.to_q.weight` is missing from transformer/diffusion_pytorch");
    fs::write(room.path(transformer), &whole).unwrap();

    fs::remove_file(at("tokenizer/tokenizer.json")).unwrap();
    refused("--model tiny", "the tokenizer is missing");
    fs::remove_dir_all(at("text_encoder")).unwrap();
    fs::remove_dir_all(at("vae")).unwrap();
    fs::remove_dir_all(at("transformer_2")).unwrap();
    refused("--model tiny", "the low-noise expert, the VAE, the text encoder and the tokenizer are missing");
}

/// What only reading the numbers shows.
#[cfg(feature = "torch")]
#[test]
fn weights_that_are_no_numbers_are_exit_4_and_named() {
    let room = room();
    room.numbered("a.mp4", 20, 20, "16");
    room.numbered("b.mp4", 20, 20, "16");
    let path = room.path("tiny/vae/diffusion_pytorch_model.safetensors");
    let mut whole = fs::read(&path).unwrap();
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&whole).unwrap();
    let start = 8 + header + metadata.info("encoder.conv_in.weight").unwrap().data_offsets.0;
    // The first f16 or bf16 becomes one that is no number.
    whole[start..start + 2].copy_from_slice(&[0xff, 0x7f]);
    fs::write(&path, whole).unwrap();
    let run =
        room.run("join a.mp4 b.mp4 --engine wan --device cpu --model tiny --steps 1 --gap 4 --context 4").fails(4);
    run.says("`encoder.conv_in.weight`").says("vae/diffusion_pytorch_model.safetensors");
    assert!(!room.path("a_join_b.mp4").exists());
}
