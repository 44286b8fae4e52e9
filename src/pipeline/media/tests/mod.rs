//! The module against ffmpeg itself: what clips are, how many frames they have, and that seeking finds every one.

mod animations;
mod count;
mod dynamic_range;
mod facts;
mod recordings;
mod seek;
mod stills;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Clip, Fit, Media, MediaError, Sampling, Wanted};
use crate::pipeline::types::{
    cancel::CancelToken,
    video::{Layout, Range, Size},
};

/// A folder for material.
struct Shelf(TempDir);

impl Shelf {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs ffmpeg here; panics with its words where it fails.
    fn ffmpeg(&self, line: &str) -> Vec<u8> {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y"]).args(line.split_whitespace()).current_dir(self.0.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "ffmpeg {line}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn probe(&self, name: &str) -> Clip {
        probe(&self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

fn probe(path: &Path) -> Result<Clip, MediaError> {
    Media::new(CancelToken::default()).probe(path)
}

/// Frames of a clip as they are stored, but for depth and shape.
fn wanted<'a>(clip: &'a Clip, sampling: &'a Sampling, frames: std::ops::Range<usize>) -> Wanted<'a> {
    let layout = Layout::Yuv420 { matrix: clip.picture.color.matrix, range: Range::Limited };
    Wanted { clip, sampling, frames, size: Size::new(64, 36), fit: Fit::Stretch, layout }
}

fn frames(clip: &Clip, sampling: &Sampling, frames: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    Media::new(CancelToken::default()).all_frames(wanted(clip, sampling, frames)).unwrap()
}

/// The same one by one, as a film is written.
fn streamed(clip: &Clip, sampling: &Sampling, frames: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let mut decoder = Media::new(CancelToken::default()).frames(wanted(clip, sampling, frames)).unwrap();
    let mut decoded = vec![];
    while let Some(frame) = decoder.read().unwrap() {
        decoded.push(frame.to_vec());
    }
    decoded
}
