//! A file of what other files hold: reader and writer together.

use std::borrow::Cow;
use std::fmt;

use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::manifest::{ChunkRecord, Extra};
use crate::outline::Outline;
use crate::reader::{Latent, Reader};
use crate::shorten::shorten_error;
use crate::wire::ChunkType;
use crate::writer::{Compression, Entry, Single, Summary, Writer};

/// As it is in its file: key or none, members of its record that the format does not define, and whether it is compressed.
/// The values may be others, and of another shape.
///
/// A key that several latents of the file have may be written as often. Such latents, and those without a key, cannot be
/// cut into parts, so that a large one takes its size in memory if it is compressed.
impl From<&Latent> for Entry {
    fn from(latent: &Latent) -> Self {
        let mut entry = Self::new(latent.key().unwrap_or_default());
        entry.key = latent.key().map(str::to_owned);
        entry.shares_key = latent.shares_key();
        entry.carried = true;
        if let Some(first) = latent.first_chunk() {
            entry.extra = first.extra().clone();
            if entry.key.is_some() {
                entry.extra.remove("key"); // of a part, whose own key may be no text
            }
            entry.unknown = first.unknown().clone();
            entry.compression = Some(match first.is_compressed() {
                true if first.is_shuffled() => Compression::Shuffled,
                true => Compression::Zstd,
                false => Compression::None,
            });
        }
        entry
    }
}

/// A chunk of a file that is no latent, read, and its hash checked: to be stored in another file, or in many.
pub struct Carried<'r> {
    record: &'r ChunkRecord,
    payload: Cow<'r, [u8]>,
    /// Whether it is of a kind that the lowest version may not have.
    is_newer: bool,
}

impl<'r> Carried<'r> {
    /// Reads the image, the environment, or a chunk of a type that is unknown here. Its payload is held in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a latent and a chunk that is not there; those of a damaged chunk; [`Error::Limit`];
    /// [`Error::Io`].
    pub fn read(reader: &'r Reader, chunk: usize) -> Result<Self> {
        let record = reader.chunks().get(chunk).filter(|record| record.kind() != ChunkType::LATENT);
        let Some(record) = record else {
            let (what, expected) = ("position of a chunk".into(), "that of one that is no latent".into());
            return Err(Error::Argument { what, expected, found: chunk.to_string() });
        };
        let payload = reader.payload(chunk)?;
        // The reader may not have looked, and what is damaged must not get a hash that fits.
        let (expected, found) = (record.sha256(), Digest::of(&payload));
        if found != expected {
            let [expected, found] = [expected, found].map(|digest| digest.to_string().into());
            return Err(Error::Hash { place: record.place(), expected, found });
        }
        Ok(Self { record, payload, is_newer: reader.version() > (1, 0) && !record.kind().is_known() })
    }
}

impl fmt::Debug for Carried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").field("record", self.record).finish_non_exhaustive()
    }
}

impl Writer<'_> {
    /// Stores a chunk of another file that is no latent as it is there: the image, the environment, or one of a type that
    /// is unknown here, compressed if it was. Its payload is held in memory, and its hash is checked.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a latent, a chunk that is not there, and a second image or environment; those of a damaged
    /// chunk; [`Error::Limit`]; [`Error::TooLarge`]; [`Error::Io`].
    pub fn carry(&mut self, reader: &Reader, chunk: usize) -> Result<()> {
        self.store(&Carried::read(reader, chunk)?)
    }

    /// As [`carry`](Self::carry), for a chunk that was read already.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a second image or environment; [`Error::TooLarge`]; [`Error::Io`].
    pub fn store(&mut self, carried: &Carried<'_>) -> Result<()> {
        let Carried { record, ref payload, is_newer } = *carried;
        self.single(Single {
            kind: record.kind(),
            flags: record.flags,
            payload,
            sha256: record.sha256(),
            compressed: Some(record.is_compressed()),
            extra: record.extra().clone(),
            unknown: record.unknown().clone(),
            is_newer,
        })
    }

    /// [`finish`](Self::finish), with the manifest of another file: everything that it holds beside the records is kept as
    /// it is spelled, whether it is valid or not, but for `model_info`, which is this text. To keep that, too, pass
    /// [`Reader::model_info_json`]. If the file is to replace that of `reader`, it is as if
    /// [`replacing`](crate::WriteOptions::replacing) was asked for.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish), [`Error::Outdated`] if the replaced file would not be the one that was read, and
    /// [`Error::Metadata`] if `model_info` is neither the file's own nor a JSON object, or
    /// if what the manifest holds beside it is not JSON.
    pub fn finish_as(mut self, reader: &Reader, model_info: &str) -> Result<Summary> {
        if model_info != reader.model_info_json() {
            check_model_info(model_info)?;
        }
        if let (Some(draft), Some(original)) = (&mut self.draft, reader.original()) {
            draft.guard(original);
        }
        self.finish_in(&Outline::of(reader)?, model_info)
    }

    /// As [`finish_as`](Self::finish_as), for many files with what one of them holds beside records and `model_info`.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish), and [`Error::Metadata`] if `model_info` is no JSON object.
    pub fn finish_with(self, outline: &Outline, model_info: &str) -> Result<Summary> {
        check_model_info(model_info)?;
        self.finish_in(outline, model_info)
    }

    fn finish_in(self, outline: &Outline, model_info: &str) -> Result<Summary> {
        self.finish_under(&|file_size, version, records| {
            outline.text(file_size, version, model_info, records)
        })
    }
}

fn check_model_info(text: &str) -> Result<()> {
    match serde_json::from_str::<Extra>(text) {
        Ok(_) => Ok(()),
        Err(error) => {
            let (member, expected) = ("model_info".into(), "a JSON object".into());
            Err(Error::Metadata { member, expected, found: shorten_error(&error) })
        }
    }
}
