//! Files written by the reference are read here in every way, and written again.

use std::path::Path;

use gen5::{Array, Compression, Dtype, Environment, Reader, WriteOptions, f16};
use serde_json::Value;

use crate::description::{DescribedLatent, Description, describe_environment, load, save, sha256};
use crate::reference;

const FILES: usize = 120;

#[test]
fn files_written_there_decode_here() {
    let folder = tempfile::tempdir().unwrap();
    let encoded = reference::encode(folder.path(), FILES, 20_261_122);
    let descriptions = load(folder.path());
    assert_eq!((encoded.files, descriptions.len()), (FILES, FILES));
    let mut latents = 0;
    for description in &descriptions {
        let path = folder.path().join(&description.file);
        for (way, reader) in all_ways(&path) {
            let what = format!("{} by {way}", description.file);
            check(&reader.unwrap_or_else(|error| panic!("{what}: {error}")), description, &what);
        }
        latents += description.latents.len();
    }
    assert_eq!(latents, encoded.latents);
}

/// Opens a file in the three ways.
fn all_ways(path: &Path) -> [(&'static str, gen5::Result<Reader>); 3] {
    // SAFETY: nothing else touches the file while the test runs.
    #[allow(unsafe_code)]
    let mapped = unsafe { Reader::map(path) };
    [
        ("open", Reader::open(path)),
        ("map", mapped),
        ("bytes", Reader::from_bytes(std::fs::read(path).unwrap())),
    ]
}

fn check(reader: &Reader, expected: &Description, what: &str) {
    reader.verify().unwrap_or_else(|error| panic!("{what}: {error}"));
    let latents: Vec<DescribedLatent> = reader.latents().map(|latent| describe(&latent, what)).collect();
    assert_eq!(latents, expected.latents, "{what}");
    assert_eq!(reader.image().unwrap().as_deref().map(sha256), expected.image_sha256, "{what}");
    let environment = reader.environment().unwrap();
    assert_eq!(environment.as_ref().map(describe_environment), expected.environment, "{what}");

    let manifest: Value = serde_json::from_str(reader.manifest_json()).unwrap();
    let model_info: Value = serde_json::from_str(expected.model_info.get()).unwrap();
    assert_same(&manifest["gen5_metadata"]["model_info"], &model_info, what);
    let typed = serde_json::to_value(reader.metadata().unwrap().model_info()).unwrap();
    assert_same(&typed, &model_info, what);
}

/// The description of a latent. Every way to read it must give the same bytes.
fn describe(latent: &gen5::Latent, what: &str) -> DescribedLatent {
    let mut written = Vec::new();
    latent.write_to(&mut written).unwrap();
    let read: Vec<u8> = match latent.dtype() {
        Dtype::F16 => latent.read::<f16>().unwrap().iter().flat_map(|value| value.to_le_bytes()).collect(),
        _ => latent.read::<f32>().unwrap().iter().flat_map(|value| value.to_le_bytes()).collect(),
    };
    assert!(read == written, "{what}: latent {:?}", latent.key());
    DescribedLatent {
        key: latent.key().unwrap().to_owned(),
        dtype: latent.dtype().name().to_owned(),
        shape: latent.shape().to_vec(),
        sha256: sha256(&read),
    }
}

fn assert_same(found: &Value, expected: &Value, what: &str) {
    assert!(same_values(found, expected), "{what}: found {found}, expected {expected}");
}

/// Compares two JSON values; 7 and 7.0 are equal.
fn same_values(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.as_f64() == b.as_f64() && a.is_f64() != b.is_f64())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_values(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same_values(a, b)))
        }
        _ => a == b,
    }
}

#[test]
fn files_written_there_come_back_through_here() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let encoded = reference::encode(from.path(), FILES, 7);
    let descriptions = load(from.path());
    for (number, description) in descriptions.iter().enumerate() {
        let compression = if number % 2 == 0 { Compression::Raw } else { Compression::Zstd };
        let options = WriteOptions::new().compression(compression).part_size(Some(1000)).sync(false);
        let reader = Reader::open(from.path().join(&description.file)).unwrap();
        copy(&reader, options, &to.path().join(&description.file));
    }
    save(to.path(), &descriptions);
    let decoded = reference::decodes_strictly(to.path());
    assert_eq!((decoded.files, decoded.latents), (FILES, encoded.latents));
    assert!(decoded.parts > 100, "{}", decoded.parts);
}

fn copy(reader: &Reader, options: WriteOptions, path: &Path) {
    let mut writer = options.create(path).unwrap();
    for latent in reader.latents() {
        let (key, shape) = (latent.key().unwrap(), latent.shape());
        let written = match latent.dtype() {
            Dtype::F16 => writer.latents([Array::new(key, shape, &latent.read::<f16>().unwrap())]),
            _ => writer.latents([Array::new(key, shape, &latent.read::<f32>().unwrap())]),
        };
        written.unwrap();
    }
    if let Some(image) = reader.image().unwrap() {
        writer.image(&image).unwrap_or_else(|error| panic!("image of {}: {error}", path.display()));
    }
    if let Some(environment) = reader.environment().unwrap() {
        writer.environment(&Environment::new(environment.components().to_vec())).unwrap();
    }
    let summary = writer.finish(&reader.metadata().unwrap()).unwrap();
    assert_eq!(summary.notes, [""; 0], "{}", path.display());
}
