//! How pictures of another shape come to the film's size: clips by ffmpeg's filters, images here, both alike.

use clap::ValueEnum;
use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use num_rational::Ratio;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

use crate::pipeline::types::video::{Frame, Size};

/// How a clip or an image of another shape comes to the film's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum, Display, EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Fit {
    /// Fill the size and cut off what lies outside
    Crop,
    /// Fit inside, with black bars
    Pad,
    /// Change the shape
    Stretch,
}

/// An image at the size of the film; what it does not fill is of the colour `around`.
pub(super) fn fitted(picture: Frame, size: Size, fit: Fit, around: [u8; 3]) -> Frame {
    let own = picture.size;
    if own == size {
        return picture;
    }
    let whole = (0.0, 0.0, f64::from(own.width), f64::from(own.height));
    match fit {
        // What 4:2:0 cannot hold is cut off, as it is of a clip.
        _ if own.even() == size => placed(&picture, Frame::filled(size, around), (0, 0)),
        Fit::Stretch => scaled(&picture, whole, size),
        Fit::Pad => {
            let inner = inside(own, size);
            placed(&scaled(&picture, whole, inner), Frame::filled(size, around), corner(size, inner))
        }
        Fit::Crop => {
            let (width, height) = (f64::from(own.width), f64::from(own.height));
            let aspect = f64::from(size.width) / f64::from(size.height);
            let (kept_width, kept_height) = (width.min(height * aspect), height.min(width / aspect));
            let part = ((width - kept_width) / 2.0, (height - kept_height) / 2.0, kept_width, kept_height);
            scaled(&picture, part, size)
        }
    }
}

/// Lanczos up, area down, as clips are scaled. `part`: left, top, width, height.
fn scaled(picture: &Frame, part: (f64, f64, f64, f64), size: Size) -> Frame {
    let (left, top, width, height) = part;
    let kernel = match size.pixels() as f64 >= width * height {
        true => FilterType::Lanczos3,
        false => FilterType::Box,
    };
    let own = picture.size;
    let source =
        ImageRef::new(own.width, own.height, &picture.rgb, PixelType::U8x3).expect("a frame has its size's bytes");
    let mut scaled = Image::new(size.width, size.height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(kernel)).crop(left, top, width, height);
    Resizer::new().resize(&source, &mut scaled, &options).expect("the part lies within the picture");
    Frame { size, rgb: scaled.into_vec() }
}

/// As much of a picture as there is room for, on another.
fn placed(picture: &Frame, mut on: Frame, (x, y): (u32, u32)) -> Frame {
    let (from, to) = (picture.size.width as usize * 3, on.size.width as usize * 3);
    let start = x as usize * 3;
    let kept = from.min(to - start);
    let rows = on.rgb.chunks_exact_mut(to).skip(y as usize);
    for (row, own) in rows.zip(picture.rgb.chunks_exact(from)) {
        row[start..start + kept].copy_from_slice(&own[..kept]);
    }
    on
}

/// The largest part of the picture that has the film's shape, from its middle.
pub(super) fn crop(shown: Size, stored: Size, film: Size) -> Option<String> {
    let (width, height) = (i64::from(shown.width), i64::from(shown.height));
    let aspect = Ratio::new(i64::from(film.width), i64::from(film.height));
    let even = |side: Ratio<i64>| ((side / 2).round().to_integer() * 2).max(2) as u32;
    let part = match Ratio::new(width, height) {
        wide if wide > aspect => {
            let keep = even(aspect * height * i64::from(stored.width) / width).min(stored.width);
            Size::new(keep, stored.height)
        }
        _ => {
            let keep = even(aspect.recip() * width * i64::from(stored.height) / height).min(stored.height);
            Size::new(stored.width, keep)
        }
    };
    let (x, y) = corner(stored, part);
    (part != stored).then(|| format!("crop={}:{}:{x}:{y}:exact=1", part.width, part.height))
}

/// The largest size of the picture's shape that fits into the film's.
pub(super) fn inside(shown: Size, film: Size) -> Size {
    let (width, height) = (Ratio::from_integer(i64::from(shown.width)), Ratio::from_integer(i64::from(shown.height)));
    let by =
        (Ratio::from_integer(i64::from(film.width)) / width).min(Ratio::from_integer(i64::from(film.height)) / height);
    let even = |side: Ratio<i64>, most: u32| (((side / 2).round().to_integer() * 2).max(2) as u32).min(most);
    Size::new(even(width * by, film.width), even(height * by, film.height))
}

/// Where a part lies in the middle: at even places, since 4:2:0 has no others.
pub(super) fn corner(whole: Size, part: Size) -> (u32, u32) {
    ((whole.width - part.width) / 4 * 2, (whole.height - part.height) / 4 * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLUE: [u8; 3] = [0, 0, 255];

    fn sizes() -> impl Iterator<Item = (Size, Size)> {
        let sides = [2, 3, 7, 16, 31];
        let sizes = move || sides.into_iter().flat_map(move |width| sides.map(|height| Size::new(width, height)));
        sizes().flat_map(move |own| sizes().map(move |film| (own, film)))
    }

    #[test]
    fn every_picture_comes_to_every_size_in_its_own_colour() {
        for (own, film) in sizes() {
            let picture = Frame::filled(own, [7, 99, 200]);
            for fit in [Fit::Crop, Fit::Stretch] {
                assert_eq!(fitted(picture.clone(), film, fit, BLUE), Frame::filled(film, [7, 99, 200]), "{own} {film}");
            }
            let padded = fitted(picture, film, Fit::Pad, BLUE);
            let pixels = padded.rgb.as_chunks::<3>().0;
            let inner = if own.even() == film || own == film { film } else { inside(own, film) };
            assert_eq!((padded.size, pixels.len()), (film, film.pixels()));
            let own_pixels = pixels.iter().filter(|pixel| **pixel == [7, 99, 200]).count();
            assert_eq!(own_pixels, inner.pixels(), "{own} in {film}");
            assert!(pixels.iter().all(|pixel| [BLUE, [7, 99, 200]].contains(pixel)));
        }
    }

    #[test]
    fn a_picture_of_the_films_size_is_not_touched_and_an_odd_one_only_loses_its_edge() {
        let noise = |size: Size| Frame { size, rgb: (0..size.rgb_bytes()).map(|at| (at * 37 % 251) as u8).collect() };
        let (even, odd) = (Size::new(8, 6), Size::new(9, 7));
        for fit in [Fit::Crop, Fit::Pad, Fit::Stretch] {
            assert_eq!(fitted(noise(even), even, fit, BLUE), noise(even));
            let cut = fitted(noise(odd), even, fit, BLUE);
            for (row, own) in cut.rgb.chunks(8 * 3).zip(noise(odd).rgb.chunks(9 * 3)) {
                assert_eq!(row, &own[..8 * 3]);
            }
        }
    }

    #[test]
    fn a_crop_keeps_the_middle_and_no_shape_is_bent() {
        // A white disc's middle column and row, on black, twice as wide as the film.
        let (own, film) = (Size::new(80, 40), Size::new(20, 20));
        let rgb = (0..own.pixels()).flat_map(|at| {
            let (x, y) = ((at % 80) as f32 + 0.5 - 40.0, (at / 80) as f32 + 0.5 - 20.0);
            [if x.hypot(y) < 12.0 { 255 } else { 0 }; 3]
        });
        let picture = Frame { size: own, rgb: rgb.collect() };
        let small = fitted(picture, film, Fit::Crop, BLUE);
        let lit = |at: usize| small.rgb[at * 3] > 127;
        let across = (0..20).filter(|x| lit(10 * 20 + x)).count();
        let down = (0..20).filter(|y| lit(y * 20 + 10)).count();
        assert_eq!((across, down), (12, 12));
        assert!(lit(10 * 20 + 10) && !lit(0));
    }
}
