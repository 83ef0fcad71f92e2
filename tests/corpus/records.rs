//! R1 to R14: records that make opening fail. R4 is in `frames`, R10 in `parts`.

use gen5::chunk::Digest;
use serde_json::{Value, json};

use crate::case::{Case, refused};
use crate::good::{good, raw, with_record};
use crate::support::{Builder, Chunk, le_bytes};

pub(crate) fn cases() -> Vec<Case> {
    let clauses = [
        places(),
        overlaps(),
        sizes(),
        indexes(),
        hashes(),
        shapes(),
        words(),
        kinds_of_1_1(),
        what_1_0_has_not(),
        four_gib(),
        second_chunks(),
    ];
    clauses.into_iter().flatten().collect()
}

fn record(name: &str, value: Value) -> Vec<u8> {
    with_record(|record| record[name] = value)
}

fn extra(name: &str, value: Value) -> Vec<u8> {
    with_record(|record| record["extra"][name] = value)
}

fn places() -> Vec<Case> {
    let at = |offset: u64| record("offset", json!(offset));
    let size = |size: u64| record("compressed_size", json!(size));
    let table = u64::from(u32::from_le_bytes(good().build()[8..12].try_into().unwrap()));
    let over = format!("Value chunk 0 at {} offset", table - 35);
    let at_table = format!("Value chunk 0 at {table} offset");
    refused(
        "R1",
        [
            ("at 0", at(0), "Value chunk 0 at 0 offset", "file header (32)"),
            ("at 31", at(31), "Value chunk 0 at 31 offset", "31"),
            ("over the table", at(table - 35), &*over, &*format!("chunk table ({table})")),
            ("at the table", at(table), &*at_table, "chunk table"),
            ("past the end", at(1 << 40), "Value chunk 0 at 1099511627776 offset", "1099511627776"),
            (
                "at 2^64 - 1",
                at(u64::MAX),
                "Value chunk 0 at 18446744073709551615 offset",
                "18446744073709551615",
            ),
            ("a size that overflows", size(u64::MAX - 16), "Value chunk 0 at 32 offset", "chunk table"),
            ("a size past the end", size(1 << 33), "Value chunk 0 at 32 offset", "8589934592"),
        ],
    )
}

fn overlaps() -> Vec<Case> {
    let second = |offset: u64| {
        Builder::new([raw("a"), raw("b").record(|record| record["offset"] = json!(offset))]).build()
    };
    let both = |first: u64, second: u64| {
        let offsets = |all: &mut Value| {
            all["gen5_metadata"]["chunks"][0]["offset"] = json!(first);
            all["gen5_metadata"]["chunks"][1]["offset"] = json!(second);
        };
        Builder::new([raw("a"), raw("b")]).manifest(offsets).build()
    };
    refused(
        "R2",
        [
            ("by one byte", second(32 + 35), "Overlap chunk 1 at 67", "the Python package writes such files"),
            (
                "wholly, as a list used twice has it",
                second(32),
                "Overlap chunk 1 at 32",
                "chunk 0 (LATN \"a\") at offset 32, which ends at 68; the Python package writes \
                 such files when one `chunk_records` list is used for two files: write it again \
                 with a fresh list",
            ),
            (
                "listed out of order",
                both(68, 33),
                "Overlap chunk 0 at 68",
                "chunk 1 (LATN \"b\") at offset 33, which ends at 69",
            ),
        ],
    )
}

fn sizes() -> Vec<Case> {
    let size = |size: u64| record("compressed_size", json!(size));
    let compressed = raw("a").compressed().record(|record| record["compressed_size"] = json!(11));
    let member = "Value chunk 0 at 32 compressed_size";
    let small = refused(
        "R3",
        [
            ("11 bytes", size(11), member, "at least 12"),
            ("0 bytes", size(0), member, "at least 12"),
            ("a frame of 11 bytes", Builder::new([compressed]).build(), member, "at least 12"),
        ],
    );
    let other = refused(
        "R11",
        [
            ("raw, one byte short", size(35), member, "12 more than the payload"),
            ("raw, one byte long", size(37), member, "12 more than the payload"),
            (
                "raw, a payload of 2^64 - 1",
                record("uncompressed_size", json!(u64::MAX)),
                "Value chunk 0 at 32 uncompressed_size",
                "at most 4294967295",
            ),
        ],
    );
    [small, other].into_iter().flatten().collect()
}

fn indexes() -> Vec<Case> {
    let member = "Value chunk 0 at 32 index";
    refused(
        "R5",
        [
            ("1", record("index", json!(1)), member, "is 1, expected 0"),
            ("2^64 - 1", record("index", json!(u64::MAX)), member, "expected 0"),
        ],
    )
}

fn hashes() -> Vec<Case> {
    let hash = Digest::of(b"").to_string();
    let (member, words) = ("Value chunk 0 at 32 hash", "64 hexadecimal");
    refused(
        "R7",
        [
            ("empty", record("hash", json!("")), member, words),
            ("short", record("hash", json!("e3b0c4".repeat(10))), member, words),
            ("long", record("hash", json!(format!("{hash}0"))), member, words),
            ("with g", record("hash", json!("g".repeat(64))), member, words),
            ("of other digits", record("hash", json!("\u{ff11}".repeat(64))), member, words),
        ],
    )
}

fn shapes() -> Vec<Case> {
    let shape = |shape: Value| extra("shape", shape);
    let member = "Value chunk 0 at 32 extra.shape";
    let integers = "a list of axis lengths: integers of 0 or more that memory can address";
    // With 32-bit addresses, such an axis is refused before the product is computed.
    let product = if cfg!(target_pointer_width = "64") { "24 bytes" } else { integers };
    refused(
        "R8",
        [
            ("too small", shape(json!([2, 2])), member, "24 bytes"),
            ("too large", shape(json!([2, 4])), member, "24 bytes"),
            ("of nothing", shape(json!([0])), member, "24 bytes"),
            ("a scalar", shape(json!([])), member, "24 bytes"),
            ("a product of 2^80", shape(json!([1_u64 << 40, 1_u64 << 40])), member, product),
            ("a product of 2^64 + 24", shape(json!([3, 1_u64 << 62, 4])), member, product),
            ("a size of 2^64 + 24", shape(json!([(1_u64 << 62) + 6])), member, product),
            ("a negative axis", shape(json!([-2, -3])), member, integers),
            ("half an axis", shape(json!([1.5, 4])), member, integers),
            ("an axis of true", shape(json!([true, 6])), member, integers),
            ("text", shape(json!("2,3")), member, integers),
            ("null", shape(json!(null)), member, integers),
            ("an object", shape(json!({"0": 2, "1": 3})), member, integers),
            (
                "65 axes",
                shape(json!(vec![1; 65])),
                "Limit chunk 0 at 32 rank",
                "65 axes are over the limit of 64",
            ),
            ("10,000 axes", shape(json!(vec![1; 10_000])), "Limit chunk 0 at 32 rank", "10000 axes"),
        ],
    )
}

/// Types, flags and dtypes that are invalid or do not match each other.
fn words() -> Vec<Case> {
    let (kind, flags, dtype) =
        ("Value chunk 0 at 32 type", "Value chunk 0 at 32 flags", "Value chunk 0 at 32 extra.dtype");
    refused(
        "R11",
        [
            ("a type of 3 letters", record("type", json!("LAT")), kind, "LAT"),
            ("a type of 5 letters", record("type", json!("LATNX")), kind, "four"),
            ("a type of none", record("type", json!("")), kind, "four"),
            ("flags of 5 letters", record("flags", json!("F32\0\0")), flags, "four"),
            ("flags of none", record("flags", json!("")), flags, "F16, BF16, F32"),
            ("flags of float64", record("flags", json!("F64")), flags, "F64"),
            ("flags of another dtype", record("flags", json!("F16")), dtype, "float16"),
            ("another dtype", extra("dtype", json!("float16")), dtype, "expected float32"),
            ("an unknown dtype", extra("dtype", json!("complex64")), dtype, "complex64"),
            ("a dtype of 32", extra("dtype", json!(32)), dtype, "a string"),
        ],
    )
}

type Kind = (&'static str, &'static [u8; 4], usize);

/// The dtypes and flags of 1.1: name, flags, bytes of an element.
pub(crate) const NEW: [Kind; 4] =
    [("bfloat16", b"BF16", 2), ("bfloat16", b"B16S", 2), ("float16", b"F16S", 2), ("float32", b"F32S", 4)];

/// A valid latent of six elements of one of the new kinds.
pub(crate) fn new_kind<'a>((dtype, flags, size): Kind) -> Chunk<'a> {
    let chunk = Chunk::elements("x", (dtype, flags), &[6], &[7; 24][..6 * size]);
    if flags[3] == b'S' { chunk.shuffled(size) } else { chunk }
}

fn kinds_of_1_1() -> Vec<Case> {
    let with = |dtype: &str, flags: &'static [u8; 4], size: usize| {
        let chunk = Chunk::elements("x", (dtype, flags), &[6], &[0; 24][..6 * size]);
        Builder::new([chunk.compressed()]).minor(1).build()
    };
    let raw = |kind: Kind| {
        let chunk = Chunk::elements("x", (kind.0, kind.1), &[6], &[0; 24][..6 * kind.2]);
        Builder::new([chunk]).minor(1).build()
    };
    let shape = "Value chunk 0 at 32 extra.shape";
    let (dtype, flags) = ("Value chunk 0 at 32 extra.dtype", "Value chunk 0 at 32 flags");
    refused(
        "R11",
        [
            ("raw B16S", raw(NEW[1]), flags, "because the chunk is raw"),
            ("raw F16S", raw(NEW[2]), flags, "because the chunk is raw"),
            ("raw F32S", raw(NEW[3]), flags, "because the chunk is raw"),
            ("BF16 float16", with("float16", b"BF16", 2), dtype, "expected bfloat16"),
            ("B16S float16", with("float16", b"B16S", 2), dtype, "expected bfloat16"),
            ("F16S bfloat16", with("bfloat16", b"F16S", 2), dtype, "expected float16"),
            ("F16 bfloat16", with("bfloat16", b"F16\0", 2), dtype, "expected float16"),
            ("F32S float16", with("float16", b"F32S", 2), dtype, "expected float32"),
            ("BF16 bf16", with("bf16", b"BF16", 2), dtype, "expected bfloat16"),
            ("BF16 of 4 bytes", with("bfloat16", b"BF16", 4), shape, "bfloat16"),
            ("F32S of 2 bytes", with("float32", b"F32S", 2), shape, "float32"),
            ("B32S", with("float32", b"B32S", 4), flags, "newer version"),
            ("F16s", with("float16", b"F16s", 2), flags, "newer version"),
            ("BF1", with("bfloat16", b"BF1\0", 2), flags, "newer version"),
        ],
    )
}

fn what_1_0_has_not() -> Vec<Case> {
    let case = |kind: Kind| {
        let name = String::from_utf8_lossy(kind.1);
        let words = "version 1.1, and the file has version 1.0";
        refused("R12", [(&*name, Builder::new([new_kind(kind)]).build(), "Value chunk 0 at 32 flags", words)])
    };
    NEW.into_iter().flat_map(case).collect()
}

/// Sizes that only a raw chunk of a 1.1 file may have, in a file that is much smaller.
fn four_gib() -> Vec<Case> {
    let claims = |minor: u8, payload: u64, stored: Option<u64>, compressed: bool| {
        let record = |record: &mut Value| {
            record["uncompressed_size"] = json!(payload);
            record["compressed"] = json!(compressed);
            record["compressed_size"] = json!(stored.unwrap_or(36));
        };
        Builder::new([raw("a").record(record)]).minor(minor).build()
    };
    let most = u64::from(u32::MAX);
    let (payload, stored) = ("Value chunk 0 at 32 uncompressed_size", "Value chunk 0 at 32 compressed_size");
    let (offset, shape) = ("Value chunk 0 at 32 offset", "Value chunk 0 at 32 extra.shape");
    refused(
        "R13",
        [
            ("1.0, raw", claims(0, most + 1, None, false), payload, "4294967295"),
            ("1.0, frame", claims(0, most + 1, None, true), payload, "4294967295"),
            // The largest size that a chunk header can hold, but more than the shape gives.
            ("1.0, frame of 2^32 - 1", claims(0, most, None, true), shape, "4294967295"),
            ("1.1, frame", claims(1, most + 1, None, true), payload, "4294967295"),
            ("1.1, frame of 2^64 - 1", claims(1, u64::MAX, None, true), payload, "18446744073709551615"),
            ("1.1, raw", claims(1, most + 1, None, false), stored, "4294967308"),
            ("1.1, raw, 2^64 - 1", claims(1, u64::MAX, None, false), stored, "18446744073709551615"),
            ("1.1, stored so", claims(1, most + 1, Some(most + 13), false), offset, "chunk table"),
            ("1.1, 2^64 - 1 so", claims(1, u64::MAX, Some(u64::MAX), false), offset, "chunk table"),
        ],
    )
}

fn second_chunks() -> Vec<Case> {
    let two = |kind: &str| {
        let single = || Chunk::raw(kind, b"0000", &le_bytes(&[0.0; 6]), json!({}));
        Builder::new([single(), raw("a"), single().compressed()]).build()
    };
    refused(
        "R14",
        [
            ("image", two("DATA"), "SecondChunk chunk 2 at 104", "chunk 0 (DATA) at offset 32"),
            ("environment", two("ENVC"), "SecondChunk chunk 2 at 104", "chunk 0 (ENVC) at offset 32"),
        ],
    )
}
