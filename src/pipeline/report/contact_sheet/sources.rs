//! What a segment of a journey is shown, source by source.

use super::{COLUMNS, MADE, PLAIN, SIDES, Sheet, canvas::Colour, frames, letter, name, numbers, side::Item};
use crate::pipeline::plan::{FrameRef, Origin, Slot};

/// Frames of one source that are shown for one reason.
struct Shown {
    colour: Colour,
    what: &'static str,
    frames: Vec<FrameRef>,
}

impl Sheet<'_> {
    pub(super) fn sources(&mut self) {
        let made = self.seam.made();
        let mut sources: Vec<Shown> = vec![];
        for (at, slot) in self.seam.slots.iter().enumerate() {
            let (colour, what) = match slot {
                Slot::Carry(_) => (SIDES[0], "carried over"),
                Slot::Structure(_) => (MADE, "guides what is made"),
                Slot::Fill => continue,
                _ if at < made.start => (SIDES[0], self.sides()[0]),
                _ => (SIDES[1], self.sides()[1]),
            };
            let Some(frame) = slot.frame() else { continue };
            let same = |shown: &Shown| shown.what == what && shown.frames[0].origin == frame.origin;
            match sources.iter_mut().find(|shown| same(shown)) {
                Some(shown) => shown.frames.push(frame),
                None => sources.push(Shown { colour, what, frames: vec![frame] }),
            }
        }
        // What it goes to stands beside what it comes from.
        sources.sort_by_key(|shown| shown.colour == MADE);
        let whole = |input: &usize| vec![FrameRef { origin: Origin::Input(*input), index: 0 }];
        let reference = |input| Shown { colour: PLAIN, what: "what things look like", frames: whole(input) };
        sources.extend(self.seam.references.iter().map(reference));
        sources.into_iter().for_each(|shown| self.source(shown));
    }

    fn source(&mut self, Shown { colour, what, frames: mut shown }: Shown) {
        // An image can fill a whole latent.
        shown.dedup();
        let origin = shown[0].origin;
        let (title, facts) = match origin {
            Origin::Gap(seam) => {
                let stand_in = "nothing is made yet, so frames that are mixed between images stand for them";
                (format!("segment {}", seam + 1), stand_in.to_owned())
            }
            Origin::Input(input) => {
                let source = &self.plan.inputs[input];
                let facts = match source.still {
                    true => format!("image of {}", source.size),
                    false => format!("{} of {}", shown.len(), frames(source.length())),
                };
                (name(source), facts)
            }
        };
        let range = shown[0].index..shown[shown.len() - 1].index + 1;
        let which = if range.len() > 1 { format!(": {}", numbers(&range)) } else { String::new() };
        self.headline(&letter(origin), &title, &format!("{what}  ·  {facts}{which}"), colour);
        // One row of as many as there is room for.
        let last = shown.len() - 1;
        let columns = shown.len().min(COLUMNS);
        let items: Vec<Item> =
            (0..columns).map(|column| Item::Shown(shown[column * last / (columns - 1).max(1)])).collect();
        self.strip(&items, colour);
    }
}
