//! Weights as tensors: a checkpoint seen through a name prefix, on a device and in a kind.

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
use wanctl::pipeline::checkpoint::{self, Checkpoint, CheckpointError, Dtype, Entry};

use self::patches::{Addition, Patches, Strengths};

#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("tensor `{name}` is missing from {}", checkpoint::name(file))]
    Missing { name: String, file: PathBuf },
    #[error("tensor `{name}` in {} has shape {found:?}, expected {expected:?}", checkpoint::name(file))]
    Shape { name: String, file: PathBuf, expected: Vec<i64>, found: Vec<i64> },
    #[error("tensor `{name}` in {} has dtype {dtype}, which wanctl cannot load", checkpoint::name(file))]
    Dtype { name: String, file: PathBuf, dtype: Dtype },
    #[error("tensor `{name}` in {} has {rows} rows, and row {row} was asked for", checkpoint::name(file))]
    Row { name: String, file: PathBuf, rows: i64, row: i64 },
    #[error("tensor `{name}` in {} has numbers that are infinite or none at all as {kind:?}", checkpoint::name(file))]
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

/// How a product is computed whose weight is kept in 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packed {
    /// In the kind of what it is multiplied with.
    Widened,
    /// In 8 bits, as GPUs from compute capability 8.9 on can.
    Narrow,
}

/// A matrix in 8 bits: what its codes are to be multiplied by is [1] or [rows], in f32.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) codes: Tensor,
    pub(crate) scale: Tensor,
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
        checkpoint::name(self.checkpoint.path())
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

    /// A matrix in 8 bits: as the file has it, or with a scale for each row that is found here. LoRAs add nothing to it.
    pub(crate) fn codes(&self, name: &str, shape: [i64; 2]) -> Result<Codes, WeightsError> {
        let name = self.full(name);
        let (entry, kind_there) = self.find(&name, &shape)?;
        self.checkpoint.expect(&name);
        let codes = match entry.dtype.is_f8() {
            true => {
                let codes = Tensor::from_data_size(entry.bytes, &shape, kind_there).to_device(self.device);
                let scale = Tensor::from_slice(entry.scale.unwrap_or(&[1.0])).to_device(self.device);
                Codes { codes, scale }
            }
            false => self.pack(&entry, shape, kind_there),
        };
        self.checkpoint.forget(&name);
        // Packed here, a number that is none is in its row's scale as well.
        let finite = |tensor: &Tensor| tensor.isfinite().all().int64_value(&[]) != 0;
        let all_finite = |codes: &Tensor| {
            let mut rows = pieces(&entry).map(|(first, count)| codes.narrow(0, first as i64, count as i64));
            rows.all(|rows| finite(&rows.to_kind(Kind::BFloat16)))
        };
        if !finite(&codes.scale) || entry.dtype.is_f8() && !all_finite(&codes.codes) {
            return Err(self.not_finite(&entry));
        }
        self.taken.borrow_mut().insert(name);
        Ok(codes)
    }

    fn pack(&self, entry: &Entry<'_>, shape: [i64; 2], kind_there: Kind) -> Codes {
        let codes = Tensor::empty(shape, (Kind::Float8e4m3fn, self.device));
        let scale = Tensor::empty([shape[0]], (Kind::Float, self.device));
        for (first, count) in pieces(entry) {
            let rows = self.in_kind(Kind::Float).rows_of(entry, &shape, kind_there, (first, count));
            let (packed, own) = pack(&rows);
            codes.narrow(0, first as i64, count as i64).copy_(&packed);
            scale.narrow(0, first as i64, count as i64).copy_(&own.squeeze_dim(1));
        }
        Codes { codes, scale }
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

fn row_count(entry: &Entry<'_>) -> usize {
    entry.shape.first().copied().unwrap_or(1).max(1)
}

/// First row and number of rows of what is converted at once.
fn pieces(entry: &Entry<'_>) -> impl Iterator<Item = (usize, usize)> + use<> {
    let rows = row_count(entry);
    let at_once = (PIECE / (entry.bytes.len() / rows).max(1)).clamp(1, rows);
    (0..rows).step_by(at_once).map(move |first| (first, at_once.min(rows - first)))
}

/// f32 [n, m] to codes, and what each row of them is to be multiplied by, [n, 1]: the largest becomes the largest.
pub(crate) fn pack(rows: &Tensor) -> (Tensor, Tensor) {
    /// Of e4m3fn.
    const LARGEST: f64 = 448.0;
    let most = rows.abs().amax([1], true);
    let scale = (most / LARGEST).clamp_min(f64::from(f32::MIN_POSITIVE));
    ((rows / &scale).to_kind(Kind::Float8e4m3fn), scale)
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
