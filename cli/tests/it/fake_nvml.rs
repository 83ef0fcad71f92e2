//! A stand-in for NVIDIA's library.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::Folder;

/// Compiles the stand-in into a separate folder, for `LD_LIBRARY_PATH`.
pub fn library(folder: &Folder, flags: &[&str]) -> PathBuf {
    let libraries = folder.path("lib");
    fs::create_dir_all(&libraries).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fake_nvml.c");
    let ran = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", source, "-o"])
        .arg(libraries.join("libnvidia-ml.so.1"))
        .args(flags)
        .output()
        .expect("a C compiler, which the build needs anyway");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    libraries
}
