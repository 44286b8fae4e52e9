//! Phases as timesteps at which they change: how the worker hands them on, in its own arithmetic.

use crate::pipeline::job::schedule::Solver;

/// Half way between the last timestep of a phase and the first of the next, for all but the last phase.
pub fn thresholds(solver: Solver, steps: &[usize], shift: f64) -> Vec<f32> {
    let timesteps = timesteps(solver, steps.iter().sum(), shift);
    let borders = steps.iter().scan(0, |done, steps| {
        *done += steps;
        Some(*done)
    });
    borders.filter(|border| *border < timesteps.len()).map(|at| (timesteps[at - 1] + timesteps[at]) / 2.0).collect()
}

/// The worker's own list, in f32 as numpy has it. What is sampled at is [`crate::pipeline::schedule::levels`].
fn timesteps(solver: Solver, steps: usize, shift: f64) -> Vec<f32> {
    let evenly = |first: f64, last: f64, count: usize| {
        let step = (last - first) / (count - 1).max(1) as f64;
        (0..count).map(move |i| if i > 0 && i + 1 == count { last } else { i as f64 * step + first } as f32)
    };
    let (shift, more) = (shift as f32, (shift - 1.0) as f32);
    let shifted = |sigma: f32| shift * sigma / (1.0 + more * sigma) * 1000.0;
    match solver {
        Solver::Euler => evenly(1000.0, 1.0, steps).map(|timestep| shifted(timestep / 1000.0)).collect(),
        Solver::Unipc => evenly(1.0, 0.001, steps + 1).take(steps).map(shifted).collect(),
        Solver::Dpmpp => evenly(1.0, 0.0, steps + 1).take(steps).map(shifted).collect(),
        Solver::Lcm => evenly(1000.0, 1.0, steps).collect(),
    }
}
