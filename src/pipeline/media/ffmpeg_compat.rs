//! What differs between ffmpeg 5.1, 6 and 7, and what they say in words only: kept in this one place.

use std::{
    ffi::OsString,
    path::{Path, absolute},
};

/// Every frame as it is: no rate conversion. `-vsync` was its name before 5.1 and is gone in 7.
pub(super) const PASS_FRAMES: [&str; 2] = ["-fps_mode", "passthrough"];

/// Timestamps on the clock of the file, not on that of the rate. ffmpeg 6.1 has it by the name `demux` too.
pub(super) const SOURCE_CLOCK: [&str; 2] = ["-enc_time_base", "-1"];

/// The 8-bit RGB that FFV1 takes.
pub(super) const FFV1_RGB: &str = "bgr0";

/// A file's name that ffmpeg cannot take for an option, a protocol or a pattern.
pub(super) fn url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(absolute(path).unwrap_or_else(|_| path.to_owned()));
    url
}

/// A file's name as it can be pasted into a command line of ffmpeg.
pub(super) fn typed(path: &Path) -> String {
    let name = path.to_string_lossy();
    let protocol = if name.contains(':') { "file:" } else { "" };
    shell_words::quote(&format!("{protocol}{name}")).into_owned()
}

/// Demuxers whose seek to the time of a key frame lands at that key frame or before it.
pub(super) fn seeks_exactly(demuxer: &str) -> bool {
    demuxer.split(',').any(|name| matches!(name, "mp4" | "matroska" | "webm"))
}

/// Demuxers of picture files: `image2`, `png_pipe` and their like.
pub(super) fn is_image(demuxer: &str) -> bool {
    demuxer == "image2" || demuxer.ends_with("_pipe")
}

/// Demuxers that count every frame in an index, so that a missing one means a file that was cut short.
pub(super) fn index_is_binding(demuxer: &str) -> bool {
    demuxer.split(',').any(|name| name == "mp4")
}

/// Demuxers of streams that are sent and cut: packets are lost on the way, and a cut falls where it falls.
pub(super) fn is_a_recording(demuxer: &str) -> bool {
    matches!(demuxer, "mpegts" | "mpeg")
}

/// Demuxers of streams in which nothing counts packets, so that a lost one is noticed by the decoder alone.
pub(super) fn counts_nothing(demuxer: &str) -> bool {
    demuxer == "mpeg"
}

/// Demuxers whose clock may begin anew (AVFMT_TS_DISCONT in ffmpeg's libavformat).
pub(super) fn may_jump(demuxer: &str) -> bool {
    matches!(demuxer, "mpegts" | "mpeg" | "ogg" | "wtv")
}

/// Codecs that have frames of which nothing is shown, for others to refer to.
pub(super) fn hides_frames(codec: &str) -> bool {
    matches!(codec, "vp8" | "vp9" | "av1")
}

/// What a demuxer reports, its warnings taken apart; levels are written out (`-v level+warning`).
pub(super) struct Messages {
    pub(super) errors: String,
    /// The stream of every packet that did not arrive whole.
    pub(super) corrupt: Vec<usize>,
}

pub(super) fn messages(stderr: &str) -> Messages {
    let (mut errors, mut corrupt, mut warned) = (vec![], vec![], false);
    for line in stderr.lines() {
        warned = match line.trim_start().starts_with("Last message repeated") {
            true => warned,
            false => line.contains("[warning]"),
        };
        if !warned {
            errors.push(line.replace("[error] ", "").replace("[fatal] ", "").replace("[panic] ", ""));
        } else if let Some((_, of)) = line.split_once("Packet corrupt (stream = ") {
            corrupt.extend(of.split(',').next().and_then(|number| number.trim().parse::<usize>().ok()));
        }
    }
    Messages { errors: errors.join("\n"), corrupt }
}

/// ffprobe says in words alone whether the file or itself is at fault.
pub(super) fn blames_the_file(stderr: &str) -> bool {
    let words = [
        "Invalid data",
        "moov atom",
        "End of file",
        "could not find codec",
        "Invalid argument",
        "not found",
        "misdetection",
    ];
    words.iter().any(|word| stderr.contains(word))
}

/// Whether a decoder that began amid a file misses what its first pictures are made from. `leads`: whether the key frame
/// leads pictures that nobody sees, and whose lack means nothing.
pub(super) fn doubts_its_start(stderr: &str, leads: bool) -> bool {
    let harmless = |line: &str| {
        line.contains("mmco: unref short failure") || leads && line.to_lowercase().contains("missing reference picture")
    };
    stderr.lines().any(|line| !harmless(line))
}

/// Whether a line of a demuxer says that the file is shorter than it should be.
pub(super) fn misses_the_end(line: &str) -> bool {
    line.contains("File ended prematurely") || line.contains("partial file")
}

/// Whether what ffmpeg said while decoding means a damaged stream (and not a broken ffmpeg): the decoder itself speaks,
/// or one of these words falls.
pub(super) fn blames_the_stream(stderr: &str, codec: &str) -> bool {
    let words = [
        "rror while decoding",
        "corrupt",
        "Invalid data",
        "rror submitting",
        "ecoding error",
        "partial file",
        "concealing",
        "damaged",
        "truncated",
        "Invalid NAL",
        "error reading",
    ];
    stderr.contains(&format!("[{codec} @ ")) || words.iter().any(|word| stderr.contains(word))
}

pub(super) fn has_alpha(pixel_format: &str) -> bool {
    let prefixes = ["yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "ayuv"];
    prefixes.iter().any(|prefix| pixel_format.starts_with(prefix))
}

pub(super) fn is_rgb(pixel_format: &str) -> bool {
    let prefixes = ["rgb", "bgr", "gbr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8"];
    prefixes.iter().any(|prefix| pixel_format.starts_with(prefix))
}

/// Bits of each sample, from a name such as `yuv420p10le` or `p010le`.
pub(super) fn bits(pixel_format: &str) -> u32 {
    let name = pixel_format.trim_end_matches("le").trim_end_matches("be");
    match name {
        _ if name.starts_with("p0") || name.starts_with("p2") || name.starts_with("p4") => {
            name[2..].parse().unwrap_or(8)
        }
        _ if name.starts_with("gray") => name[4..].parse().unwrap_or(8),
        "rgb48" | "bgr48" => 16,
        _ => name.rsplit_once('p').and_then(|(_, bits)| bits.parse().ok()).unwrap_or(8),
    }
}

/// ffmpeg's usual layout for a number of channels.
pub(super) fn default_layout(channels: u32) -> String {
    match channels {
        1 => "mono",
        2 => "stereo",
        3 => "2.1",
        4 => "4.0",
        5 => "5.0",
        6 => "5.1",
        7 => "6.1",
        8 => "7.1",
        _ => "stereo",
    }
    .into()
}

/// Some layout with so many channels, at most 17: no sample is mixed for it.
pub(super) fn any_layout(channels: usize) -> String {
    let names = "FL FR FC LFE BL BR FLC FRC BC SL SR TC TFL TFC TFR TBL TBC";
    names.split(' ').take(channels).collect::<Vec<_>>().join("+")
}

/// Demuxers of streams that are recorded from the air or the net, where packets are lost, and whose clock may leap.
pub(super) fn loses_packets(demuxer: &str) -> bool {
    matches!(demuxer, "mpegts" | "mpeg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_no_errors_and_tell_the_packets_that_did_not_arrive_whole() {
        let said = "[mpegts @ 0x1] [warning] Packet corrupt (stream = 1, dts = 23).\n    Last message repeated 2 times\n\
                    [mp3 @ 0x2] [error] Header missing\n    Last message repeated 1 times\nfile:a.ts: Invalid data";
        let Messages { errors, corrupt } = messages(said);
        assert_eq!(corrupt, [1]);
        assert_eq!(errors, "[mp3 @ 0x2] Header missing\n    Last message repeated 1 times\nfile:a.ts: Invalid data");
    }

    #[test]
    fn the_depth_is_read_from_the_name_of_a_pixel_format() {
        let names = [
            ("yuv420p", 8),
            ("yuv420p10le", 10),
            ("yuv444p12be", 12),
            ("p010le", 10),
            ("gray", 8),
            ("gray16le", 16),
            ("gbrp10le", 10),
            ("nv12", 8),
            ("rgb24", 8),
            ("pal8", 8),
        ];
        for (name, depth) in names {
            assert_eq!(bits(name), depth, "{name}");
        }
    }
}
