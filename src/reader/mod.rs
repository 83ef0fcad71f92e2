//! Reading GEN5 files: opening checks the header and the chunk table, and each access to a payload
//! checks that chunk.

mod fingerprint;
mod frame;
mod latent;
mod latents;
mod load;
mod memory;
mod open;
mod payload;
mod values;
mod verify;
mod watch;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use gen5_publish::Original;

pub use latent::Latent;
pub use latents::Latents;
pub use load::Loaded;
pub use open::ReadOptions;
pub use verify::{ChunkReport, VerifyReport};

use self::open::Table;
use self::watch::Watch;
use crate::element::Element;
use crate::error::{Error, Place, Result};
use crate::excerpt::quote;
use crate::manifest::{ChunkRecord, Layout, Manifest, Metadata, MostTags, Outline};
use crate::snapshot::Environment;
use crate::source::Source;
use crate::wire::Version;

/// An open GEN5 file whose header and chunk table are valid.
///
/// Cloning is cheap, and clones share the file. No method panics on malformed input.
///
/// ```
/// use gen5::{Metadata, Reader, WriteOptions};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("batch.gen5");
/// # let mut writer = WriteOptions::new().create(&path)?;
/// # writer.latent("noise", &[2, 2], &[0.0_f32, 0.5, 1.0, 1.5])?;
/// # writer.finish(&Metadata::builder("Stable Diffusion 3", "3.0").prompt("a lighthouse").build()?)?;
/// let reader = Reader::open(&path)?;
/// let noise = reader.latent("noise")?;
/// assert_eq!(noise.shape(), [2, 2]);
/// assert_eq!(noise.read::<f32>()?[3], 1.5);
/// assert_eq!(reader.metadata()?.model_info().prompt, "a lighthouse");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

/// A file as one reader and its clones use it.
pub(crate) struct Inner {
    file: Arc<OpenFile>,
    options: ReadOptions,
}

impl Deref for Inner {
    type Target = OpenFile;

    fn deref(&self) -> &OpenFile {
        &self.file
    }
}

impl Inner {
    fn watch(&self) -> Watch<'_> {
        Watch { cancelled: &self.options.cancelled, progress: &self.options.progress }
    }

    /// The same file with other options.
    fn with_options(&self, options: ReadOptions) -> Arc<Self> {
        Arc::new(Self { file: Arc::clone(&self.file), options })
    }
}

/// A file whose header and chunk table are valid. Readers with other options can share it.
pub(crate) struct OpenFile {
    source: Source,
    table: Table,
    manifest: Manifest,
    layout: Layout,
    /// Positions of the latents that have a key, sorted by key. Computed at the first lookup by
    /// key.
    names: OnceLock<Vec<usize>>,
}

impl OpenFile {
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

    /// Returns the positions of the latents with this key.
    fn names_of(&self, key: &str) -> &[usize] {
        let names = self.names();
        let start = names.partition_point(|&latent| self.key(latent) < Some(key));
        let end = names.partition_point(|&latent| self.key(latent) <= Some(key));
        names.get(start..end).unwrap_or_default()
    }
}

impl Reader {
    /// Opens a file for reading with the default [`ReadOptions`].
    ///
    /// The file is read with positioned reads into this process's memory. If the file shrinks or
    /// changes during reading, the result is an error, never a signal.
    ///
    /// # Errors
    ///
    /// The same errors as [`ReadOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        ReadOptions::new().open(path)
    }

    /// Reads a file that is already open, such as an unnamed temporary file, with the default
    /// [`ReadOptions`].
    ///
    /// # Errors
    ///
    /// The same errors as [`ReadOptions::open`].
    pub fn from_file(file: File) -> Result<Self> {
        ReadOptions::new().from_file(file)
    }

    /// Maps a file into memory with the default [`ReadOptions`]. Uncompressed latents are then
    /// slices of the file.
    ///
    /// The header and the table are copied before they are parsed.
    ///
    /// # Safety
    ///
    /// While the reader, a clone of it, or one of its [`Latent`]s is alive, no process may write to
    /// the file, truncate it or punch holes in it. Replacing the file by renaming another file over
    /// it is safe; this crate's writer replaces files in this way.
    ///
    /// # Errors
    ///
    /// The same errors as [`ReadOptions::open`].
    #[allow(unsafe_code)]
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self> {
        // SAFETY: this function has the same contract as `ReadOptions::map`, and the caller upholds
        // it.
        unsafe { ReadOptions::new().map(path) }
    }

    /// Reads a file that is in memory, with the default [`ReadOptions`].
    ///
    /// Each access calls `as_ref` on `bytes` again and checks the returned slice, which may differ
    /// from call to call.
    ///
    /// # Errors
    ///
    /// The same errors as [`ReadOptions::open`], except file system errors.
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self> {
        ReadOptions::new().from_bytes(bytes)
    }

    /// Returns a reader of the same open file that this function cancels, as
    /// [`ReadOptions::cancel_when`] describes. It replaces the function of this reader.
    ///
    /// It is cheap: the file is not opened again, and its table is shared. So each thread can have
    /// a reader that is cancelled on its own.
    pub fn with_cancel(&self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let options = self.inner.options.clone().cancel_when(cancelled);
        Self { inner: self.inner.with_options(options) }
    }

    /// Returns a reader of the same open file whose reads call this function, as
    /// [`ReadOptions::progress`] describes. It replaces the function of this reader.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let reader = gen5::Reader::open("batch.gen5")?;
    /// let bytes_read = Arc::new(AtomicU64::new(0));
    /// let counter = Arc::clone(&bytes_read);
    /// let counting = reader.with_progress(move |bytes| _ = counter.fetch_add(bytes, Ordering::Relaxed));
    /// let values = counting.latent("noise")?.read_as::<f32>()?;
    /// # Ok::<(), gen5::Error>(())
    /// ```
    pub fn with_progress(&self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        let options = self.inner.options.clone().progress(progress);
        Self { inner: self.inner.with_options(options) }
    }

    /// Returns the version of the format.
    pub fn version(&self) -> Version {
        self.inner.table.header.version()
    }

    /// Returns the length of the file in bytes.
    pub fn file_size(&self) -> u64 {
        self.inner.source.len()
    }

    /// Returns the records of all chunks, in table order.
    pub fn chunks(&self) -> &[ChunkRecord] {
        self.inner.records()
    }

    /// Returns an iterator over the latents, in file order.
    pub fn latents(&self) -> Latents {
        Latents::of(&self.inner)
    }

    /// Returns the latent with this key.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchLatent`] if the file has no such latent; [`Error::AmbiguousKey`] if several
    /// latents have this key.
    pub fn latent(&self, key: &str) -> Result<Latent> {
        let same = self.inner.names_of(key);
        match *same {
            [index] => Ok(Latent::whole(&self.inner, index)),
            [first, ..] => Err(Error::AmbiguousKey { key: key.to_owned(), count: same.len(), first }),
            [] => Err(Error::NoSuchLatent { key: key.to_owned(), hint: self.hint() }),
        }
    }

    /// Returns the latent at this position, counted from 0 in file order. This also reaches latents
    /// that have no key or share one.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `index` is out of range.
    pub fn latent_at(&self, index: usize) -> Result<Latent> {
        let count = self.inner.layout.latents.len();
        if index >= count {
            return Err(Error::argument("position of a latent", format!("below {count}"), index.to_string()));
        }
        Ok(Latent::whole(&self.inner, index))
    }

    /// Returns the values of a latent as a slice that borrows from this reader. It combines
    /// [`latent`](Self::latent) and [`Latent::as_slice`].
    ///
    /// # Errors
    ///
    /// The same errors as [`latent`](Self::latent) and [`Latent::as_slice`].
    pub fn slice<T: Element>(&self, key: &str) -> Result<&[T]> {
        self.latent(key)?.borrow_from(&self.inner)
    }

    /// Returns a list of the existing keys for the text of [`Error::NoSuchLatent`].
    fn hint(&self) -> String {
        let keys: Vec<String> = (0..self.inner.layout.latents.len())
            .filter_map(|latent| self.inner.key(latent))
            .take(5)
            .map(quote)
            .collect();
        match self.inner.names().len().saturating_sub(keys.len()) {
            0 if keys.is_empty() => "the file has no latents with keys".into(),
            0 => format!("the file has {}", keys.join(", ")),
            more => format!("the file has {} and {more} more", keys.join(", ")),
        }
    }

    /// Returns the decompressed payload of any chunk, borrowed where possible.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `index` is out of range; [`Error::Limit`]; and the errors of a
    /// damaged chunk.
    pub fn payload(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let record = self.record(index)?;
        let inner = &self.inner;
        let check = inner.options.check_hashes;
        inner.options.cancelled.check()?;
        match payload::borrow_payload(&inner.source, record, check, inner.watch(), Ok)? {
            Some(payload) => Ok(Cow::Borrowed(payload)),
            None => {
                let limits = &inner.options.limits;
                payload::read_payload(&inner.source, record, limits, check, inner.watch()).map(Cow::Owned)
            }
        }
    }

    /// Returns the first bytes of a chunk's payload, at most `most` of them. This is enough to
    /// recognize an image format without reading the image.
    ///
    /// The hash is not checked, and only `most` limits the allocation.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `index` is out of range, and the errors of a damaged chunk.
    pub fn payload_start(&self, index: usize, most: usize) -> Result<Vec<u8>> {
        let record = self.record(index)?;
        let size = record.payload_size().min(most as u64);
        let mut start = memory::allocate(size, &record.place().to_string())?;
        payload::PayloadReader::open(&self.inner.source, record, false)?.read_exact(&mut start)?;
        Ok(start)
    }

    fn record(&self, index: usize) -> Result<&ChunkRecord> {
        self.chunks().get(index).ok_or_else(|| {
            let count = self.chunks().len();
            Error::argument("position of a chunk", format!("below {count}"), index.to_string())
        })
    }

    /// Returns the encoded image (PNG, JPEG, …), if the file has one.
    ///
    /// # Errors
    ///
    /// The errors of a damaged chunk.
    pub fn image(&self) -> Result<Option<Cow<'_, [u8]>>> {
        self.inner.layout.image.map(|index| self.payload(index)).transpose()
    }

    /// Returns the environment, if the file has one, after checking every component against its
    /// digest.
    ///
    /// # Errors
    ///
    /// The errors of a damaged chunk, [`Error::Json`] and [`Error::ComponentDigest`].
    pub fn environment(&self) -> Result<Option<Environment>> {
        let Some(record) = self.inner.layout.environment.and_then(|index| self.chunks().get(index)) else {
            return Ok(None);
        };
        let json = self.payload(record.index())?;
        Environment::read(&json, &record.place()).map(Some)
    }

    /// Returns the stored JSON text of the environment, if the file has one.
    ///
    /// # Errors
    ///
    /// The errors of a damaged chunk.
    pub fn environment_json(&self) -> Result<Option<Cow<'_, [u8]>>> {
        self.inner.layout.environment.map(|index| self.payload(index)).transpose()
    }

    /// Returns the metadata. Members that the schema defines are typed, and all others are kept as
    /// JSON text.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] if the metadata does not match the schema or this crate cannot represent
    /// it; [`Error::Limit`] if it has too many tags. In both cases the latents are still readable,
    /// and [`manifest_json`](Self::manifest_json) returns the stored text.
    pub fn metadata(&self) -> Result<Metadata> {
        let place = Some(Place::Table { offset: self.inner.table.offset });
        let most_tags = MostTags { number: self.inner.options.limits.tags, place };
        Metadata::from_manifest(&self.inner.manifest.text, &most_tags)
    }

    /// Returns the stored text of the whole manifest. It is JSON, except that Python may have
    /// written the tokens `NaN` and `Infinity`.
    pub fn manifest_json(&self) -> &str {
        &self.inner.manifest.text
    }

    /// Returns the stored text of the manifest's `model_info`.
    pub fn model_info_json(&self) -> &str {
        self.inner.manifest.model_info_json()
    }

    /// Returns the outline of the manifest, for [`Writer::finish_with`](crate::Writer::finish_with).
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] if the manifest without `model_info` is not JSON.
    pub fn outline(&self) -> Result<Outline> {
        Outline::of(self.manifest()).map(|(outline, _)| outline)
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// Returns the file that was opened, or `None` for bytes in memory.
    pub(crate) fn original(&self) -> Option<&Arc<Original>> {
        self.inner.source.original()
    }

    /// Fills `buffer` with the stored bytes of the file, starting at `offset`.
    pub(crate) fn read_stored(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.inner.source.read_exact_at(buffer, offset)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("version", &format_args!("{}", self.version()))
            .field("file_size", &self.file_size())
            .field("chunks", &self.chunks().len())
            .field("latents", &self.inner.layout.latents.len())
            .finish()
    }
}
