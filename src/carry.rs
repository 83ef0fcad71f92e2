//! A file of what other files hold: reader and writer together.

use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::manifest::Extra;
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

impl Writer<'_> {
    /// Stores a chunk of another file that is no latent as it is there: the image, the environment, or one of a type that
    /// is unknown here, compressed if it was. Its payload is held in memory, and its hash is checked.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a latent, a chunk that is not there, and a second image or environment; those of a damaged
    /// chunk; [`Error::Limit`]; [`Error::TooLarge`]; [`Error::Io`].
    pub fn carry(&mut self, reader: &Reader, chunk: usize) -> Result<()> {
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
        self.single(Single {
            kind: record.kind(),
            flags: record.flags,
            payload: &payload,
            sha256: found,
            compressed: Some(record.is_compressed()),
            extra: record.extra().clone(),
            unknown: record.unknown().clone(),
            is_newer: reader.version() > (1, 0) && !record.kind().is_known(),
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
        if model_info != reader.model_info_json()
            && let Err(error) = serde_json::from_str::<Extra>(model_info)
        {
            let (member, expected) = ("model_info".into(), "a JSON object".into());
            return Err(Error::Metadata { member, expected, found: shorten_error(&error) });
        }
        if let (Some(draft), Some(original)) = (&mut self.draft, reader.original()) {
            draft.guard(original);
        }
        let outline = Outline::of(reader, model_info)?;
        self.finish_under(&|file_size, version, records| outline.text(file_size, version, Some(records)))
    }
}
