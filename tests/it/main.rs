//! Tests of the public API, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_lossless
)]

mod auto;
mod bfloat16;
mod bits;
mod bytes;
mod copy;
mod damage;
mod golden;
mod load;
mod messages;
mod metadata;
mod outdated;
mod own;
mod provenance;
mod publishing;
mod readers;
mod reading;
mod rewrite;
mod round_trip;
mod schema;
mod shuffle;
#[path = "../support/mod.rs"]
mod support;
mod trust;
mod version_1_1;
mod writing;
