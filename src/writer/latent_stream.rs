//! A stream of values whose type is known at compile time.

use std::fmt;
use std::marker::PhantomData;

use super::stream::Stream;
use crate::element::{Element, erase};
use crate::error::Result;

/// A latent of known shape whose values arrive in pieces, so it can be larger than memory.
///
/// Several can be filled in turn or from several threads. If one is dropped or does not get all its
/// values, [`Writer::finish`](crate::Writer::finish) fails and names it.
/// [`ByteStream`](crate::ByteStream) is for a dtype that is known only at run time.
///
/// ```
/// use gen5::{Metadata, Writer};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("steps.gen5");
/// let mut writer = Writer::create(&path)?;
/// let mut steps = writer.stream::<f32>("steps", &[3, 2])?;
/// for step in [[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]] {
///     steps.push(&step)?;
/// }
/// steps.finish()?;
/// writer.finish(&Metadata::builder("Stable Diffusion 3", "3.0").build()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct LatentStream<'w, T: Element> {
    stream: Stream<'w>,
    elements: PhantomData<fn(&[T])>,
}

impl<'w, T: Element> LatentStream<'w, T> {
    pub(super) fn new(stream: Stream<'w>) -> Self {
        Self { stream, elements: PhantomData }
    }

    /// Returns the number of elements that are still missing.
    pub fn remaining(&self) -> u64 {
        self.stream.remaining()
    }

    /// Returns whether the latent is compressed, or `None` while
    /// [`Compression::Auto`](crate::Compression::Auto) has too few values to decide. The decision
    /// needs the first part, or all values if there are fewer.
    pub fn is_compressed(&self) -> Option<bool> {
        self.stream.is_compressed()
    }

    /// Adds the next values, in C order. The slice can have any length and need not end at a row
    /// boundary.
    ///
    /// Values stored raw are written immediately, with one system call per push. If values arrive a
    /// few hundred at a time, collect some (64 KiB, say) before pushing them.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) if there are more values than are missing,
    /// [`Error::NonFinite`](crate::Error::NonFinite) and
    /// [`Error::Overflow`](crate::Error::Overflow): in these cases none of the values is added, and
    /// other values can be pushed. After [`Error::Io`](crate::Error::Io),
    /// [`Error::Memory`](crate::Error::Memory) or [`Error::TooLarge`](crate::Error::TooLarge) the
    /// file cannot be finished, and further calls return
    /// [`Error::WriterFailed`](crate::Error::WriterFailed).
    pub fn push(&mut self, values: &[T]) -> Result<()> {
        self.stream.push(erase(values))
    }

    /// Finishes the latent after all its values were pushed.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`](crate::Error::Incomplete) if values are missing;
    /// [`Error::WriterFailed`](crate::Error::WriterFailed); and the same errors as
    /// [`push`](Self::push), starting with [`Error::Io`](crate::Error::Io).
    pub fn finish(self) -> Result<()> {
        self.stream.finish()
    }
}

impl<T: Element> fmt::Debug for LatentStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.describe(&mut f.debug_struct("LatentStream"))
    }
}
