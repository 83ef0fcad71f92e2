//! A file appears under its name when it is complete, or not at all: it is written beside its target under another name,
//! synced, and renamed. Platform calls for writing are here.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// The end of the names of files that are being written.
const SUFFIX: &str = ".gen5-partial";

/// Characters of the target's name in the temporary one: at most 200 bytes of the 255 that file systems take.
const LONGEST_STEM: usize = 50;

/// A file in the making. Dropped, it is removed.
pub(crate) struct Draft {
    file: NamedTempFile,
    target: PathBuf,
    replace: bool,
}

impl Draft {
    /// Starts a file that is to be at `path`. With `replace`, one that is there is replaced in the end, keeping its
    /// permissions, and a symbolic link stays one, its target being replaced.
    pub(crate) fn create(path: &Path, replace: bool) -> Result<Self> {
        let failed = || Error::io(format!("create {}", path.display()));
        let target = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(failed()(error)),
            Ok(_) if !replace => return Err(failed()(already_there())),
            Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path).map_err(failed())?,
            Ok(_) => path.to_owned(),
        };
        if target.exists() && !target.is_file() {
            let problem = "something that is no regular file is there";
            return Err(failed()(io::Error::new(io::ErrorKind::AlreadyExists, problem)));
        }
        let Some(name) = target.file_name() else {
            let problem = "the path does not end in a file name";
            return Err(failed()(io::Error::new(io::ErrorKind::InvalidInput, problem)));
        };
        // The temporary name tells whose it is, as far as there is room beside what makes it unique.
        let name: String = name.to_string_lossy().chars().take(LONGEST_STEM).collect();
        let prefix = format!(".{name}.");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
        let file = builder.tempfile_in(folder_of(&target)).map_err(failed())?;
        Ok(Self { file, target, replace })
    }

    /// The path that the file is to have.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A handle to write by.
    pub(crate) fn handle(&self) -> Result<File> {
        let failed = Error::io(format!("write to {}", self.file.path().display()));
        self.file.as_file().try_clone().map_err(failed)
    }

    /// Gives the file its name. With `sync`, file and folder are on the disk when this returns.
    pub(crate) fn publish(self, sync: bool) -> Result<()> {
        let Self { file, target, replace } = self;
        let failed = || Error::io(format!("finish {}", target.display()));
        if let Ok(metadata) = fs::metadata(&target) {
            file.as_file().set_permissions(metadata.permissions()).map_err(failed())?;
        }
        if sync {
            file.as_file().sync_all().map_err(failed())?;
        }
        let published = if replace { file.persist(&target) } else { file.persist_noclobber(&target) };
        published.map_err(|error| failed()(error.error))?;
        if sync { sync_folder(folder_of(&target)).map_err(failed()) } else { Ok(()) }
    }
}

fn already_there() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "it is there already")
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts the folder's entries on the disk, so that the new name outlives a power failure.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows cannot sync a folder; its file systems order the rename themselves. Not tested there.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
