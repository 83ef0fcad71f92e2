//! A folder of results, which appears when it is complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use gen5::DraftFolder;

use crate::failure::UsageError;
use crate::files::is_dash;
use crate::interrupt;
use crate::terminal::shown;

/// Refuses a destination that could lose something, before any work is done.
pub(super) fn check_destination(folder: &Path, force: bool) -> Result<()> {
    refuse_dash(folder)?;
    let there = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there.with_context(|| format!("could not look at {}", shown(folder)))?,
    };
    ensure!(there.is_dir(), "{} is there already, and is no folder", shown(folder));
    let mut entries =
        fs::read_dir(folder).with_context(|| format!("could not look into {}", shown(folder)))?;
    ensure!(
        force || entries.next().is_none(),
        "{} has files already; --force replaces those of the same names",
        shown(folder)
    );
    Ok(())
}

/// Refuses `-`, which elsewhere is standard output.
pub(super) fn refuse_dash(folder: &Path) -> Result<()> {
    match is_dash(folder) {
        true => {
            Err(UsageError("a folder cannot go to standard output; one called - is ./-".to_owned()).into())
        }
        false => Ok(()),
    }
}

/// A folder in the making. Everything is made in one of its own first, so that a failure leaves nothing: beside the
/// destination, or inside it if it is there, which may be another file system.
pub(super) struct Draft {
    folder: DraftFolder,
    destination: PathBuf,
}

impl Draft {
    /// A folder that is to be at `destination`, which was [checked](check_destination).
    pub(super) fn create(destination: &Path) -> Result<Self> {
        interrupt::arm();
        Ok(Self { folder: DraftFolder::create(destination)?, destination: destination.to_owned() })
    }

    /// Where it is made.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts it where it was asked for, with the files right in it and in these folders of it. A new folder appears in one
    /// step; in one that is there already, file after file is put in place, each in one step.
    pub(super) fn publish(self, inner: &[&str]) -> Result<()> {
        interrupt::check()?;
        let (draft, folder) = (self.folder, self.destination.as_path());
        if !folder.exists() {
            return Ok(draft.publish()?);
        }
        let mut moves = Vec::new();
        // Not every folder is made for every file.
        let inner: Vec<&str> =
            inner.iter().copied().filter(|inner| draft.path().join(inner).exists()).collect();
        for from in inner.iter().map(|inner| draft.path().join(inner)).chain([draft.path().to_owned()]) {
            for from in files(&from)? {
                let to = folder.join(from.strip_prefix(draft.path())?);
                moves.push((from, to));
            }
        }
        // What would stop the moves half-way is looked for before the first. A link to a folder counts too: it would lead
        // the files elsewhere.
        let there = |path: &Path| fs::symlink_metadata(path).ok();
        let inner: Vec<PathBuf> = inner.iter().map(|inner| folder.join(inner)).collect();
        if let Some(inner) = inner.iter().find(|inner| there(inner).is_some_and(|there| !there.is_dir())) {
            bail!("{} is there already, and is no folder", shown(inner));
        }
        if let Some((_, to)) = moves.iter().find(|(_, to)| there(to).is_some_and(|there| there.is_dir())) {
            bail!("{} is there already, and is a folder", shown(to));
        }
        for inner in inner.iter().filter(|inner| there(inner).is_none()) {
            create_folder(inner)?;
        }
        for (from, to) in moves {
            // A rename replaces a link instead of following it.
            fs::rename(&from, &to).with_context(|| format!("could not write {}", shown(&to)))?;
        }
        Ok(())
    }
}

pub(super) fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("could not create {}", shown(path)))
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("could not write {}", shown(path)))
}

/// The files right in a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("could not look into {}", shown(folder)))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
