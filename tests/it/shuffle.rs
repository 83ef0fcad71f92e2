//! Byte shuffle: the stored bytes follow the format, and readers return the original values.

use gen5::chunk::Digest;
use gen5::{
    Array, Compression, Dtype, Element, Error, ReadOptions, Reader, Version, WriteOptions, bf16, f16,
};
use serde_json::Value;
use zerocopy::IntoBytes;

use crate::support::{Builder, Chunk, in_pool, noise, open, shuffled, tell, write};

const MIB: usize = 1 << 20;

fn shuffle() -> WriteOptions {
    WriteOptions::new().compression(Compression::Shuffled).sync(false)
}

/// Finite elements in which every byte depends on the position.
trait Sample: Element {
    fn sample(at: usize) -> Self;
    /// The flags of shuffled chunks with these elements.
    const FLAGS: &[u8; 4];
}

/// Bits that vary with the position.
fn mixed(at: usize) -> u32 {
    (at as u32).wrapping_mul(2_654_435_761) ^ (at as u32 >> 7)
}

impl Sample for f16 {
    fn sample(at: usize) -> Self {
        Self::from_bits(mixed(at) as u16 & 0xbbff)
    }

    const FLAGS: &[u8; 4] = b"F16S";
}

impl Sample for bf16 {
    fn sample(at: usize) -> Self {
        Self::from_bits(mixed(at) as u16 & 0xbfff)
    }

    const FLAGS: &[u8; 4] = b"B16S";
}

impl Sample for f32 {
    fn sample(at: usize) -> Self {
        Self::from_bits(mixed(at) & 0xbfff_ffff)
    }

    const FLAGS: &[u8; 4] = b"F32S";
}

fn samples<T: Sample>(len: usize) -> Vec<T> {
    (0..len).map(T::sample).collect()
}

/// Checks that each frame contains the chunk's header and its shuffled payload. Each part is
/// shuffled separately.
fn check_stored<T: Sample>(file: &[u8], payload: &[u8]) {
    let reader = open(file.to_vec());
    assert_eq!(reader.version(), Version::V1_1);
    let manifest: Value = serde_json::from_str(reader.manifest_json()).unwrap();
    let mut rest = payload;
    for (index, chunk) in reader.chunks().iter().enumerate() {
        let part;
        (part, rest) = rest.split_at(chunk.payload_size() as usize);
        let flags = str::from_utf8(T::FLAGS).unwrap();
        assert_eq!(manifest["gen5_metadata"]["chunks"][index]["flags"], flags);
        assert!(chunk.is_shuffled() && chunk.is_compressed());
        assert_eq!(chunk.sha256(), Digest::of(part), "the hash is taken before the shuffle");
        let range = chunk.offset() as usize..(chunk.offset() + chunk.stored_size()) as usize;
        let stored = zstd::bulk::decompress(&file[range], part.len() + 12).unwrap();
        let mut header = [&b"LATN"[..], T::FLAGS].concat();
        header.extend((part.len() as u32).to_le_bytes());
        assert_eq!(stored[..12], header);
        assert!(stored[12..] == shuffled(part, size_of::<T>()), "{} bytes of {flags}", part.len());
    }
    assert!(rest.is_empty());
}

fn stored_as_the_format_says<T: Sample>() {
    let size = size_of::<T>();
    let block = MIB / size;
    for len in [0, 1, 2, 3, 255, block - 1, block, block + 1, 2 * block, 2 * block + 3] {
        let values = samples::<T>(len);
        let (file, summary) = write(shuffle(), |writer| writer.latent("x", &[len], &values)).unwrap();
        check_stored::<T>(&file, values.as_bytes());
        assert!(summary.latents[0].shuffled && summary.latents[0].compressed);
        let (streamed, _) = write(shuffle(), |writer| {
            let mut stream = writer.stream::<T>("x", &[len])?;
            values.chunks(block / 3 + 1).try_for_each(|values| stream.push(values))?;
            stream.finish()
        })
        .unwrap();
        assert!(streamed == file, "{len}");
    }
    // Parts slightly larger than a block; each is shuffled from its own start.
    let values = samples::<T>(5 * (block + 7));
    let options = shuffle().part_size(Some((MIB + 100) as u64));
    let (file, summary) = write(options, |writer| writer.latent("x", &[5, block + 7], &values)).unwrap();
    check_stored::<T>(&file, values.as_bytes());
    assert_eq!(summary.latents[0].parts, 5);
}

#[test]
fn float16_is_stored_as_the_format_says() {
    stored_as_the_format_says::<f16>();
}

#[test]
fn bfloat16_is_stored_as_the_format_says() {
    stored_as_the_format_says::<bf16>();
}

#[test]
fn float32_is_stored_as_the_format_says() {
    stored_as_the_format_says::<f32>();
}

/// Compares everything readable of `x`, which has `rows` rows, with the same latent in a raw file.
fn same_as_raw<T: Sample + PartialEq>(reader: &Reader, raw: &Reader, rows: usize, what: &str) {
    let (latent, expected) = (reader.latent("x").unwrap(), raw.latent("x").unwrap());
    assert_eq!((latent.shape(), latent.dtype()), (expected.shape(), expected.dtype()));
    assert!(!latent.is_borrowable() && matches!(latent.as_slice::<T>(), Err(Error::NotBorrowable { .. })));
    assert!(latent.read_as::<f32>().unwrap() == expected.read_as::<f32>().unwrap(), "{what}: as float32");
    let edge = rows * MIB / latent.payload_size() as usize; // the row in which the second block starts
    for range in [0..rows, edge - 1..edge + 2, rows - 1..rows] {
        let (found, expected) = (latent.rows(range.clone()).unwrap(), expected.rows(range.clone()).unwrap());
        let values = expected.read::<T>().unwrap();
        assert!(*found.read::<T>().unwrap() == *values, "{what}: rows {range:?}");
        let mut buffer = vec![T::sample(1); values.len()];
        found.read_into(&mut buffer).unwrap();
        assert!(buffer == *values, "{what}: rows {range:?} into");
        let (mut bytes, mut raw_bytes) = (Vec::new(), Vec::new());
        found.write_to(&mut bytes).unwrap();
        expected.write_to(&mut raw_bytes).unwrap();
        assert!(bytes == raw_bytes, "{what}: rows {range:?} written");
    }
    let whole = raw.payload(0).unwrap();
    let mut start = 0;
    for (index, chunk) in reader.chunks().iter().enumerate() {
        let payload = &whole[start..start + chunk.payload_size() as usize];
        assert!(*reader.payload(index).unwrap() == *payload, "{what}: payload {index}");
        for most in [0, 1, MIB - 1, MIB + 1, usize::MAX] {
            let first = reader.payload_start(index, most).unwrap();
            assert!(first == payload[..most.min(payload.len())], "{what}: {most} bytes of payload {index}");
        }
        start += payload.len();
    }
    assert_eq!(start, whole.len());
}

fn reads_as_a_raw_file_does<T: Sample + PartialEq>() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    let (rows, row) = (9, MIB / size_of::<T>() / 4 + 5);
    let values = samples::<T>(rows * row);
    let fill = |writer: &mut gen5::Writer<'_>| writer.latent("x", &[1, rows, row], &values);
    let raw = open(write(WriteOptions::new().compression(Compression::Raw), fill).unwrap().0);
    let (whole, _) = write(shuffle().part_size(None), fill).unwrap();
    std::fs::write(&path, &whole).unwrap();
    same_as_raw::<T>(&Reader::open(&path).unwrap(), &raw, rows, "whole, from a file");
    let (parts, _) = write(shuffle().part_size(Some(MIB as u64 * 3 / 2)), fill).unwrap();
    let checked = ReadOptions::new().check_hashes(true).from_bytes(parts).unwrap();
    same_as_raw::<T>(&checked, &raw, rows, "parts, from memory, checked");
    checked.verify().unwrap();
}

#[test]
fn shuffled_float16_reads_as_raw_does() {
    reads_as_a_raw_file_does::<f16>();
}

#[test]
fn shuffled_bfloat16_reads_as_raw_does() {
    reads_as_a_raw_file_does::<bf16>();
}

#[test]
fn shuffled_float32_reads_as_raw_does() {
    reads_as_a_raw_file_does::<f32>();
}

#[test]
fn a_payload_that_was_not_shuffled_is_reported() {
    let payload: Vec<u8> = (0..24).collect();
    let chunk = || Chunk::elements("x", ("float32", b"F32S"), &[6], &payload);
    let sound = open(Builder::new([chunk().shuffled(4)]).minor(1).build());
    sound.verify().unwrap();
    let plain = Builder::new([chunk().compressed()]).minor(1).build();
    let others = [
        plain,
        // Shuffled as if elements had two bytes.
        Builder::new([chunk().shuffled(2)]).minor(1).build(),
        // The header is shuffled too.
        Builder::new([chunk().stored(|bytes| *bytes = shuffled(bytes, 4)).compressed()]).minor(1).build(),
    ];
    for (number, file) in others.into_iter().enumerate() {
        let reader = open(file.clone());
        let error = reader.verify().map(|_| ()).unwrap_err();
        match number {
            2 => assert_eq!(tell(&error), "Contradiction chunk 0 at 32 type"),
            _ => assert!(matches!(error, Error::Hash { .. }), "{error}"),
        }
        let checked = ReadOptions::new().check_hashes(true).from_bytes(file).unwrap();
        let latent = checked.latent("x").unwrap();
        assert!(latent.read::<f32>().is_err() && latent.rows(0..1).unwrap().read::<f32>().is_err());
        assert!(latent.write_to(&mut Vec::new()).is_err() && checked.payload(0).is_err());
    }
}

#[test]
fn the_levels_are_those_that_are_documented() {
    const LEN: usize = 500_000;
    let noise: Vec<f16> = noise(1, LEN).into_iter().map(f16::from_f32).collect();
    // Values that compress better at higher levels.
    let quantised: Vec<f16> =
        noise.iter().map(|value| f16::from_f32((value.to_f32() * 4.0).round() / 4.0)).collect();
    let file = |options: WriteOptions, values: &[f16]| {
        write(options, |writer| writer.latent("x", &[LEN], values)).unwrap().0
    };
    let zstd = || WriteOptions::new().compression(Compression::Zstd);
    assert!(file(shuffle(), &quantised) == file(shuffle().level(-100), &quantised));
    assert!(file(shuffle(), &quantised) != file(shuffle().level(5), &quantised));
    assert!(file(zstd(), &quantised) == file(zstd().level(3), &quantised));
    assert!(file(zstd(), &quantised) != file(zstd().level(5), &quantised));
    assert!(file(shuffle(), &noise).len() < file(zstd(), &noise).len());
    // Negative levels still use entropy coding.
    let fastest = file(zstd().level(-100), &noise).len();
    assert!(fastest < 2 * LEN * 93 / 100, "{fastest} bytes");
}

#[test]
fn the_bytes_depend_neither_on_threads_nor_on_the_way_in() {
    let values = noise(1, 90_000);
    let half: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    let options = || shuffle().part_size(Some(50_000));
    let arrays = |writer: &mut gen5::Writer<'_>| {
        writer.latents([Array::new("x", &[90, 1000], &values), Array::new("h", &[90, 1000], &half)])
    };
    let expected = in_pool(1, || write(options(), arrays).unwrap().0);
    assert!(in_pool(4, || write(options(), arrays).unwrap().0) == expected);
    for pushed in [999, 12_345, 90_000] {
        let streams = |writer: &mut gen5::Writer<'_>| {
            let mut stream = writer.stream::<f32>("x", &[90, 1000])?;
            values.chunks(pushed).try_for_each(|values| stream.push(values))?;
            stream.finish()?;
            let mut stream = writer.stream::<f16>("h", &[90, 1000])?;
            half.chunks(pushed).try_for_each(|values| stream.push(values))?;
            stream.finish()
        };
        for threads in [1, 4] {
            assert!(in_pool(threads, || write(options(), streams).unwrap().0) == expected, "{pushed}");
        }
    }
    // Rounding float32 values while writing gives the same bytes as writing rounded values.
    let rounded =
        write(options().dtype(Dtype::F16), |writer| writer.latent("h", &[90, 1000], &values)).unwrap().0;
    let plain = write(options(), |writer| writer.latent("h", &[90, 1000], &half)).unwrap().0;
    assert!(rounded == plain);
    check_stored::<f16>(&rounded, half.as_bytes());
}

/// If byte groups shared a block of zstd, they would also share its statistics, and shuffling would
/// gain nothing.
#[test]
fn small_latents_shrink_as_large_ones_do() {
    let values: Vec<f16> = noise(5, 4 * 64 * 64).into_iter().map(f16::from_f32).collect();
    let options = WriteOptions::new().compression(Compression::Shuffled);
    let (_, summary) = write(options, |writer| writer.latent("x", &[4, 64, 64], &values)).unwrap();
    let latent = &summary.latents[0];
    assert!(latent.stored_size * 100 < latent.payload_size * 87, "{latent:?}");
}
