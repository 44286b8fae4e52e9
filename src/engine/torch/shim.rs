//! What libtorch offers in C++ and tch does not bind, by way of `shim.cpp`: TF32, which attention, a second stream,
//! pinned memory, and what the allocator counts. Without a CUDA device there is none of it, and nothing is asked.
#![allow(unsafe_code, reason = "functions of shim.cpp are called")]

use std::{
    ffi::{CStr, c_char, c_void},
    fmt,
};

use tch::{Device, Tensor};

use super::TorchError;

#[link(name = "wanctl_shim", kind = "static")]
unsafe extern "C" {
    fn wanctl_allow_tf32(allow: bool) -> *const c_char;
    fn wanctl_attention_order(order: *const i64, count: usize) -> *const c_char;
    fn wanctl_free(device: i32, bytes: *mut i64) -> *const c_char;
    fn wanctl_pinned(bytes: i64, tensor: *mut *mut c_void) -> *const c_char;
    fn wanctl_peak(device: i32, bytes: *mut i64) -> *const c_char;
    fn wanctl_empty_cache() -> *const c_char;
    fn wanctl_reset_peak(device: i32) -> *const c_char;
    fn wanctl_side_new(device: i32, side: *mut *mut c_void) -> *const c_char;
    fn wanctl_side_free(side: *mut c_void);
    fn wanctl_side_begin(side: *mut c_void) -> *const c_char;
    fn wanctl_side_end(side: *mut c_void) -> *const c_char;
    fn wanctl_side_join(side: *mut c_void) -> *const c_char;
}

/// What a function of the shim said.
fn said(stage: &'static str, words: *const c_char) -> Result<(), TorchError> {
    if words.is_null() {
        return Ok(());
    }
    // SAFETY: the shim's words end with a zero and stay until this thread's next call.
    let message = unsafe { CStr::from_ptr(words) }.to_string_lossy();
    let message = message.lines().next().unwrap_or_default().to_owned();
    Err(TorchError::Failed { stage, message })
}

fn index(device: Device) -> Option<i32> {
    match device {
        Device::Cuda(index) => Some(index as i32),
        _ => None,
    }
}

/// Whether a GPU's convolutions in f32 keep all their bits; unasked they round what goes in to 10 of them (TF32).
pub(crate) fn exact_convolutions(exact: bool) -> Result<(), TorchError> {
    // SAFETY: sets a flag of libtorch's own.
    said("setting TF32", unsafe { wanctl_allow_tf32(!exact) })
}

/// A kernel that computes attention, by its number in at::SDPBackend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum Attention {
    Plain = 0,
    Flash = 1,
    Efficient = 2,
    CuDnn = 3,
}

impl Attention {
    const ALL: [Self; 4] = [Self::Flash, Self::CuDnn, Self::Efficient, Self::Plain];

    /// By the word that `WANCTL_ATTENTION` has, for measurements.
    pub(crate) fn of(word: &str) -> Option<Self> {
        let words = ["flash", "cudnn", "efficient", "plain"];
        words.iter().position(|known| *known == word).map(|at| Self::ALL[at])
    }

    /// This first, where it can do the work; then the others.
    pub(crate) fn first(self) -> Result<(), TorchError> {
        let others = Self::ALL.into_iter().filter(|other| *other != self);
        let order: Vec<i64> = std::iter::once(self).chain(others).map(|kernel| kernel as i64).collect();
        // SAFETY: the pointer is to so many numbers, and they are copied.
        said("choosing the attention", unsafe { wanctl_attention_order(order.as_ptr(), order.len()) })
    }
}

/// The bytes of a GPU that nobody has, neither another program nor a tensor of this one; none for a device that does not
/// say.
pub(crate) fn free(device: Device) -> Result<Option<u64>, TorchError> {
    let Some(device) = index(device) else { return Ok(None) };
    let mut bytes = 0;
    // SAFETY: the number is written to, if anything is.
    said("asking for free memory", unsafe { wanctl_free(device, &mut bytes) })?;
    Ok(Some(bytes.unsigned_abs()))
}

/// Bytes of the host's memory that a GPU fetches without the processor's help. libtorch takes the next power of two of them.
pub(crate) fn pinned(bytes: i64) -> Result<Tensor, TorchError> {
    let mut tensor = std::ptr::null_mut();
    // SAFETY: `tensor` is written to where there is no error, with a tensor that is freed by its new owner, as tch frees
    // those that its own functions return.
    unsafe {
        said("pinning memory", wanctl_pinned(bytes, &mut tensor))?;
        Ok(Tensor::from_ptr(tensor.cast()))
    }
}

/// The most bytes that were taken from a GPU at once, for tensors and for those to come; none for a device that does not
/// count.
pub(crate) fn peak(device: Device) -> Result<Option<u64>, TorchError> {
    let Some(device) = index(device) else { return Ok(None) };
    let mut bytes = 0;
    // SAFETY: the number is written to, if anything is.
    said("asking for the peak of memory", unsafe { wanctl_peak(device, &mut bytes) })?;
    Ok(Some(bytes.unsigned_abs()))
}

/// Gives the memory that no tensor holds back to the GPU. What is kept for later is then free for other sizes, and what is
/// allocated next does not split it.
pub(crate) fn empty_cache(device: Device) -> Result<(), TorchError> {
    // SAFETY: takes nothing.
    index(device).map_or(Ok(()), |_| said("emptying the memory cache", unsafe { wanctl_empty_cache() }))
}

/// Empties the cache, and counts the [`peak`] from here on.
pub(crate) fn reset_peak(device: Device) -> Result<(), TorchError> {
    empty_cache(device)?;
    // SAFETY: takes a number.
    index(device).map_or(Ok(()), |device| said("resetting the memory counters", unsafe { wanctl_reset_peak(device) }))
}

/// A stream of a GPU on which data come while the other one computes. On the CPU there is one stream, and all is in order.
pub(crate) struct Side(Option<*mut c_void>);

impl Side {
    pub(crate) fn of(device: Device) -> Result<Self, TorchError> {
        let Some(device) = index(device) else { return Ok(Self(None)) };
        let mut side = std::ptr::null_mut();
        // SAFETY: `side` is written to where there is no error.
        said("making a stream", unsafe { wanctl_side_new(device, &mut side) })?;
        Ok(Self(Some(side)))
    }

    /// What `work` tells the device is done beside what follows, and after all that went before.
    ///
    /// Memory that such work takes is given out again to such work alone: whoever drops what it made does so before the
    /// next call, which waits for all that used it.
    pub(crate) fn beside<T>(&self, work: impl FnOnce() -> T) -> Result<T, TorchError> {
        let Self(Some(side)) = *self else { return Ok(work()) };
        /// Also where `work` panics, as tch does.
        struct Ends(*mut c_void);
        impl Ends {
            fn end(self) -> Result<(), TorchError> {
                let side = self.0;
                std::mem::forget(self);
                // SAFETY: the stream lives as long as its owner.
                said("leaving a stream", unsafe { wanctl_side_end(side) })
            }
        }
        impl Drop for Ends {
            fn drop(&mut self) {
                // SAFETY: as above; there is an error on its way already.
                let _ = unsafe { wanctl_side_end(self.0) };
            }
        }
        // SAFETY: the stream lives as long as its owner.
        said("entering a stream", unsafe { wanctl_side_begin(side) })?;
        let ends = Ends(side);
        let made = work();
        ends.end()?;
        Ok(made)
    }

    /// What follows uses what came beside.
    pub(crate) fn join(&self) -> Result<(), TorchError> {
        // SAFETY: the stream lives as long as its owner.
        self.0.map_or(Ok(()), |side| said("waiting for a stream", unsafe { wanctl_side_join(side) }))
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Self(Some(side)) = *self {
            // SAFETY: made by wanctl_side_new, and freed here alone.
            unsafe { wanctl_side_free(side) }
        }
    }
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Side" } else { "Side(none)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_can_be_set_where_there_is_no_gpu() {
        exact_convolutions(true).unwrap();
        exact_convolutions(false).unwrap();
        for word in ["flash", "cudnn", "efficient", "plain"] {
            Attention::of(word).unwrap().first().unwrap();
        }
        assert_eq!(Attention::of("sage"), None);
        Attention::Flash.first().unwrap();
    }

    #[test]
    fn the_cpu_counts_nothing_and_does_all_in_order() {
        assert_eq!(peak(Device::Cpu).unwrap(), None);
        assert_eq!(free(Device::Cpu).unwrap(), None);
        reset_peak(Device::Cpu).unwrap();
        let side = Side::of(Device::Cpu).unwrap();
        assert_eq!(side.beside(|| 7).unwrap(), 7);
        side.join().unwrap();
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_and_no_crash() {
        if tch::Cuda::is_available() {
            return;
        }
        for error in [
            peak(Device::Cuda(0)).map(drop).unwrap_err(),
            free(Device::Cuda(0)).map(drop).unwrap_err(),
            pinned(1).map(drop).unwrap_err(),
            reset_peak(Device::Cuda(0)).unwrap_err(),
            Side::of(Device::Cuda(0)).map(drop).unwrap_err(),
        ] {
            assert!(!error.to_string().is_empty());
        }
    }
}
