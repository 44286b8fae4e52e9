//! Clips whose packets are not one picture each: hidden by an edit list, never shown, without what they refer to, lost on
//! the way. What a decoder shows is the clip, wherever reading begins.

use std::{collections::HashMap, fs, process::Command};

use rayon::prelude::*;

use super::*;
use crate::pipeline::{
    media::{RateSource, Timing},
    types::error::Reportable,
};

/// Frame n is flat, with luma 20 + 5n.
const SOURCE: &str = "-f lavfi -i nullsrc=size=64x36:rate=25,format=yuv420p,geq=lum=20+5*N:cb=128:cr=128 -frames:v 40";
const X264: &str = "-c:v libx264 -preset veryfast -crf 12 -x264-params log-level=error:scenecut=0";
const X265: &str = "-c:v libx265 -preset ultrafast -crf 12 -tag:v hvc1 -x265-params log-level=none:pools=1:scenecut=0";

fn numbers(frames: &[Vec<u8>]) -> Vec<usize> {
    frames.iter().map(|frame| (usize::from(frame[0]).saturating_sub(20) + 2) / 5).collect()
}

/// The clip shows these frames, from its start, from every place and one by one.
#[track_caller]
fn assert_shows(shelf: &Shelf, name: &str, wanted: impl Iterator<Item = usize>) -> Clip {
    let (clip, wanted) = (shelf.probe(name), wanted.collect::<Vec<_>>());
    let sampling = Sampling::Own(clip.frames);
    let all = frames(&clip, &sampling, 0..clip.frames);
    assert_eq!(numbers(&all), wanted, "{name}");
    for index in [1, clip.frames / 2, clip.frames - 1] {
        assert!(frames(&clip, &sampling, index..index + 1)[0] == all[index], "{name}: frame {index} by itself");
    }
    let third = clip.frames / 3;
    assert!(streamed(&clip, &sampling, third..clip.frames) == all[third..], "{name}: from its middle");
    clip
}

/// The second key frame of a transport stream at 25 fps: its place in the file and on the screen.
fn second_key(shelf: &Shelf, name: &str) -> (usize, usize) {
    let show = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts,flags", "-of", "compact=p=0", name];
    let output = Command::new("ffprobe").args(show).current_dir(shelf.0.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let packet = |line: &str| {
        let (time, flags) = line.strip_prefix("pts=")?.split_once("|flags=")?;
        Some((time.parse::<i64>().ok()?, flags.starts_with('K')))
    };
    let packets: Vec<(i64, bool)> = text.lines().filter_map(packet).collect();
    let first = packets.iter().map(|(time, _)| *time).min().unwrap();
    let (place, (time, _)) = packets.iter().enumerate().filter(|(_, (_, key))| *key).nth(1).unwrap();
    (place, ((time - first) / 3600) as usize)
}

#[test]
fn frames_that_an_edit_list_hides_are_neither_shown_nor_missed() {
    let shelf = Shelf::new();
    let sources = [
        ("plain.mp4", format!("{X264}:keyint=12:bframes=0")),
        ("reordered.mp4", format!("{X264}:keyint=12:bframes=3")),
        ("hevc.mp4", format!("{X265}:keyint=12:bframes=3")),
    ];
    sources.par_iter().for_each(|(name, words)| {
        shelf.ffmpeg(&format!("{SOURCE} {words} {name}"));
        for container in ["mp4", "mov"] {
            // A key frame stands at 24 and at 12; what is hidden is before the cut.
            let cut = format!("cut_{name}.{container}");
            shelf.ffmpeg(&format!("-ss 0.68 -i {name} -c copy {cut}"));
            let clip = assert_shows(&shelf, &cut, 17..40);
            assert_eq!(clip.counts.decoded, Some(23), "{cut}");
            // And here after it.
            let end = format!("end_{name}.{container}");
            shelf.ffmpeg(&format!("-i {name} -c copy {end}"));
            let mut bytes = fs::read(shelf.path(&end)).unwrap();
            let edit = bytes.windows(4).position(|word| word == b"elst").unwrap() + 12;
            bytes[edit..edit + 4].copy_from_slice(&1200_u32.to_be_bytes());
            fs::write(shelf.path(&end), bytes).unwrap();
            let clip = assert_shows(&shelf, &end, 0..30);
            assert_eq!((clip.counts.container, clip.counts.hidden.is_some()), (Some(40), true), "{end}");
        }
    });
}

#[test]
fn a_file_cut_short_is_so_behind_an_edit_list_too() {
    let shelf = Shelf::new();
    shelf.ffmpeg(&format!("{SOURCE} {X264}:keyint=12:bframes=2 whole.mp4"));
    shelf.ffmpeg("-ss 0.68 -i whole.mp4 -c copy -movflags +faststart cut.mp4");
    let bytes = fs::read(shelf.path("cut.mp4")).unwrap();
    fs::write(shelf.path("short.mp4"), &bytes[..bytes.len() * 4 / 5]).unwrap();
    let error = probe(&shelf.path("short.mp4")).unwrap_err();
    assert!(error.to_string().starts_with("short.mp4 is cut short: "), "{error}");
    assert!(error.to_string().contains(" of 28 frames are there"), "{error}");
}

#[test]
fn frames_that_are_never_shown_are_not_in_the_clip() {
    let shelf = Shelf::new();
    let hidden = "-auto-alt-ref 1 -lag-in-frames 16";
    for pass in [1, 2] {
        let log = shelf.path("log").display().to_string();
        shelf.ffmpeg(&format!(
            "-f lavfi -i testsrc2=size=64x36:rate=25 -frames:v 100 -pix_fmt yuv420p -c:v libvpx -b:v 500k {hidden} -pass {pass} \
             -passlogfile {log} vp8.webm"
        ));
    }
    shelf.ffmpeg(&format!("{SOURCE} -c:v libvpx-vp9 -b:v 300k {hidden} -g 16 -cpu-used 5 vp9.webm"));
    for name in ["vp8.mkv", "vp8.avi"] {
        shelf.ffmpeg(&format!("-i vp8.webm -c copy {name}"));
    }
    for name in ["vp9.mkv", "vp9.mp4"] {
        shelf.ffmpeg(&format!("-i vp9.webm -c copy {name}"));
    }
    let plain = shelf.ffmpeg("-i vp8.webm -fps_mode passthrough -f rawvideo -pix_fmt yuv420p -");
    ["vp8.webm", "vp8.mkv", "vp8.avi"].par_iter().for_each(|name| {
        let clip = shelf.probe(name);
        assert!(clip.counts.packets > 100 && clip.frames == 100, "{name}: {:?}", clip.counts);
        let sampling = Sampling::Own(100);
        let all = frames(&clip, &sampling, 0..100);
        assert!(all.concat() == plain, "{name}");
        for index in (0..100).step_by(9) {
            assert!(frames(&clip, &sampling, index..index + 1)[0] == all[index], "{name}: frame {index} by itself");
        }
    });
    ["vp9.webm", "vp9.mkv", "vp9.mp4"].par_iter().for_each(|name| {
        assert_shows(&shelf, name, 0..40);
    });
}

#[test]
fn a_recording_that_begins_amid_its_pictures_begins_with_the_first_that_can_be_shown() {
    let shelf = Shelf::new();
    let sources = [
        ("closed.ts", format!("{X264}:keyint=12:bframes=2:repeat-headers=1")),
        ("open.ts", format!("{X264}:keyint=12:bframes=3:open-gop=1:b-adapt=0:repeat-headers=1")),
        ("hevc.ts", format!("{X265}:keyint=12:min-keyint=12:bframes=3:open-gop=1:b-adapt=0:repeat-headers=1")),
        ("mpeg2.ts", "-c:v mpeg2video -q:v 2 -g 12 -bf 2 -sc_threshold 1000000000".into()),
    ];
    sources.par_iter().for_each(|(name, words)| {
        shelf.ffmpeg(&format!("{SOURCE} {words} {name}"));
        let (codec, (second, shown)) = (name.trim_end_matches(".ts"), second_key(&shelf, name));
        assert!(second > 6 && shown > 6, "{name}: {second} {shown}");
        // From amid the first group of pictures, and from the second key frame on, whose leading pictures refer to the first.
        let kinds = [("amid", second / 2), ("open", second)];
        // One of the two says all of these.
        let kinds = match codec {
            "closed" => &kinds[..1],
            "open" | "hevc" => &kinds[1..],
            _ => &kinds[..],
        };
        for (kind, first) in kinds {
            let ts = format!("{kind}_{codec}.ts");
            shelf.ffmpeg(&format!("-i {name} -c copy -copyinkf -bsf:v noise=drop=lt(n\\,{first}) {ts}"));
            let mut names = vec![ts.clone()];
            // Each from where ffmpeg lets a copy begin.
            for container in ["mkv", "mp4", "mov", "avi", "flv", "mpg"] {
                let usual = match codec {
                    "mpeg2" => matches!(container, "mkv" | "avi" | "mov" | "mpg"),
                    "hevc" => matches!(container, "mkv" | "mp4" | "mov"),
                    _ => container != "mpg",
                };
                if usual {
                    names.push(format!("{kind}_{codec}.{container}"));
                    shelf.ffmpeg(&format!("-i {ts} -c copy -copyinkf {kind}_{codec}.{container}"));
                }
            }
            names.iter().for_each(|name| {
                let clip = assert_shows(&shelf, name, shown..40);
                assert_eq!((clip.timing, clip.damage), (Timing::Constant, None), "{name}");
            });
        }
    });
}

/// The packets of a transport stream, 188 bytes each, with the places of those that carry a part of the picture.
fn transport(shelf: &Shelf, name: &str) -> (Vec<Vec<u8>>, Vec<usize>) {
    let packets: Vec<Vec<u8>> = fs::read(shelf.path(name)).unwrap().chunks(188).map(<[u8]>::to_vec).collect();
    let stream = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
    let picture = (0..packets.len()).filter(|&at| stream(&packets[at]) == 0x100).collect();
    (packets, picture)
}

#[test]
fn streams_put_together_are_joined_and_only_what_is_missing_is_said() {
    let shelf = Shelf::new();
    shelf.ffmpeg(&format!("{SOURCE} {X264}:keyint=12:bframes=2 a.ts"));
    shelf.ffmpeg(&format!("{SOURCE} -c:v mpeg2video -q:v 2 -g 12 -bf 2 b.ts"));
    shelf.ffmpeg("-i b.ts -c copy c.mpg");
    for (name, from) in [("twice.ts", "a.ts"), ("twice_b.ts", "b.ts"), ("twice.mpg", "c.mpg")] {
        let bytes = fs::read(shelf.path(from)).unwrap();
        fs::write(shelf.path(name), [&bytes[..], &bytes[..]].concat()).unwrap();
        let clip = assert_shows(&shelf, name, (0..40).chain(0..40));
        assert_eq!(
            (clip.fps.to_string().as_str(), clip.timing, clip.damage),
            ("25/1", Timing::Constant, None),
            "{name}"
        );
    }
    let (packets, picture) = transport(&shelf, "a.ts");
    let mut counter = packets.clone();
    let at = picture[picture.len() / 2];
    counter[at][3] ^= 0x05;
    fs::write(shelf.path("counter.ts"), counter.concat()).unwrap();
    assert_eq!(assert_shows(&shelf, "counter.ts", 0..40).damage, None);
}

#[test]
fn lost_packets_of_a_recording_are_said_and_the_rest_stands_at_its_time() {
    let shelf = Shelf::new();
    // Pictures that need more than one packet each.
    let source = SOURCE.replace("lum=20+5*N", "lum='if(lt(X,32),20+5*N,random(1)*255)'");
    shelf.ffmpeg(&format!("{source} {X264}:keyint=12:bframes=0 a.ts"));
    shelf.ffmpeg(&format!("{source} -c:v mpeg2video -q:v 2 -g 12 b.ts"));
    for name in ["a.ts", "b.ts"] {
        let (packets, picture) = transport(&shelf, name);
        let lost = picture[picture.len() / 2];
        let rest: Vec<Vec<u8>> = packets
            .iter()
            .enumerate()
            .filter(|(at, _)| !(lost..lost + 3).contains(at))
            .map(|(_, packet)| packet.clone())
            .collect();
        let lossy = format!("lost_{name}");
        fs::write(shelf.path(&lossy), rest.concat()).unwrap();
        let clip = shelf.probe(&lossy);
        assert!(clip.damage.is_some() && clip.frames <= 40, "{lossy}: {} frames, {:?}", clip.frames, clip.damage);
        // At the film's rate, with the picture before in place of one that is gone.
        let sampling = clip.at_rate(clip.fps);
        assert_eq!((clip.fps.to_string().as_str(), sampling.frames()), ("25/1", 40), "{lossy}");
        let shown = numbers(&frames(&clip, &sampling, 0..40));
        let right = shown.iter().enumerate().filter(|(at, number)| at == *number).count();
        assert!(right >= 28 && shown[..15] == (0..15).collect::<Vec<_>>() && shown[39] == 39, "{lossy}: {shown:?}");
    }
}

#[test]
fn damage_elsewhere_is_still_refused() {
    let shelf = Shelf::new();
    let source = SOURCE.replace("lum=20+5*N", "lum=random(1)*255");
    shelf.ffmpeg(&format!("{source} {X264}:keyint=12:bframes=2 whole.mp4"));
    shelf.ffmpeg("-ss 0.68 -i whole.mp4 -c copy cut.mp4");
    let show = ["-v", "error", "-show_entries", "packet=pos,size", "-of", "csv=p=0", "cut.mp4"];
    let output = Command::new("ffprobe").args(show).current_dir(shelf.0.path()).output().unwrap();
    let packets: Vec<usize> =
        String::from_utf8(output.stdout).unwrap().lines().nth(20).unwrap().split(',').flat_map(str::parse).collect();
    let mut bytes = fs::read(shelf.path("cut.mp4")).unwrap();
    let (size, place) = (packets[0].min(packets[1]), packets[0].max(packets[1]));
    bytes[place + 8..place + size].fill(0);
    fs::write(shelf.path("cut.mp4"), bytes).unwrap();
    let error = probe(&shelf.path("cut.mp4")).unwrap_err();
    assert!(error.to_string().contains("is damaged near frame"), "{error}");
    assert!(error.details().help.unwrap().contains("ffmpeg -i "));
}

#[test]
fn a_recording_that_changes_its_size_keeps_the_first() {
    let shelf = Shelf::new();
    shelf.ffmpeg(&format!("{SOURCE} {X264} a.ts"));
    shelf.ffmpeg(&format!("{SOURCE} -vf scale=96:54 {X264} b.ts"));
    let both = ["a.ts", "b.ts"].map(|name| fs::read(shelf.path(name)).unwrap()).concat();
    fs::write(shelf.path("both.ts"), both).unwrap();
    assert_shows(&shelf, "both.ts", (0..40).chain(0..40));
}

#[test]
fn a_recorder_that_leaves_repeats_out_has_the_rate_at_which_it_records() {
    let shelf = Shelf::new();
    let source = "-f lavfi -i nullsrc=size=64x36:rate=60:duration=8,format=yuv420p,geq=lum='16+mod(N\\,200)':cb=128:cr=128 \
                  -vf select='if(between(t\\,4\\,4.2)\\,1\\,not(mod(n\\,30)))' -fps_mode vfr";
    let x264 = format!("{X264}:bframes=0");
    let vp8 = "-c:v libvpx -b:v 1M -deadline realtime -cpu-used 8";
    let files = [
        ("a.mp4", &x264[..]),
        ("a.mov", &x264),
        ("a.mkv", &x264),
        ("a.flv", &x264),
        ("a.ts", &x264),
        ("a.avi", &x264),
        ("a.webm", vp8),
    ];
    let times: HashMap<&str, Vec<f64>> = files
        .par_iter()
        .map(|(name, words)| {
            shelf.ffmpeg(&format!("{source} {words} {name}"));
            let clip = shelf.probe(name);
            let nominal = RateSource::Nominal { single: 12, steps: 27 };
            assert_eq!((clip.frames, clip.fps.to_string().as_str(), clip.rate_source), (28, "60/1", nominal), "{name}");
            let sampling = clip.at_rate(clip.fps);
            let picks: Vec<usize> = (0..sampling.frames()).map(|index| sampling.file_frame(index)).collect();
            let first = |frame: usize| picks.iter().position(|&pick| pick == frame).unwrap() as f64 / 60.0;
            (*name, (0..28).map(first).collect())
        })
        .collect();
    let wanted = (0..480).filter(|n| n % 30 == 0 || (240..=252).contains(n)).map(|n| f64::from(n) / 60.0);
    let wanted: Vec<f64> = wanted.collect();
    for (name, times) in times {
        for (found, wanted) in times.iter().zip(&wanted) {
            assert!((found - wanted).abs() < 1.1 / 60.0, "{name}: {found} for {wanted}");
        }
    }
}
