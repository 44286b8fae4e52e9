//! What the colours and words of a sheet mean.

use super::{
    BACKGROUND, BLACK, DIM, FAINT, GREY, MADE, MARGIN, PLAIN, RIGHT, SIDES, Sheet, WHITE,
    canvas::{Area, Face, Ink},
    letter,
};
use crate::pipeline::plan::{Origin, Slot};

impl Sheet<'_> {
    pub(super) fn legend(&mut self) {
        let Self { seam, .. } = *self;
        let [a, b] = seam.between.map(|clip| letter(Origin::Input(clip)));
        let sides = match self.plan.journey {
            None => [format!("{a}: {}", self.sides()[0]), format!("{b}: {}", self.sides()[1])],
            Some(_) => self.sides().map(str::to_owned),
        };
        let [from, to] = sides;
        let mut items = vec![
            (SIDES[0], from),
            (SIDES[1], to),
            (MADE, "made by the model".into()),
            (GREY, "guide, grey: the model is shown nothing".into()),
            (BLACK, "mask, black: shown and kept".into()),
            (WHITE, "mask, white: to make".into()),
        ];
        let has = |word: &str| seam.slots.iter().any(|slot| note(slot) == word);
        items.push((BACKGROUND, "bracket: one latent, seen by the model as one".into()));
        if has("carried") {
            items.push((BACKGROUND, "carried: of what stands before, in the look that was asked for".into()));
        }
        if has("structure") {
            items.push((BACKGROUND, "structure: of a clip that guides what is made, and is not in the film".into()));
        }
        if has("anchor") {
            items.push((BACKGROUND, "anchor: shown to pin the gap, made all the same".into()));
        }
        if has("hint") {
            items.push((BACKGROUND, "hint: shares its latent with frames to make, so made too, and not used".into()));
        }
        if has("repeat") {
            items.push((BACKGROUND, "repeat: once more to fill the latent, not in the film".into()));
        }

        self.canvas.fill(Area { x: MARGIN, y: self.y, width: RIGHT - MARGIN, height: 1 }, FAINT);
        self.y += 18;
        let ink = Ink { face: Face::Text, size: 17.0, colour: PLAIN };
        let mut x = MARGIN;
        for (colour, words) in items {
            let swatch = if colour == BACKGROUND { 0 } else { 24 };
            let width = swatch + self.canvas.width(ink, &words);
            if x + width > RIGHT {
                (x, self.y) = (MARGIN, self.y + 26);
            }
            if swatch > 0 {
                let area = Area { x, y: self.y + 2, width: 16, height: 16 };
                self.canvas.fill(area, colour);
                self.canvas.outline(area, if colour == BLACK { DIM } else { colour });
            }
            self.canvas.text(x + swatch, self.y, ink, &words);
            x += width + 30;
        }
        self.y += 20;
    }
}

pub(super) fn note(slot: &Slot) -> &'static str {
    match slot {
        Slot::Anchor(_) => "anchor",
        Slot::Repeat(_) => "repeat",
        Slot::Hint(_) => "hint",
        Slot::Carry(_) => "carried",
        Slot::Structure(_) => "structure",
        Slot::Keep(_) | Slot::Fill => "",
    }
}
