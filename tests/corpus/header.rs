//! H1 to H12: the file header of 32 bytes, and the place of the table that it gives.

use crate::case::{Case, refused};
use crate::good::good;

pub(crate) fn cases() -> Vec<Case> {
    let clauses = [short(), magic(), version(), flags(), length(), table(), count()];
    clauses.into_iter().flatten().collect()
}

fn with_u32(at: usize, value: u32) -> Vec<u8> {
    good().header_bytes(at, &value.to_le_bytes()).build()
}

/// The good file followed by `bytes`.
fn glued(bytes: &[u8]) -> Vec<u8> {
    [good().build(), bytes.to_vec()].concat()
}

/// Like [`glued`], with a file header that counts the extra bytes.
fn glued_and_counted(bytes: &[u8]) -> Vec<u8> {
    let mut file = glued(bytes);
    let length = file.len() as u32;
    file[20..24].copy_from_slice(&length.to_le_bytes());
    file
}

fn length_of_good() -> u32 {
    good().build().len() as u32
}

fn short() -> Vec<Case> {
    let cut = |length: usize| good().build()[..length].to_vec();
    let names: Vec<String> = (0..32).map(|length| format!("{length} bytes")).collect();
    let words = |length| match length {
        0 => "it is empty",
        1..4 => "it starts with",
        _ => "the file header alone has 32",
    };
    let rows =
        names.iter().enumerate().map(|(length, name)| (&**name, cut(length), "NotGen5", words(length)));
    refused("H1", rows)
}

fn magic() -> Vec<Case> {
    let with = |bytes: &'static [u8]| good().header_bytes(0, bytes).build();
    refused(
        "H2",
        [
            ("a zip", with(b"PK\x03\x04"), "NotGen5", "PK"),
            ("a PNG", with(b"\x89PNG"), "NotGen5", "\\x89PNG"),
            ("lower case", with(b"gen5"), "NotGen5", "gen5"),
            ("zeros, as an unfinished file has them", with(&[0; 4]), "NotGen5", "\\x00"),
        ],
    )
}

fn version() -> Vec<Case> {
    let with = |at: usize, value: u8| good().header(move |header| header[at] = value).build();
    refused(
        "H3",
        [
            ("major 0", with(4, 0), "UnsupportedVersion 0.0", "0.0"),
            ("major 2", with(4, 2), "UnsupportedVersion 2.0", "2.0"),
            ("major 255", with(4, 255), "UnsupportedVersion 255.0", "255.0"),
            ("minor 2", with(5, 2), "UnsupportedVersion 1.2", "newer"),
            ("minor 255", with(5, 255), "UnsupportedVersion 1.255", "newer"),
        ],
    )
}

fn flags() -> Vec<Case> {
    let with = |at: usize, value: u8| good().header(move |header| header[at] = value).build();
    let flags = refused(
        "H4",
        [
            ("flag 1", with(6, 2), "UnsupportedFlags 0x2", "newer"),
            ("flag 8", with(7, 1), "UnsupportedFlags 0x100", "newer"),
            ("flag 15", with(7, 0x80), "UnsupportedFlags 0x8000", "newer"),
            ("all flags", good().header_bytes(6, &[255; 2]).build(), "UnsupportedFlags 0xffff", "newer"),
        ],
    );
    let reserved = refused(
        "H5",
        [
            ("first byte", with(24, 1), "Value header reserved", "expected 0"),
            ("last byte", with(31, 1), "Value header reserved", "is 72057594037927936, expected 0"),
        ],
    );
    [flags, reserved].into_iter().flatten().collect()
}

fn length() -> Vec<Case> {
    let length = length_of_good();
    let expected = format!("expected {length}, the length of the file");
    let file_size = refused(
        "H6",
        [
            ("one more", with_u32(20, length + 1), "Value header file_size", &*expected),
            ("one less", with_u32(20, length - 1), "Value header file_size", &*expected),
            ("0", with_u32(20, 0), "Value header file_size", &*expected),
            ("the most", with_u32(20, u32::MAX), "Value header file_size", "4294967295"),
        ],
    );
    let behind = refused(
        "H7",
        [
            ("a byte", glued(b"x"), "Value header file_size", "something may have been appended"),
            (
                "a byte that the header counts",
                glued_and_counted(b"x"),
                "Value header chunk_table_size",
                "ends with the file",
            ),
            (
                "a zip that the header counts",
                glued_and_counted(b"PK\x05\x06"),
                "Value header chunk_table_size",
                "ends with the file",
            ),
        ],
    );
    [file_size, behind].into_iter().flatten().collect()
}

fn table() -> Vec<Case> {
    let length = length_of_good();
    let table = u32::from_le_bytes(good().build()[8..12].try_into().unwrap()) - 1;
    let offset = "Value header chunk_table_offset";
    let early = refused(
        "H8",
        [
            ("at 0", with_u32(8, 0), offset, "is 0, expected from 32"),
            ("at 31", with_u32(8, 31), offset, "is 31, expected from 32"),
        ],
    );
    let late = refused(
        "H9",
        [
            ("past the end", with_u32(8, length + 1), offset, "expected from 32"),
            ("at 4 GiB", with_u32(8, u32::MAX), offset, "4294967295"),
            ("a size that wraps", with_u32(12, u32::MAX), "Value header chunk_table_size", "4294967295"),
            ("a size too small", with_u32(12, 30), "Value header chunk_table_size", "is 30"),
            ("nothing, at the end", placed(length), "Frame table Truncated", "cut short"),
        ],
    );
    let over = refused(
        "H10",
        [
            (
                "at the first chunk",
                placed(32),
                "Frame table NotZstd { found: \"4c41544e\" }",
                "not a zstd frame",
            ),
            (
                "at a compressed chunk",
                placed(68),
                "Contradiction table type",
                "the record says type META, the chunk itself LATN",
            ),
            (
                "a chunk over the table",
                good().manifest(|all| all["gen5_metadata"]["chunks"][1]["offset"] = table.into()).build(),
                &*format!("Value chunk 1 at {table} offset"),
                "chunk table",
            ),
        ],
    );
    [early, late, over].into_iter().flatten().collect()
}

/// The good file with a header that places the table from `offset` to the end.
fn placed(offset: u32) -> Vec<u8> {
    let mut file = good().build();
    let size = file.len() as u32 - offset;
    file[8..12].copy_from_slice(&offset.to_le_bytes());
    file[12..16].copy_from_slice(&size.to_le_bytes());
    file
}

fn count() -> Vec<Case> {
    let many = refused(
        "H11",
        [
            ("4 billion", with_u32(16, u32::MAX), "Limit table chunks", "4294967295 chunks"),
            ("one over the limit", with_u32(16, (1 << 18) + 1), "Limit table chunks", "`Limits::chunks`"),
        ],
    );
    let other = refused(
        "H12",
        [
            ("one more", with_u32(16, 3), "Value table chunks", "is 2, expected 3 records"),
            ("one less", with_u32(16, 1), "Value table chunks", "is more, expected 1 records"),
            ("none", with_u32(16, 0), "Value table chunks", "expected 0 records"),
            ("all that the limit allows", with_u32(16, 1 << 18), "Value table chunks", "expected 262144"),
            (
                "the manifest's one more",
                good().manifest(|all| all["gen5_metadata"]["file_info"]["chunk_count"] = 3.into()).build(),
                "Value table file_info.chunk_count",
                "is 3, expected 2",
            ),
        ],
    );
    [many, other].into_iter().flatten().collect()
}
