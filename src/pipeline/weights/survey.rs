//! What `inspect` tells of a checkpoint: all that its header shows, without a number of it read.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use super::{Checkpoint, CheckpointError, Dtype, Family, ModelKind};

/// How a file calls its tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Naming {
    pub(super) prefix: Option<String>,
    /// Whether some name is not ours.
    pub(super) renamed: bool,
}

#[derive(Debug, Serialize)]
pub struct Survey {
    pub name: String,
    pub what: ModelKind,
    /// `original`, `diffusers` or `huggingface`; `None` where it is no model of ours.
    pub naming: Option<&'static str>,
    /// What stands before every name.
    pub prefix: Option<String>,
    pub files: Vec<PathBuf>,
    /// Of the files, headers included.
    pub bytes: u64,
    pub tensors: usize,
    pub parameters: u64,
    /// How many tensors of each kind.
    pub dtypes: BTreeMap<Dtype, usize>,
    /// Tensors with a scale of their own.
    pub scaled: usize,
    /// Tensors that nobody reads, such as a packed tokenizer or the scales themselves.
    pub unused: usize,
    #[serde(skip)]
    pub problems: Vec<CheckpointError>,
}

impl Checkpoint {
    /// Of its files, headers included.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.len() as u64).sum()
    }

    pub fn survey(&self) -> Result<Survey, CheckpointError> {
        let (what, mut problems) = self.check()?;
        let path = || self.path().to_owned();
        match &what {
            ModelKind::Foreign { .. } | ModelKind::Unknown { .. } => {
                let (wanted, found) = ("a Wan model or a LoRA for one".into(), what.name());
                problems.push(CheckpointError::Foreign { path: path(), wanted, found });
            }
            ModelKind::Lora(lora) => problems.extend(lora.problems(self.path())),
            _ => {}
        }
        let naming = match (self.family, self.naming.renamed) {
            (None | Some(Family::Lora), _) => None,
            (Some(_), true) => Some("original"),
            (Some(Family::Transformer | Family::Vae), false) => Some("diffusers"),
            (Some(Family::TextEncoder | Family::ClipVision), false) => Some("huggingface"),
        };
        let mut dtypes = BTreeMap::new();
        for record in self.records.values() {
            *dtypes.entry(record.dtype).or_default() += 1;
        }
        let numbers = |shape: &[usize]| shape.iter().map(|side| *side as u64).product::<u64>();
        Ok(Survey {
            name: what.name(),
            what,
            naming,
            prefix: self.naming.prefix.clone(),
            files: self.files.iter().map(|file| file.path.clone()).collect(),
            bytes: self.bytes(),
            tensors: self.records.len(),
            parameters: self.records.values().map(|record| numbers(&record.shape)).sum(),
            dtypes,
            scaled: self.records.values().filter(|record| record.scale.is_some()).count(),
            unused: self.unused.len(),
            problems,
        })
    }
}
