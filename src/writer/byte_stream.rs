//! A stream of the bytes of values whose dtype is known at run time.

use std::fmt;
use std::io::{self, Write};

use super::stream::Stream;
use crate::element::{Dtype, Values};
use crate::error::Result;

/// A latent of known shape whose values arrive as bytes, in pieces. It is an [`io::Write`].
///
/// The bytes are those of the values, in C order and little-endian. A piece can have any length and
/// alignment, and can end within a value. [`LatentStream`](crate::LatentStream) is for values whose
/// type is known at compile time; what it says about several streams holds here, too.
///
/// ```
/// use std::io::Write;
///
/// use gen5::{Dtype, Metadata, Reader, Writer};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("copy.gen5");
/// let mut writer = Writer::create(&path)?;
/// let mut noise = writer.stream_bytes("noise", Dtype::F32, &[2])?;
/// noise.write_all(&0.5_f32.to_le_bytes())?;
/// noise.write_all(&1.5_f32.to_le_bytes())?;
/// noise.finish()?;
/// writer.finish(&Metadata::builder("Stable Diffusion 3", "3.0").build()?)?;
/// assert_eq!(*Reader::open(&path)?.latent("noise")?.read::<f32>()?, [0.5, 1.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct ByteStream<'w> {
    stream: Stream<'w>,
    /// The dtype of the bytes, which can differ from the stored one.
    dtype: Dtype,
    /// The first bytes of a value whose others have not arrived.
    partial: Vec<u8>,
}

impl<'w> ByteStream<'w> {
    pub(super) fn new(stream: Stream<'w>, dtype: Dtype) -> Self {
        Self { stream, dtype, partial: Vec::new() }
    }

    /// Returns the number of bytes that are still missing.
    pub fn remaining(&self) -> u64 {
        (self.stream.remaining() * self.dtype.size() as u64).saturating_sub(self.partial.len() as u64)
    }

    /// Returns whether the latent is compressed, as
    /// [`LatentStream::is_compressed`](crate::LatentStream::is_compressed) does.
    pub fn is_compressed(&self) -> Option<bool> {
        self.stream.is_compressed()
    }

    /// Adds the next bytes. [`write`](Write::write) does the same, with the error inside an
    /// [`io::Error`]. As for [`LatentStream::push`](crate::LatentStream::push), pieces of 64 KiB or
    /// more are faster.
    ///
    /// # Errors
    ///
    /// The same errors as [`LatentStream::push`](crate::LatentStream::push). If a value is
    /// rejected, none of the bytes is added.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > self.remaining() {
            return Err(self.stream.too_many("bytes", self.remaining(), bytes.len()));
        }
        let size = self.dtype.size();
        let missing = if self.partial.is_empty() { 0 } else { size - self.partial.len() };
        let (completing, bytes) = bytes.split_at(missing.min(bytes.len()));
        let first = [&self.partial, completing].concat();
        if !first.is_empty() && first.len() < size {
            self.partial = first;
            return Ok(());
        }
        let (whole, partial) = bytes.split_at(bytes.len() - bytes.len() % size);
        let pieces = [&first, whole].into_iter().filter_map(|bytes| Values::from_bytes(self.dtype, bytes));
        let pieces: Vec<Values<'_>> = pieces.filter(|values| values.len() > 0).collect();
        if let [first, rest] = *pieces {
            // Nothing is added unless all of it is valid.
            self.stream.check(first, 0)?;
            self.stream.check(rest, 1)?;
        }
        pieces.into_iter().try_for_each(|values| self.stream.push(values))?;
        self.partial = partial.to_vec();
        Ok(())
    }

    /// Finishes the latent after all its bytes were pushed.
    ///
    /// # Errors
    ///
    /// The same errors as [`LatentStream::finish`](crate::LatentStream::finish).
    pub fn finish(self) -> Result<()> {
        self.stream.finish()
    }
}

impl Write for ByteStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for ByteStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.describe(f.debug_struct("ByteStream").field("dtype", &self.dtype))
    }
}
