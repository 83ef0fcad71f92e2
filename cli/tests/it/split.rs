//! `gen5 split`, and merging its parts again.

use std::fs;

use gen5::environment::Component;
use gen5::{Array, Compression, Entry, Environment, Metadata, Reader, WriteOptions, bf16, f16};
use serde_json::{Value, json};

use crate::library::{Builder, Chunk};
use crate::support::{Folder, PNG, names};

fn open(folder: &Folder, name: &str) -> Reader {
    Reader::open(folder.path(name)).unwrap()
}

fn model_info(folder: &Folder, name: &str) -> Value {
    serde_json::from_str(open(folder, name).model_info_json()).unwrap()
}

/// Writes a file with latents of all dtypes: with ten rows, with seven, and without rows.
fn sample(folder: &Folder, name: &str) {
    let single: Vec<f32> = (0..1000).map(|n| (n as f32 * 0.37).sin()).collect();
    let half: Vec<f16> = single.iter().take(700).map(|&value| f16::from_f32(value)).collect();
    let brain: Vec<bf16> = single.iter().map(|&value| bf16::from_f32(value)).collect();
    let mut writer = WriteOptions::new().part_size(Some(800)).create(folder.path(name)).unwrap();
    let entry = |key: &str, compression| Entry::new(key).compression(compression);
    writer
        .latents([
            Array::new(entry("single", Compression::Zstd), &[10, 4, 25], &single),
            Array::new(entry("one", Compression::Raw), &[1, 10, 100], &single),
            Array::new(entry("half", Compression::Raw), &[7, 100], &half),
            Array::new(entry("brain", Compression::Shuffled), &[10, 100], &brain),
            Array::new("scalar", &[], &[0.5_f32]),
            Array::new("empty", &[1 << 40, 0], &[0.0_f32; 0]),
        ])
        .unwrap();
    writer.image(PNG).unwrap();
    let metadata = Metadata::builder("SD", "3").date("2026-11-22").prompt("a cat").build().unwrap();
    writer.finish(&metadata).unwrap();
}

#[test]
fn rows_are_put_together_again() {
    let folder = Folder::new();
    sample(&folder, "run.gen5");
    for (rows, files) in [("1", 10), ("3", 4), ("5", 2), ("10", 1), ("99", 1)] {
        let told = folder.run(&["split", "@/run.gen5", "-o", "@/parts", "--rows", rows]);
        assert_eq!((told.code, &*told.messages), (0, ""), "{told:?}");
        let parts = names(&folder.path("parts"));
        assert_eq!(parts.len(), files + 1, "{parts:?}");
        let paths: Vec<String> =
            parts.iter().filter(|name| *name != "index.json").map(|name| format!("@/parts/{name}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        for path in &paths {
            let part = Reader::open(path.replace('@', folder.path("").to_str().unwrap())).unwrap();
            part.verify().unwrap();
            assert_eq!(*part.image().unwrap().unwrap(), *PNG);
        }
        folder.run(&[&["merge", "--stack", "--force", "-o", "@/again.gen5"], &paths[..]].concat());
        let ran = folder.run(&["diff", "--json", "@/run.gen5", "@/again.gen5"]);
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let latents = report["latents"].as_array().unwrap();
        assert!(latents.len() == 6 && latents.iter().all(|latent| latent["result"] == "equal"), "{ran:?}");
        assert_eq!(report["image"], "equal");
        let members: Vec<&Value> =
            report["metadata"].as_array().unwrap().iter().map(|change| &change["member"]).collect();
        assert_eq!(members, ["merged_from"]);
        let keys = |name: &str| -> Vec<String> {
            open(&folder, name).latents().map(|latent| latent.key().unwrap().to_owned()).collect()
        };
        assert_eq!(keys("run.gen5"), keys("again.gen5"), "the order, too");
        fs::remove_dir_all(folder.path("parts")).unwrap();
    }
}

#[test]
fn each_part_says_what_it_is() {
    let folder = Folder::new();
    sample(&folder, "run.gen5");
    let told = folder.ok(&["split", "@/run.gen5", "-o", "@/parts", "--rows", "4"]);
    assert_eq!(told, "@/parts: 3 files, 11.1 KiB of values\n");
    assert_eq!(names(&folder.path("parts")), ["index.json", "run-0.gen5", "run-1.gen5", "run-2.gen5"]);
    let index = json!([
        {"file": "run-0.gen5", "rows": [0, 4]},
        {"file": "run-1.gen5", "rows": [4, 8]},
        {"file": "run-2.gen5", "rows": [8, 10]},
    ]);
    assert_eq!(folder.json("parts/index.json"), index);
    let fingerprint = open(&folder, "run.gen5").fingerprint().unwrap().to_string();
    let mut expected = model_info(&folder, "run.gen5");
    expected["part_of"] = json!({"file": "run.gen5", "fingerprint": fingerprint, "rows": [4, 8]});
    assert_eq!(model_info(&folder, "parts/run-1.gen5"), expected);
    let lines = |name: &str| -> Vec<(String, Vec<usize>)> {
        let latents = open(&folder, name).latents().collect::<Vec<_>>();
        latents.iter().map(|latent| (latent.key().unwrap().to_owned(), latent.shape().to_vec())).collect()
    };
    let entry = |key: &str, shape: &[usize]| (key.to_owned(), shape.to_vec());
    let first = [
        entry("single", &[4, 4, 25]),
        entry("one", &[1, 10, 100]),
        entry("half", &[4, 100]),
        entry("brain", &[4, 100]),
        entry("scalar", &[]),
        entry("empty", &[1 << 40, 0]),
    ];
    assert_eq!(lines("parts/run-0.gen5"), first);
    let second = [entry("single", &[4, 4, 25]), entry("half", &[3, 100]), entry("brain", &[4, 100])];
    assert_eq!(lines("parts/run-1.gen5"), second);
    assert_eq!(lines("parts/run-2.gen5"), [entry("single", &[2, 4, 25]), entry("brain", &[2, 100])]);

    // Splitting a part records both splits.
    folder.ok(&["split", "@/parts/run-1.gen5", "-o", "@/deeper"]);
    let deeper = model_info(&folder, "deeper/half.gen5");
    let expected = json!({
        "file": "run-1.gen5", "fingerprint": open(&folder, "parts/run-1.gen5").fingerprint().unwrap().to_string(),
        "index": 1, "key": "half", "shape": [3, 100], "dtype": "float16",
        "part_of": {"file": "run.gen5", "fingerprint": fingerprint, "rows": [4, 8]},
    });
    assert_eq!(deeper["part_of"], expected);
}

#[test]
fn each_latent_gets_a_file_of_a_safe_name() {
    let folder = Folder::new();
    let latent = |extra: Value| Chunk::raw("LATN", b"F32\0", &[0, 0, 128, 63], extra);
    let named = |key: &str| latent(json!({"shape": [1], "dtype": "float32", "key": key}));
    let chunks = [
        named("../../x"),
        named("a"),
        named("A"),
        named("a"),
        latent(json!({"shape": [1], "dtype": "float32", "more": 1})),
        Chunk::raw("MASK", b"U8\0\0", b"mask", json!({})),
    ];
    fs::write(folder.path("odd.gen5"), Builder::new(chunks).build()).unwrap();
    for by in [&[][..], &["--by", "key"]] {
        folder.ok(&[&["split", "@/odd.gen5", "-o", "@/parts"], by].concat());
        let files = ["A-2.gen5", "_.._x.gen5", "a-3.gen5", "a.gen5", "index.json", "latent.gen5"];
        assert_eq!(names(&folder.path("parts")), files);
        let index = folder.json("parts/index.json");
        let found: Vec<(&Value, &Value)> =
            index.as_array().unwrap().iter().map(|entry| (&entry["key"], &entry["file"])).collect();
        let expected = [
            (&json!("../../x"), &json!("_.._x.gen5")),
            (&json!("a"), &json!("a.gen5")),
            (&json!("A"), &json!("A-2.gen5")),
            (&json!("a"), &json!("a-3.gen5")),
            (&Value::Null, &json!("latent.gen5")),
        ];
        assert_eq!(found, expected);
        let nameless = open(&folder, "parts/latent.gen5");
        assert_eq!(nameless.latent_at(0).unwrap().extra().unwrap().get("more"), Some("1"));
        assert_eq!(*nameless.payload(1).unwrap(), *b"mask");
        fs::remove_dir_all(folder.path("parts")).unwrap();
    }
}

#[test]
fn a_folder_is_written_as_unpack_does() {
    let folder = Folder::new();
    sample(&folder, "run.gen5");
    fs::create_dir(folder.path("parts")).unwrap();
    fs::write(folder.path("parts/mine"), "mine").unwrap();
    fs::write(folder.path("parts/half.gen5"), "old").unwrap();
    let ran = folder.run(&["split", "@/run.gen5", "-o", "@/parts"]);
    assert!(ran.code == 1 && ran.messages.contains("--force replaces those with the same names"), "{ran:?}");
    folder.ok(&["split", "@/run.gen5", "-o", "@/parts", "--force"]);
    assert_eq!(fs::read(folder.path("parts/mine")).unwrap(), b"mine");
    open(&folder, "parts/half.gen5").verify().unwrap();
    assert_eq!(folder.run(&["split", "@/run.gen5", "-o", "@/run.gen5", "--force"]).code, 1);
    for words in [["--rows", "0"], ["--rows", "x"], ["--by", "rows"]] {
        assert_eq!(folder.run(&[&["split", "@/run.gen5", "-o", "@/new"], &words[..]].concat()).code, 2);
    }
    assert_eq!(folder.run(&["split", "@/run.gen5", "-o", "@/new", "--by", "key", "--rows", "1"]).code, 2);
    assert_eq!(folder.names(), ["parts", "run.gen5"]);
}

#[test]
fn damage_leaves_nothing() {
    let folder = Folder::new();
    sample(&folder, "run.gen5");
    let whole = fs::read(folder.path("run.gen5")).unwrap();
    let records: Vec<(u64, u64)> = open(&folder, "run.gen5")
        .chunks()
        .iter()
        .filter(|chunk| chunk.payload_size() > 0)
        .map(|chunk| (chunk.offset(), chunk.stored_size()))
        .collect();
    for (offset, size) in records {
        let mut bytes = whole.clone();
        bytes[usize::try_from(offset + size - 2).unwrap()] ^= 1;
        fs::write(folder.path("run.gen5"), bytes).unwrap();
        for words in [&["--rows", "2"][..], &[]] {
            let ran = folder.run(&[&["split", "@/run.gen5", "-o", "@/parts"], words].concat());
            assert_eq!((ran.code, &*ran.out), (3, ""), "{ran:?}");
            assert!(ran.messages.starts_with("gen5: @/run.gen5: "), "{ran:?}");
        }
        assert_eq!(folder.names(), ["run.gen5"]);
    }
}

/// Each part keeps only its own entries. Otherwise the parts would grow with the square of the
/// number of merged files.
#[test]
fn a_part_tells_of_what_it_was_merged_from_alone() {
    let folder = Folder::new();
    for (name, rows, only) in [("a.gen5", 2, "p"), ("b.gen5", 3, "q")] {
        let mut writer = WriteOptions::new().create(folder.path(name)).unwrap();
        writer.latent("x", &[rows, 2], &vec![0.5_f32; rows * 2]).unwrap();
        writer.latent(only, &[], &[1.0_f32]).unwrap();
        writer.finish(&Metadata::builder("SD", "3").date("2026-11-22").build().unwrap()).unwrap();
    }
    folder.ok(&["merge", "--stack", "@/a.gen5", "@/b.gen5", "-o", "@/m.gen5"]);
    let told = |name: &str| -> Vec<(String, Value)> {
        let origins = model_info(&folder, name)["merged_from"].clone();
        let origins: Vec<Value> = serde_json::from_value(origins).unwrap();
        let told = |origin: &Value| (origin["file"].as_str().unwrap().to_owned(), origin["latents"].clone());
        origins.iter().map(told).collect()
    };
    let x = |rows: [usize; 2]| json!({"index": 0, "key": "x", "rows": rows});
    folder.ok(&["split", "@/m.gen5", "-o", "@/rows", "--rows", "2"]);
    let p = ("a.gen5".to_owned(), json!([x([0, 2]), {"index": 1, "key": "p"}]));
    assert_eq!(told("rows/m-0.gen5"), [p, ("b.gen5".to_owned(), json!([{"index": 2, "key": "q"}]))]);
    let b = || ("b.gen5".to_owned(), json!([x([2, 5])]));
    assert_eq!((told("rows/m-1.gen5"), told("rows/m-2.gen5")), (vec![b()], vec![b()]));
    folder.ok(&["split", "@/m.gen5", "-o", "@/keys"]);
    assert_eq!(told("keys/x.gen5"), [("a.gen5".to_owned(), json!([x([0, 2])])), b()]);
    assert_eq!(told("keys/p.gen5"), [("a.gen5".to_owned(), json!([{"index": 1, "key": "p"}]))]);

    // Entries of an unknown form are left out of all parts.
    for origins in ["7", "[{}]", r#"[{"latents":[{"index":-1}]}]"#] {
        folder.ok(&["set", "--quiet", "@/a.gen5", &format!("merged_from={origins}")]);
        let ran = folder.run(&["split", "@/a.gen5", "-o", "@/odd", "--rows", "1"]);
        let is_told = ran.messages.starts_with("gen5: @/a.gen5: merged_from is not valid: ");
        assert!(ran.code == 0 && is_told, "{ran:?}");
        assert_eq!(model_info(&folder, "odd/a-0.gen5").get("merged_from"), None);
        fs::remove_dir_all(folder.path("odd")).unwrap();
    }
    let far = r#"merged_from=[{"latents":[{"index":0,"rows":[0,18446744073709551615]},{"index":9}]}]"#;
    folder.ok(&["set", "--quiet", "@/a.gen5", far]);
    folder.ok(&["split", "@/a.gen5", "-o", "@/odd", "--rows", "1"]);
    assert!(model_info(&folder, "odd/a-1.gen5").get("merged_from").is_some());
}

#[test]
fn too_many_files_are_a_slip() {
    let folder = Folder::new();
    let mut writer = WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    writer.latent("x", &[100_001], &vec![0.0_f32; 100_001]).unwrap();
    writer.finish(&Metadata::builder("", "").build().unwrap()).unwrap();
    let ran = folder.run(&["split", "@/a.gen5", "-o", "@/parts", "--rows", "1"]);
    assert!(ran.code == 1 && ran.messages.contains("--rows 1 makes 100001 files"), "{ran:?}");
    assert_eq!(folder.names(), ["a.gen5"]);
}

/// Writes a file with this many rows, and an image, an environment and metadata of 100 KB each.
fn repeated(folder: &Folder, name: &str, rows: usize) {
    let mut writer = WriteOptions::new().create(folder.path(name)).unwrap();
    writer.latent("x", &[rows], &vec![0.5_f32; rows]).unwrap();
    writer.image(&[b"\0\0\0\x0cJXL \r\n\x87\n".as_slice(), &[7; 100_000]].concat()).unwrap();
    writer.environment(&Environment::new([Component::new("a", "y".repeat(100_000))])).unwrap();
    let metadata = Metadata::builder("SD", "3").prompt("a cat".repeat(20_000)).build().unwrap();
    writer.finish(&metadata).unwrap();
}

/// `split` refuses to copy shared data into very many files. Each remedy in its message works.
#[test]
fn what_all_files_repeat_is_bounded() {
    let folder = Folder::new();
    repeated(&folder, "run.gen5", 100_000);
    let ran = folder.run(&["split", "@/run.gen5", "-o", "@/parts", "--rows", "1"]);
    let told = "gen5: @/run.gen5: metadata, image, environment and chunks of unknown types, 293.3 KiB, \
         would be in each of 100000 files, 28.0 GiB in total, but --room allows 4.0 GiB: --rows 7 \
         makes fewer files, or --room 28";
    assert!(ran.code == 1 && ran.messages.starts_with(told), "{ran:?}");
    assert_eq!(folder.names(), ["run.gen5"]);

    repeated(&folder, "few.gen5", 20);
    let split = |more: &[&str]| {
        let ran = folder.run(&[&["split", "@/few.gen5", "-o", "@/parts"], more].concat());
        let files = folder.path("parts").exists().then(|| names(&folder.path("parts")).len() - 1);
        _ = fs::remove_dir_all(folder.path("parts"));
        (ran.code, files, ran.messages)
    };
    let (code, files, said) = split(&["--rows", "1", "--room", "3"]);
    assert_eq!((code, files), (1, None), "{said}");
    for (way, files) in [("--latents-only", 20), ("--rows 2", 10), ("--room 6", 20)] {
        assert!(said.contains(&format!("{way} ")), "{said}");
        let words = [vec!["--room", "3", "--rows", "1"], way.split(' ').collect()].concat();
        // clap refuses an option that is given twice, so the remedy replaces the first one.
        let words: Vec<&str> = match way.split_once(' ') {
            Some((option, _)) => {
                let at = words.iter().position(|word| *word == option).unwrap();
                [&words[..at], &words[at + 2..]].concat()
            }
            None => words,
        };
        assert_eq!(split(&words), (0, Some(files), String::new()), "{way}");
    }
    let (_, _, said) = split(&["--rows", "1", "--room", "1"]);
    assert!(!said.contains("--latents-only"), "the metadata alone are more: {said}");
}

#[test]
fn latents_only_leaves_out_what_is_none() {
    let folder = Folder::new();
    repeated(&folder, "run.gen5", 3);
    folder.ok(&["split", "@/run.gen5", "-o", "@/parts", "--rows", "1", "--latents-only"]);
    let part = open(&folder, "parts/run-1.gen5");
    assert_eq!((part.latents().len(), part.chunks().len()), (1, 1));
    assert_eq!(model_info(&folder, "parts/run-1.gen5")["prompt"], "a cat".repeat(20_000));
    part.verify().unwrap();
}

/// A single entry of `merged_from` can apply to every part.
#[test]
fn merged_from_is_bounded_too() {
    let folder = Folder::new();
    let mut writer = WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    writer.latent("x", &[1000], &[0.5; 1000]).unwrap();
    let mut extra = gen5::metadata::Extra::new();
    extra
        .insert_json(
            "merged_from",
            format!(r#"[{{"latents":[{{"index":0}}],"x":"{}"}}]"#, "y".repeat(10_000)),
        )
        .unwrap();
    writer.finish(&Metadata::builder("", "").extra(extra).build().unwrap()).unwrap();
    let ran = folder.run(&["split", "@/a.gen5", "-o", "@/parts", "--rows", "1", "--room", "5"]);
    assert_eq!(ran.code, 1);
    assert!(ran.messages.contains("would repeat more than 5.0 MiB of merged_from"), "{ran:?}");
    folder.ok(&["set", "--quiet", "@/a.gen5", "--unset", "merged_from"]);
    folder.ok(&["split", "@/a.gen5", "-o", "@/parts", "--rows", "1", "--room", "5"]);
}

#[test]
fn too_many_latents_are_a_slip_too() {
    let folder = Folder::new();
    let mut writer = WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    let keys: Vec<String> = (0..100_001).map(|number| number.to_string()).collect();
    writer.latents(keys.iter().map(|key| Array::new(key.as_str(), &[1], &[0.5_f32]))).unwrap();
    writer.finish(&Metadata::builder("", "").build().unwrap()).unwrap();
    let ran = folder.run(&["split", "@/a.gen5", "-o", "@/parts"]);
    assert!(ran.code == 1 && ran.messages.contains("100001 latents would make as many files"), "{ran:?}");
    assert_eq!(folder.names(), ["a.gen5"]);
}
