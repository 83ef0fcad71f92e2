//! Writing: chunks go out as they come, the table and then the header follow, and only then the file gets its name.

mod array;
mod auto;
mod buffers;
mod copy;
mod encode;
mod input;
mod options;
mod pipeline;
mod publish;
mod raw;
mod session;
mod sink;
mod stream;
mod table;

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

pub use array::Array;
pub(crate) use copy::Chunks;
pub use options::{Compression, NonFinite, WriteOptions};
pub use stream::LatentWriter;

use self::array::{Plan, stored_dtype};
use self::encode::{Job, compress_whole};
use self::input::{Input, Payload};
use self::options::Storage;
use self::pipeline::write_jobs;
use self::publish::Draft;
use self::session::{LatentChunk, NewRecord, Session, chunk_header};
use self::sink::Sink;
use self::stream::flush_waiting;
use crate::codec::Digest;
use crate::element::{Dtype, Element};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::manifest::{Extra, Metadata};
use crate::wire::{CHUNK_HEADER_SIZE, ChunkType, NO_FLAGS};

/// A file in the making.
///
/// Latents, streams, the image and the environment may come in any order; [`finish`](Self::finish) makes it a file.
/// Dropped before that, it leaves nothing under its path.
///
/// Values are hashed, compressed and written in the caller's rayon pool. The same calls with the same values and the
/// same date give the same bytes, on any number of threads.
pub struct Writer<'w> {
    session: Arc<Session<'w>>,
    draft: Option<Draft>,
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
    /// Its key.
    pub key: String,
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
        let name =
            draft.as_ref().map_or_else(|| "the file".into(), |draft| draft.target().display().to_string());
        let session = Arc::new(Session::start(sink, name, options)?);
        Ok(Self { session, draft })
    }

    /// Writes a latent.
    ///
    /// # Errors
    ///
    /// As [`latents`](Self::latents).
    pub fn latent<T: Element>(
        &mut self,
        key: impl Into<String>,
        shape: &[usize],
        values: &[T],
    ) -> Result<()> {
        self.latents([Array::new(key, shape, values)])
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
        let written = arrays
            .into_iter()
            .zip(storages)
            .try_for_each(|(mut array, storage)| {
                let plan = self.plan(&mut array, storage)?;
                planned.push((plan, array));
                Ok(())
            })
            .and_then(|()| self.write_planned(&planned));
        if written.is_err() {
            let mut state = self.session.state();
            planned.iter().for_each(|(plan, _)| state.release_keys(plan));
        }
        written
    }

    /// How an array is to be stored: as the options say, or as its values suggest.
    fn storage(&self, array: &Array<'_>) -> Storage {
        let options = &self.session.options;
        let dtype = stored_dtype(array.values.dtype(), options);
        let input = Input { key: &array.key, dtype, first: 0, payload: Payload::Values(array.values) };
        options.compression.storage().unwrap_or_else(|| auto::choose(&input, input.size() as u64))
    }

    /// Notes that a latent is stored raw which would better be compressed.
    fn note_if_raw(&self, plan: &Plan, wanted: Storage) {
        if plan.storage == Storage::Raw && wanted != Storage::Raw {
            let note = format!(
                "latent {:?} would shrink, and is stored raw all the same: a slice of it has 4 GiB or more, which no \
                 compressed chunk holds",
                plan.key
            );
            self.session.state().notes.push(note);
        }
    }

    fn plan(&self, array: &mut Array<'_>, storage: Storage) -> Result<Plan> {
        let (key, extra) = (std::mem::take(&mut array.key), std::mem::take(&mut array.extra));
        let shape = std::mem::take(&mut array.shape);
        let plan = Plan::new(key, shape, array.values.dtype(), extra, &self.session.options, storage)?;
        if plan.len() != array.values.len() {
            return Err(Error::Argument {
                what: format!("values of latent {:?}", plan.key),
                expected: format!("{} elements, for shape {:?}", plan.len(), plan.shape),
                found: array.values.len().to_string(),
            });
        }
        self.session.state().reserve_keys(&plan)?;
        self.note_if_raw(&plan, storage);
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
                        key: &plan.key,
                        dtype: plan.dtype,
                        first: piece.elements.start,
                        payload: Payload::Values(array.values.slice(piece.elements)),
                    },
                })
            })
            .collect();
        write_jobs(&self.session, &jobs)
    }

    /// Opens a latent whose values come piece by piece, as `T`. Streams do not hold the writer: several may be open, and
    /// latents be written meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateKey`]; [`Error::Argument`] for a shape that memory cannot address; [`Error::TooLarge`] for a slice
    /// of 4 GiB that is to be compressed; [`Error::Io`].
    pub fn stream<T: Element>(
        &mut self,
        key: impl Into<String>,
        shape: &[usize],
    ) -> Result<LatentWriter<'w, T>> {
        self.stream_with(key, shape, Extra::new())
    }

    /// As [`stream`](Self::stream), with members of the record's `extra` besides those that the format defines.
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream), and [`Error::Argument`] if `extra` has a member that the format defines.
    pub fn stream_with<T: Element>(
        &mut self,
        key: impl Into<String>,
        shape: &[usize],
        extra: Extra,
    ) -> Result<LatentWriter<'w, T>> {
        self.session.check_usable()?;
        let options = &self.session.options;
        // Where the values decide, it is planned as if they shrank.
        let (storage, undecided) = match options.compression.storage() {
            Some(storage) => (storage, false),
            None => (Storage::Zstd, true),
        };
        let plan = Plan::new(key.into(), shape.to_vec(), T::DTYPE, extra, options, storage)?;
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
        self.refuse_second(ChunkType::IMAGE, "image")?;
        refuse_larger(encoded.len(), Limits::default().image_bytes, "image")?;
        let note = check_image(encoded)?;
        self.write_single(ChunkType::IMAGE, encoded, false)?;
        self.session.state().notes.extend(note);
        Ok(())
    }

    /// Stores the environment.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there is one already or this one is over 16 MiB, [`Error::Io`].
    pub fn environment(&mut self, environment: &Environment) -> Result<()> {
        self.session.check_usable()?;
        self.refuse_second(ChunkType::ENVIRONMENT, "environment")?;
        let json = environment.to_json()?;
        refuse_larger(json.len(), Limits::default().environment_bytes, "environment")?;
        self.write_single(ChunkType::ENVIRONMENT, json.as_bytes(), true)
    }

    /// Refuses a second chunk of a kind that stands once in a file.
    fn refuse_second(&self, kind: ChunkType, what: &str) -> Result<()> {
        if self.session.state().records.iter().all(|record| record.kind != kind) {
            return Ok(());
        }
        let (expected, found) = ("at most one in a file".into(), "a second".into());
        Err(Error::Argument { what: what.into(), expected, found })
    }

    /// Writes a chunk that is no latent: compressed if that makes it smaller, or if it has to be.
    fn write_single(&self, kind: ChunkType, payload: &[u8], always_compressed: bool) -> Result<()> {
        flush_waiting(&self.session)?;
        let header = chunk_header(kind, NO_FLAGS, payload.len() as u64);
        let level = self.session.options.level_for(Storage::Zstd);
        let frame = compress_whole(&self.session, &header, payload, level)?;
        let frame = frame.bytes();
        let raw_size = payload.len() as u64 + CHUNK_HEADER_SIZE;
        let compressed = always_compressed || (frame.len() as u64) < raw_size;
        let stored_size = if compressed { frame.len() as u64 } else { raw_size };
        let place = self.session.state().place(stored_size, None)?;
        if compressed {
            self.session.write(frame, place.offset)?;
        } else {
            self.session.write_head(place, &header)?;
            self.session.write(payload, place.payload_offset())?;
        }
        self.session.state().records.push(NewRecord {
            kind,
            flags: header.flags,
            place,
            payload_size: payload.len() as u64,
            compressed,
            sha256: Digest::of(payload),
            latent: None,
        });
        Ok(())
    }

    /// Writes table and header, and publishes the file under its path.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] if a stream was not finished, [`Error::Argument`] for a manifest that readers refuse for its size, [`Error::WriterFailed`] if an earlier write
    /// failed, [`Error::Io`]. Nothing is at the path then that was not there before; but if only the very last step
    /// fails, syncing the folder, the complete file is there, and may not survive a power failure.
    pub fn finish(self, metadata: &Metadata) -> Result<Summary> {
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
        let (file_size, version) = table::write_table(&self.session, &records, metadata)?;
        if let Some(draft) = self.draft {
            draft.publish()?;
        }
        Ok(Summary { version, file_size, chunks: records.len(), latents: summarize(&records), notes })
    }
}

/// Refuses what a reader with the default limits would.
fn refuse_larger(size: usize, limit: u64, what: &str) -> Result<()> {
    if size as u64 <= limit {
        return Ok(());
    }
    let (expected, found) = (format!("at most {limit} bytes, as readers expect"), format!("{size} bytes"));
    Err(Error::Argument { what: what.into(), expected, found })
}

/// Decodes an image to see whether it can be. Returns a note if there is no telling.
#[cfg(feature = "image")]
fn check_image(encoded: &[u8]) -> Result<Option<String>> {
    use image::ImageError;

    let decode = |format| image::load_from_memory_with_format(encoded, format);
    let unknown = "the image is stored unchecked: its format is none that can be decoded here";
    match image::guess_format(encoded) {
        Ok(format) if format.reading_enabled() => match decode(format) {
            Ok(_) => Ok(None),
            // What the decoder cannot do, or not in the memory it allows itself, says nothing against the image.
            Err(error @ (ImageError::Limits(_) | ImageError::Unsupported(_))) => {
                Ok(Some(format!("the image is stored unchecked: {error}")))
            }
            Err(error) => Err(Error::Image { problem: error.to_string() }),
        },
        _ => Ok(Some(unknown.into())),
    }
}

#[cfg(not(feature = "image"))]
fn check_image(_: &[u8]) -> Result<Option<String>> {
    Ok(Some("the image is stored unchecked: this build has no image decoder".into()))
}

/// Parts put together, in the order of the file.
fn summarize(records: &[NewRecord]) -> Vec<LatentSummary> {
    let mut latents: Vec<LatentSummary> = Vec::new();
    let mut places: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for (record, latent) in records.iter().filter_map(|record| Some((record, record.latent.as_ref()?))) {
        let key = latent.latent_key();
        if let Some(known) = places.get(key).and_then(|&place| latents.get_mut(place)) {
            known.payload_size += record.payload_size;
            known.stored_size += record.place.stored_size;
            known.parts += 1;
            continue;
        }
        places.insert(key, latents.len());
        latents.push(LatentSummary {
            key: key.to_owned(),
            dtype: latent.dtype,
            shape: latent.part.as_ref().map_or(&latent.shape, |part| &part.shape).clone(),
            payload_size: record.payload_size,
            stored_size: record.place.stored_size,
            compressed: record.compressed,
            shuffled: latent.storage == Storage::Shuffled,
            parts: 1,
        });
    }
    latents
}
