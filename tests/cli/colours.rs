//! Colours: tags that say what is in the file, and pictures that come back as they went in.

use super::{harness::Room, material::Size};

const LOW: Size = (128, 36);

/// 578 lines are high definition by the rule for clips without tags, and cheap.
const TALL: Size = (128, 578);

/// Eight bars, an eighth of the picture wide.
const BARS: [[u8; 3]; 8] =
    [[191, 191, 191], [191, 191, 0], [0, 191, 191], [0, 191, 0], [191, 0, 191], [191, 0, 0], [0, 0, 191], [40, 90, 30]];

/// Nine frames of bars, coded with this matrix and range and told so by `words` alone.
fn bars(room: &Room, name: &str, size: Size, matrix: &str, words: &str) {
    let row: Vec<u8> = (0..size.0).flat_map(|x| BARS[x * 8 / size.0]).collect();
    let frames = vec![row.repeat(size.1); 9];
    let convert = format!("-vf scale=flags=accurate_rnd+full_chroma_int:out_color_matrix={matrix}");
    room.raw_clip(name, "rgb24", size, "25", &frames, &format!("{convert} {words}"));
}

const X264: &str = "-c:v libx264 -preset ultrafast -crf 4";

/// Every frame of the film shows the bars, kept and made alike, to within `by` levels in the middle of each bar.
#[track_caller]
fn assert_bars(room: &Room, film: &str, size: Size, frames: usize, by: u8) {
    let decoded = room.frames(film, "rgb24", size);
    assert_eq!(decoded.len(), frames);
    for (index, frame) in decoded.iter().enumerate() {
        for (bar, colour) in BARS.iter().enumerate() {
            let at = (size.1 / 2 * size.0 + (bar * 2 + 1) * size.0 / 16) * 3;
            let found = &frame[at..at + 3];
            let off = found.iter().zip(colour).map(|(found, wanted)| found.abs_diff(*wanted)).max().unwrap();
            assert!(off <= by, "{film}, frame {index}, bar {bar}: {found:?} instead of {colour:?}");
        }
    }
}

#[test]
#[ignore = "slow: six films"]
fn the_film_is_tagged_as_its_first_clip_is_coded() {
    let room = Room::new();
    let tags = |name: &str| format!("{X264} -colorspace {name} -color_primaries {name} -color_trc {name}");
    let cases = [
        ("untagged sd", LOW, "bt601", X264.to_owned(), ["smpte170m", "unknown", "unknown"]),
        ("sd in 709", LOW, "bt709", tags("bt709"), ["bt709", "bt709", "bt709"]),
        ("untagged hd", TALL, "bt709", X264.to_owned(), ["bt709", "unknown", "unknown"]),
        ("hd in 601", TALL, "bt601", tags("smpte170m"), ["smpte170m", "smpte170m", "smpte170m"]),
        ("only the matrix", LOW, "bt709", format!("{X264} -colorspace bt709"), ["bt709", "unknown", "unknown"]),
    ];
    for (what, size, matrix, words, wanted) in cases {
        bars(&room, "a.mp4", size, matrix, &format!("-pix_fmt yuv420p {words}"));
        room.run("join a.mp4 a.mp4 --gap 4 --crf 4 --overwrite -o film.mp4").good();
        let stream = room.stream("film.mp4", "v");
        let found = ["color_space", "color_primaries", "color_transfer"]
            .map(|key| stream[key].as_str().unwrap_or("unknown").to_owned());
        assert_eq!(
            (found.as_slice(), &stream["color_range"]),
            (wanted.map(String::from).as_slice(), &"tv".into()),
            "{what}"
        );
        // ffmpeg believes the tags: were they wrong, the bars would be.
        assert_bars(&room, "film.mp4", size, 22, 3);
    }
    room.run("join a.mp4 a.mp4 --gap 4 --lossless -o film.mkv").good();
    assert_bars(&room, "film.mkv", LOW, 22, 2);
}

/// How else a picture can be coded: its name, matrix and words.
const KINDS: [(&str, &str, &str); 9] = [
    ("bt601.mp4", "bt601", "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -crf 4"),
    ("bt709.mp4", "bt709", "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -crf 4 -colorspace bt709"),
    ("bt2020.mp4", "bt2020", "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -crf 4 -colorspace bt2020nc"),
    ("yuv444p.mp4", "bt601", "-pix_fmt yuv444p -c:v libx264 -preset ultrafast -crf 4"),
    ("yuv422p10.mkv", "bt601", "-pix_fmt yuv422p10le -c:v libx264 -preset ultrafast -crf 4"),
    ("full.mp4", "bt601", "-pix_fmt yuvj420p -c:v libx264 -preset ultrafast -crf 4"),
    ("mjpeg.avi", "bt601", "-pix_fmt yuvj422p -c:v mjpeg -q:v 1"),
    ("rgb.mp4", "bt601", "-c:v libx264rgb -preset ultrafast -qp 0"),
    ("png.mov", "bt601", "-pix_fmt rgb24 -c:v png"),
];

#[test]
#[ignore = "slow: two films of nine clips"]
fn clips_coded_in_any_way_show_the_same_colours_in_one_film() {
    let room = Room::new();
    for (name, matrix, words) in KINDS {
        bars(&room, name, LOW, matrix, words);
    }
    let names = KINDS.map(|(name, ..)| name).join(" ");
    let frames = KINDS.len() * 9 + (KINDS.len() - 1) * 4;
    room.run(&format!("join {names} --gap 4 --lossless -o all.mkv")).good();
    assert_bars(&room, "all.mkv", LOW, frames, 3);
    room.run(&format!("join {names} --gap 4 --crf 4 -o all.mp4")).good();
    assert_bars(&room, "all.mp4", LOW, frames, 4);
}

#[test]
#[ignore = "slow: five films"]
fn whatever_the_first_clip_is_coded_in_the_film_shows_its_colours() {
    let room = Room::new();
    bars(&room, "b.mp4", LOW, "bt601", KINDS[0].2);
    // Full range has a test of its own, and what PNG is RGB is, too.
    for (name, matrix, words) in [2, 3, 4, 6, 7].map(|kind| KINDS[kind]) {
        bars(&room, name, LOW, matrix, words);
        room.run(&format!("join {name} b.mp4 --gap 4 --crf 4 --overwrite -o film.mp4")).good();
        assert_bars(&room, "film.mp4", LOW, 22, 4);
        assert_eq!(room.stream("film.mp4", "v")["pix_fmt"].as_str().unwrap().replace('j', ""), "yuv420p", "{name}");
    }
}

#[test]
fn full_range_stays_as_it_is_and_is_said() {
    let room = Room::new();
    bars(&room, "full.mp4", LOW, "bt601", KINDS[5].2);
    room.run("join full.mp4 full.mp4 --gap 4 --crf 0 -o film.mp4").good();
    assert_eq!(room.stream("film.mp4", "v")["color_range"], "pc");
    let (own, film) = (room.frames("full.mp4", "yuvj420p", LOW), room.frames("film.mp4", "yuvj420p", LOW));
    let luma = |frame: &Vec<u8>| frame[..LOW.0 * LOW.1].to_vec();
    assert!(film[..9].iter().map(luma).eq(own.iter().map(luma)));
    assert_bars(&room, "film.mp4", LOW, 22, 3);
    // Scaled, and beside a clip in limited range.
    bars(&room, "large.mp4", (256, 72), "bt601", KINDS[5].2);
    bars(&room, "limited.mp4", LOW, "bt601", KINDS[0].2);
    room.run("join full.mp4 large.mp4 limited.mp4 --gap 4 --crf 4 -o film.mp4 --overwrite").good();
    assert_bars(&room, "film.mp4", LOW, 35, 4);
    room.run("join limited.mp4 large.mp4 full.mp4 --gap 4 --crf 4 -o film.mp4 --overwrite").good();
    assert_bars(&room, "film.mp4", LOW, 35, 4);
}
