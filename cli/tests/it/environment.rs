//! `env`, `fingerprint`, and the environment check of `unpack` and `info`.

use std::fs;

use gen5::chunk::Digest;
use gen5::environment::Component;
use gen5::{Environment, Reader, WriteOptions};
use serde_json::{Value, json};

use crate::support::{Folder, PNG};

/// Writes a file whose environment has these components.
fn file(folder: &Folder, name: &str, components: &[(&str, &str)]) {
    let environment = Environment::new(components.iter().map(|&(id, text)| Component::new(id, text)));
    let mut writer = WriteOptions::new().create(folder.path(name)).unwrap();
    writer.environment(&environment).unwrap();
    writer.finish(&gen5::Metadata::builder("SD", "3").date("2026-11-22").build().unwrap()).unwrap();
}

const A: (&str, &str) = ("gpu", "name=gpu;model=A;driver=1");
const B: (&str, &str) = ("gpu", "name=gpu;model=B;driver=1");
const HOSTILE: (&str, &str) = ("os", "name=os;version=\u{1b}[31m\nEnvironment component 'x' differs:");

#[test]
fn two_files_are_told_apart() {
    let folder = Folder::new();
    file(&folder, "a.gen5", &[("python", "name=python;version=3.11"), A, B, HOSTILE, ("torch", "T")]);
    file(&folder, "b.gen5", &[("python", "name=python;version=3.12"), B, ("cuda", "C"), A, ("jax", "J")]);
    let ran = folder.run(&["env", "@/a.gen5", "@/b.gen5"]);
    let expected = "@/a.gen5: 4 differences, 2 likely to change pixels (second: @/b.gen5)
  likely to change pixels:
    Environment component 'torch' missing in the second file
    Environment component 'cuda' missing in the first file
  rarely changes pixels:
    Environment component 'python' differs:
      First: name=python;version=3.11
      Second: name=python;version=3.12
    Environment component 'os' missing in the second file
  missing on one side, so not a difference:
    Environment component 'jax' missing in the first file
";
    assert_eq!((ran.code, &*ran.out, &*ran.messages), (4, expected, ""));

    let ran = folder.run(&["env", "--json", "@/a.gen5", "@/b.gen5"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["path"], &report["other"]), (4, &json!("@/a.gen5"), &json!("@/b.gen5")));
    assert_eq!(report["same"], false);
    let python = json!({
        "component_id": "python", "change": "differs", "severity": "low",
        "file": "name=python;version=3.11", "current": "name=python;version=3.12",
    });
    assert_eq!(report["drift"][2], python);
    let changes: Vec<_> = report["drift"].as_array().unwrap().iter().map(|one| &one["change"]).collect();
    let expected =
        ["missing_in_current", "missing_in_file", "differs", "missing_in_current", "missing_in_file"];
    assert_eq!(changes, expected);
    assert_eq!(report["drift"][4]["severity"], "note");
}

#[test]
fn what_a_file_says_is_harmless_on_a_terminal() {
    let folder = Folder::new();
    file(&folder, "a.gen5", &[HOSTILE]);
    file(&folder, "b.gen5", &[("os", "\u{202e}")]);
    let ran = folder.run(&["env", "@/a.gen5", "@/b.gen5"]);
    assert!(
        ran.out.contains("First: name=os;version=\\u{1b}[31m\\nEnvironment component 'x' differs:\n"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("Second: \\u{202e}\n"), "{}", ran.out);
}

#[test]
fn the_same_environment_is_the_same() {
    let folder = Folder::new();
    file(&folder, "a.gen5", &[A, B]);
    file(&folder, "b.gen5", &[B, ("cpu", "C"), A]);
    let told = folder.ok(&["env", "@/a.gen5", "@/b.gen5"]);
    let expected = "@/a.gen5: the environment matches that of @/b.gen5
  missing on one side, so not a difference:
    Environment component 'cpu' missing in the first file
";
    assert_eq!(told, expected);
    assert_eq!(
        folder.ok(&["env", "@/a.gen5", "@/a.gen5"]),
        "@/a.gen5: the environment matches that of @/a.gen5\n"
    );
}

/// A file may omit components that a machine has, so either file may lack some.
#[test]
fn what_one_of_two_files_does_not_say_is_no_difference() {
    let folder = Folder::new();
    file(&folder, "rich.gen5", &[("os", "x"), A, ("diffusers", "D"), ("python", "P"), ("torch", "T")]);
    file(&folder, "bare.gen5", &[("os", "x")]);
    for (one, other) in [("@/rich.gen5", "@/bare.gen5"), ("@/bare.gen5", "@/rich.gen5")] {
        let told = folder.ok(&["env", one, other]);
        assert!(
            told.starts_with(&format!(
                "{one}: the environment matches that of {other}\n  missing on one side"
            )),
            "{told}"
        );
    }
}

#[test]
fn a_file_packed_here_has_the_environment_of_here() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let same = "@/run.gen5: the environment matches that of this machine\n";
    assert_eq!(folder.ok(&["env", "@/run.gen5"]), same);
    let out = folder.ok(&["info", "--check-environment", "@/run.gen5"]);
    assert!(out.contains("\n  drift        none from this machine\n"), "{out}");
    folder.ok(&["unpack", "@/run.gen5", "-o", "@/run"]);

    let machine: Value = serde_json::from_str(&folder.ok(&["env", "--json"])).unwrap();
    assert_eq!(machine["environment"], folder.json("run/environment.json")["components"]);
    let metadata = folder.json("run/metadata.json");
    assert_eq!(machine["hardware_info"], metadata["gen5_metadata"]["model_info"]["hardware_info"]);
    assert!(machine["milliseconds"]["total"].as_f64().unwrap() > 0.0);
    let shown = folder.ok(&["env"]);
    assert!(shown.starts_with("environment  ") && shown.contains("\nhardware     os "), "{shown}");
}

#[test]
fn unpack_and_info_warn_when_asked_or_not_told_to_be_silent() {
    let folder = Folder::new();
    file(&folder, "elsewhere.gen5", &[A, ("os", "name=os;version=Plan 9")]);
    let ran = folder.run(&["unpack", "@/elsewhere.gen5", "-o", "@/one"]);
    assert_eq!(ran.code, 0, "the image is unpacked all the same");
    let os = Environment::capture().get("os").unwrap().canonical().to_owned();
    let lines = [
        "  likely to change pixels:",
        "    Environment component 'gpu' ",
        "    Environment component 'os' differs:",
        "      File: name=os;version=Plan 9",
        &*format!("      Current: {os}"),
    ];
    assert!(ran.messages.starts_with("gen5: @/elsewhere.gen5 was made in another environment: "), "{ran:?}");
    for line in lines {
        assert!(ran.messages.contains(line), "{line} is not in {}", ran.messages);
    }
    assert!(!ran.messages.contains("missing on one side"), "{}", ran.messages);
    folder.ok(&["unpack", "@/elsewhere.gen5", "-o", "@/two", "--no-environment-check"]);
    folder.ok(&["unpack", "@/elsewhere.gen5", "-o", "@/three", "--quiet"]);
    let told: Value =
        serde_json::from_str(&folder.run(&["unpack", "@/elsewhere.gen5", "-o", "@/four", "--json"]).out)
            .unwrap();
    assert_eq!(told["notes"], json!([ran.messages.lines().next().unwrap().strip_prefix("gen5: ").unwrap()]));
    assert!(told["drift"].as_array().unwrap().iter().any(|one| one["current"] == json!(os)), "{told}");

    assert!(!folder.ok(&["info", "@/elsewhere.gen5"]).contains("drift"));
    let info = folder.ok(&["info", "--check-environment", "@/elsewhere.gen5"]);
    assert!(lines[1..].iter().all(|line| info.contains(line)), "{info}");
    let info: Value =
        serde_json::from_str(&folder.ok(&["info", "--json", "--check-environment", "@/elsewhere.gen5"]))
            .unwrap();
    assert!(info["drift"].as_array().unwrap().iter().any(|one| one["current"] == json!(os)), "{info}");
    let info: Value = serde_json::from_str(&folder.ok(&["info", "--json", "@/elsewhere.gen5"])).unwrap();
    assert_eq!(info.get("drift"), None);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let folder = Folder::new();
    folder.npy("a.npy", &[1], &[1.0]);
    let pack = [
        "pack",
        "@/bare.gen5",
        "--latent",
        "@/a.npy",
        "--model-name",
        "SD",
        "--model-version",
        "3",
        "--force",
    ];
    folder.ok(&[&pack[..], &["--no-environment"]].concat());
    let ran = folder.run(&["env", "@/bare.gen5"]);
    assert_eq!((ran.code, &*ran.messages), (1, "gen5: @/bare.gen5 has no environment to compare\n"));
    assert_eq!(folder.run(&["env", "@/a.npy"]).code, 3);
    assert_eq!(folder.run(&["env", "@/none.gen5"]).code, 1);
    assert_eq!(folder.run(&["env", "@/a.gen5", "@/b.gen5", "--python", "python3"]).code, 2);
    let ran = folder.run(&["env", "--python", "@/a.npy"]);
    assert_eq!(ran.code, 0);
    assert!(ran.messages.contains("@/a.npy"), "an interpreter that was named and is none is told: {ran:?}");
    folder.ok(&pack);
    let ran = folder.run(&["env", "@/bare.gen5", "--python", "@/a.npy"]);
    assert_eq!(ran.code, 1, "it is not told that something differs: {ran:?}");
    assert!(ran.messages.contains("did not answer"), "{ran:?}");

    let ran = folder.run(&["env", "--json", "@/none.gen5"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["path"]), (1, &json!("@/none.gen5")));
    assert!(report["error"].as_str().unwrap().starts_with("could not open @/none.gen5"), "{report}");
    folder.ok(&[&pack[..], &["--no-environment"]].concat());
    let info = folder.ok(&["info", "--check-environment", "@/bare.gen5"]);
    assert!(info.contains("drift        unknown: the file has no environment"), "{info}");
    assert_eq!(folder.run(&["info", "@/bare.gen5", "--python", "python3"]).code, 2);
}

#[test]
fn fingerprints_are_printed_as_checksums_are() {
    let folder = Folder::new();
    file(&folder, "a.gen5", &[A]);
    file(&folder, "b.gen5", &[B]);
    let fingerprint =
        |name: &str| Reader::open(folder.path(name)).unwrap().fingerprint().unwrap().to_string();
    let (a, b) = (fingerprint("a.gen5"), fingerprint("b.gen5"));
    let ran = folder.run(&["fingerprint", "@/a.gen5", "@/none.gen5", "@/b.gen5"]);
    assert_eq!((ran.code, ran.out), (1, format!("{a}  @/a.gen5\n{b}  @/b.gen5\n")));
    assert!(ran.messages.starts_with("gen5: could not open @/none.gen5"), "{}", ran.messages);
    let one: Value = serde_json::from_str(&folder.ok(&["fingerprint", "--json", "@/a.gen5"])).unwrap();
    assert_eq!(one, json!({"path": "@/a.gen5", "fingerprint": a}));

    // The definition of `docs/provenance.md`, computed from the bytes.
    let bytes = fs::read(folder.path("a.gen5")).unwrap();
    let table = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    assert_eq!(a, Digest::of(&[&bytes[..32], &bytes[table..]].concat()).to_string());
    fs::write(folder.path("no.gen5"), PNG).unwrap();
    assert_eq!(folder.run(&["fingerprint", "@/no.gen5"]).code, 3);
}
