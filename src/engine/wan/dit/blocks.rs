//! The layers of a network, all on the device, or each brought there when its turn comes.

use std::{fmt, ops::Deref};

use crate::engine::weights::WeightsError;

/// Where layers are while others work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// On the device.
    All,
    /// In their file: memory holds one, and every pass over the network reads all of them again.
    One,
}

pub(super) enum Blocks<T> {
    Here(Vec<T>),
    Away { count: usize, load: Box<dyn Fn(usize) -> Result<T, WeightsError>> },
}

impl<T> Blocks<T> {
    /// `load` gives one of `count`; each is loaded once here, so that what is wrong with one is said before any work.
    pub(super) fn load(
        keep: Keep,
        count: usize,
        load: impl Fn(usize) -> Result<T, WeightsError> + 'static,
    ) -> Result<Self, WeightsError> {
        match keep {
            Keep::All => Ok(Self::Here((0..count).map(load).collect::<Result<_, _>>()?)),
            Keep::One => {
                (0..count).try_for_each(|index| load(index).map(drop))?;
                Ok(Self::Away { count, load: Box::new(load) })
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Here(blocks) => blocks.len(),
            Self::Away { count, .. } => *count,
        }
    }

    pub(super) fn get(&self, index: usize) -> Held<'_, T> {
        match self {
            Self::Here(blocks) => Held::Here(&blocks[index]),
            Self::Away { load, .. } => Held::Brought(load(index).expect("it was loaded once, and files do not change")),
        }
    }
}

impl<T> fmt::Debug for Blocks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if matches!(self, Self::Here(_)) { "here" } else { "away" };
        write!(f, "{} blocks {place}", self.len())
    }
}

/// A layer while it works.
pub(super) enum Held<'a, T> {
    Here(&'a T),
    Brought(T),
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Here(block) => block,
            Self::Brought(block) => block,
        }
    }
}
