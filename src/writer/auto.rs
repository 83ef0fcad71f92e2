//! What `Compression::Auto` decides by.

use super::input::Input;
use super::options::Storage;
use crate::codec::compressed_size;
use crate::element::Scratch;

/// Blocks that are tried, spread evenly over the values, and bytes of each. Together they take less than
/// 1% of what it takes to write a raw latent of 64 MiB; the benchmark `ratios` measures it.
const BLOCKS: usize = 8;
const BLOCK: usize = 16 << 10;

/// One block is tried for this many bytes, so that little is spent on little latents.
const BYTES_PER_BLOCK: usize = 128 << 10;

/// Latents of fewer bytes stay raw: there is less than a page of memory to be saved.
const LEAST: u64 = 4 << 10;

/// A latent whose blocks shrink to this share, or below, is compressed: to 85%. Noise in float32 and float16 comes to 92%.
const WORTHWHILE: (usize, usize) = (85, 100);

/// The level that blocks are tried at, whatever that of the latents is: higher ones differ little in what pays.
const LEVEL: i32 = 1;

/// How a latent of `whole` bytes is best stored, of which `input` is the first part or all: raw, unless trying some of the
/// values shows that they shrink.
pub(super) fn choose(input: &Input<'_>, whole: u64) -> Storage {
    let size = input.size();
    if whole < LEAST {
        return Storage::Raw;
    }
    let element = input.dtype.size();
    let (count, block) = (size / element, BLOCK.min(size) / element);
    let blocks = (size / BYTES_PER_BLOCK).clamp(1, BLOCKS);
    let mut scratch = Scratch::default();
    let (mut tried, mut shrunk) = (0, 0);
    for number in 0..blocks {
        // The first at the start, the last at the end, one in the middle if it is alone.
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
