//! The last look before a film takes its name: decoded whole, counted, heard, and asked what it is.

use std::{ffi::OsString, fs, path::Path};

use super::{
    Media,
    clip::{Clip, Timing},
    encode::FilmFormat,
    error::{MediaError, Tool},
    ffmpeg_compat,
    levels::{ExpectedSound, Levels},
    process::{Child, Pipes},
};

/// A film that is what it should be.
#[derive(Debug)]
pub struct Verified {
    pub film: Clip,
}

/// The sound of a film, as it was heard.
struct Heard {
    levels: Levels,
    samples: u64,
}

/// Samples that are read at once.
const READ: usize = 16_384;

impl Media {
    /// Decodes `path` from end to end and compares it with what was meant. `sound`: what it must sound like; None for a
    /// silent film. `folder` is for a file of a moment.
    pub fn verify(
        &self,
        path: &Path,
        format: &FilmFormat,
        frames: usize,
        (sound, folder): (Option<&ExpectedSound>, &Path),
        mut each: impl FnMut(usize),
    ) -> Result<Verified, MediaError> {
        let (decoded, heard) = match sound {
            Some(sound) => {
                let (decoded, heard) = self.hear(path, format, frames, (sound, folder), &mut each)?;
                (decoded, Some((sound, heard)))
            }
            None => (self.count(path, &mut each)?, None),
        };
        each(decoded);
        let wrong = |problem: &str, wanted: String, found: String| {
            Err(MediaError::Wrong { problem: problem.into(), wanted, found })
        };
        if decoded != frames {
            return wrong("its frames do not add up", format!("{frames} frames"), format!("{decoded} frames decode"));
        }
        let film = self.probe(path).map_err(|error| match error {
            MediaError::Unusable(_) => MediaError::Wrong {
                problem: format!("it cannot be read back: {error}"),
                wanted: "a file that wanctl itself could join".into(),
                found: "one that it refuses".into(),
            },
            other => other,
        })?;
        if film.frames != frames {
            return wrong(
                "its index does not fit",
                format!("{frames} frames"),
                format!("{} in the index", film.frames),
            );
        }
        if film.picture.size != format.size {
            return wrong("its size is off", format.size.to_string(), film.picture.size.to_string());
        }
        // One frame has no rate to check.
        if frames > 1 && (film.fps != format.fps || film.timing != Timing::Constant) {
            let found = format!("{} fps, {:?}", film.fps, film.timing).to_lowercase();
            return wrong("its rate is off", format!("{} fps, constant", format.fps), found);
        }
        match (&film.sound, heard) {
            (Some(sound), Some((expected, heard))) => {
                let frame = format.fps.time_of(1);
                let frame = *frame.numer() as f64 / *frame.denom() as f64;
                let (lasts, shown) = (heard.samples as f64 / f64::from(expected.rate), frames as f64 * frame);
                if (lasts - shown).abs() > frame.max(sound.packet) + 0.5 / f64::from(expected.rate) {
                    let (wanted, found) = (format!("{shown:.3} s, as its picture"), format!("{lasts:.3} s"));
                    return wrong("its sound is not as long as its picture", wanted, found);
                }
                let late = *film.picture_start.numer() as f64 / *film.picture_start.denom() as f64;
                if late > frame.max(sound.packet) {
                    return wrong(
                        "its picture begins late",
                        "picture and sound from 0 s on".into(),
                        format!("a picture from {late:.3} s on"),
                    );
                }
                expected.compare(&heard.levels, frame)?;
            }
            (None, None) => {}
            (found, _) => {
                let word = |sound: bool| if sound { "sound" } else { "no sound" }.to_owned();
                return wrong("its sound is off", word(found.is_none()), word(found.is_some()));
            }
        }
        Ok(Verified { film })
    }

    /// The frames of a film, by decoding all that is in it.
    fn count(&self, path: &Path, each: impl FnMut(usize)) -> Result<usize, MediaError> {
        let mut words = decode(path);
        words.extend(["-progress", "pipe:1", "-map", "0"].map(OsString::from));
        words.extend(ffmpeg_compat::PASS_FRAMES.map(OsString::from));
        words.extend(["-f", "null", "-"].map(OsString::from));
        let mut child = Child::start(self, Tool::Ffmpeg, "decoding the film to verify it", Pipes::Progress, words)?;
        child.wait_with(each)?;
        Ok(child.frames_reported())
    }

    /// The same, and what is heard meanwhile.
    fn hear(
        &self,
        path: &Path,
        format: &FilmFormat,
        frames: usize,
        (sound, folder): (&ExpectedSound, &Path),
        mut each: impl FnMut(usize),
    ) -> Result<(usize, Heard), MediaError> {
        let &ExpectedSound { rate, channels, .. } = sound;
        // The child's stdout is for the samples.
        let report = folder.join("verify.progress");
        let mut words = decode(path);
        words.extend(["-y".into(), "-progress".into(), ffmpeg_compat::url(&report)]);
        words.extend(["-map", "0:v"].map(OsString::from));
        words.extend(ffmpeg_compat::PASS_FRAMES.map(OsString::from));
        words.extend(["-f", "null", "-", "-map", "0:a:0", "-af"].map(OsString::from));
        words.push(format!("aresample={rate}:async=1:first_pts=0").into());
        words.extend(["-ac".into(), channels.to_string().into()]);
        words.extend(["-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"].map(OsString::from));
        let mut child = Child::start(self, Tool::Ffmpeg, "decoding the film to verify it", Pipes::Out, words)?;
        // What is heard behind the picture counts for the length alone.
        let length = (format.fps.time_of(frames) * i64::from(rate)).ceil().to_integer() as u64;
        let mut heard = Heard { levels: Levels::new(rate, channels, 0..length), samples: 0 };
        let mut bytes = vec![0; READ * channels * size_of::<f32>()];
        loop {
            let filled = child.fill(&mut bytes)?;
            let samples = bytes[..filled].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            let samples: Vec<f32> = samples.collect();
            heard.levels.add(heard.samples as i64, &samples);
            heard.samples += (samples.len() / channels) as u64;
            each((heard.samples as usize * frames / length.max(1) as usize).min(frames));
            if filled < bytes.len() {
                break;
            }
        }
        child.end()?;
        let text = fs::read_to_string(&report).map_err(|source| MediaError::Io { path: report.clone(), source })?;
        // Best effort: it is gone with the run's folder at the latest.
        let _ = fs::remove_file(&report);
        let counted = text.lines().rev().find_map(|line| line.strip_prefix("frame=")?.trim().parse().ok());
        Ok((counted.unwrap_or(0), heard))
    }
}

fn decode(path: &Path) -> Vec<OsString> {
    let words = ["-v", "error", "-nostdin", "-nostats", "-stats_period", "0.2", "-xerror", "-i"];
    let mut words: Vec<OsString> = words.map(OsString::from).to_vec();
    words.push(ffmpeg_compat::url(path));
    words
}
