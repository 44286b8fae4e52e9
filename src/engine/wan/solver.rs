//! How latents go from one noise level to the next. The levels come with the request; only what was seen lives here.
//!
//! Reference: diffusers 0.42.1, `schedulers/scheduling_unipc_multistep.py` (bh2, order 2, predict x0, lower order at the
//! end), `scheduling_dpmsolver_multistep.py` (2M, midpoint) and `scheduling_flow_match_euler_discrete.py`.

use tch::Tensor;
use wanctl::pipeline::job::schedule::{Solver as Kind, Step};

/// What UniPC remembers of the steps before; the others remember nothing.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The clean pictures predicted by the last steps, the newest first.
    pub(crate) clean: Vec<Tensor>,
    /// The latents before the last prediction.
    pub(crate) last: Option<Tensor>,
}

/// A solver in the middle of its steps.
#[derive(Debug)]
pub(crate) struct Solver<'a> {
    kind: Kind,
    steps: &'a [Step],
    pub(crate) history: History,
}

impl<'a> Solver<'a> {
    /// With what a run remembers that is gone on with, or nothing.
    pub(crate) fn new(kind: Kind, steps: &'a [Step], history: History) -> Self {
        Self { kind, steps, history }
    }

    /// The latents after step `i`, of the latents `x` before it and the velocity there; both [1, C, T, H, W] in f32.
    pub(crate) fn step(&mut self, i: usize, x: &Tensor, velocity: &Tensor) -> Tensor {
        let Step { sigma, next, .. } = self.steps[i];
        match self.kind {
            Kind::Euler | Kind::Lcm => x + velocity * (next - sigma),
            Kind::Unipc => {
                // The correction below does not change what the network predicted.
                let clean = x - velocity * sigma;
                let x = if i > 0 { self.corrected(i, &clean) } else { x.shallow_clone() };
                self.history.clean.insert(0, clean);
                self.history.clean.truncate(2);
                let next = self.predicted(i, &x);
                self.history.last = Some(x);
                next
            }
            Kind::Dpmpp => {
                self.history.clean.insert(0, x - velocity * sigma);
                self.history.clean.truncate(2);
                self.predicted(i, x)
            }
        }
    }

    /// The order of step `i`: what there is to look back at, and 1 at the end.
    fn order(&self, i: usize) -> usize {
        2.min(self.steps.len() - i).min(i + 1)
    }

    /// ln((1 - sigma) / sigma): infinite at 0, where nothing asks for its difference.
    fn lambda(&self, i: usize) -> f64 {
        let sigma = self.steps.get(i).map_or(0.0, |step| step.sigma);
        ((1.0 - sigma) / sigma).ln()
    }

    /// The latents at step `i` once more, now that `clean` is known there.
    fn corrected(&self, i: usize, clean: &Tensor) -> Tensor {
        let (before, last) = (&self.history.clean[0], self.history.last.as_ref().expect("a step went before"));
        let (sigma, from) = (self.steps[i].sigma, self.steps[i - 1].sigma);
        let h = self.lambda(i) - self.lambda(i - 1);
        let b = (-h).exp_m1();
        let base = last * (sigma / from) - before * ((1.0 - sigma) * b);
        let change = clean - before;
        match self.order(i - 1) {
            1 => base - change * ((1.0 - sigma) * b * 0.5),
            _ => {
                let r = (self.lambda(i - 2) - self.lambda(i - 1)) / h;
                let k = b / -h - 1.0;
                let (b1, b2) = (k / b, 2.0 * (k / -h - 0.5) / b);
                let rho1 = (b1 - b2) / (1.0 - r);
                let rho2 = b1 - rho1;
                let older = (&self.history.clean[1] - before) * (rho1 / r);
                base - (older + change * rho2) * ((1.0 - sigma) * b)
            }
        }
    }

    /// The latents at the next level: UniPC's predictor, which is DPM++ 2M.
    fn predicted(&self, i: usize, x: &Tensor) -> Tensor {
        let Step { sigma, next, .. } = self.steps[i];
        let clean = &self.history.clean[0];
        let h = self.lambda(i + 1) - self.lambda(i);
        let b = (-h).exp_m1();
        let moved = x * (next / sigma) - clean * ((1.0 - next) * b);
        match self.order(i) {
            1 => moved,
            _ => {
                let r = (self.lambda(i - 1) - self.lambda(i)) / h;
                moved - (&self.history.clean[1] - clean) * ((1.0 - next) * b * 0.5 / r)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use wanctl::pipeline::job::schedule::{Expert, Grid, Phase, levels, steps};

    use super::*;

    fn fixture() -> HashMap<String, Tensor> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wan/schedulers.safetensors");
        Tensor::read_safetensors(path).unwrap().into_iter().collect()
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    /// Every solver, grid and count of steps in the fixture (see its make.py), driven by the velocity given there.
    #[test]
    fn latents_and_levels_are_those_of_diffusers() {
        let fixture = fixture();
        let velocity = |x: &Tensor, sigma: f64| {
            Tensor::einsum("ij,bjthw->bithw", &[&fixture["in.A"], &x.tanh()], None::<&[i64]>) + 0.3 * sigma
        };
        let mut compared = 0;
        for name in fixture.keys() {
            let Some(run) = name.strip_prefix("out.").and_then(|run| run.strip_suffix(".x")) else { continue };
            let [word, count, shift] = run.splitn(3, '.').collect::<Vec<_>>()[..] else { panic!("{name}") };
            let Ok(kind) = word.parse::<Kind>() else { continue };
            let (count, shift): (usize, f64) = (count.parse().unwrap(), shift.parse().unwrap());
            let of = |what: &str| fixture[&format!("out.{run}.{what}")].to_kind(tch::Kind::Double);
            let ours = levels(Grid::Diffusers, kind, count, shift);
            // Both are f32, computed in f64 here and partly in f32 there.
            assert!(largest_difference(&Tensor::from_slice(&ours.sigmas), &of("sigmas")) < 1.2e-7, "{run}");
            assert!(largest_difference(&Tensor::from_slice(&ours.timesteps), &of("timesteps")) < 1.3e-4, "{run}");

            let steps =
                steps(Grid::Diffusers, kind, shift, &[Phase { steps: count, expert: Expert::High, guidance: 1.0 }]);
            let mut solver = Solver::new(kind, &steps, History::default());
            let mut x = fixture["in.x"].shallow_clone();
            for (i, step) in steps.iter().enumerate() {
                x = solver.step(i, &x, &velocity(&x, step.sigma));
            }
            // The values are about 1, f32 here and there over up to 50 steps.
            let difference = largest_difference(&x, &fixture[name]);
            assert!(difference < 1e-5, "{run}: {difference}");
            compared += 1;
        }
        assert_eq!(compared, 30);
    }

    #[test]
    fn a_solver_that_is_stopped_and_gone_on_with_gives_the_same_bytes() {
        let phase = [Phase { steps: 6, expert: Expert::High, guidance: 1.0 }];
        let steps = steps(Grid::Diffusers, Kind::Unipc, 5.0, &phase);
        let start = fixture()["in.x"].shallow_clone();
        let whole = |solver: &mut Solver<'_>, from: usize, to: usize, mut x: Tensor| {
            for i in from..to {
                x = solver.step(i, &x, &x.tanh());
            }
            x
        };
        let wanted = whole(&mut Solver::new(Kind::Unipc, &steps, History::default()), 0, 6, start.shallow_clone());
        for stop in 1..6 {
            let mut first = Solver::new(Kind::Unipc, &steps, History::default());
            let x = whole(&mut first, 0, stop, start.shallow_clone());
            let mut second = Solver::new(Kind::Unipc, &steps, first.history);
            assert_eq!(whole(&mut second, stop, 6, x), wanted, "stopped after {stop}");
        }
    }
}
