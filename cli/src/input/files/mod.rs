//! Files named on the command line: by path, by pattern, or by the folder that contains them.

mod pattern;
mod walk;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};

use self::pattern::{NamePattern, Pattern, Step};
use self::walk::{FoundPath, find_paths, sort};
use crate::failure::usage_error;
use crate::options::FilesArgs;
use crate::streams::is_dash;
use crate::terminal::shown;

/// The names of the files that a folder argument selects.
const GEN5: &str = "*.[gG][eE][nN]5";

/// The error when standard input is requested a second time.
pub(crate) fn read_once() -> anyhow::Error {
    usage_error("- is standard input, which can be read once")
}

/// The files that arguments select, in order.
pub(crate) struct Files {
    /// Paths, and the errors of arguments that match no file.
    pub(crate) found: Vec<(PathBuf, Result<()>)>,
    /// Whether there can be several files: more than one argument, a folder, or a pattern.
    pub(crate) several: bool,
}

impl Files {
    /// Finds the files. Those of a pattern or folder are sorted.
    ///
    /// # Errors
    ///
    /// If standard input is named twice.
    pub(crate) fn find(args: &FilesArgs) -> Result<Self> {
        if args.files.iter().filter(|path| is_dash(path)).nth(1).is_some() {
            return Err(read_once());
        }
        let mut files = Self { found: Vec::new(), several: args.files.len() > 1 };
        for path in &args.files {
            if let Err(error) = files.add(path, args.recursive) {
                files.found.push((path.clone(), Err(error)));
            }
        }
        Ok(files)
    }

    fn add(&mut self, path: &Path, recursive: bool) -> Result<()> {
        if path.is_dir() {
            return self.add_folder(path, recursive);
        }
        let Some(matches) = matches(path) else {
            self.found.push((path.to_owned(), Ok(())));
            return Ok(());
        };
        self.several = true;
        let mut found = Vec::new();
        for (path, result) in matches? {
            // A pattern may match folders by accident; they are only reported if it selects
            // everything below.
            if result.is_err() || !path.is_dir() {
                found.push((path, result));
            } else if recursive {
                found.append(&mut below(&path)?);
            }
        }
        // A pattern may match a folder and another folder inside it.
        sort(&mut found);
        ensure!(!found.is_empty(), "nothing matches {}", shown(path));
        self.extend(found);
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path, recursive: bool) -> Result<()> {
        ensure!(recursive, "{} is a folder; -r reads all .gen5 files below it", shown(folder));
        self.several = true;
        let found = below(folder)?;
        ensure!(!found.is_empty(), "there is no .gen5 file below {}", shown(folder));
        self.extend(found);
        Ok(())
    }

    fn extend(&mut self, found: Vec<FoundPath>) {
        self.found.extend(found.into_iter().map(|(path, result)| {
            let result = result.map_err(|cause| not_looked_at(&path, &cause));
            (path, result)
        }));
    }
}

/// All files below a folder whose names end in `.gen5`.
fn below(folder: &Path) -> Result<Vec<FoundPath>> {
    let steps = [Step::AnyFolders, Step::Matching(NamePattern::parse(GEN5.as_ref())?)];
    let mut found = Vec::new();
    for (path, result) in find_paths(folder.to_owned(), &steps) {
        match result.and_then(|()| fs::metadata(&path)) {
            Ok(there) if there.is_file() => found.push((path, Ok(()))),
            Ok(_) => {}
            Err(error) => found.push((path, Err(error))),
        }
    }
    Ok(found)
}

fn not_looked_at(path: &Path, cause: &io::Error) -> anyhow::Error {
    anyhow!("could not inspect {}: {cause}", shown(path))
}

/// The files that a path selects: the path itself, or the sorted matches of a pattern, without
/// folders.
pub(crate) fn expand(path: &Path) -> Result<Vec<PathBuf>> {
    let Some(matches) = matches(path) else { return Ok(vec![path.to_owned()]) };
    let mut found = Vec::new();
    for (path, result) in matches? {
        result.map_err(|error| not_looked_at(&path, &error))?;
        if !path.is_dir() {
            found.push(path);
        }
    }
    ensure!(!found.is_empty(), "nothing matches {}", shown(path));
    Ok(found)
}

/// All matches of a path, sorted, if it is a pattern. An existing file of that name takes
/// precedence.
fn matches(path: &Path) -> Option<Result<Vec<FoundPath>>> {
    if !Pattern::is_one(path) || fs::symlink_metadata(path).is_ok() {
        return None;
    }
    let pattern = Pattern::parse(path)
        .with_context(|| format!("{} is neither an existing file nor a valid pattern", shown(path)));
    Some(pattern.map(|Pattern { start, steps, only_folders }| {
        let mut found = find_paths(start, &steps);
        found.retain(|(path, result)| !only_folders || result.is_err() || path.is_dir());
        found
    }))
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}
