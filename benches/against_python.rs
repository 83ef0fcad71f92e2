//! This crate's side of `against_python.py`, which starts it. It reads commands from standard
//! input, one a line, and answers each with the seconds that it took. The numbers therefore include
//! neither a build nor the start of a process.
//!
//! | command | effect |
//! |---|---|
//! | `values PATH AXIS...` | loads float32 values from PATH, of consecutive latents of this shape |
//! | `raw PATH` | writes them as a GEN5 file |
//! | `zstd PATH` | writes them compressed |
//! | `read PATH` | reads all latents of a GEN5 file into new memory; panics unless equal |
//!
//! Files are not synced, as Python's are not, and contain the environment, as the reference's do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use gen5::{Array, Capture, Compression, Metadata, Reader, WriteOptions};

fn main() {
    // Reused for all files, so the memory for compressed chunks is reused too.
    let options = WriteOptions::new().sync(false);
    let (mut shape, mut latents) = (Vec::new(), Vec::new());
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split('\t').collect();
        let seconds = match *words {
            ["values", path, ref axes @ ..] => {
                shape = axes.iter().map(|axis| axis.parse().unwrap()).collect();
                latents = values(path.as_ref(), shape.iter().product());
                0.0
            }
            ["raw", path] => {
                write(path.as_ref(), options.clone().compression(Compression::Raw), &shape, &latents)
            }
            ["zstd", path] => {
                write(path.as_ref(), options.clone().compression(Compression::Zstd), &shape, &latents)
            }
            ["read", path] => read(path.as_ref(), &latents),
            _ => panic!("no such command: {line}"),
        };
        println!("{seconds}");
    }
}

fn values(path: &Path, len: usize) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let latents = bytes.chunks_exact(len * size_of::<f32>());
    assert!(latents.remainder().is_empty());
    latents
        .map(|bytes| bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
        .collect()
}

fn write(path: &Path, options: WriteOptions, shape: &[usize], latents: &[Vec<f32>]) -> f64 {
    let start = Instant::now();
    let mut writer = options.create(path).unwrap();
    let arrays = latents
        .iter()
        .enumerate()
        .map(|(index, values)| Array::new(format!("latent_{index}"), shape, values));
    writer.latents(arrays).unwrap();
    // The reference already runs inside Python, and inspects the modules loaded there.
    writer.environment(&Capture::new().no_python().run().environment).unwrap();
    let metadata =
        Metadata::builder("model", "1").prompt("a lighthouse at dusk").tag("benchmark").build().unwrap();
    writer.finish(&metadata).unwrap();
    start.elapsed().as_secs_f64()
}

fn read(path: &Path, expected: &[Vec<f32>]) -> f64 {
    let start = Instant::now();
    let reader = Reader::open(path).unwrap();
    let loaded = reader.load_all().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(loaded.len(), expected.len());
    for (latent, expected) in loaded.iter().zip(expected) {
        assert!(latent.as_slice::<f32>().unwrap() == expected, "other values were read");
    }
    seconds
}
