//! When the model is asked, and what: noise level, timestep, expert and guidance of every step, computed before the
//! engine starts. Both programs share these types; a schedule is data, and nothing of it is computed twice.
//!
//! A picture at noise level `sigma` is `(1 - sigma) * picture + sigma * noise`. Sources are named at the grids.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

/// How a step goes from one noise level to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Solver {
    /// Euler, first order
    Euler,
    /// UniPC, second order with corrector
    Unipc,
    /// DPM++ 2M, second order multistep
    #[serde(rename = "dpm++")]
    #[strum(serialize = "dpm++")]
    #[value(name = "dpm++")]
    Dpmpp,
    /// LCM, for distilled models
    Lcm,
}

/// Whose noise levels: three projects mean three different things by "6 steps, shift 5".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Grid {
    /// As Wan2GP computes them
    Wan2gp,
    /// As diffusers computes them
    Diffusers,
    /// As Wan's own repository computes them
    Official,
    /// LightX2V's, for models distilled to few steps
    Distill,
}

/// Which of a model's two networks; a model with one has only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Expert {
    High,
    Low,
}

/// Steps in a row that one expert does with one guidance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub steps: usize,
    pub expert: Expert,
    pub guidance: f64,
}

/// One question to the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Noise level before and after.
    pub sigma: f64,
    pub next: f64,
    /// What the network is told of the time, 0 to 1000.
    pub timestep: f64,
    pub expert: Expert,
    /// Above 1 the network is asked twice, with the prompt and with the negative one.
    pub guidance: f64,
}

/// Noise levels and timesteps: one timestep for each step, and one level more.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    pub sigmas: Vec<f64>,
    pub timesteps: Vec<f64>,
}

/// A noise level made larger where the picture is still undecided.
fn shifted(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

/// Where the levels of an LCM schedule end, unshifted.
const LCM_END: f64 = 0.003 / 1.002;

/// The first `steps` of one more values evenly from `first` to `last`, in numpy's order of operations: timesteps are cut
/// to whole numbers after it.
fn towards(first: f64, last: f64, steps: usize) -> impl Iterator<Item = f64> {
    let step = (last - first) / steps as f64;
    (0..steps).map(move |i| i as f64 * step + first)
}

/// `steps` values evenly from `first` to `last`, both included.
fn evenly(first: f64, last: f64, steps: usize) -> impl Iterator<Item = f64> {
    let between = steps.saturating_sub(1);
    towards(first, last, between).chain(std::iter::once(if between == 0 { first } else { last }))
}

/// The levels of `steps` steps; `shift` as the models' cards name it.
pub fn levels(grid: Grid, solver: Solver, steps: usize, shift: f64) -> Levels {
    let shifted = |sigma: f64| shifted(sigma, shift);
    // The levels before the last, which is 0, and whether timesteps are cut to whole numbers.
    let (sigmas, whole): (Vec<f64>, bool) = match (grid, solver) {
        // diffusers 0.42.1 schedulers/scheduling_unipc_multistep.py, use_flow_sigmas: N of N + 1 values from 1 to
        // 1/1000, and a first one that leaves ln(1 - sigma) finite.
        (Grid::Diffusers, Solver::Unipc) => {
            let mut sigmas: Vec<f64> = towards(1.0, 1.0 / 1000.0, steps).map(shifted).collect();
            if let Some(first) = sigmas.first_mut()
                && (*first - 1.0).abs() < 1e-6
            {
                *first -= 1e-6;
            }
            (sigmas, true)
        }
        // The same, schedulers/scheduling_dpmsolver_multistep.py.
        (Grid::Diffusers, Solver::Dpmpp) => {
            let clean: Vec<f64> = evenly(1.0, 1.0 / 1000.0, steps + 1).collect();
            (clean[1..].iter().rev().map(|clean| shifted(1.0 - clean)).collect(), true)
        }
        // diffusers 0.42.1 schedulers/scheduling_flow_match_euler_discrete.py: from 1 to the smallest training level,
        // which is shifted already, and shifted again.
        (Grid::Diffusers, Solver::Euler | Solver::Lcm) => {
            (evenly(1.0, shifted(0.001), steps).map(shifted).collect(), false)
        }
        // Wan2GP 8681e9f, models/wan/any2video.py: 1000 to 1 in even timesteps.
        (Grid::Wan2gp, Solver::Euler) => (evenly(1.0, 0.001, steps).map(shifted).collect(), false),
        // Wan2GP 8681e9f, shared/utils/lcm_scheduler.py: to a last level above 0.
        (Grid::Wan2gp, Solver::Lcm) => (towards(1.0, LCM_END, steps).map(shifted).collect(), false),
        // Wan2.2 42bf4cf, wan/utils/fm_solvers.py, get_sampling_sigmas; Wan2GP has the same.
        (Grid::Official | Grid::Wan2gp, Solver::Dpmpp) => (towards(1.0, 0.0, steps).map(shifted).collect(), true),
        // LightX2V f8aee98, models/schedulers/wan/step_distill: of four steps 1000, 750, 500, 250, shifted.
        (Grid::Distill, _) => (towards(1.0, 0.0, steps).map(shifted).collect(), false),
        // Wan2.2 42bf4cf, wan/utils/fm_solvers_unipc.py; Wan2GP has the same.
        (Grid::Official, _) | (Grid::Wan2gp, Solver::Unipc) => {
            (towards(f64::from(0.999_f32), 0.0, steps).map(shifted).collect(), true)
        }
    };
    // The references cut timesteps before they round the levels to f32, and round the others after it.
    let levels: Vec<f64> = sigmas.iter().map(|sigma| f64::from(*sigma as f32)).collect();
    let timesteps = match whole {
        true => sigmas.iter().map(|sigma| (sigma * 1000.0).trunc()).collect(),
        false => levels.iter().map(|sigma| f64::from(*sigma as f32 * 1000.0)).collect(),
    };
    let last = match (grid, solver) {
        (Grid::Wan2gp, Solver::Lcm) => f64::from(shifted(LCM_END) as f32),
        _ => 0.0,
    };
    Levels { sigmas: levels.into_iter().chain([last]).collect(), timesteps }
}

/// The steps of these phases, in order.
pub fn steps(grid: Grid, solver: Solver, shift: f64, phases: &[Phase]) -> Vec<Step> {
    let Levels { sigmas, timesteps } = levels(grid, solver, phases.iter().map(|phase| phase.steps).sum(), shift);
    let asked = phases.iter().flat_map(|phase| std::iter::repeat_n(phase, phase.steps));
    let step = |(i, &Phase { expert, guidance, .. })| Step {
        sigma: sigmas[i],
        next: sigmas[i + 1],
        timestep: timesteps[i],
        expert,
        guidance,
    };
    asked.enumerate().map(step).collect()
}

/// How many of the steps each phase has where the next one begins at a timestep; thresholds fall. At the threshold
/// itself Wan2GP (8681e9f, models/wan/any2video.py) is in the next phase; Wan2.2 (42bf4cf, wan/text2video.py) and
/// diffusers are still in the one before.
pub fn split(grid: Grid, timesteps: &[f64], thresholds: &[f64]) -> Vec<usize> {
    let before = |threshold: f64| {
        let still = |timestep: &&f64| **timestep > threshold || **timestep == threshold && grid != Grid::Wan2gp;
        timesteps.iter().take_while(still).count()
    };
    let borders = thresholds.iter().map(|threshold| before(*threshold)).chain([timesteps.len()]);
    let mut done = 0;
    borders
        .map(|border| {
            let steps = border.saturating_sub(done);
            done = done.max(border);
            steps
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    /// To two units of f32 at 1000: the tables have four decimals.
    fn timesteps(grid: Grid, solver: Solver, steps: usize, shift: f64, wanted: &[f64]) {
        let found = levels(grid, solver, steps, shift).timesteps;
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1.3e-4, "{grid} {solver} {steps} {shift}: {found} is not {wanted}");
        }
    }

    /// Computed with the projects named at the grids.
    #[test]
    fn the_grids_are_those_of_three_projects() {
        use Grid::{Diffusers, Official, Wan2gp};
        use Solver::{Euler, Unipc};
        for (steps, shift, wanted) in [
            (6, 5.0, &[999.0, 961.0, 908.0, 833.0, 713.0, 499.0][..]),
            (4, 5.0, &[999.0, 937.0, 833.0, 624.0]),
            (6, 3.0, &[999.0, 937.0, 856.0, 749.0, 599.0, 374.0]),
            (6, 8.0, &[999.0, 975.0, 941.0, 888.0, 799.0, 615.0]),
            (8, 3.0, &[999.0, 954.0, 899.0, 832.0, 749.0, 642.0, 499.0, 299.0]),
        ] {
            timesteps(Official, Unipc, steps, shift, wanted);
            timesteps(Wan2gp, Unipc, steps, shift, wanted);
        }
        for (steps, shift, wanted) in [
            (6, 5.0, &[999.0, 961.0, 909.0, 833.0, 714.0, 501.0][..]),
            (4, 5.0, &[999.0, 937.0, 833.0, 625.0]),
            (6, 3.0, &[999.0, 937.0, 857.0, 750.0, 600.0, 376.0]),
            (6, 8.0, &[999.0, 975.0, 941.0, 889.0, 800.0, 616.0]),
            (8, 3.0, &[999.0, 954.0, 900.0, 833.0, 750.0, 643.0, 500.0, 301.0]),
        ] {
            timesteps(Diffusers, Unipc, steps, shift, wanted);
        }
        for (steps, shift, wanted) in [
            (6, 5.0, &[1000.0, 952.663, 883.2125, 771.4307, 561.6498, 24.4141][..]),
            (4, 5.0, &[1000.0, 909.7072, 717.3174, 24.4141]),
            (6, 3.0, &[1000.0, 923.3425, 818.9233, 668.3267, 432.2251, 8.9286]),
            (6, 8.0, &[1000.0, 969.9883, 924.0131, 844.723, 675.3331, 60.207]),
            (8, 3.0, &[1000.0, 947.5425, 882.7878, 800.8373, 693.7931, 548.0456, 337.9722, 8.9286]),
        ] {
            timesteps(Diffusers, Euler, steps, shift, wanted);
        }
        for (steps, shift, wanted) in [
            (6, 5.0, &[1000.0, 952.4376, 882.5259, 769.6741, 556.7879, 4.9801][..]),
            (4, 5.0, &[1000.0, 909.2148, 714.8973, 4.9801]),
            (6, 3.0, &[1000.0, 923.1656, 818.4297, 667.2219, 429.7945, 2.9940]),
            (6, 8.0, &[1000.0, 969.7337, 923.1952, 842.4373, 667.7751, 7.9444]),
            (8, 3.0, &[1000.0, 947.4265, 882.4982, 800.2798, 692.8044, 546.3215, 334.8868, 2.9940]),
        ] {
            timesteps(Wan2gp, Euler, steps, shift, wanted);
        }
    }

    #[test]
    fn the_other_solvers_have_grids_of_their_own() {
        use Grid::{Distill, Official, Wan2gp};
        use Solver::{Dpmpp, Euler, Lcm};
        for (steps, shift, wanted) in [
            (6, 5.0, &[1000.0, 961.0, 909.0, 833.0, 714.0, 500.0][..]),
            (4, 5.0, &[1000.0, 937.0, 833.0, 625.0]),
            (6, 3.0, &[1000.0, 937.0, 857.0, 750.0, 600.0, 375.0]),
            (6, 8.0, &[1000.0, 975.0, 941.0, 888.0, 800.0, 615.0]),
            (8, 3.0, &[1000.0, 954.0, 900.0, 833.0, 750.0, 642.0, 500.0, 300.0]),
        ] {
            timesteps(Official, Dpmpp, steps, shift, wanted);
            timesteps(Wan2gp, Dpmpp, steps, shift, wanted);
        }
        for (steps, shift, wanted) in [
            (6, 5.0, &[1000.0, 961.6713, 909.4616, 834.1634, 716.1125, 504.4643][..]),
            (4, 5.0, &[1000.0, 937.734, 834.163, 627.794]),
            (8, 3.0, &[1000.0, 954.694, 900.359, 833.998, 751.121, 644.686, 502.985, 305.009]),
        ] {
            let found = levels(Wan2gp, Lcm, steps, shift).timesteps;
            // Some of these have three decimals.
            assert!(found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 6e-4), "{found:?}");
        }
        let last = levels(Wan2gp, Lcm, 6, 5.0).sigmas[6];
        assert!((last - 0.0148).abs() < 5e-5, "{last}");
        let distilled = levels(Distill, Euler, 4, 5.0).sigmas;
        assert!(distilled.iter().zip([1.0, 0.9375, 0.8333, 0.625, 0.0]).all(|(a, b)| (a - b).abs() < 4e-5));
    }

    #[test]
    fn levels_fall_to_the_end_whatever_the_grid() {
        for grid in [Grid::Wan2gp, Grid::Diffusers, Grid::Official, Grid::Distill] {
            for solver in [Solver::Euler, Solver::Unipc, Solver::Dpmpp, Solver::Lcm] {
                for steps in 1..60 {
                    for shift in [0.5, 1.0, 3.0, 5.0, 8.0, 16.0] {
                        let Levels { sigmas, timesteps } = levels(grid, solver, steps, shift);
                        assert_eq!((sigmas.len(), timesteps.len()), (steps + 1, steps));
                        assert!(sigmas.is_sorted_by(|a, b| a > b), "{grid} {solver} {steps} {shift}: {sigmas:?}");
                        let reaches = !(grid == Grid::Wan2gp && solver == Solver::Lcm);
                        assert!(sigmas[0] <= 1.0 && (sigmas[steps] == 0.0) == reaches);
                        assert!(timesteps.iter().all(|timestep| (0.0..=1000.0).contains(timestep)));
                    }
                }
            }
        }
    }

    #[test]
    fn phases_are_told_by_steps_and_a_boundary_becomes_one() {
        let phases = [
            Phase { steps: 2, expert: Expert::High, guidance: 3.0 },
            Phase { steps: 1, expert: Expert::Low, guidance: 1.0 },
        ];
        let steps = steps(Grid::Diffusers, Solver::Unipc, 5.0, &phases);
        let asked: Vec<_> = steps.iter().map(|step| (step.expert, step.guidance)).collect();
        assert_eq!(asked, [(Expert::High, 3.0), (Expert::High, 3.0), (Expert::Low, 1.0)]);
        assert!(steps.windows(2).all(|pair| pair[0].next == pair[1].sigma));
        assert_eq!(steps[2].next, 0.0);

        let timesteps = levels(Grid::Diffusers, Solver::Unipc, 6, 5.0).timesteps;
        assert_eq!(split(Grid::Diffusers, &timesteps, &[875.0]), [3, 3]);
        assert_eq!(split(Grid::Diffusers, &timesteps, &[833.0]), [4, 2]);
        assert_eq!(split(Grid::Wan2gp, &timesteps, &[833.0]), [3, 3]);
        assert_eq!(split(Grid::Diffusers, &timesteps, &[1000.0]), [0, 6]);
        assert_eq!(split(Grid::Diffusers, &timesteps, &[]), [6]);
    }

    #[test]
    fn every_step_is_in_one_phase_wherever_the_thresholds_lie() {
        for steps in 1..12 {
            let timesteps = levels(Grid::Wan2gp, Solver::Euler, steps, 5.0).timesteps;
            for first in (0..=1000).step_by(50) {
                for second in (0..=first).step_by(50) {
                    let phases = split(Grid::Wan2gp, &timesteps, &[f64::from(first), f64::from(second)]);
                    assert_eq!((phases.len(), phases.iter().sum::<usize>()), (3, steps), "{first} {second}");
                }
            }
        }
    }

    /// Steps, shift and thresholds of the worker's presets and of Wan2GP's profiles, and where they really split:
    /// worked out with Wan2GP's own sampler.
    #[test]
    fn fixed_thresholds_split_as_the_sampler_does() {
        for (steps, shift, thresholds, wanted) in [
            (6, 5.0, &[883.0, 558.0][..], &[2, 2, 2][..]),
            (6, 5.0, &[558.0], &[4, 2]),
            (6, 5.0, &[883.0], &[2, 4]),
            (8, 3.0, &[965.0, 800.0], &[1, 3, 4]),
            (4, 3.0, &[876.0], &[1, 3]),
            (4, 5.0, &[876.0], &[2, 2]),
            (8, 5.0, &[985.0, 800.0], &[1, 3, 4]),
            (10, 2.0, &[875.0], &[3, 7]),
        ] {
            let timesteps = levels(Grid::Wan2gp, Solver::Euler, steps, shift).timesteps;
            assert_eq!(
                split(Grid::Wan2gp, &timesteps, thresholds),
                wanted,
                "{steps} {shift} {thresholds:?}: {timesteps:?}"
            );
        }
        let timesteps = levels(Grid::Wan2gp, Solver::Unipc, 30, 5.0).timesteps;
        assert_eq!(split(Grid::Wan2gp, &timesteps, &[900.0]), [11, 19]);
    }
}
