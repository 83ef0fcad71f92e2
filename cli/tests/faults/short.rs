//! Reads and writes that take a part of what they are given, or are interrupted.

use std::process::Command;

use crate::scene::{NAMES, Scene, State, said};

#[test]
fn short_and_interrupted_calls_are_gone_on_with() {
    let library = tempfile::tempdir().unwrap();
    let library = library.path().join("short.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/short.c");
    let ran = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", source, "-o"])
        .arg(&library)
        .output()
        .expect("a C compiler, which the build needs anyway");
    assert!(ran.status.success(), "{}", said(&ran));
    for scene in NAMES.map(Scene::of) {
        scene.reset();
        let ran = scene.command(&[]).env("LD_PRELOAD", &library).output().unwrap();
        assert!(ran.status.success(), "{}: {ran:?}", scene.name);
        let told = said(&ran);
        let counts: Vec<usize> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(counts.len() == 2 && counts.iter().all(|count| *count > 20), "{}: {told}", scene.name);
        assert_eq!(scene.state("short"), (State::After, 0), "{}", scene.name);
        print!("{}, short: {told}", scene.name);
    }
}
