//! What LoRAs add to a transformer's tensors: merged into those that keep one strength, kept beside the others.
//!
//! `W + s·(alpha/rank)·up·down`, `W + s·diff`, `b + s·diff_b`: alpha counts for pairs alone. The product is taken in f32
//! and added to W in f32; the sum is rounded once.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use tch::{Device, Kind, Tensor};
use wanctl::pipeline::{
    job::Strength,
    weights::{Delta, Stored},
};

use super::{Weights, WeightsError};

/// A LoRA over one transformer.
#[derive(Debug)]
pub(crate) struct Patch {
    /// Its file, in f32.
    pub(crate) weights: Weights,
    pub(crate) deltas: BTreeMap<String, Delta>,
    pub(crate) strength: Strength,
}

/// Several of them; what they add to a tensor is added up.
#[derive(Debug, Default)]
pub(crate) struct Patches {
    patches: Vec<Patch>,
    strengths: Rc<Strengths>,
    /// What was asked for, by LoRA and tensor.
    taken: RefCell<BTreeSet<(usize, String)>>,
}

/// How strong each LoRA is at the step that is computed.
#[derive(Debug, Default)]
pub(crate) struct Strengths(RefCell<Option<Tensor>>);

impl Strengths {
    pub(crate) fn set(&self, strengths: &[f64], device: Device) {
        let strengths = Tensor::from_slice(strengths).to_kind(Kind::Float).to_device(device);
        self.0.replace(Some(strengths));
    }

    /// Those of the LoRAs at `places`, in f32.
    pub(crate) fn at(&self, places: &Tensor) -> Tensor {
        self.0.borrow().as_ref().expect("strengths are set before a step").index_select(0, places)
    }
}

/// What is added to one tensor, in f32.
#[derive(Debug)]
pub(crate) struct Addition {
    /// [rows, rank], with its scale, and [rank, columns].
    pub(crate) pair: Option<(Tensor, Tensor)>,
    /// [rows, columns]
    pub(crate) whole: Option<Tensor>,
}

impl Patches {
    pub(crate) fn new(patches: Vec<Patch>) -> Self {
        Self { patches, ..Self::default() }
    }

    pub(super) fn strengths(&self) -> Rc<Strengths> {
        Rc::clone(&self.strengths)
    }

    /// What is merged into a tensor, each with its strength in it.
    pub(super) fn merged(&self, tensor: &str) -> Result<Vec<Addition>, WeightsError> {
        let mut additions = vec![];
        for (index, patch) in self.patches.iter().enumerate() {
            if let (Strength::Constant(strength), Some(delta)) = (patch.strength, patch.deltas.get(tensor)) {
                additions.push(patch.read(delta)?.times(strength));
                self.taken.borrow_mut().insert((index, tensor.to_owned()));
            }
        }
        Ok(additions)
    }

    /// What stands beside it, each with the LoRA's number.
    pub(super) fn beside(&self, tensor: &str, all: bool) -> Result<Vec<(usize, Addition)>, WeightsError> {
        let mut additions = vec![];
        for (index, patch) in self.patches.iter().enumerate() {
            if let (true, Some(delta)) = (all || patch.strength == Strength::Changing, patch.deltas.get(tensor)) {
                additions.push((index, patch.read(delta)?));
                self.taken.borrow_mut().insert((index, tensor.to_owned()));
            }
        }
        Ok(additions)
    }

    /// What nobody has asked for, with its file.
    pub(crate) fn left_over(&self) -> Vec<(String, String)> {
        let taken = self.taken.borrow();
        let of = |(index, patch): (usize, &Patch)| {
            let names = patch.deltas.keys().filter(|name| !taken.contains(&(index, (*name).clone())));
            names.map(|name| (name.clone(), patch.weights.file())).collect::<Vec<_>>()
        };
        self.patches.iter().enumerate().flat_map(of).collect()
    }
}

impl Patch {
    fn read(&self, delta: &Delta) -> Result<Addition, WeightsError> {
        let read = |Stored { name, shape }: &Stored| {
            let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
            Ok::<_, WeightsError>(self.weights.get(name, &shape)?.view([shape[0], -1]))
        };
        let Delta { pair, whole, product: _ } = delta;
        let pair = pair.as_ref().map(|pair| Ok::<_, WeightsError>((read(&pair.up)? * pair.scale, read(&pair.down)?)));
        Ok(Addition { pair: pair.transpose()?, whole: whole.as_ref().map(read).transpose()? })
    }
}

impl Addition {
    fn times(self, strength: f64) -> Self {
        let Self { pair, whole } = self;
        Self { pair: pair.map(|(up, down)| (up * strength, down)), whole: whole.map(|whole| whole * strength) }
    }

    /// To rows of the tensor in f32, of which the first is row `first`.
    pub(super) fn add_to(&self, rows: &Tensor, first: i64) {
        let count = rows.size()[0];
        let mut rows = rows.view([count, -1]);
        if let Some((up, down)) = &self.pair {
            let _ = rows.addmm_(&up.narrow(0, first, count), down);
        }
        if let Some(whole) = &self.whole {
            let _ = rows.g_add_(&whole.narrow(0, first, count));
        }
    }
}
