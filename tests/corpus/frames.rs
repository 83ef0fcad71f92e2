//! Z1 to Z15: the zstd frames of the table and of chunks.

use gen5::Reader;
use gen5::chunk::Digest;
use gen5::error::FrameProblem;
use serde_json::json;

use crate::case::{Case, damaged, read, refused};
use crate::good::{VALUES, good, raw, stored};
use crate::support::{
    Builder, Chunk, FrameStyle, chunk_bytes, frame, frame_by_hand, frame_of_zeros, frame_that_claims,
    le_bytes, skippable_frame, tell,
};

pub(crate) fn cases() -> Vec<Case> {
    let clauses = [
        tables(),
        bombs(),
        headers_of_tables(),
        legal(),
        chunks(),
        chunks_of_bytes(),
        headers_of_chunks(),
        matches(),
    ];
    clauses.into_iter().flatten().collect()
}

/// The good file with its table stored by `store`.
fn table(store: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    good().table(store).build()
}

/// A frame that requires a dictionary: one byte of its id follows the window descriptor.
fn with_dictionary(content: &[u8]) -> Vec<u8> {
    let mut frame = frame_by_hand(content.len() as u64, 20, content);
    frame[4] |= 1;
    frame.insert(6, 7);
    frame
}

fn with_wrong_checksum(content: &[u8]) -> Vec<u8> {
    let mut frame = stored(content);
    *frame.last_mut().unwrap() ^= 0x80;
    frame
}

const NO_SIZE: FrameStyle = FrameStyle { checksum: true, content_size: false, window_log: None };

/// A file whose META chunk claims `more` extra bytes, both in its own header and in the frame
/// header.
fn table_that_claims(more: i32) -> Vec<u8> {
    let meta = move |meta: &mut Vec<u8>| {
        let size = (meta.len() as u32 - 12).wrapping_add_signed(more);
        meta[8..12].copy_from_slice(&size.to_le_bytes());
    };
    let claim =
        move |meta: &[u8]| frame_by_hand((meta.len() as u64).wrapping_add_signed(more.into()), 20, meta);
    good().meta(meta).table(claim).build()
}

fn tables() -> Vec<Case> {
    let second = stored(b"second").len();
    let trailing = |count: usize| format!("Frame table Trailing {{ count: {count} }}");
    let damage = "Frame table Damaged";
    let clauses = [
        refused(
            "Z1",
            [(
                "of the table",
                table(|meta| frame(meta, NO_SIZE)),
                "Frame table NoContentSize",
                "does not record its content size",
            )],
        ),
        refused(
            "Z4",
            [("of the table", table(|meta| frame_by_hand(meta.len() as u64, 28, meta)), damage, "memory")],
        ),
        refused(
            "Z5",
            [
                (
                    "bytes behind the table",
                    table(|meta| [stored(meta), b"more".to_vec()].concat()),
                    &*trailing(4),
                    "4 bytes follow",
                ),
                (
                    "a second frame behind the table",
                    table(|meta| [stored(meta), stored(b"second")].concat()),
                    &*trailing(second),
                    "bytes follow",
                ),
                (
                    "a skippable frame behind the table",
                    table(|meta| [stored(meta), skippable_frame()].concat()),
                    &*trailing(12),
                    "bytes follow",
                ),
            ],
        ),
        refused(
            "Z6",
            [(
                "before the table",
                table(|meta| [skippable_frame(), stored(meta)].concat()),
                "Frame table Skippable",
                "skippable",
            )],
        ),
        refused(
            "Z7",
            [("of the table", table(with_dictionary), "Frame table Dictionary { id: 7 }", "dictionary 7")],
        ),
        refused("Z8", [("of the table", table(with_wrong_checksum), damage, "checksum")]),
        refused(
            "Z9",
            [
                (
                    "in the table's block",
                    table(|meta| stored(meta)[..stored(meta).len() - 5].to_vec()),
                    "Frame table Truncated",
                    "cut short",
                ),
                (
                    "in the table's checksum",
                    table(|meta| stored(meta)[..stored(meta).len() - 1].to_vec()),
                    "Frame table Truncated",
                    "cut short",
                ),
                (
                    "in the table's frame header",
                    table(|meta| stored(meta)[..5].to_vec()),
                    "Frame table Truncated",
                    "cut",
                ),
                (
                    "in the table's magic",
                    table(|meta| stored(meta)[..3].to_vec()),
                    "Frame table Truncated",
                    "cut",
                ),
            ],
        ),
        refused(
            "Z11",
            [
                ("less than the table claims", table_that_claims(100), damage, "damaged"),
                ("more than the table claims", table_that_claims(-5), damage, "damaged"),
            ],
        ),
        refused(
            "Z12",
            [
                (
                    "a raw table",
                    table(<[u8]>::to_vec),
                    "Frame table NotZstd { found: \"4d455441\" }",
                    "4d455441",
                ),
                (
                    "a gzip table",
                    table(|_| b"\x1f\x8b\x08\0 and so on, longer than a frame header".to_vec()),
                    "Frame table NotZstd { found: \"1f8b0800\" }",
                    "not a zstd frame",
                ),
            ],
        ),
    ];
    clauses.into_iter().flatten().collect()
}

/// 8 KiB that decompress to 256 MiB.
fn bomb() -> Vec<u8> {
    let bomb = frame_of_zeros(b"META0000\xf4\xff\xff\x0f", 2048);
    assert!(bomb.len() < 9000);
    bomb
}

fn bombs() -> Vec<Case> {
    let tables = |clause, name: &'static str, file: Vec<u8>, found: &'static str| {
        refused(clause, [(name, file, "Limit table table_bytes", found)])
    };
    let claims = |size: u64| good().table(move |meta| frame_by_hand(size, 20, meta)).build();
    let by_default = gen5::Limits::default().table_bytes;
    let clauses = [
        tables("Z2", "1 TiB of the table", claims(1 << 40), "1099511627776"),
        tables("Z2", "2^64 - 3 of the table", claims(u64::MAX - 2), "18446744073709551613"),
        tables("Z3", "as the table", table(|_| bomb()), "268435468"),
        tables("Z3", "129 MiB of the table", claims(129 << 20), "are over the limit of 134217728")
            .into_iter()
            .map(|case| case.limited(|limits| limits.table_bytes = by_default))
            .collect(),
    ];
    let mut cases: Vec<Case> = clauses.into_iter().flatten().collect();

    // A latent of exactly the size it declares: reading it whole exceeds the limit.
    let zeros = vec![0_u8; 16 << 20];
    let header = &chunk_bytes("LATN", b"F32\0", &zeros)[..12];
    let frame = frame_of_zeros(header, 128);
    let chunk = Chunk::latent("x", &[4 << 20], &vec![0.0; 4 << 20]).compressed();
    let file = Builder::new([chunk.stored(|stored| *stored = frame)]).build();
    cases.push(read("Z3", "as a latent of 16 MiB", file, |reader| {
        let latent = reader.latent("x").unwrap();
        let error = latent.read::<f32>().map(|_| ()).unwrap_err();
        assert_eq!(tell(&error), "Limit chunk 0 at 32 latent_bytes");
        assert_eq!(*latent.rows(70_000..70_010).unwrap().read::<f32>().unwrap(), [0.0; 10]);
    }));

    // Parts that would be decompressed in parallel if the limit allowed it.
    let part = |index| {
        let part = Chunk::part("x", index, 4, index << 20, &[4 << 20], &vec![0.0; 1 << 20]).compressed();
        let zeros = vec![0_u8; 4 << 20];
        let frame = frame_of_zeros(&chunk_bytes("LATN", b"F32\0", &zeros)[..12], 32);
        part.stored(|stored| *stored = frame)
    };
    cases.push(read("Z3", "as parts of 4 MiB", Builder::new([0, 1, 2, 3].map(part)).build(), |reader| {
        let latent = reader.latent("x").unwrap();
        let error = latent.read::<f32>().map(|_| ()).unwrap_err();
        assert_eq!(tell(&error), "Limit chunk 0 at 32 latent_bytes");
        latent.write_to(&mut std::io::sink()).unwrap();
    }));
    cases
}

fn headers_of_tables() -> Vec<Case> {
    let meta = |at: usize, bytes: &'static [u8]| {
        good().meta(move |meta| meta[at..at + bytes.len()].copy_from_slice(bytes)).build()
    };
    refused(
        "Z10",
        [
            (
                "a table of 11 bytes",
                table(|_| stored(b"META0000\0\0\0")),
                "Frame table ContentSize { expected: 12, found: 11 }",
                "expected 12",
            ),
            ("a table of another type", meta(0, b"LATN"), "Contradiction table type", "META"),
            ("a table of other flags", meta(4, b"0001"), "Contradiction table flags", "0001"),
            (
                "a table of another size",
                good().meta(|meta| meta[8] ^= 1).build(),
                "Contradiction table size",
                "size",
            ),
            ("a table that claims 4 GiB", meta(8, &[255; 4]), "Contradiction table size", "4294967295"),
        ],
    )
}

fn legal() -> Vec<Case> {
    let is_read = |reader: &Reader| {
        for key in ["a", "b"] {
            assert_eq!(*reader.latent(key).unwrap().read::<f32>().unwrap(), VALUES);
        }
    };
    let no_sum = FrameStyle { checksum: false, ..FrameStyle::default() };
    let window = FrameStyle { window_log: Some(27), ..FrameStyle::default() };
    let chunk = |content: Vec<u8>| raw("b").compressed().stored(move |bytes| *bytes = content);
    let plain = chunk_bytes("LATN", b"F32\0", &le_bytes(&VALUES));
    let with_chunk = |content: Vec<u8>| Builder::new([raw("a"), chunk(content)]).build();
    vec![
        read(
            "Z13",
            "a table without checksum",
            good().table(move |meta| frame(meta, no_sum)).build(),
            is_read,
        ),
        read(
            "Z13",
            "a table with the largest window",
            good().table(move |meta| frame(meta, window)).build(),
            is_read,
        ),
        read(
            "Z13",
            "a raw block, and the largest window",
            table(|meta| frame_by_hand(meta.len() as u64, 27, meta)),
            is_read,
        ),
        read("Z13", "a chunk without checksum", with_chunk(frame(&plain, no_sum)), is_read),
        read("Z13", "a chunk with the largest window", with_chunk(frame_by_hand(36, 27, &plain)), is_read),
    ]
}

/// A sound chunk followed by one of 24 zero bytes that is stored as `bytes`.
fn with_chunk(bytes: Vec<u8>) -> Vec<u8> {
    let chunk = raw("x").compressed().stored(move |stored| *stored = bytes);
    let hash = json!(Digest::of(&[0; 24]));
    Builder::new([raw("a"), chunk.record(move |record| record["hash"] = hash)]).build()
}

fn chunks() -> Vec<Case> {
    let plain = chunk_bytes("LATN", b"F32\0", &[0; 24]);
    let size = plain.len() as u64;
    let longer = [&plain[..], b"x"].concat();
    let told = |problem: FrameProblem| format!("Frame chunk 1 at 68 {problem:?}");
    let holds = |found: u64| told(FrameProblem::ContentSize { expected: 36, found });
    let damage = "Frame chunk 1 at 68 Damaged";
    let clauses = [
        damaged(
            "Z1",
            [(
                "of a chunk",
                with_chunk(frame(&plain, NO_SIZE)),
                &*told(FrameProblem::NoContentSize),
                "does not record its content size",
            )],
        ),
        damaged(
            "Z2",
            [
                (
                    "1 TiB of a chunk",
                    with_chunk(frame_by_hand(1 << 40, 20, &plain)),
                    &*holds(1 << 40),
                    "expected 36",
                ),
                (
                    "256 MiB of a chunk",
                    with_chunk(frame_by_hand(256 << 20, 20, &plain)),
                    &*holds(256 << 20),
                    "holds",
                ),
            ],
        ),
        damaged(
            "Z3",
            [("as a chunk of 24 bytes", with_chunk(bomb()), &*holds(12 + (256 << 20)), "expected 36")],
        ),
        damaged("Z4", [("of a chunk", with_chunk(frame_by_hand(size, 28, &plain)), damage, "memory")]),
        damaged(
            "Z7",
            [(
                "of a chunk",
                with_chunk(with_dictionary(&plain)),
                &*told(FrameProblem::Dictionary { id: 7 }),
                "",
            )],
        ),
        damaged("Z8", [("of a chunk", with_chunk(with_wrong_checksum(&plain)), damage, "checksum")]),
        damaged(
            "Z11",
            [
                ("one byte more than the record says", with_chunk(stored(&longer)), &*holds(37), "holds 37"),
                (
                    "less than a chunk claims",
                    with_chunk(frame_by_hand(size, 20, &plain[..35])),
                    damage,
                    "damaged",
                ),
                ("more than a chunk claims", with_chunk(frame_by_hand(size, 20, &longer)), damage, "damaged"),
            ],
        ),
        damaged(
            "Z12",
            [(
                "a raw chunk as a compressed one",
                with_chunk(plain.clone()),
                &*told(FrameProblem::NotZstd { found: "4c41544e".into() }),
                "not a zstd frame",
            )],
        ),
    ];
    clauses.into_iter().flatten().collect()
}

/// Sound frames with bytes added or removed.
fn chunks_of_bytes() -> Vec<Case> {
    let good = stored(&chunk_bytes("LATN", b"F32\0", &[0; 24]));
    let told = |problem: FrameProblem| format!("Frame chunk 1 at 68 {problem:?}");
    let trailing = |count: usize| told(FrameProblem::Trailing { count: count as u64 });
    let cut = |left: usize| with_chunk(good[..good.len() - left].to_vec());
    let truncated = told(FrameProblem::Truncated);
    let clauses = [
        damaged(
            "Z5",
            [
                (
                    "a byte behind a chunk",
                    with_chunk([&good[..], b"x"].concat()),
                    &*trailing(1),
                    "1 bytes follow",
                ),
                (
                    "a second frame behind a chunk",
                    with_chunk([&good[..], &good[..]].concat()),
                    &*trailing(good.len()),
                    "follow",
                ),
            ],
        ),
        damaged(
            "Z6",
            [(
                "before a chunk",
                with_chunk([skippable_frame(), good.clone()].concat()),
                &*told(FrameProblem::Skippable),
                "skippable",
            )],
        ),
        damaged(
            "Z9",
            [
                ("in a chunk's block", cut(5), &*truncated, "cut short"),
                ("in a chunk's checksum", cut(1), &*truncated, "cut short"),
            ],
        ),
    ];
    clauses.into_iter().flatten().collect()
}

/// Chunk headers that contradict their records, in frames and before raw payloads.
fn headers_of_chunks() -> Vec<Case> {
    let header = |kind: &str, flags: &[u8; 4], at: usize, size: u8| {
        let mut bytes = chunk_bytes(kind, flags, &[0; 24]);
        bytes[at] = size;
        bytes
    };
    let headers = [
        ("type", "type", header("DATA", b"F32\0", 8, 24), "the record says type LATN, the chunk itself DATA"),
        ("flags", "flags", header("LATN", b"F16\0", 8, 24), "F16"),
        ("size", "size", header("LATN", b"F32\0", 8, 23), "the record says size 24, the chunk itself 23"),
        ("size of 4 GB", "size", header("LATN", b"F32\0", 11, 255), "4278190104"),
    ];
    let mut cases = Vec::new();
    for (name, member, bytes, words) in headers {
        let raw_chunk = Chunk::latent("x", &[6], &[0.0; 6]).stored(|stored| stored.clone_from(&bytes));
        let compressed =
            raw("x").compressed().stored(|stored| *stored = frame(&bytes, FrameStyle::default()));
        for (storage, chunk) in [("raw", raw_chunk), ("compressed", compressed)] {
            let file = Builder::new([raw("a"), chunk]).build();
            let (name, told) =
                (format!("{name}, {storage}"), format!("Contradiction chunk 1 at 68 {member}"));
            cases.extend(damaged("R4", [(&*name, file, &*told, words)]));
        }
    }
    cases
}

/// Letters with a period of 3072 bytes, much longer in total than a window. They are letters so
/// that they also fit in JSON text.
fn repeating() -> Vec<u8> {
    let letter = |n: u32| b'a' + (n.wrapping_mul(2_654_435_761) >> 24) as u8 % 26;
    (0..3072).map(letter).cycle().take(30_720).collect()
}

/// Frames whose matches reach 3072 bytes back. A window of 3072 bytes is correct. With one of 1
/// KiB, zstd returns either the content or other bytes, depending on how it is called.
fn matches() -> Vec<Case> {
    const RIGHT: u8 = 1 << 3 | 4;
    const LYING: u8 = 0;
    let table = |window| {
        let text = String::from_utf8(repeating()).unwrap();
        let file = good().manifest(move |manifest| {
            manifest["gen5_metadata"]["model_info"]["prompt"] = json!(text);
        });
        file.table(move |meta| frame_that_claims(window, meta)).build()
    };
    let values: Vec<f32> = repeating().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let store = |chunk: Chunk<'static>, kind, flags, payload: &[u8], window| {
        let content = chunk_bytes(kind, flags, payload);
        chunk.compressed().stored(move |stored| *stored = frame_that_claims(window, &content))
    };
    let whole = |window| {
        let latent = Chunk::latent("x", &[values.len()], &values);
        Builder::new([store(latent, "LATN", b"F32\0", &repeating(), window)]).build()
    };
    let parts = |window| {
        let part = |index: usize| {
            let part = Chunk::part("x", index, 2, index * values.len(), &[2 * values.len()], &values);
            store(part, "LATN", b"F32\0", &repeating(), if index == 0 { window } else { RIGHT })
        };
        Builder::new([0, 1].map(part)).build()
    };
    let other = |kind: &'static str, window| {
        let chunk = Chunk::raw(kind, b"0000", &repeating(), json!({}));
        Builder::new([store(chunk, kind, b"0000", &repeating(), window)]).build()
    };

    let told = "Frame chunk 0 at 32 Damaged";
    let mut cases = refused("Z14", [("of the table", table(LYING), "Frame table Damaged", "damaged")]);
    cases.extend(damaged(
        "Z14",
        [
            ("of a latent", whole(LYING), told, "damaged"),
            ("of a part", parts(LYING), told, "damaged"),
            ("of the image", other("DATA", LYING), told, "damaged"),
            ("of the environment", other("ENVC", LYING), told, "damaged"),
            ("of an unknown chunk", other("XTRA", LYING), told, "damaged"),
        ],
    ));
    let is_prompt = |reader: &Reader| {
        let metadata = reader.metadata().unwrap();
        assert_eq!(metadata.model_info().prompt.as_bytes(), repeating());
    };
    let is_payload = |reader: &Reader| {
        for chunk in 0..reader.chunks().len() {
            assert_eq!(*reader.payload(chunk).unwrap(), repeating());
        }
    };
    cases.push(read("Z15", "of the table", table(RIGHT), is_prompt));
    for (name, file) in
        [("of a latent", whole(RIGHT)), ("of parts", parts(RIGHT)), ("of the image", other("DATA", RIGHT))]
    {
        cases.push(read("Z15", name, file, is_payload));
    }
    cases
}
