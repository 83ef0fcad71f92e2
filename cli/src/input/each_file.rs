//! Many files processed in parallel and reported in order.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use gen5::Limits;
use rayon::prelude::*;

use crate::budget::{SIDE_BY_SIDE, beside_others, is_for_alone};
use crate::input::files::Files;
use crate::options::FilesArgs;
use crate::output::Output;
use crate::progress::{Progress, Share};
use crate::streams::is_dash;
use crate::terminal::count;

/// Files that are looked at together have at most so many bytes: what is found of a large one is not kept waiting by others,
/// and it has all threads for itself.
const BATCH: u64 = 64 << 20;

/// What is to be told of a file.
pub(crate) struct Seen<'p, T> {
    pub(crate) path: &'p Path,
    /// Its position among the files.
    pub(crate) position: usize,
    /// Whether there can be several.
    pub(crate) several: bool,
    pub(crate) result: Result<T>,
}

/// Looks at all files, and tells of each; one that fails does not stop the others. `doing` is what progress calls work on
/// their values; where only tables are read, what is told is progress enough. `look` gets the limits within which a file may be
/// opened: one with a large table is looked at a second time, alone.
pub(crate) fn each<'o, T: Send>(
    args: &FilesArgs,
    doing: Option<&'static str>,
    output: &mut Output<'o>,
    look: impl Fn(&Path, Limits, &Share<'_>) -> Result<T> + Sync,
    mut tell: impl FnMut(Seen<'_, T>, &mut Output<'o>) -> Result<()>,
) -> Result<()> {
    let Files { found, several } = Files::find(args)?;
    if several {
        output.detail(|| count(found.len(), "file"));
    }
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut files: Vec<_> = found.into_iter().map(|(path, found)| (size(&path), path, found)).collect();
    let bytes = files.iter().map(|(size, ..)| size).sum();
    let progress = doing.map_or_else(Progress::none, |doing| output.progress(doing, bytes));
    let mut position = 0;
    while !files.is_empty() {
        let mut bytes = 0_u64;
        let fits = |(size, ..): &&(u64, PathBuf, Result<()>)| {
            bytes = bytes.saturating_add(*size);
            bytes <= BATCH
        };
        let batch = files.iter().take(SIDE_BY_SIDE).take_while(fits).count().max(1);
        let rest = files.split_off(batch);
        let limits = |path: &Path| match batch {
            1 => Limits::default(),
            _ if is_dash(path) => Limits::default(),
            _ => beside_others(),
        };
        let looked: Vec<_> = files
            .into_par_iter()
            .map(|(size, path, found)| {
                let result = found.and_then(|()| look(&path, limits(&path), &progress.share(size)));
                (size, path, result)
            })
            .collect();
        files = rest;
        for (size, path, mut result) in looked {
            if limits(&path) != Limits::default() && result.as_ref().is_err_and(is_for_alone) {
                result = look(&path, Limits::default(), &progress.share(size));
            }
            progress.suspend(|| tell(Seen { path: &path, position, several, result }, output))?;
            position += 1;
        }
    }
    Ok(())
}
