//! Clips that cannot be joined are refused by name; odd ones that can be are joined, with a word.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    harness::{Room, psnr},
    refusals::can,
};

const SIZE: (usize, usize) = (64, 36);

/// A room with a.mp4, a good clip of 20 frames with sound.
fn room() -> Room {
    let room = Room::new();
    room.clip("a.mp4", 20, "24", "64x36");
    room
}

impl Room {
    fn warning(&self, run: &crate::harness::Run, code: &str) -> Value {
        let warning = run.events().into_iter().find(|event| event["type"] == "warning" && event["code"] == code);
        let warning = warning.unwrap_or_else(|| panic!("no warning {code} in {}", run.stdout));
        let message = warning["message"].as_str().unwrap();
        assert!(run.stderr.contains(&format!("warning: {message}")), "{message:?} is not in {}", run.stderr);
        warning
    }

    pub(crate) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        change(&mut bytes);
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Where the packets of a stream lie in the file, and how long they are.
    pub(crate) fn packets(&self, name: &str, stream: &str) -> Vec<std::ops::Range<usize>> {
        let show = ["-v", "error", "-select_streams", stream, "-show_entries", "packet=pos,size", "-of", "json", name];
        let output = Command::new("ffprobe").args(show).current_dir(self.path(".")).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let number = |value: &Value| value.as_str().unwrap().parse::<usize>().unwrap();
        let packets = report["packets"].as_array().unwrap().iter();
        packets.map(|packet| number(&packet["pos"])..number(&packet["pos"]) + number(&packet["size"])).collect()
    }

    /// When each packet of the picture is shown, on the file's clock.
    fn times(&self, name: &str) -> Vec<i64> {
        let show = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts", "-of", "csv=p=0", name];
        let output = Command::new("ffprobe").args(show).current_dir(self.path(".")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut times: Vec<i64> = text.lines().map(|line| line.trim_end_matches(',').parse().unwrap()).collect();
        times.sort_unstable();
        times
    }

    fn film_frames(&self, size: (usize, usize)) -> Vec<Vec<u8>> {
        self.frames("film.mp4", "rgb24", size)
    }
}

#[test]
fn what_is_no_video_is_refused_by_name_wherever_it_stands() {
    let room = room();
    fs::create_dir(room.path("folder.mp4")).unwrap();
    fs::write(room.path("empty.mp4"), "").unwrap();
    fs::write(room.path("text.mp4"), "Dear diary, this is no film.\n".repeat(40)).unwrap();
    assert!(Command::new("mkfifo").arg(room.path("pipe.mp4")).status().unwrap().success());
    room.ffmpeg("-i a.mp4 -vn -c copy sound.mp4");
    room.ffmpeg("-i a.mp4 -frames:v 1 still.png");
    fs::copy(room.path("still.png"), room.path("still.mp4")).unwrap();
    let cases = [
        ("nothing.mp4", "does not exist", "no such file"),
        ("nowhere/nothing.mp4", "does not exist", "its folder is not there"),
        ("folder.mp4", "is a folder", "a folder"),
        ("empty.mp4", "is empty", "0 bytes"),
        ("text.mp4", "is no video", "Invalid data"),
        ("pipe.mp4", "is no regular file", "a pipe"),
        ("sound.mp4", "has no picture", "audio"),
        ("still.png", "is a still image", "png"),
        ("still.mp4", "is a still image", "png"),
        ("a.mp4/b.mp4", "cannot be read", "Not a directory"),
    ];
    for (name, problem, found) in cases {
        let short = name.rsplit('/').next().unwrap();
        for words in [["a.mp4", name], [name, "a.mp4"]] {
            let refusal = room.refuses(&words, 3).with("message", &format!("{short} {problem}")).with("found", found);
            refusal.with("file", name).with("wanted", "video").with("stage", "probe");
        }
    }
}

#[test]
fn a_file_that_was_cut_short_is_refused_wherever_its_index_stands() {
    let room = room();
    let cut = |name: &str| room.damage(name, |bytes| bytes.truncate(bytes.len() * 3 / 5));
    room.ffmpeg("-i a.mp4 -c copy -movflags +faststart first.mp4");
    fs::copy(room.path("a.mp4"), room.path("last.mp4")).unwrap();
    cut("first.mp4");
    cut("last.mp4");
    let refusal = room.refuses(&["a.mp4", "first.mp4"], 3).with("message", "first.mp4 is cut short: ");
    let refusal = refusal.with("message", "of 20 frames").with("wanted", "20 frames, as its header says");
    let there = refusal.frame();
    assert!((1..20).contains(&there));
    let refusal = refusal.with("found", &format!("{there} frames"));
    refusal.with("help", "copy or download it again").with("help", "ffmpeg -i first.mp4 -c copy");
    let refusal = room.refuses(&["last.mp4", "a.mp4"], 3).with("message", "last.mp4 is cut short: its index");
    refusal.with("found", "Invalid data").with("stderr", "moov atom not found").with("command", "ffprobe");
    // Here all frames are there, and some of the sound is not.
    let words = "-i a.mp4 -f lavfi -i sine=duration=3 -map 0:v -map 1:a -c:v copy -c:a aac -movflags +faststart";
    room.ffmpeg(&format!("{words} sound.mp4"));
    room.damage("sound.mp4", |bytes| bytes.truncate(bytes.len() - 500));
    let refusal = room.refuses(&["a.mp4", "sound.mp4"], 3).with("found", "partial file");
    refusal.with("message", "sound.mp4 is cut short: 20 frames are there, but not its end");
    // No index counts the frames of a Matroska file, but its end is known.
    room.ffmpeg("-i a.mp4 -c copy matroska.mkv");
    cut("matroska.mkv");
    let refusal = room.refuses(&["a.mp4", "matroska.mkv"], 3).with("message", "matroska.mkv is cut short: ");
    refusal.with("found", "File ended prematurely").with("help", "-c copy whole.mkv");
}

#[test]
fn a_clip_of_one_frame_is_joined_with_a_word() {
    let room = room();
    room.clip("one.mp4", 1, "24", "64x36");
    let run = room.joins(&["a.mp4", "one.mp4", "--gap", "4"]).good();
    let warning = room.warning(&run, "short_context");
    assert_eq!(warning["file"], "one.mp4");
    assert_eq!(warning["message"], "one.mp4 is short: 1 frame of context at its start instead of 8");
    assert_eq!(room.film_frames(SIZE).len(), 20 + 4 + 1);
}

#[test]
fn a_clip_shorter_than_the_context_is_joined_with_a_word() {
    let room = room();
    room.clip("five.mp4", 5, "24", "64x36");
    let run = room.joins(&["five.mp4", "a.mp4", "--gap", "4", "--context", "12"]).good();
    let warning = room.warning(&run, "short_context");
    assert_eq!(warning["message"], "five.mp4 is short: 5 frames of context at its end instead of 12");
    assert_eq!(room.film_frames(SIZE).len(), 5 + 4 + 20);
}

#[test]
fn clips_too_short_for_replace_are_counted_against_what_it_takes() {
    let room = room();
    room.clip("one.mp4", 1, "24", "64x36");
    room.clip("four.mp4", 4, "24", "64x36");
    let refusal = room.refuses(&["four.mp4", "one.mp4", "--mode", "replace"], 3).with("stage", "plan");
    let refusal = refusal.with("message", "one.mp4 has 1 frame and four.mp4 4, but replace takes 16");
    let refusal = refusal.with("wanted", "16 frames to replace").with("found", "four.mp4 4 frames, one.mp4 1 frame");
    refusal.with("file", "one.mp4").with("help", "--gap").with("help", "--mode insert");
    // What one side lacks comes from the other, so one frame is no obstacle beside a longer clip.
    room.joins(&["a.mp4", "one.mp4", "--mode", "replace"]).good();
    assert_eq!(room.film_frames(SIZE).len(), 20 + 1);
}

#[test]
fn a_clip_that_is_corrupt_in_its_middle_is_named_with_the_place() {
    let room = room();
    room.ffmpeg(
        "-f lavfi -i testsrc2=size=160x90:rate=24 -frames:v 40 -c:v libx264 -preset ultrafast -g 12 -pix_fmt yuv420p \
         good.mp4",
    );
    fs::copy(room.path("good.mp4"), room.path("bad.mp4")).unwrap();
    let packet = room.packets("bad.mp4", "v")[20].clone();
    // As where a disk lost a block.
    room.damage("bad.mp4", |bytes| bytes[packet][8..].fill(0));
    for words in [["good.mp4", "bad.mp4"], ["bad.mp4", "good.mp4"]] {
        let refusal = room.refuses(&[&words[..], &["--gap", "4"]].concat(), 3).with("message", "bad.mp4 is damaged");
        assert!((12..=24).contains(&refusal.frame()), "{}", refusal.frame());
        let refusal = refusal.with("file", "bad.mp4").with("wanted", "decodes without error").with("command", "ffmpeg");
        refusal.with("help", "copy or download it again").with("help", "ffmpeg -i bad.mp4 ").with("stage", "film");
    }
}

#[test]
fn a_clip_whose_sound_is_broken_is_named_and_joins_without_it() {
    let room = room();
    fs::copy(room.path("a.mp4"), room.path("b.mp4")).unwrap();
    fs::copy(room.path("a.mp4"), room.path("bad.mp4")).unwrap();
    for packet in room.packets("bad.mp4", "a").into_iter().skip(12).take(4) {
        room.damage("bad.mp4", |bytes| bytes[packet].fill(0xff));
    }
    for words in [["a.mp4", "bad.mp4", "b.mp4"], ["bad.mp4", "a.mp4", "b.mp4"]] {
        let refusal = room.refuses(&words, 3).with("message", "bad.mp4 has damaged sound").with("file", "bad.mp4");
        refusal.with("stage", "sound").with("found", "aac").with("help", "--audio mute").with("command", "bad.mp4");
    }
    let own = ["a.mp4", "b.mp4", "--audio", "bad.mp4"];
    room.refuses(&own, 3).with("message", "bad.mp4 has damaged sound").with("file", "bad.mp4");
    room.joins(&["a.mp4", "bad.mp4", "--gap", "4", "--audio", "mute"]).good();
}

#[test]
fn a_picture_of_one_pixel_is_refused_with_its_size() {
    let room = room();
    room.ffmpeg("-i a.mp4 -an -vf scale=1:1,setsar=1 -c:v ffv1 pixel.mkv");
    for words in [["a.mp4", "pixel.mkv"], ["pixel.mkv", "a.mp4"]] {
        let refusal = room.refuses(&words, 3).with("message", "pixel.mkv is 1x1 pixels").with("found", "1x1");
        refusal.with("wanted", "2 to 16384 pixels").with("file", "pixel.mkv");
    }
}

#[test]
fn a_clip_of_variable_rate_is_joined_at_a_constant_one_with_a_word() {
    let room = room();
    room.ffmpeg(
        "-f lavfi -i testsrc2=size=64x36:rate=24 -frames:v 24 -vf select=not(eq(mod(n\\,5)\\,3)) -fps_mode vfr \
         -c:v libx264 -preset ultrafast -crf 10 -pix_fmt yuv420p vfr.mp4",
    );
    let run = room.joins(&["vfr.mp4", "a.mp4", "--gap", "4"]).good();
    let warning = room.warning(&run, "variable_rate");
    assert_eq!(warning["file"], "vfr.mp4");
    assert!(warning["message"].as_str().unwrap().contains("resampled to a constant 24 fps"), "{warning}");
    let times = room.times("film.mp4");
    let step = times[1] - times[0];
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == step), "{times:?}");
    // Frame 3 was dropped, so frame 2 stands on the screen in its time.
    let film = room.film_frames(SIZE);
    assert!(psnr(&film[3], &film[2]) > psnr(&film[3], &film[4]) + 6.0);
}

#[test]
fn a_rotated_clip_is_joined_as_players_show_it() {
    let room = Room::new();
    // Red in the upper left quarter, else blue.
    room.ffmpeg(
        "-f lavfi -i color=blue:size=64x36:rate=24 -vf drawbox=0:0:32:18:red:fill -frames:v 20 -c:v libx264 -preset \
         ultrafast -pix_fmt yuv420p turned.mp4",
    );
    // A quarter turn clockwise in the matrix of the track's header; ffmpeg's own words for it changed with 6.0.
    room.damage("turned.mp4", |bytes| {
        let at = bytes.windows(4).position(|word| word == b"tkhd").unwrap() + 4 + 40;
        let matrix = [0_i32, 0x10000, 0, -0x10000, 0, 0, 36 << 16, 0, 0x4000_0000];
        for (cell, value) in bytes[at..at + 36].chunks_mut(4).zip(matrix) {
            cell.copy_from_slice(&value.to_be_bytes());
        }
    });
    room.joins(&["turned.mp4", "turned.mp4", "--gap", "4"]).good();
    let film = room.film_frames((36, 64));
    assert_eq!(film.len(), 20 + 4 + 20);
    let red = |frame: &[u8], x: usize, y: usize| frame[(y * 36 + x) * 3] > 128;
    for frame in &film {
        let corners = [red(frame, 2, 2), red(frame, 33, 2), red(frame, 2, 61), red(frame, 33, 61)];
        assert_eq!(corners, [false, true, false, false]);
    }
}

#[test]
fn a_clip_of_ten_bits_is_joined_in_eight_with_a_word() {
    let room = room();
    room.ffmpeg("-i a.mp4 -c:v libx264 -preset ultrafast -crf 5 -pix_fmt yuv420p10le -c:a copy ten.mp4");
    let run = room.joins(&["ten.mp4", "a.mp4", "--gap", "4"]).good();
    let warning = room.warning(&run, "depth");
    assert_eq!(warning["message"], "ten.mp4 has 10 bits a sample, the film has 8");
    let (film, own) = (room.film_frames(SIZE), room.frames("a.mp4", "rgb24", SIZE));
    assert_eq!(film.len(), 20 + 4 + 20);
    assert!(film.iter().zip(&own).all(|(film, own)| psnr(film, own) > 30.0));
}

#[test]
fn hdr_is_refused_with_a_line_that_tone_maps_it() {
    let room = room();
    for (curve, standard) in [("smpte2084", "PQ"), ("arib-std-b67", "HLG")] {
        let tags = format!("-color_trc {curve} -color_primaries bt2020 -colorspace bt2020nc");
        room.ffmpeg(&format!("-i a.mp4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p10le {tags} -c:a copy hdr.mp4"));
        fs::rename(room.path("hdr.mp4"), room.path("an hdr: clip's.mp4")).unwrap();
        let refusal = room.refuses(&["a.mp4", "an hdr: clip's.mp4"], 3);
        let refusal = refusal.with("message", &format!("an hdr: clip's.mp4 is HDR ({standard})")).with("found", curve);
        let refusal = refusal.with("wanted", "SDR").with("help", "zscale=t=linear").with("help", "tonemap=hable");
        if can("tone-map with zscale", "ffmpeg -v quiet -filters | grep -q ' zscale '") {
            follow(&room, &refusal.0["help"], "sdr.mp4");
        }
    }
}

#[test]
fn a_transparent_clip_is_refused_with_a_line_that_puts_it_on_a_background() {
    let room = room();
    room.ffmpeg("-i a.mp4 -c:v qtrle -pix_fmt argb -c:a copy qtrle.mov");
    room.ffmpeg("-i a.mp4 -an -c:v png -pix_fmt rgba png.mov");
    room.ffmpeg("-i a.mp4 -an -c:v ffv1 -pix_fmt bgra ffv1.mkv");
    let mut clips = vec![("qtrle.mov", "argb"), ("png.mov", "rgba"), ("ffv1.mkv", "bgra")];
    if can("encode VP9", "ffmpeg -v quiet -encoders | grep -q libvpx-vp9") {
        room.ffmpeg("-i a.mp4 -an -vf format=yuva420p -c:v libvpx-vp9 -deadline realtime -cpu-used 8 vp9.webm");
        clips.push(("vp9.webm", "alpha_mode 1"));
    }
    for (name, found) in clips {
        let refusal = room.refuses(&["a.mp4", name], 3).with("message", &format!("{name} has transparency"));
        let refusal = refusal.with("found", found).with("wanted", "opaque").with("file", name);
        if name == "qtrle.mov" {
            follow(&room, &refusal.0["help"], "opaque.mp4");
        }
    }
}

/// Types the line that a help ends with, and joins what it made.
fn follow(room: &Room, help: &Value, made: &str) {
    let (_, line) = help.as_str().unwrap().split_once(": ").unwrap();
    let quiet = format!("{} -v error -nostdin -y", line.trim());
    let output = Command::new("sh").args(["-c", &quiet]).current_dir(room.path(".")).output().unwrap();
    assert!(output.status.success(), "{quiet}: {}", String::from_utf8_lossy(&output.stderr));
    room.joins(&["a.mp4", made, "--gap", "4"]).good();
    assert_eq!(room.film_frames(SIZE).len(), 20 + 4 + 20);
    fs::remove_file(room.path("film.mp4")).unwrap();
    fs::remove_file(room.path(made)).unwrap();
}

const NAMES: [&str; 7] = [
    "-a.mp4",
    "two words.mp4",
    "line\nbreak.mp4",
    "ünï\u{1F3AC}.mp4",
    "it's \"quoted\" `so` $HOME.mp4",
    "100% %03d %d.mp4",
    "pipe:0:c,[v];=\\.mp4",
];

#[test]
#[ignore = "slow: two films, one of seven clips"]
fn clips_of_any_name_are_joined_and_the_film_may_have_such_a_name() {
    let room = room();
    for name in NAMES {
        fs::copy(room.path("a.mp4"), room.path(name)).unwrap();
    }
    let options = ["join", "--engine", "dissolve", "--gap", "4", "--json", "--"];
    let run = room.wanctl(&[&options[..], &NAMES].concat()).good();
    // The first clip's dash stands in the film's name too.
    let film = "-a_join_pipe:0:c,[v];=\\.mp4";
    assert_eq!(run.event("result")["output"], film);
    assert_eq!(room.frames(room.path(film).to_str().unwrap(), "rgb24", SIZE).len(), 7 * 20 + 6 * 4);

    let output = format!("./{}", NAMES.join(" "));
    let run = room.wanctl(&["join", "-o", &output, "--engine", "dissolve", "--gap", "4", "./-a.mp4", NAMES[2]]);
    assert_eq!(run.good().stdout, format!("{output}\n"));
    assert!(room.path(&output).is_file());
}

#[test]
fn a_missing_clip_of_any_name_is_named() {
    let room = room();
    for name in NAMES {
        let refusal = room.refuses(&["--", "a.mp4", name], 3).with("file", name);
        refusal.with("message", "does not exist").with("stage", "probe");
    }
}
