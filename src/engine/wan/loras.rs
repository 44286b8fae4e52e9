//! The LoRAs of a job on their way into a transformer, expert by expert.

use std::{collections::BTreeSet, rc::Rc};

use tch::Kind;
use wanctl::pipeline::{
    job::{Dtype, EngineFailure, EngineFailureCode, Event, LoraUse, Strength, Wan, schedule::Expert},
    weights::{CheckpointError, Dropped, Fit},
};

use super::session::{Session, refused};
use crate::engine::weights::{
    Weights,
    patches::{Patch, Patches},
};

/// What has to hold before anything is loaded.
pub(super) fn check(wan: &Wan) -> Result<(), EngineFailure> {
    for LoraUse { file, strengths } in &wan.loras {
        let (found, steps) = (strengths.len(), wan.steps.len());
        if found != steps {
            let message = format!("{} has {found} strengths, and there are {steps} steps", file.display());
            return Err(EngineFailure::new(EngineFailureCode::Usage, message).help("each step takes one number"));
        }
    }
    Ok(())
}

/// Those that an expert's steps ask for, with what they are there.
fn asked(wan: &Wan, expert: Expert) -> impl Iterator<Item = (&LoraUse, Strength)> {
    let loras = wan.loras.iter().map(move |lora| (lora, wan.strength(lora, expert).expect("checked at the start")));
    loras.filter(|(_, strength)| *strength != Strength::None)
}

/// How strong each of an expert's LoRAs is at a step of it.
pub(super) fn strengths(wan: &Wan, step: usize) -> Vec<f64> {
    asked(wan, wan.steps[step].expert).map(|(lora, _)| lora.strengths[step]).collect()
}

impl Session<'_, '_> {
    /// What the LoRAs add to one expert.
    pub(super) fn patches(&self, expert: Expert) -> Result<Rc<Patches>, EngineFailure> {
        let mut patches = vec![];
        for (LoraUse { file, .. }, strength) in asked(self.tasks[0].wan, expert) {
            let (checkpoint, fit) = Fit::open(file, &self.models.transformer).map_err(refused)?;
            if strength == Strength::Changing {
                fit.varies(file).map_err(refused)?;
            }
            let weights = Weights::of(Rc::new(checkpoint), self.device, Kind::Float);
            patches.push(Patch { weights, deltas: fit.deltas, strength });
        }
        Ok(Rc::new(Patches::new(patches)))
    }

    /// Numbers of those that stand beside the weights, of the expert that has most.
    pub(super) fn numbers_beside(&self) -> Result<u64, EngineFailure> {
        let wan = self.tasks[0].wan;
        let of = |expert| {
            let beside = |strength| strength == Strength::Changing || wan.dtype == Dtype::Fp8;
            let loras = asked(wan, expert).filter(|(_, strength)| beside(*strength));
            loras.map(|(lora, _)| Ok(Fit::open(&lora.file, &self.models.transformer)?.1.numbers())).sum()
        };
        let each: Result<Vec<u64>, CheckpointError> = [Expert::High, Expert::Low].into_iter().map(of).collect();
        Ok(each.map_err(refused)?.into_iter().max().unwrap_or(0))
    }

    /// Says once what is left out of each file.
    pub(super) fn note_dropped(&mut self) -> Result<(), EngineFailure> {
        let files: BTreeSet<_> = self.tasks[0].wan.loras.iter().map(|lora| &lora.file).collect();
        for file in files {
            let (checkpoint, fit) = Fit::open(file, &self.models.transformer).map_err(refused)?;
            for Dropped { tensors, part } in fit.dropped {
                let (count, name) = (tensors.len(), wanctl::pipeline::weights::name(checkpoint.path()));
                let message =
                    format!("{count} tensors of {name} are left out: they are for {part}, which this model lacks");
                (self.say)(&Event::Note { seam: self.tasks[0].seam, message });
            }
        }
        Ok(())
    }
}
