// The README's program captures the environment, and is compiled and run as a test.
#![cfg_attr(feature = "capture", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "capture"), doc = "Reader and writer of GEN5 files; the README says more.")]

#[cfg(target_endian = "big")]
compile_error!(
    "gen5 borrows little-endian values as they lie in the file, so it needs a little-endian target"
);

mod cancelled;
#[cfg(feature = "capture")]
mod capture;
mod carry;
mod codec;
mod drift;
mod element;
mod environment;
mod error;
mod excerpt;
mod limits;
mod manifest;
mod mmap;
mod reader;
mod rewrite;
mod source;
mod wire;
mod writer;

// Reading.
pub use limits::Limits;
pub use reader::{ChunkReport, Latent, Loaded, ReadOptions, Reader, VerifyReport};

// Writing.
pub use carry::Carried;
pub use rewrite::Rewritten;
pub use writer::{
    Array, Compression, Entry, LatentSummary, LatentWriter, NonFinite, Summary, WriteOptions, Writer,
};

// Contents of a file.
pub use codec::{Digest, ParseDigestError};
pub use drift::{Drift, Severity};
pub use element::{Dtype, Element};
pub use environment::{Component, Environment};
pub use half::{bf16, f16};
pub use manifest::{
    ChunkRecord, Extra, GenerationSettings, Gpu, HardwareInfo, Metadata, MetadataBuilder, ModelInfo, Outline,
    Part,
};
pub use wire::ChunkType;

// This machine.
#[cfg(feature = "capture")]
pub use capture::{Capture, CaptureTimings, Captured};

// Errors.
pub use error::{Error, Fault, FrameProblem, NotBorrowable, Place, Result};

/// Compiles and runs the programs in the guide to the library, as those in the README.
#[cfg(all(doctest, feature = "capture"))]
#[doc = include_str!("../docs/library.md")]
mod library_guide {}
