//! From paths to one checkpoint: every tensor by its name in our code, every 8-bit weight with its scale.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    Checkpoint, CheckpointError, Family, File, Naming, Record, foreign,
    header::{self, Header, Stored},
    lora,
    map::Bytes,
    names::{self, Target},
    pickle::PickleError,
    pth,
    scale::{self, ScaleError, Scales},
    source::{self, Source},
};
use crate::pipeline::system::text;

impl Checkpoint {
    /// Each path is a file, an index of shards, or a folder with one of them. Tensors of a later one take the place of
    /// an earlier one's, or are added.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CheckpointError> {
        let [first, modules @ ..] = paths else { return Err(CheckpointError::Empty { path: "nothing".into() }) };
        let mut whole = open_one(&source::find(first)?)?;
        for path in modules {
            let next = open_one(&source::find(path)?)?;
            if whole.family != next.family {
                let (path, other) = (path.clone(), first.clone());
                return Err(CheckpointError::Mixed { path, what: next.label(), other, that: whole.label() });
            }
            whole.add(next);
        }
        Ok(whole)
    }

    /// Of a safetensors file inside the program, its names as they are; messages call it `name`.
    pub fn embedded(name: &str, bytes: &'static [u8]) -> Result<Self, CheckpointError> {
        let file = File { path: name.into(), bytes: Bytes::Static(bytes), metadata: BTreeMap::new() };
        let Header { tensors, .. } =
            header::read(bytes).map_err(|problem| CheckpointError::malformed(&file.path, problem))?;
        let mut checkpoint = Self::empty(vec![file]);
        for stored in tensors {
            checkpoint.put(stored.name.clone(), Record::of(0, &stored, None))?;
        }
        Ok(checkpoint)
    }

    fn empty(files: Vec<File>) -> Self {
        let (records, naming) = (BTreeMap::new(), Naming::default());
        Self { files, records, unused: vec![], family: None, naming, config: None }
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
}

impl Record {
    fn of(file: usize, stored: &Stored, scale: Option<Vec<f32>>) -> Self {
        let Stored { name, dtype, shape, bytes } = stored.clone();
        Self { stored: name, file, dtype, shape, bytes, scale }
    }

    /// One of several parts that lie one above the other.
    fn part(&self, part: usize, parts: usize, file: &[u8]) -> Self {
        let Self { stored, file: index, dtype, shape, bytes, scale } = self;
        let rows = shape.first().copied().unwrap_or(0) / parts;
        let length = bytes.of(file).len() / parts;
        let scale = scale.as_ref().map(|scale| match scale.len() {
            1 => scale.clone(),
            _ => scale[part * rows..][..rows].to_vec(),
        });
        Self {
            stored: stored.clone(),
            file: *index,
            dtype: *dtype,
            shape: [&[rows], shape.get(1..).unwrap_or_default()].concat(),
            bytes: bytes.part(part * length..(part + 1) * length),
            scale,
        }
    }
}

/// The files of one source, read as one.
fn open_one(source: &Source) -> Result<Checkpoint, CheckpointError> {
    let (mut files, mut tensors) = (vec![], vec![]);
    for path in &source.files {
        let (file, stored) = open_file(path)?;
        tensors.extend(stored.into_iter().map(|stored| (files.len(), stored)));
        files.push(file);
    }
    let there: BTreeSet<(&str, &Path)> =
        tensors.iter().map(|(file, stored)| (stored.name.as_str(), files[*file].path.as_path())).collect();
    for (tensor, path) in &source.promised {
        if !there.contains(&(tensor, path)) {
            return Err(CheckpointError::Missing { tensor: tensor.clone(), path: path.clone() });
        }
    }

    let Scales { of: mut scales, spent } = scales(&files, &tensors)?;
    let spelling = Spelling::of(tensors.iter().map(|(_, stored)| stored.name.as_str()));
    let mut checkpoint = Checkpoint::empty(files);
    checkpoint.family = spelling.family;
    checkpoint.naming.prefix = spelling.prefix.map(str::to_owned);
    let config = fs::read(source.files[0].with_file_name("config.json"));
    checkpoint.config = config.ok().and_then(|text| text::from_json(&text).ok());
    for (file, stored) in tensors.iter().filter(|(_, stored)| !spent.contains(&stored.name)) {
        let mut record = Record::of(*file, stored, scales.remove(&stored.name));
        let target = spelling.target(&stored.name);
        checkpoint.naming.renamed |= match &target {
            Target::Whole(name) => name != spelling.bare(&stored.name),
            Target::Flat(_) | Target::Rows(_) => true,
            Target::Unused => false,
        };
        match target {
            Target::Unused => checkpoint.unused.push(record.stored),
            Target::Whole(name) => checkpoint.put(name, record)?,
            Target::Flat(name) => {
                record.shape = record.shape.into_iter().skip_while(|side| *side == 1).collect();
                checkpoint.put(name, record)?;
            }
            Target::Rows(names) => {
                for (part, name) in names.into_iter().enumerate() {
                    let record = record.part(part, 3, &checkpoint.files[*file].bytes);
                    checkpoint.put(name, record)?;
                }
            }
        }
    }
    checkpoint.unused.extend(spent);
    Ok(checkpoint)
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

fn scales(files: &[File], tensors: &[(usize, Stored)]) -> Result<Scales, CheckpointError> {
    let mut by_name = BTreeMap::new();
    for (file, stored) in tensors {
        if by_name.insert(stored.name.as_str(), (stored, stored.bytes.of(&files[*file].bytes))).is_some() {
            let (tensor, again, path) = (stored.name.clone(), stored.name.clone(), files[*file].path.clone());
            return Err(CheckpointError::Twice { tensor, again, path });
        }
    }
    let metadata = files.iter().flat_map(|file| file.metadata.clone()).collect();
    let path_of = |tensor: &str| {
        let found = tensors.iter().find(|(_, stored)| stored.name == tensor);
        files[found.map_or(0, |(file, _)| *file)].path.clone()
    };
    scale::find(&by_name, &metadata).map_err(|error| match error {
        ScaleError::Packed { tensor, format } => CheckpointError::Packed { path: path_of(&tensor), tensor, format },
        ScaleError::Shape { tensor, wanted, found } => {
            CheckpointError::Shape { path: path_of(&tensor), tensor, wanted, found }
        }
    })
}

/// How the names of a file are to be read, told from all of them together.
struct Spelling {
    prefix: Option<&'static str>,
    family: Option<Family>,
    /// Whether the table of words stands there by its first name.
    words: bool,
}

impl Spelling {
    fn of<'a>(stored: impl Iterator<Item = &'a str> + Clone) -> Self {
        let prefixes = names::PREFIXES.iter().copied();
        let prefix = prefixes.into_iter().find(|prefix| stored.clone().any(|name| name.starts_with(prefix)));
        let mut spelling = Self { prefix, family: None, words: false };
        spelling.family = match lora::is_one(stored.clone()) {
            true => Some(Family::Lora),
            false => Family::of(stored.clone().map(|name| spelling.bare(name))),
        };
        let first = |name: &str| Family::TextEncoder.target(spelling.bare(name)) == Target::Whole(names::WORDS.into());
        spelling.words = stored.clone().any(first);
        spelling
    }

    /// Without what says only that the file holds a model.
    fn bare<'a>(&self, stored: &'a str) -> &'a str {
        self.prefix.and_then(|prefix| stored.strip_prefix(prefix)).unwrap_or(stored)
    }

    fn target(&self, stored: &str) -> Target {
        match self.family {
            Some(Family::Lora) | None => Target::Whole(stored.to_owned()),
            Some(Family::TextEncoder) if self.bare(stored) == names::WORDS_AGAIN => match self.words {
                true => Target::Unused,
                false => Target::Whole(names::WORDS.into()),
            },
            Some(family) => family.target(self.bare(stored)),
        }
    }
}
