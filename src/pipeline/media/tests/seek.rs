//! A frame reached by seeking is the frame that decoding from the start gives, byte for byte, whatever the file is.

use rayon::prelude::*;

use super::*;

/// Pictures that no two frames share, so that one taken for another is noticed.
const SOURCE: &str = "-f lavfi -i testsrc2=size=64x36:rate=25,noise=alls=20:allf=t";

const X264: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -x264-params log-level=error";

/// Names and how they are made; `{14}` is the source cut to so many frames.
const USUAL: [(&str, &str); 4] = [
    ("closed.mp4", "{14} {x264}:keyint=6:bframes=2"),
    ("open.mp4", "{14} {x264}:keyint=7:bframes=3:open-gop=1:b-adapt=0:b-pyramid=2"),
    ("open.mkv", "{14} {x264}:keyint=7:bframes=3:open-gop=1:b-adapt=0"),
    ("variable.mp4", r"{14} -vf select=not(eq(mod(n\,5)\,2)) -fps_mode vfr {x264}:keyint=6:bframes=2"),
];

const RARER: [(&str, &str); 13] = [
    ("long.mp4", "{12} {x264}:keyint=250:bframes=3"),
    ("refresh.mp4", "{14} {x264}:keyint=8:intra-refresh=1:bframes=0"),
    (
        "hevc.mp4",
        "{13} -c:v libx265 -preset ultrafast -x265-params keyint=6:min-keyint=6:open-gop=1:bframes=3:log-level=none:pools=1",
    ),
    ("pyramid.mp4", "{14} {x264}:keyint=6:bframes=3:open-gop=1:b-adapt=0:b-pyramid=2:ref=4"),
    ("open.ts", "{12} {x264}:keyint=7:bframes=3:open-gop=1:b-adapt=0"),
    ("closed.avi", "{12} {x264}:keyint=6:bframes=0"),
    ("offset.mp4", "{12} -vf setpts=PTS+1.5/TB -fps_mode passthrough {x264}:keyint=5:bframes=2"),
    ("offset.mkv", "{12} -vf setpts=PTS+1.5/TB -fps_mode passthrough {x264}:keyint=5:bframes=2"),
    ("vp8.webm", "{12} -c:v libvpx -g 6 -auto-alt-ref 1 -lag-in-frames 8 -cpu-used 8 -deadline realtime"),
    ("vp9.webm", "{12} -c:v libvpx-vp9 -g 6 -auto-alt-ref 1 -lag-in-frames 8 -cpu-used 8 -threads 1"),
    ("variable.mkv", r"{14} -vf select=not(eq(mod(n\,5)\,2)) -fps_mode vfr {x264}:keyint=6:bframes=2:open-gop=1"),
    ("ntsc.mkv", "{12} -r 30000/1001 {x264}:keyint=5:bframes=2"),
    ("prores.mov", "{8} -c:v prores_ks -profile:v 0 -vendor apl0"),
];

fn make(shelf: &Shelf, name: &str, recipe: &str) {
    let (before, rest) = recipe.split_once('{').unwrap();
    let (count, words) = rest.split_once('}').unwrap();
    let words = words.replace("{x264}", X264);
    shelf.ffmpeg(&format!("{before} {SOURCE} -frames:v {count} {words} {name}"));
}

/// Every frame for itself; how often the decoder had to begin anew is not asked, only what came.
#[track_caller]
fn assert_seeks(shelf: &Shelf, name: &str) {
    let clip = shelf.probe(name);
    let sampling = Sampling::Own(clip.frames);
    let all = frames(&clip, &sampling, 0..clip.frames);
    let plain = shelf.ffmpeg(&format!(
        "-i {name} -map 0:v:0 -fps_mode passthrough -vf scale=64:36:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp \
         -pix_fmt yuv420p -f rawvideo -"
    ));
    assert_eq!(all.concat().len(), plain.len(), "{name}: as many frames as ffmpeg decodes");
    assert!(clip.picture.pixel_format != "yuv420p" || all.concat() == plain, "{name}: the frames that ffmpeg decodes");
    // Where nothing is sought, all frames are found alike.
    let step = if clip.entries.is_empty() { 5 } else { 1 };
    for index in (0..clip.frames).step_by(step) {
        let found = &frames(&clip, &sampling, index..index + 1)[0];
        let same: Vec<usize> = (0..all.len()).filter(|&other| all[other] == *found).collect();
        assert_eq!(same, [index], "{name}: which frame came for {index}");
    }
    let (third, last) = (clip.frames / 3, clip.frames - 1);
    assert!(streamed(&clip, &sampling, third..last) == all[third..last], "{name}: streamed from its middle");
    assert!(streamed(&clip, &sampling, last..clip.frames) == all[last..], "{name}: streamed at its end");
}

fn assert_all_seek(files: &[(&str, &str)]) {
    let shelf = Shelf::new();
    files.par_iter().for_each(|(name, recipe)| {
        make(&shelf, name, recipe);
        assert_seeks(&shelf, name);
    });
}

#[test]
fn every_frame_reached_by_seeking_is_the_one_that_decoding_from_the_start_gives() {
    assert_all_seek(&USUAL);
}

#[test]
#[ignore = "slow: a start of ffmpeg for each frame of 13 files"]
fn so_it_is_in_rarer_files() {
    assert_all_seek(&RARER);
}

#[test]
fn a_cut_without_reencoding_keeps_its_hidden_frames_hidden() {
    let shelf = Shelf::new();
    make(&shelf, "whole.mp4", "{30} {x264}:keyint=12:bframes=3");
    // From the middle of a group: an edit list hides what stands before.
    shelf.ffmpeg("-ss 0.68 -i whole.mp4 -c copy cut.mp4");
    let (whole, cut) = (shelf.probe("whole.mp4"), shelf.probe("cut.mp4"));
    assert_eq!((cut.frames, cut.counts.packets), (13, 13));
    assert_seeks(&shelf, "cut.mp4");
    let own = frames(&whole, &Sampling::Own(30), 17..30);
    assert!(frames(&cut, &Sampling::Own(13), 0..13) == own);
}

#[test]
fn key_frames_that_are_none_are_survived_by_beginning_anew() {
    let shelf = Shelf::new();
    make(&shelf, "long.mp4", "{16} {x264}:keyint=250:bframes=0");
    let mut clip = shelf.probe("long.mp4");
    let sampling = Sampling::Own(16);
    let all = frames(&clip, &sampling, 0..16);
    // As if every third frame were flagged as one to begin at.
    let (first, start) = (clip.entries[0], clip.entries[0].seek);
    clip.entries = (0..16)
        .step_by(3)
        .map(|frame| super::super::clip::Entry { frame, seek: start + clip.times[frame], leads: false })
        .collect();
    assert_eq!(first.frame, 0);
    for (index, frame) in all.iter().enumerate() {
        assert!(frames(&clip, &sampling, index..index + 1)[0] == *frame, "frame {index}");
    }
    assert!(frames(&clip, &sampling, 7..16) == all[7..]);
    assert!(streamed(&clip, &sampling, 7..16) == all[7..]);
}

#[test]
fn resampled_frames_come_in_order_and_as_often_as_they_are_shown() {
    let shelf = Shelf::new();
    make(&shelf, "a.mp4", "{20} {x264}:keyint=6:bframes=2");
    let clip = shelf.probe("a.mp4");
    let all = frames(&clip, &Sampling::Own(20), 0..20);
    for rate in ["60", "24000/1001", "10"] {
        let sampling = clip.at_rate(rate.parse().unwrap());
        let picks: Vec<usize> = (0..sampling.frames()).map(|index| sampling.file_frame(index)).collect();
        let wanted = |range: std::ops::Range<usize>| -> Vec<Vec<u8>> {
            picks[range].iter().map(|&pick| all[pick].clone()).collect()
        };
        for range in [0..picks.len(), 3..picks.len(), 5..6, picks.len() - 2..picks.len()] {
            assert!(frames(&clip, &sampling, range.clone()) == wanted(range.clone()), "{range:?} at {rate}");
        }
    }
}
