//! What was asked: every option as a typed value, with who said it, checked where no file is needed for it.

use serde::Serialize;

mod again;
mod check;
mod engine;
mod error;
mod film;
mod generation;
mod journey;
mod layer;
mod multiplier;
mod parts;
mod phases;
mod preset;
mod sampling;
pub mod story;
mod values;
mod wan;
mod weights;

pub use again::{again, journey_again};
pub use engine::{Devices, EngineAsk, EngineSettings};
pub use error::SettingsError;
pub use film::{Audio, FilmAsk, FilmSettings};
pub use generation::Generation;
pub use journey::{JOURNEY_FRAMES, JourneyPaths, JourneySettings, count};
pub use layer::{Layer, Options, SegmentSampling, Source, Sourced, pick};
pub use multiplier::{LoraAsk, Multiplier, multipliers};
pub use parts::{Part, Parts};
pub use preset::{Preset, PresetError};
pub use sampling::{Lora, LoraFiles, ModelKind, Sampling};
pub use values::{Each, EngineChoice, FrameRange, Guidance, Length, Prompts, Seed, SeedMode, StructureUse};
pub use wan::{WanSettings, random_seed};
pub use weights::Weights;

use crate::pipeline::{
    media::{Fit, TrackChoice},
    plan::{self, Align, Blend, FramePlan, JoinParams, MaskRule, Mode, PlanError, RangeAsk},
    types::video::{Fps, Size},
    weights::Conditioning,
};

/// What a plan needs.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    pub engine: Sourced<EngineChoice>,
    pub context: Sourced<Length>,
    pub gap: Sourced<Length>,
    pub mode: Sourced<Mode>,
    pub align: Sourced<Align>,
    pub mask_rule: Sourced<MaskRule>,
    pub blend: Sourced<Blend>,
    /// None: the first clip's.
    pub fps: Sourced<Option<Fps>>,
    /// None: the first clip's.
    pub size: Sourced<Option<Size>>,
    /// None: the nearest one to the film's that a model takes.
    pub made_size: Sourced<Option<Size>>,
    pub fit: Sourced<Fit>,
    /// Tracks of each clip, counted from 1 among those of their kind; None: those that a player would take.
    pub video_track: Sourced<Option<usize>>,
    pub audio_track: Sourced<Option<usize>>,
    /// Whether HDR is brought to BT.709.
    pub tone_map: Sourced<bool>,
    pub looped: Sourced<bool>,
    /// Frames of one clip that are made again; none: clips are joined.
    pub ranges: Sourced<Vec<FrameRange>>,
    pub anchors: Sourced<bool>,
}

/// Which one does the work; `auto` is what stands for auto.
pub fn engine(layers: &[Layer], auto: EngineChoice) -> Sourced<EngineChoice> {
    let engine = pick(layers, |asked| asked.engine).unwrap_or(Sourced::built_in(EngineChoice::Auto));
    match engine.value {
        EngineChoice::Auto => engine.map(|_| auto),
        _ => engine,
    }
}

/// With this model's own mask rule, if it has one of its own; another one that was asked for is refused.
fn ruled(rule: Sourced<MaskRule>, images: bool) -> Result<Sourced<MaskRule>, SettingsError> {
    let Sourced { value, ref from } = rule;
    if *from != Source::BuiltIn && (value == MaskRule::Frames) != images {
        return Err(SettingsError::MaskRule { rule: value, from: from.clone() });
    }
    Ok(if images { Sourced { value: MaskRule::Frames, from: Source::Weights } } else { rule })
}

impl Settings {
    /// Of these layers over the built-in one; `auto` is the engine that stands for auto.
    pub fn of(layers: &[Layer], auto: EngineChoice) -> Result<Self, SettingsError> {
        check::ranges(layers)?;
        let engine = engine(layers, auto);
        let mode = pick(layers, |asked| asked.mode).unwrap_or(Sourced::built_in(Mode::Insert));
        let align = pick(layers, |asked| asked.align).unwrap_or(Sourced::built_in(Align::Latent));
        let gap = match mode.value {
            Mode::Insert => 53,
            Mode::Replace => 16,
        };
        let mask_rule = match align.value {
            Align::Latent => MaskRule::Exact,
            Align::Exact => MaskRule::Reference,
        };
        // Made frames fade into the clips' own where the engine makes those anew: what rife and dissolve make of the
        // context is the context itself.
        let blend = if *engine == EngineChoice::Wan { 4 } else { 0 };
        let ranges = pick(layers, |asked| asked.ranges.clone()).unwrap_or(Sourced::built_in(vec![]));
        if !ranges.is_empty() {
            check::beside_ranges(layers)?;
        }
        Ok(Self {
            context: pick(layers, |asked| asked.context).unwrap_or(Sourced::built_in(Length::Frames(8))),
            gap: pick(layers, |asked| asked.gap).unwrap_or(Sourced::built_in(Length::Frames(gap))),
            mask_rule: pick(layers, |asked| asked.mask_rule).unwrap_or(Sourced::built_in(mask_rule)),
            blend: pick(layers, |asked| asked.blend.map(Blend::Exactly))
                .unwrap_or(Sourced::built_in(Blend::UpTo(blend))),
            fps: pick(layers, |asked| asked.fps.map(Some)).unwrap_or(Sourced::built_in(None)),
            size: pick(layers, |asked| asked.size.map(Some)).unwrap_or(Sourced::built_in(None)),
            made_size: pick(layers, |asked| asked.made_size.map(Some)).unwrap_or(Sourced::built_in(None)),
            fit: pick(layers, |asked| asked.fit).unwrap_or(Sourced::built_in(Fit::Crop)),
            video_track: pick(layers, |asked| asked.video_track.map(Some)).unwrap_or(Sourced::built_in(None)),
            audio_track: pick(layers, |asked| asked.audio_track.map(Some)).unwrap_or(Sourced::built_in(None)),
            tone_map: pick(layers, |asked| asked.tone_map).unwrap_or(Sourced::built_in(false)),
            looped: pick(layers, |asked| asked.looped).unwrap_or(Sourced::built_in(false)),
            anchors: pick(layers, |asked| asked.anchors).unwrap_or(Sourced::built_in(false)),
            engine,
            mode,
            align,
            ranges,
        })
    }

    /// The same, for this model. One that is shown frames at the start and the end has learned to go from one frame to
    /// another.
    pub fn for_model(self, conditioning: Conditioning) -> Result<Self, SettingsError> {
        let images = conditioning == Conditioning::Images;
        let mask_rule = ruled(self.mask_rule, images)?;
        if !images {
            return Ok(Self { mask_rule, ..self });
        }
        let context = match self.context.from {
            Source::BuiltIn => Sourced { value: Length::Frames(1), from: Source::Weights },
            _ => self.context,
        };
        Ok(Self { context, mask_rule, ..self })
    }

    /// How many seams these clips have.
    pub fn seams(&self, clips: usize) -> Parts {
        Parts::seams(match self.ranges.len() {
            0 if *self.looped => clips,
            0 => clips.saturating_sub(1),
            ranges => ranges,
        })
    }

    /// The tracks that are taken of each clip.
    pub fn tracks(&self) -> TrackChoice {
        TrackChoice { video: *self.video_track, audio: *self.audio_track }
    }

    pub fn plan(&self, sources: Vec<plan::Source>, film: plan::Film) -> Result<FramePlan, PlanError> {
        match self.ranges.is_empty() {
            true => plan::join(sources, film, &self.ask(film.fps)),
            false => plan::ranges(sources, film, &self.ask_ranges(film.fps)),
        }
    }

    fn ask_ranges(&self, fps: Fps) -> RangeAsk {
        let Self { engine, context, align, mask_rule, blend, ranges, .. } = self;
        let needs = match engine.value {
            // They make frames between two.
            EngineChoice::Rife | EngineChoice::Dissolve => [true, true],
            // An image-to-video model starts from an image.
            EngineChoice::Auto | EngineChoice::Wan => [mask_rule.value == MaskRule::Frames, false],
        };
        RangeAsk {
            ranges: ranges.iter().map(|range| range.0.clone()).collect(),
            context: context.frames(fps),
            align: align.value,
            mask_rule: mask_rule.value,
            blend: blend.value,
            needs,
        }
    }

    /// The question to the planner of joins, at the film's rate.
    pub fn ask(&self, fps: Fps) -> JoinParams {
        let Self { engine: _, context, gap, mode, align, mask_rule, blend, looped, anchors, .. } = self;
        JoinParams {
            context: context.frames(fps),
            gap: gap.frames(fps),
            mode: mode.value,
            align: align.value,
            mask_rule: mask_rule.value,
            blend: blend.value,
            looped: looped.value,
            anchors: anchors.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Layer {
        Layer { from: Source::Flag, values: serde_json::from_str(text).unwrap() }
    }

    #[test]
    fn with_no_word_at_all_the_plan_is_the_contracts() {
        let settings = Settings::of(&[], EngineChoice::Rife).unwrap();
        let ask = settings.ask("24".parse().unwrap());
        assert_eq!((ask.context, ask.gap, ask.mode, ask.align), (8, 53, Mode::Insert, Align::Latent));
        assert_eq!(
            (ask.mask_rule, ask.blend, ask.looped, ask.anchors),
            (MaskRule::Exact, Blend::UpTo(0), false, false)
        );
        assert_eq!((settings.engine.value, settings.engine.from), (EngineChoice::Rife, Source::BuiltIn));
    }

    #[test]
    fn what_goes_with_another_option_follows_it_unless_it_is_said() {
        let ask = |text: &str| Settings::of(&[flags(text)], EngineChoice::Rife).unwrap().ask("24".parse().unwrap());
        assert_eq!(ask(r#"{"mode": "replace"}"#).gap, 16);
        assert_eq!(ask(r#"{"mode": "replace", "gap": 20}"#).gap, 20);
        assert_eq!(ask(r#"{"align": "exact"}"#).mask_rule, MaskRule::Reference);
        assert_eq!(ask(r#"{"align": "exact", "mask_rule": "exact"}"#).mask_rule, MaskRule::Exact);
        assert_eq!(ask(r#"{"engine": "wan"}"#).blend, Blend::UpTo(4));
        assert_eq!(ask(r#"{"engine": "wan", "blend": 0}"#).blend, Blend::Exactly(0));
    }

    #[test]
    fn every_value_says_who_said_it() {
        let preset = Layer {
            from: Source::Preset("mine".into()),
            values: serde_json::from_str(r#"{"gap": 20, "mode": "replace"}"#).unwrap(),
        };
        let settings = Settings::of(&[preset, flags(r#"{"gap": "1s"}"#)], EngineChoice::Dissolve).unwrap();
        let told = serde_json::to_value(&settings).unwrap();
        assert_eq!(told["gap"], serde_json::json!({ "value": "1s", "from": "command line" }));
        assert_eq!(told["mode"], serde_json::json!({ "value": "replace", "from": "preset mine" }));
        assert_eq!(told["blend"], serde_json::json!({ "value": 0, "from": "built-in" }));
    }
}
