//! From what all layers say of phases, steps, thresholds and guidance to the phases of a run.

use super::{Guidance, Layer, OptionsError, Source, Sourced, pick};
use crate::pipeline::job::schedule::{self, Expert, Grid, Phase, Solver};

pub(super) struct Phased {
    pub(super) phases: Sourced<Vec<Phase>>,
    pub(super) steps: Sourced<usize>,
    pub(super) guidance: Sourced<Vec<f64>>,
}

/// For a model with these experts, sampled so; the lowest layer says all but phases.
pub(super) fn phased(
    layers: &[Layer],
    experts: &[Expert],
    (grid, solver, shift): (Grid, Solver, f64),
) -> Result<Phased, OptionsError> {
    let timesteps = |steps| schedule::levels(grid, solver, steps, shift).timesteps;
    let top = layers.iter().rposition(|layer| layer.values.wan.phases.is_some());
    let over = &layers[top.unwrap_or(0)..];
    let steps = pick(over, |asked| asked.wan.steps);
    let thresholds = pick(over, |asked| asked.wan.thresholds.clone());

    let (mut phases, steps, guidance) = match pick(over, |asked| asked.wan.phases.clone()) {
        Some(mut phases) => {
            fit(&phases, experts)?;
            let own: usize = phases.value.iter().map(|phase| phase.steps).sum();
            let steps = steps.unwrap_or(Sourced { value: own, from: phases.from.clone() });
            let moved = pick(&layers[top.map_or(0, |top| top + 1)..], |asked| asked.wan.thresholds.clone()).is_some();
            if steps.value != own || moved {
                // With more or fewer steps the phases stay where they are between noise and picture.
                let thresholds = match thresholds {
                    Some(thresholds) => checked(thresholds, phases.value.len())?,
                    None => halfway(&timesteps(own), &phases.value),
                };
                let split = schedule::split(grid, &timesteps(steps.value), &thresholds);
                phases.value.iter_mut().zip(split).for_each(|(phase, steps)| phase.steps = steps);
            }
            let guidance = phases.value.iter().map(|phase| phase.guidance).collect();
            let guidance = Sourced { value: guidance, from: phases.from.clone() };
            (phases, steps, guidance)
        }
        None => {
            let steps = steps.expect("the lowest layer says steps");
            let thresholds = match thresholds {
                Some(thresholds) if experts.len() > 1 => checked(thresholds, experts.len())?,
                _ => vec![],
            };
            let split = schedule::split(grid, &timesteps(steps.value), &thresholds);
            let phase = |(&expert, steps)| Phase { steps, expert, guidance: 1.0 };
            let phases = experts.iter().zip(split).map(phase).collect::<Vec<_>>();
            let guidance = Sourced::built_in(vec![1.0; phases.len()]);
            (Sourced { value: phases, from: steps.from.clone() }, steps, guidance)
        }
    };
    let guidance = match pick(over, |asked| asked.wan.guidance.clone()) {
        None => guidance,
        Some(asked) => scaled(asked, guidance.value)?,
    };
    phases.value.iter_mut().zip(&guidance.value).for_each(|(phase, guidance)| phase.guidance = *guidance);
    Ok(Phased { phases, steps, guidance })
}

/// Both experts work, the one for high noise first; and a model with one has only that.
fn fit(phases: &Sourced<Vec<Phase>>, experts: &[Expert]) -> Result<(), OptionsError> {
    let from = || phases.from.clone();
    let lows = phases.iter().filter(|phase| phase.expert == Expert::Low).count();
    let low = phases.iter().position(|phase| phase.expert == Expert::Low);
    match low {
        Some(phase) if experts.len() == 1 => Err(OptionsError::OneExpert { phase: phase + 1, from: from() }),
        Some(first) if first + lows != phases.len() => Err(OptionsError::ExpertOrder { from: from() }),
        Some(0) => Err(OptionsError::ExpertUnused { expert: Expert::High, from: from() }),
        None if experts.len() == 2 => Err(OptionsError::ExpertUnused { expert: Expert::Low, from: from() }),
        _ => Ok(()),
    }
}

fn checked(thresholds: Sourced<Vec<f64>>, phases: usize) -> Result<Vec<f64>, OptionsError> {
    let Sourced { value, from } = thresholds;
    match value.len() + 1 == phases {
        true => Ok(value),
        false => Err(OptionsError::Thresholds { found: value.len(), phases, from }),
    }
}

fn halfway(timesteps: &[f64], phases: &[Phase]) -> Vec<f64> {
    let mut done = 0;
    let borders = phases[..phases.len() - 1].iter().map(|phase| {
        done += phase.steps;
        (timesteps[done - 1] + timesteps[done]) / 2.0
    });
    borders.collect()
}

fn scaled(asked: Sourced<Guidance>, own: Vec<f64>) -> Result<Sourced<Vec<f64>>, OptionsError> {
    let (phases, from) = (own.len(), asked.from);
    let value = match asked.value {
        Guidance::All(guidance) => vec![guidance; phases],
        Guidance::Each(each) if each.len() == phases => each,
        Guidance::Some(some) if some.len() <= phases => {
            let said = some.into_iter().chain(std::iter::repeat(None));
            own.into_iter().zip(said).map(|(own, said)| said.unwrap_or(own)).collect()
        }
        Guidance::Each(each) => return Err(OptionsError::Guidance { found: each.len(), phases, from }),
        Guidance::Some(some) => return Err(OptionsError::Guidance { found: some.len(), phases, from }),
    };
    Ok(Sourced { value, from })
}

/// How many phases the high-noise expert has: where what is written for two phases is stretched over three.
pub(super) fn high_phases(phases: &[Phase]) -> usize {
    phases.iter().take_while(|phase| phase.expert == Expert::High).count()
}

impl Source {
    /// Whether it is a task, whose lists follow another program's grammar.
    pub(super) fn is_task(&self) -> bool {
        matches!(self, Self::Task(_) | Self::TaskField { .. })
    }
}
