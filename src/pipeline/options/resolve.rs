//! The one place where layers of options, defaults and the model's own meanings come to values.

use serde::Serialize;

use super::{
    Each, EngineChoice, FrameRange, Generation, Layer, Length, LoraFiles, ModelTraits, Options, OptionsError, Parts,
    Source, Sourced, StructureUse, WanOptions, WanSettings, Weights, check, pick,
};
use crate::pipeline::{
    job::schedule::Expert,
    media::{Fit, TrackChoice},
    plan::{
        self, Align, Blend, Curve, FramePlan, JoinParams, Lengths, Look, MaskRule, Mode, Places, PlanError, RangeAsk,
        Round, SegmentAsk, StructureAsk, Tone, TravelParams, Treatment,
    },
    types::video::{Fps, Size},
    weights::{Conditioning, Published},
};

/// How long a segment of a travel is where nobody says it.
pub const JOURNEY_FRAMES: usize = 81;

/// What a film is made from, as far as options depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Clips(usize),
    Images {
        images: usize,
        /// Whether a clip is continued.
        continued: bool,
        structure: bool,
        references: bool,
    },
    /// Pieces that are there already.
    Pieces,
}

/// What is known of the Wan model that generates.
#[derive(Debug)]
pub enum Model {
    /// Another engine generates, or nobody says which model.
    None,
    /// By the names of its files.
    Named(ModelTraits),
    Found(Box<Weights>),
}

/// What options are resolved by.
#[derive(Debug)]
pub struct Facts {
    pub content: Content,
    /// The engine that stands for auto.
    pub auto: EngineChoice,
    /// How the model is shown frames, where that is known.
    pub conditioning: Option<Conditioning>,
    pub model: Model,
    /// That of a run that is gone on with.
    pub seed: Option<u64>,
}

impl Facts {
    /// Without a model.
    pub fn of(content: Content, auto: EngineChoice) -> Self {
        Self { content, auto, conditioning: None, model: Model::None, seed: None }
    }

    /// Of a model whose files are not here, what their names tell.
    pub fn by_names(layers: &[Layer], content: Content, auto: EngineChoice) -> Self {
        let WanOptions { model_files, phases, .. } = Options::merged(layers).wan;
        let kind = match (&model_files, phases) {
            (Some(files), _) => Some(ModelTraits::from(files)),
            (None, Some(phases)) => {
                let two_experts = phases.iter().any(|phase| phase.expert == Expert::Low);
                Some(ModelTraits { two_experts, boundary: None, flow_shift: None })
            }
            (None, None) => None,
        };
        let is_wan = *engine(layers, auto) == EngineChoice::Wan && content != Content::Pieces;
        let model = kind.filter(|_| is_wan).map_or(Model::None, Model::Named);
        let conditioning = model_files.as_ref().and_then(Published::conditioning).filter(|_| is_wan);
        Self { conditioning, model, ..Self::of(content, auto) }
    }
}

/// Every option as a value, with who said it.
#[derive(Debug, Clone, Serialize)]
pub struct ResolvedOptions {
    #[serde(flatten)]
    pub kind: Kind,
    #[serde(flatten)]
    pub common: ResolvedCommon,
    /// How many seams or segments.
    #[serde(skip)]
    pub parts: Parts,
    #[serde(skip)]
    pub model: ResolvedModel,
}

/// What a Wan model is asked.
#[derive(Debug, Clone)]
pub enum ResolvedModel {
    /// Another engine generates, or nobody says which model.
    None,
    Named(Box<Generation>),
    Found(Box<WanSettings>),
}

/// Of every film.
#[derive(Debug, Clone, Serialize)]
pub struct ResolvedCommon {
    pub engine: Sourced<EngineChoice>,
    pub align: Sourced<Align>,
    pub mask_rule: Sourced<MaskRule>,
    /// None: that of the first clip, which of a travel is the one that it continues; without a clip 16.
    pub fps: Sourced<Option<Fps>>,
    /// None: that of the first clip or image.
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
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Kind {
    Join(Box<ResolvedJoin>),
    Travel(Box<ResolvedTravel>),
    Stitch(ResolvedStitch),
}

#[derive(Debug, Clone, Serialize)]
pub struct ResolvedJoin {
    pub context: Sourced<Length>,
    pub gap: Sourced<Length>,
    pub mode: Sourced<Mode>,
    pub blend: Sourced<Blend>,
    /// Frames of one clip that are generated anew; none: clips are joined.
    pub ranges: Sourced<Vec<FrameRange>>,
    pub anchors: Sourced<bool>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ResolvedTravel {
    /// Of each segment.
    pub frames: Sourced<Vec<usize>>,
    /// Of each segment, with what goes before it.
    pub overlap: Sourced<Vec<usize>>,
    pub round: Sourced<Round>,
    pub lengths: Sourced<Lengths>,
    pub strength: Sourced<f64>,
    pub desaturate: Sourced<f64>,
    pub brightness: Sourced<f64>,
    pub later: Sourced<Tone>,
    pub curve: Sourced<Curve>,
    /// Whether the clip that is continued stays out of the film.
    pub apart: Sourced<bool>,
    pub structure_use: Sourced<Vec<StructureUse>>,
    pub treatment: Sourced<Treatment>,
    /// Whether the model is shown a guide, in which an end image fills its latent.
    #[serde(skip)]
    guided: bool,
}

/// Pieces are put together as their task says.
#[derive(Debug, Clone, Serialize)]
pub struct ResolvedStitch {}

/// What the last layer that says something says, else the default.
pub(super) fn resolve_field<T>(layers: &[Layer], field: impl Fn(&Options) -> Option<T>, default: T) -> Sourced<T> {
    pick(layers, field).unwrap_or(Sourced::built_in(default))
}

/// The same where nothing is a value too.
fn resolve_optional<T>(layers: &[Layer], field: impl Fn(&Options) -> Option<T>) -> Sourced<Option<T>> {
    resolve_field(layers, |asked| field(asked).map(Some), None)
}

/// Which engine does the work; `auto` is what stands for auto.
pub fn engine(layers: &[Layer], auto: EngineChoice) -> Sourced<EngineChoice> {
    let engine = resolve_field(layers, |asked| asked.common.engine, EngineChoice::Auto);
    match engine.value {
        EngineChoice::Auto => engine.map(|_| auto),
        _ => engine,
    }
}

/// How many seams or segments there are; numbers that cannot be are refused here already.
pub fn parts(layers: &[Layer], content: Content) -> Result<Parts, OptionsError> {
    check::ranges(layers)?;
    let looped = *resolve_field(layers, |asked| asked.common.looped, false);
    match content {
        Content::Pieces => Ok(Parts::seams(0)),
        Content::Clips(clips) => {
            let ranges = pick(layers, |asked| asked.join.ranges.clone()).map_or(0, |ranges| ranges.len());
            Ok(Parts::seams(match ranges {
                0 if looped => clips,
                0 => clips.saturating_sub(1),
                ranges => ranges,
            }))
        }
        Content::Images { continued: true, .. } if looped => Err(OptionsError::LoopContinued),
        Content::Images { images, continued, .. } => {
            let between = if looped || continued { images } else { images.saturating_sub(1).max(1) };
            let Some(said) = pick(layers, |asked| asked.travel.segment_count) else {
                return Ok(Parts::segments(between));
            };
            if said.value < between || looped && said.value > between {
                return Err(OptionsError::Segments { found: said.value, images, between, from: said.from });
            }
            Ok(Parts::segments(said.value))
        }
    }
}

/// Resolves every option, once all that they depend on is known.
pub fn resolve(layers: &[Layer], facts: Facts) -> Result<ResolvedOptions, OptionsError> {
    let Facts { content, auto, conditioning, model, seed } = facts;
    let parts = parts(layers, content)?;
    let align = resolve_field(layers, |asked| asked.common.align, Align::Latent);
    let mask_rule = match align.value {
        Align::Latent => MaskRule::Exact,
        Align::Exact => MaskRule::Reference,
    };
    let mask_rule = resolve_field(layers, |asked| asked.common.mask_rule, mask_rule);
    let common = ResolvedCommon {
        engine: engine(layers, auto),
        align,
        mask_rule: match conditioning {
            Some(conditioning) => of_model(mask_rule, conditioning)?,
            None => mask_rule,
        },
        fps: resolve_optional(layers, |asked| asked.common.fps),
        size: resolve_optional(layers, |asked| asked.common.size),
        made_size: resolve_optional(layers, |asked| asked.common.made_size),
        fit: resolve_field(layers, |asked| asked.common.fit, Fit::Crop),
        video_track: resolve_optional(layers, |asked| asked.common.video_track),
        audio_track: resolve_optional(layers, |asked| asked.common.audio_track),
        tone_map: resolve_field(layers, |asked| asked.common.tone_map, false),
        looped: resolve_field(layers, |asked| asked.common.looped, false),
    };
    let kind = match content {
        Content::Pieces => Kind::Stitch(ResolvedStitch {}),
        Content::Clips(_) => Kind::Join(Box::new(join(layers, *common.engine, conditioning)?)),
        Content::Images { continued, structure, references, .. } => {
            let travel = travel(layers, (*common.engine, conditioning), (parts, continued))?;
            let option = [(structure, "structure clip"), (references, "reference images")];
            if let (false, Some((_, option))) = (travel.guided, option.into_iter().find(|(given, _)| *given)) {
                return Err(OptionsError::NotGuided { engine: *common.engine, option });
            }
            Kind::Travel(Box::new(travel))
        }
    };
    let model = match model {
        Model::None => ResolvedModel::None,
        Model::Named(kind) => ResolvedModel::Named(Box::new(Generation::of(layers, kind, &LoraFiles::new(), parts)?)),
        Model::Found(weights) => ResolvedModel::Found(Box::new(WanSettings::of(layers, *weights, parts, seed)?)),
    };
    Ok(ResolvedOptions { common, kind, parts, model })
}

/// A model that is shown images has a mask rule of its own; another one that was requested is refused.
fn of_model(rule: Sourced<MaskRule>, conditioning: Conditioning) -> Result<Sourced<MaskRule>, OptionsError> {
    let images = conditioning == Conditioning::Images;
    let Sourced { value, ref from } = rule;
    if *from != Source::BuiltIn && (value == MaskRule::Frames) != images {
        return Err(OptionsError::MaskRule { rule: value, from: from.clone() });
    }
    Ok(if images { Sourced { value: MaskRule::Frames, from: Source::Weights } } else { rule })
}

fn join(
    layers: &[Layer],
    engine: EngineChoice,
    conditioning: Option<Conditioning>,
) -> Result<ResolvedJoin, OptionsError> {
    let mode = resolve_field(layers, |asked| asked.join.mode, Mode::Insert);
    let gap = match mode.value {
        Mode::Insert => 53,
        Mode::Replace => 16,
    };
    // Generated frames cross-fade with the clips' own where the engine generates those anew: what rife and dissolve make
    // of the context is the context itself.
    let blend = if engine == EngineChoice::Wan { 4 } else { 0 };
    let ranges = resolve_field(layers, |asked| asked.join.ranges.clone(), vec![]);
    if !ranges.is_empty() {
        check::beside_ranges(layers)?;
    }
    // A model that is shown images at the start and the end has learned to go from one frame to another.
    let context = match (pick(layers, |asked| asked.join.context), conditioning) {
        (Some(context), _) => context,
        (None, Some(Conditioning::Images)) => Sourced { value: Length::Frames(1), from: Source::Weights },
        (None, _) => Sourced::built_in(Length::Frames(8)),
    };
    Ok(ResolvedJoin {
        context,
        gap: resolve_field(layers, |asked| asked.join.gap, Length::Frames(gap)),
        mode,
        blend: resolve_field(layers, |asked| asked.join.blend.map(Blend::Exactly), Blend::UpTo(blend)),
        ranges,
        anchors: resolve_field(layers, |asked| asked.join.anchors, false),
    })
}

fn travel(
    layers: &[Layer],
    (engine, conditioning): (EngineChoice, Option<Conditioning>),
    (parts, continued): (Parts, bool),
) -> Result<ResolvedTravel, OptionsError> {
    let each = |said: Sourced<Each<usize>>, what| match said.value.of(parts.count) {
        Ok(value) => Ok(Sourced { value, from: said.from }),
        Err(found) => Err(parts.counted(found, what, said.from)),
    };
    let frames = resolve_field(layers, |asked| asked.travel.frames.clone(), Each::All(JOURNEY_FRAMES));
    let overlap = resolve_field(layers, |asked| asked.travel.overlap.clone(), Each::All(0));
    let frames = each(frames, "lengths")?;
    let mut overlap = each(overlap, "overlaps")?;
    if let (Some(first), false) = (overlap.value.first_mut(), continued) {
        *first = 0;
    }
    Ok(ResolvedTravel {
        frames,
        overlap,
        round: resolve_field(layers, |asked| asked.travel.round, Round::Down),
        lengths: resolve_field(layers, |asked| asked.travel.lengths, Lengths::Rounded),
        strength: resolve_field(layers, |asked| asked.travel.strength, Look::PLAIN.strength),
        desaturate: resolve_field(layers, |asked| asked.travel.desaturate, Look::PLAIN.desaturate),
        brightness: resolve_field(layers, |asked| asked.travel.brightness, Look::PLAIN.brightness),
        later: resolve_field(layers, |asked| asked.travel.later, Tone::PLAIN),
        curve: resolve_field(layers, |asked| asked.travel.curve, Curve::Even),
        apart: resolve_field(layers, |asked| asked.travel.apart, false),
        structure_use: resolve_field(layers, |asked| asked.travel.structure_use.clone(), vec![]),
        treatment: resolve_field(layers, |asked| asked.travel.treatment, Treatment::Raw),
        guided: match conditioning {
            Some(conditioning) => conditioning != Conditioning::Images,
            None => matches!(engine, EngineChoice::Auto | EngineChoice::Wan),
        },
    })
}

impl ResolvedOptions {
    /// The Wan model whose weights were found.
    pub fn wan(&self) -> Option<&WanSettings> {
        match &self.model {
            ResolvedModel::Found(wan) => Some(wan),
            ResolvedModel::None | ResolvedModel::Named(_) => None,
        }
    }

    /// What a Wan model is asked, be its weights here or not.
    pub fn generation(&self) -> Option<&Generation> {
        match &self.model {
            ResolvedModel::None => None,
            ResolvedModel::Named(generation) => Some(generation),
            ResolvedModel::Found(wan) => Some(&wan.generation),
        }
    }
}

impl ResolvedCommon {
    /// The tracks that are taken of each clip.
    pub fn tracks(&self) -> TrackChoice {
        TrackChoice { video: *self.video_track, audio: *self.audio_track }
    }
}

impl ResolvedJoin {
    pub fn plan(
        &self,
        common: &ResolvedCommon,
        clips: Vec<plan::Source>,
        film: plan::Film,
    ) -> Result<FramePlan, PlanError> {
        match self.ranges.is_empty() {
            true => plan::join(clips, film, &self.params(common, film.fps)),
            false => plan::ranges(clips, film, &self.range_params(common, film.fps)),
        }
    }

    /// What the planner of joins is given, at the film's rate.
    pub fn params(&self, common: &ResolvedCommon, fps: Fps) -> JoinParams {
        let Self { context, gap, mode, blend, ranges: _, anchors } = self;
        JoinParams {
            context: context.frames(fps),
            gap: gap.frames(fps),
            mode: mode.value,
            align: *common.align,
            mask_rule: *common.mask_rule,
            blend: blend.value,
            looped: *common.looped,
            anchors: anchors.value,
        }
    }

    fn range_params(&self, common: &ResolvedCommon, fps: Fps) -> RangeAsk {
        let needs = match *common.engine {
            // They make frames between two.
            EngineChoice::Rife | EngineChoice::Dissolve => [true, true],
            // An image-to-video model starts from an image.
            EngineChoice::Auto | EngineChoice::Wan => [*common.mask_rule == MaskRule::Frames, false],
        };
        RangeAsk {
            ranges: self.ranges.iter().map(|range| range.0.clone()).collect(),
            context: self.context.frames(fps),
            align: *common.align,
            mask_rule: *common.mask_rule,
            blend: self.blend.value,
            needs,
        }
    }
}

impl ResolvedTravel {
    pub fn plan(&self, common: &ResolvedCommon, places: Places, film: plan::Film) -> Result<FramePlan, PlanError> {
        let mut params = self.params(common);
        if !places.structure.is_empty() {
            // Where the film ends is known from a plan without them.
            let frames = plan::travel(Places { structure: vec![], ..places.clone() }, film, &params)?.frames();
            params.structure = self.structure(&places.structure, frames);
        }
        plan::travel(places, film, &params)
    }

    fn structure(&self, clips: &[plan::Source], film: usize) -> Vec<StructureAsk> {
        let each = |clip| StructureUse { clip, film: None, frames: None, spread: false };
        let uses = match &self.structure_use.value[..] {
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

    /// What the planner of travels is given, before any structure clip is opened.
    fn params(&self, common: &ResolvedCommon) -> TravelParams {
        let segment = |(&frames, &overlap): (&usize, &usize)| SegmentAsk { frames, overlap };
        TravelParams {
            segments: self.frames.iter().zip(self.overlap.iter()).map(segment).collect(),
            round: *self.round,
            lengths: *self.lengths,
            align: *common.align,
            mask_rule: *common.mask_rule,
            fill_latents: self.guided && *common.align == Align::Latent,
            open_ends: matches!(*common.engine, EngineChoice::Auto | EngineChoice::Wan),
            looped: *common.looped,
            curve: *self.curve,
            look: Look { strength: *self.strength, desaturate: *self.desaturate, brightness: *self.brightness },
            later: *self.later,
            structure: vec![],
            treatment: *self.treatment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Layer {
        Layer { from: Source::Flag, values: serde_json::from_str(text).unwrap() }
    }

    fn of(layers: &[Layer]) -> ResolvedOptions {
        resolve(layers, Facts::of(Content::Clips(2), EngineChoice::Rife)).unwrap()
    }

    fn params(resolved: &ResolvedOptions) -> JoinParams {
        let Kind::Join(join) = &resolved.kind else { panic!("{resolved:?}") };
        join.params(&resolved.common, "24".parse().unwrap())
    }

    #[test]
    fn with_no_word_at_all_the_plan_is_the_contracts() {
        let settings = of(&[]);
        let ask = params(&settings);
        assert_eq!((ask.context, ask.gap, ask.mode, ask.align), (8, 53, Mode::Insert, Align::Latent));
        assert_eq!(
            (ask.mask_rule, ask.blend, ask.looped, ask.anchors),
            (MaskRule::Exact, Blend::UpTo(0), false, false)
        );
        assert_eq!((settings.common.engine.value, settings.common.engine.from), (EngineChoice::Rife, Source::BuiltIn));
    }

    #[test]
    fn what_goes_with_another_option_follows_it_unless_it_is_said() {
        let ask = |text: &str| params(&of(&[flags(text)]));
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
        let settings = of(&[preset, flags(r#"{"gap": "1s"}"#)]);
        let told = serde_json::to_value(&settings).unwrap();
        assert_eq!(told["gap"], serde_json::json!({ "value": "1s", "from": "command line" }));
        assert_eq!(told["mode"], serde_json::json!({ "value": "replace", "from": "preset mine" }));
        assert_eq!(told["blend"], serde_json::json!({ "value": 0, "from": "built-in" }));
    }
}
