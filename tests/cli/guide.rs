//! What the engine would be shown: two videos that say exactly what is known, a plan, and a sheet.

use std::fs;

use serde_json::Value;

use super::{
    harness::{Room, psnr},
    material::{Size, shown},
};

const REAL: Size = (160, 90);

/// Checks one seam's folder against the plan and the clips' own luma.
#[track_caller]
fn assert_drawn(room: &Room, folder: &str, plan: &Value, seam: usize, lumas: &[Vec<Vec<u8>>], size: Size) {
    let slots = shown(&plan["seams"][seam]);
    let guide = room.frames(&format!("{folder}/guide.mp4"), "rgb24", size);
    let luma = room.frames(&format!("{folder}/guide.mp4"), "yuv420p", size);
    let mask = room.frames(&format!("{folder}/mask.mp4"), "rgb24", size);
    assert_eq!((guide.len(), mask.len()), (slots.len(), slots.len()));
    for (index, slot) in slots.iter().enumerate() {
        let wanted = if slot.is_some() { 0 } else { 255 };
        assert!(mask[index].iter().all(|&sample| sample == wanted), "mask {index} is not all {wanted}");
        match *slot {
            None => assert!(guide[index].iter().all(|sample| [127, 128].contains(sample)), "guide {index} is not grey"),
            Some((input, frame)) => {
                let like = psnr(&luma[index][..size.0 * size.1], &lumas[input][frame]);
                assert!(like >= 45.0, "guide {index} is only {like} dB like {frame} of clip {input}");
            }
        }
    }
    for video in ["guide.mp4", "mask.mp4"] {
        let stream = room.stream(&format!("{folder}/{video}"), "v");
        assert_eq!((&stream["r_frame_rate"], &stream["color_range"]), (&plan["fps"], &"tv".into()));
        assert_eq!(stream["nb_frames"], slots.len().to_string());
    }
    let sheet = room.stream(&format!("{folder}/sheet.png"), "v");
    assert_eq!(sheet["codec_name"], "png");
    let side = |key: &str| sheet[key].as_u64().unwrap();
    assert!((400..=8000).contains(&side("width")) && (100..=16000).contains(&side("height")), "{sheet}");
}

fn lumas(room: &Room, clips: &[&str], size: Size) -> Vec<Vec<Vec<u8>>> {
    let luma = |frame: Vec<u8>| frame[..size.0 * size.1].to_vec();
    clips.iter().map(|clip| room.frames(clip, "yuv420p", size).into_iter().map(luma).collect()).collect()
}

fn plan_in(room: &Room, folder: &str) -> Value {
    serde_json::from_slice(&fs::read(room.path(format!("{folder}/plan.json"))).unwrap()).unwrap()
}

#[test]
#[ignore = "slow: four guides, read frame by frame"]
fn a_guide_shows_what_the_plan_says_in_every_mode() {
    let room = Room::new();
    room.real_pair();
    let lumas = lumas(&room, &["a.mp4", "b.mp4"], REAL);
    // Right contexts that the clip cannot fill are repeated to the end of their latent.
    room.ffmpeg("-i b.mp4 -frames:v 3 -c:v libx264 -preset ultrafast -qp 0 -an short.mp4");
    let all = [lumas.clone(), vec![lumas[0].clone(), lumas[1][..3].to_vec()]];
    for (words, lumas) in [
        ("a.mp4 b.mp4", &all[0]),
        ("a.mp4 b.mp4 --mode replace --align exact", &all[0]),
        ("a.mp4 b.mp4 --anchors --gap 16", &all[0]),
        ("a.mp4 short.mp4 --gap 8", &all[1]),
    ] {
        let run = room.run(&format!("guide {words} -o drawn --overwrite")).good();
        assert_eq!(run.stdout, "drawn\n");
        let plan = plan_in(&room, "drawn");
        let dry = room.run(&format!("join {words} --dry-run --json")).good();
        assert_eq!(plan, dry.event("plan")["plan"], "{words}");
        assert_drawn(&room, "drawn", &plan, 0, lumas, REAL);
        let mut files: Vec<_> =
            fs::read_dir(room.path("drawn")).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["guide.mp4", "mask.mp4", "plan.json", "sheet.png"]);
    }
    let repeated = plan_in(&room, "drawn")["seams"][0]["slots"].to_string();
    assert!(repeated.contains("repeat"), "{repeated}");
}

#[test]
fn several_seams_have_a_folder_each() {
    let room = Room::new();
    room.real_pair();
    let lumas = lumas(&room, &["a.mp4", "b.mp4"], REAL);
    let run = room.run("guide a.mp4 b.mp4 --loop --gap 8 --fps 24 --json").good();
    let (plan, result) = (plan_in(&room, "a_guide_b"), run.event("result"));
    assert_eq!(plan["fps"], "24/1");
    assert_eq!(
        (&result["output"], &result["frames"], &result["fps"]),
        (&"a_guide_b".into(), &50.into(), &"24/1".into())
    );
    // At 24 fps the frame on the screen is counted by its time.
    let picked = |clip: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let count = (clip.len() as f64 / 25.0 * 24.0).round() as usize;
        (0..count)
            .map(|n| clip[(((n as f64 + 0.5) / 24.0 * 25.0).ceil() as usize - 1).min(clip.len() - 1)].clone())
            .collect()
    };
    let lumas: Vec<_> = lumas.iter().map(|clip| picked(clip)).collect();
    for seam in 0..2 {
        assert_drawn(&room, &format!("a_guide_b/seam_0{}", seam + 1), &plan, seam, &lumas, REAL);
    }
    assert!(!room.path("a_guide_b/guide.mp4").exists());
}

#[test]
fn an_existing_folder_is_refused_and_replaced_when_asked() {
    let room = Room::new();
    room.numbered("a.mp4", 20, 12, "25");
    let kept = |name: &str| fs::read(room.path(name)).unwrap();
    room.run("guide a.mp4 a.mp4 --gap 4 -o mine").good();
    let first = kept("mine/plan.json");
    room.run("guide a.mp4 a.mp4 --gap 8 -o mine").fails(8).says("mine exists already").says("--overwrite");
    assert!(kept("mine/plan.json") == first);
    room.run("guide a.mp4 a.mp4 --gap 8 -o mine --overwrite").good();
    assert!(kept("mine/plan.json") != first);
    assert_eq!(room.files(), ["a.mp4", "mine"]);
    // A folder that no guide wrote is nobody's to delete.
    fs::create_dir(room.path("photos")).unwrap();
    fs::write(room.path("photos/old.txt"), "old").unwrap();
    room.run("guide a.mp4 a.mp4 --gap 4 -o photos --overwrite").fails(8).says("photos");
    assert!(room.path("photos/old.txt").exists());
    fs::remove_dir_all(room.path("photos")).unwrap();
    // A run that fails leaves what stood there.
    room.run("guide a.mp4 nix.mp4 -o mine --overwrite").fails(3);
    assert!(room.path("mine/sheet.png").exists());
    room.run("guide a.mp4 a.mp4 --gap 4 -o no/where").fails(8).says("no does not exist");
    fs::write(room.path("file"), "mine").unwrap();
    room.run("guide a.mp4 a.mp4 --gap 4 -o file --overwrite").fails(8);
    assert_eq!(room.files(), ["a.mp4", "file", "mine"]);
}

#[test]
#[ignore = "slow: three guides, read frame by frame"]
fn odd_sizes_and_every_colour_coding_are_drawn_right() {
    let room = Room::new();
    room.real_pair();
    // 853x480 is what broke the worker that this program follows.
    room.ffmpeg("-i a.mp4 -frames:v 12 -vf scale=853:480 -c:v ffv1 -an odd.mkv");
    room.run("guide odd.mkv odd.mkv --gap 4 --context 5 -o odd").good().says("852x480");
    room.ffmpeg("-i odd.mkv -vf crop=852:480:0:0:exact=1 -c:v ffv1 even.mkv");
    let own = lumas(&room, &["even.mkv", "even.mkv"], (852, 480));
    assert_drawn(&room, "odd", &plan_in(&room, "odd"), 0, &own, (852, 480));
    let coded = [
        ("full.mp4", "-vf scale=out_range=pc -pix_fmt yuvj420p -c:v libx264 -preset ultrafast -qp 0"),
        (
            "hd.mp4",
            "-vf scale=out_color_matrix=bt709 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -qp 0 -colorspace bt709",
        ),
    ];
    for (name, words) in coded {
        room.ffmpeg(&format!("-i a.mp4 -frames:v 12 -an {words} {name}"));
        room.run(&format!("guide {name} {name} --gap 4 --context 5 -o {name}.guide")).good();
        // In limited range whatever the clip has, as the conversion of the same frames would give.
        let limited = format!("limited {name}.mkv");
        let convert = "scale=out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p";
        room.ffmpeg_words(&["-i", name, "-vf", convert, "-c:v", "ffv1", &limited]);
        let own = lumas(&room, &[&limited, &limited], REAL);
        assert_drawn(&room, &format!("{name}.guide"), &plan_in(&room, &format!("{name}.guide")), 0, &own, REAL);
    }
    let matrix = room.stream("hd.mp4.guide/guide.mp4", "v")["color_space"].clone();
    assert_eq!(matrix, "bt709");
}
