//! Weight files: what is in them, by one set of names, and which model they make. Nothing here computes with them.

mod archive;
mod dtype;
mod error;
mod expected;
mod foreign;
mod header;
mod lora;
mod map;
mod models;
mod names;
mod pickle;
mod pth;
mod scale;
mod search;
mod source;
mod survey;
#[cfg(test)]
mod tests;
mod what;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
};

pub use dtype::Dtype;
pub use error::{CheckpointError, name};
pub use lora::{Form, Lora};
pub use models::{ModelFiles, Part, Role, Wanted};
pub use names::Family;
pub use survey::{Naming, Survey};
pub use what::{ClipVision, ImageEmbedder, TextEncoder, Transformer, Vace, VaceModule, Vae, VaeGeneration, What};

use self::{
    header::{Header, Place, Stored},
    map::Bytes,
    names::Target,
    pickle::PickleError,
    scale::ScaleError,
    source::Source,
};

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
    /// Each path is a file, an index of shards, or a folder with one of them. Tensors of a later one take the place of
    /// an earlier one's, or are added.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CheckpointError> {
        let mut whole: Option<(PathBuf, Self)> = None;
        for path in paths {
            let next = Self::open_one(&source::find(path)?)?;
            whole = Some(match whole {
                None => (path.clone(), next),
                Some((first, mut whole)) => {
                    if whole.family != next.family {
                        let (path, other) = (path.clone(), first);
                        return Err(CheckpointError::Mixed { path, what: next.label(), other, that: whole.label() });
                    }
                    whole.add(next);
                    (first, whole)
                }
            });
        }
        whole.map(|(_, whole)| whole).ok_or_else(|| CheckpointError::Empty { path: "nothing".into() })
    }

    /// Of a safetensors file inside the program, its names as they are; messages call it `name`.
    pub fn embedded(name: &str, bytes: &'static [u8]) -> Result<Self, CheckpointError> {
        let file = File { path: name.into(), bytes: Bytes::Static(bytes), metadata: BTreeMap::new() };
        let Header { tensors, .. } =
            header::read(bytes).map_err(|problem| CheckpointError::malformed(&file.path, problem))?;
        let record = |Stored { name, dtype, shape, bytes }: Stored| {
            (name.clone(), Record { stored: name, file: 0, dtype, shape, bytes, scale: None })
        };
        Ok(Self {
            files: vec![file],
            records: tensors.into_iter().map(record).collect(),
            unused: vec![],
            family: None,
            naming: Naming::default(),
            config: None,
        })
    }

    fn open_one(source: &Source) -> Result<Self, CheckpointError> {
        let (mut files, mut tensors) = (vec![], vec![]);
        for path in &source.files {
            let (file, stored) = open_file(path)?;
            tensors.extend(stored.into_iter().map(|stored| (files.len(), stored)));
            files.push(file);
        }
        for (tensor, path) in &source.promised {
            let kept = |(file, stored): &(usize, Stored)| stored.name == *tensor && files[*file].path == *path;
            if !tensors.iter().any(kept) {
                return Err(CheckpointError::Missing { tensor: tensor.clone(), path: path.clone() });
            }
        }
        let config = source.files[0].with_file_name("config.json");
        let config = std::fs::read(config).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let mut checkpoint =
            Self { files, records: BTreeMap::new(), unused: vec![], family: None, naming: Naming::default(), config };
        checkpoint.take(tensors)?;
        Ok(checkpoint)
    }

    /// Gives every tensor its name in our code, and every weight its scale.
    fn take(&mut self, tensors: Vec<(usize, Stored)>) -> Result<(), CheckpointError> {
        let path_of = |file: usize| self.files[file].path.clone();
        let mut by_name = BTreeMap::new();
        for (file, stored) in &tensors {
            let bytes = stored.bytes.of(&self.files[*file].bytes);
            if by_name.insert(stored.name.as_str(), (stored, bytes)).is_some() {
                let (tensor, again) = (stored.name.clone(), stored.name.clone());
                return Err(CheckpointError::Twice { tensor, again, path: path_of(*file) });
            }
        }
        let metadata = self.files.iter().flat_map(|file| file.metadata.clone()).collect();
        let scales = scale::find(&by_name, &metadata);
        let file_of = |name: &str| tensors.iter().find(|(_, stored)| stored.name == name).map_or(0, |(file, _)| *file);
        let mut scales = scales.map_err(|error| match error {
            ScaleError::Packed { tensor, format } => {
                CheckpointError::Packed { path: path_of(file_of(&tensor)), tensor, format }
            }
            ScaleError::Shape { tensor, wanted, found } => {
                CheckpointError::Shape { path: path_of(file_of(&tensor)), tensor, wanted, found }
            }
        })?;

        let prefix = names::PREFIXES.iter().find(|prefix| by_name.keys().any(|name| name.starts_with(**prefix)));
        let bare = |name: &'_ str| prefix.and_then(|prefix| name.strip_prefix(*prefix)).unwrap_or(name).to_owned();
        let bare_names: HashMap<&str, String> = by_name.keys().map(|name| (*name, bare(name))).collect();
        self.family = match lora::is_one(by_name.keys().copied()) {
            true => Some(Family::Lora),
            false => Family::of(bare_names.values().map(String::as_str)),
        };
        let second_words =
            bare_names.values().any(|name| names::Family::TextEncoder.target(name) == whole(names::WORDS));
        drop(by_name);
        self.unused = std::mem::take(&mut scales.spent);
        self.naming.prefix = prefix.map(|prefix| (*prefix).to_owned());

        for (file, stored) in &tensors {
            if self.unused.contains(&stored.name) {
                continue;
            }
            let scale = scales.of.remove(&stored.name);
            let target = match self.family {
                Some(Family::Lora) | None => whole(&stored.name),
                Some(Family::TextEncoder) if bare_names[stored.name.as_str()] == names::WORDS_AGAIN => {
                    if second_words {
                        Target::Unused
                    } else {
                        whole(names::WORDS)
                    }
                }
                Some(family) => family.target(&bare_names[stored.name.as_str()]),
            };
            let record = |shape: Vec<usize>, bytes: Place, scale: Option<Vec<f32>>| Record {
                stored: stored.name.clone(),
                file: *file,
                dtype: stored.dtype,
                shape,
                bytes,
                scale,
            };
            match target {
                Target::Unused => self.unused.push(stored.name.clone()),
                Target::Whole(name) => {
                    self.naming.renamed |= name != bare_names[stored.name.as_str()];
                    self.put(name, record(stored.shape.clone(), stored.bytes.clone(), scale))?;
                }
                Target::Flat(name) => {
                    self.naming.renamed = true;
                    let shape = stored.shape.iter().copied().skip_while(|side| *side == 1).collect();
                    self.put(name, record(shape, stored.bytes.clone(), scale))?;
                }
                Target::Rows(names) => {
                    self.naming.renamed = true;
                    let rows = stored.shape.first().copied().unwrap_or(0) / names.len();
                    let bytes = stored.bytes.of(&self.files[*file].bytes).len() / names.len();
                    for (part, name) in names.into_iter().enumerate() {
                        let shape = [&[rows], stored.shape.get(1..).unwrap_or_default()].concat();
                        let scale = scale.as_ref().map(|scale| match scale.len() {
                            1 => scale.clone(),
                            _ => scale[part * rows..][..rows].to_vec(),
                        });
                        self.put(name, record(shape, stored.bytes.part(part * bytes..(part + 1) * bytes), scale))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, name: String, record: Record) -> Result<(), CheckpointError> {
        let (tensor, path) = (record.stored.clone(), self.files[record.file].path.clone());
        match self.records.insert(name, record) {
            None => Ok(()),
            Some(Record { stored: again, .. }) => Err(CheckpointError::Twice { tensor, again, path }),
        }
    }

    fn add(&mut self, other: Self) {
        let before = self.files.len();
        self.files.extend(other.files);
        for (name, mut record) in other.records {
            record.file += before;
            self.records.insert(name, record);
        }
        self.unused.extend(other.unused);
    }

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

fn whole(name: &str) -> Target {
    Target::Whole(name.to_owned())
}

fn open_file(path: &Path) -> Result<(File, Vec<Stored>), CheckpointError> {
    let bytes = Bytes::open(path).map_err(CheckpointError::read(path))?;
    let malformed = |problem: String| CheckpointError::malformed(path, problem);
    let (tensors, metadata) = match foreign::container(&bytes) {
        Some(foreign::Container::Zip) => {
            let tensors = pth::read(&bytes).map_err(|error| match error {
                PickleError::Broken(problem) => malformed(problem),
                PickleError::Refused(what) => CheckpointError::Refused { path: path.to_owned(), what },
            })?;
            (tensors, BTreeMap::new())
        }
        Some(foreign::Container::Other { problem, help }) => {
            return Err(CheckpointError::Malformed {
                path: path.to_owned(),
                problem: problem.into(),
                help: Some(help),
            });
        }
        None => {
            let Header { tensors, metadata } = header::read(&bytes).map_err(malformed)?;
            (tensors, metadata)
        }
    };
    Ok((File { path: path.to_owned(), bytes, metadata }, tensors))
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({}, {} tensors)", self.path().display(), self.records.len())
    }
}
