//! Arrays in a `.npz` file: a zip of `.npy` files, stored or deflated.
//!
//! The zip crate reads the directory. Its readers of members borrow the archive, but arrays are
//! read later and from several threads. So members are read here: a range of the file, inflated if
//! necessary, with size and CRC checked at the end.

use anyhow::{Context, Result, bail, ensure};
use gen5_picture::text::escape;
use zip::{CompressionMethod, ZipArchive};

use super::array::{ArrayEntry, ValueLocation};
use super::input_file::{FileCursor, InputFile};
use super::npy;
use super::zip_member::ZipMember;

/// The directory of a `.npz` file.
pub(super) struct Archive<'a> {
    input: &'a InputFile,
    zip: ZipArchive<FileCursor>,
    /// The position in the directory and the name of each array, in file order.
    arrays: Vec<(usize, String)>,
}

impl<'a> Archive<'a> {
    /// Reads the directory. Members without the extension `.npy` are not arrays, as in numpy.
    pub(super) fn open(input: &'a InputFile) -> Result<Self> {
        let (file, _) = input.open()?;
        let zip = ZipArchive::new(file).map_err(|error| invalid(input, &error))?;
        ensure!(!zip.has_duplicate_names(), "{} has several members with the same name", input.name());
        let mut members = Vec::new();
        for index in 0..zip.len() {
            let entry = zip.by_index_data(index).map_err(|error| invalid(input, &error))?;
            let name = entry.name().map_err(|error| invalid(input, &error))?;
            if let Some(name) = name.strip_suffix(".npy") {
                members.push((entry.header_start(), index, name.to_owned()));
            }
        }
        // The directory may not be in the order of the members.
        members.sort_by_key(|&(start, index, _)| (start, index));
        let arrays = members.into_iter().map(|(_, index, name)| (index, name)).collect();
        Ok(Self { input, zip, arrays })
    }

    /// The names of the arrays.
    pub(super) fn names(&self) -> Vec<&str> {
        self.arrays.iter().map(|(_, name)| name.as_str()).collect()
    }

    /// Reads the header of the array at this position in the names.
    pub(super) fn entry(&mut self, position: usize) -> Result<ArrayEntry> {
        let (index, key) = self.arrays.get(position).context("no such array")?;
        let name = format!("{}:{}", self.input.name(), escape(key));
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
            ZipMember {
                start: entry.data_start().with_context(|| format!("{name} cannot be found"))?,
                packed: entry.compressed_size(),
                size: entry.size(),
                crc: entry.crc32(),
                deflated,
            }
        };
        let (file, _) = self.input.open()?;
        let mut source = member.reader(file).with_context(|| format!("cannot read {name}"))?;
        let header = npy::read_header(&mut source, &name)?;
        let location = ValueLocation::Member { input: self.input.clone(), member, header: header.length };
        let kind = (header.dtype, header.refusal);
        let values = member.size.saturating_sub(header.length);
        ArrayEntry::new(key.clone(), kind, header.shape, header.fortran_order, (location, values), name)
    }
}

fn invalid(input: &InputFile, error: &zip::result::ZipError) -> anyhow::Error {
    anyhow::anyhow!("{} is not a valid .npz (zip) file: {}", input.name(), escape(&error.to_string()))
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
