//! Pictures out of the files of common formats: whole, upright, no larger than a film can need.

use std::{
    io::{self, Cursor},
    path::Path,
};

use image::{
    AnimationDecoder, DynamicImage, ExtendedColorType, Frames, ImageDecoder, ImageError, ImageFormat, ImageReader,
    ImageResult, Limits,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
    metadata::Orientation,
};
use rayon::prelude::*;

use super::{
    colours::Colours,
    error::{MediaError, Unusable},
};
use crate::pipeline::types::video::{Frame, Size, Time};

/// What lies under an image that is transparent somewhere.
pub const UNDER: [u8; 3] = [255; 3];

/// As of clips; what more decodes to is no picture for a film.
pub(super) const LONGEST_SIDE: u32 = 16384;
pub(super) const MOST_BYTES: u64 = 512 << 20;

/// Decoded and upright, else as it is stored.
pub(super) struct Picture {
    pub(super) bits: u32,
    /// What was done to the stored picture.
    pub(super) orientation: Option<&'static str>,
    /// None for sRGB.
    pub(super) colours: Option<Colours>,
    image: DynamicImage,
}

pub(super) fn read(file: &[u8], format: ImageFormat) -> ImageResult<Picture> {
    if format == ImageFormat::Jpeg && !jpeg_ends(file) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has no end").into());
    }
    let mut decoder = decoder(file, format)?;
    let orientation = decoder.orientation()?;
    let bits = depth(decoder.original_color_type());
    let colours = decoder.icc_profile()?.and_then(|profile| Colours::of_profile(&profile));
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(Picture { bits, orientation: told(orientation), colours, image })
}

impl Picture {
    pub(super) fn size(&self) -> Size {
        Size::new(self.image.width(), self.image.height())
    }

    pub(super) fn is_transparent(&self) -> bool {
        self.image.color().has_alpha() && self.image.to_rgba16().pixels().any(|pixel| pixel.0[3] < u16::MAX)
    }

    /// Every pixel over one colour by its own alpha, in sRGB; 16 bits rounded to 8.
    pub(super) fn over(self, under: [u8; 3]) -> Frame {
        let (size, colours) = (self.size(), self.colours);
        let rgb = match self.image.color().has_alpha() {
            true => laid_over(self.image, under),
            false => self.image.into_rgb8().into_raw(),
        };
        match colours {
            Some(colours) => Frame { size, rgb: colours.brought(&rgb) },
            None => Frame { size, rgb },
        }
    }
}

fn laid_over(image: DynamicImage, under: [u8; 3]) -> Vec<u8> {
    const FULL: u64 = u16::MAX as u64;
    let image = image.into_rgba16();
    let mut rgb = vec![0; image.as_raw().len() / 4 * 3];
    rgb.par_chunks_exact_mut(3).zip(image.as_raw().par_chunks_exact(4)).for_each(|(rgb, rgba)| {
        let alpha = u64::from(rgba[3]);
        for ((byte, own), under) in rgb.iter_mut().zip(rgba).zip(under) {
            // In units of 1/255 of FULL squared.
            let mixed = u64::from(*own) * alpha * 255 + u64::from(under) * FULL * (FULL - alpha);
            *byte = ((mixed + FULL * FULL / 2) / (FULL * FULL)) as u8;
        }
    });
    rgb
}

/// Of a picture that is not too large by its header.
fn decoder(file: &[u8], format: ImageFormat) -> ImageResult<impl ImageDecoder> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits.clone());
    let decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    Ok(decoder)
}

/// Whether it holds more than one picture.
pub(super) fn is_animated(file: &[u8], format: ImageFormat) -> ImageResult<bool> {
    // Its frames are as large as its header says.
    drop(decoder(file, format)?);
    match frames(file, format)? {
        Some(frames) => Ok(frames.take(2).collect::<ImageResult<Vec<_>>>()?.len() > 1),
        None => Ok(false),
    }
}

/// The frames of a format that can hold several, as they are shown: each laid over those before it as the format says
/// (disposal and blending), on a transparent canvas.
fn frames(file: &[u8], format: ImageFormat) -> ImageResult<Option<Frames<'_>>> {
    let file = Cursor::new(file);
    Ok(match format {
        ImageFormat::Gif => Some(GifDecoder::new(file)?.into_frames()),
        ImageFormat::Png => {
            let png = PngDecoder::new(file)?;
            if png.is_apng()? { Some(png.apng()?.into_frames()) } else { None }
        }
        ImageFormat::WebP => {
            Some(WebPDecoder::new(file)?).filter(WebPDecoder::has_animation).map(|webp| webp.into_frames())
        }
        _ => None,
    })
}

/// The pictures of an animation played once, and how long each is shown.
pub(super) fn animation(
    file: &[u8],
    format: ImageFormat,
) -> ImageResult<impl Iterator<Item = ImageResult<(Picture, Time)>>> {
    let mut header = decoder(file, format)?;
    let (orientation, bits) = (header.orientation()?, depth(header.original_color_type()));
    let colours = header.icc_profile()?.and_then(|profile| Colours::of_profile(&profile));
    drop(header);
    let picture = move |frame: ImageResult<image::Frame>| {
        let frame = frame?;
        let shown = shown_for(frame.delay().numer_denom_ms());
        let mut image = DynamicImage::from(frame.into_buffer());
        image.apply_orientation(orientation);
        Ok((Picture { bits, orientation: told(orientation), colours: colours.clone(), image }, shown))
    };
    Ok(frames(file, format)?.into_iter().flatten().map(picture))
}

/// Delays up to 10 ms are played as 100 ms, since files that have them mean "some time": so do Firefox
/// (image/FrameTimeout.h, for every format) and Chromium, and ffmpeg's GIF demuxer for 0 and 1 hundredths
/// (libavformat/gifdec.c, GIF_MIN_DELAY and GIF_DEFAULT_DELAY).
fn shown_for((numerator, denominator): (u32, u32)) -> Time {
    let milliseconds = Time::new(i64::from(numerator), i64::from(denominator.max(1)));
    let milliseconds = if milliseconds <= Time::from_integer(10) { Time::from_integer(100) } else { milliseconds };
    milliseconds / 1000
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

/// Why an image cannot be read.
pub(super) fn meaning(path: &Path, format: ImageFormat, error: ImageError) -> MediaError {
    match error {
        ImageError::Limits(limits) => too_large(path, limits.to_string()),
        other => damaged(path, format, &other.to_string()),
    }
}

pub(super) fn too_large(path: &Path, found: String) -> MediaError {
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
