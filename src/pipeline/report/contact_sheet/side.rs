//! What stands on one side of a seam: the frames of a clip that are shown, and those that are not.

use std::ops::Range;

use super::{
    BACKGROUND, BAND, BETWEEN_FRAMES, CELL, COLUMNS, DIM, FAINT, LEFT, LINE, MARGIN, RIGHT, SIDES, Sheet,
    canvas::{Area, Colour, Face, Ink, mixed},
    frames, letter, name, numbers,
};
use crate::pipeline::{
    frames::film,
    plan::{FrameRef, Origin, Slot},
};

/// What stands in a clip's strip.
pub(super) enum Item {
    Shown(FrameRef),
    Removed(Range<usize>),
    Beyond(Range<usize>, &'static str),
}

impl Sheet<'_> {
    pub(super) fn clip(&mut self, side: usize) {
        let Self { plan, seam, .. } = *self;
        let (clip, colour) = (seam.between[side], SIDES[side]);
        let source = &plan.inputs[clip];
        let made = seam.made();
        let own = if side == 0 { &seam.slots[..made.start] } else { &seam.slots[made.end..] };
        let mut shown: Vec<FrameRef> = own
            .iter()
            .filter_map(|slot| match slot {
                Slot::Keep(frame) | Slot::Hint(frame) => Some(*frame),
                _ => None,
            })
            .collect();
        // A frame that is repeated can be a hint every time.
        shown.dedup();
        // Only a range can have nothing on one side.
        let empty = seam.range.as_ref().map_or(0, |range| if side == 0 { range.start } else { range.end });
        let start = shown.first().map_or(empty, |frame| frame.index);
        let end = shown.last().map_or(empty, |frame| frame.index + 1);
        let removed = seam.removed[side];
        let (before, after) = match side {
            0 => (Item::Beyond(0..start, "before"), Item::Removed(end..end + removed)),
            _ => (Item::Removed(start - removed..start), Item::Beyond(end..source.length(), "after")),
        };

        let length = match source.resampled_frames {
            None => frames(source.frames),
            Some(resampled) => format!(
                "{} at {} fps, counted as {resampled} at the film's {}",
                frames(source.frames),
                film::plain(source.fps),
                film::plain(plan.fps)
            ),
        };
        let facts = format!("{}  ·  {length}  ·  {} shown to the model", self.sides()[side], shown.len());
        self.headline(&letter(Origin::Input(clip)), &name(source), &facts, colour);

        let mut items = vec![before];
        items.extend(shown.into_iter().map(Item::Shown));
        items.push(after);
        self.strip(&items, colour);
    }

    /// Names what a strip below is of.
    pub(super) fn headline(&mut self, letter: &str, name: &str, facts: &str, colour: Colour) {
        let ink = Ink { face: Face::Text, size: 22.0, colour };
        let known_name = self.canvas.shortened(ink, name, (RIGHT - LEFT) / 2);
        let x = self.title(&known_name, colour);
        let line = self.y - 32;
        let chip = Area { x: MARGIN, y: line - 2, width: 28, height: 28 };
        self.canvas.fill(chip, colour);
        let ink = Ink { face: Face::Number, size: 20.0, colour: BACKGROUND };
        self.canvas.centred(chip, line + 1, ink, letter);
        self.canvas.text(x, line + 4, Ink { face: Face::Text, size: 17.0, colour: DIM }, facts);
    }

    pub(super) fn strip(&mut self, items: &[Item], colour: Colour) {
        let row = BAND + self.cell + LINE + 14;
        let mut column = 0;
        for item in items {
            let columns = match item {
                Item::Shown(_) => 1,
                Item::Removed(range) | Item::Beyond(range, _) if range.is_empty() => continue,
                Item::Removed(_) | Item::Beyond(..) => 3,
            };
            if column + columns > COLUMNS {
                (column, self.y) = (0, self.y + row);
            }
            let x = LEFT + column as u32 * (CELL + BETWEEN_FRAMES);
            let width = columns as u32 * (CELL + BETWEEN_FRAMES) - BETWEEN_FRAMES;
            let cell = Area { x, y: self.y, width, height: BAND + self.cell };
            match item {
                Item::Shown(at) => {
                    self.frame(x, self.y, Some(*at), colour);
                    let below = Ink { face: Face::Number, size: 15.0, colour };
                    self.canvas.centred(cell, self.y + cell.height + 3, below, &at.index.to_string());
                }
                Item::Removed(range) => {
                    self.canvas.hatch(cell, mixed(BACKGROUND, colour, 0.28));
                    self.canvas.outline(cell, mixed(BACKGROUND, colour, 0.55));
                    let word = if self.seam.range.is_some() { "to make again" } else { "removed" };
                    self.absent(cell, &format!("{} {word}", frames(range.len())), range, colour);
                }
                Item::Beyond(range, whence) => {
                    self.canvas.outline(cell, FAINT);
                    self.absent(cell, &format!("{} {whence}", frames(range.len())), range, DIM);
                }
            }
            column += columns;
        }
        self.y += row;
    }

    /// Says which frames are not there.
    fn absent(&mut self, cell: Area, words: &str, range: &Range<usize>, colour: Colour) {
        let (ink, numbers) = (Ink { face: Face::Text, size: 17.0, colour }, numbers(range));
        match cell.height {
            0..44 => self.canvas.centred(cell, cell.middle() - 9, ink, &format!("{words}  {numbers}")),
            _ => {
                self.canvas.centred(cell, cell.middle() - 18, ink, words);
                let ink = Ink { face: Face::Number, size: 15.0, colour };
                self.canvas.centred(cell, cell.middle() + 2, ink, &numbers);
            }
        }
    }
}
