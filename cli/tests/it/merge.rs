//! `gen5 merge`: the latents of several files in one.

use std::fs;

use gen5::{Array, Compression, Entry, Metadata, Reader, WriteOptions, bf16, f16};
use serde_json::{Value, json};

use crate::library::{Builder, Chunk};
use crate::support::{Folder, PNG};

fn metadata(prompt: &str) -> Metadata {
    Metadata::builder("SD", "3").date("2026-11-22").prompt(prompt).build().unwrap()
}

/// Writes a file with float32 latents, given as key, shape and the value of all elements.
fn file(folder: &Folder, name: &str, prompt: &str, latents: &[(&str, &[usize], f32)]) {
    let mut writer = WriteOptions::new().create(folder.path(name)).unwrap();
    for &(key, shape, value) in latents {
        writer.latent(key, shape, &vec![value; shape.iter().product()]).unwrap();
    }
    writer.finish(&metadata(prompt)).unwrap();
}

fn open(folder: &Folder, name: &str) -> Reader {
    Reader::open(folder.path(name)).unwrap()
}

fn model_info(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(open(folder, name).model_info_json()).unwrap()
}

fn fingerprint(folder: &Folder, name: &str) -> String {
    open(folder, name).fingerprint().unwrap().to_string()
}

fn keys(folder: &Folder, name: &str) -> Vec<String> {
    open(folder, name).latents().map(|latent| latent.key().unwrap_or("-").to_owned()).collect()
}

#[test]
fn all_latents_of_all_files_are_there() {
    let folder = Folder::new();
    file(&folder, "a.gen5", "one", &[("x", &[2, 3], 1.0), ("y", &[], 2.0)]);
    file(&folder, "b.gen5", "two", &[("z", &[4], 3.0)]);
    let told = folder.ok(&["merge", "@/a.gen5", "@/b.gen5", "-o", "@/c.gen5"]);
    assert!(told.starts_with("@/c.gen5: 3 latents (stored raw), 44 B of values, "), "{told}");
    assert_eq!(keys(&folder, "c.gen5"), ["x", "y", "z"]);
    let merged = open(&folder, "c.gen5");
    merged.verify().unwrap();
    merged.metadata().unwrap();
    assert_eq!(*merged.latent("z").unwrap().read::<f32>().unwrap(), [3.0; 4]);

    let mut expected = model_info(&folder, "a.gen5");
    expected["merged_from"] = json!([
        {
            "file": "a.gen5", "fingerprint": fingerprint(&folder, "a.gen5"),
            "latents": [{"index": 0, "key": "x"}, {"index": 1, "key": "y"}],
        },
        {
            "file": "b.gen5", "fingerprint": fingerprint(&folder, "b.gen5"),
            "latents": [{"index": 2, "key": "z"}], "model_info": model_info(&folder, "b.gen5"),
        },
    ]);
    assert_eq!(model_info(&folder, "c.gen5"), expected);

    // An input that was itself merged keeps its whole record.
    folder.ok(&["merge", "@/c.gen5", "-o", "@/d.gen5"]);
    let again = model_info(&folder, "d.gen5");
    assert_eq!(again["merged_from"][0]["model_info"], model_info(&folder, "c.gen5"));
    assert_eq!(again["prompt"], "one");
}

#[test]
fn keys_that_collide_are_refused_with_a_way_out() {
    let folder = Folder::new();
    file(&folder, "a.gen5", "", &[("x", &[2], 1.0)]);
    file(&folder, "b.gen5", "", &[("y", &[2], 1.0), ("x", &[2], 2.0)]);
    let told = folder.run(&["merge", "@/a.gen5", "@/b.gen5", "-o", "@/c.gen5"]);
    let problem = "gen5: the key \"x\" is used twice, in @/a.gen5 and in @/b.gen5; --prefix puts the file \
         names before the keys, and --stack joins latents with the same key\n";
    assert_eq!((told.code, &*told.messages), (1, problem));
    folder.ok(&["merge", "@/a.gen5", "@/b.gen5", "--prefix", "-o", "@/c.gen5"]);
    assert_eq!(keys(&folder, "c.gen5"), ["a/x", "b/y", "b/x"]);
    let merged = model_info(&folder, "c.gen5");
    assert_eq!(merged["merged_from"][1]["latents"][1], json!({"index": 2, "key": "b/x", "key_before": "x"}));
    let told = folder.run(&["merge", "@/a.gen5", "@/a.gen5", "--prefix", "-o", "@/d.gen5"]);
    assert!(told.code == 1 && told.messages.contains("repack --rename"), "{told:?}");
    assert_eq!(folder.names(), ["a.gen5", "b.gen5", "c.gen5"]);
    let piped = fs::read(folder.path("a.gen5")).unwrap();
    let told = folder.run_with_input(&["merge", "-", "@/b.gen5", "--prefix", "-o", "@/c.gen5", "-f"], &piped);
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(keys(&folder, "c.gen5"), ["stdin/x", "b/y", "b/x"]);
    assert_eq!(folder.run(&["merge", "-o", "@/d.gen5"]).code, 2);
    assert_eq!(folder.run(&["merge", "@/a.gen5", "-o", "@/d.npy"]).code, 2);
    assert_eq!(folder.run(&["merge", "@/a.gen5", "-o", "@/d.gen5", "--stack", "--prefix"]).code, 2);
    let told = folder.run(&["merge", "@/a.gen5", "-o", "@/c.gen5"]);
    assert!(told.code == 1 && told.messages.contains("--force replaces it"), "{told:?}");
}

#[test]
fn latents_are_stacked() {
    let folder = Folder::new();
    file(&folder, "a.gen5", "", &[("x", &[1, 3], 1.0), ("only", &[2], 9.0)]);
    file(&folder, "b.gen5", "", &[("x", &[2, 3], 2.0), ("late", &[], 8.0)]);
    file(&folder, "c.gen5", "", &[("x", &[0, 3], 0.0), ("x2", &[1], 7.0)]);
    folder.ok(&["merge", "--stack", "@/a.gen5", "@/b.gen5", "@/c.gen5", "-o", "@/m.gen5"]);
    assert_eq!(keys(&folder, "m.gen5"), ["x", "only", "late", "x2"]);
    let x = open(&folder, "m.gen5").latent("x").unwrap();
    assert_eq!(x.shape(), [3, 3]);
    assert_eq!(*x.read::<f32>().unwrap(), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
    let origins = &model_info(&folder, "m.gen5")["merged_from"];
    assert_eq!(origins[0]["latents"][0], json!({"index": 0, "key": "x", "rows": [0, 1]}));
    assert_eq!(origins[1]["latents"][0], json!({"index": 0, "key": "x", "rows": [1, 3]}));
    assert_eq!(origins[1]["latents"][1], json!({"index": 2, "key": "late"}));
}

#[test]
fn what_does_not_fit_is_not_stacked() {
    let folder = Folder::new();
    file(&folder, "a.gen5", "", &[("x", &[1, 3], 1.0)]);
    file(&folder, "b.gen5", "", &[("x", &[1, 4], 1.0)]);
    file(&folder, "scalar.gen5", "", &[("x", &[], 1.0)]);
    let mut writer = WriteOptions::new().create(folder.path("half.gen5")).unwrap();
    writer.latent("x", &[1, 3], &[f16::ONE; 3]).unwrap();
    writer.finish(&metadata("")).unwrap();
    let chunk = || Chunk::latent("x", &[1, 3], &[1.0; 3]);
    fs::write(folder.path("twice.gen5"), Builder::new([chunk(), chunk()]).build()).unwrap();
    let told = |files: [&str; 2]| {
        let ran = folder.run(&["merge", "--stack", files[0], files[1], "-o", "@/m.gen5"]);
        assert_eq!((ran.code, &*ran.out), (1, ""), "{ran:?}");
        ran.messages
    };
    let shapes = told(["@/a.gen5", "@/b.gen5"]);
    assert!(shapes.contains("1x3 of float32 in @/a.gen5 and 1x4 of float32 in @/b.gen5"), "{shapes}");
    assert!(told(["@/a.gen5", "@/half.gen5"]).contains("1x3 of float16 in @/half.gen5"));
    assert!(told(["@/scalar.gen5", "@/scalar.gen5"]).contains("scalar"));
    assert!(told(["@/twice.gen5", "@/a.gen5"]).contains("several latents have the key"));
    // Without `--stack`, a key that occurs twice is kept twice.
    folder.ok(&["merge", "@/twice.gen5", "-o", "@/m.gen5"]);
    assert_eq!(keys(&folder, "m.gen5"), ["x", "x"]);
}

#[test]
fn the_first_file_gives_image_and_environment() {
    let folder = Folder::new();
    folder.sample("a.gen5");
    file(&folder, "b.gen5", "", &[("x", &[2], 1.0)]);
    folder.ok(&["merge", "@/a.gen5", "@/b.gen5", "-o", "@/c.gen5"]);
    let merged = open(&folder, "c.gen5");
    assert_eq!(*merged.image().unwrap().unwrap(), *PNG);
    assert_eq!(merged.environment().unwrap(), open(&folder, "a.gen5").environment().unwrap());
    let ran = folder.run(&["merge", "@/b.gen5", "@/a.gen5", "-o", "@/d.gen5"]);
    let note =
        |what: &str| format!("gen5: {what} of @/a.gen5 left out: @/b.gen5, the first file, has none\n");
    assert_eq!(ran.messages, note("image") + &note("environment"));
    assert!(open(&folder, "d.gen5").image().unwrap().is_none());
}

#[test]
fn latents_are_stored_as_they_were() {
    let folder = Folder::new();
    let values = [bf16::ONE; 3000];
    let mut writer = WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    let mut extra = gen5::metadata::Extra::new();
    extra.insert("n", &1).unwrap();
    let entry = Entry::new("x").extra(extra).compression(Compression::Shuffled);
    writer.latents([Array::new(entry, &[3000], &values)]).unwrap();
    writer.finish(&metadata("")).unwrap();
    let ran = folder.run(&["merge", "--stack", "@/a.gen5", "@/a.gen5", "-o", "@/b.gen5"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let merged = open(&folder, "b.gen5").latent("x").unwrap();
    assert!(merged.chunks().all(gen5::chunk::ChunkRecord::is_shuffled));
    assert_eq!((merged.shape(), merged.extra().unwrap().get("n")), (&[6000][..], Some("1")));
}

#[test]
fn records_of_stacked_latents_are_kept() {
    let folder = Folder::new();
    for (name, n, more) in [("a.gen5", 1, "same"), ("b.gen5", 2, "same"), ("c.gen5", 1, "other")] {
        let extra = json!({"shape": [1, 2], "dtype": "float32", "key": "x", "n": n});
        let chunk =
            Chunk::raw("LATN", b"F32\0", &[0; 8], extra).record(|record| record["more"] = json!(more));
        fs::write(folder.path(name), Builder::new([chunk]).build()).unwrap();
    }
    folder.ok(&["merge", "--stack", "@/a.gen5", "@/b.gen5", "@/c.gen5", "-o", "@/d.gen5"]);
    let origins = &model_info(&folder, "d.gen5")["merged_from"];
    let place = |at: usize| json!({"index": 0, "key": "x", "rows": [at, at + 1]});
    assert_eq!(origins[0]["latents"][0], place(0));
    let mut second = place(1);
    second["extra"] = json!({"n": 2});
    assert_eq!(origins[1]["latents"][0], second);
    let mut third = place(2);
    third["record"] = json!({"more": "other"});
    assert_eq!(origins[2]["latents"][0], third);
    let x = open(&folder, "d.gen5").latent("x").unwrap();
    assert_eq!(x.extra().unwrap().get("n"), Some("1"));
    assert_eq!(x.chunks().next().unwrap().unknown().get("more"), Some("\"same\""));
}

/// More files than a process may open by default on many systems.
#[test]
fn files_may_be_many() {
    let folder = Folder::new();
    let mut writer = WriteOptions::new().sync(false).create(folder.path("a.gen5")).unwrap();
    writer.latent("x", &[1, 2], &[1.0_f32, 2.0]).unwrap();
    writer.finish(&metadata("")).unwrap();
    let words = [&["merge", "--stack", "-o", "@/b.gen5"], &["@/a.gen5"; 1200][..]].concat();
    folder.ok(&words);
    let merged = open(&folder, "b.gen5");
    assert_eq!(merged.latent("x").unwrap().shape(), [1200, 2]);
    assert_eq!(model_info(&folder, "b.gen5")["merged_from"][1199]["latents"][0]["rows"], json!([1199, 1200]));
}

#[test]
fn damage_leaves_nothing() {
    let folder = Folder::new();
    file(&folder, "a.gen5", "", &[("x", &[4], 1.0)]);
    file(&folder, "b.gen5", "", &[("y", &[4], 1.0)]);
    let mut bytes = fs::read(folder.path("b.gen5")).unwrap();
    bytes[64] ^= 1;
    fs::write(folder.path("b.gen5"), bytes).unwrap();
    let ran = folder.run(&["merge", "@/a.gen5", "@/b.gen5", "-o", "@/c.gen5"]);
    assert_eq!((ran.code, &*ran.out), (3, ""), "{ran:?}");
    assert!(ran.messages.starts_with("gen5: @/b.gen5: "), "{ran:?}");
    assert_eq!(folder.names(), ["a.gen5", "b.gen5"]);
}

/// Python writes NaN, which is not valid JSON.
#[test]
fn metadata_that_are_no_json_are_kept_as_text() {
    let folder = Folder::new();
    fs::write(folder.path("nan.gen5"), include_bytes!("../data/nan.gen5")).unwrap();
    file(&folder, "a.gen5", "", &[("mine", &[4], 1.0)]);
    assert_eq!(folder.run(&["merge", "@/a.gen5", "@/nan.gen5", "-o", "@/b.gen5"]).code, 0);
    let text = model_info(&folder, "b.gen5")["merged_from"][1]["model_info"].as_str().unwrap().to_owned();
    assert_eq!(text, open(&folder, "nan.gen5").model_info_json());
    let ran = folder.run(&["merge", "@/nan.gen5", "@/a.gen5", "-o", "@/c.gen5"]);
    assert!(ran.code == 0 && ran.messages.contains("become null"), "{ran:?}");
}
