//! Where a task's addresses lie on this disk. Nothing is ever fetched.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::error::TaskError;
use crate::pipeline::system::file_names::{self, Lookalikes, composed, plain_address, unescaped};

/// `URL=PATH`. Both may hold `=`, so the two are told apart only beside the task's own addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping(String);

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((address, path)) if !address.is_empty() && !path.is_empty() => Ok(Self(text.into())),
            _ => Err(format!("`{text}` maps nothing, wanted URL=PATH")),
        }
    }
}

/// What was said about where things lie.
#[derive(Debug, Default)]
pub struct Assets {
    maps: Vec<Mapping>,
    /// Every file below the folder, by its name in Unicode form C.
    files: BTreeMap<String, Vec<PathBuf>>,
    folder: Option<PathBuf>,
}

/// Where relative paths begin.
#[derive(Debug, Clone, Copy)]
pub(super) enum Home<'a> {
    /// Of what people and other programs wrote: any spelling of a name may stand there.
    Written(&'a Path),
    /// Of what a run of wanctl recorded: the very names.
    Recorded(&'a Path),
}

impl Home<'_> {
    fn path(self, spelling: &str) -> Result<PathBuf, Lookalikes> {
        match self {
            Self::Written(folder) => file_names::written(&folder.join(spelling)),
            Self::Recorded(folder) => file_names::typed(&folder.join(spelling)),
        }
    }
}

/// What became of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Here(PathBuf),
    /// Why not.
    Not(String),
}

impl Assets {
    pub fn new(maps: Vec<Mapping>, folder: Option<&Path>) -> Result<Self, TaskError> {
        let mut files = BTreeMap::new();
        if let Some(folder) = folder {
            let read =
                file_names::typed(folder).map_err(std::io::Error::other).and_then(|folder| walk(&folder, &mut files));
            read.map_err(|source| TaskError::Assets { path: folder.to_owned(), source })?;
            files.values_mut().for_each(|paths: &mut Vec<PathBuf>| paths.sort());
        }
        Ok(Self { maps, files, folder: folder.map(Path::to_owned) })
    }

    /// Whether anything was said, so that a miss is a mistake.
    pub fn are_given(&self) -> bool {
        !self.maps.is_empty() || self.folder.is_some()
    }

    /// Every mapping names one of these.
    pub(super) fn check(&self, addresses: &[String]) -> Result<(), TaskError> {
        let names = |Mapping(given): &Mapping| addresses.iter().any(|address| mapped(given, address).is_some());
        match self.maps.iter().find(|map| !names(map)) {
            Some(Mapping(given)) => Err(TaskError::UnusedMap { given: given.clone(), addresses: addresses.to_vec() }),
            None => Ok(()),
        }
    }

    /// Where it lies here, or why it does not.
    pub(super) fn look(&self, address: &str, home: Home<'_>) -> (Option<PathBuf>, Option<String>) {
        match self.find(address, home) {
            Found::Here(file) => (Some(file), None),
            Found::Not(why) => (None, Some(why)),
        }
    }

    /// A mapping first, then a file of this very path, then one of its name in the folder.
    pub(super) fn find(&self, address: &str, home: Home<'_>) -> Found {
        if let Some(path) = self.maps.iter().find_map(|Mapping(given)| mapped(given, address)) {
            return match file_names::typed(&path) {
                Ok(path) if path.exists() => Found::Here(path),
                Ok(path) => Found::Not(format!("mapped to {}, which is not there", path.display())),
                Err(lookalikes) => Found::Not(lookalikes.to_string()),
            };
        }
        let url = address.contains("://");
        let local = address.strip_prefix("file://");
        if local.is_some() || !url {
            // A local address may be escaped as a web address is, or hold a `%` of its own.
            let spellings = [local.unwrap_or(address).to_owned(), local.map_or_else(String::new, unescaped)];
            for spelling in spellings.iter().filter(|spelling| !spelling.is_empty()) {
                match home.path(spelling) {
                    Ok(path) if path.is_file() => return Found::Here(path),
                    Ok(_) => {}
                    Err(lookalikes) => return Found::Not(lookalikes.to_string()),
                }
            }
        }
        let name = file_name(address);
        match self.files.get(&composed(&name)).map(Vec::as_slice) {
            Some([path]) => Found::Here(path.clone()),
            Some(several) if file_names::are_lookalikes(several) => {
                Found::Not(Lookalikes { paths: several.to_vec() }.to_string())
            }
            Some(several) => {
                let several: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
                Found::Not(format!("{} files are called {name}: {}", several.len(), several.join(", ")))
            }
            None => match &self.folder {
                Some(folder) => Found::Not(format!("no {name} in {}", folder.display())),
                None if url => Found::Not("nothing maps it to a file".into()),
                None => Found::Not(format!("no such file; --map {address}=FILE names one")),
            },
        }
    }
}

/// The path that `URL=PATH` gives this address, which both may spell in their own way: `%C3%A9`, one letter, or a letter
/// and its accent.
fn mapped(given: &str, address: &str) -> Option<PathBuf> {
    if let Some(path) = given.strip_prefix(address).and_then(|rest| rest.strip_prefix('=')) {
        return Some(path.into());
    }
    let address = plain_address(address);
    let (_, path) = given
        .match_indices('=')
        .map(|(at, _)| (&given[..at], &given[at + 1..]))
        .find(|(spelled, path)| !path.is_empty() && plain_address(spelled) == address)?;
    Some(path.into())
}

/// The last part of an address as a file's name: no query, no `%20`.
pub(super) fn file_name(address: &str) -> String {
    let path = match address.contains("://") {
        true => address.split(['?', '#']).next().unwrap_or_default(),
        false => address,
    };
    let name = path.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or_default();
    if !address.contains("://") {
        return name.into();
    }
    unescaped(name)
}

/// Links to folders are not followed: they can lead around in circles.
fn walk(folder: &Path, files: &mut BTreeMap<String, Vec<PathBuf>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(&path, files)?;
        } else if path.is_file() {
            files.entry(composed(&entry.file_name().to_string_lossy())).or_default().push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_ends_with_a_files_name() {
        for (address, name) in [
            ("https://storage.invalid/a/clip.mp4", "clip.mp4"),
            ("https://storage.invalid/a/clip.mp4?token=a/b=c#t", "clip.mp4"),
            ("https://storage.invalid/a/my%20clip%2.mp4", "my clip%2.mp4"),
            ("/workspace/out/clip#1?.mp4", "clip#1?.mp4"),
            ("C:\\clips\\a%20b.mp4", "a%20b.mp4"),
            ("clip.mp4", "clip.mp4"),
        ] {
            assert_eq!(file_name(address), name);
        }
    }

    #[test]
    fn a_mapping_goes_first_then_the_path_then_the_folder() {
        let room = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = room.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            path
        };
        let (mapped, deep) = (put("mapped.mp4"), put("assets/deep/er/a.mp4"));
        let (here, twice) = (put("here.mp4"), [put("assets/one/b.mp4"), put("assets/two/b.mp4")]);
        let url = "https://x.invalid/a.mp4?k=v";
        let assets = |maps: &[&str]| {
            let maps = maps.iter().map(|map| map.parse().unwrap()).collect();
            Assets::new(maps, Some(&room.path().join("assets"))).unwrap()
        };
        let find = |assets: &Assets, address: &str| assets.find(address, Home::Written(room.path()));
        let map = format!("{url}={}", mapped.display());
        assert_eq!(find(&assets(&[&map]), url), Found::Here(mapped));
        assert_eq!(find(&assets(&[]), url), Found::Here(deep));
        assert_eq!(find(&assets(&[]), "here.mp4"), Found::Here(here));
        let both = format!("2 files are called b.mp4: {}, {}", twice[0].display(), twice[1].display());
        assert_eq!(find(&assets(&[]), "https://x.invalid/b.mp4"), Found::Not(both));
        assert!(matches!(find(&assets(&[]), "gone.mp4"), Found::Not(why) if why.starts_with("no gone.mp4 in ")));
        let nothing = Assets::default();
        assert_eq!(find(&nothing, url), Found::Not("nothing maps it to a file".into()));
        assert!(matches!(find(&nothing, "gone.mp4"), Found::Not(why) if why.starts_with("no such file")));
    }

    #[test]
    fn names_and_addresses_are_found_however_their_accents_are_stored_and_escaped() {
        let (composed, apart) = ("caf\u{e9}.mp4", "cafe\u{301}.mp4");
        for stored in [composed, apart] {
            let room = tempfile::tempdir().unwrap();
            let path = room.path().join(stored);
            fs::write(&path, "x").unwrap();
            let assets = Assets::new(vec![], Some(room.path())).unwrap();
            let home = Home::Written(room.path());
            for address in [
                "https://x.invalid/a/caf%C3%A9.mp4?t=1",
                "https://x.invalid/a/cafe%cc%81.mp4",
                "https://x.invalid/a/caf\u{e9}.mp4",
                "file://caf%C3%A9.mp4",
                composed,
                apart,
            ] {
                assert_eq!(assets.find(address, home), Found::Here(path.clone()), "{address}");
                let local = !address.starts_with("https");
                assert_eq!(matches!(Assets::default().find(address, home), Found::Here(_)), local, "{address}");
            }
            for (address, spelled) in
                [("https://x.invalid/caf%C3%A9=1", "https://x.invalid/cafe\u{301}=1"), (composed, apart)]
            {
                let map = format!("{spelled}={}", room.path().join(composed).display()).parse().unwrap();
                let maps = Assets::new(vec![map], None).unwrap();
                maps.check(&[address.into()]).unwrap();
                assert_eq!(maps.find(address, Home::Written(Path::new(""))), Found::Here(path.clone()));
            }
        }
        let room = tempfile::tempdir().unwrap();
        for name in [composed, apart] {
            fs::write(room.path().join(name), "x").unwrap();
        }
        let assets = Assets::new(vec![], Some(room.path())).unwrap();
        for address in ["https://x.invalid/caf%C3%A9.mp4", composed, apart] {
            let found = assets.find(address, Home::Written(room.path()));
            assert!(matches!(&found, Found::Not(why) if why.contains("2 files that differ only")), "{found:?}");
        }
        // A run knows which of them it took.
        assert_eq!(assets.find(apart, Home::Recorded(room.path())), Found::Here(room.path().join(apart)));
    }

    #[test]
    fn a_mapping_that_names_nothing_is_told() {
        let maps = vec!["https://x.invalid/a.mp4=a.mp4".parse().unwrap()];
        let assets = Assets::new(maps, None).unwrap();
        assets.check(&["https://x.invalid/a.mp4".into()]).unwrap();
        let error = assets.check(&["https://x.invalid/b.mp4".into()]).unwrap_err().to_string();
        assert_eq!(error, "--map https://x.invalid/a.mp4=a.mp4 names nothing in the task");
        assert!("no mapping".parse::<Mapping>().is_err());
        assert!("=a".parse::<Mapping>().is_err());
    }
}
