//! Writing: chunks go out as they come, the table and then the header follow, and only then the file gets its name.

mod array;
mod auto;
mod buffers;
mod copy;
mod encode;
mod entry;
mod input;
mod options;
mod pipeline;
mod raw;
mod session;
mod single;
mod sink;
mod stream;
mod table;

use std::fmt;
use std::sync::Arc;

use gen5_publish::Draft;
use rayon::prelude::*;

pub use array::Array;
pub(crate) use copy::Chunks;
pub use entry::Entry;
pub use options::{Compression, NonFinite, WriteOptions};
pub(crate) use single::Single;
pub use stream::LatentWriter;
pub(crate) use table::Records;

use self::array::Plan;
use self::encode::Job;
use self::input::{Input, Payload};
use self::options::Storage;
use self::pipeline::write_jobs;
use self::session::{LatentChunk, NewRecord, Session};
use self::single::check_image;
use self::sink::Sink;
use self::stream::flush_waiting;
use self::table::ManifestText;
use crate::element::{Dtype, Element};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::manifest::Metadata;
use crate::wire::ChunkType;

/// What a file is called in errors.
fn file_name(draft: Option<&Draft>) -> String {
    draft.map_or_else(|| "the file".into(), |draft| draft.target().display().to_string())
}

/// A file in the making.
///
/// Latents, streams, the image and the environment may come in any order; [`finish`](Self::finish) makes it a file.
/// Dropped before that, it leaves nothing under its path.
///
/// What is copied from other files is written by [`carry`](Self::carry) and [`finish_as`](Self::finish_as).
///
/// Values are hashed, compressed and written in the caller's rayon pool. The same calls with the same values and the
/// same date give the same bytes, on any number of threads.
#[must_use = "without `finish` there is no file"]
pub struct Writer<'w> {
    session: Arc<Session<'w>>,
    pub(crate) draft: Option<Draft>,
}

/// What was written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Major and minor version of the format: the lowest that can express the file.
    pub version: (u8, u8),
    /// Length of the file in bytes.
    pub file_size: u64,
    /// Chunks in it.
    pub chunks: usize,
    /// The latents, in the order of the file.
    pub latents: Vec<LatentSummary>,
    /// What the caller may want to know: an image that could not be checked, for one.
    pub notes: Vec<String>,
}

/// How a latent was written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LatentSummary {
    /// Its key; `None` if it has none, which only one of another file can be without.
    pub key: Option<String>,
    /// Its dtype in the file.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Bytes of its values.
    pub payload_size: u64,
    /// Bytes it takes in the file.
    pub stored_size: u64,
    /// Whether it is compressed: what was asked for, or what [`Compression::Auto`] chose.
    pub compressed: bool,
    /// Whether its bytes were regrouped before.
    pub shuffled: bool,
    /// In how many parts it is stored; 1 if it is whole.
    pub parts: usize,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("options", &self.session.options).finish_non_exhaustive()
    }
}

impl<'w> Writer<'w> {
    fn start(options: WriteOptions, sink: Box<dyn Sink + 'w>, draft: Option<Draft>) -> Result<Self> {
        let session = Arc::new(Session::start(sink, file_name(draft.as_ref()), options)?);
        Ok(Self { session, draft })
    }

    /// Writes a latent of this key or [`Entry`].
    ///
    /// # Errors
    ///
    /// As [`latents`](Self::latents).
    pub fn latent<T: Element>(
        &mut self,
        entry: impl Into<Entry>,
        shape: &[usize],
        values: &[T],
    ) -> Result<()> {
        self.latents([Array::new(entry, shape, values)])
    }

    /// Writes latents, which are hashed and compressed side by side: all of them, or after an error none.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateKey`]; [`Error::Argument`] if values and shape differ in size, or `extra` has a member that the
    /// format defines; [`Error::NonFinite`] and [`Error::Overflow`] with the first such value;
    /// [`Error::TooLarge`] for a slice of 4 GiB that is to be compressed; [`Error::Memory`]. After these the writer can be used on.
    /// After [`Error::Io`] it cannot, and further calls give [`Error::WriterFailed`].
    pub fn latents<'a>(&mut self, arrays: impl IntoIterator<Item = Array<'a>>) -> Result<()> {
        self.session.check_usable()?;
        let arrays: Vec<Array<'a>> = arrays.into_iter().collect();
        let storages: Vec<Storage> = arrays.par_iter().map(|array| self.storage(array)).collect();
        let mut planned: Vec<(Plan, Array<'a>)> = Vec::new();
        let mut notes = Vec::new();
        let written = arrays
            .into_iter()
            .zip(storages)
            .try_for_each(|(mut array, storage)| {
                let plan = self.plan(&mut array, storage)?;
                notes.extend(note_if_raw(&plan, storage));
                planned.push((plan, array));
                Ok(())
            })
            .and_then(|()| self.write_planned(&planned));
        let mut state = self.session.state();
        match written {
            Ok(()) => state.notes.append(&mut notes),
            Err(_) => planned.iter().for_each(|(plan, _)| state.release_keys(plan)),
        }
        written
    }

    /// How an array is to be stored: as the options say, or as its values suggest.
    fn storage(&self, array: &Array<'_>) -> Storage {
        let (entry, options) = (&array.entry, &self.session.options);
        let dtype = entry.stored_dtype(array.values.dtype(), options);
        let input = Input { key: entry.key(), dtype, first: 0, payload: Payload::Values(array.values) };
        entry.compression_or(options).storage().unwrap_or_else(|| auto::choose(&input, input.size() as u64))
    }

    fn plan(&self, array: &mut Array<'_>, storage: Storage) -> Result<Plan> {
        let (entry, shape) = (array.entry.clone(), std::mem::take(&mut array.shape));
        let plan = Plan::new(entry, shape, array.values.dtype(), &self.session.options, storage)?;
        if plan.len() != array.values.len() {
            return Err(Error::Argument {
                what: format!("values of latent {}", plan.entry.name()),
                expected: format!("{} elements, for shape {:?}", plan.len(), plan.shape),
                found: array.values.len().to_string(),
            });
        }
        self.session.state().reserve_keys(&plan)?;
        Ok(plan)
    }

    fn write_planned(&self, planned: &[(Plan, Array<'_>)]) -> Result<()> {
        flush_waiting(&self.session)?;
        let jobs: Vec<Job<'_>> = planned
            .iter()
            .flat_map(|(plan, array)| {
                plan.pieces().map(|piece| Job {
                    chunk: LatentChunk::new(plan, &piece),
                    input: Input {
                        key: plan.entry.key(),
                        dtype: plan.dtype,
                        first: piece.elements.start,
                        payload: Payload::Values(array.values.slice(piece.elements)),
                    },
                })
            })
            .collect();
        write_jobs(&self.session, &jobs)
    }

    /// Opens a latent of this key or [`Entry`] whose values come piece by piece, as `T`. Streams do not hold the writer:
    /// several may be open, and latents be written meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateKey`]; [`Error::Argument`] for a shape that memory cannot address, or if the entry's `extra` has a
    /// member that the format defines; [`Error::TooLarge`] for a slice of 4 GiB that is to be compressed; [`Error::Io`].
    pub fn stream<T: Element>(
        &mut self,
        entry: impl Into<Entry>,
        shape: &[usize],
    ) -> Result<LatentWriter<'w, T>> {
        self.session.check_usable()?;
        let (entry, options) = (entry.into(), &self.session.options);
        // Where the values decide, it is planned as if they shrank.
        let (storage, undecided) = match entry.compression_or(options).storage() {
            Some(storage) => (storage, false),
            None => (Storage::Zstd, true),
        };
        let plan = Plan::new(entry, shape.to_vec(), T::DTYPE, options, storage)?;
        flush_waiting(&self.session)?;
        self.session.state().reserve_keys(&plan)?;
        LatentWriter::open(&self.session, plan.clone(), undecided)
            .inspect_err(|_| self.session.state().release_keys(&plan))
    }

    /// Stores the encoded image (PNG, JPEG, WebP, …) as it is, byte for byte.
    ///
    /// With feature `image` it is decoded first, to be sure that it can be; one in a format that cannot be decoded here is
    /// stored all the same, and the summary says so.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] if it is damaged, [`Error::Argument`] if there is an image already or this one is over 1 GiB,
    /// [`Error::TooLarge`], [`Error::Io`].
    pub fn image(&mut self, encoded: &[u8]) -> Result<()> {
        self.session.check_usable()?;
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
    /// [`Error::Argument`] if there is one already or this one is over 16 MiB, [`Error::Io`].
    pub fn environment(&mut self, environment: &Environment) -> Result<()> {
        let json = environment.to_json()?;
        self.single(Single { compressed: Some(true), ..Single::new(ChunkType::ENVIRONMENT, json.as_bytes()) })
    }

    /// Stores a chunk that is no latent.
    pub(crate) fn single(&mut self, single: Single<'_>) -> Result<()> {
        self.session.check_usable()?;
        single.check(&self.session)?;
        single.write(&self.session)
    }

    /// Writes table and header, and publishes the file under its path.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] if a stream was not finished, [`Error::Argument`] for a manifest that readers refuse for its
    /// size, [`Error::TooLarge`] for what has to be [compatible](WriteOptions::compatible) and is not,
    /// [`Error::WriterFailed`] if an earlier write failed, [`Error::Io`]. Nothing is at the path then that was not there
    /// before; but if only the very last step fails, syncing the folder, the complete file is there, and may not survive a
    /// power failure.
    pub fn finish(self, metadata: &Metadata) -> Result<Summary> {
        self.finish_under(&|file_size, version, records| {
            table::manifest(file_size, version, records, metadata)
        })
    }

    /// [`finish`](Self::finish), under a manifest of this text.
    pub(crate) fn finish_under(self, manifest: &ManifestText<'_>) -> Result<Summary> {
        self.session.check_usable()?;
        let unfinished = self.session.state().streams.values().next().cloned();
        if let Some(stream) = unfinished {
            let session::Unfinished { key, expected, found } = stream;
            return Err(Error::Incomplete { key, expected, found });
        }
        flush_waiting(&self.session)?;
        let (mut records, notes) = {
            let mut state = self.session.state();
            (std::mem::take(&mut state.records), std::mem::take(&mut state.notes))
        };
        records.sort_by_key(|record| record.place.offset);
        let (file_size, version) = table::write_table(&self.session, &records, manifest)?;
        if let Some(draft) = self.draft {
            draft.publish().map_err(Error::of_publishing)?;
        }
        Ok(Summary { version, file_size, chunks: records.len(), latents: summarize(&records), notes })
    }
}

/// What is to be said of a latent that is stored raw and would better be compressed.
fn note_if_raw(plan: &Plan, wanted: Storage) -> Option<String> {
    (plan.storage == Storage::Raw && wanted != Storage::Raw).then(|| {
        format!(
            "latent {} would shrink, and is stored raw all the same: a slice of it has 4 GiB or more, which no \
             compressed chunk holds",
            plan.entry.name()
        )
    })
}

/// Parts put together, in the order of the file.
fn summarize(records: &[NewRecord]) -> Vec<LatentSummary> {
    let mut latents: Vec<LatentSummary> = Vec::new();
    let mut places: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for (record, latent) in records.iter().filter_map(|record| Some((record, record.latent.as_ref()?))) {
        if let Some(part) = &latent.part {
            if let Some(known) = places.get(&*part.of).and_then(|&place| latents.get_mut(place)) {
                known.payload_size += record.payload_size;
                known.stored_size += record.place.stored_size;
                known.parts += 1;
                continue;
            }
            places.insert(&part.of, latents.len());
        }
        latents.push(LatentSummary {
            key: latent.latent_key().map(str::to_owned),
            dtype: latent.dtype,
            shape: latent.part.as_ref().map_or(&*latent.shape, |part| &part.shape).to_vec(),
            payload_size: record.payload_size,
            stored_size: record.place.stored_size,
            compressed: record.compressed,
            shuffled: latent.storage == Storage::Shuffled,
            parts: 1,
        });
    }
    latents
}
