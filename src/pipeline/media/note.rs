//! A note that a film carries inside it: text for whoever wrote it, that players do not show.

use std::{fs, io, path::Path};

use serde_json::{Map, Value};

use super::{Media, clip::name, error::MediaError, ffmpeg_compat, report::Report};

/// The tag's name; Matroska writes names in capitals.
const TAG: &str = "wanctl";

/// ffmpeg's own form for tags: a file, since a command line may not be as long as a note.
pub fn write_note(path: &Path, text: &str) -> io::Result<()> {
    let mut note = format!(";FFMETADATA1\n{TAG}=");
    for letter in text.chars() {
        if matches!(letter, '=' | ';' | '#' | '\\' | '\n') {
            note.push('\\');
        }
        note.push(letter);
    }
    fs::write(path, note + "\n")
}

/// Of all tags of a file.
pub(super) fn note_among(tags: &Map<String, Value>) -> Option<String> {
    let note = tags.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(TAG));
    note.and_then(|(_, text)| text.as_str()).map(str::to_owned)
}

impl Media {
    /// The note in a film; a file that is no film has none.
    pub fn note(&self, path: &Path) -> Result<Option<String>, MediaError> {
        let purpose = format!("reading the settings in {}", name(path));
        let words = ["-show_format"].map(Into::into).to_vec();
        let report: Report = match self.report(path, purpose, words) {
            Ok((report, _)) => report,
            Err(MediaError::Failed { transcript, .. }) if ffmpeg_compat::blames_the_file(&transcript.stderr) => {
                return Ok(None);
            }
            Err(other) => return Err(other),
        };
        Ok(report.format.and_then(|format| note_among(&format.tags)))
    }
}
