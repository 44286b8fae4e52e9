//! What a run has made, found again: every part is there, whole, and what this film would ask for.

use std::{collections::BTreeMap, fs, path::Path};

use super::{error::RenderError, orders::JobWriter};
use crate::pipeline::{
    frames::generated::EngineOutput,
    job::{self, JobError},
    options::Part,
    plan::FramePlan,
    run::engine,
    types::progress::{Progress, Stage},
};

/// Everything that was made, by its seam.
pub(super) fn gather(
    orders: &JobWriter<'_>,
    progress: &dyn Progress,
) -> Result<BTreeMap<usize, EngineOutput>, RenderError> {
    let plan = orders.plan;
    let of = if plan.journey.is_some() { Part::Segment } else { Part::Seam };
    let scratch = orders.run_folder.join("asked");
    progress.begin(Stage::Guide, plan.seams.len());
    let mut all = BTreeMap::new();
    for seam in in_order(plan) {
        let (folder, part) = (orders.folder(seam), seam + 1);
        if !folder.join(job::RESULT).exists() {
            return Err(RenderError::NotGenerated { of, part, folder });
        }
        let before = plan.seams[seam].carried_from();
        orders.draw_in(&scratch, seam, before.and_then(|before| all.get_mut(&before)))?;
        if !same(&scratch, &folder)? {
            return Err(RenderError::OtherFilm { of, part, folder });
        }
        match engine::check(&folder) {
            Ok(made) => drop(all.insert(seam, made)),
            Err(source) => return Err(RenderError::Broken { of, part, folder, source: Box::new(source) }),
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
    plan.dependency_chains().concat()
}

fn same(one: &Path, other: &Path) -> Result<bool, JobError> {
    let hash = |folder: &Path| job::hash(&folder.join(job::REQUEST));
    Ok(hash(one)? == hash(other)?)
}
