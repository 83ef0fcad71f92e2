//! The manifest: the table of chunks, checked until it can be trusted, and the metadata of the
//! image.

mod claims;
mod extra;
mod json;
mod layout;
mod locate;
mod members;
mod metadata;
mod model;
mod outline;
mod read;
mod record;
mod write;

pub use extra::Extra;
pub(crate) use extra::to_text;
pub(crate) use json::for_each_element;
pub(crate) use layout::{LatentEntry, Layout, lay_out, row_axis};
pub(crate) use members::MostTags;
pub use metadata::{Metadata, MetadataBuilder};
pub use model::{GenerationSettings, Gpu, HardwareInfo, ModelInfo};
pub(crate) use outline::FileMembers;
pub use outline::Outline;
pub(crate) use read::Manifest;
pub(crate) use record::LatentRecord;
pub use record::{ChunkRecord, Part};
pub(crate) use write::records_json;

use crate::limits::Limits;
use crate::wire::Version;

/// The file header's values for the table, and the limits.
pub(crate) struct TableContext<'a> {
    pub(crate) offset: u64,
    pub(crate) chunk_count: u64,
    pub(crate) version: Version,
    pub(crate) limits: &'a Limits,
}
