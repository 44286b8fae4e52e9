//! Where every option's value comes from: layers of what was asked, of which the last one that says something wins.

use std::{fmt, ops::Deref, path::PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use super::{Each, EngineChoice, FrameRange, Guidance, Length, LoraAsk, Prompts, Seed, SeedMode, StructureUse};
use crate::pipeline::{
    job::{
        Dtype, Noise, Offload, VaeTile,
        schedule::{Grid, Phase, Solver},
    },
    media::{Fit, TrackChoice},
    plan::{Align, Curve, Lengths, MaskRule, Mode, Round, Tone, Treatment},
    types::video::{Fps, Size},
    weights::{Published, Wanted},
};

/// Who says a value. In this order they overrule each other, but for `Weights`, which stand between `BuiltIn` and the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// wanctl itself.
    BuiltIn,
    /// What lies in the model's folder beside its weights.
    Weights,
    /// By its name.
    Preset(String),
    /// A story's file.
    Story(PathBuf),
    /// A task's file.
    Task(PathBuf),
    /// What a task says of one segment alone, by its place there.
    TaskField { task: PathBuf, place: String },
    /// The command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::Weights => f.write_str("the model's folder"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::Story(path) => write!(f, "story {}", path.display()),
            Self::Task(path) => write!(f, "task {}", path.display()),
            Self::TaskField { task, place } => write!(f, "task {}, {place}", task.display()),
            Self::Flag => f.write_str("command line"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value, and who said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sourced<T> {
    pub value: T,
    pub from: Source,
}

impl<T> Sourced<T> {
    pub fn built_in(value: T) -> Self {
        Self { value, from: Source::BuiltIn }
    }

    pub fn is_built_in(&self) -> bool {
        self.from == Source::BuiltIn
    }

    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced { value: to(self.value), from: self.from }
    }
}

impl<T> Deref for Sourced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// What one source asks. Absent and null are the same; 0 is a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub from: Source,
    pub values: Options,
}

/// How one segment is sampled, where that is said of it alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentSampling {
    /// Where a task says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub phases: Vec<Phase>,
    pub shift: f64,
    pub solver: Solver,
    /// None: those of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loras: Option<Vec<LoraAsk>>,
}

impl SegmentSampling {
    /// As a layer right over what `source` says of all.
    fn over(self, source: &Source) -> Layer {
        let Self { place, phases, shift, solver, loras } = self;
        let from = match (source, place) {
            (Source::Task(task), Some(place)) => Source::TaskField { task: task.clone(), place },
            _ => source.clone(),
        };
        let (phases, shift, solver) = (Some(phases), Some(shift), Some(solver));
        Layer { from, values: Options { phases, shift, solver, loras, ..Options::default() } }
    }
}

macro_rules! overrides {
    ($($(#[$about:meta])* $name:ident: $kind:ty,)+) => {
        /// Every option that decides the plan, the model or its sampling. The names are those in presets and in run.json.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Options {
            $($(#[$about])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$kind>,)+
        }

        impl Options {
            /// Of all layers together.
            pub fn merged(layers: &[Layer]) -> Self {
                Self { $($name: pick(layers, |values| values.$name.clone()).map(|picked| picked.value),)+ }
            }
        }
    };
}

impl Options {
    /// The tracks that are requested of each clip.
    pub fn tracks(&self) -> TrackChoice {
        TrackChoice { video: self.video_track, audio: self.audio_track }
    }
}

overrides! {
    context: Length,
    gap: Length,
    mode: Mode,
    align: Align,
    mask_rule: MaskRule,
    blend: usize,
    fps: Fps,
    size: Size,
    /// The size in which a model makes frames, on its grid of 16.
    made_size: Size,
    fit: Fit,
    /// Tracks of each clip, counted from 1 among those of their kind.
    video_track: usize,
    audio_track: usize,
    /// Whether clips and images in HDR are brought to BT.709.
    tone_map: bool,
    looped: bool,
    /// Frames of one clip that are made again.
    ranges: Vec<FrameRange>,
    anchors: bool,
    /// How many segments a journey has, where its images do not say it.
    segments: usize,
    /// How long each is.
    frames: Each<usize>,
    /// Frames that each shows of what goes before it.
    overlap: Each<usize>,
    round: Round,
    lengths: Lengths,
    /// Of the frames carried over, with the next two.
    strength: f64,
    desaturate: f64,
    brightness: f64,
    /// Of the frames made after the first segment.
    later: Tone,
    curve: Curve,
    /// Whether the clip that a journey goes on from stays out of the film.
    apart: bool,
    /// Where the journey's structure clips guide it; unsaid, each from its start frame by frame.
    structure: Vec<StructureUse>,
    treatment: Treatment,
    engine: EngineChoice,
    /// Files and folders by their paths; a part of the model that is among them goes before one of `published`.
    model: Vec<Wanted>,
    /// The model's files by the names they were published under.
    published: Published,
    loras: Vec<LoraAsk>,
    /// Of single segments, in place of `loras`, and of those that their own sampling says.
    segment_loras: Vec<Option<Vec<LoraAsk>>>,
    /// Of single segments, in place of `phases`, `shift` and `solver`.
    segment_sampling: Vec<Option<SegmentSampling>>,
    prompts: Prompts,
    negative_prompt: String,
    /// Of single segments.
    negative_prompts: Vec<Option<String>>,
    /// Which expert does how many steps, with which guidance. A layer that says them hides what those below it say of
    /// steps, guidance and thresholds.
    phases: Vec<Phase>,
    /// Of all phases together.
    steps: usize,
    guidance: Guidance,
    /// Timesteps, 0 to 1000, at which the next phase begins: for steps of which the phases do not say whose they are.
    thresholds: Vec<f64>,
    shift: f64,
    solver: Solver,
    grid: Grid,
    seed: Seed,
    seed_mode: SeedMode,
    /// Of single segments.
    seeds: Vec<Option<u64>>,
    noise: Noise,
    /// In how many of the first steps nothing moves, with guidance that is scaled after them (CFG-Zero*); 0 is plain guidance.
    cfg_zero_steps: usize,
    /// How strongly the guide holds the model; 1 is as it was trained.
    control_scale: f64,
    dtype: Dtype,
    vae_tile: VaeTile,
    offload: Offload,
}

/// What the last layer that says something says.
pub fn pick<T>(layers: &[Layer], field: impl Fn(&Options) -> Option<T>) -> Option<Sourced<T>> {
    layers.iter().rev().find_map(|Layer { from, values }| Some(Sourced { value: field(values)?, from: from.clone() }))
}

/// The same of single segments, unless a layer over it says the common value that they stand for.
pub(super) fn pick_own<T>(
    layers: &[Layer],
    own: impl Fn(&Options) -> Option<T>,
    common: impl Fn(&Options) -> bool,
) -> Option<Sourced<T>> {
    let said = layers.iter().rev().find(|layer| own(&layer.values).is_some() || common(&layer.values))?;
    Some(Sourced { value: own(&said.values)?, from: said.from.clone() })
}

/// The layers as they are for each segment of which one of them says something alone: that stands right over what the
/// same layer says of all.
pub(super) fn of_segments(layers: &[Layer]) -> impl Iterator<Item = (usize, Vec<Layer>)> {
    let own = |Layer { from, values }: &Layer, segment: usize| {
        let Options { segment_sampling, segment_loras, .. } = values;
        let sampling = segment_sampling.as_ref().and_then(|all| all.get(segment)?.clone());
        let loras = segment_loras.as_ref().and_then(|all| all.get(segment)?.clone());
        let loras = loras.map(|loras| Options { loras: Some(loras), ..Options::default() });
        [sampling.map(|own| own.over(from)), loras.map(|values| Layer { from: from.clone(), values })]
    };
    let said = |Layer { values, .. }: &Layer| {
        let Options { segment_sampling, segment_loras, .. } = values;
        segment_sampling.as_ref().map_or(0, Vec::len).max(segment_loras.as_ref().map_or(0, Vec::len))
    };
    let most = layers.iter().map(said).max().unwrap_or(0);
    (0..most).filter_map(move |segment| {
        let with_own = |layer: &Layer| {
            let [sampling, loras] = own(layer, segment);
            [Some(layer.clone()), sampling, loras].into_iter().flatten()
        };
        let of_it: Vec<Layer> = layers.iter().flat_map(with_own).collect();
        (of_it.len() > layers.len()).then_some((segment, of_it))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(from: Source, values: Options) -> Layer {
        Layer { from, values }
    }

    #[test]
    fn the_last_layer_that_says_something_wins_whatever_the_others_say() {
        let sources = [Source::BuiltIn, Source::Preset("p".into()), Source::Task("task.json".into()), Source::Flag];
        for said in 0..16_usize {
            let layers: Vec<Layer> = sources
                .iter()
                .enumerate()
                .map(|(i, from)| {
                    let steps = (said >> i & 1 == 1).then_some(i);
                    layer(from.clone(), Options { steps, ..Options::default() })
                })
                .collect();
            let found = pick(&layers, |values| values.steps);
            let wanted = said.checked_ilog2().map(|last| last as usize);
            assert_eq!(found.as_ref().map(|found| found.value), wanted);
            assert_eq!(found.map(|found| found.from), wanted.map(|last| sources[last].clone()));
            assert_eq!(Options::merged(&layers).steps, wanted);
        }
    }

    #[test]
    fn a_null_is_absent_and_a_zero_is_a_value() {
        let read = |text: &str| serde_json::from_str::<Options>(text).unwrap();
        assert_eq!(read(r#"{"steps": null, "shift": null, "fps": null}"#), Options::default());
        let zero = read(r#"{"steps": 0, "blend": 0, "seed": 0, "anchors": false}"#);
        assert_eq!((zero.steps, zero.blend, zero.seed), (Some(0), Some(0), Some(Seed::Fixed(0))));
        let built_in = layer(Source::BuiltIn, read(r#"{"steps": 50, "blend": 4, "seed": 7, "anchors": true}"#));
        let merged = Options::merged(&[built_in, layer(Source::Flag, zero.clone())]);
        assert_eq!(merged, zero);
    }

    #[test]
    fn what_was_asked_is_the_same_after_writing_and_reading() {
        let text = r#"{"context": 8, "gap": "0.5s", "mode": "replace", "align": "exact", "mask_rule": "reference",
            "fps": "30000/1001", "size": [902, 508], "fit": "pad", "looped": true, "engine": "wan",
            "model": [{"role": "vae", "path": "vae.safetensors"}], "loras": [{"file": "a.safetensors", "weights": "1.2;0"}],
            "prompts": {"each": ["a", "b"]}, "phases": [{"steps": 2, "expert": "high", "guidance": 3.0}],
            "guidance": {"some": [3.0, null]}, "solver": "dpm++", "seed": -1, "noise": "cpu", "vae_tile": {"pixels": 256}}"#;
        let values: Options = serde_json::from_str(text).unwrap();
        assert_eq!(values.seed, Some(Seed::Random));
        let written = serde_json::to_string(&values).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&written).unwrap(), values, "{written}");
        let unknown = serde_json::from_str::<Options>(r#"{"step": 6}"#).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `step`"), "{unknown}");
    }
}
