//! From files and folders to the parts of a model: what each file is, which expert, and what is missing.

use std::{
    ffi::OsStr,
    fs, mem,
    path::{self, Path, PathBuf},
};

use serde_json::Value;

use super::{
    Checkpoint, CheckpointError, ModelKind, Transformer,
    models::{ModelFiles, Role, Wanted},
    part::Part,
    source,
};
use crate::pipeline::system::{file_names, text};

const TOKENIZER: &str = "tokenizer.json";

impl ModelFiles {
    /// Of files and folders in any order; a part that the user names by its role goes before one that was found.
    pub fn find(wanted: &[Wanted]) -> Result<Self, CheckpointError> {
        find(wanted, &[])
    }

    /// The same, and what is not among them out of what was located.
    pub fn find_or(wanted: &[Wanted], located: &[Wanted]) -> Result<Self, CheckpointError> {
        find(wanted, located)
    }
}

fn find(wanted: &[Wanted], located: &[Wanted]) -> Result<ModelFiles, CheckpointError> {
    let mut search = Search::default();
    let mut parts = search.parts_of(wanted)?;
    parts.fill(search.parts_of(located)?);
    search.parts = parts;
    search.done()
}

/// A transformer, and which expert its name or its user says it is.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    expert: Option<Role>,
    /// To be laid over a base.
    module: bool,
}

#[derive(Debug, Default)]
struct Parts {
    transformers: Vec<Found>,
    vae: Option<PathBuf>,
    text: Option<PathBuf>,
    tokenizer: Option<PathBuf>,
}

impl Parts {
    /// Takes from `found` what is not here yet.
    fn fill(&mut self, found: Self) {
        let Self { transformers, vae, text, tokenizer } = found;
        self.vae = self.vae.take().or(vae);
        self.text = self.text.take().or(text);
        self.tokenizer = self.tokenizer.take().or(tokenizer);
        let said = mem::take(&mut self.transformers);
        let replaced = |found: &Found| {
            let same = |said: &Found| found.expert.is_none() || said.expert.is_none() || said.expert == found.expert;
            !found.module && said.iter().any(|said| !said.module && same(said))
        };
        self.transformers = transformers.into_iter().filter(|found| !replaced(found)).collect();
        self.transformers.extend(said);
    }

    /// The base of an expert and its modules; modules that name no expert belong to both. Empty without a base.
    fn expert(&self, expert: Option<Role>) -> Result<Vec<PathBuf>, CheckpointError> {
        let fits =
            |found: &&Found| expert.is_none() || found.expert == expert || found.module && found.expert.is_none();
        let mut bases = self.transformers.iter().filter(fits).filter(|found| !found.module);
        let Some(base) = bases.next() else { return Ok(vec![]) };
        if let Some(other) = bases.next() {
            let part = match expert {
                Some(Role::High) => Part::High,
                Some(_) => Part::Low,
                None => Part::Transformer,
            };
            return Err(ambiguous(&base.path, &other.path, part.name()));
        }
        let modules = self.transformers.iter().filter(fits).filter(|found| found.module);
        Ok([base].into_iter().chain(modules).map(|found| found.path.clone()).collect())
    }
}

#[derive(Debug, Default)]
struct Search {
    parts: Parts,
    boundary: Option<f64>,
    flow_shift: Option<f64>,
    /// A folder says that it has two experts.
    two: bool,
    looked: Vec<PathBuf>,
    /// What was found there.
    names: Vec<String>,
}

impl Search {
    /// What a user or a preset names: parts by their roles go before what files and folders show.
    fn parts_of(&mut self, wanted: &[Wanted]) -> Result<Parts, CheckpointError> {
        for Wanted { path, .. } in wanted.iter().filter(|wanted| wanted.role.is_none()) {
            let path = self.look_at(path)?;
            if path.is_dir() { self.folder(&path)? } else { self.file(&path)? }
        }
        let found = mem::take(&mut self.parts);
        for Wanted { role, path } in wanted {
            if let Some(role) = role {
                let path = self.look_at(path)?;
                self.take(*role, &path)?;
            }
        }
        self.parts.fill(found);
        Ok(mem::take(&mut self.parts))
    }

    fn look_at(&mut self, path: &Path) -> Result<PathBuf, CheckpointError> {
        let path = path::absolute(file_names::typed(path)?).map_err(CheckpointError::read(path))?;
        self.looked.push(path.clone());
        Ok(path)
    }

    /// A file or folder whose part is said.
    fn take(&mut self, role: Role, path: &Path) -> Result<(), CheckpointError> {
        if role == Role::Tokenizer {
            let file = if path.is_dir() { path.join(TOKENIZER) } else { path.to_owned() };
            fs::metadata(&file).map_err(CheckpointError::read(&file))?;
            self.parts.tokenizer = Some(file);
            return Ok(());
        }
        let what = look(path)?;
        let (wanted, expert) = match (role, &what) {
            (Role::High | Role::Low, ModelKind::Transformer(_) | ModelKind::VaceModule(_)) => (None, Some(role)),
            (Role::Vae, ModelKind::Vae(_)) | (Role::Text, ModelKind::TextEncoder(_)) => (None, None),
            (Role::Vae, _) => (Some("a Wan VAE"), None),
            (Role::Text, _) => (Some("a umT5 encoder"), None),
            (_, _) => (Some("a Wan transformer"), None),
        };
        match wanted {
            Some(wanted) => Err(foreign(path, wanted, &what)),
            None => self.put(path, &what, expert),
        }
    }

    /// A file of which its contents say what it is.
    fn file(&mut self, path: &Path) -> Result<(), CheckpointError> {
        if path.file_name() == Some(OsStr::new(TOKENIZER)) {
            return self.take(Role::Tokenizer, path);
        }
        self.put(path, &look(path)?, expert_by_name(path))
    }

    fn put(&mut self, path: &Path, what: &ModelKind, expert: Option<Role>) -> Result<(), CheckpointError> {
        self.names.push(what.name());
        let place = match what {
            ModelKind::Transformer(_) | ModelKind::VaceModule(_) => {
                let module = matches!(what, ModelKind::VaceModule(_));
                self.parts.transformers.push(Found { path: path.to_owned(), expert, module });
                return Ok(());
            }
            ModelKind::Vae(_) => &mut self.parts.vae,
            ModelKind::TextEncoder(_) => &mut self.parts.text,
            // Nothing that is made here needs it, but it comes with some models.
            ModelKind::ClipVision(_) => return Ok(()),
            ModelKind::Lora(_) | ModelKind::Foreign { .. } | ModelKind::Unknown { .. } => {
                return Err(foreign(path, "a part of a Wan model", what));
            }
        };
        match place.replace(path.to_owned()) {
            Some(other) => Err(ambiguous(&other, path, &what.name())),
            None => Ok(()),
        }
    }

    fn folder(&mut self, folder: &Path) -> Result<(), CheckpointError> {
        let index = folder.join("model_index.json");
        if index.is_file() {
            return self.diffusers(folder, &json(&index)?);
        }
        for (name, expert) in [("high_noise_model", Role::High), ("low_noise_model", Role::Low)] {
            let part = folder.join(name);
            self.two |= part.is_dir();
            if part.is_dir() && !source::checkpoints(&part)?.is_empty() {
                self.take(expert, &part)?;
            }
        }
        for path in source::checkpoints(folder)? {
            match look(&path)? {
                // Other things may lie beside a model.
                ModelKind::Lora(_) | ModelKind::Foreign { .. } | ModelKind::Unknown { .. } => {}
                what => self.put(&path, &what, expert_by_name(&path))?,
            }
        }
        let places = ["", "google/umt5-xxl", "tokenizer"].map(|place| folder.join(place).join(TOKENIZER));
        self.parts.tokenizer = self.parts.tokenizer.take().or_else(|| places.into_iter().find(|file| file.is_file()));
        Ok(())
    }

    /// diffusers calls the expert for high noise `transformer` and the one for low noise `transformer_2`.
    fn diffusers(&mut self, folder: &Path, index: &Value) -> Result<(), CheckpointError> {
        let class = index["_class_name"].as_str().unwrap_or_default();
        if !class.starts_with("Wan") {
            let (wanted, found) = ("a Wan model".into(), format!("a {class} of diffusers"));
            return Err(CheckpointError::Foreign { path: folder.to_owned(), wanted, found });
        }
        self.boundary = index["boundary_ratio"].as_f64();
        let two = index["transformer_2"][1].is_string();
        self.two |= two;
        let parts = [
            ("transformer", Role::High),
            ("transformer_2", Role::Low),
            ("vae", Role::Vae),
            ("text_encoder", Role::Text),
        ];
        for (name, role) in parts {
            let part = folder.join(name);
            if part.is_dir() && !source::checkpoints(&part)?.is_empty() {
                self.take(role, &part)?;
            }
        }
        if !two {
            self.parts.transformers.iter_mut().for_each(|found| found.expert = None);
        }
        let tokenizer = folder.join("tokenizer").join(TOKENIZER);
        self.parts.tokenizer = self.parts.tokenizer.take().or(Some(tokenizer).filter(|file| file.is_file()));
        let scheduler = folder.join("scheduler/scheduler_config.json");
        if scheduler.is_file() {
            self.flow_shift = json(&scheduler)?["flow_shift"].as_f64();
        }
        Ok(())
    }

    fn done(self) -> Result<ModelFiles, CheckpointError> {
        let Self { parts, boundary, flow_shift, two, looked, names } = self;
        let bases = || parts.transformers.iter().filter(|found| !found.module);
        let one_said = bases().find(|found| found.expert.is_some());
        if let (Some(said), Some(unsaid)) = (one_said, bases().find(|found| found.expert.is_none())) {
            let what = "transformers, and only the first says which expert it is";
            return Err(ambiguous(&said.path, &unsaid.path, what));
        }
        let mut missing = vec![];
        let mut need = |part: Part, found: bool| {
            if !found {
                missing.push(part)
            }
        };
        let (high, low) = if two || one_said.is_some() {
            let (high, low) = (parts.expert(Some(Role::High))?, parts.expert(Some(Role::Low))?);
            need(Part::High, !high.is_empty());
            need(Part::Low, !low.is_empty());
            (high, low)
        } else {
            let high = parts.expert(None)?;
            let wanted = if parts.transformers.is_empty() { Part::Transformer } else { Part::Base };
            need(wanted, !high.is_empty());
            (high, vec![])
        };
        need(Part::Vae, parts.vae.is_some());
        need(Part::Text, parts.text.is_some());
        need(Part::Tokenizer, parts.tokenizer.is_some());
        let (Some(vae), Some(text), Some(tokenizer), true) =
            (parts.vae, parts.text, parts.tokenizer, missing.is_empty())
        else {
            return Err(CheckpointError::Incomplete { missing, looked, found: names });
        };
        let transformer = transformer(&high)?;
        if !low.is_empty() {
            let other = self::transformer(&low)?;
            if other != transformer {
                let (high_path, low_path) = (high[0].clone(), low[0].clone());
                let (high, low) = (transformer.numbers(), other.numbers());
                return Err(CheckpointError::Experts { high_path, high, low_path, low });
            }
        }
        let (vae, text) = (vec![vae], vec![text]);
        for (part, wanted) in [(&vae, transformer.out_channels), (&text, transformer.text_dim)] {
            let (what, found) = match whole(part)? {
                ModelKind::Vae(vae) => ("channels of its latents", vae.z_dim),
                ModelKind::TextEncoder(text) => ("numbers for each word", text.dim),
                what => return Err(foreign(&part[0], "a VAE or text encoder", &what)),
            };
            if found != wanted {
                return Err(CheckpointError::Unfit { path: part[0].clone(), what, wanted, found });
            }
        }
        Ok(ModelFiles { high, low, vae, text, tokenizer, boundary, flow_shift, transformer })
    }
}

/// What these files are, if not a tensor is missing, of another shape or too many.
fn whole(paths: &[PathBuf]) -> Result<ModelKind, CheckpointError> {
    let (what, problems) = Checkpoint::open(paths)?.check()?;
    problems.into_iter().next().map_or(Ok(what), Err)
}

fn look(path: &Path) -> Result<ModelKind, CheckpointError> {
    Checkpoint::open(&[path.to_owned()])?.what()
}

fn transformer(paths: &[PathBuf]) -> Result<Transformer, CheckpointError> {
    match whole(paths)? {
        ModelKind::Transformer(transformer) => Ok(transformer),
        what => Err(foreign(&paths[0], "a Wan transformer", &what)),
    }
}

fn foreign(path: &Path, wanted: &str, what: &ModelKind) -> CheckpointError {
    CheckpointError::Foreign { path: path.to_owned(), wanted: wanted.into(), found: what.name() }
}

fn ambiguous(path: &Path, other: &Path, what: &str) -> CheckpointError {
    CheckpointError::Ambiguous { path: path.to_owned(), other: other.to_owned(), what: what.to_owned() }
}

/// `wan2.2_t2v_high_noise_14B`, `Wan2_2-T2V-A14B-LOW_fp8`, `high_noise_model/`: as a word of its own, in the name of the
/// file or else of its folder.
fn expert_by_name(path: &Path) -> Option<Role> {
    let says = |name: &OsStr| {
        let name = name.to_string_lossy().to_lowercase();
        let says = |wanted: &str| name.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word == wanted);
        match (says("high"), says("low")) {
            (true, false) => Some(Role::High),
            (false, true) => Some(Role::Low),
            _ => None,
        }
    };
    path.file_name().and_then(says).or_else(|| path.parent()?.file_name().and_then(says))
}

fn json(path: &Path) -> Result<Value, CheckpointError> {
    let text = fs::read(path).map_err(CheckpointError::read(path))?;
    text::from_json(&text).map_err(|error| CheckpointError::malformed(path, format!("is no JSON: {error}")))
}
