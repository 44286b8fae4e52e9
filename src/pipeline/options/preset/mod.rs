//! Presets: ways of generating that have a name. YAML files: built in, in the user's config folder, or anywhere.

use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{EngineChoice, Layer, Options, Source, fields::read_with_options};
use crate::pipeline::{
    system::{
        file_names::{self, Lookalikes, RENAME},
        yaml::{self, YamlError},
    },
    types::error::{ErrorCode, ErrorDetails, Reportable},
    weights::{Files, Published},
};

#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    pub name: String,
    /// Names that tasks use.
    pub aliases: Vec<String>,
    pub about: String,
    /// Where it was read; none for a built-in one.
    pub path: Option<PathBuf>,
    pub values: Options,
    /// At which rate the model was trained, and for how many frames at a time: said, not forced.
    pub fps: Option<f64>,
    pub max_frames: Option<usize>,
}

#[derive(Debug, thiserror::Error)]
pub enum PresetError {
    #[error("there is no preset `{name}`")]
    Unknown { name: String, near: Vec<String>, folder: Option<PathBuf> },
    #[error("the preset {what} {error}")]
    File { what: String, path: Option<PathBuf>, error: YamlError },
    #[error(transparent)]
    Lookalikes(#[from] Lookalikes),
    #[error("the preset {name} takes its models from `{of}`, which is no preset with models")]
    Models { name: String, of: String },
}

impl PresetError {
    fn of_file(path: &Path, error: YamlError) -> Self {
        Self::File { what: path.display().to_string(), path: Some(path.to_owned()), error }
    }
}

impl Reportable for PresetError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Input
    }

    fn details(&self) -> ErrorDetails {
        match self {
            Self::Unknown { near, folder, .. } => {
                let folder =
                    folder.as_ref().map_or(String::new(), |folder| format!(", NAME.yaml in {}", folder.display()));
                let near = match &near[..] {
                    [] => "see `wanctl inspect --list-models`".into(),
                    near => format!("did you mean {}?", near.join(", ")),
                };
                ErrorDetails {
                    wanted: Some(format!("a built-in preset{folder}, or a file")),
                    help: Some(near),
                    ..ErrorDetails::default()
                }
            }
            Self::File { path, error, .. } => {
                let help = match error {
                    YamlError::Read(_) => "check the path and its permissions",
                    YamlError::Text(_) => "an editor's \"Save as\" has the encoding UTF-8",
                    YamlError::Large => "a preset is a short text",
                    YamlError::Wrong { .. } => "see a built-in one with `wanctl inspect wan22-vace-lightning`",
                };
                ErrorDetails {
                    file: path.clone(),
                    wanted: Some("a preset in YAML".into()),
                    help: Some(help.into()),
                    ..ErrorDetails::default()
                }
            }
            Self::Lookalikes(Lookalikes { paths }) => ErrorDetails {
                file: paths.first().cloned(),
                wanted: Some("one file of that name".into()),
                help: Some(RENAME.into()),
                ..ErrorDetails::default()
            },
            Self::Models { .. } => ErrorDetails {
                wanted: Some("the name of a preset with models, or the models' file names".into()),
                help: Some("see `wanctl inspect --list-models`".into()),
                ..ErrorDetails::default()
            },
        }
    }
}

/// What a preset says besides options.
#[derive(Deserialize)]
struct Written {
    name: String,
    /// Without one a preset would mean another thing on every machine.
    #[serde(rename = "engine")]
    _engine: EngineChoice,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    about: String,
    models: Option<Models>,
    #[serde(default)]
    published: Vec<String>,
    /// At which the model was trained: not the film's.
    fps: Option<f64>,
    max_frames: Option<usize>,
}

const KEYS: &[&str] = &["name", "aliases", "about", "models", "published", "max_frames"];

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "wanted the name of another preset, or high, low, vae, text and tokenizer with lists of file names"
)]
enum Models {
    Of(String),
    Named(Parts),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    high: Vec<Files>,
    #[serde(default)]
    low: Vec<Files>,
    vae: Vec<Files>,
    text: Vec<Files>,
    tokenizer: Vec<Files>,
}

/// Names of files in `presets/`, in the order in which the first one whose weights are there is taken.
macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/presets/", $name, ".yaml")))),+]
    };
}

const BUILT_IN: &[(&str, &str)] = built_in![
    "wan22-vace-lightning",
    "wan22-vace-lightning-4",
    "wan22-vace-lightning-8",
    "wan22-vace-fun",
    "wan21-vace-14b",
    "wan21-vace-1.3b",
    "wan22-i2v-lightning-4",
    "wan22-i2v-lightning-8",
    "wan22-i2v-lightning-seko-4",
    "wan22-i2v-lightning-seko-8",
    "wan22-i2v",
    "wan22-t2v-lightning-4",
    "wan22-t2v-lightning-8",
    "wan22-t2v-lightning-1.1-4",
    "wan22-t2v-lightning-1.1-8",
    "wan22-t2v-lightning-1217-4",
    "wan22-t2v-lightning-1217-8",
    "wan22-t2v-mps-4",
    "wan22-t2v-hps-8",
    "wan22-t2v",
    "wan22-vace-lightning-3-3",
    "wan22-i2v-lightning-2-2-2",
    "wan22-i2v-lightning-3-3",
    "wan22-i2v-svi-3-3",
    "wan22-i2v-svi-endframe",
    "wan22-i2v-svi2pro",
    "wan22-vace-module",
    "wan22-vace-fun-30",
    "wan22-vace-cocktail",
    "wan22-vace-fun-cocktail",
    "wan22-vace-fake-cocktail",
    "wan21-vace-cocktail",
    "wan22-vace-lightning-3p",
    "wan22-vace-fun-cocktail-lightning",
    "wan22-vace-fun-cocktail-3p",
    "wan22-vace-fun-cocktail-3p-backup",
    "wan22-vace-fun-cocktail-3p-distill",
];

impl Preset {
    /// All built-in ones.
    pub fn built_in() -> Vec<Self> {
        let read = |(name, text): &(&str, &str)| {
            let preset = Self::parse(text, None).expect("every built-in preset is read by a test");
            debug_assert_eq!(preset.name, *name);
            preset
        };
        BUILT_IN.iter().map(read).collect()
    }

    /// Those of the user, each by its file's name; one that cannot be read says why.
    pub fn of_user() -> Vec<Result<Self, PresetError>> {
        let entries = user_folder().and_then(|folder| fs::read_dir(folder).ok());
        let mut paths: Vec<PathBuf> =
            entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| yaml::is_named_so(path));
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// By a path, by its file's name in the user's folder, or by a built-in name or alias.
    pub fn find(name: &str) -> Result<Self, PresetError> {
        let path = Path::new(name);
        if yaml::is_named_so(path) || name.contains(std::path::MAIN_SEPARATOR) {
            return Self::read(path);
        }
        let folder = user_folder();
        let own = folder.iter().flat_map(|folder| ["yaml", "yml"].map(|end| folder.join(format!("{name}.{end}"))));
        for own in own {
            let own = file_names::written(&own)?;
            if own.is_file() {
                return Self::read(&own);
            }
        }
        let presets = Self::built_in();
        let known = |preset: &&Self| preset.name == name || preset.aliases.iter().any(|alias| alias == name);
        if let Some(preset) = presets.iter().find(known) {
            return Ok(preset.clone());
        }
        let names = presets.iter().flat_map(|preset| std::iter::once(&preset.name).chain(&preset.aliases));
        let mut near = yaml::nearest(name, names.map(String::as_str));
        near.truncate(3);
        Err(PresetError::Unknown { name: name.to_owned(), near, folder })
    }

    /// The preset that `name` is, if it is meant to be one: there is no such file, and a preset is called so or almost so.
    pub fn meant_by(name: &Path) -> Option<Result<Self, PresetError>> {
        if !yaml::is_named_so(name) && (name.exists() || name.components().count() > 1) {
            return None;
        }
        match Self::find(name.to_str()?) {
            Err(PresetError::Unknown { near, .. }) if near.is_empty() => None,
            found => Some(found),
        }
    }

    pub fn read(path: &Path) -> Result<Self, PresetError> {
        let path = &file_names::typed(path)?;
        let text = yaml::text_of(path).map_err(|error| PresetError::of_file(path, error))?;
        Self::parse(&text, Some(path))
    }

    fn parse(text: &str, path: Option<&Path>) -> Result<Self, PresetError> {
        let read = read_with_options(text, KEYS);
        let (written, mut values): (Written, Options) =
            read.map_err(|error| PresetError::of_file(path.unwrap_or(Path::new("built in")), error))?;
        let Written { name, _engine, aliases, about, models, published: at, fps, max_frames } = written;
        values.common.fps = None;
        values.wan.model_files = match models {
            None => None,
            Some(Models::Named(Parts { high, low, vae, text, tokenizer })) => {
                Some(Published { high, low, vae, text, tokenizer, at })
            }
            Some(Models::Of(of)) => {
                match BUILT_IN.iter().find(|(name, _)| *name == of).map(|(_, text)| yaml::read(text)) {
                    Some(Ok(Written { models: Some(Models::Named(parts)), published, .. })) => {
                        let Parts { high, low, vae, text, tokenizer } = parts;
                        Some(Published { high, low, vae, text, tokenizer, at: [published, at].concat() })
                    }
                    _ => return Err(PresetError::Models { name, of }),
                }
            }
        };
        Ok(Self { name, aliases, about, path: path.map(Path::to_owned), values, fps, max_frames })
    }

    /// What it says.
    pub fn layer(&self) -> Layer {
        Layer { from: Source::Preset(self.name.clone()), values: self.values.clone() }
    }
}

fn user_folder() -> Option<PathBuf> {
    Some(dirs::config_dir()?.join("wanctl").join("presets"))
}

#[cfg(test)]
mod tests;
