//! Files that were cut or changed. Every cut is refused, every change is reported or has no effect,
//! and nothing panics.

use gen5::{Compression, Error, Reader, WriteOptions, bf16, f16};
use rayon::prelude::*;

use crate::own::{decode, own};
use crate::support::{
    Builder, Chunk, all_ways, chunk_bytes, data, frame_by_hand, in_pool, le_bytes, noise, open, write,
};

pub(crate) const GOLDEN: [&str; 8] = [
    "many.gen5",
    "no_image.gen5",
    "raw_f16.gen5",
    "raw_f32.gen5",
    "raw_mixed_misaligned.gen5",
    "unicode.gen5",
    "zstd_f16.gen5",
    "zstd_f32.gen5",
];

pub(crate) fn golden() -> Vec<(&'static str, Vec<u8>)> {
    GOLDEN.map(|name| (name, std::fs::read(data(name)).unwrap())).into()
}

/// Reads in the ways that `decode` does not use, and ignores the results.
fn read_unchecked(reader: &Reader) {
    for latent in reader.latents() {
        _ = latent.read::<f32>().map(|values| values.len());
        _ = latent.read::<f16>().map(|values| values.len());
        _ = latent.read::<bf16>().map(|values| values.len());
        _ = latent.read_as::<f16>();
        _ = latent.read_as::<bf16>();
        _ = latent.as_slice::<f32>().map(<[f32]>::len);
        if let Ok(rows) = latent.rows(0..1) {
            _ = rows.read_as::<f32>();
        }
        _ = format!("{latent:?} {:?}", latent.extra());
    }
    for index in 0..reader.chunks().len() {
        _ = reader.payload(index);
    }
    _ = reader.latent("single").map(|latent| latent.is_borrowable());
    _ = reader.image();
    _ = reader.environment_json();
    _ = reader.environment();
    _ = reader.metadata();
}

/// Every length of a short file. Of a long one, those at both ends and some between.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).filter(move |&cut| length <= 20_000 || cut < 4096 || cut + 8192 >= length || cut % 37 == 0)
}

#[test]
fn every_cut_is_refused() {
    for (name, file) in golden().into_iter().chain(own()) {
        for cut in cuts(file.len()) {
            let error = Reader::from_bytes(file[..cut].to_vec()).map(|_| ()).expect_err(name);
            match error {
                Error::NotGen5 { .. } => assert!(cut < 32, "{name} cut at {cut}"),
                Error::Value { ref member, .. } => assert_eq!(member, "file_size", "{name} cut at {cut}"),
                other => panic!("{name} cut at {cut}: {other}"),
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.gen5");
        for cut in cuts(file.len()).step_by(file.len() / 100 + 1) {
            std::fs::write(&path, &file[..cut]).unwrap();
            for (way, reader) in all_ways(&path) {
                assert!(reader.is_err(), "{name} cut at {cut} by {way}");
            }
        }
    }
}

/// The file header matches the cut, so that only the table can reveal it.
#[test]
fn a_cut_with_a_matching_header_is_refused() {
    for (name, file) in golden().into_iter().chain(own()) {
        let table = u32::from_le_bytes(file[8..12].try_into().unwrap()) as usize;
        for cut in table..file.len() {
            let mut cut_file = file[..cut].to_vec();
            cut_file[20..24].copy_from_slice(&(cut as u32).to_le_bytes());
            cut_file[12..16].copy_from_slice(&((cut - table) as u32).to_le_bytes());
            let error = Reader::from_bytes(cut_file).map(|_| ()).expect_err(name);
            assert!(matches!(error, Error::Frame { .. }), "{name} cut at {cut}: {error}");
        }
    }
}

/// Three replacements of the byte at `at`: the lowest bit flipped, the highest bit flipped, and
/// another value.
fn changed(byte: u8, at: usize) -> [u8; 3] {
    let other = (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3];
    let third = if [byte, byte ^ 1, byte ^ 0x80].contains(&other) { byte ^ 0x2a } else { other };
    [byte ^ 1, byte ^ 0x80, third]
}

/// Bytes that change in more than one bit; `bits` covers single bits.
#[test]
fn every_changed_byte_is_reported_or_without_effect() {
    for (name, file) in own() {
        let content = decode(&Reader::from_bytes(file.clone()).unwrap()).unwrap();
        let noticed = (0..file.len()).into_par_iter().filter(|&at| {
            let mut damaged = file.clone();
            damaged[at] = changed(file[at], at)[2];
            let Ok(reader) = Reader::from_bytes(damaged) else { return true };
            let found = decode(&reader);
            read_unchecked(&reader);
            let is_reported = reader.verify().is_err();
            assert!(
                is_reported || found.is_ok_and(|found| found == content),
                "{name}: byte {at} went unnoticed"
            );
            is_reported
        });
        // Only changes in gaps may go unnoticed, and gaps are less than a third.
        assert!(noticed.count() * 3 > file.len() * 2, "{name}");
    }
}

#[test]
fn changed_files_are_refused_or_read_by_path_too() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in own() {
        let path = folder.path().join("changed.gen5");
        for at in (0..file.len()).step_by(41) {
            let mut damaged = file.clone();
            damaged[at] = changed(file[at], at)[at % 3];
            std::fs::write(&path, &damaged).unwrap();
            let [open, map, bytes] = all_ways(&path).map(|(_, reader)| {
                let reader = reader.ok()?;
                read_unchecked(&reader);
                Some((reader.verify().is_ok(), decode(&reader).ok()))
            });
            assert!(open == map && map == bytes, "{name}: byte {at} read in different ways");
        }
    }
}

/// The reference writes no checksum over the table, so a change in it may go unnoticed.
#[test]
fn changed_files_of_the_reference_never_panic() {
    for (name, file) in golden() {
        let table = u32::from_le_bytes(file[8..12].try_into().unwrap()) as usize;
        let step = (file.len() / 1000).max(1);
        let places: Vec<usize> =
            (0..file.len()).filter(|&at| at < 64 || at % step == 0 || (at >= table && at % 4 == 0)).collect();
        let refused: usize = places
            .par_iter()
            .map(|&at| {
                let mut damaged = file.clone();
                damaged[at] = changed(file[at], at)[at / step % 3];
                match Reader::from_bytes(damaged) {
                    Ok(reader) => {
                        read_unchecked(&reader);
                        usize::from(reader.verify().is_err())
                    }
                    Err(_) => 1,
                }
            })
            .sum();
        assert!(refused > places.len() / 2, "{name}: {refused} of {}", places.len());
    }
}

/// Each thread keeps its zstd contexts, with buffers as large as earlier frames needed.
#[test]
fn what_is_told_of_damage_does_not_depend_on_what_was_read_before() {
    let values = noise(1, 100_000);
    let longer = chunk_bytes("LATN", b"F32\0", &le_bytes(&values[..7]));
    let bad =
        Chunk::latent("a", &[6], &values[..6]).stored(|stored| *stored = frame_by_hand(36, 20, &longer));
    let bad = open(Builder::new([bad.record(|record| record["compressed"] = true.into())]).build());
    let options = WriteOptions::new().compression(Compression::Zstd);
    let (sound, _) = write(options, |writer| writer.latent("a", &[1000, 100], &values)).unwrap();
    in_pool(1, || {
        let told = || {
            [bad.verify().map(|_| ()), bad.payload(0).map(|_| ())].map(|read| read.unwrap_err().to_string())
        };
        let [first, by_block] = told();
        assert_eq!(by_block, first);
        open(sound).verify().unwrap();
        assert_eq!(told(), [first, by_block]);
    });
}
