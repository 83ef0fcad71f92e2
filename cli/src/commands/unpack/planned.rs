//! The files that `unpack` will write.

use std::collections::HashSet;
use std::sync::Arc;

use gen5::Latent;

use crate::convert;
use crate::convert::write::{Container, Piece};
use crate::values::Normalization;

/// The texts of a file's header, where it has one. Many files may have the same.
pub(super) type Texts = Arc<convert::texts::Texts>;

/// A file that is to be written.
pub(super) struct Planned {
    /// Relative to the folder that is written.
    pub(super) path: String,
    pub(super) container: Container,
    pub(super) pieces: Vec<Piece<Values>>,
    pub(super) texts: Texts,
    /// What the file was called that it was made of, if it is that again.
    pub(super) source: Option<String>,
}

impl Planned {
    /// Its name without folder and extension, if this is the extension.
    pub(super) fn stem(&self, extension: &str) -> Option<&str> {
        let name = self.path.rsplit('/').next()?;
        name.strip_suffix(extension)?.strip_suffix('.')
    }
}

/// The values of an array.
pub(super) enum Values {
    /// Those of a latent.
    Latent {
        latent: Latent,
        /// Which row, along its first axis, if not all of it.
        row: Option<usize>,
        /// How they were scaled, if that is to be undone.
        unscale: Option<Normalization>,
    },
    /// Others, which are few.
    Bytes(Vec<u8>),
}

/// All files, and what is to be said of them.
pub(super) struct Plan {
    pub(super) files: Vec<Planned>,
    pub(super) notes: Vec<String>,
}

/// Latents, by position, and rows of them, or the whole.
pub(super) type Used = HashSet<(usize, Option<usize>)>;
