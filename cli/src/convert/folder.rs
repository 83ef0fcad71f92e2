//! A folder of files with arrays, as latents: arrays that agree become the rows of one.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use super::{Array, FolderArg, Found, Kind, LatentArg, find};
use crate::terminal::shown;

/// The key of the latent that the files' latents make, unless another is given.
const KEY: &str = "latents";

/// What the names of text encoder caches end with, which kohya and musubi-tuner put beside those of latents.
const TEXT_ENCODER: [&str; 2] = ["_te", "_te_outputs"];

/// What was found in a folder.
#[derive(Debug)]
pub struct Folder {
    /// The latents.
    pub arrays: Vec<Array>,
    /// The files, in their order.
    pub files: Vec<Found>,
    /// Files and folders in it that were passed over.
    pub others: usize,
}

/// Finds the arrays in the files of a folder, in natural order (`2.npy` before `10.npy`). Folders in it, hidden files,
/// files with other extensions and caches of text encoders are passed over.
///
/// Arrays of one name in all files that agree in shape and dtype are one latent, along their first axis if that is a batch
/// of 1 (of four axes or more), or else along a new one. Its key is `latents`, or the one that is given; companions (`alpha_mask`) go by their own
/// names. Others are a latent each, called after their files.
///
/// # Errors
///
/// There is no such folder, no file in it has arrays, or one of them cannot be read: see [`find`].
pub fn read(arg: &FolderArg) -> Result<Folder> {
    let (paths, others) = list(&arg.path)?;
    ensure!(!paths.is_empty(), "{} has no .npy, .npz, .safetensors or .latent files", shown(&arg.path));
    let found: Vec<Result<Found>> = paths
        .par_iter()
        .map(|path| find(&LatentArg { key: None, path: path.clone(), member: None }))
        .collect();
    // The first error in the order of the files, however many threads there are.
    let mut files = found.into_iter().collect::<Result<Vec<_>>>()?;
    let arrays = join(&mut files, &names(&paths), arg)?;
    Ok(Folder { arrays, files, others })
}

/// The files that have arrays, in natural order, and how many others there are.
fn list(folder: &Path) -> Result<(Vec<PathBuf>, usize)> {
    let failed = || format!("could not look into {}", shown(folder));
    let (mut paths, mut others) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if is_wanted(&path) { paths.push(path) } else { others += 1 }
    }
    let by_name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    paths.sort_by_cached_key(|path| Natural(by_name(path)));
    Ok((paths, others))
}

fn is_wanted(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_text_encoder = TEXT_ENCODER.iter().any(|end| stem.ends_with(end));
    Kind::of(path).is_some() && !stem.starts_with('.') && !is_text_encoder && path.is_file()
}

/// What the files are called where their names become keys: without extension, unless two would be called the same.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let text = |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
    let stems: Vec<String> = paths.iter().map(|path| text(path.file_stem())).collect();
    if stems.iter().collect::<HashSet<_>>().len() == stems.len() {
        return stems;
    }
    paths.iter().map(|path| text(path.file_name())).collect()
}

/// A name that is compared as people do: digits count as the number that they make.
#[derive(PartialEq, Eq)]
struct Natural(String);

impl Natural {
    /// Its numbers and what is between them, each as what decides in turn: numbers are first, and the shorter is less.
    fn pieces(&self) -> impl Iterator<Item = (bool, usize, &[u8])> {
        let pieces = self.0.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
        pieces.map(|piece| {
            if !piece.first().is_some_and(u8::is_ascii_digit) {
                return (true, 0, piece);
            }
            let zeros = piece.iter().take_while(|&&digit| digit == b'0').count();
            let digits = piece.get(zeros..).unwrap_or_default();
            (false, digits.len(), digits)
        })
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        self.pieces().cmp(other.pieces()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The arrays of one name in all files.
struct Column {
    /// `None` for the latents of files that have one each, whatever they call it.
    name: Option<String>,
    /// The positions of file and array.
    places: Vec<(usize, usize)>,
    /// Whether they agree in shape and dtype.
    agree: bool,
}

/// Makes latents of the files' arrays, and tells each file where its arrays are.
fn join(files: &mut [Found], names: &[String], arg: &FolderArg) -> Result<Vec<Array>> {
    let mut arrays = Vec::new();
    // Where the latents of each file are among all its arrays.
    let places: Vec<Vec<usize>> =
        files.iter().map(|found| found.source.latents().map(|(at, _)| at).collect()).collect();
    let member = |file: usize, at: usize| places.get(file)?.get(at).copied();
    for column in columns(files) {
        let own = |name: &Option<String>| {
            name.clone().unwrap_or_else(|| arg.key.as_deref().unwrap_or(KEY).to_owned())
        };
        let is_whole = column.agree && column.places.len() == files.len();
        let mut rows = Vec::new();
        for (row, (file, at)) in column.places.into_iter().enumerate() {
            let (Some(found), Some(name)) = (files.get_mut(file), names.get(file)) else { continue };
            let key = match (&column.name, is_whole) {
                (_, true) => own(&column.name),
                (None, false) => name.clone(),
                (Some(array), false) => format!("{name}/{array}"),
            };
            if let Some(array) = found.arrays.get_mut(at) {
                array.key.clone_from(&key);
                rows.push(array.clone());
            }
            if let Some(member) = member(file, at).and_then(|at| found.source.arrays.get_mut(at)) {
                member.key = Some(key);
                member.row = is_whole.then_some(row);
            }
        }
        if is_whole {
            arrays.push(Array::stack(own(&column.name), rows, shown(&arg.path))?);
        } else {
            arrays.extend(rows);
        }
    }
    Ok(arrays)
}

/// The columns, in the order in which they first appear.
fn columns(files: &[Found]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut known: HashMap<Option<String>, usize> = HashMap::new();
    for (file, found) in files.iter().enumerate() {
        let names: Vec<&str> = found.source.latents().map(|(_, member)| member.name.as_str()).collect();
        let only = found.source.layout.only_latent(names.iter().copied());
        for (at, (array, name)) in found.arrays.iter().zip(names).enumerate() {
            let name = (only != Some(at)).then(|| name.to_owned());
            let column = *known.entry(name.clone()).or_insert(columns.len());
            if column == columns.len() {
                columns.push(Column { name, places: Vec::new(), agree: true });
            }
            let Some(column) = columns.get_mut(column) else { continue };
            let first = column.places.first().and_then(|&(file, at)| files.get(file)?.arrays.get(at));
            column.agree &=
                first.is_none_or(|first| (first.dtype, &first.shape) == (array.dtype, &array.shape));
            column.places.push((file, at));
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let mut names = ["b", "a10", "a2", "a1b10", "a1b9", "a02", "a", "2", "10", "a2x", "é"]
            .map(|name| Natural(name.into()));
        names.sort();
        let names = names.map(|Natural(name)| name);
        assert_eq!(names, ["2", "10", "a", "a1b9", "a1b10", "a02", "a2", "a2x", "a10", "b", "é"]);
    }

    #[test]
    fn long_numbers_cost_nothing() {
        let long = |digit: &str| Natural(digit.repeat(100_000));
        assert!(long("8") < long("9"));
        assert!(Natural("0".repeat(100_000)) < Natural("1".into()));
    }
}
