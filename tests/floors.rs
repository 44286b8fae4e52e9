//! The floors of the house: a room may use what lies on its own floor or below, never above, and never in a circle.
//! A path counts wherever it stands (`use`, or in the middle of a line), also inside groups and behind `super`.

#![allow(clippy::unwrap_used, reason = "a failure of the test's own is a failure of the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// What `wanctl` is made of, and each room's floor.
const WANCTL: &[(&str, u8)] = &[
    ("main", 7),
    ("cmd", 6),
    ("pipeline::render", 5),
    ("pipeline::guide", 4),
    ("pipeline::between", 4),
    ("pipeline::sheet", 3),
    ("pipeline::footage", 3),
    ("pipeline::soundtrack", 3),
    ("pipeline::film", 3),
    ("pipeline::engine", 3),
    ("pipeline::dissolve", 3),
    ("pipeline::retouch", 3),
    ("pipeline::run", 3),
    ("pipeline::slurm", 4),
    ("pipeline::output", 3),
    ("pipeline::settings", 2),
    ("pipeline::story", 2),
    ("pipeline::task", 2),
    ("pipeline::plan", 2),
    ("pipeline::media", 2),
    ("pipeline::memory", 2),
    ("pipeline::seams", 2),
    ("pipeline::checkpoint", 1),
    ("pipeline::job", 1),
    ("pipeline::schedule", 1),
    ("pipeline::window", 1),
    ("pipeline::yaml", 1),
    ("pipeline::progress", 1),
    ("pipeline::text", 1),
    ("pipeline::cancel", 1),
    ("pipeline::child", 1),
    ("pipeline::environment", 0),
    ("pipeline::fault", 1),
    ("pipeline::file_names", 1),
    ("pipeline::pixels", 1),
    ("pipeline::video", 1),
];

/// The engine's own house.
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

/// All that the two programs share.
const SHARED: &[&str] = &[
    "pipeline::memory",
    "pipeline::job",
    "pipeline::video",
    "pipeline::checkpoint",
    "pipeline::schedule",
    "pipeline::environment",
    "pipeline::fault",
    "pipeline::text",
];

/// Files that only name the rooms.
const DOORPLATES: &[&str] = &["", "pipeline"];

#[test]
fn no_import_climbs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut complaints, mut arrows) = (String::new(), BTreeMap::<_, BTreeSet<_>>::new());
    for file in sources(&root.join("src")) {
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let here = module_of(&shown);
        let from = match room_of(&here) {
            Some(room) => room,
            None if DOORPLATES.contains(&here.join("::").as_str()) => continue,
            None => {
                writeln!(complaints, "{shown}: a room without a floor; give it one in tests/floors.rs").unwrap();
                continue;
            }
        };
        for (line, path) in paths(&fs::read_to_string(&file).unwrap(), &here) {
            match arrow(from, &path) {
                Ok(to) if to == from => {}
                Ok(to) => drop(arrows.entry(from).or_default().insert(to)),
                Err(why) => writeln!(complaints, "{shown}:{line}: {why}").unwrap(),
            }
        }
    }
    if let Some(circle) = circle(&arrows) {
        writeln!(complaints, "rooms that use each other in a circle: {}", circle.join(" -> ")).unwrap();
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

/// The room that `path` leads to, or why `from` may not go there.
fn arrow(from: &'static str, path: &[String]) -> Result<&'static str, String> {
    let shown = path.join("::");
    let to = room_of(path).ok_or_else(|| match DOORPLATES.contains(&shown.as_str()) {
        true => format!("`{shown}` is not a room; import what is meant"),
        false => format!("`{shown}` is in no room that tests/floors.rs knows"),
    })?;
    match (house_of(from), house_of(to)) {
        (Some(WANCTL), Some(ENGINE)) => Err(format!("{from} may not know {to}: tensors live in another program")),
        (Some(ENGINE), Some(WANCTL)) => match SHARED.iter().any(|shared| is_under(path, shared)) {
            true => Ok(to),
            false => Err(format!("{from} may not know `{shown}`: the programs share only {}", SHARED.join(", "))),
        },
        _ if floor_of(to) > floor_of(from) => {
            Err(format!("{from} (floor {}) climbs to {to} (floor {})", floor_of(from), floor_of(to)))
        }
        _ => Ok(to),
    }
}

fn rooms() -> impl Iterator<Item = &'static (&'static str, u8)> {
    WANCTL.iter().chain(ENGINE)
}

fn is_under(path: &[String], room: &str) -> bool {
    room.split("::").count() <= path.len() && room.split("::").zip(path).all(|(a, b)| a == b)
}

/// The room of the longest name that fits.
fn room_of(path: &[String]) -> Option<&'static str> {
    rooms().map(|(room, _)| *room).filter(|room| is_under(path, room)).max_by_key(|room| room.len())
}

fn floor_of(room: &str) -> u8 {
    rooms().find(|(name, _)| *name == room).map(|(_, floor)| *floor).expect("rooms come from the tables")
}

fn house_of(room: &str) -> Option<&'static [(&'static str, u8)]> {
    [WANCTL, ENGINE].into_iter().find(|house| house.iter().any(|(name, _)| *name == room))
}

/// Some circle of rooms, its first room named again at the end.
fn circle(arrows: &BTreeMap<&'static str, BTreeSet<&'static str>>) -> Option<Vec<&'static str>> {
    fn walk(
        way: &mut Vec<&'static str>,
        arrows: &BTreeMap<&'static str, BTreeSet<&'static str>>,
    ) -> Option<Vec<&'static str>> {
        for next in arrows.get(way.last()?).into_iter().flatten() {
            if let Some(start) = way.iter().position(|room| room == next) {
                return Some(way[start..].iter().chain([next]).copied().collect());
            }
            way.push(next);
            if let Some(circle) = walk(way, arrows) {
                return Some(circle);
            }
            way.pop();
        }
        None
    }
    arrows.keys().find_map(|start| walk(&mut vec![*start], arrows))
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
fn climbing_strange_rooms_and_the_other_program_are_told() {
    let path = |shown: &str| shown.split("::").map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(arrow("pipeline::render", &path("pipeline::plan::Piece")), Ok("pipeline::plan"));
    for (from, to, why) in [
        ("pipeline::plan", "pipeline::run::RunDir", "pipeline::plan (floor 2) climbs to pipeline::run (floor 3)"),
        ("cmd", "pipeline::attic", "in no room"),
        ("cmd", "pipeline", "not a room"),
        ("pipeline::engine", "engine::torch", "another program"),
        ("engine::wan", "pipeline::settings::presets", "the programs share only"),
    ] {
        let found = arrow(from, &path(to)).unwrap_err();
        assert!(found.contains(why), "{found}");
    }
}

#[test]
fn a_circle_is_found() {
    let arrows = BTreeMap::from([("a", BTreeSet::from(["b"])), ("b", BTreeSet::from(["c"])), ("c", ["b"].into())]);
    assert_eq!(circle(&arrows), Some(vec!["b", "c", "b"]));
    assert_eq!(circle(&BTreeMap::from([("a", BTreeSet::from(["b", "c"])), ("b", ["c"].into())])), None);
}
