//! Films of small journeys, frame by frame against what their plan says. Nothing but ffmpeg is needed: frames between are
//! mixed here.

#![allow(clippy::disallowed_types, reason = "ffmpeg makes what the tests render")]

use std::{fs, process::Command};

use image::{DynamicImage, ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage, codecs::jpeg::JpegEncoder};
use tempfile::TempDir;

use super::*;
use crate::pipeline::{
    frames::film::{Inputs, JourneyFiles, MadeSize, Shape},
    media::{Fit, Media, Sampling, TrackChoice, Wanted},
    options::{Content, EngineChoice, Facts, FilmOptions, resolve},
    plan::{
        Align, Curve, FrameRef, Lengths, Look, MaskRule, Places, Round, SegmentAsk, Slot, StitchAsk, StructureAsk,
        Tone, TravelParams, Treatment, stitch, travel,
    },
    system::output::Replace,
    types::{
        cancel::CancelToken,
        progress::Silent,
        video::{Fps, Size},
    },
};

const SIZE: Size = Size::new(8, 6);
const PLAIN: TravelParams = TravelParams {
    segments: vec![],
    round: Round::Down,
    lengths: Lengths::Rounded,
    align: Align::Latent,
    mask_rule: MaskRule::Exact,
    fill_latents: false,
    open_ends: true,
    looped: false,
    curve: Curve::Even,
    look: Look::PLAIN,
    later: Tone::PLAIN,
    structure: vec![],
    treatment: Treatment::Raw,
};

struct Studio {
    folder: TempDir,
    media: Media,
}

impl Studio {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), media: Media::new(CancelToken::default()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn image(&self, name: &str, image: &RgbImage) -> PathBuf {
        let path = self.path(name);
        image.save(&path).unwrap();
        path
    }

    fn ffmpeg(&self, line: &str) {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y"]).args(line.split_whitespace()).current_dir(self.folder.path());
        assert!(command.status().unwrap().success(), "ffmpeg {line}");
    }

    /// Frames of one colour each, with a tone.
    fn clip(&self, name: &str, colours: &[[u8; 3]]) -> Clip {
        let raw: Vec<u8> = colours.iter().flat_map(|colour| Frame::filled(SIZE, *colour).rgb).collect();
        fs::write(self.path("raw"), raw).unwrap();
        let video = format!("-f rawvideo -pixel_format rgb24 -video_size {SIZE} -framerate 16 -i raw");
        self.ffmpeg(&format!("{video} -f lavfi -i sine -shortest -c:v ffv1 -pix_fmt bgr0 -c:a flac {name}"));
        self.media.probe_clips(&[self.path(name)], TrackChoice::default(), false).unwrap().remove(0)
    }

    /// Images of one colour each.
    fn flat(&self, colours: &[[u8; 3]]) -> JourneyFiles {
        let image = |(number, colour): (usize, &[u8; 3])| {
            self.image(&format!("{number}.png"), &RgbImage::from_pixel(SIZE.width, SIZE.height, Rgb(*colour)))
        };
        let paths: Vec<PathBuf> = colours.iter().enumerate().map(image).collect();
        JourneyFiles { images: self.media.probe_stills(&paths, false).unwrap(), ..JourneyFiles::default() }
    }

    fn inputs(&self, files: JourneyFiles, size: Option<Size>) -> (Inputs, Places) {
        Inputs::journey(files, &Shape { fps: None, size, made: MadeSize::OfFilm, lossless: true })
    }

    /// The film's frames, decoded again.
    fn film(&self, inputs: &Inputs, plan: &FramePlan, fit: Fit) -> (Clip, Vec<Frame>) {
        let settings = FilmSettings::new(FilmOptions { lossless: Some(true), ..FilmOptions::default() }).unwrap();
        let path = self.path("film.mkv");
        let destination = Destination::claim(&path, Replace::Existing, &[]).unwrap();
        let frame_source = FrameSource { media: &self.media, inputs, fit };
        let between = GeneratedFrames::dissolve();
        let run_folder = self.folder.path();
        let mut render = Render { frame_source, plan, settings: &settings, note: "", run_folder, between };
        render.film(&destination, &Silent).unwrap();
        let path = destination.finish().unwrap();
        let clip = self.media.probe_clips(&[path], TrackChoice::default(), false).unwrap().remove(0);
        let (size, sampling) = (clip.picture.size, Sampling::Own(clip.frames));
        let wanted =
            Wanted { clip: &clip, sampling: &sampling, frames: 0..clip.frames, size, fit, layout: Layout::Rgb };
        let frames = self.media.all_frames(wanted).unwrap();
        (clip.clone(), frames.into_iter().map(|rgb| Frame { size, rgb }).collect())
    }
}

/// What a film of one colour a frame should be: the plan's own words, told without any of the code that makes films.
struct Told<'a> {
    plan: &'a FramePlan,
    /// Of every input, by its frames.
    colours: Vec<Vec<[u8; 3]>>,
}

type Colour = [f64; 3];

fn mixed(from: Colour, to: Colour, share: f64) -> Colour {
    std::array::from_fn(|n| from[n] + (to[n] - from[n]) * share)
}

fn luma([red, green, blue]: Colour) -> Colour {
    [0.299 * red + 0.587 * green + 0.114 * blue; 3]
}

fn clipped(colour: Colour) -> Colour {
    colour.map(|value| value.clamp(0.0, 255.0))
}

impl Told<'_> {
    fn input(&self, at: FrameRef) -> Colour {
        match at.origin {
            Origin::Input(input) => self.colours[input][at.index].map(f64::from),
            Origin::Gap(seam) => self.made(seam, at.index),
        }
    }

    /// As the film has it.
    fn made(&self, seam: usize, index: usize) -> Colour {
        let Tone { saturation, brightness } = self.plan.journey.as_ref().map_or(Tone::PLAIN, |journey| journey.later);
        let made = self.mixture(seam, index);
        let goes_on = seam > 0 || matches!(self.plan.seams[0].slots[0], Slot::Carry(_));
        match goes_on {
            true => clipped(mixed(luma(made), made, saturation).map(|value| value * (1.0 + brightness))),
            false => made,
        }
    }

    fn mixture(&self, seam: usize, index: usize) -> Colour {
        let slots = &self.plan.seams[seam].slots;
        let known = |at: &usize| slots[*at].is_known();
        let start = (0..=index).rev().find(known);
        let end = (index..slots.len()).find(known);
        match (start, end) {
            (Some(start), Some(end)) if start < end => {
                let share = (index - start) as f64 / (end - start) as f64;
                mixed(self.slot(slots[start]), self.slot(slots[end]), share)
            }
            (Some(only), _) | (None, Some(only)) => self.slot(slots[only]),
            (None, None) => panic!("nothing is known at seam {seam}"),
        }
    }

    fn slot(&self, slot: Slot) -> Colour {
        let colour = self.input(slot.frame().unwrap());
        let Look { strength, desaturate, brightness } = self.plan.journey.as_ref().unwrap().look;
        match slot {
            Slot::Carry(_) => {
                let faint = mixed([128.0; 3], colour, strength);
                clipped(mixed(faint, luma(faint), desaturate).map(|value| value * (1.0 + brightness)))
            }
            _ => colour,
        }
    }

    fn film(&self) -> Vec<Colour> {
        let at = |origin, index| self.input(FrameRef { origin, index });
        let frames = self.plan.timeline.iter().flat_map(|piece| match piece {
            TimelineItem::Copy { input, frames } => {
                frames.clone().map(|index| at(Origin::Input(*input), index)).collect()
            }
            TimelineItem::Made { seam, frames } => {
                frames.clone().map(|index| self.made(*seam, index)).collect::<Vec<_>>()
            }
            TimelineItem::Blend { .. } => panic!("no journey has one"),
            TimelineItem::Cross { from, to, curve } => {
                let count = from.frames.len();
                let both = from.frames.clone().zip(to.frames.clone()).enumerate();
                let frame = |(step, (one, other))| {
                    let done = (step + 1) as f64;
                    let share = match curve {
                        Curve::Even => {
                            let t = done / (count + 1) as f64;
                            3.0 * t * t - 2.0 * t * t * t
                        }
                        Curve::Sharpened(_) => (1.0 - (std::f64::consts::PI * done / count as f64).cos()) / 2.0,
                    };
                    mixed(at(from.origin, one), at(to.origin, other), share)
                };
                both.map(frame).collect()
            }
        });
        frames.collect()
    }

    #[track_caller]
    fn equals(&self, film: &[Frame], what: &str) {
        let told = self.film();
        assert_eq!(film.len(), told.len(), "{what}");
        for (number, (found, wanted)) in film.iter().zip(told).enumerate() {
            assert_eq!(found.size, self.plan.size);
            // Each of mixing, looks, tones and crossing rounds once, and a chain carries that on.
            for pixel in found.rgb.as_chunks::<3>().0 {
                let off = (0..3).map(|n| (f64::from(pixel[n]) - wanted[n]).abs()).fold(0.0, f64::max);
                assert!(off <= 2.5, "{what}: frame {number} is {pixel:?}, wanted {wanted:?}");
            }
        }
    }
}

const COLOURS: [[u8; 3]; 4] = [[250, 20, 30], [10, 200, 60], [40, 50, 240], [200, 180, 20]];

fn segments(count: usize, frames: usize, overlap: usize) -> Vec<SegmentAsk> {
    vec![SegmentAsk { frames, overlap }; count]
}

#[test]
fn every_frame_of_every_small_journey_is_as_planned() {
    let studio = Studio::new();
    let before: Vec<[u8; 3]> = (0..20).map(|n| [n * 12, 255 - n * 9, 40]).collect();
    let clip = studio.clip("before.mkv", &before);
    let worker = TravelParams { lengths: Lengths::Unrounded, curve: Curve::Sharpened(0.3), ..PLAIN };
    let look = Look { strength: 0.7, desaturate: 0.4, brightness: 0.25 };
    let later = Tone { saturation: 1.4, brightness: -0.2 };
    let asks = [(0, PLAIN), (4, PLAIN), (0, worker.clone()), (4, worker), (4, TravelParams { later, look, ..PLAIN })];
    let mut seen = 0;
    for (images, goes_on, looped) in
        [(1, 0, false), (2, 0, false), (3, 0, false), (3, 0, true), (1, 1, false), (2, 2, false)]
    {
        for (overlap, ask) in asks.clone() {
            let mut files = studio.flat(&COLOURS[..images]);
            files.continued = (goes_on > 0).then(|| clip.clone());
            files.in_film = goes_on == 2;
            let (inputs, places) = studio.inputs(files, None);
            let count = if looped || goes_on > 0 { images } else { images.max(2) - 1 };
            let ask = TravelParams { segments: segments(count, 13, overlap), looped, ..ask };
            let what = format!("{images} images, goes on {goes_on}, {ask:?}");
            let Ok(plan) = travel(places, inputs.film.for_plan(), &ask) else { continue };
            let (film, frames) = studio.film(&inputs, &plan, Fit::Crop);
            let stills = COLOURS[..images].iter().map(|colour| vec![*colour]);
            let colours = (goes_on > 0).then(|| before.clone()).into_iter().chain(stills).collect();
            Told { plan: &plan, colours }.equals(&frames, &what);
            assert_eq!(film.sound.is_some(), goes_on == 2, "{what}");
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen}");
}

#[test]
fn pieces_that_overlap_fade_into_each_other_and_both_are_heard() {
    let studio = Studio::new();
    let colours: Vec<Vec<[u8; 3]>> =
        (0..3u8).map(|clip| (0..12u8).map(|n| [n * 20, clip * 100, 255 - n * 15]).collect()).collect();
    let clips: Vec<Clip> =
        colours.iter().enumerate().map(|(n, colours)| studio.clip(&format!("{n}.mkv"), colours)).collect();
    for (overlaps, curve) in [([0, 4], Curve::Even), ([3, 5], Curve::Sharpened(0.3)), ([1, 0], Curve::Even)] {
        let resolved = resolve(&[], Facts::of(Content::Pieces, EngineChoice::Dissolve)).unwrap();
        let inputs = Inputs::new(clips.clone(), &resolved.common, true);
        let pieces = vec![(0, 0..12), (1, 1..12), (2, 0..9)];
        let ask = StitchAsk { pieces, overlaps: overlaps.to_vec(), curve };
        let plan = stitch(inputs.sources(), inputs.film.for_plan(), &ask).unwrap();
        let (film, frames) = studio.film(&inputs, &plan, Fit::Crop);
        Told { plan: &plan, colours: colours.clone() }.equals(&frames, &format!("{ask:?}"));
        assert!(film.sound.is_some());
    }
}

/// Every pixel another colour.
fn noise(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x * 37 + seed, y * 53 * seed, (x + y) * 11].map(|value| value as u8)))
}

#[test]
fn every_image_stands_at_its_frame_byte_for_byte_whatever_it_is() {
    let studio = Studio::new();
    let odd = studio.image("odd.png", &noise(31, 17, 1));
    let wide = studio.image("wide.webp", &noise(90, 20, 2));
    let large = studio.image("large.bmp", &noise(201, 150, 3));
    let deep = studio.path("deep.png");
    let clear = RgbaImage::from_fn(40, 40, |x, y| Rgba([x as u8, 90, y as u8, (x * 6) as u8]));
    DynamicImage::from(clear).into_rgba16().save(&deep).unwrap();
    // On its side (Exif 2.3, tag 0x0112).
    let held = studio.path("held.jpg");
    let mut file = fs::File::create(&held).unwrap();
    let mut encoder = JpegEncoder::new(&mut file);
    encoder.set_exif_metadata(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec()).unwrap();
    encoder.encode_image(&noise(60, 25, 5)).unwrap();
    let images = studio.media.probe_stills(&[odd, wide, large, deep, held], false).unwrap();
    assert_eq!(images[4].size, Size::new(25, 60));
    for (fit, size) in [(Fit::Crop, None), (Fit::Pad, None), (Fit::Stretch, None), (Fit::Crop, Some(Size::new(33, 45)))]
    {
        let files = JourneyFiles { images: images.clone(), ..JourneyFiles::default() };
        let (inputs, places) = studio.inputs(files, size);
        assert_eq!(inputs.film.size, size.unwrap_or(Size::new(31, 17)));
        let ask = TravelParams { segments: segments(4, 9, 4), ..PLAIN };
        let plan = travel(places, inputs.film.for_plan(), &ask).unwrap();
        let (_, frames) = studio.film(&inputs, &plan, fit);
        let keys = &plan.journey.as_ref().unwrap().keys;
        assert_eq!(keys.iter().map(|key| key.frame).collect::<Vec<_>>(), [0, 8, 16, 24, 32]);
        for (key, image) in keys.iter().zip(&images) {
            let wanted = studio.media.picture(image, inputs.film.size, fit, [0; 3]).unwrap();
            assert!(frames[key.frame] == wanted, "{} by {fit}", image.name());
        }
        // The first is of the film's size, so nothing at all is done to it.
        if size.is_none() {
            assert_eq!(frames[0].rgb, noise(31, 17, 1).into_raw());
        }
        let codes: Vec<_> = inputs.warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(codes, ["resized", "depth", "transparent"]);
    }
}

#[test]
fn what_guides_an_engine_is_shown_to_it_and_not_seen_in_the_film() {
    let studio = Studio::new();
    let colours: Vec<[u8; 3]> = (0..16).map(|n| [n * 16, 90, 200]).collect();
    let mut files = studio.flat(&COLOURS[..2]);
    files.structure = vec![studio.clip("structure.mkv", &colours)];
    files.references = files.images.clone();
    let (inputs, places) = studio.inputs(files, None);
    let structure = vec![StructureAsk { clip: 0, film: 0..13, frames: 0..13, spread: false }];
    for treatment in [Treatment::Raw, Treatment::Edges] {
        let ask = TravelParams { segments: segments(1, 13, 0), structure: structure.clone(), treatment, ..PLAIN };
        let plan = travel(places.clone(), inputs.film.for_plan(), &ask).unwrap();
        let (film, frames) = studio.film(&inputs, &plan, Fit::Crop);
        let shown = COLOURS[..2].iter().map(|colour| vec![*colour]).chain([colours.clone()]).collect();
        Told { plan: &plan, colours: shown }.equals(&frames, "structure");
        assert!(film.sound.is_none(), "a clip that only guides is not heard");

        let frame_source = FrameSource { media: &studio.media, inputs: &inputs, fit: Fit::Crop };
        let known = frame_source.shown(&plan, 0, None).unwrap();
        for slot in &plan.seams[0].slots[1..12] {
            let Slot::Structure(at) = slot else { panic!("{slot:?}") };
            // A flat picture has no edges.
            let wanted = if treatment == Treatment::Raw { colours[at.index] } else { [0; 3] };
            assert_eq!(*known.frame(*at), Frame::filled(SIZE, wanted));
        }
        assert_eq!(frame_source.references(&plan.seams[0]).unwrap()[1], Frame::filled(SIZE, COLOURS[1]));
    }
}

#[test]
fn the_guide_of_a_chained_segment_shows_what_is_mixed_in_place_of_what_will_be_carried() {
    let studio = Studio::new();
    let before: Vec<[u8; 3]> = (0..20).map(|n| [n * 12, 255 - n * 9, 40]).collect();
    let mut files = studio.flat(&COLOURS[..3]);
    files.continued = Some(studio.clip("before.mkv", &before));
    files.in_film = true;
    files.references = files.images.clone();
    // Also where the engine makes another size than the film's.
    let shape = Shape { fps: None, size: None, made: MadeSize::OnGrid, lossless: true };
    let (inputs, places) = Inputs::journey(files, &shape);
    let ask = TravelParams { segments: segments(3, 13, 8), ..PLAIN };
    let plan = travel(places, inputs.film.for_plan(), &ask).unwrap();
    let frame_source = FrameSource { media: &studio.media, inputs: &inputs, fit: Fit::Crop };
    let colours: Vec<_> = [before].into_iter().chain(COLOURS[..3].iter().map(|colour| vec![*colour])).collect();
    let told = Told { plan: &plan, colours };
    let mut stand_in = GeneratedFrames::dissolve();
    // In any order.
    for number in [2, 0, 1] {
        let known = stand_in.stand_in(&frame_source, &plan, number).unwrap();
        let carried = plan.seams[number].slots.iter().filter(|slot| matches!(slot, Slot::Carry(_)));
        for slot in carried.clone() {
            let (frame, wanted) = (known.frame(slot.frame().unwrap()), told.slot(*slot));
            assert_eq!(frame.size, inputs.film.made_size);
            assert!((0..3).all(|n| (f64::from(frame.rgb[n]) - wanted[n]).abs() <= 1.5), "seam {number}: {slot:?}");
        }
        assert!(carried.count() >= 8);
        let folder = studio.path(&format!("guide_{number}"));
        fs::create_dir(&folder).unwrap();
        crate::pipeline::report::guide::write(&frame_source, &plan, number, &known, &folder, &Silent).unwrap();
        let guide = studio
            .media
            .probe_clips(&[folder.join("guide.mp4"), folder.join("mask.mp4")], TrackChoice::default(), false)
            .unwrap();
        assert!(guide.iter().all(|clip| clip.frames == plan.seams[number].slots.len()));
        assert!(folder.join("sheet.png").exists());
    }
}

#[test]
fn without_words_a_journey_has_the_shape_of_its_clip_or_of_its_first_image() {
    let studio = Studio::new();
    let images = studio.media.probe_stills(&[studio.image("a.png", &noise(31, 17, 1))], false).unwrap();
    let shape = |files: JourneyFiles, lossless, made| {
        let (inputs, _) = Inputs::journey(files, &Shape { fps: None, size: None, made, lossless });
        (inputs.film.size, inputs.film.made_size, inputs.film.fps)
    };
    let files = || JourneyFiles { images: images.clone(), ..JourneyFiles::default() };
    let sixteen = Fps::new(16, 1).unwrap();
    let (odd, even) = (Size::new(31, 17), Size::new(30, 16));
    assert_eq!(shape(files(), true, MadeSize::OfFilm), (odd, odd, sixteen));
    assert_eq!(shape(files(), false, MadeSize::OfFilm), (even, even, sixteen));
    assert_eq!(shape(files(), false, MadeSize::OnGrid), (even, Size::new(32, 16), sixteen));
    studio.ffmpeg("-f lavfi -i testsrc2=size=64x36:rate=25 -frames:v 9 -c:v libx264 -pix_fmt yuv420p clip.mp4");
    let continued = studio.media.probe_clips(&[studio.path("clip.mp4")], TrackChoice::default(), false).unwrap().pop();
    let size = Size::new(64, 36);
    assert_eq!(
        shape(JourneyFiles { continued, ..files() }, false, MadeSize::OfFilm),
        (size, size, Fps::new(25, 1).unwrap())
    );
}
