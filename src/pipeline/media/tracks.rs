//! The streams of a file, and which of them are taken.

use std::{fmt, path::Path};

use serde::Serialize;

use super::{
    error::{MediaError, Unusable},
    report::{Disposition, Stream},
};

/// Which tracks are taken, counted from 1 among those of their kind; None: the one that a player would take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackChoice {
    pub video: Option<usize>,
    pub audio: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    Video,
    Audio,
    Subtitle,
    /// A picture that stands for the file.
    Cover,
    Attachment,
    Data,
}

/// One stream of a file.
#[derive(Debug, Clone, Serialize)]
pub struct Track {
    pub kind: TrackKind,
    /// Counted from 1 among those of its kind.
    pub number: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether the file marks it as the one to play.
    pub default: bool,
    /// What else the file marks it as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Whether it is the one that is used.
    pub taken: bool,
    #[serde(skip)]
    stream: usize,
}

impl TrackKind {
    fn of(stream: &Stream) -> Self {
        let Disposition { attached_pic, timed_thumbnails, .. } = stream.disposition;
        match stream.codec_type.as_str() {
            "video" if attached_pic != 0 || timed_thumbnails != 0 => Self::Cover,
            "video" => Self::Video,
            "audio" => Self::Audio,
            "subtitle" => Self::Subtitle,
            "attachment" => Self::Attachment,
            _ => Self::Data,
        }
    }
}

impl fmt::Display for TrackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Subtitle => "subtitle",
            Self::Cover => "cover",
            Self::Attachment => "attachment",
            Self::Data => "data",
        })
    }
}

/// `audio 2 (aac, eng, commentary)`.
impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, number, codec, language, title, default, role, .. } = self;
        let title = title.as_ref().map(|title| format!("\"{title}\""));
        let about = [
            codec.clone(),
            language.clone().filter(|language| language != "und"),
            title,
            default.then(|| "default".into()),
            role.map(str::to_owned),
        ];
        let about: Vec<String> = about.into_iter().flatten().collect();
        write!(f, "{kind} {number}")?;
        if about.is_empty() { Ok(()) } else { write!(f, " ({})", about.join(", ")) }
    }
}

impl Track {
    fn of(stream: &Stream, number: usize) -> Self {
        Self {
            kind: TrackKind::of(stream),
            number,
            codec: stream.codec_name.clone(),
            language: stream.tags.language.clone(),
            title: stream.tags.title.clone(),
            default: stream.disposition.default != 0,
            role: role(&stream.disposition),
            taken: false,
            stream: stream.index,
        }
    }
}

/// What a track is for, where that is not to be played by itself.
fn role(disposition: &Disposition) -> Option<&'static str> {
    let roles = [
        (disposition.comment, "commentary"),
        (disposition.dub, "dub"),
        (disposition.lyrics, "lyrics"),
        (disposition.karaoke, "karaoke"),
        (disposition.hearing_impaired, "for the hearing impaired"),
        (disposition.visual_impaired, "for the visually impaired"),
        (disposition.clean_effects, "without speech"),
        (disposition.descriptions, "descriptions"),
        (disposition.dependent, "part of another"),
    ];
    roles.into_iter().find_map(|(set, role)| (set != 0).then_some(role))
}

/// All of a file's, in the file's order.
pub(super) fn tracks(streams: &[Stream]) -> Vec<Track> {
    let mut tracks: Vec<Track> = vec![];
    for stream in streams {
        let kind = TrackKind::of(stream);
        let number = tracks.iter().filter(|track| track.kind == kind).count() + 1;
        tracks.push(Track::of(stream, number));
    }
    tracks
}

/// The one track of an animated image; an error where another is requested.
pub(super) fn of_animation(path: &Path, codec: &str, choice: TrackChoice) -> Result<Vec<Track>, MediaError> {
    let mut tracks = vec![Track {
        kind: TrackKind::Video,
        number: 1,
        codec: Some(codec.to_owned()),
        language: None,
        title: None,
        default: false,
        role: None,
        taken: false,
        stream: 0,
    }];
    take(path, &mut tracks, TrackKind::Video, choice.video, |_| true)?;
    take(path, &mut tracks, TrackKind::Audio, choice.audio, |_| true)?;
    Ok(tracks)
}

/// Marks the track of a kind that is taken; the index of its stream. None where the file has none and none is wanted.
///
/// Without a wanted number: the first that is marked as default and is for everybody, else the first that is for
/// everybody, else the first. `usable` says which can be decoded.
pub(super) fn take(
    path: &Path,
    tracks: &mut [Track],
    kind: TrackKind,
    wanted: Option<usize>,
    usable: impl Fn(usize) -> bool,
) -> Result<Option<usize>, MediaError> {
    let of_kind = |track: &&Track| track.kind == kind;
    let found = match wanted {
        Some(number) => match tracks.iter().find(|track| track.kind == kind && track.number == number) {
            Some(track) if usable(track.stream) => Some(track),
            Some(track) => {
                let problem = format!("has {track}, which this ffmpeg cannot decode");
                return Err(Unusable::new(path, problem)
                    .wanted("a codec that ffmpeg knows")
                    .found(track.to_string())
                    .into());
            }
            None => return Err(absent(path, tracks, kind, number)),
        },
        None => {
            let candidates = || tracks.iter().filter(of_kind).filter(|track| usable(track.stream));
            let for_everybody = |track: &&Track| track.role.is_none();
            let marked = candidates().filter(for_everybody).find(|track| track.default);
            marked.or_else(|| candidates().find(for_everybody)).or_else(|| candidates().next())
        }
    };
    let stream = found.map(|track| track.stream);
    for track in tracks.iter_mut().filter(|track| track.kind == kind) {
        track.taken = Some(track.stream) == stream;
    }
    Ok(stream)
}

fn absent(path: &Path, tracks: &[Track], kind: TrackKind, number: usize) -> MediaError {
    let (word, there): (_, Vec<&Track>) =
        (kind.to_string(), tracks.iter().filter(|track| track.kind == kind).collect());
    let found = match there[..] {
        [] => format!("no {word} track"),
        _ => there.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let help = match there[..] {
        [] => format!("leave out --{word}-track, or this clip"),
        [_] => format!("give --{word}-track 1, or leave it out"),
        _ => format!("give --{word}-track 1 to {}, or leave it out", there.len()),
    };
    Unusable::new(path, format!("has no {word} track {number}"))
        .wanted(format!("{word} track {number} of each clip, as --{word}-track says"))
        .found(found)
        .help(help)
        .into()
}

/// What is left out of a file, in one line; None where nothing is.
pub(super) fn left_out(tracks: &[Track]) -> Option<String> {
    let left: Vec<String> = tracks.iter().filter(|track| !track.taken).map(ToString::to_string).collect();
    let choice = |kind| tracks.iter().filter(|track| track.kind == kind).count() > 1;
    let taken = tracks.iter().filter(|track| track.taken && choice(track.kind)).map(ToString::to_string);
    let taken: Vec<String> = taken.collect();
    let taken = if taken.is_empty() { String::new() } else { format!("takes {}; ", taken.join(" and ")) };
    (!left.is_empty()).then(|| format!("{taken}left out: {}", left.join(", ")))
}
