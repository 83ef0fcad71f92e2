//! A latent, or rows of one: what it is, and where its bytes are. Its values are in `values`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Inner;
use crate::element::{Dtype, element_count};
use crate::error::{Error, Result};
use crate::manifest::{ChunkRecord, Extra, LatentEntry, row_axis};
use crate::shorten::quote;

/// A latent of a file, or rows of one.
///
/// It keeps the file open, may outlive the [`Reader`](crate::Reader) that gave it, and can go to another thread.
#[derive(Clone)]
pub struct Latent {
    pub(super) inner: Arc<Inner>,
    /// Position among the file's latents.
    index: usize,
    /// The shape of these rows; `None` for the whole, whose shape is in its record.
    shape_of_rows: Option<Box<[usize]>>,
    /// Where their bytes are among those of the whole.
    bytes: Range<u64>,
}

/// The bytes of one chunk's payload that rows are made of.
pub(super) struct Segment<'a> {
    pub(super) record: &'a ChunkRecord,
    pub(super) skip: u64,
    pub(super) len: u64,
}

impl Latent {
    pub(super) fn whole(inner: &Arc<Inner>, index: usize) -> Self {
        let records = inner.records();
        let size = |entry: &LatentEntry| entry.dtype(records).size_of_array(entry.shape(records));
        // The product was found to be in range when the records were checked.
        let size = inner.layout.latents.get(index).and_then(size).unwrap_or(0);
        Self { inner: Arc::clone(inner), index, shape_of_rows: None, bytes: 0..size }
    }

    fn entry(&self) -> Option<&LatentEntry> {
        self.inner.layout.latents.get(self.index)
    }

    /// The key it is found by; `None` if its record has none, or one that is not a string.
    pub fn key(&self) -> Option<&str> {
        self.inner.key(self.index)
    }

    /// Whether others of the file have its key, too.
    pub(crate) fn shares_key(&self) -> bool {
        self.key().is_some_and(|key| self.inner.names_of(key).len() > 1)
    }

    /// Its position among the latents of the file, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.entry().map_or(Dtype::F32, |entry| entry.dtype(self.inner.records()))
    }

    /// Its shape, outermost axis first; values lie in C order. No axes means a scalar.
    pub fn shape(&self) -> &[usize] {
        match &self.shape_of_rows {
            Some(shape) => shape,
            None => self.entry().map_or(&[], |entry| entry.shape(self.inner.records())),
        }
    }

    /// How many elements it has.
    pub fn len(&self) -> u64 {
        element_count(self.shape()).unwrap_or(0)
    }

    /// Whether it has no elements: an axis of 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of its values.
    pub fn payload_size(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    /// The records of the chunks that it is stored in, in the order of its values: one, unless it is stored in parts.
    /// Rows have those of the chunks they touch.
    pub fn chunks(&self) -> impl Iterator<Item = &ChunkRecord> {
        self.segments().map(|segment| segment.record)
    }

    /// Members of `extra` that the format does not know, of its first chunk.
    pub fn extra(&self) -> Option<&Extra> {
        self.first_chunk().map(ChunkRecord::extra)
    }

    /// The record of its first chunk, of whichever rows this is.
    pub(crate) fn first_chunk(&self) -> Option<&ChunkRecord> {
        let first = self.entry()?.chunks().first()?;
        self.inner.records().get(*first)
    }

    /// Whether a mapped file gives these values as a slice: they are raw, in one chunk, and start at a multiple of the
    /// size of an element.
    pub fn is_borrowable(&self) -> bool {
        let mut segments = self.segments();
        match (segments.next(), segments.next()) {
            (None, _) => true,
            // Rows start a whole number of elements behind the payload's start.
            (Some(segment), None) => segment.record.is_borrowable(),
            _ => false,
        }
    }

    /// The axis along which rows are counted and parts are cut: the first axis of the whole latent that is longer than 1,
    /// the last if none is; `None` for a scalar. So the rows of shape `[64, 4, 8, 8]` are 64, those of `[1, 4, 8, 8]` are 4.
    pub fn row_axis(&self) -> Option<usize> {
        self.entry().and_then(|entry| row_axis(entry.shape(self.inner.records())))
    }

    /// Rows of this latent: slices along its [`row_axis`](Self::row_axis), which are contiguous. Nothing is read yet.
    ///
    /// Rows of rows count along the same axis, from the first of these.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the range ends behind the axis, or before it starts, or if the latent is a scalar.
    pub fn rows(&self, range: Range<usize>) -> Result<Self> {
        let axis = self.row_axis();
        let length = axis.and_then(|axis| self.shape().get(axis)).copied();
        let (Some(axis), Some(length)) = (axis, length) else {
            let (expected, found) = ("at least one axis".into(), "a scalar".into());
            return Err(Error::Argument { what: format!("rows of latent {}", self.name()), expected, found });
        };
        if range.start > range.end || range.end > length {
            return Err(Error::Argument {
                what: format!("rows of latent {} along axis {axis}", self.name()),
                expected: format!("a range within 0..{length}"),
                found: format!("{range:?}"),
            });
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

    /// How errors call it.
    pub(super) fn name(&self) -> String {
        match self.key() {
            Some(key) => quote(key),
            None => format!("number {}", self.index),
        }
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.segments_in(&self.inner)
    }

    /// The pieces of payloads that hold these bytes, in their order. Rows of no bytes have none, but an empty latent has
    /// its chunk, so that damage to it is not passed over.
    pub(super) fn segments_in<'a>(&self, inner: &'a Inner) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let rows = self.bytes.clone();
        let chunks = inner.layout.latents.get(self.index).map_or(&[][..], LatentEntry::chunks);
        let record = |&index: &usize| inner.records().get(index);
        // Where the values of a chunk are among those of the whole. The slices of all parts are of one size.
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
