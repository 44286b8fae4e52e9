//! The manual: every link leads somewhere, every page is in the table of contents, every page that a comment names is there.

#![allow(clippy::unwrap_used, reason = "a failure of the test's own is a failure of the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below these folders with this extension.
fn files(folders: &[&str], extension: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == extension) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// The pages that people read.
fn pages() -> Vec<PathBuf> {
    let own = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "NOTICE.md"].map(|name| root().join(name));
    own.into_iter().chain(files(&["docs"], "md")).collect()
}

#[test]
fn every_link_leads_to_a_file() {
    let mut dead = vec![];
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if !link.contains("://") && !target.is_empty() && !page.parent().unwrap().join(target).exists() {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for page in files(&["docs"], "md") {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "SUMMARY.md" || contents.contains(&format!("({name})")), "{name}");
    }
}

#[test]
fn every_page_that_a_source_file_names_is_in_the_repository() {
    let mut missing = vec![];
    for file in files(&["src", "examples"], "rs").into_iter().chain(files(&["scripts", "src"], "py")) {
        let text = fs::read_to_string(&file).unwrap();
        let words = text.split(|c: char| !(c.is_alphanumeric() || "/._-".contains(c)));
        for page in words.map(|word| word.trim_matches(['.', '/'])).filter(|word| word.ends_with(".md")) {
            let places = [root().to_owned(), root().join("docs"), file.parent().unwrap().to_owned()];
            if !places.iter().any(|place| place.join(page).exists() || page.contains("/..")) {
                missing.push(format!("{}: {page}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_readme_is_short() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let words = text.split("```").step_by(2).flat_map(str::split_whitespace).count();
    assert!(words <= 700, "{words} words outside code");
}
