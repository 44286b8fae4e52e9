//! An image: a file with one picture, and the facts about it. PNG, JPEG, WebP, GIF, BMP and TIFF are read by ourselves;
//! whatever else ffmpeg knows is read by ffmpeg.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use image::{ImageError, ImageFormat};
use serde::Serialize;

use super::{
    Media, animation,
    clip::{Clip, Sampling, name},
    decode::Wanted,
    error::{MediaError, Unusable},
    ffmpeg_compat,
    fit::{Fit, fitted},
    hdr::DynamicRange,
    reading::{self, LONGEST_SIDE, MOST_BYTES, UNDER, meaning, too_large},
};
use crate::pipeline::types::video::{Frame, Layout, Size};

/// Made by [`Media::probe_files`] and [`Media::probe_stills`] alone, which have decoded all of it once.
#[derive(Debug, Clone, Serialize)]
pub struct Still {
    pub path: PathBuf,
    pub bytes: u64,
    /// Of the file, or the codec of its picture.
    pub format: String,
    /// Upright.
    pub size: Size,
    /// Of each sample.
    pub bits: u32,
    /// Whether it is transparent anywhere.
    pub transparent: bool,
    /// The colours that it means, where those are not sRGB; brought to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colours: Option<String>,
    /// Of images that ffmpeg reads.
    pub dynamic_range: DynamicRange,
    /// What a viewer does with the stored picture, where it says so: turned clockwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<&'static str>,
    #[serde(skip)]
    reader: Reader,
}

#[derive(Debug, Clone)]
enum Reader {
    Own(ImageFormat),
    Ffmpeg(Box<Clip>),
}

/// What a file of one of our formats turned out to be.
pub(super) enum Found {
    Still(Still),
    /// More than one picture.
    Animated(Option<Box<Clip>>),
    /// Of a kind that is left to ffmpeg.
    Foreign,
}

impl Still {
    /// The file's name, for people.
    pub fn name(&self) -> String {
        name(&self.path)
    }

    pub fn is_tone_mapped(&self) -> bool {
        matches!(&self.reader, Reader::Ffmpeg(clip) if clip.picture.is_tone_mapped())
    }

    /// What ffmpeg found to be a picture.
    pub(super) fn of_clip(clip: Clip) -> Self {
        let picture = &clip.picture;
        let orientation = match picture.rotation {
            90 => Some("turned by 90°"),
            180 => Some("turned by 180°"),
            270 => Some("turned by 270°"),
            _ => None,
        };
        Self {
            path: clip.path.clone(),
            bytes: clip.bytes,
            format: if ffmpeg_compat::is_image(&clip.container) { picture.codec.clone() } else { "avif".into() },
            size: picture.size,
            bits: picture.bits,
            transparent: false,
            colours: None,
            dynamic_range: picture.dynamic_range,
            orientation,
            reader: Reader::Ffmpeg(Box::new(clip)),
        }
    }
}

impl Media {
    /// The picture, upright and opaque, at a size of its own or of the film.
    pub fn picture(&self, still: &Still, size: Size, fit: Fit, around: [u8; 3]) -> Result<Frame, MediaError> {
        let picture = match &still.reader {
            Reader::Own(format) => {
                let read = reading::read(&whole(&still.path)?, *format);
                read.map_err(|error| meaning(&still.path, *format, error))?.over(UNDER)
            }
            Reader::Ffmpeg(clip) => self.only_frame(clip)?,
        };
        match picture.size == still.size {
            true => Ok(fitted(picture, size, fit, around)),
            false => Err(Unusable::new(&still.path, "has changed since it was looked at")
                .wanted(still.size.to_string())
                .found(picture.size.to_string())
                .into()),
        }
    }

    /// The image as a film can use it: HDR is refused, or with `tone_map` brought to BT.709.
    pub(super) fn conform_still(&self, still: Still, tone_map: bool) -> Result<Still, MediaError> {
        match still.reader {
            Reader::Own(_) => Ok(still),
            Reader::Ffmpeg(clip) => {
                let reader = Reader::Ffmpeg(Box::new(self.conform(*clip, true, tone_map)?));
                Ok(Still { reader, ..still })
            }
        }
    }

    pub(super) fn only_frame(&self, clip: &Clip) -> Result<Frame, MediaError> {
        let (size, sampling) = (clip.picture.size, Sampling::Own(1));
        let wanted = Wanted { clip, sampling: &sampling, frames: 0..1, size, fit: Fit::Stretch, layout: Layout::Rgb };
        let mut frames = self.all_frames(wanted)?;
        Ok(Frame { size, rgb: frames.remove(0) })
    }
}

/// What a file looks to be, by how it begins.
pub(super) enum Looks {
    /// An image that is read here.
    Own(ImageFormat),
    /// An image in a file that videos have too.
    Avif,
    /// An image in pieces.
    Tiled(&'static str),
    Other,
}

pub(super) fn looks(path: &Path) -> Looks {
    let mut head = [0; 4096];
    let length = File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    let format = image::guess_format(&head[..length]);
    // The type of an item whose pieces are items of their own (ISO/IEC 23008-12, 6.6.2.3).
    let tiled = head.windows(4).any(|word| word == b"grid");
    // A stream of many JPEG pictures begins like one.
    let stream = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("mjpeg") || extension.eq_ignore_ascii_case("mjpg"));
    match (&head[4..8], &head[8..12], format) {
        (b"ftyp", b"avif", _) if tiled => Looks::Tiled("an AVIF"),
        (b"ftyp", b"avif", _) => Looks::Avif,
        (b"ftyp", b"heic" | b"heix" | b"heim" | b"heis" | b"mif1", _) => Looks::Tiled("a HEIC"),
        (_, _, Ok(format)) if format.reading_enabled() && !stream => Looks::Own(format),
        _ => Looks::Other,
    }
}

pub(super) fn look(path: &Path, bytes: u64, format: ImageFormat) -> Result<Found, MediaError> {
    if bytes > MOST_BYTES {
        return Err(too_large(path, format!("{bytes} bytes")));
    }
    let file = whole(path)?;
    let picture = match reading::is_animated(&file, format).and_then(|animated| match animated {
        true => Ok(None),
        false => reading::read(&file, format).map(Some),
    }) {
        Ok(Some(picture)) => picture,
        Ok(None) => return Ok(Found::Animated(animation::probe(path, &file, format)?.map(Box::new))),
        Err(ImageError::Unsupported(_)) => return Ok(Found::Foreign),
        Err(error) => return Err(meaning(path, format, error)),
    };
    let size = picture.size();
    if size.width < 2 || size.height < 2 {
        return Err(Unusable::new(path, format!("is {size} pixels"))
            .wanted(format!("2 to {LONGEST_SIDE} pixels on each side"))
            .found(size.to_string())
            .into());
    }
    Ok(Found::Still(Still {
        path: path.to_owned(),
        bytes,
        format: format.extensions_str()[0].replace("jpg", "jpeg"),
        size,
        bits: picture.bits,
        transparent: picture.is_transparent(),
        colours: picture.colours.map(|colours| colours.name),
        dynamic_range: DynamicRange::Standard,
        orientation: picture.orientation,
        reader: Reader::Own(format),
    }))
}

fn whole(path: &Path) -> Result<Vec<u8>, MediaError> {
    fs::read(path)
        .map_err(|error| Unusable::new(path, "cannot be read").wanted("an image").found(error.to_string()).into())
}
