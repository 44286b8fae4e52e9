//! The layers of a network: all on the device, or each brought there when its turn comes.

use std::{cell::RefCell, fmt, ops::Deref};

use tch::{Device, Tensor};

use super::slabs::Slabs;
use crate::engine::{
    layers::ToDevice,
    torch::{TorchError, shim::Side},
    weights::WeightsError,
};

/// Where layers are while others work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffloadMode {
    /// On the device.
    All,
    /// In the host's memory, as the device wants them: the next one is on its way while one works.
    Host,
    /// In their file: memory holds one, and every pass over the network reads all of them again.
    One,
}

pub(super) enum Blocks<T> {
    Here(Vec<T>),
    Host(Host<T>),
    Away { count: usize, load: Box<dyn Fn(usize) -> Result<T, WeightsError>> },
}

/// Layers in the host's memory, and the one that was brought to the device ahead of its turn.
pub(super) struct Host<T> {
    blocks: Vec<T>,
    device: Device,
    side: Side,
    next: RefCell<Option<(usize, T)>>,
}

impl<T: ToDevice> Blocks<T> {
    /// `load` gives one of `count` on `device`; each is loaded once here, so that what is wrong with one is said before any
    /// work.
    pub(super) fn load(
        keep: OffloadMode,
        device: Device,
        count: usize,
        load: impl Fn(usize) -> Result<T, WeightsError> + 'static,
    ) -> Result<Self, WeightsError> {
        match keep {
            OffloadMode::All => Ok(Self::Here((0..count).map(load).collect::<Result<_, _>>()?)),
            OffloadMode::Host => {
                let slabs = RefCell::new(Slabs::of(device));
                let to_host = |tensor: &Tensor| done(slabs.borrow_mut().put(tensor));
                let blocks = (0..count).map(|index| Ok(load(index)?.moved(&to_host)));
                let blocks = blocks.collect::<Result<_, WeightsError>>()?;
                let side = done(Side::of(device));
                Ok(Self::Host(Host { blocks, device, side, next: RefCell::default() }))
            }
            OffloadMode::One => {
                (0..count).try_for_each(|index| load(index).map(drop))?;
                Ok(Self::Away { count, load: Box::new(load) })
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Here(blocks) => blocks.len(),
            Self::Host(Host { blocks, .. }) => blocks.len(),
            Self::Away { count, .. } => *count,
        }
    }

    /// For its turn; whoever has it drops it before the next one is asked for.
    pub(super) fn get(&self, index: usize) -> Held<'_, T> {
        match self {
            Self::Here(blocks) => Held::Here(&blocks[index]),
            Self::Host(host) => Held::Brought(host.get(index)),
            Self::Away { load, .. } => Held::Brought(load(index).expect("it was loaded once, and files do not change")),
        }
    }
}

impl<T: ToDevice> Host<T> {
    fn get(&self, index: usize) -> T {
        let ready = self.next.take().filter(|(brought, _)| *brought == index);
        let block = ready.map_or_else(|| self.bring(index), |(_, block)| block);
        done(self.side.join());
        // After the last one comes the first of the next pass.
        let next = (index + 1) % self.blocks.len();
        self.next.replace(Some((next, self.bring(next))));
        block
    }

    fn bring(&self, index: usize) -> T {
        let to_device = |tensor: &Tensor| tensor.to_device_(self.device, tensor.kind(), true, false);
        done(self.side.beside(|| self.blocks[index].moved(&to_device)))
    }
}

/// Of libtorch's own calls, which `torch::stage` catches as it catches those of tch.
fn done<T>(outcome: Result<T, TorchError>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

impl<T> fmt::Debug for Blocks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(blocks) => write!(f, "{} blocks here", blocks.len()),
            Self::Host(host) => write!(f, "{} blocks on the host", host.blocks.len()),
            Self::Away { count, .. } => write!(f, "{count} blocks away"),
        }
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
