//! An array found in a file: its description and a reader of its values.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};

use anyhow::{Context, Result, anyhow, bail, ensure};
use gen5::Dtype;

use super::input_file::InputFile;
use super::payload::{self, Exact, Scaled, Tail};
use super::types::{Other, Type};
use super::zip_member::ZipMember;

/// An array as described by its file. Its type may not be valid for latents.
#[derive(Clone, Debug)]
pub(super) struct ArrayEntry {
    /// Its name in the file.
    pub(super) key: String,
    pub(super) kind: Type,
    /// The reason why it cannot be a latent, if so.
    pub(super) refusal: Option<String>,
    pub(super) shape: Vec<usize>,
    size: u64,
    /// Whether the values are in Fortran order, where that differs from C order.
    fortran_order: bool,
    location: ValueLocation,
    /// Its name in errors: the file, and the member if there are any.
    name: String,
}

/// The location of values.
#[derive(Clone, Debug)]
pub(super) enum ValueLocation {
    File { input: InputFile, start: u64, tail: Tail },
    Member { input: InputFile, member: ZipMember, header: u64 },
}

impl ArrayEntry {
    /// An array whose file has `found` bytes for its values. This must match its shape and type.
    pub(super) fn new(
        key: String,
        (kind, refusal): (Type, Option<String>),
        shape: Vec<usize>,
        fortran_order: bool,
        (location, found): (ValueLocation, u64),
        name: String,
    ) -> Result<Self> {
        let size = kind.size_of_array(&shape);
        let size = size.with_context(|| format!("{name} claims a size over 2^64 bytes"))?;
        ensure!(found == size, "{name} has {found} bytes of values, but its shape and dtype say {size}");
        let fortran_order = fortran_order && payload::order_matters(&shape);
        Ok(Self { key, kind, refusal, shape, size, fortran_order, location, name })
    }

    /// Converts to an array that can be a latent.
    pub(super) fn into_latent(self) -> Result<LatentArray> {
        let (Type::Latent(dtype), None) = (self.kind, &self.refusal) else {
            bail!("{}", self.refusal.unwrap_or_default());
        };
        Ok(LatentArray {
            key: self.key.clone(),
            dtype,
            shape: self.shape.clone(),
            size: self.size,
            name: self.name.clone(),
            values: ArraySource::Of { entry: self, factor: None },
        })
    }

    /// Its type, if that is not valid for latents.
    pub(super) fn other(&self) -> Option<Other> {
        match self.kind {
            Type::Other(other) => Some(other),
            Type::Latent(_) => None,
        }
    }

    /// All bytes of its values, limited to `most`.
    pub(super) fn read(&self, most: u64) -> Result<Vec<u8>> {
        let name = &self.name;
        let size = self.size;
        ensure!(
            size <= most,
            "{name} is {}, which latents cannot be, and too large to keep with them ({size} \
             bytes, at most {most} for a file); select arrays as FILE:NAME",
            self.kind.name()
        );
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A reader of the values in C order.
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        let failed = || format!("cannot read {}", self.name);
        // Errors of this reader already name the array.
        let exact = |source, tail| Exact::new(source, self.size, tail, self.name.clone());
        let values = match &self.location {
            ValueLocation::File { input, start, tail } => {
                let (mut file, _) = input.open()?;
                file.seek(SeekFrom::Start(*start)).with_context(failed)?;
                exact(Box::new(file) as Box<dyn Read + Send>, *tail)?
            }
            ValueLocation::Member { input, member, header } => {
                let mut source = member.reader(input.open()?.0).with_context(failed)?;
                // Read through the same reader, since the CRC also covers the header.
                io::copy(&mut source.by_ref().take(*header), &mut io::sink()).with_context(failed)?;
                exact(Box::new(source), Tail::End)?
            }
        };
        if self.fortran_order {
            return Ok(payload::from_fortran(values, &self.shape, self.kind.size())?);
        }
        Ok(Box::new(values))
    }
}

/// An array found in a file, or several of the same shape combined. Its values are not read yet.
#[derive(Clone, Debug)]
pub struct LatentArray {
    /// The key to store it under.
    pub key: String,
    /// The dtype of its elements.
    pub dtype: Dtype,
    /// Its axes; empty for a scalar.
    pub shape: Vec<usize>,
    size: u64,
    name: String,
    values: ArraySource,
}

#[derive(Clone, Debug)]
enum ArraySource {
    /// The values of an array in a file. With a factor, they are multiplied by it as float32; the
    /// dtype is the one in the file.
    Of { entry: ArrayEntry, factor: Option<(Dtype, f32)> },
    /// The concatenated values of several arrays.
    Stack(Vec<LatentArray>),
}

impl LatentArray {
    /// Size of its values in bytes.
    pub fn payload_size(&self) -> u64 {
        self.size
    }

    /// Its name in errors: the file, and the member if there are several.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A reader of the values in C order, little-endian: exactly
    /// [`payload_size`](Self::payload_size) bytes.
    ///
    /// The values are streamed, except that those in Fortran order are kept in memory while they
    /// are read. Problems at the end of the file (surplus bytes, a wrong CRC) are errors of the
    /// read that would return the last bytes.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or has changed since the array was found, or if there is not
    /// enough memory for values in Fortran order.
    pub fn open(&self) -> Result<Box<dyn Read + Send>> {
        match &self.values {
            ArraySource::Of { entry, factor: None } => entry.open(),
            ArraySource::Of { entry, factor: Some((dtype, factor)) } => {
                Ok(Box::new(Scaled::new(entry.open()?, *dtype, *factor)))
            }
            ArraySource::Stack(arrays) => {
                Ok(Box::new(Chain { waiting: arrays.iter().cloned().collect(), current: None }))
            }
        }
    }

    /// The values times a factor, as float32.
    pub(super) fn scaled(mut self, by: f32) -> Result<Self> {
        if let ArraySource::Of { factor, .. } = &mut self.values {
            *factor = Some((self.dtype, by));
        }
        let size = Dtype::F32.size_of_array(&self.shape);
        self.size = size.with_context(|| format!("{} claims a size over 2^64 bytes", self.name))?;
        self.dtype = Dtype::F32;
        Ok(self)
    }

    /// Combines arrays of the same shape and dtype: along their first axis if that is a batch of 1
    /// (in four axes or more), otherwise along a new one.
    pub(super) fn stack(key: String, arrays: Vec<Self>, name: String) -> Result<Self> {
        let first = arrays.first().context("there are no arrays to stack")?;
        let dtype = first.dtype;
        let row = match first.shape.split_first() {
            Some((1, rest)) if rest.len() >= 3 => rest,
            _ => &first.shape,
        };
        let shape: Vec<usize> = std::iter::once(arrays.len()).chain(row.iter().copied()).collect();
        let size = dtype.size_of_array(&shape);
        let size = size.with_context(|| format!("{name} has a total size over 2^64 bytes"))?;
        Ok(Self { key, dtype, shape, size, name, values: ArraySource::Stack(arrays) })
    }
}

/// Reads arrays in sequence; each is open only while it is read.
struct Chain {
    waiting: VecDeque<LatentArray>,
    current: Option<Box<dyn Read + Send>>,
}

impl Read for Chain {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(current) = &mut self.current {
                match current.read(buf)? {
                    0 if !buf.is_empty() => self.current = None,
                    count => return Ok(count),
                }
            }
            let Some(next) = self.waiting.pop_front() else { return Ok(0) };
            let opened = next.open().map_err(|error| io::Error::other(anyhow!("{error:#}")))?;
            self.current = Some(opened);
        }
    }
}
