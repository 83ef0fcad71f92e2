//! File names of arbitrary bytes, as arguments of every command and as neighbours of the named
//! files.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Folder, PNG};

/// Names without an extension: invalid UTF-8, several lines, escape sequences, characters with a
/// meaning in patterns, keys or shells, and invisible characters.
const NAMES: [&[u8]; 17] = [
    b"caf\xe9",
    b"\xff\xfe\x80",
    b"half\xe2\x80",
    b"\xed\xa0\x80",
    b"two\nlines\r\t",
    b"\x1b]0;PWN\x07\x9b2J",
    "\u{202e}gpj\u{200b}\u{3164}".as_bytes(),
    b"--force",
    b"-",
    b"[",
    b"*",
    b"a[!b]?{c,d}\\",
    b"**",
    b" ",
    b"k=x:y",
    b"%s$(x)'\"",
    "ü雪🐈\u{200d}".as_bytes(),
];

/// A command, the extension of its input, that of its output, and its exit code. `IN` and `OUT` are
/// paths with any name; `ARRAYS` is a file or folder of arrays with a key.
type Case = (&'static [&'static str], &'static str, &'static str, u8);

const CASES: [Case; 28] = [
    (&["info", "IN"], ".gen5", "", 0),
    (&["info", "IN", "IN", "--json"], ".gen5", "", 0),
    (&["ls", "IN", "IN"], ".gen5", "", 0),
    (&["ls", "IN", "--json"], ".gen5", "", 0),
    (&["cat", "IN", "noise", "--rows=0..1"], ".gen5", "", 0),
    (&["diff", "IN", "IN"], ".gen5", "", 0),
    (&["show", "IN"], ".gen5", "", 0),
    (&["show", "IN", "--json"], ".gen5", "", 0),
    (&["verify", "IN"], ".gen5", "", 0),
    (&["fingerprint", "IN"], ".gen5", "", 0),
    (&["env", "IN", "IN"], ".gen5", "", 0),
    (&["render", "IN", "-o", "OUT"], ".gen5", ".png", 0),
    (&["report", "IN", "-o", "OUT", "--no-environment-check"], ".gen5", ".html", 0),
    (&["report", "IN", "IN", "-o", "OUT", "--no-environment-check", "--json"], ".gen5", ".html", 0),
    (&["set", "IN", "prompt=sea", "-o", "OUT"], ".gen5", "-set.gen5", 0),
    (&["repack", "IN", "OUT", "--compress=zstd"], ".gen5", "-small.gen5", 0),
    (&["merge", "--prefix", "IN", "-o", "OUT"], ".gen5", "-all.gen5", 0),
    (&["split", "IN", "-o", "OUT"], ".gen5", ".parts", 0),
    (&["split", "IN", "-o", "OUT", "--rows=1"], ".gen5", ".parts", 0),
    (&["unpack", "IN", "-o", "OUT", "--no-environment-check"], ".gen5", ".run", 0),
    (&["unpack", "IN", "-o", "OUT", "--no-environment-check", "--format=npz"], ".gen5", ".run", 0),
    (&["man", "-o", "OUT"], "", ".man", 0),
    (&["completions", "OUT"], "", "", 2),
    (&["pack", "OUT", "--no-environment", "--latent", "ARRAYS"], ".npy", ".gen5", 0),
    (&["pack", "OUT", "--no-environment", "--from", "ARRAYS"], "", ".gen5", 0),
    (&["pack", "OUT", "--no-environment", "--from", "ARRAYS", "--image", "IN"], ".png", ".gen5", 0),
    (&["pack", "OUT", "--no-environment", "--from", "ARRAYS", "--metadata", "IN"], ".json", ".gen5", 0),
    (&["pack", "OUT", "--environment", "IN", "--from", "ARRAYS"], ".env", ".gen5", 0),
];

/// A path in the folder with this name, truncated to the system's limit.
fn path(folder: &Folder, stem: &[u8], extension: &str) -> PathBuf {
    let stem = &stem[..stem.len().min(255 - extension.len())];
    folder.path("").join(OsString::from_vec([stem, extension.as_bytes()].concat()))
}

/// Checks that output has no control or invisible characters.
#[track_caller]
fn is_harmless(args: &[OsString], printed: &str) {
    let is_unsafe = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202e}' | '\u{200b}' | '\u{200d}' | '\u{3164}')
    };
    assert!(!printed.contains(is_unsafe), "{args:?}: {printed:?}");
}

#[test]
fn every_command_reads_and_writes_files_of_any_name() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let sample = fs::read(folder.path("run.gen5")).unwrap();
    let array = fs::read(folder.npy("x.npy", &[2], &[1.0, 2.0])).unwrap();
    let (longest, text) = ([b'n'; 255], b"{\"env_version\": 1, \"components\": []}");
    for (words, reads, writes, code) in CASES {
        for stem in NAMES.into_iter().chain([&longest[..]]) {
            let (read, written) = (path(&folder, stem, reads), path(&folder, stem, writes));
            let arrays = if reads == ".npy" { read.clone() } else { path(&folder, stem, ".arrays") };
            match reads {
                ".gen5" => fs::write(&read, &sample).unwrap(),
                ".npy" => fs::write(&read, &array).unwrap(),
                ".png" => fs::write(&read, PNG).unwrap(),
                ".json" => fs::write(&read, b"{\"prompt\": \"sea\"}").unwrap(),
                ".env" => fs::write(&read, text).unwrap(),
                _ => {}
            }
            if reads != ".npy" {
                fs::create_dir(&arrays).unwrap();
                fs::write(arrays.join(OsStr::from_bytes(b"caf\xe9.npy")), &array).unwrap();
            }
            let keyed = |path: &PathBuf| [OsStr::new("key="), path.as_os_str()].into_iter().collect();
            let mut args: Vec<OsString> = words
                .iter()
                .map(|word| match *word {
                    "IN" => read.clone().into(),
                    "OUT" => written.clone().into(),
                    "ARRAYS" => keyed(&arrays),
                    word => word.into(),
                })
                .collect();
            if words.contains(&"pack") {
                args.extend(["--model-name=SD", "--model-version=3"].map(OsString::from));
            }
            let ran = folder.run_args(&args);
            assert_eq!(ran.code, code, "{args:?}: {ran:?}");
            is_harmless(&args, &ran.messages);
            if !words.contains(&"cat") {
                is_harmless(&args, &ran.out);
            }
            let is_written = !writes.is_empty();
            assert_eq!(written.exists() && written != read, is_written, "{args:?}: {ran:?}");
            for path in [read, written, arrays] {
                // Some do not exist, and some are folders.
                let _ = (fs::remove_file(&path), fs::remove_dir_all(&path));
            }
        }
    }
}

#[test]
fn patterns_and_folders_find_files_beside_names_that_are_any_bytes() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    let sample = fs::read(folder.path("run.gen5")).unwrap();
    for stem in NAMES {
        fs::write(path(&folder, stem, ".txt"), "text").unwrap();
        let inner = path(&folder, stem, "");
        fs::create_dir(&inner).unwrap();
        fs::write(path(&folder, stem, "/caf\u{e9}.gen5"), &sample).unwrap();
        fs::write(inner.join(OsStr::from_bytes(b"\xff.gen5")), &sample).unwrap();
    }
    let found = |args: &[OsString]| {
        let ran = folder.run_args(args);
        assert_eq!((ran.code, &*ran.messages), (0, ""), "{args:?}: {ran:?}");
        is_harmless(args, &ran.out);
        ran.out.lines().count()
    };
    let at = |pattern: &[u8]| folder.path("").join(OsStr::from_bytes(pattern)).into_os_string();
    for (pattern, count) in [
        (&b"*.gen5"[..], 1),
        (b"*/*.gen5", 2 * NAMES.len()),
        (b"**/*.gen5", 2 * NAMES.len() + 1),
        (b"?*/\xff.gen5", NAMES.len()),
        (b"*/?.gen5", NAMES.len()),
        (b"*/[\xf0-\xff].gen5", NAMES.len()),
        (b"caf?/*.gen5", 2),
        (b"ca[f]\xe9/*.gen5", 2),
        ("ü雪?\u{200d}/*.gen5".as_bytes(), 2),
        ("?[雪]🐈*/*.gen5".as_bytes(), 2),
        (b"[[]/*.gen5", 2),
        (b"[*][*]/*.gen5", 2),
        (b"a[[]*\\/*.gen5", 2),
    ] {
        assert_eq!(found(&["fingerprint".into(), at(pattern)]), count, "{}", pattern.escape_ascii());
    }
    assert_eq!(found(&["fingerprint".into(), "-r".into(), at(b"")]), 2 * NAMES.len() + 1);
}

#[test]
fn bytes_that_are_no_text_are_told_apart() {
    let folder = Folder::new();
    let ran = folder.run_args(&["info", "caf\u{e9}"].map(OsString::from));
    assert!(ran.messages.contains("café"), "{ran:?}");
    for byte in [0xe8, 0xe9] {
        let name = OsString::from_vec(vec![b'*', byte]);
        let ran = folder.run_args(&["info".into(), name]);
        assert_eq!(ran.messages, format!("gen5: nothing matches *\\x{byte:02x}\n"));
    }
}

/// A shell expands patterns to bare names, which may look like an option or like standard input.
#[test]
fn names_that_start_with_a_dash_are_files_after_two_dashes() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    for name in ["--help", "-", "-r", "--\u{1b}]0;\u{202e}PWN\u{7}"] {
        fs::copy(folder.path("run.gen5"), folder.path(&format!("{name}.gen5"))).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gen5"));
        command.args(args).args(folder.names()).current_dir(folder.path(".")).output().unwrap()
    };
    let ran = run(&["verify", "--"]);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(String::from_utf8(ran.stdout).unwrap().lines().count(), 5);
    let ran = run(&["verify"]);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    let messages = String::from_utf8(ran.stderr).unwrap();
    assert!(!messages.contains(['\u{1b}', '\u{202e}']) && messages.contains("\\u{202e}PWN"), "{messages}");
}
