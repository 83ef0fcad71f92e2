//! The bad-file corpus: files for every clause of `docs/threats.md` about files. Each has an
//! expected outcome for opening by path, by map and from bytes, and a bound on the memory that this
//! may take.
//!
//! The corpus is a separate binary, because its counting allocator belongs to the whole process. It
//! also counts the allocations of other threads, rayon's among them, so the tests run one at a
//! time.
//!
//! `GEN5_CORPUS=folder cargo test --test corpus -- --ignored write_corpus` writes the files to that
//! folder as seeds for fuzzing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::cast_possible_truncation)]

mod case;
mod environment;
mod errors;
mod frames;
mod good;
mod header;
mod json;
mod json_kept;
mod large;
mod parts;
mod records;
mod records_read;
#[path = "../support/mod.rs"]
mod support;
mod threats;
mod views;

use std::path::PathBuf;
use std::sync::OnceLock;

use gen5::Error;

use crate::case::{Case, in_turn};

/// All cases, clause by clause.
fn corpus() -> Vec<Case> {
    let clauses = [
        header::cases,
        large::cases,
        frames::cases,
        json::cases,
        json_kept::cases,
        records::cases,
        records_read::cases,
        parts::cases,
        views::cases,
        environment::cases,
    ];
    clauses.iter().flat_map(|cases| cases()).collect()
}

/// Runs every case once for all tests, and returns the errors that they produced.
fn run_all() -> &'static [Error] {
    static ERRORS: OnceLock<Vec<Error>> = OnceLock::new();
    ERRORS.get_or_init(|| {
        in_turn(|| {
            let folder = tempfile::tempdir().unwrap();
            corpus().iter().filter_map(|case| case.run(folder.path())).collect()
        })
    })
}

#[test]
fn every_case_comes_out_as_it_must() {
    assert!(!run_all().is_empty());
}

#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let folder = PathBuf::from(std::env::var_os("GEN5_CORPUS").expect("GEN5_CORPUS names a folder"));
    std::fs::create_dir_all(&folder).unwrap();
    for (position, case) in corpus().iter().enumerate() {
        std::fs::write(folder.join(case.file_name(position)), &case.file).unwrap();
    }
}
