//! Block-by-block comparison of two latents' values.

use anyhow::{Result, ensure};
use gen5::{Dtype, Latent};

use super::ComparedFile;
use crate::failure::of_file;
use crate::progress::Progress;
use crate::transfer::read_ahead::Blocks;

/// The distance between two latents' values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Distance {
    pub(super) values: u64,
    /// Number of differing values. NaN equals NaN.
    pub(super) differing: u64,
    /// The largest absolute difference; infinite if only one of the values is NaN or infinite.
    pub(super) largest: f64,
    sum: f64,
}

impl Distance {
    fn add(&mut self, one: f32, other: f32) {
        self.values += 1;
        if one == other || one.is_nan() && other.is_nan() {
            return;
        }
        let difference = (f64::from(one) - f64::from(other)).abs();
        let difference = if difference.is_nan() { f64::INFINITY } else { difference };
        self.differing += 1;
        self.largest = self.largest.max(difference);
        self.sum += difference;
    }

    /// The mean absolute difference.
    pub(super) fn mean(&self) -> f64 {
        if self.values == 0 { 0.0 } else { self.sum / self.values as f64 }
    }
}

/// Compares the values of two latents of the same shape, as float32. Hashes are checked if the
/// readers check them. Each file is read on its own thread, and only a few blocks are in memory at
/// a time.
pub(super) fn compare(
    (one, one_latent): (&ComparedFile<'_>, &Latent),
    (other, other_latent): (&ComparedFile<'_>, &Latent),
    progress: &Progress,
) -> Result<Distance> {
    let distance = one.pool.in_place_scope(|scope| {
        let mut one_blocks = Blocks::read(scope, one_latent);
        other.pool.in_place_scope(|scope| {
            let mut other_blocks = Blocks::read(scope, other_latent);
            let mut meter = Meter::default();
            loop {
                let one_bytes = one_blocks.rest().map_err(|error| of_file(error, one.path))?;
                let other_bytes = other_blocks.rest().map_err(|error| of_file(error, other.path))?;
                let one_size = one_latent.dtype().size();
                let other_size = other_latent.dtype().size();
                let values = (one_bytes.len() / one_size).min(other_bytes.len() / other_size);
                if values == 0 {
                    return Ok::<_, anyhow::Error>(meter.distance);
                }
                let one_bytes = one_blocks.take(values * one_size);
                let other_bytes = other_blocks.take(values * other_size);
                meter.add((one_latent.dtype(), one_bytes), (other_latent.dtype(), other_bytes));
                progress.add((one_bytes.len() + other_bytes.len()) as u64);
            }
        })
    })?;
    let expected = one_latent.len();
    ensure!(distance.values == expected, "{} of {expected} values could be compared", distance.values);
    Ok(distance)
}

/// Measures distances, with buffers for the values of two blocks.
#[derive(Default)]
struct Meter {
    distance: Distance,
    one: Vec<f32>,
    other: Vec<f32>,
}

impl Meter {
    /// Adds values given as bytes, the same number for both sides.
    fn add(&mut self, (one_dtype, one): (Dtype, &[u8]), (other_dtype, other): (Dtype, &[u8])) {
        if one_dtype == other_dtype && one == other {
            self.distance.values += (one.len() / one_dtype.size()) as u64;
            return;
        }
        one_dtype.widen(one, &mut self.one);
        other_dtype.widen(other, &mut self.other);
        for (one, other) in self.one.iter().zip(&self.other) {
            self.distance.add(*one, *other);
        }
    }
}
