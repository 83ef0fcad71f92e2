//! A file with other metadata: reader and writer together.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use gen5_publish::{Replace, Target};

use crate::error::{Error, Result};
use crate::manifest::{ChunkRecord, Metadata, to_text};
use crate::outline::Outline;
use crate::reader::Reader;
use crate::writer::{Chunks, WriteOptions};

impl WriteOptions {
    /// Lets a file replace that of `reader` alone, as it was when it was opened: if another program has changed, replaced or
    /// removed it by the time the new one is finished, that is [`Error::Outdated`], and what is
    /// there stays. So no change is lost that the reader has not seen. Default: whatever is there is replaced.
    ///
    /// A program that opens the file with [`ReadOptions::lock`](crate::ReadOptions::lock) makes others that do so wait
    /// instead. A reader of bytes in memory has no file, and changes nothing here.
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

    /// Writes a copy of a file with other metadata to `path`, in the place of what is there: of the file itself, for one.
    /// Then it is as if [`replacing`](Self::replacing) was asked for.
    ///
    /// The chunks are carried as they are, at the same offsets: nothing is decompressed, and no hash is checked
    /// ([`Reader::verify`] does that). Records and whatever else the manifest holds beside `model_info` stay as they are
    /// spelled. Of the options, [`sync`](Self::sync), [`compatible`](Self::compatible), [`cancel_when`](Self::cancel_when) and
    /// [`progress`](Self::progress) count, which is told of stored bytes.
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
    /// [`Error::Io`]; [`Error::Outdated`] if the file at `path` was to be replaced by a copy of
    /// itself, and is not as it was; [`Error::Changed`] if one at another path became shorter
    /// meanwhile; [`Error::Metadata`] if what the manifest holds beside `model_info` is not JSON;
    /// [`Error::Cancelled`]; [`Error::Argument`] if the manifest becomes larger than readers take,
    /// or the file has to be compatible and is not; [`Error::TooLarge`] if its table makes it too
    /// large for that. After any of them `path` is as it was.
    pub fn rewrite(self, reader: &Reader, metadata: &Metadata, path: impl AsRef<Path>) -> Result<Rewritten> {
        let path = path.as_ref();
        let own = reader.original().filter(|original| original.belongs_at(path)).cloned();
        let Some(own) = own else {
            let replace = self.replace();
            return self.rewrite_at(reader, metadata, Target::Path { path, replace });
        };
        let target = Target::Path { path, replace: Replace::Only(Arc::clone(&own)) };
        self.rewrite_at(reader, metadata, target).map_err(|error| match error {
            // What ended the reading is what the other program did.
            Error::Changed { .. } => own.check(path).err().map_or(error, Error::of_publishing),
            error => error,
        })
    }

    /// As [`rewrite`](Self::rewrite), for a path where nothing is.
    ///
    /// # Errors
    ///
    /// As [`rewrite`](Self::rewrite), and [`Error::Io`] if something is there.
    pub fn rewrite_new(
        self,
        reader: &Reader,
        metadata: &Metadata,
        path: impl AsRef<Path>,
    ) -> Result<Rewritten> {
        self.rewrite_at(reader, metadata, Target::Path { path: path.as_ref(), replace: Replace::Nothing })
    }

    /// As [`rewrite`](Self::rewrite), into a file that is open already, as [`write_file`](Self::write_file) writes one: not
    /// that of the reader.
    ///
    /// # Errors
    ///
    /// As [`rewrite`](Self::rewrite) and [`write_file`](Self::write_file). After an error the file's contents are unspecified.
    pub fn rewrite_file(self, reader: &Reader, metadata: &Metadata, file: File) -> Result<Rewritten> {
        self.rewrite_at(reader, metadata, Target::Open(file))
    }

    fn rewrite_at(self, reader: &Reader, metadata: &Metadata, target: Target<'_>) -> Result<Rewritten> {
        let model_info = to_text("model_info", metadata.model_info())?;
        let outline = Outline::of(reader)?;
        let records = reader.chunks();
        let chunks = Chunks {
            end: records.iter().map(ChunkRecord::end).max().unwrap_or(0),
            count: records.len(),
            is_newer: reader.version() > (1, 0) && records.iter().any(is_newer),
            read: &|buffer, at| reader.read_stored(buffer, at),
            manifest: &|file_size, version| outline.text_as_in(reader, file_size, version, &model_info),
        };
        let (file_size, version) = self.copy(&chunks, target)?;
        Ok(Rewritten { version, file_size })
    }
}

/// Whether a chunk may be one that version 1.0 does not have. What is unknown here keeps the version it has.
fn is_newer(record: &ChunkRecord) -> bool {
    let is_newer = |dtype: crate::Dtype| dtype.needs_1_1(record.is_shuffled());
    record.dtype().is_some_and(is_newer) || !record.kind().is_known()
}

/// What a rewritten file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewritten {
    /// Major and minor version of the format: the lowest that can express the file. A file that was just under 4 GiB may need a
    /// newer one than before.
    pub version: (u8, u8),
    /// Length of the file in bytes.
    pub file_size: u64,
}
