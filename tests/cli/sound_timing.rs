//! Sound whose timestamps are late, unsteady, start again or are missing: heard where a player would let it be heard.

use std::{f64::consts::TAU, fs};

use crate::{
    harness::Room,
    sound::{PLAIN, assert_heard_within, listen, onsets, seen},
};

/// 40 frames at 25 fps, and the beeps of [`PLAIN`] from 0.3 s on alone.
const LATE: f64 = 0.3;

/// A quarter of a frame: webm and flv count milliseconds, and Opus is ahead of its timestamps by its first packet.
const CLOSE: f64 = 0.01;

/// Pictures and the beeps of [`PLAIN`] without their first 0.3 s, which are not in the file.
fn late(room: &Room, name: &str, video: &str, audio: &str) {
    PLAIN.make(room, "plain.mp4");
    room.material(name, &format!("late beeps: {video} {audio}"), || {
        room.ffmpeg(&format!("-i plain.mp4 -af atrim=start={LATE},asetpts=PTS-STARTPTS -c:a pcm_s16le tail.wav"));
        room.ffmpeg(&format!("-i plain.mp4 -itsoffset {LATE} -i tail.wav -map 0:v -map 1:a {video} {audio} {name}"));
    });
}

/// The beeps of [`PLAIN`] that a late clip has.
fn late_beeps(start: f64) -> impl Iterator<Item = f64> {
    seen(&PLAIN, start).filter(move |at| *at > start + LATE)
}

#[test]
#[ignore = "slow: a film of seven containers"]
fn sound_that_begins_after_its_picture_keeps_its_distance_in_every_container() {
    let room = Room::new();
    let clips = [
        ("late.ts", "-c:v copy", "-c:a aac"),
        ("late.mpg", "-c:v mpeg2video -q:v 2", "-c:a mp2"),
        ("late.mkv", "-c:v copy", "-c:a flac"),
        ("late.mov", "-c:v copy", "-c:a pcm_s16le"),
        ("late.flv", "-c:v copy", "-c:a aac"),
        ("late.webm", "-c:v libvpx -deadline realtime", "-c:a libopus"),
        ("late.mp4", "-c:v copy", "-c:a aac"),
    ];
    clips.iter().for_each(|(name, video, audio)| late(&room, name, video, audio));
    let names: Vec<&str> = clips.iter().map(|(name, ..)| *name).collect();
    let wanted: Vec<f64> = (0..clips.len()).flat_map(|n| late_beeps(n as f64 * 44.0 / 25.0)).collect();
    room.run(&format!("join {} --gap 4 -o film.mp4", names.join(" "))).good();
    assert_heard_within(&onsets(&listen(&room, "film.mp4", 48000), 48000), &wanted, CLOSE);
}

#[test]
#[ignore = "slow: six films"]
fn sound_that_begins_after_its_picture_keeps_its_distance_wherever_the_clip_is() {
    let room = Room::new();
    late(&room, "late.ts", "-c:v copy", "-c:a aac");
    late(&room, "late.mpg", "-c:v mpeg2video -q:v 2", "-c:a mp2");
    for clip in ["late.ts", "late.mpg"] {
        let heard = |words: &str| {
            room.run(&format!("{words} --overwrite -o film.mp4")).good();
            onsets(&listen(&room, "film.mp4", 48000), 48000)
        };
        assert_heard_within(
            &heard(&format!("join {clip} --loop --gap 4")),
            &late_beeps(0.0).collect::<Vec<_>>(),
            CLOSE,
        );
        let range = heard(&format!("join {clip} --range 10..14"));
        assert_heard_within(&range, &late_beeps(0.0).collect::<Vec<_>>(), CLOSE);
        room.stills(&["one.png"]);
        let travel = heard(&format!("travel one.png --continue {clip} --frames 9"));
        assert_heard_within(&travel, &late_beeps(0.0).collect::<Vec<_>>(), CLOSE);
    }
    // Taken as a film's sound it is heard where its own file has it.
    room.numbered("mute.mp4", 60, 60, "25");
    room.run("join mute.mp4 mute.mp4 --gap 4 --audio late.ts -o own.mp4").good();
    assert_heard_within(&onsets(&listen(&room, "own.mp4", 48000), 48000), &late_beeps(0.0).collect::<Vec<_>>(), CLOSE);
}

#[test]
#[ignore = "slow: five films"]
fn a_track_that_has_nothing_where_it_is_heard_is_silent_and_later_sound_is_not() {
    let room = Room::new();
    PLAIN.make(&room, "a.mp4");
    room.numbered("mute.mp4", 20, 40, "25");
    // No sample at all; over before the picture begins; begun when the picture is over.
    room.ffmpeg("-i a.mp4 -map 0 -c copy -bsf:a noise=drop=1 -movflags frag_keyframe+empty_moov empty.mp4");
    room.ffmpeg(
        "-f lavfi -t 0.5 -i sine=440:r=48000 -itsoffset 1 -i mute.mp4 -map 1:v -map 0:a -c:v copy -c:a aac over.mp4",
    );
    room.ffmpeg(
        "-f lavfi -t 0.5 -i sine=440:r=48000 -itsoffset 1 -i mute.mp4 -map 1:v -map 0:a -c:v copy -c:a aac over.ts",
    );
    room.ffmpeg(
        "-i mute.mp4 -itsoffset 4 -f lavfi -t 0.5 -i sine=440:r=48000 -map 0:v -map 1:a -c:v copy -c:a aac later.mkv",
    );
    let heard = |words: &str| {
        room.run(&format!("{words} --overwrite -o film.mp4")).good();
        let sound = listen(&room, "film.mp4", 48000);
        (onsets(&sound, 48000), sound.len() as f64 / 1920.0)
    };
    let (found, frames) = heard("join empty.mp4 a.mp4 over.mp4 a.mp4 over.ts later.mkv a.mp4 empty.mp4 --gap 4");
    let wanted: Vec<f64> = [1, 3, 6].into_iter().flat_map(|n| seen(&PLAIN, f64::from(n) * 44.0 / 25.0)).collect();
    assert_heard_within(&found, &wanted, CLOSE);
    assert!((frames - 348.0).abs() <= 1.0, "{frames}");
    for words in ["join over.mp4 --loop --gap 4", "join empty.mp4 --range 10..14", "join empty.mp4 empty.mp4 --gap 4"] {
        assert_eq!(heard(words).0, [0.0; 0], "{words}");
    }
    room.stills(&["one.png"]);
    assert_eq!(heard("travel one.png --continue empty.mp4 --frames 9").0, [0.0; 0]);
}

#[test]
#[ignore = "slow: a film of four clips"]
fn sound_whose_rate_or_channels_change_is_heard_to_its_end() {
    let room = Room::new();
    let beeps =
        |rate: u32| format!("-f lavfi -i aevalsrc='.8*sin(2*PI*1000*t)*between(mod(t,1),.48,.52)':s={rate}:d=1");
    room.numbered("mute.mkv", 20, 25, "25");
    let codecs = [("ts", "aac"), ("mkv", "ac3")];
    for (container, codec) in codecs {
        for (name, rate, channels) in [("low", 44100, 1), ("high", 48000, 2)] {
            let name = format!("{name}.{container}");
            room.ffmpeg(&format!("-i mute.mkv {} -c:v copy -c:a {codec} -ac {channels} {name}", beeps(rate)));
        }
        for (name, parts) in [("up", ["low", "high"]), ("down", ["high", "low"])] {
            let list = parts.map(|part| format!("file {part}.{container}\n")).concat();
            fs::write(room.path("list.txt"), list).unwrap();
            room.ffmpeg(&format!("-f concat -i list.txt -c copy {name}.{container}"));
        }
    }
    let (plan, _) = room.joined("up.ts down.ts up.mkv down.mkv --gap 4 -o film.mp4");
    let found = onsets(&listen(&room, "film.mp4", 48000), 48000);
    let lengths = plan["inputs"].as_array().unwrap().iter().map(|input| {
        let frames = if input["resampled_frames"].is_null() { &input["frames"] } else { &input["resampled_frames"] };
        frames.as_f64().unwrap() + 4.0
    });
    let starts = lengths.scan(0.0, |end, length| {
        let start = *end / 25.0;
        *end += length;
        Some(start)
    });
    let wanted: Vec<f64> = starts.flat_map(|start| [start + 0.48, start + 1.48]).collect();
    assert_heard_within(&found, &wanted, 0.05);
}

#[test]
#[ignore = "slow: three films"]
fn unsteady_timestamps_leave_no_click_and_no_hole() {
    let room = Room::new();
    room.numbered("mute.mkv", 20, 50, "25");
    room.ffmpeg("-i mute.mkv -f lavfi -i sine=440:r=48000:d=2 -map 0:v -map 1:a -c:v copy -c:a aac whole.mkv");
    room.ffmpeg("-i whole.mkv -map 0 -c copy -bsf:a setts=ts=TS+round((random(0)-0.5)*0.02/TB) wobble.mkv");
    room.ffmpeg("-i wobble.mkv -c copy wobble.mp4");
    room.ffmpeg("-i whole.mkv -map 0 -c copy -bsf:a setts=ts=TS*1.004 slow.mkv");
    for clip in ["whole.mkv", "wobble.mkv", "wobble.mp4", "slow.mkv"] {
        room.run(&format!("join {clip} mute.mkv --gap 4 --lossless --overwrite -o film.mkv")).good();
        let tone = &listen(&room, "film.mkv", 48000)[4800..88_800];
        let loud = tone.iter().fold(0.0_f64, |loud, sample| loud.max(sample.abs()));
        let turn = 2.0 * (TAU * 440.0 / 48000.0).cos();
        let click = tone.windows(3).position(|three| (three[2] - turn * three[1] + three[0]).abs() > 0.03 * loud);
        assert_eq!(click, None, "{clip}");
        assert!(loud > 0.05, "{clip}");
    }
}

#[test]
fn half_a_frame_of_sound_at_a_cut_is_no_damage() {
    let room = Room::new();
    let beeps = "-f lavfi -i aevalsrc='.8*sin(2*PI*1000*t)*between(mod(t,1),.48,.52)':s=48000:d=4";
    room.numbered("mute.mkv", 20, 100, "25");
    // Every picture stands for itself, so that the cut is one of the sound alone.
    room.ffmpeg(&format!(
        "-f lavfi -i testsrc2=s=320x180:r=25:d=4 {beeps} -c:v mpeg2video -q:v 4 -g 1 -c:a mp2 -b:a 256k whole.mpg"
    ));
    room.ffmpeg("-ss 1.2 -i whole.mpg -c copy half.mpg");
    let frames = room.frames("half.mpg", "gray", (320, 180)).len();
    assert!((60..90).contains(&frames), "{frames}");
    room.run("join half.mpg mute.mkv --gap 4 -o film.mp4").good();
    let sound = listen(&room, "film.mp4", 48000);
    assert!((sound.len() as f64 / 1920.0 - (frames + 104) as f64).abs() <= 1.0, "{}", sound.len());
    // A beep stands where its frame is: at frames 12, 37, 62, 87 of the whole.
    let first = 100 - frames;
    let wanted: Vec<f64> =
        [12, 37, 62, 87].into_iter().filter(|at| *at >= first).map(|at| (at - first) as f64 / 25.0).collect();
    assert_heard_within(&onsets(&sound, 48000), &wanted, 0.03);
}

#[test]
fn the_sound_of_streams_put_together_byte_for_byte_goes_on() {
    let room = Room::new();
    PLAIN.make(&room, "a.mp4");
    room.ffmpeg("-i a.mp4 -c copy a.ts");
    room.ffmpeg("-i a.mp4 -c:v mpeg2video -c:a mp2 a.mpg");
    room.numbered("mute.mp4", 60, 60, "25");
    for name in ["a.ts", "a.mpg"] {
        let part = fs::read(room.path(name)).unwrap();
        let twice = format!("twice_{name}");
        fs::write(room.path(&twice), [part.clone(), part].concat()).unwrap();
        room.run(&format!("join mute.mp4 mute.mp4 --gap 4 --audio {twice} --overwrite -o film.mp4")).good();
        let wanted: Vec<f64> = seen(&PLAIN, 0.0).chain(seen(&PLAIN, 1.6)).collect();
        assert_heard_within(&onsets(&listen(&room, "film.mp4", 48000), 48000), &wanted, 0.05);
    }
}

#[test]
fn sound_that_was_lost_on_its_way_is_silence_and_one_line() {
    let room = Room::new();
    room.numbered("mute.mkv", 20, 50, "25");
    room.ffmpeg("-i mute.mkv -f lavfi -i sine=440:r=48000:d=2 -map 0:v -map 1:a -c:v copy -c:a mp2 -b:a 192k whole.ts");
    let whole = fs::read(room.path("whole.ts")).unwrap();
    // The second stream's packets have the number 0x101.
    let is_sound = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == 0x101;
    let packets: Vec<&[u8]> = whole.chunks(188).collect();
    let sound: Vec<usize> = (0..packets.len()).filter(|&at| is_sound(packets[at])).collect();
    let lost = &sound[sound.len() / 2..sound.len() / 2 + 8];
    let kept: Vec<&[u8]> = (0..packets.len()).filter(|at| !lost.contains(at)).map(|at| packets[at]).collect();
    fs::write(room.path("lost.ts"), kept.concat()).unwrap();
    let run = room.run("join lost.ts mute.mkv --gap 4 -o film.mp4").good();
    let lines: Vec<&str> = run.stderr.lines().filter(|line| line.contains("lost.ts lacks 0.")).collect();
    assert!(lines.len() == 1 && lines[0].contains("s of sound at "), "{}", run.stderr);
    // What comes after it is where it was.
    let tone = listen(&room, "film.mp4", 48000);
    assert!(tone[84_000..88_000].chunks(480).all(|chunk| chunk.iter().any(|sample| sample.abs() > 0.05)));
}

#[test]
fn a_first_and_a_last_packet_of_sound_that_do_not_decode_are_no_damage() {
    let room = Room::new();
    PLAIN.make(&room, "a.mp4");
    room.numbered("mute.mp4", 60, 20, "25");
    let packets = room.packets("a.mp4", "a");
    for packet in [packets[0].clone(), packets[packets.len() - 1].clone()] {
        room.damage("a.mp4", |bytes| bytes[packet].fill(0xff));
    }
    room.run("join a.mp4 mute.mp4 --gap 4 -o film.mp4").good();
    let wanted: Vec<f64> = seen(&PLAIN, 0.0).collect();
    assert_heard_within(&onsets(&listen(&room, "film.mp4", 48000), 48000), &wanted, CLOSE);
}
