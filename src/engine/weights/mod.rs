//! Weights as tensors: a checkpoint seen through a name prefix, on a device and in a kind.

pub(crate) mod codes;
pub(crate) mod patches;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fmt::{self, Display},
    ops::Div,
    path::PathBuf,
    rc::Rc,
};

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::weights::{self, Checkpoint, CheckpointError, Dtype, Entry};

use self::{
    codes::Packed,
    patches::{Addition, Patches, Strengths},
};
use super::torch::shim;

#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("tensor `{name}` is missing from {}", weights::name(file))]
    Missing { name: String, file: PathBuf },
    #[error("tensor `{name}` in {} has shape {found:?}, expected {expected:?}", weights::name(file))]
    Shape { name: String, file: PathBuf, expected: Vec<i64>, found: Vec<i64> },
    #[error("tensor `{name}` in {} has dtype {dtype}, which wanctl cannot load", weights::name(file))]
    Dtype { name: String, file: PathBuf, dtype: Dtype },
    #[error("tensor `{name}` in {} has {rows} rows, and row {row} was asked for", weights::name(file))]
    Row { name: String, file: PathBuf, rows: i64, row: i64 },
    #[error("tensor `{name}` in {} has numbers that are infinite or none at all as {kind:?}", weights::name(file))]
    NotFinite { name: String, file: PathBuf, kind: Kind },
}

/// What is converted at once: little beside a model, and much beside the cost of a call.
const PIECE: usize = 16 << 20;

/// A place inside a checkpoint. `&weights / "blocks" / 0` steps into a prefix; [`Weights::get`] takes a tensor.
///
/// Tensors arrive on `device` as `kind`, so a model never casts or moves its own weights. Memory holds at most one
/// tensor as its file has it beside those that were taken.
#[derive(Clone)]
pub struct Weights {
    checkpoint: Rc<Checkpoint>,
    taken: Rc<RefCell<BTreeSet<String>>>,
    prefix: String,
    device: Device,
    kind: Kind,
    packed: Option<Packed>,
    patches: Rc<Patches>,
}

impl Weights {
    pub(crate) fn of(checkpoint: Rc<Checkpoint>, device: Device, kind: Kind) -> Self {
        let (prefix, packed) = (String::new(), None);
        Self { checkpoint, taken: Rc::default(), prefix, device, kind, packed, patches: Rc::default() }
    }

    /// The same, with what LoRAs add.
    pub(crate) fn patched(self, patches: Rc<Patches>) -> Self {
        Self { patches, ..self }
    }

    /// The same place, with the weights of products kept in 8 bits.
    pub(crate) fn packed(&self, packed: Option<Packed>) -> Self {
        Self { packed, ..self.clone() }
    }

    pub(crate) fn how_packed(&self) -> Option<Packed> {
        self.packed
    }

    /// Of a checkpoint inside the program; messages call it `file`.
    pub fn embedded(file: &str, bytes: &'static [u8], device: Device, kind: Kind) -> Result<Self, WeightsError> {
        Ok(Self::of(Rc::new(Checkpoint::embedded(file, bytes)?), device, kind))
    }

    /// The same place, with tensors read as `kind`, all of them.
    pub(crate) fn in_kind(&self, kind: Kind) -> Self {
        Self { kind, packed: None, ..self.clone() }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn device(&self) -> Device {
        self.device
    }

    #[cfg(test)]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.checkpoint.entry(&self.full(name)).is_some()
    }

    #[cfg(test)]
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<i64>> {
        self.checkpoint.entry(&self.full(name)).map(|entry| sides(&entry))
    }

    /// What messages call the checkpoint.
    pub(crate) fn file(&self) -> String {
        weights::name(self.checkpoint.path())
    }

    /// With what LoRAs of one strength add to it.
    pub fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, WeightsError> {
        let name = self.full(name);
        let (entry, kind_there) = self.find(&name, shape)?;
        let additions = self.patches.merged(&name)?;
        self.checkpoint.expect(&name);
        let tensor = self.load(&entry, shape, kind_there, &additions);
        self.checkpoint.forget(&name);
        self.taken(name, &entry, tensor)
    }

    /// What LoRAs add beside a product with this weight or bias, each with the place of its strength: those whose strength
    /// changes, or all of them.
    pub(crate) fn beside(&self, name: &str, all: bool) -> Result<Vec<(usize, Addition)>, WeightsError> {
        self.patches.beside(&self.full(name), all)
    }

    pub(crate) fn strengths(&self) -> Rc<Strengths> {
        self.patches.strengths()
    }

    /// Some rows of a table of this shape, [ids.len(), shape[1]]; nothing else of it is read.
    pub(crate) fn rows(&self, name: &str, ids: &[i64], shape: [i64; 2]) -> Result<Tensor, WeightsError> {
        let name = self.full(name);
        let (entry, kind_there) = self.find(&name, &shape)?;
        let row_bytes = entry.bytes.len() / entry.shape[0].max(1);
        let (mut bytes, mut scales) = (Vec::with_capacity(ids.len() * row_bytes), vec![]);
        for &row in ids {
            let Some(index) = usize::try_from(row).ok().filter(|index| *index < entry.shape[0]) else {
                let (name, file) = (entry.stored.to_owned(), entry.file.to_owned());
                return Err(WeightsError::Row { name, file, rows: shape[0], row });
            };
            bytes.extend_from_slice(&entry.bytes[index * row_bytes..][..row_bytes]);
            scales.extend(entry.scale.map(|scale| scale.get(index).or(scale.first()).copied().unwrap_or(1.0)));
        }
        let scales = entry.scale.map(|_| &scales[..]);
        let tensor = self.piece(&bytes, &[ids.len() as i64, shape[1]], kind_there, scales);
        self.checkpoint.forget(&name);
        self.taken(name, &entry, tensor)
    }

    /// A tensor of the file, found to have this shape.
    fn find(&self, name: &str, shape: &[i64]) -> Result<(Entry<'_>, Kind), WeightsError> {
        let Some(entry) = self.checkpoint.entry(name) else {
            return Err(WeightsError::Missing { name: name.to_owned(), file: self.checkpoint.path().to_owned() });
        };
        let (stored, file) = (|| entry.stored.to_owned(), || entry.file.to_owned());
        let found = sides(&entry);
        if found != shape {
            return Err(WeightsError::Shape { name: stored(), file: file(), expected: shape.into(), found });
        }
        let kind = match entry.dtype {
            Dtype::F64 => Kind::Double,
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::Bf16 => Kind::BFloat16,
            Dtype::F8E4m3 => Kind::Float8e4m3fn,
            Dtype::F8E5m2 => Kind::Float8e5m2,
            dtype => return Err(WeightsError::Dtype { name: stored(), file: file(), dtype }),
        };
        Ok((entry, kind))
    }

    /// Notes that a tensor was read, if its numbers are numbers.
    fn taken(&self, name: String, entry: &Entry<'_>, tensor: Tensor) -> Result<Tensor, WeightsError> {
        // A sum is finite where all its parts are, unless it is too large itself: then each is looked at.
        let sum = tensor.sum(self.kind).double_value(&[]);
        if !sum.is_finite() && tensor.isfinite().all().int64_value(&[]) == 0 {
            return Err(self.not_finite(entry));
        }
        self.taken.borrow_mut().insert(name);
        Ok(tensor)
    }

    fn not_finite(&self, entry: &Entry<'_>) -> WeightsError {
        let (name, file) = (entry.stored.to_owned(), entry.file.to_owned());
        WeightsError::NotFinite { name, file, kind: self.kind }
    }

    /// What is added is added in f32, and rounded once with the rest.
    fn load(&self, entry: &Entry<'_>, shape: &[i64], kind_there: Kind, additions: &[Addition]) -> Tensor {
        if (kind_there, self.device, entry.scale, additions.len()) == (self.kind, Device::Cpu, None, 0) {
            return Tensor::from_data_size(entry.bytes, shape, kind_there);
        }
        let read = |part: (usize, usize)| match additions {
            [] => self.rows_of(entry, shape, kind_there, part),
            _ => {
                let rows = self.in_kind(Kind::Float).rows_of(entry, shape, kind_there, part);
                additions.iter().for_each(|addition| addition.add_to(&rows, part.0 as i64));
                rows.to_kind(self.kind)
            }
        };
        let mut parts = pieces(entry).peekable();
        if kind_there != self.kind || !additions.is_empty() {
            empty_cache(self.device);
        }
        let whole = Tensor::empty(shape, (self.kind, self.device));
        while let Some((first, count)) = parts.next() {
            let piece = read((first, count));
            if first == 0 && parts.peek().is_none() {
                return piece;
            }
            whole.narrow(0, first as i64, count as i64).copy_(&piece);
        }
        whole
    }

    /// Some rows of a tensor, from `first` on.
    fn rows_of(&self, entry: &Entry<'_>, shape: &[i64], kind_there: Kind, (first, count): (usize, usize)) -> Tensor {
        let rows = row_count(entry);
        let row_bytes = entry.bytes.len() / rows;
        let bytes = &entry.bytes[first * row_bytes..][..count * row_bytes];
        let scale = entry.scale.map(|scale| if scale.len() == rows { &scale[first..][..count] } else { scale });
        // A tensor without sides is one row.
        let shape = match shape {
            [] => vec![],
            [_, rest @ ..] => [&[count as i64], rest].concat(),
        };
        self.piece(bytes, &shape, kind_there, scale)
    }

    fn piece(&self, bytes: &[u8], shape: &[i64], kind_there: Kind, scale: Option<&[f32]>) -> Tensor {
        let there = Tensor::from_data_size(bytes, shape, kind_there);
        if let Some(scale) = scale {
            let mut across = vec![1; shape.len()];
            if scale.len() > 1 {
                across[0] = scale.len() as i64;
            }
            let scale = Tensor::from_slice(scale).view(&across[..]).to_device(self.device);
            return (there.to_device(self.device).to_kind(Kind::Float) * scale).to_kind(self.kind);
        }
        // The way to a device is the slowest: what crosses it is the smaller of the two.
        if kind_there.elt_size_in_bytes() > self.kind.elt_size_in_bytes() {
            there.to_kind(self.kind).to_device(self.device)
        } else {
            there.to_device(self.device).to_kind(self.kind)
        }
    }

    /// What the file calls the tensors under this prefix that no `get` has asked for.
    pub fn left_over(&self) -> Vec<String> {
        let taken = self.taken.borrow();
        let names = self.checkpoint.names();
        names
            .filter(|name| name.starts_with(&self.prefix) && !taken.contains(*name))
            .filter_map(|name| self.checkpoint.entry(name))
            .map(|entry| entry.stored.to_owned())
            .collect()
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// A tensor that stays is not to lie in a block that conversions of another size left: the rest of it would be lost.
fn empty_cache(device: Device) {
    shim::empty_cache(device).unwrap_or_else(|error| panic!("{error}"));
}

fn row_count(entry: &Entry<'_>) -> usize {
    entry.shape.first().copied().unwrap_or(1).max(1)
}

/// First row and number of rows of what is converted at once.
fn pieces(entry: &Entry<'_>) -> impl Iterator<Item = (usize, usize)> + use<> {
    let rows = row_count(entry);
    let at_once = (PIECE / (entry.bytes.len() / rows).max(1)).clamp(1, rows);
    (0..rows).step_by(at_once).map(move |first| (first, at_once.min(rows - first)))
}

fn sides(entry: &Entry<'_>) -> Vec<i64> {
    entry.shape.iter().map(|&side| side as i64).collect()
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({:?}: {}*)", self.checkpoint, self.prefix)
    }
}

impl<S: Display> Div<S> for &Weights {
    type Output = Weights;

    fn div(self, part: S) -> Weights {
        Weights { prefix: format!("{}{part}.", self.prefix), ..self.clone() }
    }
}

impl<S: Display> Div<S> for Weights {
    type Output = Weights;

    fn div(self, part: S) -> Weights {
        &self / part
    }
}
