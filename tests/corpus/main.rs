//! The bad-file corpus: for every clause of `docs/threats.md` that is about files, some of them, each with what must come of
//! it by `open`, by `map` and from bytes, and a bound on the memory that this may take.
//!
//! A binary of its own, since the allocator that counts is that of a whole process: it counts what other threads do, rayon's
//! among them, so everything here runs in turn.
//!
//! `GEN5_CORPUS=folder cargo test --test corpus -- --ignored write_corpus` writes the files there: seeds for fuzzing.
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

/// Every case, clause by clause.
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

/// Runs every case, once for all tests; returns the errors that they came to.
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
