//! A picture to draw on: flat shapes, pictures and text.

use ab_glyph::{Font, FontRef, Glyph, ScaleFont};
use image::RgbImage;

pub(super) type Colour = [u8; 3];

pub(super) fn mixed(from: Colour, to: Colour, share: f32) -> Colour {
    std::array::from_fn(|n| (f32::from(from[n]) * (1.0 - share) + f32::from(to[n]) * share).round() as u8)
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Area {
    pub(super) fn middle(self) -> u32 {
        self.y + self.height / 2
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Face {
    Text,
    Number,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Ink {
    pub(super) face: Face,
    pub(super) size: f32,
    pub(super) colour: Colour,
}

/// Stands for what no font has.
pub(super) const UNKNOWN: char = '□';

/// Of one width, and as high as what was drawn on it.
pub(super) struct Canvas {
    width: u32,
    background: Colour,
    pixels: Vec<Colour>,
    /// For text, for numbers, and for what neither has.
    fonts: [FontRef<'static>; 3],
}

impl Canvas {
    pub(super) fn new(width: u32, background: Colour) -> Self {
        let fonts = [
            epaint_default_fonts::UBUNTU_LIGHT,
            epaint_default_fonts::HACK_REGULAR,
            epaint_default_fonts::NOTO_EMOJI_REGULAR,
        ];
        let fonts = fonts.map(|font| FontRef::try_from_slice(font).expect("the built-in fonts are whole"));
        Self { width, background, pixels: vec![], fonts }
    }

    pub(super) fn finished(mut self, height: u32) -> RgbImage {
        self.pixels.resize((self.width * height) as usize, self.background);
        RgbImage::from_raw(self.width, height, self.pixels.into_flattened()).expect("as many pixels as the size says")
    }

    /// A stretch of one line; what lies beyond the right edge is left out.
    fn line(&mut self, y: u32, x: u32, width: u32) -> &mut [Colour] {
        let (start, end) = (x.min(self.width), (x + width).min(self.width));
        let (first, needed) = ((y * self.width) as usize, ((y + 1) * self.width) as usize);
        if self.pixels.len() < needed {
            self.pixels.resize(needed, self.background);
        }
        &mut self.pixels[first + start as usize..first + end as usize]
    }

    pub(super) fn fill(&mut self, Area { x, y, width, height }: Area, colour: Colour) {
        (y..y + height).for_each(|y| self.line(y, x, width).fill(colour));
    }

    pub(super) fn hatch(&mut self, Area { x, y, width, height }: Area, colour: Colour) {
        for y in y..y + height {
            for (x, pixel) in (x..).zip(self.line(y, x, width)) {
                if (x + y) % 8 < 2 {
                    *pixel = colour;
                }
            }
        }
    }

    pub(super) fn outline(&mut self, Area { x, y, width, height }: Area, colour: Colour) {
        let sides = [(x, y, width, 1), (x, y + height - 1, width, 1), (x, y, 1, height), (x + width - 1, y, 1, height)];
        sides.into_iter().for_each(|(x, y, width, height)| self.fill(Area { x, y, width, height }, colour));
    }

    pub(super) fn picture(&mut self, Area { x, y, width, .. }: Area, picture: &RgbImage) {
        for (y, row) in (y..).zip(picture.as_raw().as_chunks::<3>().0.chunks_exact(width as usize)) {
            let line = self.line(y, x, width);
            line.copy_from_slice(&row[..line.len()]);
        }
    }

    fn font_of(&self, face: Face, letter: char) -> (&FontRef<'static>, char) {
        let [text, number, other] = &self.fonts;
        let fonts = match face {
            Face::Text => [text, number, other],
            Face::Number => [number, text, other],
        };
        match fonts.into_iter().find(|font| font.glyph_id(letter).0 != 0) {
            Some(font) => (font, letter),
            None => (number, UNKNOWN),
        }
    }

    /// Every letter's glyph and where it starts, and where the last one ends.
    fn glyphs(&self, ink: Ink, text: &str) -> (Vec<(&FontRef<'static>, Glyph)>, f32) {
        let mut x = 0.0;
        let glyphs = text.chars().map(|letter| {
            let (font, letter) = self.font_of(ink.face, letter);
            let (id, scaled) = (font.glyph_id(letter), font.as_scaled(ink.size));
            let glyph = id.with_scale_and_position(ink.size, ab_glyph::point(x, 0.0));
            x += scaled.h_advance(id);
            (font, glyph)
        });
        (glyphs.collect(), x)
    }

    pub(super) fn width(&self, ink: Ink, text: &str) -> u32 {
        self.glyphs(ink, text).1.ceil() as u32
    }

    /// Writes below `y`, from `x` on, and says where the text ends.
    pub(super) fn text(&mut self, x: u32, y: u32, ink: Ink, text: &str) -> u32 {
        let ascent = self.fonts[ink.face as usize].as_scaled(ink.size).ascent().round() as i32;
        let (glyphs, width) = self.glyphs(ink, text);
        let outlines: Vec<_> = glyphs.into_iter().filter_map(|(font, glyph)| font.outline_glyph(glyph)).collect();
        for outline in outlines {
            let bounds = outline.px_bounds();
            let (left, top) = (x as i32 + bounds.min.x as i32, y as i32 + ascent + bounds.min.y as i32);
            outline.draw(|right, down, coverage| {
                let (x, y) = (left + right as i32, top + down as i32);
                if let (Ok(x), Ok(y)) = (x.try_into(), y.try_into())
                    && let [pixel] = self.line(y, x, 1)
                {
                    *pixel = mixed(*pixel, ink.colour, coverage.min(1.0));
                }
            });
        }
        x + width.ceil() as u32
    }

    pub(super) fn centred(&mut self, Area { x, width, .. }: Area, y: u32, ink: Ink, text: &str) {
        let wide = self.width(ink, text);
        self.text((x + width / 2).saturating_sub(wide / 2), y, ink, text);
    }

    /// With its middle left out where it is wider than `room`.
    pub(super) fn shortened(&self, ink: Ink, text: &str, room: u32) -> String {
        let fits = |text: &String| self.width(ink, text) <= room;
        let letters: Vec<char> = text.chars().collect();
        let kept = |count: usize| {
            let (start, end) = (&letters[..count.div_ceil(2)], &letters[letters.len() - count / 2..]);
            start.iter().chain(&['…']).chain(end).collect::<String>()
        };
        let shorter = (0..letters.len()).rev().map(kept);
        std::iter::once(text.to_owned()).chain(shorter).find(fits).unwrap_or_default()
    }
}
