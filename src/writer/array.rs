//! The input of a writer: named arrays, and the chunks they become.

use std::ops::Range;

use super::entry::Entry;
use super::options::{Compression, Storage, WriteOptions};
use crate::element::{Dtype, Element, Values, element_count, erase};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::manifest::{ChunkRecord, Extra, LatentRecord, Part, row_axis};
use crate::wire::{ChunkType, Version};

/// A named array to write, borrowed from the caller.
///
/// ```
/// let noise = vec![0.5_f32; 4 * 8 * 8];
/// let array = gen5::Array::new("noise", &[4, 8, 8], &noise);
/// ```
#[derive(Clone, Debug)]
pub struct Array<'a> {
    pub(super) entry: Entry,
    pub(super) shape: Vec<usize>,
    pub(super) values: Values<'a>,
}

impl<'a> Array<'a> {
    /// Creates an array from a key or entry, a shape, and values in C order, outermost axis first.
    /// An empty shape means a scalar.
    pub fn new<T: Element>(entry: impl Into<Entry>, shape: &[usize], values: &'a [T]) -> Self {
        Self { entry: entry.into(), shape: shape.to_vec(), values: erase(values) }
    }

    /// Creates an array of a dtype that is known only at run time, from the bytes of its values in
    /// C order and little-endian. They need not be aligned.
    ///
    /// ```
    /// use gen5::{Array, Dtype};
    ///
    /// let array = Array::from_bytes("noise", Dtype::F16, &[2], &[0x00, 0x3c, 0x00, 0xc0])?; // 1 and -2
    /// # Ok::<(), gen5::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the bytes are not a whole number of values.
    pub fn from_bytes(
        entry: impl Into<Entry>,
        dtype: Dtype,
        shape: &[usize],
        bytes: &'a [u8],
    ) -> Result<Self> {
        let entry = entry.into();
        match Values::from_bytes(dtype, bytes) {
            Some(values) => Ok(Self { entry, shape: shape.to_vec(), values }),
            None => Err(Error::argument(
                format!("values of latent {}", entry.name()),
                format!("a multiple of {} bytes, for {dtype}", dtype.size()),
                format!("{} bytes", bytes.len()),
            )),
        }
    }

    /// Sets the members of the record's `extra`, except those that the format defines.
    pub fn extra(mut self, extra: Extra) -> Self {
        self.entry = self.entry.extra(extra);
        self
    }
}

/// A latent's description and how it will be stored.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) entry: Entry,
    pub(super) shape: Vec<usize>,
    /// The stored dtype, which can differ from the given one.
    pub(super) dtype: Dtype,
    pub(super) storage: Storage,
    /// Where the latent is cut, or `None` if it stays whole.
    cuts: Option<Cuts>,
}

/// The axis along which a latent is cut, and the sizes of the parts.
#[derive(Clone, Copy, Debug)]
struct Cuts {
    axis: usize,
    /// Slices along the axis.
    slices: usize,
    /// Slices in each part except the last.
    per_part: usize,
    /// Elements per slice.
    slice_len: usize,
}

/// The most bytes that a compressed chunk can hold. Only its header records its size, in 32 bits.
const LARGEST_COMPRESSED: u64 = u32::MAX as u64;

impl Plan {
    /// Decides how an array of dtype `given` is stored, and rejects arrays that the format cannot
    /// express.
    pub(super) fn new(
        entry: Entry,
        shape: Vec<usize>,
        given: Dtype,
        options: &WriteOptions,
        storage: Storage,
    ) -> Result<Self> {
        entry.check()?;
        let limits = Limits::default();
        if shape.len() as u64 > limits.rank {
            let what = format!("shape of latent {}", entry.name());
            let expected = format!("at most {} axes, the default limit of readers", limits.rank);
            return Err(Error::argument(what, expected, shape.len().to_string()));
        }
        let dtype = entry.stored_dtype(given, options);
        if options.max_version < Version::V1_1 && dtype.needs_1_1(storage == Storage::Shuffled) {
            let what = format!("latent {} of a file of version 1.0", entry.name());
            let found = if dtype.needs_1_1(false) { dtype.name() } else { "a byte shuffle" };
            return Err(Error::argument(what, "float16 or float32, and no byte shuffle", found));
        }
        let size = dtype.size_of_array(&shape).filter(|size| usize::try_from(*size).is_ok());
        let Some(size) = size else {
            let what = format!("shape of latent {}", entry.name());
            let expected = "a shape whose size memory can address";
            return Err(Error::argument(what, expected, format!("{shape:?}")));
        };
        let compression = entry.compression_or(options);
        let can_be_cut = entry.can_be_cut();
        let mut plan = Self { entry, shape, dtype, storage, cuts: None };
        if storage != Storage::Raw {
            plan.cuts = options
                .part_size
                .filter(|part_size| can_be_cut && size > *part_size)
                .and_then(|part_size| Cuts::new(&plan.shape, dtype, part_size))
                // Every part repeats the record's other members, and a table of this size is
                // rejected anyway.
                .filter(|cuts| {
                    plan.entry.text_size().saturating_mul(cuts.count() as u64) <= limits.table_bytes
                });
            let largest = plan.cuts.map_or(size, |cuts| cuts.part_len() as u64 * dtype.size() as u64);
            let is_too_much = largest > LARGEST_COMPRESSED || plan.chunk_count() as u64 > limits.chunks;
            if is_too_much && compression == Compression::Auto {
                plan.make_raw();
            } else if largest > LARGEST_COMPRESSED {
                let what = format!("latent {}", plan.entry.name());
                let problem = format!(
                    "one of its chunks has {largest} bytes, but a compressed chunk holds at most \
                     {LARGEST_COMPRESSED}; cut it into parts, or store it raw"
                );
                return Err(Error::TooLarge { what, problem });
            }
        }
        if plan.chunk_count() as u64 > limits.chunks {
            let what = format!("part size for latent {}", plan.entry.name());
            let expected = format!("at most {} parts, the default limit of readers", limits.chunks);
            return Err(Error::argument(what, expected, plan.chunk_count().to_string()));
        }
        Ok(plan)
    }

    /// Changes the storage to raw and whole.
    pub(super) fn make_raw(&mut self) {
        self.storage = Storage::Raw;
        self.cuts = None;
    }

    /// Returns the number of elements.
    pub(super) fn len(&self) -> usize {
        element_count(&self.shape).and_then(|len| usize::try_from(len).ok()).unwrap_or(usize::MAX)
    }

    /// Returns the size of the stored values in bytes, which memory can address.
    pub(super) fn payload_size(&self) -> u64 {
        self.len() as u64 * self.dtype.size() as u64
    }

    /// Returns the number of chunks.
    pub(super) fn chunk_count(&self) -> usize {
        self.cuts.map_or(1, Cuts::count)
    }

    /// Returns the range of elements in the chunk at `index`.
    pub(super) fn elements_of(&self, index: usize) -> Range<usize> {
        match self.cuts {
            Some(cuts) => {
                let Range { start, end } = cuts.slices_of(index);
                start * cuts.slice_len..end * cuts.slice_len
            }
            None => 0..self.len(),
        }
    }

    /// Returns the keys of the parts, if the latent is cut.
    pub(super) fn part_keys(&self) -> impl Iterator<Item = String> {
        self.cuts
            .into_iter()
            .flat_map(move |cuts| (0..cuts.count()).map(move |index| self.part_key(&cuts.slices_of(index))))
    }

    fn part_key(&self, slices: &Range<usize>) -> String {
        let key = self.entry.key().unwrap_or_default(); // only latents with a key are cut
        format!("{key}[{}:{}]", slices.start, slices.end)
    }

    /// Returns the record of the chunk at `index`, which has no place and no hash yet.
    pub(super) fn record(&self, index: usize) -> ChunkRecord {
        let mut record = self.record_of(self.shape.clone(), index, self.elements_of(index).len());
        record.extra = self.entry.extra.clone();
        record.unknown = self.entry.unknown.clone();
        record
    }

    /// Returns the records of all chunks, with their ranges of elements. The shape and the members
    /// of a latent that stays whole move into its record, since they can be large.
    pub(super) fn take_records(&mut self) -> Vec<(Range<usize>, ChunkRecord)> {
        if self.cuts.is_some() {
            return (0..self.chunk_count())
                .map(|index| (self.elements_of(index), self.record(index)))
                .collect();
        }
        let elements = self.elements_of(0);
        let shape = std::mem::take(&mut self.shape);
        let mut record = self.record_of(shape, 0, elements.len());
        record.extra = std::mem::take(&mut self.entry.extra);
        record.unknown = std::mem::take(&mut self.entry.unknown);
        vec![(elements, record)]
    }

    /// Returns the record of the chunk at `index` of a latent of this shape, with `len` elements
    /// and without other members.
    fn record_of(&self, mut shape: Vec<usize>, index: usize, len: usize) -> ChunkRecord {
        let shuffled = self.storage == Storage::Shuffled;
        let mut record = ChunkRecord::new(ChunkType::LATENT, self.dtype.flags(shuffled));
        record.payload_size = len as u64 * self.dtype.size() as u64;
        record.compressed = self.storage != Storage::Raw;
        let mut key = self.entry.key.clone();
        let part = self.cuts.map(|cuts| {
            let slices = cuts.slices_of(index);
            let whole = shape.clone();
            if let Some(axis) = shape.get_mut(cuts.axis) {
                *axis = slices.len();
            }
            Box::new(Part {
                of: key.replace(self.part_key(&slices)).unwrap_or_default(),
                index,
                count: cuts.count(),
                axis: cuts.axis,
                start: slices.start,
                shape: whole,
            })
        });
        record.latent = Some(LatentRecord { key, dtype: self.dtype, shuffled, shape, part });
        record
    }
}

impl Cuts {
    /// Returns the number of parts.
    fn count(self) -> usize {
        self.slices.div_ceil(self.per_part)
    }

    /// Returns the range of slices in the part at `index`.
    fn slices_of(self, index: usize) -> Range<usize> {
        let start = index * self.per_part;
        start..(start + self.per_part).min(self.slices)
    }

    /// Returns the number of elements in a part other than the last.
    fn part_len(self) -> usize {
        self.per_part * self.slice_len
    }

    /// Cuts an array of more than `part_size` bytes into parts of about that size, as even as whole
    /// slices allow.
    fn new(shape: &[usize], dtype: Dtype, part_size: u64) -> Option<Self> {
        let axis = row_axis(shape)?;
        let slices = shape.get(axis).copied().filter(|&slices| slices > 1)?;
        // The size of the whole was checked, so the sizes of its slices and parts fit.
        let slice_len = usize::try_from(element_count(shape)?).ok()? / slices;
        let slice_size = slice_len as u64 * dtype.size() as u64;
        let most = usize::try_from(part_size / slice_size.max(1)).unwrap_or(usize::MAX).clamp(1, slices);
        let per_part = slices.div_ceil(slices.div_ceil(most));
        (per_part < slices).then_some(Self { axis, slices, per_part, slice_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(shape: &[usize], part_size: u64) -> Result<Plan> {
        let options = WriteOptions::new().compression(Compression::Zstd).part_size(Some(part_size));
        Plan::new("k".into(), shape.to_vec(), Dtype::F32, &options, Storage::Zstd)
    }

    #[test]
    fn parts_cover_the_whole_in_order() {
        for (shape, part_size, counts) in [
            (vec![10, 3], 24, vec![2, 2, 2, 2, 2]),
            (vec![10, 3], 36, vec![3, 3, 3, 1]),
            (vec![1, 4, 2], 8, vec![1, 1, 1, 1]),
            (vec![1, 1, 5], 12, vec![3, 2]),
            (vec![1, 8, 21_250_000], 64 << 20, vec![1; 8]), // slices of 85 MB
            (vec![5, 100], 1, vec![1, 1, 1, 1, 1]),
            (vec![2, 2], 1000, vec![2]),
            (vec![1, 1, 1], 1, vec![1]),
            (vec![0, 1000], 1, vec![0]),
            (vec![], 1, vec![1]),
        ] {
            let plan = plan(&shape, part_size).unwrap();
            assert_eq!(plan.chunk_count(), counts.len(), "{shape:?}");
            let mut next = 0;
            let mut part_keys = plan.part_keys();
            for (index, count) in counts.iter().enumerate() {
                let record = plan.record(index);
                let elements = plan.elements_of(index);
                assert_eq!(elements.start, next, "{shape:?}");
                next = elements.end;
                assert_eq!(record.payload_size(), elements.len() as u64 * 4);
                assert_eq!(record.part().is_some(), counts.len() > 1, "{shape:?}");
                if let Some(part) = record.part() {
                    assert_eq!((part.index, part.count), (index, counts.len()));
                    assert_eq!(record.shape().unwrap()[part.axis], *count, "{shape:?}");
                    assert_eq!(record.key(), Some(&*format!("k[{}:{}]", part.start, part.start + count)));
                    assert_eq!(record.key(), part_keys.next().as_deref());
                }
            }
            assert_eq!(part_keys.next(), None);
            assert_eq!(next, plan.len(), "{shape:?}");
        }
    }

    /// Cutting must not multiply megabytes of text from a file.
    #[test]
    fn what_says_much_is_not_cut() {
        let options = WriteOptions::new().compression(Compression::Zstd).part_size(Some(4096));
        let parts = |key: String| {
            let plan = Plan::new(key.into(), vec![128, 1024], Dtype::F32, &options, Storage::Zstd);
            plan.unwrap().chunk_count()
        };
        assert_eq!((parts("k".repeat(400_000)), parts("k".repeat(600_000))), (128, 1));
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn what_a_compressed_chunk_cannot_hold_is_refused_or_stays_raw() {
        let slice = plan(&[2, 1 << 30], 1 << 20);
        assert!(matches!(slice, Err(Error::TooLarge { .. })), "{slice:?}");
        let part = plan(&[4, 1 << 29], 4 << 30);
        assert!(matches!(part, Err(Error::TooLarge { .. })), "{part:?}");
        assert!(plan(&[1 << 20, 1 << 12], 64 << 20).is_ok());
        let auto = |shape: &[usize], storage| {
            let options = WriteOptions::new();
            Plan::new("k".into(), shape.to_vec(), Dtype::F32, &options, storage)
        };
        let largest = auto(&[1, (1 << 30) - 1], Storage::Zstd).unwrap();
        assert_eq!((largest.storage, largest.chunk_count()), (Storage::Zstd, 64));
        let slices = auto(&[2, 1 << 30], Storage::Zstd).unwrap();
        assert_eq!((slices.storage, slices.chunk_count()), (Storage::Raw, 1));
        let notes = [Storage::Zstd, Storage::Raw].map(|wanted| super::super::note_if_raw(&slices, wanted));
        assert!(
            notes[0].as_ref().is_some_and(|note| note.contains("\"k\" is compressible"))
                && notes[1].is_none()
        );
        assert!(auto(&[1 << 32], Storage::Raw).is_ok());
        let overflow = auto(&[usize::MAX, 3], Storage::Raw);
        assert!(matches!(overflow, Err(Error::Argument { .. })), "{overflow:?}");
    }
}
