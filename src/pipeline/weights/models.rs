//! A model as a user names it with `--model`, and as its parts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CheckpointError, Conditioning, Transformer};

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
