//! Which track of a file is heard and seen, and what is said of the others.

use crate::{
    harness::Room,
    material::SMALL,
    sound::{PLAIN, assert_heard_within, listen, onsets, seen},
};

const CLOSE: f64 = 0.01;

/// A commentary without a pause, and the beeps of [`PLAIN`], which are marked as the default in mkv and mp4.
fn commented(room: &Room, name: &str) {
    PLAIN.make(room, "plain.mp4");
    room.material(name, "a commentary, then beeps", || {
        room.ffmpeg(&format!(
            "-i plain.mp4 -f lavfi -i sine=2000:r=48000:d=1.6 -map 0:v -map 1:a -map 0:a -c:v copy -c:a aac \
             -disposition:a:0 comment -disposition:a:1 default -metadata:s:a:0 language=deu {name}"
        ));
    });
}

#[test]
#[ignore = "slow: three films"]
fn the_track_that_a_player_would_take_is_taken_and_one_line_names_the_others() {
    let room = Room::new();
    commented(&room, "film.mkv");
    commented(&room, "film.mp4");
    let run = room.run("join film.mkv film.mp4 --gap 4 -o default.mp4").good();
    for name in ["film.mkv", "film.mp4"] {
        let said = format!("{name}: takes audio 2 (aac");
        let lines: Vec<&str> = run.stderr.lines().filter(|line| line.contains(&said)).collect();
        assert!(lines.len() == 1 && lines[0].contains("left out: audio 1 (aac, deu"), "{}", run.stderr);
    }
    let wanted: Vec<f64> = seen(&PLAIN, 0.0).chain(seen(&PLAIN, 44.0 / 25.0)).collect();
    assert_heard_within(&onsets(&listen(&room, "default.mp4", 48000), 48000), &wanted, CLOSE);

    // A steady tone from start to end of both clips.
    let film = |words: &str| {
        room.run(words).good();
        let sound = listen(&room, "first.mp4", 48000);
        let loud = |frames: std::ops::Range<usize>| {
            sound[frames.start * 1920..frames.end * 1920]
                .chunks(1920)
                .all(|frame| frame.iter().any(|at| at.abs() > 0.05))
        };
        assert!(loud(1..37) && loud(47..83), "{words}");
    };
    film("join film.mkv film.mp4 --gap 4 --audio-track 1 -o first.mp4");
    // A film repeats what was chosen.
    std::fs::rename(room.path("first.mp4"), room.path("made.mp4")).unwrap();
    film("join --task made.mp4 -o first.mp4");
}

#[test]
fn a_track_that_is_not_there_is_refused_with_those_that_are() {
    let room = Room::new();
    commented(&room, "two.mkv");
    PLAIN.make(&room, "one.mp4");
    room.numbered("mute.mp4", 20, 40, "25");
    let refused = |words: &str| room.run(words).fails(3);
    refused("join two.mkv two.mkv --audio-track 3").says("two.mkv has no audio track 3").says("audio 1 (aac, deu");
    refused("join one.mp4 two.mkv --audio-track 2").says("one.mp4 has no audio track 2").says("give --audio-track 1");
    refused("join mute.mp4 mute.mp4 --audio-track 1").says("mute.mp4 has no audio track 1").says("no audio track");
    refused("join two.mkv one.mp4 --video-track 2").says("two.mkv has no video track 2").says("video 1 (h264");
    refused("guide two.mkv one.mp4 --audio-track 2").says("one.mp4 has no audio track 2");
    room.stills(&["a.png"]);
    refused("travel a.png --continue two.mkv --frames 9 --audio-track 3").says("two.mkv has no audio track 3");
    for option in ["--audio-track", "--video-track"] {
        room.run(&format!("join two.mkv one.mp4 {option} 0")).fails(2);
    }
}

#[test]
fn pictures_come_from_the_default_video_track_and_a_cover_is_none() {
    let room = Room::new();
    room.numbered("low.mkv", 20, 12, "25");
    room.numbered("high.mkv", 120, 12, "25");
    room.ffmpeg(
        "-i low.mkv -i high.mkv -f lavfi -i color=red:s=64x36:d=0.04 -map 0 -map 1 -map 2 -c:v:0 copy -c:v:1 copy \
         -c:v:2 mjpeg -disposition:v:0 0 -disposition:v:1 default -disposition:v:2 attached_pic both.mp4",
    );
    let shown = |words: &str| {
        room.run(&format!("join both.mp4 both.mp4 --gap 4 {words} --overwrite -o film.mp4")).good();
        room.numbers("film.mp4", SMALL)[0]
    };
    let near = |found: u8, wanted: u8| assert!(found.abs_diff(wanted) <= 2, "{found}, wanted {wanted}");
    near(shown(""), 120);
    near(shown("--video-track 1"), 20);
    near(shown("--video-track 2"), 120);
    room.run("join both.mp4 both.mp4 --video-track 3").fails(3).says("video 1 (h264").says("video 2 (h264");
    let run = room.run("inspect both.mp4").good();
    for words in ["2 video, 1 cover", "video 1 (h264)", "video 2 (h264, default): taken", "cover 1 (mjpeg)"] {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
    let tracks = room.run("inspect --json both.mp4").good().event("clip")["tracks"].clone();
    let taken: Vec<bool> = tracks.as_array().unwrap().iter().map(|track| track["taken"].as_bool().unwrap()).collect();
    assert_eq!(taken, [false, true, false]);
}

#[test]
fn subtitles_and_data_are_left_out_in_one_line_and_a_plain_clip_has_none() {
    let room = Room::new();
    PLAIN.make(&room, "plain.mp4");
    std::fs::write(room.path("words.srt"), "1\n00:00:00,100 --> 00:00:01,000\nHello\n").unwrap();
    room.ffmpeg("-i plain.mp4 -i words.srt -map 0 -map 1 -c copy -c:s srt titled.mkv");
    let run = room.run("join titled.mkv plain.mp4 --gap 4 --dry-run").good();
    assert!(run.stderr.contains("titled.mkv: left out: subtitle 1 (subrip"), "{}", run.stderr);
    assert!(!run.stderr.contains("plain.mp4: "), "{}", run.stderr);
    let run = room.run("join titled.mkv plain.mp4 --gap 4 --dry-run --json").good();
    let warning = run.event("warning");
    assert_eq!(warning["code"], "tracks");
}
