//! One digest that identifies a whole file.

use zerocopy::{FromZeros, IntoBytes};

use super::Reader;
use super::memory::allocate;
use super::payload::read_table;
use crate::codec::{Digest, Hasher};
use crate::error::{Error, Place, Result};
use crate::source::Source;
use crate::wire::FileHeader;

impl Reader {
    /// Returns the file's fingerprint: the SHA-256 of its header and its chunk table as stored.
    ///
    /// The table holds the hash of every payload. So if [`verify`](Self::verify) passes on a file
    /// with this fingerprint, its contents are identical.
    ///
    /// This costs no more than opening, whatever the size of the file. The header and the table are
    /// read again, and compared with the state of the file when it was opened.
    ///
    /// # Errors
    ///
    /// [`Error::Rewritten`] and [`Error::Changed`] if the header or the table has changed since;
    /// [`Error::Memory`]; [`Error::Io`].
    pub fn fingerprint(&self) -> Result<Digest> {
        let source = &self.inner.source;
        let table = &self.inner.table;
        let mut header = FileHeader::new_zeroed();
        source.read_exact_at(header.as_mut_bytes(), 0)?;
        if header.as_bytes() != table.header.as_bytes() {
            return Err(Error::Rewritten { place: Place::Header });
        }
        let mut stored = allocate(table.size, "the chunk table")?;
        source.read_exact_at(&mut stored, table.offset)?;
        let mut hasher = Hasher::default();
        hasher.update(header.as_bytes());
        hasher.update(&stored);
        let limit = self.inner.options.limits.table_bytes;
        match read_table(&Source::from_bytes(Box::new(stored)), 0, table.size, limit) {
            Ok(text) if text == self.inner.manifest.text.as_bytes() => Ok(hasher.finish()),
            _ => Err(Error::Rewritten { place: Place::Table { offset: table.offset } }),
        }
    }
}
