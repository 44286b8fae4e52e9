//! A model as a user names it with `--model`, and as its parts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CheckpointError, Conditioning, Transformer, search};

/// What a file is to be used as, where its contents do not say it or the user says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    High,
    Low,
    Vae,
    Text,
    Tokenizer,
}

const ROLES: [(&str, Role); 5] = [
    ("high=", Role::High),
    ("low=", Role::Low),
    ("vae=", Role::Vae),
    ("text=", Role::Text),
    ("tokenizer=", Role::Tokenizer),
];

/// One word of `--model`: `PATH`, or `high=PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub role: Option<Role>,
    pub path: PathBuf,
}

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = ROLES.iter().find_map(|(word, role)| Some((*role, text.strip_prefix(word)?)));
        let (role, path) = role.map_or((None, text), |(role, path)| (Some(role), path));
        match path {
            "" => Err("wanted a path, or high=, low=, vae=, text= or tokenizer= and a path".into()),
            path => Ok(Self { role, path: path.into() }),
        }
    }
}

/// What a model cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Transformer,
    /// The base that a module is laid over.
    Base,
    High,
    Low,
    Vae,
    Text,
    Tokenizer,
}

impl Part {
    /// As a message has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformer => "the transformer",
            Self::Base => "the transformer that the VACE module belongs to",
            Self::High => "the high-noise expert",
            Self::Low => "the low-noise expert",
            Self::Vae => "the VAE",
            Self::Text => "the text encoder",
            Self::Tokenizer => "the tokenizer",
        }
    }

    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Transformer => "give a transformer with --model FILE, or a model's folder",
            Self::Base => "give the text-to-video model as well, --model FILE",
            Self::High => "give the other expert with --model high=FILE",
            Self::Low => "give the other expert with --model low=FILE",
            Self::Vae => "give it with --model vae=FILE",
            Self::Text => "give umT5-XXL with --model text=FILE",
            Self::Tokenizer => {
                "give the tokenizer.json of umT5 with --model tokenizer=FILE (google/umt5-xxl/ or tokenizer/ in Wan's repositories)"
            }
        }
    }
}

/// All files of one model, by absolute paths; each list is what [`Checkpoint::open`] takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFiles {
    /// The transformer, or the expert for high noise.
    pub high: Vec<PathBuf>,
    /// The expert for low noise; empty where one transformer does all.
    pub low: Vec<PathBuf>,
    pub vae: Vec<PathBuf>,
    pub text: Vec<PathBuf>,
    pub tokenizer: PathBuf,
    /// The part of the noise, 0 to 1, from which on the high expert works; where the model says it.
    pub boundary: Option<f64>,
    /// The schedule's shift; where the model says it.
    pub flow_shift: Option<f64>,
    pub transformer: Transformer,
}

impl ModelFiles {
    /// Of files and folders in any order; a part that the user names by its role goes before one that was found.
    pub fn find(wanted: &[Wanted]) -> Result<Self, CheckpointError> {
        search::find(wanted, &[])
    }

    /// The same, and what is not among them out of what was located.
    pub fn find_or(wanted: &[Wanted], located: &[Wanted]) -> Result<Self, CheckpointError> {
        search::find(wanted, located)
    }

    /// How the transformer is shown the clips; none that it can be shown is an error.
    pub fn conditioning(&self) -> Result<Conditioning, CheckpointError> {
        let Self { high, transformer, .. } = self;
        transformer.conditioning().ok_or_else(|| CheckpointError::Foreign {
            path: high[0].clone(),
            wanted: "a transformer with VACE, or image-to-video of Wan 2.2".into(),
            found: transformer.name(),
        })
    }
}
