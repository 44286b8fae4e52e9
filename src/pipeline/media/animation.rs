//! Animated GIF, PNG and WebP as clips: their pictures by the image crate, since no ffmpeg reads all three, or lays them over
//! white; shaped and coloured by ffmpeg as those of every clip are.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ChildStdin,
    sync::Arc,
    thread,
};

use image::{ImageError, ImageFormat};
use num_rational::Ratio;
use rayon::ThreadPoolBuilder;

use super::{
    clip::{Clip, Color, Counts, Picture, Timing},
    error::{MediaError, Unusable},
    frame_rate::{FrameRate, Ticks, frame_rate},
    hdr::DynamicRange,
    probe::untagged_matrix,
    reading::{self, UNDER, meaning},
};
use crate::pipeline::types::video::{Fps, Range, Size, Time};

/// An animation as a clip, played once; all of it has been decoded. None where the format's pictures are of a kind that is
/// left to ffmpeg.
pub(super) fn probe(path: &Path, file: &[u8], format: ImageFormat) -> Result<Option<Clip>, MediaError> {
    let bad = |error| meaning(path, format, error);
    let (mut size, mut transparent, mut orientation, mut profile) = (None, false, None, None);
    let (mut times, mut end) = (vec![], Time::default());
    let pictures = match reading::animation(file, format) {
        Err(ImageError::Unsupported(_)) => return Ok(None),
        pictures => pictures.map_err(bad)?,
    };
    for picture in pictures {
        let (picture, shown) = picture.map_err(bad)?;
        size = size.or(Some(picture.size()));
        transparent |= picture.is_transparent();
        orientation = picture.orientation;
        profile = picture.colours.map(|colours| colours.name);
        times.push(end);
        end += shown;
    }
    let Some(size) = size.filter(|size| size.width >= 2 && size.height >= 2) else {
        let found = size.map_or("no picture".into(), |size| size.to_string());
        return Err(Unusable::new(path, "is too small").wanted("at least 2 pixels on each side").found(found).into());
    };
    // GIF counts hundredths of a second, the others have times as exact as they like.
    let base = Ratio::new(1, if format == ImageFormat::Gif { 100 } else { 1000 });
    let ticks = |time: Time| (time / base).round().to_integer();
    let on_clock: Vec<i64> = times.iter().map(|&time| ticks(time)).collect();
    let steps = on_clock.windows(2).map(|pair| pair[1] - pair[0]).chain([ticks(end) - on_clock[on_clock.len() - 1]]);
    // No header has a rate: all steps are multiples of this one.
    let common = steps.fold(0, greatest_common_divisor);
    let nominal = Fps::new(*base.denom(), common);
    let last = ticks(end) - on_clock[on_clock.len() - 1];
    let ticks = Ticks { times: on_clock, last, base };
    let frames = times.len();
    let seconds = end / frames as i64;
    let average = Fps::new(*seconds.denom(), *seconds.numer());
    let FrameRate { fps, timing, source } = frame_rate(&ticks, [nominal, average]);
    let name = if format == ImageFormat::Png { "apng" } else { format.extensions_str()[0] };
    Ok(Some(Clip {
        path: path.to_owned(),
        bytes: file.len() as u64,
        container: name.into(),
        note: None,
        picture: Picture {
            stream: 0,
            codec: name.into(),
            profile,
            pixel_format: "rgb24".into(),
            bits: 8,
            coded: size,
            rotation: 0,
            sample_aspect: Ratio::from_integer(1),
            size,
            color: Color {
                matrix: untagged_matrix(size),
                range: Range::Full,
                tagged_matrix: None,
                primaries: None,
                transfer: None,
            },
            dynamic_range: DynamicRange::Standard,
            dolby_vision: None,
            range_source: None,
            tone_map: None,
            interlaced: false,
        },
        fps,
        timing,
        rate_source: source,
        frames,
        counts: Counts { packets: frames, container: None, duration_times_rate: None, hidden: None, decoded: None },
        duration: if timing == Timing::Constant { fps.time_of(frames) } else { end },
        sound: None,
        tracks: vec![],
        picture_start: Time::default(),
        animation: Some(format),
        transparent,
        orientation,
        damage: None,
        lenient: false,
        times: if timing == Timing::Constant { (0..frames).map(|index| fps.time_of(index)).collect() } else { times },
        ticks: ticks.times,
        entries: vec![],
    }))
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Writes pictures of an animation as RGB, as long as they are read; why they end early is told by their number.
pub(super) fn feed(
    path: &Path,
    format: ImageFormat,
    size: Size,
    frames: std::ops::Range<usize>,
    mut to: ChildStdin,
) -> Result<(), MediaError> {
    let file: Arc<[u8]> = fs::read(path).map_err(|source| MediaError::Io { path: path.to_owned(), source })?.into();
    let write = move || -> io::Result<()> {
        let pictures = reading::animation(&file, format).map_err(io::Error::other)?;
        for picture in pictures.take(frames.end).skip(frames.start) {
            let (picture, _) = picture.map_err(io::Error::other)?;
            let frame = picture.over(UNDER);
            if frame.size != size {
                return Err(io::Error::other("it has changed since it was looked at"));
            }
            to.write_all(&frame.rgb)?;
        }
        Ok(())
    };
    thread::spawn(move || {
        // The threads of the common pool may all be waiting for these very pictures.
        let pool = ThreadPoolBuilder::new().num_threads(1).build();
        if let Err(error) = pool.map_err(io::Error::other).and_then(|pool| pool.install(write)) {
            tracing::debug!(%error, "no more pictures");
        }
    });
    Ok(())
}
