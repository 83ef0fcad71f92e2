//! The command line from outside, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod binary;
mod commands;
mod convert;
mod embedded;
mod image_text;
mod images;
mod storage;
mod support;
