//! `phase_config`, as tasks of the hosted worker write phases: read strictly, and exported as the numbers that the worker
//! made of it. Formulas and defaults: Headless-Wan2GP 50066ea, source/core/params/phase_config.py.

use serde_json::{Map, Value};

#[cfg(test)]
mod tests;
mod thresholds;

pub use thresholds::thresholds;

use crate::pipeline::{
    job::schedule::{Expert, Phase, Solver},
    options::{LoraAsk, Multiplier},
    types::error::{ErrorCode, ErrorDetails, Reportable},
};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct PhaseConfig {
    pub phases: Vec<Phase>,
    pub shift: f64,
    pub solver: Solver,
    /// After how many phases the low-noise expert takes over.
    pub high_phases: usize,
    /// In order of their first appearance.
    pub loras: Vec<ConfigLora>,
    /// Keys that mean nothing, by their paths.
    pub ignored: Vec<String>,
    /// What it says wrongly of itself and what is plain all the same.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigLora {
    pub url: String,
    /// One for each phase, word for word as it was written.
    pub multipliers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PhaseConfigError {
    #[error("{path}: wanted {wanted}, found {found}")]
    Type { path: String, wanted: &'static str, found: String },
    #[error("{path} is missing")]
    Missing { path: String },
    #[error("phase_config has {found} phases, wanted 2 or 3")]
    Phases { found: usize },
    #[error("phase_config.steps_per_phase has {steps} values, and phases has {phases} entries")]
    Counts { steps: usize, phases: usize },
    #[error("phase_config.model_switch_phase is {found}{}, and of {phases} phases the low-noise expert would {}", if *said { "" } else { " where nothing is said" }, if *found == 0 { "do all" } else { "never be used" })]
    Switch { found: usize, said: bool, phases: usize },
    #[error("{path} has {found} values, and the phase has {steps} steps")]
    Values { path: String, found: usize, steps: usize },
    #[error("{path}: {problem}")]
    Multiplier { path: String, problem: String },
    #[error("phase_config.sample_solver is {found}, which wanctl does not have")]
    Solver { found: String },
}

impl Reportable for PhaseConfigError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Input
    }

    fn details(&self) -> ErrorDetails {
        let (wanted, help) = match self {
            Self::Type { wanted, .. } => ((*wanted).to_owned(), "correct phase_config"),
            Self::Missing { path } => (path.clone(), "a LoRA has a url and a multiplier"),
            Self::Phases { .. } => ("2 or 3 phases".into(), "the worker takes no other number"),
            Self::Counts { .. } => ("as many values as phases".into(), "say for each phase how many steps it has"),
            Self::Switch { phases, .. } => (
                format!("model_switch_phase from 1 to {}", phases - 1),
                "1 gives all but the first phase to the low-noise expert, 2 the third",
            ),
            Self::Values { steps, .. } => (format!("1 or {steps} values"), "one value for all steps, or one for each"),
            Self::Multiplier { .. } => ("a number, or one for each step between commas".into(), "such as 1.2"),
            Self::Solver { .. } => ("euler, unipc, dpm++ or lcm".into(), "choose another with --solver"),
        };
        ErrorDetails { wanted: Some(wanted), help: Some(help.into()), ..ErrorDetails::default() }
    }
}

/// Keys that the worker reads, or that only people do.
const KNOWN: [&str; 7] =
    ["num_phases", "steps_per_phase", "flow_shift", "sample_solver", "model_switch_phase", "phases", "svi2pro"];
const PHASE_KNOWN: [&str; 3] = ["phase", "guidance_scale", "loras"];
const LORA_KNOWN: [&str; 2] = ["url", "multiplier"];

impl PhaseConfig {
    pub(super) fn read(value: &Value) -> Result<Self, PhaseConfigError> {
        let config = object(value, "phase_config")?;
        let mut ignored = strangers(config, "phase_config", &KNOWN);
        let mut warnings = vec![];

        let steps = match given(config, "steps_per_phase") {
            None => vec![2, 2, 2],
            Some(value) => list(value, "phase_config.steps_per_phase")?
                .iter()
                .enumerate()
                .map(|(i, steps)| whole(steps, &format!("phase_config.steps_per_phase[{i}]")))
                .collect::<Result<Vec<_>, _>>()?,
        };
        if let Some(phase) = steps.iter().position(|steps| *steps == 0) {
            return Err(wrong(&format!("phase_config.steps_per_phase[{phase}]"), "one step at least", &Value::from(0)));
        }
        let phases = given(config, "phases").map_or(Ok(&[][..]), |phases| list(phases, "phase_config.phases"))?;
        if steps.len() != phases.len() {
            return Err(PhaseConfigError::Counts { steps: steps.len(), phases: phases.len() });
        }
        let count = phases.len();
        if !(2..=3).contains(&count) {
            return Err(PhaseConfigError::Phases { found: count });
        }
        let said = given(config, "num_phases").map(|value| whole(value, "phase_config.num_phases")).transpose()?;
        if let Some(said) = said.filter(|said| *said != count) {
            warnings.push(format!("phase_config.num_phases is {said}, and there are {count} phases: those count"));
        }
        let switch = given(config, "model_switch_phase");
        let high_phases = switch.map_or(Ok(2), |value| whole(value, "phase_config.model_switch_phase"))?;
        if !(1..count).contains(&high_phases) {
            return Err(PhaseConfigError::Switch { found: high_phases, said: switch.is_some(), phases: count });
        }
        let solver = match given(config, "sample_solver") {
            None => Solver::Euler,
            Some(Value::String(solver)) if solver.is_empty() => Solver::Unipc,
            Some(Value::String(solver)) => {
                solver.parse().map_err(|_| PhaseConfigError::Solver { found: solver.clone() })?
            }
            Some(other) => return Err(wrong("phase_config.sample_solver", "a solver's name", other)),
        };
        let path = "phase_config.flow_shift";
        let shift = given(config, "flow_shift").map_or(Ok(5.0), |value| number(value, path))?;
        if !(0.01..=100.0).contains(&shift) {
            return Err(wrong(path, "a number from 0.01 to 100", &Value::from(shift)));
        }

        let mut read = Self { phases: vec![], shift, solver, high_phases, loras: vec![], ignored: vec![], warnings };
        for (at, (phase, &steps)) in phases.iter().zip(&steps).enumerate() {
            let path = format!("phase_config.phases[{at}]");
            let phase = object(phase, &path)?;
            ignored.extend(strangers(phase, &path, &PHASE_KNOWN));
            let guidance = match given(phase, "guidance_scale") {
                None if at == 0 => 3.0,
                None => 1.0,
                Some(value) => number(value, &format!("{path}.guidance_scale"))?,
            };
            let expert = if at < high_phases { Expert::High } else { Expert::Low };
            read.phases.push(Phase { steps, expert, guidance });
            let loras = given(phase, "loras");
            let loras = loras.map_or(Ok(&[][..]), |loras| list(loras, &format!("{path}.loras")))?;
            for (number, lora) in loras.iter().enumerate() {
                read.lora(lora, &format!("{path}.loras[{number}]"), at, &mut ignored)?;
            }
        }
        read.ignored = ignored;
        Ok(read)
    }

    fn lora(
        &mut self,
        lora: &Value,
        path: &str,
        phase: usize,
        ignored: &mut Vec<String>,
    ) -> Result<(), PhaseConfigError> {
        let lora = object(lora, path)?;
        ignored.extend(strangers(lora, path, &LORA_KNOWN));
        let key = |key: &str| {
            let path = format!("{path}.{key}");
            given(lora, key).ok_or(PhaseConfigError::Missing { path: path.clone() }).map(|value| (value, path))
        };
        let (url, at) = key("url")?;
        let url = url.as_str().ok_or_else(|| wrong(&at, "text", url))?.trim().to_owned();
        let (multiplier, at) = key("multiplier")?;
        if url.is_empty() {
            return Ok(());
        }
        let text = match multiplier {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            other => return Err(wrong(&at, "a number or text", other)),
        };
        let problem = |problem| PhaseConfigError::Multiplier { path: at.clone(), problem };
        let parsed: Multiplier = text.parse().map_err(problem)?;
        if parsed.phases() > 1 {
            return Err(problem(format!("`{text}` is for several phases, and it stands in one")));
        }
        let (found, steps) = (text.split(',').count(), self.phases[phase].steps);
        if found > 1 && found != steps {
            return Err(PhaseConfigError::Values { path: at, found, steps });
        }
        let phases = self.phases.len().max(phase + 1);
        let known = self.loras.iter().position(|lora| lora.url == url);
        let at_phase = known.unwrap_or_else(|| {
            self.loras.push(ConfigLora { url: url.clone(), multipliers: vec![] });
            self.loras.len() - 1
        });
        let multipliers = &mut self.loras[at_phase].multipliers;
        if multipliers.len() > phase {
            // The worker takes the first of two, too.
            self.warnings.push(format!("{path}: {url} stands twice in phase {}: the first counts", phase + 1));
            return Ok(());
        }
        multipliers.resize(phases - 1, "0".into());
        multipliers.push(text);
        Ok(())
    }

    /// As the rest of wanctl asks for LoRAs: by URL, for whoever knows where it lies.
    pub(super) fn lora_asks(&self) -> Vec<LoraAsk> {
        let ask = |lora: &ConfigLora| LoraAsk {
            file: lora.url.clone().into(),
            weights: self.multiplier(lora).parse().expect("every value was read"),
        };
        self.loras.iter().map(ask).collect()
    }

    /// `1.2;0`: one of `lora_multipliers`.
    pub(super) fn multiplier(&self, lora: &ConfigLora) -> String {
        let zeros = std::iter::repeat_n("0", self.phases.len().saturating_sub(lora.multipliers.len()));
        lora.multipliers.iter().map(String::as_str).chain(zeros).collect::<Vec<_>>().join(";")
    }

    /// `switch_threshold` and `switch_threshold2`, bit for bit.
    pub(super) fn thresholds(&self) -> Vec<f32> {
        let steps: Vec<usize> = self.phases.iter().map(|phase| phase.steps).collect();
        thresholds(self.solver, &steps, self.shift)
    }
}

/// Null is absent.
fn given<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

fn strangers(object: &Map<String, Value>, path: &str, known: &[&str]) -> Vec<String> {
    object.keys().filter(|key| !known.contains(&key.as_str())).map(|key| format!("{path}.{key}")).collect()
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, PhaseConfigError> {
    value.as_object().ok_or_else(|| wrong(path, "an object", value))
}

fn list<'a>(value: &'a Value, path: &str) -> Result<&'a [Value], PhaseConfigError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong(path, "a list", value))
}

fn number(value: &Value, path: &str) -> Result<f64, PhaseConfigError> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| number.is_finite()).ok_or_else(|| wrong(path, "a number", value))
}

fn whole(value: &Value, path: &str) -> Result<usize, PhaseConfigError> {
    let number = number(value, path).ok().filter(|number| (0.0..=1000.0).contains(number) && number.fract() == 0.0);
    number.map(|number| number as usize).ok_or_else(|| wrong(path, "a whole number from 0 to 1000", value))
}

fn wrong(path: &str, wanted: &'static str, found: &Value) -> PhaseConfigError {
    let mut found = found.to_string();
    if found.chars().count() > 60 {
        found = found.chars().take(60).chain("...".chars()).collect();
    }
    PhaseConfigError::Type { path: path.to_owned(), wanted, found }
}
