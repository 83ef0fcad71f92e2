//! The files that a command line stands for: paths, folders, patterns, and standard input.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use gen5::{ReadOptions, Reader};
use walkdir::{DirEntry, WalkDir};

use crate::args::FilesArgs;
use crate::failure::UsageError;
use crate::terminal::shown;

/// Standard input as an argument, or standard output.
const STANDARD: &str = "-";

/// The files to look at, in order.
pub(crate) struct Files {
    /// A path, or why an argument stands for none.
    pub(crate) paths: Vec<Result<PathBuf>>,
    /// Whether there can be several, which decides how results look.
    pub(crate) several: bool,
}

impl Files {
    /// What the arguments stand for.
    ///
    /// # Errors
    ///
    /// Standard input is asked for twice.
    pub(crate) fn of(args: &FilesArgs) -> Result<Self> {
        check_standard_input(args.files.iter().map(PathBuf::as_path))?;
        let mut paths = Vec::new();
        for path in &args.files {
            match expand(path, args.recursive) {
                Ok(found) => paths.extend(found),
                Err(error) => paths.push(Err(error)),
            }
        }
        let single = matches!(args.files.as_slice(), [only] if is_single(only));
        Ok(Self { paths, several: !single })
    }
}

/// Whether a path is that of standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == OsStr::new(STANDARD)
}

/// Refuses a command line that reads standard input twice.
pub(crate) fn check_standard_input<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    match paths.into_iter().filter(|path| is_standard(path)).nth(1) {
        Some(_) => Err(UsageError("- is standard input, which can be read once".into()).into()),
        None => Ok(()),
    }
}

/// Whether an argument stands for one file, whatever is there.
fn is_single(path: &Path) -> bool {
    is_standard(path) || path.is_file() || !(path.is_dir() || is_pattern(path))
}

/// Whether a path has characters of a pattern. What is there by that name is meant, all the same.
fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains(['*', '?', '[']))
}

/// The files that an argument stands for.
fn expand(path: &Path, recursive: bool) -> Result<Vec<Result<PathBuf>>> {
    if is_standard(path) || path.is_file() {
        return Ok(vec![Ok(path.to_owned())]);
    }
    if path.is_dir() {
        ensure!(recursive, "{} is a folder; -r looks at the .gen5 files below it", shown(path));
        return below(path);
    }
    match path.to_str() {
        Some(pattern) if is_pattern(path) => matches_of(pattern, recursive),
        // It is opened, and what is wrong is said then.
        _ => Ok(vec![Ok(path.to_owned())]),
    }
}

/// The `.gen5` files below a folder, by their names. Hidden ones are passed over, and links to folders are not followed.
fn below(folder: &Path) -> Result<Vec<Result<PathBuf>>> {
    let is_visible =
        |entry: &DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
    let is_meant =
        |path: &Path| path.extension().is_some_and(|extension| extension == "gen5") && path.is_file();
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(is_visible) {
        match entry {
            Ok(entry) if is_meant(entry.path()) => found.push(Ok(entry.into_path())),
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                let problem = error.io_error().map_or_else(|| error.to_string(), io::Error::to_string);
                found.push(Err(anyhow!("could not look into {}: {problem}", shown(&path))));
            }
        }
    }
    ensure!(!found.is_empty(), "no .gen5 file is below {}", shown(folder));
    Ok(found)
}

/// The files that a pattern matches, by their names, and those below the folders that it matches.
fn matches_of(pattern: &str, recursive: bool) -> Result<Vec<Result<PathBuf>>> {
    let matches = glob::glob(pattern).map_err(|error| UsageError(format!("{pattern}: {error}")))?;
    let mut found = Vec::new();
    for path in matches {
        match path {
            Ok(path) if path.is_dir() && !recursive => {}
            Ok(path) if path.is_dir() => found.extend(below(&path).unwrap_or_default()),
            Ok(path) => found.push(Ok(path)),
            Err(error) => {
                found.push(Err(anyhow!("could not look into {}: {}", shown(error.path()), error.error())));
            }
        }
    }
    if found.is_empty() {
        bail!("no file matches {}", shown(Path::new(pattern)));
    }
    Ok(found)
}

/// Opens a file, or what comes from standard input, which is kept in a file without a name meanwhile.
pub(crate) fn open(path: &Path, options: ReadOptions) -> gen5::Result<Reader> {
    if !is_standard(path) {
        return options.open(path);
    }
    let spooled = || -> io::Result<File> {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        Ok(file)
    };
    match spooled() {
        Ok(file) => options.open_file(file),
        Err(error) => Err(gen5::Error::Io { action: "read standard input".into(), error }),
    }
}
