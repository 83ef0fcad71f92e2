//! Writing GEN5 files: chunks are written as they arrive, then the table and the header. Only then
//! does the file get its name.

mod array;
mod auto;
mod buffers;
mod byte_stream;
mod encode;
mod end;
mod entry;
mod input;
#[cfg(feature = "image")]
mod jpeg;
mod latent_stream;
mod options;
mod pipeline;
mod raw;
mod session;
mod single;
mod sink;
mod stream;
mod verbatim;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use gen5_publish::Draft;
use rayon::prelude::*;

pub use array::Array;
pub use byte_stream::ByteStream;
pub use entry::Entry;
pub use latent_stream::LatentStream;
pub use options::{Compression, NonFinite, WriteOptions};
pub(crate) use single::Single;
pub(crate) use verbatim::ChunkSource;

use self::array::Plan;
use self::encode::Job;
use self::end::End;
use self::input::{Input, Payload};
use self::options::Storage;
use self::pipeline::{flush_waiting, write_jobs};
use self::session::Session;
use self::single::check_image;
use self::sink::Sink;
use self::stream::Stream;
use crate::element::{Dtype, Element, Values};
use crate::error::{Error, Result};
use crate::manifest::{ChunkRecord, FileMembers, Metadata, Outline, records_json};
use crate::snapshot::Environment;
use crate::wire::{ChunkType, Version};

/// A file that is being written.
///
/// Latents, streams, the image and the environment can come in any order; [`finish`](Self::finish)
/// completes the file. A writer that is dropped before that leaves nothing at its path.
/// [`copy_chunk`](Self::copy_chunk) and [`finish_like`](Self::finish_like) copy chunks and metadata
/// from other files, and [`rewrite`](Self::rewrite) copies all chunks.
///
/// Values are hashed, compressed and written in the caller's rayon pool. The same calls with the
/// same values and the same date produce the same bytes, whatever the number of threads.
///
/// ```
/// use gen5::{Metadata, Writer};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("batch.gen5");
/// let mut writer = Writer::create(&path)?;
/// writer.latent("noise", &[2, 2], &[0.0_f32, 0.5, 1.0, 1.5])?;
///
/// let metadata = Metadata::builder("Stable Diffusion 3", "3.0").prompt("a lighthouse").build()?;
/// let summary = writer.finish(&metadata)?;
/// assert_eq!(summary.latents[0].shape, [2, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "without `finish`, no file is made"]
pub struct Writer<'w> {
    session: Arc<Session<'w>>,
    pub(crate) draft: Option<Draft>,
}

/// A description of the written file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Version of the format: the lowest that can express the file. A rewritten file of just under
    /// 4 GiB may need a higher one than before.
    pub version: Version,
    /// Length of the file in bytes.
    pub file_size: u64,
    /// Number of chunks.
    pub chunks: usize,
    /// The latents, in file order.
    pub latents: Vec<LatentSummary>,
    /// Notes for the caller, for example that the image could not be checked.
    pub notes: Vec<String>,
}

/// A description of a written latent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LatentSummary {
    /// The key, or `None` if it has none. Only latents copied from another file can lack a key.
    pub key: Option<String>,
    /// The dtype in the file.
    pub dtype: Dtype,
    /// The shape.
    pub shape: Vec<usize>,
    /// Size of the values in bytes.
    pub payload_size: u64,
    /// Size in the file in bytes.
    pub stored_size: u64,
    /// Whether it is compressed, as requested or as [`Compression::Auto`] chose.
    pub compressed: bool,
    /// Whether its bytes were shuffled before compression.
    pub shuffled: bool,
    /// Number of parts in which it is stored, or 1 if it is whole.
    pub parts: usize,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("options", &self.session.options).finish_non_exhaustive()
    }
}

impl Writer<'static> {
    /// Starts a file at `path` with the default [`WriteOptions`].
    ///
    /// It is written under a temporary name in the same folder. When it is finished, it replaces
    /// any file that is at the path by then.
    ///
    /// # Errors
    ///
    /// The same errors as [`WriteOptions::create`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        WriteOptions::new().create(path)
    }
}

impl<'w> Writer<'w> {
    fn start(options: WriteOptions, sink: Box<dyn Sink + 'w>, draft: Option<Draft>) -> Result<Self> {
        let path = draft.as_ref().map(|draft| draft.target().to_owned());
        Ok(Self { session: Arc::new(Session::start(sink, path, options)?), draft })
    }

    /// Writes a latent with this key or [`Entry`].
    ///
    /// # Errors
    ///
    /// The same errors as [`latents`](Self::latents).
    pub fn latent<T: Element>(
        &mut self,
        entry: impl Into<Entry>,
        shape: &[usize],
        values: &[T],
    ) -> Result<()> {
        self.latents([Array::new(entry, shape, values)])
    }

    /// Writes latents, which are hashed and compressed in parallel. After an error, none of them is
    /// in the file.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateKey`]; [`Error::Argument`] if the values do not match the shape in number,
    /// or `extra` has a member that the format defines; [`Error::NonFinite`] and
    /// [`Error::Overflow`] with the first such value; [`Error::TooLarge`] for a slice of 4 GiB or
    /// more that would be compressed; [`Error::Memory`]. After these errors the writer is still
    /// usable. After [`Error::Io`] it is not, and further calls return [`Error::WriterFailed`].
    pub fn latents<'a>(&mut self, arrays: impl IntoIterator<Item = Array<'a>>) -> Result<()> {
        self.session.check_usable()?;
        let arrays: Vec<Array<'a>> = arrays.into_iter().collect();
        let storages: Vec<Storage> = arrays.par_iter().map(|array| self.storage(array)).collect();
        let mut planned: Vec<(Plan, Values<'a>)> = Vec::new();
        let mut notes = Vec::new();
        let written = arrays
            .into_iter()
            .zip(storages)
            .try_for_each(|(Array { entry, shape, values }, storage)| {
                let plan = self.plan(entry, shape, values, storage)?;
                notes.extend(note_if_raw(&plan, storage));
                planned.push((plan, values));
                Ok(())
            })
            .and_then(|()| self.write_planned(&mut planned));
        let mut state = self.session.state();
        match written {
            Ok(()) => state.notes.append(&mut notes),
            Err(_) => planned.iter().for_each(|(plan, _)| state.release_keys(plan)),
        }
        written
    }

    /// Returns how to store an array, based on the options or on its values.
    fn storage(&self, array: &Array<'_>) -> Storage {
        let entry = &array.entry;
        let options = &self.session.options;
        let dtype = entry.stored_dtype(array.values.dtype(), options);
        let input = Input { key: entry.key(), dtype, first: 0, payload: Payload::Values(array.values) };
        entry.compression_or(options).storage().unwrap_or_else(|| auto::choose(&input, input.size() as u64))
    }

    fn plan(&self, entry: Entry, shape: Vec<usize>, values: Values<'_>, storage: Storage) -> Result<Plan> {
        let plan = Plan::new(entry, shape, values.dtype(), &self.session.options, storage)?;
        if plan.len() != values.len() {
            return Err(Error::argument(
                format!("values of latent {}", plan.entry.name()),
                format!("{} elements, for shape {:?}", plan.len(), plan.shape),
                values.len().to_string(),
            ));
        }
        self.session.state().reserve_keys(&plan)?;
        Ok(plan)
    }

    fn write_planned(&self, planned: &mut [(Plan, Values<'_>)]) -> Result<()> {
        flush_waiting(&self.session)?;
        let records: Vec<_> = planned.iter_mut().map(|(plan, _)| plan.take_records()).collect();
        let jobs = planned.iter().zip(records).flat_map(|((plan, values), records)| {
            records.into_iter().map(|(elements, record)| {
                let input = Input {
                    key: plan.entry.key(),
                    dtype: plan.dtype,
                    first: elements.start,
                    payload: Payload::Values(values.slice(elements)),
                };
                Job { record, input }
            })
        });
        write_jobs(&self.session, jobs.collect())
    }

    /// Opens a stream for a latent with this key or [`Entry`], whose values arrive in pieces, as
    /// `T`. Streams do not borrow the writer: several can be open at a time, and other latents can
    /// be written meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateKey`]; [`Error::Argument`] for a shape that memory cannot address, or if
    /// the entry's `extra` has a member that the format defines; [`Error::TooLarge`] for a slice of
    /// 4 GiB or more that would be compressed; [`Error::Io`].
    pub fn stream<T: Element>(
        &mut self,
        entry: impl Into<Entry>,
        shape: &[usize],
    ) -> Result<LatentStream<'w, T>> {
        self.open_stream(entry.into(), T::DTYPE, shape).map(LatentStream::new)
    }

    /// Opens a stream as [`stream`](Self::stream) does, for values whose dtype is known only at run
    /// time, and which arrive as bytes.
    ///
    /// # Errors
    ///
    /// The same errors as [`stream`](Self::stream).
    pub fn stream_bytes(
        &mut self,
        entry: impl Into<Entry>,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<ByteStream<'w>> {
        let stream = self.open_stream(entry.into(), dtype, shape)?;
        Ok(ByteStream::new(stream, dtype))
    }

    fn open_stream(&mut self, entry: Entry, dtype: Dtype, shape: &[usize]) -> Result<Stream<'w>> {
        self.session.check_usable()?;
        let _guard = self.session.guard();
        let options = &self.session.options;
        let decided = entry.compression_or(options).storage();
        // If the values decide, plan as if they shrink.
        let storage = decided.unwrap_or(Storage::Zstd);
        let plan = Plan::new(entry, shape.to_vec(), dtype, options, storage)?;
        flush_waiting(&self.session)?;
        self.session.state().reserve_keys(&plan)?;
        Stream::open(&self.session, plan.clone(), decided.is_none())
            .inspect_err(|_| self.session.state().release_keys(&plan))
    }

    /// Stores the encoded image (PNG, JPEG, WebP, …) byte for byte.
    ///
    /// With the feature `image`, the image is decoded first, to check it. An image in a format
    /// without a decoder is stored anyway, and the summary has a note about it.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] if it is damaged or cut short; [`Error::Argument`] if the file already has an image or
    /// this one is over 1 GiB; [`Error::TooLarge`]; [`Error::Io`].
    pub fn image(&mut self, encoded: &[u8]) -> Result<()> {
        self.session.check_usable()?;
        let _guard = self.session.guard();
        let single = Single::new(ChunkType::IMAGE, encoded);
        single.check(&self.session)?;
        let note = check_image(encoded)?;
        single.write(&self.session)?;
        self.session.state().notes.extend(note);
        Ok(())
    }

    /// Stores the environment.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the file already has one or this one is over 16 MiB; [`Error::Io`].
    pub fn environment(&mut self, environment: &Environment) -> Result<()> {
        let json = environment.to_json()?;
        self.single(Single::compressed(ChunkType::ENVIRONMENT, json.as_bytes()))
    }

    /// Stores a chunk that is not a latent.
    pub(crate) fn single(&mut self, single: Single<'_>) -> Result<()> {
        self.session.check_usable()?;
        let _guard = self.session.guard();
        single.check(&self.session)?;
        single.write(&self.session)
    }

    /// Writes the table and the header, and publishes the file at its path.
    ///
    /// If only the very last step fails, syncing the folder, the complete file is at the path but
    /// may not survive a power failure. After any other error, the path is as it was before.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] if a stream was not finished; [`Error::Argument`] for a manifest whose
    /// size readers reject; [`Error::TooLarge`] if the file exceeds what the
    /// [highest version](WriteOptions::max_version) can hold; [`Error::WriterFailed`] if an earlier
    /// write failed; [`Error::Io`].
    pub fn finish(self, metadata: &Metadata) -> Result<Summary> {
        let model_info = metadata.to_json()?;
        self.finish_in(&metadata.outline(), &model_info)
    }

    /// Like [`finish`](Self::finish), with the JSON text of `model_info`.
    pub(crate) fn finish_in(self, outline: &Outline, model_info: &str) -> Result<Summary> {
        self.session.check_usable()?;
        let unfinished = self.session.state().streams.values().next().cloned();
        if let Some(stream) = unfinished {
            let session::Unfinished { key, expected, found } = stream;
            return Err(Error::Incomplete { key, expected, found });
        }
        flush_waiting(&self.session)?;
        let (mut records, needs_1_1) = {
            let mut state = self.session.state();
            (std::mem::take(&mut state.records), state.needs_1_1)
        };
        records.sort_by_key(|record| record.offset);
        records.iter_mut().enumerate().for_each(|(index, record)| record.index = index);
        let count = records.len();
        let needs_1_1 = needs_1_1 || records.iter().any(ChunkRecord::needs_1_1);
        let latents = summarize(&records);
        let text = records_json(&records)?;
        drop(records); // they need more memory than their text
        let members = FileMembers { model_info, records: &text, count: Some(count) };
        let end = End {
            chunk_count: count,
            needs_1_1,
            manifest: &|file_size, version| outline.manifest(file_size, version, &members),
        };
        self.publish(&end, latents)
    }

    /// Writes the end of the file and publishes it.
    fn publish(self, end: &End<'_>, latents: Vec<LatentSummary>) -> Result<Summary> {
        let (file_size, version) = end.write(&self.session)?;
        if let Some(draft) = self.draft {
            draft.publish().map_err(Error::of_publishing)?;
        }
        let notes = std::mem::take(&mut self.session.state().notes);
        Ok(Summary { version, file_size, chunks: end.chunk_count, latents, notes })
    }
}

/// Returns a note on a latent that would shrink but must be stored raw.
fn note_if_raw(plan: &Plan, wanted: Storage) -> Option<String> {
    (plan.storage == Storage::Raw && wanted != Storage::Raw).then(|| {
        format!(
            "latent {} is compressible but stored raw: a slice of it has 4 GiB or more, too much \
             for a compressed chunk",
            plan.entry.name()
        )
    })
}

/// Returns one summary per latent, in file order. Parts of a latent are combined.
fn summarize(records: &[ChunkRecord]) -> Vec<LatentSummary> {
    let mut latents: Vec<LatentSummary> = Vec::new();
    let mut places: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for (record, latent) in records.iter().filter_map(|record| Some((record, record.latent.as_ref()?))) {
        if let Some(part) = &latent.part {
            if let Some(known) = places.get(&*part.of).and_then(|&place| latents.get_mut(place)) {
                known.payload_size += record.payload_size;
                known.stored_size += record.stored_size;
                known.parts += 1;
                continue;
            }
            places.insert(&part.of, latents.len());
        }
        latents.push(LatentSummary {
            key: record.latent_key().map(str::to_owned),
            dtype: latent.dtype,
            shape: latent.part.as_ref().map_or(&latent.shape, |part| &part.shape).clone(),
            payload_size: record.payload_size,
            stored_size: record.stored_size,
            compressed: record.compressed,
            shuffled: latent.shuffled,
            parts: 1,
        });
    }
    latents
}
