//! The C library's heap while a Wan model works.

/// Blocks of this many bytes and more come from the system, and go back to it as soon as they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED: i32 = 4 << 20;
/// The most that glibc itself raises the limit to, and twice that for the free end of the heap that it keeps (mallopt(3)).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OTHERWISE: (i32, i32) = (32 << 20, 64 << 20);

/// While one lives, only small blocks lie in the heap.
///
/// glibc raises its limit to the size of what was freed before, 32 MiB at most. Pieces of weights that are converted and
/// products of a layer are about as large, so they would lie in the heap, where tensors that stay lie between them and keep
/// their memory: 1.5 GB beside the 8.7 GB of VACE-1.3B in f32. Memory that comes from the system costs a page fault for
/// every 4 KiB, little beside the products of these models.
#[derive(Debug)]
pub(crate) struct SmallHeap(());

impl SmallHeap {
    pub(crate) fn new() -> Self {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: sets a number of the allocator's own.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
        }
        Self(())
    }
}

impl Drop for SmallHeap {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: as above.
        unsafe {
            let (map, trim) = OTHERWISE;
            libc::mallopt(libc::M_MMAP_THRESHOLD, map);
            libc::mallopt(libc::M_TRIM_THRESHOLD, trim);
        }
    }
}
