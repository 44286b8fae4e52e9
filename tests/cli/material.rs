//! Clips whose every sample is known, and questions to the films that are made of them.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::Value;

use super::harness::{Room, Run};

pub(crate) type Size = (usize, usize);

pub(crate) const SMALL: Size = (64, 36);

/// x264 that changes nothing, as fast as it goes.
pub(crate) const EXACT: &str = "-c:v libx264 -preset ultrafast -qp 0";

impl Room {
    /// A video of these raw frames.
    pub(crate) fn raw_clip(
        &self,
        name: &str,
        pixel_format: &str,
        size: Size,
        fps: &str,
        frames: &[Vec<u8>],
        words: &str,
    ) {
        let (raw, bytes, (width, height)) = (format!("{name}.raw"), frames.concat(), size);
        let from = format!("-f rawvideo -pix_fmt {pixel_format} -s {width}x{height} -r {fps} -i");
        let recipe = format!("{from} {} {words}", hash(&bytes));
        self.material(name, &recipe, || {
            fs::write(self.path(&raw), &bytes).unwrap();
            self.ffmpeg(&format!("{from} {raw} {words} {name}"));
            fs::remove_file(self.path(&raw)).unwrap();
        });
    }

    /// Frame n is flat, with luma `first + n`: what is seen of it tells which one it is.
    pub(crate) fn numbered(&self, name: &str, first: u8, frames: usize, fps: &str) {
        let frames: Vec<_> = (0..frames).map(|n| flat_yuv(first + n as u8, SMALL)).collect();
        self.raw_clip(name, "yuv420p", SMALL, fps, &frames, EXACT);
    }

    /// Frames full of shapes, each unlike the others and unlike those of another `seed`.
    pub(crate) fn pattern(&self, name: &str, seed: usize, frames: usize, fps: &str) {
        let frames: Vec<_> = (0..frames).map(|n| pattern_yuv(seed, n, SMALL)).collect();
        self.raw_clip(name, "yuv420p", SMALL, fps, &frames, EXACT);
    }

    /// The luma of every frame's first pixel, as it is coded.
    pub(crate) fn numbers(&self, name: &str, size: Size) -> Vec<u8> {
        self.frames(name, "yuv420p", size).iter().map(|frame| frame[0]).collect()
    }

    /// Every frame in RGB by the documented conversion (media/decode.rs), for a clip at the film's size already.
    pub(crate) fn rgb(&self, name: &str, matrix: &str, range: &str, size: Size) -> Vec<Vec<u8>> {
        let (width, height) = size;
        let filter = format!(
            "scale={width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp:in_color_matrix={matrix}:\
             out_color_matrix={matrix}:in_range={range}:out_range=pc,format=rgb24"
        );
        let words = ["-i", name, "-map", "0:v:0", "-vf", &filter, "-fps_mode", "passthrough", "-f", "rawvideo", "-"];
        self.ffmpeg_words(&words).chunks(width * height * 3).map(<[u8]>::to_vec).collect()
    }

    /// What ffprobe says of the first stream of a kind (`v` or `a`).
    pub(crate) fn stream(&self, name: &str, kind: &str) -> Value {
        #[allow(clippy::disallowed_types, reason = "tests start programs")]
        let output = std::process::Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-count_packets",
                "-select_streams",
                &format!("{kind}:0"),
                "-show_streams",
                "-of",
                "json",
            ])
            .arg(self.path(name))
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["streams"][0].clone()
    }

    /// `wanctl join` with `--json`, ended well; the plan and the whole run.
    pub(crate) fn joined(&self, words: &str) -> (Value, Run) {
        let line = format!("join --json {words}");
        let run = self.wanctl(&line.split_whitespace().collect::<Vec<_>>()).good();
        (run.event("plan")["plan"].clone(), run)
    }

    pub(crate) fn run(&self, line: &str) -> Run {
        self.wanctl(&line.split_whitespace().collect::<Vec<_>>())
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn flat_yuv(luma: u8, (width, height): Size) -> Vec<u8> {
    let mut frame = vec![luma; width * height];
    frame.resize(width * height * 3 / 2, 128);
    frame
}

fn pattern_yuv(seed: usize, n: usize, (width, height): Size) -> Vec<u8> {
    let plane = |width: usize, height: usize, across: usize, down: usize| {
        (0..width * height).map(move |at| {
            let (x, y) = (at % width, at / width);
            (30 + (x * across + y * down + n * 11 + seed * 37) % 190) as u8
        })
    };
    plane(width, height, 3, 2 + seed)
        .chain(plane(width / 2, height / 2, 2, 3))
        .chain(plane(width / 2, height / 2, 1 + seed, 4))
        .collect()
}

/// A frame of `colour` with a box of `ink` at `left, top` to `right, bottom` (excluded), in RGB.
pub(crate) fn boxed(size: Size, colour: [u8; 3], ink: [u8; 3], [left, top, right, bottom]: [usize; 4]) -> Vec<u8> {
    let (width, height) = size;
    let pixel = |at: usize| {
        let (x, y) = (at % width, at / width);
        if (left..right).contains(&x) && (top..bottom).contains(&y) { ink } else { colour }
    };
    (0..width * height).flat_map(pixel).collect()
}

/// Where a frame is brighter than `level` in red: left, top, right, bottom (excluded).
pub(crate) fn bright_box(rgb: &[u8], (width, height): Size, level: u8) -> [usize; 4] {
    let lit = |at: usize| rgb[at * 3] > level;
    let mut found = [width, height, 0, 0];
    for (x, y) in (0..width * height).filter(|&at| lit(at)).map(|at| (at % width, at / width)) {
        found = [found[0].min(x), found[1].min(y), found[2].max(x + 1), found[3].max(y + 1)];
    }
    found
}

#[track_caller]
pub(crate) fn assert_near(found: [usize; 4], wanted: [usize; 4], by: usize) {
    assert!(
        found.iter().zip(wanted).all(|(found, wanted)| found.abs_diff(wanted) <= by),
        "{found:?}, wanted {wanted:?}"
    );
}

/// Two numbers of a plan.
pub(crate) fn pair(value: &Value) -> (usize, usize) {
    let number = |index: usize| value[index].as_u64().unwrap_or_else(|| panic!("no pair: {value}")) as usize;
    (number(0), number(1))
}

/// What a seam's guide shows in each of its frames: the clip and its frame, or nothing.
pub(crate) fn shown(seam: &Value) -> Vec<Option<(usize, usize)>> {
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let mut slots = vec![];
    for run in seam["slots"].as_array().unwrap() {
        let (kind, body) = run.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "keep" | "hint" => {
                let (start, end) = pair(&body["frames"]);
                slots.extend((start..end).map(|index| Some((number(&body["input"]), index))));
            }
            "fill" => slots.extend(vec![None; number(body)]),
            _ => slots.extend(vec![Some((number(&body["input"]), number(&body["frame"]))); number(&body["count"])]),
        }
    }
    assert_eq!(slots.len(), number(&seam["guide_frames"]));
    slots
}

/// Rounded to nearest, as a fade between two pictures.
pub(crate) fn mix(from: &[u8], to: &[u8], weight: f64) -> Vec<u8> {
    let mixed = |(&from, &to): (&u8, &u8)| (f64::from(from) + (f64::from(to) - f64::from(from)) * weight).round() as u8;
    from.iter().zip(to).map(mixed).collect()
}

/// The largest difference of two samples at one place.
pub(crate) fn farthest(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}
