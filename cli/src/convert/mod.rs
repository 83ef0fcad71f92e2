//! Arrays of numpy and safetensors files: finding them, and reading their values as GEN5 keeps them.
//!
//! [`arrays`] reads headers only; [`Array::open`] gives the values in C order, little-endian. Nothing that a file says
//! is believed before it is checked against the file, and what is wrong is an error that names the file and the array.

pub mod npy;
mod npz;
mod payload;
mod safetensors;

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use gen5::Dtype;

use crate::terminal::{escape, shown};
use payload::{Exact, Tail};

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
    /// The kind that the extension tells, in any case of letters.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "npy" => Some(Self::Npy),
            "npz" => Some(Self::Npz),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }
}

/// One array found in a file. Its values are not read yet.
#[derive(Clone, Debug)]
pub struct Array {
    /// The key that it goes by.
    pub key: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its axes; none for a scalar.
    pub shape: Vec<usize>,
    size: u64,
    /// Whether the values lie in Fortran order, and that is another order than C's.
    fortran_order: bool,
    place: Place,
    /// What errors call it: the file, and the member if there are members.
    name: String,
}

/// Where values lie.
#[derive(Clone, Debug)]
enum Place {
    File { path: PathBuf, start: u64, tail: Tail },
    Member { path: PathBuf, member: npz::Member, header: u64 },
}

impl Array {
    fn new(
        key: String,
        dtype: Dtype,
        shape: Vec<usize>,
        fortran_order: bool,
        place: Place,
        name: String,
    ) -> Result<Self> {
        let size =
            dtype.size_of_array(&shape).with_context(|| format!("{name} claims a size over 2^64 bytes"))?;
        let fortran_order = fortran_order && payload::order_matters(&shape);
        Ok(Self { key, dtype, shape, size, fortran_order, place, name })
    }

    /// Bytes of its values.
    pub fn payload_size(&self) -> u64 {
        self.size
    }

    /// What errors call it: the file, and the member if there are several.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A reader of the values in C order, little-endian: exactly [`payload_size`](Self::payload_size) bytes.
    ///
    /// The values are streamed, but those in Fortran order are held in memory while they are read. What is wrong with
    /// the end of the file (surplus bytes, a CRC) is an error of the read that would give the last bytes.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no longer what it was when the array was found, or there is no memory for values in
    /// Fortran order.
    pub fn open(&self) -> Result<Box<dyn Read + Send>> {
        let failed = || format!("cannot read {}", self.name);
        // Its errors name the array themselves.
        let exact = |source, tail| Exact::new(source, self.size, tail, self.name.clone());
        let values = match &self.place {
            Place::File { path, start, tail } => {
                let (mut file, _) = open_file(path)?;
                file.seek(SeekFrom::Start(*start)).with_context(failed)?;
                exact(Box::new(file) as Box<dyn Read + Send>, *tail)?
            }
            Place::Member { path, member, header } => {
                let mut source = member.reader(open_file(path)?.0).with_context(failed)?;
                // Through the same reader, because the CRC covers the header, too.
                io::copy(&mut source.by_ref().take(*header), &mut io::sink()).with_context(failed)?;
                exact(Box::new(source), Tail::End)?
            }
        };
        if self.fortran_order {
            return Ok(payload::from_fortran(values, &self.shape, self.dtype.size())?);
        }
        Ok(Box::new(values))
    }

    /// Refuses an array that has another number of bytes than its shape says.
    fn expect_size(&self, found: u64) -> Result<()> {
        let (name, size) = (&self.name, self.size);
        ensure!(found == size, "{name} has {found} bytes of values, but its shape and dtype say {size}");
        Ok(())
    }
}

/// The arrays of one file on the command line, as `[KEY=]FILE` or `[KEY=]FILE:NAME`.
///
/// FILE is a `.npy`, `.npz` or `.safetensors` file, and NAME picks one array of the latter two. A text that names a
/// file is that file, whatever characters it has. Otherwise the first `=` ends the key, and the `:` is looked for
/// only behind `.npz` and `.safetensors`, so that `C:\noise.npz` is no array of a file `C`.
///
/// ```
/// let arg: gen5_cli::convert::LatentArg = "initial_noise=batch.npz:noise".parse()?;
/// assert_eq!(arg.key.as_deref(), Some("initial_noise"));
/// assert_eq!(arg.path.to_str(), Some("batch.npz"));
/// assert_eq!(arg.member.as_deref(), Some("noise"));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatentArg {
    /// The key to store the array under.
    pub key: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// The array of the file that is meant, where not all are.
    pub member: Option<String>,
}

impl FromStr for LatentArg {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, (path, member)) = match text.split_once('=') {
            // A file that is there, or an array of it, is meant even if its name has a `=`.
            Some((key, file)) if existing(text).is_none() => {
                ensure!(!key.is_empty(), "\"{}\" has no key before the =", escape(text));
                (Some(key.to_owned()), file_and_member(file))
            }
            _ => (None, file_and_member(text)),
        };
        ensure!(!path.is_empty(), "\"{}\" names no file", escape(text));
        ensure!(member != Some(""), "\"{}\" has no array name behind the :", escape(text));
        Ok(Self { key, path: path.into(), member: member.map(str::to_owned) })
    }
}

/// The file and the array in `FILE[:NAME]`.
fn file_and_member(text: &str) -> (&str, Option<&str>) {
    existing(text)
        .or_else(|| members(text).next().map(|(path, member)| (path, Some(member))))
        .unwrap_or((text, None))
}

/// The file and the array in `FILE[:NAME]`, if there is such a file.
fn existing(text: &str) -> Option<(&str, Option<&str>)> {
    let whole = Path::new(text).is_file().then_some((text, None));
    whole.or_else(|| {
        members(text).find(|(path, _)| Path::new(path).is_file()).map(|(path, member)| (path, Some(member)))
    })
}

/// Every way to part the text at a `:` behind the extension of a file that holds several arrays.
fn members(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices(':')
        .filter_map(|(at, colon)| Some((text.get(..at)?, text.get(at + colon.len()..)?)))
        .filter(|(path, _)| matches!(Kind::of(Path::new(path)), Some(Kind::Npz | Kind::Safetensors)))
}

/// Finds the arrays that an argument stands for, in the order in which they lie in the file. Their values are not
/// read.
///
/// Keys are the names in the file, and the file's own name without its extension for `.npy`, unless the argument
/// gives one. Members of a `.npz` that are not called `.npy` are no arrays.
///
/// # Errors
///
/// The file cannot be read or is malformed, it does not have the array that is asked for, an array that is asked for
/// is not of little-endian float16, bfloat16 or float32, or there are several arrays for one key.
pub fn arrays(arg: &LatentArg) -> Result<Vec<Array>> {
    let path = arg.path.as_path();
    match Kind::of(path) {
        Some(Kind::Npy) => Ok(vec![npy_array(arg)?]),
        Some(Kind::Npz) => {
            let mut archive = npz::Archive::open(path)?;
            let positions = select(&archive.names(), arg)?;
            with_key(positions.into_iter().map(|position| archive.array(position)), arg)
        }
        Some(Kind::Safetensors) => {
            let index = safetensors::Index::open(path)?;
            let positions = select(&index.names(), arg)?;
            with_key(positions.into_iter().map(|position| index.array(position)), arg)
        }
        None => bail!(
            "{} is no .npy, .npz or .safetensors file, going by its name; save it as one first, for example \
             numpy.save(\"x.npy\", tensor.cpu().numpy())",
            shown(path)
        ),
    }
}

/// The array of a `.npy` file.
fn npy_array(arg: &LatentArg) -> Result<Array> {
    let path = arg.path.as_path();
    let name = shown(path);
    ensure!(arg.member.is_none(), "{name} is one array; no other can be picked of it");
    let key = match &arg.key {
        Some(key) => key.clone(),
        None => path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .with_context(|| format!("the name of {name} is not Unicode; give a key: KEY=FILE"))?
            .to_owned(),
    };
    let (mut file, size) = open_file(path)?;
    let header = npy::read_header(&mut file, &name)?;
    let place = Place::File { path: path.to_owned(), start: header.length, tail: Tail::End };
    let array = Array::new(key, header.dtype, header.shape, header.fortran_order, place, name)?;
    array.expect_size(size.saturating_sub(header.length))?;
    Ok(array)
}

/// The positions of the arrays that the argument asks for.
fn select(names: &[&str], arg: &LatentArg) -> Result<Vec<usize>> {
    let file = shown(&arg.path);
    ensure!(!names.is_empty(), "{file} holds no arrays");
    if let Some(member) = &arg.member {
        let position = names.iter().position(|name| name == member);
        let position = position
            .with_context(|| format!("{file} has no array {}; it holds {}", escape(member), list(names)))?;
        return Ok(vec![position]);
    }
    if let (Some(key), [first, _, ..]) = (&arg.key, names) {
        let (key, first) = (escape(key), escape(first));
        bail!(
            "{file} holds {} arrays ({}), too many for one key; pick one, for example {key}={file}:{first}",
            names.len(),
            list(names)
        );
    }
    Ok((0..names.len()).collect())
}

/// Collects the arrays; a key that is given is that of the only one.
fn with_key(found: impl Iterator<Item = Result<Array>>, arg: &LatentArg) -> Result<Vec<Array>> {
    found
        .map(|array| {
            let mut array = array?;
            if let Some(key) = &arg.key {
                array.key.clone_from(key);
            }
            Ok(array)
        })
        .collect()
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

/// Opens a file and tells its size. A pipe or device is refused before it is opened, which could wait for ever.
fn open_file(path: &Path) -> Result<(File, u64)> {
    let failed = || format!("cannot open {}", shown(path));
    let metadata = fs::metadata(path).with_context(failed)?;
    ensure!(metadata.is_file(), "{} is not a regular file", shown(path));
    let file = File::open(path).with_context(failed)?;
    let size = file.metadata().with_context(failed)?.len();
    Ok((file, size))
}
