//! Files as they are named on the command line: by path, by pattern, by the folder they are below.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use glob::MatchOptions;
use walkdir::WalkDir;

use crate::args::FilesArgs;
use crate::failure::UsageError;
use crate::terminal::{escape, shown};

/// Whether a path stands for standard input, or output.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What is said where standard input is asked for again.
pub(crate) fn read_once() -> UsageError {
    UsageError("- is standard input, which can be read once".to_owned())
}

/// What arguments stand for, in their order.
pub(crate) struct Files {
    /// Paths, and what is wrong with arguments that lead to none.
    pub(crate) found: Vec<(PathBuf, Result<()>)>,
    /// Whether there can be several: more than one argument, a folder, or a pattern.
    pub(crate) several: bool,
}

impl Files {
    /// Looks for the files. Those of a pattern or folder are sorted.
    ///
    /// # Errors
    ///
    /// Standard input is among them twice.
    pub(crate) fn find(args: &FilesArgs) -> Result<Self> {
        if args.files.iter().filter(|path| is_dash(path)).nth(1).is_some() {
            return Err(read_once().into());
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
        let Some(pattern) = pattern(path) else {
            self.found.push((path.to_owned(), Ok(())));
            return Ok(());
        };
        self.several = true;
        let before = self.found.len();
        for found in matches(pattern)? {
            let found = found?;
            // Folders among the matches are what the pattern happens to match, unless all below folders is asked for.
            match found.is_dir() {
                true if recursive => self.add_folder(&found, recursive)?,
                true => {}
                false => self.found.push((found, Ok(()))),
            }
        }
        ensure!(self.found.len() > before, "nothing matches {}", shown(path));
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path, recursive: bool) -> Result<()> {
        ensure!(recursive, "{} is a folder; -r looks at all .gen5 files below it", shown(folder));
        self.several = true;
        let before = self.found.len();
        let is_shown = |entry: &walkdir::DirEntry| entry.depth() == 0 || !is_hidden(entry.file_name());
        for entry in
            WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().filter_entry(is_shown)
        {
            match entry {
                Ok(entry) if entry.file_type().is_file() && is_gen5(entry.path()) => {
                    self.found.push((entry.into_path(), Ok(())));
                }
                Ok(_) => {}
                // A link to a folder above: what is in there is found without it.
                Err(error) if error.loop_ancestor().is_some() => {}
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_owned();
                    let cause = error.into_io_error().map_or_else(String::new, |error| format!(": {error}"));
                    let error = anyhow!("could not look at {}{cause}", shown(&path));
                    self.found.push((path, Err(error)));
                }
            }
        }
        ensure!(self.found.len() > before, "there is no .gen5 file below {}", shown(folder));
        Ok(())
    }
}

/// The files that a path stands for: what it matches, sorted and without folders, if it is no file and can be a pattern.
pub(crate) fn expand(path: &Path) -> Result<Vec<PathBuf>> {
    let Some(pattern) = pattern(path) else { return Ok(vec![path.to_owned()]) };
    let mut found: Vec<PathBuf> = matches(pattern)?.collect::<Result<_, _>>()?;
    found.retain(|path| !path.is_dir());
    ensure!(!found.is_empty(), "nothing matches {}", shown(path));
    Ok(found)
}

/// All that a pattern matches, sorted.
fn matches(pattern: &str) -> Result<glob::Paths> {
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    glob::glob_with(pattern, options)
        .with_context(|| format!("{} is there neither as a file nor, as a pattern, valid", escape(pattern)))
}

/// The text of a path that is no file and can be a pattern. Where a file has such a name, it is that file.
fn pattern(path: &Path) -> Option<&str> {
    let text = path.to_str().filter(|text| text.contains(['*', '?', '[']))?;
    fs::symlink_metadata(path).is_err().then_some(text)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_gen5(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gen5"))
}
