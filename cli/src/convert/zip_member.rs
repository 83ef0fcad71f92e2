//! A checked reader of one member of a zip file.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};

use crc32fast::Hasher;
use flate2::bufread::DeflateDecoder;

use super::input_file::FileCursor;

/// A member's location in the zip, and its expected size and CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ZipMember {
    pub(super) start: u64,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) crc: u32,
    pub(super) deflated: bool,
}

impl ZipMember {
    /// A reader of the whole member.
    pub(super) fn reader(self, mut file: FileCursor) -> io::Result<Checked> {
        file.seek(SeekFrom::Start(self.start))?;
        let packed = BufReader::new(file.take(self.packed));
        let source = if self.deflated {
            PackedData::Deflated(DeflateDecoder::new(packed))
        } else {
            PackedData::Stored(packed)
        };
        Ok(Checked { source, left: self.size, crc: self.crc, hasher: Hasher::new() })
    }
}

enum PackedData {
    Stored(BufReader<Take<FileCursor>>),
    Deflated(DeflateDecoder<BufReader<Take<FileCursor>>>),
}

/// Reads a member and checks its size and CRC at the end.
pub(super) struct Checked {
    source: PackedData,
    left: u64,
    crc: u32,
    hasher: Hasher,
}

impl Read for Checked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.source {
            PackedData::Stored(source) => source.read(buf)?,
            PackedData::Deflated(source) => source.read(buf)?,
        };
        let (read, _) = buf.split_at(count);
        self.hasher.update(read);
        let problem = match self.left.checked_sub(count as u64) {
            None => "it is longer than its zip says",
            Some(left) => {
                self.left = left;
                match count {
                    0 if buf.is_empty() => return Ok(0),
                    0 if left > 0 => "it is shorter than its zip says",
                    0 if self.hasher.clone().finalize() != self.crc => "its CRC is wrong",
                    _ => return Ok(count),
                }
            }
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, problem))
    }
}
