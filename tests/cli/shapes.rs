//! Clips of other sizes, shapes and rates than the film's: where each pixel and each frame comes to stand.

use super::{
    harness::{Room, psnr},
    material::{EXACT, SMALL, Size, assert_near, boxed, bright_box, flat_yuv},
};

const GREY: [u8; 3] = [110; 3];
const WHITE: [u8; 3] = [250; 3];

/// Twelve grey frames with a white box.
fn marked(room: &Room, name: &str, size: Size, mark: [usize; 4], words: &str) {
    let frames = vec![boxed(size, GREY, WHITE, mark); 12];
    room.raw_clip(name, "rgb24", size, "25", &frames, &format!("-pix_fmt yuv420p {EXACT} {words}"));
}

#[test]
#[ignore = "slow: six films"]
fn a_clip_of_another_size_is_cropped_padded_or_stretched_in_place() {
    let room = Room::new();
    room.numbered("a.mp4", 60, 12, "25");
    marked(&room, "square.mp4", (96, 96), [36, 36, 60, 60], "");
    marked(&room, "wide.mp4", (160, 60), [60, 20, 100, 40], "");
    marked(&room, "tiny.mp4", (32, 18), [8, 4, 24, 14], "");
    // Of 96x96 the middle 96x54 stays, of 160x60 the middle 106x60; 32x18 has the film's shape.
    let cases = [
        ("square.mp4", "crop", [24, 10, 40, 27], [0, 0, 64, 36]),
        ("square.mp4", "pad", [28, 14, 37, 23], [14, 0, 50, 36]),
        ("square.mp4", "stretch", [24, 13, 40, 23], [0, 0, 64, 36]),
        ("wide.mp4", "crop", [20, 12, 44, 24], [0, 0, 64, 36]),
        ("wide.mp4", "pad", [24, 14, 40, 22], [0, 6, 64, 30]),
        ("tiny.mp4", "crop", [16, 8, 48, 28], [0, 0, 64, 36]),
    ];
    for (clip, fit, white, picture) in cases {
        let (_, run) = room.joined(&format!("a.mp4 {clip} --fit {fit} --gap 4 --lossless --overwrite -o film.mkv"));
        let warning = run.event("warning");
        assert_eq!((&warning["code"], &warning["file"]), (&"resized".into(), &clip.into()));
        let film = room.frames("film.mkv", "rgb24", SMALL);
        assert_eq!(film.len(), 28);
        // The last frame is the clip's own, the one before the first made one is a's, one made is nearly the clip's.
        assert_near(bright_box(&film[27], SMALL, 180), white, 1);
        assert_near(bright_box(&film[27], SMALL, 50), picture, 1);
        assert_near(bright_box(&film[15], SMALL, 180), white, 1);
    }
}

#[test]
fn the_film_can_have_a_size_of_its_own() {
    let room = Room::new();
    marked(&room, "a.mp4", SMALL, [16, 9, 48, 27], "");
    let (plan, _) = room.joined("a.mp4 a.mp4 --gap 4 --size 128x72 -o big.mp4");
    assert_eq!((&plan["size"], &plan["made_size"]), (&serde_json::json!([128, 72]), &serde_json::json!([128, 72])));
    let film = room.frames("big.mp4", "rgb24", (128, 72));
    for frame in [0, 14, 27] {
        assert_near(bright_box(&film[frame], (128, 72), 180), [32, 18, 96, 54], 1);
    }
    room.run("join a.mp4 a.mp4 --gap 4 --size 50x50 --fit pad -o square.mp4").good();
    let film = room.frames("square.mp4", "rgb24", (50, 50));
    assert_near(bright_box(&film[27], (50, 50), 180), [12, 18, 38, 32], 1);
    assert_near(bright_box(&film[27], (50, 50), 50), [0, 10, 50, 38], 1);
}

#[test]
#[ignore = "slow: four films"]
fn pixel_aspect_and_rotation_are_applied_first() {
    let room = Room::new();
    marked(&room, "narrow.mp4", (48, 36), [12, 9, 36, 27], "-vf setsar=4/3");
    marked(&room, "flat.mp4", (64, 18), [16, 4, 48, 14], "-vf setsar=1/2");
    marked(&room, "upright.mp4", (36, 64), [0, 0, 18, 16], "");
    for (degrees, name) in [(90, "turned.mp4"), (180, "over.mp4")] {
        room.ffmpeg(&format!("-i upright.mp4 -c copy -metadata:s:v rotate={degrees} {name}"));
    }
    for (clip, size, white) in [
        ("narrow.mp4", SMALL, [16, 9, 48, 27]),
        ("flat.mp4", SMALL, [16, 8, 48, 28]),
        // As ffmpeg itself shows it.
        ("turned.mp4", SMALL, bright_box(&room.frames("turned.mp4", "rgb24", SMALL)[0], SMALL, 180)),
        ("over.mp4", (36, 64), [18, 48, 36, 64]),
    ] {
        room.run(&format!("join {clip} narrow.mp4 --gap 4 --overwrite -o film.mp4")).good();
        let stream = room.stream("film.mp4", "v");
        assert_eq!((stream["width"].as_u64(), stream["height"].as_u64()), (Some(size.0 as u64), Some(size.1 as u64)));
        assert!(stream["sample_aspect_ratio"].as_str().is_none_or(|aspect| aspect == "1:1"), "{stream}");
        assert!(stream["side_data_list"].is_null() && stream["tags"]["rotate"].is_null(), "{stream}");
        let film = room.frames("film.mp4", "rgb24", size);
        assert_near(bright_box(&film[0], size, 180), white, 1);
        if size == SMALL {
            // The second clip fits as it is shown, too, and so does what is made beside it.
            assert_near(bright_box(&film[27], size, 180), [16, 9, 48, 27], 1);
            assert_near(bright_box(&film[15], size, 180), [16, 9, 48, 27], 2);
        }
    }
}

#[test]
#[ignore = "slow: two films of 853x480"]
fn an_odd_size_loses_its_last_column_with_a_word_and_keeps_it_when_lossless() {
    let room = Room::new();
    const ODD: Size = (853, 480);
    let frames: Vec<_> = (0..3)
        .map(|n| {
            let plane = |width: usize, height: usize, by: usize| {
                (0..width * height).map(move |at| (40 + (at % width / 5 * by + at / width / 4 + n * 9) % 150) as u8)
            };
            plane(853, 480, 1).chain(plane(427, 240, 2)).chain(plane(427, 240, 3)).collect()
        })
        .collect();
    room.raw_clip("odd.mkv", "yuv420p", ODD, "25", &frames, "-c:v ffv1");
    let line = "4:2:0 video cannot hold 853x480, so the film is 852x480; --lossless keeps all of it";
    let run = room.run("join odd.mkv odd.mkv --gap 4 --context 1 --crf 0 -o film.mp4").good().says(line);
    assert_eq!(run.stderr.matches("853").count(), 1, "{}", run.stderr);
    let film = room.frames("film.mp4", "yuv420p", (852, 480));
    let columns = |plane: &[u8], width: usize| -> Vec<u8> {
        plane.chunks(width).flat_map(|row| &row[..width / 2 * 2]).copied().collect()
    };
    let halves = |plane: &[u8]| -> Vec<u8> { plane.chunks(427).flat_map(|row| &row[..426]).copied().collect() };
    for (index, at) in [(0, 0), (1, 1), (2, 2), (0, 7), (1, 8), (2, 9)] {
        let (luma, colour) = frames[index].split_at(853 * 480);
        assert!(film[at][..852 * 480] == columns(luma, 853), "luma of frame {at}");
        assert!(film[at][852 * 480..] == halves(colour), "colour of frame {at}");
    }
    // What is made lies beside it, at the same place and size.
    assert!(psnr(&film[3], &film[2]) > 15.0);
    let run = room.run("join odd.mkv odd.mkv --gap 4 --context 1 --lossless -o film.mkv").good();
    assert!(!run.stderr.contains("853"), "{}", run.stderr);
    assert!(room.frames("film.mkv", "rgb24", ODD)[..3] == room.rgb("odd.mkv", "bt601", "tv", ODD));
}

/// Which frame of a clip stands on the screen in the middle of each frame of the film.
fn on_screen(times: &[f64], fps: f64, film_frames: usize) -> Vec<u8> {
    let at = |n: usize| times.iter().rposition(|&time| time < (n as f64 + 0.5) / fps).unwrap() as u8;
    (0..film_frames).map(at).collect()
}

#[test]
#[ignore = "slow: five films"]
fn a_clip_at_another_rate_is_resampled_by_its_timestamps() {
    let room = Room::new();
    let cases = [
        ("30", 30.0, "25", 25.0),
        ("25", 25.0, "30", 30.0),
        ("24", 24.0, "24000/1001", 24.0 / 1.001),
        ("60", 60.0, "24", 24.0),
    ];
    for (from, rate, to, film_rate) in cases {
        room.numbered("a.mp4", 200, 8, to);
        room.numbered("b.mp4", 20, 40, from);
        let (plan, run) = room.joined("a.mp4 b.mp4 --gap 4 --crf 0 --overwrite");
        let count = (40.0_f64 / rate * film_rate).round() as usize;
        assert_eq!(plan["inputs"][1]["resampled_frames"], count);
        assert_eq!(run.event("warning")["code"], "resampled");
        let times: Vec<f64> = (0..40).map(|n| f64::from(n) / rate).collect();
        let wanted = on_screen(&times, film_rate, count);
        let found: Vec<u8> = room.numbers("a_join_b.mp4", SMALL)[12..].iter().map(|luma| luma - 20).collect();
        assert_eq!(found, wanted, "{from} to {to}");
    }
    // The film's rate may be another than the first clip's, too.
    room.run("join b.mp4 b.mp4 --gap 4 --fps 30 --crf 0 -o thirty.mp4").good();
    let found = room.numbers("thirty.mp4", SMALL);
    assert_eq!(found[..20], (0..20).map(|n| 20 + 2 * n).collect::<Vec<u8>>());
    assert_eq!(found.len(), 44);
}

#[test]
fn a_clip_of_variable_rate_is_resampled_with_a_word() {
    let room = Room::new();
    let frames: Vec<_> = (0..41).map(|n| flat_yuv(20 + n, SMALL)).collect();
    // Every frame stands where it stood, but two of seven are gone: the one before stays on the screen for longer.
    let thin = r"-vf select=not(eq(mod(n\,7)\,3)+eq(mod(n\,7)\,4)) -fps_mode vfr";
    for name in ["v.mkv", "v.mp4"] {
        room.raw_clip(name, "yuv420p", SMALL, "25", &frames, &format!("{thin} {EXACT}"));
    }
    room.numbered("a.mp4", 200, 8, "25");
    let left: Vec<u8> = (0..41).filter(|n| ![3, 4].contains(&(n % 7))).collect();
    let wanted: Vec<u8> = (0..41).map(|n| 20 + *left.iter().rfind(|&&frame| frame <= n).unwrap()).collect();
    let words = "was resampled to a constant 25 fps by its timestamps";
    room.run("join a.mp4 v.mkv --gap 4 --crf 0 -o film.mp4").good().says(words);
    assert_eq!(room.numbers("film.mp4", SMALL)[12..], wanted);
    // As the first clip it sets the rate.
    room.run("join v.mp4 a.mp4 --gap 4 --crf 0 --overwrite -o film.mp4").good().says(words);
    assert_eq!(room.stream("film.mp4", "v")["r_frame_rate"], "25/1");
    assert_eq!(room.numbers("film.mp4", SMALL)[..41], wanted);
}
