//! How noise becomes a picture: what no weights are needed for to know it, down to every step.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use super::{
    Guidance, Layer, LoraAsk, Multiplier, OptionsError, Source, Sourced, WanOptions, check,
    phases::{Phased, high_phases, phased},
    pick,
};
use crate::pipeline::{
    job::schedule::{self, Expert, Grid, Phase, Solver, Step},
    weights::{ModelFiles, Published},
};

/// Every number of it, and the steps that they come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sampling {
    pub steps: Sourced<usize>,
    pub phases: Sourced<Vec<Phase>>,
    /// Of each phase.
    pub guidance: Sourced<Vec<f64>>,
    pub shift: Sourced<f64>,
    pub solver: Sourced<Solver>,
    pub grid: Sourced<Grid>,
    pub loras: Sourced<Vec<Lora>>,
    /// Step by step what comes of all these.
    pub schedule: Vec<Step>,
}

/// Where LoRAs lie, by the names that they are asked by.
pub type LoraFiles = BTreeMap<PathBuf, PathBuf>;

/// What of a model its sampling rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelTraits {
    pub two_experts: bool,
    /// As its folder says them.
    pub boundary: Option<f64>,
    pub flow_shift: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lora {
    pub file: PathBuf,
    pub weights: Multiplier,
    /// At each step.
    pub strengths: Vec<f64>,
}

impl From<&ModelFiles> for ModelTraits {
    fn from(models: &ModelFiles) -> Self {
        let &ModelFiles { ref low, boundary, flow_shift, .. } = models;
        Self { two_experts: !low.is_empty(), boundary, flow_shift }
    }
}

/// By its names alone.
impl From<&Published> for ModelTraits {
    fn from(published: &Published) -> Self {
        Self { two_experts: !published.low.is_empty(), boundary: None, flow_shift: None }
    }
}

impl ModelTraits {
    /// What it is asked where nobody says it, and over that what its folder says.
    fn layers(self) -> [Layer; 2] {
        let (steps, shift, guidance, thresholds) = match self.two_experts {
            // Wan2.1 9737cba, wan/vace.py.
            false => (50, 5.0, 5.0, None),
            // LightX2V f8aee98, configs/wan22_vace; the border as diffusers has it.
            true => (40, 8.0, 3.5, Some(vec![875.0])),
        };
        let built_in = WanOptions {
            steps: Some(steps),
            shift: Some(shift),
            guidance: Some(Guidance::All(guidance)),
            thresholds,
            ..WanOptions::default()
        };
        let thresholds = self.boundary.map(|boundary| vec![boundary * 1000.0]);
        let of_weights = WanOptions { shift: self.flow_shift, thresholds, ..WanOptions::default() };
        [
            Layer { from: Source::BuiltIn, values: built_in.into() },
            Layer { from: Source::Weights, values: of_weights.into() },
        ]
    }
}

impl Sampling {
    /// LoRAs that are not among `files` go by the names that they are asked by.
    pub fn of(asked: &[Layer], model: ModelTraits, files: &LoraFiles) -> Result<Self, OptionsError> {
        check::ranges(asked)?;
        let layers: Vec<Layer> = model.layers().into_iter().chain(asked.iter().cloned()).collect();
        let layers = &layers[..];
        let solver = pick(layers, |asked| asked.wan.solver).unwrap_or(Sourced::built_in(Solver::Unipc));
        let grid = pick(layers, |asked| asked.wan.grid).unwrap_or(Sourced::built_in(Grid::Diffusers));
        let shift = pick(layers, |asked| asked.wan.shift).expect("the lowest layer says it");
        let experts: &[Expert] = if model.two_experts { &[Expert::High, Expert::Low] } else { &[Expert::High] };
        let Phased { phases, steps, guidance } = phased(layers, experts, (*grid, *solver, *shift))?;
        Ok(Self {
            loras: loras(layers, files, &phases)?,
            schedule: schedule::steps(*grid, *solver, *shift, &phases),
            steps,
            phases,
            guidance,
            shift,
            solver,
            grid,
        })
    }

    /// Whether the same comes of it, whoever said it.
    pub fn equals(&self, other: &Self) -> bool {
        let made = |Self { schedule, solver, loras, .. }: &Self| (schedule.clone(), **solver, loras.value.clone());
        made(self) == made(other)
    }
}

/// With a strength for every step of these phases.
fn loras(
    layers: &[Layer],
    files: &LoraFiles,
    phases: &Sourced<Vec<Phase>>,
) -> Result<Sourced<Vec<Lora>>, OptionsError> {
    let Some(asked) = pick(layers, |asked| asked.wan.loras.clone()) else { return Ok(Sourced::built_in(vec![])) };
    let steps: Vec<usize> = phases.iter().map(|phase| phase.steps).collect();
    let lora = |LoraAsk { file, weights }: LoraAsk| {
        let file = files.get(&file).cloned().unwrap_or(file);
        let weights = match asked.from.is_task() {
            true => weights.stretched(steps.len(), high_phases(phases)),
            false => weights,
        };
        let found = weights.phases();
        match weights.over(&steps) {
            Some(strengths) => Ok(Lora { file, weights, strengths }),
            None => Err(OptionsError::LoraPhases { file, found, phases: steps.len(), from: asked.from.clone() }),
        }
    };
    let value = asked.value.into_iter().map(lora).collect::<Result<_, _>>()?;
    Ok(Sourced { value, from: asked.from })
}
