//! Journeys by Wan models: image-to-video held to what diffusers' WanImageToVideoPipeline makes of the same two images
//! (tests/fixtures/wan/make_images.py), VACE and chained segments by what must hold of them.

use std::fs;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::{
    harness::{Room, Run},
    images,
    wan::{difference, fixtures, parts, room},
};

const SIZE: (usize, usize) = (48, 32);

/// The images that the fixture's cases go from and to.
fn pictures() -> Room {
    let room = room();
    for (clip, frame) in [("a", 9), ("b", 0)] {
        room.material(&format!("{clip}.png"), &format!("frame {frame} of the fixture's in.{clip}"), || {
            room.ffmpeg(&format!(r"-i {clip}.mkv -vf select=eq(n\,{frame}) -frames:v 1 -pix_fmt rgb24 {clip}.png"));
        });
    }
    room
}

fn travel(room: &Room, images: &str, case: &Value, models: Vec<String>, more: &str) -> Run {
    let guidance: Vec<String> = case["guidance"].as_array().unwrap().iter().map(Value::to_string).collect();
    let mut words: Vec<String> =
        format!("travel {images} --engine wan --device cpu --dtype f32 --lossless --threads 2")
            .split(' ')
            .chain("--json --overwrite -o film.mkv".split(' '))
            .chain(more.split(' ').filter(|word| !word.is_empty()))
            .chain(["--prompt", "a red balloon rises over the quiet harbour at dawn"])
            .chain(["--negative-prompt", "blurry, low quality, static frame"])
            .map(str::to_owned)
            .collect();
    for option in ["steps", "shift", "seed"] {
        words.extend([format!("--{option}"), case[option].to_string()]);
    }
    words.extend(["--guidance".to_owned(), guidance.join(";")]);
    words.extend(models);
    room.wanctl(&words).good()
}

fn film(room: &Room) -> Vec<Vec<u8>> {
    room.frames("film.mkv", "rgb24", SIZE)
}

#[track_caller]
fn equals_diffusers(name: &str, frames: usize) {
    let (room, case) = (pictures(), images::case(name));
    let run = travel(&room, "a.png b.png", &case, images::models(&room), &format!("--frames {frames}"));
    let file = fs::read(fixtures().join("images.safetensors")).unwrap();
    let wanted = SafeTensors::deserialize(&file).unwrap().tensor(&format!("out.{name}")).unwrap().data().to_vec();
    let (most, mean) = difference(&film(&room).concat(), &wanted);
    assert!(most <= 2 && mean <= 0.05, "{name}: {most} at most, {mean} in the mean");
    let plan = &run.event("plan")["plan"];
    assert_eq!(plan["mask_rule"], json!("frames"));
    assert_eq!(plan["keys"], json!([{ "input": 0, "frame": 0 }, { "input": 1, "frame": frames - 1 }]));
}

#[test]
fn from_image_to_image_with_guidance_is_diffusers() {
    equals_diffusers("images9", 9);
}

#[test]
fn from_image_to_image_without_guidance_is_diffusers() {
    equals_diffusers("images13_plain", 13);
}

/// Nothing of what another segment is shown or how many there are comes into a segment that stands by itself.
#[test]
#[ignore = "slow: three segments by a model"]
fn the_first_of_several_segments_is_what_it_is_alone() {
    let (room, case) = (pictures(), images::case("images13_plain"));
    travel(&room, "a.png b.png", &case, images::models(&room), "--frames 13");
    let alone = film(&room);
    let run = travel(&room, "a.png b.png a.png", &case, images::models(&room), "--frames 13 --seed-mode increment");
    let both = film(&room);
    assert_eq!((alone.len(), both.len()), (13, 25));
    assert!(both[..13] == alone[..], "the first segment");
    assert_eq!(run.event("plan")["plan"]["seams"].as_array().unwrap().len(), 2);
}

/// What is carried over is shown to the next segment: with more of it the model is told to keep more, and another film
/// comes of it.
#[test]
fn a_chained_segment_goes_on_from_the_frames_before_it() {
    let (room, case) = (pictures(), images::case("images13_plain"));
    let run = travel(&room, "a.png b.png a.png", &case, images::models(&room), "--frames 13 --overlap 4");
    let plan = &run.event("plan")["plan"];
    assert_eq!(plan["seams"][1]["slots"][0], json!({ "carry": { "gap": 0, "frames": [8, 12] } }));
    assert_eq!(plan["seams"][1]["guide_frames"], json!(17));
    let chained = film(&room);
    travel(&room, "a.png b.png a.png", &case, images::models(&room), "--frames 13");
    let apart = film(&room);
    assert_eq!((chained.len(), apart.len()), (25, 25));
    assert!(chained[..8] == apart[..8], "before what is carried over nothing differs");
    assert!(chained[13..] != apart[13..], "the second segment is shown more");
}

#[test]
fn a_vace_model_is_told_to_keep_whole_latents_at_both_ends() {
    let (room, case) = (pictures(), json!({ "guidance": [1.0], "steps": 2, "shift": 5, "seed": 3 }));
    let models: Vec<String> = parts(1).into_iter().flat_map(|word| ["--model".to_owned(), word]).collect();
    let run = travel(&room, "a.png b.png", &case, models, "--frames 13");
    let latents = &run.event("plan")["plan"]["seams"][0]["latents"];
    let masks: Vec<&str> = latents.as_array().unwrap().iter().map(|latent| latent["mask"].as_str().unwrap()).collect();
    assert_eq!(masks, ["keep", "generate", "generate", "keep"]);
    assert_eq!(film(&room).len(), 13);
}
