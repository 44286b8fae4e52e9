//! Plain recursive halving: the middle frame of the network, then the middles of both halves.

use tch::Tensor;

use super::{canvas::rgb, network::Network};

/// Makes `count` frames between `a` and `b` [1, 3, H, W], of which the first is frame `first`.
pub(super) fn halve(
    network: &Network,
    a: &Tensor,
    b: &Tensor,
    first: usize,
    count: usize,
    emit: &mut dyn FnMut(usize, Vec<u8>),
) {
    if count == 0 {
        return;
    }
    let before = count / 2;
    let middle = network.look(a, b, (before as f64 + 1.0) / (count as f64 + 1.0)).picture(a, b);
    emit(first + before, rgb(&middle));
    halve(network, a, &middle, first, before, emit);
    halve(network, &middle, b, first + before + 1, count - before - 1, emit);
}
