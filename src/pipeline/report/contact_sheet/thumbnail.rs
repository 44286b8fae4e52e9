//! A frame made small.

use std::ops::Range;

use image::{ImageBuffer, Rgb, RgbImage, imageops};

use super::{CELL, TALLEST};
use crate::pipeline::types::video::{Frame, Size};

/// The picture's own shape, within a cell.
pub(super) fn thumbnail_size(Size { width, height }: Size) -> Size {
    let scale = (f64::from(CELL) / f64::from(width)).min(f64::from(TALLEST) / f64::from(height));
    let [width, height] = [width, height].map(|side| ((f64::from(side) * scale).round() as u32).max(1));
    Size { width, height }
}

pub(super) fn scaled(frame: &Frame, Size { width, height }: Size) -> RgbImage {
    let full = frame.size;
    let picture = ImageBuffer::<Rgb<u8>, _>::from_raw(full.width, full.height, frame.rgb.as_slice())
        .expect("a frame has the bytes of its size");
    match full.width.max(full.height) / width.max(height) {
        0 => imageops::resize(&picture, width, height, imageops::Nearest),
        1..4 => imageops::resize(&picture, width, height, imageops::Lanczos3),
        _ => RgbImage::from_fn(width, height, |x, y| {
            mean(frame, span(x, full.width, width), span(y, full.height, height))
        }),
    }
}

/// The pixels that one pixel of a picture `small` pixels wide stands for.
fn span(pixel: u32, full: u32, small: u32) -> Range<usize> {
    let edge = |pixel| (u64::from(pixel) * u64::from(full) / u64::from(small)) as usize;
    edge(pixel)..edge(pixel + 1)
}

/// The image crate's own `thumbnail` does the same and takes several times as long.
fn mean(frame: &Frame, columns: Range<usize>, rows: Range<usize>) -> Rgb<u8> {
    let mut sum = [0; 3];
    let count = (columns.len() * rows.len()) as u32;
    for row in frame.rgb.chunks_exact(frame.size.width as usize * 3).take(rows.end).skip(rows.start) {
        for pixel in row[columns.start * 3..columns.end * 3].as_chunks::<3>().0 {
            (0..3).for_each(|n| sum[n] += u32::from(pixel[n]));
        }
    }
    Rgb(sum.map(|sum| ((sum + count / 2) / count) as u8))
}
