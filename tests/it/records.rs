//! Headers and tables that are not sound: each is refused when the file is opened, by the right error, at the right place.

use gen5::{Digest, Error, FrameProblem, Place, Reader};
use serde_json::{Value, json};

use crate::support::{
    Builder, Chunk, FrameStyle, chunk_bytes, frame, frame_by_hand, model_info, place_of, skippable_frame,
};

/// A file's fault and how it is told: the variant, the place and the member, then words that the message has.
pub(crate) type Case<'a> = (&'a str, Vec<u8>, &'a str, &'a str);

pub(crate) fn check<'a>(cases: impl IntoIterator<Item = Case<'a>>) {
    for (what, bytes, expected, words) in cases {
        let error = Reader::from_bytes(bytes).map(|_| ()).expect_err(what);
        assert_eq!(tell(&error), expected, "{what}: {error}");
        assert!(error.to_string().contains(words), "{what}: {error}");
    }
}

pub(crate) fn tell(error: &Error) -> String {
    let place = match place_of(error) {
        Some(Place::Header) => "header".to_owned(),
        Some(Place::Table { .. }) => "table".to_owned(),
        Some(Place::Chunk { index, .. }) => format!("chunk {index}"),
        _ => String::new(),
    };
    match error {
        Error::NotGen5 { .. } => "NotGen5".into(),
        Error::UnsupportedVersion { major, minor } => format!("UnsupportedVersion {major}.{minor}"),
        Error::UnsupportedFlags { flags } => format!("UnsupportedFlags {flags:#x}"),
        Error::Value { member, .. } => format!("Value {place} {member}"),
        Error::Json { .. } => format!("Json {place}"),
        Error::Frame { problem: FrameProblem::Damaged { .. }, .. } => format!("Frame {place} Damaged"),
        Error::Frame { problem, .. } => format!("Frame {place} {problem:?}"),
        Error::Contradiction { what, .. } => format!("Contradiction {place} {what}"),
        Error::Overlap { .. } => format!("Overlap {place}"),
        Error::SecondChunk { .. } => format!("SecondChunk {place}"),
        Error::Parts { .. } => format!("Parts {place}"),
        Error::Limit { name, .. } => format!("Limit {place} {name}"),
        other => panic!("no such error is expected of opening: {other:?}"),
    }
}

const VALUES: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

/// Two latents: `a`, raw, and `b`, compressed.
fn good<'a>() -> Builder<'a> {
    Builder::new([raw("a"), raw("b").compressed()])
}

fn raw(key: &str) -> Chunk<'_> {
    Chunk::latent(key, &[2, 3], &VALUES)
}

/// The good file with the record of `a` changed.
fn with_record<'a>(edit: impl FnOnce(&mut Value) + 'a) -> Vec<u8> {
    Builder::new([raw("a").record(edit), raw("b").compressed()]).build()
}

fn with_u32(at: usize, value: u32) -> Vec<u8> {
    good().header_bytes(at, &value.to_le_bytes()).build()
}

fn stored(meta: &[u8]) -> Vec<u8> {
    frame(meta, FrameStyle::default())
}

#[test]
fn a_file_put_together_by_hand_is_sound() {
    let reader = Reader::from_bytes(good().build()).unwrap();
    reader.verify().unwrap();
    for key in ["a", "b"] {
        let latent = reader.latent(key).unwrap();
        assert_eq!((latent.shape(), &*latent.read::<f32>().unwrap()), (&[2, 3][..], &VALUES[..]));
    }
    assert_eq!(serde_json::from_str::<Value>(reader.model_info_json()).unwrap(), model_info());
    reader.metadata().unwrap();
    assert_eq!(Reader::from_bytes(Builder::new([]).build()).unwrap().latents().len(), 0);
}

#[test]
fn what_is_no_gen5_header_is_refused() {
    for length in 0..32 {
        let error = Reader::from_bytes(good().build()[..length].to_vec()).unwrap_err();
        assert!(matches!(error, Error::NotGen5 { .. }), "{length} bytes: {error}");
    }
    let length = good().build().len() as u32;
    let glued = |bytes: &[u8]| {
        let mut file = good().build();
        file.extend(bytes);
        file
    };
    let glued_and_counted = |bytes: &[u8]| {
        let mut file = glued(bytes);
        let length = file.len() as u32;
        file[20..24].copy_from_slice(&length.to_le_bytes());
        file
    };
    check([
        ("a zip", good().header_bytes(0, b"PK\x03\x04").build(), "NotGen5", "PK"),
        ("lower case", good().header_bytes(0, b"gen5").build(), "NotGen5", "gen5"),
        ("major 0", good().header_bytes(4, &[0]).build(), "UnsupportedVersion 0.0", "0.0"),
        ("major 2", good().header_bytes(4, &[2]).build(), "UnsupportedVersion 2.0", "2.0"),
        ("major 255", good().header_bytes(4, &[255]).build(), "UnsupportedVersion 255.0", "255.0"),
        ("minor 2", good().header_bytes(5, &[2]).build(), "UnsupportedVersion 1.2", "newer"),
        ("minor 255", good().header_bytes(5, &[255]).build(), "UnsupportedVersion 1.255", "newer"),
        ("flag 1", good().header_bytes(6, &[2, 0]).build(), "UnsupportedFlags 0x2", "newer"),
        ("flag 15", good().header_bytes(6, &[0, 0x80]).build(), "UnsupportedFlags 0x8000", "newer"),
        ("reserved", good().header_bytes(24, &[1]).build(), "Value header reserved", "expected 0"),
        ("reserved, last byte", good().header_bytes(31, &[1]).build(), "Value header reserved", "expected 0"),
        ("one byte longer", glued(b"x"), "Value header file_size", "length of the file"),
        ("file_size over", with_u32(20, length + 1), "Value header file_size", "length of the file"),
        ("file_size under", with_u32(20, length - 1), "Value header file_size", "length of the file"),
        ("file_size 0", with_u32(20, 0), "Value header file_size", "length of the file"),
        (
            "a zip behind",
            glued_and_counted(b"PK\x05\x06"),
            "Value header chunk_table_size",
            "ends with the file",
        ),
        ("a table in the header", with_u32(8, 31), "Value header chunk_table_offset", "31"),
        ("a table at 0", with_u32(8, 0), "Value header chunk_table_offset", "0"),
        (
            "a table past the end",
            with_u32(8, length + 1),
            "Value header chunk_table_offset",
            "expected from 32",
        ),
        ("a table at 4 GiB", with_u32(8, u32::MAX), "Value header chunk_table_offset", "4294967295"),
        ("a table that wraps", with_u32(12, u32::MAX), "Value header chunk_table_size", "4294967295"),
        ("a table too short", with_u32(12, 30), "Value header chunk_table_size", "30"),
        ("4 billion chunks", with_u32(16, u32::MAX), "Limit table chunks", "Limits::chunks"),
        ("one chunk more", with_u32(16, 3), "Value table chunks", "expected 3 records"),
        ("one chunk less", with_u32(16, 1), "Value table chunks", "expected 1 records"),
        ("no chunk", with_u32(16, 0), "Value table chunks", "expected 0 records"),
    ]);
}

#[test]
fn a_table_may_not_be_empty_nor_lie_over_a_chunk() {
    let file = good().build();
    let length = file.len() as u32;
    let mut empty = file.clone();
    empty[8..12].copy_from_slice(&length.to_le_bytes());
    empty[12..16].copy_from_slice(&0_u32.to_le_bytes());
    let mut early = file.clone();
    early[8..12].copy_from_slice(&32_u32.to_le_bytes());
    early[12..16].copy_from_slice(&(length - 32).to_le_bytes());
    check([
        ("an empty table", empty, "Frame table Truncated", "cut short"),
        (
            "a table at the first chunk",
            early,
            "Frame table NotZstd { found: \"4c41544e\" }",
            "not a zstd frame",
        ),
    ]);
}

#[test]
fn a_table_whose_frame_is_unusual_is_refused() {
    let table = |store: fn(&[u8]) -> Vec<u8>| good().table(store).build();
    let second = stored(b"second").len();
    check([
        (
            "no content size",
            table(|meta| frame(meta, FrameStyle { content_size: false, ..FrameStyle::default() })),
            "Frame table NoContentSize",
            "no content size",
        ),
        ("1 TiB", table(|meta| frame_by_hand(1 << 40, 20, meta)), "Limit table table_bytes", "1099511627776"),
        ("129 MiB", table(|meta| frame_by_hand(129 << 20, 20, meta)), "Limit table table_bytes", "134217728"),
        (
            "a window of 2^28 bytes",
            table(|meta| frame_by_hand(meta.len() as u64, 28, meta)),
            "Frame table Damaged",
            "memory",
        ),
        (
            "bytes behind",
            table(|meta| [stored(meta), b"more".to_vec()].concat()),
            "Frame table Trailing { count: 4 }",
            "4 bytes follow",
        ),
        (
            "a second frame",
            table(|meta| [stored(meta), stored(b"second")].concat()),
            &format!("Frame table Trailing {{ count: {second} }}"),
            "bytes follow",
        ),
        (
            "a skippable frame behind",
            table(|meta| [stored(meta), skippable_frame()].concat()),
            "Frame table Trailing { count: 12 }",
            "bytes follow",
        ),
        (
            "a skippable frame in front",
            table(|meta| [skippable_frame(), stored(meta)].concat()),
            "Frame table Skippable",
            "skippable",
        ),
        (
            "a dictionary",
            table(|meta| {
                let mut frame = frame_by_hand(meta.len() as u64, 20, meta);
                frame[4] |= 1; // one byte of dictionary id, which follows the window
                frame.insert(6, 7);
                frame
            }),
            "Frame table Dictionary { id: 7 }",
            "dictionary 7",
        ),
        (
            "a wrong checksum",
            table(|meta| {
                let mut frame = stored(meta);
                *frame.last_mut().unwrap() ^= 1;
                frame
            }),
            "Frame table Damaged",
            "checksum",
        ),
        (
            "cut short",
            table(|meta| stored(meta)[..stored(meta).len() - 5].to_vec()),
            "Frame table Truncated",
            "cut short",
        ),
        ("cut in its header", table(|meta| stored(meta)[..5].to_vec()), "Frame table Truncated", "cut short"),
        (
            "11 bytes",
            table(|_| stored(b"META0000\0\0\0")),
            "Frame table ContentSize { expected: 12, found: 11 }",
            "expected 12",
        ),
        (
            "less than it claims",
            good()
                .meta(|meta| {
                    let size = meta.len() as u32 - 12 + 100;
                    meta[8..12].copy_from_slice(&size.to_le_bytes());
                })
                .table(|meta| frame_by_hand(meta.len() as u64 + 100, 20, meta))
                .build(),
            "Frame table Damaged",
            "damaged",
        ),
        (
            "more than it claims",
            good()
                .meta(|meta| {
                    let size = meta.len() as u32 - 12 - 5;
                    meta[8..12].copy_from_slice(&size.to_le_bytes());
                })
                .table(|meta| frame_by_hand(meta.len() as u64 - 5, 20, meta))
                .build(),
            "Frame table Damaged",
            "damaged",
        ),
        (
            "another type",
            good().meta(|meta| meta[..4].copy_from_slice(b"LATN")).build(),
            "Contradiction table type",
            "META",
        ),
        (
            "other flags",
            good().meta(|meta| meta[4..8].copy_from_slice(b"0001")).build(),
            "Contradiction table flags",
            "0001",
        ),
        ("another size", good().meta(|meta| meta[8] ^= 1).build(), "Contradiction table size", "size"),
        (
            "raw",
            good().table(<[u8]>::to_vec).build(),
            "Frame table NotZstd { found: \"4d455441\" }",
            "4d455441",
        ),
    ]);
}

#[test]
fn tables_with_unusual_but_legal_frames_are_read() {
    let styles = [
        FrameStyle { checksum: false, ..FrameStyle::default() },
        FrameStyle { window_log: Some(27), ..FrameStyle::default() },
    ];
    for style in styles {
        Reader::from_bytes(good().table(|meta| frame(meta, style)).build()).unwrap();
    }
    Reader::from_bytes(good().table(|meta| frame_by_hand(meta.len() as u64, 27, meta)).build()).unwrap();
}

/// The good file with `text` put in front of the manifest's, behind it, and so on.
fn with_text(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    good().text(change).build()
}

#[test]
fn a_manifest_that_is_not_json_is_refused() {
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    let lone = "\"key\":\"a\",\"\\ud800\":1";
    check([
        ("empty", with_text(Vec::clear), "Json table", "EOF"),
        ("null", with_text(|text| *text = b"null".to_vec()), "Json table", "the manifest, an object"),
        ("a list", with_text(|text| *text = b"[]".to_vec()), "Json table", "the manifest, an object"),
        ("not UTF-8", with_text(|text| text[1] = 0xff), "Json table", "not UTF-8 from byte 1 on"),
        (
            "a byte order mark",
            with_text(|text| *text = [b"\xef\xbb\xbf", &**text].concat()),
            "Json table",
            "expected value",
        ),
        ("something behind", with_text(|text| text.extend(b" {}")), "Json table", "trailing"),
        ("cut short", with_text(|text| text.truncate(text.len() - 1)), "Json table", "EOF"),
        ("a comma too many", good().replace("\"tags\":", ",\"tags\":").build(), "Json table", "line 1"),
        ("a deep list alone", with_text(|text| *text = deep.clone().into_bytes()), "Json table", "object"),
        (
            "a deep list of records",
            good().replace("\"chunks\":[", &format!("\"chunks\":{deep},\"was\":[")).build(),
            "Json chunk 0",
            "a record, an object",
        ),
        (
            "a deep shape",
            good().replace("\"shape\":", &format!("\"shape\":{deep},\"was\":")).build(),
            "Value chunk 0 extra.shape",
            "[[[ …",
        ),
        (
            "a deep hash",
            good().replace("\"hash\":", &format!("\"hash\":{deep},\"was\":")).build(),
            "Json chunk 0",
            "hash",
        ),
        (
            "a name in a record that is no text",
            good().replace("\"key\":\"a\"", lone).build(),
            "Json chunk 0",
            "",
        ),
    ]);
}

/// Nothing looks into such values, so they are kept as text like any other, and no stack runs out.
#[test]
fn deep_values_of_unknown_members_are_kept() {
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    for (at, name) in [("\"prompt\":", "deep"), ("\"tags\":", "deep"), ("\"key\":\"a\"", "deep")] {
        let file = good().replace(at, &format!("\"{name}\":{deep},{at}")).build();
        let reader = Reader::from_bytes(file).unwrap();
        assert_eq!(*reader.latent("a").unwrap().read::<f32>().unwrap(), VALUES);
        let in_record = reader.chunks()[0].extra().get("deep").is_some();
        let metadata = reader.metadata().unwrap();
        assert!(in_record || metadata.model_info().extra.get("deep") == Some(&*deep));
        let mut out = std::io::Cursor::new(Vec::new());
        gen5::WriteOptions::new().write_to(&mut out).unwrap().finish(&metadata).unwrap();
        assert_eq!(Reader::from_bytes(out.into_inner()).unwrap().metadata().unwrap(), metadata);
    }
}

#[test]
fn a_member_given_twice_is_refused() {
    let twice = |name: &'static str, value: &str| {
        let (from, to) = (format!("\"{name}\":"), format!("\"{name}\":{value},\"{name}\":"));
        good().text(move |text| {
            let before = String::from_utf8(text.clone()).unwrap();
            assert!(before.contains(&from), "{before}");
            *text = before.replacen(&from, &to, 1).into_bytes();
        })
    };
    check([
        ("gen5_metadata", twice("gen5_metadata", "{}").build(), "Json table", ""),
        ("chunks", twice("chunks", "[]").build(), "Value table chunks", "expected 2 records"),
        (
            "the same chunks",
            good()
                .text(|text| {
                    let value: Value = serde_json::from_slice(text).unwrap();
                    let body = &value["gen5_metadata"];
                    *text = format!(
                        r#"{{"gen5_metadata":{{"chunks":{0},"file_info":{1},"model_info":{2},"chunks":{0}}}}}"#,
                        body["chunks"], body["file_info"], body["model_info"]
                    )
                    .into_bytes();
                })
                .build(),
            "Json table",
            "duplicate field `chunks`",
        ),
        (
            "file_info",
            good()
                .text(|text| {
                    let value: Value = serde_json::from_slice(text).unwrap();
                    let info = value["gen5_metadata"]["file_info"].to_string();
                    let before = String::from_utf8(text.clone()).unwrap();
                    *text = before
                        .replacen("\"file_info\":", &format!("\"file_info\":{info},\"file_info\":"), 1)
                        .into_bytes();
                })
                .build(),
            "Json table",
            "duplicate field `file_info`",
        ),
        ("model_info", twice("model_info", "{}").build(), "Json table", "duplicate field `model_info`"),
        ("version_minor", twice("version_minor", "0").build(), "Json table", "file_info.version_minor"),
        ("file_size", twice("file_size", "0").build(), "Json table", "file_info.file_size"),
        ("chunk_count", twice("chunk_count", "2").build(), "Json table", "file_info.chunk_count"),
        ("index", twice("index", "0").build(), "Json chunk 0", "duplicate field `index`"),
        ("offset", twice("offset", "32").build(), "Json chunk 0", "duplicate field `offset`"),
        ("hash", twice("hash", "\"\"").build(), "Json chunk 0", "duplicate field `hash`"),
        ("type", twice("type", "\"LATN\"").build(), "Json chunk 0", "duplicate field `type`"),
        ("flags", twice("flags", "\"F32\"").build(), "Json chunk 0", "duplicate field `flags`"),
        ("extra", twice("extra", "{}").build(), "Json chunk 0", "duplicate field `extra`"),
        ("compressed", twice("compressed", "false").build(), "Json chunk 0", "duplicate field `compressed`"),
        ("shape", twice("shape", "[2,3]").build(), "Json chunk 0", "member \"shape\" is given twice"),
        ("key", twice("key", "\"x\"").build(), "Json chunk 0", "member \"key\" is given twice"),
        ("a name that is escaped", twice("index", "0,\"ind\\u0065x\":0").build(), "Json chunk 0", "duplicate field"),
        (
            "an unknown member",
            good().replace("\"index\":0", "\"index\":0,\"x\":1,\"x\":2").build(),
            "Json chunk 0",
            "member \"x\" is given twice",
        ),
    ]);
}

#[test]
fn integers_of_a_record_are_integers() {
    for member in ["index", "offset", "compressed_size", "uncompressed_size"] {
        for (value, kind) in [
            (json!(-1), "Json"),
            (json!(1.5), "Json"),
            (json!("32"), "Json"),
            (json!(true), "Json"),
            (json!(null), "Json"),
            (json!([]), "Json"),
            (json!(1e300), "Json"),
            (json!(1_u64 << 63), "Value"),
        ] {
            let error = Reader::from_bytes(with_record(|record| record[member] = value.clone())).unwrap_err();
            assert!(tell(&error).starts_with(&format!("{kind} chunk 0")), "{member} {value}: {error:?}");
            if let Error::Json { problem, .. } = &error {
                assert!(problem.starts_with(&format!("{member}: ")), "{member} {value}: {problem}");
            }
        }
        let over = format!("\"{member}\":18446744073709551616,\"was\":");
        let file = good().replace(&format!("\"{member}\":"), &over).build();
        let error = Reader::from_bytes(file).unwrap_err();
        assert_eq!(tell(&error), "Json chunk 0", "{member} of 2^64: {error}");
        let token = format!("\"{member}\":NaN,\"was\":");
        let file = good().replace(&format!("\"{member}\":"), &token).build();
        let error = Reader::from_bytes(file).unwrap_err();
        assert_eq!(tell(&error), "Json chunk 0", "{member} of NaN: {error}");
    }
    let integral = with_record(|record| record["offset"] = json!(32.0));
    assert_eq!(Reader::from_bytes(integral).unwrap().chunks()[0].offset(), 32);
}

#[test]
fn members_of_other_types_are_refused() {
    let file_info = |name: &'static str, value: Value| {
        good().manifest(move |manifest| manifest["gen5_metadata"]["file_info"][name] = value).build()
    };
    let body = |name: &'static str, value: Value| {
        good().manifest(move |manifest| manifest["gen5_metadata"][name] = value).build()
    };
    check([
        ("a record that is a list", body("chunks", json!([[], []])), "Json chunk 0", "a record, an object"),
        ("a second that is null", good().replace("24},{", "24},null,{").build(), "Json chunk 1", "a record"),
        ("chunks as an object", body("chunks", json!({})), "Json table", "a list of records"),
        ("file_info as a list", body("file_info", json!([])), "Json table", "file_info, an object"),
        ("model_info as a list", body("model_info", json!([])), "Value table model_info", "an object"),
        ("model_info as null", body("model_info", json!(null)), "Value table model_info", "an object"),
        ("a magic", file_info("magic", json!("GEN6")), "Value table file_info.magic", "GEN6"),
        ("a magic of 5", file_info("magic", json!(5)), "Json table", "file_info.magic"),
        ("a major", file_info("version_major", json!(2)), "Value table file_info.version_major", "header"),
        ("a minor", file_info("version_minor", json!(1)), "Value table file_info.version_minor", "header"),
        ("a minor of true", file_info("version_minor", json!(true)), "Json table", "file_info.version_minor"),
        ("a count", file_info("chunk_count", json!(3)), "Value table file_info.chunk_count", "expected 2"),
        ("a count of -1", file_info("chunk_count", json!(-1)), "Json table", "file_info.chunk_count"),
        ("a type of 4", with_record(|r| r["type"] = json!(4)), "Json chunk 0", "type"),
        ("flags of null", with_record(|r| r["flags"] = json!(null)), "Json chunk 0", "flags"),
        ("a hash of 5", with_record(|r| r["hash"] = json!(5)), "Json chunk 0", "hash"),
        ("extra as a list", with_record(|r| r["extra"] = json!([])), "Json chunk 0", "extra"),
        (
            "compressed as text",
            with_record(|r| r["compressed"] = json!("false")),
            "Json chunk 0",
            "compressed",
        ),
        ("compressed as 0", with_record(|r| r["compressed"] = json!(0)), "Json chunk 0", "compressed"),
    ]);
}

#[test]
fn missing_members_are_named() {
    let without = |value: &mut Value, name: &str| {
        assert!(value.as_object_mut().unwrap().remove(name).is_some());
    };
    for name in ["index", "type", "flags", "offset", "compressed_size", "uncompressed_size", "hash", "extra"]
    {
        let words = format!("missing field `{name}`");
        check([(name, with_record(|record| without(record, name)), "Json chunk 0", &*words)]);
    }
    for name in ["magic", "version_major", "version_minor", "file_size", "chunk_count"] {
        let words = format!("missing field `file_info.{name}`");
        let file = good().manifest(|all| without(&mut all["gen5_metadata"]["file_info"], name)).build();
        check([(name, file, "Json table", &*words)]);
    }
    for name in ["file_info", "model_info", "chunks"] {
        let words = format!("missing field `{name}`");
        check([(
            name,
            good().manifest(|all| without(&mut all["gen5_metadata"], name)).build(),
            "Json table",
            &*words,
        )]);
    }
    let empty = good().manifest(|all| without(all, "gen5_metadata")).build();
    check([("gen5_metadata", empty, "Json table", "missing field `gen5_metadata`")]);

    // As in the reference, a record that does not say is one of a compressed chunk.
    let silent = raw("b").compressed().record(|record| without(record, "compressed"));
    let reader = Reader::from_bytes(Builder::new([silent]).build()).unwrap();
    assert!(reader.chunks()[0].is_compressed());
    reader.verify().unwrap();
}

#[test]
fn more_records_than_the_header_counts_are_not_read_on() {
    let record = "{\"index\":0},";
    let many = ["[", &record.repeat(500_000), "0]"].concat();
    let file = Builder::new([])
        .text(|text| {
            let before = String::from_utf8(text.clone()).unwrap();
            *text = before.replacen("\"chunks\":[]", &format!("\"chunks\":{many}"), 1).into_bytes();
        })
        .build();
    check([("half a million records of none", file, "Json chunk 0", "missing field")]);
    let file = good().header_bytes(16, &1_u32.to_le_bytes()).replace("}]", "},5]").build();
    check([("a second record of one", file, "Value table chunks", "expected 1 records")]);
}

#[test]
fn chunks_lie_between_header_and_table() {
    let at = |offset: u64| with_record(move |record| record["offset"] = json!(offset));
    let size = |size: u64| with_record(move |record| record["compressed_size"] = json!(size));
    let table = u64::from(u32::from_le_bytes(good().build()[8..12].try_into().unwrap()));
    check([
        ("at 0", at(0), "Value chunk 0 offset", "file header (32)"),
        ("at 31", at(31), "Value chunk 0 offset", "31"),
        ("over the table", at(table - 35), "Value chunk 0 offset", &*format!("chunk table ({table})")),
        ("at the table", at(table), "Value chunk 0 offset", "chunk table"),
        ("past the end", at(1 << 40), "Value chunk 0 offset", "1099511627776"),
        ("at 2^64 - 1", at(u64::MAX), "Value chunk 0 offset", "18446744073709551615"),
        ("with a size that overflows", size(u64::MAX - 16), "Value chunk 0 offset", "chunk table"),
        ("with a size past the end", size(1 << 33), "Value chunk 0 offset", "8589934592"),
        ("of 11 bytes", size(11), "Value chunk 0 compressed_size", "at least 12"),
        ("of 0 bytes", size(0), "Value chunk 0 compressed_size", "at least 12"),
        ("raw, one byte short", size(35), "Value chunk 0 compressed_size", "12 more than the payload"),
        ("raw, one byte long", size(37), "Value chunk 0 compressed_size", "12 more than the payload"),
        (
            "raw, a payload of 2^64 - 1",
            with_record(|record| record["uncompressed_size"] = json!(u64::MAX)),
            "Value chunk 0 uncompressed_size",
            "at most 4294967295",
        ),
        (
            "compressed, of 11 bytes",
            Builder::new([raw("a").compressed().record(|record| record["compressed_size"] = json!(11))])
                .build(),
            "Value chunk 0 compressed_size",
            "at least 12",
        ),
    ]);
}

#[test]
fn overlapping_chunks_are_refused_and_the_cause_is_named() {
    let overlapping = |offset: u64| {
        Builder::new([raw("a"), raw("b").record(move |record| record["offset"] = json!(offset))]).build()
    };
    check([
        ("by one byte", overlapping(32 + 35), "Overlap chunk 1", "chunk_records"),
        ("wholly", overlapping(32), "Overlap chunk 1", "chunk 0 (LATN \"a\") at offset 32"),
    ]);
    let early = Builder::new([raw("a"), raw("b")])
        .manifest(|all| {
            all["gen5_metadata"]["chunks"][0]["offset"] = json!(68);
            all["gen5_metadata"]["chunks"][1]["offset"] = json!(33);
        })
        .build();
    check([(
        "listed out of order",
        early,
        "Overlap chunk 0",
        "chunk 1 (LATN \"b\") at offset 33, which ends at 69",
    )]);
}

#[test]
fn what_a_record_says_has_to_make_sense() {
    let record = |name: &'static str, value: Value| with_record(move |record| record[name] = value);
    let extra = |name: &'static str, value: Value| with_record(move |record| record["extra"][name] = value);
    let missing = |name: &'static str| {
        with_record(move |record| {
            record["extra"].as_object_mut().unwrap().remove(name).unwrap();
        })
    };
    let hash = Digest::of(b"").to_string();
    check([
        ("an index", record("index", json!(1)), "Value chunk 0 index", "expected 0"),
        ("a type of 3 letters", record("type", json!("LAT")), "Value chunk 0 type", "LAT"),
        ("a type of 5 letters", record("type", json!("LATNX")), "Value chunk 0 type", "four"),
        ("a type of none", record("type", json!("")), "Value chunk 0 type", "four"),
        ("flags of 5 letters", record("flags", json!("F32\0\0")), "Value chunk 0 flags", "four"),
        ("flags of none", record("flags", json!("")), "Value chunk 0 flags", "F16, BF16, F32"),
        ("flags of float64", record("flags", json!("F64")), "Value chunk 0 flags", "F64"),
        ("flags of another dtype", record("flags", json!("F16")), "Value chunk 0 extra.dtype", "float16"),
        ("an empty hash", record("hash", json!("")), "Value chunk 0 hash", "64 hexadecimal"),
        ("a short hash", record("hash", json!("e3b0c4".repeat(10))), "Value chunk 0 hash", "64 hexadecimal"),
        ("a long hash", record("hash", json!(format!("{hash}0"))), "Value chunk 0 hash", "64 hexadecimal"),
        ("a hash with g", record("hash", json!("g".repeat(64))), "Value chunk 0 hash", "64 hexadecimal"),
        ("another dtype", extra("dtype", json!("float16")), "Value chunk 0 extra.dtype", "expected float32"),
        ("an unknown dtype", extra("dtype", json!("complex64")), "Value chunk 0 extra.dtype", "complex64"),
        ("a dtype of 32", extra("dtype", json!(32)), "Value chunk 0 extra.dtype", "a string"),
        ("no dtype", missing("dtype"), "Value chunk 0 extra.dtype", "missing"),
        ("no shape", missing("shape"), "Value chunk 0 extra.shape", "missing"),
        ("a shape too small", extra("shape", json!([2, 2])), "Value chunk 0 extra.shape", "24 bytes"),
        ("a shape too large", extra("shape", json!([2, 4])), "Value chunk 0 extra.shape", "24 bytes"),
        ("a shape of nothing", extra("shape", json!([0])), "Value chunk 0 extra.shape", "24 bytes"),
        ("a scalar", extra("shape", json!([])), "Value chunk 0 extra.shape", "24 bytes"),
        (
            "a product of 2^80",
            extra("shape", json!([1_u64 << 40, 1_u64 << 40])),
            "Value chunk 0 extra.shape",
            "",
        ),
        (
            "a product of 2^64 + 24",
            extra("shape", json!([3, 1_u64 << 62, 4])),
            "Value chunk 0 extra.shape",
            "",
        ),
        (
            "a size of 2^64 + 24",
            extra("shape", json!([(1_u64 << 62) + 6])),
            "Value chunk 0 extra.shape",
            "24 bytes",
        ),
        ("a negative axis", extra("shape", json!([-2, -3])), "Value chunk 0 extra.shape", "integers from 0"),
        ("half an axis", extra("shape", json!([1.5, 4])), "Value chunk 0 extra.shape", "integers from 0"),
        ("an axis of true", extra("shape", json!([true, 6])), "Value chunk 0 extra.shape", "integers from 0"),
        ("a shape of text", extra("shape", json!("2,3")), "Value chunk 0 extra.shape", "a list"),
        ("a shape of null", extra("shape", json!(null)), "Value chunk 0 extra.shape", "a list"),
        ("65 axes", extra("shape", json!(vec![1; 65])), "Limit chunk 0 rank", "65"),
        ("10,000 axes", extra("shape", json!(vec![1; 10_000])), "Limit chunk 0 rank", "10000"),
        (
            "60,000 characters",
            extra("dtype", json!("x".repeat(60_000))),
            "Value chunk 0 extra.dtype",
            "xxx …",
        ),
    ]);
}

#[test]
fn a_second_image_or_environment_is_refused() {
    let two = |kind: &str| {
        let single = || Chunk::raw(kind, b"0000", b"{}", json!({}));
        Builder::new([single(), raw("a"), single().compressed()]).build()
    };
    check([
        ("images", two("DATA"), "SecondChunk chunk 2", "chunk 0 (DATA) at offset 32"),
        ("environments", two("ENVC"), "SecondChunk chunk 2", "chunk 0 (ENVC) at offset 32"),
    ]);
}

/// The parts of a latent `x` of shape [6], in two chunks, the record of the second changed.
fn parts(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let second = Chunk::part("x", 1, 2, 4, &[6], &VALUES[4..]).record(edit);
    Builder::new([Chunk::part("x", 0, 2, 0, &[6], &VALUES[..4]), second]).build()
}

#[test]
fn parts_make_up_the_whole() {
    let reader = Reader::from_bytes(parts(|_| {})).unwrap();
    assert_eq!(*reader.latent("x").unwrap().read::<f32>().unwrap(), VALUES);

    let part = |name: &'static str, value: Value| parts(move |record| record["extra"]["part"][name] = value);
    let both = |edit: fn(&mut Value)| {
        let first = Chunk::part("x", 0, 2, 0, &[6], &VALUES[..4]).record(edit);
        Builder::new([first, Chunk::part("x", 1, 2, 4, &[6], &VALUES[4..]).record(edit)]).build()
    };
    let halves = {
        let mut extra = json!({"shape": [2], "dtype": "float16", "key": "x[4:6]"});
        extra["part"] = json!({"of": "x", "index": 1, "count": 2, "axis": 0, "start": 4, "shape": [6]});
        Chunk::raw("LATN", b"F16\0", &[0; 4], extra)
    };
    let first = || Chunk::part("x", 0, 2, 0, &[6], &VALUES[..4]);
    let late = || Chunk::part("x", 1, 2, 4, &[6], &VALUES[4..]);
    check([
        ("the first alone", Builder::new([first()]).build(), "Parts chunk 0", "1 of 2 parts"),
        ("the second alone", Builder::new([late()]).build(), "Parts chunk 0", "part 0 is missing"),
        ("an index twice", part("index", json!(0)), "Parts chunk 1", "part 0 is there twice"),
        ("an index left out", part("index", json!(2)), "Parts chunk 1", "part 1 is missing"),
        ("an index of 2^60", part("index", json!(1_u64 << 60)), "Parts chunk 1", "part 1 is missing"),
        ("another count", part("count", json!(3)), "Parts chunk 1", "count"),
        ("another axis", part("axis", json!(1)), "Parts chunk 1", "axis"),
        ("another whole", part("shape", json!([7])), "Parts chunk 1", "shape"),
        ("a gap", part("start", json!(5)), "Parts chunk 1", "starts at slice 5, expected 4"),
        ("slices twice", part("start", json!(3)), "Parts chunk 1", "starts at slice 3, expected 4"),
        ("a start of 2^60", part("start", json!(1_u64 << 60)), "Parts chunk 1", "expected 4"),
        (
            "a count of 3 in both",
            both(|r| r["extra"]["part"]["count"] = json!(3)),
            "Parts chunk 0",
            "2 of 3 parts",
        ),
        (
            "a count of 1 in both",
            both(|r| r["extra"]["part"]["count"] = json!(1)),
            "Parts chunk 0",
            "2 of 1 parts",
        ),
        (
            "too short a whole",
            both(|r| r["extra"]["part"]["shape"] = json!([5])),
            "Parts chunk 0",
            "6 slices of 5",
        ),
        (
            "too long a whole",
            both(|r| r["extra"]["part"]["shape"] = json!([7])),
            "Parts chunk 0",
            "6 slices of 7",
        ),
        ("a whole of no axes", both(|r| r["extra"]["part"]["shape"] = json!([])), "Parts chunk 0", "0 axes"),
        ("an axis too many", both(|r| r["extra"]["part"]["axis"] = json!(1)), "Parts chunk 0", "axis 1"),
        (
            "an axis of 2^60",
            both(|r| r["extra"]["part"]["axis"] = json!(1_u64 << 60)),
            "Parts chunk 0",
            "axes",
        ),
        (
            "a part of other rank",
            parts(|r| r["extra"]["shape"] = json!([1, 2])),
            "Parts chunk 1",
            "not some slices",
        ),
        ("another dtype", Builder::new([first(), halves]).build(), "Parts chunk 1", "float16 here, float32"),
        (
            "a cut that is not contiguous",
            both(|record| {
                let len = record["extra"]["shape"][0].clone();
                record["extra"]["shape"] = json!([1, len]);
                record["extra"]["part"]["shape"] = json!([2, 6]);
                record["extra"]["part"]["axis"] = json!(1);
            }),
            "Parts chunk 0",
            "before which an axis is longer than 1",
        ),
        (
            "a part of no slices",
            Builder::new([
                Chunk::part("x", 0, 3, 0, &[6], &VALUES[..4]),
                Chunk::part("x", 1, 3, 4, &[6], &[]),
                Chunk::part("x", 2, 3, 4, &[6], &VALUES[4..]),
            ])
            .build(),
            "Parts chunk 1",
            "not some slices",
        ),
        (
            "a plain key",
            Builder::new([first(), late(), raw("x")]).build(),
            "Parts chunk 0",
            "is there already",
        ),
        ("of is missing", part("of", json!(null)), "Value chunk 1 extra.part", "of, index, count"),
        ("a negative start", part("start", json!(-1)), "Value chunk 1 extra.part", "of, index, count"),
        ("a shape of text", part("shape", json!("6")), "Value chunk 1 extra.part.shape", "integers from 0"),
        ("a whole of 65 axes", part("shape", json!(vec![1; 65])), "Limit chunk 1 rank", "65"),
    ]);
}

#[test]
fn parts_may_lie_anywhere_and_be_stored_in_any_way() {
    let whole = [1, 4, 2];
    let values: Vec<f32> = (0..8_u8).map(f32::from).collect();
    let part = |index: usize, start: usize, end: usize| {
        Chunk::part("x", index, 3, start, &whole, &values[start * 2..end * 2]).record(move |record| {
            record["extra"]["shape"] = json!([1, end - start, 2]);
            record["extra"]["part"]["axis"] = json!(1);
        })
    };
    let chunks =
        [part(2, 3, 4).compressed(), raw("a"), part(0, 0, 1), part(1, 1, 3).compressed().after_gap(&[0; 5])];
    let reader = Reader::from_bytes(Builder::new(chunks).build()).unwrap();
    reader.verify().unwrap();
    let keys: Vec<_> = reader.latents().map(|latent| latent.key().unwrap().to_owned()).collect();
    assert_eq!(keys, ["x", "a"]);
    let latent = reader.latent("x").unwrap();
    assert_eq!(
        (latent.shape(), latent.chunks().map(gen5::ChunkRecord::index).collect()),
        (&whole[..], vec![2, 3, 0])
    );
    assert_eq!(*latent.read::<f32>().unwrap(), values);
    assert_eq!(*latent.rows(0..2).unwrap().read::<f32>().unwrap(), values[..4]);
    assert_eq!(*latent.rows(2..4).unwrap().read::<f32>().unwrap(), values[4..]);
}

#[test]
fn unusual_but_legal_records_are_read() {
    let chunks = [
        Chunk::latent("", &[6], &VALUES).after_gap(b"not zeros"),
        Chunk::raw("LATN", b"F32\0", &1.5_f32.to_le_bytes(), json!({"shape": [], "dtype": "float32"})),
        Chunk::latent("empty", &[3, 0, 5], &[]).compressed(),
        Chunk::raw("LATN", b"F32\0", b"", json!({"shape": [u64::MAX, 2, 0], "dtype": "float32", "key": 7})),
        Chunk::raw("LATN", b"F16\0", &[0, 0x7e], json!({"shape": [1.0], "dtype": "float16", "key": ["x"]})),
        Chunk::raw("WHAT", b"abcd", b"payload", json!({"a": 1}))
            .record(|record| record["beside"] = json!([true])),
        raw("a").record(|record| record["hash"] = json!(record["hash"].as_str().unwrap().to_uppercase())),
        raw("part").record(|record| record["extra"]["part"] = json!("not one")),
    ];
    let reader = Reader::from_bytes(Builder::new(chunks).build()).unwrap();
    reader.verify().unwrap();
    let keys: Vec<_> = reader.latents().map(|latent| latent.key().map(str::to_owned)).collect();
    let some = |key: &str| Some(key.to_owned());
    assert_eq!(keys, [some(""), None, some("empty"), None, None, some("a"), some("part")]);
    assert_eq!(*reader.latent_at(1).unwrap().read::<f32>().unwrap(), [1.5]);
    assert_eq!(reader.latent("empty").unwrap().read::<f32>().unwrap().len(), 0);
    assert!(reader.latent_at(3).unwrap().is_empty());
    assert!(reader.latent_at(4).unwrap().read::<gen5::f16>().unwrap()[0].is_nan());
    assert_eq!(reader.latent_at(4).unwrap().extra().unwrap().get("key"), Some("[\"x\"]"));
    assert_eq!(reader.chunks()[5].kind().to_string(), "WHAT");
    assert_eq!(reader.chunks()[5].unknown().get("beside"), Some("[true]"));
    assert_eq!(reader.latent("part").unwrap().extra().unwrap().get("part"), Some("\"not one\""));
}

#[test]
fn a_chunk_that_contradicts_its_record_is_refused_when_it_is_read() {
    let headers: [(&str, Vec<u8>); 4] = [
        ("type", chunk_bytes("DATA", b"F32\0", &[0; 24])),
        ("flags", chunk_bytes("LATN", b"F16\0", &[0; 24])),
        ("size", {
            let mut bytes = chunk_bytes("LATN", b"F32\0", &[0; 24]);
            bytes[8] = 23;
            bytes
        }),
        ("size", {
            let mut bytes = chunk_bytes("LATN", b"F32\0", &[0; 24]);
            bytes[11] = 0xff;
            bytes
        }),
    ];
    for (what, bytes) in headers {
        let raw_chunk = raw("x").stored(|stored| stored.clone_from(&bytes));
        let compressed =
            raw("y").compressed().stored(|stored| *stored = frame(&bytes, FrameStyle::default()));
        let reader = Reader::from_bytes(Builder::new([raw_chunk, compressed]).build()).unwrap();
        for (index, latent) in reader.latents().enumerate() {
            let mut sink = Vec::new();
            let errors = [
                latent.as_slice::<f32>().map(|_| ()).err(),
                latent.read::<f32>().map(|_| ()).err(),
                latent.read_into(&mut [0.0_f32; 6]).err(),
                latent.write_to(&mut sink).err(),
                reader.payload(index).map(|_| ()).err(),
                reader
                    .verify_chunks(|_| {})
                    .chunks()
                    .get(index)
                    .and_then(|chunk| chunk.error.as_ref().map(tell_out)),
            ];
            // A compressed latent is not borrowed whatever its header says.
            for error in errors.into_iter().skip(index) {
                let told = tell(&error.expect(what));
                assert_eq!(told, format!("Contradiction chunk {index} {what}"));
            }
            assert_eq!(sink, b"");
        }
    }
}

/// The same error, owned: what reports lend cannot be moved.
fn tell_out(error: &Error) -> Error {
    match error {
        Error::Contradiction { place, what, record, chunk } => {
            Error::Contradiction { place: place.clone(), what, record: record.clone(), chunk: chunk.clone() }
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_chunk_whose_frame_is_unusual_is_refused_when_it_is_read() {
    let plain = chunk_bytes("LATN", b"F32\0", &[0; 24]);
    let good = frame(&plain, FrameStyle::default());
    let size = plain.len() as u64;
    let mut wrong_sum = good.clone();
    *wrong_sum.last_mut().unwrap() ^= 0x80;
    let no_size = frame(&plain, FrameStyle { content_size: false, ..FrameStyle::default() });
    let longer = frame(&[&plain[..], b"x"].concat(), FrameStyle::default());
    let cases = [
        ("no content size", no_size, "Frame chunk 1 NoContentSize"),
        (
            "1 TiB",
            frame_by_hand(1 << 40, 20, &plain),
            "Frame chunk 1 ContentSize { expected: 36, found: 1099511627776 }",
        ),
        (
            "256 MiB",
            frame_by_hand(256 << 20, 20, &plain),
            "Frame chunk 1 ContentSize { expected: 36, found: 268435456 }",
        ),
        ("one byte more", longer, "Frame chunk 1 ContentSize { expected: 36, found: 37 }"),
        ("a wide window", frame_by_hand(size, 28, &plain), "Frame chunk 1 Damaged"),
        ("less than it claims", frame_by_hand(size, 20, &plain[..35]), "Frame chunk 1 Damaged"),
        (
            "more than it claims",
            frame_by_hand(size, 20, &[&plain[..], b"x"].concat()),
            "Frame chunk 1 Damaged",
        ),
        (
            "a second frame",
            [&good[..], &good[..]].concat(),
            &*format!("Frame chunk 1 Trailing {{ count: {} }}", good.len()),
        ),
        ("a byte behind", [&good[..], b"x"].concat(), "Frame chunk 1 Trailing { count: 1 }"),
        ("a skippable frame", [skippable_frame(), good.clone()].concat(), "Frame chunk 1 Skippable"),
        ("a wrong checksum", wrong_sum, "Frame chunk 1 Damaged"),
        ("cut short", good[..good.len() - 5].to_vec(), "Frame chunk 1 Truncated"),
        ("not zstd", plain.clone(), "Frame chunk 1 NotZstd { found: \"4c41544e\" }"),
    ];
    for (what, bytes, expected) in cases {
        let chunk = raw("x").compressed().stored(|stored| stored.clone_from(&bytes));
        let file =
            Builder::new([raw("a"), chunk.record(|record| record["hash"] = json!(Digest::of(&[0; 24])))])
                .build();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gen5");
        std::fs::write(&path, file).unwrap();
        for (way, reader) in crate::support::all_ways(&path) {
            let reader = reader.unwrap();
            let latent = reader.latent("x").unwrap();
            assert_eq!(tell(&latent.read::<f32>().unwrap_err()), expected, "{what} by {way}");
            assert_eq!(tell(&latent.write_to(&mut Vec::new()).unwrap_err()), expected, "{what} by {way}");
            let report = reader.verify_chunks(|_| {});
            assert_eq!(report.damaged().map(|chunk| chunk.index).collect::<Vec<_>>(), [1], "{what} by {way}");
            assert_eq!(tell(&report.into_result().unwrap_err()), expected, "{what} by {way}");
        }
    }
}
