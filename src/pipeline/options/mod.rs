//! Options: what flags, presets, stories, tasks and recorded runs request, and the values that it comes to.

mod check;
mod engine;
mod error;
mod fields;
mod film;
mod generation;
mod layer;
mod multiplier;
mod parts;
mod paths;
mod phases;
mod preset;
mod resolve;
mod sampling;
pub mod story;
mod to_options;
mod values;
mod wan;
mod weights;

pub use engine::{Devices, EngineSettings};
pub use error::OptionsError;
pub use fields::{
    CommonOptions, ExecOptions, FilmOptions, JoinOptions, Options, TravelOptions, WanOptions, existing_file, flags_said,
};
pub use film::{Audio, FilmSettings};
pub use generation::Generation;
pub use layer::{Layer, SegmentSampling, Source, Sourced, pick};
pub use multiplier::{LoraAsk, Multiplier, multipliers};
pub use parts::{Part, Parts};
pub use paths::JourneyPaths;
pub use preset::{Preset, PresetError};
pub use resolve::{
    Content, Facts, JOURNEY_FRAMES, Kind, Model, ResolvedCommon, ResolvedJoin, ResolvedModel, ResolvedOptions,
    ResolvedTravel, engine, parts, resolve,
};
pub use sampling::{Lora, LoraFiles, ModelTraits, Sampling};
pub use values::{Each, EngineChoice, FrameRange, Guidance, Length, Prompts, Seed, SeedMode, StructureUse};
pub use wan::{WanSettings, random_seed};
pub use weights::Weights;
