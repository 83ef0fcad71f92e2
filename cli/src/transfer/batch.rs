//! The size of a batch: small latents are read whole, and written together.

/// Limit on the bytes of latents read together. Larger latents are streamed.
pub(crate) const BATCH: u64 = 64 << 20;

/// Limit on the number of latents read together: each takes some memory in addition to its values.
const MOST_TOGETHER: usize = 4096;

/// The number of next latents to read together, given their sizes.
pub(crate) fn together(sizes: impl Iterator<Item = u64>) -> usize {
    let mut bytes = 0_u64;
    let fits = |size: &u64| {
        bytes = bytes.saturating_add(*size);
        bytes <= BATCH
    };
    sizes.take(MOST_TOGETHER).take_while(fits).count()
}
