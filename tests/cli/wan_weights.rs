//! The files that a Wan model is in: as each of its publishers has them, and those that are missing, spoiled or strange.

use std::{fs, path::Path};

use safetensors::SafeTensors;

use super::{
    harness::Room,
    wan::{case, expert, fixtures, made, models, parts, room, tiny, words},
};

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
#[ignore = "slow: four films by a model"]
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
