//! The story: a plan becomes a film.
#![allow(clippy::disallowed_types, reason = "here errors of the rooms below get the context of the whole run")]

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use color_eyre::eyre::{Result, WrapErr};

use super::{
    dissolve,
    footage::{Footage, Known},
    media::{Clip, Encoder, FilmFormat, MediaError, SoundCodec},
    output::Destination,
    pixels,
    plan::{Fade, FramePlan, FrameRef, Origin, Piece},
    progress::{Progress, Stage},
    settings::{Audio, FilmSettings},
    soundtrack::{soundtrack, total_samples},
};

/// Everything that a film is made from.
#[derive(Debug)]
pub struct Render<'a> {
    pub footage: Footage<'a>,
    pub plan: &'a FramePlan,
    pub settings: &'a FilmSettings,
    /// Where intermediate files go.
    pub run_folder: &'a Path,
}

/// A film that is done and verified.
#[derive(Debug)]
pub struct Finished {
    pub path: PathBuf,
    pub film: Clip,
    /// The part of the time that went into the last check.
    pub verifying: Duration,
}

impl Render<'_> {
    /// Sound, frames, check, name: in this order, so that the name is given to nothing less.
    pub fn film(&self, destination: Destination, progress: &dyn Progress) -> Result<Finished> {
        let format = self.footage.cast.film.format(self.settings);
        let sound = self.sound(progress)?;
        let frames = self.plan.frames();

        progress.begin(Stage::Film, frames);
        let mut film =
            self.footage.media.encode(&format, sound.as_deref(), destination.temporary(), "encoding the film")?;
        for piece in &self.plan.timeline {
            self.write(piece, &mut film, progress)?;
        }
        film.finish()?;

        progress.begin(Stage::Verify, frames);
        let verify = Instant::now();
        let media = self.footage.media;
        let each = |done| progress.reached(done);
        let verified = media.verify(destination.temporary(), &format, frames, sound.is_some(), each)?;
        let path = destination.finish()?;
        Ok(Finished { path, film: verified.film, verifying: verify.elapsed() })
    }

    /// The bare made piece of a seam, context included.
    pub fn transition(&self, seam: usize, destination: Destination, progress: &dyn Progress) -> Result<PathBuf> {
        let format = self.footage.cast.film.format(self.settings);
        let slots = self.plan.seams[seam].slots.len();
        progress.begin(Stage::Film, slots);
        let known = self.known(seam)?;
        let mut film = self.footage.media.encode(&format, None, destination.temporary(), "encoding the transition")?;
        for index in 0..slots {
            film.write(&self.made(seam, &known, index, &format))?;
            progress.reached(index + 1);
        }
        film.finish()?;
        self.footage.media.verify(destination.temporary(), &format, slots, false, |_| {})?;
        Ok(destination.finish()?)
    }

    fn write(&self, piece: &Piece, film: &mut Encoder, progress: &dyn Progress) -> Result<()> {
        let format = self.footage.cast.film.format(self.settings);
        let done = |film: &Encoder| progress.reached(film.written());
        match piece {
            Piece::Copy { input, frames } => {
                let mut stretch = self.footage.stretch(*input, frames.clone())?;
                while let Some(frame) = stretch.read()? {
                    film.write(frame)?;
                    done(film);
                }
            }
            Piece::Made { seam, frames } => {
                let known = self.known(*seam)?;
                for index in frames.clone() {
                    film.write(&self.made(*seam, &known, index, &format))?;
                    done(film);
                }
            }
            Piece::Blend { seam, input, frames, made, fade } => {
                let known = self.known(*seam)?;
                for (step, (index, made)) in frames.clone().zip(made.clone()).enumerate() {
                    let own = &known.frame(FrameRef { origin: Origin::Input(*input), index }).rgb;
                    let made = dissolve::made(&self.plan.seams[*seam], &known, made).rgb;
                    let weight = pixels::fade_weight(step, frames.len());
                    let mixed = match fade {
                        Fade::ClipToMade => pixels::mix(own, &made, weight),
                        Fade::MadeToClip => pixels::mix(&made, own, weight),
                    };
                    film.write(&pixels::from_rgb(&mixed, format.size, format.layout))?;
                    done(film);
                }
            }
        }
        Ok(())
    }

    fn made(&self, seam: usize, known: &Known, index: usize, format: &FilmFormat) -> Vec<u8> {
        let frame = dissolve::made(&self.plan.seams[seam], known, index);
        pixels::from_rgb(&frame.rgb, format.size, format.layout)
    }

    fn known(&self, seam: usize) -> Result<Known> {
        let known = self.footage.known(&self.plan.seams[seam]);
        known.wrap_err_with(|| format!("seam {} of {}", seam + 1, self.plan.seams.len()))
    }

    /// The coded soundtrack; None for a silent film.
    fn sound(&self, progress: &dyn Progress) -> Result<Option<PathBuf>, MediaError> {
        let media = self.footage.media;
        let (codec, name) = match self.settings.extension() {
            "mkv" => (SoundCodec::Flac, "sound.mka"),
            _ => (SoundCodec::Aac, "sound.m4a"),
        };
        let path = self.run_folder.join(name);
        match &self.settings.audio {
            Audio::Mute => return Ok(None),
            Audio::Keep => {
                let Some(track) = soundtrack(self.plan, self.footage.cast) else { return Ok(None) };
                progress.begin(Stage::Sound, 0);
                media.sound(&track, codec, &path)?;
            }
            Audio::File(file) => {
                progress.begin(Stage::Sound, 0);
                let sound = media.probe_sound(file)?;
                let rate = if sound.rate > 96_000 { 48_000 } else { sound.rate };
                media.sound_from_file(file, total_samples(self.plan, rate), rate, sound.channels, codec, &path)?;
            }
        }
        Ok(Some(path))
    }
}
