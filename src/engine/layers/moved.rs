//! Layers that can be had elsewhere: the same numbers, every tensor of them brought to another place.

use tch::Tensor;

/// How one tensor is brought there.
pub(crate) type Bring<'a> = dyn Fn(&Tensor) -> Tensor + 'a;

pub(crate) trait Moved {
    /// The same, with each of its tensors brought elsewhere.
    fn moved(&self, bring: &Bring) -> Self;
}

impl Moved for Tensor {
    fn moved(&self, bring: &Bring) -> Self {
        bring(self)
    }
}

impl<T: Moved> Moved for Option<T> {
    fn moved(&self, bring: &Bring) -> Self {
        self.as_ref().map(|layer| layer.moved(bring))
    }
}

impl<T: Moved, const N: usize> Moved for [T; N] {
    fn moved(&self, bring: &Bring) -> Self {
        self.each_ref().map(|layer| layer.moved(bring))
    }
}

impl<T: Moved, U: Moved> Moved for Vec<(T, U)> {
    fn moved(&self, bring: &Bring) -> Self {
        self.iter().map(|(one, other)| (one.moved(bring), other.moved(bring))).collect()
    }
}
