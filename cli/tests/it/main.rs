//! The command line from outside, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod binary;
mod capture;
mod commands;
mod completions;
mod convert;
mod diff;
mod embedded;
mod environment;
mod image_text;
mod images;
mod latents;
mod pictures;
mod report;
mod set;
mod storage;
mod support;
