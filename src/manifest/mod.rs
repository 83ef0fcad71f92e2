//! The manifest: the table of chunks, checked until it can be trusted, and the metadata of the image.

mod json;
mod layout;
mod locate;
mod members;
mod metadata;
mod model;
mod record;
mod table;

pub use json::Extra;
pub(crate) use json::to_text;
pub(crate) use layout::{LatentEntry, Layout, lay_out, row_axis};
pub use metadata::{Metadata, MetadataBuilder};
pub use model::{GenerationSettings, Gpu, HardwareInfo, ModelInfo};
pub use record::{ChunkRecord, Part};
pub(crate) use table::Manifest;

use crate::limits::Limits;

/// What the file header says of the table, and what it may cost.
pub(crate) struct TableContext<'a> {
    pub(crate) offset: u64,
    pub(crate) chunk_count: u64,
    pub(crate) version: (u8, u8),
    pub(crate) limits: &'a Limits,
}
