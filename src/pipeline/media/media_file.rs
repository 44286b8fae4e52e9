//! What a file is, a clip or an image, and that it is what was asked for.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::{
    Media,
    clip::Clip,
    error::{MediaError, Unusable},
    ffmpeg_compat,
    probe::regular_file,
    still::{self, Found, Looks, Still},
    tracks::{self, TrackChoice},
};

/// Everything that frames come from.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum MediaFile {
    Clip(Box<Clip>),
    Still(Still),
}

impl Media {
    /// The facts of several files, read at once; those of HDR as well.
    pub fn probe_files(&self, paths: &[PathBuf]) -> Vec<Result<MediaFile, MediaError>> {
        paths.par_iter().map(|path| self.material(path, TrackChoice::default())).collect()
    }

    /// The same as a film can use them: HDR is refused, or with `tone_map` brought to BT.709.
    pub fn probe_usable(
        &self,
        paths: &[PathBuf],
        choice: TrackChoice,
        tone_map: bool,
    ) -> Vec<Result<MediaFile, MediaError>> {
        paths.par_iter().map(|path| self.usable(self.material(path, choice)?, tone_map)).collect()
    }

    /// What was probed as a film can use it.
    pub fn usable(&self, material: MediaFile, tone_map: bool) -> Result<MediaFile, MediaError> {
        Ok(match material {
            MediaFile::Clip(clip) => MediaFile::Clip(Box::new(self.conform(*clip, false, tone_map)?)),
            MediaFile::Still(still) => MediaFile::Still(self.conform_still(still, tone_map)?),
        })
    }

    /// The facts of several clips, with these tracks of each; a still image is none.
    pub fn probe_clips(&self, paths: &[PathBuf], choice: TrackChoice, tone_map: bool) -> Result<Vec<Clip>, MediaError> {
        let moving = |material| match material {
            MediaFile::Clip(clip) => Ok(*clip),
            MediaFile::Still(still) => Err(no_clip(&still)),
        };
        self.probe_usable(paths, choice, tone_map).into_iter().map(|material| material.and_then(moving)).collect()
    }

    /// The facts of several images; each has one picture.
    pub fn probe_stills(&self, paths: &[PathBuf], tone_map: bool) -> Result<Vec<Still>, MediaError> {
        let still = |path: &PathBuf| match self.look(path, TrackChoice::default())? {
            Probe::MediaFile(MediaFile::Still(still)) => self.conform_still(still, tone_map),
            Probe::Animated(_) => Err(animated(path)),
            Probe::MediaFile(MediaFile::Clip(clip)) => Err(Unusable::new(path, "is a video")
                .wanted("an image")
                .found(format!("{} frames of {}", clip.frames, clip.picture.codec))
                .help(format!(
                    "take a picture of it: ffmpeg -ss SECONDS -i {} -frames:v 1 picture.png; a journey goes on from a \
                     video with --continue",
                    ffmpeg_compat::typed(path)
                ))
                .into()),
        };
        paths.par_iter().map(still).collect()
    }

    fn material(&self, path: &Path, choice: TrackChoice) -> Result<MediaFile, MediaError> {
        match self.look(path, choice)? {
            Probe::MediaFile(material) => Ok(material),
            Probe::Animated(Some(mut clip)) => {
                clip.tracks = tracks::of_animation(path, &clip.picture.codec, choice)?;
                Ok(MediaFile::Clip(clip))
            }
            Probe::Animated(None) => Ok(MediaFile::Clip(Box::new(self.probe_tracks(path, choice)?))),
        }
    }

    fn look(&self, path: &Path, choice: TrackChoice) -> Result<Probe, MediaError> {
        let bytes = regular_file(path)?;
        let avif = match still::looks(path) {
            Looks::Own(format) => match still::look(path, bytes, format)? {
                Found::Still(still) => return Ok(Probe::MediaFile(MediaFile::Still(still))),
                Found::Animated(clip) => return Ok(Probe::Animated(clip)),
                Found::Foreign => false,
            },
            // ffmpeg before 7 takes the first of the tiles for the whole.
            Looks::Tiled(kind) => {
                return Err(Unusable::new(path, format!("is {kind} image in tiles"))
                    .wanted("a picture that is stored whole: PNG, JPEG, WebP, AVIF or what else ffmpeg reads")
                    .found("tiles")
                    .help(format!("convert it first: heif-convert {} picture.png", ffmpeg_compat::typed(path)))
                    .into());
            }
            Looks::Avif => true,
            Looks::Other => false,
        };
        let clip = self.probe_tracks(path, choice)?;
        if !avif && !ffmpeg_compat::is_image(&clip.container) {
            return Ok(Probe::MediaFile(MediaFile::Clip(Box::new(clip))));
        }
        // Decoded here and now, as every image is.
        self.only_frame(&clip)?;
        Ok(Probe::MediaFile(MediaFile::Still(Still::of_clip(clip))))
    }
}

fn animated(path: &Path) -> MediaError {
    Unusable::new(path, "is animated")
        .wanted("an image with one picture")
        .found("more than one")
        .help("save the picture that is meant as a PNG")
        .into()
}

/// Of an image where a clip is wanted.
fn no_clip(still: &Still) -> MediaError {
    let quoted = ffmpeg_compat::typed(&still.path);
    Unusable::new(&still.path, "is a still image")
        .wanted("a video")
        .found(still.format.clone())
        .help(format!(
            "`wanctl travel` makes films of images; to join it as a clip of 2 s, make one of it: ffmpeg -i {quoted} -vf \
             'loop=loop=-1:size=1,setpts=N/25/TB,pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p' -r 25 -t 2 -c:v libx264 \
             -crf 14 still.mp4"
        ))
        .into()
}

enum Probe {
    MediaFile(MediaFile),
    /// A clip, but where its pictures are left to ffmpeg.
    Animated(Option<Box<Clip>>),
}
