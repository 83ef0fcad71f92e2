//! A file with other metadata: reader and writer together.

use std::path::Path;

use crate::error::{Error, Result};
use crate::manifest::{ChunkRecord, Extra, Metadata, to_text};
use crate::reader::Reader;
use crate::wire::ChunkType;
use crate::writer::{Chunks, WriteOptions};

impl WriteOptions {
    /// Writes a copy of a file with other metadata to `path`, in the place of what is there: of the file itself, for one.
    ///
    /// The chunks are carried as they are, at the same offsets: nothing is decompressed, and no hash is checked
    /// ([`Reader::verify`] does that). Records and whatever else the manifest holds beside `model_info` stay as they are
    /// spelled. Of the options, [`sync`](Self::sync), [`cancel_when`](Self::cancel_when) and [`progress`](Self::progress)
    /// count, which is told of stored bytes.
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
    /// [`Error::Io`]; [`Error::Changed`] if the file became shorter meanwhile; [`Error::Metadata`] if what the manifest
    /// holds beside `model_info` is not JSON; [`Error::Cancelled`]; [`Error::Argument`] if the manifest becomes larger than readers take. After
    /// any of them `path` is as it was.
    pub fn rewrite(self, reader: &Reader, metadata: &Metadata, path: impl AsRef<Path>) -> Result<Rewritten> {
        self.rewrite_at(reader, metadata, path.as_ref(), true)
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
        self.rewrite_at(reader, metadata, path.as_ref(), false)
    }

    fn rewrite_at(
        self,
        reader: &Reader,
        metadata: &Metadata,
        path: &Path,
        replace: bool,
    ) -> Result<Rewritten> {
        let outline = Outline::of(reader, metadata)?;
        let records = reader.chunks();
        let chunks = Chunks {
            end: records.iter().map(ChunkRecord::end).max().unwrap_or(0),
            count: records.len(),
            is_newer: reader.version() > (1, 0) && records.iter().any(is_newer),
            read: &|buffer, at| reader.read_stored(buffer, at),
            manifest: &|file_size, version| outline.text(file_size, version),
        };
        let (file_size, version) = self.copy(&chunks, path, replace)?;
        Ok(Rewritten { version, file_size })
    }
}

/// Whether a chunk may be one that version 1.0 does not have. What is unknown here keeps the version it has.
fn is_newer(record: &ChunkRecord) -> bool {
    const KNOWN: [ChunkType; 3] = [ChunkType::LATENT, ChunkType::IMAGE, ChunkType::ENVIRONMENT];
    let is_of_1_0 = |dtype| matches!(dtype, crate::Dtype::F16 | crate::Dtype::F32);
    record.is_shuffled() || !record.dtype().is_none_or(is_of_1_0) || !KNOWN.contains(&record.kind())
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

/// A manifest, open where it depends on the file.
struct Outline {
    root: Extra,
    body: Extra,
    file_info: Extra,
}

impl Outline {
    /// The manifest of a file, with other metadata.
    fn of(reader: &Reader, metadata: &Metadata) -> Result<Self> {
        let parse = |text: &str| -> Result<Extra> {
            serde_json::from_str(text).map_err(|error| Error::Metadata {
                member: "the manifest".into(),
                expected: "valid JSON beside `model_info`".into(),
                found: error.to_string(),
            })
        };
        // The old metadata may be what makes it no JSON.
        let (before, after) = reader.around_model_info();
        let model_info = to_text("model_info", metadata.model_info())?;
        let mut root = parse(&[before, &model_info, after].concat())?;
        let mut body = parse(root.get("gen5_metadata").unwrap_or_default())?;
        let file_info = parse(body.get("file_info").unwrap_or_default())?;
        // What is put in again keeps its place, and need not be kept twice until then.
        root.insert("gen5_metadata", &())?;
        body.insert("file_info", &())?;
        Ok(Self { root, body, file_info })
    }

    /// The text, for a file of this length and version.
    fn text(&self, file_size: u64, version: (u8, u8)) -> Result<String> {
        let (mut root, mut body, mut file_info) =
            (self.root.clone(), self.body.clone(), self.file_info.clone());
        file_info.insert("version_major", &version.0)?;
        file_info.insert("version_minor", &version.1)?;
        file_info.insert("file_size", &file_size)?;
        body.insert("file_info", &file_info)?;
        root.insert("gen5_metadata", &body)?;
        to_text("the manifest", &root)
    }
}
