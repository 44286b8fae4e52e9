//! How strong a LoRA is at every step: one number, or one for each phase, or several in a row.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pipeline::system::yaml::{self, FromText};

/// A LoRA as it is requested; read from `file` and `weights`, or from a text as on the command line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoraAsk {
    /// A path, or a name to be looked for where weights lie.
    pub file: PathBuf,
    pub weights: Multiplier,
}

/// `PATH=W`: the weight is what stands after the last `=`.
impl FromStr for LoraAsk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once('=') {
            Some((file, weights)) if !file.is_empty() => Ok(Self { file: file.into(), weights: weights.parse()? }),
            _ => Err("wanted a path, `=` and a weight, such as style.safetensors=0.8 or fast.safetensors=1;0".into()),
        }
    }
}

impl FromText for LoraAsk {
    const WANTED: &str = "a LoRA such as style.safetensors=0.8, or `file` and `weights`";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

impl<'de> Deserialize<'de> for LoraAsk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Mapping {
            file: PathBuf,
            weights: Multiplier,
        }
        yaml::text_or_map(deserializer, |Mapping { file, weights }| Self { file, weights })
    }
}

/// For each phase the numbers that its steps share evenly; one phase stands for all steps. Written `a`, `a;b` or
/// `a,b;c`, as Wan2GP 8681e9f has it, shared/utils/loras_mutipliers.py.
#[derive(Debug, Clone, PartialEq)]
pub struct Multiplier(Vec<Vec<f64>>);

impl Multiplier {
    pub fn new(phases: Vec<Vec<f64>>) -> Option<Self> {
        let usable = |values: &Vec<f64>| !values.is_empty() && values.iter().all(|value| value.abs() <= 100.0);
        (!phases.is_empty() && phases.iter().all(usable)).then_some(Self(phases))
    }

    pub fn phases(&self) -> usize {
        self.0.len()
    }

    /// The strength at each step of phases with so many steps; `None` where it has another number of phases.
    pub fn over(&self, steps: &[usize]) -> Option<Vec<f64>> {
        let spread = |(values, &steps): (&Vec<f64>, &usize)| {
            let values = values.clone();
            (0..steps).map(move |step| values[step * values.len() / steps])
        };
        match &self.0[..] {
            [all] => Some(spread((all, &steps.iter().sum())).collect()),
            each if each.len() == steps.len() => Some(each.iter().zip(steps).flat_map(spread).collect()),
            _ => None,
        }
    }

    /// For a run of so many phases, as Wan2GP stretches what is written for two phases over three: the first value
    /// again where the experts change after the second phase, else the last.
    pub fn stretched(self, phases: usize, high_phases: usize) -> Self {
        let Self(mut each) = self;
        if each.len() == 2 && phases == 3 {
            each.insert(1, each[if high_phases == 2 { 0 } else { 1 }].clone());
        }
        Self(each)
    }
}

impl FromStr for Multiplier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let values = |phase: &str| phase.split(',').map(|value| value.trim().parse().ok()).collect::<Option<_>>();
        let phases: Option<Vec<Vec<f64>>> = text.split(';').map(values).collect();
        phases.and_then(Self::new).ok_or_else(|| {
            format!(
                "`{text}` is no LoRA weight, wanted a number from -100 to 100 such as 0.8, or one for each phase: 1;0"
            )
        })
    }
}

impl fmt::Display for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = |values: &Vec<f64>| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        f.write_str(&self.0.iter().map(phase).collect::<Vec<_>>().join(";"))
    }
}

impl Serialize for Multiplier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Multiplier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "wanted a weight such as 0.8, one for each phase as [1, 0], or text such as \"1;0\""
        )]
        enum Phase {
            One(f64),
            Several(Vec<f64>),
        }
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "wanted a weight such as 0.8, one for each phase as [1, 0], or text such as \"1;0\""
        )]
        enum Written {
            One(f64),
            Each(Vec<Phase>),
            Text(String),
        }
        let wrong = || serde::de::Error::custom("wanted weights from -100 to 100, at least one");
        match Written::deserialize(deserializer)? {
            Written::One(value) => Self::new(vec![vec![value]]).ok_or_else(wrong),
            Written::Each(phases) => {
                let phase = |phase| match phase {
                    Phase::One(value) => vec![value],
                    Phase::Several(values) => values,
                };
                Self::new(phases.into_iter().map(phase).collect()).ok_or_else(wrong)
            }
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// A list of them as tasks write it: between spaces or on lines of their own, lines that start with `#` left out, at
/// most one `|` between a preset's and the user's. Those that are not there are 1.
pub fn multipliers(text: &str, loras: usize) -> Result<Vec<Multiplier>, String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words: Vec<&str> = lines.flat_map(|line| line.split_whitespace()).collect();
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_inclusive('|')).collect();
    if words.iter().filter(|word| word.ends_with('|')).count() > 1 {
        return Err(format!("`{text}` has several `|`, wanted one at most"));
    }
    let mut found = words
        .iter()
        .map(|word| word.trim_end_matches('|'))
        .filter(|word| !word.is_empty())
        .map(str::parse)
        .collect::<Result<Vec<Multiplier>, _>>()?;
    if found.len() > loras {
        return Err(format!("`{text}` has {} weights, and there are {loras} LoRAs", found.len()));
    }
    found.resize(loras, Multiplier(vec![vec![1.0]]));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(text: &str, steps: &[usize]) -> Option<Vec<f64>> {
        text.parse::<Multiplier>().unwrap().over(steps)
    }

    #[test]
    fn one_weight_is_for_all_steps_and_several_are_for_a_phase_each() {
        assert_eq!(over("0.8", &[2, 1]), Some(vec![0.8; 3]));
        assert_eq!(over("1.2;0", &[2, 1]), Some(vec![1.2, 1.2, 0.0]));
        assert_eq!(over("1;0;0.5", &[2, 1]), None);
        assert_eq!(over("1;0", &[1, 1, 1]), None);
    }

    #[test]
    fn a_comma_spreads_evenly_over_the_steps_of_its_phase() {
        assert_eq!(over("1,0", &[2, 3]), Some(vec![1.0, 1.0, 1.0, 0.0, 0.0]));
        assert_eq!(over("1,2;3", &[3, 1]), Some(vec![1.0, 1.0, 2.0, 3.0]));
        // More values than steps: each step takes the one at its place.
        assert_eq!(over("1,2,3,4", &[2]), Some(vec![1.0, 3.0]));
    }

    #[test]
    fn every_step_has_one_strength_out_of_its_phases_own() {
        for text in ["1", "1,2,3", "1;2", "1,2;3,4,5", "1;2;3"] {
            let multiplier: Multiplier = text.parse().unwrap();
            for a in 1..6 {
                for steps in [vec![a], vec![a, 2], vec![a, 1, 3]] {
                    let Some(found) = multiplier.over(&steps) else {
                        assert!(multiplier.phases() > 1 && multiplier.phases() != steps.len());
                        continue;
                    };
                    assert_eq!(found.len(), steps.iter().sum::<usize>());
                    assert!(found.is_sorted(), "{text} over {steps:?}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn two_phases_are_stretched_to_three_where_the_experts_change() {
        let stretched = |high| "1.2;0".parse::<Multiplier>().unwrap().stretched(3, high).to_string();
        assert_eq!((stretched(2), stretched(1)), ("1.2;1.2;0".into(), "1.2;0;0".into()));
        assert_eq!("1;0".parse::<Multiplier>().unwrap().stretched(2, 1).to_string(), "1;0");
        assert_eq!("0.5".parse::<Multiplier>().unwrap().stretched(3, 2).to_string(), "0.5");
    }

    #[test]
    fn a_list_has_spaces_lines_comments_and_a_bar_and_what_lacks_is_one() {
        let read =
            |text: &str, loras| multipliers(text, loras).map(|found| found.iter().map(ToString::to_string).collect());
        assert_eq!(
            read("1.2;0 1.05;1.05\n# not this\n0;1.0", 4),
            Ok(vec!["1.2;0".into(), "1.05;1.05".into(), "0;1".into(), "1".to_owned()])
        );
        assert_eq!(read("1 | 0.5", 2), Ok(vec!["1".into(), "0.5".to_owned()]));
        assert_eq!(read("1|0.5", 2), Ok(vec!["1".into(), "0.5".to_owned()]));
        assert_eq!(read("", 1), Ok(vec!["1".to_owned()]));
        for (text, words) in [
            ("1|2|3", "several `|`"),
            ("1 2 3", "has 3 weights, and there are 2 LoRAs"),
            ("x", "`x` is no LoRA weight"),
        ] {
            assert!(read(text, 2).unwrap_err().contains(words), "{text}");
        }
    }

    #[test]
    fn a_weight_is_read_from_a_number_a_list_or_text() {
        let read = |text: &str| serde_json::from_str::<Multiplier>(text).map(|found| found.to_string());
        for (text, wanted) in [
            ("0.8", "0.8"),
            ("[0.75, 1.0, 0]", "0.75;1;0"),
            ("[[1, 0.5], 0]", "1,0.5;0"),
            ("\"1.2;0\"", "1.2;0"),
            ("0", "0"),
        ] {
            assert_eq!(read(text).unwrap(), wanted);
        }
        for text in ["[]", "[[]]", "1e9", "null", "\"1;\"", "\"nan\"", "\"inf\"", "{}", "true"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
