//! What is done to pictures on the way: the look of what is carried over, the tone of what is made, edges, crossings.

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use imageproc::{edges::canny, filter::separable_filter_equal};
use rayon::prelude::*;

use super::{
    pixels,
    plan::{Curve, Look, Tone},
    video::{Frame, Matrix, Size},
};

/// As the worker had it, in its order: towards grey, towards its own greys, brighter.
pub(super) fn look(frame: &mut Frame, look: Look) {
    let Look { strength, desaturate, brightness } = look;
    if look != Look::PLAIN {
        each_pixel(frame, |pixel| {
            let faint = pixel.map(|value| mixed(128.0, value, strength as f32));
            brighter(grey_by(faint, desaturate as f32), brightness)
        });
    }
}

pub(super) fn tone(frame: &mut Frame, tone: Tone) {
    let Tone { saturation, brightness } = tone;
    if tone != Tone::PLAIN {
        each_pixel(frame, |pixel| brighter(grey_by(pixel, 1.0 - saturation as f32), brightness));
    }
}

fn each_pixel(frame: &mut Frame, change: impl Fn([f32; 3]) -> [f32; 3] + Sync) {
    frame.rgb.par_chunks_mut(3 << 14).for_each(|chunk| {
        for pixel in chunk.as_chunks_mut::<3>().0 {
            *pixel = change(pixel.map(f32::from)).map(rounded);
        }
    });
}

fn mixed(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

/// Towards the pixel's own luma by Rec. 601; below 0, away from it.
fn grey_by(pixel: [f32; 3], share: f32) -> [f32; 3] {
    let (red, blue) = Matrix::Bt601.weights();
    let luma = red * pixel[0] + (1.0 - red - blue) * pixel[1] + blue * pixel[2];
    pixel.map(|value| mixed(value, luma, share))
}

fn brighter(pixel: [f32; 3], by: f64) -> [f32; 3] {
    pixel.map(|value| value * (1.0 + by as f32))
}

fn rounded(value: f32) -> u8 {
    (value + 0.5).clamp(0.0, 255.0) as u8
}

/// Gradients of a picture that was blurred by 1.4 pixels go up to 1140. An edge begins at the stronger one and goes on
/// down to the weaker.
const EDGE: [f32; 2] = [50.0, 100.0];

/// White edges on black.
pub(super) fn edges(frame: &mut Frame) {
    let Size { width, height } = frame.size;
    let picture =
        RgbImage::from_raw(width, height, std::mem::take(&mut frame.rgb)).expect("a frame has its size's bytes");
    let grey: GrayImage = DynamicImage::from(picture).into_luma8();
    let [weak, strong] = EDGE;
    frame.rgb = canny(&grey, weak, strong).pixels().flat_map(|Luma([value])| [*value; 3]).collect();
}

/// Frame `index` of two stretches of `frames` frames, the first fading into the second.
pub(super) fn crossed(from: &Frame, to: &Frame, curve: Curve, index: usize, frames: usize) -> Vec<u8> {
    match curve {
        Curve::Even => pixels::mix(&from.rgb, &to.rgb, pixels::fade_weight(index, frames)),
        Curve::Worker(amount) => {
            let alpha = worker_weight(index, frames);
            let base: Vec<f32> =
                from.rgb.iter().zip(&to.rgb).map(|(from, to)| mixed((*from).into(), (*to).into(), alpha)).collect();
            match amount as f32 * alpha {
                0.0 => base.into_iter().map(rounded).collect(),
                more => sharpened(base, from.size, more),
            }
        }
    }
}

/// Headless-Wan2GP's crossfade (join-and-travel.md 1.11): half a cosine, the second alone at the last frame.
fn worker_weight(index: usize, frames: usize) -> f32 {
    (1.0 - (std::f32::consts::PI * (index + 1) as f32 / frames as f32).cos()) / 2.0
}

/// Away from what it is blurred by 3 pixels.
fn sharpened(base: Vec<f32>, size: Size, amount: f32) -> Vec<u8> {
    // OpenCV takes four sigmas to each side of a picture of floats.
    const SIGMA: f32 = 3.0;
    let weights: Vec<f32> = (-12..=12).map(|at| (-((at * at) as f32) / (2.0 * SIGMA * SIGMA)).exp()).collect();
    let sum: f32 = weights.iter().sum();
    let kernel: Vec<f32> = weights.iter().map(|weight| weight / sum).collect();
    let picture =
        ImageBuffer::<Rgb<f32>, _>::from_raw(size.width, size.height, base).expect("as many as the size says");
    let blurred: ImageBuffer<Rgb<f32>, Vec<f32>> = separable_filter_equal(&picture, &kernel);
    picture.iter().zip(blurred.iter()).map(|(own, blurred)| rounded(own + amount * (own - blurred))).collect()
}
