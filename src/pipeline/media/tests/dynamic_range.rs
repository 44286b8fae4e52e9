//! What says HDR in a file, what is refused, and what tone-mapping makes of the rest.

use std::fs;

use super::*;
use crate::pipeline::{
    media::{DolbyVision, DynamicRange},
    types::{error::Reportable, video::Matrix},
};

/// Five frames of ten bits; `tags` are x265's.
fn deep(shelf: &Shelf, name: &str, tags: &str) {
    shelf.ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=64x36:rate=25 -frames:v 5 -c:v libx265 -preset ultrafast -crf 4 -pix_fmt yuv420p10le \
         -tag:v hvc1 -x265-params log-level=none:pools=1:{tags} {name}"
    ));
}

const BT2020: &str = "colorprim=bt2020:colormatrix=bt2020nc";
const MASTERING: &str = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";

/// Puts a box into the sample entry of the first track: at its end, before anything that a box tells the place of.
fn insert(file: &mut Vec<u8>, inner: &[u8]) {
    let size = |file: &[u8], at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (mut start, mut end, mut ancestors) = (0, file.len(), vec![]);
    for (kind, skip) in
        [(b"moov", 8), (b"trak", 8), (b"mdia", 8), (b"minf", 8), (b"stbl", 8), (b"stsd", 16), (b"hvc1", 8)]
    {
        let mut at = start;
        while file[at + 4..at + 8] != kind[..] {
            at += size(file, at);
            assert!(at < end);
        }
        ancestors.push(at);
        (start, end) = (at + skip, at + size(file, at));
    }
    file.splice(end..end, inner.iter().copied());
    for at in ancestors {
        let grown = (size(file, at) + inner.len()) as u32;
        file[at..at + 4].copy_from_slice(&grown.to_be_bytes());
    }
}

/// A Dolby Vision configuration record (version 1.0, a base layer and its metadata), as it stands in dvcC and dvvC.
fn record(kind: &[u8; 4], profile: u16, compatibility: u8) -> Vec<u8> {
    let fields = (profile << 9 | 1 << 3 | 0b101).to_be_bytes();
    let body = [&[1, 0][..], &fields, &[compatibility << 4], &[0; 19]].concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
}

fn usable(clip: Clip, tone_map: bool) -> Result<Clip, MediaError> {
    Media::new(CancelToken::default()).conform(clip, false, tone_map)
}

#[test]
fn dolby_vision_goes_by_its_record_wherever_it_stands() {
    let shelf = Shelf::new();
    let pq = format!("{BT2020}:transfer=smpte2084");
    for (kind, profile, compatibility, tags, range) in [
        (b"dvcC", 5, 0, "", DynamicRange::DolbyVision),
        (b"dvcC", 7, 6, &pq[..], DynamicRange::Pq),
        (b"dvvC", 8, 1, &pq, DynamicRange::Pq),
        // Its base has no tags of its own.
        (b"dvvC", 8, 1, "", DynamicRange::Pq),
        (b"dvvC", 8, 2, "", DynamicRange::Standard),
        (b"dvvC", 8, 4, "", DynamicRange::Hlg),
    ] {
        deep(&shelf, "plain.mp4", tags);
        let mut file = fs::read(shelf.path("plain.mp4")).unwrap();
        insert(&mut file, &record(kind, profile, compatibility));
        fs::write(shelf.path("dolby.mp4"), file).unwrap();
        shelf.ffmpeg("-i dolby.mp4 -c copy -strict unofficial dolby.mkv");
        shelf.ffmpeg("-i dolby.mp4 -c copy -strict unofficial dolby.mov");
        for name in ["dolby.mp4", "dolby.mkv", "dolby.mov"] {
            let clip = shelf.probe(name);
            let found = DolbyVision { profile: profile.into(), compatibility: compatibility.into() };
            if name == "dolby.mov" && clip.picture.dolby_vision.is_none() {
                // ffmpeg writes the record into MP4 and Matroska alone.
                continue;
            }
            assert_eq!(
                (clip.picture.dolby_vision, clip.picture.dynamic_range),
                (Some(found), range),
                "{name} {found:?}"
            );
            let (plain, mapped) = (usable(clip.clone(), false), usable(clip, true));
            assert_eq!(plain.is_ok(), range == DynamicRange::Standard, "{name} {found:?}");
            assert_eq!(mapped.is_ok(), range != DynamicRange::DolbyVision, "{name} {found:?}");
            if let Err(error) = mapped {
                assert!(error.to_string().contains("is Dolby Vision profile 5"), "{error}");
                assert!(error.details().help.unwrap().contains("--tone-map cannot help"));
            }
        }
    }
}

#[test]
fn what_looks_like_hdr_without_a_curve_is_refused_with_the_line_that_says_it() {
    let shelf = Shelf::new();
    for (number, tags) in [BT2020.to_owned(), MASTERING.to_owned(), "max-cll=1000,400".into()].into_iter().enumerate() {
        deep(&shelf, "a.mp4", &tags);
        for name in ["a.mp4", "a.mkv", "a.ts"] {
            if name != "a.mp4" {
                shelf.ffmpeg(&format!("-i a.mp4 -c copy {name}"));
            }
            let clip = shelf.probe(name);
            assert_eq!(clip.picture.dynamic_range, DynamicRange::Untagged, "{name} {tags}");
            for tone_map in [false, true] {
                let error = usable(clip.clone(), tone_map).unwrap_err();
                assert!(error.to_string().ends_with("looks like HDR, and nothing says by which curve"), "{error}");
                let help = error.details().help.unwrap();
                assert!(
                    help.contains("--tone-map") && help.contains("hevc_metadata=transfer_characteristics=16"),
                    "{help}"
                );
            }
        }
        if number == 0 {
            // The line itself, for each of the three.
            for (code, range) in [(16, DynamicRange::Pq), (18, DynamicRange::Hlg), (1, DynamicRange::Standard)] {
                shelf.ffmpeg(&format!(
                    "-i a.mp4 -c copy -bsf:v hevc_metadata=transfer_characteristics={code} tagged.mp4"
                ));
                assert_eq!(shelf.probe("tagged.mp4").picture.dynamic_range, range);
            }
        }
    }
    // Eight bits and no metadata, ten bits with BT.709, and BT.2020 of standard range.
    deep(&shelf, "sdr.mp4", "colorprim=bt709:colormatrix=bt709");
    deep(&shelf, "wide.mp4", &format!("{BT2020}:transfer=bt2020-10"));
    deep(&shelf, "none.mp4", "");
    for name in ["sdr.mp4", "wide.mp4", "none.mp4"] {
        let clip = shelf.probe(name);
        assert_eq!(clip.picture.dynamic_range, DynamicRange::Standard, "{name}");
        assert!(usable(clip, false).is_ok());
    }
}

#[test]
fn tone_mapping_gives_the_picture_that_the_line_of_the_refusal_gives() {
    let shelf = Shelf::new();
    for (transfer, range) in [("smpte2084", DynamicRange::Pq), ("arib-std-b67", DynamicRange::Hlg)] {
        deep(&shelf, "hdr.mp4", &format!("{BT2020}:transfer={transfer}"));
        let clip = shelf.probe("hdr.mp4");
        assert_eq!(clip.picture.dynamic_range, range);
        let help = usable(clip.clone(), false).unwrap_err().details().help.unwrap();
        assert!(help.starts_with("take it with --tone-map, or tone-map it first: ffmpeg -i "), "{help}");
        let filter = help.split_once(" -vf ").unwrap().1.split(' ').next().unwrap().to_owned();
        let clip = usable(clip, true).unwrap();
        assert!(clip.picture.is_tone_mapped());
        let color = &clip.picture.color;
        assert_eq!(
            (color.matrix, color.range, color.transfer.as_deref()),
            (Matrix::Bt709, Range::Limited, Some("bt709"))
        );
        let (size, sampling) = (Size::new(64, 36), Sampling::Own(5));
        let layout = Layout::Yuv420 { matrix: Matrix::Bt709, range: Range::Limited };
        let wanted = Wanted { clip: &clip, sampling: &sampling, frames: 1..5, size, fit: Fit::Crop, layout };
        let found = Media::new(CancelToken::default()).all_frames(wanted).unwrap();
        let plain = shelf.ffmpeg(&format!("-i hdr.mp4 -vf {filter} -f rawvideo -"));
        let luma = 64 * 36;
        for (frame, plain) in found.iter().zip(plain.chunks(luma * 3 / 2).skip(1)) {
            let most = frame[..luma].iter().zip(plain).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(most <= 1, "{transfer}: {most} off");
            // Unlike the picture that is taken for SDR.
        }
        let untouched = shelf.ffmpeg("-i hdr.mp4 -pix_fmt yuv420p -f rawvideo -");
        let off: usize =
            found[0].iter().zip(&untouched[luma * 3 / 2..]).map(|(a, b)| usize::from(a.abs_diff(*b))).sum();
        assert!(off > luma, "{transfer}: hardly changed");
    }
}

#[test]
fn an_image_in_hdr_is_refused_and_tone_mapped_as_a_clip_is() {
    let shelf = Shelf::new();
    shelf.ffmpeg(
        "-f lavfi -i testsrc2=size=64x48 -frames:v 1 -pix_fmt yuv420p10le -c:v libaom-av1 -still-picture 1 -cpu-used 8 \
         -color_trc smpte2084 -color_primaries bt2020 -colorspace bt2020nc pq.avif",
    );
    let media = Media::new(CancelToken::default());
    let error = media.probe_stills(&[shelf.path("pq.avif")], false).unwrap_err();
    assert_eq!(error.to_string(), "pq.avif is HDR (PQ)");
    assert!(error.details().help.unwrap().ends_with(" sdr.png"));
    let still = media.probe_stills(&[shelf.path("pq.avif")], true).unwrap().remove(0);
    assert!(still.is_tone_mapped() && still.dynamic_range == DynamicRange::Pq);
    assert_eq!(media.picture(&still, still.size, Fit::Crop, [0; 3]).unwrap().size, Size::new(64, 48));
}
