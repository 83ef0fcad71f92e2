//! Publishing a folder: it appears under its name when it is complete, or not at all. If the folder
//! already exists, its files are moved into it.

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

/// A folder that is not published yet.
///
/// Like a [`Draft`](crate::Draft), it has a temporary name, `.NAME.XXXXXX.gen5-partial`, until it
/// is [published](Self::publish). A draft that is dropped before that is removed with its contents.
/// The next draft for the same path removes what a killed process has left.
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
#[must_use = "without `publish`, everything is deleted"]
pub struct DraftFolder {
    folder: Own<TempDir>,
    /// Dropped after the folder, which is locked as long as it exists.
    _lock: Lock,
    /// Also dropped after the folder.
    _known: Known,
    target: PathBuf,
    /// The target as given by the caller, for error messages.
    name: PathBuf,
    is_inside: bool,
}

impl DraftFolder {
    /// Starts a folder at `path`.
    ///
    /// If the path is already a folder, the draft is created inside it, since it may be on another
    /// file system. Such a draft cannot be published as a whole, but [its files can be
    /// moved](Self::publish_files) to their places.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = || Error::io_at("create", path);
        let target = std::path::absolute(path).map_err(failed())?;
        let is_inside = target.is_dir();
        let place = if is_inside { &target } else { folder_of(&target) };
        // Paths such as `..` have no file name, and exist.
        let stem = target.file_name().unwrap_or(OsStr::new("folder"));
        let temporaries = Temporaries::of(stem, place);
        temporaries.take_away(Kind::Folder);
        let (folder, lock) = temporaries.folder().map_err(|error| failed()(without_path(error)))?;
        let known = Known::at(folder.path());
        let name = path.to_owned();
        Ok(Self { folder: Own::new(folder), _lock: lock, _known: known, target, name, is_inside })
    }

    /// Returns the temporary path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns whether the target folder already existed when the draft was started.
    pub fn is_inside(&self) -> bool {
        self.is_inside
    }

    /// Gives the folder its name, in one step. The folder is not synced.
    ///
    /// The path must be free, so even an empty folder is an error. If several programs create a
    /// folder with the same name, one succeeds.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], with kind `AlreadyExists` if something is at the path, which is left
    /// unchanged.
    pub fn publish(mut self) -> Result<()> {
        let renamed = Known::publish(|| rename_new_folder(self.folder.path(), &self.target));
        renamed.map_err(|error| {
            let error = match error.kind() {
                ErrorKind::AlreadyExists if self.is_inside => already(""),
                ErrorKind::AlreadyExists => already(", created by another program in the meantime"),
                _ => error,
            };
            Error::io_at("finish", &self.name)(error)
        })?;
        // It was renamed, so its own cleanup has nothing left to remove.
        self.folder.leave();
        Ok(())
    }

    /// Moves the files to their places in an existing folder, one after the other, each in one
    /// step. The files of inner folders come first, in each folder in the order of their names.
    /// Missing inner folders are created.
    ///
    /// With `replace`, files with the same name are replaced, and after an error some of the files
    /// are the new ones. Without it, nothing is replaced: if the place of a file is occupied, the
    /// files moved before it are taken back. A link is neither followed nor treated as a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], with kind `AlreadyExists` if a place is occupied.
    pub fn publish_files(self, replace: bool) -> Result<()> {
        let contents = Contents::of(self.path())?;
        let mut moves =
            Moves { from: self.path(), to: &self.target, name: &self.name, replace, done: Vec::new() };
        // Check for every possible obstacle before the first move.
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
    io::Error::new(ErrorKind::AlreadyExists, format!("it already exists{more}"))
}

/// Returns the metadata of the path itself, without following a link, if available.
fn there(path: &Path) -> Option<fs::Metadata> {
    fs::symlink_metadata(path).ok()
}

/// The contents of a folder, as paths relative to it: folders before those in them, and files in
/// the order in which they are moved.
#[derive(Default)]
struct Contents {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Contents {
    fn of(folder: &Path) -> Result<Self> {
        let mut contents = Self::default();
        contents.add(folder, Path::new("")).map_err(Error::io_at("list", folder))?;
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

/// Files that are moved from one folder into another. If it is dropped before all are moved, it
/// takes back those that replaced nothing.
struct Moves<'a> {
    from: &'a Path,
    to: &'a Path,
    /// The target folder in error messages.
    name: &'a Path,
    replace: bool,
    done: Vec<Move>,
}

enum Move {
    /// A folder that did not exist before.
    Folder(PathBuf),
    /// A file that did not exist before. It has this identity unless another program has replaced
    /// it.
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
            // Another program may just have created it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.check_folder(folder)?,
            Err(error) => return Err(self.failed("create", folder)(error)),
        }
        Ok(())
    }

    fn move_file(&mut self, file: &Path) -> Result<()> {
        let from = self.from.join(file);
        let to = self.to.join(file);
        if self.replace {
            // A rename replaces a link instead of following it.
            return Known::publish(|| fs::rename(&from, &to)).map_err(self.failed("write", file));
        }
        let identity = there(&from).map(|there| Identity::of(&there));
        let renamed =
            TempPath::try_from_path(from).and_then(|from| Known::publish(|| rename_new_file(from, &to)));
        renamed
            .map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => already(", created by another program in the meantime"),
                _ => error,
            })
            .map_err(self.failed("write", file))?;
        self.done.push(Move::File(to, identity));
        Ok(())
    }

    fn failed(&self, action: &str, inner: &Path) -> impl FnOnce(io::Error) -> Error {
        Error::io_at(action, &self.name.join(inner))
    }
}

/// Returns the error for an existing file or folder that is in the way.
fn not(kind: ErrorKind) -> io::Error {
    let what = if kind == ErrorKind::IsADirectory { "a folder" } else { "not a folder" };
    io::Error::new(kind, format!("it already exists, and is {what}"))
}

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        for done in self.done.drain(..).rev() {
            // Anything that cannot be taken back stays, like files that other programs have put
            // there.
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
