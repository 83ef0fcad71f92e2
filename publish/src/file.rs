//! A file appears under its name when it is complete, or not at all: it is written beside its target under another name,
//! synced, and renamed. Platform calls for writing are here and in `temporary`.

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

/// A file in the making.
///
/// It is written under a temporary name beside its path, `.NAME.XXXXXX.gen5-partial`, and gets its own name when it is
/// [published](Self::publish). Dropped before that, it leaves nothing. What cannot be at the path is refused at once:
/// before the work, if the draft is created before it. A file that is replaced keeps its permissions, and its owner and
/// group where the system permits that; a symbolic link stays one, its target being replaced; what is no regular file
/// is not replaced at all.
///
/// A process that is killed leaves the temporary. It was locked until then, so that the next draft for the same path
/// knows it for what it is, and takes it away: on Linux, on file systems that are not those of a network.
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
#[must_use = "what is not published is gone"]
pub struct Draft {
    file: Own<NamedTempFile>,
    /// Dropped after the file.
    _known: Known,
    /// What is to be synced in the end. It is opened at the start, so that what cannot be is known before the work is done.
    folder: Option<Folder>,
    target: PathBuf,
    replace: Replace,
}

/// What a file may replace.
#[derive(Clone)]
pub enum Replace {
    /// Nothing: the path must be free.
    Nothing,
    /// Any file.
    Anything,
    /// The file that was read, as it was.
    Only(Arc<Original>),
}

impl Draft {
    /// Starts a file that is to be at `path`, in the place of what is there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be written to, or if something other than a file is there.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::start(path.as_ref(), Replace::Anything, true)
    }

    /// As [`create`](Self::create), for a path where nothing is, neither now nor when the file is published.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), and [`Error::Io`] if something is there.
    pub fn create_new(path: impl AsRef<Path>) -> Result<Self> {
        Self::start(path.as_ref(), Replace::Nothing, true)
    }

    /// Starts a file. With `sync` it is on the disk when it is published.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn start(path: &Path, replace: Replace, sync: bool) -> Result<Self> {
        let failed = || Error::io(format!("create {}", path.display()));
        let invalid = |problem: &str| failed()(io::Error::new(ErrorKind::InvalidInput, problem));
        let no_file = || invalid("something that is no regular file is there");
        // Such a path would name a folder, whatever its last part is.
        let text = path.to_string_lossy();
        let before_dot = text.strip_suffix('.').filter(|before| !before.ends_with('.'));
        let text =
            before_dot.filter(|before| before.is_empty() || before.ends_with(is_separator)).unwrap_or(&text);
        if text.is_empty() || text.ends_with(is_separator) {
            return Err(invalid("the path does not end in a file name"));
        }
        // A program may change its folder before it is done.
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
                    .map_err(|_| invalid("a symbolic link is there that leads nowhere"))?;
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
        // What is not synced is one of many in a folder of its own, as a rule: to look through that each time would take the
        // square of their number.
        if sync {
            temporaries.take_away(Kind::File);
        }
        // What replaces a file may be for its owner alone, as that may be.
        let file = temporaries.file(is_there).map_err(|error| failed()(without_path(error)))?;
        let known = Known::at(file.path());
        Ok(Self { file: Own::new(file), _known: known, folder, target, replace })
    }

    /// A handle to write by.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn handle(&self) -> Result<File> {
        let failed = Error::io(format!("write to {}", self.file.path().display()));
        self.file.as_file().try_clone().map_err(failed)
    }

    /// Gives the file its name. File and folder are on the disk when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]. What was at the path is there still; but if only the very last step fails, syncing the folder, the
    /// complete file is there, and may not survive a power failure.
    pub fn publish(self) -> Result<()> {
        let Self { mut file, _known, folder, target, replace } = self;
        let failed = || Error::io(format!("finish {}", target.display()));
        match fs::symlink_metadata(&target) {
            // It may have come since the start.
            Ok(there) if !there.is_file() => {
                let problem = "something that is no regular file is there";
                return Err(failed()(io::Error::new(ErrorKind::InvalidInput, problem)));
            }
            Ok(there) => inherit(file.as_file(), &there).map_err(failed())?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed()(error)),
        }
        if folder.is_some() {
            file.as_file().sync_all().map_err(failed())?;
        }
        // From here on the path removes the file. That is open until the end, since it is locked as long.
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
                folder.sync().map_err(Error::io(format!("sync the folder of {} ({state})", target.display())))
            }
            None => Ok(()),
        }
    }

    /// Where the file is to be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// If this file is to replace the original, nothing but that may be replaced.
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

/// Gives a new file the owner, group and permissions of the one that it replaces, as far as the system permits. Permissions
/// that were meant for another owner or group than it can have are left out.
#[cfg(unix)]
fn inherit(file: &File, there: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    const SET_IDS: u32 = 0o6000;
    const GROUP: u32 = 0o070;

    let mut mode = there.mode();
    let new = file.metadata()?;
    let (owner, group) = (Some(there.uid()), Some(there.gid()));
    if (Some(new.uid()), Some(new.gid())) != (owner, group) && fchown(file, owner, group).is_err() {
        // Root alone may give a file away; to a group of one's own, anybody may.
        mode &= !SET_IDS;
        if fchown(file, None, group).is_err() {
            mode &= !GROUP;
        }
    }
    // After the owner, whose change takes bits away.
    match file.set_permissions(fs::Permissions::from_mode(mode)) {
        // The file keeps the mode that it has, provided that nobody may do more than with the one that it replaces.
        Err(error) if is_refusal(&error) && !allows_more(file.metadata()?.mode(), mode) => Ok(()),
        set => set,
    }
}

/// Whether a file system or a sandbox lets nobody change permissions, rather than something being wrong.
#[cfg(unix)]
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported)
}

/// Whether a mode permits something that another does not.
#[cfg(unix)]
fn allows_more(mode: u32, other: u32) -> bool {
    const PERMISSIONS: u32 = 0o7777;

    mode & !other & PERMISSIONS != 0
}

#[cfg(not(unix))]
fn inherit(file: &File, there: &Metadata) -> io::Result<()> {
    file.set_permissions(there.permissions())
}

/// An error in making a temporary, whose own words name that behind the cause, which is nobody's concern.
pub(crate) fn without_path(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path \"") {
        Some((cause, _)) => io::Error::new(error.kind(), cause),
        None => error,
    }
}

fn already_there() -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, "it is there already")
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The folder of the file. Its entries are put on the disk, so that the new name outlives a power failure.
#[cfg(unix)]
struct Folder(File);

#[cfg(unix)]
impl Folder {
    fn open(target: &Path) -> io::Result<Self> {
        File::open(folder_of(target)).map(Self)
    }

    fn sync(&self) -> io::Result<()> {
        match self.0.sync_all() {
            // A file system that has no such thing for folders.
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
