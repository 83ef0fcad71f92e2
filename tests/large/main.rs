//! Files larger than 4 GiB, and the memory that large files take.
//!
//! Plain `cargo test` leaves these tests out, since they take a minute or two and need 12 GB of
//! disk in the folder for temporary files (`TMPDIR`):
//!
//! ```sh
//! cargo test --release --test large
//! ```
//!
//! They run one after the other, and each removes its files.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_lossless)]

mod huge;
mod memory;
mod room;
