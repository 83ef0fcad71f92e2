//! Several latents at once.

use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};
use rayon::prelude::*;
use zerocopy::IntoBytes;

use super::{Inner, Latent, Reader};
use crate::element::{Dtype, Element, Values};
use crate::error::Result;

/// A latent with its values, which are of whatever dtype it has.
#[derive(Clone)]
pub struct Loaded<'r> {
    latent: Latent,
    values: AnyValues<'r>,
}

#[derive(Clone)]
enum AnyValues<'r> {
    F16(Cow<'r, [f16]>),
    BF16(Cow<'r, [bf16]>),
    F32(Cow<'r, [f32]>),
}

impl fmt::Debug for Loaded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("latent", &self.latent).field("values", &self.values()).finish()
    }
}

impl<'r> Loaded<'r> {
    /// Borrows the values where that is possible, reads them where it is not.
    fn new(latent: Latent, inner: &'r Inner) -> Result<Self> {
        let values = match latent.dtype() {
            Dtype::F16 => AnyValues::F16(latent.read_from(inner)?),
            Dtype::BF16 => AnyValues::BF16(latent.read_from(inner)?),
            Dtype::F32 => AnyValues::F32(latent.read_from(inner)?),
        };
        Ok(Self { latent, values })
    }

    /// What it is: key, dtype, shape.
    pub fn latent(&self) -> &Latent {
        &self.latent
    }

    /// Whether the values are those of the file as they lie there, or bytes in memory, not a copy.
    pub fn is_borrowed(&self) -> bool {
        match &self.values {
            AnyValues::F16(values) => matches!(values, Cow::Borrowed(_)),
            AnyValues::BF16(values) => matches!(values, Cow::Borrowed(_)),
            AnyValues::F32(values) => matches!(values, Cow::Borrowed(_)),
        }
    }

    fn values(&self) -> Values<'_> {
        match &self.values {
            AnyValues::F16(values) => Values::F16(values),
            AnyValues::BF16(values) => Values::BF16(values),
            AnyValues::F32(values) => Values::F32(values),
        }
    }

    /// The values, in C order.
    ///
    /// # Errors
    ///
    /// [`Error::Dtype`](crate::Error::Dtype) if `T` is not their dtype.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.latent.expect_dtype::<T>()?;
        Ok(T::typed(self.values()).unwrap_or_default())
    }

    /// The bytes of the values, in C order and little-endian.
    pub fn as_bytes(&self) -> &[u8] {
        self.values().as_bytes()
    }
}

impl Reader {
    /// The latents of these keys with their values, in the order of the keys: borrowed where they can be, the others read
    /// and decompressed side by side, in the caller's rayon pool.
    ///
    /// ```no_run
    /// # fn main() -> gen5::Result<()> {
    /// # let reader = gen5::Reader::open("batch.gen5")?;
    /// for loaded in reader.load(&["initial_noise", "final_latent"])? {
    ///     let values: &[f32] = loaded.as_slice()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`latent`](Self::latent); [`Error::Limit`](crate::Error::Limit) if what has to be read comes to more than
    /// [`Limits::latent_bytes`](crate::Limits::latent_bytes), and [`Error::Memory`](crate::Error::Memory); the error of the
    /// first latent with a damaged chunk.
    pub fn load(&self, keys: &[&str]) -> Result<Vec<Loaded<'_>>> {
        self.load_latents(keys.iter().map(|key| self.latent(key)).collect::<Result<_>>()?)
    }

    /// All latents with their values, in the order of the file, as [`load`](Self::load) gives them.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_all(&self) -> Result<Vec<Loaded<'_>>> {
        self.load_latents(self.latents().collect())
    }

    fn load_latents(&self, latents: Vec<Latent>) -> Result<Vec<Loaded<'_>>> {
        self.check_total(&latents)?;
        let loaded: Vec<Result<Loaded<'_>>> =
            latents.into_par_iter().map(|latent| Loaded::new(latent, &self.inner)).collect();
        loaded.into_iter().collect()
    }

    /// Refuses latents that together take more memory than one call may ask for.
    fn check_total(&self, latents: &[Latent]) -> Result<()> {
        let mut total = 0_u64;
        latents.iter().filter(|latent| !latent.lies_in(&self.inner)).try_for_each(|latent| {
            total = total.saturating_add(latent.payload_size());
            latent.check_limit(total)
        })
    }

    /// Reads latents into memory of the caller's, side by side, in its rayon pool. Every buffer is as long as its latent
    /// has elements; all are checked before any is written to.
    ///
    /// After an error the buffers hold some of the values.
    ///
    /// # Errors
    ///
    /// Those of [`latent`](Self::latent) and [`Latent::read_into`]: of the first key that has one.
    pub fn load_into<'k, 'b, T: Element>(
        &self,
        targets: impl IntoIterator<Item = (&'k str, &'b mut [T])>,
    ) -> Result<()> {
        let mut jobs = Vec::new();
        for (key, buffer) in targets {
            let latent = self.latent(key)?;
            latent.expect_buffer(buffer)?;
            jobs.push((latent, buffer));
        }
        let read: Vec<Result<()>> =
            jobs.into_par_iter().map(|(latent, buffer)| latent.fill(buffer.as_mut_bytes())).collect();
        read.into_iter().collect()
    }

    /// Tells the system that these latents are to be read soon, as [`Latent::prefetch`] does for one.
    ///
    /// # Errors
    ///
    /// Those of [`latent`](Self::latent).
    pub fn prefetch(&self, keys: &[&str]) -> Result<()> {
        keys.iter().try_for_each(|key| self.latent(key).map(|latent| latent.prefetch()))
    }
}
