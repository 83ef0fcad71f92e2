//! Writes a file like that of a sampler, without a model: an image, the initial noise, every step
//! of the trajectory, and the final latent. The pictures in the documentation are made from it.
//!
//! `cargo run --release --example trajectory [-- FILE.gen5]`, `trajectory.gen5` by default. An
//! existing file is replaced.
//!
//! The scene is drawn by a formula. Its latent is the one of least norm that the linear preview of
//! Stable Diffusion 1.5 shows as that scene, and the steps are those of a DDIM sampler that
//! predicts the noise perfectly. The metadata says that the run is synthetic.

#![allow(clippy::print_stdout)] // results are printed
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // colours are computed from numbers in range

mod scene;

use std::error::Error;
use std::io::Cursor;

use gen5::metadata::GenerationSettings;
use gen5::{Environment, Metadata, WriteOptions, f16};
use image::{ImageFormat, Rgb};

use crate::scene::scene;

/// Height and width of the latent; the image is eight times as high and wide.
const SIDE: u16 = 64;

/// Channels of the latent.
const CHANNELS: usize = 4;

/// Steps of the sampler.
const STEPS: u8 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "trajectory.gen5".into());
    let shape = [1, CHANNELS, usize::from(SIDE), usize::from(SIDE)];
    let clean = latent_of_scene();
    let noise = normal(42, clean.len());

    let mut writer = WriteOptions::new().create(&path)?;
    writer.latent("initial_noise", &shape, &noise)?;
    // Each step is pushed when it is ready, so a whole trajectory need not fit into memory.
    let mut trajectory =
        writer.stream::<f16>("trajectory", &[usize::from(STEPS) + 1, shape[1], shape[2], shape[3]])?;
    for step in 0..=STEPS {
        let share = signal(1.0 - f32::from(step) / f32::from(STEPS));
        let mixed = clean.iter().zip(&noise);
        let values: Vec<f16> = mixed
            .map(|(clean, noise)| f16::from_f32(share.sqrt() * clean + (1.0 - share).sqrt() * noise))
            .collect();
        trajectory.push(&values)?;
    }
    trajectory.finish()?;
    writer.latent("final_latent", &shape, &clean)?;

    let mut png = Cursor::new(Vec::new());
    scene(u32::from(SIDE) * 8).write_to(&mut png, ImageFormat::Png)?;
    writer.image(png.get_ref())?;
    writer.environment(&Environment::capture())?;
    let metadata = Metadata::builder("Stable Diffusion 1.5", "synthetic, no model was run")
        .prompt("a lighthouse at dusk")
        .tag("lighthouse")
        .tag("synthetic")
        .settings(GenerationSettings::new(42, u32::from(STEPS).into(), "ddim").cfg_scale(7.5))
        .build()?;
    let summary = writer.finish(&metadata)?;
    println!("{}: {} latents, {} bytes", path.display(), summary.latents.len(), summary.file_size);
    Ok(())
}

/// The share of the signal at time `t` of the noise, from 0 to 1: the product of `1 - beta` over
/// the 1,000 steps of Stable Diffusion's schedule, in which the square roots of the betas grow
/// linearly from those of 0.00085 to 0.012.
fn signal(t: f32) -> f32 {
    let (first, last) = (0.00085_f32.sqrt(), 0.012_f32.sqrt());
    let betas = (0..1000_u16).map(|step| (first + (last - first) * f32::from(step) / 999.0).powi(2));
    betas.take((t * 1000.0).round() as usize).map(|beta| 1.0 - beta).product()
}

/// The latent of the scene in [channel, row, column] order.
fn latent_of_scene() -> Vec<f32> {
    // The pseudo-inverse of the preview's factors (channels by red, green, blue) in ComfyUI: `SD15`
    // in latent_formats.py.
    const OF_COLOUR: [[f32; 3]; CHANNELS] = [
        [1.0426, -0.3538, 0.2639],
        [0.0828, 2.2725, -1.0109],
        [-1.9601, 1.3497, 0.2878],
        [-0.2472, 1.0967, -1.4966],
    ];
    let small = scene(u32::from(SIDE));
    let of_channel = |row: [f32; 3]| {
        small.pixels().map(move |Rgb(colour)| {
            row.iter().zip(colour).map(|(factor, part)| factor * (f32::from(*part) / 127.5 - 1.0)).sum()
        })
    };
    OF_COLOUR.into_iter().flat_map(of_channel).collect()
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
