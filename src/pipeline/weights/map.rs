//! Files seen as bytes in memory, which the system reads in when they are looked at.
#![allow(unsafe_code, reason = "a file in memory can be changed by another program; here is why that is borne")]

use std::{fs::File, io, ops::Deref, ops::Range, path::Path};

use memmap2::{Advice, Mmap, UncheckedAdvice};

pub(super) enum Bytes {
    Map(Mmap),
    Static(&'static [u8]),
}

impl Bytes {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the map is read-only. A program that writes into the file meanwhile changes numbers that are
        // only ever read as plain bytes, and one that cuts it short ends us with SIGBUS, as every other reader of
        // maps. Weights of 30 GB leave no choice.
        unsafe { Mmap::map(&file) }.map(Self::Map)
    }

    /// Asks for a range before it is read, so that the disk is read in one go.
    pub(super) fn expect(&self, range: &Range<usize>) {
        if let Self::Map(map) = self {
            // Only a hint: without it everything is read all the same.
            let _ = map.advise_range(Advice::WillNeed, range.start, range.len());
        }
    }

    /// Gives the memory of a range back; it is read from the file again if it is looked at again.
    pub(super) fn forget(&self, range: &Range<usize>) {
        if let Self::Map(map) = self {
            // SAFETY: a read-only map of a file loses nothing: the same bytes come back from the file.
            let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Map(map) => map,
            Self::Static(bytes) => bytes,
        }
    }
}
