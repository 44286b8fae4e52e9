//! What can be wrong with weight files: always which file, and which tensor where it is one.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::part::Part;
use crate::pipeline::{
    system::file_names::{Lookalikes, RENAME},
    types::error::{ErrorCode, ErrorDetails, Reportable},
};

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// `problem` goes on after the file's name.
    #[error("{} {problem}", name(path))]
    Malformed { path: PathBuf, problem: String, help: Option<&'static str> },
    #[error("{} asks for {what}, which no checkpoint needs: it was not read any further", name(path))]
    Refused { path: PathBuf, what: String },
    #[error("{} holds no weights", name(path))]
    Empty { path: PathBuf },
    #[error("{} holds several checkpoints: {}", name(path), listed(found))]
    Several { path: PathBuf, found: Vec<PathBuf> },
    #[error("{} are missing of {}", listed(missing), name(path))]
    Shards { path: PathBuf, missing: Vec<PathBuf> },
    #[error("tensor `{tensor}` is missing from {}", name(path))]
    Missing { tensor: String, path: PathBuf },
    #[error("tensor `{tensor}` in {} has shape {found:?}, expected {wanted}", name(path))]
    Shape { tensor: String, path: PathBuf, wanted: String, found: Vec<usize> },
    #[error("tensor `{tensor}` in {} belongs to no model that wanctl knows", name(path))]
    Stranger { tensor: String, path: PathBuf },
    #[error("tensor `{tensor}` stands twice in {}, also as `{again}`", name(path))]
    Twice { tensor: String, again: String, path: PathBuf },
    #[error("tensor `{tensor}` in {} is packed as {format}, which wanctl cannot read", name(path))]
    Packed { tensor: String, format: String, path: PathBuf },
    #[error("{} holds {}, {} holds {}: they cannot make one model", name(path), what, name(other), that)]
    Mixed { path: PathBuf, what: String, other: PathBuf, that: String },
    #[error("{} is {found}, wanted {wanted}", name(path))]
    Foreign { path: PathBuf, wanted: String, found: String },
    #[error("{} is a {kind}, which wanctl cannot apply", name(path))]
    Adapter { path: PathBuf, kind: &'static str },
    #[error("{} has {} that the model has no place for: {}", name(path), tensors_of(tensors.len()), some(tensors))]
    Unmatched { path: PathBuf, tensors: Vec<String> },
    #[error("{} is made for {made_for}, and the transformer is {model}", name(path))]
    OtherModel { path: PathBuf, made_for: String, model: String },
    #[error("tensor `{tensor}` in {} is one half of a pair, and the other is missing", name(path))]
    Half { tensor: String, path: PathBuf },
    #[error("tensor `{tensor}` in {} has shape {found:?}, expected {wanted}", name(path))]
    LoraShape { tensor: String, path: PathBuf, wanted: String, found: Vec<usize> },
    #[error("tensor `{tensor}` in {} is {found}, and no LoRA is that strong", name(path))]
    Alpha { tensor: String, path: PathBuf, found: f64 },
    #[error(
        "{} cannot change its strength from step to step: it adds to norms and modulation, {}",
        name(path),
        some(tensors)
    )]
    Fixed { path: PathBuf, tensors: Vec<String> },
    #[error("{} does not say how many heads it has: its width {dim} is no multiple of 128", name(path))]
    Heads { path: PathBuf, dim: usize },
    #[error("the model is not whole: {} {} missing", parts(missing), if missing.len() == 1 { "is" } else { "are" })]
    Incomplete { missing: Vec<Part>, looked: Vec<PathBuf>, found: Vec<String> },
    #[error("{} {} not found", parts_named(missing), if missing.len() == 1 { "is" } else { "are" })]
    NotFound { missing: Vec<Lacking>, looked: Vec<PathBuf>, published: Vec<String> },
    #[error("{} and {} are both {what}", name(path), name(other))]
    Ambiguous { path: PathBuf, other: PathBuf, what: String },
    #[error(transparent)]
    Lookalikes(#[from] Lookalikes),
    #[error("{} does not fit the transformer: {found} {what}, expected {wanted}", name(path))]
    Unfit { path: PathBuf, what: &'static str, wanted: usize, found: usize },
    #[error("the two experts differ: {} is {high}, {} is {low}", name(high_path), name(low_path))]
    Experts { high_path: PathBuf, high: String, low_path: PathBuf, low: String },
}

/// A part of a model that is not here, and the names that it could have had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lacking {
    pub part: String,
    pub names: Vec<String>,
}

impl CheckpointError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn malformed(path: &Path, problem: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), problem: problem.into(), help: None }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. }
            | Self::Malformed { path, .. }
            | Self::Refused { path, .. }
            | Self::Empty { path }
            | Self::Several { path, .. }
            | Self::Shards { path, .. }
            | Self::Missing { path, .. }
            | Self::Shape { path, .. }
            | Self::Stranger { path, .. }
            | Self::Twice { path, .. }
            | Self::Packed { path, .. }
            | Self::Mixed { path, .. }
            | Self::Foreign { path, .. }
            | Self::Adapter { path, .. }
            | Self::Unmatched { path, .. }
            | Self::OtherModel { path, .. }
            | Self::Half { path, .. }
            | Self::LoraShape { path, .. }
            | Self::Alpha { path, .. }
            | Self::Fixed { path, .. }
            | Self::Heads { path, .. }
            | Self::Unfit { path, .. }
            | Self::Ambiguous { path, .. } => Some(path),
            Self::Experts { high_path, .. } => Some(high_path),
            Self::Lookalikes(Lookalikes { paths }) => paths.first().map(PathBuf::as_path),
            Self::Incomplete { .. } | Self::NotFound { .. } => None,
        }
    }
}

impl Reportable for CheckpointError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Weights
    }

    fn details(&self) -> ErrorDetails {
        let text = |text: &str| Some(text.to_owned());
        let (wanted, found, help) = match self {
            Self::Read { .. } => (text("a file that can be read"), None, text("check the path and its permissions")),
            Self::Malformed { help, .. } => {
                (None, None, text(help.unwrap_or("bring the file again: it may not have arrived whole")))
            }
            Self::Refused { what, .. } => (
                text("a dict of tensors"),
                Some(what.clone()),
                text("do not trust this file; bring the model as .safetensors"),
            ),
            Self::Empty { .. } => {
                (text("a .safetensors or .pth file, or shards with their index"), None, text("name the file"))
            }
            Self::Several { found, .. } => (text("one checkpoint"), Some(listed(found)), text("name the file")),
            Self::Shards { missing, .. } => (
                text("every shard that the index names"),
                Some(format!("{} missing", missing.len())),
                text("bring the missing files to the others"),
            ),
            Self::Missing { .. } => (
                text("every tensor of the model"),
                None,
                text("a module needs its base before it, a shard the others: name their folder or index"),
            ),
            Self::Shape { wanted, found, .. } => {
                (Some(wanted.clone()), Some(format!("{found:?}")), text("base and modules must be of one size"))
            }
            Self::Stranger { .. } => (
                text("only tensors of the model"),
                None,
                text("it may be of a model that is built on Wan: use Wan's own"),
            ),
            Self::Twice { .. } => (text("one tensor of each name"), None, None),
            Self::Packed { format, .. } => (
                text("f32, f16, bf16 or scaled f8"),
                Some(format.clone()),
                text("use the bf16 or fp8 file of this model"),
            ),
            Self::Mixed { .. } => (text("parts of one model"), None, text("say what a file is: vae=FILE, text=FILE")),
            Self::Foreign { wanted, found, .. } => (Some(wanted.clone()), Some(found.clone()), None),
            Self::Adapter { kind, .. } => (text("a LoRA"), Some((*kind).to_owned()), text("use a plain LoRA")),
            Self::Unmatched { tensors, .. } => (
                text("only tensors for a Wan transformer"),
                Some(format!("{} others", tensors.len())),
                text("it is for another model, or another program wrote it"),
            ),
            Self::OtherModel { made_for, model, .. } => {
                (Some(model.clone()), Some(made_for.clone()), text("take the LoRA that was made for this model"))
            }
            Self::Half { .. } => {
                (text("both halves, or none"), None, text("bring the file again: it may not have been saved whole"))
            }
            Self::LoraShape { wanted, found, .. } => {
                (Some(wanted.clone()), Some(format!("{found:?}")), text("take the LoRA that was made for this model"))
            }
            Self::Alpha { found, .. } => (
                text("a number other than 0"),
                Some(found.to_string()),
                text("the file is broken; how strong it is to be is said with its weight, --lora PATH=W"),
            ),
            Self::Fixed { .. } => (
                text("one strength in all steps of an expert"),
                None,
                text("give one weight for all phases that the same expert does"),
            ),
            Self::Heads { .. } => {
                (text("a width that is a multiple of 128"), None, text("put its config.json beside it"))
            }
            Self::Incomplete { missing, looked, found } => {
                let seen = if found.is_empty() { "nothing of a model".into() } else { found.join(", ") };
                let help = missing.iter().map(|part| part.help()).collect::<Vec<_>>().join("; ");
                let looked = listed(looked);
                (Some(parts(missing)), Some(format!("{seen}, in {looked}")), Some(help))
            }
            Self::NotFound { missing, looked, published } => {
                let wanted = missing.iter().map(|Lacking { part, names }| match &names[..] {
                    [] => part.clone(),
                    names => format!("{part}: {}", names.join(", or ")),
                });
                let looked = looked.iter().map(|place| place.display().to_string());
                let published = match &published[..] {
                    [] => String::new(),
                    places => format!("they are published as {} on huggingface.co\n", places.join(", ")),
                };
                let help =
                    format!("{published}name their folder with --models DIR, or the files with --model and --lora");
                let found = ["nothing of these names in".to_owned()].into_iter().chain(looked).collect::<Vec<_>>();
                (Some(wanted.collect::<Vec<_>>().join("\n")), Some(found.join("\n")), Some(help))
            }
            Self::Ambiguous { .. } => (
                text("one file for each part"),
                None,
                text("say which is which: high=FILE, low=FILE, vae=FILE, text=FILE"),
            ),
            Self::Lookalikes(_) => (text("one file of that name"), None, text(RENAME)),
            Self::Unfit { what, wanted, found, .. } => (
                Some(format!("{wanted} {what}")),
                Some(found.to_string()),
                text("take the file that came with this transformer: Wan 2.1 and 2.2 TI2V have a VAE each"),
            ),
            Self::Experts { high, low, .. } => {
                (Some(high.clone()), Some(low.clone()), text("take both experts from one model"))
            }
        };
        ErrorDetails { file: self.file().map(Path::to_owned), wanted, found, help, ..ErrorDetails::default() }
    }
}

/// A weight file in a message: with its folder, since those of every model are called alike.
pub fn name(path: &Path) -> String {
    let mut parts = path.iter().rev().take(2).collect::<Vec<_>>();
    parts.reverse();
    parts.iter().collect::<PathBuf>().display().to_string()
}

fn tensors_of(count: usize) -> String {
    if count == 1 { "1 tensor".into() } else { format!("{count} tensors") }
}

/// The first few.
fn some(tensors: &[String]) -> String {
    let shown: Vec<String> = tensors.iter().take(4).map(|tensor| format!("`{tensor}`")).collect();
    let more = tensors.len() - shown.len();
    shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

fn listed(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().take(6).map(|path| name(path)).collect();
    let more = paths.len().saturating_sub(shown.len());
    shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

fn parts(parts: &[Part]) -> String {
    are(parts.iter().map(|part| part.name()).collect())
}

fn parts_named(missing: &[Lacking]) -> String {
    are(missing.iter().map(|lacking| lacking.part.as_str()).collect())
}

fn are(names: Vec<&str>) -> String {
    match names[..] {
        [one] => one.into(),
        [ref first @ .., last] => format!("{} and {last}", first.join(", ")),
        [] => "nothing".into(),
    }
}
