//! Reading sound files: borrowing and copying, rows, limits, hashes, and files that change while
//! they are open.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gen5::chunk::Digest;
use gen5::environment::Component;
use gen5::error::{Fault, NotBorrowable};
use gen5::{Compression, Dtype, Error, Latent, Limits, ReadOptions, Reader, WriteOptions, f16};
use serde_json::json;

use crate::support::{
    Builder, Chunk, PNG, all_ways, chunk_of, data, environment, environment_json, in_pool, le_bytes,
    metadata, noise, open, write,
};

fn map(path: &Path) -> Reader {
    // SAFETY: nothing writes to the file while the test runs.
    #[allow(unsafe_code)]
    unsafe { Reader::map(path) }.unwrap()
}

/// A file in its own folder, which is removed with the guard.
fn stored(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// A file in memory that starts `shift` bytes after a multiple of 64.
#[derive(Clone)]
struct Placed {
    buffer: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Placed {
    fn new(file: &[u8], shift: usize) -> Self {
        let mut buffer = vec![0_u8; file.len() + 128];
        let start = buffer.as_ptr().align_offset(64) + shift;
        buffer[start..start + file.len()].copy_from_slice(file);
        Self { buffer: Arc::new(buffer), range: start..start + file.len() }
    }
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

/// A file of raw chunks: `single` [6, 4] of float32, `half` [1, 5, 2] of float16, `scalar`, an
/// image, an environment.
fn raw_file() -> Vec<u8> {
    let halves: Vec<f16> = (0..10_u8).map(f16::from).collect();
    write(WriteOptions::new(), |writer| {
        writer.latent("single", &[6, 4], &noise(3, 24))?;
        writer.latent("half", &[1, 5, 2], &halves)?;
        writer.latent("scalar", &[], &[2.5_f32])?;
        writer.image(PNG)?;
        writer.environment(&environment())
    })
    .unwrap()
    .0
}

/// A file with `single` [6, 4] of float32, compressed in parts of two rows.
fn file_in_parts() -> Vec<u8> {
    let options = WriteOptions::new().compression(Compression::Zstd).part_size(Some(32));
    write(options, |writer| writer.latent("single", &[6, 4], &noise(3, 24))).unwrap().0
}

fn reason(result: gen5::Result<&[f32]>) -> NotBorrowable {
    match result {
        Err(Error::NotBorrowable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn raw_latents_of_bytes_in_memory_are_borrowed_where_they_lie() {
    let bytes = Placed::new(&raw_file(), 0);
    let reader = Reader::from_bytes(bytes.clone()).unwrap();
    let base = bytes.as_ref().as_ptr().addr();
    let latent = reader.latent("single").unwrap();
    let offset = latent.chunks().next().unwrap().offset() as usize + 12;
    let values = latent.as_slice::<f32>().unwrap();
    assert_eq!(values.as_ptr().addr(), base + offset);
    assert_eq!(values, noise(3, 24));
    assert_eq!(reader.slice::<f32>("single").unwrap().as_ptr(), values.as_ptr());
    assert!(matches!(latent.read::<f32>().unwrap(), Cow::Borrowed(same) if same.as_ptr() == values.as_ptr()));
    let rows = latent.rows(2..4).unwrap();
    assert_eq!(rows.as_slice::<f32>().unwrap().as_ptr(), values[8..].as_ptr());
    assert!(matches!(reader.image().unwrap(), Some(Cow::Borrowed(PNG))));
    assert!(
        matches!(reader.payload(0).unwrap(), Cow::Borrowed(payload) if payload.as_ptr().addr() == base + offset)
    );
}

#[test]
fn raw_latents_of_a_map_are_borrowed_and_aligned() {
    let (_folder, path) = stored(&raw_file());
    let reader = map(&path);
    let mut bases = Vec::new();
    for latent in reader.latents() {
        assert!(latent.is_borrowable());
        let address = match latent.dtype() {
            Dtype::F16 => latent.as_slice::<f16>().unwrap().as_ptr().addr(),
            _ => latent.as_slice::<f32>().unwrap().as_ptr().addr(),
        };
        assert_eq!(address % 64, 0);
        bases.push(address - latent.chunks().next().unwrap().offset() as usize);
    }
    assert_eq!(bases, [bases[0]; 3], "all in one map");
    assert!(matches!(reader.latent("single").unwrap().read::<f32>().unwrap(), Cow::Borrowed(_)));
}

#[test]
fn what_cannot_be_borrowed_is_refused_with_the_reason_and_copied_by_read() {
    let (_folder, path) = stored(&raw_file());
    let reader = Reader::open(&path).unwrap();
    let latent = reader.latent("single").unwrap();
    assert_eq!(reason(latent.as_slice()), NotBorrowable::NotMapped);
    assert_eq!(reason(reader.slice("single")), NotBorrowable::NotMapped);
    assert!(matches!(latent.read::<f32>().unwrap(), Cow::Owned(values) if values == noise(3, 24)));

    let options = WriteOptions::new().compression(Compression::Zstd);
    let (compressed, _) = write(options, |writer| writer.latent("x", &[24], &noise(3, 24))).unwrap();
    let latent = open(compressed).latent("x").unwrap();
    assert!(!latent.is_borrowable());
    assert_eq!(reason(latent.as_slice()), NotBorrowable::Compressed);
    assert!(matches!(latent.read::<f32>().unwrap(), Cow::Owned(values) if values == noise(3, 24)));

    let latent = open(file_in_parts()).latent("single").unwrap();
    assert!(!latent.is_borrowable());
    assert_eq!(reason(latent.as_slice()), NotBorrowable::Parts { count: 3 });
    assert!(matches!(latent.read::<f32>().unwrap(), Cow::Owned(values) if values == noise(3, 24)));

    let reader = map(&data("raw_mixed_misaligned.gen5"));
    let (half, single) = (reader.latent("half").unwrap(), reader.latent("single").unwrap());
    assert!(half.is_borrowable() && half.as_slice::<f16>().is_ok());
    assert!(!single.is_borrowable());
    match reason(single.as_slice()) {
        NotBorrowable::Misaligned { address, alignment: 4 } => assert_eq!(address % 4, 2),
        other => panic!("{other:?}"),
    }
    assert!(matches!(single.read::<f32>().unwrap(), Cow::Owned(values) if values.len() == 256));
}

#[test]
fn rows_of_no_length_are_borrowed_from_anywhere() {
    let options = WriteOptions::new().compression(Compression::Zstd);
    let (file, _) = write(options, |writer| writer.latent("x", &[6], &noise(1, 6))).unwrap();
    let none = open(file).latent("x").unwrap().rows(3..3).unwrap();
    assert!(none.is_borrowable() && none.is_empty());
    assert_eq!(none.as_slice::<f32>().unwrap(), [0.0_f32; 0]);
}

#[test]
fn values_are_the_same_wherever_the_bytes_lie() {
    for shift in 0..8 {
        let reader = Reader::from_bytes(Placed::new(&raw_file(), shift)).unwrap();
        let latent = reader.latent("single").unwrap();
        assert_eq!(latent.as_slice::<f32>().is_ok(), shift % 4 == 0, "{shift}");
        assert_eq!(*latent.read::<f32>().unwrap(), noise(3, 24));
        let half = reader.latent("half").unwrap();
        assert_eq!(half.as_slice::<f16>().is_ok(), shift % 2 == 0, "{shift}");
        assert_eq!(half.read_as::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    }
}

#[test]
fn a_wrong_dtype_or_buffer_is_an_error_of_the_caller() {
    let (_folder, path) = stored(&raw_file());
    for (way, reader) in all_ways(&path) {
        let reader = reader.unwrap();
        let single = reader.latent("single").unwrap();
        let errors = [
            single.as_slice::<f16>().map(|_| ()).unwrap_err(),
            single.read::<f16>().map(|_| ()).unwrap_err(),
            single.read_into(&mut [f16::ZERO; 24]).unwrap_err(),
            reader.slice::<f16>("single").map(|_| ()).unwrap_err(),
        ];
        for error in errors {
            assert!(
                matches!(error, Error::Dtype { stored: Dtype::F32, asked: Dtype::F16, .. }),
                "{way}: {error}"
            );
            assert_eq!(error.fault(), Fault::Caller);
        }
        for len in [0, 23, 25] {
            let mut buffer = vec![7.0_f32; len];
            let error = single.read_into(&mut buffer).unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{way}: {error}");
            assert!(error.to_string().contains("24 elements"), "{error}");
            assert!(buffer.iter().all(|&value| value == 7.0));
        }
        let mut buffer = vec![0.0_f32; 24];
        single.read_into(&mut buffer).unwrap();
        assert_eq!(buffer, noise(3, 24));
    }
}

#[test]
fn values_are_converted_both_ways_and_overflow_is_named() {
    let values = [1.0, 65504.0, -65519.996, 65520.0, 70000.0];
    for compressed in [false, true] {
        let chunk = |key, values: &[f32]| {
            let chunk = Chunk::latent(key, &[values.len()], values);
            if compressed { chunk.compressed() } else { chunk }
        };
        let reader = open(Builder::new([chunk("over", &values), chunk("fits", &values[..3])]).build());
        let fits = reader.latent("fits").unwrap();
        assert_eq!(fits.read_as::<f16>().unwrap(), [f16::ONE, f16::MAX, f16::MIN]);
        assert_eq!(fits.read_as::<f32>().unwrap(), values[..3]);
        match reader.latent("over").unwrap().read_as::<f16>().unwrap_err() {
            Error::Overflow { latent, index: 3, value: 65520.0, .. } => assert_eq!(latent, "\"over\""),
            other => panic!("{other:?}"),
        }
        let rows = reader.latent("over").unwrap().rows(4..5).unwrap();
        assert!(matches!(rows.read_as::<f16>(), Err(Error::Overflow { index: 0, value: 70000.0, .. })));
        let infinite =
            open(Builder::new([chunk("x", &[f32::INFINITY, f32::NAN])]).build()).latent("x").unwrap();
        let converted = infinite.read_as::<f16>().unwrap();
        assert!(converted[0] == f16::INFINITY && converted[1].is_nan());
    }
}

#[test]
fn rows_are_slices_along_the_first_axis_longer_than_1() {
    for (file, way) in [(raw_file(), "raw"), (file_in_parts(), "parts")] {
        let reader = Reader::from_bytes(Placed::new(&file, 0)).unwrap();
        let single = reader.latent("single").unwrap();
        let all = noise(3, 24);
        for start in 0..=6 {
            for end in start..=6 {
                let rows = single.rows(start..end).unwrap();
                assert_eq!(rows.shape(), [end - start, 4], "{way}");
                assert_eq!(
                    (rows.len(), rows.payload_size()),
                    ((end - start) as u64 * 4, (end - start) as u64 * 16)
                );
                let expected = &all[start * 4..end * 4];
                assert_eq!(*rows.read::<f32>().unwrap(), *expected, "{way} {start}..{end}");
                let mut buffer = vec![0.0_f32; expected.len()];
                rows.read_into(&mut buffer).unwrap();
                assert_eq!(buffer, expected, "{way} {start}..{end}");
                let mut bytes = Vec::new();
                rows.write_to(&mut bytes).unwrap();
                assert_eq!(bytes, le_bytes(expected), "{way} {start}..{end}");
                // A part has two rows; only the parts that overlap the range are read.
                let touched =
                    if way == "raw" { usize::from(end > start) } else { end.div_ceil(2) - start / 2 };
                let touched = if start == end { 0 } else { touched };
                assert_eq!(rows.chunks().count(), touched, "{way} {start}..{end}");

                if end - start > 1 {
                    let nested = rows.rows(1..end - start).unwrap();
                    assert_eq!(*nested.read::<f32>().unwrap(), all[(start + 1) * 4..end * 4]);
                }
            }
        }
        // A single row keeps the same axis.
        let row = single.rows(5..6).unwrap();
        assert_eq!((single.row_axis(), row.row_axis()), (Some(0), Some(0)), "{way}");
        assert_eq!(*row.rows(0..1).unwrap().read::<f32>().unwrap(), all[20..24]);
        assert!(row.rows(1..3).is_err());
    }
    let half = open(raw_file()).latent("half").unwrap();
    let rows = half.rows(2..4).unwrap();
    assert_eq!((rows.shape(), rows.read_as::<f32>().unwrap()), (&[1, 2, 2][..], vec![4.0, 5.0, 6.0, 7.0]));
    assert_eq!(half.row_axis(), Some(1));
}

#[test]
fn rows_of_raw_parts_are_borrowed_when_they_touch_one() {
    let values = noise(5, 24);
    let parts = [(0, 0, 4), (1, 4, 6)].map(|(index, start, end)| {
        Chunk::part("x", index, 2, start, &[6, 4], &values[start * 4..end * 4]).after_gap(&[0; 20])
    });
    let reader = Reader::from_bytes(Placed::new(&Builder::new(parts).build(), 0)).unwrap();
    let latent = reader.latent("x").unwrap();
    assert_eq!(reason(latent.as_slice()), NotBorrowable::Parts { count: 2 });
    assert_eq!(reason(latent.rows(3..5).unwrap().as_slice()), NotBorrowable::Parts { count: 2 });
    for range in [0..4, 1..3, 4..6, 5..6] {
        let rows = latent.rows(range.clone()).unwrap();
        assert_eq!(rows.as_slice::<f32>().unwrap(), &values[range.start * 4..range.end * 4]);
    }
    assert_eq!(latent.rows(2..2).unwrap().as_slice::<f32>().unwrap(), [0.0; 0]);
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let reader = open(raw_file());
    let single = reader.latent("single").unwrap();
    #[allow(clippy::reversed_empty_ranges)]
    for range in [0..7, 6..8, 7..7, 4..3, usize::MAX..usize::MAX, 0..usize::MAX] {
        let error = single.rows(range.clone()).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{range:?}: {error}");
        assert!(error.to_string().contains("0..6"), "{error}");
    }
    let error = reader.latent("scalar").unwrap().rows(0..1).unwrap_err();
    assert!(matches!(error, Error::Argument { ref found, .. } if found == "a scalar"), "{error}");
    assert_eq!(*reader.latent("scalar").unwrap().read::<f32>().unwrap(), [2.5]);
    let error = reader.latent_at(3).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }) && error.to_string().contains("below 3"), "{error}");
    assert!(matches!(reader.payload(5), Err(Error::Argument { .. })));
}

#[test]
fn a_latent_that_is_not_there_is_told_with_those_that_are() {
    let error = open(raw_file()).latent("singel").unwrap_err();
    assert!(matches!(error, Error::NoSuchLatent { ref key, .. } if key == "singel"));
    assert!(error.to_string().ends_with("the file has \"single\", \"half\", \"scalar\""), "{error}");
    let many: Vec<String> = (0..9).map(|n| format!("k{n}")).collect();
    let reader = open(Builder::new(many.iter().map(|key| Chunk::latent(key, &[], &[0.0]))).build());
    assert!(reader.latent("k").unwrap_err().to_string().ends_with("\"k4\" and 4 more"));
    let error = open(Builder::new([]).build()).latent("x").unwrap_err();
    assert!(error.to_string().contains("no latents with keys"), "{error}");
}

#[track_caller]
fn limited<T>(result: gen5::Result<T>, expected: (&str, u64, u64)) {
    match result.map(|_| ()).unwrap_err() {
        error @ Error::Limit { name, limit, found, .. } => {
            assert_eq!((name, limit, found), expected);
            assert_eq!(error.fault(), Fault::Limit);
            assert!(error.to_string().contains(&format!("Limits::{name}")), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_limit_holds_up_to_its_value_and_no_further() {
    let file = || {
        let single = |kind, payload: &[u8]| Chunk::raw(kind, b"0000", payload, json!({}));
        Builder::new([
            Chunk::latent("raw", &[2, 3], &[0.0; 6]).after_gap(&[0; 20]),
            Chunk::latent("zstd", &[2, 1, 4], &[0.0; 8]).compressed(),
            single("DATA", &[0; 50]).compressed(),
            single("ENVC", br#"{"env_version":1,"components":[]}"#).compressed(),
        ])
        .build()
    };
    let with = |limits: Limits| ReadOptions::new().limits(limits).from_bytes(Placed::new(&file(), 0));
    let base = Limits::default;
    let text = open(file()).manifest_json().len() as u64 + 12;

    let exact = Limits::default()
        .table_bytes(text)
        .chunks(4)
        .tags(1)
        .rank(3)
        .chunk_bytes(32)
        .latent_bytes(50)
        .image_bytes(50)
        .environment_bytes(33);
    let reader = with(exact).unwrap();
    reader.verify().unwrap();
    assert_eq!(reader.image().unwrap().unwrap().len(), 50);
    assert_eq!(reader.environment().unwrap().unwrap().components(), []);

    limited(with(base().table_bytes(text - 1)), ("table_bytes", text - 1, text));
    let stored = u64::from(u32::from_le_bytes(file()[12..16].try_into().unwrap()));
    limited(with(base().table_bytes(stored - 1)), ("table_bytes", stored - 1, stored));
    limited(with(base().chunks(3)), ("chunks", 3, 4));
    limited(with(base().rank(2)), ("rank", 2, 3));
    limited(with(base().chunk_bytes(31)), ("chunk_bytes", 31, 32));
    // Limits on tags, image and environment apply when these are read, and do not affect the
    // latents.
    let reader = with(base().tags(0).image_bytes(49).environment_bytes(32)).unwrap();
    limited(reader.metadata(), ("tags", 0, 1));
    limited(reader.image(), ("image_bytes", 49, 50));
    limited(reader.environment(), ("environment_bytes", 32, 33));
    assert_eq!(reader.latent("zstd").unwrap().read::<f32>().unwrap().len(), 8);

    let reader = with(base().latent_bytes(23)).unwrap();
    for (key, size) in [("raw", 24), ("zstd", 32)] {
        let latent = reader.latent(key).unwrap();
        if key == "zstd" {
            limited(latent.read::<f32>(), ("latent_bytes", 23, size));
        } else {
            assert!(matches!(latent.read::<f32>().unwrap(), Cow::Borrowed(_)), "nothing is allocated for it");
        }
        limited(latent.read_as::<f32>(), ("latent_bytes", 23, size));
        latent.read_into(&mut vec![0.0_f32; size as usize / 4]).unwrap();
        latent.rows(0..1).unwrap().read::<f32>().unwrap();
    }
    limited(reader.payload(1), ("latent_bytes", 23, 32));
}

/// The limit covers all memory of one call: values as stored and as returned, and several latents
/// together.
#[test]
fn limits_hold_for_all_that_a_call_allocates() {
    let compressed = Chunk::latent("zstd", &[8], &[0.5; 8]).compressed();
    let file = Builder::new([Chunk::latent("raw", &[6], &[0.5; 6]), compressed]).build();
    let with = |shift: usize, latent_bytes: u64| {
        let options = ReadOptions::new().limits(Limits::default().latent_bytes(latent_bytes));
        options.from_bytes(Placed::new(&file, shift)).unwrap()
    };
    let as_half = |key: &str, shift, limit| with(shift, limit).latent(key).unwrap().read_as::<f16>();
    let shift = (0..4).find(|&shift| with(shift, 1 << 20).slice::<f32>("raw").is_ok()).unwrap();
    limited(as_half("raw", shift, 11), ("latent_bytes", 11, 12));
    assert_eq!(as_half("raw", shift, 12).unwrap(), [f16::from_f32(0.5); 6]);
    limited(as_half("raw", shift + 1, 35), ("latent_bytes", 35, 24 + 12));
    limited(as_half("zstd", shift, 47), ("latent_bytes", 47, 32 + 16));
    assert_eq!(as_half("zstd", shift, 48).unwrap().len(), 8);

    assert!(with(shift, 32).load_all().is_ok(), "one of them is borrowed");
    limited(with(shift + 1, 55).load_all(), ("latent_bytes", 55, 24 + 32));
    assert!(with(shift + 1, 56).load_all().is_ok());
}

/// Bytes that cannot be borrowed because of their address are not hashed first, so their damage is
/// not found yet.
#[test]
fn where_values_lie_is_looked_at_before_their_hash() {
    let flip = |record: &mut serde_json::Value| record["hash"] = json!(Digest::of(b"another payload"));
    let file = Builder::new([Chunk::latent("x", &[6], &noise(1, 6)).record(flip)]).build();
    for shift in 0..4 {
        let reader = ReadOptions::new().check_hashes(true).from_bytes(Placed::new(&file, shift)).unwrap();
        let latent = reader.latent("x").unwrap();
        match latent.as_slice::<f32>().unwrap_err() {
            Error::NotBorrowable { reason, .. } => {
                assert!(matches!(reason, NotBorrowable::Misaligned { .. }));
            }
            error => assert!(matches!(error, Error::Hash { .. }), "{error}"),
        }
        assert!(matches!(latent.read::<f32>(), Err(Error::Hash { .. })), "{shift}");
    }
}

/// Parts that claim 4 GiB each, together more than any machine has. The file contains none of these
/// bytes.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_size_that_no_memory_has_is_an_error() {
    let (count, slice) = (5000, (u32::MAX / 4) as usize);
    let chunks = (0..count).map(|index| {
        Chunk::part("x", index, count, index, &[count, 1], &[0.0]).compressed().record(move |record| {
            record["uncompressed_size"] = json!(4 * slice);
            record["extra"]["shape"] = json!([1, slice]);
            record["extra"]["part"]["shape"] = json!([count, slice]);
        })
    });
    let file = Builder::new(chunks).build();
    let latent = Reader::from_bytes(file.clone()).unwrap().latent("x").unwrap();
    limited(latent.read::<f32>(), ("latent_bytes", 1 << 36, 4 * (count * slice) as u64));
    let limits = Limits::default().latent_bytes(u64::MAX);
    let latent = ReadOptions::new().limits(limits).from_bytes(file).unwrap().latent("x").unwrap();
    assert!(matches!(latent.read::<f32>(), Err(Error::Memory { .. })));
}

/// Several tasks read raw values of over 8 MiB, each from a different offset.
#[test]
fn large_raw_latents_are_read_side_by_side() {
    let values = noise(5, (20 << 20) / 4);
    let (file, _) = write(WriteOptions::new().compression(Compression::Raw), |writer| {
        writer.latent("before", &[3], &values[..3])?;
        writer.latent("large", &[values.len()], &values)
    })
    .unwrap();
    let (_folder, path) = stored(&file);
    for check in [false, true] {
        let reader = ReadOptions::new().check_hashes(check).open(&path).unwrap();
        assert!(reader.latent("large").unwrap().read::<f32>().unwrap() == values, "{check}");
    }
}

#[test]
fn check_hashes_finds_a_flipped_byte_in_every_way_of_reading() {
    // The compressed chunks are sound frames, so only the hash can reveal the wrong record.
    let flip = |record: &mut serde_json::Value| record["hash"] = json!(Digest::of(b"another payload"));
    let env = br#"{"env_version":1,"components":[]}"#;
    let file = Builder::new([
        Chunk::latent("raw", &[6], &noise(1, 6)).stored(|stored| stored[35] ^= 1).after_gap(&[0; 20]),
        Chunk::latent("zstd", &[6], &noise(1, 6)).compressed().record(flip),
        Chunk::raw("DATA", b"0000", PNG, json!({})).stored(|stored| *stored.last_mut().unwrap() ^= 1),
        Chunk::raw("ENVC", b"0000", env, json!({})).compressed().record(flip),
    ])
    .build();
    let (_folder, path) = stored(&file);
    // SAFETY: nothing writes to the file while the test runs.
    #[allow(unsafe_code)]
    let mapped = |options: ReadOptions| unsafe { options.map(&path) }.unwrap();
    let ways: [&dyn Fn(ReadOptions) -> Reader; 3] =
        [&|options| options.open(&path).unwrap(), &mapped, &|options| {
            options.from_bytes(Placed::new(&file, 0)).unwrap()
        }];
    for way in ways {
        let trusting = way(ReadOptions::new());
        for latent in trusting.latents() {
            latent.read::<f32>().unwrap();
        }
        trusting.image().unwrap();
        trusting.environment().unwrap();
        assert_eq!(trusting.verify_chunks(|_| {}).damaged().count(), 4);

        let reader = way(ReadOptions::new().check_hashes(true));
        let mut found = Vec::new();
        let mut note = |index: usize, result: gen5::Result<()>| match result {
            Err(error @ Error::Hash { .. }) => {
                assert_eq!((chunk_of(&error), error.fault()), (Some(index), Fault::Integrity));
                found.push(index);
            }
            Err(Error::NotBorrowable { .. }) => {}
            other => panic!("chunk {index}: {other:?}"),
        };
        for (index, latent) in reader.latents().enumerate() {
            let rows = latent.rows(0..1).unwrap();
            note(index, latent.as_slice::<f32>().map(|_| ()));
            note(index, rows.as_slice::<f32>().map(|_| ()));
            note(index, latent.read::<f32>().map(|_| ()));
            note(index, rows.read::<f32>().map(|_| ()));
            note(index, latent.read_as::<f16>().map(|_| ()));
            note(index, latent.read_into(&mut [0.0_f32; 6]));
            note(index, rows.read_into(&mut [0.0_f32; 1]));
            note(index, latent.write_to(&mut Vec::new()));
            note(index, rows.write_to(&mut Vec::new()));
            note(index, reader.payload(index).map(|_| ()));
        }
        note(2, reader.image().map(|_| ()));
        note(3, reader.environment().map(|_| ()));
        note(3, reader.environment_json().map(|_| ()));
        assert!(found.len() >= 19, "{found:?}");
    }
    let sound = ReadOptions::new().check_hashes(true).from_bytes(Placed::new(&raw_file(), 0)).unwrap();
    assert_eq!(sound.latent("single").unwrap().as_slice::<f32>().unwrap(), noise(3, 24));
    assert_eq!(sound.image().unwrap().as_deref(), Some(PNG));
}

#[test]
fn readers_and_latents_are_shared_and_latents_outlive_their_reader() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Reader>();
    shared::<Latent>();
    let (folder, path) = stored(&raw_file());
    for (_, reader) in all_ways(&path) {
        let latent = reader.unwrap().clone().latent("single").unwrap();
        let rows = latent.rows(1..3).unwrap();
        drop(latent);
        let values = std::thread::spawn(move || rows.read::<f32>().unwrap().into_owned()).join().unwrap();
        assert_eq!(values, noise(3, 24)[4..12]);
    }
    // An open file stays readable after its name is removed.
    let latent = Reader::open(&path).unwrap().latent("single").unwrap();
    drop(folder);
    assert_eq!(*latent.read::<f32>().unwrap(), noise(3, 24));
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let mut paths = vec![folder.path().to_owned(), missing];
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        paths.extend([pipe, "/dev/zero".into()]);
    }
    for path in paths {
        // SAFETY: nothing writes to the file while the test runs.
        #[allow(unsafe_code)]
        let mapped = unsafe { Reader::map(&path) };
        for result in [Reader::open(&path), mapped] {
            let error = result.map(|_| ()).unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{error}");
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        }
    }
    let empty = folder.path().join("empty");
    std::fs::write(&empty, b"").unwrap();
    for (way, reader) in all_ways(&empty) {
        let error = reader.map(|_| ()).unwrap_err();
        assert!(
            matches!(error, Error::NotGen5 { .. }) && error.to_string().contains("empty"),
            "{way}: {error}"
        );
    }
}

#[test]
fn a_file_that_shrinks_under_its_reader_is_an_error() {
    for (file, key) in [(raw_file(), "single"), (file_in_parts(), "single")] {
        let (_folder, path) = stored(&file);
        let reader = Reader::open(&path).unwrap();
        let latent = reader.latent(key).unwrap();
        let chunk = latent.chunks().last().unwrap();
        let (start, end) = (chunk.offset(), chunk.offset() + chunk.stored_size());
        for length in [end - 1, start + 13, start + 5, start, 40, 0] {
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
            let errors = [
                latent.read::<f32>().map(|_| ()),
                latent.read_into(&mut [0.0_f32; 24]),
                latent.read_as::<f16>().map(|_| ()),
                latent.write_to(&mut Vec::new()),
                reader.payload(chunk.index()).map(|_| ()),
                reader.verify().map(|_| ()),
            ];
            for error in errors.map(Result::unwrap_err) {
                match error {
                    Error::Changed { expected, found, .. } => {
                        assert_eq!(expected, file.len() as u64);
                        assert!(found <= end, "{found}");
                    }
                    other => panic!("cut to {length}: {other}"),
                }
                assert_eq!(error.fault(), Fault::Integrity);
            }
        }
        // Contents read at opening remain available.
        assert_eq!(reader.metadata().unwrap(), metadata());
        std::fs::write(&path, [&file[..], b"more"].concat()).unwrap();
        assert_eq!(*latent.read::<f32>().unwrap(), noise(3, 24));
    }
}

/// Another thread keeps writing to the file. A read returns the original values or an error.
#[test]
fn a_file_that_is_rewritten_under_its_reader_gives_no_other_values() {
    for file in [raw_file(), file_in_parts()] {
        let (_folder, path) = stored(&file);
        let reader = ReadOptions::new().check_hashes(true).open(&path).unwrap();
        let latent = reader.latent("single").unwrap();
        let other: Vec<u8> = file.iter().map(|byte| !byte).collect();
        let (done, mut read, mut refused, mut wrong) = (AtomicBool::new(false), 0, 0, None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Each write truncates the file first.
                for bytes in [&file[..], &other, &file[..40]].iter().cycle() {
                    std::fs::write(&path, bytes).unwrap();
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let deadline = Instant::now() + Duration::from_secs(60);
            while (read < 20 || refused < 20) && wrong.is_none() && Instant::now() < deadline {
                match latent.read::<f32>() {
                    Ok(values) if *values == noise(3, 24) => read += 1,
                    Err(error) if matches!(error.fault(), Fault::Integrity | Fault::Format) => refused += 1,
                    other => wrong = Some(format!("{other:?}")),
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(wrong, None);
        assert!(read >= 20 && refused >= 20, "{read} times read, {refused} times refused");
    }
}

/// Bytes that are `second` in the calls of the range `turn`, and `first` in all others.
struct Fickle {
    first: Vec<u8>,
    second: Vec<u8>,
    turn: Range<usize>,
    calls: AtomicUsize,
}

impl AsRef<[u8]> for Fickle {
    fn as_ref(&self) -> &[u8] {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.turn.contains(&call) { &self.second } else { &self.first }
    }
}

#[test]
fn bytes_that_grow_shorter_are_an_error() {
    let raw = raw_file();
    let parts = file_in_parts();
    for (file, expected) in [(&raw, noise(3, 24)), (&parts, noise(3, 24))] {
        for length in [0, 20, 60, file.len() / 2, file.len() - 1] {
            let mut failed = 0;
            for start in 0..40 {
                for turn in [start..usize::MAX, start..start + 1] {
                    let (first, second) = (file.clone(), file[..length].to_vec());
                    let reader =
                        Reader::from_bytes(Fickle { first, second, turn, calls: AtomicUsize::new(0) });
                    let Ok(reader) = reader else {
                        failed += 1;
                        continue;
                    };
                    let latent = reader.latent("single").unwrap();
                    failed += usize::from(reader.verify().is_err());
                    match latent.read::<f32>() {
                        Ok(values) => assert_eq!(*values, expected),
                        Err(error) => assert!(matches!(error, Error::Changed { .. }), "{error}"),
                    }
                    _ = latent.as_slice::<f32>().map(<[f32]>::len);
                    _ = latent.write_to(&mut Vec::new());
                    _ = (reader.image(), reader.environment(), reader.payload(0));
                }
            }
            assert!(failed > 5, "{failed}");
        }
    }
}

/// With `check_hashes`, the returned bytes are those that were verified.
#[test]
fn bytes_that_change_between_two_looks_do_not_pass_unverified() {
    let good = raw_file();
    let reader = open(good.clone());
    let mut bad = good.clone();
    for chunk in reader.chunks().iter().filter(|chunk| !chunk.is_compressed()) {
        bad[chunk.offset() as usize + 12] ^= 1;
    }
    for start in 0..60 {
        for turn in [start..start + 1, start..start + 2, start..usize::MAX] {
            let owner = Fickle {
                first: good.clone(),
                second: bad.clone(),
                turn: turn.clone(),
                calls: AtomicUsize::new(0),
            };
            let reader = ReadOptions::new().check_hashes(true).from_bytes(owner).unwrap();
            let latent = reader.latent("single").unwrap();
            let expected = noise(3, 24);
            if let Ok(values) = latent.as_slice::<f32>() {
                assert_eq!(values, expected, "as_slice, other bytes at the calls {turn:?}");
            }
            if let Ok(values) = latent.read::<f32>() {
                assert_eq!(*values, expected, "read, other bytes at the calls {turn:?}");
            }
            let mut buffer = [0.0_f32; 24];
            if latent.read_into(&mut buffer).is_ok() {
                assert_eq!(buffer, *expected, "read_into, other bytes at the calls {turn:?}");
            }
            if let Ok(payload) = reader.payload(0) {
                assert_eq!(*payload, le_bytes(&expected), "payload, other bytes at the calls {turn:?}");
            }
            let mut bytes = Vec::new();
            if latent.write_to(&mut bytes).is_ok() {
                assert_eq!(bytes, le_bytes(&expected), "write_to, other bytes at the calls {turn:?}");
            }
        }
    }
}

#[test]
fn reading_works_in_a_pool_of_one_thread_and_from_its_tasks() {
    let reader = open(file_in_parts());
    let latent = reader.latent("single").unwrap();
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let all = pool.install(|| {
            reader.verify().unwrap();
            let read = || latent.read::<f32>().unwrap().into_owned();
            let (first, second) = rayon::join(read, || rayon::join(read, read).1);
            assert_eq!(first, second);
            first
        });
        assert_eq!(all, noise(3, 24));
    }
}

#[test]
fn image_and_environment_may_be_raw_or_compressed() {
    let (component, json) = ("name=gpu;model=A", environment_json());
    for compressed in [false, true] {
        let single = |kind, payload: &[u8]| {
            let chunk = Chunk::raw(kind, b"0000", payload, json!({}));
            if compressed { chunk.compressed() } else { chunk }
        };
        let file = Builder::new([single("ENVC", json.as_bytes()), single("DATA", PNG)]).build();
        let (_folder, path) = stored(&file);
        for (way, reader) in all_ways(&path) {
            let reader = reader.unwrap();
            reader.verify().unwrap();
            assert_eq!(reader.image().unwrap().as_deref(), Some(PNG), "{way}");
            assert_eq!(reader.environment_json().unwrap().as_deref(), Some(json.as_bytes()), "{way}");
            let environment = reader.environment().unwrap().unwrap();
            assert_eq!(
                environment.components(),
                [Component::new("gpu", component), Component::new("gpu", component)]
            );
            let borrowed = matches!(reader.image().unwrap(), Some(Cow::Borrowed(_)));
            assert_eq!(borrowed, !compressed && way != "open", "{way}");
        }
        let none = open(Builder::new([]).build());
        assert!(none.image().unwrap().is_none() && none.environment().unwrap().is_none());
        assert!(none.environment_json().unwrap().is_none());
    }
}

#[test]
fn verification_reports_on_every_chunk_and_counts_every_byte() {
    let damaged = Chunk::latent("b", &[2], &[1.0, 2.0]).stored(|stored| stored[15] ^= 1);
    let chunks =
        [Chunk::latent("a", &[3], &[0.0; 3]), damaged, Chunk::latent("c", &[70_000], &vec![0.0; 70_000])];
    let reader = open(Builder::new(chunks).build());
    let counted = AtomicUsize::new(0);
    let report = reader.verify_chunks(|bytes| _ = counted.fetch_add(bytes as usize, Ordering::Relaxed));
    assert_eq!(report.chunks().iter().map(|chunk| chunk.index).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(report.payload_size(), 12 + 8 + 280_000);
    assert_eq!(counted.into_inner() as u64, report.payload_size());
    assert!(!report.is_ok());
    assert_eq!(report.damaged().map(|chunk| chunk.index).collect::<Vec<_>>(), [1]);
    let error = report.into_result().unwrap_err();
    assert!(matches!(error, Error::Hash { .. }) && chunk_of(&error) == Some(1));
    let sound = open(Builder::new([Chunk::latent("a", &[3], &[0.0; 3])]).build());
    assert!(sound.verify_chunks(|_| ()).is_ok());
}

#[test]
fn reading_can_be_cancelled_between_blocks() {
    const SIZE: usize = 4 << 20;
    for compression in [Compression::Raw, Compression::Zstd, Compression::Shuffled] {
        let options = WriteOptions::new().compression(compression).part_size(None);
        let write_it = write(options, |writer| writer.latent("x", &[SIZE / 4], &noise(1, SIZE / 4)));
        let (file, _) = write_it.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let options = ReadOptions::new().cancel_when(move || count.fetch_add(1, Ordering::Relaxed) >= 3);
        let reader = options.from_bytes(file).unwrap();
        let mut out = Vec::new();
        let error = reader.latent("x").unwrap().write_to(&mut out).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{compression:?}: {error}");
        assert!((1..SIZE).contains(&out.len()), "{compression:?}: {}", out.len());

        asked.store(0, Ordering::Relaxed);
        let checked = AtomicUsize::new(0);
        let report = reader.verify_chunks(|bytes| {
            checked.fetch_add(usize::try_from(bytes).unwrap(), Ordering::Relaxed);
        });
        assert!(matches!(report.chunks()[0].error, Some(Error::Cancelled)), "{compression:?}: {report:?}");
        assert!((1..SIZE).contains(&checked.into_inner()), "{compression:?}");
        // An unchecked chunk does not count as damaged.
        assert!(report.damaged().next().is_none() && !report.is_ok());
        assert!(matches!(reader.verify(), Err(Error::Cancelled)));
    }
}

#[test]
fn all_that_reads_values_can_be_cancelled() {
    let (_folder, path) = stored(&raw_file());
    let open = |file: &[u8]| ReadOptions::new().cancel_when(|| true).from_bytes(file.to_vec()).unwrap();
    let raw = ReadOptions::new().cancel_when(|| true).open(&path).unwrap();
    let options = WriteOptions::new().compression(Compression::Zstd);
    let (compressed, _) = write(options, |writer| writer.latent("single", &[24], &noise(3, 24))).unwrap();
    for reader in [raw, open(&compressed), open(&file_in_parts())] {
        let latent = reader.latent("single").unwrap();
        let results = [
            latent.read::<f32>().map(|_| ()),
            latent.read_as::<f16>().map(|_| ()),
            latent.read_into(&mut [0.0_f32; 24]),
            latent.rows(1..2).unwrap().read::<f32>().map(|_| ()),
            latent.write_to(&mut std::io::sink()),
            reader.load(&["single"]).map(|_| ()),
            reader.load_into([("single", &mut [0.0_f32; 24][..])]),
        ];
        for (call, result) in results.into_iter().enumerate() {
            assert!(matches!(result, Err(Error::Cancelled)), "{call}: {result:?}");
        }
    }
    let borrowed = ReadOptions::new().cancel_when(|| true).from_bytes(Placed::new(&raw_file(), 0)).unwrap();
    assert!(borrowed.latent("half").unwrap().read::<f16>().is_ok(), "nothing is read");
}

/// Rows larger than one read, in the middle of a chunk. Each kind of storage finds them
/// differently.
#[test]
fn large_rows_come_from_the_right_places() {
    const ROW: usize = (8 << 18) + 1; // 8 MiB and one value
    let values = noise(7, 2 * ROW);
    for compression in [Compression::Raw, Compression::Zstd, Compression::Shuffled] {
        let options = WriteOptions::new().compression(compression).level(-7).part_size(None);
        let (file, _) = write(options, |writer| writer.latent("x", &[2, ROW], &values)).unwrap();
        let (_folder, path) = stored(&file);
        for check in [false, true] {
            let reader = ReadOptions::new().check_hashes(check).open(&path).unwrap();
            let rows = reader.latent("x").unwrap().rows(1..2).unwrap();
            assert!(*rows.read::<f32>().unwrap() == values[ROW..2 * ROW], "{compression:?}");
        }
        if compression == Compression::Raw {
            let mut damaged = file;
            damaged[ROW * 4] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let reader = ReadOptions::new().check_hashes(true).open(&path).unwrap();
            assert!(matches!(reader.latent("x").unwrap().read::<f32>(), Err(Error::Hash { .. })));
        }
    }
}

/// Damage is reported instead of the cancellation, whatever the position of the unchecked chunk.
#[test]
fn damage_is_told_before_a_cancelled_check() {
    let flip = |record: &mut serde_json::Value| record["hash"] = json!(Digest::of(b"another payload"));
    let chunks = ["a", "b", "c"].map(|key| Chunk::latent(key, &[6], &noise(1, 6)).record(flip));
    let asked = AtomicUsize::new(0);
    // Only the first call cancels, so one chunk stays unchecked.
    let options = ReadOptions::new().cancel_when(move || asked.fetch_add(1, Ordering::Relaxed) < 1);
    let reader = options.from_bytes(Builder::new(chunks).build()).unwrap();
    let report = in_pool(1, || reader.verify_chunks(|_| {}));
    assert_eq!(report.damaged().count(), 2, "{report:?}");
    assert!(matches!(report.into_result(), Err(Error::Hash { .. })));
}

/// A chunk that could not be checked is neither damaged nor sound.
#[test]
fn what_could_not_be_checked_is_told_apart_from_damage() {
    let flip = |record: &mut serde_json::Value| record["hash"] = json!(Digest::of(b"another payload"));
    let environment = || Chunk::raw("ENVC", &[0; 4], br#"{"env_version":1,"components":[]}"#, json!({}));
    let limits = || Limits::default().environment_bytes(32);
    let open = |chunks: Vec<Chunk>| {
        ReadOptions::new().limits(limits()).from_bytes(Builder::new(chunks).build()).unwrap()
    };
    let reader = open(vec![environment().compressed(), Chunk::latent("a", &[6], &noise(1, 6))]);
    let report = reader.verify_chunks(|_| {});
    assert_eq!((report.damaged().count(), report.unchecked().count(), report.is_ok()), (0, 1, false));
    assert!(report.chunks()[0].is_unchecked() && !report.chunks()[1].is_unchecked());
    assert!(matches!(report.into_result(), Err(Error::Limit { .. })));

    let reader = open(vec![environment().compressed(), Chunk::latent("a", &[6], &noise(1, 6)).record(flip)]);
    let report = reader.verify_chunks(|_| {});
    assert_eq!((report.damaged().count(), report.unchecked().count()), (1, 1));
    assert!(matches!(report.into_result(), Err(Error::Hash { .. })), "damage is told first");
}

#[test]
fn a_frame_may_end_anywhere_between_two_reads() {
    // Nearly incompressible: one of sixteen bits is always 0, which keeps the values finite.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    let values: Vec<f16> =
        noise(7, 150_000).iter().map(|value| f16::from_bits(value.to_bits() as u16 & 0xbfff)).collect();
    let file = |len: usize| {
        let options = WriteOptions::new().compression(Compression::Zstd);
        let (bytes, _) = write(options, |writer| writer.latent("x", &[len], &values[..len])).unwrap();
        let size = open(bytes.clone()).chunks()[0].stored_size();
        (bytes, size)
    };
    // Files are read in blocks of this size. Some frames that end just after a block have their
    // checksum split across the boundary.
    const BLOCK: u64 = 256 << 10;
    let (_, size) = file(values.len());
    let near = usize::try_from(values.len() as u64 * BLOCK / size).unwrap();
    let mut split = 0;
    for len in near - 20..near + 20 {
        let (bytes, size) = file(len);
        split += usize::from((1..4).contains(&(size % BLOCK)));
        let (_folder, path) = stored(&bytes);
        let mut read = Vec::new();
        Reader::open(path).unwrap().latent("x").unwrap().write_to(&mut read).unwrap();
        let expected = values[..len].iter().flat_map(|value| value.to_le_bytes());
        assert!(read.into_iter().eq(expected), "{len} values in {size} bytes");
    }
    assert!(split > 0, "no checksum was on both sides");
}

#[test]
fn latents_without_values_are_empty_and_no_others() {
    for (shape, is_empty) in
        [(&[2, 3][..], false), (&[], false), (&[1], false), (&[2, 0], true), (&[0], true)]
    {
        let values = vec![1.0_f32; shape.iter().product()];
        let (bytes, _) = write(WriteOptions::new(), |writer| writer.latent("x", shape, &values)).unwrap();
        let latent = open(bytes).latent("x").unwrap();
        assert_eq!((latent.is_empty(), latent.len()), (is_empty, values.len() as u64), "{shape:?}");
    }
}
