//! Many files processed in parallel and reported in order.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use gen5::Limits;
use gen5_picture::text::count;
use rayon::prelude::*;

use crate::budget::{SIDE_BY_SIDE, beside_others, is_for_alone};
use crate::input::files::Files;
use crate::options::FilesArgs;
use crate::output::Output;
use crate::progress::{FileShare, Progress};
use crate::streams::is_dash;

/// Limit on the bytes of files read together. The result of a large file does not wait for others,
/// and it can use all threads.
const BATCH: u64 = 64 << 20;

/// The result of reading one file.
pub(crate) struct FileResult<'p, T> {
    pub(crate) path: &'p Path,
    /// Position among the files.
    pub(crate) position: usize,
    /// Whether there can be several files.
    pub(crate) several: bool,
    pub(crate) result: Result<T>,
}

/// Calls `look` on all files in parallel and `print` on each result in order; a failure does not
/// stop the others.
///
/// `doing` is the progress label of work on the values. Commands that only read tables need no
/// other progress than their output. `look` receives the limits for opening the file: a file whose
/// table is too large is opened a second time, alone.
pub(crate) fn each<'o, T: Send>(
    args: &FilesArgs,
    doing: Option<&'static str>,
    output: &mut Output<'o>,
    look: impl Fn(&Path, Limits, &FileShare<'_>) -> Result<T> + Sync,
    mut print: impl FnMut(FileResult<'_, T>, &mut Output<'o>) -> Result<()>,
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
            progress.suspend(|| print(FileResult { path: &path, position, several, result }, output))?;
            position += 1;
        }
    }
    Ok(())
}
