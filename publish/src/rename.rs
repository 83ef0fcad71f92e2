//! Renaming in one step without replacing anything. The platform calls for it are here.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use tempfile::{PathPersistError, TempPath};

/// Renames a file to a free name. If several programs want the same name, one succeeds.
///
/// # Errors
///
/// `AlreadyExists` if something has the name, even a broken link; otherwise the system's error. In
/// both cases the file is removed.
pub(crate) fn rename_new_file(from: TempPath, to: &Path) -> io::Result<()> {
    // A rename that replaces nothing, or a link if the file system has no such rename.
    match from.persist_noclobber(to) {
        Ok(()) => Ok(()),
        Err(PathPersistError { error, path }) if is_refusal(&error) => {
            // The file system supports neither, so an empty file takes the name first.
            File::create_new(to)?;
            path.persist(to).map_err(|PathPersistError { error, .. }| {
                let _ = fs::remove_file(to);
                error
            })
        }
        Err(PathPersistError { error, .. }) => Err(error),
    }
}

/// Renames a folder to a free name. An empty folder, which a plain rename would replace, is also an
/// error.
///
/// # Errors
///
/// `AlreadyExists` if something has the name; otherwise the system's error.
pub(crate) fn rename_new_folder(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(renamed) = rename_exclusively(from, to) {
        return renamed;
    }
    // An empty folder takes the name first. If another program puts a file into it before it is
    // replaced, that file stays.
    fs::create_dir(to)?;
    rename_over_empty(from, to).inspect_err(|_| {
        let _ = fs::remove_dir(to);
    })
}

/// Returns whether a file system does not support an operation, as opposed to a real failure.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
            | ErrorKind::InvalidInput
            | ErrorKind::TooManyLinks
    )
}

/// Returns `None` if the system or the file system does not support this.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_exclusively(from: &Path, to: &Path) -> Option<io::Result<()>> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(error) if [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&error) => None,
        renamed => Some(renamed.map_err(io::Error::from)),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_exclusively(_: &Path, _: &Path) -> Option<io::Result<()>> {
    None
}

#[cfg(unix)]
fn rename_over_empty(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Windows cannot replace a folder, so the name is free for a moment; its rename fails if a folder
/// appears then. Not tested there.
#[cfg(not(unix))]
fn rename_over_empty(from: &Path, to: &Path) -> io::Result<()> {
    fs::remove_dir(to)?;
    fs::rename(from, to)
}
