//! Streaming takes no more memory for a large file than for a small one. Each operation runs in its
//! own process, which prints its peak memory.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use gen5::{Compression, Metadata, Reader, WriteOptions};

use crate::room::Room;

const THREADS: u64 = 2;
const MIB: u64 = 1 << 20;

/// 8 GiB of float32, in rows of 4 MiB.
const SHAPE: [usize; 2] = [2048, 1 << 20];

/// Memory of the program and the contexts of zstd.
const ALLOWANCE: u64 = 32 * MIB;
const BASE: u64 = 64 * MIB + ALLOWANCE;

/// The bound when parts are compressed or decompressed in parallel: each thread holds one part and
/// its compressed form.
const PARTS: u64 = BASE + THREADS * 2 * 64 * MIB;

/// The environment variable that names the operation for the other process.
const OPERATION: &str = "GEN5_LARGE_OPERATION";
const FILE: &str = "GEN5_LARGE_FILE";

fn write(path: &Path, options: WriteOptions) {
    let mut writer = options.sync(false).create(path).unwrap();
    let mut stream = writer.stream::<f32>("x", &SHAPE).unwrap();
    let mut row = vec![0.0_f32; SHAPE[1]];
    for number in 0..SHAPE[0] {
        row[..1000].fill(number as f32);
        stream.push(&row).unwrap();
    }
    stream.finish().unwrap();
    writer.finish(&Metadata::builder("m", "1").prompt("p").build().unwrap()).unwrap();
}

/// Writes 1 GiB of noise, which zstd cannot compress: the frames are as large as the parts.
fn write_noise(path: &Path) {
    let options = WriteOptions::new().compression(Compression::Zstd).level(1).sync(false);
    let mut writer = options.create(path).unwrap();
    let mut stream = writer.stream::<f32>("x", &[256, 1 << 20]).unwrap();
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        f32::from_bits((state >> 32) as u32 & 0xbfff_ffff)
    };
    let mut row = vec![0.0_f32; 1 << 20];
    for _ in 0..256 {
        row.fill_with(&mut noise);
        stream.push(&row).unwrap();
    }
    stream.finish().unwrap();
    writer.finish(&Metadata::builder("m", "1").prompt("p").build().unwrap()).unwrap();
}

fn operate(operation: &str, path: &Path) {
    let options = WriteOptions::new();
    match operation {
        "write raw" => write(path, options.compression(Compression::Raw)),
        "write zstd" => write(path, options.compression(Compression::Zstd).level(1)),
        "write noise" => write_noise(path),
        "write shuffled" => write(path, options.compression(Compression::Shuffled)),
        "write auto" => write(path, options),
        "verify" => _ = Reader::open(path).unwrap().verify().unwrap(),
        "write_to" => {
            let reader = gen5::ReadOptions::new().check_hashes(true).open(path).unwrap();
            reader.latent("x").unwrap().write_to(&mut io::sink()).unwrap();
        }
        "rows" => {
            let latent = Reader::open(path).unwrap().latent("x").unwrap();
            for start in (0..SHAPE[0]).step_by(300) {
                let row = latent.rows(start..start + 1).unwrap().read::<f32>().unwrap().into_owned();
                assert_eq!((row[0], row[SHAPE[1] - 1]), (start as f32, 0.0));
            }
        }
        other => panic!("{other}"),
    }
}

/// The peak memory of this process so far, in bytes: `VmHWM` in kB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The entry point of the other process, not a test.
#[test]
fn operation() {
    let Ok(operation) = std::env::var(OPERATION) else { return };
    operate(&operation, Path::new(&std::env::var_os(FILE).unwrap()));
    println!("peak: {} bytes", peak());
}

/// Runs an operation in another process, and fails if its peak memory exceeds `limit`.
#[track_caller]
fn holds_at_most(limit: u64, operation: &str, path: &Path) {
    let start = Instant::now();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::operation", "--nocapture", "--test-threads=1"])
        .env(OPERATION, operation)
        .env(FILE, path)
        .env("RAYON_NUM_THREADS", THREADS.to_string())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{operation}: {told}\n{}", String::from_utf8_lossy(&output.stderr));
    let peak = told.split("peak: ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a peak");
    let peak: u64 = peak.parse().unwrap();
    println!("{operation}: {} MiB, {:.1} s", peak / MIB, start.elapsed().as_secs_f64());
    assert!(peak <= limit, "{operation} took {} MiB, at most {} are allowed", peak / MIB, limit / MIB);
}

#[test]
fn a_raw_file_of_8_gib_takes_little_memory() {
    let room = Room::of(10, "memory for a raw file of 8 GiB");
    let path = room.folder.path().join("raw.gen5");
    holds_at_most(BASE, "write raw", &path);
    assert!(path.metadata().unwrap().len() > 8 << 30);
    for operation in ["verify", "write_to", "rows"] {
        holds_at_most(BASE, operation, &path);
    }
}

#[test]
fn compressed_files_of_8_gib_take_the_memory_of_a_few_parts() {
    let room = Room::of(2, "memory for compressed files of 8 GiB");
    let noise = room.folder.path().join("noise");
    holds_at_most(PARTS, "write noise", &noise);
    holds_at_most(BASE, "verify", &noise);
    holds_at_most(PARTS, "write_to", &noise);
    for (name, write) in [("zstd", "write zstd"), ("shuffled", "write shuffled"), ("auto", "write auto")] {
        let path = room.folder.path().join(name);
        holds_at_most(PARTS, write, &path);
        let reader = Reader::open(&path).unwrap();
        let latent = reader.latent("x").unwrap();
        assert_eq!((latent.payload_size(), latent.chunks().count()), (8 << 30, 128));
        assert!(reader.file_size() < 100 << 20, "{name}: {} bytes", reader.file_size());
        holds_at_most(BASE, "verify", &path);
        holds_at_most(PARTS, "write_to", &path);
        holds_at_most(BASE, "rows", &path);
    }
}
