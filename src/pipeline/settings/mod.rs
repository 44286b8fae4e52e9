//! What was asked: every option as a typed value, with who said it, checked where no file is needed for it.

use serde::{Serialize, Serializer};

mod error;
mod film;
mod layer;
mod multiplier;
mod options;
mod phase_config;
mod wan;

pub use error::SettingsError;
pub use film::{Audio, FilmSettings};
pub use layer::{Layer, Overrides, Source, Sourced, pick};
pub use multiplier::{LoraAsk, Multiplier, multipliers};
pub use options::{EngineChoice, Guidance, Length, Noise, Prompts, Seed};
pub use phase_config::{ConfigLora, PhaseConfig, PhaseConfigError, thresholds};
pub use wan::{WanAsk, WanSettings, random_seed};

use super::{
    job::Device,
    media::Fit,
    plan::{Align, Blend, JoinAsk, MaskRule, Mode},
    video::{Fps, Size},
};

impl EngineChoice {
    /// Made frames fade into the clips' own where the engine makes those anew.
    fn blend(self) -> usize {
        if self == Self::Wan { 4 } else { 0 }
    }
}

/// How the engine does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EngineSettings {
    pub device: Device,
    /// None: one for every core.
    pub threads: Option<usize>,
}

/// What a plan needs.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    pub context: Length,
    /// None: what the mode has by default.
    pub gap: Option<Length>,
    #[serde(serialize_with = "as_text")]
    pub mode: Mode,
    #[serde(serialize_with = "as_text")]
    pub align: Align,
    /// None: what goes with the alignment.
    #[serde(skip)]
    pub mask_rule: Option<MaskRule>,
    pub blend: Option<usize>,
    pub fps: Option<Fps>,
    pub size: Option<Size>,
    pub fit: Fit,
    pub looped: bool,
    pub anchors: bool,
    pub engine: EngineChoice,
}

impl Settings {
    /// The question to the planner, at the film's rate.
    pub fn ask(&self, fps: Fps) -> JoinAsk {
        let gap = self.gap.unwrap_or(Length::Frames(match self.mode {
            Mode::Insert => 53,
            Mode::Replace => 16,
        }));
        JoinAsk {
            context: self.context.frames(fps),
            gap: gap.frames(fps),
            mode: self.mode,
            align: self.align,
            mask_rule: self.mask_rule.unwrap_or(match self.align {
                Align::Latent => MaskRule::Exact,
                Align::Exact => MaskRule::Reference,
            }),
            // What rife and dissolve make of the context is the context itself: nothing to fade.
            blend: self.blend.map_or(Blend::UpTo(self.engine.blend()), Blend::Exactly),
            looped: self.looped,
            anchors: self.anchors,
        }
    }
}

fn as_text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
