//! Between the film's size and the size in which a model makes frames: the same picture, scaled as little as it can be.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

use crate::pipeline::types::video::{Frame, Size};

/// A model's latents are 8 by 8 pixels, and it takes them two by two.
const GRID: u32 = 16;

/// The size on the model's grid that a film of `size` is made in: the nearest ones on both sides, of which the one with
/// the film's shape is the best.
pub fn on_grid(size: Size) -> Size {
    let near = |side: u32| {
        let below = (side / GRID * GRID).max(GRID);
        [below, if side <= below { below } else { below + GRID }]
    };
    let off = |made: Size| {
        let shape = |size: Size| f64::from(size.width) / f64::from(size.height);
        // Of two with the same shape the nearer one: the shape alone does not tell 16x16 from 32x32.
        let distance = made.width.abs_diff(size.width) + made.height.abs_diff(size.height);
        ((shape(made) / shape(size)).ln().abs(), distance)
    };
    let sizes = near(size.width).into_iter().flat_map(|width| near(size.height).map(|height| Size::new(width, height)));
    sizes.min_by(|a, b| off(*a).partial_cmp(&off(*b)).expect("sides are above 0")).expect("there are four")
}

/// The part of a film's picture that a model sees, in the middle, and how it comes to the model's size and back.
///
/// What lies outside, at most a few pixels at two of the edges, is filled on the way back by mirroring what lies inside.
/// Scaling the part up to the whole picture instead would make every seam a jump of the camera (2 % at 640x360).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridCrop {
    film: Size,
    made: Size,
    seen: Size,
}

impl GridCrop {
    pub fn new(film: Size, made: Size) -> Self {
        // The largest part with the made size's shape.
        let (width, height) = (u64::from(film.width), u64::from(film.height));
        let (w, h) = (u64::from(made.width), u64::from(made.height));
        let seen = match width * h > height * w {
            true => Size::new(((height * w + h / 2) / h).clamp(1, width) as u32, film.height),
            false => Size::new(film.width, ((width * h + w / 2) / w).clamp(1, height) as u32),
        };
        Self { film, made, seen }
    }

    /// Whether frames pass as they are.
    pub fn is_clear(&self) -> bool {
        self.film == self.made
    }

    fn corner(&self) -> (u32, u32) {
        ((self.film.width - self.seen.width) / 2, (self.film.height - self.seen.height) / 2)
    }

    /// A frame of the film as the model is shown it.
    pub fn to_made(&self, frame: &Frame) -> Frame {
        assert_eq!(frame.size, self.film, "frames of the film have the film's size");
        let (x, y) = self.corner();
        let (row, left) = (self.film.width as usize * 3, x as usize * 3);
        let rows = frame.rgb.chunks_exact(row).skip(y as usize).take(self.seen.height as usize);
        let seen: Vec<u8> = rows.flat_map(|row| &row[left..left + self.seen.width as usize * 3]).copied().collect();
        Frame { size: self.made, rgb: scaled(seen, self.seen, self.made) }
    }

    /// What the model made, in its place in the film's picture.
    pub fn to_film(&self, made: Frame) -> Frame {
        assert_eq!(made.size, self.made, "made frames have the size that was asked for");
        let seen = scaled(made.rgb, self.made, self.seen);
        let (x, y) = self.corner();
        let mut rgb = Vec::with_capacity(self.film.rgb_bytes());
        for row in 0..self.film.height {
            let start = mirrored(row, y, self.seen.height) * self.seen.width as usize;
            for column in 0..self.film.width {
                let pixel = (start + mirrored(column, x, self.seen.width)) * 3;
                rgb.extend_from_slice(&seen[pixel..pixel + 3]);
            }
        }
        Frame { size: self.film, rgb }
    }
}

/// Where in a stretch of `side` that begins at `corner` the picture of `at` is: in it, or its mirror image.
fn mirrored(at: u32, corner: u32, side: u32) -> usize {
    let inside = match at.checked_sub(corner) {
        None => corner - at - 1,
        Some(inside) if inside < side => inside,
        Some(beyond) => (2 * side - 1).saturating_sub(beyond),
    };
    inside.min(side - 1) as usize
}

/// Lanczos with three lobes; as they are where nothing is to do.
fn scaled(rgb: Vec<u8>, from: Size, to: Size) -> Vec<u8> {
    if from == to {
        return rgb;
    }
    let source = ImageRef::new(from.width, from.height, &rgb, PixelType::U8x3).expect("a picture has its size's bytes");
    let mut scaled = Image::new(to.width, to.height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize(&source, &mut scaled, &options).expect("both pictures are 8-bit RGB");
    scaled.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_grid_has_the_films_shape() {
        for (film, made) in [
            ((832, 480), (832, 480)),
            ((1280, 720), (1280, 720)),
            // The size class that broke the old worker.
            ((853, 480), (848, 480)),
            ((852, 480), (848, 480)),
            ((1920, 1080), (1920, 1088)),
            ((902, 508), (912, 512)),
            ((160, 90), (160, 96)),
            ((2, 2), (16, 16)),
            ((17, 16), (16, 16)),
        ] {
            let (film, made) = (Size::new(film.0, film.1), Size::new(made.0, made.1));
            assert_eq!(on_grid(film), made, "{film}");
        }
    }

    #[test]
    fn every_size_comes_to_the_grid_and_back() {
        for (width, height) in (1..60).flat_map(|width| (1..60).map(move |height| (width, height))) {
            let film = Size::new(width, height);
            let made = on_grid(film);
            assert_eq!((made.width % GRID, made.height % GRID), (0, 0), "{film}");
            assert!(made.width.abs_diff(width) < GRID && made.height.abs_diff(height) < GRID, "{film}: {made}");
            let window = GridCrop::new(film, made);
            let grey = Frame::filled(film, [7, 99, 200]);
            let shown = window.to_made(&grey);
            assert_eq!(shown, Frame::filled(made, [7, 99, 200]), "{film}");
            assert_eq!(window.to_film(shown), grey, "{film}");
        }
    }

    #[test]
    fn what_the_model_sees_stands_where_it_stood_afterwards() {
        let (film, made) = (Size::new(853, 480), Size::new(848, 480));
        let window = GridCrop::new(film, made);
        let rgb: Vec<u8> = (0..film.rgb_bytes()).map(|at| (at * 31 % 251) as u8).collect();
        let back = window.to_film(window.to_made(&Frame { size: film, rgb: rgb.clone() }));
        for row in 0..480 {
            // Five columns are outside: two on the left, three on the right.
            let at = |column: usize| (row * 853 + column) * 3;
            assert_eq!(back.rgb[at(2)..at(850)], rgb[at(2)..at(850)], "row {row}");
            for (outside, inside) in [(1, 2), (0, 3), (850, 849), (852, 847)] {
                assert_eq!(back.rgb[at(outside)..at(outside) + 3], rgb[at(inside)..at(inside) + 3]);
            }
        }
        assert!(!window.is_clear());
    }
}
