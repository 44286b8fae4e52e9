//! The layers of the program: a module imports from its own layer or from lower ones, never from a higher one, and never in
//! a circle. A path counts wherever it stands (`use`, or in the middle of a line), also inside groups and behind `super`.

#![allow(clippy::unwrap_used, reason = "a failure of the test's own is a failure of the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// The modules of `wanctl`, each with its layer.
const WANCTL: &[(&str, u8)] = &[
    ("main", 11),
    ("cmd", 10),
    ("pipeline::run::project", 9),
    ("pipeline::inspect", 9),
    ("pipeline::run::command", 9),
    ("pipeline::run::guide", 9),
    ("pipeline::run::names", 9),
    ("pipeline::run::resolver", 9),
    ("pipeline::run::session", 9),
    ("pipeline::run::error", 8),
    ("pipeline::run::render", 7),
    ("pipeline::run::slurm", 7),
    ("pipeline::run::engine", 6),
    ("pipeline::run::folder", 6),
    ("pipeline::run::soundtrack", 6),
    ("pipeline::report::guide", 6),
    ("pipeline::report::contact_sheet", 6),
    ("pipeline::worker_tasks", 6),
    ("pipeline::frames::generated", 5),
    ("pipeline::frames::source", 5),
    ("pipeline::frames::film", 5),
    ("pipeline::frames::dissolve", 5),
    ("pipeline::frames::color_adjust", 5),
    ("pipeline::frames::grid_crop", 5),
    ("pipeline::options", 4),
    ("pipeline::options::story", 4),
    ("pipeline::media", 3),
    ("pipeline::plan", 2),
    ("pipeline::job", 2),
    ("pipeline::job::memory", 2),
    ("pipeline::job::schedule", 2),
    ("pipeline::weights", 2),
    ("pipeline::system", 1),
    ("pipeline::types", 0),
];

/// The modules of `wanctl-engine`.
const ENGINE: &[(&str, u8)] = &[
    ("bin::wanctl-engine", 5),
    ("engine", 4),
    ("engine::jobs", 4),
    ("engine::rife", 3),
    ("engine::wan", 3),
    ("engine::weights", 2),
    ("engine::layers", 2),
    ("engine::torch", 1),
];

/// What the engine may import from the library.
const SHARED: &[&str] = &["pipeline::job", "pipeline::weights", "pipeline::system", "pipeline::types"];

/// Files that only declare modules.
const DECLARATIONS: &[&str] = &["", "pipeline", "pipeline::frames", "pipeline::report", "pipeline::run"];

#[test]
fn every_import_goes_to_its_own_or_a_lower_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut complaints, mut imports) = (String::new(), BTreeMap::<_, BTreeSet<_>>::new());
    for file in sources(&root.join("src")) {
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let here = module_of(&shown);
        let from = match listed(&here) {
            Some(module) => module,
            None if DECLARATIONS.contains(&here.join("::").as_str()) => continue,
            None => {
                writeln!(complaints, "{shown}: a module without a layer; give it one in tests/layering.rs").unwrap();
                continue;
            }
        };
        for (line, path) in paths(&fs::read_to_string(&file).unwrap(), &here) {
            match import(from, &path) {
                Ok(to) if to == from => {}
                Ok(to) => drop(imports.entry(from).or_default().insert(to)),
                Err(why) => writeln!(complaints, "{shown}:{line}: {why}").unwrap(),
            }
        }
    }
    if let Some(circle) = circle(&imports) {
        writeln!(complaints, "modules that import each other in a circle: {}", circle.join(" -> ")).unwrap();
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

/// The module that `path` leads to, or why `from` may not import it.
fn import(from: &'static str, path: &[String]) -> Result<&'static str, String> {
    let shown = path.join("::");
    let to = listed(path).ok_or_else(|| match DECLARATIONS.contains(&shown.as_str()) {
        true => format!("`{shown}` only declares modules; import what is meant"),
        false => format!("`{shown}` is in no module that tests/layering.rs lists"),
    })?;
    match (program_of(from), program_of(to)) {
        (Some(WANCTL), Some(ENGINE)) => Err(format!("{from} may not import {to}: tensors belong to the other program")),
        (Some(ENGINE), Some(WANCTL)) => match SHARED.iter().any(|shared| is_under(path, shared)) {
            true => Ok(to),
            false => Err(format!("{from} may not import `{shown}`: the programs share only {}", SHARED.join(", "))),
        },
        _ if layer_of(to) > layer_of(from) => {
            Err(format!("{from} (layer {}) imports {to} (layer {})", layer_of(from), layer_of(to)))
        }
        _ => Ok(to),
    }
}

fn modules() -> impl Iterator<Item = &'static (&'static str, u8)> {
    WANCTL.iter().chain(ENGINE)
}

fn is_under(path: &[String], module: &str) -> bool {
    module.split("::").count() <= path.len() && module.split("::").zip(path).all(|(a, b)| a == b)
}

/// The listed module with the longest name that contains `path`.
fn listed(path: &[String]) -> Option<&'static str> {
    modules().map(|(module, _)| *module).filter(|module| is_under(path, module)).max_by_key(|module| module.len())
}

fn layer_of(module: &str) -> u8 {
    modules().find(|(name, _)| *name == module).map(|(_, layer)| *layer).expect("modules come from the tables")
}

fn program_of(module: &str) -> Option<&'static [(&'static str, u8)]> {
    [WANCTL, ENGINE].into_iter().find(|program| program.iter().any(|(name, _)| *name == module))
}

/// Some circle of modules, its first module named again at the end.
fn circle(imports: &BTreeMap<&'static str, BTreeSet<&'static str>>) -> Option<Vec<&'static str>> {
    fn walk(
        way: &mut Vec<&'static str>,
        imports: &BTreeMap<&'static str, BTreeSet<&'static str>>,
    ) -> Option<Vec<&'static str>> {
        for next in imports.get(way.last()?).into_iter().flatten() {
            if let Some(start) = way.iter().position(|module| module == next) {
                return Some(way[start..].iter().chain([next]).copied().collect());
            }
            way.push(next);
            if let Some(circle) = walk(way, imports) {
                return Some(circle);
            }
            way.pop();
        }
        None
    }
    imports.keys().find_map(|start| walk(&mut vec![*start], imports))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// `src/pipeline/media/mod.rs` is `pipeline::media`; `src/lib.rs` is nothing.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    inner.split('/').filter(|name| *name != "lib").map(str::to_owned).collect()
}

/// Every path in `source` that starts at the crate or climbs by `super`, written from the crate's root, with its line.
fn paths(source: &str, here: &[String]) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(source);
    let word = |at: usize| tokens.get(at).map_or("", |(_, word)| word.as_str());
    let (mut found, mut inner, mut braces) = (Vec::new(), here.to_vec(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        match word(at) {
            "{" => {
                let module = at >= 2 && word(at - 2) == "mod";
                if module {
                    inner.push(word(at - 1).to_owned());
                }
                braces.push(module);
            }
            "}" if braces.pop() == Some(true) => drop(inner.pop()),
            start @ ("crate" | "wanctl" | "super") if word(at + 1) == "::" && (at == 0 || word(at - 1) != "::") => {
                let mut base = if start == "super" { inner.clone() } else { Vec::new() };
                let mut next = at;
                while word(next) == "super" && word(next + 1) == "::" {
                    base.pop();
                    next += 2;
                }
                if start != "super" {
                    next += 2;
                }
                let line = tokens[at].0;
                at = leaves(&tokens, next, base, &mut |path| found.push((line, path)));
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads one path or group from `at` on, hands out its leaves below `base`, and says where it ends.
fn leaves(
    tokens: &[(usize, String)],
    mut at: usize,
    mut base: Vec<String>,
    leaf: &mut impl FnMut(Vec<String>),
) -> usize {
    let word = |at: usize| tokens.get(at).map_or("", |(_, word)| word.as_str());
    loop {
        match word(at) {
            "{" => {
                at += 1;
                while !matches!(word(at), "}" | "") {
                    at = leaves(tokens, at, base.clone(), leaf);
                    while !matches!(word(at), "," | "}" | "") {
                        at += 1; // `as name`
                    }
                    at += usize::from(word(at) == ",");
                }
                return at + 1;
            }
            "self" | "*" => {
                leaf(base);
                return at + 1;
            }
            name if name.starts_with(|first: char| first.is_alphabetic() || first == '_') => {
                base.push(name.to_owned());
                at += 1;
                if word(at) != "::" {
                    leaf(base);
                    return at;
                }
                at += 1;
            }
            // `crate::name::<T>`: the rest is no module.
            _ => {
                leaf(base);
                return at;
            }
        }
    }
}

/// Words, `::` and other marks with their lines; comments, strings and characters are left out.
fn tokens(source: &str) -> Vec<(usize, String)> {
    let (mut found, mut line, mut rest) = (Vec::new(), 1, source);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            // A lifetime has no second quote after one character.
            let closes = rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'');
            if closes { quoted(rest, '\'') } else { 1 }
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push((line, rest[..length].to_owned()));
            length
        } else {
            let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                found.push((line, rest[..length].to_owned()));
            }
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The length of `r"..."`, `r#"..."#` and their byte forms, where `rest` starts with one.
fn raw_string(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = inner.len() - inner.trim_start_matches('#').len();
    let body = inner[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(rest.len() - body.len() + length)
}

/// The length of a string or character, its quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn read(source: &str, module: &str) -> Vec<(usize, String)> {
    let here: Vec<_> = module.split("::").map(str::to_owned).collect();
    paths(source, &here).into_iter().map(|(line, path)| (line, path.join("::"))).collect()
}

#[test]
fn groups_aliases_and_paths_inside_lines_are_read() {
    let source = "use std::fs;\nuse crate::pipeline::{\n    video::{self, Size},\n    plan as p, media::*,\n};\n\
                  fn f() { wanctl::pipeline::run::open::<u8>(crate::x); } // use crate::gone\n";
    let expected =
        ["pipeline::video", "pipeline::video::Size", "pipeline::plan", "pipeline::media", "pipeline::run::open", "x"];
    let found: Vec<_> = read(source, "cmd").into_iter().map(|(_, path)| path).collect();
    assert_eq!(found, expected);
    assert_eq!(read(source, "cmd")[0].0, 2);
}

#[test]
fn super_climbs_from_the_module_it_stands_in() {
    let source = "use super::job::Event;\nmod tests {\n    use super::*;\n    use super::super::plan;\n}\n\
                  pub(super) fn f<'a>(c: char) { c == '\"'; \"crate::no\"; r#\"super::\"no\"#; }\nuse super::video;";
    let expected = ["pipeline::job::Event", "pipeline::media", "pipeline::plan", "pipeline::video"];
    let found: Vec<_> = read(source, "pipeline::media").into_iter().map(|(_, path)| path).collect();
    assert_eq!(found, expected);
}

#[test]
fn imports_of_higher_layers_unlisted_modules_and_the_other_program_are_refused() {
    let path = |shown: &str| shown.split("::").map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(import("pipeline::run::render", &path("pipeline::plan::Piece")), Ok("pipeline::plan"));
    for (from, to, why) in [
        (
            "pipeline::plan",
            "pipeline::run::folder::RunDir",
            "pipeline::plan (layer 2) imports pipeline::run::folder (layer 6)",
        ),
        ("cmd", "pipeline::attic", "in no module"),
        ("cmd", "pipeline", "only declares"),
        ("pipeline::run::engine", "engine::torch", "the other program"),
        ("engine::wan", "pipeline::options::presets", "the programs share only"),
    ] {
        let found = import(from, &path(to)).unwrap_err();
        assert!(found.contains(why), "{found}");
    }
}

#[test]
fn a_circle_is_found() {
    let imports = BTreeMap::from([("a", BTreeSet::from(["b"])), ("b", BTreeSet::from(["c"])), ("c", ["b"].into())]);
    assert_eq!(circle(&imports), Some(vec!["b", "c", "b"]));
    assert_eq!(circle(&BTreeMap::from([("a", BTreeSet::from(["b", "c"])), ("b", ["c"].into())])), None);
}
