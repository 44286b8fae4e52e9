//! The C library's heap while weights are loaded.

/// Where a block is larger than this many bytes, it is given back to the system as soon as it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const WHILE_LOADING: i32 = 4 << 20;
/// The most that glibc itself raises the limit to, and twice that for the end of the heap that it keeps (mallopt(3)).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ELSE: (i32, i32) = (32 << 20, 64 << 20);

/// While one lives, memory of freed pieces of weights goes back to the system.
///
/// glibc raises its limit to the size of what was freed before, 32 MiB at most. Pieces that are converted are as large, so
/// they would come from the heap, where tensors that stay lie above them and keep their memory: 1.5 GB beside the 8.7 GB of
/// VACE-1.3B in f32. Outside of loading the limit stays high, since memory that comes from the system costs a page fault
/// for every 4 KiB.
#[derive(Debug)]
pub(crate) struct LoadingHeap(());

impl LoadingHeap {
    pub(crate) fn new() -> Self {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: sets a number of the allocator's own.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, WHILE_LOADING);
        }
        Self(())
    }
}

impl Drop for LoadingHeap {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: as above.
        unsafe {
            let (map, trim) = ELSE;
            libc::mallopt(libc::M_MMAP_THRESHOLD, map);
            libc::mallopt(libc::M_TRIM_THRESHOLD, trim);
        }
    }
}
