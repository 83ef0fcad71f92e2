//! Reads and writes that transfer only part of their bytes, or are interrupted.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scene::{NAMES, Scene, State, said};

/// Compiles the library that intercepts system calls.
fn library(folder: &Path) -> PathBuf {
    let library = folder.join("short.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/short.c");
    let ran = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", source, "-o"])
        .arg(&library)
        .output()
        .expect("a C compiler, which the build needs anyway");
    assert!(ran.status.success(), "{}", said(&ran));
    library
}

/// Runs a command with all calls cut short, or only one. Returns the numbers of calls, of cut
/// calls, and of interrupted calls.
fn run(scene: &Scene, library: &Path, only: Option<usize>) -> [usize; 3] {
    scene.reset();
    let mut command = scene.command(&[]);
    command.env("LD_PRELOAD", library).envs(only.map(|call| ("SHORT_CALL", call.to_string())));
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}, {only:?}: {ran:?}", scene.name);
    assert_eq!(scene.state("short"), (State::After, 0), "{}, {only:?}", scene.name);
    let counts: Vec<usize> = said(&ran).split(' ').filter_map(|word| word.parse().ok()).collect();
    counts.try_into().unwrap()
}

#[test]
fn short_and_interrupted_calls_are_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    for scene in NAMES.map(Scene::of) {
        let [calls, cut, interrupted] = run(&scene, &library, None);
        assert!(cut > 20 && interrupted > 20, "{}: {cut} cut, {interrupted} interrupted", scene.name);
        println!("{}, short: {calls} calls, {cut} cut, {interrupted} interrupted", scene.name);
    }
}

#[test]
fn one_short_call_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    for scene in ["pack", "repack"].map(Scene::of) {
        // No call has the number 0, so this run only counts calls.
        let [calls, ..] = run(&scene, &library, Some(0));
        let cut: usize = (1..=calls).map(|call| run(&scene, &library, Some(call))[1]).sum();
        assert!(cut > 10, "{}: {cut}", scene.name);
        println!("{}, one short call: {calls} runs, {cut} cut", scene.name);
    }
}
