//! Arrays in a `.npz` file: a zip of `.npy` files, stored or deflated.
//!
//! The zip crate reads the directory. Its readers of members borrow the archive, but arrays are
//! read later and from several threads. So members are read here: a range of the file, inflated if
//! necessary, with size and CRC checked at the end.

use anyhow::{Context, Result, bail, ensure};
use zip::{CompressionMethod, ZipArchive};

use super::array::{Entry, Place};
use super::npy;
use super::origin::{Opened, Origin};
use super::zip_member::Member;
use crate::terminal::escape;

/// The directory of a `.npz` file.
pub(super) struct Archive<'a> {
    origin: &'a Origin,
    zip: ZipArchive<Opened>,
    /// The position in the directory and the name of each array, in file order.
    arrays: Vec<(usize, String)>,
}

impl<'a> Archive<'a> {
    /// Reads the directory. Members without the extension `.npy` are not arrays, as in numpy.
    pub(super) fn open(origin: &'a Origin) -> Result<Self> {
        let (file, _) = origin.open()?;
        let zip = ZipArchive::new(file).map_err(|error| invalid(origin, &error))?;
        ensure!(!zip.has_duplicate_names(), "{} has several members of one name", origin.name());
        let mut members = Vec::new();
        for index in 0..zip.len() {
            let entry = zip.by_index_data(index).map_err(|error| invalid(origin, &error))?;
            let name = entry.name().map_err(|error| invalid(origin, &error))?;
            if let Some(name) = name.strip_suffix(".npy") {
                members.push((entry.header_start(), index, name.to_owned()));
            }
        }
        // The directory may not be in the order of the members.
        members.sort_by_key(|&(start, index, _)| (start, index));
        let arrays = members.into_iter().map(|(_, index, name)| (index, name)).collect();
        Ok(Self { origin, zip, arrays })
    }

    /// The names of the arrays.
    pub(super) fn names(&self) -> Vec<&str> {
        self.arrays.iter().map(|(_, name)| name.as_str()).collect()
    }

    /// Reads the header of the array at this position in the names.
    pub(super) fn entry(&mut self, position: usize) -> Result<Entry> {
        let (index, key) = self.arrays.get(position).context("no such array")?;
        let name = format!("{}:{}", self.origin.name(), escape(key));
        let member = {
            let entry = self.zip.by_index_raw(*index).with_context(|| format!("{name} cannot be found"))?;
            ensure!(!entry.encrypted(), "{name} is encrypted; save it without a password");
            let deflated = match entry.compression() {
                CompressionMethod::STORE => false,
                CompressionMethod::DEFLATE => true,
                other => bail!(
                    "{name} is compressed with {}, not deflate; save it with numpy.savez",
                    method(other)
                ),
            };
            Member {
                start: entry.data_start().with_context(|| format!("{name} cannot be found"))?,
                packed: entry.compressed_size(),
                size: entry.size(),
                crc: entry.crc32(),
                deflated,
            }
        };
        let (file, _) = self.origin.open()?;
        let mut source = member.reader(file).with_context(|| format!("cannot read {name}"))?;
        let header = npy::read_header(&mut source, &name)?;
        let place = Place::Member { origin: self.origin.clone(), member, header: header.length };
        let (kind, values) = ((header.dtype, header.refusal), member.size.saturating_sub(header.length));
        Entry::new(key.clone(), kind, header.shape, header.fortran_order, (place, values), name)
    }
}

fn invalid(origin: &Origin, error: &zip::result::ZipError) -> anyhow::Error {
    anyhow::anyhow!("{} is not a valid .npz (zip) file: {}", origin.name(), escape(&error.to_string()))
}

fn method(method: CompressionMethod) -> String {
    match method {
        CompressionMethod::DEFLATE64 => "deflate64".to_owned(),
        CompressionMethod::BZIP2 => "bzip2".to_owned(),
        CompressionMethod::LZMA => "LZMA".to_owned(),
        CompressionMethod::ZSTD => "zstd".to_owned(),
        CompressionMethod::XZ => "xz".to_owned(),
        other => format!("an unknown method ({other:?})"),
    }
}
