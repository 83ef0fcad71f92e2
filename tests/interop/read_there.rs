//! Files written here, decoded by the reference.

use std::path::Path;

use gen5::{Array, Compression, Dtype, Entry, Metadata, Reader, Version, WriteOptions, bf16, f16};

use crate::description::{
    DescribedLatent, Description, describe_environment, describe_model_info, save, sha256,
};
use crate::latents::{Contents, Latent, Options};
use crate::random::Random;
use crate::reference;

const FILES: usize = 320;

#[test]
fn files_written_here_decode_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut descriptions = Vec::new();
    let (mut latents, mut parts, mut cut_deep) = (0, 0, 0);
    for number in 0..FILES {
        let mut random = Random::new(number as u64);
        let options = Options::random(&mut random);
        let contents = options.random_contents(&mut random);
        let file = format!("here-{number:05}.gen5");
        let path = folder.path().join(&file);
        let summary = options.write(&mut random, &contents, &path);
        check_own_members(&path, &contents);
        let metadata = match number % 3 {
            0 => rewrite(&path, random.metadata()),
            _ => contents.metadata.clone(),
        };

        // Interleaved streams determine the order of chunks, so it comes from the summary.
        let find = |key: &str| contents.latents.iter().find(|latent| latent.key == key).unwrap();
        let describe = |latent: &Latent| latent.describe(&options);
        descriptions.push(Description {
            file,
            latents: summary
                .latents
                .iter()
                .map(|latent| describe(find(latent.key.as_deref().unwrap())))
                .collect(),
            image_sha256: contents.image.as_deref().map(sha256),
            model_info: describe_model_info(metadata.model_info()),
            environment: contents.environment.as_ref().map(describe_environment),
        });
        assert_eq!(summary.latents.len(), contents.latents.len());
        latents += summary.latents.len();
        for latent in summary.latents.iter().filter(|latent| latent.parts > 1) {
            parts += latent.parts;
            cut_deep += usize::from(latent.shape[0] == 1);
        }
    }
    save(folder.path(), &descriptions);
    let decoded = reference::decodes_strictly(folder.path());
    assert_eq!((decoded.files, decoded.latents, decoded.parts), (FILES, latents, parts));
    assert!(
        parts > 100 && cut_deep > 20,
        "{parts} parts, {cut_deep} latents cut along an axis behind the first"
    );
}

/// These latents shrink, so `Auto` compresses them and cuts them into parts.
#[test]
fn what_auto_compresses_decodes_there() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = Random::new(1).metadata();
    let values: Vec<f32> = (0..20_000).map(|n| ((n * 7 % 40) / 10) as f32).collect();
    let half: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    let shape = [1, 40, 20, 25];
    let mut descriptions = Vec::new();
    for part_size in [None, Some(20_000), Some(9000)] {
        let file = format!("{part_size:?}.gen5");
        let options = WriteOptions::new().part_size(part_size).sync(false);
        let mut writer = options.create(folder.path().join(&file)).unwrap();
        let mut stream = writer.stream::<f16>("stream", &shape).unwrap();
        half.chunks(777).for_each(|values| stream.push(values).unwrap());
        stream.finish().unwrap();
        writer.latent("latent", &shape, &values).unwrap();
        let summary = writer.finish(&metadata).unwrap();
        for latent in &summary.latents {
            assert!(latent.compressed && (latent.parts > 1) == part_size.is_some(), "{latent:?}");
        }
        let latent = |key: &str, dtype: &str, bytes: Vec<u8>| DescribedLatent {
            key: key.to_owned(),
            dtype: dtype.to_owned(),
            shape: shape.into(),
            sha256: sha256(&bytes),
        };
        let half = half.iter().flat_map(|value| value.to_le_bytes()).collect();
        let single = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        descriptions.push(Description {
            file,
            latents: vec![latent("stream", "float16", half), latent("latent", "float32", single)],
            image_sha256: None,
            model_info: describe_model_info(metadata.model_info()),
            environment: None,
        });
    }
    save(folder.path(), &descriptions);
    let decoded = reference::decodes_strictly(folder.path());
    assert_eq!((decoded.files, decoded.latents), (3, 6));
    assert!(decoded.parts > 20, "{}", decoded.parts);
}

/// Converts a 1.1 file to 1.0 latent by latent, as `gen5 repack --compatible` does.
#[test]
fn files_of_1_1_made_1_0_decode_there() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = Random::new(2).metadata();
    let single: Vec<f32> = (0..6400).map(|n| (n as f32 * 0.37).sin()).collect();
    let half: Vec<f16> = single.iter().map(|&value| f16::from_f32(value)).collect();
    let brain: Vec<bf16> = single.iter().map(|&value| bf16::from_f32(value)).collect();
    let shape = [4, 4, 20, 20];
    let before = folder.path().join("new.gen5");
    let options = WriteOptions::new().part_size(Some(4000)).sync(false);
    let mut writer = options.clone().create(&before).unwrap();
    let shuffled = |key: &str| Entry::new(key).compression(Compression::Shuffled);
    writer
        .latents([
            Array::new(shuffled("single"), &shape, &single),
            Array::new(shuffled("half"), &shape, &half),
            Array::new("brain", &shape, &brain),
        ])
        .unwrap();
    writer.finish(&metadata).unwrap();
    let before = Reader::open(before).unwrap();
    assert_eq!(before.version(), Version::V1_1);

    let mut writer = options.max_version(Version::V1_0).create(folder.path().join("old.gen5")).unwrap();
    for latent in before.latents() {
        let entry = Entry::from(&latent).compression(Compression::Zstd);
        match latent.dtype() {
            Dtype::F16 => writer.latent(entry, &shape, &latent.read::<f16>().unwrap()),
            Dtype::BF16 => writer.latent(entry.dtype(Dtype::F32), &shape, &latent.read::<bf16>().unwrap()),
            _ => writer.latent(entry, &shape, &latent.read::<f32>().unwrap()),
        }
        .unwrap();
    }
    let summary = writer.finish_like(&before, before.model_info_json()).unwrap();
    assert_eq!(summary.version, Version::V1_0);

    let widened: Vec<f32> = brain.iter().map(|value| value.to_f32()).collect();
    let latent = |key: &str, dtype: &str, bytes: &[u8]| DescribedLatent {
        key: key.to_owned(),
        dtype: dtype.to_owned(),
        shape: shape.into(),
        sha256: sha256(bytes),
    };
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let half: Vec<u8> = half.iter().flat_map(|value| value.to_le_bytes()).collect();
    let description = Description {
        file: "old.gen5".into(),
        latents: vec![
            latent("single", "float32", &bytes(&single)),
            latent("half", "float16", &half),
            latent("brain", "float32", &bytes(&widened)),
        ],
        image_sha256: None,
        model_info: describe_model_info(metadata.model_info()),
        environment: None,
    };
    save(folder.path(), &[description]);
    let decoded = reference::decodes_strictly(folder.path());
    assert_eq!((decoded.files, decoded.latents), (1, 3));
}

/// Replaces the metadata of a file, and returns it.
fn rewrite(path: &Path, metadata: Metadata) -> Metadata {
    let before = Reader::open(path).unwrap();
    WriteOptions::new()
        .sync(false)
        .create(path)
        .and_then(|writer| writer.rewrite(&before, &metadata))
        .unwrap();
    let after = Reader::open(path).unwrap();
    assert_eq!(after.metadata().unwrap(), metadata);
    after.verify().unwrap();
    metadata
}

/// Checks members that only this crate knows. The reference ignores them, so they are read back
/// here.
fn check_own_members(path: &Path, contents: &Contents) {
    let reader = Reader::open(path).unwrap();
    assert_eq!(reader.metadata().unwrap(), contents.metadata, "{}", path.display());
    for latent in &contents.latents {
        let read = reader.latent(&latent.key).unwrap();
        assert_eq!(read.extra(), Some(&latent.extra), "{}: latent {:?}", path.display(), latent.key);
    }
}
