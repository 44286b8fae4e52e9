//! What is done to pictures on the way: the look of what is carried over, the tone of what is made, edges, crossings.

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use imageproc::{edges::canny, filter::separable_filter_equal};
use rayon::prelude::*;

use crate::pipeline::{
    plan::{Curve, Look, Tone},
    types::{
        pixels,
        video::{Frame, Matrix, Size},
    },
};

/// As the worker had it, in its order: towards grey, towards its own greys, brighter.
pub(crate) fn look(frame: &mut Frame, look: Look) {
    let Look { strength, desaturate, brightness } = look;
    if look != Look::PLAIN {
        each_pixel(frame, |pixel| {
            let faint = pixel.map(|value| mixed(128.0, value, strength as f32));
            brighter(grey_by(faint, desaturate as f32), brightness)
        });
    }
}

pub(crate) fn tone(frame: &mut Frame, tone: Tone) {
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
pub(crate) fn edges(frame: &mut Frame) {
    let Size { width, height } = frame.size;
    let picture =
        RgbImage::from_raw(width, height, std::mem::take(&mut frame.rgb)).expect("a frame has its size's bytes");
    let grey: GrayImage = DynamicImage::from(picture).into_luma8();
    let [weak, strong] = EDGE;
    frame.rgb = canny(&grey, weak, strong).pixels().flat_map(|Luma([value])| [*value; 3]).collect();
}

/// Frame `index` of two stretches of `frames` frames, the first fading into the second.
pub(crate) fn crossed(from: &Frame, to: &Frame, curve: Curve, index: usize, frames: usize) -> Vec<u8> {
    match curve {
        Curve::Even => pixels::mix(&from.rgb, &to.rgb, pixels::fade_weight(index, frames)),
        Curve::Sharpened(amount) => {
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

/// Headless-Wan2GP's cross-fade: half a cosine, the second alone at the last frame.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: usize) -> Frame {
        let size = Size::new(40, 30);
        Frame { size, rgb: (0..size.rgb_bytes()).map(|at| ((at * 31 + at / 7 * seed) % 256) as u8).collect() }
    }

    #[test]
    fn an_even_crossing_is_the_same_from_both_ends() {
        let (a, b) = (noise(3), noise(11));
        for frames in 1..12 {
            for index in 0..frames {
                let there = crossed(&a, &b, Curve::Even, index, frames);
                let back = crossed(&b, &a, Curve::Even, frames - 1 - index, frames);
                assert!(there.iter().zip(&back).all(|(a, b)| a.abs_diff(*b) <= 1), "{index} of {frames}");
            }
        }
    }

    #[test]
    fn the_workers_weights_are_those_it_had() {
        // (1 - cos(pi k / 4)) / 2 of k from 1 to 4.
        for (index, alpha) in [0.146_447, 0.5, 0.853_553, 1.0].into_iter().enumerate() {
            assert!((worker_weight(index, 4) - alpha).abs() < 1e-6);
        }
        let (a, b) = (noise(3), noise(11));
        assert_eq!(crossed(&a, &b, Curve::Sharpened(0.0), 3, 4), b.rgb);
        assert_ne!(crossed(&a, &b, Curve::Sharpened(0.3), 3, 4), b.rgb);
        let flat = Frame::filled(a.size, [77, 5, 200]);
        assert_eq!(crossed(&flat, &flat, Curve::Sharpened(0.3), 1, 4), flat.rgb);
    }

    #[test]
    fn what_is_sharpened_is_the_gaussian_of_its_neighbours() {
        // One white pixel: its blur is the product of two normalised bells.
        let size = Size::new(41, 41);
        let mut base = vec![0.0; size.rgb_bytes()];
        let place = |x: usize, y: usize| (y * 41 + x) * 3;
        base[place(20, 20)] = 200.0;
        let bell: Vec<f64> = (-12..=12).map(|at: i32| (-f64::from(at * at) / 18.0).exp()).collect();
        let middle = (1.0 / bell.iter().sum::<f64>()).powi(2) * 200.0;
        let sharp = sharpened(base, size, 0.25);
        assert_eq!(f64::from(sharp[place(20, 20)]), (200.0 + 0.25 * (200.0 - middle)).round());
        assert!(sharp.iter().enumerate().all(|(at, value)| at == place(20, 20) || *value == 0));
    }

    #[test]
    fn looks_and_tones_at_rest_change_nothing_and_at_their_ends_are_plain() {
        let own = noise(5);
        let with = |change: &dyn Fn(&mut Frame)| {
            let mut frame = own.clone();
            change(&mut frame);
            frame
        };
        let looks =
            |strength, desaturate, brightness| with(&|frame| look(frame, Look { strength, desaturate, brightness }));
        let tones = |saturation, brightness| with(&|frame| tone(frame, Tone { saturation, brightness }));
        assert_eq!(looks(1.0, 0.0, 0.0), own);
        assert_eq!(tones(1.0, 0.0), own);
        assert_eq!(looks(0.0, 0.0, 0.0), Frame::filled(own.size, pixels::GREY));
        for grey in [looks(1.0, 1.0, 0.0), tones(0.0, 0.0)] {
            let lumas =
                own.rgb.as_chunks::<3>().0.iter().map(|[r, g, b]| {
                    (0.299 * f32::from(*r) + 0.587 * f32::from(*g) + 0.114 * f32::from(*b)).round() as u8
                });
            assert!(grey.rgb.as_chunks::<3>().0.iter().zip(lumas).all(|(pixel, luma)| *pixel == [luma; 3]));
        }
        // + is brighter.
        for brighter in [looks(1.0, 0.0, 0.5), tones(1.0, 0.5)] {
            let wanted = own.rgb.iter().map(|value| (f32::from(*value) * 1.5).round().min(255.0) as u8);
            assert!(brighter.rgb.iter().zip(wanted).all(|(found, wanted)| *found == wanted));
        }
        assert_eq!(looks(1.0, 0.0, -1.0), Frame::filled(own.size, [0; 3]));
    }

    #[test]
    fn edges_are_white_on_black_where_a_picture_changes() {
        let size = Size::new(40, 30);
        let mut frame = Frame::filled(size, [30; 3]);
        for row in frame.rgb.chunks_exact_mut(size.width as usize * 3) {
            row[20 * 3..].fill(220);
        }
        edges(&mut frame);
        for y in 4..26 {
            let row = &frame.rgb.as_chunks::<3>().0[y * 40..][..40];
            let white: Vec<usize> = (0..40).filter(|x| row[*x] == [255; 3]).collect();
            assert!(!white.is_empty() && white.iter().all(|x| (18..22).contains(x)), "{white:?}");
            assert!(row.iter().all(|pixel| [[0; 3], [255; 3]].contains(pixel)));
        }
    }
}
