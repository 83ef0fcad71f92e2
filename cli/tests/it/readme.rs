//! Runs the commands of the README.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::names;

/// The first block of shell commands after a sentence of the README.
fn commands_after<'r>(readme: &'r str, sentence: &str) -> &'r str {
    let (_, rest) = readme.split_once(sentence).unwrap();
    let (_, rest) = rest.split_once("```sh\n").unwrap();
    rest.split_once("```\n").unwrap().0
}

#[test]
fn the_commands_in_the_readme_run_in_an_empty_folder() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let commands = commands_after(&readme, "try these six commands in an empty folder");
    assert_eq!(commands.lines().filter(|line| line.starts_with("gen5 ")).count(), 5, "{commands}");

    let folder = tempfile::tempdir().unwrap();
    let installed = Path::new(env!("CARGO_BIN_EXE_gen5")).parent().unwrap().to_owned();
    let others = env::var_os("PATH").unwrap();
    let path = env::join_paths(std::iter::once(installed).chain(env::split_paths(&others))).unwrap();
    let ran = Command::new("sh")
        .args(["-e", "-c", commands])
        .current_dir(&folder)
        .env("PATH", path)
        .output()
        .unwrap();
    let (out, messages) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
    assert!(ran.status.success(), "{out}{messages}");
    assert_eq!(messages, "");
    assert!(out.contains("run.gen5: fine"), "{out}");
    assert_eq!(names(folder.path()), ["noise.safetensors", "run.gen5", "run.png"]);
}
