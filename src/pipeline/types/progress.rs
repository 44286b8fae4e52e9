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
    /// A line for people, such as what was chosen for them.
    fn note(&self, _line: &str) {}
    /// A seam or segment is made.
    fn made(&self, _seam: usize) {}
    /// For so many that work on these parts of a film at once: a voice each.
    fn voices(&self, count: usize, parts: &Parts) -> Vec<Box<dyn Progress + '_>>;
}

/// The seams or segments of a film that are worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// `seam` or `segment`.
    pub of: &'static str,
    pub all: Vec<PartSize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSize {
    /// From 0.
    pub number: usize,
    /// Frames of its guide: what it takes grows with them.
    pub frames: usize,
    /// Frames to generate.
    pub generated: usize,
    /// Whether an earlier run has made it.
    pub made: bool,
}

/// How much of a seam is done, from 0 to 1, where so much of one part of the engine's work is: the parts of a Wan model's
/// work, and of the interpolation network's, by about the time that they take.
pub fn share_of_part(part: Option<&str>, done: f64, generated: usize) -> f64 {
    let motion = MOTION_FRAMES / (MOTION_FRAMES + generated as f64);
    let (before, own) = match part {
        Some("prompt") => (0.0, 0.03),
        Some("encode") => (0.03, 0.07),
        // Of each of two experts, between other parts.
        Some("load") => (0.0, 0.0),
        Some("denoise") => (0.1, 0.8),
        Some("decode") => (0.9, 0.1),
        Some("motion") => (0.0, motion),
        Some("frames") => (motion, 1.0 - motion),
        _ => (0.0, 1.0),
    };
    before + own * done
}

/// Frames that the interpolation network draws in the time that it takes to measure the clips' motion.
const MOTION_FRAMES: f64 = 12.0;

/// For tests, and for stages that nobody watches.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Stage, _: usize) {}
    fn begin_seam(&self, _: Stage, _: usize, _: usize) {}
    fn begin_part(&self, _: Stage, _: usize, _: &'static str, _: usize) {}
    fn within(&self, _: usize, _: f64) {}
    fn warn(&self, _: Warning) {}
    fn voices(&self, count: usize, _: &Parts) -> Vec<Box<dyn Progress + '_>> {
        (0..count).map(|_| Box::new(Self) as Box<dyn Progress>).collect()
    }
}
