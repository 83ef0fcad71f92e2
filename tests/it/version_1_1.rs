//! Version 1.1: cuts and flipped bits in a large header, the files for which the writer chooses
//! 1.1, and files over 4 GiB. The corpus covers refused files.

use gen5::chunk::Digest;
use gen5::error::Place;
use gen5::{
    Array, Compression, Dtype, Error, NonFinite, Reader, Summary, Version, WriteOptions, Writer, bf16, f16,
};
use serde_json::{Value, json};

use crate::support::{Builder, Chunk, as_float16, chunk_bytes, le_bytes, noise, open, place_of, tell, write};

const VALUES: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

fn float32<'a>(key: &str) -> Chunk<'a> {
    Chunk::latent(key, &[2, 3], &VALUES)
}

/// A file with the header of a large file.
fn large<'a>() -> Builder<'a> {
    Builder::new([float32("a"), float32("b").compressed()]).minor(1).large()
}

fn table_of(large: &[u8]) -> u64 {
    u64::from_le_bytes(large[24..32].try_into().unwrap())
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

/// The version of a file. Its header, manifest and reader must agree.
fn version_of((file, _): &(Vec<u8>, Summary)) -> Version {
    let reader = open(file.clone());
    reader.verify().unwrap();
    let manifest: Value = serde_json::from_str(reader.manifest_json()).unwrap();
    let minor = &manifest["gen5_metadata"]["file_info"]["version_minor"];
    assert_eq!(
        (&file[4..8], minor),
        (&[1, reader.version().minor, 0, 0][..], &json!(reader.version().minor))
    );
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
    for compression in [Compression::Raw, Compression::Zstd, Compression::Auto, Compression::Shuffled] {
        let is_shuffled = compression == Compression::Shuffled;
        for part_size in [None, Some(900)] {
            let options = WriteOptions::new().compression(compression).part_size(part_size);
            for (at, fill) in old.iter().enumerate() {
                for float16 in [false, true] {
                    let written = write(as_float16(options.clone(), float16), fill).unwrap();
                    let expected = if is_shuffled && at < 3 { Version::V1_1 } else { Version::V1_0 };
                    assert_eq!(version_of(&written), expected, "{compression:?}, {at}");
                    let shuffled = written.1.latents.iter().all(|latent| latent.shuffled == is_shuffled);
                    assert!(shuffled, "{compression:?}, {at}");
                }
            }
            for (at, fill) in new.iter().enumerate() {
                let written = write(options.clone(), fill).unwrap();
                assert_eq!(version_of(&written), Version::V1_1, "{compression:?}, {at}");
                assert_eq!(written.1.latents.last().unwrap().dtype, Dtype::BF16);
                let written = write(options.clone().dtype(Dtype::F16), fill).unwrap();
                let expected = if is_shuffled { Version::V1_1 } else { Version::V1_0 };
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
    assert_eq!(version_of(&written.unwrap()), Version::V1_0);
    let kept =
        write(WriteOptions::new().non_finite(NonFinite::Keep), |writer| writer.latent("x", &[2], &bad));
    assert_eq!(version_of(&kept.unwrap()), Version::V1_1);
}

/// A file over 4 GiB that takes only a few pages on disk, since the unwritten rest is a hole.
#[cfg(target_os = "linux")]
mod sparse {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    use super::*;

    /// A little over 4 GiB of float32, and an unknown chunk of the smallest size that its header
    /// cannot hold.
    const SHAPE: [usize; 2] = [(1 << 15) + 1, 1 << 15];
    const BIG: u64 = SHAPE[0] as u64 * SHAPE[1] as u64 * 4;
    const LEAST: u64 = u32::MAX as u64;
    const OFFSETS: [u64; 3] = [52, 64 + BIG, 64 + BIG + 12 + LEAST];

    /// Writes the file. `told` are the sizes in the headers of the first two chunks.
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
        // The table and header of a small file, moved to their places in this one.
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

    /// Readers in both ways; with 32-bit addresses, only by opening.
    fn readers(path: &Path) -> Vec<Reader> {
        let opened = Reader::open(path).unwrap();
        #[cfg(target_pointer_width = "64")]
        return vec![opened, map(path)];
        #[cfg(not(target_pointer_width = "64"))]
        return vec![opened];
    }

    #[cfg(target_pointer_width = "64")]
    fn map(path: &Path) -> Reader {
        // SAFETY: nothing else touches the file while the test runs.
        #[allow(unsafe_code)]
        unsafe { Reader::map(path) }.unwrap()
    }

    #[test]
    fn payloads_that_their_chunk_headers_cannot_tell_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse.gen5");
        write_sparse(&path, [u32::MAX; 2]);
        for reader in readers(&path) {
            assert!(reader.file_size() > 8 << 30);
            let big = reader.latent("big").unwrap();
            assert_eq!((big.payload_size(), big.as_slice::<f32>().is_ok()), (BIG, big.is_borrowable()));
            assert!(big.chunks().all(gen5::chunk::ChunkRecord::is_raw_and_aligned));
            let row = |at: usize| big.rows(at..at + 1).unwrap().read::<f32>().unwrap().into_owned();
            let last = SHAPE[1] - 1;
            assert_eq!((row(0)[0], row(0)[1]), (0.0, 0.0));
            assert_eq!(row(SHAPE[0] - 2)[last], ((1_u64 << 30) - 1) as f32);
            assert_eq!(row(SHAPE[0] - 1)[0], (1_u64 << 30) as f32);
            assert_eq!(row(SHAPE[0] - 1)[last], ((BIG >> 2) - 1) as f32);
            assert_eq!(*reader.latent("behind").unwrap().read::<f32>().unwrap(), VALUES);
            assert_eq!(reader.payload_start(1, 5).unwrap(), b"first");
        }
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn payloads_that_their_chunk_headers_cannot_tell_are_borrowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse.gen5");
        write_sparse(&path, [u32::MAX; 2]);
        let mapped = map(&path);
        let values = mapped.slice::<f32>("big").unwrap();
        assert_eq!(values.len(), SHAPE[0] * SHAPE[1]);
        assert_eq!((values[1 << 30], values[values.len() - 1]), ((1_u64 << 30) as f32, (BIG >> 2) as f32));
        let unknown = mapped.payload(1).unwrap();
        assert_eq!((unknown.len() as u64, unknown.last()), (LEAST, Some(&b'e')));
    }

    /// The sizes modulo 2^32, as a careless writer would store them.
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
                assert_eq!(
                    tell(&error),
                    format!("Contradiction chunk {chunk} at {} size", OFFSETS[chunk]),
                    "{error}"
                );
                assert!(matches!(place_of(&error), Some(Place::Chunk { .. })));
            }
        }
    }
}
