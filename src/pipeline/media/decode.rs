//! Frames out of a clip: exactly those asked for, at the film's size, or an error.

use std::{ffi::OsString, ops::Range};

use super::{
    Media, animation,
    clip::{Clip, Entry, Picture, Sampling},
    error::{MediaError, Tool, Unusable},
    ffmpeg_compat,
    fit::{Fit, crop, inside},
    full_decode::damaged,
    process::{Child, Pipes},
};
use crate::pipeline::types::video::{self, Layout, Matrix, Size, Time};

/// Frames `frames` of a clip after sampling, as the film wants them.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub clip: &'a Clip,
    pub sampling: &'a Sampling,
    pub frames: Range<usize>,
    pub size: Size,
    pub fit: Fit,
    pub layout: Layout,
}

/// Frames on their way; `read` until it gives None, which is when the decoder is known to have ended well.
pub struct Frames<'a> {
    media: Media,
    wanted: Wanted<'a>,
    child: Child,
    frame: Vec<u8>,
    /// The next frame of the film that is asked for.
    next: usize,
    /// How many frames of the file were read, counted from the first that is needed.
    read: usize,
    files: Range<usize>,
    begun: Begin,
}

/// Where decoding begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// At the last key frame before what is wanted.
    Near,
    Start,
}

impl std::fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("wanted", &self.wanted).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Media {
    /// Starts to decode; `wanted.frames` is not empty. Frames that cannot be taken back once they are given need a place
    /// to begin that was tried, unless it is the file's start.
    pub fn frames<'a>(&self, wanted: Wanted<'a>) -> Result<Frames<'a>, MediaError> {
        let first = Wanted { frames: wanted.frames.start..wanted.frames.start + 1, ..wanted.clone() };
        let begin = match begins_amid(&first) && self.attempt(first, Begin::Near).is_err_and(|e| e.is_about_the_file())
        {
            true => Begin::Start,
            false => Begin::Near,
        };
        self.begin(wanted, begin)
    }

    /// All that is wanted at once.
    pub fn all_frames(&self, wanted: Wanted<'_>) -> Result<Vec<Vec<u8>>, MediaError> {
        match self.attempt(wanted.clone(), Begin::Near) {
            Err(error) if error.is_about_the_file() && begins_amid(&wanted) => self.attempt(wanted, Begin::Start),
            other => other,
        }
    }

    /// An error also where the decoder began amid the file and complained: then that was no real key frame (gradual
    /// refresh, wrong flags), and what it gave can be broken pictures.
    fn attempt(&self, wanted: Wanted<'_>, begin: Begin) -> Result<Vec<Vec<u8>>, MediaError> {
        let mut frames = self.begin(wanted, begin)?;
        let mut all = Vec::with_capacity(frames.wanted.frames.len());
        while let Some(frame) = frames.read()? {
            all.push(frame.to_vec());
        }
        let entry = entry(frames.wanted.clip, frames.files.start).filter(|entry| entry.frame > 0);
        let distrusted = frames.begun == Begin::Near
            && entry
                .is_some_and(|entry| ffmpeg_compat::doubts_its_start(&frames.child.transcript().stderr, entry.leads));
        if distrusted { Err(frames.ended_early()) } else { Ok(all) }
    }

    fn begin<'a>(&self, wanted: Wanted<'a>, begin: Begin) -> Result<Frames<'a>, MediaError> {
        let Wanted { sampling, frames, size, layout, .. } = &wanted;
        // Where the size of a recording changes ffmpeg begins its filters anew, and one that counts frames begins at 0.
        let first = if wanted.clip.lenient { 0 } else { sampling.file_frame(frames.start) };
        let files = first..sampling.file_frame(frames.end - 1) + 1;
        let begun = if wanted.clip.entries.is_empty() { Begin::Start } else { begin };
        let child = self.decoder(&wanted, &files, begun)?;
        let frame = vec![0; layout.frame_bytes(*size)];
        Ok(Frames { media: self.clone(), next: frames.start, read: 0, files, begun, wanted, child, frame })
    }

    fn decoder(&self, wanted: &Wanted<'_>, files: &Range<usize>, begin: Begin) -> Result<Child, MediaError> {
        let purpose = format!("decoding {}", wanted.clip.name());
        let words = arguments(wanted, files, begin);
        let Clip { path, animation, picture, .. } = wanted.clip;
        let Some(format) = *animation else { return Child::start(self, Tool::Ffmpeg, purpose, Pipes::Out, words) };
        let mut child = Child::start(self, Tool::Ffmpeg, purpose, Pipes::InAndOut, words)?;
        if let Some(stdin) = child.take_stdin() {
            animation::feed(path, format, picture.size, files.clone(), stdin)?;
        }
        Ok(child)
    }
}

impl Frames<'_> {
    pub fn read(&mut self) -> Result<Option<&[u8]>, MediaError> {
        if self.next == self.wanted.frames.end {
            self.child.end().map_err(|error| self.blame(error))?;
            return Ok(None);
        }
        let file_frame = self.wanted.sampling.file_frame(self.next);
        while self.files.start + self.read <= file_frame {
            if self.child.fill(&mut self.frame)? < self.frame.len() {
                self.begin_anew()?;
            }
            self.read += 1;
        }
        self.next += 1;
        Ok(Some(&self.frame))
    }

    /// Not every key frame is one (gradual refresh, wrong flags): what it did not give, the file's start does.
    fn begin_anew(&mut self) -> Result<(), MediaError> {
        if self.begun == Begin::Start {
            return Err(self.ended_early());
        }
        self.child.end().map_err(|error| self.blame(error))?;
        self.begun = Begin::Start;
        self.child = self.media.decoder(&self.wanted, &self.files, self.begun)?;
        for _ in 0..=self.read {
            if self.child.fill(&mut self.frame)? < self.frame.len() {
                return Err(self.ended_early());
            }
        }
        Ok(())
    }

    fn ended_early(&mut self) -> MediaError {
        if let Err(error) = self.child.end() {
            return self.blame(error);
        }
        let (clip, frame) = (self.wanted.clip, self.files.start + self.read);
        Unusable::new(
            &clip.path,
            format!("has {} frames by its index, but the decoder gives none after frame {frame}", clip.frames),
        )
        .wanted(format!("{} frames", clip.frames))
        .found(format!("{frame} frames"))
        .frame(frame)
        .said(self.child.transcript())
        .into()
    }

    /// A decoder that stumbles over the stream is the clip's fault, not ffmpeg's.
    fn blame(&self, error: MediaError) -> MediaError {
        let clip = self.wanted.clip;
        match error {
            MediaError::Failed { transcript, .. }
                if ffmpeg_compat::blames_the_stream(&transcript.stderr, &clip.picture.codec) =>
            {
                let frame = self.files.start + self.read;
                // Decoding begins at a key frame, so where nothing came the damage can lie before what is wanted.
                let place = if self.read == 0 && frame > 0 { "at or before" } else { "near" };
                damaged(&clip.path, place, frame, transcript)
            }
            other => other,
        }
    }
}

/// The last place to begin at before a frame of the file.
fn entry(clip: &Clip, frame: usize) -> Option<Entry> {
    clip.entries.iter().rfind(|entry| entry.frame <= frame).copied()
}

/// Whether decoding would begin at a key frame that is not the first frame.
fn begins_amid(wanted: &Wanted<'_>) -> bool {
    let first = wanted.sampling.file_frame(wanted.frames.start);
    entry(wanted.clip, first).is_some_and(|entry| entry.frame > 0)
}

/// What ffmpeg is asked for the frames `files` of the file.
fn arguments(wanted: &Wanted<'_>, files: &Range<usize>, begin: Begin) -> Vec<OsString> {
    let Wanted { clip, sampling: _, frames: _, size, fit, layout } = wanted;
    let (size, fit, layout) = (*size, *fit, *layout);
    let mut arguments: Vec<OsString> = ["-v", "error", "-nostdin"].map(OsString::from).to_vec();
    // What a recording lacks was counted when it was probed.
    arguments.extend((!clip.lenient).then(|| "-xerror".into()));
    let mut filters = vec![];
    match begin {
        // Frames are told by their times, so one that the seek missed is missing and never replaced by another.
        Begin::Near => {
            if let Some(seek) = entry(clip, files.start).map(|entry| entry.seek).filter(|seek| *seek > Time::default())
            {
                let microseconds = (seek * 1_000_000).ceil().to_integer();
                let seek = format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
                arguments.extend(["-noaccurate_seek", "-ss", &seek].map(OsString::from));
            }
            arguments.push("-copyts".into());
            if files.start > 0 {
                filters.push(format!(
                    r"select=between(pts\,{}\,{})",
                    clip.ticks[files.start],
                    clip.ticks[files.end - 1]
                ));
            }
        }
        // Of an animation come the frames that are wanted.
        Begin::Start if files.start > 0 && clip.animation.is_none() => {
            filters.push(format!(r"select=gte(n\,{})", files.start))
        }
        Begin::Start => {}
    }
    match clip.animation {
        Some(_) => {
            let size = clip.picture.size.to_string();
            let raw = ["-f", "rawvideo", "-pix_fmt", &clip.picture.pixel_format, "-s", &size];
            arguments.extend(raw.map(OsString::from));
            arguments.extend(["-i", "pipe:0"].map(OsString::from));
        }
        None => arguments.extend(["-i".into(), ffmpeg_compat::url(&clip.path)]),
    }
    arguments.extend(["-map".into(), format!("0:{}", clip.picture.stream).into()]);
    filters.extend(clip.picture.tone_map.clone());
    let shaping = shaping(&clip.picture, size, fit, layout);
    // The same bytes under another name; where they are scaled they have the film's name already.
    let scaled = shaping.iter().any(|filter| filter.starts_with("scale="));
    let stored_as_is = clip.picture.pixel_format == "yuvj420p" && layout != Layout::Rgb && !scaled;
    filters.extend(shaping);
    if !filters.is_empty() {
        arguments.extend(["-vf".into(), filters.join(",").into()]);
    }
    arguments.extend(ffmpeg_compat::PASS_FRAMES.map(OsString::from));
    arguments.extend(["-frames:v".into(), files.len().to_string().into()]);
    let pixel_format = if stored_as_is { "yuvj420p" } else { pixel_format(layout) };
    arguments.extend(["-f", "rawvideo", "-pix_fmt", pixel_format, "pipe:1"].map(OsString::from));
    arguments
}

pub(super) fn pixel_format(layout: Layout) -> &'static str {
    match layout {
        Layout::Yuv420 { .. } => "yuv420p",
        Layout::Rgb => "rgb24",
    }
}

/// The filters that bring a clip's picture to the film's size and colours; none where it is there already.
fn shaping(picture: &Picture, size: Size, fit: Fit, layout: Layout) -> Vec<String> {
    let stored = match picture.rotation % 180 {
        90 => Size::new(picture.coded.height, picture.coded.width),
        _ => picture.coded,
    };
    let mut filters = vec![];
    let mut scaled = size;
    if picture.size != size {
        match fit {
            _ if picture.size == stored && picture.size.even() == size => {
                filters.push(format!("crop={}:{}:0:0:exact=1", size.width, size.height));
            }
            Fit::Crop => filters.extend(crop(picture.size, stored, size)),
            Fit::Pad => scaled = inside(picture.size, size),
            Fit::Stretch => {}
        }
    }
    let resized = stored != scaled && !filters.first().is_some_and(|crop| crop.contains(":0:0:exact"));
    if resized || converts(picture, layout) {
        filters.push(scale(picture, stored, scaled, resized, layout));
    }
    if scaled != size {
        let (x, y) = ((size.width - scaled.width) / 4 * 2, (size.height - scaled.height) / 4 * 2);
        filters.push(format!("pad={}:{}:{x}:{y}:black", size.width, size.height));
    }
    filters
}

/// Whether the samples themselves must change.
fn converts(picture: &Picture, layout: Layout) -> bool {
    match layout {
        Layout::Rgb => true,
        Layout::Yuv420 { matrix, range } => {
            !matches!(picture.pixel_format.as_str(), "yuv420p" | "yuvj420p")
                || picture.color.matrix != matrix
                || picture.color.range != range
        }
    }
}

fn scale(picture: &Picture, from: Size, to: Size, resized: bool, layout: Layout) -> String {
    // Lanczos up, area down; where only the colour planes change size, bicubic rings less.
    let kernel = match resized {
        false => "bicubic",
        true if to.pixels() >= from.pixels() => "lanczos",
        true => "area",
    };
    let range = |range: video::Range| match range {
        video::Range::Limited => "tv",
        video::Range::Full => "pc",
    };
    let matrix = |matrix: Matrix| match matrix {
        Matrix::Bt601 => "bt601",
        Matrix::Bt709 => "bt709",
        Matrix::Bt2020 => "bt2020",
    };
    let (out_matrix, out_range) = match layout {
        Layout::Rgb => (picture.color.matrix, video::Range::Full),
        Layout::Yuv420 { matrix, range } => (matrix, range),
    };
    let color = &picture.color;
    format!(
        "scale={}:{}:flags={kernel}+accurate_rnd+full_chroma_int+full_chroma_inp:in_color_matrix={}:out_color_matrix={}:\
         in_range={}:out_range={},format={}",
        to.width,
        to.height,
        matrix(color.matrix),
        matrix(out_matrix),
        range(color.range),
        range(out_range),
        pixel_format(layout),
    )
}
