//! The main job on a batch of real size: writes latents with image, metadata and environment, maps
//! the file, borrows slices, reads rows, verifies, and prints the speed of each step.
//!
//! `cargo run --release --example quickstart [-- MEGABYTES]`, 256 by default. The files are removed
//! at the end.

#![allow(unsafe_code, clippy::print_stdout)] // mapping is unsafe; results are printed

use std::error::Error;
use std::time::Instant;

use gen5::metadata::GenerationSettings;
use gen5::{Array, Compression, Environment, Metadata, Reader, WriteOptions, f16};

/// Channels, height and width of a latent for an image of 1024 x 1024 pixels.
const LATENT: [usize; 3] = [4, 128, 128];

fn main() -> Result<(), Box<dyn Error>> {
    let megabytes: usize = std::env::args()
        .nth(1)
        .map_or(Ok(256), |text| text.parse())
        .map_err(|_| "usage: quickstart [MEGABYTES]")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("batch.gen5");

    // Half of the bytes are noise, and half are the final latents. A trajectory of ten steps is
    // added to these.
    let latent_len: usize = LATENT.iter().product();
    let batch = (megabytes * 1_000_000 / 2 / (latent_len * size_of::<f32>())).max(4);
    let shape = [&[batch][..], &LATENT].concat();
    let noise = normal(42, batch * latent_len);
    let finished: Vec<f32> = noise.iter().map(|value| value * 0.18).collect();
    println!(
        "A batch of {batch} latents of 4 x 128 x 128 float32: {}",
        size(2 * noise.len() * size_of::<f32>())
    );

    // Write. The trajectory is pushed step by step, as in a sampler.
    let start = Instant::now();
    let mut writer = WriteOptions::new().create(&path)?;
    writer.latents([
        Array::new("initial_noise", &shape, &noise),
        Array::new("final_latent", &shape, &finished),
    ])?;
    let mut trajectory = writer.stream::<f16>("trajectory", &[10, 4, 128, 128])?;
    for step in 0..10_u8 {
        let scale = 1.0 - f32::from(step) / 10.0;
        let values: Vec<f16> =
            noise.iter().take(latent_len).map(|value| f16::from_f32(value * scale)).collect();
        trajectory.push(&values)?;
    }
    trajectory.finish()?;
    report("write and hash", start, noise.len() * 2 * size_of::<f32>());
    writer.image(&picture()?)?;
    writer.environment(&Environment::capture())?;
    let metadata = Metadata::builder("Stable Diffusion 3", "3.0")
        .prompt("a lighthouse at dusk")
        .tag("lighthouse")
        .settings(GenerationSettings::new(42, 50, "ddim").cfg_scale(7.5))
        .build()?;
    let start = Instant::now();
    let summary = writer.finish(&metadata)?;
    println!(
        "{:<28}{:>8.3} s  {} bytes",
        "table, sync to disk, rename",
        start.elapsed().as_secs_f64(),
        summary.file_size
    );

    // Map, and borrow.
    let start = Instant::now();
    // SAFETY: the file is in a folder of this program, and nothing changes it while it is mapped.
    let reader = unsafe { Reader::map(&path)? };
    let latent = reader.latent("initial_noise")?;
    let values: &[f32] = latent.as_slice()?;
    println!("{:<28}{:>8.3} ms", "open, map and borrow", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let sum: f64 = values.chunks(4096).map(|block| f64::from(block.iter().sum::<f32>())).sum();
    report("sum the borrowed values", start, size_of_val(values));
    println!("{:<28}{:>8.4}", "  their mean, 0 expected", sum / values.len() as f64);
    assert!(values == noise, "what is read is what was written");

    // One latent of the batch, one step of the trajectory.
    let third = latent.rows(2..3)?;
    assert_eq!(third.as_slice::<f32>()?.len(), latent_len);
    let last = reader.latent("trajectory")?.rows(9..10)?;
    println!("{:<28}{:?} {}", "rows 9..10 of trajectory", last.shape(), last.dtype());

    // Every hash, on all cores.
    let start = Instant::now();
    let verified = reader.verify()?;
    report("verify every chunk", start, usize::try_from(verified.payload_size())?);

    // Compress the same noise in parts, and read it back.
    let packed = folder.path().join("packed.gen5");
    let start = Instant::now();
    let options = WriteOptions::new().compression(Compression::Zstd).level(1).sync(false);
    let mut writer = options.create(&packed)?;
    writer.latent("initial_noise", &shape, &noise)?;
    let summary = writer.finish(&metadata)?;
    report("compress (zstd, level 1)", start, size_of_val(&*noise));
    let share = summary.file_size as f64 / size_of_val(&*noise) as f64;
    println!("{:<28}{:>8.3} of the size", "  which makes of noise", share);
    let start = Instant::now();
    let read = Reader::open(&packed)?.latent("initial_noise")?.read::<f32>()?.into_owned();
    report("read and decompress", start, size_of_val(&*read));
    assert!(read == noise, "what is read is what was written");
    println!("All values came back as they were.");
    Ok(())
}

/// Standard normal values: Box-Muller on SplitMix64 (Steele, Lea and Flood, 2014).
fn normal(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1 << 24) as f32
    };
    let mut values = Vec::with_capacity(len + 1);
    while values.len() < len {
        let (radius, angle) = ((-2.0 * (1.0 - uniform()).ln()).sqrt(), std::f32::consts::TAU * uniform());
        values.extend([radius * angle.cos(), radius * angle.sin()]);
    }
    values.truncate(len);
    values
}

/// A small PNG of a sky at dusk.
fn picture() -> Result<Vec<u8>, Box<dyn Error>> {
    let dusk = image::RgbImage::from_fn(256, 256, |_, y| {
        let y = u8::try_from(y).unwrap_or(u8::MAX);
        image::Rgb([40 + y / 2, 30 + y / 4, 120 - y / 3])
    });
    let mut png = std::io::Cursor::new(Vec::new());
    dusk.write_to(&mut png, image::ImageFormat::Png)?;
    Ok(png.into_inner())
}

fn size(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn report(what: &str, start: Instant, bytes: usize) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<28}{:>8.3} s  {:>10}  {:>6.2} GB/s", seconds, size(bytes), bytes as f64 / seconds / 1e9);
}
