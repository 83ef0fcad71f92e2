//! Speed of opening, reading, writing and verifying, by scenario and size, with criterion.
//!
//! ```sh
//! cargo bench --bench throughput                  # all
//! cargo bench --bench throughput -- read          # one group
//! ```
//!
//! Calls run on all cores, in rayon's global pool. Values are standard normal noise, and every
//! result is checked. The `ratios` benchmark compares the same work with the limits of the machine.
#![allow(unsafe_code, missing_docs, clippy::unwrap_used)] // criterion's macros generate functions without docs

#[path = "../common/mod.rs"]
mod common;
mod open;
mod read;
mod verify;
mod write;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gen5::{Compression, WriteOptions};

/// One iteration takes up to a second, so the samples are few and the warm-up is short.
fn configuration() -> Criterion {
    Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1))
}

fn throughput(size: usize) -> Throughput {
    Throughput::Bytes(size as u64)
}

/// The size to use instead of `size`. Without `--bench`, as under `cargo test`, criterion runs each
/// function once as a test, for which smaller latents suffice.
fn scaled(size: usize) -> usize {
    if std::env::args().any(|argument| argument == "--bench") { size } else { size / 32 }
}

/// The ways to store latents, by their names in scenarios. None of them syncs.
fn storages() -> [(&'static str, WriteOptions); 3] {
    let options = common::write_options().part_size(Some(16 << 20));
    [
        ("raw", options.clone().compression(Compression::Raw)),
        ("zstd", options.clone().compression(Compression::Zstd)),
        ("shuffled", options.compression(Compression::Shuffled)),
    ]
}

criterion_group! {
    name = benches;
    config = configuration();
    targets = open::benches, read::benches, write::benches, verify::benches
}
criterion_main!(benches);
