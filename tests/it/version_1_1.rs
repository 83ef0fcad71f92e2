//! Version 1.1: what a file header may say, what is refused in a file of 1.0, and which files the writer makes 1.1.

use gen5::{
    Array, Compression, Digest, Dtype, Error, NonFinite, Place, Reader, Summary, WriteOptions, Writer, bf16,
    f16,
};
use serde_json::{Value, json};

use crate::records::{Case, check, tell};
use crate::support::{
    Builder, Chunk, FrameStyle, all_ways, chunk_bytes, frame, le_bytes, noise, open, place_of, write,
};

const VALUES: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

/// The dtypes and flags of 1.1: name, flags, bytes of an element.
const NEW: [(&str, &[u8; 4], usize); 4] =
    [("bfloat16", b"BF16", 2), ("bfloat16", b"B16S", 2), ("float16", b"F16S", 2), ("float32", b"F32S", 4)];

fn float32<'a>(key: &str) -> Chunk<'a> {
    Chunk::latent(key, &[2, 3], &VALUES)
}

/// A latent of one of the new kinds, as it should be.
fn new_kind<'a>((dtype, flags, size): (&str, &[u8; 4], usize)) -> Chunk<'a> {
    let chunk = Chunk::elements("x", (dtype, flags), &[6], &[7; 24][..6 * size]);
    if flags[3] == b'S' { chunk.shuffled(size) } else { chunk }
}

/// A file whose header is that of a large one.
fn large<'a>() -> Builder<'a> {
    Builder::new([float32("a"), float32("b").compressed()]).minor(1).large()
}

fn table_of(large: &[u8]) -> u64 {
    u64::from_le_bytes(large[24..32].try_into().unwrap())
}

#[test]
fn a_small_file_with_the_header_of_a_large_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    let file = large().build();
    assert_eq!(file[6..24], *b"\x01\0\xff\xff\xff\xff\0\0\0\0\x02\0\0\0\xff\xff\xff\xff");
    std::fs::write(&path, &file).unwrap();
    for (way, reader) in all_ways(&path) {
        let reader = reader.unwrap();
        reader.verify().unwrap();
        assert_eq!((reader.version(), reader.file_size()), ((1, 1), file.len() as u64), "{way}");
        for key in ["a", "b"] {
            assert_eq!(*reader.latent(key).unwrap().read::<f32>().unwrap(), VALUES, "{way}");
        }
    }
    // What 1.0 can express may be in a file of 1.1.
    let plain = open(Builder::new([float32("a")]).minor(1).build());
    plain.verify().unwrap();
    assert_eq!(plain.version(), (1, 1));
}

#[test]
fn versions_and_flags_that_are_not_known_are_refused() {
    let header = |at: usize, byte: u8| large().header(move |header| header[at] = byte).build();
    let cases = [
        (header(5, 2), "UnsupportedVersion 1.2"),
        (header(5, 255), "UnsupportedVersion 1.255"),
        (header(4, 2), "UnsupportedVersion 2.1"),
        (header(4, 0), "UnsupportedVersion 0.1"),
        (Builder::new([]).minor(2).build(), "UnsupportedVersion 1.2"),
        (Builder::new([]).header_bytes(4, &[2, 0]).build(), "UnsupportedVersion 2.0"),
        (header(6, 2), "UnsupportedFlags 0x2"),
        (header(6, 3), "UnsupportedFlags 0x3"),
        (header(7, 0x80), "UnsupportedFlags 0x8001"),
        (Builder::new([]).minor(1).header_bytes(6, &[2]).build(), "UnsupportedFlags 0x2"),
    ];
    check(cases.map(|(file, expected)| (expected, file, expected, "newer")));
}

#[test]
fn the_header_of_a_large_file_has_its_values_where_they_belong() {
    let file = large().build();
    let (length, table) = (file.len() as u64, table_of(&file));
    let u32_at = |at: usize, value: u32| large().header_bytes(at, &value.to_le_bytes()).build();
    let reserved = |value: u64| large().header_bytes(24, &value.to_le_bytes()).build();
    let small = |minor: u8| Builder::new([float32("a")]).minor(minor);
    check([
        ("1.0", large().minor(0).build(), "Value header flags", "version 1.1"),
        (
            "the flag alone in 1.0",
            small(0).header_bytes(6, &[1]).build(),
            "Value header flags",
            "version 1.1",
        ),
        (
            "the flag alone",
            small(1).header_bytes(6, &[1]).build(),
            "Value header chunk_table_offset",
            "large",
        ),
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
        ("a table at the end", reserved(length), "Frame table Truncated", ""),
        ("a table a byte later", reserved(table + 1), "Frame table NotZstd { found: \"b52ffd64\" }", ""),
        ("reserved without the flag", small(1).header_bytes(24, &[32]).build(), "Value header reserved", "0"),
        (
            "no length without the flag",
            small(1).header_bytes(20, &[255; 4]).build(),
            "Value header file_size",
            "",
        ),
    ]);
}

#[test]
fn header_and_manifest_agree_on_the_version() {
    let says = |header: u8, manifest: u8| {
        let info = move |root: &mut Value| {
            root["gen5_metadata"]["file_info"]["version_minor"] = json!(manifest);
        };
        Builder::new([float32("a")]).minor(header).manifest(info).build()
    };
    for minor in [0, 1] {
        open(says(minor, minor));
    }
    let member = "Value table file_info.version_minor";
    check([
        ("0 in a 1.1", says(1, 0), member, "expected 1"),
        ("1 in a 1.0", says(0, 1), member, "expected 0"),
        ("2 in a 1.1", says(1, 2), member, "expected 1"),
    ]);
}

#[test]
fn a_cut_or_longer_large_file_is_refused() {
    let file = large().build();
    let table = table_of(&file) as usize;
    for cut in 0..file.len() {
        let error = Reader::from_bytes(file[..cut].to_vec()).map(|_| ()).expect_err("cut");
        match error {
            Error::NotGen5 { .. } => assert!(cut < 32, "cut at {cut}"),
            Error::Value { ref member, .. } => assert!(member == "reserved" && cut < table, "cut at {cut}"),
            Error::Frame { place: Place::Table { offset }, .. } => {
                assert!(offset == table as u64 && cut >= table, "cut at {cut}");
            }
            other => panic!("cut at {cut}: {other}"),
        }
    }
    let longer = [&file[..], b"x"].concat();
    check([("longer", longer, "Frame table Trailing { count: 1 }", "")]);
}

#[test]
fn no_bit_of_a_large_header_is_without_meaning() {
    let file = large().build();
    for at in 0..32 * 8 {
        let mut changed = file.clone();
        changed[at / 8] ^= 1 << (at % 8);
        assert!(Reader::from_bytes(changed).is_err(), "bit {} of byte {}", at % 8, at / 8);
    }
}

#[test]
fn what_is_new_is_refused_in_a_file_of_1_0() {
    for kind in NEW {
        let words = "version 1.1, and the file of 1.0";
        check([("in 1.0", Builder::new([new_kind(kind)]).build(), "Value chunk 0 flags", words)]);
        let reader = open(Builder::new([new_kind(kind)]).minor(1).build());
        reader.verify().unwrap();
        let latent = reader.latent("x").unwrap();
        assert_eq!((latent.dtype().name(), latent.payload_size()), (kind.0, 6 * kind.2 as u64));
        let chunk = &reader.chunks()[0];
        assert_eq!(chunk.is_shuffled(), kind.1[3] == b'S');
        assert_eq!(chunk.sha256(), Digest::of(&[7; 24][..6 * kind.2]));
    }
}

#[test]
fn flags_dtype_and_storage_agree() {
    let with = |dtype: &'static str, flags: &'static [u8; 4], size: usize| {
        let chunk = Chunk::elements("x", (dtype, flags), &[6], &[0; 24][..6 * size]);
        Builder::new([chunk.compressed()]).minor(1).build()
    };
    let raw = |kind: (&'static str, &'static [u8; 4], usize)| {
        let chunk = Chunk::elements("x", (kind.0, kind.1), &[6], &[0; 24][..6 * kind.2]);
        Builder::new([chunk]).minor(1).build()
    };
    let dtype = "Value chunk 0 extra.dtype";
    let flags = "Value chunk 0 flags";
    check([
        ("raw B16S", raw(NEW[1]), flags, "since the chunk is raw"),
        ("raw F16S", raw(NEW[2]), flags, "since the chunk is raw"),
        ("raw F32S", raw(NEW[3]), flags, "since the chunk is raw"),
        ("BF16 float16", with("float16", b"BF16", 2), dtype, "expected bfloat16"),
        ("B16S float16", with("float16", b"B16S", 2), dtype, "expected bfloat16"),
        ("F16S bfloat16", with("bfloat16", b"F16S", 2), dtype, "expected float16"),
        ("F16 bfloat16", with("bfloat16", b"F16\0", 2), dtype, "expected float16"),
        ("F32S float16", with("float16", b"F32S", 2), dtype, "expected float32"),
        ("BF16 bf16", with("bf16", b"BF16", 2), dtype, "expected bfloat16"),
        ("BF16 of 4 bytes", with("bfloat16", b"BF16", 4), "Value chunk 0 extra.shape", "bfloat16"),
        ("F32S of 2 bytes", with("float32", b"F32S", 2), "Value chunk 0 extra.shape", "float32"),
        ("B32S", with("float32", b"B32S", 4), flags, "newer version"),
        ("F16s", with("float16", b"F16s", 2), flags, "newer version"),
        ("BF1", with("bfloat16", b"BF1\0", 2), flags, "newer version"),
    ]);
}

/// A chunk with one kind of flags where the record has another would be misread.
#[test]
fn flags_of_a_chunk_that_are_not_its_records_are_refused() {
    for (record, chunk) in [
        (b"F16S", b"F16\0"),
        (b"F16\0", b"F16S"),
        (b"F16\0", b"BF16"),
        (b"BF16", b"B16S"),
        (b"B16S", b"F16S"),
    ] {
        let dtype = if record[0] == b'B' { "bfloat16" } else { "float16" };
        let stored = frame(&chunk_bytes("LATN", chunk, &[0; 12]), FrameStyle::default());
        let latent = Chunk::elements("x", (dtype, record), &[6], &[0; 12]).compressed();
        let reader = open(Builder::new([latent.stored(|bytes| *bytes = stored)]).minor(1).build());
        let error = reader.verify().map(|_| ()).unwrap_err();
        assert_eq!(tell(&error), "Contradiction chunk 0 flags", "{error}");
        assert!(reader.latent("x").unwrap().write_to(&mut Vec::new()).is_err());
        assert!(reader.payload(0).is_err() && reader.payload_start(0, 1).is_err());
    }
}

/// Sizes that only a raw chunk of a 1.1 file may have, in a file that is too small for them.
#[test]
fn payloads_of_4_gib_are_raw_and_of_1_1() {
    let claims = |minor: u8, payload: u64, stored: Option<u64>, compressed: bool| -> Vec<u8> {
        let record = move |record: &mut Value| {
            record["uncompressed_size"] = json!(payload);
            record["compressed"] = json!(compressed);
            record["compressed_size"] = json!(stored.unwrap_or(36));
        };
        Builder::new([float32("a").record(record)]).minor(minor).build()
    };
    let most = u64::from(u32::MAX);
    let cases: [Case<'_>; 8] = [
        ("1.0, raw", claims(0, most + 1, None, false), "Value chunk 0 uncompressed_size", "4294967295"),
        ("1.0, frame", claims(0, most + 1, None, true), "Value chunk 0 uncompressed_size", "4294967295"),
        ("1.1, frame", claims(1, most + 1, None, true), "Value chunk 0 uncompressed_size", "4294967295"),
        ("1.1, frame of 2^64 - 1", claims(1, u64::MAX, None, true), "Value chunk 0 uncompressed_size", ""),
        ("1.1, raw", claims(1, most + 1, None, false), "Value chunk 0 compressed_size", "4294967308"),
        ("1.1, raw, 2^64 - 1", claims(1, u64::MAX, None, false), "Value chunk 0 compressed_size", ""),
        (
            "1.1, stored so",
            claims(1, most + 1, Some(most + 13), false),
            "Value chunk 0 offset",
            "chunk table",
        ),
        (
            "1.1, 2^64 - 1 so",
            claims(1, u64::MAX, Some(u64::MAX), false),
            "Value chunk 0 offset",
            "chunk table",
        ),
    ];
    check(cases);
}

/// Parts choose each for itself how they are stored.
#[test]
fn parts_may_be_raw_compressed_and_shuffled() {
    let values: Vec<f32> = (0..12_u8).map(f32::from).collect();
    let part = |index: usize, start: usize, end: usize| {
        Chunk::part("x", index, 3, start, &[6, 2], &values[start * 2..end * 2])
    };
    let shuffled = {
        let mut extra = json!({"shape": [3, 2], "dtype": "float32", "key": "x[2:5]"});
        extra["part"] = json!({"of": "x", "index": 1, "count": 3, "axis": 0, "start": 2, "shape": [6, 2]});
        Chunk::raw("LATN", b"F32S", &le_bytes(&values[4..10]), extra).shuffled(4)
    };
    let reader = open(Builder::new([part(0, 0, 2), shuffled, part(2, 5, 6).compressed()]).minor(1).build());
    reader.verify().unwrap();
    let latent = reader.latent("x").unwrap();
    assert_eq!(latent.chunks().map(gen5::ChunkRecord::is_shuffled).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(*latent.read::<f32>().unwrap(), values);
    for (start, end) in [(0, 6), (1, 3), (2, 5), (3, 4), (4, 6)] {
        assert_eq!(*latent.rows(start..end).unwrap().read::<f32>().unwrap(), values[start * 2..end * 2]);
    }
}

/// Version by header, manifest and reader, which have to agree.
fn version_of((file, _): &(Vec<u8>, Summary)) -> (u8, u8) {
    let reader = open(file.clone());
    reader.verify().unwrap();
    let manifest: Value = serde_json::from_str(reader.manifest_json()).unwrap();
    let minor = &manifest["gen5_metadata"]["file_info"]["version_minor"];
    assert_eq!((&file[4..8], minor), (&[1, reader.version().1, 0, 0][..], &json!(reader.version().1)));
    reader.version()
}

#[test]
fn a_file_has_the_lowest_version_that_can_express_it() {
    let values = noise(1, 3000);
    let half: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    let brain: Vec<bf16> = values.iter().map(|&value| bf16::from_f32(value)).collect();
    let shape = [30, 100];
    type Fill<'f> = &'f dyn Fn(&mut Writer<'_>) -> gen5::Result<()>;
    let old: [Fill<'_>; 4] = [
        &|writer| writer.latent("x", &shape, &values),
        &|writer| writer.latent("x", &shape, &half),
        &|writer| {
            let mut stream = writer.stream::<f32>("x", &shape)?;
            stream.push(&values)?;
            stream.finish()
        },
        &|_| Ok(()),
    ];
    let new: [Fill<'_>; 4] = [
        &|writer| writer.latent("x", &shape, &brain),
        &|writer| writer.latents([Array::new("f", &shape, &half), Array::new("x", &shape, &brain)]),
        &|writer| {
            let mut stream = writer.stream::<bf16>("x", &shape)?;
            brain.chunks(700).try_for_each(|values| stream.push(values))?;
            stream.finish()
        },
        &|writer| writer.latent::<bf16>("x", &[0, 3], &[]),
    ];
    for compression in [Compression::None, Compression::Zstd, Compression::Auto, Compression::Shuffled] {
        let is_shuffled = compression == Compression::Shuffled;
        for part_size in [None, Some(900)] {
            let options = WriteOptions::new().compression(compression).part_size(part_size);
            for (at, fill) in old.iter().enumerate() {
                for float16 in [false, true] {
                    let written = write(options.clone().float16(float16), fill).unwrap();
                    let expected = if is_shuffled && at < 3 { (1, 1) } else { (1, 0) };
                    assert_eq!(version_of(&written), expected, "{compression:?}, {at}");
                    let shuffled = written.1.latents.iter().all(|latent| latent.shuffled == is_shuffled);
                    assert!(shuffled, "{compression:?}, {at}");
                }
            }
            for (at, fill) in new.iter().enumerate() {
                let written = write(options.clone(), fill).unwrap();
                assert_eq!(version_of(&written), (1, 1), "{compression:?}, {at}");
                assert_eq!(written.1.latents.last().unwrap().dtype, Dtype::BF16);
                let written = write(options.clone().float16(true), fill).unwrap();
                let expected = if is_shuffled { (1, 1) } else { (1, 0) };
                assert_eq!(version_of(&written), expected, "{compression:?}, {at} as float16");
                assert_eq!(written.1.latents.last().unwrap().dtype, Dtype::F16);
            }
        }
    }
}

#[test]
fn what_was_refused_does_not_make_a_file_1_1() {
    let bad = [bf16::ONE, bf16::NAN];
    let written = write(WriteOptions::new(), |writer| {
        let error = writer.latent("x", &[2], &bad).unwrap_err();
        assert!(matches!(error, Error::NonFinite { index: 1, .. }), "{error}");
        writer.latent("x", &[2], &[1.0_f32, 2.0])
    });
    assert_eq!(version_of(&written.unwrap()), (1, 0));
    let kept =
        write(WriteOptions::new().non_finite(NonFinite::Keep), |writer| writer.latent("x", &[2], &bad));
    assert_eq!(version_of(&kept.unwrap()), (1, 1));
}

/// A file over 4 GiB that takes a few pages on the disk: what was never written is a hole.
#[cfg(target_os = "linux")]
mod sparse {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    use super::*;

    /// A bit over 4 GiB of float32, and a chunk that nobody knows of the least size that its header cannot tell.
    const SHAPE: [usize; 2] = [(1 << 15) + 1, 1 << 15];
    const BIG: u64 = (SHAPE[0] * SHAPE[1] * 4) as u64;
    const LEAST: u64 = u32::MAX as u64;
    const OFFSETS: [u64; 3] = [52, 64 + BIG, 64 + BIG + 12 + LEAST];

    /// `told` are the sizes in the headers of the first two chunks.
    fn write_sparse(path: &Path, told: [u32; 2]) {
        let file = File::create(path).unwrap();
        let header = |kind: &[u8; 4], flags: &[u8; 4], size: u32| {
            [&kind[..], &flags[..], &size.to_le_bytes()[..]].concat()
        };
        let put = |bytes: &[u8], at: u64| file.write_all_at(bytes, at).unwrap();
        put(&header(b"LATN", b"F32\0", told[0]), OFFSETS[0]);
        put(&header(b"WHAT", b"abcd", told[1]), OFFSETS[1]);
        for at in [0, (1 << 32) - 4, 1 << 32, BIG - 4] {
            put(&((at >> 2) as f32).to_le_bytes(), 64 + at);
        }
        put(b"first", OFFSETS[1] + 12);
        put(b"e", OFFSETS[2] - 1);
        let behind = chunk_bytes("LATN", b"F32\0", &le_bytes(&VALUES));
        put(&behind, OFFSETS[2]);

        let no_hash = "0".repeat(64);
        let record = |index: usize, kind: &str, flags: &str, stored: u64, hash: String, extra: Value| {
            json!({"index": index, "type": kind, "flags": flags, "offset": OFFSETS[index], "extra": extra,
                "compressed_size": stored, "uncompressed_size": stored - 12, "hash": hash, "compressed": false})
        };
        let float32 = |key: &str, shape: &[usize]| json!({"shape": shape, "dtype": "float32", "key": key});
        let hash = Digest::of(&le_bytes(&VALUES)).to_string();
        let table = OFFSETS[2] + behind.len() as u64;
        let records = [
            record(0, "LATN", "F32", BIG + 12, no_hash.clone(), float32("big", &SHAPE)),
            record(1, "WHAT", "abcd", LEAST + 12, no_hash, json!({})),
            record(2, "LATN", "F32", behind.len() as u64, hash, float32("behind", &[6])),
        ];
        let meta = move |manifest: &mut Value| manifest["gen5_metadata"]["chunks"] = json!(records);
        // The table and the header of a small file, put where they belong in this one.
        let count = |manifest: &mut Value| manifest["gen5_metadata"]["file_info"]["chunk_count"] = json!(3);
        let small = Builder::new([]).minor(1).large().manifest(|manifest| {
            meta(manifest);
            count(manifest);
        });
        let small = small.header_bytes(16, &[3]).build();
        put(&small[32..], table);
        put(&small[..24], 0);
        put(&table.to_le_bytes(), 24);
    }

    #[test]
    fn payloads_that_their_chunk_headers_cannot_tell_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse.gen5");
        write_sparse(&path, [u32::MAX; 2]);
        // SAFETY: nothing else touches the file while the test runs.
        #[allow(unsafe_code)]
        let mapped = unsafe { Reader::map(&path) }.unwrap();
        for reader in [Reader::open(&path).unwrap(), mapped.clone()] {
            assert!(reader.file_size() > 8 << 30);
            let big = reader.latent("big").unwrap();
            assert_eq!((big.payload_size(), big.is_borrowable()), (BIG, true));
            let row = |at: usize| big.rows(at..at + 1).unwrap().read::<f32>().unwrap().into_owned();
            let last = SHAPE[1] - 1;
            assert_eq!((row(0)[0], row(0)[1]), (0.0, 0.0));
            assert_eq!(row(SHAPE[0] - 2)[last], ((1_u64 << 30) - 1) as f32);
            assert_eq!(row(SHAPE[0] - 1)[0], (1_u64 << 30) as f32);
            assert_eq!(row(SHAPE[0] - 1)[last], ((BIG >> 2) - 1) as f32);
            assert_eq!(*reader.latent("behind").unwrap().read::<f32>().unwrap(), VALUES);
            assert_eq!(reader.payload_start(1, 5).unwrap(), b"first");
        }
        let values = mapped.slice::<f32>("big").unwrap();
        assert_eq!(values.len(), SHAPE[0] * SHAPE[1]);
        assert_eq!((values[1 << 30], values[values.len() - 1]), ((1_u64 << 30) as f32, (BIG >> 2) as f32));
        let unknown = mapped.payload(1).unwrap();
        assert_eq!((unknown.len() as u64, unknown.last()), (LEAST, Some(&b'e')));
    }

    /// The size modulo 2^32, as a careless writer leaves it.
    #[test]
    fn payloads_whose_chunk_headers_tell_another_size_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse.gen5");
        for told in [BIG as u32, 0, u32::MAX - 1] {
            write_sparse(&path, [told, u32::MAX - 1]);
            let reader = Reader::open(&path).unwrap();
            let rows = reader.latent("big").unwrap().rows(3..4).unwrap();
            let errors = [rows.read::<f32>().map(|_| ()), reader.payload_start(1, 5).map(|_| ())];
            for (chunk, error) in errors.into_iter().enumerate() {
                let error = error.unwrap_err();
                assert_eq!(tell(&error), format!("Contradiction chunk {chunk} size"), "{error}");
                assert!(matches!(place_of(&error), Some(Place::Chunk { .. })));
            }
        }
    }
}
