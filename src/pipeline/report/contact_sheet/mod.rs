//! One picture of a seam that a person can read: clips, guide and mask, frame by frame.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use image::RgbImage;
use rayon::prelude::*;

use crate::pipeline::{
    frames::{film, source::GuideFrames},
    plan::{FramePlan, FrameRef, Origin, Segment, Shape, Source},
    types::{
        pixels,
        video::{Frame, Size},
    },
};
use canvas::{Area, Canvas, Colour, Face, Ink, UNKNOWN};
use thumbnail::{scaled, thumbnail_size};

mod canvas;
mod guide;
mod legend;
mod side;
mod sources;
#[cfg(test)]
mod tests;
mod thumbnail;

/// One frame and four latents, so that latents stand below each other.
const COLUMNS: usize = 17;
const CELL: u32 = 86;
/// The tallest a picture may be: portrait clips become narrower than their cells instead.
const TALLEST: u32 = 132;
const LOWEST: u32 = 22;
const BETWEEN_FRAMES: u32 = 2;
const BETWEEN_LATENTS: u32 = 10;
const MARGIN: u32 = 44;
/// Where the strips' names stand.
const GUTTER: u32 = 64;
const LEFT: u32 = MARGIN + GUTTER;
const RIGHT: u32 = LEFT + COLUMNS as u32 * (CELL + BETWEEN_FRAMES) - BETWEEN_FRAMES + 4 * BETWEEN_LATENTS;
const WIDTH: u32 = RIGHT + MARGIN;
const BAND: u32 = 4;
const MASK: u32 = 16;
const LINE: u32 = 17;

const BACKGROUND: Colour = [22, 23, 26];
const BRIGHT: Colour = [238, 238, 240];
const PLAIN: Colour = [188, 190, 196];
const DIM: Colour = [150, 153, 162];
const FAINT: Colour = [72, 75, 83];
// Blue, pink and amber of one lightness stay apart for every kind of colour blindness.
const SIDES: [Colour; 2] = [[92, 176, 240], [232, 132, 182]];
const MADE: Colour = [240, 178, 74];
/// What guide.mp4 shows where the model is shown nothing.
const GREY: Colour = pixels::GREY;
const BLACK: Colour = [0; 3];
const WHITE: Colour = [255; 3];

/// `references` are those of the seam, as the model sees them.
pub fn draw(plan: &FramePlan, number: usize, known: &GuideFrames, references: &[Frame]) -> RgbImage {
    drawn(plan, number, references, &|at| known.frame(at))
}

fn drawn<'a>(
    plan: &FramePlan,
    number: usize,
    references: &[Frame],
    frame: &(impl Fn(FrameRef) -> &'a Frame + Sync),
) -> RgbImage {
    let seam = &plan.seams[number];
    let picture = thumbnail_size(plan.made_size);
    let shown: HashSet<FrameRef> = seam.slots.iter().filter_map(|slot| slot.frame()).collect();
    let mut pictures: HashMap<_, _> = shown.into_par_iter().map(|at| (at, scaled(frame(at), picture))).collect();
    let whole = |input: &usize| FrameRef { origin: Origin::Input(*input), index: 0 };
    pictures.extend(seam.references.iter().map(whole).zip(references.iter().map(|frame| scaled(frame, picture))));
    let cell = picture.height.max(LOWEST);
    let mut sheet = Sheet { plan, seam, pictures, picture, cell, canvas: Canvas::new(WIDTH, BACKGROUND), y: MARGIN };
    sheet.heading(number);
    match plan.journey {
        None => (0..2).for_each(|side| sheet.clip(side)),
        Some(_) => sheet.sources(),
    }
    sheet.guide();
    sheet.legend();
    sheet.canvas.finished(sheet.y + MARGIN)
}

struct Sheet<'a> {
    plan: &'a FramePlan,
    seam: &'a Segment,
    pictures: HashMap<FrameRef, RgbImage>,
    picture: Size,
    /// How high the cells are.
    cell: u32,
    canvas: Canvas,
    /// Everything above is drawn.
    y: u32,
}

impl Sheet<'_> {
    fn heading(&mut self, number: usize) {
        let Self { plan, seam, .. } = *self;
        let ink = Ink { face: Face::Text, size: 36.0, colour: BRIGHT };
        let arrow = "  →  ";
        let room = RIGHT - MARGIN - self.canvas.width(ink, arrow);
        if let Some(range) = &seam.range {
            let words = format!("  {}", numbers(range));
            let room = RIGHT - MARGIN - self.canvas.width(ink, &words);
            let clip = self.canvas.shortened(ink, &name(&plan.inputs[seam.between[0]]), room);
            let x = self.canvas.text(MARGIN, self.y, Ink { colour: SIDES[0], ..ink }, &clip);
            self.canvas.text(x, self.y, Ink { colour: MADE, ..ink }, &words);
            return self.facts(number);
        }
        let names = seam.between.map(|clip| name(&plan.inputs[clip]));
        let [left, right] = [0, 1].map(|side| {
            let other = self.canvas.width(ink, &names[1 - side]).min(room / 2);
            self.canvas.shortened(ink, &names[side], room - other)
        });
        let x = self.canvas.text(MARGIN, self.y, Ink { colour: SIDES[0], ..ink }, &left);
        let x = self.canvas.text(x, self.y, Ink { colour: DIM, ..ink }, arrow);
        if seam.used.context[1] > 0 || plan.journey.is_none() {
            self.canvas.text(x, self.y, Ink { colour: SIDES[1], ..ink }, &right);
        }
        self.facts(number);
    }

    fn facts(&mut self, number: usize) {
        let Self { plan, seam, .. } = *self;
        self.y += 48;
        let size = match plan.made_size == plan.size {
            true => plan.size.to_string(),
            false => format!("{}, made at {}", plan.size, plan.made_size),
        };
        let (shown, made) = (frames(seam.slots.len()), seam.used.gap);
        let (call, kind) = match (&plan.journey, &seam.range) {
            (Some(_), _) => ("segment", "travel".into()),
            (None, Some(_)) => ("seam", "range".into()),
            (None, None) => ("seam", seam.mode.to_string()),
        };
        let what = [
            format!("{call} {} of {}", number + 1, plan.seams.len()),
            kind,
            size,
            format!("{} fps", film::plain(plan.fps)),
            format!("{shown} shown to the model, {made} made"),
        ];
        self.canvas.text(MARGIN, self.y, Ink { face: Face::Text, size: 20.0, colour: PLAIN }, &what.join("  ·  "));
        self.y += 29;

        let shape = |Shape { context: [left, right], gap }: Shape| match left == right {
            true => format!("context {left}, gap {gap}"),
            false => format!("context {left} and {right}, gap {gap}"),
        };
        let sides = |word, [left, right]: [usize; 2]| (left + right > 0).then(|| format!("{word} {left} and {right}"));
        let how = [
            Some(format!("asked: {}", shape(seam.requested))),
            Some(format!("used: {}", shape(seam.used))),
            sides("removed", seam.removed).filter(|_| seam.range.is_none()),
            sides("blend", seam.blend),
            Some(format!("{} alignment, {} mask rule", plan.align, plan.mask_rule)),
        ];
        let how: Vec<String> = how.into_iter().flatten().collect();
        self.canvas.text(MARGIN, self.y, Ink { face: Face::Text, size: 18.0, colour: DIM }, &how.join("  ·  "));
        self.y += 24;
    }

    fn sides(&self) -> [&'static str; 2] {
        match self.seam.between {
            _ if self.plan.journey.is_some() => ["where it comes from", "where it goes to"],
            _ if self.seam.range.is_some() => ["before the range", "after the range"],
            [left, right] if left == right => ["the clip's end", "the clip's start"],
            _ => ["the left clip", "the right clip"],
        }
    }

    /// Opens a part of the sheet; what it says of itself can follow on the same line.
    fn title(&mut self, words: &str, colour: Colour) -> u32 {
        self.y += 30;
        let x = self.canvas.text(LEFT, self.y, Ink { face: Face::Text, size: 22.0, colour }, words);
        self.y += 32;
        x + 16
    }

    /// A picture, or grey, below a band of its colour.
    fn frame(&mut self, x: u32, y: u32, at: Option<FrameRef>, band: Colour) {
        self.canvas.fill(Area { x, y, width: CELL, height: BAND - 1 }, band);
        let Size { width, height } = self.picture;
        let area = Area { x: x + (CELL - width) / 2, y: y + BAND + (self.cell - height) / 2, width, height };
        match at {
            Some(at) => self.canvas.picture(area, &self.pictures[&at]),
            None => self.canvas.fill(area, GREY),
        }
    }
}

/// The n-th input as a letter, a segment by its number.
fn letter(origin: Origin) -> String {
    match origin {
        Origin::Input(input @ 0..26) => char::from(b'a' + input as u8).to_string(),
        Origin::Input(input) => (input + 1).to_string(),
        Origin::Gap(seam) => format!("s{}", seam + 1),
    }
}

fn name(source: &Source) -> String {
    let name = source.path.file_name().unwrap_or(source.path.as_os_str()).to_string_lossy();
    name.chars().map(|c| if c.is_control() { UNKNOWN } else { c }).collect()
}

fn frames(count: usize) -> String {
    format!("{count} frame{}", if count == 1 { "" } else { "s" })
}

fn numbers(frames: &Range<usize>) -> String {
    match frames.len() {
        1 => frames.start.to_string(),
        _ => format!("{}–{}", frames.start, frames.end - 1),
    }
}
