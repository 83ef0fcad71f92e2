//! A folder of results that appears once it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gen5_publish::{DraftFolder, Error};
use serde::Serialize;

use crate::failure::usage_error;
use crate::interrupt;
use crate::streams::is_dash;
use crate::terminal::shown;

/// Rejects a destination whose contents could be lost, before any work is done.
pub(crate) fn check_destination(folder: &Path, force: bool) -> Result<()> {
    refuse_dash(folder)?;
    let there = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there.with_context(|| format!("could not inspect {}", shown(folder)))?,
    };
    ensure!(there.is_dir(), "{} already exists, and is not a folder", shown(folder));
    let mut entries = fs::read_dir(folder).with_context(|| format!("could not list {}", shown(folder)))?;
    ensure!(
        force || entries.next().is_none(),
        "{} already has files; --force replaces those with the same names",
        shown(folder)
    );
    Ok(())
}

/// Rejects `-`, which means standard output in other commands.
pub(crate) fn refuse_dash(folder: &Path) -> Result<()> {
    if is_dash(folder) {
        Err(usage_error("a folder cannot go to standard output; for one called -, write ./-"))
    } else {
        Ok(())
    }
}

/// A folder under construction. All files are first written to a temporary folder, so that a
/// failure leaves no files. It is created next to the destination, or inside it if that
/// exists, since it may be another file system.
pub(crate) struct OutputFolder<'a> {
    folder: DraftFolder,
    destination: &'a Path,
    force: bool,
}

impl<'a> OutputFolder<'a> {
    /// Starts a folder for `destination`, which must be [checked](check_destination) before. With
    /// `force`, its files may be moved into an existing folder.
    pub(crate) fn create(destination: &'a Path, force: bool) -> Result<Self> {
        interrupt::arm();
        Ok(Self { folder: DraftFolder::create(destination)?, destination, force })
    }

    /// The path of the temporary folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Moves the result to its destination. A new folder appears in one step, and only if the path
    /// is still free; for an existing folder, files are moved one at a time. No file may replace
    /// `source`, the input.
    pub(crate) fn publish(self, source: &Path) -> Result<()> {
        interrupt::check()?;
        let has_come = || fs::symlink_metadata(self.destination).is_ok_and(|there| there.is_dir());
        let published = if self.folder.is_inside() || self.force && has_come() {
            self.refuse_to_replace(source)?;
            self.folder.publish_files(self.force)
        } else {
            self.folder.publish()
        };
        published.map_err(|error| match error {
            Error::Io { ref source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                anyhow::anyhow!(
                    "{error:#}; choose another folder, or use --force to replace files with the same names"
                )
            }
            _ => error.into(),
        })
    }

    /// Rejects results that would replace their source: if a later move failed, the rest would be
    /// lost.
    fn refuse_to_replace(&self, source: &Path) -> Result<()> {
        let places = fs::canonicalize(source).ok().zip(fs::canonicalize(self.destination).ok());
        let inner = places.and_then(|(source, folder)| Some(source.strip_prefix(folder).ok()?.to_owned()));
        ensure!(
            inner.is_none_or(|inner| !self.path().join(inner).exists()),
            "{} would be replaced by a file made from it; choose another folder",
            shown(source)
        );
        Ok(())
    }
}

pub(crate) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("could not create {}", shown(path)))
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("could not write {}", shown(path)))
}

/// Writes an indented JSON file.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer_pretty(&mut file, value)?;
        file.write_all(b"\n")?;
        file.flush()
    };
    write().with_context(|| format!("could not write {}", shown(path)))
}
