//! The key of a latent and how it is stored.

use super::options::{Compression, WriteOptions};
use crate::element::Dtype;
use crate::error::{Error, Result, latent_name};
use crate::manifest::Extra;

/// A latent's key, its other record members, and storage settings that override the options.
///
/// A string converts into an entry with that key and default storage. [`Entry::from`] a
/// [`Latent`](crate::Latent) reference copies everything its file records about the latent, even a
/// missing or duplicate key.
///
/// ```
/// use gen5::{Compression, Dtype, Entry};
///
/// let entry = Entry::new("noise").dtype(Dtype::BF16).compression(Compression::Shuffled);
/// # _ = entry;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Entry {
    pub(crate) key: Option<String>,
    /// Members of the record's `extra`.
    pub(crate) extra: Extra,
    /// Members of the record itself.
    pub(crate) unknown: Extra,
    pub(crate) compression: Option<Compression>,
    pub(super) dtype: Option<Dtype>,
    /// Whether the latent comes from another file. Only such a latent can have no key, or share its
    /// key.
    pub(crate) copied: bool,
    /// Whether other latents may have the same key.
    pub(crate) shares_key: bool,
}

/// The members of `extra` that the format defines.
const OWN_MEMBERS: [&str; 4] = ["shape", "dtype", "key", "part"];

impl Entry {
    /// Creates an entry for a latent with this key, stored as the options specify.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            extra: Extra::new(),
            unknown: Extra::new(),
            compression: None,
            dtype: None,
            copied: false,
            shares_key: false,
        }
    }

    /// Returns the key, or `None` if the latent comes from a file that gives it none.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns whether the latent is compressed, or `None` if the options decide.
    pub fn stored_compression(&self) -> Option<Compression> {
        self.compression
    }

    /// Sets the key, which must be unique in the file.
    pub fn renamed(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self.shares_key = false;
        self.extra.remove("key"); // one that was no text, and so no key
        self
    }

    /// Sets the members of the record's `extra`, except those that the format defines.
    pub fn extra(mut self, extra: Extra) -> Self {
        self.extra = extra;
        self.copied = false;
        self
    }

    /// Sets whether the latent is compressed, overriding the options.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets the dtype in which the values are stored, overriding the options.
    ///
    /// The conversion to float32 is exact. Conversions to other types round to nearest, ties to
    /// even, and fail if a finite value would become infinite.
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// Returns the latent's name for error messages.
    pub(super) fn name(&self) -> String {
        latent_name(self.key())
    }

    /// Returns the dtype in which values of dtype `given` are stored.
    pub(super) fn stored_dtype(&self, given: Dtype, options: &WriteOptions) -> Dtype {
        self.dtype.or(options.dtype).unwrap_or(given)
    }

    /// Returns the compression of this latent, from the options unless it is set here.
    pub(super) fn compression_or(&self, options: &WriteOptions) -> Compression {
        self.compression.unwrap_or(options.compression)
    }

    /// Returns whether the latent can be cut into parts, which refer to it by its key.
    pub(super) fn can_be_cut(&self) -> bool {
        self.key.is_some() && !self.shares_key && self.extra.get("part").is_none()
    }

    /// Returns a lower bound on the bytes that this entry adds to a record. A part contains the key
    /// twice.
    pub(super) fn text_size(&self) -> u64 {
        let members =
            self.extra.iter().chain(self.unknown.iter()).map(|(name, value)| name.len() + value.len());
        (2 * self.key().map_or(0, str::len) + members.sum::<usize>()) as u64
    }

    /// Returns an error if `extra` has members that the format defines. An entry from another file
    /// is exempt: it has no such members, or has them in another form.
    pub(super) fn check(&self) -> Result<()> {
        match OWN_MEMBERS.into_iter().find(|name| self.extra.get(name).is_some()) {
            Some(name) if !self.copied => {
                let what = format!("extra members of latent {}", self.name());
                let expected = "names other than shape, dtype, key and part";
                Err(Error::argument(what, expected, format!("{name:?}")))
            }
            _ => Ok(()),
        }
    }
}

impl From<&str> for Entry {
    fn from(key: &str) -> Self {
        Self::new(key)
    }
}

impl From<String> for Entry {
    fn from(key: String) -> Self {
        Self::new(key)
    }
}

impl From<&String> for Entry {
    fn from(key: &String) -> Self {
        Self::new(key)
    }
}
