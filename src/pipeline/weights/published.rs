//! A model by the names that its files were published under.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Conditioning;

/// For each part, names that it can have: the first that is found is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Published {
    /// The transformer, or the expert for high noise.
    pub high: Vec<Files>,
    /// Empty where one transformer does all.
    pub low: Vec<Files>,
    pub vae: Vec<Files>,
    pub text: Vec<Files>,
    pub tokenizer: Vec<Files>,
    /// Where they are published: said where one is missing.
    pub at: Vec<String>,
}

/// A file or folder, or several that only make a part together: a base and its modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Files {
    One(PathBuf),
    Together(Vec<PathBuf>),
}

impl Published {
    /// How the transformer is shown frames, where its names tell it. Names can lie; a run reads headers.
    pub fn conditioning(&self) -> Option<Conditioning> {
        let says = |word: &str| {
            let holds = |name: &PathBuf| name.to_string_lossy().to_lowercase().contains(word);
            self.high.iter().any(|files| match files {
                Files::One(name) => holds(name),
                Files::Together(names) => names.iter().any(holds),
            })
        };
        match () {
            () if says("vace") => Some(Conditioning::Vace),
            () if says("i2v") || says("image2video") => Some(Conditioning::Images),
            () => None,
        }
    }
}
