//! A plan becomes a film: engines generate its segments, then frames and sound are encoded and checked.

mod crew;
mod error;
mod gather;
mod orders;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use self::error::RenderError;
use self::{crew::EnginePool, orders::JobWriter};
use crate::pipeline::{
    frames::{
        color_adjust,
        generated::GeneratedFrames,
        source::{FrameError, FrameSource},
    },
    job::{Backend, JobResult},
    media::{
        self, Clip, Encoder, ExpectedSound, ExtraStreams, Frames, MediaError, SoundCodec, SoundSource, WrittenSound,
    },
    options::{Audio, EngineSettings, FilmSettings},
    plan::{Fade, FramePlan, Origin, Stretch, TimelineItem},
    run::{
        engine::Engine,
        soundtrack::{soundtrack, soundtrack_of_file},
    },
    system::output::Destination,
    types::{
        pixels,
        progress::{Progress, Stage, Warning},
        video::{Frame, Layout},
    },
};

#[cfg(test)]
mod tests;

/// Everything that a film is made from.
#[derive(Debug)]
pub struct Render<'a> {
    pub frame_source: FrameSource<'a>,
    pub plan: &'a FramePlan,
    pub settings: &'a FilmSettings,
    /// What the film carries inside it.
    pub note: &'a str,
    /// Where intermediate files go.
    pub run_folder: &'a Path,
    /// Who makes the frames between; the engine's are here once it has run.
    pub between: GeneratedFrames,
}

/// A film that is done and verified.
#[derive(Debug)]
pub struct Finished {
    pub film: Clip,
    /// The part of the time that went into the last check.
    pub verifying: Duration,
}

impl<'a> Render<'a> {
    /// Has engines make the frames of these seams; `makers` has one for each of all.
    pub fn run_engine(
        &mut self,
        engine: &Engine,
        makers: &[Backend],
        settings: &EngineSettings,
        (run, seams): (&str, &[usize]),
        progress: &dyn Progress,
    ) -> Result<Vec<JobResult>, RenderError> {
        let &mut Self { ref frame_source, plan, run_folder, .. } = self;
        let orders = JobWriter { makers, frame_source, plan, run, run_folder };
        let made = EnginePool { engine, settings, orders, progress }.work(seams)?;
        let outcomes = made.values().map(|made| made.outcome.clone()).collect();
        self.between = GeneratedFrames::engine(made);
        Ok(outcomes)
    }

    /// Takes what a run has made at every seam, and has nothing made.
    pub fn gather(&mut self, makers: &[Backend], run: &str, progress: &dyn Progress) -> Result<(), RenderError> {
        let &mut Self { ref frame_source, plan, run_folder, .. } = self;
        let made = gather::gather(&JobWriter { makers, frame_source, plan, run, run_folder }, progress)?;
        self.between = GeneratedFrames::engine(made);
        Ok(())
    }

    /// Sound, frames, check. The name is the caller's to give, when all that a run makes is whole.
    pub fn film(&mut self, destination: &Destination, progress: &dyn Progress) -> Result<Finished, RenderError> {
        let format = self.frame_source.inputs.film.format(self.settings);
        let sound = self.sound(progress)?;
        let note = self.run_folder.join("note");
        media::write_note(&note, self.note).map_err(|source| MediaError::Io { path: note.clone(), source })?;
        let beside = ExtraStreams { sound: sound.as_ref().map(|(path, _)| path.as_path()), note: Some(&note) };
        let frames = self.plan.frames();

        progress.begin(Stage::Film, frames);
        let mut film = self.frame_source.media.encode(&format, beside, destination.temporary(), "encoding the film")?;
        let plan = self.plan;
        for piece in &plan.timeline {
            self.write(piece, &mut film, progress)?;
        }
        film.finish()?;

        progress.begin(Stage::Verify, frames);
        let verify = Instant::now();
        let media = self.frame_source.media;
        let each = |done| progress.reached(done);
        let expected = sound.as_ref().map(|(_, expected)| expected);
        let verified = media.verify(destination.temporary(), &format, frames, (expected, self.run_folder), each)?;
        Ok(Finished { film: verified.film, verifying: verify.elapsed() })
    }

    /// The bare made piece of a seam, context included.
    pub fn transition(
        &mut self,
        seam: usize,
        destination: &Destination,
        progress: &dyn Progress,
    ) -> Result<Finished, RenderError> {
        let format = self.frame_source.inputs.film.format(self.settings);
        let slots = self.plan.seams[seam].slots.len();
        progress.begin(Stage::Film, slots);
        let media = self.frame_source.media;
        let mut film =
            media.encode(&format, ExtraStreams::default(), destination.temporary(), "encoding the transition")?;
        for index in 0..slots {
            let frame = self.made(seam, index)?;
            film.write(&pixels::from_rgb(&frame.rgb, format.size, format.layout))?;
            progress.reached(index + 1);
        }
        film.finish()?;
        let verify = Instant::now();
        let verified = media.verify(destination.temporary(), &format, slots, (None, self.run_folder), |_| {})?;
        Ok(Finished { film: verified.film, verifying: verify.elapsed() })
    }

    fn write(&mut self, piece: &TimelineItem, film: &mut Encoder, progress: &dyn Progress) -> Result<(), RenderError> {
        let format = self.frame_source.inputs.film.format(self.settings);
        let write = |film: &mut Encoder, rgb: &[u8]| -> Result<(), RenderError> {
            film.write(&pixels::from_rgb(rgb, format.size, format.layout))?;
            progress.reached(film.written());
            Ok(())
        };
        match piece {
            TimelineItem::Copy { input, frames } => {
                let mut stretch = self.frame_source.stretch(*input, frames.clone(), format.layout)?;
                while let Some(frame) = stretch.read()? {
                    film.write(frame)?;
                    progress.reached(film.written());
                }
            }
            TimelineItem::Made { seam, frames } => {
                for index in frames.clone() {
                    write(film, &self.made(*seam, index)?.rgb)?;
                }
            }
            TimelineItem::Blend { seam, made, fade, .. } => {
                for (step, index) in made.clone().enumerate() {
                    let own = self.between.shown(&self.frame_source, self.plan, *seam, index);
                    let own = own.map_err(|error| self.in_segment(error, *seam))?.rgb;
                    let new = self.made(*seam, index)?.rgb;
                    let weight = pixels::fade_weight(step, made.len());
                    let mixed = match fade {
                        Fade::ClipToMade => pixels::mix(&own, &new, weight),
                        Fade::MadeToClip => pixels::mix(&new, &own, weight),
                    };
                    write(film, &mixed)?;
                }
            }
            TimelineItem::Cross { from, to, curve } => {
                let (mut first, mut second) = (self.reel(from)?, self.reel(to)?);
                let frames = from.frames.len();
                for index in 0..frames {
                    let (one, other) = (self.next(&mut first)?, self.next(&mut second)?);
                    write(film, &color_adjust::crossed(&one, &other, *curve, index, frames))?;
                }
                // Only now it is known that their decoders ended well.
                first.end()?;
                second.end()?;
            }
        }
        Ok(())
    }

    /// Frame `index` of a seam as the film has it.
    fn made(&mut self, seam: usize, index: usize) -> Result<Frame, RenderError> {
        let frame = self.between.made(&self.frame_source, self.plan, seam, index);
        let mut frame = frame.map_err(|error| self.in_segment(error, seam))?;
        color_adjust::tone(&mut frame, self.plan.tone(seam));
        Ok(frame)
    }

    fn reel(&self, stretch: &Stretch) -> Result<Reel<'a>, MediaError> {
        let Stretch { origin, frames } = stretch;
        Ok(match origin {
            Origin::Input(input) => {
                Reel::Clip(Box::new(self.frame_source.stretch(*input, frames.clone(), Layout::Rgb)?))
            }
            Origin::Gap(seam) => Reel::Generated(*seam, frames.clone()),
        })
    }

    fn next(&mut self, reel: &mut Reel<'_>) -> Result<Frame, RenderError> {
        match reel {
            Reel::Clip(frames) => {
                let rgb = frames.read()?.expect("as many as were asked for").to_vec();
                Ok(Frame { size: self.plan.size, rgb })
            }
            Reel::Generated(seam, frames) => {
                let index = frames.next().expect("as many as were asked for");
                self.made(*seam, index)
            }
        }
    }

    fn in_segment(&self, error: FrameError, seam: usize) -> RenderError {
        RenderError::from(error).in_segment(of_seams(self.plan, seam))
    }

    /// The coded soundtrack, and what the film must sound like; None for a silent film.
    fn sound(&self, progress: &dyn Progress) -> Result<Option<(PathBuf, ExpectedSound)>, MediaError> {
        let media = self.frame_source.media;
        let (codec, name) = match self.settings.extension() {
            "mkv" => (SoundCodec::Flac, "sound.mka"),
            _ => (SoundCodec::Aac, "sound.m4a"),
        };
        let path = self.run_folder.join(name);
        let WrittenSound { expected, missing } = match &self.settings.audio {
            Audio::Mute => return Ok(None),
            Audio::Keep => {
                let Some(track) = soundtrack(self.plan, self.frame_source.inputs) else { return Ok(None) };
                progress.begin(Stage::Sound, 0);
                media.sound(&track, codec, &path)?
            }
            Audio::File(file) => {
                progress.begin(Stage::Sound, 0);
                let sound = media.probe_sound(file)?;
                let track = soundtrack_of_file(self.plan, SoundSource { path: file, sound: &sound });
                media.sound(&track, codec, &path)?
            }
        };
        for missing in missing {
            let message = missing.to_string();
            progress.warn(Warning { code: "missing_sound", file: Some(missing.path), message });
        }
        Ok(Some((path, expected)))
    }
}

/// Frames that are crossed with others.
enum Reel<'a> {
    Clip(Box<Frames<'a>>),
    Generated(usize, Range<usize>),
}

impl Reel<'_> {
    fn end(&mut self) -> Result<(), MediaError> {
        match self {
            Self::Clip(frames) => frames.read().map(|_| ()),
            Self::Generated(..) => Ok(()),
        }
    }
}

/// `seam 2 of 3`; of a journey they are segments.
fn of_seams(plan: &FramePlan, seam: usize) -> String {
    format!("{} {} of {}", parts_of(plan), seam + 1, plan.seams.len())
}

fn parts_of(plan: &FramePlan) -> &'static str {
    if plan.journey.is_some() { "segment" } else { "seam" }
}
