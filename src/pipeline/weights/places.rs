//! Where weights lie: folders that the user names, our own, and those of other tools, so that nobody fetches 30 GB twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    fmt, fs, iter,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde_json::Value;

use super::{
    Checkpoint, CheckpointError, Files, Lacking, ModelKind, Part, Published, Role, Wanted,
    source::{self, is_index, is_weights},
};
use crate::pipeline::system::{environment, file_names, yaml};

/// What tells where to look, but for what the user names.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `WANCTL_MODELS`, a list of paths.
    pub models: Option<OsString>,
    /// The user's data folder.
    pub data: Option<PathBuf>,
    pub home: Option<PathBuf>,
    /// The Hugging Face cache.
    pub hub: Option<PathBuf>,
}

impl Surroundings {
    pub fn here() -> Self {
        let folder = |variable: environment::Variable| variable.get().map(PathBuf::from);
        // huggingface_hub 0.30, constants.py.
        let hub = folder(environment::HF_HUB_CACHE)
            .or_else(|| folder(environment::HUGGINGFACE_HUB_CACHE))
            .or_else(|| Some(folder(environment::HF_HOME)?.join("hub")))
            .or_else(|| Some(dirs::cache_dir()?.join("huggingface/hub")));
        Self { models: environment::MODELS.get(), data: dirs::data_dir(), home: dirs::home_dir(), hub }
    }
}

/// Folders in the order in which they are looked through.
#[derive(Debug)]
pub struct Places {
    folders: Vec<PathBuf>,
    /// What is wrong with other tools' own lists of folders.
    pub problems: Vec<String>,
    /// Looked through once, when the first file is wanted.
    entries: OnceLock<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// As it was published: a path of the Hugging Face cache without its hashes.
    known: PathBuf,
    path: PathBuf,
    is_folder: bool,
}

/// What was found of a published model, and what was not.
#[derive(Debug, Default)]
pub struct Located {
    pub wanted: Vec<Wanted>,
    pub missing: Vec<(Part, Lacking)>,
}

/// Folders deeper than this belong to something else.
const DEEPEST: usize = 10;

impl Places {
    pub fn new(named: &[PathBuf], around: Surroundings) -> Self {
        let Surroundings { models, data, home, hub } = around;
        let listed = models.iter().flat_map(env::split_paths).filter(|path| !path.as_os_str().is_empty());
        let mut places = Self { folders: vec![], problems: vec![], entries: OnceLock::new() };
        for folder in named.iter().cloned().chain(listed) {
            places.add(&folder);
            // A ComfyUI folder, or its `models`.
            let beside = [Some(folder.as_path()), folder.parent().filter(|_| folder.ends_with("models"))];
            beside.into_iter().flatten().for_each(|folder| places.extra(folder));
        }
        if let Some(data) = data {
            places.add(&data.join("wanctl/models"));
        }
        if let Some(home) = home {
            for comfy in ["ComfyUI", "comfy/ComfyUI", "Documents/ComfyUI"].map(|folder| home.join(folder)) {
                places.add(&comfy.join("models"));
                places.extra(&comfy);
            }
            for folder in ["Wan2GP/ckpts", "Wan2GP/loras"] {
                places.add(&home.join(folder));
            }
        }
        if let Some(hub) = hub {
            places.add(&hub);
        }
        places
    }

    fn add(&mut self, folder: &Path) {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
    }

    /// ComfyUI's own list of more folders: ComfyUI 0.3, utils/extra_config.py.
    fn extra(&mut self, comfy: &Path) {
        let file = comfy.join("extra_model_paths.yaml");
        if !file.is_file() {
            return;
        }
        let sections: BTreeMap<String, Option<BTreeMap<String, Value>>> = match yaml::read_file(&file) {
            Ok(sections) => sections,
            Err(error) => return self.problems.push(format!("{} {error}", file.display())),
        };
        for section in sections.into_values().flatten() {
            let text = |(key, value): (String, Value)| Some((key, value.as_str()?.to_owned()));
            let mut section: BTreeMap<String, String> = section.into_iter().filter_map(text).collect();
            let base = section.remove("base_path").map_or(comfy.to_owned(), |base| comfy.join(at_home(&base)));
            for folder in section.values().flat_map(|folders| folders.lines()).map(str::trim) {
                if folder.is_empty() {
                    continue;
                }
                match file_names::written(&base.join(at_home(folder))) {
                    Ok(folder) => self.add(&folder),
                    Err(lookalikes) => self.problems.push(format!("{}: {lookalikes}", file.display())),
                }
            }
        }
    }

    /// All of them, whether they are there or not.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    fn entries(&self) -> &[Entry] {
        self.entries.get_or_init(|| {
            let mut entries = vec![];
            let mut seen = BTreeSet::new();
            for folder in &self.folders {
                walk(folder, folder, 0, &mut seen, &mut entries);
            }
            entries
        })
    }

    /// A file or folder by the end of its path, also without the owner's name in front: `umt5-xxl/tokenizer.json` for
    /// `google/umt5-xxl/tokenizer.json`.
    pub fn find(&self, name: &Path) -> Option<&Path> {
        let mut parts = name.components();
        let short = (parts.clone().count() > 2).then(|| {
            parts.next();
            parts.as_path()
        });
        iter::once(name).chain(short).find_map(|name| {
            let fits = |entry: &&Entry| file_names::ends_alike(&entry.known, name) && entry.holds_something();
            self.entries().iter().find(fits).map(|entry| entry.path.as_path())
        })
    }

    /// What is found by a name, unless another file beside it has the same name in another Unicode form.
    fn find_alone(&self, name: &Path) -> Result<Option<&Path>, CheckpointError> {
        let found = self.find(name);
        found.map_or(Ok(()), |found| file_names::written(found).map(drop))?;
        Ok(found)
    }

    /// For each part the first of its names that is here.
    pub fn locate(&self, published: &Published) -> Located {
        let Published { high, low, vae, text, tokenizer, at: _ } = published;
        // One transformer is no expert.
        let alone = low.is_empty();
        let transformer = if alone { (None, Part::Transformer) } else { (Some(Role::High), Part::High) };
        let parts = [
            (transformer.0, transformer.1, high),
            (Some(Role::Low), Part::Low, low),
            (Some(Role::Vae), Part::Vae, vae),
            (Some(Role::Text), Part::Text, text),
            (Some(Role::Tokenizer), Part::Tokenizer, tokenizer),
        ];
        let mut located = Located::default();
        for (role, part, names) in parts.into_iter().filter(|(_, part, _)| !(alone && *part == Part::Low)) {
            let all = |files: &Files| files.names().iter().map(|name| self.find(name)).collect::<Option<Vec<_>>>();
            match names.iter().find_map(all) {
                Some(paths) => {
                    let wanted = paths.into_iter().map(|path| Wanted { role, path: path.to_owned() });
                    located.wanted.extend(wanted);
                }
                None => {
                    let names = names.iter().map(ToString::to_string).collect();
                    located.missing.push((part, Lacking { part: part.name().to_owned(), names }));
                }
            }
        }
        located
    }

    /// A LoRA by its path or its name; `None` where there is none.
    pub fn lora(&self, name: &Path) -> Result<Option<PathBuf>, CheckpointError> {
        let typed = file_names::typed(name)?;
        let path = match typed.is_file() {
            true => std::path::absolute(&typed).map_err(CheckpointError::read(name))?,
            false => match self.find_alone(name)? {
                Some(path) => path.to_owned(),
                None => return Ok(None),
            },
        };
        match Checkpoint::open(std::slice::from_ref(&path))?.what()? {
            ModelKind::Lora(lora) => match lora.refused.first() {
                Some(kind) => Err(CheckpointError::Adapter { path, kind }),
                None => Ok(Some(path)),
            },
            what => Err(CheckpointError::Foreign { path, wanted: "a LoRA".into(), found: what.name() }),
        }
    }

    /// Every checkpoint in them, in their order: shards by their index.
    pub fn checkpoints(&self) -> Vec<PathBuf> {
        let folders = self.entries().iter().filter(|entry| entry.is_folder);
        folders.flat_map(|entry| source::checkpoints(&entry.path).unwrap_or_default()).collect()
    }
}

impl Entry {
    /// An empty folder is what a download that failed leaves.
    fn holds_something(&self) -> bool {
        !self.is_folder || source::checkpoints(&self.path).is_ok_and(|found| !found.is_empty())
    }
}

/// `base.safetensors with module.safetensors`.
impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.names().iter().map(|name| name.display().to_string()).collect();
        f.write_str(&names.join(" with "))
    }
}

impl Files {
    pub fn names(&self) -> &[PathBuf] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Together(names) => names,
        }
    }
}

fn at_home(path: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => dirs::home_dir().map_or_else(|| path.into(), |home| home.join(rest)),
        None => path.into(),
    }
}

/// `known` is what `folder` would be called where it was published.
fn walk(folder: &Path, known: &Path, depth: usize, seen: &mut BTreeSet<PathBuf>, entries: &mut Vec<Entry>) {
    let (Ok(real), Ok(inside)) = (fs::canonicalize(folder), fs::read_dir(folder)) else { return };
    if depth > DEEPEST || !seen.insert(real) {
        return;
    }
    entries.push(Entry { known: known.to_owned(), path: folder.to_owned(), is_folder: true });
    let mut inside: Vec<PathBuf> = inside.filter_map(|entry| Some(entry.ok()?.path())).collect();
    inside.sort();
    for path in inside {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        if path.is_dir() {
            match hub_repository(&name) {
                Some(repository) => {
                    for snapshot in snapshots(&path) {
                        walk(&snapshot, &known.join(&repository), depth + 1, seen, entries);
                    }
                }
                None if name.starts_with('.') => {}
                None => walk(&path, &known.join(&name), depth + 1, seen, entries),
            }
        } else if is_weights(&path) || is_index(&path) || name == "tokenizer.json" {
            entries.push(Entry { known: known.join(&name), path, is_folder: false });
        }
    }
}

/// `models--Wan-AI--Wan2.1-VACE-1.3B-diffusers` is `Wan-AI/Wan2.1-VACE-1.3B-diffusers`.
fn hub_repository(name: &str) -> Option<PathBuf> {
    let (owner, repository) = name.strip_prefix("models--")?.split_once("--")?;
    Some(Path::new(owner).join(repository))
}

/// The one that its `main` is, else all.
fn snapshots(repository: &Path) -> Vec<PathBuf> {
    let folder = repository.join("snapshots");
    let main = fs::read_to_string(repository.join("refs/main")).ok().map(|main| folder.join(main.trim()));
    if let Some(main) = main.filter(|main| main.is_dir()) {
        return vec![main];
    }
    let inside = fs::read_dir(&folder).into_iter().flatten();
    let mut all: Vec<PathBuf> = inside.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.sort();
    all
}
