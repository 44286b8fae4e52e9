//! How a run says where it is; the command line decides how that looks.

use std::path::PathBuf;

use serde::Serialize;

/// The stages of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Settings,
    Probe,
    Plan,
    Guide,
    Engine,
    Sound,
    Film,
    Verify,
}

impl Stage {
    /// As a word for people and for events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Probe => "probe",
            Self::Plan => "plan",
            Self::Guide => "guide",
            Self::Engine => "engine",
            Self::Sound => "sound",
            Self::Film => "film",
            Self::Verify => "verify",
        }
    }
}

/// Something that the user should know and that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// A word that a program can match.
    pub code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    pub message: String,
}

pub trait Progress: Send + Sync {
    /// A stage starts; `total` is how many steps it has, 0 where that is not known.
    fn begin(&self, stage: Stage, total: usize);
    /// The same for one seam of several.
    fn begin_seam(&self, stage: Stage, seam: usize, total: usize);
    /// The same for a part of that which is counted by itself.
    fn begin_part(&self, stage: Stage, seam: usize, part: &'static str, total: usize);
    /// So many steps of the stage are done.
    fn reached(&self, done: usize) {
        self.within(done, 0.0);
    }
    /// So many, and this share of the next one, from 0 to 1.
    fn within(&self, done: usize, share: f64);
    fn warn(&self, warning: Warning);
    /// For so many that work on parts of a film at once, seams or segments as `of` says: a voice each. One alone is as this one.
    fn voices(&self, count: usize, of: &'static str) -> Vec<Box<dyn Progress + '_>>;
}

/// For tests, and for stages that nobody watches.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Stage, _: usize) {}
    fn begin_seam(&self, _: Stage, _: usize, _: usize) {}
    fn begin_part(&self, _: Stage, _: usize, _: &'static str, _: usize) {}
    fn within(&self, _: usize, _: f64) {}
    fn warn(&self, _: Warning) {}
    fn voices(&self, count: usize, _: &'static str) -> Vec<Box<dyn Progress + '_>> {
        (0..count).map(|_| Box::new(Self) as Box<dyn Progress>).collect()
    }
}
