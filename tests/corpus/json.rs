//! J1 to J10: manifests that are not JSON, or not the expected JSON.

use serde_json::{Value, json};

use crate::case::{Case, Row, read, refused};
use crate::good::{deep, good, raw, with_record, with_text};
use crate::support::{Builder, Chunk, frame_by_hand};

pub(crate) fn cases() -> Vec<Case> {
    let clauses = [
        encoding(),
        syntax(),
        depth(),
        repeated(),
        repeated_in_records(),
        many(),
        integers(),
        missing(),
        other_types(),
        against_the_header(),
        not_numbers(),
    ];
    clauses.into_iter().flatten().collect()
}

fn encoding() -> Vec<Case> {
    let late = |text: &mut Vec<u8>| *text.last_mut().unwrap() = 0x80;
    let utf_16 = |text: &mut Vec<u8>| *text = text.iter().flat_map(|&byte| [byte, 0]).collect();
    refused(
        "J1",
        [
            ("not UTF-8", with_text(|text| text[1] = 0xff), "Json table", "not UTF-8 from byte 1 on"),
            ("not UTF-8 at the end", with_text(late), "Json table", "not UTF-8 from byte"),
            ("UTF-16", with_text(utf_16), "Json table", ""),
            (
                "a byte order mark",
                with_text(|text| *text = [b"\xef\xbb\xbf", &**text].concat()),
                "Json table",
                "expected value",
            ),
        ],
    )
}

fn syntax() -> Vec<Case> {
    let empty = |text: &mut Vec<u8>| text.clear();
    let shorter = |text: &mut Vec<u8>| text.truncate(text.len() - 1);
    refused(
        "J9",
        [
            ("empty", with_text(empty), "Json table", "EOF"),
            ("null", with_text(|text| *text = b"null".to_vec()), "Json table", "the manifest, an object"),
            ("a list", with_text(|text| *text = b"[]".to_vec()), "Json table", "the manifest, an object"),
            ("something behind", with_text(|text| text.extend(b" {}")), "Json table", "trailing"),
            ("cut short", with_text(shorter), "Json table", "EOF"),
            (
                "what would be a number if NaN was one",
                good().replace("\"tags\":", "\"loss\":NaNe2,\"tags\":").build(),
                "Json table",
                "line 1",
            ),
            ("a comma too many", good().replace("\"tags\":", ",\"tags\":").build(), "Json table", "line 1"),
            (
                "a comma too many in a record",
                good().replace("\"type\":", ",\"type\":").build(),
                "Json chunk 0",
                "line 1",
            ),
            (
                "a name in a record that is no text",
                good().replace("\"key\":\"a\"", "\"key\":\"a\",\"\\ud800\":1").build(),
                "Json chunk 0 at 32",
                "hex escape",
            ),
        ],
    )
}

/// Deep nesting in values that are parsed. J14 covers values that are not.
fn depth() -> Vec<Case> {
    let deep = deep();
    let before = |name: &str| good().replace(name, &format!("{name}{deep},\"was\":")).build();
    let objects = ["{\"a\":".repeat(100_000), "}".repeat(100_000)].concat();
    refused(
        "J2",
        [
            ("lists alone", with_text(|text| *text = deep.clone().into_bytes()), "Json table", "object"),
            ("objects alone", with_text(|text| *text = objects.into_bytes()), "Json table", ""),
            (
                "lists never closed",
                with_text(|text| *text = "[".repeat(100_000).into_bytes()),
                "Json table",
                "object",
            ),
            (
                "a list of records",
                good().replace("\"chunks\":[", &format!("\"chunks\":{deep},\"was\":[")).build(),
                "Json chunk 0",
                "a record, an object",
            ),
            ("a shape", before("\"shape\":"), "Value chunk 0 at 32 extra.shape", "[[[ …"),
            ("a hash", before("\"hash\":"), "Json chunk 0 at 32", "hash"),
            ("an offset", before("\"offset\":"), "Json chunk 0", "offset"),
            ("a dtype", before("\"dtype\":"), "Value chunk 0 at 32 extra.dtype", "[[[ …"),
            ("file_info", before("\"file_info\":"), "Json table", "file_info, an object"),
        ],
    )
}

/// The good file with one member given twice, the first time with this value.
fn twice(name: &str, value: &str) -> Vec<u8> {
    let (from, to) = (format!("\"{name}\":"), format!("\"{name}\":{value},\"{name}\":"));
    good().replace(&from, &to).build()
}

/// The good file with one member given twice, both times with its value.
fn twice_the_same(name: &str) -> Vec<u8> {
    let change = |text: &mut Vec<u8>| {
        let value: Value = serde_json::from_slice(text).unwrap();
        let body = &value["gen5_metadata"];
        let members = ["file_info", "chunks", "model_info"].map(|name| format!("\"{name}\":{}", body[name]));
        let again = format!("\"{name}\":{}", body[name]);
        *text = format!("{{\"gen5_metadata\":{{{},{again}}}}}", members.join(",")).into_bytes();
    };
    with_text(change)
}

fn repeated() -> Vec<Case> {
    let whole = |text: &mut Vec<u8>| {
        let member = text[1..text.len() - 1].to_vec();
        text.splice(1..1, [&member[..], b","].concat());
    };
    refused(
        "J3",
        [
            ("gen5_metadata", twice("gen5_metadata", "{}"), "Json table", "missing field"),
            ("the same gen5_metadata", with_text(whole), "Json table", "duplicate field `gen5_metadata`"),
            ("chunks", twice("chunks", "[]"), "Value table chunks", "expected 2 records"),
            ("the same chunks", twice_the_same("chunks"), "Json table", "duplicate field `chunks`"),
            ("the same file_info", twice_the_same("file_info"), "Json table", "duplicate field `file_info`"),
            ("model_info", twice("model_info", "{}"), "Json table", "duplicate field `model_info`"),
            ("magic", twice("magic", "\"GEN5\""), "Json table", "duplicate field `file_info.magic`"),
            ("version_major", twice("version_major", "1"), "Json table", "file_info.version_major"),
            ("version_minor", twice("version_minor", "0"), "Json table", "file_info.version_minor"),
            ("file_size", twice("file_size", "0"), "Json table", "file_info.file_size"),
            ("chunk_count", twice("chunk_count", "2"), "Json table", "file_info.chunk_count"),
        ],
    )
}

fn repeated_in_records() -> Vec<Case> {
    let at = "Json chunk 0 at 32";
    let members = [
        ("index", "0"),
        ("offset", "32"),
        ("hash", "\"\""),
        ("type", "\"LATN\""),
        ("flags", "\"F32\""),
        ("extra", "{}"),
        ("compressed", "false"),
        ("compressed_size", "36"),
        ("uncompressed_size", "24"),
    ];
    let words = members.map(|(name, _)| format!("duplicate field `{name}`"));
    let rows =
        members.iter().zip(&words).map(|(&(name, value), words)| (name, twice(name, value), at, &**words));
    let mut cases = refused("J3", rows);
    cases.extend(refused(
        "J3",
        [
            ("shape", twice("shape", "[2,3]"), at, "member \"shape\" is given twice"),
            ("dtype", twice("dtype", "\"float32\""), at, "member \"dtype\" is given twice"),
            ("key", twice("key", "\"x\""), at, "member \"key\" is given twice"),
            ("a name that is escaped", twice("index", "0,\"ind\\u0065x\":0"), at, "duplicate field"),
            (
                "an unknown member of a record",
                good().replace("\"index\":0", "\"index\":0,\"x\":1,\"x\":2").build(),
                at,
                "member \"x\" is given twice",
            ),
        ],
    ));
    cases
}

/// The good file with `list` as the text of its list of records.
fn with_list(list: &str) -> Vec<u8> {
    Builder::new([]).replace("\"chunks\":[]", &format!("\"chunks\":{list}")).build()
}

fn many() -> Vec<Case> {
    let records = |record: &str, count: usize| format!("[{}0]", record.repeat(count));
    let sound = with_text(|text| {
        let mut value: Value = serde_json::from_slice(text).unwrap();
        let record = value["gen5_metadata"]["chunks"][0].clone();
        value["gen5_metadata"]["chunks"] = json!(vec![record; 1500]);
        *text = serde_json::to_vec(&value).unwrap();
    });
    let counted = good().header_bytes(16, &1_u32.to_le_bytes()).replace("}]", "},5]").build();
    let long = |claimed: u64| good().table(move |meta| frame_by_hand(claimed, 20, meta)).build();
    let in_megabytes = |clause, row: Row<'_>, most: u64, times: u64| -> Vec<Case> {
        let cases = refused(clause, [row]).into_iter();
        cases.map(|case| case.limited(|limits| limits.table_bytes = most << 20).costing(times)).collect()
    };
    // The parser copies the whole misplaced string into its error.
    let long_record = with_list(&format!("[\"{}\"]", "x".repeat(4 << 20)));
    let million = with_list(&records("{\"index\":0},", 1_000_000));
    let clauses = [
        in_megabytes("J4", ("a million of none", million, "Json chunk 0", "missing field `extra`"), 12, 1),
        refused(
            "J4",
            [
                ("a second of one", counted, "Value table chunks", "expected 1 records"),
                ("1,500 of two", sound, "Value chunk 1 at 32 index", "is 0, expected 1"),
            ],
        ),
        in_megabytes(
            "J5",
            ("of 4 MB as a record", long_record, "Json chunk 0", "invalid type: string"),
            5,
            4,
        ),
        refused("J5", [("of 1 GB, claimed", long(1 << 30), "Limit table table_bytes", "1073741824")]),
        refused(
            "J5",
            [
                (
                    "of 500 KB as a hash",
                    with_record(|record| record["hash"] = json!("0".repeat(500_000))),
                    "Value chunk 0 at 32 hash",
                    "64 hexadecimal",
                ),
                (
                    "of 500 KB as a type",
                    with_record(|record| record["type"] = json!("x".repeat(500_000))),
                    "Value chunk 0 at 32 type",
                    "four",
                ),
                (
                    "of 60,000 characters as a dtype",
                    with_record(|record| record["extra"]["dtype"] = json!("x".repeat(60_000))),
                    "Value chunk 0 at 32 extra.dtype",
                    "xxx …",
                ),
            ],
        ),
    ];
    clauses.into_iter().flatten().collect()
}

/// Each integer member of a record, with values that are not integers in its range.
fn integers() -> Vec<Case> {
    let mut cases = Vec::new();
    for member in ["index", "offset", "compressed_size", "uncompressed_size"] {
        let place = if member == "offset" { "Json chunk 0" } else { "Json chunk 0 at 32" };
        let problem = format!("{member}: ");
        for value in [
            "-1",
            "1.5",
            "\"32\"",
            "true",
            "null",
            "[]",
            "{}",
            "1e300",
            "-0.5",
            "18446744073709551616",
            "NaN",
            "1e999",
        ] {
            let spelled = format!("\"{member}\":{value},\"was\":");
            let file = good().replace(&format!("\"{member}\":"), &spelled).build();
            let words = if value == "1e999" { "" } else { &*problem };
            cases.extend(refused("J6", [(&*format!("{member} of {value}"), file, place, words)]));
        }
        let (place, refusal) = match member {
            "offset" => ("chunk 0 at 9223372036854775808", "offset"),
            "compressed_size" => ("chunk 0 at 32", "offset"),
            _ => ("chunk 0 at 32", member),
        };
        let file = with_record(|record| record[member] = json!(1_u64 << 63));
        let (name, told) = (format!("{member} of 2^63"), format!("Value {place} {refusal}"));
        cases.extend(refused("J6", [(&*name, file, &*told, "9223372036854775808")]));
    }
    let integral = with_record(|record| record["offset"] = json!(32.0));
    cases.push(read("J6", "offset of 32.0, which is one", integral, |reader| {
        assert_eq!(reader.chunks()[0].offset(), 32);
    }));
    cases
}

fn without(value: &mut Value, name: &str) {
    assert!(value.as_object_mut().unwrap().remove(name).is_some());
}

fn missing() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, file: Vec<u8>, place: &str, field: &str| {
        cases.extend(refused("J7", [(name, file, place, &*format!("missing field `{field}`"))]));
    };
    for name in ["index", "type", "flags", "offset", "compressed_size", "uncompressed_size", "hash", "extra"]
    {
        let place = if name == "offset" { "Json chunk 0" } else { "Json chunk 0 at 32" };
        add(name, with_record(|record| without(record, name)), place, name);
    }
    for name in ["magic", "version_major", "version_minor", "file_size", "chunk_count"] {
        let file = good().manifest(|all| without(&mut all["gen5_metadata"]["file_info"], name)).build();
        add(name, file, "Json table", &format!("file_info.{name}"));
    }
    for name in ["file_info", "model_info", "chunks"] {
        add(
            name,
            good().manifest(|all| without(&mut all["gen5_metadata"], name)).build(),
            "Json table",
            name,
        );
    }
    let empty = good().manifest(|all| without(all, "gen5_metadata")).build();
    add("gen5_metadata", empty, "Json table", "gen5_metadata");
    for name in ["dtype", "shape"] {
        let file = with_record(|record| without(&mut record["extra"], name));
        let told = format!("Value chunk 0 at 32 extra.{name}");
        cases.extend(refused("J7", [(name, file, &*told, "is missing")]));
    }

    // As in the reference, a record without `compressed` describes a compressed chunk.
    let silent = raw("b").compressed().record(|record| without(record, "compressed"));
    cases.push(read("J7", "compressed", Builder::new([silent]).build(), |reader| {
        assert!(reader.chunks()[0].is_compressed());
    }));
    cases
}

/// The good file with a member of `file_info` changed.
fn with_file_info(name: &str, value: Value) -> Vec<u8> {
    good().manifest(|manifest| manifest["gen5_metadata"]["file_info"][name] = value).build()
}

fn other_types() -> Vec<Case> {
    let body = |name: &str, value: Value| {
        good().manifest(|manifest| manifest["gen5_metadata"][name] = value).build()
    };
    let record = |name: &str, value: Value| with_record(|record| record[name] = value);
    let at = "Json chunk 0 at 32";
    refused(
        "J8",
        [
            (
                "a record that is a list",
                body("chunks", json!([[], []])),
                "Json chunk 0",
                "a record, an object",
            ),
            (
                "a second that is null",
                good().replace("},{\"index\":1", "},null,{\"index\":1").build(),
                "Json chunk 1",
                "a record",
            ),
            ("chunks as an object", body("chunks", json!({})), "Json table", "a list of records"),
            ("file_info as a list", body("file_info", json!([])), "Json table", "file_info, an object"),
            ("model_info as a list", body("model_info", json!([])), "Value table model_info", "an object"),
            ("model_info as null", body("model_info", json!(null)), "Value table model_info", "an object"),
            ("a magic of 5", with_file_info("magic", json!(5)), "Json table", "file_info.magic"),
            (
                "a minor of true",
                with_file_info("version_minor", json!(true)),
                "Json table",
                "file_info.version_minor",
            ),
            (
                "a count of -1",
                with_file_info("chunk_count", json!(-1)),
                "Json table",
                "file_info.chunk_count",
            ),
            ("a type of 4", record("type", json!(4)), at, "type: "),
            ("flags of null", record("flags", json!(null)), at, "flags: "),
            ("a hash of 5", record("hash", json!(5)), at, "hash: "),
            ("extra as a list", record("extra", json!([])), at, "extra: "),
            ("compressed as text", record("compressed", json!("false")), at, "compressed: "),
            ("compressed as 0", record("compressed", json!(0)), at, "compressed: "),
        ],
    )
}

fn against_the_header() -> Vec<Case> {
    let member = "Value table file_info";
    refused(
        "J10",
        [
            ("another magic", with_file_info("magic", json!("GEN6")), &*format!("{member}.magic"), "GEN6"),
            (
                "another major",
                with_file_info("version_major", json!(2)),
                &*format!("{member}.version_major"),
                "is 2, expected 1, as in the file header",
            ),
            (
                "another minor",
                with_file_info("version_minor", json!(1)),
                &*format!("{member}.version_minor"),
                "is 1, expected 0, as in the file header",
            ),
        ],
    )
}

/// Records are parsed in full, so NaN and Infinity are refused anywhere in them.
fn not_numbers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, from, to, told, words) in [
        (
            "beside",
            "\"index\":0",
            "\"index\":0,\"loss\":-Infinity",
            "Value chunk 0 at 32 loss",
            "NaN or Infinity",
        ),
        ("index", "\"index\":0", "\"index\":NaN", "Json chunk 0 at 32", "index: "),
        ("key", "\"key\":\"x\"", "\"key\":NaN", "Value chunk 0 at 32 extra.key", "NaN or Infinity"),
        (
            "in a list, under a name that looks like it",
            "\"key\":\"x\"",
            "\"key\":\"x\",\"NaN \\\" Infinity\":[1,Infinity]",
            "Value chunk 0 at 32 extra.NaN \" Infinity",
            "NaN or Infinity",
        ),
        ("hash", "\"hash\":", "\"hash\":NaN,\"x\":", "Json chunk 0 at 32", "hash: "),
        ("shape", "\"shape\":[1]", "\"shape\":[NaN]", "Value chunk 0 at 32 extra.shape", ""),
        // These would be numbers if the token were replaced by one.
        (
            "at the start of a number",
            "\"index\":0",
            "\"index\":NaNe2,\"was\":0",
            "Json chunk 0",
            "index: expected value",
        ),
        ("at the end of a number", "\"index\":0", "\"index\":0,\"loss\":12NaN", "Json chunk 0", "line 1"),
        ("behind a sign", "\"index\":0", "\"index\":0,\"loss\":-NaN", "Json chunk 0", "line 1"),
    ] {
        let chunk = Chunk::latent("x", &[1], &[1.0]);
        let file = Builder::new([chunk]).replace(from, to).build();
        cases.extend(refused("J15", [(name, file, told, words)]));
    }
    cases
}
