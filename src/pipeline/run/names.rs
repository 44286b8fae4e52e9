//! Names of films that nobody names.

use std::path::{Path, PathBuf};

use crate::pipeline::{
    options::{FilmSettings, Parts},
    run::session::Scope,
};

/// `a_WORD_z`, after the first and the last input; `a_loop` for one that is joined.
pub fn default_stem(inputs: &[PathBuf], word: &str) -> PathBuf {
    let stem = |input: &PathBuf| input.file_stem().unwrap_or(input.as_os_str()).to_owned();
    let mut name = inputs.first().map(stem).unwrap_or_default();
    match inputs {
        [_, .., last] => {
            name.push(format!("_{word}_"));
            name.push(stem(last));
        }
        _ => name.push(if word == "join" { "_loop".into() } else { format!("_{word}") }),
    }
    name.into()
}

/// The film's name by its stem: `a_join_b.mp4`, of a single segment `a_travel_b_segment_2.mp4`.
pub fn of_film(stem: PathBuf, scope: Scope, parts: Parts, film: &FilmSettings) -> PathBuf {
    let mut name = stem.into_os_string();
    if let Scope::One(part) = scope {
        name.push(format!("_{}_{}", parts.of, part + 1));
    }
    name.push(format!(".{}", film.extension()));
    name.into()
}

/// One name for one seam; for several the number goes before the extension.
pub fn numbered(name: Option<&Path>, parts: Parts) -> Vec<PathBuf> {
    let Some(name) = name else { return vec![] };
    if parts.count == 1 {
        return vec![name.to_owned()];
    }
    let numbered = |part: usize| {
        let mut file = name.file_stem().unwrap_or_default().to_owned();
        file.push(format!("_{}", part + 1));
        if let Some(extension) = name.extension() {
            file.push(".");
            file.push(extension);
        }
        name.with_file_name(file)
    };
    (0..parts.count).map(numbered).collect()
}
