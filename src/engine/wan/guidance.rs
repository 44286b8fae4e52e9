//! The velocity of a step, of one or two answers of the network.

use tch::{Kind, Tensor};
use wanctl::pipeline::job::CfgZero;

/// Which prompt a network is asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Prompt,
    Negative,
}

/// How often the network is asked in step `number`.
pub(super) fn forward_count(number: usize, guidance: f64, zero: Option<CfgZero>) -> usize {
    match zero {
        Some(CfgZero { zero_steps }) if number < zero_steps => 0,
        _ if guidance > 1.0 => 2,
        _ => 1,
    }
}

/// The velocity in step `number` at `latents`; all are [1, C, T, H, W] in f32.
///
/// CFG-Zero* (arXiv 2503.18886; diffusers 0.42.1, `guiders/classifier_free_zero_star_guidance.py`) leaves the latents in
/// the first steps as they are, guided or not, and then scales the negative prompt's velocity to the projection of the
/// prompt's on it.
pub(super) fn velocity(
    number: usize,
    guidance: f64,
    zero: Option<CfgZero>,
    latents: &Tensor,
    mut ask: impl FnMut(Asked) -> Tensor,
) -> Tensor {
    /// So that nothing is divided by a velocity of zero.
    const LEAST: f64 = 1e-8;
    match forward_count(number, guidance, zero) {
        0 => latents.zeros_like(),
        1 => ask(Asked::Prompt),
        _ => {
            let (prompted, mut negative) = (ask(Asked::Prompt), ask(Asked::Negative));
            if zero.is_some() {
                let sum = |x: Tensor| x.sum(Kind::Float);
                negative = &negative * (sum(&prompted * &negative) / (sum(negative.square()) + LEAST));
            }
            &negative + (prompted - &negative) * guidance
        }
    }
}
