//! Layers that can be had elsewhere: the same numbers, every tensor of them brought to another place.

use tch::Tensor;

/// How one tensor is brought there.
pub(crate) type Transfer<'a> = dyn Fn(&Tensor) -> Tensor + 'a;

pub(crate) trait ToDevice {
    /// The same, with each of its tensors brought elsewhere.
    fn moved(&self, bring: &Transfer) -> Self;
}

impl ToDevice for Tensor {
    fn moved(&self, bring: &Transfer) -> Self {
        bring(self)
    }
}

impl<T: ToDevice> ToDevice for Option<T> {
    fn moved(&self, bring: &Transfer) -> Self {
        self.as_ref().map(|layer| layer.moved(bring))
    }
}

impl<T: ToDevice, const N: usize> ToDevice for [T; N] {
    fn moved(&self, bring: &Transfer) -> Self {
        self.each_ref().map(|layer| layer.moved(bring))
    }
}

impl<T: ToDevice, U: ToDevice> ToDevice for Vec<(T, U)> {
    fn moved(&self, bring: &Transfer) -> Self {
        self.iter().map(|(one, other)| (one.moved(bring), other.moved(bring))).collect()
    }
}
