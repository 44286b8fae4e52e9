//! Runs of a Wan model that cannot be, that failed, and that were ended half way.

use std::{fs, path::Path};

use safetensors::SafeTensors;
use serde_json::Value;

use super::wan::{case, engine, job, made, models, parts, room, tiny, words};

#[test]
fn wrong_options_of_a_model_are_refused() {
    let (room, case) = (room(), case("frames9_one"));
    for more in [
        &["--steps", "0"][..],
        &["--steps", "-3"],
        &["--shift", "0"],
        &["--shift", "nan"],
        &["--vae-tile", "33"],
        &["--dtype", "f64"],
        &["--solver", "heun"],
        &["--grid", "comfy"],
        &["--seed", "-2"],
        &["--seed", "1.5"],
    ] {
        let run = room.wanctl(&[&["join", "a.mkv", "b.mkv", "--engine", "wan"], more].concat()).fails(2);
        assert!(run.stderr.contains(more[0]) || run.stderr.contains(more[1]), "{more:?}: {}", run.stderr);
    }
    let model = tiny().display().to_string();
    let guidance = ["--model", &model, "--guidance", "1;2;3"];
    room.wanctl(&[&["join", "a.mkv", "b.mkv", "--engine", "wan"], &guidance[..]].concat()).fails(2).says("2 phases");
    room.wanctl(&["join", "a.mkv", "b.mkv", "--engine", "wan"]).fails(4).says("--model");
    room.wanctl(&["join", "a.mkv", "b.mkv", "--engine", "rife", "--prompt", "x"]).fails(2).says("--prompt");
    fs::write(room.path("prompts.txt"), "one\ntwo\n").unwrap();
    let mut words = words(&case, &models(&case));
    let prompt = words.iter().position(|word| word == "--prompt").unwrap();
    words[prompt] = "--prompts".into();
    words[prompt + 1] = "prompts.txt".into();
    room.wanctl(&words).fails(2).says("2 prompts").says("1 seam");
}

#[test]
#[ignore = "slow: three films by networks"]
fn a_picture_or_a_length_that_the_model_cannot_take_is_refused_by_the_engine() {
    let (room, case) = (room(), case("frames9_one"));
    room.wanctl(&words(&case, &models(&case))).good();
    let wanted = fs::read(job(&room).join("request.json")).unwrap();
    let wanted: Value = serde_json::from_slice(&wanted).unwrap();
    fs::remove_dir_all(room.path("runs")).unwrap();
    for (more, words_wanted) in [(["--size", "40x32"], "40x32"), (["--align", "latent"], "")] {
        let words = ["join", "a.mkv", "b.mkv", "--engine", "rife", "--gap", "4", "--context", "5", "--keep"];
        let overwrite = ["--overwrite", "--device", "cpu"];
        room.wanctl(&[&words[..], &more[..], &overwrite[..]].concat()).good();
        let job = job(&room);
        let mut request: Value = serde_json::from_slice(&fs::read(job.join("request.json")).unwrap()).unwrap();
        request["maker"] = wanted["maker"].clone();
        fs::write(job.join("request.json"), serde_json::to_vec(&request).unwrap()).unwrap();
        let output = engine(&job);
        let said = String::from_utf8_lossy(&output.stdout);
        match words_wanted {
            "" => assert!(output.status.success(), "{said}"),
            words => assert!(said.contains("cannot take") && said.contains(words), "{said}"),
        }
        fs::remove_dir_all(room.path("runs")).unwrap();
    }
}

/// Steps that are done, as the job's state says.
fn steps_done(job: &Path) -> usize {
    let file = fs::read(job.join("latents.safetensors")).unwrap();
    let (_, about) = SafeTensors::read_metadata(&file).unwrap();
    about.metadata().as_ref().unwrap()["done"].parse().unwrap()
}

#[test]
#[ignore = "slow: 120 steps of a model"]
fn a_run_that_was_killed_goes_on_at_its_step_with_the_same_bytes() {
    let case = case("frames13_two");
    let mut words = words(&case, &models(&case));
    let steps = words.iter().position(|word| word == "--steps").unwrap();
    words[steps + 1] = "60".into();
    // The seed of the killed run is the one that counts.
    let seed = words.iter().position(|word| word == "--seed").unwrap();
    words.drain(seed..seed + 2);

    let room = room();
    let mut child = room.command(&words).stdout(std::process::Stdio::null()).spawn().unwrap();
    let begun = std::time::Instant::now();
    let latents = loop {
        assert!(child.try_wait().unwrap().is_none(), "it ended before a step was done");
        assert!(begun.elapsed().as_secs() < 120, "no step was done");
        let runs = fs::read_dir(room.path("runs")).into_iter().flatten();
        let found = runs.map(|run| run.unwrap().path().join("seam_00/latents.safetensors")).find(|path| path.exists());
        match found {
            Some(path) => break path,
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!room.path("film.mkv").exists());
    // The engine finds its listener gone at its next word.
    let before = loop {
        let done = steps_done(latents.parent().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(500));
        if steps_done(latents.parent().unwrap()) == done {
            break done;
        }
    };
    assert!((1..60).contains(&before), "{before}");

    let run = room.wanctl(&[words.clone(), vec!["--resume".into()]].concat()).good().says("going on with run");
    let resumed = made(&room);
    let seed = run.event("result")["seed"].to_string();
    let whole = [words, vec!["--overwrite".into(), "--seed".into(), seed]].concat();
    room.wanctl(&whole).good();
    assert!(made(&room) == resumed);
}

#[test]
#[ignore = "slow: two seams by a model"]
fn a_decode_that_failed_repeats_nothing_else() {
    let (room, case) = (room(), case("frames9_one"));
    // Weights of its own, so that they can go.
    let text = room.path("text");
    fs::create_dir(&text).unwrap();
    for entry in fs::read_dir(tiny().join("text_encoder")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, text.join(path.file_name().unwrap())).unwrap();
    }
    let mut parts = parts(1);
    parts[2] = text.display().to_string();
    room.wanctl(&words(&case, &parts)).good();

    let job = job(&room);
    let wanted = fs::read(job.join("made.safetensors")).unwrap();
    fs::remove_file(job.join("made.safetensors")).unwrap();
    fs::remove_file(job.join("result.json")).unwrap();
    // Whoever looks for the text encoder now fails.
    fs::remove_dir_all(&text).unwrap();
    let output = engine(&job);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(fs::read(job.join("made.safetensors")).unwrap(), wanted);
}
