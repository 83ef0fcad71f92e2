//! What a latent is called, and how it is stored.

use super::options::{Compression, WriteOptions};
use crate::element::Dtype;
use crate::error::{Error, Result, latent_name};
use crate::manifest::Extra;

/// A latent's key, what its record says besides, and how it is stored, where that is not what the options say.
///
/// Text is the entry of a latent of that key. [`Entry::from`] a [`Latent`](crate::Latent) is that of a latent which is to be
/// in another file as it is in its own: without a key, too, or with one that others share.
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
    /// Whether it was in a file already, which may have what nobody can ask for: no key, or one that others have, too.
    pub(crate) carried: bool,
    /// Whether others may have its key.
    pub(crate) shares_key: bool,
}

/// The names in `extra` that have a meaning.
const OWN_MEMBERS: [&str; 4] = ["shape", "dtype", "key", "part"];

impl Entry {
    /// A latent of this key, stored as the options say.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            extra: Extra::new(),
            unknown: Extra::new(),
            compression: None,
            dtype: None,
            carried: false,
            shares_key: false,
        }
    }

    /// Its key; `None` if it was in a file without one.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether it is compressed, if that is not left to the options.
    pub fn stored_compression(&self) -> Option<Compression> {
        self.compression
    }

    /// Gives it a key, which no other latent has.
    pub fn renamed(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self.shares_key = false;
        self.extra.remove("key"); // one that was no text, and so no key
        self
    }

    /// Members of the record's `extra` besides those that the format defines.
    pub fn extra(mut self, extra: Extra) -> Self {
        self.extra = extra;
        self.carried = false;
        self
    }

    /// Whether it is compressed, whatever the options say.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// The type that its values are stored as, whatever the options say: to float32 they are converted exactly, to the
    /// others rounded to nearest, ties to even, and refused if a finite one would become infinite.
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// How errors call it.
    pub(super) fn name(&self) -> String {
        latent_name(self.key())
    }

    /// As which type values of `given` are stored.
    pub(super) fn stored_dtype(&self, given: Dtype, options: &WriteOptions) -> Dtype {
        self.dtype.unwrap_or(if options.float16 { Dtype::F16 } else { given })
    }

    /// Whether it is compressed.
    pub(super) fn compression_or(&self, options: &WriteOptions) -> Compression {
        self.compression.unwrap_or(options.compression)
    }

    /// Whether it can be cut into parts, which name the whole by its key.
    pub(super) fn can_be_cut(&self) -> bool {
        self.key.is_some() && !self.shares_key && self.extra.get("part").is_none()
    }

    /// Bytes of what a record says of it, at least: a part has the key twice.
    pub(super) fn text_size(&self) -> u64 {
        let members =
            self.extra.iter().chain(self.unknown.iter()).map(|(name, value)| name.len() + value.len());
        (2 * self.key().map_or(0, str::len) + members.sum::<usize>()) as u64
    }

    /// Refuses members of `extra` that the format defines. What was in a file does not have them, or in another form.
    pub(super) fn check(&self) -> Result<()> {
        match OWN_MEMBERS.into_iter().find(|name| self.extra.get(name).is_some()) {
            Some(name) if !self.carried => {
                let what = format!("extra members of latent {}", self.name());
                let expected = "other names than shape, dtype, key and part".into();
                Err(Error::Argument { what, expected, found: format!("{name:?}") })
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
