//! How many seams or segments a film has: as many prompts, seeds and lengths it takes.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use strum::{Display, EnumString};

use super::{OptionsError, Source, Sourced};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Part {
    Seam,
    Segment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    pub count: usize,
    pub of: Part,
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, of } = self;
        write!(f, "{count} {of}{}", if *count == 1 { "" } else { "s" })
    }
}

impl Parts {
    pub fn seams(count: usize) -> Self {
        Self { count, of: Part::Seam }
    }

    pub fn segments(count: usize) -> Self {
        Self { count, of: Part::Segment }
    }

    pub(super) fn counted(self, found: usize, what: &'static str, from: Source) -> OptionsError {
        OptionsError::Counted { found, what, parts: self, from }
    }

    /// What is said of single ones, of each or of none.
    pub(super) fn single<T>(
        self,
        said: Option<Sourced<Vec<T>>>,
        what: &'static str,
    ) -> Result<Sourced<Vec<T>>, OptionsError> {
        match said.unwrap_or(Sourced::built_in(vec![])) {
            said if said.is_empty() || said.len() == self.count => Ok(said),
            said => Err(self.counted(said.len(), what, said.from)),
        }
    }
}
