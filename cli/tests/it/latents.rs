//! `ls` and `cat`, the commands that print latents for scripts.

use std::collections::HashSet;
use std::fs;

use gen5::{Array, Compression, Metadata, WriteOptions, bf16, f16};
use serde_json::{Value, json};

use crate::support::{Folder, PNG};

fn metadata() -> Metadata {
    Metadata::builder("SD", "3").date("2026-11-22").build().unwrap()
}

/// Writes a file with raw latents of float16, bfloat16 and float32.
fn sample(folder: &Folder, name: &str) {
    let options = WriteOptions::new().compression(Compression::Raw);
    let mut writer = options.create(folder.path(name)).unwrap();
    let half: Vec<f16> = (0..6_u8).map(|value| f16::from_f32(value.into())).collect();
    writer.latent("raw", &[1, 3, 2], &half).unwrap();
    writer.latent("brain\t\u{1b}[2J", &[2], &[bf16::from_f32(-1.5), bf16::from_f32(3.0)]).unwrap();
    writer.latent("scalar", &[], &[0.5_f32]).unwrap();
    writer.finish(&metadata()).unwrap();
}

/// Writes a file with one latent of 64 rows in parts of 16 rows each. Returns the bytes of its
/// values.
fn in_parts(folder: &Folder, name: &str, compression: Compression) -> Vec<u8> {
    let values: Vec<f32> = (0..64 * 1024_u32).map(|n| (n % 7) as f32).collect();
    let options = WriteOptions::new().compression(compression).part_size(Some(64 << 10));
    let mut writer = options.create(folder.path(name)).unwrap();
    writer.latent("steps", &[64, 1024], &values).unwrap();
    writer.finish(&metadata()).unwrap();
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn keys_that_differ_look_different() {
    // Lines differ only in the key.
    let keys = [
        "a",
        "a ",
        " a",
        "a\u{200b}",
        "a\\u{200b}",
        "\"a\\u{200b}\"",
        "a\u{200d}",
        "a\u{fe0f}",
        "a\u{2060}",
        "a\u{180e}",
        "a\u{3164}",
        "a\u{fff9}",
        "a\u{ad}",
        "a\u{34f}",
        "a\u{115f}",
        "a\u{17b4}",
        "a\u{feff}",
        "a\u{e0041}",
        "a\u{2800}",
        "a\u{a0}",
        "a\u{3000}",
        "a\n",
        "a\\n",
        "",
        "\"\"",
        "👩👨",
        "👩\u{200d}👨",
        "❤",
        "❤\u{fe0f}",
    ];
    let folder = Folder::new();
    let mut writer = WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    for key in keys {
        writer.latent(key, &[1], &[1.0_f32]).unwrap();
    }
    writer.finish(&metadata()).unwrap();
    // Keeps the visible characters of a text. A space counts as visible only between other
    // characters.
    let seen = |text: &str| {
        let is_seen = |c: &char| {
            !c.is_control() && !"\u{a0}\u{ad}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{200d}".contains(*c)
        };
        text.trim_matches(' ').chars().filter(is_seen).collect::<String>()
    };
    let distinct = |lines: Vec<String>| {
        let lines: HashSet<String> = lines.into_iter().collect();
        assert_eq!(lines.len(), keys.len(), "{lines:#?}");
    };
    let listed = folder.ok(&["ls", "@/a.gen5"]);
    distinct(listed.lines().map(|line| seen(line.split('\t').next().unwrap())).collect());
    let info = folder.ok(&["info", "@/a.gen5"]);
    let rows = info.lines().filter(|line| line.contains("LATN"));
    distinct(rows.map(|line| seen(line.split_once("LATN").unwrap().1)).collect());
}

#[test]
fn a_line_tells_all_of_a_latent() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    let lines = "raw\tfloat16\t1x3x2\t12\t24\traw
\"brain\\t\\u{1b}[2J\"\tbfloat16\t2\t4\t16\traw
scalar\tfloat32\tscalar\t4\t16\traw
";
    assert_eq!(folder.ok(&["ls", "@/a.gen5"]), lines);
    for (compression, how) in [(Compression::Zstd, "zstd"), (Compression::Shuffled, "shuffled")] {
        in_parts(&folder, "b.gen5", compression);
        let line = folder.ok(&["ls", "@/b.gen5"]);
        assert!(line.starts_with("steps\tfloat32\t64x1024\t262144\t"), "{line}");
        assert!(line.ends_with(&format!("\t{how}\n")), "{line}");
    }
}

#[test]
fn of_several_files_the_path_comes_first_and_one_that_fails_stops_none() {
    let folder = Folder::new();
    in_parts(&folder, "a.gen5", Compression::Raw);
    fs::write(folder.path("no.gen5"), PNG).unwrap();
    let ran = folder.run(&["ls", "@/a.gen5", "@/no.gen5", "@/none.gen5", "@/a.gen5"]);
    let line = "@/a.gen5\tsteps\tfloat32\t64x1024\t262144\t262156\traw\n";
    assert_eq!((ran.code, ran.out), (3, line.repeat(2)));
    assert!(ran.messages.starts_with("gen5: @/no.gen5: not a GEN5 file"), "{}", ran.messages);
    assert!(ran.messages.contains("\ngen5: could not open @/none.gen5"), "{}", ran.messages);
    assert_eq!(folder.run(&["ls"]).code, 2);
}

#[test]
fn json_has_a_line_for_each_latent() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    in_parts(&folder, "b.gen5", Compression::Shuffled);
    let ran = folder.run(&["ls", "--json", "@/a.gen5", "@/none.gen5", "@/b.gen5"]);
    assert_eq!(ran.code, 1);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    let raw = json!({
        "path": "@/a.gen5", "index": 0, "key": "raw", "dtype": "float16", "shape": [1, 3, 2], "payload_size": 12,
        "stored_size": 24, "compressed": false, "shuffled": false, "parts": 1,
    });
    assert_eq!(lines[0], raw);
    assert_eq!(lines[1]["key"], "brain\t\u{1b}[2J");
    assert!(lines[3]["error"].as_str().unwrap().starts_with("could not open @/none.gen5"));
    assert_eq!((&lines[4]["parts"], &lines[4]["shuffled"]), (&json!(4), &json!(true)));
}

#[test]
fn values_come_as_they_are() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    let cat = |words: &[&str]| {
        let (code, bytes, messages) = folder.run_for_bytes(&[&["cat", "@/a.gen5"], words].concat());
        assert_eq!((code, &*messages), (0, ""), "{words:?}");
        bytes
    };
    let halves = |values: &[f32]| -> Vec<u8> {
        values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
    };
    assert_eq!(cat(&["raw"]), halves(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    assert_eq!(cat(&["#0", "--rows", "1..2"]), halves(&[2.0, 3.0]), "rows count along the axis of 3");
    assert_eq!(cat(&["#0", "--rows", "1.."]), halves(&[2.0, 3.0, 4.0, 5.0]));
    assert_eq!(cat(&["raw", "--rows", "..1"]), halves(&[0.0, 1.0]));
    assert_eq!(cat(&["raw", "--rows", "3.."]), halves(&[]));
    assert_eq!(cat(&["#1"]), [0xc0, 0xbf, 0x40, 0x40]);
    assert_eq!(cat(&["scalar"]), 0.5_f32.to_le_bytes());
    for compression in [Compression::Raw, Compression::Zstd, Compression::Shuffled] {
        let bytes = in_parts(&folder, "a.gen5", compression);
        assert!(cat(&["steps"]) == bytes);
        assert!(cat(&["steps", "--rows", "15..33"]) == bytes[15 * 4096..33 * 4096]);
    }
}

#[test]
fn arrays_are_those_that_unpack_writes() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    folder.run(&["unpack", "@/a.gen5", "-o", "@/a", "--no-environment-check"]);
    let index = folder.json("a/index.json");
    for (position, entry) in index.as_array().unwrap().iter().enumerate() {
        let (code, bytes, _) = folder.run_for_bytes(&["cat", "@/a.gen5", &format!("#{position}"), "--npy"]);
        assert_eq!(code, 0);
        let file = format!("a/{}", entry["file"].as_str().unwrap());
        assert_eq!(bytes, fs::read(folder.path(&file)).unwrap(), "{entry}");
    }
    let (_, bytes, _) = folder.run_for_bytes(&["cat", "@/a.gen5", "#1", "--npy", "--rows", "1.."]);
    assert!(String::from_utf8_lossy(&bytes).contains("'<f4', 'fortran_order': False, 'shape': (1,)"));
    assert!(bytes.ends_with(&3.0_f32.to_le_bytes()));
}

/// A latent longer than the block of values that is widened at a time.
#[test]
fn long_latents_of_bfloat16_are_widened_whole() {
    let folder = Folder::new();
    let values: Vec<bf16> = (0..300_000_u32).map(|n| bf16::from_bits((n % 0x7f00) as u16)).collect();
    let mut writer = WriteOptions::new().create(folder.path("a.gen5")).unwrap();
    writer.latents([Array::new("b", &[values.len()], &values)]).unwrap();
    writer.finish(&metadata()).unwrap();
    let (code, bytes, _) = folder.run_for_bytes(&["cat", "@/a.gen5", "b", "--npy"]);
    let expected: Vec<u8> = values.iter().flat_map(|value| value.to_f32().to_le_bytes()).collect();
    assert!(code == 0 && bytes.ends_with(&expected) && bytes.len() == 128 + expected.len());
}

#[test]
fn a_terminal_gets_no_binary_values() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    let ran = folder.run_on_terminal(&["cat", "@/a.gen5", "raw"]);
    assert_eq!((ran.code, &*ran.out), (2, ""));
    assert!(ran.messages.contains("would garble the terminal"), "{}", ran.messages);
    assert_eq!(folder.run_on_terminal(&["ls", "@/a.gen5"]).code, 0);
}

#[test]
fn what_is_not_there_is_told() {
    let folder = Folder::new();
    sample(&folder, "a.gen5");
    let told = |words: &[&str], code: u8| {
        let ran = folder.run(&[&["cat", "@/a.gen5"], words].concat());
        assert_eq!((ran.code, &*ran.out), (code, ""), "{words:?}: {ran:?}");
        ran.messages
    };
    assert!(told(&["noise"], 1).contains("no latent is called \"noise\"; the file has \"raw\""));
    assert_eq!(
        told(&["#3"], 1),
        "gen5: @/a.gen5: there is no latent #3: it has 3 latents, counted from #0\n"
    );
    assert_eq!(
        told(&["raw", "--rows", "2..4"], 2),
        "gen5: --rows 2..4: latent raw has 3 rows, counted from 0\n"
    );
    assert!(told(&["raw", "--rows", "4.."], 2).contains("has 3 rows"));
    assert!(told(&["scalar", "--rows", "..1"], 2).contains("is a scalar, and has no rows"));
    for rows in ["1", "a..b", "1-2", "", "-1..", "2..1"] {
        assert_eq!(folder.run(&["cat", "@/a.gen5", "raw", "--rows", rows]).code, 2, "{rows}");
    }
    fs::write(folder.path("a.gen5"), PNG).unwrap();
    assert!(told(&["raw"], 3).starts_with("gen5: @/a.gen5: not a GEN5 file"));
}

#[test]
fn damage_is_told_by_the_exit_code() {
    let folder = Folder::new();
    for compression in [Compression::Raw, Compression::Zstd] {
        in_parts(&folder, "a.gen5", compression);
        let path = folder.path("a.gen5");
        let mut bytes = fs::read(&path).unwrap();
        bytes[64] ^= 1; // in the first part, however small it is
        fs::write(&path, bytes).unwrap();
        for rows in ["0..1", "0..64"] {
            let (code, _, messages) = folder.run_for_bytes(&["cat", "@/a.gen5", "steps", "--rows", rows]);
            assert_eq!(code, 3, "{messages}");
            assert!(messages.starts_with("gen5: @/a.gen5: "), "{messages}");
        }
    }
    let (code, bytes, _) = folder.run_for_bytes(&["cat", "@/a.gen5", "steps", "--rows", "16..17"]);
    assert_eq!((code, bytes.len()), (0, 4096), "another part is as it was");
}
