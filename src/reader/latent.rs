//! A latent, or rows of one: its description and the location of its bytes. Its values are in
//! `values`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Inner;
use crate::element::{Dtype, element_count};
use crate::error::{Error, Result};
use crate::excerpt::quote;
use crate::manifest::{ChunkRecord, Extra, LatentEntry, row_axis};

/// A latent of a file, or rows of one.
///
/// It keeps the file open, can outlive the [`Reader`](crate::Reader) it came from, and can move to
/// another thread.
///
/// ```
/// # use gen5::{Metadata, Reader, WriteOptions};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("batch.gen5");
/// # let mut writer = WriteOptions::new().create(&path)?;
/// # writer.latent("noise", &[4, 2], &[0.0_f32, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])?;
/// # writer.finish(&Metadata::builder("Stable Diffusion 3", "3.0").build()?)?;
/// # let reader = Reader::open(&path)?;
/// let noise = reader.latent("noise")?;
/// assert_eq!(noise.shape(), [4, 2]);
///
/// let rows = noise.rows(1..3)?;
/// assert_eq!(rows.shape(), [2, 2]);
/// assert_eq!(*rows.read::<f32>()?, [1.0, 1.5, 2.0, 2.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Latent {
    pub(super) inner: Arc<Inner>,
    /// Position among the file's latents.
    index: usize,
    /// The shape of these rows, or `None` for the whole latent, whose record has the shape.
    shape_of_rows: Option<Box<[usize]>>,
    /// The range of these bytes within the whole latent.
    bytes: Range<u64>,
}

/// The bytes of one chunk's payload that rows consist of.
pub(super) struct Segment<'a> {
    pub(super) record: &'a ChunkRecord,
    pub(super) skip: u64,
    pub(super) len: u64,
}

impl Latent {
    pub(super) fn whole(inner: &Arc<Inner>, index: usize) -> Self {
        let records = inner.records();
        let size = |entry: &LatentEntry| entry.dtype(records).size_of_array(entry.shape(records));
        // The record check proved that the product does not overflow.
        let size = inner.layout.latents.get(index).and_then(size).unwrap_or(0);
        Self { inner: Arc::clone(inner), index, shape_of_rows: None, bytes: 0..size }
    }

    /// Returns the same latent or rows with a function that cancels reads, as
    /// [`Reader::with_cancel`](crate::Reader::with_cancel) does for a reader.
    pub fn with_cancel(&self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let options = self.inner.options.clone().cancel_when(cancelled);
        Self { inner: self.inner.with_options(options), ..self.clone() }
    }

    /// Returns the same latent or rows with a function that reads call, as
    /// [`Reader::with_progress`](crate::Reader::with_progress) does for a reader.
    pub fn with_progress(&self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        let options = self.inner.options.clone().progress(progress);
        Self { inner: self.inner.with_options(options), ..self.clone() }
    }

    fn entry(&self) -> Option<&LatentEntry> {
        self.inner.layout.latents.get(self.index)
    }

    /// Returns the latent's key, or `None` if its record has none or one that is not a string.
    pub fn key(&self) -> Option<&str> {
        self.inner.key(self.index)
    }

    /// Returns whether other latents of the file have the same key.
    pub(crate) fn shares_key(&self) -> bool {
        self.key().is_some_and(|key| self.inner.names_of(key).len() > 1)
    }

    /// Returns the latent's position among the latents of the file, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.entry().map_or(Dtype::F32, |entry| entry.dtype(self.inner.records()))
    }

    /// Returns the shape, outermost axis first. Values are in C order, and an empty shape means a
    /// scalar.
    pub fn shape(&self) -> &[usize] {
        match &self.shape_of_rows {
            Some(shape) => shape,
            None => self.entry().map_or(&[], |entry| entry.shape(self.inner.records())),
        }
    }

    /// Returns the number of elements.
    pub fn len(&self) -> u64 {
        element_count(self.shape()).unwrap_or(0)
    }

    /// Returns whether the latent has no elements, which means that an axis is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the size of the values in bytes.
    pub fn payload_size(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    /// Returns the records of the chunks that store the latent, in the order of its values. There
    /// is one record, unless the latent is stored in parts. For rows, these are the chunks that the
    /// rows overlap.
    pub fn chunks(&self) -> impl Iterator<Item = &ChunkRecord> {
        self.segments().map(|segment| segment.record)
    }

    /// Returns the members of `extra` in the record of the first chunk that the format does not
    /// define.
    pub fn extra(&self) -> Option<&Extra> {
        self.first_chunk().map(ChunkRecord::extra)
    }

    /// Returns the record of the whole latent's first chunk, even if `self` is rows.
    pub(crate) fn first_chunk(&self) -> Option<&ChunkRecord> {
        let first = self.entry()?.chunks().first()?;
        self.inner.records().get(*first)
    }

    /// Returns the axis along which rows are counted and parts are cut, or `None` for a scalar.
    ///
    /// It is the first axis of the whole latent that is longer than 1, or the last axis if there is
    /// none. For example, shape `[64, 4, 8, 8]` has 64 rows, and shape `[1, 4, 8, 8]` has 4.
    pub fn row_axis(&self) -> Option<usize> {
        self.entry().and_then(|entry| row_axis(entry.shape(self.inner.records())))
    }

    /// Returns rows of this latent: contiguous slices along its [`row_axis`](Self::row_axis). This
    /// reads nothing yet.
    ///
    /// Rows of rows are counted along the same axis, starting at the first of these rows.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the range ends past the end of the axis or before its own start, or
    /// if the latent is a scalar.
    pub fn rows(&self, range: Range<usize>) -> Result<Self> {
        let axis = self.row_axis();
        let length = axis.and_then(|axis| self.shape().get(axis)).copied();
        let (Some(axis), Some(length)) = (axis, length) else {
            return Err(Error::argument(
                format!("rows of latent {}", self.name()),
                "at least one axis",
                "a scalar",
            ));
        };
        if range.start > range.end || range.end > length {
            return Err(Error::argument(
                format!("rows of latent {} along axis {axis}", self.name()),
                format!("a range within 0..{length}"),
                format!("{range:?}"),
            ));
        }
        let row = if length == 0 { 0 } else { self.payload_size() / length as u64 };
        let mut shape: Box<[usize]> = self.shape().into();
        if let Some(len) = shape.get_mut(axis) {
            *len = range.len();
        }
        let start = self.bytes.start;
        let bytes = start + row * range.start as u64..start + row * range.end as u64;
        Ok(Self { inner: Arc::clone(&self.inner), index: self.index, shape_of_rows: Some(shape), bytes })
    }

    /// Returns the latent's name for error messages.
    pub(super) fn name(&self) -> String {
        match self.key() {
            Some(key) => quote(key),
            None => format!("number {}", self.index),
        }
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.segments_in(&self.inner)
    }

    /// Returns the pieces of payloads that hold these bytes, in order. Empty rows have none, but an
    /// empty latent has its one chunk, so that damage to that chunk is still found.
    pub(super) fn segments_in<'a>(&self, inner: &'a Inner) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let rows = self.bytes.clone();
        let chunks = inner.layout.latents.get(self.index).map_or(&[][..], LatentEntry::chunks);
        let record = |&index: &usize| inner.records().get(index);
        // Returns the range of a chunk's values within the whole latent. The slices of all parts
        // have the same size.
        let span = |record: &ChunkRecord| {
            let start = record.part().map_or(0, |part| {
                let slices = record.shape().and_then(|shape| shape.get(part.axis)).copied().unwrap_or(1);
                record.payload_size() / slices.max(1) as u64 * part.start as u64
            });
            start..start + record.payload_size()
        };
        let first = chunks.partition_point(|index| {
            record(index).map(span).is_some_and(|span| span.end <= rows.start && !span.is_empty())
        });
        let last = rows.end;
        chunks
            .iter()
            .skip(first)
            .filter_map(record)
            .map(move |record| (record, span(record)))
            .take_while(move |(_, span)| span.start < last || span.is_empty())
            .filter_map(move |(record, span)| {
                let touched = rows.start.max(span.start)..rows.end.min(span.end);
                let is_touched = touched.start < touched.end || span.is_empty();
                is_touched.then(|| Segment {
                    record,
                    skip: touched.start - span.start,
                    len: touched.end.saturating_sub(touched.start),
                })
            })
    }
}

impl fmt::Debug for Latent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latent")
            .field("key", &self.key())
            .field("dtype", &self.dtype())
            .field("shape", &self.shape())
            .finish_non_exhaustive()
    }
}
