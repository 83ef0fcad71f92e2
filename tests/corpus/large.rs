//! H13 to H15: the fields that version 1.1 adds to the header, and the longest records.

use gen5::Version;
use serde_json::{Value, json};

use crate::case::{Case, read, refused};
use crate::good::{VALUES, raw};
use crate::support::{Builder, model_info};

pub(crate) fn cases() -> Vec<Case> {
    let clauses = [fields(), flag(), versions(), kept()];
    clauses.into_iter().flatten().collect()
}

/// A file with the header of a large file.
fn large<'a>() -> Builder<'a> {
    Builder::new([raw("a"), raw("b").compressed()]).minor(1).large()
}

fn small<'a>(minor: u8) -> Builder<'a> {
    Builder::new([raw("a")]).minor(minor)
}

fn fields() -> Vec<Case> {
    let file = large().build();
    let (length, table) = (file.len() as u64, u64::from_le_bytes(file[24..32].try_into().unwrap()));
    let u32_at = |at: usize, value: u32| large().header_bytes(at, &value.to_le_bytes()).build();
    let reserved = |value: u64| large().header_bytes(24, &value.to_le_bytes()).build();
    refused(
        "H13",
        [
            ("an offset", u32_at(8, table as u32), "Value header chunk_table_offset", "4294967295"),
            ("an offset of 0", u32_at(8, 0), "Value header chunk_table_offset", "4294967295"),
            ("a size", u32_at(12, (length - table) as u32), "Value header chunk_table_size", "expected 0"),
            ("a size of ffffffff", u32_at(12, u32::MAX), "Value header chunk_table_size", "expected 0"),
            ("a length", u32_at(20, length as u32), "Value header file_size", "4294967295"),
            ("a length of 0", u32_at(20, 0), "Value header file_size", "4294967295"),
            ("a table at 0", reserved(0), "Value header reserved", "from 32"),
            ("a table in the header", reserved(31), "Value header reserved", "from 32"),
            ("a table past the end", reserved(length + 1), "Value header reserved", "from 32"),
            ("a table at 2^64 - 1", reserved(u64::MAX), "Value header reserved", "from 32"),
            ("a table at the end", reserved(length), "Frame table Truncated", "cut short"),
            (
                "a table a byte later",
                reserved(table + 1),
                "Frame table NotZstd { found: \"b52ffd64\" }",
                "b52ffd64",
            ),
            (
                "a byte behind",
                [&file[..], b"x"].concat(),
                "Frame table Trailing { count: 1 }",
                "1 bytes follow",
            ),
        ],
    )
}

/// The flag exists only in 1.1, and only together with its fields.
fn flag() -> Vec<Case> {
    let header = |at: usize, byte: u8| large().header(move |header| header[at] = byte).build();
    let flags = "Value header flags";
    let member = refused(
        "H13",
        [
            ("the header in 1.0", large().minor(0).build(), flags, "version 1.1"),
            ("the flag alone in 1.0", small(0).header_bytes(6, &[1]).build(), flags, "version 1.1"),
            (
                "the flag alone in 1.1",
                small(1).header_bytes(6, &[1]).build(),
                "Value header chunk_table_offset",
                "as in every large file",
            ),
            (
                "an offset without the flag",
                small(1).header_bytes(24, &[32]).build(),
                "Value header reserved",
                "expected 0",
            ),
            (
                "no length without the flag",
                small(1).header_bytes(20, &[255; 4]).build(),
                "Value header file_size",
                "4294967295",
            ),
        ],
    );
    let unknown = refused(
        "H4",
        [
            ("flag 1 instead of 0 in 1.1", header(6, 2), "UnsupportedFlags 0x2", "newer"),
            ("flag 1 beside 0 in 1.1", header(6, 3), "UnsupportedFlags 0x3", "newer"),
            ("flag 15 beside 0 in 1.1", header(7, 0x80), "UnsupportedFlags 0x8001", "newer"),
            (
                "flag 1 in a small 1.1",
                Builder::new([]).minor(1).header_bytes(6, &[2]).build(),
                "UnsupportedFlags 0x2",
                "newer",
            ),
        ],
    );
    [member, unknown].into_iter().flatten().collect()
}

fn versions() -> Vec<Case> {
    let header = |at: usize, byte: u8| large().header(move |header| header[at] = byte).build();
    let unknown = refused(
        "H3",
        [
            ("1.2, large", header(5, 2), "UnsupportedVersion 1.2", "newer"),
            ("1.255, large", header(5, 255), "UnsupportedVersion 1.255", "newer"),
            ("2.1, large", header(4, 2), "UnsupportedVersion 2.1", "newer"),
            ("0.1, large", header(4, 0), "UnsupportedVersion 0.1", "newer"),
            ("1.2, without chunks", Builder::new([]).minor(2).build(), "UnsupportedVersion 1.2", "newer"),
            (
                "2.0, without chunks",
                Builder::new([]).header_bytes(4, &[2, 0]).build(),
                "UnsupportedVersion 2.0",
                "newer",
            ),
        ],
    );
    let says = |header: u8, manifest: u8| {
        let info = move |root: &mut Value| {
            root["gen5_metadata"]["file_info"]["version_minor"] = json!(manifest);
        };
        small(header).manifest(info).build()
    };
    let member = "Value table file_info.version_minor";
    let manifest = refused(
        "H14",
        [
            ("0 in a 1.1", says(1, 0), member, "expected 1"),
            ("1 in a 1.0", says(0, 1), member, "expected 0"),
            ("2 in a 1.1", says(1, 2), member, "expected 1"),
        ],
    );
    [unknown, manifest].into_iter().flatten().collect()
}

fn kept() -> Vec<Case> {
    let has = |length: usize, keys: &'static [&str], version: Version| {
        move |reader: &gen5::Reader| {
            assert_eq!((reader.version(), reader.file_size()), (version, length as u64));
            assert_eq!(reader.latents().len(), keys.len());
            let info: Value = serde_json::from_str(reader.model_info_json()).unwrap();
            assert_eq!(info, model_info());
            assert_eq!(reader.metadata().unwrap().model_info().prompt, "p");
            for key in keys {
                assert_eq!(*reader.latent(key).unwrap().read::<f32>().unwrap(), VALUES);
            }
        }
    };
    let file = large().build();
    assert_eq!(file[6..24], *b"\x01\0\xff\xff\xff\xff\0\0\0\0\x02\0\0\0\xff\xff\xff\xff");
    let [plain, plain_1_1] = [0, 1].map(|minor| small(minor).build());
    let empty = Builder::new([]).build();
    vec![
        read(
            "H15",
            "a small file with the header of a large one",
            file.clone(),
            has(file.len(), &["a", "b"], Version::V1_1),
        ),
        read("H15", "1.0", plain.clone(), has(plain.len(), &["a"], Version::V1_0)),
        read(
            "H15",
            "1.1 with nothing that is new",
            plain_1_1.clone(),
            has(plain_1_1.len(), &["a"], Version::V1_1),
        ),
        read("H15", "no chunks", empty.clone(), has(empty.len(), &[], Version::V1_0)),
    ]
}
