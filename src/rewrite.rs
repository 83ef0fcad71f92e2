//! Rewrites a file with other metadata, with a reader and a writer.

use crate::error::{Error, Result};
use crate::manifest::{ChunkRecord, FileMembers, Metadata, Outline};
use crate::reader::Reader;
use crate::wire::Version;
use crate::writer::{ChunkSource, Summary, WriteOptions, Writer};

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
    /// writer.finish_like(&reader, reader.model_info_json())?;
    /// # Ok::<(), gen5::Error>(())
    /// ```
    pub fn replacing(mut self, reader: &Reader) -> Self {
        self.original = reader.original().cloned();
        self
    }
}

impl Writer<'_> {
    /// Finishes the file as a copy of another one, with other metadata. No latent or other chunk
    /// may have been written before. If the new file replaces the file of `reader`,
    /// [`replacing`](WriteOptions::replacing) is implied.
    ///
    /// The chunks are copied byte for byte to the same offsets: nothing is decompressed, and no
    /// hash is checked ([`Reader::verify`] does that). The records and all other members of the
    /// manifest except `model_info` keep their original text. Of the options, only
    /// [`sync`](WriteOptions::sync), [`max_version`](WriteOptions::max_version),
    /// [`cancel_when`](WriteOptions::cancel_when) and [`progress`](WriteOptions::progress) apply.
    /// Progress counts stored bytes.
    ///
    /// ```no_run
    /// use gen5::{Metadata, Reader, Writer};
    ///
    /// let reader = Reader::open("run.gen5")?;
    /// let mut model = reader.metadata()?.into_model_info();
    /// model.tags.push("favourite".into());
    /// Writer::create("run.gen5")?.rewrite(&reader, &Metadata::new(&model)?)?;
    /// # Ok::<(), gen5::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// After any error, the path of the new file is as it was before.
    ///
    /// [`Error::Io`]; [`Error::Outdated`] if the file would replace itself but has changed since it
    /// was opened; [`Error::Changed`] if a file at another path became shorter meanwhile;
    /// [`Error::Metadata`] if the rest of the manifest is not JSON; [`Error::Cancelled`];
    /// [`Error::Argument`] if a chunk was written before, if the manifest becomes larger than
    /// readers accept, or if the chunks need a higher version than allowed; [`Error::TooLarge`] if
    /// the table makes the file too large for its version.
    pub fn rewrite(mut self, reader: &Reader, metadata: &Metadata) -> Result<Summary> {
        let mut own = None;
        if let (Some(draft), Some(original)) = (&mut self.draft, reader.original()) {
            draft.guard(original);
            let target = draft.target().to_owned();
            own = original.belongs_at(&target).then_some((original, target));
        }
        self.copy_from(reader, metadata).map_err(|error| match (error, own) {
            // The change by the other program is the reason why reading stopped.
            (error @ Error::Changed { .. }, Some((original, target))) => {
                original.check(&target).err().map_or(error, Error::of_publishing)
            }
            (error, _) => error,
        })
    }

    fn copy_from(self, reader: &Reader, metadata: &Metadata) -> Result<Summary> {
        let model_info = metadata.to_json()?;
        let (outline, text) = Outline::of(reader.manifest())?;
        let members = FileMembers { model_info: &model_info, records: text, count: None };
        let records = reader.chunks();
        let source = ChunkSource {
            records,
            needs_1_1: reader.version() > Version::V1_0 && records.iter().any(needs_1_1),
            read: &|buffer, at| reader.read_stored(buffer, at),
        };
        self.finish_verbatim(&source, &outline, &members)
    }
}

/// Returns whether version 1.0 may not have a chunk. A chunk of unknown type keeps the version of
/// its file.
fn needs_1_1(record: &ChunkRecord) -> bool {
    record.needs_1_1() || !record.kind().is_known()
}
