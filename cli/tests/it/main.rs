//! Tests of the command line through its public interface, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod binary;
mod capture;
mod commands;
mod completions;
mod conventions;
mod convert;
mod derived;
mod diff;
mod embedded;
mod environment;
#[cfg(target_os = "linux")]
mod fake_nvml;
mod files;
mod folders;
mod foreign;
#[cfg(target_os = "linux")]
mod hanging;
mod hostile;
mod image_text;
mod images;
mod latents;
mod layouts;
#[allow(clippy::cast_possible_truncation)]
#[path = "../../../tests/support/mod.rs"]
mod library;
#[cfg(target_os = "linux")]
mod memory;
mod merge;
#[cfg(unix)]
mod names;
mod patterns;
mod pictures;
#[cfg(target_os = "linux")]
mod races;
#[cfg(unix)]
mod readme;
mod repack;
mod report;
mod results;
mod sessions;
mod set;
mod shapes;
#[cfg(target_os = "linux")]
mod signals;
mod split;
#[cfg(target_os = "linux")]
mod started;
mod storage;
mod support;
mod unknown;
mod usage;
