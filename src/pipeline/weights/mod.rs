//! Weight files: what is in them, by one set of names, and which model they make. Nothing here computes with them.

mod archive;
mod dtype;
mod error;
mod expected;
mod facts;
mod foreign;
mod header;
mod lora;
mod map;
mod models;
mod names;
mod open;
mod part;
mod pickle;
mod places;
mod pth;
mod published;
mod scale;
mod search;
mod source;
mod survey;
#[cfg(test)]
mod tests;
mod what;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

pub use dtype::Dtype;
pub use error::{CheckpointError, Lacking, name};
pub use lora::{Delta, Dropped, Fit, Form, Lora, Pair, Stored};
pub use models::{ModelFiles, Role, Wanted};
pub use names::Family;
pub use part::Part;
pub use places::{Located, Places, Surroundings};
pub use published::{Files, Published};
pub use source::{holds_model, holds_weights};
pub use survey::{Naming, Survey};
pub use what::{
    ClipVision, Conditioning, ImageEmbedder, ModelKind, TextEncoder, Transformer, Vace, VaceModule, Vae, VaeGeneration,
};

use self::{header::Place, map::Bytes};

/// One model's tensors, in one file or in many, mapped and not yet read.
pub struct Checkpoint {
    files: Vec<File>,
    records: BTreeMap<String, Record>,
    /// Stored names of tensors that nobody is to read: scales that were taken up, a tokenizer, another half.
    unused: Vec<String>,
    family: Option<Family>,
    naming: Naming,
    /// `config.json` beside the first file.
    config: Option<serde_json::Value>,
}

struct File {
    path: PathBuf,
    bytes: Bytes,
    metadata: BTreeMap<String, String>,
}

struct Record {
    stored: String,
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Place,
    scale: Option<Vec<f32>>,
}

/// A tensor as it lies in its file.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// What the file calls it.
    pub stored: &'a str,
    pub file: &'a Path,
    pub dtype: Dtype,
    pub shape: &'a [usize],
    /// Little-endian, row by row.
    pub bytes: &'a [u8],
    /// What the numbers are to be multiplied by: one for all, or one for each row.
    pub scale: Option<&'a [f32]>,
}

impl Checkpoint {
    /// What messages call it: the first of its files.
    pub fn path(&self) -> &Path {
        &self.files[0].path
    }

    pub fn family(&self) -> Option<Family> {
        self.family
    }

    /// In our names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.records.keys().map(String::as_str)
    }

    /// What the first file that says something under this word says.
    fn metadata(&self, key: &str) -> Option<&str> {
        self.files.iter().find_map(|file| file.metadata.get(key)).map(String::as_str)
    }

    pub fn entry(&self, name: &str) -> Option<Entry<'_>> {
        let Record { stored, file, dtype, shape, bytes: place, scale } = self.records.get(name)?;
        let File { path, bytes, .. } = &self.files[*file];
        let bytes = place.of(bytes);
        Some(Entry { stored, file: path, dtype: *dtype, shape, bytes, scale: scale.as_deref() })
    }

    /// Says that a tensor is about to be read.
    pub fn expect(&self, name: &str) {
        if let Some(Record { file, bytes: Place::There(range), .. }) = self.records.get(name) {
            self.files[*file].bytes.expect(range);
        }
    }

    /// Gives back the memory that reading a tensor took.
    pub fn forget(&self, name: &str) {
        if let Some(Record { file, bytes: Place::There(range), .. }) = self.records.get(name) {
            self.files[*file].bytes.forget(range);
        }
    }

    /// Stored names of tensors that nobody is to read, such as scales that were taken up.
    pub fn unused(&self) -> &[String] {
        &self.unused
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({}, {} tensors)", self.path().display(), self.records.len())
    }
}
