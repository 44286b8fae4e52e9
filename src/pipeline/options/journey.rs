//! What is asked of a journey, and the question to its planner that comes of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Each, EngineChoice, Layer, Options, Parts, SettingsError, Sourced, StructureUse, check, engine, pick, ruled,
};
use crate::pipeline::{
    media::{Fit, TrackChoice},
    plan::{
        self, Align, Curve, FramePlan, Lengths, Look, MaskRule, Places, PlanError, Round, SegmentAsk, StructureAsk,
        Tone, TravelParams, Treatment,
    },
    types::video::{Fps, Size},
    weights::Conditioning,
};

/// How long a segment is where nobody says it.
pub const JOURNEY_FRAMES: usize = 81;

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

/// What a journey's plan needs.
#[derive(Debug, Clone, Serialize)]
pub struct JourneySettings {
    pub engine: Sourced<EngineChoice>,
    /// Of each segment.
    pub frames: Sourced<Vec<usize>>,
    /// Of each segment, with what goes before it.
    pub overlap: Sourced<Vec<usize>>,
    pub round: Sourced<Round>,
    pub lengths: Sourced<Lengths>,
    pub align: Sourced<Align>,
    pub mask_rule: Sourced<MaskRule>,
    /// None: that of the clip gone on from, else the first image's.
    pub fps: Sourced<Option<Fps>>,
    /// None: that of the clip gone on from, else the first image's.
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
    pub strength: Sourced<f64>,
    pub desaturate: Sourced<f64>,
    pub brightness: Sourced<f64>,
    pub later: Sourced<Tone>,
    pub curve: Sourced<Curve>,
    /// Whether the clip that is gone on from stays out of the film.
    pub apart: Sourced<bool>,
    pub structure: Sourced<Vec<StructureUse>>,
    pub treatment: Sourced<Treatment>,
    /// Whether the model is shown a guide, in which an end image fills its latent.
    #[serde(skip)]
    guided: bool,
}

/// How many segments these images make: those that the layers say, else one between every two.
pub fn count(layers: &[Layer], images: usize, continued: bool) -> Result<Parts, SettingsError> {
    let looped = pick(layers, |asked| asked.looped).is_some_and(|looped| looped.value);
    if looped && continued {
        return Err(SettingsError::LoopContinued);
    }
    let between = if looped || continued { images } else { images.saturating_sub(1).max(1) };
    let Some(said) = pick(layers, |asked| asked.segments) else { return Ok(Parts::segments(between)) };
    if said.value < between || looped && said.value > between {
        return Err(SettingsError::Segments { found: said.value, images, between, from: said.from });
    }
    Ok(Parts::segments(said.value))
}

impl JourneySettings {
    /// Of these layers over the built-in one, for so many segments; `auto` is the engine that stands for auto.
    pub fn of(layers: &[Layer], auto: EngineChoice, parts: Parts, continued: bool) -> Result<Self, SettingsError> {
        check::ranges(layers)?;
        let engine = engine(layers, auto);
        let guided = matches!(*engine, EngineChoice::Auto | EngineChoice::Wan);
        let align = pick(layers, |asked| asked.align).unwrap_or(Sourced::built_in(Align::Latent));
        let mask_rule = match align.value {
            Align::Latent => MaskRule::Exact,
            Align::Exact => MaskRule::Reference,
        };
        let each = |said: Option<Sourced<Each<usize>>>, default: usize, what| {
            let Sourced { value, from } = said.unwrap_or(Sourced::built_in(Each::All(default)));
            match value.of(parts.count) {
                Ok(value) => Ok(Sourced { value, from }),
                Err(found) => Err(parts.counted(found, what, from)),
            }
        };
        let frames = each(pick(layers, |asked| asked.frames.clone()), JOURNEY_FRAMES, "lengths")?;
        let mut overlap = each(pick(layers, |asked| asked.overlap.clone()), 0, "overlaps")?;
        if let (Some(first), false) = (overlap.value.first_mut(), continued) {
            *first = 0;
        }
        let number =
            |said: fn(&Options) -> Option<f64>, default: f64| pick(layers, said).unwrap_or(Sourced::built_in(default));
        Ok(Self {
            frames,
            overlap,
            round: pick(layers, |asked| asked.round).unwrap_or(Sourced::built_in(Round::Down)),
            lengths: pick(layers, |asked| asked.lengths).unwrap_or(Sourced::built_in(Lengths::Rounded)),
            mask_rule: pick(layers, |asked| asked.mask_rule).unwrap_or(Sourced::built_in(mask_rule)),
            fps: pick(layers, |asked| asked.fps.map(Some)).unwrap_or(Sourced::built_in(None)),
            size: pick(layers, |asked| asked.size.map(Some)).unwrap_or(Sourced::built_in(None)),
            made_size: pick(layers, |asked| asked.made_size.map(Some)).unwrap_or(Sourced::built_in(None)),
            fit: pick(layers, |asked| asked.fit).unwrap_or(Sourced::built_in(Fit::Crop)),
            video_track: pick(layers, |asked| asked.video_track.map(Some)).unwrap_or(Sourced::built_in(None)),
            audio_track: pick(layers, |asked| asked.audio_track.map(Some)).unwrap_or(Sourced::built_in(None)),
            tone_map: pick(layers, |asked| asked.tone_map).unwrap_or(Sourced::built_in(false)),
            looped: pick(layers, |asked| asked.looped).unwrap_or(Sourced::built_in(false)),
            strength: number(|asked| asked.strength, Look::PLAIN.strength),
            desaturate: number(|asked| asked.desaturate, Look::PLAIN.desaturate),
            brightness: number(|asked| asked.brightness, Look::PLAIN.brightness),
            later: pick(layers, |asked| asked.later).unwrap_or(Sourced::built_in(Tone::PLAIN)),
            curve: pick(layers, |asked| asked.curve).unwrap_or(Sourced::built_in(Curve::Even)),
            apart: pick(layers, |asked| asked.apart).unwrap_or(Sourced::built_in(false)),
            structure: pick(layers, |asked| asked.structure.clone()).unwrap_or(Sourced::built_in(vec![])),
            treatment: pick(layers, |asked| asked.treatment).unwrap_or(Sourced::built_in(Treatment::Raw)),
            engine,
            align,
            guided,
        })
    }

    /// The same, for this model: one that starts from an image and meets another has a mask of its own.
    pub fn for_model(self, conditioning: Conditioning) -> Result<Self, SettingsError> {
        let images = conditioning == Conditioning::Images;
        Ok(Self { mask_rule: ruled(self.mask_rule, images)?, guided: !images, ..self })
    }

    /// Whether the engine looks at structure clips and reference images, of which there may be some.
    pub fn check_guides(&self, structure: bool, references: bool) -> Result<(), SettingsError> {
        let option = match (structure, references) {
            (true, _) => "structure clip",
            (_, true) => "reference images",
            (false, false) => return Ok(()),
        };
        if self.guided { Ok(()) } else { Err(SettingsError::NotGuided { engine: *self.engine, option }) }
    }

    /// The tracks that are taken of each clip.
    pub fn tracks(&self) -> TrackChoice {
        TrackChoice { video: *self.video_track, audio: *self.audio_track }
    }

    pub fn plan(&self, places: Places, film: plan::Film) -> Result<FramePlan, PlanError> {
        let mut ask = self.ask();
        if !places.structure.is_empty() {
            // Where the film ends is known from a plan without them.
            let frames = plan::travel(Places { structure: vec![], ..places.clone() }, film, &ask)?.frames();
            ask.structure = self.structure(&places.structure, frames);
        }
        plan::travel(places, film, &ask)
    }

    fn structure(&self, clips: &[plan::Source], film: usize) -> Vec<StructureAsk> {
        let each = |clip| StructureUse { clip, film: None, frames: None, spread: false };
        let uses = match &self.structure.value[..] {
            [] => (0..clips.len()).map(each).collect(),
            said => said.to_vec(),
        };
        let ask = |StructureUse { clip, film: stretch, frames, spread }: StructureUse| {
            let length = clips.get(clip)?.length();
            let frames = frames.map_or(0..length, |frames| frames.0.start.min(length)..frames.0.end.min(length));
            let stretch = stretch.map_or(0..film, |stretch| stretch.0);
            Some(StructureAsk { clip, film: stretch, frames, spread })
        };
        uses.into_iter().filter_map(ask).collect()
    }

    /// The question to the planner of journeys, before any structure clip is opened.
    fn ask(&self) -> TravelParams {
        let Self {
            engine,
            frames,
            overlap,
            round,
            lengths,
            align,
            mask_rule,
            fps: _,
            size: _,
            made_size: _,
            fit: _,
            video_track: _,
            audio_track: _,
            tone_map: _,
            looped,
            strength,
            desaturate,
            brightness,
            later,
            curve,
            apart: _,
            structure: _,
            treatment,
            guided,
        } = self;
        let segment = |(&frames, &overlap): (&usize, &usize)| SegmentAsk { frames, overlap };
        TravelParams {
            segments: frames.iter().zip(overlap.iter()).map(segment).collect(),
            round: round.value,
            lengths: lengths.value,
            align: align.value,
            mask_rule: mask_rule.value,
            fill_latents: *guided && align.value == Align::Latent,
            open_ends: matches!(engine.value, EngineChoice::Auto | EngineChoice::Wan),
            looped: looped.value,
            curve: curve.value,
            look: Look { strength: strength.value, desaturate: desaturate.value, brightness: brightness.value },
            later: later.value,
            structure: vec![],
            treatment: treatment.value,
        }
    }

    /// Who said how many segments are chained, for messages: whether any shows what goes before it.
    pub fn is_chained(&self) -> bool {
        self.overlap.iter().skip(1).any(|overlap| *overlap > 0)
    }
}
