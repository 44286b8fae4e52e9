//! Segments that go on from each other, each by a start of the engine of its own: shown what the one before it made, and
//! made again only where that is needed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use wanctl::pipeline::{
    frames::{
        film::{Inputs, JourneyFiles, MadeSize, Shape},
        generated::GeneratedFrames,
        source::FrameSource,
    },
    job::{self, Backend, FrameFile},
    media::{Fit, Media},
    options::{EngineSettings, ExecOptions, FilmOptions, FilmSettings},
    plan::{FramePlan, Origin, SegmentAsk, Slot, TravelParams, travel},
    run::{engine::Engine, render::Render},
    system::child::ProcessLimits,
    types::{cancel::CancelToken, error::message_of, progress::Silent},
};

use super::{engine::fake, harness::Room};

struct Chain {
    room: Room,
    media: Media,
    inputs: Inputs,
    plan: FramePlan,
}

impl Chain {
    /// Through four images: segments of these overlaps, the first of which counts for nothing.
    fn new(overlaps: [usize; 3]) -> Self {
        let (room, media) = (Room::new(), Media::new(CancelToken::default()));
        let colours = ["red", "green", "blue", "white"];
        let paths: Vec<PathBuf> = colours.iter().map(|colour| room.path(format!("{colour}.png"))).collect();
        for colour in colours {
            room.material(&format!("{colour}.png"), colour, || {
                room.ffmpeg(&format!("-f lavfi -i color={colour}:size=32x16 -frames:v 1 {colour}.png"));
            });
        }
        let images = media.probe_stills(&paths, false).unwrap();
        let references = media.probe_stills(&paths[3..], false).unwrap();
        let files = JourneyFiles { images, references, ..JourneyFiles::default() };
        let shape = Shape { fps: None, size: None, made: MadeSize::OfFilm, lossless: true };
        let (inputs, places) = Inputs::journey(files, &shape);
        let ask = TravelParams {
            segments: overlaps.map(|overlap| SegmentAsk { frames: 13, overlap }).into(),
            ..TravelParams::PLAIN
        };
        let plan = travel(places, inputs.film.for_plan(), &ask).unwrap();
        Self { room, media, inputs, plan }
    }

    /// Has this program make all of it.
    fn make(&self, program: PathBuf, jobs: usize) -> Result<(), String> {
        let settings = FilmSettings::new(FilmOptions { lossless: Some(true), ..FilmOptions::default() }).unwrap();
        let frame_source = FrameSource { media: &self.media, inputs: &self.inputs, fit: Fit::Crop };
        let mut render = Render {
            frame_source,
            plan: &self.plan,
            settings: &settings,
            note: "",
            run_folder: &self.room.path("run"),
            between: GeneratedFrames::dissolve(),
        };
        let engine = Engine::at(program, ProcessLimits::new(CancelToken::default()));
        let place = EngineSettings::new(ExecOptions { jobs: Some(jobs), ..ExecOptions::default() }, None).unwrap();
        let makers = vec![Backend::Rife; self.plan.seams.len()];
        let all: Vec<usize> = (0..self.plan.seams.len()).collect();
        let outcomes = render.run_engine(&engine, &makers, &place, ("chain", &all), &Silent);
        outcomes.map(|outcomes| assert_eq!(outcomes.len(), makers.len())).map_err(|error| message_of(&error))
    }

    fn folder(&self, seam: usize) -> PathBuf {
        self.room.path(format!("run/seam_{seam:02}"))
    }

    fn file(&self, seam: usize, name: &str) -> Vec<Vec<u8>> {
        FrameFile::open(&self.folder(seam).join(name)).unwrap().all().unwrap()
    }

    /// What the engine was started for, seam by seam.
    fn started(&self) -> Vec<usize> {
        let all = 0..self.plan.seams.len();
        all.filter(|&seam| fs::remove_file(self.folder(seam).join(job::LOG)).is_ok()).collect()
    }
}

fn break_in_the_middle(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn each_segment_is_shown_what_the_one_before_it_made() {
    let chain = Chain::new([0, 4, 8]);
    assert_eq!(chain.plan.dependency_chains(), [[0, 1, 2]]);
    chain.make(fake(), 3).unwrap();
    assert_eq!(chain.started(), [0, 1, 2]);
    for seam in 1..3 {
        let (shown, made) = (chain.file(seam, job::GUIDE), chain.file(seam - 1, job::MADE));
        let mut carried = 0;
        for (index, slot) in chain.plan.seams[seam].slots.iter().enumerate() {
            let Slot::Carry(at) = slot else { continue };
            assert_eq!(at.origin, Origin::Gap(seam - 1));
            assert!(shown[index] == made[at.index], "frame {index} of segment {seam}");
            carried += 1;
        }
        assert_eq!(carried, [0, 4, 8][seam]);
    }
    // What is made is made once.
    chain.make("/nowhere/at/all".into(), 1).unwrap();
    assert!(chain.started().is_empty());
}

#[test]
fn a_broken_segment_is_made_again_and_those_behind_it_are_believed_if_it_comes_out_the_same() {
    let chain = Chain::new([0, 4, 4]);
    chain.make(fake(), 1).unwrap();
    chain.started();
    let made = chain.file(1, job::MADE);
    break_in_the_middle(&chain.folder(1).join(job::MADE));
    let error = chain.make("/nowhere/at/all".into(), 1).unwrap_err();
    assert!(error.starts_with("segment 2 of 3: ") && error.contains("cannot be started"), "{error}");
    chain.make(fake(), 1).unwrap();
    assert_eq!(chain.started(), [1]);
    assert!(chain.file(1, job::MADE) == made);
}

#[test]
fn a_journey_in_two_chains_has_an_engine_for_each() {
    let chain = Chain::new([0, 4, 0]);
    assert_eq!(chain.plan.dependency_chains(), [&[0, 1][..], &[2]]);
    chain.make(fake(), 2).unwrap();
    assert_eq!(chain.started(), [0, 1, 2]);
}

#[test]
fn references_go_to_every_segment_and_their_hash_into_its_request() {
    let chain = Chain::new([0, 4, 0]);
    chain.make(fake(), 1).unwrap();
    for seam in 0..3 {
        assert!(chain.file(seam, job::REFERENCES) == [vec![255; 32 * 16 * 3]]);
        let request: Value = job::read_json(&chain.folder(seam).join(job::REQUEST)).unwrap();
        assert_eq!(request["references"], job::hash(&chain.folder(seam).join(job::REFERENCES)).unwrap());
    }
}
