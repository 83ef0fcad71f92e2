//! Tests of the command line's parts through files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod convert;
