//! Files of version 1.1, which the reference does not know. It must refuse each of them without
//! help, since wrong latents would otherwise go unnoticed.

use std::path::{Path, PathBuf};

use gen5::{Compression, Dtype, Element, Metadata, Reader, Version, WriteOptions, bf16, f16};

use crate::reference;

fn metadata() -> Metadata {
    Metadata::builder("m", "1").prompt("p").build().unwrap()
}

/// Writes a file with one latent of four axes, the shape that the reference expects.
fn write<T: Element>(folder: &Path, name: &str, options: WriteOptions, values: &[T]) -> PathBuf {
    let path = folder.join(name);
    let mut writer = options.sync(false).create(&path).unwrap();
    writer.latent("x", &[1, 4, 8, values.len() / 32], values).unwrap();
    writer.finish(&metadata()).unwrap();
    path
}

#[test]
fn what_is_new_in_1_1_is_refused_there() {
    let folder = tempfile::tempdir().unwrap();
    let single: Vec<f32> = (0..4096).map(|n| (n as f32 * 0.37).sin()).collect();
    let half: Vec<f16> = single.iter().map(|&value| f16::from_f32(value)).collect();
    let brain: Vec<bf16> = single.iter().map(|&value| bf16::from_f32(value)).collect();
    let options = |compression| WriteOptions::new().compression(compression);
    let shuffled = || options(Compression::Shuffled);
    let new = [
        write(folder.path(), "bf16 raw", options(Compression::Raw), &brain),
        write(folder.path(), "bf16 zstd", options(Compression::Zstd), &brain),
        write(folder.path(), "bf16 in parts", options(Compression::Zstd).part_size(Some(2048)), &brain),
        write(folder.path(), "f16s", shuffled(), &half),
        write(folder.path(), "f16s of float32", shuffled().dtype(Dtype::F16), &single),
        write(folder.path(), "f32s", shuffled(), &single),
        write(folder.path(), "f32s in parts", shuffled().part_size(Some(2048)), &single),
        write(folder.path(), "b16s", shuffled(), &brain),
    ];
    for (path, verdict) in new.iter().zip(reference::refuses(&new)) {
        assert_eq!(Reader::open(path).unwrap().version(), Version::V1_1);
        assert!(verdict.refused, "{}", path.display());
        let error = verdict.error.unwrap();
        assert!(error.contains("Unknown dtype flag"), "{}: {error}", path.display());
    }
    // The same values in files of 1.0 are accepted.
    let old = [
        write(folder.path(), "raw", options(Compression::Raw), &single),
        write(folder.path(), "zstd", options(Compression::Zstd), &half),
        write(folder.path(), "rounded", options(Compression::Raw).dtype(Dtype::F16), &brain),
    ];
    for (path, verdict) in old.iter().zip(reference::refuses(&old)) {
        assert!(!verdict.refused, "{}: {verdict:?}", path.display());
    }
}

/// A file over 4 GiB, mostly a hole, so it takes only a few pages on disk. At 2^32 - 1, where the
/// reference looks for a table, lies one that it could read.
#[cfg(target_os = "linux")]
#[test]
fn a_large_file_is_refused_there() {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    let folder = tempfile::tempdir().unwrap();
    let values = [1.0_f32; 64];
    let path = write(folder.path(), "small", WriteOptions::new().compression(Compression::Raw), &values);
    let small = std::fs::read(&path).unwrap();
    let manifest = Reader::open(&path).unwrap().manifest_json().to_owned();
    assert!(manifest.contains("\"version_minor\":0"));
    let manifest = manifest.replace("\"version_minor\":0", "\"version_minor\":1");
    let mut table = b"META0000".to_vec();
    table.extend((manifest.len() as u32).to_le_bytes());
    table.extend(manifest.as_bytes());
    let table = zstd::bulk::compress(&table, 3).unwrap();

    let (trap, end) = (u64::from(u32::MAX), (4_u64 << 30) + (1 << 20));
    let write_large = |name: &str, table_size: u32| {
        let path = folder.path().join(name);
        let file = File::create(&path).unwrap();
        let put = |bytes: &[u8], at: u64| file.write_all_at(bytes, at).unwrap();
        put(&small[..small.len() - 100], 0); // the latent; the rest of the table is not needed
        put(&table, trap);
        put(&table, end);
        put(b"GEN5\x01\x01\x01\0\xff\xff\xff\xff", 0);
        put(&table_size.to_le_bytes(), 12);
        put(b"\x01\0\0\0\xff\xff\xff\xff", 16);
        put(&end.to_le_bytes(), 24);
        path
    };
    let large = write_large("large", 0);
    assert_eq!(*Reader::open(&large).unwrap().latent("x").unwrap().read::<f32>().unwrap(), values);
    // With a table size in the header, the reference would follow it to the trap; this crate
    // refuses the file.
    let led = write_large("led", table.len() as u32);
    assert!(Reader::open(&led).is_err());
    let verdicts = reference::refuses(&[large, led]);
    assert!(verdicts[0].refused && !verdicts[1].refused, "{verdicts:?}");
}
