//! Reading: a file is checked once when it is opened, and its payloads each time they are handed out.

mod fingerprint;
mod frame;
mod latent;
mod load;
mod memory;
mod open;
mod payload;
mod values;
mod verify;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub use latent::Latent;
pub use load::Loaded;
pub use open::ReadOptions;
pub use verify::{ChunkReport, VerifyReport};

use self::open::Table;
use crate::element::Element;
use crate::environment::Environment;
use crate::error::{Error, Place, Result};
use crate::manifest::{ChunkRecord, Layout, Manifest, Metadata, MostTags};
use crate::shorten::quote;
use crate::source::Source;
use gen5_publish::Original;

/// A GEN5 file that was opened, and whose header and chunk table were found sound.
///
/// Cloning is cheap, and clones share the file. No call panics on any bytes.
#[derive(Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    source: Source,
    options: ReadOptions,
    table: Table,
    manifest: Manifest,
    layout: Layout,
    /// Positions of the latents that have a key, sorted by it. Made when a latent is first asked for by its key.
    names: OnceLock<Vec<usize>>,
}

impl Inner {
    fn records(&self) -> &[ChunkRecord] {
        &self.manifest.records
    }

    fn key(&self, latent: usize) -> Option<&str> {
        self.layout.latents.get(latent).and_then(|entry| entry.key(self.records()))
    }

    fn names(&self) -> &[usize] {
        self.names.get_or_init(|| {
            let mut names: Vec<usize> =
                (0..self.layout.latents.len()).filter(|&latent| self.key(latent).is_some()).collect();
            names.sort_by_key(|&latent| self.key(latent));
            names
        })
    }

    /// The positions of the latents of this key.
    fn names_of(&self, key: &str) -> &[usize] {
        let names = self.names();
        let start = names.partition_point(|&latent| self.key(latent) < Some(key));
        let end = names.partition_point(|&latent| self.key(latent) <= Some(key));
        names.get(start..end).unwrap_or_default()
    }
}

impl Reader {
    /// Opens a file for reading, with the default [`ReadOptions`].
    ///
    /// It is read with positioned reads into memory of this process, so a file that shrinks or changes meanwhile gives
    /// an error, never a signal.
    ///
    /// # Errors
    ///
    /// As [`ReadOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        ReadOptions::new().open(path)
    }

    /// Maps a file into memory, with the default [`ReadOptions`]: uncompressed latents are then slices of the file.
    ///
    /// Header and table are copied before they are parsed.
    ///
    /// # Safety
    ///
    /// As long as the reader, a clone of it, or a [`Latent`] of it lives, nothing may write to the file, truncate it or
    /// punch holes in it, in this process or in another. Replacing the file by renaming another over it is fine, and
    /// is what this crate's writer does.
    ///
    /// # Errors
    ///
    /// As [`ReadOptions::open`].
    #[allow(unsafe_code)]
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self> {
        // SAFETY: the caller makes the promise that is asked for.
        unsafe { ReadOptions::new().map(path) }
    }

    /// Reads a file that is in memory, with the default [`ReadOptions`].
    ///
    /// `bytes` is asked for its slice at each access; what it answers may change, and is checked each time.
    ///
    /// # Errors
    ///
    /// As [`ReadOptions::open`], without those of the file system.
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self> {
        ReadOptions::new().from_bytes(bytes)
    }

    /// Major and minor version of the format.
    pub fn version(&self) -> (u8, u8) {
        self.inner.table.header.version()
    }

    /// Length of the file in bytes.
    pub fn file_size(&self) -> u64 {
        self.inner.source.len()
    }

    /// The records of all chunks, in the order of the table.
    pub fn chunks(&self) -> &[ChunkRecord] {
        self.inner.records()
    }

    /// The latents, in the order of the file.
    pub fn latents(&self) -> impl ExactSizeIterator<Item = Latent> {
        (0..self.inner.layout.latents.len()).map(|index| Latent::whole(&self.inner, index))
    }

    /// The latent of this key.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchLatent`], or [`Error::AmbiguousKey`] if several have it.
    pub fn latent(&self, key: &str) -> Result<Latent> {
        let same = self.inner.names_of(key);
        match *same {
            [index] => Ok(Latent::whole(&self.inner, index)),
            [first, ..] => Err(Error::AmbiguousKey { key: key.to_owned(), count: same.len(), first }),
            [] => Err(Error::NoSuchLatent { key: key.to_owned(), hint: self.hint() }),
        }
    }

    /// The latent at this position, from 0, in the order of the file: the way to one that has no key, or shares it.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are not that many.
    pub fn latent_at(&self, index: usize) -> Result<Latent> {
        let count = self.inner.layout.latents.len();
        if index >= count {
            let what = "position of a latent".into();
            return Err(Error::Argument {
                what,
                expected: format!("below {count}"),
                found: index.to_string(),
            });
        }
        Ok(Latent::whole(&self.inner, index))
    }

    /// The values of a latent, borrowed from the file by way of this reader: [`Latent::as_slice`] in one step.
    ///
    /// # Errors
    ///
    /// As [`latent`](Self::latent) and [`Latent::as_slice`].
    pub fn slice<T: Element>(&self, key: &str) -> Result<&[T]> {
        self.latent(key)?.borrow_from(&self.inner)
    }

    /// The names there are, for an error that says one is not among them.
    fn hint(&self) -> String {
        let keys: Vec<String> = (0..self.inner.layout.latents.len())
            .filter_map(|latent| self.inner.key(latent))
            .take(5)
            .map(quote)
            .collect();
        match self.inner.names().len().saturating_sub(keys.len()) {
            0 if keys.is_empty() => "the file has no latent with a key".into(),
            0 => format!("there are {}", keys.join(", ")),
            more => format!("there are {} and {more} more", keys.join(", ")),
        }
    }

    /// The payload of any chunk, decompressed, borrowed where it can be.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are not that many chunks; [`Error::Limit`] and the errors of damaged chunks.
    pub fn payload(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let (record, inner) = (self.record(index)?, &self.inner);
        let check = inner.options.check_hashes;
        match payload::borrow_payload(&inner.source, record, check, Ok)? {
            Some(payload) => Ok(Cow::Borrowed(payload)),
            None => {
                payload::read_payload(&inner.source, record, &inner.options.limits, check).map(Cow::Owned)
            }
        }
    }

    /// The first bytes of a chunk's payload, at most `most` of them: enough to tell what an image is without reading it.
    /// Its hash is not checked, and `most` is the only limit on what is allocated.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are not that many chunks, and the errors of damaged chunks.
    pub fn payload_start(&self, index: usize, most: usize) -> Result<Vec<u8>> {
        let record = self.record(index)?;
        let size = record.payload_size().min(most as u64);
        let mut start = memory::allocate(size, &record.place().to_string())?;
        payload::PayloadReader::open(&self.inner.source, record, false)?.read_exact(&mut start)?;
        Ok(start)
    }

    fn record(&self, index: usize) -> Result<&ChunkRecord> {
        self.chunks().get(index).ok_or_else(|| {
            let (expected, found) = (format!("below {}", self.chunks().len()), index.to_string());
            Error::Argument { what: "position of a chunk".into(), expected, found }
        })
    }

    /// The encoded image (PNG, JPEG, …), if the file has one.
    ///
    /// # Errors
    ///
    /// Those of a damaged chunk.
    pub fn image(&self) -> Result<Option<Cow<'_, [u8]>>> {
        self.inner.layout.image.map(|index| self.payload(index)).transpose()
    }

    /// The environment, if the file has one, every component checked against its digest.
    ///
    /// # Errors
    ///
    /// Those of a damaged chunk, [`Error::Json`] and [`Error::ComponentDigest`].
    pub fn environment(&self) -> Result<Option<Environment>> {
        let Some(record) = self.inner.layout.environment.and_then(|index| self.chunks().get(index)) else {
            return Ok(None);
        };
        let json = self.payload(record.index())?;
        Environment::read(&json, &record.place()).map(Some)
    }

    /// The environment's JSON as it is stored, if the file has one.
    ///
    /// # Errors
    ///
    /// Those of a damaged chunk.
    pub fn environment_json(&self) -> Result<Option<Cow<'_, [u8]>>> {
        self.inner.layout.environment.map(|index| self.payload(index)).transpose()
    }

    /// The metadata: typed where the schema knows a member, everything else kept.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] if it is not what the schema asks for, or not what this crate can take in. The latents can be
    /// read all the same, and the text is at [`manifest_json`](Self::manifest_json). [`Error::Limit`] for too many tags.
    pub fn metadata(&self) -> Result<Metadata> {
        let Inner { table, options, manifest, .. } = &*self.inner;
        let place = Some(Place::Table { offset: table.offset });
        Metadata::from_manifest(&manifest.text, &MostTags { number: options.limits.tags, place })
    }

    /// The whole manifest as it is stored: JSON, but for the tokens `NaN` and `Infinity`, which Python may have written.
    pub fn manifest_json(&self) -> &str {
        &self.inner.manifest.text
    }

    /// The manifest's `model_info` as it is stored.
    pub fn model_info_json(&self) -> &str {
        let manifest = &self.inner.manifest;
        manifest.text.get(manifest.model_info.clone()).unwrap_or_default()
    }

    /// The manifest's text before its `model_info` and behind it.
    pub(crate) fn around_model_info(&self) -> (&str, &str) {
        let Manifest { text, model_info, .. } = &self.inner.manifest;
        let before = text.get(..model_info.start).unwrap_or_default();
        (before, text.get(model_info.end..).unwrap_or_default())
    }

    /// The file that was opened; `None` for bytes in memory.
    pub(crate) fn original(&self) -> Option<&Arc<Original>> {
        self.inner.source.original()
    }

    /// Fills `buffer` with the file's bytes from `offset` on, as they are stored.
    pub(crate) fn read_stored(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.inner.source.read_exact_at(buffer, offset)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("version", &self.version())
            .field("file_size", &self.file_size())
            .field("chunks", &self.chunks().len())
            .field("latents", &self.inner.layout.latents.len())
            .finish()
    }
}
