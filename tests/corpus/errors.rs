//! Every variant of the crate's errors is produced by a case of the corpus or by a function here.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};

use gen5::metadata::GenerationSettings;
use gen5::{Compression, Error, Limits, Metadata, ReadOptions, Reader, Version, WriteOptions};

use crate::case::in_turn;
use crate::good::{VALUES, good, raw};
use crate::run_all;
use crate::support::{Builder, Chunk, environment_json, metadata, open, variant_of};

/// The variants of an enum, parsed from `src/error.rs`. The enums are non-exhaustive, so a `match`
/// outside the crate cannot prove that it covers them all.
fn variants(name: &str) -> BTreeSet<String> {
    let source = include_str!("../../src/error.rs");
    let (_, rest) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = rest.split_once("\n}\n").unwrap();
    let names = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = names.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let names = names.map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default());
    names.map(str::to_owned).collect()
}

/// Bytes that change after 1,000 calls of `as_ref`.
struct Fickle {
    first: Vec<u8>,
    then: Vec<u8>,
    calls: AtomicUsize,
}

impl AsRef<[u8]> for Fickle {
    fn as_ref(&self) -> &[u8] {
        // Opening makes fewer calls than this.
        if self.calls.fetch_add(1, Ordering::Relaxed) < 1000 { &self.first } else { &self.then }
    }
}

/// The error of reading a good file whose bytes become `then` after it was opened.
fn when_it_becomes<T>(then: Vec<u8>, read: impl Fn(&Reader) -> gen5::Result<T>) -> Error {
    let bytes = Fickle { first: good().build(), then, calls: AtomicUsize::new(0) };
    let reader = Reader::from_bytes(bytes).unwrap();
    (0..2000).find_map(|_| read(&reader).err()).unwrap()
}

/// Errors of reading: files that change while they are open, and wrong requests.
fn of_reading() -> Vec<Error> {
    let reader = open(good().build());
    let a = reader.latent("a").unwrap();
    // These parts claim more memory than any machine has.
    let parts = (0..5000).map(|index| {
        Chunk::part("x", index, 5000, index, &[5000, 1], &[0.0]).compressed().record(move |record| {
            record["uncompressed_size"] = 4_294_967_292_u64.into();
            record["extra"]["shape"] = serde_json::json!([1, 1_073_741_823]);
            record["extra"]["part"]["shape"] = serde_json::json!([5000, 1_073_741_823]);
        })
    });
    let limits = Limits::default().latent_bytes(u64::MAX);
    let parts = ReadOptions::new().limits(limits).from_bytes(Builder::new(parts).build()).unwrap();
    let twice = open(Builder::new([raw("x"), raw("x")]).build());
    let large = open(Builder::new([Chunk::latent("x", &[1], &[1e9])]).build());
    // The padding keeps this file at least as long as the good one, wherever its table starts.
    let other = [Builder::new([raw("a"), raw("c").compressed()]).build(), vec![0; 100]].concat();
    vec![
        Reader::open("no/such/file").map(|_| ()).unwrap_err(),
        when_it_becomes(good().build()[..60].to_vec(), |reader| {
            reader.latent("a")?.write_to(&mut Vec::new())
        }),
        when_it_becomes(other, Reader::fingerprint),
        parts.latent("x").unwrap().read::<f32>().map(|_| ()).unwrap_err(),
        reader.latent("c").map(|_| ()).unwrap_err(),
        twice.latent("x").map(|_| ()).unwrap_err(),
        a.read::<gen5::f16>().map(|_| ()).unwrap_err(),
        a.rows(3..9).map(|_| ()).unwrap_err(),
        large.latent("x").unwrap().read_as::<gen5::f16>().unwrap_err(),
        gen5::Environment::from_json(&environment_json().replace("model=A", "model=B")).unwrap_err(),
    ]
}

/// Errors of writing.
fn of_writing() -> Vec<Error> {
    let mut out = Cursor::new(Vec::new());
    let mut writer = WriteOptions::new().to_writer(&mut out).unwrap();
    writer.latent("x", &[6], &VALUES).unwrap();
    let mut errors = vec![
        writer.latent("x", &[6], &VALUES).unwrap_err(),
        writer.latent("y", &[1], &[f32::NAN]).unwrap_err(),
    ];
    #[cfg(feature = "image")]
    errors.push(writer.image(b"\x89PNG\r\n\x1a\n and no more").unwrap_err());
    drop(writer.stream::<f32>("z", &[2]).unwrap());
    errors.push(writer.finish(&metadata()).map(|_| ()).unwrap_err());

    let settings = GenerationSettings::new(1, 0, "euler");
    errors.push(Metadata::builder("m", "1").settings(settings).build().unwrap_err());

    // A latent of 4 GiB - 4 bytes exceeds version 1.0 once its header is added. The size alone is
    // refused, so the test needs no values.
    let mut out = Cursor::new(Vec::new());
    let options = WriteOptions::new().max_version(Version::V1_0).compression(Compression::Raw);
    let mut writer = options.to_writer(&mut out).unwrap();
    errors.push(writer.stream::<f32>("x", &[(1 << 30) - 1]).map(|_| ()).unwrap_err());
    drop(writer);

    let cancelled = WriteOptions::new().cancel_when(|| true).to_writer(Cursor::new(Vec::new()));
    errors.push(cancelled.map(|_| ()).unwrap_err());

    let mut writer = WriteOptions::new().to_writer(Full(Cursor::new(Vec::new()))).unwrap();
    for key in ["a", "b"] {
        errors.push(writer.latent(key, &[6], &VALUES).unwrap_err());
    }
    errors.push(of_a_file_that_is_gone());
    errors
}

/// The error of replacing a file that was removed after it was read.
fn of_a_file_that_is_gone() -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    std::fs::write(&path, good().build()).unwrap();
    let reader = Reader::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    WriteOptions::new().create(&path).and_then(|writer| writer.rewrite(&reader, &metadata())).unwrap_err()
}

/// A sink with room for the file header only.
struct Full(Cursor<Vec<u8>>);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.position() {
            0..32 => self.0.write(bytes),
            _ => Err(std::io::ErrorKind::StorageFull.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::io::Seek for Full {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

/// Errors of borrowing.
fn of_borrowing() -> Vec<Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    std::fs::write(&path, good().build()).unwrap();
    let parts = [(0, 0, 4), (1, 4, 6)]
        .map(|(index, start, end)| Chunk::part("x", index, 2, start, &[6], &VALUES[start..end]));
    // Two addresses that differ by one byte cannot both be aligned.
    let shifted = [0, 1].map(|gap| open(Builder::new([raw("x").after_gap(&vec![0; gap])]).build()));
    let borrow = |reader: &Reader, key: &str| reader.slice::<f32>(key).map(|_| ()).err();
    let errors = [
        borrow(&open(good().build()), "b"),
        borrow(&open(Builder::new(parts).build()), "x"),
        borrow(&Reader::open(&path).unwrap(), "a"),
        borrow(&shifted[0], "x"),
        borrow(&shifted[1], "x"),
    ];
    errors.into_iter().flatten().collect()
}

#[test]
fn every_variant_of_an_error_is_produced() {
    let others = in_turn(|| [of_reading(), of_borrowing(), of_writing()]);
    let others: Vec<Error> = others.into_iter().flatten().collect();
    let errors = || run_all().iter().chain(&others);
    let produced: BTreeSet<String> = errors().map(variant_of).collect();
    let mut wanted = variants("Error");
    if !cfg!(feature = "image") {
        wanted.remove("Image");
    }
    assert_eq!(produced, wanted);

    let problems = errors().filter_map(|error| match error {
        Error::Frame { problem, .. } => Some(variant_of(problem)),
        _ => None,
    });
    assert_eq!(problems.collect::<BTreeSet<_>>(), variants("FrameProblem"));
    let reasons = errors().filter_map(|error| match error {
        Error::NotBorrowable { reason, .. } => Some(variant_of(reason)),
        _ => None,
    });
    assert_eq!(reasons.collect::<BTreeSet<_>>(), variants("NotBorrowable"));
}
