//! The last look before a film takes its name: decoded whole, counted, and asked what it is.

use std::path::Path;

use super::{
    Media,
    clip::{Clip, Timing},
    dialect,
    encode::FilmFormat,
    error::{MediaError, Tool},
    process::{Child, Pipes},
};

/// A film that is what it should be.
#[derive(Debug)]
pub struct Verified {
    pub film: Clip,
}

impl Media {
    /// Decodes `path` from end to end and compares it with what was meant.
    pub fn verify(
        &self,
        path: &Path,
        format: &FilmFormat,
        frames: usize,
        with_sound: bool,
        mut each: impl FnMut(usize),
    ) -> Result<Verified, MediaError> {
        let words =
            ["-v", "error", "-nostdin", "-nostats", "-progress", "pipe:1", "-stats_period", "0.2", "-xerror", "-i"];
        let mut words: Vec<_> = words.map(std::ffi::OsString::from).to_vec();
        words.push(dialect::url(path));
        words.extend(["-map", "0"].map(Into::into));
        words.extend(dialect::PASS_FRAMES.map(Into::into));
        words.extend(["-f", "null", "-"].map(Into::into));
        let mut child = Child::start(self, Tool::Ffmpeg, "decoding the film to verify it", Pipes::Progress, words)?;
        child.wait_with(&mut each)?;
        let decoded = child.frames_reported();
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
        // One frame has no rhythm to check.
        if frames > 1 && (film.fps != format.fps || film.timing != Timing::Constant) {
            let found = format!("{} fps, {:?}", film.fps, film.timing).to_lowercase();
            return wrong("its rate is off", format!("{} fps, constant", format.fps), found);
        }
        if film.sound.is_some() != with_sound {
            let word = |sound: bool| if sound { "sound" } else { "no sound" }.to_owned();
            return wrong("its sound is off", word(with_sound), word(!with_sound));
        }
        Ok(Verified { film })
    }
}
