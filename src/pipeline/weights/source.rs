//! From what a user names to the files that hold one checkpoint: a file, an index and its shards, or a folder of either.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use super::error::CheckpointError;
use crate::pipeline::system::text;

const INDEX: &str = ".safetensors.index.json";

/// Files that are read as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// What the user named, or what stands for it: the file, or the index.
    pub(super) path: PathBuf,
    pub(super) files: Vec<PathBuf>,
    /// Which file an index promises a tensor in.
    pub(super) promised: BTreeMap<String, PathBuf>,
}

pub(super) fn find(path: &Path) -> Result<Source, CheckpointError> {
    let facts = fs::metadata(path).map_err(CheckpointError::read(path))?;
    if facts.is_dir() {
        return match &*checkpoints(path)? {
            [] => Err(CheckpointError::Empty { path: path.to_owned() }),
            [one] => find(one),
            several => Err(CheckpointError::Several { path: path.to_owned(), found: several.to_vec() }),
        };
    }
    if is_index(path) {
        return shards(path);
    }
    Ok(Source { path: path.to_owned(), files: vec![path.to_owned()], promised: BTreeMap::new() })
}

/// The checkpoints that lie in a folder itself: files and indexes, without the shards that an index names.
pub(super) fn checkpoints(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).map_err(CheckpointError::read(folder))? {
        let path = entry.map_err(CheckpointError::read(folder))?.path();
        if path.is_file() && (is_index(&path) || is_weights(&path)) {
            files.push(path);
        }
    }
    files.sort();
    let mut sharded: Vec<PathBuf> = vec![];
    for index in files.iter().filter(|file| is_index(file)) {
        sharded.extend(index_of(index)?.into_values());
    }
    files.retain(|file| !sharded.contains(file));
    Ok(files)
}

pub(super) fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(INDEX))
}

/// Whether a file or folder is about weights and not a clip: by its name, or by how it begins.
pub fn holds_weights(path: &Path) -> bool {
    if path.is_dir() || is_index(path) || is_weights(path) {
        return true;
    }
    let mut start = [0; 9];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    // A header of less than 4 GB, and its JSON.
    read.is_ok() && (start.starts_with(b"GGUF") || start[4..] == *b"\0\0\0\0{")
}

/// Whether a folder has the parts of a model, and not only one of them.
pub fn holds_model(folder: &Path) -> Result<bool, CheckpointError> {
    const PARTS: [&str; 4] = ["model_index.json", "high_noise_model", "low_noise_model", "google/umt5-xxl"];
    let has_part = PARTS.iter().any(|part| folder.join(part).exists());
    Ok(has_part || folder.is_dir() && checkpoints(folder)?.len() > 1)
}

/// By its name, as folders hold all sorts of files.
pub(super) fn is_weights(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    // macOS leaves `._` shadows on foreign disks.
    let shadow = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("._"));
    !shadow && matches!(extension.as_deref(), Some("safetensors" | "sft" | "pth" | "pt"))
}

fn shards(index: &Path) -> Result<Source, CheckpointError> {
    let promised = index_of(index)?;
    let mut files: Vec<PathBuf> = promised.values().cloned().collect();
    files.sort();
    files.dedup();
    let missing: Vec<PathBuf> = files.iter().filter(|file| !file.is_file()).cloned().collect();
    if !missing.is_empty() {
        return Err(CheckpointError::Shards { path: index.to_owned(), missing });
    }
    match files.is_empty() {
        true => Err(CheckpointError::Empty { path: index.to_owned() }),
        false => Ok(Source { path: index.to_owned(), files, promised }),
    }
}

fn index_of(path: &Path) -> Result<BTreeMap<String, PathBuf>, CheckpointError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, PathBuf>,
    }
    let text = fs::read(path).map_err(CheckpointError::read(path))?;
    let Index { mut weight_map } = text::from_json(&text)
        .map_err(|error| CheckpointError::malformed(path, format!("is no index of shards: {error}")))?;
    for file in weight_map.values_mut() {
        // An index has no business outside its folder.
        if !matches!(file.components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
            return Err(CheckpointError::malformed(path, format!("names a shard elsewhere: {}", file.display())));
        }
        *file = path.with_file_name(&*file);
    }
    Ok(weight_map)
}
