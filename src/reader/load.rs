//! Reading several latents at once.

use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};
use rayon::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

use super::{Inner, Latent, Reader};
use crate::element::{Dtype, Element, Values};
use crate::error::Result;

/// A latent with its values, of any dtype.
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
    /// Borrows the values where possible and otherwise reads them.
    fn new(latent: Latent, inner: &'r Inner) -> Result<Self> {
        let values = match latent.dtype() {
            Dtype::F16 => AnyValues::F16(latent.read_from(inner)?),
            Dtype::BF16 => AnyValues::BF16(latent.read_from(inner)?),
            Dtype::F32 => AnyValues::F32(latent.read_from(inner)?),
        };
        Ok(Self { latent, values })
    }

    /// Returns the latent's description: key, dtype and shape.
    pub fn latent(&self) -> &Latent {
        &self.latent
    }

    /// Returns whether the values are borrowed from the mapped file or the bytes in memory, not
    /// copied.
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

    /// Returns the values, in C order.
    ///
    /// # Errors
    ///
    /// [`Error::Dtype`](crate::Error::Dtype) if `T` is not their dtype.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.latent.expect_dtype::<T>()?;
        Ok(<[T]>::ref_from_bytes(self.as_bytes()).unwrap_or_default())
    }

    /// Returns the bytes of the values, in C order and little-endian.
    pub fn as_bytes(&self) -> &[u8] {
        self.values().as_bytes()
    }
}

impl Reader {
    /// Returns the latents with these keys and their values, in the order of the keys. Values are
    /// borrowed where possible; the others are read and decompressed in parallel, in the caller's
    /// rayon pool.
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
    /// The errors of [`latent`](Self::latent); [`Error::Limit`](crate::Error::Limit) if the values
    /// that must be read exceed [`Limits::latent_bytes`](crate::Limits::latent_bytes) in total;
    /// [`Error::Memory`](crate::Error::Memory); and the error of the first latent with a damaged
    /// chunk.
    pub fn load<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<Loaded<'_>>> {
        self.load_latents(keys.iter().map(|key| self.latent(key.as_ref())).collect::<Result<_>>()?)
    }

    /// Returns all latents with their values, in file order, as [`load`](Self::load) does.
    ///
    /// # Errors
    ///
    /// The same errors as [`load`](Self::load).
    pub fn load_all(&self) -> Result<Vec<Loaded<'_>>> {
        self.load_latents(self.latents().collect())
    }

    fn load_latents(&self, latents: Vec<Latent>) -> Result<Vec<Loaded<'_>>> {
        self.check_total(&latents)?;
        let loaded: Vec<Result<Loaded<'_>>> =
            latents.into_par_iter().map(|latent| Loaded::new(latent, &self.inner)).collect();
        loaded.into_iter().collect()
    }

    /// Returns an error if the latents together exceed the memory limit of one call.
    fn check_total(&self, latents: &[Latent]) -> Result<()> {
        let mut total = 0_u64;
        latents.iter().filter(|latent| !latent.lies_in(&self.inner)).try_for_each(|latent| {
            total = total.saturating_add(latent.payload_size());
            latent.check_limit(total)
        })
    }

    /// Reads latents in parallel into the caller's memory, in its rayon pool.
    ///
    /// The length of each buffer must equal the number of elements of its latent. All buffers are
    /// checked before any is written. After an error, the buffers hold some of the values.
    ///
    /// # Errors
    ///
    /// The errors of [`latent`](Self::latent) and [`Latent::read_into`], for the first key that has
    /// one.
    pub fn load_into<'k, 'b, T: Element>(
        &self,
        targets: impl IntoIterator<Item = (&'k str, &'b mut [T])>,
    ) -> Result<()> {
        let mut jobs = Vec::new();
        for (key, buffer) in targets {
            let latent = self.latent(key)?;
            latent.expect_buffer(buffer)?;
            jobs.push((latent, buffer.as_mut_bytes()));
        }
        fill_all(jobs)
    }

    /// Reads latents as bytes, as [`load_into`](Self::load_into) does, whatever their dtypes. The
    /// length of each buffer must equal the [`payload_size`](Latent::payload_size) of its latent.
    ///
    /// # Errors
    ///
    /// The errors of [`latent`](Self::latent) and [`Latent::read_bytes_into`], for the first key
    /// that has one.
    pub fn load_bytes_into<'k, 'b>(
        &self,
        targets: impl IntoIterator<Item = (&'k str, &'b mut [u8])>,
    ) -> Result<()> {
        let mut jobs = Vec::new();
        for (key, buffer) in targets {
            let latent = self.latent(key)?;
            latent.expect_bytes(buffer)?;
            jobs.push((latent, buffer));
        }
        fill_all(jobs)
    }

    /// Hints to the operating system that these latents will be read soon, as [`Latent::prefetch`]
    /// does for one.
    ///
    /// # Errors
    ///
    /// The errors of [`latent`](Self::latent).
    pub fn prefetch<K: AsRef<str>>(&self, keys: &[K]) -> Result<()> {
        keys.iter().try_for_each(|key| self.latent(key.as_ref()).map(|latent| latent.prefetch()))
    }
}

/// Reads latents in parallel into buffers of their sizes. The first error in order counts.
fn fill_all(jobs: Vec<(Latent, &mut [u8])>) -> Result<()> {
    let read: Vec<Result<()>> = jobs.into_par_iter().map(|(latent, buffer)| latent.fill(buffer)).collect();
    read.into_iter().collect()
}
