//! A folder of array files read as latents: matching arrays become the rows of one latent.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gen5::Dtype;
use gen5_picture::text::{count, dimensions};
use rayon::prelude::*;

use super::{ArrayFile, FolderArg, InputFile, Kind, LatentArg, LatentArray, find};
use crate::suggest::of_path;
use crate::terminal::shown;

/// The default key of the latent formed by the files.
const KEY: &str = "latents";

/// Name endings of text encoder caches, which kohya and musubi-tuner store next to those of
/// latents.
const TEXT_ENCODER: [&str; 2] = ["_te", "_te_outputs"];

/// The contents of a folder.
#[derive(Debug)]
pub struct Folder {
    /// The latents.
    pub arrays: Vec<LatentArray>,
    /// The files, in order.
    pub files: Vec<ArrayFile>,
    /// Number of skipped files and folders.
    pub others: usize,
}

/// Finds the arrays in the files of a folder, in natural order (`2.npy` before `10.npy`).
/// Subfolders, hidden files, files with other extensions and caches of text encoders are skipped.
///
/// Arrays with the same name, shape and dtype form one latent, along their first axis if that is a
/// batch of 1 (in four axes or more), otherwise along a new one. Its key is `latents`, or the given
/// one; companions (`alpha_mask`) keep their names, prefixed with a given key. If arrays of a name
/// differ, each group's key has a suffix with the difference: `latents/152x104`. Arrays that match
/// no other are separate latents, named after their files.
///
/// # Errors
///
/// If the folder does not exist, if none of its files has arrays, or if one of them cannot be read:
/// see [`find`].
pub fn read(arg: &FolderArg) -> Result<Folder> {
    let (paths, others) = list(&arg.path)?;
    if paths.is_empty() {
        let why = match others {
            0 => String::new(),
            others => format!(
                "; {} skipped, such as folders, hidden files, other extensions and caches of text encoders",
                count(others, "other")
            ),
        };
        bail!("{} has no .npy, .npz, .safetensors or .latent files with latents{why}", shown(&arg.path));
    }
    let found: Vec<Result<ArrayFile>> =
        paths.par_iter().map(|path| find(&arg_for(path), &InputFile::at(path))).collect();
    // The first error in the order of the files, independent of the number of threads.
    let mut files = found.into_iter().collect::<Result<Vec<_>>>()?;
    let arrays = join(&mut files, &names(&paths), arg)?;
    Ok(Folder { arrays, files, others })
}

/// The argument that selects the arrays of a file. For a `.npy` file, it contains the file's name
/// as the key, if that is text.
fn arg_for(path: &Path) -> LatentArg {
    let is_named = Kind::of(path) == Some(Kind::Npy);
    let key = is_named.then(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    LatentArg { key, path: path.to_owned(), member: None }
}

/// The array files in natural order, and the number of other files.
fn list(folder: &Path) -> Result<(Vec<PathBuf>, usize)> {
    let failed = || format!("could not list {}", shown(folder));
    let mut paths = Vec::new();
    let mut others = 0;
    for entry in fs::read_dir(folder).map_err(|error| of_path(error, folder, failed()))? {
        let path = entry.with_context(failed)?.path();
        if is_wanted(&path) { paths.push(path) } else { others += 1 }
    }
    paths.sort_by_cached_key(|path| Natural(path.file_name().unwrap_or_default().to_owned()));
    Ok((paths, others))
}

fn is_wanted(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_text_encoder = TEXT_ENCODER.iter().any(|end| stem.ends_with(end));
    Kind::of(path).is_some() && !stem.starts_with('.') && !is_text_encoder && path.is_file()
}

/// The names of the files as used in keys: without extension, unless two names would be equal.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let text = |name: Option<&OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
    let stems: Vec<String> = paths.iter().map(|path| text(path.file_stem())).collect();
    if stems.iter().collect::<HashSet<_>>().len() == stems.len() {
        return stems;
    }
    paths.iter().map(|path| text(path.file_name())).collect()
}

/// A name in natural order: digits compare as numbers.
#[derive(PartialEq, Eq)]
struct Natural(OsString);

impl Natural {
    /// Digits and the text between them, as comparison keys: numbers come first, and shorter ones
    /// are smaller.
    fn pieces(&self) -> impl Iterator<Item = (bool, usize, &[u8])> {
        let pieces = self.0.as_encoded_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
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

/// A planned latent.
struct PlannedLatent {
    key: String,
    /// The arrays that form it.
    positions: Vec<ArrayPosition>,
    /// Whether they are stacked as rows; otherwise there is only one.
    is_stacked: bool,
}

/// The location of an array: its file, and its position among the latents and among all arrays of
/// the file.
struct ArrayPosition {
    file: usize,
    latent: usize,
    member: usize,
}

/// Forms latents from the files' arrays, and records in each file where its arrays are.
fn join(files: &mut [ArrayFile], names: &[String], arg: &FolderArg) -> Result<Vec<LatentArray>> {
    let mut arrays = Vec::new();
    for PlannedLatent { key, positions, is_stacked } in plan(files, names, arg.key.as_deref()) {
        let mut rows = Vec::new();
        for (row, position) in positions.into_iter().enumerate() {
            let Some(found) = files.get_mut(position.file) else { continue };
            if let Some(array) = found.arrays.get_mut(position.latent) {
                array.key.clone_from(&key);
                rows.push(array.clone());
            }
            if let Some(member) = found.source.arrays.get_mut(position.member) {
                member.key = Some(key.clone());
                member.row = is_stacked.then_some(row);
            }
        }
        if is_stacked {
            arrays.push(LatentArray::stack(key, rows, shown(&arg.path))?);
        } else {
            arrays.append(&mut rows);
        }
    }
    Ok(arrays)
}

/// Plans the latents; `prefix` is the given key.
fn plan(files: &[ArrayFile], names: &[String], prefix: Option<&str>) -> Vec<PlannedLatent> {
    let is_stacked = |group: &Group| group.positions.len() > 1 || files.len() == 1;
    let mut planned = Vec::new();
    let mut taken = HashSet::new();
    for Column { name, groups } in columns(files) {
        let kind_of = naming(&groups);
        let is_one = groups.len() == 1;
        for group in groups {
            let is_stacked = is_stacked(&group);
            let kind = (!is_one).then(|| kind_of(&group));
            let file =
                group.positions.first().and_then(|position| names.get(position.file)).map(String::as_str);
            let parts = if is_stacked {
                [prefix.or(name.is_none().then_some(KEY)), name, kind.as_deref()]
            } else {
                [prefix, file, name]
            };
            let key = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
            planned.push(PlannedLatent {
                key: free(key, &mut taken),
                positions: group.positions,
                is_stacked,
            });
        }
    }
    planned
}

/// The key, with a number if it is already taken.
fn free(key: String, taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{key}-{number}"));
    let free = iter::once(key.clone()).chain(numbered).find(|key| !taken.contains(key)).unwrap_or(key);
    taken.insert(free.clone());
    free
}

/// The arrays of the same name in all files.
struct Column<'a> {
    /// `None` for the latents of files with exactly one each, under any name.
    name: Option<&'a str>,
    groups: Vec<Group>,
}

/// Arrays with the same dtype and shape.
struct Group {
    dtype: Dtype,
    shape: Vec<usize>,
    positions: Vec<ArrayPosition>,
}

impl Group {
    /// The last two axes, height and width of images: `152x104`.
    fn size(&self) -> String {
        dimensions(self.shape.get(self.shape.len().saturating_sub(2)..).unwrap_or_default(), "x")
    }

    /// All axes: `4x152x104`.
    fn axes(&self) -> String {
        dimensions(&self.shape, "x")
    }

    /// Shape and dtype: `4x152x104_bfloat16`.
    fn all(&self) -> String {
        format!("{}_{}", self.axes(), self.dtype.name())
    }
}

/// The shortest naming that distinguishes all stacked groups.
fn naming(groups: &[Group]) -> fn(&Group) -> String {
    let tells_apart = |name: &fn(&Group) -> String| {
        let mut names = HashSet::new();
        groups.iter().filter(|group| group.positions.len() > 1).all(|group| names.insert(name(group)))
    };
    [Group::size, Group::axes].into_iter().find(tells_apart).unwrap_or(Group::all)
}

/// The columns and their groups, in order of first appearance.
fn columns(files: &[ArrayFile]) -> Vec<Column<'_>> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    let mut known_columns = HashMap::new();
    let mut known_groups = HashMap::new();
    for (file, found) in files.iter().enumerate() {
        let only = found.source.layout.only_latent(found.source.latents().map(|(_, member)| &*member.name));
        for (latent, (array, (member, source))) in found.arrays.iter().zip(found.source.latents()).enumerate()
        {
            let name = (only != Some(latent)).then_some(source.name.as_str());
            let at = *known_columns.entry(name).or_insert(columns.len());
            if at == columns.len() {
                columns.push(Column { name, groups: Vec::new() });
            }
            let Some(Column { groups, .. }) = columns.get_mut(at) else { continue };
            let dtype = array.dtype;
            let shape = array.shape.as_slice();
            let at = *known_groups.entry((name, dtype, shape)).or_insert(groups.len());
            if at == groups.len() {
                groups.push(Group { dtype, shape: shape.to_vec(), positions: Vec::new() });
            }
            let Some(group) = groups.get_mut(at) else { continue };
            group.positions.push(ArrayPosition { file, latent, member });
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
        let names = names.map(|Natural(name)| name.into_string().unwrap());
        assert_eq!(names, ["2", "10", "a", "a1b9", "a1b10", "a02", "a2", "a2x", "a10", "b", "é"]);
    }

    #[test]
    fn long_numbers_cost_nothing() {
        let long = |digit: &str| Natural(digit.repeat(100_000).into());
        assert!(long("8") < long("9"));
        assert!(Natural("0".repeat(100_000).into()) < Natural("1".into()));
    }
}
