//! Where a result will stand: claimed before the work, taken only by a finished and verified file.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempPath;

use super::fault::{Code, Details, Fault};

/// A name for the result, and the temporary file beside it that becomes the result.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    replace: Replace,
    temporary: TempPath,
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

impl Fault for OutputError {
    fn code(&self) -> Code {
        match self {
            // Nothing about the disk would change that.
            Self::IsInput { .. } | Self::Twice { .. } => Code::Usage,
            _ => Code::Disk,
        }
    }

    fn details(&self) -> Details {
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
        Details { file: Some(file.clone()), help: Some(help.into()), ..Details::default() }
    }
}

/// Two results cannot have one name.
pub fn distinct<'a>(names: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), OutputError> {
    let mut seen = HashSet::new();
    let whole = |name: &PathBuf| fs::canonicalize(folder_of(name)).ok().zip(name.file_name().map(ToOwned::to_owned));
    let twice = names.into_iter().find(|name| whole(name).is_some_and(|name| !seen.insert(name)));
    twice.map_or(Ok(()), |path| Err(OutputError::Twice { path: path.clone() }))
}

impl Destination {
    /// Fails now where the result could not be put later.
    pub fn claim(path: &Path, replace: Replace, inputs: &[PathBuf]) -> Result<Self, OutputError> {
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
        if !folder.is_dir() {
            return Err(OutputError::NoFolder { folder });
        }
        let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".wanctl-").suffix(extension.as_deref().unwrap_or_default());
        // A temporary file is private by default; the result gets what the user's umask says.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = match builder.tempfile_in(&folder) {
            Ok(file) => file.into_temp_path(),
            Err(source) => return Err(OutputError::NotWritable { folder, source }),
        };
        Ok(Self { path, replace, temporary })
    }

    /// Write here; the file is gone when this value is, unless it was finished.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The written file takes its name, at once and whole.
    pub fn finish(self) -> Result<PathBuf, OutputError> {
        let Self { path, replace, temporary } = self;
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
}

impl FolderDestination {
    /// A folder that stands there may go if it holds nothing but what `ours` knows by name.
    pub fn claim(path: &Path, replace: Replace, ours: impl Fn(&OsStr) -> bool) -> Result<Self, OutputError> {
        let path = path.to_owned();
        if path.symlink_metadata().is_ok() && (replace == Replace::Never || !path.is_dir()) {
            return Err(OutputError::Exists { path });
        }
        let mut entries = fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        if let Some(entry) = entries.find(|entry| !ours(entry)) {
            return Err(OutputError::Foreign { path, entry: entry.into() });
        }
        let folder = folder_of(&path);
        if !folder.is_dir() {
            return Err(OutputError::NoFolder { folder });
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".wanctl-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        match builder.tempdir_in(&folder) {
            Ok(temporary) => Ok(Self { path, replace, temporary }),
            Err(source) => Err(OutputError::NotWritable { folder, source }),
        }
    }

    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// What stood there before goes only when the new folder is whole.
    pub fn finish(self) -> Result<PathBuf, OutputError> {
        let Self { path, replace, temporary } = self;
        let not_named = |source| OutputError::NotNamed { path: path.clone(), source };
        let old = match replace {
            Replace::Existing if path.is_dir() => {
                let aside =
                    tempfile::Builder::new().prefix(".wanctl-").tempdir_in(folder_of(&path)).map_err(not_named)?;
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

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
