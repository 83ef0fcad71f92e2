//! `--json` of commands that write files, including failures.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Folder, Ran};

fn parsed(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The members of an object.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.sample("run.gen5");
    folder.npy("a.npy", &[2, 3], &[1.0; 6]);
    folder
}

const PACK: [&str; 8] = [
    "pack",
    "--json",
    "--latent=@/a.npy",
    "--model-name=SD",
    "--model-version=3",
    "--no-environment",
    "--date=2026-11-22",
    "--compress=none",
];

#[test]
fn a_gen5_file_is_told_as_it_is() {
    let folder = folder();
    let pack = [&PACK[..], &["@/y.gen5"]].concat();
    let table: [(&[&str], &[&str]); 3] = [
        (&pack, &[]),
        (&["repack", "--json", "@/run.gen5", "@/y.gen5"], &["file_size_before"]),
        (&["merge", "--json", "@/run.gen5", "-o", "@/y.gen5"], &["files"]),
    ];
    for (words, more) in table {
        let ran = folder.run(words);
        assert_eq!((ran.code, ran.messages.as_str()), (0, ""), "{words:?}");
        let told = parsed(&ran);
        let mut expected = [&["path", "version", "file_size", "latents", "notes"], more].concat();
        expected.sort_unstable();
        assert_eq!(members(&told), expected, "{words:?}");
        let size = fs::metadata(folder.path("y.gen5")).unwrap().len();
        let (path, version) = ("@/y.gen5", "1.0");
        for (member, value) in [
            ("path", json!(path)),
            ("version", json!(version)),
            ("file_size", json!(size)),
            ("notes", json!([])),
        ] {
            assert_eq!(told[member], value, "{words:?}");
        }
        // The latents equal the lines of `ls`.
        let listed = folder.ok(&["ls", "--json", "@/y.gen5"]);
        let mut listed = crate::support::json_lines(&listed);
        listed.iter_mut().for_each(|line| assert!(line.as_object_mut().unwrap().remove("path").is_some()));
        assert_eq!(told["latents"], Value::from(listed), "{words:?}");
        fs::remove_file(folder.path("y.gen5")).unwrap();
    }
    let told = parsed(&folder.run(&["merge", "--json", "--prefix", "@/r*.gen5", "-o", "@/y.gen5"]));
    assert_eq!(told["files"], json!(["@/run.gen5"]));
    let told = parsed(&folder.run(&["set", "--json", "@/y.gen5", "tags=a", "prompt=b"]));
    let size = fs::metadata(folder.path("y.gen5")).unwrap().len();
    let expected =
        json!({"path": "@/y.gen5", "version": "1.0", "file_size": size, "changes": 2, "notes": []});
    assert_eq!(told, expected);
}

#[test]
fn a_folder_is_told_with_all_its_files() {
    let folder = folder();
    let words = ["unpack", "--json", "@/run.gen5", "-o", "@/out"];
    let told = parsed(&folder.run(&words));
    assert_eq!(members(&told), ["drift", "files", "index", "notes", "path", "payload_size"]);
    assert_eq!(
        (&told["path"], &told["payload_size"], &told["drift"]),
        (&json!("@/out"), &json!(40), &json!([]))
    );
    assert_eq!(told["index"], folder.json("out/index.json"));
    for file in told["files"].as_array().unwrap() {
        assert!(folder.path("out").join(file.as_str().unwrap()).is_file(), "{file}");
    }
    let latents = crate::support::names(&folder.path("out/latents")).len();
    let others = crate::support::names(&folder.path("out")).len() - 1;
    assert_eq!(told["files"].as_array().unwrap().len(), latents + others);
    let told = parsed(&folder.run(&[&words[..], &["--force", "--no-environment-check"]].concat()));
    assert!(told.get("drift").is_none(), "{told}");

    let told = parsed(&folder.run(&["split", "--json", "@/run.gen5", "-o", "@/parts"]));
    assert_eq!(members(&told), ["index", "notes", "path", "payload_size"]);
    assert_eq!(told["index"], folder.json("parts/index.json"));
}

#[test]
fn pictures_and_pages_tell_what_is_damaged() {
    let folder = folder();
    let render = ["render", "--json", "--force", "-o", "@/x.png"];
    let report = ["report", "--json", "--force", "-o", "@/x.html", "--no-environment-check"];
    let told = parsed(&folder.run(&[&render[..], &["@/run.gen5"]].concat()));
    let size = fs::metadata(folder.path("x.png")).unwrap().len();
    let expected = json!({
        "path": "@/x.png", "file_size": size, "width": 1200, "height": told["height"],
        "shown": 2, "left_out": 0, "damaged": [], "notes": [],
    });
    assert_eq!(told, expected);
    let told = parsed(&folder.run(&[&report[..], &["@/run.gen5"]].concat()));
    let size = fs::metadata(folder.path("x.html")).unwrap().len();
    let fine = json!({
        "path": "@/run.gen5", "integrity": "verified", "damaged": [], "latents": 2, "shown": 2, "left_out": [],
    });
    assert_eq!(told, json!({"path": "@/x.html", "file_size": size, "files": [fine], "notes": []}));

    let mut bytes = fs::read(folder.path("run.gen5")).unwrap();
    bytes[52] ^= 1;
    fs::write(folder.path("bad.gen5"), bytes).unwrap();
    let ran = folder.run(&[&render[..], &["@/bad.gen5"]].concat());
    let told = parsed(&ran);
    assert_eq!((ran.code, &told["shown"]), (3, &json!(2)), "{ran:?}");
    assert_eq!(ran.messages, format!("gen5: {}\n", told["damaged"][0].as_str().unwrap()));
    let ran = folder.run(&[&report[..], &["@/bad.gen5", "@/no.gen5"]].concat());
    let told = parsed(&ran);
    let (bad, missing) = (&told["files"][0], &told["files"][1]);
    assert_eq!((ran.code, &bad["integrity"], &bad["shown"]), (3, &json!("damaged"), &json!(1)), "{ran:?}");
    assert_eq!(bad["left_out"], json!(["latent noise: damaged, and not shown"]));
    assert_eq!(bad["damaged"].as_array().unwrap().len(), 1);
    let error = "could not open @/no.gen5: No such file or directory (os error 2)";
    assert_eq!(missing, &json!({"path": "@/no.gen5", "error": error}));
    let ran = folder.run(&[&report[..], &["@/run.gen5", "--no-verify"]].concat());
    assert_eq!(parsed(&ran)["files"][0]["integrity"], "unchecked");
}

/// JSON repeats the notes of standard error. With `--quiet` they are only in the JSON.
#[test]
fn notes_are_there_also_if_nobody_else_is_told() {
    let folder = folder();
    for quiet in [&[][..], &["--quiet"]] {
        let words = [&PACK[..7], &["@/y.gen5", "--compress=shuffled", "--force"], quiet].concat();
        let ran = folder.run(&words);
        let note =
            "@/y.gen5 has version 1.1, which the Python package gen5 cannot read: it has shuffled bytes";
        let told = if quiet.is_empty() { format!("gen5: {note}\n") } else { String::new() };
        assert_eq!((ran.code, &ran.messages), (0, &told));
        assert_eq!(parsed(&ran)["notes"], json!([note]));
    }
    let ran = folder.run(&[&PACK[..], &["@/y.gen5", "--force", "--verbose"]].concat());
    assert!(ran.messages.contains("gen5: a: float32 2x3, "), "{ran:?}");
    assert_eq!(parsed(&ran)["notes"], json!([]), "details may change, and are none");
}

#[test]
fn a_failure_is_told_too_but_for_wrong_usage() {
    let folder = folder();
    let before = folder.names();
    let pack = [&PACK[..], &["@/run.gen5"]].concat();
    let table: [(&[&str], &str); 8] = [
        (&pack, "@/run.gen5"),
        (&["repack", "--json", "@/no.gen5", "@/y.gen5"], "@/y.gen5"),
        (&["merge", "--json", "@/no*.gen5", "-o", "@/y.gen5"], "@/y.gen5"),
        (&["split", "--json", "@/no.gen5", "-o", "@/out"], "@/out"),
        (&["unpack", "--json", "@/no.gen5", "-o", "@/out"], "@/out"),
        (&["set", "--json", "@/no.gen5", "tags=x"], "@/no.gen5"),
        (&["render", "--json", "@/no.gen5", "-o", "@/y.png"], "@/y.png"),
        (&["report", "--json", "@/run.gen5", "-o", "@/no/y.html"], "@/no/y.html"),
    ];
    for (words, path) in table {
        let ran = folder.run(words);
        let told = parsed(&ran);
        assert_eq!((ran.code, members(&told)), (1, vec!["error", "path"]), "{words:?}");
        assert_eq!(told["path"], path, "{words:?}");
        assert_eq!(ran.messages, format!("gen5: {}\n", told["error"].as_str().unwrap()), "{words:?}");
    }
    let pack = [&PACK[..], &["-"]].concat();
    let table: [&[&str]; 7] = [
        &pack,
        &["repack", "--json", "@/run.gen5", "-"],
        &["merge", "--json", "@/run.gen5", "-o", "-"],
        &["set", "--json", "@/run.gen5", "tags=x", "-o", "-"],
        &["set", "--json", "-", "tags=x"],
        &["render", "--json", "@/run.gen5", "-o", "-"],
        &["report", "--json", "@/run.gen5", "-o", "-"],
    ];
    let message =
        "gen5: --json prints a report on standard output, and - writes the file there too: name the file\n";
    for words in table {
        let ran = folder.run(words);
        assert_eq!((ran.code, &*ran.out, &*ran.messages), (2, "", message), "{words:?}");
    }
    assert_eq!(folder.names(), before);
}
