//! Files rewritten with other metadata: everything else stays the same.

use std::fs;
use std::path::Path;

use gen5::metadata::Extra;
use gen5::{Compression, Error, Metadata, Reader, Version, WriteOptions, bf16};
use serde_json::{Value, json};

use super::support::{Builder, Chunk, all_ways, data, environment, metadata, noise, write};

/// Metadata that differs from that of all files here.
fn other() -> Metadata {
    let model = Metadata::builder("another model", "9").date("2026-11-24T00:00:00+00:00");
    model.prompt("other \"words\"\n🐈").tag("new").build().unwrap()
}

/// The JSON text of the records.
fn records(reader: &Reader) -> String {
    let part = |text: &str, name: &str| {
        let mut members: Extra = serde_json::from_str(text).unwrap();
        members.remove(name).unwrap()
    };
    part(&part(reader.manifest_json(), "gen5_metadata"), "chunks")
}

/// Asserts that `path` is the file `before` with other metadata and no other change.
fn assert_rewritten(before: &Reader, path: &Path) {
    let bytes = fs::read(path).unwrap();
    for (way, reader) in all_ways(path) {
        let reader = reader.unwrap();
        assert_eq!(reader.metadata().unwrap().model_info(), other().model_info(), "{way}");
        assert_eq!(records(&reader), records(before), "{way}");
        assert_eq!(reader.version(), before.version(), "{way}");
        for index in 0..before.chunks().len() {
            assert_eq!(
                reader.payload(index).unwrap(),
                before.payload(index).unwrap(),
                "{way}, chunk {index}"
            );
        }
        reader.verify().unwrap();
        assert_ne!(reader.fingerprint().unwrap(), before.fingerprint().unwrap());
        let manifest: Value = serde_json::from_str(reader.manifest_json()).unwrap();
        let info = &manifest["gen5_metadata"]["file_info"];
        assert_eq!(info["file_size"], json!(bytes.len()), "{way}");
        assert_eq!(info["version_minor"], json!(before.version().minor), "{way}");
    }
}

#[test]
fn everything_but_the_metadata_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.gen5");
    for name in [
        "many.gen5",
        "no_image.gen5",
        "raw_f16.gen5",
        "raw_mixed_misaligned.gen5",
        "unicode.gen5",
        "zstd_f32.gen5",
    ] {
        for (_, before) in all_ways(&data(name)) {
            let before = before.unwrap();
            let written = WriteOptions::new()
                .create(&path)
                .and_then(|writer| writer.rewrite(&before, &other()))
                .unwrap();
            assert_eq!(written.file_size, fs::metadata(&path).unwrap().len());
            assert_eq!(written.version, Version::V1_0);
            assert_rewritten(&before, &path);
        }
    }
}

#[test]
fn a_file_that_is_open_is_rewritten_as_one_at_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let [path, open] = ["path.gen5", "open.gen5"].map(|name| folder.path().join(name));
    fs::write(&open, [0xee; 100_000]).unwrap();
    let before = Reader::open(data("many.gen5")).unwrap();
    let written =
        WriteOptions::new().create(&path).and_then(|writer| writer.rewrite(&before, &other())).unwrap();
    let file = fs::File::options().write(true).open(&open).unwrap();
    assert_eq!(
        WriteOptions::new().to_file(file).and_then(|writer| writer.rewrite(&before, &other())).unwrap(),
        written
    );
    assert!(fs::read(&open).unwrap() == fs::read(&path).unwrap());
}

#[test]
fn kinds_of_1_1_and_unknown_chunks_are_carried() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.gen5");
    let (bfloat16, _) =
        write(WriteOptions::new(), |writer| writer.latent("a", &[3], &[bf16::ONE; 3])).unwrap();
    let (plain, _) = write(WriteOptions::new(), |writer| {
        writer.latent("a", &[3], &[1.0, 2.0, 3.0_f32])?;
        writer.environment(&environment())
    })
    .unwrap();
    let unknown = |minor| {
        let chunks = [
            Chunk::raw("XTRA", b"abcd", b"anything", json!({"note": 1.50})),
            Chunk::latent("x", &[1], &[1.0]),
        ];
        Builder::new(chunks).minor(minor).build()
    };
    let apart = Builder::new([
        Chunk::latent("x", &[1], &[1.0]).after_gap(&[0; 52]),
        Chunk::latent("y", &[1], &[1.0]).after_gap(&[0; 5000]),
    ]);
    for (file, version) in [
        (bfloat16, Version::V1_1),
        (plain, Version::V1_0),
        (unknown(0), Version::V1_0),
        (unknown(1), Version::V1_1),
        (apart.build(), Version::V1_0),
    ] {
        let before = Reader::from_bytes(file).unwrap();
        assert_eq!(before.version(), version);
        WriteOptions::new().create_new(&path).and_then(|writer| writer.rewrite(&before, &other())).unwrap();
        assert_rewritten(&before, &path);
        fs::remove_file(&path).unwrap();
    }
}

/// The lowest version that can hold the contents is written, even if the original had a higher one.
#[test]
fn the_lowest_version_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.gen5");
    let large = Builder::new([Chunk::latent("x", &[1], &[1.0])]).minor(1).large().build();
    let before = Reader::from_bytes(large).unwrap();
    assert_eq!(before.version(), Version::V1_1);
    WriteOptions::new().create(&path).and_then(|writer| writer.rewrite(&before, &other())).unwrap();
    let after = Reader::open(&path).unwrap();
    assert_eq!(after.version(), Version::V1_0);
    assert_eq!(after.latent("x").unwrap().read::<f32>().unwrap()[..], [1.0]);
    after.verify().unwrap();
}

#[test]
fn a_file_is_replaced_while_it_is_mapped_and_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.gen5");
    fs::copy(data("raw_f32.gen5"), &path).unwrap();
    // SAFETY: the file is replaced, not changed, and nothing else touches the folder.
    #[allow(unsafe_code)]
    let mapped = unsafe { Reader::map(&path) }.unwrap();
    let latent = mapped.latents().next().unwrap();
    let before = latent.read::<f32>().unwrap().into_owned();
    let mut sizes = Vec::new();
    for _ in 0..5 {
        let reader = Reader::open(&path).unwrap();
        WriteOptions::new().create(&path).and_then(|writer| writer.rewrite(&reader, &other())).unwrap();
        sizes.push(fs::metadata(&path).unwrap().len());
    }
    assert_eq!(latent.read::<f32>().unwrap()[..], before);
    assert!(sizes.iter().all(|size| *size == sizes[0]), "it grows: {sizes:?}");
    assert_rewritten(&mapped, &path);
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["run.gen5"]);
}

#[test]
fn members_that_nobody_knows_stay_as_they_are_spelled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.gen5");
    let builder = || Builder::new([Chunk::latent("x", &[1], &[1.0])]);
    let file = builder().text(|text| {
        let all = String::from_utf8(text.clone()).unwrap();
        let all = all.replace("\"gen5_metadata\":", "\"beside\":1.50,\"gen5_metadata\":");
        *text = all
            .replace("\"file_info\":{", "\"in\":[1e2, \"\\u00e9\"],\"file_info\":{\"own\":0.10,")
            .into_bytes();
    });
    let before = Reader::from_bytes(file.build()).unwrap();
    WriteOptions::new().create(&path).and_then(|writer| writer.rewrite(&before, &other())).unwrap();
    assert_rewritten(&before, &path);
    let text = Reader::open(&path).unwrap().manifest_json().to_owned();
    for kept in ["\"beside\":1.50", "\"in\":[1e2, \"\\u00e9\"]", "\"own\":0.10"] {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }

    // Invalid JSON in the replaced metadata may be repaired; the kept members must be valid JSON.
    let file = builder().replace("\"seed\":7", "\"seed\":NaN").build();
    let before = Reader::from_bytes(file).unwrap();
    before.metadata().unwrap_err();
    WriteOptions::new().create(&path).and_then(|writer| writer.rewrite(&before, &other())).unwrap();
    assert_rewritten(&Reader::from_bytes(builder().build()).unwrap(), &path);
    let file = builder().replace("\"gen5_metadata\":", "\"loss\":NaN,\"gen5_metadata\":").build();
    let before = Reader::from_bytes(file).unwrap();
    let there = fs::read(&path).unwrap();
    let error =
        WriteOptions::new().create(&path).and_then(|writer| writer.rewrite(&before, &other())).unwrap_err();
    assert!(matches!(error, Error::Metadata { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), there);
}

#[test]
fn what_is_there_is_kept_by_rewrite_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.gen5");
    fs::write(&path, "mine").unwrap();
    let reader = Reader::open(data("raw_f32.gen5")).unwrap();
    let error = WriteOptions::new()
        .create_new(&path)
        .and_then(|writer| writer.rewrite(&reader, &metadata()))
        .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn what_has_to_be_compatible_is_refused_if_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    let (file, _) = write(WriteOptions::new(), |writer| writer.latent("x", &[2], &[bf16::ONE; 2])).unwrap();
    let reader = Reader::from_bytes(file).unwrap();
    let error = WriteOptions::new()
        .max_version(Version::V1_0)
        .create(&path)
        .and_then(|writer| writer.rewrite(&reader, &other()))
        .unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    assert!(error.to_string().contains("version 1.1"), "{error}");
    assert!(!path.exists());
}

/// The values exceed the size of one copied block.
#[test]
fn large_files_are_copied_block_by_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.gen5");
    let values = noise(3, 900_000);
    let (bytes, _) = write(WriteOptions::new().compression(Compression::Raw), |writer| {
        writer.latent("x", &[values.len()], &values)
    })
    .unwrap();
    let before = Reader::from_bytes(bytes).unwrap();
    WriteOptions::new().create(&path).and_then(|writer| writer.rewrite(&before, &other())).unwrap();
    assert_rewritten(&before, &path);
}
