//! What a clip is: one call of ffprobe, every fact checked, and a refusal by name where a later stage could not use it.

use std::{
    ffi::OsString,
    fs,
    io::{self, BufReader, Read},
    path::Path,
};

use num_rational::Ratio;
use serde::de::DeserializeOwned;

use super::{
    Media,
    clip::{Clip, Color, Counts, Entry, Picture, Sound, Timing, name},
    dynamic_range::RangeFacts,
    error::{MediaError, Tool, Unusable},
    ffmpeg_compat::{self, Messages},
    frame_rate::{FrameRate, Ticks, frame_rate},
    full_decode::{StreamFacts, lacks_references_at_start, marks_all_as_keys, needs_decoding, steadied},
    note::note_among,
    process::{Child, Pipes},
    report::{Format, Packet, Report, Stream},
    sound_clock::{SoundClock, StreamPackets},
    tracks::{TrackChoice, TrackKind, take, tracks},
};
use crate::pipeline::{
    system::child::Transcript,
    types::video::{Fps, Matrix, Range, Size, Time, decimal},
};

/// The video stream that is taken of a file.
struct Video<'a> {
    path: &'a Path,
    format: &'a Format,
    stream: &'a Stream,
    packets: Vec<&'a Packet>,
    /// Seconds of a tick.
    base: Ratio<i64>,
    transcript: &'a Transcript,
}

impl<'a> Video<'a> {
    /// The packets that a player shows.
    fn shown(&self) -> impl Iterator<Item = &'a Packet> {
        self.packets.iter().copied().filter(|packet| !packet.flags.discard)
    }
}

/// When frames are shown, and how well they decode.
struct Timed {
    ticks: Ticks,
    /// Whether a seek finds the frames that are meant.
    seeks: bool,
    /// Whether the decoder leaves out what is damaged.
    lenient: bool,
    damage: Option<String>,
}

impl Media {
    /// Reads the facts of a clip; errors where it cannot be joined.
    pub fn probe(&self, path: &Path) -> Result<Clip, MediaError> {
        self.probe_tracks(path, TrackChoice::default())
    }

    /// The same, with these tracks.
    pub fn probe_tracks(&self, path: &Path, choice: TrackChoice) -> Result<Clip, MediaError> {
        let bytes = regular_file(path)?;
        let (mut report, transcript, corrupt) = self.ask(path)?;
        let format = report.format.take().ok_or_else(|| unreadable(path, transcript.clone()))?;

        let mut tracks = tracks(&report.streams);
        let taken = take(path, &mut tracks, TrackKind::Video, choice.video, |_| true)?;
        let Some(stream) = report.streams.iter().find(|stream| Some(stream.index) == taken) else {
            let kinds: Vec<&str> = report.streams.iter().map(|stream| stream.codec_type.as_str()).collect();
            let found = if kinds.is_empty() { "nothing that ffmpeg can read".into() } else { kinds.join(", ") };
            return Err(Unusable::new(path, "has no picture").wanted("a video stream").found(found).into());
        };
        let start = format.start_time.as_deref().and_then(signed_decimal).unwrap_or_default();
        let base = ratio(&stream.time_base).unwrap_or_else(|| Ratio::new(1, 1000));
        let packets = report.packets.iter().filter(|packet| packet.stream_index == stream.index).collect();
        let video = Video { path, format: &format, stream, packets, base, transcript: &transcript };
        let mut counts = self.count_frames(&video)?;

        // What has no format of pixels was recognised by its name alone.
        if ffmpeg_compat::is_image(&format.format_name) && stream.pix_fmt.is_none() {
            return Err(unreadable(path, transcript));
        }
        let (transfer, primaries) = (tag(&stream.color_transfer), tag(&stream.color_primaries));
        let range = self.dynamic_range(path, stream, transfer.as_deref(), primaries.as_deref())?;
        let picture = picture(path, stream, ffmpeg_compat::is_image(&format.format_name), range)?;

        let rates = [rate(&stream.r_frame_rate), rate(&stream.avg_frame_rate)];
        let Timed { ticks, seeks, lenient, mut damage } =
            self.time_frames(&video, &mut counts, (start, rates), corrupt.contains(&stream.index))?;
        let entries = match seeks && ffmpeg_compat::seeks_exactly(&format.format_name) {
            true => entries(video.packets.iter().copied(), &ticks, start),
            false => vec![],
        };
        let Some(&first) = ticks.times.first() else {
            return Err(Unusable::new(path, "has no frames")
                .wanted("at least one frame")
                .found("none")
                .said(transcript)
                .into());
        };
        let FrameRate { fps, timing, source: rate_source } = frame_rate(&ticks, rates);
        // A part that is gone leaves a gap where the decoder has nothing to complain of.
        if lenient && damage.is_none() && gap(&ticks, fps) {
            damage = Some("its timestamps have gaps".into());
        }
        let frames = ticks.times.len();
        let picture_start = base * first - start;
        let times: Vec<Time> = match timing {
            Timing::Constant => (0..frames).map(|index| fps.time_of(index)).collect(),
            Timing::Variable => ticks.times.iter().map(|time| base * (time - first)).collect(),
        };
        let duration = match timing {
            Timing::Constant => fps.time_of(frames),
            Timing::Variable => {
                let last = if ticks.last > 0 { base * ticks.last } else { fps.ratio().recip() };
                times.last().copied().unwrap_or_default() + last
            }
        };
        let usable =
            |index: usize| report.streams.iter().any(|stream| stream.index == index && sound(stream).is_some());
        let taken = take(path, &mut tracks, TrackKind::Audio, choice.audio, usable)?;
        let sound = sound_of(&report, taken, &format.format_name);
        let leaps = ffmpeg_compat::loses_packets(&format.format_name);
        let of_pictures = StreamPackets { packets: &report.packets, stream: stream.index, base, leaps };
        Ok(Clip {
            path: path.to_owned(),
            bytes,
            note: note_among(&format.tags),
            container: format.format_name,
            picture,
            fps,
            timing,
            rate_source,
            frames,
            counts,
            duration,
            sound: sound.map(|(sound, packets)| Sound {
                clock: SoundClock::beside(&packets, &of_pictures, base * first, fps),
                ..sound
            }),
            tracks,
            picture_start,
            animation: None,
            transparent: false,
            orientation: None,
            damage,
            lenient,
            times,
            ticks: ticks.times,
            entries,
        })
    }

    /// How many frames there are by packets and by what the container says; errors where the file is cut short.
    fn count_frames(&self, video: &Video<'_>) -> Result<Counts, MediaError> {
        let Video { path, format, stream, packets: _, base, transcript } = *video;
        let mut counts = Counts {
            packets: video.shown().count(),
            container: stream.nb_frames.as_deref().and_then(|text| text.parse().ok()),
            duration_times_rate: stream.duration_ts.zip(rate(&stream.avg_frame_rate)).map(|(ticks, rate)| {
                let frames = i128::from(ticks) * i128::from(*base.numer()) * i128::from(*rate.ratio().numer());
                let per = i128::from(*base.denom()) * i128::from(*rate.ratio().denom());
                ((frames + per / 2) / per) as usize
            }),
            hidden: None,
            decoded: None,
        };
        // Other headers than MP4's are known to promise a frame too many in whole files.
        let promise = counts.container.filter(|_| ffmpeg_compat::index_is_binding(&format.format_name));
        if let Some(promised) = promise.filter(|&promised| promised > counts.packets) {
            // What an edit list hides is there all the same.
            let there = self.packets_in_file(path, stream.index)?;
            if promised > there {
                return Err(Unusable::new(path, format!("is cut short: {there} of {promised} frames are there"))
                    .wanted(format!("{promised} frames, as its header says"))
                    .found(format!("{there} frames"))
                    .frame(there)
                    .help(keep_what_is_there(path))
                    .said(transcript.clone())
                    .into());
            }
            counts.hidden = Some(there - counts.packets);
        }

        if let Some(said) = transcript.stderr.lines().find(|line| ffmpeg_compat::misses_the_end(line)) {
            let problem = format!("is cut short: {} frames are there, but not its end", counts.packets);
            return Err(Unusable::new(path, problem)
                .wanted("a whole file")
                .found(said.to_owned())
                .frame(counts.packets)
                .help(keep_what_is_there(path))
                .said(transcript.clone())
                .into());
        }
        Ok(counts)
    }

    /// When each frame is shown: by the packets, or by decoding all of it where those leave a doubt.
    fn time_frames(
        &self,
        video: &Video<'_>,
        counts: &mut Counts,
        (start, rates): (Time, [Option<Fps>; 2]),
        corrupt: bool,
    ) -> Result<Timed, MediaError> {
        let Video { path: _, format, stream, ref packets, base, transcript: _ } = *video;
        let mut times: Vec<i64> = video.shown().filter_map(|packet| packet.pts).collect();
        times.sort_unstable();
        let agree = counts.container.is_none_or(|frames| frames == counts.packets)
            && counts.duration_times_rate.is_none_or(|frames| frames.abs_diff(counts.packets) <= 1);
        let last = video.shown().max_by_key(|packet| packet.pts).and_then(|packet| packet.duration).unwrap_or(0);
        let mut ticks = Ticks { times, last, base };
        let codec = stream.codec_name.as_deref().unwrap_or_default();
        let on_grid = || frame_rate(&ticks, rates).timing == Timing::Constant;
        let in_doubt = !agree || corrupt || needs_decoding(packets, &format.format_name, codec, on_grid());
        let (mut damage, mut lenient, mut seeks) = (None, false, true);
        if in_doubt && counts.packets > 0 {
            let decoded = self.decode_all(&StreamFacts {
                path: video.path,
                index: stream.index,
                codec,
                demuxer: &format.format_name,
                base,
                start: stream.start_pts.map_or(start, |pts| base * pts),
                step: rates[0].map_or(1, |rate| (rate.ratio().recip() / base).to_integer().max(1)),
                lacks_references: lacks_references_at_start(packets),
            })?;
            counts.decoded = Some(decoded.times.len());
            lenient = decoded.lenient;
            damage = decoded.transcript.stderr.lines().next().filter(|_| lenient).map(str::to_owned);
            // Seeking needs frames that can be told apart by their times, each of which is a packet's.
            let told_apart = decoded.times.is_sorted_by(|a, b| a < b)
                && decoded.times.iter().all(|time| ticks.times.binary_search(time).is_ok());
            seeks = told_apart && !marks_all_as_keys(packets);
            ticks.times = decoded.times;
            // Where packets have no time of their own, ffmpeg's guess can be a frame off for a while.
            if let Some(rate) = rates[0].filter(|_| packets.iter().any(|packet| packet.pts.is_none())) {
                ticks.times = steadied(ticks.times, base, rate);
            }
        }
        Ok(Timed { ticks, seeks, lenient, damage })
    }

    /// The sound of a file that need not have a picture.
    pub fn probe_sound(&self, path: &Path) -> Result<Sound, MediaError> {
        regular_file(path)?;
        let (report, transcript, _) = self.ask(path)?;
        let usable =
            |index: usize| report.streams.iter().any(|stream| stream.index == index && sound(stream).is_some());
        let taken = take(path, &mut tracks(&report.streams), TrackKind::Audio, None, usable)?;
        let (start, demuxer) = report.format.as_ref().map_or_else(Default::default, |format| {
            (format.start_time.as_deref().and_then(signed_decimal).unwrap_or_default(), format.format_name.clone())
        });
        let found = sound_of(&report, taken, &demuxer)
            .map(|(sound, packets)| Sound { clock: SoundClock::alone(&packets, start), ..sound });
        found.ok_or_else(|| Unusable::new(path, "has no sound").wanted("an audio stream").said(transcript).into())
    }

    /// The report, what was said with it, and the stream of every packet that did not arrive whole.
    fn ask(&self, path: &Path) -> Result<(Report, Transcript, Vec<usize>), MediaError> {
        let words = [
            "-v",
            "level+warning",
            "-show_format",
            "-show_streams",
            "-show_packets",
            "-show_entries",
            "packet=stream_index,pts,dts,duration,flags",
        ];
        let without_warnings = |transcript: Transcript| {
            let Messages { errors, corrupt } = ffmpeg_compat::messages(&transcript.stderr);
            (Transcript { stderr: errors, ..transcript }, corrupt)
        };
        match self.report(path, format!("reading {}", name(path)), words.map(OsString::from).to_vec()) {
            Ok((report, transcript)) => {
                let (transcript, corrupt) = without_warnings(transcript);
                Ok((report, transcript, corrupt))
            }
            Err(MediaError::Failed { tool, purpose, how, transcript }) => {
                let (transcript, _) = without_warnings(transcript);
                // ffprobe ends with 1 for a file it cannot open; a signal or a missing library is its own failure.
                match how.ends_with("status 1") && ffmpeg_compat::blames_the_file(&transcript.stderr) {
                    true => Err(unreadable(path, transcript)),
                    false => Err(MediaError::Failed { tool, purpose, how, transcript }),
                }
            }
            Err(other) => Err(other),
        }
    }

    /// How many packets a stream of an MP4 or QuickTime file has, with those that an edit list hides.
    fn packets_in_file(&self, path: &Path, stream: usize) -> Result<usize, MediaError> {
        let entries =
            ["-ignore_editlist", "1", "-show_packets", "-show_entries", "packet=stream_index", "-select_streams"];
        let mut words = entries.map(OsString::from).to_vec();
        words.push(stream.to_string().into());
        let (report, _): (Report, _) = self.report(path, format!("counting the packets of {}", name(path)), words)?;
        Ok(report.packets.len())
    }

    /// ffprobe's answer, parsed while it comes: that of a long clip is large.
    pub(super) fn report<T: DeserializeOwned>(
        &self,
        path: &Path,
        purpose: String,
        words: Vec<OsString>,
    ) -> Result<(T, Transcript), MediaError> {
        let mut arguments: Vec<OsString> = vec!["-v".into(), "error".into()];
        arguments.extend(words);
        arguments.extend(["-of".into(), "json".into(), ffmpeg_compat::url(path)]);
        let mut child = Child::start(self, Tool::Ffprobe, purpose.clone(), Pipes::Out, arguments)?;
        let answer = serde_json::from_reader(BufReader::with_capacity(1 << 16, &mut child));
        // Read to the end, or a child that still writes would never end.
        let drained = io::copy(&mut child, &mut io::sink());
        child.end()?;
        let transcript = child.transcript();
        let how = match (answer, drained) {
            (Ok(answer), Ok(_)) => return Ok((answer, transcript)),
            (Err(error), _) => format!("its report cannot be understood: {error}"),
            (_, Err(error)) => format!("its report cannot be read: {error}"),
        };
        Err(MediaError::Failed { tool: Tool::Ffprobe, purpose, how, transcript })
    }
}

/// Its size in bytes, or why it is no file with anything in it.
pub(super) fn regular_file(path: &Path) -> Result<u64, MediaError> {
    let wanted = |problem: &str| Unusable::new(path, problem).wanted("a video or an image");
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let place = if folder.is_dir() { "no such file there" } else { "its folder is not there either" };
            Err(wanted("does not exist").found(place).into())
        }
        Err(error) => Err(wanted("cannot be read").found(error.to_string()).into()),
        Ok(facts) if facts.is_dir() => Err(wanted("is a folder").found("a folder").into()),
        Ok(facts) if !facts.is_file() => Err(wanted("is no regular file").found("a device or a pipe").into()),
        Ok(facts) if facts.len() == 0 => Err(wanted("is empty").found("0 bytes").into()),
        Ok(facts) => match fs::File::open(path) {
            Ok(_) => Ok(facts.len()),
            Err(error) => Err(wanted("cannot be read").found(error.to_string()).into()),
        },
    }
}

fn keep_what_is_there(path: &Path) -> String {
    let extension = path.extension().map_or("mp4".into(), |extension| extension.to_string_lossy());
    let quoted = ffmpeg_compat::typed(path);
    format!("copy or download it again, or keep what is there: ffmpeg -i {quoted} -c copy whole.{extension}")
}

fn unreadable(path: &Path, transcript: Transcript) -> MediaError {
    // ffprobe looks for an index in whatever is called .mp4.
    let missing_index = transcript.stderr.contains("moov atom not found") && begins_like_mp4(path);
    let problem = if missing_index {
        "is cut short: its index, which stands at the end, is missing"
    } else {
        "is no video and no image that ffmpeg can read"
    };
    let help = if missing_index {
        "copy or download it again; what is there cannot be read without the index"
    } else {
        "check with a player or a viewer that it is what it should be"
    };
    let found = transcript.stderr.lines().last().unwrap_or("nothing readable").to_owned();
    Unusable::new(path, problem).wanted("a video or an image").found(found).help(help).said(transcript).into()
}

/// Whether the first box of the file has a type with which MP4 and QuickTime files begin.
fn begins_like_mp4(path: &Path) -> bool {
    let mut head = [0; 8];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok()
        && [b"ftyp", b"mdat", b"moov", b"free", b"skip", b"wide", b"styp"].iter().any(|kind| kind[..] == head[4..])
}

/// The facts of a stream of sound, without its clock, and the packets to make that of.
fn sound_of<'a>(report: &'a Report, stream: Option<usize>, demuxer: &str) -> Option<(Sound, StreamPackets<'a>)> {
    let stream = report.streams.iter().find(|candidate| Some(candidate.index) == stream)?;
    let base = ratio(&stream.time_base).unwrap_or_else(|| Ratio::new(1, 1000));
    let loses_packets = ffmpeg_compat::loses_packets(demuxer);
    let packets = StreamPackets { packets: &report.packets, stream: stream.index, base, leaps: loses_packets };
    let longest = report.packets.iter().filter(|packet| packet.stream_index == stream.index);
    let longest = longest.filter_map(|packet| packet.duration).max().unwrap_or_default();
    let packet = longest as f64 * *base.numer() as f64 / *base.denom() as f64;
    Some((Sound { packet, loses_packets, ..sound(stream)? }, packets))
}

fn sound(stream: &Stream) -> Option<Sound> {
    let rate = stream.sample_rate.as_deref()?.parse().ok().filter(|&rate| rate > 0)?;
    let usable = stream.codec_type == "audio" && stream.channels > 0 && stream.codec_name.is_some();
    let layout = stream.channel_layout.clone().filter(|layout| !layout.is_empty() && layout != "unknown");
    usable.then(|| Sound {
        stream: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        rate,
        channels: stream.channels,
        layout: layout.unwrap_or_else(|| ffmpeg_compat::default_layout(stream.channels)),
        packet: 0.0,
        clock: SoundClock::default(),
        loses_packets: false,
    })
}

fn picture(path: &Path, stream: &Stream, still: bool, range: RangeFacts) -> Result<Picture, MediaError> {
    let refuse = |problem: &str| Unusable::new(path, problem);
    let (Some(codec), Some(pixel_format)) = (stream.codec_name.clone(), stream.pix_fmt.clone()) else {
        return Err(refuse("has a picture that this ffmpeg cannot decode")
            .wanted("a codec that ffmpeg knows")
            .found(stream.codec_name.clone().unwrap_or_else(|| "an unknown codec".into()))
            .into());
    };
    let rotation = rotation(stream);
    let sample_aspect = sample_aspect(stream);
    let coded = Size::new(stream.width, stream.height);
    let size = shown_size(coded, sample_aspect, rotation);
    let quoted = ffmpeg_compat::typed(path);
    if rotation % 90 != 0 {
        return Err(refuse(&format!("is turned by {rotation} degrees")).wanted("a turn by 0, 90, 180 or 270").into());
    }
    if size.width < 2 || size.height < 2 || size.width > 16384 || size.height > 16384 {
        return Err(refuse(&format!("is {size} pixels"))
            .wanted("2 to 16384 pixels on each side")
            .found(size.to_string())
            .into());
    }
    // VP8 and VP9 keep it in a second stream that only this tag tells of.
    let tagged = stream.tags.alpha_mode.as_deref() == Some("1");
    if ffmpeg_compat::has_alpha(&pixel_format) || tagged {
        return Err(refuse("has transparency, which a film cannot hold")
            .wanted("an opaque picture")
            .found(if tagged { "alpha_mode 1".into() } else { format!("pixel format {pixel_format}") })
            .help(match still {
                true => "save it as PNG or WebP, or without transparency".into(),
                false => format!(
                    "put it on black first: ffmpeg -i {quoted} -vf format=gbrap,premultiply=inplace=1,format=yuv420p \
                     -c:v libx264 -crf 14 opaque.mp4"
                ),
            })
            .into());
    }
    Ok(Picture {
        stream: stream.index,
        codec,
        profile: stream.profile.clone().filter(|profile| profile != "unknown"),
        bits: ffmpeg_compat::bits(&pixel_format),
        color: color(stream, &pixel_format, size),
        dynamic_range: range.range,
        dolby_vision: range.dolby_vision,
        range_source: range.source,
        tone_map: None,
        pixel_format,
        coded,
        rotation,
        sample_aspect,
        size,
        interlaced: stream.field_order.as_deref().is_some_and(|order| !matches!(order, "progressive" | "unknown")),
    })
}

/// Degrees clockwise, 0 to 359. ffprobe's matrix counts the other way, the old tag does not.
fn rotation(stream: &Stream) -> i32 {
    let matrix = stream.side_data_list.iter().find_map(|side| side.rotation).map(|degrees| -degrees.round() as i32);
    let old = || stream.tags.rotate.as_deref().and_then(|text| text.parse().ok());
    matrix.or_else(old).unwrap_or(0).rem_euclid(360)
}

fn sample_aspect(stream: &Stream) -> Ratio<i64> {
    let parts = stream.sample_aspect_ratio.as_deref().and_then(|text| text.split_once(':'));
    let parsed = parts.and_then(|(w, h)| Some((w.parse::<i64>().ok()?, h.parse::<i64>().ok()?)));
    match parsed {
        Some((w, h)) if w > 0 && h > 0 => Ratio::new(w, h),
        _ => Ratio::from_integer(1),
    }
}

/// In square pixels: the side that is too short grows, so that no detail is lost.
fn shown_size(coded: Size, aspect: Ratio<i64>, rotation: i32) -> Size {
    let stretched = |side: u32, by: Ratio<i64>| (by * i64::from(side)).round().to_integer() as u32;
    let square = match aspect {
        aspect if aspect > Ratio::from_integer(1) => Size::new(stretched(coded.width, aspect), coded.height),
        aspect => Size::new(coded.width, stretched(coded.height, aspect.recip())),
    };
    if rotation % 180 == 90 { Size::new(square.height, square.width) } else { square }
}

/// The rule of players (mpv, video/csputils.c): what is larger than standard definition is BT.709.
pub(super) fn untagged_matrix(size: Size) -> Matrix {
    if size.width >= 1280 || size.height > 576 { Matrix::Bt709 } else { Matrix::Bt601 }
}

fn color(stream: &Stream, pixel_format: &str, size: Size) -> Color {
    let tagged_matrix = tag(&stream.color_space);
    let matrix = match tagged_matrix.as_deref() {
        Some("bt709") => Matrix::Bt709,
        Some("smpte170m" | "bt470bg" | "fcc" | "smpte240m") => Matrix::Bt601,
        Some("bt2020nc" | "bt2020c") => Matrix::Bt2020,
        _ => untagged_matrix(size),
    };
    let full = stream.color_range.as_deref() == Some("pc") || pixel_format.starts_with("yuvj");
    let range = if full || ffmpeg_compat::is_rgb(pixel_format) { Range::Full } else { Range::Limited };
    Color {
        matrix,
        range,
        tagged_matrix,
        primaries: tag(&stream.color_primaries),
        transfer: tag(&stream.color_transfer),
    }
}

fn tag(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !matches!(value.as_str(), "unknown" | "unspecified" | "reserved" | "gbr"))
}

/// The key frames in the order in which they are shown; `packets` come in the order in which they are decoded.
fn entries<'a>(packets: impl Iterator<Item = &'a Packet>, ticks: &Ticks, start: Time) -> Vec<Entry> {
    let mut entries: Vec<Entry> = vec![];
    for packet in packets {
        let Some(pts) = packet.pts else { continue };
        let Ok(frame) = ticks.times.binary_search(&pts) else { continue };
        if packet.flags.key {
            entries.push(Entry { frame, seek: ticks.base * pts - start, leads: false });
        } else if let Some(entry) = entries.last_mut() {
            entry.leads |= frame < entry.frame;
        }
    }
    entries.sort_by_key(|entry| entry.frame);
    entries
}

/// Whether a frame comes more than half a step later than it should.
fn gap(ticks: &Ticks, fps: Fps) -> bool {
    let step = fps.ratio().recip();
    ticks.times.windows(2).any(|pair| ticks.base * (pair[1] - pair[0]) > step * 3 / 2)
}

fn ratio(text: &Option<String>) -> Option<Ratio<i64>> {
    let (numer, denom) = text.as_deref()?.split_once('/')?;
    let (numer, denom) = (numer.parse().ok()?, denom.parse().ok()?);
    (numer > 0 && denom > 0).then(|| Ratio::new(numer, denom))
}

fn rate(text: &Option<String>) -> Option<Fps> {
    ratio(text).and_then(|ratio| Fps::new(*ratio.numer(), *ratio.denom()))
}

fn signed_decimal(text: &str) -> Option<Ratio<i64>> {
    match text.strip_prefix('-') {
        Some(text) => decimal(text).map(|value| -value),
        None => decimal(text),
    }
}
