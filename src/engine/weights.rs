//! Weights as tensors: a checkpoint seen through a name prefix, on a device and in a kind.

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
}

impl Weights {
    pub(crate) fn of(checkpoint: Rc<Checkpoint>, device: Device, kind: Kind) -> Self {
        Self { checkpoint, taken: Rc::default(), prefix: String::new(), device, kind }
    }

    /// Of a checkpoint inside the program; messages call it `file`.
    pub fn embedded(file: &str, bytes: &'static [u8], device: Device, kind: Kind) -> Result<Self, WeightsError> {
        Ok(Self::of(Rc::new(Checkpoint::embedded(file, bytes)?), device, kind))
    }

    /// The same place, with tensors read as `kind`.
    pub(crate) fn in_kind(&self, kind: Kind) -> Self {
        Self { kind, ..self.clone() }
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

    pub fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, WeightsError> {
        let name = self.full(name);
        let (entry, kind_there) = self.find(&name, shape)?;
        self.checkpoint.expect(&name);
        let tensor = self.load(&entry, shape, kind_there);
        self.checkpoint.forget(&name);
        self.taken(name, &entry, tensor)
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
            let (name, file) = (entry.stored.to_owned(), entry.file.to_owned());
            return Err(WeightsError::NotFinite { name, file, kind: self.kind });
        }
        self.taken.borrow_mut().insert(name);
        Ok(tensor)
    }

    fn load(&self, entry: &Entry<'_>, shape: &[i64], kind_there: Kind) -> Tensor {
        if (kind_there, self.device, entry.scale) == (self.kind, Device::Cpu, None) {
            return Tensor::from_data_size(entry.bytes, shape, kind_there);
        }
        let rows = entry.shape.first().copied().unwrap_or(1).max(1);
        let row_bytes = entry.bytes.len() / rows;
        let at_once = (PIECE / row_bytes.max(1)).clamp(1, rows);
        if at_once == rows {
            return self.piece(entry.bytes, shape, kind_there, entry.scale);
        }
        let whole = Tensor::empty(shape, (self.kind, self.device));
        for first in (0..rows).step_by(at_once) {
            let count = at_once.min(rows - first);
            let bytes = &entry.bytes[first * row_bytes..][..count * row_bytes];
            let scale = entry.scale.map(|scale| if scale.len() == rows { &scale[first..][..count] } else { scale });
            let shape = [&[count as i64], &shape[1..]].concat();
            let piece = self.piece(bytes, &shape, kind_there, scale);
            whole.narrow(0, first as i64, count as i64).copy_(&piece);
        }
        whole
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

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype as Stored, TensorView};

    use super::*;

    fn floats(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// A file of these tensors, opened as wanctl opens what a user gives.
    fn opened(tensors: &[(&str, Stored, &[usize], Vec<u8>)], kind: Kind) -> (tempfile::TempDir, Weights) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        let checkpoint = Checkpoint::open(&[path]).unwrap();
        (folder, Weights::of(Rc::new(checkpoint), Device::Cpu, kind))
    }

    fn tiny() -> Weights {
        let data = floats(&[1.0, 2.0, 3.0, 4.0]);
        let view = TensorView::new(Stored::F32, vec![2, 2], &data).unwrap();
        let count = TensorView::new(Stored::I64, vec![1], &data[..8]).unwrap();
        let bytes = safetensors::serialize([("a.0.weight", view), ("count", count)], None).unwrap();
        Weights::embedded("tiny", bytes.leak(), Device::Cpu, Kind::Double).unwrap()
    }

    #[test]
    fn a_tensor_is_found_by_its_place_and_comes_in_the_kind_asked_for() {
        let weights = tiny();
        let tensor = (&weights / "a" / 0).get("weight", &[2, 2]).unwrap();
        assert_eq!(tensor.kind(), Kind::Double);
        assert_eq!(tensor.double_value(&[1, 0]), 3.0);
        assert_eq!(weights.in_kind(Kind::Half).get("a.0.weight", &[2, 2]).unwrap().kind(), Kind::Half);
        assert_eq!(weights.left_over(), ["count"]);
        assert_eq!((weights.has("count"), (&weights / "a").has("count")), (true, false));
        assert_eq!((&weights / "a" / 0).shape("weight"), Some(vec![2, 2]));
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_was_expected() {
        let weights = tiny();
        for (error, words) in [
            (weights.get("b", &[1]), "tensor `b` is missing from tiny"),
            ((&weights / "a").get("0.weight", &[4]), "tensor `a.0.weight` in tiny has shape [2, 2], expected [4]"),
            (weights.get("count", &[1]), "tensor `count` in tiny has dtype i64, which wanctl cannot load"),
        ] {
            assert_eq!(error.unwrap_err().to_string(), words);
        }
        let error = Weights::embedded("junk", b"junk", Device::Cpu, Kind::Float).unwrap_err();
        assert_eq!(error.to_string(), "junk is too short for a safetensors file: 4 bytes");
    }

    #[test]
    fn a_file_in_its_own_naming_is_asked_in_ours_and_named_in_its_own() {
        let name = "model.diffusion_model.blocks.0.self_attn.q.weight";
        let stranger = "model.diffusion_model.stranger";
        let data = floats(&[1.0, 2.0]);
        let tensors = [(name, Stored::F32, &[2, 1][..], data.clone()), (stranger, Stored::F32, &[2], data)];
        let (_folder, weights) = opened(&tensors, Kind::Float);
        let place = &weights / "blocks" / 0 / "attn1";
        let error = place.get("to_q.weight", &[1, 2]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("tensor `{name}` in ")), "{error}");
        assert!(error.ends_with("model.safetensors has shape [2, 1], expected [1, 2]"), "{error}");
        assert_eq!(place.get("to_q.weight", &[2, 1]).unwrap().size(), [2, 1]);
        assert_eq!(weights.left_over(), [stranger]);
    }

    #[test]
    fn numbers_that_are_none_are_an_error_that_names_tensor_and_file() {
        for (number, kind, good) in [
            (1.0, Kind::Float, true),
            (f32::NAN, Kind::Float, false),
            (f32::INFINITY, Kind::BFloat16, false),
            (1e30, Kind::Float, true),
            // Finite there, and beyond the largest f16.
            (1e30, Kind::Half, false),
        ] {
            let tensors = [("patch_embedding.bias", Stored::F32, &[3][..], floats(&[0.0, number, 0.0]))];
            let (_folder, weights) = opened(&tensors, kind);
            match weights.get("patch_embedding.bias", &[3]) {
                Ok(_) => assert!(good, "{number}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(!good && error.contains("`patch_embedding.bias`") && error.contains("model.safetensors"));
                }
            }
        }
        // A sum beyond the largest f16 of numbers that are not.
        let tensors = [("patch_embedding.bias", Stored::F32, &[2][..], floats(&[60000.0, 60000.0]))];
        assert!(opened(&tensors, Kind::Half).1.get("patch_embedding.bias", &[2]).is_ok());
    }

    /// The numbers of a format by its definition: sign, exponent, fraction.
    fn decoded(code: u8, exponent_bits: u32, fraction_bits: u32, bias: i32) -> f64 {
        let sign = if code & 0x80 == 0 { 1.0 } else { -1.0 };
        let exponent = i32::from((code >> fraction_bits) & ((1 << exponent_bits) - 1));
        let fraction = f64::from(code & ((1 << fraction_bits) - 1)) / f64::from(1 << fraction_bits);
        sign * match exponent {
            0 => fraction * 2_f64.powi(1 - bias),
            exponent => (1.0 + fraction) * 2_f64.powi(exponent - bias),
        }
    }

    #[test]
    fn every_code_of_both_8_bit_floats_is_read_by_the_formats_definition() {
        let all: Vec<u8> = (0..=255).collect();
        // e4m3fn has no infinity and one not-a-number; e5m2 ends as f16 does.
        let e4m3 = |code: u8| (code & 0x7f != 0x7f).then(|| decoded(code, 4, 3, 7));
        let e5m2 = |code: u8| (code & 0x7f < 0x7c).then(|| decoded(code, 5, 2, 15));
        let formats: [(_, &dyn Fn(u8) -> Option<f64>); 2] = [(Stored::F8_E4M3, &e4m3), (Stored::F8_E5M2, &e5m2)];
        for (dtype, value) in formats {
            let (codes, values): (Vec<u8>, Vec<f64>) =
                all.iter().filter_map(|&code| value(code).map(|value| (code, value))).unzip();
            let shape = [codes.len()];
            let (_folder, weights) = opened(&[("patch_embedding.bias", dtype, &shape, codes)], Kind::Float);
            let read = weights.get("patch_embedding.bias", &[values.len() as i64]).unwrap();
            let read: Vec<f64> = Vec::<f32>::try_from(read).unwrap().into_iter().map(f64::from).collect();
            assert_eq!(read, values);
            for code in all.iter().copied().filter(|&code| value(code).is_none()) {
                let (_folder, weights) = opened(&[("patch_embedding.bias", dtype, &[1], vec![code])], Kind::Float);
                weights.get("patch_embedding.bias", &[1]).unwrap_err();
            }
        }
    }

    #[test]
    fn the_three_ways_to_scale_8_bit_weights_give_the_same_numbers() {
        let one: Vec<u8> = vec![0x38; 6];
        let q = "blocks.0.self_attn.q";
        let tensor = |name: &str| format!("{q}.{name}");
        let [weight, old, new, quant, input] =
            ["weight", "scale_weight", "weight_scale", "comfy_quant", "input_scale"].map(tensor);
        let f8 = (weight.as_str(), Stored::F8_E4M3, &[3, 2][..], one);
        let format = br#"{"format": "float8_e4m3fn"}"#.to_vec();
        let length = [format.len()];
        let sentinel = ("scaled_fp8", Stored::F8_E4M3, &[0][..], vec![]);
        let (all, rows) = ([0.5; 6], [0.5, 0.5, 2.0, 2.0, 4.0, 4.0]);
        for (scales, expected) in [
            (vec![], [1.0; 6]),
            (vec![sentinel, (old.as_str(), Stored::F32, &[], floats(&[0.5]))], all),
            (
                vec![
                    (new.as_str(), Stored::F32, &[1], floats(&[0.5])),
                    (quant.as_str(), Stored::U8, &length, format),
                    (input.as_str(), Stored::F32, &[], floats(&[9.0])),
                ],
                all,
            ),
            (vec![(new.as_str(), Stored::F32, &[3, 1], floats(&[0.5, 2.0, 4.0]))], rows),
        ] {
            let tensors = [vec![f8.clone()], scales].concat();
            let (_folder, weights) = opened(&tensors, Kind::BFloat16);
            let read = weights.get("blocks.0.attn1.to_q.weight", &[3, 2]).unwrap().to_kind(Kind::Float).flatten(0, 1);
            assert_eq!(Vec::<f32>::try_from(read).unwrap(), expected);
            assert!(weights.left_over().is_empty(), "{:?}", weights.left_over());
        }
    }

    #[test]
    fn rows_of_a_table_come_in_the_order_asked_for_each_with_its_scale() {
        let numbers = floats(&[0.0, 1.0, 10.0, 11.0, 20.0, 21.0]);
        let scale = ("token_embedding.weight_scale", Stored::F32, &[3, 1][..], floats(&[1.0, 2.0, 3.0]));
        for (scales, expected) in [(vec![], [20.0, 21.0, 0.0, 1.0]), (vec![scale], [60.0, 63.0, 0.0, 1.0])] {
            let tensors =
                [vec![("token_embedding.weight", Stored::F32, &[3, 2][..], numbers.clone())], scales].concat();
            let (_folder, weights) = opened(&tensors, Kind::Float);
            let rows = weights.rows("shared.weight", &[2, 0], [3, 2]).unwrap();
            assert_eq!(rows.size(), [2, 2]);
            assert_eq!(Vec::<f32>::try_from(rows.flatten(0, 1)).unwrap(), expected);
            assert!(weights.left_over().is_empty());
            for row in [3, -1] {
                let error = weights.rows("shared.weight", &[row], [3, 2]).unwrap_err().to_string();
                assert!(error.ends_with(&format!("has 3 rows, and row {row} was asked for")), "{error}");
            }
        }
    }

    #[test]
    fn a_tensor_of_many_pieces_is_whole() {
        // Two and a half pieces of f8, with a scale for each row that tells the row.
        let (rows, columns) = (2560 * PIECE / (1024 << 10), 1024);
        let scales: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        let tensors = [
            ("shared.weight", Stored::F8_E5M2, &[rows, columns][..], vec![0x3c; rows * columns]),
            ("shared.weight_scale", Stored::F32, &[rows, 1], floats(&scales)),
        ];
        let (_folder, weights) = opened(&tensors, Kind::Float);
        let read = weights.get("shared.weight", &[rows as i64, columns as i64]).unwrap();
        assert_eq!(Vec::<f32>::try_from(read.select(1, 0)).unwrap(), scales);
        assert_eq!(Vec::<f32>::try_from(read.select(1, columns as i64 - 1)).unwrap(), scales);
    }
}
