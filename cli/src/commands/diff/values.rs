//! The values of two latents held against each other, block by block.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Result, ensure};
use gen5::{Dtype, Latent, bf16, f16};
use rayon::Scope;

use super::super::of_file;
use super::Side;
use crate::progress::Progress;

/// Blocks that wait to be compared: each is at most half a MiB.
const WAITING: usize = 4;

/// How far values are from each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Distance {
    pub(super) values: u64,
    /// How many differ. NaN is equal to NaN.
    pub(super) differing: u64,
    /// The largest absolute difference; infinite where one alone is NaN or infinite.
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

/// Compares the values of two latents of one shape, as float32. Hashes are checked if the files were opened so. Each file
/// is read on its own thread; what is in memory at a time is some blocks.
pub(super) fn compare(
    (one, one_latent): (&Side<'_>, &Latent),
    (other, other_latent): (&Side<'_>, &Latent),
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
                let (one_size, other_size) = (one_latent.dtype().size(), other_latent.dtype().size());
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

/// Measures distances, with memory for the values of two blocks.
#[derive(Default)]
struct Meter {
    distance: Distance,
    one: Vec<f32>,
    other: Vec<f32>,
}

impl Meter {
    /// Adds the values that these bytes are, as many on either side.
    fn add(&mut self, (one_dtype, one): (Dtype, &[u8]), (other_dtype, other): (Dtype, &[u8])) {
        if one_dtype == other_dtype && one == other {
            self.distance.values += (one.len() / one_dtype.size()) as u64;
            return;
        }
        widen(one_dtype, one, &mut self.one);
        widen(other_dtype, other, &mut self.other);
        for (one, other) in self.one.iter().zip(&self.other) {
            self.distance.add(*one, *other);
        }
    }
}

/// The values that these bytes are, as float32.
fn widen(dtype: Dtype, bytes: &[u8], to: &mut Vec<f32>) {
    to.clear();
    let (pairs, _) = bytes.as_chunks::<2>();
    let (quads, _) = bytes.as_chunks::<4>();
    match dtype {
        Dtype::F16 => to.extend(pairs.iter().map(|value| f16::from_le_bytes(*value).to_f32())),
        Dtype::BF16 => to.extend(pairs.iter().map(|value| bf16::from_le_bytes(*value).to_f32())),
        Dtype::F32 => to.extend(quads.iter().map(|value| f32::from_le_bytes(*value))),
        // Of a dtype that is not known here nothing is compared, which is told by the number of values.
        _ => {}
    }
}

/// The bytes of a latent, as another thread reads them.
struct Blocks {
    blocks: Receiver<gen5::Result<Vec<u8>>>,
    block: Vec<u8>,
    /// Bytes of the block that were taken.
    taken: usize,
}

impl Blocks {
    /// Starts to read. On a pool of one thread no parts are decompressed side by side, which would take memory for each.
    fn read<'scope>(scope: &Scope<'scope>, latent: &'scope Latent) -> Self {
        let (sender, blocks) = sync_channel(WAITING);
        scope.spawn(move |_| {
            let mut sender = Sender(sender);
            if let Err(error) = latent.write_to(&mut sender) {
                // If nobody waits for blocks any more, nobody wants to know either.
                let _ = sender.0.send(Err(error));
            }
        });
        Self { blocks, block: Vec::new(), taken: 0 }
    }

    /// What is left of the block, or all of the next; nothing at the end.
    fn rest(&mut self) -> gen5::Result<&[u8]> {
        while self.taken == self.block.len() {
            match self.blocks.recv() {
                Ok(block) => (self.block, self.taken) = (block?, 0),
                Err(_) => break,
            }
        }
        Ok(self.block.get(self.taken..).unwrap_or_default())
    }

    /// Takes bytes of the block, of which as many are left.
    fn take(&mut self, count: usize) -> &[u8] {
        let start = self.taken;
        self.taken += count;
        self.block.get(start..self.taken).unwrap_or_default()
    }
}

/// Takes the blocks of a latent, each a whole number of values.
struct Sender(SyncSender<gen5::Result<Vec<u8>>>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(Ok(bytes.to_vec())).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
