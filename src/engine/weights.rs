//! Reading checkpoints: the tensors of a safetensors file, seen through a name prefix.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fmt::{self, Display},
    ops::Div,
    rc::Rc,
};

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use tch::{Device, Kind, Tensor};

#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("{file} is not a safetensors file")]
    Format { file: String, source: SafeTensorError },
    #[error("tensor `{name}` is missing from {file}")]
    Missing { name: String, file: String },
    #[error("tensor `{name}` in {file} has shape {found:?}, expected {expected:?}")]
    Shape { name: String, file: String, expected: Vec<i64>, found: Vec<i64> },
    #[error("tensor `{name}` in {file} has dtype {dtype:?}, which wanctl cannot load")]
    Dtype { name: String, file: String, dtype: Dtype },
}

struct Checkpoint {
    /// What messages call it.
    file: String,
    tensors: SafeTensors<'static>,
    taken: RefCell<BTreeSet<String>>,
}

/// A place inside a checkpoint. `&weights / "blocks" / 0` steps into a prefix; [`Weights::get`] takes a tensor.
///
/// Tensors arrive on `device` as `kind`, so a model never casts or moves its own weights.
#[derive(Clone)]
pub struct Weights {
    checkpoint: Rc<Checkpoint>,
    prefix: String,
    device: Device,
    kind: Kind,
}

impl Weights {
    /// Of a checkpoint inside the program; messages call it `file`.
    pub fn embedded(file: &str, bytes: &'static [u8], device: Device, kind: Kind) -> Result<Self, WeightsError> {
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|source| WeightsError::Format { file: file.to_owned(), source })?;
        let checkpoint = Checkpoint { file: file.to_owned(), tensors, taken: RefCell::default() };
        Ok(Self { checkpoint: Rc::new(checkpoint), prefix: String::new(), device, kind })
    }

    pub fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, WeightsError> {
        let name = format!("{}{name}", self.prefix);
        let file = || self.checkpoint.file.clone();
        let Ok(view) = self.checkpoint.tensors.tensor(&name) else {
            return Err(WeightsError::Missing { name, file: file() });
        };
        let found: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        if found != shape {
            return Err(WeightsError::Shape { name, file: file(), expected: shape.into(), found });
        }
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::F16 => Kind::Half,
            dtype => return Err(WeightsError::Dtype { name, file: file(), dtype }),
        };
        let tensor = Tensor::from_data_size(view.data(), &found, kind);
        self.checkpoint.taken.borrow_mut().insert(name);
        Ok(tensor.to_device(self.device).to_kind(self.kind))
    }

    /// Names in the file under this prefix that no `get` has asked for.
    pub fn left_over(&self) -> Vec<String> {
        let taken = self.checkpoint.taken.borrow();
        let names = self.checkpoint.tensors.names().into_iter();
        let mut names: Vec<_> = names
            .filter(|name| name.starts_with(&self.prefix) && !taken.contains(*name))
            .map(ToString::to_string)
            .collect();
        names.sort();
        names
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({}: {}*)", self.checkpoint.file, self.prefix)
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
    use safetensors::tensor::TensorView;

    use super::*;

    fn tiny() -> Weights {
        let data: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![2, 2], &data).unwrap();
        let count = TensorView::new(Dtype::I64, vec![1], &data[..8]).unwrap();
        let bytes = safetensors::serialize([("a.0.weight", view), ("count", count)], None).unwrap();
        Weights::embedded("tiny", bytes.leak(), Device::Cpu, Kind::Double).unwrap()
    }

    #[test]
    fn a_tensor_is_found_by_its_place_and_comes_in_the_kind_asked_for() {
        let weights = tiny();
        let tensor = (&weights / "a" / 0).get("weight", &[2, 2]).unwrap();
        assert_eq!(tensor.kind(), Kind::Double);
        assert_eq!(tensor.double_value(&[1, 0]), 3.0);
        assert_eq!(weights.left_over(), ["count"]);
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_was_expected() {
        let weights = tiny();
        for (error, words) in [
            (weights.get("b", &[1]), "tensor `b` is missing from tiny"),
            ((&weights / "a").get("0.weight", &[4]), "tensor `a.0.weight` in tiny has shape [2, 2], expected [4]"),
            (weights.get("count", &[1]), "tensor `count` in tiny has dtype I64, which wanctl cannot load"),
        ] {
            assert_eq!(error.unwrap_err().to_string(), words);
        }
        let error = Weights::embedded("junk", b"junk", Device::Cpu, Kind::Float).unwrap_err();
        assert_eq!(error.to_string(), "junk is not a safetensors file");
    }
}
