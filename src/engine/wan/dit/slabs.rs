//! Tensors in the host's memory, many to a slab.
//!
//! What a GPU fetches without the processor's help is pinned, and libtorch takes the next power of two for each piece that
//! it pins (2.11.0, ATen/core/CachingHostAllocator.h, `allocate`): the products of a 14B layer, pinned one by one, would
//! take one and a half times their bytes.

use tch::{Device, Kind, Tensor};

use crate::engine::torch::{TorchError, shim};

/// A power of two. Tests fill more than one.
const SLAB: u64 = if cfg!(test) { 1 << 14 } else { LARGE };
const LARGE: u64 = 1 << 28;
/// What every kind of number may start at.
const ALIGNED: u64 = 512;

#[derive(Debug)]
pub(super) struct Slabs {
    slabs: Vec<Tensor>,
    places: Places,
    device: Device,
}

impl Slabs {
    /// For tensors that `device` will fetch.
    pub(super) fn of(device: Device) -> Self {
        Self { slabs: vec![], places: Places::of(SLAB), device }
    }

    /// A copy of a tensor of any device, with its shape and kind. It lives for as long as anything in its slab.
    pub(super) fn put(&mut self, tensor: &Tensor) -> Result<Tensor, TorchError> {
        let bytes = tensor.numel() * tensor.kind().elt_size_in_bytes();
        let (slab, start) = self.places.take(bytes as u64);
        if slab == self.slabs.len() {
            self.slabs.push(self.slab(self.places.slabs[slab].bytes as i64)?);
        }
        let place = self.slabs[slab].narrow(0, start as i64, bytes as i64);
        let mut place = place.view_dtype(tensor.kind()).view(tensor.size().as_slice());
        place.copy_(tensor);
        Ok(place)
    }

    fn slab(&self, bytes: i64) -> Result<Tensor, TorchError> {
        match self.device.is_cuda() {
            true => shim::pinned(bytes),
            false => Ok(Tensor::empty([bytes], (Kind::Uint8, Device::Cpu))),
        }
    }
}

/// Which bytes of which slab are taken.
#[derive(Debug)]
struct Places {
    slabs: Vec<Taken>,
    /// Of a slab that is not for one large tensor.
    slab: u64,
}

#[derive(Debug)]
struct Taken {
    bytes: u64,
    taken: u64,
}

impl Places {
    fn of(slab: u64) -> Self {
        Self { slabs: vec![], slab }
    }

    /// The first slab that has so much left, be it a new one, and where in it.
    fn take(&mut self, bytes: u64) -> (usize, u64) {
        let fits = |slab: &Taken| slab.taken + bytes <= slab.bytes;
        let at = self.slabs.iter().position(fits).unwrap_or(self.slabs.len());
        if at == self.slabs.len() {
            self.slabs.push(Taken { bytes: bytes.next_power_of_two().max(self.slab), taken: 0 });
        }
        let slab = &mut self.slabs[at];
        let start = slab.taken;
        slab.taken += bytes.next_multiple_of(ALIGNED);
        (at, start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_all_kinds_come_back_as_they_were_and_share_slabs() {
        let mut slabs = Slabs::of(Device::Cpu);
        let numbers = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let kinds = [Kind::Float, Kind::BFloat16, Kind::Half, Kind::Float8e4m3fn, Kind::Int64];
        let sizes: [&[i64]; 6] = [&[3, 5], &[7], &[], &[40, 50], &[1, 6, 32], &[0, 4]];
        let tensors: Vec<Tensor> = kinds
            .iter()
            .flat_map(|kind| sizes.iter().map(|size| numbers(size).to_kind(*kind)))
            .chain([numbers(&[4, 9]).tr()])
            .collect();
        let kept: Vec<Tensor> = tensors.iter().map(|tensor| slabs.put(tensor).unwrap()).collect();
        for (tensor, kept) in tensors.iter().zip(&kept) {
            assert_eq!((kept.size(), kept.kind()), (tensor.size(), tensor.kind()));
            assert!(kept.is_contiguous());
            assert_eq!(kept.to_kind(Kind::Float), tensor.to_kind(Kind::Float));
        }
        assert!((2..tensors.len() / 3).contains(&slabs.slabs.len()), "{slabs:?}");
    }

    #[test]
    fn a_tensor_larger_than_a_slab_has_one_to_itself() {
        let mut slabs = Slabs::of(Device::Cpu);
        let large = Tensor::randn([SLAB as i64], (Kind::Float, Device::Cpu));
        assert_eq!(slabs.put(&large).unwrap(), large);
        assert_eq!(slabs.slabs[0].size(), [4 * SLAB as i64]);
        drop(slabs.put(&Tensor::zeros([1], (Kind::Float, Device::Cpu))).unwrap());
        assert_eq!(slabs.slabs.len(), 2);
    }

    #[test]
    fn no_place_is_taken_twice() {
        let mut places = Places::of(4096);
        let mut taken: Vec<(usize, u64, u64)> = vec![];
        for n in 0..200 {
            let bytes = n * 7919 % 6000;
            let (slab, start) = places.take(bytes);
            assert!(start % ALIGNED == 0 && start + bytes <= places.slabs[slab].bytes);
            assert!(taken.iter().all(|(other, from, to)| *other != slab || start >= *to || start + bytes <= *from));
            taken.push((slab, start, start + bytes));
        }
    }

    /// In bf16; each tensor pinned alone would take 1.5 times its bytes.
    #[test]
    fn the_layers_of_a_14b_model_leave_little_of_their_slabs_empty() {
        let (square, feed) = (5120 * 5120 * 2, 5120 * 13824 * 2);
        let layer = [[square; 8].as_slice(), &[feed; 2], &[6 * 5120 * 4; 1], &[5120 * 4; 14]].concat();
        let mut places = Places::of(LARGE);
        for bytes in layer.repeat(40) {
            places.take(bytes);
        }
        let tensors = layer.iter().sum::<u64>() * 40;
        let slabs: u64 = places.slabs.iter().map(|slab| slab.bytes).sum();
        assert!(slabs * 100 < tensors * 109, "{slabs} for {tensors}");
        let alone = layer.iter().map(|bytes| bytes.next_power_of_two()).sum::<u64>() * 40;
        assert!(alone * 10 > tensors * 15, "{alone} for {tensors}");
    }
}
