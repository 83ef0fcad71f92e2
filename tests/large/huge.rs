//! A file of over 9 GiB with latents whose size does not fit in a chunk header.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use gen5::error::Place;
use gen5::{Element, Error, Latent, LatentStream, Metadata, Reader, Summary, Version, WriteOptions, f16};

use crate::room::Room;

/// 5.08 GiB of float32.
const SINGLE: [usize; 2] = [1300, 1 << 20];
/// 4 GiB of float16, the smallest size that does not fit in a chunk header.
const HALF: [usize; 3] = [1, 2048, 1 << 20];
/// 300 MiB of compressible float32, in five parts.
const SHRINKING: [usize; 2] = [75, 1 << 20];

/// Bits that look like noise, so that `Auto` leaves them raw.
fn bits(index: usize) -> u32 {
    let mixed = (index as u64 ^ 0x5851_f42d).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
}

fn single(index: usize) -> f32 {
    f32::from_bits(bits(index) & 0xbfff_ffff)
}

fn half(index: usize) -> f16 {
    f16::from_bits(bits(index) as u16 & 0xbbff)
}

fn shrinking(index: usize) -> f32 {
    (index / 1000) as f32
}

fn push<T: Element>(
    mut stream: LatentStream<'_, T>,
    shape: &[usize],
    value: impl Fn(usize) -> T,
) -> gen5::Result<()> {
    let len: usize = shape.iter().product();
    let mut block = Vec::new();
    for start in (0..len).step_by(1 << 20) {
        block.clear();
        block.extend((start..len.min(start + (1 << 20))).map(&value));
        stream.push(&block)?;
    }
    stream.finish()
}

fn write(path: &Path) -> Summary {
    let mut writer = WriteOptions::new().sync(false).create(path).unwrap();
    push(writer.stream::<f32>("single", &SINGLE).unwrap(), &SINGLE, single).unwrap();
    push(writer.stream::<f16>("half", &HALF).unwrap(), &HALF, half).unwrap();
    push(writer.stream::<f32>("shrinking", &SHRINKING).unwrap(), &SHRINKING, shrinking).unwrap();
    writer.latent("small", &[3], &[1.0_f32, 2.0, 3.0]).unwrap();
    writer.finish(&Metadata::builder("m", "1").prompt("p").build().unwrap()).unwrap()
}

/// Compares rows with the expected values: the first and last, those in the middle, and those
/// around 4 GiB.
fn check_rows<T: Element + PartialEq>(latent: &Latent, value: impl Fn(usize) -> T) {
    let axis = latent.row_axis().unwrap();
    let rows = latent.shape()[axis];
    let row = latent.len() as usize / rows;
    let over = ((1 << 32) / (row * size_of::<T>())).min(rows - 1);
    for start in [0, over - 1, over, rows / 2, rows - 2, rows - 1] {
        let end = (start + 2).min(rows);
        let read = latent.rows(start..end).unwrap().read::<T>().unwrap().into_owned();
        let expected = (start * row..end * row).map(&value);
        assert!(read.into_iter().eq(expected), "rows {start}..{end} of {:?}", latent.key());
    }
}

fn check_values(reader: &Reader) {
    check_rows(&reader.latent("single").unwrap(), single);
    check_rows(&reader.latent("half").unwrap(), half);
    let latent = reader.latent("shrinking").unwrap();
    check_rows(&latent, shrinking);
    let values = latent.read::<f32>().unwrap();
    assert!(values.iter().copied().eq((0..latent.len() as usize).map(shrinking)));
    assert_eq!(*reader.latent("small").unwrap().read::<f32>().unwrap(), [1.0, 2.0, 3.0]);
}

/// Checks the bytes that the format requires of such a file.
fn check_bytes(path: &Path, reader: &Reader) {
    let file = File::open(path).unwrap();
    let mut header = [0; 32];
    file.read_exact_at(&mut header, 0).unwrap();
    assert_eq!(header[..24], *b"GEN5\x01\x01\x01\0\xff\xff\xff\xff\0\0\0\0\x08\0\0\0\xff\xff\xff\xff");
    let table = u64::from_le_bytes(header[24..].try_into().unwrap());
    let last = reader.chunks().last().unwrap();
    assert!((last.offset() + last.stored_size()..reader.file_size()).contains(&table));
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, table).unwrap();
    assert_eq!(magic, [0x28, 0xb5, 0x2f, 0xfd]);
    for (index, chunk) in reader.chunks()[..2].iter().enumerate() {
        let mut header = [0; 12];
        file.read_exact_at(&mut header, chunk.offset()).unwrap();
        assert_eq!(header, [*b"LATNF32\0\xff\xff\xff\xff", *b"LATNF16\0\xff\xff\xff\xff"][index]);
        assert_eq!(chunk.stored_size(), chunk.payload_size() + 12);
    }
}

#[allow(unsafe_code)]
fn map(path: &Path) -> Reader {
    // SAFETY: the test changes the file only after it has dropped the reader.
    unsafe { Reader::map(path) }.unwrap()
}

#[test]
fn a_file_of_over_9_gib_is_written_mapped_read_and_verified() {
    let room = Room::of(11, "a file of over 9 GiB");
    let path = room.folder.path().join("huge.gen5");
    let start = Instant::now();
    let summary = write(&path);
    println!("written in {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(summary.file_size, path.metadata().unwrap().len());
    assert!(summary.file_size > 9 << 30, "{summary:?}");
    let stored: Vec<_> = summary
        .latents
        .iter()
        .map(|latent| (latent.key.as_deref().unwrap(), latent.compressed, latent.parts))
        .collect();
    assert_eq!(
        stored,
        [("single", false, 1), ("half", false, 1), ("shrinking", true, 5), ("small", false, 1)]
    );

    let mapped = map(&path);
    assert_eq!(mapped.version(), Version::V1_1);
    check_bytes(&path, &mapped);
    let values = mapped.slice::<f32>("single").unwrap();
    assert_eq!((values.len() * 4, values.len()), (SINGLE[0] * SINGLE[1] * 4, SINGLE[0] * SINGLE[1]));
    for index in [0, 1, (1 << 30) - 1, 1 << 30, values.len() / 2, values.len() - 1] {
        assert_eq!(values[index].to_bits(), single(index).to_bits(), "{index}");
    }
    let latent = mapped.latent("half").unwrap();
    let values = latent.as_slice::<f16>().unwrap();
    assert_eq!(values.len(), HALF[1] * HALF[2]);
    assert_eq!(values[values.len() - 1], half(values.len() - 1));
    check_values(&mapped);
    drop((latent, mapped));

    let reader = Reader::open(&path).unwrap();
    check_values(&reader);
    let start = Instant::now();
    reader.verify().unwrap();
    println!("verified in {:.1} s", start.elapsed().as_secs_f64());

    // Damages one byte of each: the first lies past 4 GiB in its payload, the second past 4 GiB in
    // the file.
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let payload = |key: &str| reader.latent(key).unwrap().chunks().next().unwrap().offset() + 12;
    for at in [payload("single") + (1 << 32) + 5, payload("half") + 7] {
        assert!(at > 1 << 32);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    }
    let report = reader.verify_chunks(|_| {});
    let damaged: Vec<_> = report
        .damaged()
        .map(|chunk| match chunk.error.as_ref().unwrap() {
            Error::Hash { place: Place::Chunk { index, key, .. }, .. } => (*index, key.clone().unwrap()),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(damaged, [(0, "single".into()), (1, "half".into())]);
    assert!(report.chunks()[2..].iter().all(|chunk| chunk.error.is_none()));
    // The damage is nowhere else.
    let row = reader.latent("single").unwrap().rows(1024..1025).unwrap().read::<f32>().unwrap().into_owned();
    assert_eq!(row[0].to_bits(), single(1 << 30).to_bits());
    assert_ne!(row[1].to_bits(), single((1 << 30) + 1).to_bits());
}
