//! The decision of `Compression::Auto`.

use super::input::Input;
use super::options::Storage;
use crate::codec::compressed_size;
use crate::element::Scratch;

/// The number of blocks to try, spread evenly over the values, and the bytes in each. Trying them
/// takes less than 1% of the time to write a raw latent of 64 MiB; the benchmark `ratios` measures
/// it.
const BLOCKS: usize = 8;
const BLOCK: usize = 16 << 10;

/// One block is tried per this many bytes, so that small latents cost little.
const BYTES_PER_BLOCK: usize = 128 << 10;

/// Latents with fewer bytes stay raw, since compression would save less than a page of memory.
const LEAST: u64 = 4 << 10;

/// A latent is compressed if its blocks shrink to this share or less: 85%. Noise in float32 and
/// float16 shrinks to 92%.
const WORTHWHILE: (usize, usize) = (85, 100);

/// The level at which blocks are tried, whatever the level of the latents. Higher levels would
/// rarely change the decision.
const LEVEL: i32 = 1;

/// Returns the best storage for a latent of `whole` bytes, with `input` as all of it or its first
/// part. The result is raw unless trying some of the values shows that they shrink.
pub(super) fn choose(input: &Input<'_>, whole: u64) -> Storage {
    let size = input.size();
    if whole < LEAST {
        return Storage::Raw;
    }
    let element = input.dtype.size();
    let count = size / element;
    let block = BLOCK.min(size) / element;
    let blocks = (size / BYTES_PER_BLOCK).clamp(1, BLOCKS);
    let mut scratch = Scratch::default();
    let mut tried = 0;
    let mut shrunk = 0;
    for number in 0..blocks {
        // The first block is at the start and the last at the end. A single block is in the middle.
        let start = match blocks {
            1 => (count - block) / 2,
            _ => (count - block) / (blocks - 1) * number,
        };
        let range = start..start + block;
        input.convert(range.clone(), &mut scratch);
        let bytes = input.bytes(range, &scratch);
        tried += bytes.len();
        shrunk += compressed_size(bytes, LEVEL).unwrap_or(bytes.len());
    }
    let (share, whole) = WORTHWHILE;
    if shrunk * whole <= tried * share { Storage::Zstd } else { Storage::Raw }
}
