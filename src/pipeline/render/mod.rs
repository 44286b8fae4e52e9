//! The story: a plan becomes a film.
#![allow(clippy::disallowed_types, reason = "here errors of the rooms below get the context of the whole run")]

mod crew;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use color_eyre::eyre::{Result, WrapErr};

use self::crew::Crew;
use super::{
    between::{Between, SeamFrames},
    engine::{Engine, EngineError},
    footage::Footage,
    job::{Maker, Outcome},
    media::{self, Beside, Clip, Encoder, FilmFormat, MediaError, SoundCodec},
    output::Destination,
    pixels,
    plan::{Fade, FramePlan, Piece},
    progress::{Progress, Stage},
    settings::{Audio, EngineSettings, FilmSettings},
    soundtrack::{soundtrack, total_samples},
};

/// Everything that a film is made from.
#[derive(Debug)]
pub struct Render<'a> {
    pub footage: Footage<'a>,
    pub plan: &'a FramePlan,
    pub settings: &'a FilmSettings,
    /// What the film carries inside it.
    pub note: &'a str,
    /// Where intermediate files go.
    pub run_folder: &'a Path,
    /// Who makes the frames between; the engine's are here once it has run.
    pub between: Between,
}

/// A film that is done and verified.
#[derive(Debug)]
pub struct Finished {
    pub film: Clip,
    /// The part of the time that went into the last check.
    pub verifying: Duration,
}

impl Render<'_> {
    /// Has engines make the frames of all seams; `makers` has one for each.
    pub fn run_engine(
        &mut self,
        engine: &Engine,
        makers: &[Maker],
        settings: &EngineSettings,
        run: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<Outcome>> {
        let &mut Self { ref footage, plan, run_folder, .. } = self;
        let made = Crew { engine, settings, makers, footage, plan, run, run_folder, progress }.work()?;
        let outcomes = made.iter().map(|made| made.outcome.clone()).collect();
        self.between = Between::Engine(made);
        Ok(outcomes)
    }

    /// Sound, frames, check. The name is the caller's to give, when all that a run makes is whole.
    pub fn film(&mut self, destination: &Destination, progress: &dyn Progress) -> Result<Finished> {
        let format = self.footage.cast.film.format(self.settings);
        let sound = self.sound(progress)?;
        let note = self.run_folder.join("note");
        media::write_note(&note, self.note).map_err(|source| MediaError::Io { path: note.clone(), source })?;
        let beside = Beside { sound: sound.as_deref(), note: Some(&note) };
        let frames = self.plan.frames();

        progress.begin(Stage::Film, frames);
        let mut film = self.footage.media.encode(&format, beside, destination.temporary(), "encoding the film")?;
        let plan = self.plan;
        for piece in &plan.timeline {
            self.write(piece, &mut film, progress)?;
        }
        film.finish()?;

        progress.begin(Stage::Verify, frames);
        let verify = Instant::now();
        let media = self.footage.media;
        let each = |done| progress.reached(done);
        let verified = media.verify(destination.temporary(), &format, frames, sound.is_some(), each)?;
        Ok(Finished { film: verified.film, verifying: verify.elapsed() })
    }

    /// The bare made piece of a seam, context included.
    pub fn transition(&mut self, seam: usize, destination: &Destination, progress: &dyn Progress) -> Result<()> {
        let format = self.footage.cast.film.format(self.settings);
        let slots = self.plan.seams[seam].slots.len();
        progress.begin(Stage::Film, slots);
        let media = self.footage.media;
        let mut frames = self.between.seam(&self.footage, &self.plan.seams, seam)?;
        let mut film = media.encode(&format, Beside::default(), destination.temporary(), "encoding the transition")?;
        for index in 0..slots {
            film.write(&made(&mut frames, index, &format)?)?;
            progress.reached(index + 1);
        }
        film.finish()?;
        self.footage.media.verify(destination.temporary(), &format, slots, false, |_| {})?;
        Ok(())
    }

    fn write(&mut self, piece: &Piece, film: &mut Encoder, progress: &dyn Progress) -> Result<()> {
        let format = self.footage.cast.film.format(self.settings);
        let seams = &self.plan.seams;
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
                let mut between =
                    self.between.seam(&self.footage, seams, *seam).wrap_err_with(|| of_seams(*seam, seams.len()))?;
                for index in frames.clone() {
                    film.write(&made(&mut between, index, &format)?)?;
                    done(film);
                }
            }
            Piece::Cross { .. } => unreachable!("no join has one"),
            Piece::Blend { seam, made, fade, .. } => {
                let mut between =
                    self.between.seam(&self.footage, seams, *seam).wrap_err_with(|| of_seams(*seam, seams.len()))?;
                for (step, index) in made.clone().enumerate() {
                    let own = between.shown(index).map_err(EngineError::from)?.rgb;
                    let new = between.made(index).map_err(EngineError::from)?.rgb;
                    let weight = pixels::fade_weight(step, made.len());
                    let mixed = match fade {
                        Fade::ClipToMade => pixels::mix(&own, &new, weight),
                        Fade::MadeToClip => pixels::mix(&new, &own, weight),
                    };
                    film.write(&pixels::from_rgb(&mixed, format.size, format.layout))?;
                    done(film);
                }
            }
        }
        Ok(())
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
                media.sound_from_file(file, &sound, total_samples(self.plan, rate), rate, codec, &path)?;
            }
        }
        Ok(Some(path))
    }
}

fn made(frames: &mut SeamFrames<'_>, index: usize, format: &FilmFormat) -> Result<Vec<u8>, EngineError> {
    Ok(pixels::from_rgb(&frames.made(index)?.rgb, format.size, format.layout))
}

fn of_seams(seam: usize, seams: usize) -> String {
    format!("seam {} of {seams}", seam + 1)
}
