//! Readers that share an open file or iterate over it, and errors on opening.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gen5::chunk::ChunkType;
use gen5::{Array, Compression, Error, ReadOptions, Reader, Version, WriteOptions, Writer};

use crate::support::{metadata, noise, open, write};

fn file() -> Vec<u8> {
    let values = noise(3, 5000);
    let options = WriteOptions::new().compression(Compression::Zstd).part_size(Some(4000));
    write(options, |writer| {
        writer.latents([
            Array::new(gen5::Entry::new("raw").compression(Compression::Raw), &[5000], &values),
            Array::new("parts", &[5, 1000], &values),
        ])
    })
    .unwrap()
    .0
}

#[test]
fn a_reader_is_cancelled_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    std::fs::write(&path, file()).unwrap();
    let reader = Reader::open(&path).unwrap();
    let cancelled = reader.with_cancel(|| true);
    for key in ["raw", "parts"] {
        let error = cancelled.latent(key).unwrap().read::<f32>().unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{error}");
        assert_eq!(reader.latent(key).unwrap().read::<f32>().unwrap().len(), 5000);
        // A reader derived from the cancelled one gets a new function.
        let free = cancelled.with_cancel(|| false);
        assert_eq!(free.latent(key).unwrap().read::<f32>().unwrap().len(), 5000);
    }
    assert!(matches!(cancelled.verify(), Err(Error::Cancelled)));
    assert!(matches!(cancelled.payload(0), Err(Error::Cancelled)));
    let latent = reader.latent("parts").unwrap();
    assert!(matches!(latent.with_cancel(|| true).read::<f32>(), Err(Error::Cancelled)));
    reader.verify().unwrap();
}

#[test]
fn reads_report_each_byte_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    std::fs::write(&path, file()).unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let reported = || count.swap(0, Ordering::Relaxed);
    let counter = Arc::clone(&count);
    let reader = Reader::open(&path)
        .unwrap()
        .with_progress(move |bytes| _ = counter.fetch_add(bytes, Ordering::Relaxed));
    for key in ["raw", "parts"] {
        let latent = reader.latent(key).unwrap();
        latent.read::<f32>().unwrap();
        assert_eq!(reported(), 20_000, "{key}");
        latent.read_bytes().unwrap();
        assert_eq!(reported(), 20_000, "{key}");
        latent.write_to(&mut io::sink()).unwrap();
        assert_eq!(reported(), 20_000, "{key}");
        latent.rows(1..3).unwrap().read::<f32>().unwrap();
        assert_eq!(reported(), latent.rows(1..3).unwrap().payload_size(), "{key}");
    }
    reader.load_all().unwrap();
    assert_eq!(reported(), 40_000);
    reader.verify().unwrap();
    assert_eq!(reported(), 40_000);
    let counter = Arc::new(AtomicU64::new(0));
    let own = Arc::clone(&counter);
    let rows = reader.latent("raw").unwrap().rows(0..2).unwrap();
    rows.with_progress(move |bytes| _ = own.fetch_add(bytes, Ordering::Relaxed)).read::<f32>().unwrap();
    assert_eq!((reported(), counter.load(Ordering::Relaxed)), (0, 8));
    let counter = Arc::clone(&count);
    let options = ReadOptions::new().progress(move |bytes| _ = counter.fetch_add(bytes, Ordering::Relaxed));
    options.from_bytes(file()).unwrap().latent("parts").unwrap().read::<f32>().unwrap();
    assert_eq!(reported(), 20_000);
}

#[test]
fn latents_are_iterated_from_both_ends() {
    let reader = open(file());
    let keys = |latents: &mut dyn Iterator<Item = gen5::Latent>| {
        latents.map(|latent| latent.key().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&mut reader.latents()), ["raw", "parts"]);
    assert_eq!(keys(&mut reader.latents().rev()), ["parts", "raw"]);
    assert_eq!(keys(&mut (&reader).into_iter().skip(1)), ["parts"]);
    assert_eq!(reader.latents().len(), 2);
    let mut latents = reader.latents();
    latents.next();
    assert_eq!(latents.len(), 1);
    assert!(latents.nth(1).is_none() && latents.next().is_none());
}

/// The same file, opened and mapped.
#[test]
fn what_is_borrowable_is_borrowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    std::fs::write(&path, file()).unwrap();
    // SAFETY: nothing changes the file while it is mapped.
    #[allow(unsafe_code)]
    let mapped = unsafe { Reader::map(&path) }.unwrap();
    for reader in [Reader::open(&path).unwrap(), mapped] {
        for latent in &reader {
            assert_eq!(latent.is_borrowable(), latent.as_slice::<f32>().is_ok(), "{latent:?}");
        }
    }
}

#[test]
fn a_file_that_is_open_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    std::fs::write(&path, file()).unwrap();
    let reader = Reader::from_file(std::fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.latents().len(), 2);
    reader.verify().unwrap();
}

/// The system's error is the source, and its text is printed only once.
#[test]
fn the_cause_of_an_io_error_is_in_its_chain_once() {
    let error = Reader::open("no such folder/x.gen5").unwrap_err();
    assert_eq!(error.to_string(), "could not open no such folder/x.gen5");
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
    assert!(!error.to_string().contains(&source.to_string()));
    assert_eq!(format!("{error:#}"), format!("{error}: {source}"));
    assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
    assert_eq!(error.path().unwrap(), "no such folder/x.gen5");
    assert!(error.place().is_none());
}

#[test]
fn the_place_of_damage_has_parts() {
    let mut damaged = file();
    let chunk = open(file()).chunks()[0].clone();
    damaged[usize::try_from(chunk.offset()).unwrap() + 12] ^= 1;
    let error = open(damaged).verify().unwrap_err();
    let place = error.place().unwrap();
    assert_eq!((place.chunk(), place.offset()), (Some(0), Some(chunk.offset())));
    assert_eq!((place.kind(), place.key()), (Some(ChunkType::LATENT), Some("raw")));
    assert!(error.path().is_none() && error.io_kind().is_none());
}

#[test]
fn only_an_empty_writer_rewrites() {
    let reader = open(file());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    let mut writer = Writer::create(&path).unwrap();
    writer.latent("a", &[1], &[1.0_f32]).unwrap();
    let error = writer.rewrite(&reader, &metadata()).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    let mut writer = Writer::create(&path).unwrap();
    let _stream = writer.stream::<f32>("a", &[1]).unwrap();
    let error = writer.rewrite(&reader, &metadata()).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    assert!(!path.exists());
    Writer::create(&path).unwrap().rewrite(&reader, &metadata()).unwrap();
    assert_eq!(Reader::open(&path).unwrap().latents().len(), 2);
}

#[test]
fn a_version_that_nothing_writes_is_refused() {
    for version in ["0.9", "1.2", "2.0"] {
        let options = WriteOptions::new().max_version(version.parse().unwrap());
        let error = options.to_writer(io::Cursor::new(Vec::new())).unwrap_err();
        assert_eq!(error.to_string(), format!("max_version: expected 1.0 or 1.1, found {version}"));
    }
    assert!(WriteOptions::new().max_version(Version::V1_0).to_writer(io::Cursor::new(Vec::new())).is_ok());
}

/// One chunk of a latent is read in one piece, and still stops.
#[test]
fn one_large_chunk_is_cancelled_within() {
    let values = noise(5, 3 << 20);
    let options = WriteOptions::new().compression(Compression::Zstd).level(1).part_size(None);
    let (file, _) = write(options, |writer| writer.latent("x", &[3 << 20], &values)).unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let reader = open(file).with_cancel(move || counter.fetch_add(1, Ordering::Relaxed) >= 10);
    let error = reader.latent("x").unwrap().read::<f32>().unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(calls.load(Ordering::Relaxed) < 20);
}

#[test]
fn a_hash_that_is_checked_on_borrowing_can_be_cancelled() {
    let (file, _) =
        write(WriteOptions::new(), |writer| writer.latent("x", &[5000], &noise(3, 5000))).unwrap();
    let reader = ReadOptions::new().check_hashes(true).cancel_when(|| true).from_bytes(file).unwrap();
    assert!(matches!(reader.latent("x").unwrap().as_slice::<f32>(), Err(Error::Cancelled)));
}

/// A cancelled writer is the caller's doing, also in later calls.
#[test]
fn what_ended_a_writer_is_known_later() {
    let options = WriteOptions::new().cancel_when(|| true);
    let error = options.to_writer(io::Cursor::new(Vec::new())).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let options = WriteOptions::new().cancel_when(move || counter.fetch_add(1, Ordering::Relaxed) > 0);
    let mut writer = options.to_writer(io::Cursor::new(Vec::new())).unwrap();
    assert!(matches!(writer.latent("a", &[1], &[1.0_f32]), Err(Error::Cancelled)));
    let later = writer.latent("b", &[1], &[1.0_f32]).unwrap_err();
    assert!(matches!(later, Error::WriterFailed { .. }), "{later}");
    assert_eq!(later.fault(), gen5::error::Fault::Caller);
}

#[test]
fn an_environment_is_json_and_back() {
    let environment = crate::support::environment();
    let json = environment.to_json().unwrap();
    assert_eq!(gen5::Environment::from_json(&json).unwrap(), environment);
}
