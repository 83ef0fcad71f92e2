//! Publishing a file: it appears under its name when it is complete, or not at all. It is written
//! in the target's folder under another name, synced, and renamed. Platform calls for writing are
//! here and in `temporary`.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf, is_separator};
use std::sync::Arc;

use tempfile::{NamedTempFile, TempPath};

use crate::error::{Error, Result};
use crate::lock::take_turn;
use crate::made::{Known, Own, Temporary};
use crate::original::Original;
use crate::rename::rename_new_file;
use crate::temporary::{Kind, Temporaries};

/// A file that is not published yet.
///
/// It is written under a temporary name in the target's folder, `.NAME.XXXXXX.gen5-partial`, and
/// gets its own name when it is [published](Self::publish). A draft that is dropped before that
/// leaves nothing.
///
/// An unsuitable path is an error as soon as the draft is created, so create the draft before the
/// work. A replaced file passes on its permissions, and its owner and group if the system allows
/// that. A symbolic link is kept, and its target is replaced. Anything other than a regular file is
/// never replaced.
///
/// A killed process leaves its temporary file. The file is locked until then, so the next draft for
/// the same path recognizes it as abandoned and removes it (on Linux, except on network file
/// systems).
///
/// ```
/// use std::io::Write;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("notes.txt");
/// let mut draft = gen5_publish::Draft::create_new(&path)?;
/// draft.write_all(b"noise and a lighthouse")?;
/// assert!(!path.exists());
/// draft.publish()?;
/// assert_eq!(std::fs::read(&path)?, b"noise and a lighthouse");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "without `publish`, everything is deleted"]
pub struct Draft {
    file: Own<NamedTempFile>,
    /// Dropped after the file.
    _known: Known,
    /// The folder to sync at the end. It is opened at the start, so that a failure to open it is
    /// known before the work is done.
    folder: Option<Folder>,
    target: PathBuf,
    replace: Replace,
}

/// The files that a new file may replace.
#[derive(Clone)]
pub enum Replace {
    /// None: the path must be free.
    Nothing,
    /// Any file.
    Anything,
    /// Only the file that was read, in the same state.
    Only(Arc<Original>),
}

impl Draft {
    /// Starts a file at `path`, replacing any file there when it is published.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder is not writable, or if something other than a file is at the
    /// path.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::start(path.as_ref(), Replace::Anything, true)
    }

    /// Starts a file at `path` like [`create`](Self::create), but requires that the path is free,
    /// both now and when the file is published.
    ///
    /// # Errors
    ///
    /// The same errors as [`create`](Self::create), and [`Error::Io`] if something is at the path.
    pub fn create_new(path: impl AsRef<Path>) -> Result<Self> {
        Self::start(path.as_ref(), Replace::Nothing, true)
    }

    /// Starts a file. With `sync`, publishing waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// The same errors as [`create`](Self::create).
    pub fn start(path: &Path, replace: Replace, sync: bool) -> Result<Self> {
        let failed = || Error::io_at("create", path);
        let invalid = |problem: &str| failed()(io::Error::new(ErrorKind::InvalidInput, problem));
        let no_file = || invalid("the path exists, but is not a regular file");
        // Such a path would name a folder, whatever its last component is.
        let text = path.to_string_lossy();
        let before_dot = text.strip_suffix('.').filter(|before| !before.ends_with('.'));
        let text =
            before_dot.filter(|before| before.is_empty() || before.ends_with(is_separator)).unwrap_or(&text);
        if text.is_empty() || text.ends_with(is_separator) {
            return Err(invalid("the path does not end in a file name"));
        }
        // A program may change its working folder before it is done.
        let absolute = std::path::absolute(path).map_err(failed())?;
        let there = fs::symlink_metadata(path);
        let is_there = there.is_ok();
        let target = match there {
            Err(error) if error.kind() == ErrorKind::NotFound => absolute,
            Err(error) => return Err(failed()(error)),
            Ok(there) if !there.is_file() && !there.is_symlink() => {
                return Err(no_file());
            }
            Ok(_) if matches!(replace, Replace::Nothing) => return Err(failed()(already_there())),
            Ok(there) if there.is_symlink() => {
                let linked = fs::canonicalize(path)
                    .map_err(|_| invalid("the path is a symbolic link to a missing file"))?;
                if !linked.is_file() {
                    return Err(no_file());
                }
                linked
            }
            Ok(_) => absolute,
        };
        let Some(name) = target.file_name() else {
            return Err(invalid("the path does not end in a file name"));
        };
        let temporaries = Temporaries::of(name, folder_of(&target));
        let folder = if sync { Some(Folder::open(&target).map_err(failed())?) } else { None };
        // A file without sync is usually one of many in its own folder, and searching that folder
        // each time would take quadratic time.
        if sync {
            temporaries.take_away(Kind::File);
        }
        // If the replaced file is private to its owner, the new one must be too.
        let file = temporaries.file(is_there).map_err(|error| failed()(without_path(error)))?;
        let known = Known::at(file.path());
        Ok(Self { file: Own::new(file), _known: known, folder, target, replace })
    }

    /// Returns a handle for writing.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn handle(&self) -> Result<File> {
        let failed = Error::io_at("write to", self.file.path());
        self.file.as_file().try_clone().map_err(failed)
    }

    /// Gives the file its name. File and folder are on the disk when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]. The path is then as it was before, with one exception: if only the very last
    /// step fails, syncing the folder, the complete file is at the path but may not survive a power
    /// failure.
    pub fn publish(self) -> Result<()> {
        let Self { mut file, _known, folder, target, replace } = self;
        let failed = || Error::io_at("finish", &target);
        match fs::symlink_metadata(&target) {
            // It may have appeared since the start.
            Ok(there) if !there.is_file() => {
                let problem = "the path exists, but is not a regular file";
                return Err(failed()(io::Error::new(ErrorKind::InvalidInput, problem)));
            }
            Ok(there) => inherit(file.as_file(), &there).map_err(failed())?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed()(error)),
        }
        if folder.is_some() {
            file.as_file().sync_all().map_err(failed())?;
        }
        // From here on, `path` removes the file when dropped. The file stays open, and so locked,
        // until the end.
        let path = TempPath::try_from_path(file.path()).map_err(failed())?;
        file.leave();
        let published = match &replace {
            Replace::Nothing => Known::publish(|| rename_new_file(path, &target)),
            Replace::Anything => {
                let _turn = take_turn(&target);
                Known::publish(|| path.persist(&target).map_err(|error| error.error))
            }
            Replace::Only(original) => {
                let _turn = if original.is_locked() { None } else { take_turn(&target) };
                original.check(&target)?;
                Known::publish(|| path.persist(&target).map_err(|error| error.error))
            }
        };
        published.map_err(failed())?;
        match folder {
            Some(folder) => {
                let state = "the file is there, complete, but may not survive a power failure";
                folder.sync().map_err(|source| Error::Io {
                    action: format!("sync the folder of {} ({state})", target.display()),
                    path: Some(target),
                    source,
                })
            }
            None => Ok(()),
        }
    }

    /// Returns the path of the finished file.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// If this file will replace `original`, restricts it to replace nothing else.
    pub fn guard(&mut self, original: &Arc<Original>) {
        if matches!(self.replace, Replace::Anything) && original.belongs_at(&self.target) {
            self.replace = Replace::Only(Arc::clone(original));
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Gives a new file the owner, group and permissions of the file that it replaces, as far as the
/// system allows. Permissions for an owner or group that the new file cannot have are left out.
#[cfg(unix)]
fn inherit(file: &File, there: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    const SET_IDS: u32 = 0o6000;
    const GROUP: u32 = 0o070;

    let mut mode = there.mode();
    let new = file.metadata()?;
    let owner = Some(there.uid());
    let group = Some(there.gid());
    if (Some(new.uid()), Some(new.gid())) != (owner, group) && fchown(file, owner, group).is_err() {
        // Only root can give a file away; anyone can give it to a group of their own.
        mode &= !SET_IDS;
        if fchown(file, None, group).is_err() {
            mode &= !GROUP;
        }
    }
    // This comes after the owner, because changing the owner clears mode bits.
    match file.set_permissions(fs::Permissions::from_mode(mode)) {
        // The file keeps its current mode, provided that this allows nothing that the mode of the
        // replaced file does not.
        Err(error) if is_refusal(&error) && !allows_more(file.metadata()?.mode(), mode) => Ok(()),
        set => set,
    }
}

/// Returns whether a file system or sandbox generally forbids changing permissions, as opposed to a
/// real failure.
#[cfg(unix)]
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported)
}

/// Returns whether one mode allows something that another does not.
#[cfg(unix)]
fn allows_more(mode: u32, other: u32) -> bool {
    const PERMISSIONS: u32 = 0o7777;

    mode & !other & PERMISSIONS != 0
}

#[cfg(not(unix))]
fn inherit(file: &File, there: &Metadata) -> io::Result<()> {
    file.set_permissions(there.permissions())
}

/// Removes the temporary file's path from the error message; only the target path matters to the
/// user.
pub(crate) fn without_path(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path \"") {
        Some((cause, _)) => io::Error::new(error.kind(), cause),
        None => error,
    }
}

fn already_there() -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, "it already exists")
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The folder of the file. Its entries are synced to the disk, so that the new name survives a
/// power failure.
#[cfg(unix)]
struct Folder(File);

#[cfg(unix)]
impl Folder {
    fn open(target: &Path) -> io::Result<Self> {
        File::open(folder_of(target)).map(Self)
    }

    fn sync(&self) -> io::Result<()> {
        match self.0.sync_all() {
            // A file system that does not support this for folders.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }
}

/// Windows cannot sync a folder; its file systems order the rename themselves. Not tested there.
#[cfg(not(unix))]
struct Folder;

#[cfg(not(unix))]
impl Folder {
    fn open(_: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
