//! Runs all stored inputs through their targets: the corpora, which fuzzing grew from known files,
//! and inputs that once caused a failure. A failure names the input: `regressions/TARGET/NAME`, or
//! `NAME` in `corpora/TARGET.tar.gz`.

use std::fs::{self, File};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use gen5_fuzz::TARGETS;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The inputs of a target with their names.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut inputs = Vec::new();
    let corpus = File::open(folder().join("corpora").join(format!("{target}.tar.gz")))
        .expect("every target has a corpus");
    for entry in tar::Archive::new(GzDecoder::new(corpus)).entries().unwrap() {
        let mut entry = entry.unwrap();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        inputs.push((entry.path().unwrap().into_owned(), bytes));
    }
    assert!(inputs.len() > 10, "{}", inputs.len());
    let regressions = folder().join("regressions").join(target);
    for entry in fs::read_dir(regressions).into_iter().flatten() {
        let path = entry.unwrap().path();
        inputs.push((path.clone(), fs::read(path).unwrap()));
    }
    inputs
}

fn replay(target: &str) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let fails = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| run(input))).is_err();
    let failed: Vec<PathBuf> =
        inputs(target).into_iter().filter(|(_, input)| fails(input)).map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "{target} fails with {failed:?}");
}

/// A corpus or regression with a name that is not a target would never run.
#[test]
fn all_that_is_kept_is_of_a_target() {
    for kept in ["corpora", "regressions"] {
        for entry in fs::read_dir(folder().join(kept)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix(".tar.gz").unwrap_or(&name);
            assert!(TARGETS.iter().any(|(target, _)| *target == name), "{kept}/{name}");
        }
    }
}

#[test]
fn backends_agree() {
    replay("backends_agree");
}

#[test]
fn chunk_decode() {
    replay("chunk_decode");
}

#[test]
fn command_line() {
    replay("command_line");
}

#[test]
fn extract_paths() {
    replay("extract_paths");
}

#[test]
fn image_text() {
    replay("image_text");
}

#[test]
fn parse_table() {
    replay("parse_table");
}

#[test]
fn show_text() {
    replay("show_text");
}

#[test]
fn structured_file() {
    replay("structured_file");
}

#[test]
fn writer_ops() {
    replay("writer_ops");
}
