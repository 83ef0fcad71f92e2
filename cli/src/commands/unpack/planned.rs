//! The files that `unpack` will write.

use std::collections::HashSet;
use std::sync::Arc;

use gen5::Latent;
use gen5_picture::Normalization;

use crate::convert::texts::Texts;
use crate::convert::write::{Container, Piece};

/// The texts in a file's header, if it has any. Many files may share the same texts.
pub(super) type SharedTexts = Arc<Texts>;

/// A file to write.
pub(super) struct PlannedFile {
    /// Relative to the output folder.
    pub(super) path: String,
    pub(super) container: Container,
    pub(super) pieces: Vec<Piece<PieceData>>,
    pub(super) texts: SharedTexts,
    /// The name of the original file, if this restores it.
    pub(super) source: Option<String>,
}

impl PlannedFile {
    /// The file name without folder and extension, if it has this extension.
    pub(super) fn stem(&self, extension: &str) -> Option<&str> {
        let name = self.path.rsplit('/').next()?;
        name.strip_suffix(extension)?.strip_suffix('.')
    }
}

/// The values of an array.
pub(super) enum PieceData {
    /// Values of a latent.
    Latent {
        latent: Latent,
        /// A row along the first axis; `None` for the whole latent.
        row: Option<usize>,
        /// The scaling to undo, if any.
        unscale: Option<Normalization>,
    },
    /// Other values, in small numbers.
    Bytes(Vec<u8>),
}

/// All files to write, and the notes about them.
pub(super) struct UnpackPlan {
    pub(super) files: Vec<PlannedFile>,
    pub(super) notes: Vec<String>,
}

/// Latents by position, each with a row, or `None` for the whole.
pub(super) type Used = HashSet<(usize, Option<usize>)>;
