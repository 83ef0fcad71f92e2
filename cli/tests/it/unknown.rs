//! Chunks of unknown types: each command keeps them, lists them or reports that it leaves them out.

use std::fs;

use gen5::Reader;
use gen5::chunk::{ChunkRecord, Digest};
use serde_json::{Value, json};

use crate::library::{Builder, Chunk};
use crate::support::{Folder, names};

/// Payloads of unknown chunks.
const MASK: &[u8] = b"a mask";
const ODD: &[u8] = b"odd";

fn chunks() -> [Chunk<'static>; 4] {
    [
        Chunk::raw("MASK", b"U8\0\0", MASK, json!({})),
        Chunk::latent("x", &[2], &[1.0, 2.0]),
        Chunk::raw("../\u{1b}", &[0; 4], ODD, json!({})),
        Chunk::raw("MASK", b"U8\0\0", &[7; 5000], json!({})).compressed(),
    ]
}

fn folder() -> Folder {
    let folder = Folder::new();
    fs::write(folder.path("run.gen5"), Builder::new(chunks()).minor(1).build()).unwrap();
    folder
}

/// The description of these chunks in messages, with the type escaped.
const WHAT: &str = r"3 chunks of unknown types ../\x1b and MASK";

#[test]
fn unpack_says_that_unknown_chunks_are_left_out() {
    let folder = folder();
    for format in ["npy", "npz", "safetensors", "original"] {
        let words = ["unpack", "@/run.gen5", "-o", "@/run", "--format", format];
        let ran = folder.run(&[&words[..], &["--no-environment-check", "--json"]].concat());
        let note = format!("@/run.gen5: {WHAT}, left out; --unknown writes such chunks");
        assert_eq!((ran.code, ran.messages.contains(&format!("gen5: {note}\n"))), (0, true), "{ran:?}");
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        assert!(told["notes"].as_array().unwrap().contains(&json!(note)), "{told}");
        let first = json!({
            "index": 0, "type": "MASK", "flags": "55380000", "payload_size": 6,
            "sha256": Digest::of(MASK).to_string(),
        });
        assert_eq!((told["chunks"].as_array().unwrap().len(), &told["chunks"][0]), (3, &first));
        assert!(!folder.path("run/unknown").exists());
        assert_eq!(folder.json("run/index.json").as_array().unwrap().len(), 1, "{format}");
        fs::remove_dir_all(folder.path("run")).unwrap();
    }
    fs::write(
        folder.path("one.gen5"),
        Builder::new([Chunk::raw("MASK", b"U8\0\0", MASK, json!({}))]).minor(1).build(),
    )
    .unwrap();
    let ran = folder.run(&["unpack", "@/one.gen5", "-o", "@/one", "--no-environment-check"]);
    let note = "gen5: @/one.gen5: 1 chunk of unknown type MASK, left out; --unknown writes such chunks\n";
    assert_eq!((&*ran.messages, &*ran.out), (note, "@/one: 0 latents, 0 B\n"));
}

#[test]
fn unpack_writes_unknown_chunks_under_safe_names() {
    let folder = folder();
    for format in ["npy", "original"] {
        let words = ["unpack", "@/run.gen5", "-o", "@/run", "--format", format, "--unknown"];
        let ran = folder.run(&[&words[..], &["--no-environment-check"]].concat());
        assert_eq!((ran.code, &*ran.out), (0, "@/run: 1 latent and 3 other chunks, 8 B\n"), "{ran:?}");
        assert!(!ran.messages.contains("left out"), "{ran:?}");
        assert_eq!(names(&folder.path("run/unknown")), ["0-MASK.bin", "2-..__x1b.bin", "3-MASK.bin"]);
        let index = folder.json("run/index.json");
        let entries: Vec<&Value> = index.as_array().unwrap().iter().skip(1).collect();
        let payloads = [(0, "MASK", MASK), (2, r"../\x1b", ODD), (3, "MASK", &[7; 5000])];
        for (entry, (position, kind, payload)) in entries.iter().zip(payloads) {
            assert_eq!((&entry["index"], &entry["type"]), (&json!(position), &json!(kind)));
            assert_eq!(entry["sha256"], Digest::of(payload).to_string());
            assert_eq!(entry["payload_size"], payload.len());
            let file = folder.path("run").join(entry["file"].as_str().unwrap());
            assert_eq!(fs::read(file).unwrap(), payload);
        }
        assert_eq!(entries.len(), 3);
        fs::remove_dir_all(folder.path("run")).unwrap();
    }
}

/// They are checked whether `unpack` writes them or leaves them out.
#[test]
fn unpack_checks_unknown_chunks() {
    let folder = folder();
    let mut bytes = fs::read(folder.path("run.gen5")).unwrap();
    let at = bytes.windows(MASK.len()).position(|bytes| bytes == MASK).unwrap();
    bytes[at] ^= 1;
    fs::write(folder.path("run.gen5"), &bytes).unwrap();
    for more in [&[][..], &["--unknown"], &["--format", "original"], &["--format=original", "--unknown"]] {
        let words = [&["unpack", "@/run.gen5", "-o", "@/run", "--no-environment-check"], more].concat();
        let ran = folder.run(&words);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.messages.contains("chunk 0 (MASK)"), "{ran:?}");
        assert_eq!(folder.names(), ["run.gen5"], "{ran:?}");
    }
}

/// A latent whose record has a damaged type looks like a chunk of an unknown type.
#[test]
fn a_latent_whose_type_is_damaged_does_not_vanish() {
    let folder = Folder::new();
    let renamed = |record: &mut Value| record["type"] = json!("LAPN");
    let latent = Chunk::latent("x", &[2], &[1.0, 2.0]).record(renamed);
    fs::write(folder.path("run.gen5"), Builder::new([latent]).minor(1).build()).unwrap();
    for more in [&[][..], &["--unknown"]] {
        let ran =
            folder.run(&[&["unpack", "@/run.gen5", "-o", "@/run", "--no-environment-check"], more].concat());
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.messages.contains("LAPN"), "{ran:?}");
    }
}

#[test]
fn other_commands_carry_unknown_chunks_or_say_that_they_do_not() {
    let folder = folder();
    let not_shown = format!("gen5: @/run.gen5: {WHAT}, not shown\n");
    let not_listed = format!("gen5: @/run.gen5: {WHAT}, not listed; gen5 info shows such chunks\n");
    for (words, note) in [
        (&["ls", "@/run.gen5"][..], &not_listed),
        (&["ls", "@/run.gen5", "--json"], &not_listed),
        (&["show", "@/run.gen5"], &not_shown),
        (&["show", "@/run.gen5", "--json"], &not_shown),
        (&["render", "@/run.gen5", "-o", "@/run.png"], &not_shown),
    ] {
        let ran = folder.run(words);
        assert_eq!((ran.code, ran.messages.contains(note)), (0, true), "{words:?}: {ran:?}");
    }
    // With `--latent`, the other chunks are left out on purpose, so there is no note.
    assert_eq!(folder.run(&["show", "@/run.gen5", "--latent", "x", "--json"]).messages, "");

    let report = ["report", "@/run.gen5", "-o", "@/run.html", "--no-environment-check", "--json"];
    let told: Value = serde_json::from_str(&folder.ok(&report)).unwrap();
    assert_eq!(told["files"][0]["left_out"], json!([format!("{WHAT}, not shown.")]));
    assert!(fs::read_to_string(folder.path("run.html")).unwrap().contains(WHAT));

    let info: Value = folder.json_of(&["info", "@/run.gen5", "--json"]);
    let chunks = info["chunks"].as_array().unwrap();
    let found: Vec<_> = chunks.iter().map(|chunk| (&chunk["index"], &chunk["type"])).collect();
    let [mask, odd] = [json!("MASK"), json!(r"../\x1b")];
    assert_eq!(found, [(&json!(0), &mask), (&json!(2), &odd), (&json!(3), &mask)]);
    assert_eq!((&chunks[0]["flags"], &chunks[2]["compressed"]), (&json!("55380000"), &json!(true)));
    let page = folder.ok(&["info", "@/run.gen5"]);
    assert_eq!(page.matches("MASK").count(), 2, "{page}");

    let unknown = |name: &str| {
        let reader = Reader::open(folder.path(name)).unwrap();
        let unknown = |chunk: &&ChunkRecord| !chunk.kind().is_known();
        reader.chunks().iter().filter(unknown).map(|chunk| (chunk.kind(), chunk.sha256())).collect::<Vec<_>>()
    };
    let all = unknown("run.gen5");
    assert_eq!(all.len(), 3);
    folder.run(&["repack", "@/run.gen5", "@/repacked.gen5"]);
    folder.run(&["set", "@/run.gen5", "x=1", "-o", "@/set.gen5"]);
    folder.run(&["merge", "@/run.gen5", "-o", "@/merged.gen5"]);
    folder.run(&["split", "@/run.gen5", "-o", "@/parts"]);
    for name in ["repacked.gen5", "set.gen5", "merged.gen5", "parts/x.gen5"] {
        assert_eq!(unknown(name), all, "{name}");
    }
    // `merge` reports the chunks that it leaves out.
    fs::write(folder.path("y.gen5"), Builder::new([Chunk::latent("y", &[1], &[1.0])]).build()).unwrap();
    let ran = folder.run(&["merge", "@/y.gen5", "@/run.gen5", "-o", "@/merged.gen5", "--force"]);
    assert!(ran.code == 0 && ran.messages.contains("chunks of unknown types"), "{ran:?}");
    let ran = folder.run(&["diff", "@/merged.gen5", "@/run.gen5", "--json"]);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told["chunks"].as_array().unwrap().len(), 3, "{told}");
}
