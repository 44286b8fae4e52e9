//! One picture of a seam that a person can read: clips, guide and mask, frame by frame.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use image::{ImageBuffer, Rgb, RgbImage, imageops};
use rayon::prelude::*;

use super::{
    film,
    footage::Known,
    pixels,
    plan::{FramePlan, FrameRef, Mask, Origin, Seam, Shape, Slot, Source},
    video::{Frame, Size},
};
use canvas::{Area, Canvas, Colour, Face, Ink, UNKNOWN, mixed};

mod canvas;
#[cfg(test)]
mod tests;

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

pub fn draw(plan: &FramePlan, number: usize, known: &Known) -> RgbImage {
    drawn(plan, number, &|at| known.frame(at))
}

fn drawn<'a>(plan: &FramePlan, number: usize, frame: &(impl Fn(FrameRef) -> &'a Frame + Sync)) -> RgbImage {
    let seam = &plan.seams[number];
    let picture = thumbnail_size(plan.made_size);
    let shown: HashSet<FrameRef> = seam.slots.iter().filter_map(|slot| slot.frame()).collect();
    let pictures = shown.into_par_iter().map(|at| (at, scaled(frame(at), picture))).collect();
    let cell = picture.height.max(LOWEST);
    let mut sheet = Sheet { plan, seam, pictures, picture, cell, canvas: Canvas::new(WIDTH, BACKGROUND), y: MARGIN };
    sheet.heading(number);
    sheet.clip(0);
    sheet.clip(1);
    sheet.guide();
    sheet.legend();
    sheet.canvas.finished(sheet.y + MARGIN)
}

/// The picture's own shape, within a cell.
fn thumbnail_size(Size { width, height }: Size) -> Size {
    let scale = (f64::from(CELL) / f64::from(width)).min(f64::from(TALLEST) / f64::from(height));
    let [width, height] = [width, height].map(|side| ((f64::from(side) * scale).round() as u32).max(1));
    Size { width, height }
}

fn scaled(frame: &Frame, Size { width, height }: Size) -> RgbImage {
    let full = frame.size;
    let picture = ImageBuffer::<Rgb<u8>, _>::from_raw(full.width, full.height, frame.rgb.as_slice())
        .expect("a frame has the bytes of its size");
    match full.width.max(full.height) / width.max(height) {
        0 => imageops::resize(&picture, width, height, imageops::Nearest),
        1..4 => imageops::resize(&picture, width, height, imageops::Lanczos3),
        _ => RgbImage::from_fn(width, height, |x, y| {
            mean(frame, span(x, full.width, width), span(y, full.height, height))
        }),
    }
}

/// The pixels that one pixel of a picture `small` pixels wide stands for.
fn span(pixel: u32, full: u32, small: u32) -> Range<usize> {
    let edge = |pixel| (u64::from(pixel) * u64::from(full) / u64::from(small)) as usize;
    edge(pixel)..edge(pixel + 1)
}

/// The image crate's own `thumbnail` does the same and takes several times as long.
fn mean(frame: &Frame, columns: Range<usize>, rows: Range<usize>) -> Rgb<u8> {
    let mut sum = [0; 3];
    let count = (columns.len() * rows.len()) as u32;
    for row in frame.rgb.chunks_exact(frame.size.width as usize * 3).take(rows.end).skip(rows.start) {
        for pixel in row[columns.start * 3..columns.end * 3].as_chunks::<3>().0 {
            (0..3).for_each(|n| sum[n] += u32::from(pixel[n]));
        }
    }
    Rgb(sum.map(|sum| ((sum + count / 2) / count) as u8))
}

/// Where a frame of the guide stands: its row and column.
fn place(frame: usize) -> (usize, usize) {
    match frame.checked_sub(1) {
        None => (0, 0),
        Some(after_first) => (after_first / (COLUMNS - 1), after_first % (COLUMNS - 1) + 1),
    }
}

fn column_x(column: usize) -> u32 {
    LEFT + column as u32 * (CELL + BETWEEN_FRAMES) + column.div_ceil(4) as u32 * BETWEEN_LATENTS
}

struct Sheet<'a> {
    plan: &'a FramePlan,
    seam: &'a Seam,
    pictures: HashMap<FrameRef, RgbImage>,
    picture: Size,
    /// How high the cells are.
    cell: u32,
    canvas: Canvas,
    /// Everything above is drawn.
    y: u32,
}

/// What stands in a clip's strip.
enum Item {
    Shown(FrameRef),
    Removed(Range<usize>),
    Beyond(Range<usize>, &'static str),
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
        self.canvas.text(x, self.y, Ink { colour: SIDES[1], ..ink }, &right);
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
        let what = [
            format!("seam {} of {}", number + 1, plan.seams.len()),
            seam.range.as_ref().map_or(seam.mode.to_string(), |_| "range".into()),
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

    fn clip(&mut self, side: usize) {
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

        let letter = letter(Origin::Input(clip));
        let ink = Ink { face: Face::Text, size: 22.0, colour };
        let known_name = self.canvas.shortened(ink, &name(source), (RIGHT - LEFT) / 2);
        let x = self.title(&known_name, colour);
        let line = self.y - 32;
        let chip = Area { x: MARGIN, y: line - 2, width: 28, height: 28 };
        self.canvas.fill(chip, colour);
        let ink = Ink { face: Face::Number, size: 20.0, colour: BACKGROUND };
        self.canvas.centred(chip, line + 1, ink, &letter);
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
        self.canvas.text(x, line + 4, Ink { face: Face::Text, size: 17.0, colour: DIM }, &facts);

        let mut items = vec![before];
        items.extend(shown.into_iter().map(Item::Shown));
        items.push(after);
        self.strip(&items, colour);
    }

    fn strip(&mut self, items: &[Item], colour: Colour) {
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

    fn guide(&mut self) {
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

    fn legend(&mut self) {
        let Self { seam, .. } = *self;
        let [a, b] = seam.between.map(|clip| letter(Origin::Input(clip)));
        let mut items = vec![
            (SIDES[0], format!("{a}: {}", self.sides()[0])),
            (SIDES[1], format!("{b}: {}", self.sides()[1])),
            (MADE, "made by the model".into()),
            (GREY, "guide, grey: the model is shown nothing".into()),
            (BLACK, "mask, black: shown and kept".into()),
            (WHITE, "mask, white: to make".into()),
        ];
        let has = |word: &str| seam.slots.iter().any(|slot| note(slot) == word);
        items.push((BACKGROUND, "bracket: one latent, seen by the model as one".into()));
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

fn note(slot: &Slot) -> &'static str {
    match slot {
        Slot::Anchor(_) => "anchor",
        Slot::Repeat(_) => "repeat",
        Slot::Hint(_) => "hint",
        Slot::Carry(_) => "carried",
        Slot::Structure(_) => "structure",
        Slot::Keep(_) | Slot::Fill => "",
    }
}

/// The n-th clip that the user gave, as a letter.
fn letter(origin: Origin) -> String {
    match origin {
        Origin::Input(input @ 0..26) => char::from(b'a' + input as u8).to_string(),
        Origin::Input(input) => (input + 1).to_string(),
        Origin::Gap(seam) => format!("gap {}", seam + 1),
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
