//! A whole join by a Wan model, held to what diffusers makes of the same clips with the same weights: tiny ones, of the
//! real architecture (tests/fixtures/wan).

use std::{
    fs,
    path::{Path, PathBuf},
};

use safetensors::SafeTensors;
use serde_json::Value;

use super::harness::{Room, Run};

const SIZE: (usize, usize) = (48, 32);

pub(super) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wan")
}

fn tiny() -> PathBuf {
    fixtures().join("tiny")
}

/// 8-bit RGB frames of join.safetensors, one after the other.
fn frames(name: &str) -> Vec<u8> {
    let file = fs::read(fixtures().join("join.safetensors")).unwrap();
    SafeTensors::deserialize(&file).unwrap().tensor(name).unwrap().data().to_vec()
}

/// The two clips of the fixture, lossless.
pub(super) fn room() -> Room {
    let room = Room::new();
    for clip in ["a", "b"] {
        fs::write(room.path(format!("{clip}.rgb")), frames(&format!("in.{clip}"))).unwrap();
        room.ffmpeg(&format!(
            "-f rawvideo -pix_fmt rgb24 -s 48x32 -r 16 -i {clip}.rgb -c:v ffv1 -pix_fmt bgr0 {clip}.mkv"
        ));
    }
    room
}

pub(super) fn rows(name: &str) -> Vec<Value> {
    serde_json::from_slice(&fs::read(fixtures().join(name)).unwrap()).unwrap()
}

fn case(name: &str) -> Value {
    rows("join.json").into_iter().find(|case| case["name"] == name).unwrap()
}

/// The command that is the case, with these weights.
pub(super) fn words(case: &Value, models: &[String]) -> Vec<String> {
    let text = |key: &str| case[key].as_str().unwrap().to_owned();
    let guidance: Vec<String> = case["guidance"].as_array().unwrap().iter().map(Value::to_string).collect();
    let mut words: Vec<String> = ["join", "a.mkv", "b.mkv", "--engine", "wan", "--device", "cpu", "--dtype", "f32"]
        .into_iter()
        .chain(["--align", "exact", "--blend", "0", "--lossless", "-o", "film.mkv", "--transition", "made.mkv"])
        .chain(["--threads", "2", "--json", "--keep"])
        .map(str::to_owned)
        .collect();
    for (option, value) in [
        ("--mode", case["mode"].as_str().unwrap_or("insert").to_owned()),
        ("--context", case["context"].to_string()),
        ("--gap", case["gap"].to_string()),
        ("--steps", case["steps"].to_string()),
        ("--shift", case["shift"].to_string()),
        ("--seed", case["seed"].to_string()),
        ("--guidance", guidance.join(";")),
        ("--prompt", text("prompt")),
        ("--negative-prompt", text("negative")),
    ] {
        words.extend([option.to_owned(), value]);
    }
    words.extend(models.iter().flat_map(|model| ["--model".to_owned(), model.clone()]));
    words
}

/// The tiny folder as files: all of it, or without the second expert.
pub(super) fn parts(experts: u64) -> Vec<String> {
    let at = |place: &str| tiny().join(place).display().to_string();
    let mut parts = match experts {
        1 => vec![at("transformer")],
        _ => vec![format!("high={}", at("transformer")), format!("low={}", at("transformer_2"))],
    };
    parts.extend([at("vae"), at("text_encoder"), at("tokenizer/tokenizer.json")]);
    parts
}

pub(super) fn models(case: &Value) -> Vec<String> {
    match case["experts"].as_u64() {
        Some(2) => vec![tiny().display().to_string()],
        _ => parts(1),
    }
}

/// The made piece, context included: 8-bit RGB.
pub(super) fn made(room: &Room) -> Vec<u8> {
    room.frames("made.mkv", "rgb24", SIZE).concat()
}

/// Largest and mean difference, of 255.
pub(super) fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let each = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = each.clone().map(u64::from).sum();
    (each.max().unwrap(), sum as f64 / a.len() as f64)
}

/// The command makes what diffusers makes: at most 2 of 255 off anywhere, and 0.05 in the mean. Rounding alone moves these
/// networks' frames by 0.004 in the mean; every fault that was tried moves them by 0.09 and more (the fixtures' README).
#[track_caller]
fn equals_diffusers(name: &str) -> (Room, Run) {
    let (room, case) = (room(), case(name));
    let run = room.wanctl(&words(&case, &models(&case))).good();
    let (most, mean) = difference(&made(&room), &frames(&format!("out.{name}")));
    assert!(most <= 2 && mean <= 0.05, "{name}: {most} at most, {mean} in the mean");
    (room, run)
}

/// Makes ab.mkv: the first clip, `gap` black frames, the second clip; where the black ones stand.
pub(super) fn with_black(room: &Room, gap: usize) -> String {
    let [a, b] = ["a.rgb", "b.rgb"].map(|name| fs::read(room.path(name)).unwrap());
    let frame = SIZE.0 * SIZE.1 * 3;
    let start = a.len() / frame;
    fs::write(room.path("ab.rgb"), [a, vec![0; gap * frame], b].concat()).unwrap();
    room.ffmpeg("-f rawvideo -pix_fmt rgb24 -s 48x32 -r 16 -i ab.rgb -c:v ffv1 -pix_fmt bgr0 ab.mkv");
    format!("{start}..{}", start + gap)
}

/// The words of a join of a.mkv and b.mkv as a range of ab.mkv.
pub(super) fn as_range(words: &[String], range: &str) -> Vec<String> {
    let gap = words.iter().position(|word| word == "--gap").unwrap();
    let rest =
        words.iter().enumerate().filter(|(n, _)| ![0, 1, 2, gap, gap + 1].contains(n)).map(|(_, word)| word.clone());
    let rest = rest.filter(|word| !["--mode", "insert"].contains(&word.as_str()));
    ["join", "ab.mkv", "--range", range].map(str::to_owned).into_iter().chain(rest).collect()
}

#[test]
fn a_range_between_two_stretches_of_a_clip_has_diffusers_frames() {
    let (room, case) = (room(), case("frames13_two"));
    let range = with_black(&room, 5);
    let run = room.wanctl(&as_range(&words(&case, &models(&case)), &range)).good();
    let (most, mean) = difference(&made(&room), &frames("out.frames13_two"));
    assert!(most <= 2 && mean <= 0.05, "{most} at most, {mean} in the mean");
    assert_eq!(run.event("plan")["plan"]["seams"][0]["used"], serde_json::json!({ "context": [4, 4], "gap": 5 }));
    // What a latent shares with a range is a hint, also at the clip's start; what is not made stays as it was.
    let own = room.frames("ab.mkv", "rgb24", SIZE);
    for range in ["0..3", "4..6"] {
        let words = as_range(&words(&case, &models(&case)), range);
        let latent = words.iter().map(|word| if word == "exact" { "latent" } else { word });
        let run = room.wanctl(&latent.chain(["--overwrite"]).collect::<Vec<_>>()).good();
        let slots = run.event("plan")["plan"]["seams"][0]["slots"].to_string();
        assert!(slots.contains("hint"), "{slots}");
        let film = room.frames("film.mkv", "rgb24", SIZE);
        let made: Vec<_> = (0..own.len()).filter(|&at| film[at] != own[at]).map(|at| at.to_string()).collect();
        let (start, end) = range.split_once("..").unwrap();
        let wanted: Vec<_> = (start.parse().unwrap()..end.parse::<usize>().unwrap()).map(|at| at.to_string()).collect();
        assert_eq!(made, wanted);
    }
}

#[test]
fn one_expert_with_guidance_makes_diffusers_frames() {
    let (_, run) = equals_diffusers("frames9_one");
    let result = run.event("result");
    assert_eq!((result["engine"].as_str(), result["seed"].as_u64()), (Some("wan"), Some(1)));
    let parts: Vec<_> = run.events().iter().filter_map(|event| event["part"].as_str().map(str::to_owned)).collect();
    assert!(parts.contains(&"denoise".to_owned()) && parts.contains(&"decode".to_owned()), "{parts:?}");
}

#[test]
fn noise_of_the_device_is_that_of_the_cpu_where_the_cpu_is_the_device() {
    let (room, case) = (room(), case("frames17_one_plain"));
    let mut words = words(&case, &models(&case));
    words.extend(["--noise", "device"].map(str::to_owned));
    room.wanctl(&words).good();
    let (most, mean) = difference(&made(&room), &frames("out.frames17_one_plain"));
    assert!(most <= 2 && mean <= 0.05, "{most} at most, {mean} in the mean");
}

#[test]
fn two_experts_with_guidance_of_their_own_make_diffusers_frames() {
    equals_diffusers("frames13_two");
}

#[test]
fn two_experts_without_guidance_make_diffusers_frames() {
    equals_diffusers("frames13_two_plain");
}

#[test]
fn one_expert_without_guidance_makes_diffusers_frames() {
    equals_diffusers("frames17_one_plain");
}

#[test]
fn a_long_seam_with_a_large_seed_makes_diffusers_frames() {
    equals_diffusers("frames21_two");
}

#[test]
fn a_replaced_seam_with_a_prompt_of_odd_characters_makes_diffusers_frames() {
    equals_diffusers("replace13");
}

#[test]
fn a_film_is_made_again_from_what_it_holds() {
    let (room, case) = (room(), case("frames9_one"));
    room.wanctl(&words(&case, &models(&case))).good();
    room.wanctl(&["join", "--task", "film.mkv", "-o", "again.mkv", "--json"]).good();
    assert!(room.frames("film.mkv", "rgb24", SIZE) == room.frames("again.mkv", "rgb24", SIZE));
}

/// A transformer's tensor as Wan's own repositories call it (wan/modules/model.py and VACE's vace_model.py).
fn original(name: &str) -> String {
    let inside = name.starts_with("blocks.") || name.starts_with("vace_blocks.");
    let swaps: &[(&str, &str)] = match inside {
        true => &[
            ("attn1.", "self_attn."),
            ("attn2.", "cross_attn."),
            ("to_out.0", "o"),
            ("to_", ""),
            ("norm2.", "norm3."),
            ("ffn.net.0.proj", "ffn.0"),
            ("ffn.net.2", "ffn.2"),
            ("scale_shift_table", "modulation"),
            ("proj_in", "before_proj"),
            ("proj_out", "after_proj"),
        ],
        false => &[
            ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
            ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
            ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
            ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
            ("condition_embedder.time_proj", "time_projection.1"),
            ("proj_out", "head.head"),
            ("scale_shift_table", "head.modulation"),
        ],
    };
    swaps.iter().fold(name.to_owned(), |name, (from, to)| name.replacen(from, to, 1))
}

/// The bytes of an expert's file in the tiny folder.
pub(super) fn expert(name: &str) -> Vec<u8> {
    let mut files = fs::read_dir(tiny().join(name)).unwrap().map(|entry| entry.unwrap().path());
    fs::read(files.find(|path| path.extension().is_some_and(|end| end == "safetensors")).unwrap()).unwrap()
}

/// Writes an expert of the tiny folder once more: the tensors that `rename` names, and under what name.
fn rewrite(name: &str, to: &Path, rename: impl Fn(&str) -> Option<String>) {
    let bytes = expert(name);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let renamed = tensors.iter().filter_map(|(name, view)| Some((rename(name)?, view)));
    fs::write(to, safetensors::serialize(renamed, None).unwrap()).unwrap();
}

/// Both experts rewritten by `rename` into files that `suffix` tells apart, as words of `--model`.
fn experts(room: &Room, suffix: &str, rename: impl Fn(&str) -> Option<String>) -> Vec<String> {
    [("high", "transformer"), ("low", "transformer_2")]
        .map(|(role, expert)| {
            let path = room.path(format!("{role}{suffix}.safetensors"));
            rewrite(expert, &path, &rename);
            format!("{role}={}", path.display())
        })
        .to_vec()
}

#[test]
fn original_comfy_and_module_files_give_the_bytes_of_the_diffusers_folder() {
    let (room, case) = (room(), case("frames13_two"));
    room.wanctl(&words(&case, &models(&case))).good();
    let wanted = made(&room);

    let tokenizer = tiny().join("tokenizer/tokenizer.json").display().to_string();
    let pickles = ["vae.pth", "text.pth"].map(|name| fixtures().join("pickles").join(name).display().to_string());
    let rest: Vec<String> = pickles.into_iter().chain([tokenizer]).collect();
    let is_vace = |name: &str| name.starts_with("vace_");
    let module = |name: &str| is_vace(name).then(|| original(name));
    let base = |name: &str| (!is_vace(name)).then(|| original(name));
    for (what, experts) in [
        ("original", experts(&room, "", |name| Some(original(name)))),
        ("comfy", experts(&room, "_comfy", |name| Some(format!("model.diffusion_model.{}", original(name))))),
        ("modules", [experts(&room, "_base", base), experts(&room, "_module", module)].concat()),
    ] {
        let words = words(&case, &[experts, rest.clone()].concat());
        room.wanctl(&[words, vec!["--overwrite".into()]].concat()).good();
        assert!(made(&room) == wanted, "{what}");
    }
}

#[test]
fn several_seams_in_one_start_are_each_what_they_are_alone() {
    let (room, case) = (room(), case("frames13_two"));
    let mut words = words(&case, &models(&case));
    words.insert(3, "a.mkv".into());
    room.wanctl(&words).good();
    let first = room.frames("made_1.mkv", "rgb24", SIZE).concat();
    let (most, mean) = difference(&first, &frames("out.frames13_two"));
    assert!(most <= 2 && mean <= 0.05, "{most} at most, {mean} in the mean");

    let second = room.frames("made_2.mkv", "rgb24", SIZE).concat();
    words.remove(1);
    words.push("--overwrite".into());
    room.wanctl(&words).good();
    assert!(made(&room) == second, "the second seam");
}

/// The job folder of the only run.
pub(super) fn job(room: &Room) -> PathBuf {
    let mut runs = fs::read_dir(room.path("runs")).unwrap();
    runs.next().unwrap().unwrap().path().join("seam_00")
}

/// Asks something else of a job.
pub(super) fn change(job: &Path, change: impl FnOnce(&mut Value)) {
    let path = job.join("request.json");
    let mut request = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut request);
    fs::write(&path, serde_json::to_vec(&request).unwrap()).unwrap();
}

/// What the engine says to a job, where and how these tests' joins have theirs done.
pub(super) fn engine(job: &Path) -> std::process::Output {
    let place = ["--device", "cpu", "--threads", "2"];
    std::process::Command::new(env!("CARGO_BIN_EXE_wanctl-engine")).args(place).arg(job).output().unwrap()
}

/// Steps that are done, as the job's state says.
fn steps_done(job: &Path) -> usize {
    let file = fs::read(job.join("latents.safetensors")).unwrap();
    let (_, about) = SafeTensors::read_metadata(&file).unwrap();
    about.metadata().as_ref().unwrap()["done"].parse().unwrap()
}

#[test]
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

/// The case with an expert that was spoiled; its error.
#[track_caller]
fn spoiled(rename: impl Fn(&str) -> Option<String>, words_wanted: &[&str]) {
    let (room, case) = (room(), case("frames9_one"));
    let path = room.path("spoiled.safetensors");
    rewrite("transformer", &path, rename);
    let mut parts = parts(1);
    parts[0] = path.display().to_string();
    let mut run = room.wanctl(&words(&case, &parts)).fails(4);
    for words in words_wanted {
        run = run.says(words);
    }
    assert!(!room.path("film.mkv").exists());
}

#[test]
fn a_missing_and_a_strange_tensor_are_named() {
    let gone = "blocks.0.attn1.to_q.weight";
    spoiled(|name| (name != gone).then(|| name.to_owned()), &[gone, "spoiled.safetensors"]);
    let strange = |name: &str| Some(name.replace("blocks.0.attn1.to_q.bias", "blocks.0.attn1.to_q.shadow"));
    spoiled(strange, &["blocks.0.attn1.to_q"]);
}

#[test]
fn another_architecture_is_called_by_its_name() {
    let t2v = |name: &str| (!name.starts_with("vace_")).then(|| name.to_owned());
    spoiled(t2v, &["VACE", "transformer"]);
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let (room, case) = (room(), case("frames9_one"));
    let path = room.path("nan.safetensors");
    rewrite("transformer", &path, |name| Some(name.to_owned()));
    let mut bytes = fs::read(&path).unwrap();
    // The last tensor's last number, in f16.
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&[0x00, 0x7e]);
    fs::write(&path, bytes).unwrap();
    let mut parts = parts(1);
    parts[0] = path.display().to_string();
    room.wanctl(&words(&case, &parts)).fails(4).says("nan.safetensors");
}

#[test]
fn what_is_missing_of_a_model_is_told_before_any_work() {
    let (room, case) = (room(), case("frames9_one"));
    for (part, words_wanted) in [(0, "transformer"), (1, "VAE"), (2, "text encoder"), (3, "tokenizer")] {
        let mut parts = parts(1);
        parts.remove(part);
        room.wanctl(&words(&case, &parts)).fails(4).says("missing").says(words_wanted);
    }
    let mut parts = parts(2);
    parts.remove(1);
    room.wanctl(&words(&case, &parts)).fails(4).says("low-noise expert");
    assert!(!room.path("runs").exists(), "nothing was begun");
}

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
fn numbers_that_overflow_stop_the_run_with_the_step() {
    let (room, case) = (room(), case("frames9_one"));
    let mut bytes = expert("transformer");
    let place = {
        let (header, about) = SafeTensors::read_metadata(&bytes).unwrap();
        let (from, to) = about.info("blocks.0.ffn.net.2.weight").unwrap().data_offsets;
        8 + header + from..8 + header + to
    };
    // 65504, the largest that f16 has.
    bytes[place].chunks_exact_mut(2).for_each(|number| number.copy_from_slice(&[0xff, 0x7b]));
    let path = room.path("loud.safetensors");
    fs::write(&path, bytes).unwrap();
    let mut parts = parts(1);
    parts[0] = path.display().to_string();
    let mut words = words(&case, &parts);
    let dtype = words.iter().position(|word| word == "--dtype").unwrap();
    words[dtype + 1] = "f16".into();
    room.wanctl(&words).fails(9).says("step 1 of 3").says("not finite").says("--dtype bf16 or f32");
    assert!(!room.path("film.mkv").exists());
}

#[test]
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
