//! Compares this crate with the reference, the Python package `gen5` 0.1.0. Each decodes the files
//! of the other, they agree on which metadata is valid, and they capture the same environment.
//!
//! Plain `cargo test` leaves these tests out, since they need a Python that has the reference:
//!
//! ```sh
//! python3 -m venv reference
//! reference/bin/pip install gen5==0.1.0
//! GEN5_REFERENCE_PYTHON=reference/bin/python cargo test --test interop
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_lossless
)]

#[cfg(feature = "capture")]
mod capture;
mod description;
mod drift;
mod latents;
mod manifests;
mod random;
mod read_here;
mod read_there;
mod reference;
mod refused_there;
