//! A walk through the folders in which a pattern can match.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::is_hidden;
use super::pattern::Step;

/// A path that was found, or that could not be read.
pub(super) type FoundPath = (PathBuf, io::Result<()>);

/// All paths that the steps reach from `start`, sorted and without duplicates.
///
/// Links are followed. A folder that is reachable by several paths is searched once per step, by
/// the path with the fewest links. So the walk terminates, and its cost is proportional to the
/// number of folders, however links are arranged.
pub(super) fn find_paths(start: PathBuf, steps: &[Step]) -> Vec<FoundPath> {
    let mut walk = Walk { steps, todo: BTreeSet::new(), seen: HashSet::new(), found: Vec::new() };
    if let Err(error) = walk.follow(start.clone(), 0, 0)
        && !is_absence(&error)
    {
        walk.found.push((start, Err(error)));
    }
    while let Some(folder) = walk.todo.pop_first() {
        if walk.seen.insert((folder.real.clone(), folder.step)) {
            walk.go_on(&folder);
        }
    }
    sort(&mut walk.found);
    walk.found
}

/// Sorts by path and removes duplicates. If a path was found and also failed, the find is kept.
pub(super) fn sort(found: &mut Vec<FoundPath>) {
    found.sort_by(|(one, is_there), (other, is_other_there)| {
        one.cmp(other).then(is_there.is_err().cmp(&is_other_there.is_err()))
    });
    found.dedup_by(|(one, _), (other, _)| one == other);
}

struct Walk<'s> {
    steps: &'s [Step],
    todo: BTreeSet<PendingFolder>,
    /// Visited folders by their canonical paths, and the steps taken there.
    seen: HashSet<(PathBuf, usize)>,
    found: Vec<FoundPath>,
}

/// A folder, and the next step to take there.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PendingFolder {
    /// Number of links on the way.
    links: usize,
    path: PathBuf,
    step: usize,
    /// The canonical path.
    real: PathBuf,
}

impl Walk<'_> {
    fn go_on(&mut self, folder: &PendingFolder) {
        let PendingFolder { links, path, step, real } = folder;
        match self.steps.get(*step) {
            Some(Step::Exactly(name)) => {
                let path = path.join(name);
                // The name may be `..`, which does not always lead to the previous folder.
                let reached =
                    fs::symlink_metadata(&path).and_then(|_| self.follow(path.clone(), *links, step + 1));
                // A name that no file system accepts cannot exist.
                if reached.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidFilename) {
                    return;
                }
                self.note(path, reached);
            }
            Some(Step::Matching(pattern)) => self.look_into(folder, |walk, name, kind| {
                if !pattern.matches(name.as_ref()) {
                    return;
                }
                let path = path.join(name);
                if step + 1 == walk.steps.len() {
                    walk.found.push((path, Ok(())));
                } else if kind.is_dir() {
                    walk.enter(path, real.join(name), *links, step + 1);
                } else if kind.is_symlink() {
                    let reached = walk.follow(path.clone(), links + 1, step + 1);
                    walk.note(path, reached);
                }
            }),
            Some(Step::AnyFolders) => {
                self.enter(path.clone(), real.clone(), *links, step + 1);
                self.look_into(folder, |walk, name, kind| {
                    if is_hidden(name.as_ref()) {
                        return;
                    }
                    let path = path.join(name);
                    if kind.is_dir() {
                        walk.enter(path, real.join(name), *links, *step);
                    } else if kind.is_symlink()
                        && let Err(error) = walk.follow(path.clone(), links + 1, *step)
                    {
                        // The target of the link is missing, and the requested files may be in it.
                        walk.found.push((path, Err(error)));
                    }
                });
            }
            None => {}
        }
    }

    /// Calls `visit` for each entry of a folder.
    fn look_into(&mut self, folder: &PendingFolder, mut visit: impl FnMut(&mut Self, &Path, FileType)) {
        let entries = match fs::read_dir(or_here(&folder.path)) {
            Ok(entries) => entries,
            Err(error) => return self.note(folder.path.clone(), Err(error)),
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))) {
                Ok((name, kind)) => visit(self, name.as_ref(), kind),
                Err(error) => self.note(folder.path.clone(), Err(error)),
            }
        }
    }

    /// Continues from a path that may be or contain a link.
    fn follow(&mut self, path: PathBuf, links: usize, step: usize) -> io::Result<()> {
        if step == self.steps.len() {
            self.found.push((path, Ok(())));
        } else if fs::metadata(or_here(&path))?.is_dir() {
            let real = fs::canonicalize(or_here(&path))?;
            self.enter(path, real, links, step);
        }
        Ok(())
    }

    /// Continues from a folder.
    fn enter(&mut self, path: PathBuf, real: PathBuf, links: usize, step: usize) {
        if step == self.steps.len() {
            self.found.push((path, Ok(())));
        } else {
            self.todo.insert(PendingFolder { links, path, step, real });
        }
    }

    /// Records an error, unless it says that the path does not exist: a link may be broken, and a
    /// listed entry may have been removed since.
    fn note(&mut self, path: PathBuf, reached: io::Result<()>) {
        match reached {
            Err(error) if !is_absence(&error) => self.found.push((path, Err(error))),
            _ => {}
        }
    }
}

/// The path, or the working folder if it is empty.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
