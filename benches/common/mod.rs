//! Shared by the benchmarks: values, files of them, and their folder.
//!
//! Files are created in the folder for temporary files, and so are in the page cache; `TMPDIR`
//! names another folder. On a `tmpfs` (`TMPDIR=/dev/shm`), no disk influences the numbers.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gen5::{Array, Element, Metadata, Reader, Summary, WriteOptions, f16};
use rayon::prelude::*;
use tempfile::TempDir;
use zerocopy::IntoBytes;

pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;

/// Channels, height and width. A latent of float32 is a batch of these, of the requested size.
const ROW: [usize; 3] = [4, 8, 8];

/// The number of values generated sequentially; blocks are generated in parallel.
const NOISE_BLOCK: usize = 1 << 16;

/// Standard normal values: Box-Muller on SplitMix64 (Steele, Lea and Flood, 2014), with a separate
/// seed for each block. The same seed gives the same values on any machine with the same `libm`.
pub(crate) fn normal(seed: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    values.par_chunks_mut(NOISE_BLOCK).enumerate().for_each(|(block, values)| {
        let mut state = (seed << 32) | block as u64;
        state = split_mix(&mut state);
        let mut uniform = || (split_mix(&mut state) >> 40) as f32 / (1 << 24) as f32;
        for pair in values.chunks_mut(2) {
            let (radius, angle) = ((-2.0 * (1.0 - uniform()).ln()).sqrt(), std::f32::consts::TAU * uniform());
            pair.iter_mut().zip([angle.cos(), angle.sin()]).for_each(|(value, part)| *value = radius * part);
        }
    });
    values
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Latents of one size, with different values.
pub(crate) struct Batch<T> {
    pub(crate) keys: Vec<String>,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<Vec<T>>,
}

impl Batch<f32> {
    /// `count` latents of standard normal noise, of `size` bytes each.
    pub(crate) fn noise(count: usize, size: usize) -> Self {
        let len = size / size_of::<f32>();
        let row: usize = ROW.iter().product();
        assert!(len > 0 && len.is_multiple_of(row), "{size} bytes are no whole number of rows");
        Self {
            keys: (0..count).map(|index| format!("latent_{index:05}")).collect(),
            shape: [&[len / row][..], &ROW].concat(),
            values: (0..count as u64).map(|seed| normal(seed, len)).collect(),
        }
    }

    /// The same latents rounded to float16, in half the bytes.
    pub(crate) fn to_float16(&self) -> Batch<f16> {
        self.to(f16::from_f32)
    }

    /// The same latents as another type.
    pub(crate) fn to<T: Element>(&self, round: fn(f32) -> T) -> Batch<T> {
        let round = |values: &Vec<f32>| values.par_iter().map(|&value| round(value)).collect();
        let values = self.values.iter().map(round).collect();
        Batch { keys: self.keys.clone(), shape: self.shape.clone(), values }
    }
}

impl<T: Element> Batch<T> {
    /// The size of all values in bytes.
    pub(crate) fn size(&self) -> usize {
        self.values.iter().map(|values| size_of_val(&**values)).sum()
    }

    /// Writes a file of these latents, in one call.
    pub(crate) fn write(&self, options: WriteOptions, path: &Path) -> Summary {
        let arrays =
            self.keys.iter().zip(&self.values).map(|(key, values)| Array::new(key, &self.shape, values));
        let mut writer = options.create(path).unwrap();
        writer.latents(arrays).unwrap();
        writer.finish(&metadata()).unwrap()
    }

    /// Panics unless the file at `path` has exactly these latents.
    pub(crate) fn assert_stored(&self, path: &Path) {
        let reader = map(path);
        assert_eq!(reader.latents().len(), self.keys.len());
        self.keys.par_iter().zip(&self.values).for_each(|(key, values)| {
            let latent = reader.latent(key).unwrap();
            assert_eq!(latent.shape(), self.shape);
            assert!(latent.read::<T>().unwrap().as_bytes() == values.as_bytes(), "{key} has other values");
        });
    }

    /// Buffers to read into, whose pages are already mapped.
    pub(crate) fn warm_buffers(&self) -> Vec<Vec<T>> {
        let mut buffers = vec![vec![T::default(); self.values[0].len()]; self.keys.len()];
        clear(&mut buffers);
        buffers
    }

    /// Panics unless `buffers` hold exactly these values.
    pub(crate) fn assert_read(&self, buffers: &[Vec<T>]) {
        assert_eq!(buffers.len(), self.values.len());
        buffers.par_iter().zip(&self.values).for_each(|(buffer, values)| {
            assert!(buffer.as_bytes() == values.as_bytes(), "other values were read");
        });
    }

    /// Reads all latents into `buffers` in parallel.
    pub(crate) fn load_into(&self, reader: &Reader, buffers: &mut [Vec<T>]) {
        let keys = self.keys.iter().map(String::as_str);
        reader.load_into(keys.zip(buffers.iter_mut().map(Vec::as_mut_slice))).unwrap();
    }
}

/// Overwrites `buffers`, so that only a new read can fill them correctly.
pub(crate) fn clear<T: Element>(buffers: &mut [Vec<T>]) {
    buffers.par_iter_mut().for_each(|buffer| buffer.fill(T::default()));
}

/// The sum, by blocks and in lanes that become vector registers, so that addition is never the
/// bottleneck.
pub(crate) fn sum(values: &[f32]) -> f64 {
    const LANES: usize = 32;
    let mut total = 0.0;
    for block in values.chunks(1 << 12) {
        let mut lanes = [0.0_f32; LANES];
        let (whole, rest) = block.as_chunks::<LANES>();
        for values in whole {
            lanes.iter_mut().zip(values).for_each(|(lane, value)| *lane += value);
        }
        total += f64::from(lanes.iter().chain(rest).sum::<f32>());
    }
    total
}

/// The base options of the writing benchmarks. They do not sync, which would measure the disk.
pub(crate) fn write_options() -> WriteOptions {
    WriteOptions::new().sync(false)
}

pub(crate) fn map(path: &Path) -> Reader {
    // SAFETY: the benchmarks have a separate folder, and do not change a file after writing it.
    unsafe { Reader::map(path) }.unwrap()
}

fn metadata() -> Metadata {
    Metadata::builder("Stable Diffusion 3", "3.0").prompt("a lighthouse at dusk").build().unwrap()
}

/// A folder for files, removed when dropped.
pub(crate) struct Scratch {
    folder: TempDir,
    files: AtomicUsize,
    last: Mutex<Option<PathBuf>>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let (files, last) = (AtomicUsize::new(0), Mutex::new(None));
        Self { folder: tempfile::tempdir().unwrap(), files, last }
    }

    /// A new path. This call also removes the file at the path that the previous call returned:
    /// outside the measured time, and early enough to free its memory for the next file. A virtual
    /// machine may return memory to its host after some seconds, and gets it back at a tenth of the
    /// speed of writing a file.
    pub(crate) fn fresh(&self) -> PathBuf {
        let path = self.path();
        if let Some(last) = self.last.lock().unwrap().replace(path.clone()) {
            std::fs::remove_file(last).unwrap();
        }
        path
    }

    /// A new path for a file that stays until the folder is removed.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.gen5", self.files.fetch_add(1, Ordering::Relaxed)))
    }

    /// Writes these latents to a new file that stays until the folder is removed, and returns its
    /// path.
    pub(crate) fn stored<T: Element>(&self, batch: &Batch<T>, options: WriteOptions) -> PathBuf {
        let path = self.path();
        batch.write(options, &path);
        path
    }
}
