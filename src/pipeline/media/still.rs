//! An image: a file with one picture, and the facts about it. PNG, JPEG, WebP, GIF, BMP and TIFF are read here; whatever
//! else ffmpeg knows is read by ffmpeg.

use std::{
    fs::File,
    io::{Cursor, Read},
    path::{Path, PathBuf},
};

use image::{
    AnimationDecoder, DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult,
    Rgba,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
    metadata::Orientation,
};
use rayon::prelude::*;
use serde::Serialize;

use super::{
    Media,
    clip::{Clip, Sampling, name},
    colours::Colours,
    decode::Wanted,
    dialect,
    error::{MediaError, Unusable},
    fit::{Fit, fitted},
};
use crate::pipeline::video::{Frame, Layout, Size};

/// What lies under an image that is transparent somewhere.
pub const UNDER: [u8; 3] = [255; 3];

/// As of clips; what more decodes to is no picture for a film.
const LONGEST_SIDE: u32 = 16384;
const MOST_BYTES: u64 = 512 << 20;

/// Made by [`Media::probe_still`] alone, which has decoded all of it once.
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
    Animated,
}

impl Still {
    /// The file's name, for people.
    pub fn name(&self) -> String {
        name(&self.path)
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
            format: if dialect::is_image(&clip.container) { picture.codec.clone() } else { "avif".into() },
            size: picture.size,
            bits: picture.bits,
            transparent: false,
            colours: None,
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
                let (Facts { colours, .. }, image) = decode(&still.path, *format)?;
                let Frame { size, rgb } = opaque(image);
                let rgb = match colours {
                    Some(colours) => colours.brought(&rgb),
                    None => rgb,
                };
                Frame { size, rgb }
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
    if is_animated(path, format)? {
        return Ok(Found::Animated);
    }
    let (facts, image) = decode(path, format)?;
    let Facts { bits, orientation, colours } = facts;
    let colours = colours.map(|colours| colours.name);
    let size = Size::new(image.width(), image.height());
    if size.width < 2 || size.height < 2 {
        return Err(Unusable::new(path, format!("is {size} pixels"))
            .wanted(format!("2 to {LONGEST_SIDE} pixels on each side"))
            .found(size.to_string())
            .into());
    }
    let transparent = image.color().has_alpha() && image.to_rgba16().pixels().any(|Rgba(p)| p[3] < u16::MAX);
    let format_name = format.extensions_str()[0].replace("jpg", "jpeg");
    let path = path.to_owned();
    let reader = Reader::Own(format);
    Ok(Found::Still(Still { path, bytes, format: format_name, size, bits, transparent, colours, orientation, reader }))
}

struct Facts {
    bits: u32,
    orientation: Option<&'static str>,
    colours: Option<Colours>,
}

/// The whole picture, upright.
fn decode(path: &Path, format: ImageFormat) -> Result<(Facts, DynamicImage), MediaError> {
    let file = whole(path)?;
    if format == ImageFormat::Jpeg && !jpeg_ends(&file) {
        return Err(damaged(path, format, "it has no end"));
    }
    let read = || {
        let mut decoder = decoder(&file, format)?;
        let orientation = decoder.orientation()?;
        let stored = decoder.original_color_type();
        let colours = decoder.icc_profile()?.and_then(|profile| Colours::of_profile(&profile));
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok((Facts { bits: depth(stored), orientation: told(orientation), colours }, image))
    };
    read().map_err(|error| meaning(path, format, error))
}

/// Of a picture that is not too large by its header.
fn decoder(file: &[u8], format: ImageFormat) -> ImageResult<impl ImageDecoder> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits.clone());
    let decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    Ok(decoder)
}

fn meaning(path: &Path, format: ImageFormat, error: ImageError) -> MediaError {
    match error {
        ImageError::Limits(limits) => too_large(path, limits.to_string()),
        other => damaged(path, format, &other.to_string()),
    }
}

fn depth(stored: ExtendedColorType) -> u32 {
    u32::from(stored.bits_per_pixel()) / u32::from(stored.channel_count())
}

fn told(orientation: Orientation) -> Option<&'static str> {
    match orientation {
        Orientation::NoTransforms => None,
        Orientation::Rotate90 => Some("turned by 90°"),
        Orientation::Rotate180 => Some("turned by 180°"),
        Orientation::Rotate270 => Some("turned by 270°"),
        Orientation::FlipHorizontal => Some("mirrored"),
        Orientation::FlipVertical => Some("turned by 180° and mirrored"),
        Orientation::Rotate90FlipH => Some("turned by 90° and mirrored"),
        Orientation::Rotate270FlipH => Some("turned by 270° and mirrored"),
    }
}

/// Every pixel over [`UNDER`] by its own alpha; 16 bits rounded to 8.
fn opaque(image: DynamicImage) -> Frame {
    let size = Size::new(image.width(), image.height());
    if !image.color().has_alpha() {
        return Frame { size, rgb: image.into_rgb8().into_raw() };
    }
    const FULL: u64 = u16::MAX as u64;
    let image = image.into_rgba16();
    let mut rgb = vec![0; size.rgb_bytes()];
    rgb.par_chunks_exact_mut(3).zip(image.as_raw().par_chunks_exact(4)).for_each(|(rgb, rgba)| {
        let alpha = u64::from(rgba[3]);
        for ((byte, own), under) in rgb.iter_mut().zip(rgba).zip(UNDER) {
            // In units of 1/255 of FULL squared.
            let mixed = u64::from(*own) * alpha * 255 + u64::from(under) * FULL * (FULL - alpha);
            *byte = ((mixed + FULL * FULL / 2) / (FULL * FULL)) as u8;
        }
    });
    Frame { size, rgb }
}

fn is_animated(path: &Path, format: ImageFormat) -> Result<bool, MediaError> {
    if !matches!(format, ImageFormat::Gif | ImageFormat::Png | ImageFormat::WebP) {
        return Ok(false);
    }
    let file = whole(path)?;
    let more = |frames: image::Frames<'_>| Ok(frames.take(2).collect::<ImageResult<Vec<_>>>()?.len() > 1);
    let count = || {
        drop(decoder(&file, format)?);
        let file = Cursor::new(&file);
        match format {
            ImageFormat::Gif => more(GifDecoder::new(file)?.into_frames()),
            ImageFormat::Png => {
                let png = PngDecoder::new(file)?;
                if png.is_apng()? { more(png.apng()?.into_frames()) } else { Ok(false) }
            }
            _ => {
                let webp = WebPDecoder::new(file)?;
                if webp.has_animation() { more(webp.into_frames()) } else { Ok(false) }
            }
        }
    };
    count().map_err(|error| meaning(path, format, error))
}

fn whole(path: &Path) -> Result<Vec<u8>, MediaError> {
    std::fs::read(path)
        .map_err(|error| Unusable::new(path, "cannot be read").wanted("an image").found(error.to_string()).into())
}

/// Whether an end stands after the first scan: decoders fill what is missing with grey and say nothing. In a scan no
/// FF D9 can stand but the end (ITU-T T.81, B.1.1.5).
fn jpeg_ends(file: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, kind, high, low]) = file.get(at..at + 4) {
        match kind {
            0xda => return file[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            0xff => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    false
}

fn too_large(path: &Path, found: String) -> MediaError {
    Unusable::new(path, "is too large")
        .wanted(format!("at most {LONGEST_SIDE} pixels on each side and {} MB when decoded", MOST_BYTES >> 20))
        .found(found)
        .help("make it smaller first: a film has at most some 8 million pixels")
        .into()
}

fn damaged(path: &Path, format: ImageFormat, found: &str) -> MediaError {
    let format = format!("{format:?}").to_uppercase().replace("WEBP", "WebP");
    Unusable::new(path, format!("is a damaged {format} image"))
        .wanted("a whole image")
        .found(found)
        .help("copy or download it again, or save it anew in an image editor")
        .into()
}
