//! What a decoder makes of a whole stream: for clips whose packets do not say how many frames are shown, and when.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader},
    path::Path,
};

use num_rational::Ratio;

use super::{
    Media,
    clip::name,
    error::{MediaError, Tool, Unusable},
    ffmpeg_compat,
    process::{Child, Pipes},
    report::Packet,
};
use crate::pipeline::{system::child::Transcript, types::video::Fps};

/// A stream, and what is known of it before it is decoded.
pub(super) struct StreamFacts<'a> {
    pub(super) path: &'a Path,
    pub(super) index: usize,
    pub(super) codec: &'a str,
    pub(super) demuxer: &'a str,
    pub(super) base: Ratio<i64>,
    /// The start of the stream on the file's clock: what ffmpeg counts from where the clock may jump and no other stream is
    /// decoded (ffmpeg 5.1, fftools/ffmpeg.c, `process_input`).
    pub(super) start: Ratio<i64>,
    /// Ticks from one frame to the next where nothing says when a frame is shown.
    pub(super) step: i64,
    /// Whether its first packets may lack what they refer to.
    pub(super) lacks_references: bool,
}

/// When each frame is shown, on the file's clock.
pub(super) struct DecodedStream {
    pub(super) times: Vec<i64>,
    /// Whether errors of the decoder were passed over.
    pub(super) lenient: bool,
    /// Its messages.
    pub(super) transcript: Transcript,
}

/// Whether decoding must tell how many frames packets of these times are. `packets` are all of the stream, in its order.
pub(super) fn needs_decoding(packets: &[&Packet], demuxer: &str, codec: &str, on_grid: bool) -> bool {
    let shown: Option<Vec<i64>> =
        packets.iter().filter(|packet| !packet.flags.discard).map(|packet| packet.pts).collect();
    let Some(mut times) = shown else { return true };
    times.sort_unstable();
    let share_a_time = times.windows(2).any(|pair| pair[0] == pair[1]);
    // Frames that are shown by a later packet have packets of their own, at times between the others'.
    let hidden = ffmpeg_compat::hides_frames(codec) && !on_grid;
    share_a_time || hidden || lacks_references_at_start(packets) || ffmpeg_compat::counts_nothing(demuxer)
}

/// Whether packets come before the first key frame, in the file or on the screen (the beginning of an open GOP), so that
/// they may lack what they refer to.
pub(super) fn lacks_references_at_start(packets: &[&Packet]) -> bool {
    let Some(key) = packets.iter().position(|packet| packet.flags.key) else { return true };
    if marks_all_as_keys(packets) {
        return true;
    }
    let leads = |packet: &&&Packet| !packet.flags.discard && packet.pts < packets[key].pts;
    key > 0 || packets.iter().any(|packet| leads(&packet))
}

/// Whether all packets are marked as key frames and some are B-frames all the same, as where a muxer knew no better.
pub(super) fn marks_all_as_keys(packets: &[&Packet]) -> bool {
    packets.iter().all(|packet| packet.flags.key) && !packets.is_sorted_by_key(|packet| packet.pts)
}

impl Media {
    /// Decodes all of a stream with the program that decodes it for the film, and learns when each frame is shown.
    ///
    /// An error of the decoder is the clip's end, but in recordings: a transport or program stream with packets lost on
    /// its way, and a stream that begins amid its pictures, are what they are.
    pub(super) fn decode_all(&self, stream: &StreamFacts<'_>) -> Result<DecodedStream, MediaError> {
        match self.decode_once(stream, OnError::Fail) {
            Err(error) if error.is_about_the_file() => {
                if ffmpeg_compat::is_a_recording(stream.demuxer) || stream.lacks_references {
                    self.decode_once(stream, OnError::Continue)
                } else {
                    Err(error)
                }
            }
            other => other,
        }
    }

    fn decode_once(&self, stream: &StreamFacts<'_>, on_error: OnError) -> Result<DecodedStream, MediaError> {
        let StreamFacts { path, index, codec, demuxer, base, start, step, lacks_references: _ } = *stream;
        // Where the clock may jump, ffmpeg makes one clock of it unless it is told to leave it.
        let own_clock = !ffmpeg_compat::may_jump(demuxer);
        let mut words: Vec<OsString> = ["-v", "error", "-nostdin", "-noautorotate"].map(OsString::from).to_vec();
        words.extend((on_error == OnError::Fail).then(|| "-xerror".into()));
        words.extend(own_clock.then(|| "-copyts".into()));
        words.extend(["-i".into(), ffmpeg_compat::url(path), "-map".into(), format!("0:{index}").into()]);
        words.extend(ffmpeg_compat::PASS_FRAMES.map(OsString::from));
        words.extend(ffmpeg_compat::SOURCE_CLOCK.map(OsString::from));
        words.extend(["-f", "framecrc", "pipe:1"].map(OsString::from));
        let purpose = format!("counting the frames of {}", name(path));
        let mut child = Child::start(self, Tool::Ffmpeg, purpose, Pipes::Out, words)?;
        let listed = listed(BufReader::new(&mut child));
        let ended = child.end();
        let transcript = child.transcript();
        if let Err(error) = ended {
            return Err(match error {
                MediaError::Failed { .. } if ffmpeg_compat::blames_the_stream(&transcript.stderr, codec) => {
                    let frame = listed.as_ref().map_or(0, |frames| frames.len());
                    damaged(path, "near", frame, transcript)
                }
                other => other,
            });
        }
        let frames = listed.map_err(|source| MediaError::Io { path: path.to_owned(), source })?;
        let offset = if own_clock { 0 } else { (start / base).round().to_integer() };
        let mut times: Vec<i64> = vec![];
        for ticks in frames {
            // Files without timestamps (raw streams, some AVI) have their frames at the stream's rate.
            let next = times.last().map_or(offset, |last| last + step);
            let time = ticks.map(|ticks| ticks + offset);
            times.push(time.filter(|&time| time >= next - step).unwrap_or(next));
        }
        Ok(DecodedStream { times, lenient: on_error == OnError::Continue, transcript })
    }
}

/// Guessed times at this rate: exact where every one is at most a frame off, else as they are.
pub(super) fn steadied(times: Vec<i64>, base: Ratio<i64>, rate: Fps) -> Vec<i64> {
    let Some(&first) = times.first() else { return times };
    let step = rate.ratio().recip() / base;
    let exact = |index: usize| first + (step * index as i64).round().to_integer();
    let near = |(index, &time): (usize, &i64)| Ratio::from_integer((time - exact(index)).abs()) <= step;
    match times.iter().enumerate().all(near) {
        true => (0..times.len()).map(exact).collect(),
        false => times,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnError {
    Fail,
    Continue,
}

/// When each frame is shown by ffmpeg's `framecrc`: `stream, dts, pts, duration, size, checksum`, where lines with a # are
/// about the streams.
fn listed(lines: impl BufRead) -> io::Result<Vec<Option<i64>>> {
    let mut frames = vec![];
    for line in lines.lines() {
        let line = line?;
        if let (false, Some(pts)) = (line.starts_with('#'), line.split(',').nth(2)) {
            frames.push(pts.trim().parse().ok());
        }
    }
    Ok(frames)
}

/// Of a decoder that stumbled over the stream, `place` (near, at or before) this frame.
pub(super) fn damaged(path: &Path, place: &str, frame: usize, transcript: Transcript) -> MediaError {
    Unusable::new(path, format!("is damaged {place} frame {frame}"))
        .wanted("a stream that decodes without error")
        .found(transcript.stderr.lines().next().unwrap_or_default())
        .frame(frame)
        .help(format!(
            "copy or download it again, or re-encode what can be read: ffmpeg -i {} -c:v libx264 -crf 14 repaired.mp4",
            ffmpeg_compat::typed(path)
        ))
        .said(transcript)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessed_times_are_exact_where_all_are_at_most_a_frame_off() {
        let (base, rate) = (Ratio::new(1, 90_000), Fps::new(25, 1).unwrap());
        let exact: Vec<i64> = (0..8).map(|index| 48_600 + index * 3600).collect();
        let steady = |off: [i64; 8]| {
            let times = exact.iter().zip(off).map(|(time, off)| time + off).collect();
            steadied(times, base, rate) == exact
        };
        assert!(steady([0; 8]));
        assert!(steady([0, 0, 3600, 3600, 3600, 0, 0, -3600]));
        assert!(!steady([0, 0, 3600, 3601, 0, 0, 0, 0]), "a frame is missing");
        assert_eq!(steadied(vec![], base, rate), Vec::<i64>::new());
    }
}
