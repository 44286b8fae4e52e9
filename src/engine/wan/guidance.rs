//! How the velocities with the prompt and with the negative one become one.

use tch::{Kind, Tensor};
use wanctl::pipeline::job::CfgZero;

/// `guidance` above 1 leads away from what the negative prompt gives; both [1, C, T, H, W] in f32.
///
/// CFG-Zero* (arXiv 2503.18886; diffusers 0.42.1, `guiders/classifier_free_zero_star_guidance.py`) scales the negative
/// prompt's velocity to the prompt's projection on it first.
pub(super) fn guided(prompted: &Tensor, negative: &Tensor, guidance: f64, zero: Option<CfgZero>) -> Tensor {
    /// So that nothing is divided by a velocity of zero.
    const LEAST: f64 = 1e-8;
    match zero {
        None => negative + (prompted - negative) * guidance,
        Some(CfgZero { zero_steps: _ }) => {
            let sum = |x: Tensor| x.sum(Kind::Float);
            let negative = negative * (sum(prompted * negative) / (sum(negative.square()) + LEAST));
            &negative + (prompted - &negative) * guidance
        }
    }
}
