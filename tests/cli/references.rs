//! Reference images in a job's folder: the engine makes of them what diffusers makes, and refuses what is wrong with them.

use std::{fs, path::Path};

use safetensors::SafeTensors;
use serde_json::{Value, json};
use wanctl::pipeline::{
    job::{self, FrameFile},
    types::video::Size,
};

use super::{
    harness::Room,
    images,
    wan::{change, difference, engine, fixtures, job, models, room, rows, words},
};

/// 8-bit numbers of control.safetensors.
fn bytes(name: &str) -> Vec<u8> {
    let file = fs::read(fixtures().join("control.safetensors")).unwrap();
    SafeTensors::deserialize(&file).unwrap().tensor(name).unwrap().data().to_vec()
}

fn images_of_the_fixture() -> [Vec<u8>; 2] {
    [bytes("in.reference0"), bytes("in.reference1")]
}

/// The case's job as a join makes it, still to be done.
fn asked(room: &Room) -> (std::path::PathBuf, Value) {
    let case = rows("control.json").remove(0);
    room.wanctl(&words(&case, &models(&case))).good();
    let job = job(room);
    undo(&job);
    (job, case)
}

fn undo(job: &Path) {
    for name in ["made.safetensors", "result.json", "latents.safetensors"] {
        fs::remove_file(job.join(name)).unwrap();
    }
}

fn give(job: &Path, size: Size, references: &[Vec<u8>]) {
    let path = job.join(job::REFERENCES);
    job::write_frames(&path, size, references).unwrap();
    change(job, |request| request["references"] = job::hash(&path).unwrap().into());
}

const SIZE: Size = Size { width: 48, height: 32 };

fn made(job: &Path) -> Vec<u8> {
    FrameFile::open(&job.join(job::MADE)).unwrap().all().unwrap().concat()
}

#[test]
#[ignore = "slow: three seams by a model"]
fn what_two_reference_images_change_is_what_they_change_in_diffusers() {
    let room = room();
    let (job, _) = asked(&room);
    let [first, second] = images_of_the_fixture();
    give(&job, SIZE, &[first.clone(), second.clone()]);
    let output = engine(&job);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let wanted = bytes("out.references9");
    let (most, mean) = difference(&made(&job), &wanted);
    assert!(most <= 2 && mean <= 0.05, "{most} at most, {mean} in the mean");

    // Their order counts.
    undo(&job);
    give(&job, SIZE, &[second, first]);
    assert!(engine(&job).status.success());
    let (_, mean) = difference(&made(&job), &wanted);
    assert!(mean > 0.2, "{mean}");
}

#[track_caller]
fn refused(job: &Path, code: &str, words: &str) {
    let output = engine(job);
    let said = String::from_utf8_lossy(&output.stdout);
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(!output.status.success() && last["type"] == "error" && last["code"] == code, "{said}");
    assert!(last["message"].as_str().unwrap().contains(words), "{words} in {said}");
    assert!(!said.contains("\"part\""), "work was begun: {said}");
}

#[test]
fn references_that_are_not_those_of_the_request_are_refused() {
    let room = room();
    let (job, _) = asked(&room);
    give(&job, Size::new(32, 48), &images_of_the_fixture());
    refused(&job, "engine", "references.safetensors has 2 frames of 32x48, and its request says 2 of 48x32");
    give(&job, SIZE, &images_of_the_fixture());
    change(&job, |request| request["references"] = "0".repeat(64).into());
    refused(&job, "engine", "references.safetensors is not the file that its request names");
    fs::remove_file(job.join(job::REFERENCES)).unwrap();
    refused(&job, "engine", "cannot read");
}

#[test]
#[ignore = "slow: two seams by a model"]
fn a_model_that_looks_at_no_references_refuses_them() {
    let room = room();
    images::join(&room, &images::case("images9"), &["--keep"]);
    let job = job(&room);
    undo(&job);
    give(&job, SIZE, &images_of_the_fixture());
    refused(&job, "usage", "2 reference images, and an image-to-video model looks at none");
    change(&job, |request| request["references"] = json!(null));
    assert!(engine(&job).status.success());
}
