//! Values on their way into a file: small latents are written whole and in batches.

use anyhow::Result;
use gen5::{Array, Dtype, Element, Entry, bf16, f16};

/// Limit on the bytes of latents read together. Larger latents are streamed.
pub(crate) const BATCH: u64 = 64 << 20;

/// Limit on the number of latents read together: each takes some memory in addition to its values.
const MOST_TOGETHER: usize = 4096;

/// The values of a latent in memory.
pub(crate) enum LatentValues {
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    F32(Vec<f32>),
}

impl LatentValues {
    /// A zeroed buffer for a latent of `size` bytes.
    pub(crate) fn zeroed(dtype: Dtype, size: u64) -> Result<Self> {
        fn room<T: Element>(size: u64) -> Result<Vec<T>> {
            Ok(vec![T::default(); usize::try_from(size)? / size_of::<T>()])
        }
        match dtype {
            Dtype::F16 => room(size).map(Self::F16),
            Dtype::BF16 => room(size).map(Self::BF16),
            Dtype::F32 => room(size).map(Self::F32),
            other => Err(unsupported(other)),
        }
    }

    /// The array to write.
    pub(crate) fn array<'a>(&'a self, entry: impl Into<Entry>, shape: &[usize]) -> Array<'a> {
        match self {
            Self::F16(values) => Array::new(entry, shape, values),
            Self::BF16(values) => Array::new(entry, shape, values),
            Self::F32(values) => Array::new(entry, shape, values),
        }
    }
}

/// The number of next latents to read together, given their sizes.
pub(crate) fn together(sizes: impl Iterator<Item = u64>) -> usize {
    let mut bytes = 0_u64;
    let fits = |size: &u64| {
        bytes = bytes.saturating_add(*size);
        bytes <= BATCH
    };
    sizes.take(MOST_TOGETHER).take_while(fits).count()
}

/// The error for a dtype that only a newer library supports.
pub(crate) fn unsupported(dtype: Dtype) -> anyhow::Error {
    anyhow::anyhow!("latents of {dtype} are not supported")
}
