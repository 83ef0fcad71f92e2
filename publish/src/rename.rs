//! Renaming in one step where nothing may be replaced. Platform calls for that are here.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use tempfile::{PathPersistError, TempPath};

/// Gives a file a name that nothing has. Of several programs that want one name, one gets it.
///
/// # Errors
///
/// `AlreadyExists` if something is there, also a link that leads nowhere; otherwise what the system reports. The file is
/// gone then.
pub(crate) fn rename_new_file(from: TempPath, to: &Path) -> io::Result<()> {
    // A rename that replaces nothing, or a link where the file system has none.
    match from.persist_noclobber(to) {
        Ok(()) => Ok(()),
        Err(PathPersistError { error, path }) if is_refusal(&error) => {
            // It has neither: an empty file takes the name first.
            File::create_new(to)?;
            path.persist(to).map_err(|PathPersistError { error, .. }| {
                let _ = fs::remove_file(to);
                error
            })
        }
        Err(PathPersistError { error, .. }) => Err(error),
    }
}

/// Gives a folder a name that nothing has, not even an empty folder, which a plain rename would replace.
///
/// # Errors
///
/// `AlreadyExists` if something is there; otherwise what the system reports.
pub(crate) fn rename_new_folder(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(renamed) = rename_exclusively(from, to) {
        return renamed;
    }
    // An empty folder takes the name first. If something is put into it before it is replaced, that stays.
    fs::create_dir(to)?;
    rename_over_empty(from, to).inspect_err(|_| {
        let _ = fs::remove_dir(to);
    })
}

/// Whether a file system cannot do something, rather than something being wrong.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
            | ErrorKind::InvalidInput
            | ErrorKind::TooManyLinks
    )
}

/// `None` if the system or the file system cannot do this.
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

/// Windows replaces no folder, so the name is free for a moment; its rename refuses a folder that comes then. Not tested
/// there.
#[cfg(not(unix))]
fn rename_over_empty(from: &Path, to: &Path) -> io::Result<()> {
    fs::remove_dir(to)?;
    fs::rename(from, to)
}
