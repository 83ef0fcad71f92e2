//! What `Compression::Auto` decides by.

use half::f16;

use super::input::{Input, Payload};
use super::options::Storage;
use crate::codec::compressed_size;

/// Blocks that are tried, spread evenly over the values, and bytes of each. Together they take zstd about 0.3 ms: 1% of
/// what it takes to write a raw latent of 64 MiB.
const BLOCKS: usize = 8;
const BLOCK: usize = 16 << 10;

/// One block is tried for this many bytes, so that little is spent on little latents.
const BYTES_PER_BLOCK: usize = 128 << 10;

/// Latents of fewer bytes stay raw: there is less than a page of memory to be saved.
const LEAST: usize = 4 << 10;

/// A latent whose blocks shrink to this share, or below, is compressed: to 85%. Noise in float32 comes to 93%.
const WORTHWHILE: (usize, usize) = (85, 100);

/// The level that blocks are tried at, whatever that of the latents is: higher ones differ little in what pays.
const LEVEL: i32 = 1;

/// How the values are best stored: raw, unless trying some of them shows that they shrink.
pub(super) fn choose(input: &Input<'_>) -> Storage {
    let size = input.size();
    if size < LEAST {
        return Storage::Raw;
    }
    let element = input.dtype.size();
    let (count, block) = (size / element, BLOCK.min(size) / element);
    let blocks = (size / BYTES_PER_BLOCK).clamp(1, BLOCKS);
    let (mut tried, mut shrunk) = (0, 0);
    for number in 0..blocks {
        // The first at the start, the last at the end, one in the middle if it is alone.
        let start = match blocks {
            1 => (count - block) / 2,
            _ => (count - block) / (blocks - 1) * number,
        };
        let mut scratch: Vec<f16> = Vec::new();
        let range = start..start + block;
        let bytes = match input.payload {
            Payload::Values(values) => values.slice(range).converted(input.dtype, &mut scratch).as_bytes(),
            Payload::Ready(_) => input.bytes(range, &scratch),
        };
        tried += bytes.len();
        shrunk += compressed_size(bytes, LEVEL).unwrap_or(bytes.len());
    }
    let (share, whole) = WORTHWHILE;
    if shrunk * whole <= tried * share { Storage::Zstd } else { Storage::Raw }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::{Dtype, Element};

    fn choice<T: Element>(values: &[T], dtype: Dtype) -> Storage {
        choose(&Input { key: "k", dtype, first: 0, payload: Payload::Values(T::erase(values)) })
    }

    /// Standard normal values, by the Box-Muller transform over SplitMix64.
    #[allow(clippy::cast_possible_truncation)] // float32 is what is asked for
    fn noise(count: usize) -> Vec<f32> {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..count)
            .map(|_| {
                let (radius, angle) = (uniform().max(f64::MIN_POSITIVE), uniform());
                ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
            })
            .collect()
    }

    #[test]
    fn noise_stays_raw_and_what_shrinks_is_compressed() {
        for count in [1 << 10, 16 << 10, 1 << 20] {
            let values = noise(count);
            let half: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
            assert_eq!(choice(&values, Dtype::F32), Storage::Raw, "{count}");
            assert_eq!(choice(&half, Dtype::F16), Storage::Raw, "{count}");
            assert_eq!(choice(&values, Dtype::F16), Storage::Raw, "{count}");

            let quantised: Vec<f32> = values.iter().map(|value| (value * 16.0).round() / 16.0).collect();
            let sparse: Vec<f32> =
                values.iter().map(|&value| if value > 1.0 { value } else { 0.0 }).collect();
            for (name, values) in
                [("quantised", quantised), ("sparse", sparse), ("constant", vec![0.5; count])]
            {
                assert_eq!(choice(&values, Dtype::F32), Storage::Zstd, "{name} {count}");
            }
        }
    }

    /// Padding at either end is not what the rest is like.
    #[test]
    fn blocks_lie_all_over_the_values() {
        let mut values = noise(1 << 20);
        values[..1 << 18].fill(0.0);
        assert_eq!(choice(&values, Dtype::F32), Storage::Zstd, "a quarter of zeros: 70%");
        let mut values = noise(1 << 20);
        values[..1 << 16].fill(0.0);
        values[(1 << 20) - (1 << 16)..].fill(1.0);
        assert_eq!(choice(&values[1 << 14..(1 << 20) - (1 << 14)], Dtype::F32), Storage::Zstd);
        assert_eq!(choice::<f32>(&[], Dtype::F32), Storage::Raw);
        assert_eq!(choice(&[0.0_f32; 100], Dtype::F32), Storage::Raw, "less than a page");
    }
}
