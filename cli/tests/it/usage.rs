//! Help, and the messages for an invalid command line.

use std::ffi::OsString;

use crate::support::{Folder, Ran};

/// Terminal escapes and invisible characters, for every kind of argument that clap repeats.
const HOSTILE: [&str; 5] =
    ["\u{1b}]0;PWN\u{7}", "\u{1b}[31mred", "\u{202e}txt", "\u{9b}2J\u{200b}\u{3164}", "two\nlines\r"];

/// Arguments with `*` in place of a hostile text.
const WORDS: [&[&str]; 17] = [
    &["*"],
    &["help", "*"],
    &["help", "pack", "*"],
    &["verify", "--*"],
    &["verify", "-*"],
    &["verify", "x", "--json=*"],
    &["diff", "x", "y", "*"],
    &["diff", "x", "y", "--tolerance", "*"],
    &["info", "x", "--color", "*"],
    &["info", "x", "--color=*"],
    &["info", "x", "--jobs", "*"],
    &["render", "x", "-o", "y", "--width", "*"],
    &["render", "x", "-o", "y", "--rows", "*"],
    &["completions", "*"],
    &["completions", "bash", "*"],
    &["pack", "x", "--latent", "=*"],
    &["pack", "x", "--from", "*="],
];

fn run(words: &[&str], hostile: &str, on_terminal: bool) -> Ran {
    let folder = Folder::new();
    let words: Vec<String> = words.iter().map(|word| word.replace('*', hostile)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if on_terminal { folder.run_on_terminal(&words) } else { folder.run(&words) }
}

#[test]
fn arguments_are_escaped_in_complaints_of_every_kind() {
    for words in WORDS {
        for hostile in HOSTILE {
            let ran = run(words, hostile, false);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{words:?}: {ran:?}");
            let is_unsafe =
                |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{200b}' | '\u{3164}');
            assert!(!ran.messages.contains(is_unsafe), "{words:?}: {ran:?}");
            // Of a short option, clap repeats only the letter.
            let first = hostile.chars().next().unwrap().to_string();
            let repeated = if words == ["verify", "-*"] { &first } else { hostile };
            let shown = gen5_picture::text::escape(repeated);
            assert!(ran.messages.contains(&*shown), "{words:?}: {ran:?}");
        }
    }
}

/// Whether output has colours depends on the environment of the tests. Any colours must be clap's
/// own.
#[test]
fn colours_of_complaints_are_not_those_of_arguments() {
    for words in WORDS {
        let ran = run(words, "\u{1b}[35mviolet", true);
        assert_eq!(ran.code, 2);
        assert!(!ran.messages.contains("\u{1b}[35m") && ran.messages.contains("\\u{1b}"), "{ran:?}");
    }
}

#[test]
fn help_is_a_result_and_complaints_are_messages() {
    let folder = Folder::new();
    for words in [&["--help"][..], &["--version"], &["help", "pack"], &["pack", "-h"]] {
        let ran = folder.run(words);
        assert_eq!((ran.code, ran.messages.as_str()), (0, ""), "{words:?}");
        assert!(ran.out.contains("gen5"), "{words:?}: {ran:?}");
    }
    for words in [&[][..], &["pack"], &["--nothing"], &["inof"]] {
        let ran = folder.run(words);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{words:?}");
        assert!(ran.messages.contains("Usage: gen5"), "{words:?}: {ran:?}");
    }
}

#[test]
#[cfg(unix)]
fn arguments_that_are_not_utf_8_are_refused_where_they_are_no_paths() {
    use std::os::unix::ffi::OsStringExt;

    let folder = Folder::new();
    for before in [
        &["pack", "x.gen5", "--prompt"][..],
        &["cat", "x.gen5"],
        &["set", "x.gen5"],
        &["info", "--color"],
        &[],
    ] {
        let args: Vec<OsString> =
            before.iter().map(OsString::from).chain([OsString::from_vec(b"\xff\x1b[31m".into())]).collect();
        let ran = folder.run_args(&args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {ran:?}");
        assert!(!ran.messages.contains('\u{1b}') && !ran.messages.is_empty(), "{args:?}: {ran:?}");
    }
    for (argument, problem) in [
        (&b"\xff=x.npy"[..], "\"\\xff=x.npy\" has a key that is not UTF-8"),
        (b"k=x.npz:\xff", "\"k=x.npz:\\xff\" has an array name that is not UTF-8"),
    ] {
        let args = ["pack".into(), "x.gen5".into(), "--latent".into(), OsString::from_vec(argument.into())];
        let ran = folder.run_args(&args);
        assert!(ran.code == 2 && ran.messages.contains(problem), "{ran:?}");
    }
}
