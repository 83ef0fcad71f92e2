//! Copies chunks and metadata from other files, with a reader and a writer.

use std::borrow::Cow;
use std::fmt;

use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::excerpt::shorten_error;
use crate::manifest::{ChunkRecord, Extra, Outline};
use crate::reader::{Latent, Reader};
use crate::wire::{ChunkType, Version};
use crate::writer::{Compression, Entry, Single, Summary, Writer};

/// Copies everything that the file records about the latent: its key or the lack of one, members of
/// its record that the format does not define, and whether it is compressed. The new values can
/// differ, also in shape.
///
/// If several latents of the file share a key, their entries can also share it in the new file.
/// Such latents, and those without a key, cannot be cut into parts, so compressing a large one
/// takes its full size in memory.
impl From<&Latent> for Entry {
    fn from(latent: &Latent) -> Self {
        let mut entry = Self::new(latent.key().unwrap_or_default());
        entry.key = latent.key().map(str::to_owned);
        entry.shares_key = latent.shares_key();
        entry.copied = true;
        if let Some(first) = latent.first_chunk() {
            entry.extra = first.extra().clone();
            if entry.key.is_some() {
                entry.extra.remove("key"); // of a part, whose own key may be no text
            }
            entry.unknown = first.unknown().clone();
            entry.compression = Some(if first.is_shuffled() {
                Compression::Shuffled
            } else if first.is_compressed() {
                Compression::Zstd
            } else {
                Compression::Raw
            });
        }
        entry
    }
}

/// A chunk from a file that is not a latent. It is read and its hash is checked, so that
/// [`Writer::write_chunk`] can store it in one or more other files.
pub struct ChunkCopy<'r> {
    record: &'r ChunkRecord,
    payload: Cow<'r, [u8]>,
    /// Whether version 1.0 may not have such a chunk.
    needs_1_1: bool,
}

impl<'r> ChunkCopy<'r> {
    /// Reads the image, the environment, or a chunk of unknown type into memory.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the chunk is a latent or is not from this file; the errors of a
    /// damaged chunk; [`Error::Limit`]; [`Error::Io`].
    pub fn read(reader: &'r Reader, chunk: &'r ChunkRecord) -> Result<Self> {
        let own = reader.chunks().get(chunk.index());
        let record = own.filter(|own| own.offset() == chunk.offset() && own.sha256() == chunk.sha256());
        let Some(record) = record else {
            let found = format!("{}, which this reader does not have", chunk.place());
            return Err(Error::argument("record of a chunk", "one of this reader", found));
        };
        if record.kind() == ChunkType::LATENT {
            let found = record.place().to_string();
            return Err(Error::argument("record of a chunk", "one that is not a latent", found));
        }
        let payload = reader.payload(record.index())?;
        // The reader may not check hashes, and a damaged payload must not get a new, matching hash.
        record.check_digest(Digest::of(&payload))?;
        Ok(Self { record, payload, needs_1_1: reader.version() > Version::V1_0 && !record.kind().is_known() })
    }
}

impl fmt::Debug for ChunkCopy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkCopy").field("record", self.record).finish_non_exhaustive()
    }
}

impl Writer<'_> {
    /// Copies a chunk that is not a latent from another file: the image, the environment, or a
    /// chunk of unknown type. It is compressed if it was before. Its payload is held in memory, and
    /// its hash is checked.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the chunk is a latent or is not from this file, and for a second
    /// image or environment; the errors of a damaged chunk; [`Error::Limit`]; [`Error::TooLarge`];
    /// [`Error::Io`].
    pub fn copy_chunk(&mut self, reader: &Reader, chunk: &ChunkRecord) -> Result<()> {
        self.write_chunk(&ChunkCopy::read(reader, chunk)?)
    }

    /// Writes a chunk like [`copy_chunk`](Self::copy_chunk), but one that was already read.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a second image or environment; [`Error::TooLarge`]; [`Error::Io`].
    pub fn write_chunk(&mut self, chunk: &ChunkCopy<'_>) -> Result<()> {
        let ChunkCopy { record, ref payload, needs_1_1 } = *chunk;
        self.single(Single { record: record.clone(), payload, as_recorded: true, needs_1_1 })
    }

    /// Finishes the file like [`finish`](Self::finish), with the manifest of another file.
    ///
    /// `model_info` is the JSON text to store; to keep that of `reader`, pass
    /// [`Reader::model_info_json`]. All other members of the manifest except the records keep their
    /// original text, valid or not. If the new file replaces the file of `reader`,
    /// [`replacing`](crate::WriteOptions::replacing) is implied.
    ///
    /// # Errors
    ///
    /// The same errors as [`finish`](Self::finish); [`Error::Outdated`] if the file to replace is
    /// not the one that was read; [`Error::Metadata`] if `model_info` is neither the file's own nor
    /// a JSON object, or if the rest of the manifest is not JSON.
    pub fn finish_like(mut self, reader: &Reader, model_info: &str) -> Result<Summary> {
        if model_info != reader.model_info_json() {
            check_model_info(model_info)?;
        }
        if let (Some(draft), Some(original)) = (&mut self.draft, reader.original()) {
            draft.guard(original);
        }
        self.finish_in(&reader.outline()?, model_info)
    }

    /// Finishes the file like [`finish_like`](Self::finish_like), with an [`Outline`] that can be
    /// reused for many files.
    ///
    /// # Errors
    ///
    /// The same errors as [`finish`](Self::finish), and [`Error::Metadata`] if `model_info` is not
    /// a JSON object.
    pub fn finish_with(self, outline: &Outline, model_info: &str) -> Result<Summary> {
        check_model_info(model_info)?;
        self.finish_in(outline, model_info)
    }
}

fn check_model_info(text: &str) -> Result<()> {
    match serde_json::from_str::<Extra>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::metadata("model_info", "a JSON object", shorten_error(&error))),
    }
}
