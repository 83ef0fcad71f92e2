//! Files that were cut or changed: every cut is refused, every change is reported or without effect, nothing panics.

use std::ops::Range;

use gen5::{Compression, Dtype, Error, Reader, WriteOptions, bf16, f16};
use rayon::prelude::*;

use crate::support::{PNG, all_ways, data, environment, noise, write};

const GOLDEN: [&str; 8] = [
    "many.gen5",
    "no_image.gen5",
    "raw_f16.gen5",
    "raw_f32.gen5",
    "raw_mixed_misaligned.gen5",
    "unicode.gen5",
    "zstd_f16.gen5",
    "zstd_f32.gen5",
];

fn golden() -> Vec<(&'static str, Vec<u8>)> {
    GOLDEN.map(|name| (name, std::fs::read(data(name)).unwrap())).into()
}

/// Files that this crate writes: raw ones, parts, streams, and some of 1.1.
fn own() -> Vec<(&'static str, Vec<u8>)> {
    let singles = noise(1, 96);
    let halves: Vec<f16> = noise(2, 150).into_iter().map(f16::from_f32).collect();
    let raw = write(WriteOptions::new(), |writer| {
        writer.latent("half", &[1, 6, 25], &halves)?;
        writer.environment(&environment())?;
        writer.latent("single", &[4, 24], &singles)?;
        writer.image(PNG)?;
        writer.latent("scalar", &[], &[1.5_f32])?;
        writer.latent::<f32>("empty", &[0, 7], &[])
    });
    let parts = write(WriteOptions::new().compression(Compression::Zstd).part_size(Some(150)), |writer| {
        writer.latent("single", &[8, 12], &singles)?;
        writer.image(PNG)?;
        writer.latent("half", &[150], &halves)?;
        writer.latent::<f32>("empty", &[0, 7], &[])?;
        writer.environment(&environment())
    });
    let streams = write(WriteOptions::new().compression(Compression::Zstd).part_size(Some(200)), |writer| {
        let mut first = writer.stream::<f32>("single", &[1, 96])?;
        let mut second = writer.stream::<f16>("half", &[15, 10])?;
        for (single, half) in singles.chunks(32).zip(halves.chunks(50)) {
            first.push(single)?;
            second.push(half)?;
        }
        second.finish()?;
        first.finish()?;
        writer.latent("plain", &[3], &singles[..3])
    });
    let streamed_raw = write(WriteOptions::new().alignment(256), |writer| {
        let mut stream = writer.stream::<f32>("single", &[96])?;
        stream.push(&singles[..5])?;
        writer.latent("half", &[150], &halves)?;
        stream.push(&singles[5..])?;
        stream.finish()
    });
    let brains: Vec<bf16> = noise(3, 50).into_iter().map(bf16::from_f32).collect();
    let options = WriteOptions::new().compression(Compression::Shuffled).part_size(Some(150));
    let shuffled = write(options, |writer| {
        writer.latent("single", &[8, 12], &singles)?;
        writer.latent("half", &[150], &halves)?;
        writer.latent("brain", &[5, 10], &brains)
    });
    let raw_brain = write(WriteOptions::new(), |writer| writer.latent("brain", &[50], &brains));
    [
        ("raw", raw),
        ("parts", parts),
        ("streams", streams),
        ("streamed raw", streamed_raw),
        ("shuffled", shuffled),
        ("raw bfloat16", raw_brain),
    ]
    .map(|(name, written)| (name, written.unwrap().0))
    .into()
}

/// Key, shape, dtype and the bytes of the values.
type LatentContent = (Option<String>, Vec<usize>, Dtype, Vec<u8>);

/// All that can be had of a file.
#[derive(Debug, PartialEq)]
struct Content {
    latents: Vec<LatentContent>,
    image: Option<Vec<u8>>,
    environment: Option<gen5::Environment>,
    metadata: gen5::Metadata,
    manifest: String,
    model_info: String,
}

fn decode(reader: &Reader) -> gen5::Result<Content> {
    let latents = reader.latents().map(|latent| {
        let mut bytes = Vec::new();
        latent.write_to(&mut bytes)?;
        Ok((latent.key().map(str::to_owned), latent.shape().to_vec(), latent.dtype(), bytes))
    });
    Ok(Content {
        latents: latents.collect::<gen5::Result<_>>()?,
        image: reader.image()?.map(std::borrow::Cow::into_owned),
        environment: reader.environment()?,
        metadata: reader.metadata()?,
        manifest: reader.manifest_json().to_owned(),
        model_info: reader.model_info_json().to_owned(),
    })
}

/// Reads in the ways that `decode` does not take, whatever comes of it.
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

/// Every length in short files; in long ones those at both ends, and some between.
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

/// A cut that the file header knows of, so that the table is what stops it.
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

/// What one byte at `at` becomes: its lowest bit flipped, its highest, and something else.
fn changed(byte: u8, at: usize) -> [u8; 3] {
    let other = (at as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3];
    let third = if [byte, byte ^ 1, byte ^ 0x80].contains(&other) { byte ^ 0x2a } else { other };
    [byte ^ 1, byte ^ 0x80, third]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Refused,
    Reported,
    Unchanged,
}

fn outcome(file: &[u8], content: &Content, what: &str) -> Outcome {
    let Ok(reader) = Reader::from_bytes(file.to_vec()) else { return Outcome::Refused };
    let found = decode(&reader);
    read_unchecked(&reader);
    if reader.verify().is_err() {
        return Outcome::Reported;
    }
    assert_eq!(found.as_ref().ok(), Some(content), "{what} went unnoticed: {:?}", found.as_ref().err());
    Outcome::Unchanged
}

/// Bytes of the file that belong to no chunk, the table or the header.
fn gaps(reader: &Reader, file: &[u8]) -> Vec<Range<usize>> {
    let table = u32::from_le_bytes(file[8..12].try_into().unwrap()) as usize;
    let mut gaps = Vec::new();
    let mut end = 32;
    for chunk in reader.chunks() {
        gaps.push(end..chunk.offset() as usize);
        end = (chunk.offset() + chunk.stored_size()) as usize;
    }
    gaps.push(end..table);
    gaps
}

#[test]
fn every_changed_byte_is_reported_or_without_effect() {
    for (name, file) in own() {
        let reader = Reader::from_bytes(file.clone()).unwrap();
        let content = decode(&reader).unwrap();
        let gaps = gaps(&reader, &file);
        let in_gap = |at: usize| gaps.iter().any(|gap| gap.contains(&at));
        let in_raw = |at: usize| {
            reader.chunks().iter().any(|chunk| {
                let range = chunk.offset() as usize..(chunk.offset() + chunk.stored_size()) as usize;
                !chunk.is_compressed() && range.contains(&at)
            })
        };
        let outcomes: Vec<(usize, Outcome)> = (0..file.len())
            .into_par_iter()
            .flat_map_iter(|at| changed(file[at], at).into_iter().map(move |byte| (at, byte)))
            .map(|(at, byte)| {
                let mut damaged = file.clone();
                damaged[at] = byte;
                (at, outcome(&damaged, &content, &format!("{name}: byte {at} as {byte:#04x}")))
            })
            .collect();

        let count = |wanted: Outcome| outcomes.iter().filter(|(_, outcome)| *outcome == wanted).count();
        let (refused, reported) = (count(Outcome::Refused), count(Outcome::Reported));
        let unchanged: Vec<usize> = outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == Outcome::Unchanged)
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(refused + reported + unchanged.len(), 3 * file.len(), "{name}");
        assert!(refused > 32 * 3 && reported > 0, "{name}: {refused} refused, {reported} reported");

        // The header and raw chunks have no byte without meaning, gaps no other.
        let expected: usize = 3 * gaps.iter().map(Range::len).sum::<usize>();
        let (gap, elsewhere): (Vec<usize>, Vec<usize>) = unchanged.into_iter().partition(|&at| in_gap(at));
        assert_eq!(gap.len(), expected, "{name}");
        assert!(elsewhere.iter().all(|&at| at >= 32 && !in_raw(at)), "{name}: {elsewhere:?}");
        // Some bits of a zstd frame are like a gap's, but few.
        assert!(elsewhere.len() * 200 <= file.len(), "{name}: {elsewhere:?}");
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
            let [open, ways @ ..] = all_ways(&path).map(|(_, reader)| {
                let reader = reader.ok()?;
                read_unchecked(&reader);
                Some((reader.verify().is_ok(), decode(&reader).ok()))
            });
            assert!(ways.iter().all(|way| *way == open), "{name}: byte {at} read in different ways");
        }
    }
}

/// The reference writes no checksum over the table, so a change in it may well go unnoticed.
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
