//! The memory that `gen5` needs for files of 8 GiB. Like the library's test of the same name, it is
//! left out of plain `cargo test`:
//!
//! ```sh
//! cargo test --release --test large
//! ```
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![allow(unreachable_pub, clippy::cast_lossless)]

#[path = "../../../tests/large/room.rs"]
mod room;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gen5::Dtype;

use crate::room::Room;

const THREADS: u64 = 2;
const MIB: u64 = 1 << 20;

/// The limit for the library: 64 MiB, 32 MiB for the program and zstd's contexts, and two parts of
/// 64 MiB for each thread.
const LIMIT: u64 = (64 + 32 + THREADS * 2 * 64) * MIB;

/// The shape of a float32 array of 4 GiB.
const SHAPE: [usize; 2] = [1024, 1 << 20];

/// Writes a sparse `.npy` file of zeros.
fn sparse_npy(path: &Path) {
    let mut header = Vec::new();
    gen5_cli::convert::npy::write_header(&mut header, Dtype::F32, &SHAPE).unwrap();
    let file = File::create(path).unwrap();
    file.write_all_at(&header, 0).unwrap();
    file.set_len(header.len() as u64 + (4 << 30)).unwrap();
}

/// The peak memory of a process so far, in bytes, or `None` if it has ended.
fn peak_of(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

/// Runs `gen5` in `folder` and monitors its memory until it ends.
fn run(folder: &Path, words: &[&str]) {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gen5"))
        .args(words)
        .current_dir(folder)
        .env("RAYON_NUM_THREADS", THREADS.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_of(&child).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "gen5 {words:?}: {status}");
    println!("gen5 {}: {} MiB, {:.1} s", words[0], peak / MIB, start.elapsed().as_secs_f64());
    assert!(peak > 0 && peak <= LIMIT, "gen5 {words:?} took {} MiB of {}", peak / MIB, LIMIT / MIB);
}

#[test]
fn working_on_8_gib_takes_the_memory_of_a_few_parts() {
    let room = Room::of(10, "gen5 with 8 GiB");
    let folder = room.folder.path();
    sparse_npy(&folder.join("a.npy"));
    sparse_npy(&folder.join("b.npy"));
    let model = ["--model-name", "m", "--model-version", "1", "--date", "2026-11-24"];
    let latents = ["--latent", "a.npy", "b.npy"];
    run(folder, &[&["pack", "x.gen5"], &model[..], &latents].concat());
    run(folder, &["verify", "x.gen5"]);
    run(folder, &["info", "x.gen5"]);
    run(folder, &["unpack", "x.gen5", "-o", "out"]);
    for name in ["a.npy", "b.npy"] {
        let length = |path: &Path| path.metadata().unwrap().len();
        assert_eq!(length(&folder.join("out/latents").join(name)), length(&folder.join(name)));
    }
    std::fs::remove_dir_all(folder.join("out")).unwrap();

    // A raw file of over 4 GiB.
    run(folder, &[&["pack", "raw.gen5", "--compress", "none"], &model[..], &latents].concat());
    run(folder, &["verify", "raw.gen5"]);

    // Comparing a raw latent with a compressed one in parts reads all values.
    run(folder, &["diff", "x.gen5", "raw.gen5"]);
    run(folder, &["cat", "x.gen5", "a", "--npy"]);
    run(folder, &["cat", "raw.gen5", "a", "--rows", "512.."]);

    // Converts raw latents to compressed ones and the reverse, then splits and merges the file.
    run(folder, &["repack", "raw.gen5", "zstd.gen5", "--compress", "zstd"]);
    std::fs::remove_file(folder.join("raw.gen5")).unwrap();
    run(folder, &["repack", "x.gen5", "half.gen5", "--compress", "none", "--dtype", "float16"]);
    std::fs::remove_file(folder.join("half.gen5")).unwrap();
    for rows in ["300", "4"] {
        run(folder, &["split", "zstd.gen5", "-o", "parts", "--rows", rows]);
        let mut parts: Vec<String> = std::fs::read_dir(folder.join("parts"))
            .unwrap()
            .map(|entry| format!("parts/{}", entry.unwrap().file_name().to_str().unwrap()))
            .filter(|name| name.ends_with(".gen5"))
            .collect();
        parts.sort();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        run(folder, &[&["merge", "--stack", "--force", "-o", "again.gen5"], &parts[..]].concat());
        run(folder, &["repack", "again.gen5", "plain.gen5", "--drop", "b"]);
        std::fs::remove_dir_all(folder.join("parts")).unwrap();
        std::fs::remove_file(folder.join("plain.gen5")).unwrap();
    }
}
