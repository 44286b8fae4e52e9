//! File names as people read them. An accented letter is one character (Unicode form C, most keyboards and web addresses)
//! or a letter and its accent (form D, names from macOS); both look alike, and file systems of Linux tell them apart.

use std::{
    ffi::OsStr,
    fmt, fs, iter,
    path::{Component, Path, PathBuf},
};

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Files whose names differ in their Unicode form alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is the name of {} files that differ only in how their accented letters are stored: {}", .paths[0].display(), .paths.len(), Spelled(.paths))]
pub struct Lookalikes {
    pub paths: Vec<PathBuf>,
}

/// What to do about them.
pub(crate) const RENAME: &str = "rename or remove all of them but one";

/// Paths with each letter beyond ASCII as its code, so that they do not look alike.
struct Spelled<'a>(&'a [PathBuf]);

impl fmt::Display for Spelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, path) in self.0.iter().enumerate() {
            f.write_str(if number > 0 { ", " } else { "" })?;
            for letter in path.to_string_lossy().chars() {
                match letter.is_ascii() {
                    true => write!(f, "{letter}")?,
                    false => write!(f, "{}", letter.escape_unicode())?,
                }
            }
        }
        Ok(())
    }
}

/// A name in form C, by which names are compared.
pub(crate) fn composed(name: &str) -> String {
    if is_nfc(name) { name.into() } else { name.nfc().collect() }
}

/// Whether two names read the same.
pub(crate) fn alike(one: &OsStr, other: &OsStr) -> bool {
    one == other
        || match (one.to_str(), other.to_str()) {
            (Some(one), Some(other)) if !(one.is_ascii() && other.is_ascii()) => one.nfc().eq(other.nfc()),
            _ => false,
        }
}

/// Whether `path` ends with the components of `end`, as they read.
pub(crate) fn ends_alike(path: &Path, end: &Path) -> bool {
    let mut path = path.components().rev();
    end.components().rev().all(|end| path.next().is_some_and(|component| alike(component.as_os_str(), end.as_os_str())))
}

/// The file at a path that was typed: the very one, else the only one that reads the same. A path where nothing lies is
/// handed back as it is.
pub fn typed(path: &Path) -> Result<PathBuf, Lookalikes> {
    if path.to_str().is_none_or(str::is_ascii) || path.symlink_metadata().is_ok() {
        return Ok(path.to_owned());
    }
    let mut found = PathBuf::new();
    for component in path.components() {
        let next = found.join(component);
        let Component::Normal(name) = component else {
            found = next;
            continue;
        };
        if next.symlink_metadata().is_ok() {
            found = next;
            continue;
        }
        let mut near = lookalikes(&found, name);
        found = match (near.pop(), near.is_empty()) {
            (None, _) => return Ok(path.to_owned()),
            (Some(one), true) => one,
            (Some(one), false) => return Err(Lookalikes { paths: near.into_iter().chain([one]).collect() }),
        };
    }
    Ok(found)
}

/// The file at a path that stands in a text, whose editor may have chosen the form: the only one that reads so.
pub fn written(path: &Path) -> Result<PathBuf, Lookalikes> {
    let found = typed(path)?;
    let folder = found.parent().unwrap_or(Path::new(""));
    let name = found.file_name().filter(|name| name.to_str().is_some_and(|name| !name.is_ascii()));
    let near = name.map_or(vec![], |name| lookalikes(folder, name));
    if near.len() > 1 { Err(Lookalikes { paths: near }) } else { Ok(found) }
}

/// Whether these paths lie in one folder, so that only the form of their names tells them apart.
pub(crate) fn are_lookalikes(paths: &[PathBuf]) -> bool {
    paths.windows(2).all(|two| two[0].parent() == two[1].parent())
}

/// The entries of a folder that read so, in order.
fn lookalikes(folder: &Path, name: &OsStr) -> Vec<PathBuf> {
    let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut near: Vec<PathBuf> = entries.filter(|entry| alike(entry, name)).map(|entry| folder.join(entry)).collect();
    near.sort();
    near
}

/// An address without its percent-encoding, in form C: what tells two spellings of one address.
pub(crate) fn plain_address(address: &str) -> String {
    composed(&unescaped(address))
}

/// `%C3%A9` as the letters that it stands for; what is no such code stays.
pub(crate) fn unescaped(text: &str) -> String {
    let hex = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    let mut rest = text.as_bytes();
    let bytes = iter::from_fn(|| {
        let (byte, length) = match *rest {
            [] => return None,
            [b'%', high, low, ..] => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => (high * 16 + low, 3),
                _ => (b'%', 1),
            },
            [first, ..] => (first, 1),
        };
        rest = &rest[length..];
        Some(byte)
    });
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: &str = "caf\u{e9}";
    const D: &str = "cafe\u{301}";

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn a_name_is_found_in_whichever_form_it_is_stored() {
        for (stored, asked) in [(C, D), (D, C), (C, C), (D, D)] {
            let folder = folder(&[&format!("{stored}/{stored}.mp4")]);
            let path = |name: &str| folder.path().join(format!("{name}/{name}.mp4"));
            assert_eq!(typed(&path(asked)).unwrap(), path(stored));
            assert_eq!(written(&path(asked)).unwrap(), path(stored));
            let gone = folder.path().join(format!("{asked}/gone.mp4"));
            assert_eq!(typed(&gone).unwrap(), gone);
        }
    }

    #[test]
    fn two_files_that_read_alike_are_told_apart_by_their_letters() {
        let folder = folder(&[C, D]);
        let path = |name: &str| folder.path().join(name);
        // What was typed is what was meant; an editor may have changed what stands in a text.
        assert_eq!(typed(&path(C)).unwrap(), path(C));
        assert_eq!(typed(&path(D)).unwrap(), path(D));
        for name in [C, D] {
            let error = written(&path(name)).unwrap_err().to_string();
            assert!(
                error.contains("2 files") && error.contains(r"caf\u{e9}") && error.contains(r"cafe\u{301}"),
                "{error}"
            );
        }
        // Of two accents either can be apart.
        let (one, other) = ("\u{e9}te\u{301}", "e\u{301}t\u{e9}");
        let folder = self::folder(&[one, other]);
        assert_eq!(typed(&folder.path().join("\u{e9}t\u{e9}")).unwrap_err().paths.len(), 2);
    }

    #[test]
    fn names_are_compared_as_they_read() {
        assert!(alike(C.as_ref(), D.as_ref()) && !alike(C.as_ref(), "cafe".as_ref()));
        assert!(ends_alike(Path::new(&format!("/m/{C}/{D}.pth")), Path::new(&format!("{D}/{C}.pth"))));
        assert!(!ends_alike(Path::new("a/b"), Path::new("c/b")) && !ends_alike(Path::new("b"), Path::new("a/b")));
        assert_eq!(plain_address("https://x/caf%C3%A9%2"), plain_address(&format!("https://x/{D}%2")));
        assert_eq!(unescaped("a%20b%2.%zz%"), "a b%2.%zz%");
    }
}
