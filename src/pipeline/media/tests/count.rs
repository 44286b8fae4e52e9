//! How many frames a file has: packets that are shown, unless the ways of counting disagree.

use super::*;
use crate::pipeline::media::Timing;

const SOURCE: &str = "-f lavfi -i testsrc2=size=64x36:rate=25 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";

#[test]
fn ways_of_counting_that_agree_need_no_decoding() {
    let shelf = Shelf::new();
    shelf.ffmpeg(&format!("{SOURCE} -frames:v 20 a.mp4"));
    let clip = shelf.probe("a.mp4");
    assert_eq!((clip.frames, clip.counts.packets, clip.counts.container), (20, 20, Some(20)));
    assert_eq!((clip.counts.duration_times_rate, clip.counts.decoded), (Some(20), None));
    assert_eq!(
        (clip.fps.to_string().as_str(), clip.timing, clip.duration.to_string().as_str()),
        ("25/1", Timing::Constant, "4/5")
    );
    // Matroska has neither a count nor a duration of each stream.
    shelf.ffmpeg("-i a.mp4 -c copy a.mkv");
    let clip = shelf.probe("a.mkv");
    assert_eq!((clip.frames, clip.counts.container, clip.counts.decoded), (20, None, None));
}

#[test]
fn discarded_packets_of_an_edit_list_are_no_frames() {
    let shelf = Shelf::new();
    shelf.ffmpeg(&format!("{SOURCE} -g 50 -frames:v 30 a.mp4"));
    shelf.ffmpeg("-ss 0.4 -i a.mp4 -c copy cut.mp4");
    let clip = shelf.probe("cut.mp4");
    // The container counts all 30, which is why it was decoded.
    assert_eq!((clip.frames, clip.counts.packets, clip.counts.container), (20, 20, Some(30)));
    assert_eq!(clip.counts.decoded, Some(20));
}

#[test]
fn a_header_that_promises_another_count_is_not_believed() {
    let shelf = Shelf::new();
    shelf.ffmpeg(&format!("{SOURCE} -bf 0 -frames:v 20 a.avi"));
    let mut bytes = std::fs::read(shelf.path("a.avi")).unwrap();
    // The length of the video stream in its `strh`: 32 bytes after the chunk's contents begin.
    let header = bytes.windows(8).position(|word| &word[..4] == b"strh").unwrap() + 8;
    assert_eq!(bytes[header + 32..header + 36], 20_u32.to_le_bytes());
    bytes[header + 32..header + 36].copy_from_slice(&26_u32.to_le_bytes());
    std::fs::write(shelf.path("lies.avi"), bytes).unwrap();
    let clip = shelf.probe("lies.avi");
    assert_eq!((clip.frames, clip.counts.packets, clip.counts.container), (20, 20, Some(26)));
    assert_eq!(clip.counts.decoded, Some(20));
    assert_eq!(frames(&clip, &Sampling::Own(20), 0..20).len(), 20);
}

#[test]
fn a_duration_that_disagrees_is_settled_by_decoding() {
    let shelf = Shelf::new();
    // Every third frame is gone, its time is not: by duration and the stream's rate there are more.
    shelf.ffmpeg(&format!(r"{SOURCE} -vf select=not(eq(mod(n\,3)\,1)) -fps_mode vfr -frames:v 20 thin.mp4"));
    let clip = shelf.probe("thin.mp4");
    assert_eq!((clip.frames, clip.timing), (20, Timing::Variable));
    assert_eq!(frames(&clip, &Sampling::Own(20), 0..20).len(), 20);
}

#[test]
fn files_without_timestamps_are_counted_and_timed_by_their_rate() {
    let shelf = Shelf::new();
    shelf.ffmpeg(&format!("{SOURCE} -bf 2 -frames:v 14 raw.h264"));
    let clip = shelf.probe("raw.h264");
    assert_eq!((clip.frames, clip.timing, clip.fps.to_string().as_str()), (14, Timing::Constant, "25/1"));
    assert!(clip.entries.is_empty(), "there is nothing to seek by");
    let all = frames(&clip, &Sampling::Own(14), 0..14);
    assert!(frames(&clip, &Sampling::Own(14), 9..12) == all[9..12]);
}
