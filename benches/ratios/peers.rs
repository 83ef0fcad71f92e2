//! The peers: each does one job and nothing more.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::common::{KIB, MIB};

/// The level at which both sides compress.
pub(crate) const LEVEL: i32 = 3;

/// Hashes the slices one after another on this thread.
pub(crate) fn hash<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> Vec<[u8; 32]> {
    slices.into_iter().map(|bytes| Sha256::digest(bytes).into()).collect()
}

/// Hashes the slices in parallel.
pub(crate) fn hash_side_by_side(slices: &[&[u8]]) -> Vec<[u8; 32]> {
    slices.par_iter().map(|bytes| Sha256::digest(bytes).into()).collect()
}

/// Writes all slices to a new file, in blocks of 1 MiB, on this thread.
pub(crate) fn write_new<'a>(path: &Path, slices: impl IntoIterator<Item = &'a [u8]>) {
    let file = File::create_new(path).unwrap();
    let mut at = 0;
    for block in slices.into_iter().flat_map(|bytes| bytes.chunks(MIB)) {
        file.write_all_at(block, at).unwrap();
        at += block.len() as u64;
    }
}

/// Fills each buffer from its offset, in parallel.
pub(crate) fn read_side_by_side(file: &File, offsets: &[u64], buffers: &mut [&mut [u8]]) {
    let jobs = offsets.par_iter().zip(buffers.par_iter_mut());
    jobs.for_each(|(&offset, buffer)| file.read_exact_at(buffer, offset).unwrap());
}

/// Searches `len` finite values for NaN and infinity. The same few are searched repeatedly, so they
/// stay in cache.
pub(crate) fn check_finite_in_cache(values: &[f32], len: usize) {
    let mut cached = values[..64 * KIB / size_of::<f32>()].to_vec();
    for _ in 0..len / cached.len() {
        // The compiler must not assume that the values are the same each time.
        let block = std::hint::black_box(&mut cached);
        assert!(block.iter().fold(true, |finite, value| finite & value.is_finite()));
    }
}

thread_local! {
    static DECODER: RefCell<Decompressor<'static>> = RefCell::new(Decompressor::new().unwrap());
    static ENCODER: RefCell<Compressor<'static>> = RefCell::new(compressor());
}

/// A compressor for frames like ours: with a checksum and the content size.
fn compressor() -> Compressor<'static> {
    let mut compressor = Compressor::new(LEVEL).unwrap();
    compressor.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    compressor
}

/// Decompresses one frame in one call, with this thread's context.
pub(crate) fn decompress(frame: &[u8], content: &mut [u8]) {
    let size = DECODER.with_borrow_mut(|decoder| decoder.decompress_to_buffer(frame, content)).unwrap();
    assert_eq!(size, content.len());
}

/// Compresses into one frame in one call, with this thread's context. Returns the size of the
/// frame.
pub(crate) fn compress(content: &[u8], frame: &mut [u8]) -> usize {
    ENCODER.with_borrow_mut(|encoder| encoder.compress_to_buffer(content, frame)).unwrap()
}
