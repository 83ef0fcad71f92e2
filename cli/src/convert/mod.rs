//! Arrays of numpy and safetensors files: finds them and reads their values as GEN5 stores them.
//!
//! [`find`] reads headers, and the data kept with latents; [`Array::open`] returns the values in C
//! order, little-endian. Everything that a file claims is checked against the file, and errors name
//! the file and the array.

mod arg;
mod array;
mod fails_once;
pub mod folder;
pub mod layouts;
pub mod npy;
mod npz;
mod origin;
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

use crate::failure::UsageError;
use crate::suggest::likely_meant;
use crate::terminal::{escape, shown};
use array::{Entry, Place};
use layouts::{Layout, MAX_KEPT, Member, Source, comfyui};
use payload::Tail;
use texts::Texts;

pub use arg::{FolderArg, LatentArg};
pub use array::Array;
pub use origin::Origin;

/// What every refusal of another dtype says.
const ACCEPTED: &str = "GEN5 keeps float16, bfloat16 and float32";

/// Names that an error lists.
const LISTED: usize = 10;

/// The files that arrays come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Npy,
    Npz,
    Safetensors,
}

impl Kind {
    /// The kind that the first bytes tell. The header of `.safetensors` is behind its length.
    fn of_content(origin: &Origin) -> Result<Option<Self>> {
        let (mut start, (file, _)) = (Vec::new(), origin.open()?);
        file.take(9).read_to_end(&mut start).with_context(|| format!("cannot read {}", origin.name()))?;
        ensure!(!start.is_empty(), "{} is empty", origin.name());
        Ok(Self::of_start(&start))
    }

    /// The kind of a file that starts so.
    fn of_start(start: &[u8]) -> Option<Self> {
        match start {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(Self::Npy),
            [b'P', b'K', ..] => Some(Self::Npz),
            [_, _, _, _, _, _, _, _, b'{', ..] => Some(Self::Safetensors),
            _ => None,
        }
    }

    /// The kind that the extension tells, in any case of letters.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "npy" => Some(Self::Npy),
            "npz" => Some(Self::Npz),
            "safetensors" | "latent" => Some(Self::Safetensors),
            _ => None,
        }
    }
}

/// Whether a file that starts so is one with arrays.
pub(crate) fn starts_arrays(start: &[u8]) -> bool {
    Kind::of_start(start).is_some()
}

/// What was found in a file.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its latents, in the order of the file.
    pub arrays: Vec<Array>,
    /// What the file is, with all that is no latent.
    pub source: Source,
    /// Whether something would be lost without `source`.
    pub is_worth_keeping: bool,
    /// What is to be said of it.
    pub note: Option<String>,
}

/// Finds the arrays that an argument stands for: see [`find`].
///
/// # Errors
///
/// Those of [`find`].
pub fn arrays(arg: &LatentArg) -> Result<Vec<Array>> {
    Ok(find(arg, &Origin::at(&arg.path))?.arrays)
}

/// Finds the arrays that an argument stands for, in the order in which they lie in the file. Values of latents are not
/// read.
///
/// Keys are the names in the file, and the file's own name without its extension for `.npy`, unless the argument gives
/// one. Members of a `.npz` that are not called `.npy` are no arrays. In a file of a known [`Layout`] small arrays that
/// can be no latents are kept in its [`Source`], and a key that is given is that of its latent.
///
/// # Errors
///
/// The file cannot be read or is malformed, it has no name to be a key, it does not have the array that is asked for, an
/// array that is asked for is not of little-endian float16, bfloat16 or float32, or there are several arrays for one
/// key.
pub fn find(arg: &LatentArg, origin: &Origin) -> Result<Found> {
    let no_texts = BTreeMap::new();
    let (kind, by) = match origin.path() {
        Some(path) => (Kind::of(path), "its name"),
        None => (Kind::of_content(origin)?, "its first bytes"),
    };
    let mut found = match kind {
        Some(Kind::Npy) => {
            let entry = npy_entry(arg, origin)?;
            take(arg, Layout::Npy, vec![entry], &no_texts, false)?
        }
        Some(Kind::Npz) => {
            let mut archive = npz::Archive::open(origin)?;
            let layout = Layout::of_npz(&archive.names());
            let positions = select(&archive.names(), layout, arg)?;
            let entries = positions.into_iter().map(|at| archive.entry(at)).collect::<Result<_>>()?;
            take(arg, layout, entries, &no_texts, false)?
        }
        Some(Kind::Safetensors) => {
            let mut index = safetensors::Index::open(origin)?;
            let texts = std::mem::take(&mut index.metadata);
            let names = index.names();
            let layout = Layout::of_safetensors(&names, &texts, origin.path());
            let is_scaled = layout == Layout::Comfyui && !names.contains(&comfyui::MARKER);
            let positions = select(&names, layout, arg)?.into_iter();
            let entries = positions.map(|at| index.entry(at)).collect::<Result<_>>()?;
            take(arg, layout, entries, &texts, is_scaled)?
        }
        None => bail!(
            "{} is no .npy, .npz, .safetensors or .latent file, going by {by}; save it as one first, for example \
             numpy.save(\"x.npy\", tensor.cpu().numpy())",
            origin.name()
        ),
    };
    if origin.path().is_none() {
        found.source.file = format!("stdin.{}", found.source.layout.extension());
    }
    Ok(found)
}

/// Parts the arrays of a file into latents and others. If ComfyUI saved its latent scaled, that is undone.
fn take(
    arg: &LatentArg,
    layout: Layout,
    entries: Vec<Entry>,
    metadata: &BTreeMap<String, String>,
    is_scaled: bool,
) -> Result<Found> {
    let (mut arrays, mut members) = (Vec::new(), Vec::new());
    let latent = layout.only_latent(entries.iter().map(|entry| entry.key.as_str()));
    let mut room = MAX_KEPT;
    for (at, entry) in entries.into_iter().enumerate() {
        let name = entry.key.clone();
        match entry.other() {
            Some(other) if layout.is_known() && arg.member.is_none() => {
                let bytes = entry.read(room)?;
                room = room.saturating_sub(bytes.len() as u64);
                members.push(Member::kept(&name, other, &entry.shape, &bytes));
            }
            _ => {
                let mut array = entry.into_array()?;
                let (dtype, scaled) = (array.dtype, is_scaled && name == comfyui::TENSOR);
                if scaled {
                    array = array.scaled(comfyui::UNSCALE)?;
                }
                match &arg.key {
                    Some(key) if latent == Some(at) => array.key.clone_from(key),
                    Some(key) => array.key = format!("{key}/{name}"),
                    None => {}
                }
                members.push(Member { scaled, ..Member::latent(&name, dtype, &array.shape, &array.key) });
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
    let source = Source { file, layout, arrays: members, metadata: Texts::of_map(metadata)? };
    Ok(Found { arrays, source, is_worth_keeping, note })
}

/// The array of a `.npy` file.
fn npy_entry(arg: &LatentArg, origin: &Origin) -> Result<Entry> {
    let name = origin.name();
    ensure!(arg.member.is_none(), "{name} is one array; no other can be picked of it");
    let key = match &arg.key {
        Some(key) => key.clone(),
        None => {
            let path = origin.path();
            let path = path.ok_or_else(|| {
                UsageError("an array from standard input needs a key: --latent KEY=-".to_owned())
            })?;
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            stem.with_context(|| format!("the name of {name} is not Unicode; give a key: KEY=FILE"))?
                .to_owned()
        }
    };
    let (mut file, size) = origin.open()?;
    let header = npy::read_header(&mut file, &name)?;
    let place = Place::File { origin: origin.clone(), start: header.length, tail: Tail::End };
    let (kind, values) = ((header.dtype, header.refusal), size.saturating_sub(header.length));
    Entry::new(key, kind, header.shape, header.fortran_order, (place, values), name)
}

/// The positions of the arrays that the argument asks for.
fn select(names: &[&str], layout: Layout, arg: &LatentArg) -> Result<Vec<usize>> {
    let file = shown(&arg.path);
    ensure!(!names.is_empty(), "{file} holds no arrays");
    if let Some(member) = &arg.member {
        let position = names.iter().position(|name| name == member);
        let position = position.with_context(|| {
            let what = format!("{file} has no array {}", escape(member));
            match likely_meant(member, names.iter().copied()) {
                Some(meant) => format!("{what}; is {} meant?", escape(meant)),
                None => format!("{what}; it holds {}", list(names)),
            }
        })?;
        return Ok(vec![position]);
    }
    if let (Some(key), [first, _, ..], None) = (&arg.key, names, layout.only_latent(names.iter().copied())) {
        let (key, first) = (escape(key), escape(first));
        bail!(
            "{file} holds {} arrays ({}), too many for one key; pick one, for example {key}={file}:{first}",
            names.len(),
            list(names)
        );
    }
    // ComfyUI's marker has said what it says.
    let is_array = |name: &str| layout != Layout::Comfyui || name != comfyui::MARKER;
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
