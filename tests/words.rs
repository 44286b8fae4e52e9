//! Replaced names stay replaced: `tests/words.txt` lists them.

#![allow(clippy::unwrap_used, reason = "a failure of the test's own is a failure of the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

const KEYWORDS: [&str; 6] = ["struct", "enum", "trait", "type", "fn", "mod"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            false => {}
        }
    }
}

/// The names that are defined in a source, with their lines.
fn definitions(source: &str) -> Vec<(usize, &str)> {
    let mut found = vec![];
    for (number, line) in source.lines().enumerate() {
        let code = line.split("//").next().unwrap();
        let words: Vec<&str> =
            code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
        found.extend(words.windows(2).filter(|pair| KEYWORDS.contains(&pair[0])).map(|pair| (number + 1, pair[1])));
    }
    found
}

#[test]
fn no_definition_has_a_replaced_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("tests/words.txt")).unwrap();
    let replaced: Vec<(&str, &str)> = list.lines().filter_map(|line| line.split_once(" -> ")).collect();
    assert!(replaced.len() > 40);
    let mut files = vec![];
    sources(&root.join("src"), &mut files);
    let mut complaints = vec![];
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        for (line, name) in definitions(&source) {
            if let Some((_, new)) = replaced.iter().find(|(old, _)| *old == name) {
                complaints.push(format!("{}:{line}: {name} is called {new}", file.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn definitions_are_found_where_they_stand() {
    let source = "pub(crate) struct A<T>; // struct B\nimpl C { pub fn d(&self) {} }\nmod tests {\n";
    assert_eq!(definitions(source), [(1, "A"), (2, "d"), (3, "tests")]);
}
