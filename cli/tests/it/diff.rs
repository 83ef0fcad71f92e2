//! `diff` compares two files.

use std::fs;

use gen5::environment::Component;
use gen5::metadata::{Extra, GenerationSettings, MetadataBuilder};
use gen5::{Array, Compression, Element, Environment, Metadata, NonFinite, WriteOptions, Writer, bf16, f16};
use serde_json::{Value, json};

use crate::library::{Builder, Chunk};
use crate::support::{Folder, PNG, Ran};

fn builder() -> MetadataBuilder {
    Metadata::builder("SD", "3").date("2026-11-22")
}

fn create(folder: &Folder, name: &str, compression: Compression) -> Writer<'static> {
    let options = WriteOptions::new().compression(compression).part_size(Some(64 << 10)).sync(false);
    options.non_finite(NonFinite::Keep).create(folder.path(name)).unwrap()
}

/// Writes a file with one latent.
fn latent<T: Element>(folder: &Folder, name: &str, compression: Compression, shape: &[usize], values: &[T]) {
    let mut writer = create(folder, name, compression);
    writer.latent("noise", shape, values).unwrap();
    writer.finish(&builder().build().unwrap()).unwrap();
}

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn metadata_environment_and_image_are_compared() {
    let folder = Folder::new();
    let write = |name: &str, seed: u64, prompt: &str, python: &str, image: Option<&[u8]>| {
        let mut extra = Extra::new();
        extra.insert("workflow", &json!({"node": seed})).unwrap();
        let settings = GenerationSettings::new(seed, 30, "ddim");
        let metadata = builder().prompt(prompt).settings(settings).extra(extra).build().unwrap();
        let mut writer = create(&folder, name, Compression::Auto);
        let components = [Component::new("python", python), Component::new("gpu", "G")];
        writer.environment(&Environment::new(components)).unwrap();
        image.into_iter().for_each(|image| writer.image(image).unwrap());
        writer.finish(&metadata).unwrap();
    };
    write("a.gen5", 42, "a \u{1b}[31mcat", "P", Some(PNG));
    write("b.gen5", 43, "a \u{202e}dog", "Q", None);
    let ran = folder.run(&["diff", "@/a.gen5", "@/b.gen5"]);
    let expected = r#"@/a.gen5 and @/b.gen5 differ
  metadata     prompt: "a \u001b[31mcat" → "a \u{202e}dog"
  metadata     generation_settings.seed: 42 → 43
  metadata     workflow.node: 42 → 43
  environment  1 difference, none likely to change pixels
               rarely changes pixels:
                 Environment component 'python' differs:
                   First: P
                   Second: Q
  image        only in the first file
"#;
    assert_eq!((ran.code, &*ran.out, &*ran.messages), (4, expected, ""));

    let ran = folder.run(&["diff", "--json", "@/b.gen5", "@/a.gen5"]);
    let report = json_of(&ran);
    assert_eq!((ran.code, &report["same"]), (4, &json!(false)));
    assert_eq!((&report["path"], &report["other"]), (&json!("@/b.gen5"), &json!("@/a.gen5")));
    assert_eq!(report["metadata"][1], json!({"member": "generation_settings.seed", "file": 43, "other": 42}));
    assert_eq!((&report["image"], &report["environment"]), (&json!("only_in_other"), &json!("differs")));
    assert_eq!(report["drift"][0]["component_id"], "python");
    assert!(!ran.out.contains('\u{202e}'));

    assert_eq!(folder.ok(&["diff", "@/a.gen5", "@/a.gen5"]), "@/a.gen5 and @/a.gen5 are the same\n");
    write("c.gen5", 42, "a \u{1b}[31mcat", "P", Some(include_bytes!("../../../tests/data/huge.png")));
    let ran = folder.run(&["diff", "@/a.gen5", "@/c.gen5"]);
    assert_eq!((ran.code, &*ran.out), (4, "@/a.gen5 and @/c.gen5 differ\n  image        differs\n"));
}

#[test]
fn latents_are_compared_by_value_however_they_are_stored() {
    let folder = Folder::new();
    let values: Vec<f32> = (0..256 * 1024_u32).map(|n| (n % 1021) as f32 / 7.0).collect();
    let all = [Compression::Raw, Compression::Zstd, Compression::Shuffled];
    for (position, compression) in all.into_iter().enumerate() {
        latent(&folder, &format!("{position}.gen5"), compression, &[256, 1024], &values);
    }
    for (one, other) in [("0", "1"), ("1", "0"), ("1", "2"), ("2", "0"), ("2", "2")] {
        // The raw latent is in one chunk and the others in parts, so comparing them reads the
        // values.
        let was_read = [one, other].contains(&"0");
        let by_record = if was_read { "" } else { " by recorded hashes, which gen5 verify checks" };
        let (one, other) = (format!("@/{one}.gen5"), format!("@/{other}.gen5"));
        let expected = format!("{one} and {other} are the same\n  latents      1 latent equal{by_record}\n");
        assert_eq!(folder.ok(&["diff", &one, &other]), expected);
    }
    let mut altered = values;
    altered[0] += 0.5;
    altered[262_143] -= 0.25;
    latent(&folder, "x.gen5", Compression::Shuffled, &[256, 1024], &altered);
    for one in ["@/0.gen5", "@/1.gen5"] {
        let ran = folder.run(&["diff", one, "@/x.gen5", "--jobs", "1"]);
        let line = "noise: 2 of 262144 values differ, by 0.5 at most and 2.86102e-6 on average";
        assert_eq!(ran.code, 4);
        assert_eq!(ran.out, format!("{one} and @/x.gen5 differ\n  latent       {line}\n"));
        assert_eq!(folder.run(&["diff", one, "@/x.gen5", "--tolerance", "0.4"]).code, 4);
        let near = folder.ok(&["diff", one, "@/x.gen5", "--tolerance", "0.5"]);
        assert!(
            near.starts_with(&format!("{one} and @/x.gen5 are the same within the tolerance\n")),
            "{near}"
        );
        assert!(near.contains(&format!("{line} (within the tolerance)\n")), "{near}");
    }
}

#[test]
fn dtypes_and_shapes_differ_but_values_are_compared_where_they_can_be() {
    let folder = Folder::new();
    let values = [0.5_f32, 1.0, -2.0, 3.0];
    latent(&folder, "single.gen5", Compression::Raw, &[4], &values);
    latent(&folder, "half.gen5", Compression::Raw, &[4], &values.map(f16::from_f32));
    let brain = [0.5, 1.0, -2.0, 3.25].map(bf16::from_f32);
    latent(&folder, "brain.gen5", Compression::Raw, &[4], &brain);
    latent(&folder, "square.gen5", Compression::Raw, &[2, 2], &values);
    let told = |one: &str, other: &str| {
        let ran = folder.run(&["diff", one, other]);
        assert_eq!(ran.code, 4);
        ran.out.lines().nth(1).unwrap().trim_start().to_owned()
    };
    assert_eq!(
        told("@/single.gen5", "@/half.gen5"),
        "latent       noise: float32 → float16, the same values"
    );
    assert_eq!(
        told("@/half.gen5", "@/brain.gen5"),
        "latent       noise: float16 → bfloat16, 1 of 4 values differ, by 0.25 at most and 0.0625 on average"
    );
    assert_eq!(told("@/single.gen5", "@/square.gen5"), "latent       noise: shape 4 → 2×2");
    folder.ok(&["diff", "@/single.gen5", "@/half.gen5", "--tolerance", "0"]);
    folder.ok(&["diff", "@/half.gen5", "@/brain.gen5", "--tolerance", "0.25"]);
    assert_eq!(folder.run(&["diff", "@/single.gen5", "@/square.gen5", "--tolerance", "9"]).code, 4);

    let report = json_of(&folder.run(&["diff", "--json", "@/half.gen5", "@/brain.gen5"]));
    let expected = json!([{
        "key": "noise", "result": "differs",
        "file": {"index": 0, "dtype": "float16", "shape": [4]},
        "other": {"index": 0, "dtype": "bfloat16", "shape": [4]},
        "values": 4, "differing": 1, "max_abs_difference": 0.25, "mean_abs_difference": 0.0625,
    }]);
    assert_eq!(report["latents"], expected);
}

#[test]
fn nan_is_nan_and_nothing_else() {
    let folder = Folder::new();
    let (nan, other_nan) = (f32::NAN, f32::from_bits(0xffc0_0001));
    latent(&folder, "a.gen5", Compression::Raw, &[4], &[nan, f32::INFINITY, 0.0, 1.0]);
    latent(&folder, "b.gen5", Compression::Raw, &[4], &[other_nan, f32::INFINITY, -0.0, 1.0]);
    latent(&folder, "c.gen5", Compression::Raw, &[4], &[nan, f32::INFINITY, 0.0, nan]);
    latent(&folder, "d.gen5", Compression::Raw, &[4], &[nan, f32::NEG_INFINITY, 0.0, 1.0]);
    folder.ok(&["diff", "@/a.gen5", "@/b.gen5"]);
    for other in ["@/c.gen5", "@/d.gen5"] {
        let ran = folder.run(&["diff", "@/a.gen5", other, "--tolerance", "1e300"]);
        assert_eq!(ran.code, 4);
        assert!(
            ran.out.contains("1 of 4 values differ, by infinity at most and infinity on average"),
            "{}",
            ran.out
        );
    }
    let report = json_of(&folder.run(&["diff", "--json", "@/a.gen5", "@/c.gen5"]));
    assert_eq!(report["latents"][0]["max_abs_difference"], Value::Null);
}

#[test]
fn latents_belong_together_by_key() {
    let folder = Folder::new();
    let write = |name: &str, arrays: &[(&str, f32)]| {
        let mut writer = create(&folder, name, Compression::Raw);
        let values: Vec<[f32; 1]> = arrays.iter().map(|(_, value)| [*value]).collect();
        let arrays = arrays.iter().zip(&values).map(|((key, _), value)| Array::new(*key, &[1], value));
        writer.latents(arrays).unwrap();
        writer.finish(&builder().build().unwrap()).unwrap();
    };
    write("a.gen5", &[("x", 1.0), ("y", 2.0), ("gone\n", 3.0)]);
    write("b.gen5", &[("new", 0.0), ("y", 2.0), ("x", 1.5)]);
    let ran = folder.run(&["diff", "@/a.gen5", "@/b.gen5"]);
    let expected = "@/a.gen5 and @/b.gen5 differ
  latent       x: 1 of 1 values differ, by 0.5 at most and 0.5 on average
  latent       \"gone\\n\": only in the first file
  latent       new: only in the second file
  latents      1 latent equal by recorded hashes, which gen5 verify checks
";
    assert_eq!((ran.code, &*ran.out), (4, expected));
    let report = json_of(&folder.run(&["diff", "--json", "@/a.gen5", "@/b.gen5"]));
    let results: Vec<_> = report["latents"].as_array().unwrap().iter().map(|one| &one["result"]).collect();
    assert_eq!(results, ["differs", "equal", "only_in_file", "only_in_other"]);
    assert_eq!(report["latents"][3]["file"], Value::Null);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let folder = Folder::new();
    latent(&folder, "a.gen5", Compression::Raw, &[4], &[1.0_f32; 4]);
    latent(&folder, "b.gen5", Compression::Raw, &[4], &[2.0_f32; 4]);
    fs::write(folder.path("no.gen5"), PNG).unwrap();
    let ran = folder.run(&["diff", "@/a.gen5", "@/no.gen5"]);
    assert_eq!((ran.code, &*ran.out), (3, ""));
    assert!(ran.messages.starts_with("gen5: @/no.gen5: not a GEN5 file"), "{}", ran.messages);
    let ran = folder.run(&["diff", "--json", "@/none.gen5", "@/a.gen5"]);
    assert_eq!((ran.code, &json_of(&ran)["other"]), (1, &json!("@/a.gen5")));
    assert!(json_of(&ran)["error"].as_str().unwrap().starts_with("could not open @/none.gen5"));
    for tolerance in ["-1", "x", "nan", "inf"] {
        assert_eq!(folder.run(&["diff", "@/a.gen5", "@/b.gen5", "--tolerance", tolerance]).code, 2);
    }
    assert_eq!(folder.run(&["diff", "@/a.gen5"]).code, 2);

    let mut bytes = fs::read(folder.path("b.gen5")).unwrap();
    bytes[64] ^= 1;
    fs::write(folder.path("b.gen5"), bytes).unwrap();
    for (one, other) in [("@/a.gen5", "@/b.gen5"), ("@/b.gen5", "@/a.gen5")] {
        let ran = folder.run(&["diff", one, other]);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.messages.starts_with("gen5: @/b.gen5: "), "{}", ran.messages);
        assert!(ran.out.contains("  latent       noise: could not be compared\n"), "{}", ran.out);
    }
    let ran = folder.run(&["diff", "--json", "@/a.gen5", "@/b.gen5"]);
    assert_eq!(json_of(&ran)["latents"][0]["result"], "failed");
    assert!(json_of(&ran)["latents"][0]["error"].as_str().unwrap().starts_with("@/b.gen5: "));
}

/// Builds a file with two latents without a key, one with a key and an extra member, and a chunk of
/// an unknown type.
fn by_hand(folder: &Folder, name: &str, values: [u8; 2], note: &str, unknown: &[u8], member: Value) {
    let nameless = |value: u8| {
        let payload = [0, 0, value, 63];
        Chunk::raw("LATN", b"F32\0", &payload, json!({"shape": [1], "dtype": "float32"}))
    };
    let keyed = json!({"shape": [1], "dtype": "float32", "key": "x", "note": note});
    let chunks = [
        nameless(values[0]),
        nameless(values[1]),
        Chunk::raw("LATN", b"F32\0", &[0, 0, 128, 63], keyed),
        Chunk::raw("MASK", b"U8\0\0", unknown, json!({})),
    ];
    let manifest = |manifest: &mut Value| manifest["gen5_metadata"]["member"] = member;
    fs::write(folder.path(name), Builder::new(chunks).minor(1).manifest(manifest).build()).unwrap();
}

#[test]
fn latents_without_a_key_belong_together_by_their_places() {
    let folder = Folder::new();
    by_hand(&folder, "a.gen5", [0, 128], "n", b"mask", json!(1));
    by_hand(&folder, "b.gen5", [0, 0], "n", b"mask", json!(1));
    folder.ok(&["diff", "@/a.gen5", "@/a.gen5"]);
    let ran = folder.run(&["diff", "@/a.gen5", "@/b.gen5", "--json"]);
    let results: Vec<Value> =
        json_of(&ran)["latents"].as_array().unwrap().iter().map(|latent| latent["result"].clone()).collect();
    assert_eq!((ran.code, results), (4, vec![json!("equal"), json!("differs"), json!("equal")]));
    let ran = folder.run(&["diff", "@/a.gen5", "@/b.gen5"]);
    assert!(ran.out.contains("  latent       #1: 1 of 1 values differ, by 0.5 at most"), "{ran:?}");
}

#[test]
fn what_the_format_does_not_define_is_compared_too() {
    let folder = Folder::new();
    by_hand(&folder, "a.gen5", [0, 0], "one", b"mask", json!({"deep": [1]}));
    by_hand(&folder, "b.gen5", [0, 0], "two", b"MASK", json!({"deep": [2]}));
    let ran = folder.run(&["diff", "@/a.gen5", "@/b.gen5"]);
    let expected = r#"@/a.gen5 and @/b.gen5 differ
  manifest     gen5_metadata.member: {"deep":[1]} → {"deep":[2]}
  latent       x: note: "one" → "two"
  latents      3 latents equal by recorded hashes, which gen5 verify checks
  chunk        MASK: differs
"#;
    assert_eq!((ran.code, ran.out.as_str()), (4, expected));
    let json = json_of(&folder.run(&["diff", "@/a.gen5", "@/b.gen5", "--json"]));
    assert_eq!(json["chunks"], json!([{"type": "MASK", "result": "differs"}]));
    assert_eq!(json["manifest"][0]["member"], "gen5_metadata.member");
    assert_eq!(json["latents"][2]["members"], json!([{"member": "note", "file": "one", "other": "two"}]));
    assert!(json["latents"][0].get("members").is_none());
}
