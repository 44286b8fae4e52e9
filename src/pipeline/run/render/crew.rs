//! Engines at work on a plan's seams, one or several at once. Seams that need what another one makes come after it.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
};

use super::{error::RenderError, of_seams, orders::JobWriter, parts_of};
use crate::pipeline::{
    frames::generated::EngineOutput,
    job::{Event, ExecTarget},
    options::EngineSettings,
    run::engine::{self, Engine},
    types::progress::{PartSize, Parts, Progress, Stage, Warning},
};

/// Who makes the frames of all seams, and of what.
pub(super) struct EnginePool<'a> {
    pub(super) engine: &'a Engine,
    pub(super) settings: &'a EngineSettings,
    pub(super) orders: JobWriter<'a>,
    pub(super) progress: &'a dyn Progress,
}

impl EnginePool<'_> {
    /// Has these seams made, of a lane always its first ones; what an earlier run has made of the same is not made again.
    pub(super) fn work(&self, seams: &[usize]) -> Result<BTreeMap<usize, EngineOutput>, RenderError> {
        let wanted = |lane: Vec<usize>| lane.into_iter().filter(|seam| seams.contains(seam)).collect::<Vec<_>>();
        let lanes = self.orders.plan.dependency_chains().into_iter().map(wanted).filter(|lane| !lane.is_empty());
        let lanes: Vec<Vec<usize>> = lanes.collect();
        self.progress.begin(Stage::Guide, lanes.len());
        let (mut made, mut undone) = (BTreeMap::new(), vec![]);
        for (done, lane) in lanes.iter().enumerate() {
            self.orders.draw(lane[0], None)?;
            match engine::check(&self.orders.folder(lane[0])) {
                Ok(first) if lane.len() == 1 => drop(made.insert(lane[0], first)),
                _ => undone.push(lane.as_slice()),
            }
            self.progress.reached(done + 1);
        }
        let places = self.settings.places(undone.len());
        let shares = share(&undone, |seam| self.orders.plan.seams[seam].slots.len(), places.len());

        self.progress.begin(Stage::Engine, 0);
        let (engine, together) = self.engine.together();
        let failed = Mutex::new(None);
        let all = self.orders.plan.seams.iter().enumerate().filter(|(number, _)| seams.contains(number));
        let all = all.map(|(number, seam)| PartSize {
            number,
            frames: seam.slots.len(),
            generated: seam.used.gap,
            made: made.contains_key(&number),
        });
        let parts = Parts { of: parts_of(self.orders.plan), all: all.collect() };
        let voices = self.progress.voices(places.len(), &parts);
        let parts: Vec<Vec<(usize, EngineOutput)>> = thread::scope(|scope| {
            let mut threads = vec![];
            for ((place, lanes), voice) in places.iter().zip(&shares).zip(voices) {
                let (engine, together, failed) = (&engine, &together, &failed);
                threads.push(scope.spawn(move || {
                    self.generate(engine, place, lanes, &*voice).unwrap_or_else(|error| {
                        // The others are about to be ended, and what they say of that is no news.
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        together.stop();
                        vec![]
                    })
                }));
            }
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        made.extend(parts.into_iter().flatten());
        Ok(made)
    }

    /// One engine's share of the lanes. Those of one seam are made with one start, which loads the weights once.
    fn generate(
        &self,
        engine: &Engine,
        place: &ExecTarget,
        lanes: &[&[usize]],
        voice: &dyn Progress,
    ) -> Result<Vec<(usize, EngineOutput)>, RenderError> {
        let (single, chains): (Vec<&[usize]>, Vec<_>) = lanes.iter().partition(|lane| lane.len() == 1);
        let single = single.concat();
        let mut all = vec![];
        if !single.is_empty() {
            let made = self.seams(engine, place, &single, voice)?;
            all.extend(single.into_iter().zip(made));
        }
        for lane in chains {
            for (number, &seam) in lane.iter().enumerate() {
                // The first of a lane was drawn before anything was made.
                if let (1.., Some((_, before))) = (number, all.last_mut()) {
                    self.orders.draw(seam, Some(before))?;
                }
                let made = match engine::check(&self.orders.folder(seam)) {
                    Ok(made) => {
                        voice.made(seam);
                        vec![made]
                    }
                    Err(_) => self.seams(engine, place, &[seam], voice)?,
                };
                all.extend(made.into_iter().map(|made| (seam, made)));
            }
        }
        Ok(all)
    }

    /// Has these seams made with one start of the engine.
    fn seams(
        &self,
        engine: &Engine,
        place: &ExecTarget,
        seams: &[usize],
        voice: &dyn Progress,
    ) -> Result<Vec<EngineOutput>, RenderError> {
        let folders: Vec<PathBuf> = seams.iter().map(|&seam| self.orders.folder(seam)).collect();
        let count = self.orders.plan.seams.len();
        let (mut at, mut begun, mut within) = (seams[0], None, None);
        let made = engine.run(place, &folders, |event| match event {
            Event::Part { seam, part } => {
                (at, begun, within) = (*seam, None, Some(*part));
                voice.begin_part(Stage::Engine, *seam, part.name(), 0);
            }
            Event::Progress { seam, done, total, share } => {
                at = *seam;
                if begun != Some(*seam) {
                    match within {
                        Some(part) => voice.begin_part(Stage::Engine, *seam, part.name(), *total),
                        None => voice.begin_seam(Stage::Engine, *seam, *total),
                    }
                    begun = Some(*seam);
                }
                voice.within(*done, *share);
            }
            Event::Note { seam, message } => {
                let message = if count > 1 {
                    format!("{}: {message}", of_seams(self.orders.plan, *seam))
                } else {
                    message.clone()
                };
                voice.warn(Warning { code: "engine", file: None, message });
            }
            Event::Done { seam } => voice.made(*seam),
            _ => {}
        });
        made.map_err(|error| match count {
            1 => error.into(),
            _ => RenderError::from(error).in_segment(of_seams(self.orders.plan, at)),
        })
    }
}

/// Shares lanes out so that each has about as many frames to make, and keeps them in order.
fn share<'l>(lanes: &[&'l [usize]], frames: impl Fn(usize) -> usize, count: usize) -> Vec<Vec<&'l [usize]>> {
    let length = |lane: &[usize]| lane.iter().map(|&seam| frames(seam)).sum::<usize>();
    let mut longest_first = lanes.to_vec();
    longest_first.sort_by_key(|lane| std::cmp::Reverse(length(lane)));
    let mut shares = vec![(0, vec![]); count];
    for lane in longest_first {
        let (load, lanes) = shares.iter_mut().min_by_key(|(load, _)| *load).expect("one share at least");
        *load += length(lane);
        lanes.push(lane);
    }
    let in_order = |(_, mut lanes): (usize, Vec<&'l [usize]>)| {
        lanes.sort_unstable();
        lanes
    };
    shares.into_iter().map(in_order).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_somebodys_and_no_share_is_longer_than_another_by_more_than_a_lane() {
        for count in 1..5 {
            for lanes in 0..7_usize {
                let lanes: Vec<Vec<usize>> =
                    (0..lanes).map(|lane| (lane * 10..lane * 10 + 1 + lane % 3).collect()).collect();
                let given: Vec<&[usize]> = lanes.iter().map(Vec::as_slice).collect();
                let frames = |seam: usize| 5 + seam % 4 * 4;
                let length = |lane: &[usize]| lane.iter().map(|&seam| frames(seam)).sum::<usize>();
                let shares = share(&given, frames, count);
                assert_eq!(shares.len(), count);
                assert!(shares.iter().all(|share| share.is_sorted()));
                let mut all = shares.concat();
                all.sort_unstable();
                assert_eq!(all, given);
                let loads = shares.iter().map(|share| share.iter().map(|lane| length(lane)).sum::<usize>());
                let (least, most) = (loads.clone().min().unwrap(), loads.max().unwrap());
                let longest = given.iter().map(|lane| length(lane)).max().unwrap_or(0);
                assert!(most - least <= longest, "{least} to {most}, lanes of {longest}");
            }
        }
    }
}
