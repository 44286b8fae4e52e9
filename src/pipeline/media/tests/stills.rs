//! Images of every kind: what is read of them, which pixels come out, and which are refused.

use std::fs;

use image::{
    DynamicImage, ExtendedColorType, ImageBuffer, ImageEncoder, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    metadata::Orientation,
};
use moxcms::ColorProfile;

use super::*;
use crate::pipeline::{
    media::{MediaFile, Still, TrackChoice, UNDER},
    types::{error::Reportable, video::Frame},
};

impl Shelf {
    fn media() -> Media {
        Media::new(CancelToken::default())
    }

    fn save(&self, name: &str, image: impl Into<DynamicImage>) -> PathBuf {
        let path = self.path(name);
        image.into().save(&path).unwrap();
        path
    }

    fn still(&self, name: &str) -> Still {
        Self::media()
            .probe_stills(&[self.path(name)], false)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .remove(0)
    }

    /// As it is, upright and opaque.
    fn pixels(&self, name: &str) -> Frame {
        let still = self.still(name);
        Self::media().picture(&still, still.size, Fit::Crop, [0; 3]).unwrap()
    }

    fn refusal(&self, name: &str) -> MediaError {
        Self::media().probe_stills(&[self.path(name)], false).expect_err(name)
    }
}

/// Every pixel another colour.
fn noise(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 37) as u8, (y * 53) as u8, (x * y * 11) as u8]))
}

#[test]
fn lossless_images_come_out_as_they_are() {
    let (shelf, picture) = (Shelf::new(), noise(31, 17));
    for (name, format) in [("a.png", "png"), ("a.webp", "webp"), ("a.bmp", "bmp"), ("a.tiff", "tiff")] {
        shelf.save(name, picture.clone());
        let still = shelf.still(name);
        assert_eq!((still.size, still.bits, still.transparent), (Size::new(31, 17), 8, false), "{name}");
        assert_eq!((still.format.as_str(), still.orientation), (format, None));
        assert_eq!(shelf.pixels(name).rgb, *picture.as_raw(), "{name}");
    }
}

#[test]
fn grey_and_palettes_become_colours() {
    let shelf = Shelf::new();
    shelf.save("grey.png", ImageBuffer::from_fn(8, 8, |x, y| Luma([(x * 8 + y) as u8])));
    assert_eq!(shelf.pixels("grey.png").rgb[..6], [0, 0, 0, 8, 8, 8]);
    shelf.ffmpeg("-f lavfi -i testsrc2=size=16x8 -frames:v 1 -pix_fmt pal8 palette.png");
    assert_eq!(shelf.pixels("palette.png").rgb, shelf.ffmpeg("-i palette.png -f rawvideo -pix_fmt rgb24 -"));
    shelf.ffmpeg("-f lavfi -i color=white:size=16x8 -frames:v 1 -pix_fmt monob one_bit.png");
    assert_eq!(shelf.pixels("one_bit.png").rgb, shelf.ffmpeg("-i one_bit.png -f rawvideo -pix_fmt rgb24 -"));
}

#[test]
fn sixteen_bits_are_rounded_to_eight_every_one_of_them() {
    let shelf = Shelf::new();
    shelf.save("deep.png", ImageBuffer::from_fn(256, 256, |x, y| Luma([(y * 256 + x) as u16])));
    assert_eq!(shelf.still("deep.png").bits, 16);
    let found = shelf.pixels("deep.png").rgb;
    for (value, found) in found.as_chunks::<3>().0.iter().enumerate() {
        assert_eq!(*found, [(value as f64 * 255.0 / 65535.0).round() as u8; 3], "{value}");
    }
}

#[test]
fn transparency_lies_over_white_and_is_said_only_where_there_is_some() {
    let shelf = Shelf::new();
    shelf.save("opaque.png", ImageBuffer::from_pixel(4, 4, Rgba([9u8, 8, 7, 255])));
    assert!(!shelf.still("opaque.png").transparent);
    assert_eq!(shelf.pixels("opaque.png"), Frame::filled(Size::new(4, 4), [9, 8, 7]));

    shelf.save("alpha.png", ImageBuffer::from_fn(256, 256, |x, y| LumaA([x as u8, y as u8])));
    assert!(shelf.still("alpha.png").transparent);
    for (at, found) in shelf.pixels("alpha.png").rgb.as_chunks::<3>().0.iter().enumerate() {
        let (value, alpha) = ((at % 256) as f64, (at / 256) as f64 / 255.0);
        let wanted = (value * alpha + f64::from(UNDER[0]) * (1.0 - alpha)).round() as u8;
        assert_eq!(*found, [wanted; 3], "{value} at {alpha}");
    }
    // Below half an eighth bit, which 8 bits of alpha would not hold.
    shelf.save("deep.png", ImageBuffer::from_pixel(2, 2, Rgba([0u16, 0, 0, 100])));
    assert_eq!(shelf.pixels("deep.png"), Frame::filled(Size::new(2, 2), [255; 3]));
}

/// What a camera writes of how it was held (Exif 2.3, tag 0x0112).
fn exif(orientation: Orientation) -> Vec<u8> {
    [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[orientation.to_exif()][..], &[0; 6]].concat()
}

fn save_turned(image: &RgbImage, orientation: Orientation, path: &Path) {
    let (mut file, exif) = (vec![], exif(orientation));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("png") => write(PngEncoder::new(&mut file), exif, image),
        Some("webp") => write(WebPEncoder::new_lossless(&mut file), exif, image),
        _ => write(JpegEncoder::new_with_quality(&mut file, 100), exif, image),
    }
    fs::write(path, file).unwrap();
}

fn write(mut encoder: impl ImageEncoder, exif: Vec<u8>, image: &RgbImage) {
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
}

#[test]
fn every_turn_of_a_camera_is_undone() {
    let shelf = Shelf::new();
    // Flat quarters, which JPEG keeps but for their edges.
    let quarters = RgbImage::from_fn(64, 32, |x, y| match (x < 32, y < 16) {
        (true, true) => Rgb([200, 0, 0]),
        (false, true) => Rgb([0, 200, 0]),
        (true, false) => Rgb([0, 0, 200]),
        (false, false) => Rgb([90, 90, 90]),
    });
    for (exif, name) in (1..=8).flat_map(|exif| ["a.png", "a.webp", "a.jpg"].map(|name| (exif, name))) {
        let orientation = Orientation::from_exif(exif).unwrap();
        save_turned(&quarters, orientation, &shelf.path(name));
        let mut upright = DynamicImage::from(quarters.clone());
        upright.apply_orientation(orientation);
        let (still, found) = (shelf.still(name), shelf.pixels(name));
        assert_eq!((still.size.width, still.size.height), (upright.width(), upright.height()), "{name} {exif}");
        assert_eq!(still.orientation.is_some(), exif != 1);
        let (most_off, most) = if name == "a.jpg" { (24, found.rgb.len() / 20) } else { (0, 0) };
        let off = found.rgb.iter().zip(upright.as_bytes()).filter(|(a, b)| a.abs_diff(**b) > most_off).count();
        assert!(off <= most, "{name} {exif}: {off}");
    }
}

#[test]
fn ffmpeg_reads_what_is_not_read_here() {
    let shelf = Shelf::new();
    shelf.save("a.png", noise(31, 17));
    shelf.ffmpeg("-i a.png a.ppm");
    assert_eq!((shelf.pixels("a.ppm").rgb, shelf.still("a.ppm").format), (noise(31, 17).into_raw(), "ppm".into()));
    // A kind of TIFF that only ffmpeg knows.
    shelf.ffmpeg("-f lavfi -i color=0x4080c0:size=64x48 -frames:v 1 -pix_fmt yuv420p a.tiff");
    assert_eq!(shelf.pixels("a.tiff").rgb, shelf.ffmpeg("-i a.tiff -vf scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp -f rawvideo -pix_fmt rgb24 -"));
    shelf.ffmpeg("-f lavfi -i color=0x4080c0:size=64x48 -frames:v 1 -c:v libaom-av1 -still-picture 1 a.avif");
    let found = shelf.pixels("a.avif").rgb;
    assert!(found.as_chunks::<3>().0.iter().all(|p| p.iter().zip([0x40, 0x80, 0xc0]).all(|(a, b)| a.abs_diff(b) < 6)));
    assert!(matches!(&Shelf::media().probe_files(&[shelf.path("a.avif")])[0], Ok(MediaFile::Still(_))));
}

#[test]
fn an_image_that_was_cut_short_anywhere_is_refused() {
    let shelf = Shelf::new();
    for name in ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.tiff"] {
        shelf.save(name, noise(23, 16));
        let whole = fs::read(shelf.path(name)).unwrap();
        // The last bytes of some formats say nothing.
        let means_something = |length: usize| length + 12 < whole.len();
        for length in (1..whole.len()).filter(|length| means_something(*length)).step_by(7) {
            fs::write(shelf.path("cut.bin"), &whole[..length]).unwrap();
            let error = shelf.refusal("cut.bin");
            assert_eq!(error.code().exit(), 3, "{name} cut to {length}: {error}");
        }
    }
}

#[test]
fn what_is_no_image_is_refused_by_name() {
    let shelf = Shelf::new();
    fs::write(shelf.path("empty.png"), []).unwrap();
    fs::write(shelf.path("text.png"), "no picture at all").unwrap();
    fs::create_dir(shelf.path("folder.png")).unwrap();
    let heic = [b"\0\0\0\x18ftypheic".as_slice(), &[0; 64]].concat();
    fs::write(shelf.path("photo.heic"), heic).unwrap();
    shelf.ffmpeg("-f lavfi -i color=red:size=64x48 -frames:v 1 -c:v libaom-av1 -still-picture 1 tiles.avif");
    let mut avif = fs::read(shelf.path("tiles.avif")).unwrap();
    let kind = avif.windows(4).position(|word| word == b"av01").unwrap();
    avif[kind..kind + 4].copy_from_slice(b"grid");
    fs::write(shelf.path("tiles.avif"), avif).unwrap();
    shelf.ffmpeg("-f lavfi -i testsrc2=size=64x36:rate=8 -frames:v 5 -c:v libx264 -pix_fmt yuv420p clip.mp4");
    shelf.ffmpeg("-f lavfi -i testsrc2=size=64x36:rate=8 -frames:v 3 moves.gif");
    shelf.ffmpeg("-f lavfi -i testsrc2=size=64x36:rate=8 -frames:v 3 -f apng moves.png");
    shelf.ffmpeg("-f lavfi -i testsrc2=size=64x36:rate=8 -frames:v 3 -c:v libwebp_anim moves.webp");
    shelf.save("thin.png", noise(1, 9));
    for (name, problem, wanted) in [
        ("gone.png", "gone.png does not exist", "a video or an image"),
        ("empty.png", "empty.png is empty", "a video or an image"),
        ("text.png", "text.png is no video and no image that ffmpeg can read", "a video or an image"),
        ("folder.png", "folder.png is a folder", "a video or an image"),
        ("photo.heic", "photo.heic is a HEIC image in tiles", "stored whole: PNG"),
        ("tiles.avif", "tiles.avif is an AVIF image in tiles", "stored whole: PNG"),
        ("clip.mp4", "clip.mp4 is a video", "an image"),
        ("moves.gif", "moves.gif is animated", "an image with one picture"),
        ("moves.png", "moves.png is animated", "an image with one picture"),
        ("moves.webp", "moves.webp is animated", "an image with one picture"),
        ("thin.png", "thin.png is 1x9 pixels", "2 to 16384 pixels"),
    ] {
        let error = shelf.refusal(name);
        assert_eq!(error.to_string(), problem);
        assert!(error.details().wanted.unwrap().contains(wanted), "{name}");
        assert_eq!((error.code().exit(), error.details().file), (3, Some(shelf.path(name))));
    }
    // Where a clip is wanted, what moves is one, and what does not is told how to become one.
    for name in ["moves.gif", "moves.png", "moves.webp"] {
        assert_eq!(
            Shelf::media().probe_clips(&[shelf.path(name)], TrackChoice::default(), false).unwrap()[0].frames,
            3,
            "{name}"
        );
    }
    for format in ["png", "gif", "webp"] {
        let name = format!("one.{format}");
        shelf.save(&name, noise(63, 35));
        let error = Shelf::media().probe_clips(&[shelf.path(&name)], TrackChoice::default(), false).unwrap_err();
        assert_eq!(error.to_string(), format!("{name} is a still image"));
        let help = error.details().help.unwrap();
        let (told, line) = help.split_once(": ").unwrap();
        assert!(told.contains("wanctl travel") && line.starts_with("ffmpeg -i "), "{help}");
        let line = format!("{line} -v error -nostdin -y");
        assert!(
            Command::new("sh").args(["-c", &line]).current_dir(shelf.0.path()).status().unwrap().success(),
            "{line}"
        );
        let made = shelf.probe("still.mp4");
        assert_eq!((made.frames, made.fps.to_string().as_str(), made.picture.size), (50, "25/1", Size::new(64, 36)));
    }
    // One picture that could move is an image.
    shelf.ffmpeg("-f lavfi -i color=red:size=64x36 -frames:v 1 one.gif");
    assert_eq!(shelf.still("one.gif").size, Size::new(64, 36));
}

#[test]
fn a_picture_that_would_fill_the_memory_is_refused_by_its_header() {
    let shelf = Shelf::new();
    shelf.save("a.png", noise(4, 4));
    let whole = fs::read(shelf.path("a.png")).unwrap();
    for (width, height) in [(20_000u32, 4u32), (16_384, 16_384), (u32::MAX >> 1, 2)] {
        let mut bomb = whole.clone();
        // IHDR begins at byte 12: its name, width and height, then five bytes and its checksum (PNG, 5.3).
        bomb[16..24].copy_from_slice(&[width.to_be_bytes(), height.to_be_bytes()].concat());
        let sum = crc(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&sum.to_be_bytes());
        fs::write(shelf.path("bomb.png"), bomb).unwrap();
        let error = shelf.refusal("bomb.png");
        assert_eq!(error.to_string(), "bomb.png is too large", "{:?}", error.details());
    }
    // Or by its own length, before any of it is read.
    fs::File::options().write(true).open(shelf.path("a.png")).unwrap().set_len(600 << 20).unwrap();
    let error = shelf.refusal("a.png");
    assert_eq!(
        (error.to_string().as_str(), error.details().found.unwrap().as_str()),
        ("a.png is too large", "629145600 bytes")
    );
}

#[test]
fn a_stream_of_pictures_is_a_clip() {
    let shelf = Shelf::new();
    shelf.ffmpeg("-f lavfi -i testsrc2=size=64x36:rate=25 -frames:v 4 -pix_fmt yuvj420p -f mjpeg a.mjpeg");
    assert_eq!(shelf.refusal("a.mjpeg").to_string(), "a.mjpeg is a video");
    assert_eq!(
        Shelf::media().probe_clips(&[shelf.path("a.mjpeg")], TrackChoice::default(), false).unwrap()[0].frames,
        4
    );
}

/// As PNG has it (annex D), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

#[test]
fn colours_of_another_profile_are_brought_to_srgb() {
    let shelf = Shelf::new();
    let image = noise(40, 30);
    let save = |name: &str, profile: &ColorProfile| {
        let mut encoder = PngEncoder::new(fs::File::create(shelf.path(name)).unwrap());
        encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
        encoder.write_image(&image, 40, 30, ExtendedColorType::Rgb8).unwrap();
    };
    save("srgb.png", &ColorProfile::new_srgb());
    assert_eq!((shelf.still("srgb.png").colours, shelf.pixels("srgb.png").rgb), (None, image.to_vec()));
    save("p3.png", &ColorProfile::new_display_p3());
    assert!(shelf.still("p3.png").colours.unwrap().contains("P3"));
    // From the primaries and the white point of SMPTE EG 432-1 and of IEC 61966-2-1, which have one curve.
    let matrix = [[1.224_940, -0.224_940, 0.0], [-0.042_057, 1.042_057, 0.0], [-0.019_638, -0.078_636, 1.098_274]];
    let light = |value: u8| match f64::from(value) / 255.0 {
        dark if dark <= 0.04045 => dark / 12.92,
        value => ((value + 0.055) / 1.055).powf(2.4),
    };
    let byte = |light: f64| match light.clamp(0.0, 1.0) {
        dark if dark <= 0.003_130_8 => dark * 12.92 * 255.0,
        light => (1.055 * light.powf(1.0 / 2.4) - 0.055) * 255.0,
    };
    for (found, own) in shelf.pixels("p3.png").rgb.as_chunks::<3>().0.iter().zip(image.pixels()) {
        let own = own.0.map(light);
        for (row, found) in matrix.iter().zip(found) {
            let wanted = byte(row.iter().zip(own).map(|(share, light)| share * light).sum());
            assert!((f64::from(*found) - wanted).abs() < 2.5, "{found} for {wanted}");
        }
    }
}

#[test]
fn an_image_that_changed_after_it_was_looked_at_is_named() {
    let shelf = Shelf::new();
    shelf.save("a.png", noise(8, 8));
    let still = shelf.still("a.png");
    shelf.save("a.png", noise(9, 8));
    let error = Shelf::media().picture(&still, still.size, Fit::Crop, [0; 3]).unwrap_err();
    assert_eq!(error.to_string(), "a.png has changed since it was looked at");
    assert_eq!(error.details().found.unwrap(), "9x8");
}

#[test]
fn a_name_tells_nothing_of_what_is_inside() {
    let shelf = Shelf::new();
    noise(8, 8).save_with_format(shelf.path("really_a_jpeg.png"), ImageFormat::Jpeg).unwrap();
    assert_eq!(shelf.still("really_a_jpeg.png").format, "jpeg");
}
