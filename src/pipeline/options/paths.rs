//! The files that a travel is made of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The files that a journey is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JourneyPaths {
    /// In the order of the film.
    pub images: Vec<PathBuf>,
    /// A clip that the journey goes on from.
    pub continued: Option<PathBuf>,
    /// Clips that guide what is made.
    pub structure: Vec<PathBuf>,
    /// Pictures that say what things look like.
    pub references: Vec<PathBuf>,
}

impl JourneyPaths {
    /// This, and what it does not name as it lies below.
    pub fn over(self, below: Self) -> Self {
        let several = |own: Vec<PathBuf>, below| if own.is_empty() { below } else { own };
        Self {
            images: several(self.images, below.images),
            continued: self.continued.or(below.continued),
            structure: several(self.structure, below.structure),
            references: several(self.references, below.references),
        }
    }

    /// The same with every path changed.
    pub fn map<E>(self, mut change: impl FnMut(PathBuf) -> Result<PathBuf, E>) -> Result<Self, E> {
        let Self { images, continued, structure, references } = self;
        let mut all = |paths: Vec<PathBuf>| paths.into_iter().map(&mut change).collect::<Result<Vec<_>, E>>();
        Ok(Self {
            images: all(images)?,
            continued: all(continued.into_iter().collect())?.pop(),
            structure: all(structure)?,
            references: all(references)?,
        })
    }

    /// In the order of the plan's inputs.
    pub fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let Self { images, continued, structure, references } = self;
        continued.iter().chain(images).chain(structure).chain(references)
    }
}
