//! What the model would be shown at a seam, as videos and a sheet that a person can look at. No engine reads them.

use std::{ffi::OsStr, fs, path::Path};

use crate::pipeline::{
    frames::source::{FrameSource, GuideFrames},
    media::{ExtraStreams, MediaError},
    plan::{FramePlan, Segment, Slot},
    report::contact_sheet,
    types::{
        pixels,
        progress::Progress,
        video::{Frame, Layout, Size},
    },
};

/// Whether an entry of a guide's folder is one that guides have.
pub fn writes(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    matches!(&*name, "guide.mp4" | "mask.mp4" | "plan.json" | "sheet.png") || name.starts_with("seam_")
}

/// Writes guide.mp4, mask.mp4 and sheet.png of one seam into `folder`.
pub fn write(
    frame_source: &FrameSource<'_>,
    plan: &FramePlan,
    number: usize,
    known: &GuideFrames,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), MediaError> {
    let FrameSource { media, inputs, fit: _ } = frame_source;
    let seam = &plan.seams[number];
    let format = inputs.film.draft(switches(seam));
    let size = inputs.film.made_size;
    let (grey, black, white) =
        (Frame::filled(size, pixels::GREY), Frame::filled(size, [0; 3]), Frame::filled(size, [255; 3]));
    let [grey, black, white] = [&grey, &black, &white].map(|frame| yuv(frame, format.size, format.layout));

    // One after the other: two encoders at once need twice the memory and, on all cores, the same time.
    let mut guide =
        media.encode(&format, ExtraStreams::default(), &folder.join("guide.mp4"), "writing the guide video")?;
    for (index, slot) in seam.slots.iter().enumerate() {
        match slot.frame() {
            Some(at) => guide.write(&yuv(known.frame(at), format.size, format.layout))?,
            None => guide.write(&grey)?,
        }
        progress.reached(index + 1);
    }
    guide.finish()?;
    let write_mask = || {
        let mut mask =
            media.encode(&format, ExtraStreams::default(), &folder.join("mask.mp4"), "writing the mask video")?;
        for known in seam.known() {
            mask.write(if known { &black } else { &white })?;
        }
        mask.finish()
    };
    let sheet_path = folder.join("sheet.png");
    let references = frame_source.references(seam)?;
    let (written, drawn) =
        rayon::join(write_mask, || contact_sheet::draw(plan, number, known, &references).save(&sheet_path));
    written?;
    drawn.map_err(|error| MediaError::Io { path: sheet_path, source: std::io::Error::other(error) })
}

/// plan.json, as every run and every program reads it.
pub fn write_plan(plan: &FramePlan, folder: &Path) -> Result<(), MediaError> {
    let path = folder.join("plan.json");
    let text = serde_json::to_string_pretty(plan).expect("a plan has only string keys") + "\n";
    fs::write(&path, text).map_err(|source| MediaError::Io { path, source })
}

/// The first frame of every stretch of one kind: coded by themselves, so that flat grey stays exactly flat.
fn switches(seam: &Segment) -> Vec<usize> {
    let shown = |slot: &Slot| (slot.frame().is_some(), slot.is_known());
    let kinds: Vec<_> = seam.slots.iter().map(shown).collect();
    (1..kinds.len()).filter(|&index| kinds[index] != kinds[index - 1]).collect()
}

/// 4:2:0 cannot hold an odd last column or row.
fn yuv(frame: &Frame, size: Size, layout: Layout) -> Vec<u8> {
    if frame.size == size {
        return pixels::from_rgb(&frame.rgb, size, layout);
    }
    let (row, kept) = (frame.size.width as usize * 3, size.width as usize * 3);
    let rows = frame.rgb.chunks_exact(row).take(size.height as usize);
    let rgb: Vec<u8> = rows.flat_map(|row| &row[..kept]).copied().collect();
    pixels::from_rgb(&rgb, size, layout)
}
