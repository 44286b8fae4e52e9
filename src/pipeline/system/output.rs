//! Where a result will stand: claimed before the work, taken only by a finished and verified file.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::TempPath;

use crate::pipeline::types::error::{ErrorCode, ErrorDetails, Reportable};

/// A name for the result, and the temporary file beside it that becomes the result.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    replace: Replace,
    temporary: TempPath,
    _lock: File,
}

/// Whether an existing file may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    Never,
    Existing,
}

#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("{} exists already", path.display())]
    Exists { path: PathBuf },
    #[error("{} is a folder", path.display())]
    IsFolder { path: PathBuf },
    #[error("the output {} is one of the inputs", path.display())]
    IsInput { path: PathBuf },
    #[error("{} is the name of two outputs", path.display())]
    Twice { path: PathBuf },
    #[error("{} holds {}, which no guide does", path.display(), entry.display())]
    Foreign { path: PathBuf, entry: PathBuf },
    #[error("the folder {} does not exist", folder.display())]
    NoFolder { folder: PathBuf },
    #[error("cannot write in {}: {source}", folder.display())]
    NotWritable { folder: PathBuf, source: io::Error },
    #[error("cannot give {} its name: {source}", path.display())]
    NotNamed { path: PathBuf, source: io::Error },
}

impl Reportable for OutputError {
    fn code(&self) -> ErrorCode {
        match self {
            // Nothing about the disk would change that.
            Self::IsInput { .. } | Self::Twice { .. } => ErrorCode::Usage,
            _ => ErrorCode::Disk,
        }
    }

    fn details(&self) -> ErrorDetails {
        let (file, help) = match self {
            Self::Exists { path } => (path, "use --overwrite, or another name with -o"),
            Self::IsFolder { path } => (path, "give a file's name with -o"),
            Self::IsInput { path } => (path, "give another name with -o"),
            Self::Twice { path } => (path, "give the film and the transition different names"),
            Self::Foreign { path, .. } => (path, "only what wanctl wrote is replaced: give another name with -o"),
            Self::NoFolder { folder } => (folder, "make the folder first, or give another name with -o"),
            Self::NotWritable { folder, .. } => (folder, "write elsewhere with -o"),
            Self::NotNamed { path, .. } => (path, "write elsewhere with -o"),
        };
        ErrorDetails { file: Some(file.clone()), help: Some(help.into()), ..ErrorDetails::default() }
    }
}

/// Two results cannot have one name.
pub fn distinct<'a>(names: impl IntoIterator<Item = &'a Path>) -> Result<(), OutputError> {
    let mut seen = HashSet::new();
    let whole = |name: &Path| fs::canonicalize(folder_of(name)).ok().zip(name.file_name().map(ToOwned::to_owned));
    let twice = names.into_iter().find(|name| whole(name).is_some_and(|name| !seen.insert(name)));
    twice.map_or(Ok(()), |path| Err(OutputError::Twice { path: path.to_owned() }))
}

impl Destination {
    /// Fails now where the result could not be put later.
    pub fn claim(path: &Path, replace: Replace, inputs: &[PathBuf]) -> Result<Self, OutputError> {
        Self::check(path, replace, inputs)?;
        let path = path.to_owned();
        let folder = folder_of(&path);
        remove_leftovers(&folder);
        let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
        let prefix = prefix();
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(extension.as_deref().unwrap_or_default());
        // A temporary file is private by default; the result gets what the user's umask says.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        loop {
            match builder.tempfile_in(&folder).map(tempfile::NamedTempFile::into_parts) {
                Ok((file, temporary)) if hold(&file, &temporary) => {
                    return Ok(Self { path, replace, temporary, _lock: file });
                }
                Ok(_) => {}
                Err(source) => return Err(OutputError::NotWritable { folder, source }),
            }
        }
    }

    /// Whether a result may stand at this name; nothing is written.
    pub fn check(path: &Path, replace: Replace, inputs: &[PathBuf]) -> Result<(), OutputError> {
        let path = path.to_owned();
        if path.is_dir() {
            return Err(OutputError::IsFolder { path });
        }
        let same =
            |input: &PathBuf| fs::canonicalize(input).is_ok_and(|input| fs::canonicalize(&path).ok() == Some(input));
        if inputs.iter().any(same) {
            return Err(OutputError::IsInput { path });
        }
        if replace == Replace::Never && path.symlink_metadata().is_ok() {
            return Err(OutputError::Exists { path });
        }
        let folder = folder_of(&path);
        if folder.is_dir() { Ok(()) } else { Err(OutputError::NoFolder { folder }) }
    }

    /// The name that the result will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Write here; the file is gone when this value is, unless it was finished.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The written file takes its name, at once and whole.
    pub fn finish(self) -> Result<PathBuf, OutputError> {
        let Self { path, replace, temporary, _lock } = self;
        let named = match replace {
            Replace::Never => temporary.persist_noclobber(&path),
            Replace::Existing => temporary.persist(&path),
        };
        match named {
            Ok(()) => Ok(path),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(OutputError::Exists { path }),
            Err(error) => Err(OutputError::NotNamed { path, source: error.error }),
        }
    }
}

/// A folder of results, made beside its name and renamed when all of it is there.
#[derive(Debug)]
pub struct FolderDestination {
    path: PathBuf,
    replace: Replace,
    temporary: tempfile::TempDir,
    _lock: Option<File>,
}

impl FolderDestination {
    /// A folder that stands there may go if it holds nothing but what `ours` knows by name.
    pub fn claim(path: &Path, replace: Replace, ours: impl Fn(&OsStr) -> bool) -> Result<Self, OutputError> {
        Self::check(path, replace, ours)?;
        let path = path.to_owned();
        let folder = folder_of(&path);
        remove_leftovers(&folder);
        let prefix = prefix();
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        loop {
            let temporary = match builder.tempdir_in(&folder) {
                Ok(temporary) => temporary,
                Err(source) => return Err(OutputError::NotWritable { folder, source }),
            };
            match File::open(&temporary) {
                Ok(lock) if hold(&lock, temporary.path()) => {
                    return Ok(Self { path, replace, temporary, _lock: Some(lock) });
                }
                // A folder that its owner cannot read, as the umask says: nobody removes it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Ok(Self { path, replace, temporary, _lock: None });
                }
                _ => {}
            }
        }
    }

    /// Whether the folder may stand at this name; nothing is written.
    pub fn check(path: &Path, replace: Replace, ours: impl Fn(&OsStr) -> bool) -> Result<(), OutputError> {
        let path = path.to_owned();
        if path.symlink_metadata().is_ok() && (replace == Replace::Never || !path.is_dir()) {
            return Err(OutputError::Exists { path });
        }
        let mut entries = fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        if let Some(entry) = entries.find(|entry| !ours(entry)) {
            return Err(OutputError::Foreign { path, entry: entry.into() });
        }
        let folder = folder_of(&path);
        if folder.is_dir() { Ok(()) } else { Err(OutputError::NoFolder { folder }) }
    }

    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// What stood there before goes only when the new folder is whole.
    pub fn finish(self) -> Result<PathBuf, OutputError> {
        let Self { path, replace, temporary, _lock } = self;
        let not_named = |source| OutputError::NotNamed { path: path.clone(), source };
        let old = match replace {
            Replace::Existing if path.is_dir() => {
                // What stood there is no leftover, whatever happens now.
                let aside =
                    tempfile::Builder::new().prefix(".wanctl-old-").tempdir_in(folder_of(&path)).map_err(not_named)?;
                fs::rename(&path, aside.path().join("old")).map_err(not_named)?;
                Some(aside)
            }
            _ => None,
        };
        if let Err(source) = fs::rename(temporary.path(), &path) {
            if let Some(aside) = &old {
                // Best effort: the error that is reported is the first one.
                let _ = fs::rename(aside.path().join("old"), &path);
            }
            return Err(not_named(source));
        }
        // Renamed away, so there is nothing left to delete.
        let _ = temporary.keep();
        Ok(path)
    }
}

/// Of temporary files: each is of a run on this machine, since locks may not reach others that share the folder.
fn prefix() -> String {
    let mut hasher = Sha256::new();
    hasher.update(rustix::system::uname().nodename().to_bytes());
    // Containers of one machine have names of their own; machines of one image may share theirs.
    hasher.update(fs::read("/etc/machine-id").unwrap_or_default());
    let machine: String = hasher.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!(".wanctl-{machine}-")
}

/// Locks a new temporary file or folder, which shows others that its run lives. False where one of them took it for a
/// leftover before that.
fn hold(file: &File, path: &Path) -> bool {
    // A file system without locks: nobody can tell a leftover there, and nobody removes any.
    if file.lock().is_err() {
        return true;
    }
    is_at(file, path)
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |one: fs::Metadata, other: fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    file.metadata().ok().zip(path.symlink_metadata().ok()).is_some_and(|(one, other)| same(one, other))
}

/// Removes the temporary files and folders of runs on this machine that were killed: those that nobody holds locked.
pub fn remove_leftovers(folder: &Path) {
    let prefix = prefix();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        let Ok(kind) = kind.map(|kind| (kind.is_file(), kind.is_dir())) else { continue };
        if !entry.file_name().to_string_lossy().starts_with(&prefix) || kind == (false, false) {
            continue;
        }
        let Ok(lock) = File::open(&path) else { continue };
        if lock.try_lock().is_err() || !is_at(&lock, &path) {
            continue;
        }
        let removed = if kind.1 { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Ok(()) => tracing::info!(file = %path.display(), "removed what a run that was killed had left"),
            Err(error) => tracing::warn!(file = %path.display(), %error, "a leftover cannot be removed"),
        }
    }
}

/// The folder that a file lies in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_nobody_holds_is_taken_for_a_leftover() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        let dead = [format!("{}dead.mp4", prefix()), format!("{}folder", prefix())];
        fs::write(at(&dead[0]), "half a film").unwrap();
        fs::create_dir(at(&dead[1])).unwrap();
        fs::write(at(&dead[1]).join("guide.mp4"), "half a guide").unwrap();
        let kept = [".wanctl-00000000-other.mp4", ".wanctl-old-guide", ".wanctl-a.mp4", "film.mp4"];
        kept.iter().for_each(|name| fs::write(at(name), "not ours to remove").unwrap());
        let live = Destination::claim(&at("a.mp4"), Replace::Never, &[]).unwrap();
        let guide = FolderDestination::claim(&at("b"), Replace::Never, |_| true).unwrap();
        // Each claim removed what was dead, and the second nothing of the first.
        remove_leftovers(room.path());
        let left = names(room.path());
        assert!(dead.iter().all(|name| !left.contains(name)), "{left:?}");
        assert!(kept.iter().all(|name| left.contains(&(*name).to_owned())), "{left:?}");
        assert_eq!(left.len(), kept.len() + 2, "{left:?}");
        assert!(live.temporary().exists() && guide.temporary().exists());
        live.finish().unwrap();
        guide.finish().unwrap();
        assert!(at("a.mp4").is_file() && at("b").is_dir());
    }

    #[test]
    fn many_that_claim_at_once_keep_their_own() {
        let room = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let folder = room.path();
                scope.spawn(move || {
                    for turn in 0..50 {
                        let path = folder.join(format!("{worker}_{turn}.mp4"));
                        let claimed = Destination::claim(&path, Replace::Never, &[]).unwrap();
                        fs::write(claimed.temporary(), "film").unwrap();
                        claimed.finish().unwrap();
                    }
                });
            }
        });
        assert_eq!(names(room.path()).len(), 400);
    }

    #[test]
    fn a_check_refuses_what_a_claim_would_and_writes_nothing() {
        let room = tempfile::tempdir().unwrap();
        let taken = room.path().join("film.mp4");
        fs::write(&taken, "film").unwrap();
        let check = |path: &Path, inputs: &[PathBuf]| Destination::check(path, Replace::Never, inputs).unwrap_err();
        assert!(matches!(check(&taken, &[]), OutputError::Exists { .. }));
        assert!(matches!(check(&taken, std::slice::from_ref(&taken)), OutputError::IsInput { .. }));
        assert!(matches!(check(room.path(), &[]), OutputError::IsFolder { .. }));
        assert!(matches!(check(&room.path().join("gone/film.mp4"), &[]), OutputError::NoFolder { .. }));
        Destination::check(&taken, Replace::Existing, &[]).unwrap();
        assert_eq!(names(room.path()), ["film.mp4"]);
    }
}
