//! What a probe says of shape, colour, sound and rate.

use super::*;
use crate::pipeline::{
    media::Timing,
    types::video::{Matrix, Time},
};

#[test]
fn shape_and_colour_are_those_that_a_player_shows() {
    let shelf = Shelf::new();
    let still = |size: &str| {
        format!("-f lavfi -i color=gray:size={size}:rate=25 -frames:v 2 -c:v libx264 -preset ultrafast -qp 20")
    };
    let cases = [
        ("sd.mp4", still("64x36"), "", Size::new(64, 36), Matrix::Bt601, Range::Limited),
        ("hd.mp4", still("64x578"), "", Size::new(64, 578), Matrix::Bt709, Range::Limited),
        ("wide.mp4", still("1280x16"), "", Size::new(1280, 16), Matrix::Bt709, Range::Limited),
        ("tagged.mp4", still("64x36"), "-colorspace bt709", Size::new(64, 36), Matrix::Bt709, Range::Limited),
        ("pal.mp4", still("64x578"), "-colorspace bt470bg", Size::new(64, 578), Matrix::Bt601, Range::Limited),
        ("full.mp4", still("64x36"), "-pix_fmt yuvj420p", Size::new(64, 36), Matrix::Bt601, Range::Full),
        ("anamorphic.mp4", still("72x48"), "-vf setsar=32/27", Size::new(85, 48), Matrix::Bt601, Range::Limited),
    ];
    for (name, source, words, size, matrix, range) in cases {
        shelf.ffmpeg(&format!("{source} {words} {name}"));
        let picture = shelf.probe(name).picture;
        assert_eq!((picture.size, picture.color.matrix, picture.color.range), (size, matrix, range), "{name}");
    }
    // ffmpeg 5.1 counts `rotate` against the clock.
    for (degrees, size) in [(90, Size::new(36, 64)), (180, Size::new(64, 36)), (270, Size::new(36, 64))] {
        shelf.ffmpeg(&format!("-i sd.mp4 -c copy -metadata:s:v rotate={} turned.mp4", 360 - degrees));
        let picture = shelf.probe("turned.mp4").picture;
        assert_eq!((picture.rotation, picture.size, picture.coded), (degrees, size, Size::new(64, 36)));
    }
}

#[test]
fn broadcast_rates_are_exact_in_every_container() {
    let shelf = Shelf::new();
    for rate in ["24000/1001", "24/1", "25/1", "30000/1001", "30/1", "60000/1001", "12/1", "25/2"] {
        // Matroska's clock has milliseconds only, so the rate is told by the grid that the frames stand on.
        let names = ["a.mp4", "a.mkv", "a.ts", "a.avi"];
        let outputs = names.map(|name| format!("-frames:v 30 -c:v mpeg4 {name}")).join(" ");
        shelf.ffmpeg(&format!("-f lavfi -i color=gray:size=32x32:rate={rate} {outputs}"));
        for name in names {
            let clip = shelf.probe(name);
            let found = (clip.fps.to_string(), clip.timing, clip.frames);
            assert_eq!(found, (rate.to_owned(), Timing::Constant, 30), "{name}");
        }
        // Copied out of Matroska, MP4 has a finer clock and the same rounded times.
        shelf.ffmpeg("-i a.mkv -c copy copied.mp4");
        let clip = shelf.probe("copied.mp4");
        assert_eq!((clip.fps.to_string(), clip.timing), (rate.to_owned(), Timing::Constant), "copied to MP4");
    }
}

#[test]
fn the_rate_of_a_clip_with_dropped_frames_is_the_one_that_it_was_shot_at() {
    let shelf = Shelf::new();
    for rate in ["30000/1001", "24000/1001", "60000/1001", "25/1"] {
        shelf.ffmpeg(&format!(
            r"-f lavfi -i color=gray:size=32x32:rate={rate} -vf select=not(eq(mod(n\,9)\,4)) -fps_mode vfr -frames:v 40 -c:v mpeg4 v.mkv"
        ));
        let clip = shelf.probe("v.mkv");
        assert_eq!((clip.fps.to_string(), clip.timing), (rate.to_owned(), Timing::Variable));
    }
}

#[test]
fn the_first_picture_is_timed_from_the_start_of_the_file() {
    let shelf = Shelf::new();
    let (picture, tone) =
        ("-f lavfi -i color=gray:size=32x32:rate=25", "-f lavfi -i sine=frequency=440:sample_rate=44100");
    let coding = "-t 0.8 -map 0:v -map 1:a -c:v libx264 -preset ultrafast -c:a aac";
    shelf.ffmpeg(&format!("{picture} {tone} {coding} both.mp4"));
    shelf.ffmpeg("-itsoffset 0.4 -i both.mp4 -i both.mp4 -map 0:v -map 1:a -c copy late.mp4");
    shelf.ffmpeg("-i both.mp4 -itsoffset 0.4 -i both.mp4 -map 0:v -map 1:a -c copy early.mp4");
    assert_eq!(shelf.probe("late.mp4").picture_start, Time::new(2, 5));
    let clip = shelf.probe("early.mp4");
    assert_eq!(clip.picture_start, Time::default());
    let sound = clip.sound.unwrap();
    assert_eq!((sound.codec.as_str(), sound.rate, sound.channels, sound.layout.as_str()), ("aac", 44100, 1, "mono"));
}

#[test]
fn the_picture_of_an_album_is_no_video_and_one_frame_is() {
    let shelf = Shelf::new();
    shelf.ffmpeg("-f lavfi -i color=gray:size=32x32 -frames:v 1 cover.png");
    shelf.ffmpeg(
        "-f lavfi -i sine -i cover.png -map 0 -map 1 -t 0.2 -c:a aac -c:v copy -disposition:v attached_pic song.m4a",
    );
    let error = probe(&shelf.path("song.m4a")).unwrap_err();
    assert_eq!(error.to_string(), "song.m4a has no picture");
    shelf.ffmpeg("-i cover.png -c:v libx264 -pix_fmt yuv420p one.mp4");
    let clip = shelf.probe("one.mp4");
    assert_eq!(clip.frames, 1);
}
