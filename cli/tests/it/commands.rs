//! Commands as a script sees them: results, messages, exit codes and files.

use std::fs;
use std::path::Path;

use gen5::{Reader, WriteOptions};
use serde_json::{Value, json};

use crate::library::{Builder, Chunk};
use crate::support::{Folder, PNG, json_lines, names};

const MODEL: [&str; 4] = ["--model-name", "SD", "--model-version", "3.0"];

/// Appends the model options that every `pack` needs to `words`.
fn with_model<'a>(words: &[&'a str]) -> Vec<&'a str> {
    words.iter().copied().chain(MODEL).collect()
}

/// Whether an environment contains a component for the operating system.
fn has_os(components: &Value) -> bool {
    components.as_array().unwrap().iter().any(|component| component["component_id"] == "os")
}

#[test]
fn what_is_packed_is_unpacked() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    assert_eq!(folder.ok(&["unpack", "@/run.gen5", "-o", "@/run"]), "@/run: 2 latents, 40 B\n");
    assert_eq!(
        names(&folder.path("run")),
        ["environment.json", "image.png", "index.json", "latents", "metadata.json"]
    );
    assert_eq!(
        folder.json("run/index.json"),
        json!([
            {"key": "noise", "file": "latents/noise.npy", "shape": [2, 3], "dtype": "float32"},
            {"key": "final/latent", "file": "latents/final_latent.npy", "shape": [4], "dtype": "float32"},
        ])
    );
    assert_eq!(fs::read(folder.path("run/image.png")).unwrap(), PNG);
    let original = folder.npy("noise.npy", &[2, 3], &[0.0, 1.0, -2.0, 3.5, 4.0, 5.0]);
    assert_eq!(fs::read(folder.path("run/latents/noise.npy")).unwrap(), fs::read(original).unwrap());

    let reader = Reader::open(folder.path("run.gen5")).unwrap();
    assert_eq!(fs::read_to_string(folder.path("run/metadata.json")).unwrap(), reader.manifest_json());
    let model_info = &mut folder.json("run/metadata.json")["gen5_metadata"]["model_info"];
    let hardware = model_info.as_object_mut().unwrap().remove("hardware_info").unwrap();
    assert!(hardware["os"].is_string());
    assert_eq!(
        *model_info,
        json!({
            "model_name": "SD", "version": "3.0", "date": "2026-11-22", "prompt": "a \u{1b}[31mcat\u{202e}",
            "tags": ["cat", "sea"],
            "generation_settings": {
                "seed": u64::MAX, "steps": 30, "sampler": "ddim", "clip_skip": 2, "note": "free text",
            },
        })
    );
    let environment = folder.json("run/environment.json");
    assert!(has_os(&environment["components"]));
}

#[test]
fn unpacked_metadata_can_be_packed_again_and_overridden() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    folder.ok(&["unpack", "@/run.gen5", "-o", "@/run"]);
    let pack = |out: &str, more: &[&str]| {
        let words = ["pack", out, "--latent", "@/run/latents/noise.npy", "--metadata", "@/run/metadata.json"];
        folder.ok(&words.into_iter().chain(more.iter().copied()).collect::<Vec<_>>());
    };
    pack("@/same.gen5", &[]);
    let model_info = |name: &str| {
        serde_json::from_str::<Value>(Reader::open(folder.path(name)).unwrap().model_info_json()).unwrap()
    };
    assert_eq!(model_info("same.gen5"), model_info("run.gen5"));
    pack("@/other.gen5", &["--prompt", "a dog", "--set", "steps=31", "--tag", "dog"]);
    let other = model_info("other.gen5");
    assert_eq!((&other["prompt"], &other["tags"]), (&json!("a dog"), &json!(["dog"])));
    assert_eq!(other["generation_settings"]["steps"], 31);
    assert_eq!(other["generation_settings"]["sampler"], "ddim");

    fs::write(folder.path("info.json"), r#"{"model_name":"A","version":"1","clip":1.50}"#).unwrap();
    folder.ok(&["pack", "@/bare.gen5", "--latent", "@/run/latents/noise.npy", "--metadata", "@/info.json"]);
    let bare = Reader::open(folder.path("bare.gen5")).unwrap();
    assert!(bare.model_info_json().contains("\"clip\":1.50"), "numbers keep their spelling");
    assert_eq!(bare.metadata().unwrap().model_info().prompt, "");
}

#[test]
fn an_unpacked_environment_can_be_packed_again() {
    let folder = Folder::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/raw_f32.gen5");
    folder.ok(&["unpack", data.to_str().unwrap(), "-o", "@/run", "--no-environment-check"]);
    let pack = [
        "pack",
        "@/x.gen5",
        "--latent",
        "@/run/latents/initial_noise.npy",
        "--metadata",
        "@/run/metadata.json",
    ];
    folder.ok(&[&pack[..], &["--environment", "@/run/environment.json"]].concat());
    let environment = |path: &Path| Reader::open(path).unwrap().environment().unwrap().unwrap();
    assert_eq!(environment(&folder.path("x.gen5")), environment(&data));

    let altered = fs::read_to_string(folder.path("run/environment.json"))
        .unwrap()
        .replace("torch;version=", "torch;version=9");
    fs::write(folder.path("altered.json"), altered).unwrap();
    let ran = folder.run(&[&pack[..], &["--environment", "@/altered.json", "--force"]].concat());
    assert_eq!(ran.code, 3);
    assert!(
        ran.messages.starts_with("gen5: @/altered.json: environment: component \"torch\" was altered"),
        "{ran:?}"
    );
    assert_eq!(folder.run(&[&pack[..], &["--environment", "x", "--no-environment"]].concat()).code, 2);
    folder.ok(&[&pack[..], &["--no-environment", "--force"]].concat());
    assert!(Reader::open(folder.path("x.gen5")).unwrap().environment().unwrap().is_none());
}

#[test]
fn compression_and_float16_are_what_was_asked_for() {
    let folder = Folder::new();
    folder.npy("zeros.npy", &[100, 100], &[0.0; 10_000]);
    let pack = |out: &str, more: &[&str]| {
        folder.ok(&with_model(&[&["pack", out, "--latent", "@/zeros.npy"], more].concat()));
        Reader::open(folder.path(&out.replace("@/", ""))).unwrap().latent("zeros").unwrap()
    };
    let is_raw = |latent: gen5::Latent| latent.chunks().all(gen5::chunk::ChunkRecord::is_raw_and_aligned);
    assert!(!is_raw(pack("@/auto.gen5", &[])), "zeros shrink");
    assert!(is_raw(pack("@/none.gen5", &["--compress", "none"])));
    let packed = pack("@/zstd.gen5", &["--compress", "zstd", "--level", "-3"]);
    assert!(packed.chunks().all(|chunk| chunk.is_compressed() && chunk.stored_size() < 200));
    assert_eq!(pack("@/half.gen5", &["--float16"]).dtype(), gen5::Dtype::F16);
    let none = ["--compress", "none", "--level", "5"];
    let pack = with_model(&[&["pack", "@/x.gen5", "--latent", "@/zeros.npy"], &none[..]].concat());
    for words in [pack, [&["repack", "@/zstd.gen5", "@/x.gen5"], &none[..]].concat()] {
        let ran = folder.run(&words);
        let message =
            "gen5: --level 5: with --compress none no latent is compressed; leave one of them out\n";
        assert_eq!((ran.code, &*ran.messages), (2, message), "{words:?}");
    }
}

#[test]
fn a_key_of_any_length_leaves_the_table_readable() {
    let folder = Folder::new();
    let key = format!("{}{}", "a".repeat(150), "z".repeat(150));
    folder.npy("x.npy", &[1], &[1.0]);
    folder.ok(&with_model(&["pack", "@/x.gen5", "--latent", &format!("{key}=@/x.npy")]));
    let page = folder.ok(&["info", "@/x.gen5"]);
    let row = page.lines().find(|line| line.contains("LATN")).unwrap();
    assert!(row.chars().count() < 110 && row.contains("aaa…zzz"), "{page}");
    assert!(folder.ok(&["info", "--json", "@/x.gen5"]).contains(&key));
    assert!(folder.ok(&["ls", "@/x.gen5"]).starts_with(&format!("{key}\t")));
}

#[test]
fn what_to_do_with_a_file_of_the_wrong_length_is_said() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let bytes = fs::read(folder.path("run.gen5")).unwrap();
    let size = bytes.len();
    for (bytes, hint) in [
        (bytes[..size - 9].to_vec(), "it may be cut short: copy or download it again".to_owned()),
        (
            [&bytes[..], b"more"].concat(),
            format!("something may have been appended: remove everything after byte {size}"),
        ),
    ] {
        fs::write(folder.path("bad.gen5"), &bytes).unwrap();
        let ran = folder.run(&["info", "@/bad.gen5"]);
        let length = bytes.len();
        let told = format!("file_size is {size}, expected {length}, the length of the file ({hint})");
        assert_eq!((ran.code, ran.messages), (3, format!("gen5: @/bad.gen5: file header: {told}\n")));
    }
}

#[test]
fn refused_values_leave_nothing_behind() {
    let folder = Folder::new();
    folder.npy("bad.npy", &[3], &[0.0, f32::NAN, 1.0]);
    folder.npy("large.npy", &[2], &[1.0, 70_000.0]);
    let before = folder.names();
    let refused = folder.run(&with_model(&["pack", "@/x.gen5", "--latent", "@/bad.npy"]));
    assert_eq!(refused.code, 1);
    assert_eq!(
        refused.messages,
        "gen5: latent \"bad\": element 1 is NaN; --allow-non-finite keeps such values\n"
    );
    let refused = folder.run(&with_model(&["pack", "@/x.gen5", "--latent", "@/large.npy", "--float16"]));
    assert_eq!(refused.code, 1);
    assert!(refused.messages.contains("element 1 is 70000, which float16"), "{}", refused.messages);
    assert_eq!(folder.names(), before);
    folder.ok(&with_model(&["pack", "@/x.gen5", "--latent", "@/bad.npy", "--allow-non-finite"]));
}

#[test]
fn usage_errors_exit_with_2_before_anything_is_written() {
    let folder = Folder::new();
    folder.npy("a.npy", &[1], &[1.0]);
    let latent = ["--latent", "@/a.npy"];
    let pack = |words: &[&str]| {
        let ran = folder.run(&[&["pack"], words].concat());
        assert_eq!(ran.code, 2, "{words:?}: {ran:?}");
        ran.messages
    };
    assert!(pack(&with_model(&[&["@/x.bin"], &latent[..]].concat())).contains("must end in .gen5"));
    assert!(pack(&["@/x.gen5", "--latent", "@/a.npy", "--model-name", "A"]).contains("--model-version"));
    assert!(pack(&["@/x.gen5", "--latent", "@/a.npy", "--model-version", "1"]).contains("--model-name"));
    let set = |setting: &str| pack(&with_model(&[&["@/x.gen5", "--set", setting], &latent[..]].concat()));
    assert!(set("seed").contains("expected NAME=VALUE"));
    assert!(set("=1").contains("expected NAME=VALUE"));
    assert!(set("seed=forty").contains("\"forty\" is not a number"));
    assert!(set("deterministic=maybe").contains("is not true or false"));
    let date = |date: &str| pack(&with_model(&[&["@/x.gen5", "--date", date], &latent[..]].concat()));
    assert!(date("yesterday").contains("expected ISO 8601"));
    assert!(date("22.11.2026").contains("expected ISO 8601"));
    assert!(set("seed=1").contains("--set steps="));
    pack(&with_model(&[&["@/x.gen5", "--level", "23"], &latent[..]].concat()));
    assert_eq!(folder.names(), ["a.npy"]);
    // clap reports these errors.
    for words in [&["pack", "@/x.gen5"][..], &["nonsense"], &["info"], &["info", "--nonsense", "x"]] {
        assert_eq!(folder.run(words).code, 2, "{words:?}");
    }
}

#[test]
fn metadata_that_is_not_valid_is_refused_by_member() {
    let folder = Folder::new();
    folder.npy("a.npy", &[1], &[1.0]);
    for (text, complaint) in [
        ("[]", "is not a JSON object"),
        ("{", "is not a JSON object"),
        (r#"{"tags": "cat"}"#, "metadata: tags is \"cat\""),
        (
            r#"{"generation_settings": {"seed": -1, "steps": 1, "sampler": ""}}"#,
            "generation_settings.seed is -1",
        ),
        (r#"{"gen5_metadata": {}}"#, "has no model_info"),
    ] {
        fs::write(folder.path("m.json"), text).unwrap();
        let words = with_model(&["pack", "@/x.gen5", "--latent", "@/a.npy", "--metadata", "@/m.json"]);
        let ran = folder.run(&words);
        assert_eq!(ran.code, 1, "{text}: {ran:?}");
        assert!(ran.messages.contains(complaint), "{text}: {}", ran.messages);
    }
    assert_eq!(folder.names(), ["a.npy", "m.json"]);
}

#[test]
fn nothing_is_overwritten_without_force() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    folder.npy("a.npy", &[1], &[1.0]);
    let before = fs::read(folder.path("run.gen5")).unwrap();
    let words = with_model(&["pack", "@/run.gen5", "--latent", "@/a.npy"]);
    let refused = folder.run(&words);
    assert_eq!(refused.code, 1);
    assert!(refused.messages.contains("--force"), "{}", refused.messages);
    assert_eq!(fs::read(folder.path("run.gen5")).unwrap(), before);
    folder.ok(&[&words[..], &["--force"]].concat());
    assert_eq!(Reader::open(folder.path("run.gen5")).unwrap().latents().len(), 1);

    fs::create_dir(folder.path("out")).unwrap();
    folder.ok(&["unpack", "@/run.gen5", "-o", "@/out"]); // the folder is empty, so nothing is lost
    fs::write(folder.path("out/mine.txt"), "mine").unwrap();
    fs::write(folder.path("out/index.json"), "old").unwrap();
    let refused = folder.run(&["unpack", "@/run.gen5", "-o", "@/out"]);
    assert_eq!(refused.code, 1);
    assert!(refused.messages.contains("--force"), "{}", refused.messages);
    assert_eq!(fs::read_to_string(folder.path("out/index.json")).unwrap(), "old");
    folder.ok(&["unpack", "@/run.gen5", "-o", "@/out", "--force"]);
    assert_eq!(fs::read_to_string(folder.path("out/mine.txt")).unwrap(), "mine");
    assert_eq!(folder.json("out/index.json")[0]["key"], "a");
    assert_eq!(folder.names(), ["a.npy", "out", "run.gen5"]);
}

#[test]
#[cfg(unix)]
fn planted_links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.sample("run.gen5");
    fs::create_dir(folder.path("elsewhere")).unwrap();
    fs::write(folder.path("precious"), "precious").unwrap();
    fs::create_dir(folder.path("out")).unwrap();
    symlink(folder.path("precious"), folder.path("out/index.json")).unwrap();
    folder.ok(&["unpack", "@/run.gen5", "-o", "@/out", "--force"]);
    assert_eq!(fs::read_to_string(folder.path("precious")).unwrap(), "precious");

    fs::remove_dir_all(folder.path("out/latents")).unwrap();
    symlink(folder.path("elsewhere"), folder.path("out/latents")).unwrap();
    assert_eq!(folder.run(&["unpack", "@/run.gen5", "-o", "@/out", "--force"]).code, 1);
    assert!(names(&folder.path("elsewhere")).is_empty());

    symlink(folder.path("elsewhere"), folder.path("link")).unwrap();
    assert_eq!(folder.run(&["unpack", "@/run.gen5", "-o", "@/link"]).code, 1);
    assert!(names(&folder.path("elsewhere")).is_empty());
}

/// Writes a file with one latent for each key.
fn with_keys(path: &Path, keys: &[&str]) {
    let mut writer = WriteOptions::new().create(path).unwrap();
    for (index, key) in (0_u16..).zip(keys) {
        writer.latent(*key, &[1], &[f32::from(index)]).unwrap();
    }
    writer.finish(&gen5::Metadata::builder("m", "1").build().unwrap()).unwrap();
}

#[test]
fn hostile_keys_stay_inside_the_folder() {
    let folder = Folder::new();
    let long = "x".repeat(300);
    let keys = ["../../x", "/etc/passwd", "a\0b", "CON", &long, "Noise", "noise", "", ".."];
    with_keys(&folder.path("keys.gen5"), &keys);
    folder.ok(&["unpack", "@/keys.gen5", "-o", "@/out"]);
    let index = folder.json("out/index.json");
    let entries = index.as_array().unwrap();
    assert_eq!(entries.len(), keys.len());
    for ((position, key), entry) in keys.iter().enumerate().zip(entries) {
        assert_eq!(entry["key"], *key);
        let file = folder.path("out").join(entry["file"].as_str().unwrap());
        assert_eq!(file.parent().unwrap(), folder.path("out/latents"));
        let bytes = fs::read(file).unwrap();
        assert_eq!(
            bytes.last_chunk::<4>().unwrap(),
            &u16::try_from(position).map(f32::from).unwrap().to_le_bytes()
        );
    }
    assert_eq!(names(&folder.path("out/latents")).len(), keys.len());
    assert_eq!(folder.names(), ["keys.gen5", "out"]);
}

#[test]
fn a_key_that_is_empty_is_seen() {
    let folder = Folder::new();
    with_keys(&folder.path("a.gen5"), &["", "a\tb"]);
    assert!(folder.ok(&["ls", "@/a.gen5"]).starts_with("\"\"\tfloat"));
    assert!(folder.ok(&["ls", "@/a.gen5"]).contains("\n\"a\\tb\"\tfloat"));
    assert!(folder.ok(&["info", "@/a.gen5"]).contains("  LATN  \"\"  "));
    let ran = folder.run(&["diff", "@/a.gen5", "@/a.gen5"]);
    assert_eq!(ran.code, 0);
    with_keys(&folder.path("b.gen5"), &["a\tb"]);
    let ran = folder.run(&["diff", "@/a.gen5", "@/b.gen5"]);
    assert!(ran.out.contains("latent       \"\": only in the first file"), "{}", ran.out);
}

#[test]
fn what_cannot_be_made_is_called_by_its_own_name() {
    let folder = Folder::new();
    folder.sample("a.gen5");
    let ran = folder.run(&["unpack", "@/a.gen5", "-o", "@/no/folder"]);
    let message = "gen5: could not create @/no/folder: No such file or directory (os error 2)\n";
    assert_eq!((ran.code, &*ran.messages), (1, message));
}

#[test]
fn info_as_json_is_the_contract() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let info: Value = serde_json::from_str(&folder.ok(&["info", "--json", "@/run.gen5"])).unwrap();
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        members(&info),
        ["environment", "file_size", "image", "latents", "metadata", "path", "version"]
    );
    assert_eq!((&info["path"], &info["version"]), (&json!("@/run.gen5"), &json!("1.0")));
    assert_eq!(info["file_size"], fs::metadata(folder.path("run.gen5")).unwrap().len());
    let noise = &info["latents"][0];
    let sha256 = gen5::chunk::Digest::of(
        &[0.0_f32, 1.0, -2.0, 3.5, 4.0, 5.0].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>(),
    );
    assert_eq!(
        *noise,
        json!({
            "key": "noise", "shape": [2, 3], "dtype": "float32", "borrowable": true, "payload_size": 24,
            "stored_size": 36,
            "chunks": [{
                "index": 0, "offset": 52, "stored_size": 36, "payload_size": 24, "compressed": false,
                "shuffled": false, "sha256": sha256.to_string(),
            }],
        })
    );
    assert_eq!(info["image"]["media_type"], "image/png");
    assert!(has_os(&info["environment"]));
    assert_eq!(info["metadata"]["generation_settings"]["seed"], u64::MAX);

    folder.sample("other.gen5");
    assert_eq!(json_lines(&folder.ok(&["info", "--json", "@/run.gen5", "@/other.gen5"])).len(), 2);
}

#[test]
fn info_for_people_is_escaped_and_has_a_line_a_chunk() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let page = folder.ok(&["info", "@/run.gen5"]);
    assert!(!page.contains(['\u{1b}', '\u{202e}']), "{page}");
    assert!(page.contains("prompt       a \\u{1b}[31mcat\\u{202e}"), "{page}");
    assert!(page.contains("settings     seed 18446744073709551615, steps 30, sampler ddim"), "{page}");
    let chunks: Vec<&str> = page.lines().skip_while(|line| !line.contains("chunk  type")).skip(1).collect();
    assert_eq!(chunks.len(), 4, "{page}");
    assert!(chunks[0].ends_with("  raw") && chunks[0].contains("2×3"), "{page}");
}

#[test]
fn damage_is_told_chunk_by_chunk_and_exits_with_3() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let mut bytes = fs::read(folder.path("run.gen5")).unwrap();
    bytes[52 + 12] ^= 1; // the first payload byte of the first latent
    fs::write(folder.path("bad.gen5"), &bytes).unwrap();
    fs::write(folder.path("text.gen5"), "hello").unwrap();

    let fine = folder.ok(&["verify", "@/run.gen5"]);
    assert!(fine.starts_with("@/run.gen5: fine, 4 chunks, "), "{fine}");
    let ran = folder.run(&["verify", "@/bad.gen5", "@/text.gen5", "@/run.gen5"]);
    assert_eq!(ran.code, 3);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines[0].starts_with("@/bad.gen5: chunk 0 (LATN \"noise\") at offset 52: the payload is damaged"),
        "{ran:?}"
    );
    assert_eq!(lines[1], "@/bad.gen5: damaged, 1 of 4 chunks");
    assert!(lines[2].starts_with("@/run.gen5: fine"), "one bad file does not stop the rest");
    assert!(ran.messages.starts_with("gen5: @/text.gen5: not a GEN5 file"), "{ran:?}");

    let ran = folder.run(&["verify", "--json", "@/bad.gen5", "@/missing.gen5"]);
    assert_eq!(ran.code, 3);
    let reports = json_lines(&ran.out);
    assert_eq!((&reports[0]["ok"], &reports[0]["chunks"][0]["ok"]), (&json!(false), &json!(false)));
    assert_eq!(reports[0]["chunks"][1]["ok"], true);
    assert!(reports[1]["error"].as_str().unwrap().contains("missing.gen5"));

    let before = folder.names();
    let ran = folder.run(&["unpack", "@/bad.gen5", "-o", "@/out"]);
    assert_eq!(ran.code, 3);
    assert!(ran.messages.contains("@/bad.gen5: chunk 0"), "{ran:?}");
    assert_eq!(folder.names(), before, "no partial output is left");
    assert_eq!(folder.run(&["info", "@/text.gen5"]).code, 3);
}

/// The position of a byte in the middle of the first chunk of type `kind`.
fn middle_of(path: &Path, kind: gen5::chunk::ChunkType) -> usize {
    let reader = Reader::open(path).unwrap();
    let record = reader.chunks().iter().find(|record| record.kind() == kind).unwrap();
    usize::try_from(record.offset() + record.stored_size() / 2).unwrap()
}

#[test]
fn a_damaged_image_or_environment_does_not_hide_the_rest() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let whole = fs::read(folder.path("run.gen5")).unwrap();
    // `info` recognizes this small raw image by its first bytes, so only `verify` finds the damage
    // in the middle.
    for (kind, seen) in [(gen5::chunk::ChunkType::IMAGE, false), (gen5::chunk::ChunkType::ENVIRONMENT, true)]
    {
        let mut bytes = whole.clone();
        bytes[middle_of(&folder.path("run.gen5"), kind)] ^= 0x10;
        fs::write(folder.path("bad.gen5"), bytes).unwrap();
        let ran = folder.run(&["verify", "@/bad.gen5"]);
        assert_eq!((ran.code, ran.out.contains("damaged, 1 of 4 chunks")), (3, true), "{kind}: {ran:?}");
        let ran = folder.run(&["info", "@/bad.gen5"]);
        assert!(ran.out.contains("noise") && ran.out.contains("model        SD"), "{kind}: {ran:?}");
        assert_eq!(ran.out.contains("  damaged      chunk "), seen, "{kind}: {ran:?}");
        assert_eq!(ran.code, if seen { 3 } else { 0 }, "{kind}: {ran:?}");
        let ran = folder.run(&["info", "--json", "@/bad.gen5"]);
        let info: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(info["problems"].as_array().map(Vec::len), seen.then_some(1), "{kind}");
    }
}

#[test]
fn an_altered_environment_is_unpacked_as_it_is_and_told() {
    let folder = Folder::new();
    let environment =
        gen5::Environment::new([gen5::environment::Component::new("torch", "name=torch;version=2")]);
    let mut writer = WriteOptions::new().create(folder.path("x.gen5")).unwrap();
    writer.environment(&environment).unwrap();
    writer.finish(&gen5::Metadata::builder("m", "1").build().unwrap()).unwrap();
    assert_eq!(folder.run(&["unpack", "@/x.gen5", "-o", "@/fine"]).code, 0);

    // The text is altered before the chunk is hashed, so only the component's digest is wrong.
    let altered = altered_environment();
    fs::write(folder.path("altered.gen5"), altered).unwrap();
    let ran = folder.run(&["unpack", "@/altered.gen5", "-o", "@/out"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.messages.contains("component \"torch\" was altered"), "{ran:?}");
    let stored = fs::read_to_string(folder.path("out/environment.json")).unwrap();
    assert!(stored.contains("version=3"), "{stored}");
    assert_eq!(folder.run(&["verify", "@/altered.gen5"]).code, 3);
}

/// Builds a file whose environment has a component with the digest of another text.
fn altered_environment() -> Vec<u8> {
    let digest = gen5::chunk::Digest::of(b"name=torch;version=2");
    let payload = json!({"env_version": 1, "components": [{
        "component_id": "torch", "cononical_str": "name=torch;version=3",
        "component_sha256_digest": digest.to_string(),
    }]})
    .to_string();
    let header = |kind: &[u8; 4], size: usize| {
        [&kind[..], b"0000", &u32::try_from(size).unwrap().to_le_bytes()].concat()
    };
    let chunk = [header(b"ENVC", payload.len()), payload.clone().into_bytes()].concat();
    let table_offset = 32 + chunk.len();
    let manifest = json!({"gen5_metadata": {
        "file_info": {
            "magic": "GEN5", "version_major": 1, "version_minor": 0, "file_size": 0, "chunk_count": 1,
        },
        "model_info": {"model_name": "m", "version": "1", "date": "", "prompt": "", "tags": []},
        "chunks": [{
            "index": 0, "type": "ENVC", "flags": "0000", "offset": 32, "compressed_size": chunk.len(),
            "uncompressed_size": payload.len(), "hash": gen5::chunk::Digest::of(payload.as_bytes()).to_string(),
            "extra": {}, "compressed": false,
        }],
    }})
    .to_string();
    let table = raw_frame(&[header(b"META", manifest.len()), manifest.into_bytes()].concat());
    let mut file = b"GEN5\x01\0\0\0".to_vec();
    for value in [table_offset, table.len(), 1, table_offset + table.len()] {
        file.extend(u32::try_from(value).unwrap().to_le_bytes());
    }
    file.extend([0; 8]);
    file.extend(chunk);
    file.extend(table);
    file
}

/// A zstd frame (RFC 8878) with one raw block: magic, a single-segment header with a content size
/// of four bytes, then the block.
fn raw_frame(content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).unwrap();
    let block = (size << 3 | 1).to_le_bytes();
    [&b"\x28\xb5\x2f\xfd\xa0"[..], &size.to_le_bytes(), &block[..3], content].concat()
}

#[test]
fn unpacking_over_clashing_names_changes_nothing() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    fs::create_dir_all(folder.path("out/index.json")).unwrap();
    fs::create_dir_all(folder.path("out/latents")).unwrap();
    fs::write(folder.path("out/latents/noise.npy"), "old").unwrap();
    let ran = folder.run(&["unpack", "@/run.gen5", "-o", "@/out", "--force"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.messages.contains("could not write @/out/index.json: it already exists, and is a folder"),
        "{ran:?}"
    );
    assert_eq!(names(&folder.path("out")), ["index.json", "latents"]);
    assert_eq!(fs::read_to_string(folder.path("out/latents/noise.npy")).unwrap(), "old");
}

#[test]
fn prose_keeps_what_emoji_need() {
    let folder = Folder::new();
    let prompt = "👩\u{200d}❤\u{fe0f}\u{200d}👨 क्\u{200d}ष 雪\u{3000}夜 a\u{200d}b\u{2060}\u{3164}";
    let shown = "👩\u{200d}❤\u{fe0f}\u{200d}👨 क्\u{200d}ष 雪\u{3000}夜 a\\u{200d}b\\u{2060}\\u{3164}";
    let write = |name: &str, prompt: &str| {
        let mut writer = WriteOptions::new().create(folder.path(name)).unwrap();
        writer.latent("x", &[1], &[1.0_f32]).unwrap();
        writer.finish(&gen5::Metadata::builder("m", "1").prompt(prompt).build().unwrap()).unwrap();
    };
    write("x.gen5", prompt);
    assert!(folder.ok(&["info", "@/x.gen5"]).contains(&format!("prompt       {shown}\n")));
    folder.ok(&["report", "@/x.gen5", "-o", "@/x.html", "--no-environment-check"]);
    assert!(fs::read_to_string(folder.path("x.html")).unwrap().contains(shown));
    // `diff` escapes the joiner, because it shows values that must be distinguishable.
    write("y.gen5", &prompt.replace('\u{200d}', ""));
    let ran = folder.run(&["diff", "@/x.gen5", "@/y.gen5"]);
    assert!(ran.code == 4 && ran.out.contains("👩\\u{200d}"), "{ran:?}");
    let json = folder.ok(&["info", "--json", "@/x.gen5"]);
    assert!(!json.contains(['\u{200d}', '\u{fe0f}', '\u{3000}', '\u{3164}']), "{json}");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["metadata"]["prompt"], prompt);
}

#[test]
fn json_is_harmless_on_a_terminal_and_means_the_same() {
    let folder = Folder::new();
    let mut writer = WriteOptions::new().create(folder.path("x.gen5")).unwrap();
    writer.latent("a\u{202e}\u{9b}2J", &[1], &[1.0_f32]).unwrap();
    writer.finish(&gen5::Metadata::builder("m", "1").prompt("\u{9b}31m\u{7f}").build().unwrap()).unwrap();
    let text = folder.ok(&["info", "--json", "@/x.gen5"]);
    assert!(!text.contains(['\u{202e}', '\u{9b}', '\u{7f}']), "{text}");
    let info: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(info["latents"][0]["key"], "a\u{202e}\u{9b}2J");
    assert_eq!(info["metadata"]["prompt"], "\u{9b}31m\u{7f}");
}

#[test]
fn what_cannot_be_read_exits_with_1() {
    let folder = Folder::new();
    for command in ["info", "verify"] {
        let ran = folder.run(&[command, "@/missing.gen5"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert_eq!(
            ran.messages,
            "gen5: could not open @/missing.gen5: No such file or directory (os error 2)\n"
        );
        assert_eq!(folder.run(&[command, "@"]).code, 1, "a folder");
    }
    assert_eq!(folder.run(&["unpack", "@/missing.gen5", "-o", "@/x"]).code, 1);
    assert_eq!(folder.run(&with_model(&["pack", "@/x.gen5", "--latent", "@/missing.npy"])).code, 1);
    folder.npy("a.npy", &[1], &[1.0]);
    let words = with_model(&["pack", "@/no/x.gen5", "--latent", "@/a.npy"]);
    assert_eq!(folder.run(&words).code, 1);
    let words =
        with_model(&["pack", "@/x.gen5", "--latent", "@/a.npy", "b=@/a.npy", "--latent", "b=@/a.npy"]);
    let ran = folder.run(&words);
    assert!(
        ran.code == 1 && ran.messages.contains("the key \"b\" is used twice, by @/a.npy and @/a.npy"),
        "{ran:?}"
    );
    fs::create_dir(folder.path("folder.gen5")).unwrap();
    for force in [&[][..], &["--force"]] {
        let words = with_model(&["pack", "@/folder.gen5", "--latent", "@/a.npy"]);
        assert_eq!(folder.run(&[&words, force].concat()).code, 1);
    }
    fs::remove_dir(folder.path("folder.gen5")).unwrap();
    fs::write(folder.path("out.png"), &PNG[..40]).unwrap();
    let words = with_model(&["pack", "@/x.gen5", "--latent", "@/a.npy", "--image", "@/out.png"]);
    let ran = folder.run(&words);
    assert!(ran.code == 1 && ran.messages.contains("@/out.png: the image is damaged"), "{ran:?}");
    assert_eq!(folder.names(), ["a.npy", "out.png"]);
}

#[test]
fn files_of_the_reference_are_shown_checked_and_taken_apart() {
    let folder = Folder::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    for name in
        ["many", "no_image", "raw_f16", "raw_f32", "raw_mixed_misaligned", "unicode", "zstd_f16", "zstd_f32"]
    {
        fs::copy(data.join(format!("{name}.gen5")), folder.path("x.gen5")).unwrap();
        folder.ok(&["info", "@/x.gen5"]);
        folder.ok(&["verify", "@/x.gen5"]);
        folder.ok(&["unpack", "@/x.gen5", "-o", &format!("@/{name}"), "--no-environment-check"]);
    }
    let page = folder.ok(&["info", &data.join("raw_mixed_misaligned.gen5").to_string_lossy()]);
    let single = page.lines().find(|line| line.contains("single")).unwrap();
    assert!(single.ends_with("  raw, misaligned"), "{single}");
}

/// A chunk over a limit is not damaged: another machine or program may be able to read it.
#[test]
fn what_could_not_be_checked_is_told_as_that() {
    let folder = Folder::new();
    let mut text = br#"{"env_version":1,"components":[]}"#.to_vec();
    text.resize(17 << 20, b' ');
    let environment = Chunk::raw("ENVC", &[0; 4], &text, json!({})).compressed();
    let file = Builder::new([environment, Chunk::latent("a", &[2], &[1.0, 2.0])]).build();
    fs::write(folder.path("run.gen5"), file).unwrap();
    let ran = folder.run(&["verify", "@/run.gen5"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("17825792 bytes are over the limit of 16777216"), "{ran:?}");
    assert!(ran.out.ends_with("@/run.gen5: not checked, 1 of 2 chunks\n"), "{ran:?}");
}
