//! A join by a Wan image-to-video model, from the last frame of one clip to the first of the other, held to what diffusers'
//! WanImageToVideoPipeline makes of the two with the same weights (tests/fixtures/wan/make_images.py).

use std::{
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

use super::{
    harness::{Room, Run},
    wan::{as_range, change, difference, engine, expert, fixtures, job, made, parts, room, rows, with_black},
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

pub(super) fn models(room: &Room) -> Vec<String> {
    let mut words: Vec<String> = parts(2)[2..].to_vec();
    for (role, name) in [("high", "transformer"), ("low", "transformer_2")] {
        let path = room.path(format!("{role}.safetensors"));
        image_expert(name, &path);
        words.push(format!("{role}={}", path.display()));
    }
    words.into_iter().flat_map(|word| ["--model".to_owned(), word]).collect()
}

pub(super) fn case(name: &str) -> Value {
    rows("images.json").into_iter().find(|case| case["name"] == name).unwrap()
}

pub(super) fn join(room: &Room, case: &Value, more: &[&str]) -> Run {
    room.wanctl(&words(room, case, more)).good()
}

fn words(room: &Room, case: &Value, more: &[&str]) -> Vec<String> {
    let guidance: Vec<String> = case["guidance"].as_array().unwrap().iter().map(Value::to_string).collect();
    let mut words: Vec<String> = ["join", "a.mkv", "b.mkv", "--engine", "wan", "--device", "cpu"]
        .into_iter()
        .chain(["--dtype", "f32"].into_iter().filter(|_| !more.contains(&"--dtype")))
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
    words
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
fn a_range_goes_from_the_frame_before_it_to_the_frame_after_it() {
    let (room, case) = (room(), case("images9"));
    let range = with_black(&room, 7);
    let run = room.wanctl(&as_range(&words(&room, &case, &[]), &range)).good();
    let file = fs::read(fixtures().join("images.safetensors")).unwrap();
    let wanted = SafeTensors::deserialize(&file).unwrap().tensor("out.images9").unwrap().data().to_vec();
    let (most, mean) = difference(&made(&room), &wanted);
    assert!(most <= 2 && mean <= 0.05, "{most} at most, {mean} in the mean");
    let plan = &run.event("plan")["plan"];
    assert_eq!((&plan["mask_rule"], &plan["seams"][0]["used"]["context"]), (&json!("frames"), &json!([1, 1])));
    // It starts from an image.
    room.wanctl(&as_range(&words(&room, &case, &[]), "0..7")).fails(3);
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

/// Of the steps in these cases, the high expert does three and the low one does one.
const HIGH_STEPS: usize = 3;

fn text(values: impl Iterator<Item = f64>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}

/// The LoRAs of a case with their weights, as words of `--lora`.
fn loras(case: &Value) -> Vec<(PathBuf, [f64; 2])> {
    let of = |lora: &Value| {
        let file = fixtures().join(format!("{}.safetensors", lora[0].as_str().unwrap()));
        (file, [0, 1].map(|expert| lora[1][expert].as_f64().unwrap()))
    };
    case["loras"].as_array().unwrap().iter().map(of).collect()
}

/// diffusers scales a pair in f16 where its file is f16, which is the mean difference here: with the same file in f32
/// its own frames differ from these by as much.
#[track_caller]
fn equals_diffusers_with_loras(name: &str) {
    let (room, case) = (room(), case(name));
    let whole = loras(&case).into_iter().map(|(file, [high, low])| format!("{}={high};{low}", file.display()));
    // Each LoRA as two whose strengths change from step to step and add to the same: those cannot be merged.
    let halves = loras(&case).into_iter().flat_map(|(file, [high, low])| {
        let part = |step: usize| 0.3 * (step as f64 - 1.0);
        let (some, rest) = (text((0..HIGH_STEPS).map(part)), text((0..HIGH_STEPS).map(|step| high - part(step))));
        [(some, 0.6), (rest, low - 0.6)].map(|(high, low)| format!("{}={high};{low}", file.display()))
    });
    let file = fs::read(fixtures().join("images.safetensors")).unwrap();
    let wanted = SafeTensors::deserialize(&file).unwrap().tensor(&format!("out.{name}")).unwrap().data().to_vec();
    for (what, uses) in [("merged", whole.collect::<Vec<_>>()), ("beside", halves.collect())] {
        let words: Vec<&str> = uses.iter().flat_map(|lora| ["--lora", lora]).collect();
        join(&room, &case, &words);
        let (most, mean) = difference(&made(&room), &wanted);
        assert!(most <= 2 && mean <= 0.05, "{name}, {what}: {most} at most, {mean} in the mean");
    }
}

#[test]
fn a_lora_for_each_expert_is_diffusers_with_peft() {
    equals_diffusers_with_loras("images9_lora");
}

#[test]
#[ignore = "slow: two films by a model"]
fn several_loras_add_as_with_peft() {
    equals_diffusers_with_loras("images9_loras");
}

fn write(path: &Path, tensors: &[(&str, &[usize])]) {
    let bytes = vec![0; 1 << 20];
    let views = tensors.iter().map(|(name, shape)| {
        (*name, TensorView::new(Dtype::F16, shape.to_vec(), &bytes[..2 * shape.iter().product::<usize>()]).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

const DOWN: &str = "diffusion_model.blocks.0.self_attn.q.lora_down.weight";
const UP: &str = "diffusion_model.blocks.0.self_attn.q.lora_up.weight";
const ALPHA: &str = "diffusion_model.blocks.0.self_attn.q.alpha";

#[test]
fn a_lora_that_does_not_fit_is_refused_before_any_work() {
    let room = room();
    let models = models(&room);
    let mut words = vec!["join", "a.mkv", "b.mkv", "--engine", "wan", "--json", "--steps", "4", "--shift", "7"];
    words.extend(models.iter().map(String::as_str));
    for (tensors, weight, said) in [
        (
            &[(DOWN, &[4, 5120][..]), (UP, &[5120, 4])][..],
            "1",
            "mine.safetensors is made for Wan 14B, 1 blocks or more",
        ),
        (&[(DOWN, &[4, 128]), (UP, &[64, 4])], "1", "has shape [64, 4], expected [128, 4]"),
        (&[(DOWN, &[4, 128]), (UP, &[128, 4]), (ALPHA, &[])], "1", "is 0, and no LoRA is that strong"),
        (&[("elsewhere.diff", &[4])], "1", "has 1 tensor that the model has no place for: `elsewhere.diff`"),
        (
            &[("diffusion_model.blocks.0.diff_m", &[1, 6, 128])],
            "1,0.5;1",
            "cannot change its strength from step to step",
        ),
        (&[("diffusion_model.blocks.0.ffn.0.lokr_w1", &[2, 2])], "1", "mine.safetensors is a LoKr"),
    ] {
        write(&room.path("mine.safetensors"), tensors);
        let lora = format!("mine.safetensors={weight}");
        room.refuses_at_once(&[&words[..], &["--lora", &lora]].concat(), 4).with("message", said);
    }
}

#[track_caller]
fn engine_refuses(job: &Path, code: &str, words: &str) {
    let output = engine(job);
    let said = String::from_utf8_lossy(&output.stdout);
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(!output.status.success() && last["type"] == "error" && last["code"] == code, "{said}");
    assert!(last["message"].as_str().unwrap().contains(words), "{words} in {said}");
    assert!(!said.contains("\"part\""), "work was begun: {said}");
}

/// A job can be written by hand.
#[test]
fn the_engine_refuses_them_too() {
    let (room, case) = (room(), case("images9"));
    join(&room, &case, &["--keep"]);
    let job = job(&room);
    fs::remove_file(job.join("latents.safetensors")).unwrap();
    let mine = job.join("mine.safetensors");
    write(&mine, &[(DOWN, &[4, 128]), (UP, &[64, 4])]);
    let asked = |name: &str, value: Value| change(&job, |request| request["maker"]["wan"][name] = value);
    asked("loras", json!([{ "file": mine, "strengths": [1, 1, 1, 1] }]));
    engine_refuses(&job, "weights", "has shape [64, 4], expected [128, 4]");
    asked("loras", json!([{ "file": fixtures().join("lora_comfy.safetensors"), "strengths": [1, 1, 1] }]));
    engine_refuses(&job, "usage", "lora_comfy.safetensors has 3 strengths, and there are 4 steps");
    asked("loras", json!([]));
    asked("cfg_zero", json!({ "zero_steps": 4 }));
    engine_refuses(&job, "usage", "4 steps of zero leave none of 4");
}

#[test]
#[ignore = "slow: two films by a model"]
fn what_a_lora_has_for_another_models_image_is_left_out_and_told() {
    let (room, case) = (room(), case("images13_plain"));
    join(&room, &case, &[]);
    let wanted = made(&room);
    // All zeros: what is applied changes nothing either.
    let image = DOWN.replace("self_attn.q", "cross_attn.k_img");
    write(
        &room.path("mine.safetensors"),
        &[
            (DOWN, &[4, 128]),
            (UP, &[128, 4]),
            (&image, &[4, 128]),
            (&UP.replace("self_attn.q", "cross_attn.k_img"), &[128, 4]),
        ],
    );
    let run = join(&room, &case, &["--lora", "mine.safetensors=1"]);
    let told = "2 tensors of ";
    let warnings = run.events().into_iter().filter_map(|event| event["message"].as_str().map(str::to_owned));
    let warning = warnings.into_iter().find(|warning| warning.contains(told)).expect("a warning");
    assert!(
        warning.ends_with("the image's keys, values and embedding, of Wan 2.1 I2V, which this model lacks"),
        "{warning}"
    );
    assert!(made(&room) == wanted);
}

/// The tiny networks move by 1.2 of 255 in the mean; a weight packed wrongly would move them by tens.
#[test]
#[ignore = "slow: three films by a model"]
fn with_weights_in_8_bits_the_frames_stay_near() {
    let (room, case) = (room(), case("images9"));
    join(&room, &case, &[]);
    let wanted = made(&room);
    let run = join(&room, &case, &["--dtype", "fp8"]);
    let told = |run: &Run| run.stdout.contains("cpu multiplies no 8-bit numbers: the weights are held in 8 bits");
    assert!(told(&run), "{}", run.stdout);
    let packed = made(&room);
    let (most, mean) = difference(&packed, &wanted);
    println!("{most} at most, {mean} in the mean");
    assert!(mean > 0.01 && mean < 4.0, "{most} at most, {mean} in the mean");
    join(&room, &case, &["--dtype", "fp8", "--offload", "blocks"]);
    assert!(made(&room) == packed, "brought one by one");
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
#[ignore = "slow: two films by a model"]
fn layers_brought_one_by_one_make_the_same_bytes() {
    let (room, case) = (room(), case("images9"));
    join(&room, &case, &[]);
    let wanted = made(&room);
    join(&room, &case, &["--offload", "blocks"]);
    assert!(made(&room) == wanted);
}
