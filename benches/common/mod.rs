//! What the benchmarks share: values, the files they are in, and where these lie.
//!
//! Files are made in the folder for temporary files, so that they are in the page cache; `TMPDIR` names another. On a
//! `tmpfs` (`TMPDIR=/dev/shm`) no disk has a part in any number.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gen5::{Array, Element, Metadata, Reader, Summary, WriteOptions, f16};
use rayon::prelude::*;
use tempfile::TempDir;
use zerocopy::IntoBytes;

pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;

/// Channels, height and width: a latent of float32 is a batch of as many of these as make its size.
const ROW: [usize; 3] = [4, 8, 8];

/// Values that are made one after another; blocks are made side by side.
const NOISE_BLOCK: usize = 1 << 16;

/// Standard normal values, the same for the same seed on any machine with the same `libm`: Box-Muller on numbers of
/// SplitMix64 (Steele, Lea and Flood, 2014), each block from a seed of its own.
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

    /// The same rounded to float16, in half the bytes.
    pub(crate) fn to_float16(&self) -> Batch<f16> {
        self.to(f16::from_f32)
    }

    /// The same as another type.
    pub(crate) fn to<T: Element>(&self, round: fn(f32) -> T) -> Batch<T> {
        let round = |values: &Vec<f32>| values.par_iter().map(|&value| round(value)).collect();
        let values = self.values.iter().map(round).collect();
        Batch { keys: self.keys.clone(), shape: self.shape.clone(), values }
    }
}

impl<T: Element> Batch<T> {
    /// Bytes of all values.
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

    /// Panics unless the file at `path` has just these latents with just these values.
    pub(crate) fn assert_stored(&self, path: &Path) {
        let reader = map(path);
        assert_eq!(reader.latents().len(), self.keys.len());
        self.keys.par_iter().zip(&self.values).for_each(|(key, values)| {
            let latent = reader.latent(key).unwrap();
            assert_eq!(latent.shape(), self.shape);
            assert!(latent.read::<T>().unwrap().as_bytes() == values.as_bytes(), "{key} has other values");
        });
    }

    /// Buffers to read into, whose pages are there already.
    pub(crate) fn warm_buffers(&self) -> Vec<Vec<T>> {
        let mut buffers = vec![vec![T::default(); self.values[0].len()]; self.keys.len()];
        clear(&mut buffers);
        buffers
    }

    /// Panics unless `buffers` have just these values.
    pub(crate) fn assert_read(&self, buffers: &[Vec<T>]) {
        assert_eq!(buffers.len(), self.values.len());
        buffers.par_iter().zip(&self.values).for_each(|(buffer, values)| {
            assert!(buffer.as_bytes() == values.as_bytes(), "other values were read");
        });
    }

    /// Reads all latents into `buffers`, side by side.
    pub(crate) fn load_into(&self, reader: &Reader, buffers: &mut [Vec<T>]) {
        let keys = self.keys.iter().map(String::as_str);
        reader.load_into(keys.zip(buffers.iter_mut().map(Vec::as_mut_slice))).unwrap();
    }
}

/// Overwrites what was read before, so that only a new read can make `buffers` right.
pub(crate) fn clear<T: Element>(buffers: &mut [Vec<T>]) {
    buffers.par_iter_mut().for_each(|buffer| buffer.fill(T::default()));
}

/// The sum by blocks, in lanes that become vector registers: addition is never what it waits for.
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

/// What the writing benchmarks start from. Nothing is synced: that would measure the disk.
pub(crate) fn write_options() -> WriteOptions {
    WriteOptions::new().sync(false)
}

pub(crate) fn map(path: &Path) -> Reader {
    // SAFETY: files of the benchmarks are in a folder of their own, and none is changed once it is written.
    unsafe { Reader::map(path) }.unwrap()
}

fn metadata() -> Metadata {
    Metadata::builder("Stable Diffusion 3", "3.0").prompt("a lighthouse at dusk").build().unwrap()
}

/// A folder for files, which goes away with them.
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

    /// A path at which nothing was before. The file at the path that was given before is removed now: outside of what is
    /// timed, and so that its memory is there for the next. A virtual machine may hand memory back to its host after some
    /// seconds, and gets it again at a tenth of the speed at which files are written.
    pub(crate) fn fresh(&self) -> PathBuf {
        let path = self.path();
        if let Some(last) = self.last.lock().unwrap().replace(path.clone()) {
            std::fs::remove_file(last).unwrap();
        }
        path
    }

    /// A path at which nothing was before, for a file that stays as long as the folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.gen5", self.files.fetch_add(1, Ordering::Relaxed)))
    }

    /// The path of a new file of these latents, which stays as long as the folder.
    pub(crate) fn stored<T: Element>(&self, batch: &Batch<T>, options: WriteOptions) -> PathBuf {
        let path = self.path();
        batch.write(options, &path);
        path
    }
}
