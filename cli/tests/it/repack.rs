//! `gen5 repack` rewrites a file without loss.

use std::fs;
use std::path::PathBuf;

use gen5::chunk::ChunkRecord;
use gen5::{
    Array, Compression, Dtype, Element, Entry, Metadata, NonFinite, Reader, Version, WriteOptions, bf16, f16,
};
use serde_json::{Value, json};

use crate::library::{Builder, Chunk};
use crate::support::{Folder, PNG};

fn metadata() -> Metadata {
    Metadata::builder("SD", "3").date("2026-11-22").build().unwrap()
}

fn open(folder: &Folder, name: &str) -> Reader {
    Reader::open(folder.path(name)).unwrap()
}

/// The files of `tests/data`: those of other programs, and unusual ones.
fn golden() -> Vec<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data"));
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "gen5")).collect()
}

/// Writes a file with latents of every dtype, raw, compressed and shuffled.
fn sample(folder: &Folder, name: &str) {
    let single: Vec<f32> = (0..3000).map(|n| (n as f32 * 0.37).sin()).collect();
    let half: Vec<f16> = single.iter().map(|&value| f16::from_f32(value)).collect();
    let brain: Vec<bf16> = single.iter().map(|&value| bf16::from_f32(value)).collect();
    let options = WriteOptions::new().part_size(Some(4000));
    let mut writer = options.create(folder.path(name)).unwrap();
    let entry = |key: &str, compression| Entry::new(key).compression(compression);
    let shape = [30, 100];
    let latents = [
        Array::new(entry("single", Compression::Zstd), &shape, &single),
        Array::new(entry("half", Compression::Raw), &shape, &half),
        Array::new(entry("brain", Compression::Shuffled), &shape, &brain),
    ];
    writer.latents(latents).unwrap();
    writer.image(PNG).unwrap();
    writer.finish(&metadata()).unwrap();
}

/// Writes a valid file with features that no option of `pack` produces.
fn odd(folder: &Folder, name: &str) {
    let latent = |extra: Value| Chunk::raw("LATN", b"F32\0", &[0, 0, 128, 63], extra);
    let chunks = [
        latent(json!({"shape": [1], "dtype": "float32", "key": "a", "n": {"deep": [1.50]}})),
        latent(json!({"shape": [1], "dtype": "float32", "key": "a"})),
        latent(json!({"shape": [1], "dtype": "float32"})),
        latent(json!({"shape": [1], "dtype": "float32", "key": "../../x\u{1b}[2J=y"})),
        Chunk::raw("MASK", b"U8\0\0", b"mask", json!({"n": 1})).record(|record| record["more"] = json!([])),
    ];
    let file = Builder::new(chunks).manifest(|manifest| {
        manifest["beside"] = json!({"a": 1.0});
        manifest["gen5_metadata"]["also"] = json!(2);
        manifest["gen5_metadata"]["model_info"]["loss"] = json!("here");
    });
    fs::write(folder.path(name), file.replace("\"here\"", "NaN").build()).unwrap();
}

/// The parts of a file's manifest that do not depend on position or compression.
fn contents(reader: &Reader) -> Value {
    let text = reader.manifest_json().replace("NaN", "\"NaN\"");
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    manifest["gen5_metadata"]["file_info"]["file_size"] = Value::Null;
    for record in manifest["gen5_metadata"]["chunks"].as_array_mut().unwrap() {
        for member in ["offset", "compressed_size", "compressed"] {
            record[member] = Value::Null;
        }
    }
    manifest
}

fn how(reader: &Reader) -> Vec<(bool, bool)> {
    let first = |chunk: Option<&ChunkRecord>| chunk.map(|chunk| (chunk.is_compressed(), chunk.is_shuffled()));
    reader.latents().filter_map(|latent| first(latent.chunks().next())).collect()
}

#[test]
fn every_file_becomes_every_kind_and_comes_back() {
    let folder = Folder::new();
    sample(&folder, "sample.gen5");
    let files = golden();
    assert!(files.len() > 5);
    for path in files.into_iter().chain([folder.path("sample.gen5")]) {
        let original = path.to_str().unwrap();
        for compress in ["auto", "zstd", "shuffled", "none"] {
            let ran = folder.run(&["repack", original, "@/b.gen5", "--compress", compress, "--force"]);
            assert_eq!(ran.code, 0, "{original} {compress}: {ran:?}");
            assert!(
                folder.ok(&["diff", original, "@/b.gen5"]).contains("are the same"),
                "{original} {compress}"
            );
            let all = match compress {
                "zstd" => Some((true, false)),
                "shuffled" => Some((true, true)),
                "none" => Some((false, false)),
                _ => None,
            };
            let stored = how(&open(&folder, "b.gen5"));
            assert!(all.is_none_or(|all| stored.iter().all(|how| *how == all)), "{original} {compress}");
            assert!(
                compress != "none"
                    || open(&folder, "b.gen5")
                        .latents()
                        .all(|latent| latent.chunks().all(ChunkRecord::is_raw_and_aligned))
            );
            let ran = folder.run(&["repack", "@/b.gen5", "@/c.gen5", "--compress", "none", "--force"]);
            assert_eq!(ran.code, 0, "{original} {compress}: {ran:?}");
            assert!(
                folder.ok(&["diff", original, "@/c.gen5"]).contains("are the same"),
                "{original} {compress}"
            );
            open(&folder, "c.gen5").verify().unwrap();
        }
        folder.run(&["repack", original, "@/b.gen5", "--force"]);
        let before = Reader::open(&path).unwrap();
        assert_eq!(how(&open(&folder, "b.gen5")), how(&before), "{original}: as they are");
        assert_eq!(open(&folder, "b.gen5").model_info_json(), before.model_info_json());
    }
}

#[test]
fn what_nobody_knows_is_carried() {
    let folder = Folder::new();
    odd(&folder, "odd.gen5");
    let before = open(&folder, "odd.gen5");
    let told = folder.ok(&["repack", "@/odd.gen5", "@/new.gen5"]);
    assert!(told.starts_with("@/new.gen5: 4 latents (stored raw), 16 B of values, "), "{told}");
    let after = open(&folder, "new.gen5");
    assert_eq!(contents(&after), contents(&before));
    assert_eq!(after.model_info_json(), before.model_info_json());
    assert_eq!(*after.payload(4).unwrap(), *b"mask");
    folder.ok(&["repack", "@/odd.gen5", "@/new.gen5", "--compress", "zstd", "--force"]);
    assert_eq!(contents(&open(&folder, "new.gen5")), contents(&before));
    folder.ok(&["verify", "@/new.gen5"]);
}

#[test]
fn latents_are_renamed_and_left_out() {
    let folder = Folder::new();
    odd(&folder, "odd.gen5");
    let keys = |words: &[&str]| {
        folder.ok(&[&["repack", "@/odd.gen5", "@/new.gen5", "--force"], words].concat());
        let reader = open(&folder, "new.gen5");
        reader.latents().map(|latent| latent.key().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    let hostile = "../../x\u{1b}[2J=y";
    assert_eq!(keys(&["--rename", "#2=b", "--rename", "#1=c"]), ["a", "c", "b", hostile]);
    assert_eq!(keys(&["--rename", &format!("{hostile}=safe")]), ["a", "a", "-", "safe"]);
    assert_eq!(keys(&["--rename", "#3=p=q", "--drop", "#0"]), ["a", "-", "p=q"]);
    assert_eq!(keys(&["--drop", "#0", "--drop", hostile]), ["a", "-"]);
    assert_eq!(keys(&["--only", "#2", "--only", "#0"]), ["a", "-"]);
    // The remaining chunks are readable, and keys identify them again.
    let ran = folder.run(&["ls", "@/new.gen5"]);
    let note = "1 chunk of unknown type MASK, not listed; gen5 info shows such chunks";
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{ran:?}");
    assert_eq!(ran.messages, format!("gen5: @/new.gen5: {note}\n"));

    let told = |words: &[&str], code: u8| {
        let ran = folder.run(&[&["repack", "@/odd.gen5", "@/none.gen5"], words].concat());
        assert_eq!((ran.code, &*ran.out), (code, ""), "{words:?}: {ran:?}");
        assert!(!folder.names().contains(&"none.gen5".to_owned()));
        ran.messages
    };
    assert!(told(&["--rename", "#2=a"], 1).contains("several latents with that key"));
    assert!(told(&["--rename", "#2=b", "--rename", "#3=b"], 1).contains("several latents with that key"));
    assert!(told(&["--rename", "#2=b", "--rename", "#2=c"], 2).contains("cannot be called both"));
    assert!(told(&["--rename", "#2=b", "--drop", "#2"], 2).contains("left out"));
    assert!(told(&["--rename", "a=b"], 1).contains("latents"), "it is ambiguous");
    assert!(told(&["--drop", "none"], 1).starts_with("gen5: @/odd.gen5: no latent is called"));
    for text in ["b", "#2=", "="] {
        assert!(told(&["--rename", text], 2).contains("expected OLD=NEW"), "{text}");
    }
    told(&["--only", "#2", "--drop", "#1"], 2);
    told(&["--compress", "gzip"], 2);
    told(&["--level", "23"], 2);
    assert!(told(&["--align", "48"], 2).contains("power of two"));
    assert_eq!(folder.run(&["repack", "@/odd.gen5", "@/none.npy"]).code, 2);
}

#[test]
fn image_and_environment_are_left_out_on_request() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    folder.ok(&["repack", "@/run.gen5", "@/new.gen5"]);
    assert!(folder.ok(&["diff", "@/run.gen5", "@/new.gen5"]).contains("are the same"));
    assert_eq!(contents(&open(&folder, "new.gen5")), contents(&open(&folder, "run.gen5")));
    folder.ok(&["repack", "@/run.gen5", "@/new.gen5", "--no-image", "--force"]);
    let reader = open(&folder, "new.gen5");
    assert!(reader.image().unwrap().is_none() && reader.environment().unwrap().is_some());
    folder.ok(&["repack", "@/run.gen5", "@/new.gen5", "--no-environment", "--force"]);
    let reader = open(&folder, "new.gen5");
    assert!(reader.image().unwrap().is_some() && reader.environment().unwrap().is_none());
}

#[test]
fn a_file_is_replaced_only_by_force_even_by_itself() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    let before = fs::read(folder.path("a.gen5")).unwrap();
    let ran = folder.run(&["repack", "@/a.gen5", "@/a.gen5", "--compress", "none"]);
    assert!(ran.code == 1 && ran.messages.contains("--force"), "{ran:?}");
    assert!(fs::read(folder.path("a.gen5")).unwrap() == before);
    fs::write(folder.path("b.gen5"), &before).unwrap();
    assert_eq!(folder.run(&["repack", "@/a.gen5", "@/a.gen5", "--compress", "none", "--force"]).code, 0);
    assert!(folder.ok(&["diff", "@/a.gen5", "@/b.gen5"]).contains("are the same"));
    assert!(how(&open(&folder, "a.gen5")).iter().all(|how| *how == (false, false)));
    assert_eq!(folder.names(), ["a.gen5", "b.gen5"]);
}

#[test]
fn damage_leaves_nothing() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    let whole = fs::read(folder.path("a.gen5")).unwrap();
    let chunks: Vec<(u64, u64)> =
        open(&folder, "a.gen5").chunks().iter().map(|chunk| (chunk.offset(), chunk.stored_size())).collect();
    for (offset, size) in chunks {
        let mut bytes = whole.clone();
        bytes[usize::try_from(offset + size - 2).unwrap()] ^= 1;
        fs::write(folder.path("a.gen5"), bytes).unwrap();
        fs::write(folder.path("old.gen5"), b"old").unwrap();
        for out in ["@/new.gen5", "@/old.gen5"] {
            let ran = folder.run(&["repack", "@/a.gen5", out, "--force", "--compress", "auto"]);
            assert_eq!((ran.code, &*ran.out), (3, ""), "{ran:?}");
            assert!(ran.messages.starts_with("gen5: @/a.gen5: "), "{ran:?}");
        }
        assert_eq!(folder.names(), ["a.gen5", "old.gen5"]);
        assert_eq!(fs::read(folder.path("old.gen5")).unwrap(), b"old");
    }
    fs::write(folder.path("a.gen5"), PNG).unwrap();
    assert_eq!(folder.run(&["repack", "@/a.gen5", "@/new.gen5"]).code, 3);
    assert_eq!(folder.run(&["repack", "@/none.gen5", "@/new.gen5"]).code, 1);
}

/// Writes all 16-bit values, including non-finite ones, and values that float16 cannot represent.
fn all_kinds(folder: &Folder, name: &str) {
    let half: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let brain: Vec<bf16> = half.iter().map(|value| bf16::from_f32(value.to_f32())).collect();
    let single: Vec<f32> = half.iter().map(|value| value.to_f32() * 0.999).collect();
    let fits = |value: f32| !value.is_finite() || value.abs() < 65520.0;
    let brain: Vec<bf16> =
        brain.into_iter().map(|value| if fits(value.to_f32()) { value } else { bf16::ONE }).collect();
    let mut writer = WriteOptions::new().non_finite(NonFinite::Keep).create(folder.path(name)).unwrap();
    writer.latent("half", &[1 << 16], &half).unwrap();
    writer.latent("brain", &[1 << 16], &brain).unwrap();
    writer.latent("single", &[1 << 16], &single).unwrap();
    writer.finish(&metadata()).unwrap();
}

fn widened(reader: &Reader, key: &str) -> Vec<f32> {
    fn read<T: Element>(latent: &gen5::Latent) -> Vec<f32> {
        latent.read::<T>().unwrap().iter().map(|value| value.to_f32()).collect()
    }
    let latent = reader.latent(key).unwrap();
    match latent.dtype() {
        Dtype::F16 => read::<f16>(&latent),
        Dtype::BF16 => read::<bf16>(&latent),
        _ => read::<f32>(&latent),
    }
}

#[test]
fn values_are_converted_as_half_does_it() {
    let folder = Folder::new();
    all_kinds(&folder, "a.gen5");
    let before = open(&folder, "a.gen5");
    for dtype in Dtype::ALL.iter().copied() {
        let name = dtype.name();
        let convert = |value: f32| match dtype {
            Dtype::F16 => f16::from_f32(value).to_f32(),
            Dtype::BF16 => bf16::from_f32(value).to_f32(),
            _ => value,
        };
        for compress in ["none", "zstd", "shuffled"] {
            let words =
                ["repack", "@/a.gen5", "@/b.gen5", "--dtype", name, "--compress", compress, "--force"];
            let ran = folder.run(&words);
            assert_eq!(ran.code, 0, "{ran:?}");
            let after = open(&folder, "b.gen5");
            for key in ["half", "brain", "single"] {
                assert_eq!(after.latent(key).unwrap().dtype(), dtype);
                for (before, after) in widened(&before, key).into_iter().zip(widened(&after, key)) {
                    let expected = convert(before);
                    let is_same = expected.to_bits() == after.to_bits();
                    assert!(is_same || expected.is_nan() && after.is_nan(), "{key} {name}: {before} {after}");
                }
            }
        }
    }
}

#[test]
fn a_value_that_becomes_infinite_is_refused_and_named() {
    let folder = Folder::new();
    let mut values = vec![1.0_f32; 1000];
    values[700] = 65520.0;
    let mut writer = WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    writer.latent("noise", &[1000], &values).unwrap();
    writer.finish(&metadata()).unwrap();
    let ran = folder.run(&["repack", "@/a.gen5", "@/b.gen5", "--dtype", "float16"]);
    assert_eq!((ran.code, &*ran.out), (1, ""), "{ran:?}");
    assert!(ran.messages.contains("\"noise\"") && ran.messages.contains("700"), "{ran:?}");
    assert_eq!(folder.names(), ["a.gen5"]);
}

#[test]
fn a_file_of_1_1_becomes_one_of_1_0() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    assert_eq!(open(&folder, "a.gen5").version(), Version::V1_1);
    folder.ok(&["repack", "@/a.gen5", "@/b.gen5", "--compatible"]);
    let (before, after) = (open(&folder, "a.gen5"), open(&folder, "b.gen5"));
    assert_eq!(after.version(), Version::V1_0);
    assert_eq!(how(&after), [(true, false), (false, false), (true, false)]);
    for key in ["single", "half", "brain"] {
        assert_eq!(widened(&after, key), widened(&before, key), "{key}");
    }
    for words in [["--compress", "shuffled"], ["--dtype", "bfloat16"]] {
        let ran = folder.run(&[&["repack", "@/a.gen5", "@/c.gen5", "--compatible"], &words[..]].concat());
        assert!(ran.code == 2 && ran.messages.contains(&words.join(" ")), "{ran:?}");
    }
    odd(&folder, "odd.gen5");
    let ran = folder.run(&["repack", "@/odd.gen5", "@/c.gen5", "--compatible"]);
    assert!(ran.code == 1 && ran.messages.contains("of type MASK"), "{ran:?}");
    // For a file of version 1.1, the message names the feature that needs it.
    let ran = folder.run(&["repack", "@/b.gen5", "@/c.gen5", "--dtype", "bfloat16"]);
    assert!(ran.messages.ends_with("cannot read: it has latents of bfloat16\n"), "{ran:?}");
}

#[test]
fn raw_latents_start_where_they_are_asked_to() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    folder.ok(&["repack", "@/a.gen5", "@/b.gen5", "--compatible", "--compress", "none", "--align", "4096"]);
    let reader = open(&folder, "b.gen5");
    let starts =
        reader.chunks().iter().filter(|chunk| chunk.dtype().is_some()).map(|chunk| chunk.offset() + 12);
    assert!(starts.clone().count() == 3 && starts.clone().all(|start| start % 4096 == 0));
}

/// Latents over 64 MiB are copied in blocks.
#[test]
fn large_latents_come_through_and_the_threads_do_not_show() {
    let folder = Folder::new();
    let large: Vec<f32> =
        (0..17_000_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as f32).collect();
    let mut writer = WriteOptions::new().compression(Compression::Raw).create(folder.path("a.gen5")).unwrap();
    writer.latent("small", &[1], &[1.0_f32]).unwrap();
    writer.latent("large", &[17, 1_000_000], &large).unwrap();
    writer.latent("last", &[1], &[2.0_f32]).unwrap();
    writer.finish(&metadata()).unwrap();
    for (from, compress) in [("a", "zstd"), ("zstd1", "none")] {
        for jobs in ["1", "4"] {
            let (from, to) = (format!("@/{from}.gen5"), format!("@/{compress}{jobs}.gen5"));
            assert_eq!(folder.run(&["repack", &from, &to, "--compress", compress, "--jobs", jobs]).code, 0);
        }
        let [one, four] =
            ["1", "4"].map(|jobs| fs::read(folder.path(&format!("{compress}{jobs}.gen5"))).unwrap());
        assert!(one == four, "the number of threads shows in the file");
        let reader = open(&folder, &format!("{compress}1.gen5"));
        assert!(reader.latent("large").unwrap().read::<f32>().unwrap() == large, "{compress}");
        let keys: Vec<_> = reader.latents().map(|latent| latent.key().unwrap().to_owned()).collect();
        assert_eq!(keys, ["small", "large", "last"]);
    }
}
