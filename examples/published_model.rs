//! `published_model MODEL FOLDER [LAYERS [TEXT_LAYERS]]`: a Wan model with the tensors of a published one, for measurements
//! that need their shapes and not their numbers. The files are holes, which read as zeros and take no disk.
//!
//! MODEL is `i2v-14b` (two experts), `vace-14b` or `vace-1.3b`; with fewer LAYERS it is smaller and otherwise the same.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a tool for developers, called by scripts")]

use std::{collections::BTreeMap, env, fs, io::Write, path::Path, process::ExitCode};

use serde_json::{Value, json};
use wanctl::pipeline::weights::{ModelKind, TextEncoder, Transformer, Vace, Vae, VaeGeneration};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (model, folder, layers) = match &arguments[..] {
        [model, folder, layers @ ..] if layers.len() < 3 => (model, Path::new(folder), layers),
        _ => {
            eprintln!("usage: published_model i2v-14b|vace-14b|vace-1.3b FOLDER [LAYERS [TEXT_LAYERS]]");
            return ExitCode::from(2);
        }
    };
    let count = |at: usize| layers.get(at).map(|text| text.parse::<usize>().expect("a number of layers"));
    let (names, transformer): (&[&str], _) = match model.as_str() {
        "i2v-14b" => (&["high_noise.safetensors", "low_noise.safetensors"], of(5120, count(0).unwrap_or(40), 36, None)),
        "vace-14b" => (&["transformer.safetensors"], of(5120, count(0).unwrap_or(40), 16, Some(5))),
        "vace-1.3b" => (&["transformer.safetensors"], of(1536, count(0).unwrap_or(30), 16, Some(2))),
        _ => {
            eprintln!("no model `{model}`: i2v-14b, vace-14b or vace-1.3b");
            return ExitCode::from(2);
        }
    };
    let vae = Vae {
        generation: VaeGeneration::Wan21,
        base_dim: 96,
        decoder_base_dim: 96,
        z_dim: 16,
        channels: 3,
        mean: None,
        std: None,
    };
    let layers = count(1).unwrap_or(24);
    let text = TextEncoder { vocab: 256_384, dim: 4096, d_kv: 64, heads: 64, ff: 10_240, layers, buckets: 32 };
    fs::create_dir_all(folder).unwrap();
    for name in names {
        write(&folder.join(name), &ModelKind::Transformer(transformer.clone()), "BF16", 2);
    }
    write(&folder.join("vae.safetensors"), &ModelKind::Vae(vae), "F32", 4);
    write(&folder.join("text_encoder.safetensors"), &ModelKind::TextEncoder(text), "BF16", 2);
    ExitCode::SUCCESS
}

/// A control block of VACE after every so many layers.
fn of(dim: usize, layers: usize, in_channels: usize, every: Option<usize>) -> Transformer {
    let vace = every.map(|every| Vace { layers: (0..layers).step_by(every).collect(), in_channels: 96 });
    let ffn = if dim == 5120 { 13824 } else { 8960 };
    Transformer {
        dim,
        heads: dim / 128,
        head_dim: 128,
        layers,
        ffn,
        in_channels,
        out_channels: 16,
        text_dim: 4096,
        freq_dim: 256,
        vace,
        image: None,
    }
}

fn write(path: &Path, what: &ModelKind, dtype: &str, bytes: usize) {
    let mut end = 0;
    let entry = |(name, shape): (String, Vec<usize>)| {
        let start = end;
        end += bytes * shape.iter().product::<usize>();
        (name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }))
    };
    let header: BTreeMap<String, Value> = what.tensors().unwrap().into_iter().map(entry).collect();
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = fs::File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
}
