//! Animated GIF, PNG and WebP as clips: every picture as a player shows it, over white, for as long as it shows it.

use std::fs;

use rayon::prelude::*;

use super::*;
use crate::pipeline::media::{RateSource, Timing, TrackChoice, UNDER};

impl Shelf {
    fn moving(&self, name: &str) -> Clip {
        let media = Media::new(CancelToken::default());
        media
            .probe_clips(&[self.path(name)], TrackChoice::default(), false)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .remove(0)
    }

    fn pictures(&self, clip: &Clip, frames: std::ops::Range<usize>) -> Vec<Vec<u8>> {
        let (media, size) = (Media::new(CancelToken::default()), clip.picture.size);
        let sampling = Sampling::Own(clip.frames);
        let wanted = Wanted { clip, sampling: &sampling, frames, size, fit: Fit::Crop, layout: Layout::Rgb };
        media.all_frames(wanted).unwrap()
    }
}

/// Boxes that move, opaque, half transparent and not there.
const SOURCE: &str = "-f lavfi -i testsrc2=size=64x36:rate=10:duration=0.9,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':\
                      a='if(lt(mod(X+4*N,40),16),0,if(lt(Y,18),255,128))' -frames:v 9";

/// Every pixel over white by its alpha.
fn over_white(rgba: &[u8]) -> Vec<u8> {
    let pixels = rgba.as_chunks::<4>().0.iter();
    let mixed = |value: u8, under: u8, alpha: u8| {
        let alpha = f64::from(alpha) / 255.0;
        (f64::from(value) * alpha + f64::from(under) * (1.0 - alpha)).round() as u8
    };
    pixels.flat_map(|&[r, g, b, a]| [mixed(r, UNDER[0], a), mixed(g, UNDER[1], a), mixed(b, UNDER[2], a)]).collect()
}

#[test]
fn every_picture_is_the_one_that_a_player_shows_over_white() {
    let shelf = Shelf::new();
    let bytes = 64 * 36 * 4;
    for (name, words) in [
        (
            "whole.gif",
            concat!(
                "-filter_complex [0]split[a][b];[a]palettegen[p];[b][p]paletteuse",
                " -gifflags -offsetting-transdiff"
            ),
        ),
        (
            "parts.gif",
            concat!(
                "-filter_complex [0]split[a][b];[a]palettegen[p];[b][p]paletteuse",
                " -gifflags +offsetting+transdiff"
            ),
        ),
        ("a.apng", "-plays 0"),
        ("a.webp", "-c:v libwebp_anim -lossless 1"),
        ("opaque.gif", "-vf format=rgb24"),
        ("opaque.apng", "-vf format=rgb24"),
    ] {
        shelf.ffmpeg(&format!("{SOURCE} {words} {name}"));
        // No ffmpeg before 8 decodes animated WebP; without loss it holds its source.
        let from = if name == "a.webp" { SOURCE.to_owned() } else { format!("-i {name}") };
        let raw = shelf.ffmpeg(&format!("{from} -fps_mode passthrough -f rawvideo -pix_fmt rgba -"));
        let wanted: Vec<Vec<u8>> = raw.chunks(bytes).map(over_white).collect();
        let clip = shelf.moving(name);
        let found = shelf.pictures(&clip, 0..clip.frames);
        assert_eq!((clip.frames, clip.transparent), (9, !name.starts_with("opaque")), "{name}");
        assert_eq!((clip.fps.to_string().as_str(), clip.timing), ("10/1", Timing::Constant), "{name}");
        assert_eq!(found.len(), wanted.len());
        for (frame, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let most = found.iter().zip(wanted).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(most <= 1, "{name}, frame {frame}: {most} off");
        }
        // From its middle and from its end.
        assert!(shelf.pictures(&clip, 4..9) == found[4..] && shelf.pictures(&clip, 8..9) == found[8..], "{name}");
    }
}

/// Where the delays of a GIF stand: in its graphic control extensions (GIF89a, 23).
fn delays(gif: &[u8]) -> Vec<usize> {
    (0..gif.len() - 8).filter(|&at| gif[at..at + 3] == [0x21, 0xf9, 4] && gif[at + 7] == 0).map(|at| at + 4).collect()
}

#[test]
fn each_picture_stands_as_long_as_browsers_show_it() {
    let shelf = Shelf::new();
    shelf.ffmpeg("-f lavfi -i testsrc2=size=64x36:rate=10 -frames:v 6 a.gif");
    let whole = fs::read(shelf.path("a.gif")).unwrap();
    // Hundredths; 0 and 1 mean no time that anybody would see.
    for (hundredths, fps, timing, seconds) in [
        ([10, 10, 10, 10, 10, 10], "10/1", Timing::Constant, (3, 5)),
        ([0, 1, 0, 1, 0, 1], "10/1", Timing::Constant, (3, 5)),
        ([2, 2, 2, 2, 2, 2], "50/1", Timing::Constant, (3, 25)),
        ([4, 4, 100, 4, 4, 4], "25/1", Timing::Variable, (6, 5)),
        ([3, 3, 4, 3, 3, 4], "30/1", Timing::Constant, (1, 5)),
    ] {
        let mut gif = whole.clone();
        let places = delays(&gif);
        assert_eq!(places.len(), 6);
        for (place, hundredths) in places.into_iter().zip(hundredths) {
            gif[place..place + 2].copy_from_slice(&u16::to_le_bytes(hundredths));
        }
        fs::write(shelf.path("b.gif"), gif).unwrap();
        let clip = shelf.moving("b.gif");
        let found = (clip.fps.to_string(), clip.timing, clip.duration);
        assert_eq!(
            found,
            (fps.into(), timing, crate::pipeline::types::video::Time::new(seconds.0, seconds.1)),
            "{hundredths:?}"
        );
        assert_eq!(clip.rate_source == RateSource::Steps, timing == Timing::Constant);
    }
}

#[test]
fn an_animation_that_is_damaged_or_too_large_is_refused() {
    let shelf = Shelf::new();
    let media = Media::new(CancelToken::default());
    for (name, words) in [("a.gif", ""), ("a.png", "-f apng"), ("a.webp", "-c:v libwebp_anim")] {
        shelf.ffmpeg(&format!("-f lavfi -i testsrc2=size=64x36:rate=10 -frames:v 6 {words} {name}"));
        let bytes = fs::read(shelf.path(name)).unwrap();
        fs::write(shelf.path(name), &bytes[..bytes.len() * 3 / 5]).unwrap();
        let error = media.probe_clips(&[shelf.path(name)], TrackChoice::default(), false).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{name} is a damaged ")), "{error}");
    }
}

#[test]
fn pictures_come_also_where_every_thread_waits_for_some() {
    let shelf = Shelf::new();
    shelf.ffmpeg("-f lavfi -i testsrc2=size=160x90:rate=10 -frames:v 12 a.gif");
    let clip = shelf.moving("a.gif");
    let all = shelf.pictures(&clip, 0..12);
    // More stretches at once than there are threads, each decoded on one of them.
    let stretches = (0..3 * rayon::current_num_threads()).into_par_iter().map(|number| {
        let start = number % 11;
        shelf.pictures(&clip, start..12) == all[start..]
    });
    assert!(stretches.all(|same| same));
}
