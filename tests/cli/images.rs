//! A join by a Wan image-to-video model, from the last frame of one clip to the first of the other, held to what diffusers'
//! WanImageToVideoPipeline makes of the two with the same weights (tests/fixtures/wan/make_images.py).

use std::{fs, path::Path};

use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

use super::{
    harness::{Room, Run},
    wan::{again, change, difference, expert, fixtures, job, made, parts, room, rows},
};

const PATCH: &str = "patch_embedding.weight";

/// The file of an expert of the tiny folder without VACE, and with this patch embedding.
fn without_vace(name: &str, patch: Option<TensorView>) -> Vec<u8> {
    let bytes = expert(name);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let own = tensors.iter().filter(|(name, _)| !name.starts_with("vace_") && (*name != PATCH || patch.is_none()));
    safetensors::serialize(own.chain(patch.clone().map(|patch| (PATCH, patch))), None).unwrap()
}

/// Writes an expert of the tiny folder as image-to-video has it.
fn image_expert(name: &str, to: &Path) {
    let images = fs::read(fixtures().join("images.safetensors")).unwrap();
    let patch = SafeTensors::deserialize(&images).unwrap().tensor("patch").unwrap();
    fs::write(to, without_vace(name, Some(patch))).unwrap();
}

fn models(room: &Room) -> Vec<String> {
    let mut words: Vec<String> = parts(2)[2..].to_vec();
    for (role, name) in [("high", "transformer"), ("low", "transformer_2")] {
        let path = room.path(format!("{role}.safetensors"));
        image_expert(name, &path);
        words.push(format!("{role}={}", path.display()));
    }
    words.into_iter().flat_map(|word| ["--model".to_owned(), word]).collect()
}

fn case(name: &str) -> Value {
    rows("images.json").into_iter().find(|case| case["name"] == name).unwrap()
}

fn join(room: &Room, case: &Value, more: &[&str]) -> Run {
    let guidance: Vec<String> = case["guidance"].as_array().unwrap().iter().map(Value::to_string).collect();
    let mut words: Vec<String> = ["join", "a.mkv", "b.mkv", "--engine", "wan", "--device", "cpu", "--dtype", "f32"]
        .into_iter()
        .chain(["--blend", "0", "--lossless", "-o", "film.mkv", "--transition", "made.mkv", "--threads", "2", "--json"])
        .chain(["--prompt", "a red balloon rises over the quiet harbour at dawn"])
        .chain(["--negative-prompt", "blurry, low quality, static frame", "--overwrite"])
        .chain(more.iter().copied())
        .map(str::to_owned)
        .collect();
    for option in ["gap", "steps", "shift", "seed"] {
        words.extend([format!("--{option}"), case[option].to_string()]);
    }
    words.extend(["--guidance".to_owned(), guidance.join(";")]);
    words.extend(models(room));
    room.wanctl(&words).good()
}

/// As close as a join by VACE is (`wan.rs`).
#[track_caller]
fn equals_diffusers(name: &str) -> Run {
    let (room, case) = (room(), case(name));
    let run = join(&room, &case, &[]);
    let file = fs::read(fixtures().join("images.safetensors")).unwrap();
    let wanted = SafeTensors::deserialize(&file).unwrap().tensor(&format!("out.{name}")).unwrap().data().to_vec();
    let (most, mean) = difference(&made(&room), &wanted);
    assert!(most <= 2 && mean <= 0.05, "{name}: {most} at most, {mean} in the mean");
    run
}

#[test]
fn from_frame_to_frame_with_guidance_is_diffusers() {
    let plan = equals_diffusers("images9").event("plan");
    let used = &plan["plan"]["seams"][0]["used"];
    assert_eq!((&used["context"], &used["gap"]), (&serde_json::json!([1, 1]), &7.into()));
}

#[test]
fn from_frame_to_frame_without_guidance_is_diffusers() {
    equals_diffusers("images13_plain");
}

/// Two LoRAs, each with a strength for each expert.
fn equals_diffusers_with_loras(name: &str) {
    let (room, case) = (room(), case(name));
    join(&room, &case, &["--keep"]);
    let strengths = |lora: &Value, request: &Value| -> Vec<Value> {
        let experts = request["maker"]["wan"]["steps"].as_array().unwrap().iter().map(|step| step["expert"] == "low");
        experts.map(|low| lora[1][usize::from(low)].clone()).collect()
    };
    let job = job(&room);
    change(&job, |request| {
        let file = |lora: &Value| fixtures().join(format!("{}.safetensors", lora[0].as_str().unwrap()));
        let uses: Vec<Value> = case["loras"]
            .as_array()
            .unwrap()
            .iter()
            .map(|lora| json!({ "file": file(lora), "strengths": strengths(lora, request) }))
            .collect();
        request["maker"]["wan"]["loras"] = uses.into();
    });
    let made = again(&job);
    let file = fs::read(fixtures().join("images.safetensors")).unwrap();
    let wanted = SafeTensors::deserialize(&file).unwrap().tensor(&format!("out.{name}")).unwrap().data().to_vec();
    let (most, mean) = difference(&made, &wanted);
    println!("{name}: {most} at most, {mean} in the mean");
    assert!(most <= 2 && mean <= 0.05, "{name}: {most} at most, {mean} in the mean");
}

#[test]
fn a_lora_for_each_expert_is_diffusers_with_peft() {
    equals_diffusers_with_loras("images9_lora");
}

#[test]
fn several_loras_add_as_with_peft() {
    equals_diffusers_with_loras("images9_loras");
}

#[test]
fn a_model_that_can_be_shown_no_clips_is_refused_before_any_work() {
    let room = room();
    fs::write(room.path("text_only.safetensors"), without_vace("transformer", None)).unwrap();
    let mut words = vec!["join", "a.mkv", "b.mkv", "--engine", "wan", "--json", "--model", "text_only.safetensors"];
    let parts = parts(1);
    words.extend(parts[1..].iter().flat_map(|part| ["--model", part]));
    room.refuses_at_once(&words, 4)
        .with("message", "text_only.safetensors is a Wan transformer of width 128 with 1 blocks and 16 input channels")
        .with("message", "wanted a transformer with VACE, or image-to-video of Wan 2.2");
}

#[test]
fn a_mask_rule_is_not_for_a_model_that_starts_and_ends_with_images() {
    let (room, mut words) =
        (room(), vec!["join", "a.mkv", "b.mkv", "--engine", "wan", "--json", "--mask-rule", "exact"]);
    let models = models(&room);
    words.extend(models.iter().map(String::as_str));
    room.refuses_at_once(&words, 2).with("help", "leave out --mask-rule");
}

#[test]
fn layers_brought_one_by_one_make_the_same_bytes() {
    let (room, case) = (room(), case("images9"));
    join(&room, &case, &[]);
    let wanted = made(&room);
    join(&room, &case, &["--offload", "blocks"]);
    assert!(made(&room) == wanted);
}
