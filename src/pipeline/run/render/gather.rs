//! What a run has made, found again: every part is there, whole, and what this film would ask for.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use color_eyre::eyre::Result;

use super::orders::JobWriter;
use crate::pipeline::{
    frames::generated::EngineOutput,
    job::{self, JobError},
    options::Part,
    plan::FramePlan,
    run::engine::{self, EngineError},
    types::{
        error::{ErrorCode, ErrorDetails, Reportable},
        progress::{Progress, Stage},
    },
};

/// Why a part cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    #[error("{of} {part} is not made yet")]
    Missing { of: Part, part: usize, folder: PathBuf },
    #[error("{of} {part} is of another film")]
    Foreign { of: Part, part: usize, folder: PathBuf },
    #[error("{of} {part} is broken: {source}")]
    Broken { of: Part, part: usize, folder: PathBuf, source: EngineError },
}

impl Reportable for GatherError {
    fn code(&self) -> ErrorCode {
        ErrorCode::Input
    }

    fn details(&self) -> ErrorDetails {
        let (of, part, folder, wanted, found) = match self {
            Self::Missing { of, part, folder } => (of, part, folder, "what it has made", "no result".to_owned()),
            Self::Foreign { of, part, folder } => {
                (of, part, folder, "what this film asks for", "another request".to_owned())
            }
            Self::Broken { of, part, folder, source } => {
                (of, part, folder, "the frames that its result vouches for", source.to_string())
            }
        };
        ErrorDetails {
            file: Some(folder.clone()),
            wanted: Some(wanted.into()),
            found: Some(found),
            help: Some(format!("make {of} {part} with --segment {part}, or all that is left with --resume")),
            ..ErrorDetails::default()
        }
    }
}

/// Everything that was made, by its seam.
pub(super) fn gather(orders: &JobWriter<'_>, progress: &dyn Progress) -> Result<BTreeMap<usize, EngineOutput>> {
    let plan = orders.plan;
    let of = if plan.journey.is_some() { Part::Segment } else { Part::Seam };
    let scratch = orders.run_folder.join("asked");
    progress.begin(Stage::Guide, plan.seams.len());
    let mut all = BTreeMap::new();
    for seam in in_order(plan) {
        let (folder, part) = (orders.folder(seam), seam + 1);
        if !folder.join(job::RESULT).exists() {
            return Err(GatherError::Missing { of, part, folder }.into());
        }
        let before = plan.seams[seam].carried_from();
        orders.draw_in(&scratch, seam, before.and_then(|before| all.get_mut(&before)))?;
        if !same(&scratch, &folder)? {
            return Err(GatherError::Foreign { of, part, folder }.into());
        }
        match engine::check(&folder) {
            Ok(made) => drop(all.insert(seam, made)),
            Err(source) => return Err(GatherError::Broken { of, part, folder, source }.into()),
        }
        progress.reached(all.len());
    }
    // Left where there was an error, it goes with the run's folder.
    fs::remove_dir_all(&scratch).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(JobError::Write { path: scratch.clone(), source: error }),
    })?;
    Ok(all)
}

fn in_order(plan: &FramePlan) -> Vec<usize> {
    plan.lanes().concat()
}

fn same(one: &Path, other: &Path) -> Result<bool, JobError> {
    let hash = |folder: &Path| job::hash(&folder.join(job::REQUEST));
    Ok(hash(one)? == hash(other)?)
}
