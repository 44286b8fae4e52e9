//! The guide and its mask, frame by frame, latent by latent.

use std::ops::Range;

use super::{
    BACKGROUND, BAND, BETWEEN_FRAMES, BETWEEN_LATENTS, BLACK, BRIGHT, CELL, COLUMNS, DIM, FAINT, LEFT, LINE, MADE,
    MARGIN, MASK, PLAIN, RIGHT, SIDES, Sheet, WHITE,
    canvas::{Area, Colour, Face, Ink, mixed},
    frames,
    legend::note,
    letter,
};
use crate::pipeline::plan::{Mask, Slot};

/// Where a frame of the guide stands: its row and column.
pub(super) fn place(frame: usize) -> (usize, usize) {
    match frame.checked_sub(1) {
        None => (0, 0),
        Some(after_first) => (after_first / (COLUMNS - 1), after_first % (COLUMNS - 1) + 1),
    }
}

pub(super) fn column_x(column: usize) -> u32 {
    LEFT + column as u32 * (CELL + BETWEEN_FRAMES) + column.div_ceil(4) as u32 * BETWEEN_LATENTS
}

impl Sheet<'_> {
    pub(super) fn guide(&mut self) {
        let Self { seam, .. } = *self;
        let x = self.title("What the model is shown", BRIGHT);
        let latents = seam.latents.len();
        let generated = seam.latents.iter().filter(|latent| latent.mask != Mask::Keep).count();
        let facts = format!("{} in {latents} latents, {generated} of them to generate", frames(seam.slots.len()));
        self.canvas.text(x, self.y - 28, Ink { face: Face::Text, size: 17.0, colour: DIM }, &facts);
        self.overview();

        let noted = seam.slots.iter().any(|slot| !note(slot).is_empty());
        let lines = if noted { 3 } else { 2 };
        let [guide, mask, text] = [24, 24 + BAND + self.cell + 4, 24 + BAND + self.cell + 4 + MASK + 4];
        let row = text + lines * LINE + 22;
        let rows = place(seam.slots.len() - 1).0 + 1;
        for y in (0..rows as u32).map(|n| self.y + n * row) {
            let ink = Ink { face: Face::Text, size: 16.0, colour: DIM };
            let labels = [
                (1, "latent"),
                (guide + BAND + self.cell / 2 - 9, "guide"),
                (mask - 1, "mask"),
                (text - 1, "frame"),
                (text + LINE - 1, "source"),
            ];
            for (below, label) in labels {
                self.canvas.text(MARGIN, y + below, ink, label);
            }
        }
        for (n, latent) in seam.latents.iter().enumerate() {
            let (first, columns) = place(latent.frames.start);
            let x = column_x(columns);
            let width = latent.frames.len() as u32 * (CELL + BETWEEN_FRAMES) - BETWEEN_FRAMES;
            let known = seam.slots[latent.frames.clone()].iter().filter(|slot| slot.is_known()).count();
            let half = match known {
                0 => String::new(),
                _ if known == latent.frames.len() => String::new(),
                _ => format!(", {known} of {} known", latent.frames.len()),
            };
            let colour = if latent.mask == Mask::Keep { PLAIN } else { MADE };
            let label = format!("{n}  {}{half}", latent.mask);
            self.bracket(Area { x, y: self.y + first as u32 * row, width, height: 19 }, colour, &label);
        }
        for (n, (slot, known)) in seam.slots.iter().zip(seam.known()).enumerate() {
            let (down, column) = place(n);
            let (x, y) = (column_x(column), self.y + down as u32 * row);
            let colour = self.colour(n);
            self.frame(x, y + guide, slot.frame(), colour);
            let cell = Area { x, y: y + mask, width: CELL, height: MASK };
            self.canvas.fill(cell, if known { BLACK } else { WHITE });
            self.canvas.outline(cell, if known { FAINT } else { WHITE });
            let ink = Ink { face: Face::Number, size: 15.0, colour: PLAIN };
            self.canvas.centred(cell, y + text, ink, &n.to_string());
            let source = slot.frame().map_or("—".into(), |at| format!("{} {}", letter(at.origin), at.index));
            self.canvas.centred(cell, y + text + LINE, Ink { colour, ..ink }, &source);
            self.canvas.centred(cell, y + text + 2 * LINE, ink, note(slot));
        }
        self.y += rows as u32 * row + 4;
    }

    /// The whole guide in one line, since it takes several rows below.
    fn overview(&mut self) {
        let Self { seam, .. } = *self;
        let count = seam.slots.len();
        let (height, x_of) = (22, |frame: usize| LEFT + (frame * (RIGHT - LEFT) as usize / count) as u32);
        let area = |frames: &Range<usize>, y, height| {
            let (x, end) = (x_of(frames.start), x_of(frames.end));
            Area { x, y, width: end - x, height }
        };
        let ink = Ink { face: Face::Text, size: 16.0, colour: BACKGROUND };
        let made = seam.made();
        let parts =
            [(0..made.start, SIDES[0], "shown"), (made.clone(), MADE, "to make"), (made.end..count, SIDES[1], "shown")];
        for (frames, colour, word) in parts {
            let (cell, label) = (area(&frames, self.y, height), format!("{} {word}", frames.len()));
            self.canvas.fill(cell, colour);
            if self.canvas.width(ink, &label) + 8 < cell.width {
                self.canvas.centred(cell, self.y + 2, ink, &label);
            }
        }
        for frame in made {
            self.canvas.fill(area(&(frame..frame + 1), self.y + height - 4, 4), self.colour(frame));
        }
        for latent in &seam.latents {
            let colour = if latent.mask == Mask::Keep { FAINT } else { mixed(BACKGROUND, MADE, 0.6) };
            let Area { x, width, .. } = area(&latent.frames, 0, 0);
            self.canvas.fill(Area { x, y: self.y + height + 3, width: width - 2, height: 3 }, colour);
        }
        self.y += height + 26;
    }

    fn bracket(&mut self, area: Area, colour: Colour, label: &str) {
        let ink = Ink { face: Face::Text, size: 17.0, colour };
        let line = mixed(BACKGROUND, colour, 0.55);
        let Area { x, y, width, height } = area;
        let top = y + 9;
        self.canvas.fill(Area { x, y: top, width, height: 1 }, line);
        for x in [x, x + width - 1] {
            self.canvas.fill(Area { x, y: top, width: 1, height: height - 9 + 3 }, line);
        }
        let wide = self.canvas.width(ink, label) + 14;
        let behind = Area { x: x + width.saturating_sub(wide) / 2, y: top, width: wide.min(width), height: 1 };
        self.canvas.fill(behind, BACKGROUND);
        self.canvas.centred(area, y, ink, label);
    }

    /// Whose a frame of the guide is.
    fn colour(&self, slot: usize) -> Colour {
        let Self { seam, .. } = self;
        let made = seam.made();
        match seam.slots[slot] {
            Slot::Fill | Slot::Structure(_) => MADE,
            Slot::Keep(_) | Slot::Repeat(_) | Slot::Hint(_) | Slot::Carry(_) => SIDES[usize::from(slot >= made.start)],
            // A loop of one clip is on both sides, so its number does not tell.
            anchor @ Slot::Anchor(_) => {
                let last = seam.slots[..made.start].last().and_then(|slot| slot.frame());
                SIDES[usize::from(last != anchor.frame())]
            }
        }
    }
}
