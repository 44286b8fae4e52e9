//! Small files made on the spot, and what is said of them.

mod files;
mod headers;
mod kinds;
mod loras;
mod models;
mod pickles;
mod places;

use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype as Stored, TensorView};

use super::{names::tests::original, *};

/// A tensor to be written.
type TensorEntry = (String, Stored, Vec<usize>, Vec<u8>);

/// All zeros, which are numbers too.
fn zeros(name: impl Into<String>, dtype: Stored, shape: &[usize]) -> TensorEntry {
    let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
    (name.into(), dtype, shape.to_vec(), vec![0; bytes])
}

fn floats(name: impl Into<String>, shape: &[usize], numbers: &[f32]) -> TensorEntry {
    (name.into(), Stored::F32, shape.to_vec(), numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
}

fn write(path: &Path, tensors: &[TensorEntry]) -> PathBuf {
    write_with(path, tensors, &[])
}

fn write_with(path: &Path, tensors: &[TensorEntry], metadata: &[(&str, &str)]) -> PathBuf {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
    path.to_owned()
}

/// One head of 128, as small as can be.
fn small() -> Transformer {
    Transformer {
        dim: 128,
        heads: 1,
        head_dim: 128,
        layers: 2,
        ffn: 8,
        in_channels: 16,
        out_channels: 16,
        text_dim: 4,
        freq_dim: 4,
        vace: None,
        image: None,
    }
}

fn small_vace() -> Transformer {
    Transformer { layers: 4, vace: Some(Vace { layers: vec![0, 2], in_channels: 96 }), ..small() }
}

fn small_vae(generation: VaeGeneration) -> Vae {
    let channels = if generation == VaeGeneration::Wan22 { 12 } else { 3 };
    Vae { generation, base_dim: 2, decoder_base_dim: 2, z_dim: 16, channels, mean: None, std: None }
}

fn small_text() -> TextEncoder {
    TextEncoder { vocab: 5, dim: 4, heads: 2, d_kv: 2, ff: 6, layers: 2, buckets: 32 }
}

fn small_clip() -> ClipVision {
    ClipVision { dim: 4, layers: 2, mlp: 8, patch: 14, positions: 5 }
}

/// Every tensor of a model in bf16, each by the name that `spell` gives it.
fn tensors(what: &ModelKind, spell: impl Fn(&str) -> String) -> Vec<TensorEntry> {
    let list = what.tensors().unwrap();
    list.iter().map(|(name, shape)| zeros(spell(name), Stored::BF16, shape)).collect()
}

fn ours(what: &ModelKind) -> Vec<TensorEntry> {
    tensors(what, str::to_owned)
}

fn originals(what: &ModelKind, prefix: &str) -> Vec<TensorEntry> {
    tensors(what, |name| format!("{prefix}{}", original(what, name)))
}

fn open(path: &Path) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(&[path.to_owned()])
}

/// What is said when it is opened and looked at.
#[track_caller]
fn refusal(path: &Path) -> String {
    match open(path).and_then(|checkpoint| checkpoint.what()) {
        Ok(what) => panic!("{} was taken for {}", path.display(), what.name()),
        Err(error) => error.to_string(),
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan").join(name)
}
