//! Arithmetic on pixels: the one conversion from RGB to YUV, and fades.

use rayon::prelude::*;

use crate::pipeline::types::video::{Layout, Matrix, Range, Size};

/// Where the model is shown nothing: 0.0 in its -1 to 1. In limited range it is luma 126 and comes back as 128.
pub const GREY: [u8; 3] = [128; 3];

/// A frame in `layout`, from 8-bit RGB. For 4:2:0 both sides of `size` are even.
///
/// Luma and colour differences are those of the matrix's ITU-R standard, rounded to nearest. Colour samples are sited
/// on the left of their pixels, as H.264 has it by default: 1-2-1 across, the mean of two rows down.
pub fn from_rgb(rgb: &[u8], size: Size, layout: Layout) -> Vec<u8> {
    match layout {
        Layout::Rgb => rgb.to_vec(),
        Layout::Yuv420 { matrix, range } => to_yuv420(rgb, size, matrix, range),
    }
}

fn to_yuv420(rgb: &[u8], size: Size, matrix: Matrix, range: Range) -> Vec<u8> {
    let (width, pixels) = (size.width as usize, size.pixels());
    let (kr, kb) = matrix.weights();
    let kg = 1.0 - kr - kb;
    let (luma_scale, luma_zero, colour_scale) = match range {
        Range::Limited => (219.0 / 255.0, 16.0, 224.0 / 255.0),
        Range::Full => (1.0, 0.0, 1.0),
    };
    let luma = move |r: f32, g: f32, b: f32| kr * r + kg * g + kb * b;

    let mut yuv = vec![0; pixels * 3 / 2];
    let (y_plane, colour) = yuv.split_at_mut(pixels);
    let (u_plane, v_plane) = colour.split_at_mut(pixels / 4);
    let row_pairs = y_plane
        .par_chunks_exact_mut(width * 2)
        .zip(u_plane.par_chunks_exact_mut(width / 2))
        .zip(v_plane.par_chunks_exact_mut(width / 2))
        .zip(rgb.par_chunks_exact(width * 6));
    row_pairs.for_each(|(((y, u), v), rgb)| {
        for (y, rgb) in y.iter_mut().zip(rgb.as_chunks::<3>().0) {
            let [r, g, b] = rgb.map(f32::from);
            *y = (luma_zero + luma_scale * luma(r, g, b) + 0.5) as u8;
        }
        let column = |x: usize| {
            let [top, bottom] = [x * 3, (width + x) * 3];
            [0, 1, 2].map(|c| f32::from(rgb[top + c]) + f32::from(rgb[bottom + c]))
        };
        for x in 0..width / 2 {
            let [left, here, right] = [column((2 * x).saturating_sub(1)), column(2 * x), column(2 * x + 1)];
            // Eight pixels' worth: two rows of 1-2-1.
            let [r, g, b] = [0, 1, 2].map(|c| (left[c] + 2.0 * here[c] + right[c]) / 8.0);
            let y = luma(r, g, b);
            let sample = |difference: f32| (128.0 + colour_scale * difference + 0.5).clamp(0.0, 255.0) as u8;
            u[x] = sample((b - y) / (2.0 * (1.0 - kb)));
            v[x] = sample((r - y) / (2.0 * (1.0 - kr)));
        }
    });
    yuv
}

/// How much of the second picture frame `index` of a fade over `frames` frames shows: it rises smoothly, alike from
/// both ends, and neither end is pure.
pub fn fade_weight(index: usize, frames: usize) -> f32 {
    let t = (index + 1) as f32 / (frames + 1) as f32;
    t * t * (3.0 - 2.0 * t)
}

/// `from` at weight 0, `to` at weight 1, rounded to nearest.
pub fn mix(from: &[u8], to: &[u8], weight: f32) -> Vec<u8> {
    // 16-bit fixed point: exact at both ends, and at most 1/512 of a level off between them.
    let to_share = (weight.clamp(0.0, 1.0) * 65536.0).round() as u32;
    let from_share = 65536 - to_share;
    let mut mixed = vec![0; from.len()];
    mixed.par_chunks_mut(1 << 16).zip(from.par_chunks(1 << 16).zip(to.par_chunks(1 << 16))).for_each(
        |(mixed, (from, to))| {
            for ((mixed, &from), &to) in mixed.iter_mut().zip(from).zip(to) {
                *mixed = ((u32::from(from) * from_share + u32::from(to) * to_share + (1 << 15)) >> 16) as u8;
            }
        },
    );
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    const BT709: Layout = Layout::Yuv420 { matrix: Matrix::Bt709, range: Range::Limited };

    fn flat(colour: [u8; 3], layout: Layout) -> [u8; 3] {
        let size = Size::new(4, 2);
        let yuv = from_rgb(&colour.repeat(8), size, layout);
        assert!(yuv[..8].iter().all(|y| *y == yuv[0]));
        [yuv[0], yuv[8], yuv[10]]
    }

    #[test]
    fn the_primaries_have_the_values_of_their_standards() {
        // Rec. BT.709-6 and BT.601-7, 8 bit, limited range: 100 % bars.
        assert_eq!(flat([255, 255, 255], BT709), [235, 128, 128]);
        assert_eq!(flat([0, 0, 0], BT709), [16, 128, 128]);
        assert_eq!(flat([255, 0, 0], BT709), [63, 102, 240]);
        assert_eq!(flat([0, 0, 255], BT709), [32, 240, 118]);
        let bt601 = Layout::Yuv420 { matrix: Matrix::Bt601, range: Range::Limited };
        assert_eq!(flat([255, 0, 0], bt601), [81, 90, 240]);
        assert_eq!(flat([0, 255, 0], bt601), [145, 54, 34]);
        let full = Layout::Yuv420 { matrix: Matrix::Bt601, range: Range::Full };
        assert_eq!(flat([255, 255, 255], full), [255, 128, 128]);
        assert_eq!(flat([128, 128, 128], full), [128, 128, 128]);
    }

    #[test]
    fn a_fade_is_symmetric_and_never_pure() {
        for frames in 1..20 {
            for index in 0..frames {
                let (there, back) = (fade_weight(index, frames), fade_weight(frames - 1 - index, frames));
                assert!((there + back - 1.0).abs() < 1e-6, "{index} of {frames}");
                assert!(there > 0.0 && there < 1.0);
            }
        }
    }

    #[test]
    fn a_mix_is_exact_at_its_ends_and_rounded_between() {
        let (black, all): (Vec<u8>, Vec<u8>) = (vec![0; 256], (0..=255).collect());
        assert_eq!(mix(&black, &all, 0.0), black);
        assert_eq!(mix(&black, &all, 1.0), all);
        assert_eq!(mix(&[10], &[11], 0.5), [11]);
        assert_eq!(mix(&all, &all, 0.3), all);
    }
}
