//! Arrays of numpy and safetensors files: finds them and reads their values as GEN5 stores them.
//!
//! [`find`] reads headers, and the data kept with latents; [`LatentArray::open`] returns the values
//! in C order, little-endian. Everything that a file claims is checked against the file, and errors
//! name the file and the array.

mod arg;
mod array;
mod fails_once;
pub mod folder;
mod input_file;
pub mod layouts;
pub mod npy;
mod npz;
mod payload;
pub mod recast;
mod safetensors;
pub mod texts;
pub mod types;
pub mod write;
mod zip_member;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use gen5_picture::text::escape;

use crate::failure::usage_error;
use crate::suggest::likely_meant;
use crate::terminal::shown;
use array::{ArrayEntry, ValueLocation};
use layouts::{FileLayout, MAX_KEPT, SourceArray, SourceFile, comfyui};
use payload::Tail;
use texts::Texts;

pub use arg::{FolderArg, LatentArg};
pub use array::LatentArray;
pub use input_file::InputFile;

/// The end of every error about an unsupported dtype.
const ACCEPTED: &str = "GEN5 keeps float16, bfloat16 and float32";

/// Limit on the names listed in an error.
const LISTED: usize = 10;

/// The file formats of arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Npy,
    Npz,
    Safetensors,
}

impl Kind {
    /// The kind of a file, recognized by its first bytes. The header of `.safetensors` follows its
    /// length.
    fn of_content(input: &InputFile) -> Result<Option<Self>> {
        let mut start = Vec::new();
        let (file, _) = input.open()?;
        file.take(9).read_to_end(&mut start).with_context(|| format!("cannot read {}", input.name()))?;
        ensure!(!start.is_empty(), "{} is empty", input.name());
        Ok(Self::of_start(&start))
    }

    /// The kind of a file with these first bytes.
    fn of_start(start: &[u8]) -> Option<Self> {
        match start {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(Self::Npy),
            [b'P', b'K', ..] => Some(Self::Npz),
            [_, _, _, _, _, _, _, _, b'{', ..] => Some(Self::Safetensors),
            _ => None,
        }
    }

    /// The kind of a file by its extension, ignoring case.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "npy" => Some(Self::Npy),
            "npz" => Some(Self::Npz),
            "safetensors" | "latent" => Some(Self::Safetensors),
            _ => None,
        }
    }
}

/// Whether a file with these first bytes contains arrays.
pub(crate) fn starts_arrays(start: &[u8]) -> bool {
    Kind::of_start(start).is_some()
}

/// The contents of a file.
#[derive(Clone, Debug)]
pub struct ArrayFile {
    /// Its latents, in the order of the file.
    pub arrays: Vec<LatentArray>,
    /// The description of the file, with all data other than latents.
    pub source: SourceFile,
    /// Whether dropping `source` would lose information.
    pub is_worth_keeping: bool,
    /// A note about the file, if any.
    pub note: Option<String>,
}

/// Finds the arrays that an argument selects: see [`find`].
///
/// # Errors
///
/// Those of [`find`].
pub fn arrays(arg: &LatentArg) -> Result<Vec<LatentArray>> {
    Ok(find(arg, &InputFile::at(&arg.path))?.arrays)
}

/// Finds the arrays that an argument selects, in file order. Values of latents are not read.
///
/// Keys are the names in the file, or for `.npy` the file's name without extension, unless the
/// argument gives one. Members of a `.npz` without the extension `.npy` are not arrays. In a file
/// of a known [`FileLayout`], small arrays that cannot be latents are kept in its [`SourceFile`],
/// and a given key is that of its latent.
///
/// # Errors
///
/// If the file cannot be read or is malformed, if it has no name to use as a key, if a requested
/// array is missing or not little-endian float16, bfloat16 or float32, or if several arrays have
/// the same key.
pub fn find(arg: &LatentArg, input: &InputFile) -> Result<ArrayFile> {
    let no_texts = BTreeMap::new();
    let (kind, by) = match input.path() {
        Some(path) => (Kind::of(path), "its name"),
        None => (Kind::of_content(input)?, "its first bytes"),
    };
    let mut found = match kind {
        Some(Kind::Npy) => {
            let entry = npy_entry(arg, input)?;
            take(arg, FileLayout::Npy, vec![entry], &no_texts, false)?
        }
        Some(Kind::Npz) => {
            let mut archive = npz::Archive::open(input)?;
            let layout = FileLayout::of_npz(&archive.names());
            let positions = select(&archive.names(), layout, arg)?;
            let entries = positions.into_iter().map(|at| archive.entry(at)).collect::<Result<_>>()?;
            take(arg, layout, entries, &no_texts, false)?
        }
        Some(Kind::Safetensors) => {
            let mut index = safetensors::Index::open(input)?;
            let texts = std::mem::take(&mut index.metadata);
            let names = index.names();
            let layout = FileLayout::of_safetensors(&names, &texts, input.path());
            let is_scaled = layout == FileLayout::Comfyui && !names.contains(&comfyui::MARKER);
            let positions = select(&names, layout, arg)?.into_iter();
            let entries = positions.map(|at| index.entry(at)).collect::<Result<_>>()?;
            take(arg, layout, entries, &texts, is_scaled)?
        }
        None => bail!(
            "{} is not a .npy, .npz, .safetensors or .latent file, judging by {by}; save it as \
             one first, for example numpy.save(\"x.npy\", tensor.cpu().numpy())",
            input.name()
        ),
    };
    if input.path().is_none() {
        found.source.file = format!("stdin.{}", found.source.layout.extension());
    }
    Ok(found)
}

/// Separates the arrays of a file into latents and others. A latent that ComfyUI saved scaled is
/// unscaled.
fn take(
    arg: &LatentArg,
    layout: FileLayout,
    entries: Vec<ArrayEntry>,
    metadata: &BTreeMap<String, String>,
    is_scaled: bool,
) -> Result<ArrayFile> {
    let mut arrays = Vec::new();
    let mut members = Vec::new();
    let latent = layout.only_latent(entries.iter().map(|entry| entry.key.as_str()));
    let mut room = MAX_KEPT;
    for (at, entry) in entries.into_iter().enumerate() {
        let name = entry.key.clone();
        match entry.other() {
            Some(other) if layout.is_known() && arg.member.is_none() => {
                let bytes = entry.read(room)?;
                room = room.saturating_sub(bytes.len() as u64);
                members.push(SourceArray::kept(&name, other, &entry.shape, &bytes));
            }
            _ => {
                let mut array = entry.into_latent()?;
                let dtype = array.dtype;
                let scaled = is_scaled && name == comfyui::TENSOR;
                if scaled {
                    array = array.scaled(comfyui::UNSCALE)?;
                }
                match &arg.key {
                    Some(key) if latent == Some(at) => array.key.clone_from(key),
                    Some(key) => array.key = format!("{key}/{name}"),
                    None => {}
                }
                members.push(SourceArray {
                    scaled,
                    ..SourceArray::latent(&name, dtype, &array.shape, &array.key)
                });
                arrays.push(array);
            }
        }
    }
    ensure!(!arrays.is_empty(), "{} holds no latents", shown(&arg.path));
    let note = is_scaled.then(|| {
        let file = shown(&arg.path);
        format!(
            "{file} has no {}: its values were saved scaled, and are multiplied by 1/0.18215, as ComfyUI does",
            comfyui::MARKER
        )
    });
    let file = arg.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_worth_keeping = arg.member.is_none() && (layout.is_known() || !metadata.is_empty());
    let source = SourceFile { file, layout, arrays: members, metadata: Texts::of_map(metadata)? };
    Ok(ArrayFile { arrays, source, is_worth_keeping, note })
}

/// The array of a `.npy` file.
fn npy_entry(arg: &LatentArg, input: &InputFile) -> Result<ArrayEntry> {
    let name = input.name();
    ensure!(arg.member.is_none(), "{name} is one array; no other can be selected in it");
    let key = match &arg.key {
        Some(key) => key.clone(),
        None => {
            let path = input.path();
            let path =
                path.ok_or_else(|| usage_error("an array from standard input needs a key: --latent KEY=-"))?;
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            stem.with_context(|| format!("the name of {name} is not Unicode; give a key: KEY=FILE"))?
                .to_owned()
        }
    };
    let (mut file, size) = input.open()?;
    let header = npy::read_header(&mut file, &name)?;
    let location = ValueLocation::File { input: input.clone(), start: header.length, tail: Tail::End };
    let kind = (header.dtype, header.refusal);
    let values = size.saturating_sub(header.length);
    ArrayEntry::new(key, kind, header.shape, header.fortran_order, (location, values), name)
}

/// The positions of the selected arrays.
fn select(names: &[&str], layout: FileLayout, arg: &LatentArg) -> Result<Vec<usize>> {
    let file = shown(&arg.path);
    ensure!(!names.is_empty(), "{file} holds no arrays");
    if let Some(member) = &arg.member {
        let position = names.iter().position(|name| name == member);
        let position = position.with_context(|| {
            let what = format!("{file} has no array {}", escape(member));
            match likely_meant(member, names.iter().copied()) {
                Some(meant) => format!("{what}; did you mean {}?", escape(meant)),
                None => format!("{what}; it holds {}", list(names)),
            }
        })?;
        return Ok(vec![position]);
    }
    if let (Some(key), [first, _, ..], None) = (&arg.key, names, layout.only_latent(names.iter().copied())) {
        let key = escape(key);
        let first = escape(first);
        bail!(
            "{file} holds {} arrays ({}), too many for one key; pick one, for example {key}={file}:{first}",
            names.len(),
            list(names)
        );
    }
    // ComfyUI's marker is not data.
    let is_array = |name: &str| layout != FileLayout::Comfyui || name != comfyui::MARKER;
    Ok(names.iter().enumerate().filter(|(_, name)| is_array(name)).map(|(at, _)| at).collect())
}

/// The first names, for an error.
fn list(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(LISTED).map(|name| escape(name)).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
