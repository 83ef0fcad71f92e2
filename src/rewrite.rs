//! Rewrites a file with other metadata, with a reader and a writer.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use gen5_publish::{Replace, Target};

use crate::error::{Error, Result};
use crate::manifest::{ChunkRecord, FileMembers, Metadata, Outline, to_text};
use crate::reader::Reader;
use crate::writer::{Chunks, WriteOptions};

impl WriteOptions {
    /// Allows the new file to replace only the file of `reader`, as it was when it was opened. By
    /// default, any existing file is replaced.
    ///
    /// If another program has changed, replaced or removed that file by the time the new one is
    /// finished, the result is [`Error::Outdated`], and the path is left as it is. So changes that
    /// the reader has not seen are not lost.
    ///
    /// With [`ReadOptions::lock`](crate::ReadOptions::lock), programs wait for each other instead.
    /// If the reader reads bytes in memory, it has no file, and this has no effect.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// let path = "run.gen5";
    /// let reader = gen5::ReadOptions::new().lock(Duration::from_secs(60)).open(path)?;
    /// let mut writer = gen5::WriteOptions::new().replacing(&reader).create(path)?;
    /// writer.latent("more", &[2], &[0.5_f32, 1.5])?;
    /// writer.finish_as(&reader, reader.model_info_json())?;
    /// # Ok::<(), gen5::Error>(())
    /// ```
    pub fn replacing(mut self, reader: &Reader) -> Self {
        self.original = reader.original().cloned();
        self
    }

    /// Writes a copy of a file with other metadata to `path`, replacing any file there. If that is
    /// the file of `reader`, [`replacing`](Self::replacing) is implied.
    ///
    /// The chunks are copied byte for byte to the same offsets: nothing is decompressed, and no
    /// hash is checked ([`Reader::verify`] does that). The records and all other members of the
    /// manifest except `model_info` keep their original text. Only these options apply:
    /// [`sync`](Self::sync), [`compatible`](Self::compatible), [`cancel_when`](Self::cancel_when),
    /// and [`progress`](Self::progress), which counts stored bytes.
    ///
    /// ```no_run
    /// use gen5::{Metadata, Reader, WriteOptions};
    ///
    /// let reader = Reader::open("run.gen5")?;
    /// let mut model = reader.metadata()?.into_model_info();
    /// model.tags.push("favourite".into());
    /// WriteOptions::new().rewrite(&reader, &Metadata::new(&model)?, "run.gen5")?;
    /// # Ok::<(), gen5::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// After any error, `path` is as it was before.
    ///
    /// [`Error::Io`]; [`Error::Outdated`] if the file would replace itself but has changed since it
    /// was opened; [`Error::Changed`] if a file at another path became shorter meanwhile;
    /// [`Error::Metadata`] if the rest of the manifest is not JSON; [`Error::Cancelled`];
    /// [`Error::Argument`] if the manifest becomes larger than readers accept, or the file must be
    /// compatible and is not; [`Error::TooLarge`] if its table makes it too large to be compatible.
    pub fn rewrite(self, reader: &Reader, metadata: &Metadata, path: impl AsRef<Path>) -> Result<Rewritten> {
        let path = path.as_ref();
        let own = reader.original().filter(|original| original.belongs_at(path)).cloned();
        let Some(own) = own else {
            let replace = self.replace();
            return self.rewrite_at(reader, metadata, Target::Path { path, replace });
        };
        let target = Target::Path { path, replace: Replace::Only(Arc::clone(&own)) };
        self.rewrite_at(reader, metadata, target).map_err(|error| match error {
            // The change by the other program is the reason why reading stopped.
            Error::Changed { .. } => own.check(path).err().map_or(error, Error::of_publishing),
            error => error,
        })
    }

    /// Writes a copy like [`rewrite`](Self::rewrite), but requires that the path is free.
    ///
    /// # Errors
    ///
    /// The same errors as [`rewrite`](Self::rewrite), and [`Error::Io`] if something is at the
    /// path.
    pub fn rewrite_new(
        self,
        reader: &Reader,
        metadata: &Metadata,
        path: impl AsRef<Path>,
    ) -> Result<Rewritten> {
        self.rewrite_at(reader, metadata, Target::Path { path: path.as_ref(), replace: Replace::Nothing })
    }

    /// Writes a copy like [`rewrite`](Self::rewrite), into a file that is already open, as in
    /// [`write_file`](Self::write_file). It must not be the reader's file.
    ///
    /// # Errors
    ///
    /// The same errors as [`rewrite`](Self::rewrite) and [`write_file`](Self::write_file). After an
    /// error the file's contents are unspecified.
    pub fn rewrite_file(self, reader: &Reader, metadata: &Metadata, file: File) -> Result<Rewritten> {
        self.rewrite_at(reader, metadata, Target::Open(file))
    }

    fn rewrite_at(self, reader: &Reader, metadata: &Metadata, target: Target<'_>) -> Result<Rewritten> {
        let model_info = to_text("model_info", metadata.model_info())?;
        let (outline, records) = Outline::of(reader.manifest())?;
        let members = FileMembers { model_info: &model_info, records, count: None };
        let records = reader.chunks();
        let chunks = Chunks {
            end: records.iter().map(ChunkRecord::end).max().unwrap_or(0),
            count: records.len(),
            needs_1_1: reader.version() > (1, 0) && records.iter().any(needs_1_1),
            read: &|buffer, at| reader.read_stored(buffer, at),
            manifest: &|file_size, version| outline.manifest(file_size, version, &members),
        };
        let (file_size, version) = self.copy(&chunks, target)?;
        Ok(Rewritten { version, file_size })
    }
}

/// Returns whether version 1.0 may not have a chunk. A chunk of unknown type keeps the version of
/// its file.
fn needs_1_1(record: &ChunkRecord) -> bool {
    record.needs_1_1() || !record.kind().is_known()
}

/// A description of a rewritten file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewritten {
    /// Major and minor version of the format: the lowest that can express the file. A file of just
    /// under 4 GiB may need a newer version than before.
    pub version: (u8, u8),
    /// Length of the file in bytes.
    pub file_size: u64,
}
