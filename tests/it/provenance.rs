//! Fingerprints and drift, which show whether a file or the environment has changed.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Mutex;

use gen5::chunk::Digest;
use gen5::environment::{Comparison, Component};
use gen5::error::Place;
use gen5::{Compression, Environment, Error, Reader, WriteOptions};
use sha2::{Digest as _, Sha256};

use super::support::{Builder, Chunk, all_ways, data, environment, frame_by_hand, write};

/// Computes the fingerprint from the bytes alone, as `docs/provenance.md` defines it.
fn expected(file: &[u8]) -> String {
    let table = u32::from_le_bytes(file[8..12].try_into().unwrap()) as usize;
    let mut hasher = Sha256::new();
    hasher.update(&file[..32]);
    hasher.update(&file[table..]);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_fingerprint_is_the_digest_of_header_and_table() {
    for name in ["raw_f32.gen5", "zstd_f16.gen5", "unicode.gen5"] {
        let path = data(name);
        let expected = expected(&fs::read(&path).unwrap());
        for (way, reader) in all_ways(&path) {
            assert_eq!(reader.unwrap().fingerprint().unwrap().to_string(), expected, "{name} by {way}");
        }
    }
}

#[test]
fn a_fingerprint_changes_with_any_value() {
    let fingerprint = |value: f32| {
        let (bytes, _) =
            write(WriteOptions::new(), |writer| writer.latent("a", &[2], &[1.0, value])).unwrap();
        Reader::from_bytes(bytes).unwrap().fingerprint().unwrap()
    };
    assert_eq!(fingerprint(2.0), fingerprint(2.0));
    assert_ne!(fingerprint(2.0), fingerprint(2.5));
}

/// The fingerprint must be that of the opened file, not of a later one.
#[test]
fn a_file_that_was_rewritten_since_has_no_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.gen5");
    let (bytes, _) = write(WriteOptions::new(), |writer| writer.latent("a", &[2], &[1.0, 2.0_f32])).unwrap();
    let table = u64::from(u32::from_le_bytes(bytes[8..12].try_into().unwrap()));
    for (at, place) in [(24, Place::Header), (table + 20, Place::Table { offset: table })] {
        fs::write(&path, &bytes).unwrap();
        let reader = Reader::open(&path).unwrap();
        reader.fingerprint().unwrap();
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[bytes[at as usize] ^ 1]).unwrap();
        let error = reader.fingerprint().unwrap_err();
        assert!(matches!(&error, Error::Rewritten { place: found, .. } if *found == place), "{error}");
    }
}

/// The other table is equally sound, at the same offset and of the same length.
#[test]
fn a_file_with_another_sound_table_has_no_fingerprint_either() {
    let of = |tag: &str| {
        let stored = |meta: &[u8]| frame_by_hand(meta.len() as u64, 20, meta);
        let manifest = |manifest: &mut serde_json::Value| {
            manifest["gen5_metadata"]["model_info"]["prompt"] = tag.into();
        };
        Builder::new([Chunk::latent("a", &[1], &[1.0])]).manifest(manifest).table(stored).build()
    };
    let (first, second) = (of("a cat"), of("a dog"));
    assert!(first.len() == second.len() && first != second);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.gen5");
    fs::write(&path, first).unwrap();
    let reader = Reader::open(&path).unwrap();
    reader.fingerprint().unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(&second).unwrap();
    assert!(matches!(reader.fingerprint(), Err(Error::Rewritten { place: Place::Table { .. }, .. })));
}

#[test]
fn digests_of_components_are_checked_on_reading() {
    let good = Environment::new([Component::new("torch", "name=torch;version=2")]);
    let (bytes, _) = write(WriteOptions::new(), |writer| writer.environment(&good)).unwrap();
    let reader = Reader::from_bytes(bytes).unwrap();
    assert_eq!(reader.environment().unwrap().unwrap(), good);
    let json = String::from_utf8(reader.environment_json().unwrap().unwrap().into_owned()).unwrap();
    let altered = json.replace("version=2", "version=3");
    assert_ne!(json, altered);
    let error = Environment::from_json(&altered).unwrap_err();
    let Error::ComponentDigest { id, expected, found, .. } = error else { panic!("{error}") };
    assert_eq!((&*id, &*expected), ("torch", &*Digest::of(b"name=torch;version=2").to_string()));
    assert_eq!(*found, *Digest::of(b"name=torch;version=3").to_string());
}

/// The logged lines, with their levels.
static LOGGED: Mutex<Vec<(log::Level, String)>> = Mutex::new(Vec::new());

struct Collect;

impl log::Log for Collect {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("gen5") {
            LOGGED.lock().unwrap().push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

#[test]
fn drift_is_logged_on_request_alone() {
    log::set_logger(&Collect).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let file = Environment::new([Component::new("os", "A")]);
    let current = Environment::new([Component::new("os", "B"), Component::new("gpu", "C")]);
    let drift = Comparison { file: &file, current: &current }.drift();
    assert_eq!(*LOGGED.lock().unwrap(), []);
    assert_eq!(Comparison { file: &file, current: &current }.log_drift(), drift);
    let expected = [
        (log::Level::Warn, "Environment component 'os' differs:\n  File: A\n  Current: B".to_owned()),
        (log::Level::Info, "Environment component 'gpu' missing in file".to_owned()),
    ];
    assert_eq!(*LOGGED.lock().unwrap(), expected);
}

/// The environment is always compressed, as in files of the reference, even when it is tiny.
#[test]
fn the_environment_is_compressed() {
    for environment in [Environment::default(), environment()] {
        let (file, _) = write(WriteOptions::new().compression(Compression::Raw), |writer| {
            writer.environment(&environment)
        })
        .unwrap();
        let reader = Reader::from_bytes(file).unwrap();
        assert!(reader.chunks()[0].is_compressed());
        assert_eq!(reader.environment().unwrap().unwrap(), environment);
    }
}
