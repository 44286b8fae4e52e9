//! Where every option's value comes from: layers of what was asked, of which the last one that says something wins.

use std::{fmt, ops::Deref, path::PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use super::{LoraAsk, Options, WanOptions, fields};
use crate::pipeline::job::schedule::{Phase, Solver};

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
        Layer { from, values: WanOptions { phases, shift, solver, loras, ..WanOptions::default() }.into() }
    }
}

impl Options {
    /// Of all layers together.
    pub fn merged(layers: &[Layer]) -> Self {
        fields::merged(layers.iter().map(|layer| &layer.values))
    }
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
        let WanOptions { segment_sampling, segment_loras, .. } = &values.wan;
        let sampling = segment_sampling.as_ref().and_then(|all| all.get(segment)?.clone());
        let loras = segment_loras.as_ref().and_then(|all| all.get(segment)?.clone());
        let loras = loras.map(|loras| WanOptions { loras: Some(loras), ..WanOptions::default() }.into());
        [sampling.map(|own| own.over(from)), loras.map(|values| Layer { from: from.clone(), values })]
    };
    let said = |Layer { values, .. }: &Layer| {
        let WanOptions { segment_sampling, segment_loras, .. } = &values.wan;
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
    use crate::pipeline::options::Seed;

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
                    layer(from.clone(), WanOptions { steps, ..WanOptions::default() }.into())
                })
                .collect();
            let found = pick(&layers, |values| values.wan.steps);
            let wanted = said.checked_ilog2().map(|last| last as usize);
            assert_eq!(found.as_ref().map(|found| found.value), wanted);
            assert_eq!(found.map(|found| found.from), wanted.map(|last| sources[last].clone()));
            assert_eq!(Options::merged(&layers).wan.steps, wanted);
        }
    }

    #[test]
    fn a_null_is_absent_and_a_zero_is_a_value() {
        let read = |text: &str| serde_json::from_str::<Options>(text).unwrap();
        assert_eq!(read(r#"{"steps": null, "shift": null, "fps": null}"#), Options::default());
        let zero = read(r#"{"steps": 0, "blend": 0, "seed": 0, "anchors": false}"#);
        assert_eq!((zero.wan.steps, zero.join.blend, zero.wan.seed), (Some(0), Some(0), Some(Seed::Fixed(0))));
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
        assert_eq!(values.wan.seed, Some(Seed::Random));
        let written = serde_json::to_string(&values).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&written).unwrap(), values, "{written}");
        let unknown = serde_json::from_str::<Options>(r#"{"step": 6}"#).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `step`"), "{unknown}");
    }
}
