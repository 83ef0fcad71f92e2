//! Conventions of all commands: verbosity and colours.

use std::process::Command;

use crate::support::Folder;

fn gen5() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gen5"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

/// The output of a command on both streams, with these environment variables.
fn printed(folder: &Folder, words: &[&str], environment: &[(&str, &str)]) -> String {
    let ran =
        gen5().args(words).current_dir(folder.path(".")).envs(environment.iter().copied()).output().unwrap();
    String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap()
}

#[test]
fn colours_come_when_they_are_asked_for() {
    let folder = Folder::new();
    folder.sample("run.gen5");
    for words in [
        &["info", "run.gen5"][..],
        &["verify", "run.gen5"],
        &["diff", "run.gen5", "run.gen5"],
        &["info", "x"],
    ] {
        let coloured = |more: &[&str], environment: &[(&str, &str)]| {
            printed(&folder, &[words, more].concat(), environment).contains('\u{1b}')
        };
        assert!(!coloured(&[], &[]), "{words:?}: no terminal");
        assert!(coloured(&["--color", "always"], &[]), "{words:?}");
        assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]), "{words:?}");
        assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]), "{words:?}");
        assert!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]), "{words:?}");
        assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), "{words:?}");
    }
    assert!(!printed(&folder, &["info", "run.gen5", "--json", "--color", "always"], &[]).contains('\u{1b}'));
}

#[test]
fn quiet_is_without_notes_and_verbose_has_more() {
    let folder = Folder::new();
    folder.npy("a.npy", &[4], &[1.0; 4]);
    let pack = |more: &[&str]| {
        let words = [
            "pack",
            "@/x.gen5",
            "--latent",
            "@/a.npy",
            "--model-name",
            "SD",
            "--model-version",
            "3",
            "--force",
        ];
        // A fixed date, because its digits would change the size.
        let fixed = ["--no-environment", "--compress", "shuffled", "--date", "2026-11-22"];
        folder.run(&[&words[..], &fixed, more].concat())
    };
    let (plain, quiet, verbose) = (pack(&[]), pack(&["-q"]), pack(&["-v"]));
    assert!(plain.messages.contains("has version 1.1"), "{plain:?}");
    assert_eq!((quiet.code, quiet.messages.as_str(), &quiet.out), (0, "", &plain.out));
    assert!(verbose.messages.contains("gen5: a: float32 4, "), "{verbose:?}");
    assert!(verbose.messages.lines().count() > plain.messages.lines().count() + 1, "{verbose:?}");
    assert_eq!(folder.run(&["info", "@/no.gen5", "-q"]).messages.lines().count(), 1, "errors are told");
    assert_eq!(folder.run(&["info", "@/x.gen5", "-q", "-v"]).code, 2);
}
