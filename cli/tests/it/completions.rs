//! `completions` and `man`: shell completions and manual pages for all commands.

use std::fs;
use std::process::Command;

use crate::support::Folder;

/// The names of all commands, from the help.
fn commands() -> Vec<String> {
    let ran = Command::new(env!("CARGO_BIN_EXE_gen5")).arg("-h").output().unwrap();
    let help = String::from_utf8(ran.stdout).unwrap();
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<String> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect();
    assert!(names.len() >= 12 && names.contains(&"ls".to_owned()), "{names:?}");
    names
}

#[test]
fn shells_know_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = folder.ok(&["completions", shell]);
        for command in commands() {
            let is_there = script.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == command);
            assert!(is_there, "{shell}: {command}");
        }
        assert!(script.contains("tolerance"), "{shell}");
    }
    assert_eq!(folder.run(&["completions", "tcsh"]).code, 2);
    assert_eq!(folder.run(&["completions"]).code, 2);
}

#[test]
#[cfg(unix)]
fn shells_take_their_scripts() {
    let folder = Folder::new();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        fs::write(folder.path("script"), folder.ok(&["completions", shell])).unwrap();
        match Command::new(shell).arg(check).arg(folder.path("script")).output() {
            Ok(ran) => assert!(ran.status.success(), "{shell}: {}", String::from_utf8_lossy(&ran.stderr)),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "there is no {shell} here: {error}");
            }
        }
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = Folder::new();
    let pages = commands().len() + 1;
    assert_eq!(folder.ok(&["man", "-o", "@/share/man1"]), format!("@/share/man1: {pages} pages\n"));
    let page = |name: &str| fs::read_to_string(folder.path("share/man1").join(name)).unwrap();
    let overview = page("gen5.1");
    for command in commands() {
        assert!(overview.contains(&format!("gen5\\-{command}")), "{command}: {overview}");
        let page = page(&format!("gen5-{command}.1"));
        let has_all =
            [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXAMPLES"].map(|part| page.contains(part));
        assert_eq!(has_all, [true; 4], "{page}");
    }
    let usage = ".SH SYNOPSIS\ngen5 cat [OPTIONS] <FILE> <KEY>\n.SH DESCRIPTION\n";
    assert!(page("gen5-cat.1").contains(usage));
}

#[test]
fn pages_are_replaced_only_when_asked() {
    let folder = Folder::new();
    fs::write(folder.path("gen5-ls.1"), "mine").unwrap();
    let ran = folder.run(&["man", "-o", "@"]);
    assert_eq!((ran.code, folder.names()), (1, vec!["gen5-ls.1".to_owned()]));
    assert_eq!(ran.messages, "gen5: could not create @/gen5-ls.1: it already exists; --force replaces it\n");
    folder.ok(&["man", "-o", "@", "--force"]);
    assert!(fs::read_to_string(folder.path("gen5-ls.1")).unwrap().contains(".SH NAME"));
    assert_eq!(folder.run(&["man"]).code, 2);
}
