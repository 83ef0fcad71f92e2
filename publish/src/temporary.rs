//! Temporary files and folders, named `.NAME.XXXXXX.gen5-partial` after their target.
//!
//! The process that makes a temporary keeps it locked. So if it can be locked, a killed process has
//! left it, and the next temporary with the same target removes it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempDir};

/// The suffix of the names.
const SUFFIX: &str = ".gen5-partial";

/// The number of random characters in a name, which make names unique.
const RANDOM: usize = 6;

/// The most characters of the target's name in the temporary name: at most 200 of the 255 bytes
/// that file systems allow.
const LONGEST_STEM: usize = 50;

/// The most entries of a folder to search for abandoned temporaries, since folders can be large.
const LOOKED_AT: usize = 10_000;

/// How often another process may mistake a new temporary for an abandoned one.
const ATTEMPTS: usize = 10;

/// The temporaries of one target in one folder.
pub(crate) struct Temporaries<'f> {
    folder: &'f Path,
    prefix: String,
}

impl<'f> Temporaries<'f> {
    /// Returns the temporaries in `folder` of a target with this name.
    pub(crate) fn of(name: &OsStr, folder: &'f Path) -> Self {
        let name: String = name.to_string_lossy().chars().take(LONGEST_STEM).collect();
        Self { folder, prefix: format!(".{name}.") }
    }

    /// Creates an empty file, which stays locked while it is open. With `private`, only its owner
    /// can access it.
    pub(crate) fn file(&self, private: bool) -> io::Result<NamedTempFile> {
        let mut builder = self.builder();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(if private {
            0o600
        } else {
            0o666 // less the umask
        }));
        #[cfg(not(unix))]
        let _ = private;
        until_claimed(|| {
            let file = builder.tempfile_in(self.folder)?;
            Ok(claim(file.as_file())?.then_some(file))
        })
    }

    /// Creates an empty folder, and returns it with the lock on it.
    pub(crate) fn folder(&self) -> io::Result<(TempDir, Lock)> {
        let mut builder = self.builder();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777)); // less the umask
        until_claimed(|| {
            let folder = builder.tempdir_in(self.folder)?;
            Ok(Lock::of(folder.path())?.map(|lock| (folder, lock)))
        })
    }

    fn builder(&self) -> Builder<'_, 'static> {
        let mut builder = Builder::new();
        builder.prefix(&self.prefix).suffix(SUFFIX).rand_bytes(RANDOM);
        builder
    }

    /// Removes abandoned temporaries with this target, as far as they can be recognized. Nothing
    /// depends on this.
    pub(crate) fn take_away(&self, kind: Kind) {
        let Ok(entries) = fs::read_dir(self.folder) else { return };
        for entry in entries.take(LOOKED_AT).flatten() {
            if entry.file_name().to_str().is_some_and(|name| self.is_one(name)) {
                take_away(&entry.path(), kind);
            }
        }
    }

    fn is_one(&self, name: &str) -> bool {
        let random = name.strip_prefix(&self.prefix).and_then(|name| name.strip_suffix(SUFFIX));
        random
            .is_some_and(|text| text.len() == RANDOM && text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    }
}

/// The kind of a temporary.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    File,
    Folder,
}

/// Repeats `make` until it returns a temporary that this process owns.
fn until_claimed<T>(mut make: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    for _ in 0..ATTEMPTS {
        if let Some(made) = make()? {
            return Ok(made);
        }
    }
    Err(io::Error::other("other processes keep removing the new temporary files"))
}

/// A lock on a folder.
#[cfg(unix)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is locked as long as it is open")] File);

#[cfg(unix)]
impl Lock {
    /// Returns `None` if another process has mistaken the folder for an abandoned one.
    fn of(folder: &Path) -> io::Result<Option<Self>> {
        match File::open(folder) {
            Ok(file) => Ok(claim(&file)?.then_some(Self(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(not(unix))]
pub(crate) struct Lock;

#[cfg(not(unix))]
impl Lock {
    fn of(_: &Path) -> io::Result<Option<Self>> {
        Ok(Some(Self))
    }
}

/// Locks a temporary that was just made. Another process may have locked and removed it before
/// that. On systems without this removal, nothing is locked.
#[cfg(target_os = "linux")]
fn claim(made: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    if !is_of_this_machine(made) {
        return Ok(true);
    }
    let is_locked = !matches!(made.try_lock(), Err(fs::TryLockError::WouldBlock));
    Ok(is_locked && made.metadata()?.nlink() > 0)
}

#[cfg(not(target_os = "linux"))]
fn claim(_: &File) -> io::Result<bool> {
    Ok(true)
}

/// Removes the temporary at a path, if it is of this kind and abandoned.
#[cfg(target_os = "linux")]
fn take_away(path: &Path, kind: Kind) {
    use rustix::fs::{Mode, OFlags};

    // Do not follow a link or wait for a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else { return };
    let is_kind = file.metadata().is_ok_and(|there| match kind {
        Kind::File => there.is_file(),
        Kind::Folder => there.is_dir(),
    });
    if is_kind && is_of_this_machine(&file) && file.try_lock().is_ok() {
        // It stays locked while it is removed, so that its maker, if it was just made, does not use
        // it.
        let _ = match kind {
            Kind::File => fs::remove_file(path),
            Kind::Folder => fs::remove_dir_all(path),
        };
    }
}

/// On other systems it is not known whether other processes would see the lock.
#[cfg(not(target_os = "linux"))]
fn take_away(_: &Path, _: Kind) {}

/// Returns whether a file is on a local file system of this machine.
///
/// File systems not listed here may be network ones, where possibly only one side sees a lock. The
/// same applies to local ones that this machine exports, which this function cannot detect.
#[cfg(target_os = "linux")]
fn is_of_this_machine(file: &File) -> bool {
    // ext2 to ext4, XFS, Btrfs, F2FS, bcachefs, ZFS, tmpfs, overlayfs: linux/magic.h, and ZFS's
    // own.
    const LOCAL: [u64; 8] =
        [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0xca45_1a4e, 0x2fc1_2fc1, 0x0102_1994, 0x794c_7630];
    let kind = rustix::fs::fstatfs(file).ok().and_then(|system| u64::try_from(system.f_type).ok());
    kind.is_some_and(|kind| LOCAL.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The actions of another process between the creation of a temporary and its locking.
    #[test]
    #[cfg(unix)]
    fn what_another_has_locked_or_taken_away_is_not_the_makers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let made = File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        assert!(!claim(&made).unwrap());
        fs::remove_file(&path).unwrap();
        drop(other);
        assert!(!claim(&made).unwrap());
        assert!(claim(&File::create(&path).unwrap()).unwrap());

        let path = folder.path().join("folder");
        fs::create_dir(&path).unwrap();
        let lock = Lock::of(&path).unwrap();
        assert!(lock.is_some() && Lock::of(&path).unwrap().is_none());
        drop(lock);
        let removed = File::open(&path).unwrap();
        fs::remove_dir(&path).unwrap();
        assert!(Lock::of(&path).unwrap().is_none() && !claim(&removed).unwrap());
    }

    #[test]
    fn temporaries_are_known_by_their_names() {
        let temporaries = Temporaries::of(OsStr::new("x.gen5"), Path::new("."));
        assert!(temporaries.is_one(".x.gen5.aB3dE6.gen5-partial"));
        for other in [
            "x.gen5",
            ".x.gen5.gen5-partial",
            ".x.gen5.aB3dE.gen5-partial",
            ".x.gen5.aB3d.6.gen5-partial",
            ".x.gen5.aB3dE6.gen5-partial~",
            ".xx.gen5.aB3dE6.gen5-partial",
            ".x.gen5.b.aB3dE6.gen5-partial",
        ] {
            assert!(!temporaries.is_one(other), "{other}");
        }
    }
}
