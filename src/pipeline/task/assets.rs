//! Where a task's addresses lie on this disk. Nothing is ever fetched.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::error::TaskError;

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
    /// Every file below the folder, by its name.
    files: BTreeMap<String, Vec<PathBuf>>,
    folder: Option<PathBuf>,
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
            walk(folder, &mut files).map_err(|source| TaskError::Assets { path: folder.to_owned(), source })?;
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
    pub(super) fn look(&self, address: &str, home: &Path) -> (Option<PathBuf>, Option<String>) {
        match self.find(address, home) {
            Found::Here(file) => (Some(file), None),
            Found::Not(why) => (None, Some(why)),
        }
    }

    /// A mapping first, then a file of this very path, then one of its name in the folder. `home` is where relative paths
    /// begin.
    pub(super) fn find(&self, address: &str, home: &Path) -> Found {
        if let Some(path) = self.maps.iter().find_map(|Mapping(given)| mapped(given, address)) {
            return match path.exists() {
                true => Found::Here(path),
                false => Found::Not(format!("mapped to {}, which is not there", path.display())),
            };
        }
        let url = address.contains("://");
        let path = home.join(address.strip_prefix("file://").unwrap_or(address));
        if (!url || address.starts_with("file://")) && path.is_file() {
            return Found::Here(path);
        }
        let name = file_name(address);
        match self.files.get(&name).map(Vec::as_slice) {
            Some([path]) => Found::Here(path.clone()),
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

fn mapped(given: &str, address: &str) -> Option<PathBuf> {
    Some(given.strip_prefix(address)?.strip_prefix('=')?.into())
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
    let (mut bytes, mut rest) = (vec![], name.as_bytes());
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|digit| digit as u8)
}

/// Links to folders are not followed: they can lead around in circles.
fn walk(folder: &Path, files: &mut BTreeMap<String, Vec<PathBuf>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(&path, files)?;
        } else if path.is_file() {
            files.entry(entry.file_name().to_string_lossy().into_owned()).or_default().push(path);
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
        let find = |assets: &Assets, address: &str| assets.find(address, room.path());
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
