//! The byte layout of a file. This module has no checks and no I/O; higher layers decide which
//! values are valid.
//!
//! ```text
//! file header, 32 bytes                             chunk header, 12 bytes
//!  0      4   5   6      8        12       16        0      4       8      12
//! +------+---+---+------+--------+--------+----      +------+-------+------+
//! | GEN5 |maj|min|flags | table  | table  | ...      | type | flags | size |
//! |      |   |   |      | offset | size   |          |      |       |      |
//! +------+---+---+------+--------+--------+----      +------+-------+------+
//!        16            20          24         32
//!    ----+-------------+-----------+----------+
//!        | chunk count | file size | reserved |
//!    ----+-------------+-----------+----------+
//! ```
//!
//! All integers are little-endian. All offsets are from the start of the file.

use std::fmt;

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first four bytes of every file.
pub(crate) const MAGIC: [u8; 4] = *b"GEN5";

/// The flag in the file header for a file of 4 GiB or more.
///
/// With it, the fields for the table's offset, the table's size and the file size hold
/// [`IN_RESERVED`], 0 and [`IN_RESERVED`]. The table's offset is in `reserved`, and the table
/// extends to the end of the file.
pub(crate) const LARGE_FILE: u16 = 1;

/// The value of a 32-bit field whose real value is stored elsewhere.
pub(crate) const IN_RESERVED: u32 = u32::MAX;

/// Size of [`FileHeader`] in bytes, and the lowest offset of the first chunk.
pub(crate) const FILE_HEADER_SIZE: u64 = 32;

/// Size of [`ChunkHeader`] in bytes.
pub(crate) const CHUNK_HEADER_SIZE: u64 = 12;

/// The flags of a chunk without flags: four ASCII zeros.
pub(crate) const NO_FLAGS: [u8; 4] = *b"0000";

/// The first 32 bytes of a file.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct FileHeader {
    pub(crate) magic: [u8; 4],
    pub(crate) version_major: u8,
    pub(crate) version_minor: u8,
    pub(crate) flags: U16,
    pub(crate) chunk_table_offset: U32,
    pub(crate) chunk_table_size: U32,
    pub(crate) chunk_count: U32,
    pub(crate) file_size: U32,
    pub(crate) reserved: U64,
}

impl FileHeader {
    pub(crate) fn version(&self) -> Version {
        Version { major: self.version_major, minor: self.version_minor }
    }
}

/// The 12 bytes before every payload. In a compressed chunk they are inside the zstd frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct ChunkHeader {
    pub(crate) kind: [u8; 4],
    pub(crate) flags: [u8; 4],
    pub(crate) size: U32,
}

/// Returns the size field of a chunk header for a payload of this size. In version 1.1 the largest
/// value marks every size that does not fit.
pub(crate) fn size_in_header(payload_size: u64) -> u32 {
    u32::try_from(payload_size).unwrap_or(u32::MAX)
}

/// A version of the format. It prints and parses as `1.0`.
///
/// ```
/// use gen5::Version;
///
/// assert!(Version::V1_0 < Version::V1_1);
/// assert_eq!("1.1".parse::<Version>()?, Version::V1_1);
/// # Ok::<(), gen5::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The major version. Files of another one have another layout.
    pub major: u8,
    /// The minor version.
    pub minor: u8,
}

impl Version {
    /// The version that the Python package `gen5` reads and writes. A file has this version if
    /// possible.
    pub const V1_0: Self = Self { major: 1, minor: 0 };

    /// The version with files of 4 GiB or more, bfloat16 and byte shuffle.
    pub const V1_1: Self = Self { major: 1, minor: 1 };

    /// The highest version that this crate reads and writes.
    pub const LATEST: Self = Self::V1_1;
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.major, self.minor))
    }
}

/// The type of a chunk: four ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkType(pub [u8; 4]);

impl ChunkType {
    /// `LATN`: the values of a latent, or of one part of it.
    pub const LATENT: Self = Self(*b"LATN");
    /// `DATA`: the encoded image.
    pub const IMAGE: Self = Self(*b"DATA");
    /// `ENVC`: the environment, as JSON.
    pub const ENVIRONMENT: Self = Self(*b"ENVC");
    /// `META`: the manifest, as JSON. The file header points to it, and it never lists itself.
    pub const MANIFEST: Self = Self(*b"META");

    /// Returns whether version 1.0 has chunks of this type, apart from the manifest. Chunks of
    /// other types are kept unchanged.
    pub fn is_known(self) -> bool {
        [Self::LATENT, Self::IMAGE, Self::ENVIRONMENT].contains(&self)
    }
}

impl fmt::Display for ChunkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for ChunkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkType({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These bytes may never change: files on disk depend on them.
    #[test]
    fn layout_is_pinned() {
        let header = FileHeader {
            magic: MAGIC,
            version_major: 1,
            version_minor: 2,
            flags: U16::new(0x0403),
            chunk_table_offset: U32::new(0x0807_0605),
            chunk_table_size: U32::new(0x0c0b_0a09),
            chunk_count: U32::new(0x100f_0e0d),
            file_size: U32::new(0x1413_1211),
            reserved: U64::new(0x1c1b_1a19_1817_1615),
        };
        let mut expected = b"GEN5".to_vec();
        expected.extend(1..=28);
        assert_eq!(header.as_bytes(), expected);
        assert_eq!(size_of::<FileHeader>() as u64, FILE_HEADER_SIZE);

        let chunk = ChunkHeader { kind: ChunkType::LATENT.0, flags: *b"F32\0", size: U32::new(0x0403_0201) };
        assert_eq!(chunk.as_bytes(), b"LATNF32\0\x01\x02\x03\x04");
        assert_eq!(size_of::<ChunkHeader>() as u64, CHUNK_HEADER_SIZE);
    }

    #[test]
    fn chunk_types_print_escaped() {
        assert_eq!(ChunkType::LATENT.to_string(), "LATN");
        assert_eq!(ChunkType(*b"\x1b[0m").to_string(), "\\x1b[0m");
    }
}
