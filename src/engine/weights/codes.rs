//! Matrices in 8-bit floats, each with a scale for all of it or for each row.

use tch::{Kind, Tensor};
use wanctl::pipeline::weights::Entry;

use super::{Weights, WeightsError, empty_cache, pieces};

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
        empty_cache(self.device);
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
}

/// f32 [n, m] to codes, and what each row of them is to be multiplied by, [n, 1]: the largest becomes the largest.
pub(crate) fn pack(rows: &Tensor) -> (Tensor, Tensor) {
    /// Of e4m3fn.
    const LARGEST: f64 = 448.0;
    let most = rows.abs().amax([1], true);
    let scale = (most / LARGEST).clamp_min(f64::from(f32::MIN_POSITIVE));
    ((rows / &scale).to_kind(Kind::Float8e4m3fn), scale)
}
