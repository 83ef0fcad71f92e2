//! The values of a latent: borrowed, read, converted or written out.

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

use super::Inner;
use super::latent::{Latent, Segment};
use super::memory::{allocate, zeroed};
use super::payload::{PayloadReader, borrow_payload, read_payload_into};
use crate::element::{Dtype, Element, convert, erase};
use crate::error::{Error, NotBorrowable, Result};

/// Bytes that one task reads when several tasks read a raw latent together.
const READ_TASK: usize = 8 << 20;

/// Bytes of parts that are decompressed in parallel before they are written.
const WRITE_GROUP: u64 = 512 << 20;

impl Latent {
    /// Returns the values as a slice of the file, without copying.
    ///
    /// The slice borrows from this `Latent`. [`Reader::slice`](crate::Reader::slice) borrows from
    /// the reader instead.
    ///
    /// # Errors
    ///
    /// [`Error::Dtype`] if `T` is not the latent's dtype; [`Error::NotBorrowable`] if the latent is
    /// compressed, in parts or misaligned, or if the file is not mapped; and the errors of a
    /// damaged chunk.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.borrow_from(&self.inner)
    }

    /// Returns the bytes of the values as a slice of the file, without copying. Unlike
    /// [`as_slice`](Self::as_slice), they need no alignment.
    ///
    /// # Errors
    ///
    /// The same errors as [`as_slice`](Self::as_slice), except [`Error::Dtype`].
    pub fn as_bytes(&self) -> Result<&[u8]> {
        self.borrow_with(&self.inner, Ok)
    }

    /// Returns the values, borrowed from `inner`, which is this latent's own or another handle of
    /// the same file.
    pub(super) fn borrow_from<'a, T: Element>(&self, inner: &'a Inner) -> Result<&'a [T]> {
        self.expect_dtype::<T>()?;
        self.borrow_with(inner, |bytes| {
            if bytes.is_empty() {
                return Ok([].as_slice()); // at any address
            }
            <[T]>::ref_from_bytes(bytes).map_err(|_| {
                let reason =
                    NotBorrowable::Misaligned { address: bytes.as_ptr().addr(), alignment: align_of::<T>() };
                self.not_borrowable(reason)
            })
        })
    }

    /// Returns the bytes of the values as `view` sees them, borrowed from `inner`.
    fn borrow_with<'a, V: ?Sized>(
        &self,
        inner: &'a Inner,
        view: impl Fn(&'a [u8]) -> Result<&'a V>,
    ) -> Result<&'a V> {
        let mut segments = self.segments_in(inner);
        let segment = match (segments.next(), segments.next()) {
            (None, _) => return view(&[]),
            (Some(segment), None) => segment,
            _ => return Err(self.not_borrowable(NotBorrowable::Parts { count: segments.count() + 2 })),
        };
        if segment.record.is_compressed() {
            return Err(self.not_borrowable(NotBorrowable::Compressed));
        }
        let part = |payload: &'a [u8]| {
            let end = segment.skip + segment.len;
            let range = usize::try_from(segment.skip).ok().zip(usize::try_from(end).ok());
            match range.and_then(|(start, end)| payload.get(start..end)) {
                Some(bytes) => view(bytes),
                None => Err(Error::Changed { expected: end, found: payload.len() as u64 }),
            }
        };
        let values =
            borrow_payload(&inner.source, segment.record, inner.options.check_hashes, inner.watch(), part)?;
        values.ok_or_else(|| self.not_borrowable(NotBorrowable::NotMapped))
    }

    fn not_borrowable(&self, reason: NotBorrowable) -> Error {
        Error::NotBorrowable { latent: self.name(), reason }
    }

    /// Returns whether [`as_slice`](Self::as_slice) can borrow these values: they are raw, in one
    /// chunk, aligned to the element size, and in memory. Only a mapped file and bytes are in
    /// memory.
    pub fn is_borrowable(&self) -> bool {
        self.lies_in(&self.inner)
    }

    /// Returns the range of these values in the file, in bytes, if they are raw and in one chunk,
    /// and `None` otherwise. Other programs can then read them from there. For no values, the range
    /// is empty.
    ///
    /// The chunk's own header is checked, which reads 12 bytes. Its hash is not, even with
    /// [`check_hashes`](crate::ReadOptions::check_hashes).
    ///
    /// # Errors
    ///
    /// [`Error::Contradiction`] if the chunk's header does not match its record;
    /// [`Error::Changed`] if the file is shorter now; [`Error::Io`].
    pub fn raw_range(&self) -> Result<Option<Range<u64>>> {
        if self.is_empty() {
            return Ok(Some(0..0));
        }
        let mut segments = self.segments();
        match (segments.next(), segments.next()) {
            (Some(Segment { record, skip, len }), None) if !record.is_compressed() => {
                PayloadReader::open(&self.inner.source, record, false)?;
                let start = record.payload_offset() + skip;
                Ok(Some(start..start + len))
            }
            _ => Ok(None),
        }
    }

    /// Returns whether the values need no memory of their own, because
    /// [`borrow_from`](Self::borrow_from) returns them as a slice unless a chunk is damaged.
    pub(super) fn lies_in(&self, inner: &Inner) -> bool {
        let mut segments = self.segments_in(inner);
        match (segments.next(), segments.next()) {
            (None, _) => true,
            (Some(Segment { record, skip, len }), None) if !record.is_compressed() => {
                let start = record.payload_offset() + skip;
                let bytes = inner.source.borrow(start..start + len).ok().flatten();
                let is_aligned = |bytes: &[u8]| bytes.as_ptr().addr().is_multiple_of(self.dtype().size());
                bytes.is_some_and(|bytes| bytes.is_empty() || is_aligned(bytes))
            }
            _ => false,
        }
    }

    /// Returns the values, borrowed where [`as_slice`](Self::as_slice) can borrow them. Otherwise
    /// they are read and decompressed, parts in parallel.
    ///
    /// # Errors
    ///
    /// [`Error::Dtype`] if `T` is not the latent's dtype ([`read_as`](Self::read_as) converts);
    /// [`Error::Limit`] and [`Error::Memory`], before anything is allocated; and the errors of a
    /// damaged chunk.
    pub fn read<T: Element>(&self) -> Result<Cow<'_, [T]>> {
        self.read_from(&self.inner)
    }

    /// Returns the bytes of the values, in C order and little-endian, as [`read`](Self::read) does.
    /// Raw values in memory are borrowed, whatever their alignment.
    ///
    /// # Errors
    ///
    /// The same errors as [`read`](Self::read), except [`Error::Dtype`].
    pub fn read_bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self.borrow_with(&self.inner, Ok) {
            Ok(bytes) => Ok(Cow::Borrowed(bytes)),
            Err(Error::NotBorrowable { .. }) => {
                self.check_limit(self.payload_size())?;
                let mut bytes = allocate(self.payload_size(), &format!("latent {}", self.name()))?;
                self.fill(&mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the bytes of the values into `buffer`, as [`read_into`](Self::read_into) does. The
    /// length of `buffer` must equal [`payload_size`](Self::payload_size).
    ///
    /// # Errors
    ///
    /// The same errors as [`read_into`](Self::read_into), except [`Error::Dtype`].
    pub fn read_bytes_into(&self, buffer: &mut [u8]) -> Result<()> {
        self.expect_bytes(buffer)?;
        self.fill(buffer)
    }

    /// Returns the values, borrowed from `inner` where possible.
    pub(super) fn read_from<'a, T: Element>(&self, inner: &'a Inner) -> Result<Cow<'a, [T]>> {
        match self.borrow_from(inner) {
            Ok(values) => Ok(Cow::Borrowed(values)),
            Err(Error::NotBorrowable { .. }) => self.read_owned().map(Cow::Owned),
            Err(error) => Err(error),
        }
    }

    /// Reads the values into `buffer`, parts in parallel. The length of `buffer` must equal the
    /// number of elements.
    ///
    /// After an error, `buffer` holds some of the values.
    ///
    /// # Errors
    ///
    /// [`Error::Dtype`] if `T` is not the latent's dtype; [`Error::Argument`] if the buffer has a
    /// different length; and the errors of a damaged chunk.
    pub fn read_into<T: Element>(&self, buffer: &mut [T]) -> Result<()> {
        self.expect_buffer(buffer)?;
        self.fill(buffer.as_mut_bytes())
    }

    /// Returns an error if the buffer's length or dtype does not match these values.
    pub(super) fn expect_buffer<T: Element>(&self, buffer: &[T]) -> Result<()> {
        self.expect_dtype::<T>()?;
        if buffer.len() as u64 == self.len() {
            return Ok(());
        }
        Err(Error::argument(
            format!("buffer for latent {}", self.name()),
            format!("{} elements, for shape {:?}", self.len(), self.shape()),
            format!("{} elements", buffer.len()),
        ))
    }

    /// Returns an error if the buffer's length is not the size of these values.
    pub(super) fn expect_bytes(&self, buffer: &[u8]) -> Result<()> {
        if buffer.len() as u64 == self.payload_size() {
            return Ok(());
        }
        Err(Error::argument(
            format!("buffer for latent {}", self.name()),
            format!("{} bytes, for shape {:?} of {}", self.payload_size(), self.shape(), self.dtype()),
            format!("{} bytes", buffer.len()),
        ))
    }

    /// Hints to the operating system that these values will be read soon, so that it can load them
    /// in advance. The system may ignore the hint. For a file in memory, this does nothing.
    pub fn prefetch(&self) {
        for segment in self.segments() {
            let record = segment.record;
            let start = record.payload_offset() + segment.skip;
            self.inner.source.prefetch(if record.is_compressed() {
                record.offset()..record.end()
            } else {
                start..start + segment.len
            });
        }
    }

    /// Returns the values converted to `T`. The conversion to float32 is exact; conversions to
    /// other types round to nearest, ties to even.
    ///
    /// # Errors
    ///
    /// [`Error::Overflow`] if a finite value would become infinite; otherwise the same errors as
    /// [`read`](Self::read). [`Limits::latent_bytes`](crate::Limits::latent_bytes) applies to the
    /// sum of the returned values and the stored values, which count unless they can be borrowed.
    pub fn read_as<T: Element>(&self) -> Result<Vec<T>> {
        fn from<S: Element, T: Element>(latent: &Latent) -> Result<Vec<T>> {
            let stored = if latent.lies_in(&latent.inner) { 0 } else { latent.payload_size() };
            latent.check_limit(stored.saturating_add(latent.size_as(T::DTYPE)))?;
            let values = latent.read::<S>()?;
            let values = erase(&values);
            if let Some((index, value)) = values.first_overflow(T::DTYPE) {
                let latent = latent.name();
                return Err(Error::Overflow { latent, index: index as u64, value, dtype: T::DTYPE });
            }
            let mut converted = latent.allocate::<T>()?;
            convert(values, &mut converted);
            Ok(converted)
        }
        if T::DTYPE == self.dtype() {
            return self.read_owned();
        }
        match self.dtype() {
            Dtype::F16 => from::<half::f16, T>(self),
            Dtype::BF16 => from::<half::bf16, T>(self),
            Dtype::F32 => from::<f32, T>(self),
        }
    }

    /// Writes the bytes of the values to `out` block by block, in C order and little-endian. Memory
    /// use does not grow with the size of the latent.
    ///
    /// For a latent in compressed parts, one part per thread is decompressed in parallel, as long
    /// as they fit into 512 MiB and [`Limits::latent_bytes`](crate::Limits::latent_bytes).
    ///
    /// With [`check_hashes`](crate::ReadOptions::check_hashes), a wrong hash is reported only after
    /// the last byte, so discard the output if this returns an error.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] from `out`, the errors of a damaged chunk, and [`Error::Cancelled`].
    pub fn write_to(&self, out: &mut dyn Write) -> Result<()> {
        let mut write = |block: &[u8]| {
            self.inner.options.cancelled.check()?;
            out.write_all(block).map_err(|error| Error::io(format!("write latent {}", self.name()))(error))
        };
        let progress = &self.inner.options.progress;
        let segments: Vec<Segment<'_>> = self.segments().collect();
        let mut rest = segments.as_slice();
        let most = WRITE_GROUP.min(self.inner.options.limits.latent_bytes);
        let mut buffer = Vec::new();
        while let [first, ..] = rest {
            let (now, later) = rest.split_at(side_by_side(rest, most));
            rest = later;
            if now.len() > 1 {
                let size = now.iter().map(|segment| segment.len).sum::<u64>();
                if size > buffer.len() as u64 {
                    buffer = zeroed(size, size, &format!("parts of latent {}", self.name()))?;
                }
                let size = usize::try_from(size).unwrap_or(usize::MAX).min(buffer.len());
                let (parts, _) = buffer.split_at_mut(size);
                self.fill_segments(now, parts)?;
                write(parts)?;
                continue;
            }
            let check = self.inner.options.check_hashes;
            let mut payload = PayloadReader::open(&self.inner.source, first.record, check)?;
            payload.skip(first.skip)?;
            payload.blocks(first.len, |block| {
                progress.add(block.len() as u64);
                write(block)
            })?;
            payload.finish()?;
        }
        Ok(())
    }

    pub(super) fn expect_dtype<T: Element>(&self) -> Result<()> {
        match self.dtype() {
            stored if stored == T::DTYPE => Ok(()),
            stored => Err(Error::Dtype { latent: self.name(), stored, asked: T::DTYPE }),
        }
    }

    /// Returns the values as a new vector; `T` must be their dtype.
    fn read_owned<T: Element>(&self) -> Result<Vec<T>> {
        let mut values = self.allocate::<T>()?;
        self.fill(values.as_mut_bytes())?;
        Ok(values)
    }

    fn allocate<T: Element>(&self) -> Result<Vec<T>> {
        let bytes = self.size_as(T::DTYPE);
        self.check_limit(bytes)?;
        zeroed(self.len(), bytes, &format!("latent {}", self.name()))
    }

    /// Returns the size of the values in bytes if they had this dtype.
    fn size_as(&self, dtype: Dtype) -> u64 {
        dtype.size_of_array(self.shape()).unwrap_or(u64::MAX)
    }

    /// Returns an error if `found` bytes of memory, for these values and any before them, exceed
    /// the limit.
    pub(super) fn check_limit(&self, found: u64) -> Result<()> {
        let limit = self.inner.options.limits.latent_bytes;
        match self.segments().next() {
            Some(segment) if found > limit => {
                Err(Error::limit(segment.record.place(), "latent_bytes", "bytes", limit, found))
            }
            _ => Ok(()),
        }
    }

    /// Reads these bytes into `buffer`, which has the same length.
    pub(super) fn fill(&self, buffer: &mut [u8]) -> Result<()> {
        self.fill_segments(&self.segments().collect::<Vec<_>>(), buffer)
    }

    /// Reads these bytes in parallel into `buffer`, which has the same length.
    fn fill_segments(&self, segments: &[Segment<'_>], buffer: &mut [u8]) -> Result<()> {
        let mut jobs = Vec::with_capacity(segments.len());
        let mut rest = buffer;
        for segment in segments {
            let len = usize::try_from(segment.len).unwrap_or(usize::MAX).min(rest.len());
            let (place, behind) = rest.split_at_mut(len);
            jobs.push((segment, place));
            rest = behind;
        }
        match jobs.len() {
            0 | 1 => jobs.into_iter().try_for_each(|(segment, place)| self.fill_segment(segment, place)),
            _ => jobs.into_par_iter().try_for_each(|(segment, place)| self.fill_segment(segment, place)),
        }
    }

    fn fill_segment(&self, segment: &Segment<'_>, buffer: &mut [u8]) -> Result<()> {
        let source = &self.inner.source;
        let check = self.inner.options.check_hashes;
        let cancelled = &self.inner.options.cancelled;
        cancelled.check()?;
        let progress = &self.inner.options.progress;
        if segment.record.is_compressed() && segment.len == segment.record.payload_size() {
            return read_payload_into(source, segment.record, check, self.inner.watch(), buffer);
        }
        let mut payload = PayloadReader::open(source, segment.record, check)?;
        if segment.record.is_compressed() || check || buffer.len() <= READ_TASK {
            payload.skip(segment.skip)?;
            for block in buffer.chunks_mut(READ_TASK) {
                cancelled.check()?;
                payload.read_exact(block)?;
                progress.add(block.len() as u64);
            }
            return payload.finish();
        }
        // The header was right, and no hash needs the bytes in order, so tasks can read them in
        // parallel.
        let start = segment.record.payload_offset() + segment.skip;
        buffer.par_chunks_mut(READ_TASK).enumerate().try_for_each(|(task, block)| {
            cancelled.check()?;
            source.read_exact_at(block, start + (task * READ_TASK) as u64)?;
            progress.add(block.len() as u64);
            Ok(())
        })
    }
}

/// Returns how many of the first segments are decompressed together, in at most `most` bytes,
/// before they are written.
fn side_by_side(segments: &[Segment<'_>], most: u64) -> usize {
    let mut total = 0_u64;
    let fits = |segment: &&Segment<'_>| {
        total = total.saturating_add(segment.len);
        segment.record.is_compressed() && total <= most
    };
    segments.iter().take(rayon::current_num_threads()).take_while(fits).count().max(1)
}
