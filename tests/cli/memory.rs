//! A model of published size in too little memory: said before any of it is loaded, with what would fit.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Map, Value, json};
use wanctl::pipeline::weights::{ModelKind, TextEncoder, Transformer, Vae, VaeGeneration};

use super::harness::Room;

/// Wan 2.2 I2V-A14B as it is published, in bf16: true headers, and holes where the numbers would be.
fn published(folder: &Path) {
    let transformer = ModelKind::Transformer(Transformer {
        dim: 5120,
        heads: 40,
        head_dim: 128,
        layers: 40,
        ffn: 13824,
        in_channels: 36,
        out_channels: 16,
        text_dim: 4096,
        freq_dim: 256,
        vace: None,
        image: None,
    });
    let vae = Vae {
        generation: VaeGeneration::Wan21,
        base_dim: 96,
        decoder_base_dim: 96,
        z_dim: 16,
        channels: 3,
        mean: None,
        std: None,
    };
    let text = TextEncoder { vocab: 256_384, dim: 4096, d_kv: 64, heads: 64, ff: 10_240, layers: 24, buckets: 32 };
    fs::create_dir(folder).unwrap();
    for (name, what) in [
        ("wan2.2_i2v_high_noise_14B_bf16.safetensors", &transformer),
        ("wan2.2_i2v_low_noise_14B_bf16.safetensors", &transformer),
        ("wan_2.1_vae.safetensors", &ModelKind::Vae(vae)),
        ("umt5_xxl_bf16.safetensors", &ModelKind::TextEncoder(text)),
    ] {
        let (mut header, mut end) = (Map::new(), 0);
        for (tensor, shape) in what.tensors().unwrap() {
            let start = end;
            end += 2 * shape.iter().product::<usize>();
            header.insert(tensor, json!({ "dtype": "BF16", "shape": shape, "data_offsets": [start, end] }));
        }
        let header = serde_json::to_vec(&Value::Object(header)).unwrap();
        let mut file = fs::File::create(folder.join(name)).unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(&header).unwrap();
        file.set_len((8 + header.len() + end) as u64).unwrap();
    }
    fs::write(folder.join("tokenizer.json"), "{}").unwrap();
}

/// The engine, with so many KiB to have.
fn limited(room: &Room, kibibytes: u64) -> PathBuf {
    let path = room.path("limited");
    let engine = env!("CARGO_BIN_EXE_wanctl-engine");
    fs::write(&path, format!("#!/bin/sh\nulimit -v {kibibytes}\nexec '{engine}' \"$@\"\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_limit_of_the_shell_is_memory_that_is_not_there() {
    let room = Room::new();
    let output = Command::new(limited(&room, 2_000_000)).arg("--devices").output().unwrap();
    let cpu: Value = serde_json::from_slice(output.stdout.split(|&byte| byte == b'\n').next().unwrap()).unwrap();
    assert_eq!((&cpu["name"], &cpu["memory_bytes"]), (&"cpu".into(), &2_048_000_000_u64.into()));
}

#[test]
fn a_model_that_a_limit_of_memory_does_not_hold_is_refused_by_its_headers_with_what_would_fit() {
    let room = Room::new();
    for clip in ["a.mkv", "b.mkv"] {
        room.clip(clip, 20, "16", "64x48");
    }
    published(&room.path("model"));
    // 34 GB: more than a file of it, which is looked into as a whole, and less than an expert in f32.
    let engine = limited(&room, 34_000_000);
    let room = room.with("WANCTL_ENGINE", engine.to_str().unwrap());
    let words = "join a.mkv b.mkv --engine wan --model model --context 4 --gap 5 --align exact --device cpu --json";
    for options in ["--offload none", "--offload none --dtype f32"] {
        let run = room.run(&format!("{words} {options}")).fails(5);
        let error = run.event("error");
        assert_eq!((&error["code"], &error["stage"]), (&"memory".into(), &"engine".into()));
        let (message, help) = (error["message"].as_str().unwrap(), error["help"].as_str().unwrap());
        let needs = message.strip_prefix("denoising 13 frames of 64x48 takes at least ").expect(message);
        let (needs, has) = needs.split_once(" GB of memory, and cpu has ").expect(message);
        assert!(needs.parse::<f64>().unwrap() > 57.0, "{message}");
        // Less where the machine itself has less.
        assert!(has.strip_suffix(" GB").unwrap().parse::<f64>().unwrap() < 34.9, "{message}");
        assert!(help.starts_with("--offload blocks takes "), "{help}");
        assert!(!room.path("a_join_b.mkv").exists());
    }
}
