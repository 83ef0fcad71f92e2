//! The latents of a file, in order.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;
use std::sync::Arc;

use super::{Inner, Latent, Reader};

/// An iterator over the latents of a file, in file order. [`Reader::latents`] returns it.
#[derive(Clone)]
pub struct Latents {
    inner: Arc<Inner>,
    left: Range<usize>,
}

impl Latents {
    pub(super) fn of(inner: &Arc<Inner>) -> Self {
        Self { inner: Arc::clone(inner), left: 0..inner.layout.latents.len() }
    }
}

impl Iterator for Latents {
    type Item = Latent;

    fn next(&mut self) -> Option<Latent> {
        self.left.next().map(|index| Latent::whole(&self.inner, index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }

    fn nth(&mut self, count: usize) -> Option<Latent> {
        self.left.nth(count).map(|index| Latent::whole(&self.inner, index))
    }
}

impl DoubleEndedIterator for Latents {
    fn next_back(&mut self) -> Option<Latent> {
        self.left.next_back().map(|index| Latent::whole(&self.inner, index))
    }
}

impl ExactSizeIterator for Latents {}

impl FusedIterator for Latents {}

/// Iterates over the latents, in file order.
///
/// ```no_run
/// let reader = gen5::Reader::open("batch.gen5")?;
/// for latent in &reader {
///     println!("{:?} {} {:?}", latent.key(), latent.dtype(), latent.shape());
/// }
/// # Ok::<(), gen5::Error>(())
/// ```
impl IntoIterator for &Reader {
    type Item = Latent;
    type IntoIter = Latents;

    fn into_iter(self) -> Latents {
        self.latents()
    }
}

impl fmt::Debug for Latents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latents").field("left", &self.left).finish_non_exhaustive()
    }
}
