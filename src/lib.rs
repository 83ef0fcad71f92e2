//! Reader and writer of GEN5 files.

mod codec;
mod element;
mod environment;
mod error;
mod limits;
mod manifest;
mod mmap;
mod reader;
mod source;
mod wire;
mod writer;

pub use codec::Digest;
pub use element::{Dtype, Element};
pub use environment::{Component, Environment};
pub use error::{Error, Fault, FrameProblem, NotBorrowable, Place, Result};
pub use half::f16;
pub use limits::Limits;
pub use manifest::{
    ChunkRecord, Extra, GenerationSettings, Gpu, HardwareInfo, Metadata, MetadataBuilder, ModelInfo, Part,
};
pub use reader::{ChunkReport, Latent, ReadOptions, Reader, VerifyReport};
pub use wire::ChunkType;
pub use writer::{Array, Compression, LatentSummary, LatentWriter, NonFinite, Summary, WriteOptions, Writer};
