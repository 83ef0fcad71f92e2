//! A folder appears under its name when it is complete, or not at all; into one that is there its files are moved.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tempfile::{TempDir, TempPath};

use crate::error::{Error, Result};
use crate::file::{folder_of, without_path};
use crate::identity::Identity;
use crate::made::{Known, Own, Temporary};
use crate::rename::{rename_new_file, rename_new_folder};
use crate::temporary::{Kind, Lock, Temporaries};

/// A folder in the making, as a [`Draft`](crate::Draft) is a file: under a temporary name, `.NAME.XXXXXX.gen5-partial`,
/// until it is [published](Self::publish). Dropped before that, it is gone with all that is in it; what a process that
/// was killed has left goes with the next draft for the same path.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("run");
/// let draft = gen5_publish::DraftFolder::create(&path)?;
/// std::fs::write(draft.path().join("notes.txt"), "noise and a lighthouse")?;
/// assert!(!path.exists());
/// draft.publish()?;
/// assert!(path.join("notes.txt").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "what is not published is gone"]
pub struct DraftFolder {
    folder: Own<TempDir>,
    /// Dropped after the folder: as long as that is there, it is locked.
    _lock: Lock,
    /// Dropped after the folder, too.
    _known: Known,
    target: PathBuf,
    /// The target as it was given, for errors.
    name: PathBuf,
    is_inside: bool,
}

impl DraftFolder {
    /// Starts a folder that is to be at `path`. If a folder is there, the draft is inside of it, since that may be another
    /// file system: it cannot be published as a whole, but [its files can be moved](Self::publish_files) to their places.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = || Error::io(format!("create {}", path.display()));
        let target = std::path::absolute(path).map_err(failed())?;
        let is_inside = target.is_dir();
        let place = if is_inside { &target } else { folder_of(&target) };
        // Such as `..` has none, and is there.
        let stem = target.file_name().unwrap_or(OsStr::new("folder"));
        let temporaries = Temporaries::of(stem, place);
        temporaries.take_away(Kind::Folder);
        let (folder, lock) = temporaries.folder().map_err(|error| failed()(without_path(error)))?;
        let known = Known::at(folder.path());
        let name = path.to_owned();
        Ok(Self { folder: Own::new(folder), _lock: lock, _known: known, target, name, is_inside })
    }

    /// Where it is made.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether a folder was there already when the draft was started.
    pub fn is_inside(&self) -> bool {
        self.is_inside
    }

    /// Gives the folder its name, in one step. Nothing may be there, not even an empty folder: of several programs that make
    /// a folder of one name, one succeeds. It is not synced.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], of kind `AlreadyExists` if something is there, which stays as it is.
    pub fn publish(mut self) -> Result<()> {
        let renamed = Known::publish(|| rename_new_folder(self.folder.path(), &self.target));
        renamed.map_err(|error| {
            let error = match error.kind() {
                ErrorKind::AlreadyExists if self.is_inside => already(""),
                ErrorKind::AlreadyExists => already(", put there by another program meanwhile"),
                _ => error,
            };
            Error::io(format!("finish {}", self.name.display()))(error)
        })?;
        // It is renamed, so there is nothing left that its own clean-up could remove.
        self.folder.leave();
        Ok(())
    }

    /// Moves the files to their places in a folder that is there, one after the other, each in one step: those of inner
    /// folders first, each in the order of their names. Inner folders that are not there are made.
    ///
    /// With `replace` a file of the same name is replaced, and after an error some files are the new ones. Without it
    /// nothing is replaced: if something is at the place of a file, those that were moved before are taken back. A link
    /// is neither followed nor taken for a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], of kind `AlreadyExists` if something is in the way.
    pub fn publish_files(self, replace: bool) -> Result<()> {
        let contents = Contents::of(self.path())?;
        let mut moves =
            Moves { from: self.path(), to: &self.target, name: &self.name, replace, done: Vec::new() };
        // What would stop the moves half-way is looked for before the first.
        contents.folders.iter().try_for_each(|folder| moves.check_folder(folder))?;
        contents.files.iter().try_for_each(|file| moves.check_file(file))?;
        contents.folders.iter().try_for_each(|folder| moves.make_folder(folder))?;
        contents.files.iter().try_for_each(|file| moves.move_file(file))?;
        moves.done.clear();
        Ok(())
    }
}

impl fmt::Debug for DraftFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DraftFolder").field("target", &self.target).finish_non_exhaustive()
    }
}

fn already(more: &str) -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, format!("it is there already{more}"))
}

/// What is at a path itself, if that can be known.
fn there(path: &Path) -> Option<fs::Metadata> {
    fs::symlink_metadata(path).ok()
}

/// What is in a folder, by paths relative to it: folders before those in them, files in the order in which they are moved.
#[derive(Default)]
struct Contents {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Contents {
    fn of(folder: &Path) -> Result<Self> {
        let mut contents = Self::default();
        contents.add(folder, Path::new("")).map_err(Error::io(format!("look into {}", folder.display())))?;
        Ok(contents)
    }

    fn add(&mut self, folder: &Path, prefix: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        let mut folders = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() { &mut folders } else { &mut files };
            list.push(entry.file_name());
        }
        files.sort_unstable();
        folders.sort_unstable();
        for name in folders {
            let inner = prefix.join(&name);
            self.folders.push(inner.clone());
            self.add(&folder.join(name), &inner)?;
        }
        self.files.extend(files.into_iter().map(|name| prefix.join(name)));
        Ok(())
    }
}

/// Files that are moved from one folder into another. Dropped before all are, it takes back those that replaced nothing.
struct Moves<'a> {
    from: &'a Path,
    to: &'a Path,
    /// The other folder in errors.
    name: &'a Path,
    replace: bool,
    done: Vec<Move>,
}

enum Move {
    /// A folder that was not there.
    Folder(PathBuf),
    /// A file that was not there, and is this one unless another program has replaced it.
    File(PathBuf, Option<Identity>),
}

impl Moves<'_> {
    fn check_folder(&self, folder: &Path) -> Result<()> {
        match there(&self.to.join(folder)) {
            Some(there) if !there.is_dir() => {
                Err(self.failed("create", folder)(not(ErrorKind::NotADirectory)))
            }
            _ => Ok(()),
        }
    }

    fn check_file(&self, file: &Path) -> Result<()> {
        match there(&self.to.join(file)) {
            Some(there) if there.is_dir() => Err(self.failed("write", file)(not(ErrorKind::IsADirectory))),
            Some(_) if !self.replace => Err(self.failed("write", file)(already(""))),
            _ => Ok(()),
        }
    }

    fn make_folder(&mut self, folder: &Path) -> Result<()> {
        let path = self.to.join(folder);
        match fs::create_dir(&path) {
            Ok(()) => self.done.push(Move::Folder(path)),
            // Another program may just have made it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.check_folder(folder)?,
            Err(error) => return Err(self.failed("create", folder)(error)),
        }
        Ok(())
    }

    fn move_file(&mut self, file: &Path) -> Result<()> {
        let (from, to) = (self.from.join(file), self.to.join(file));
        if self.replace {
            // A rename replaces a link instead of following it.
            return Known::publish(|| fs::rename(&from, &to)).map_err(self.failed("write", file));
        }
        let identity = there(&from).map(|there| Identity::of(&there));
        let renamed =
            TempPath::try_from_path(from).and_then(|from| Known::publish(|| rename_new_file(from, &to)));
        renamed
            .map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => already(", put there by another program meanwhile"),
                _ => error,
            })
            .map_err(self.failed("write", file))?;
        self.done.push(Move::File(to, identity));
        Ok(())
    }

    fn failed(&self, action: &str, inner: &Path) -> impl FnOnce(io::Error) -> Error {
        Error::io(format!("{action} {}", self.name.join(inner).display()))
    }
}

/// What is in the way of a folder or a file.
fn not(kind: ErrorKind) -> io::Error {
    let what = if kind == ErrorKind::IsADirectory { "a folder" } else { "no folder" };
    io::Error::new(kind, format!("it is there already, and is {what}"))
}

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        for done in self.done.drain(..).rev() {
            // What cannot be taken back stays, as does what other programs have put there.
            let _ = match done {
                Move::Folder(folder) => fs::remove_dir(folder),
                Move::File(file, moved) => {
                    let now = there(&file).map(|there| Identity::of(&there));
                    let is_same = now.zip(moved).is_some_and(|(now, moved)| now.is_same_file(&moved));
                    if is_same { fs::remove_file(file) } else { Ok(()) }
                }
            };
        }
    }
}
