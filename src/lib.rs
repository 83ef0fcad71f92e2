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
mod codec;
mod convert;
mod copy;
mod drift;
mod element;
pub mod error;
mod excerpt;
mod limits;
mod manifest;
mod mmap;
mod parse;
mod progress;
mod reader;
mod rewrite;
mod snapshot;
mod source;
mod wire;
mod writer;

// Reading.
pub use limits::Limits;
pub use reader::{Latent, Latents, Loaded, ReadOptions, Reader};

// Writing.
pub use writer::{
    Array, ByteStream, Compression, Entry, LatentStream, LatentSummary, NonFinite, Summary, WriteOptions,
    Writer,
};

// Contents of a file.
pub use element::{Dtype, Element};
pub use half::{bf16, f16};
pub use manifest::Metadata;
pub use snapshot::Environment;
pub use wire::Version;

// This machine.
#[cfg(feature = "capture")]
pub use capture::Capture;

pub use error::{Error, Result};

/// The chunks of a file, below the level of latents: their records, their types and their hashes.
///
/// ```no_run
/// use gen5::chunk::ChunkType;
///
/// let reader = gen5::Reader::open("batch.gen5")?;
/// for chunk in reader.chunks() {
///     println!("{} at {}: {} bytes, {}", chunk.kind(), chunk.offset(), chunk.stored_size(), chunk.sha256());
/// }
/// let images = reader.chunks().iter().filter(|chunk| chunk.kind() == ChunkType::IMAGE);
/// assert!(images.count() <= 1);
/// # Ok::<(), gen5::Error>(())
/// ```
pub mod chunk {
    pub use crate::codec::{Digest, ParseDigestError};
    pub use crate::copy::ChunkCopy;
    pub use crate::manifest::{ChunkRecord, Part};
    pub use crate::wire::ChunkType;
}

/// The parts of an environment, the differences between two, and the results of a capture.
///
/// ```
/// use gen5::Environment;
/// use gen5::environment::{Comparison, Component};
///
/// let file = Environment::new([Component::new("numpy", "name=numpy;version=2.4.6")]);
/// let current = Environment::new([Component::new("numpy", "name=numpy;version=2.5.0")]);
/// let drift = Comparison { file: &file, current: &current }.drift();
/// assert_eq!(drift[0].id(), "numpy");
/// ```
pub mod environment {
    #[cfg(feature = "capture")]
    pub use crate::capture::{CaptureTimings, Captured};
    pub use crate::drift::{Comparison, Drift, Severity};
    pub use crate::snapshot::Component;
}

/// The members of the metadata, and the manifest that contains them.
///
/// ```
/// use gen5::Metadata;
/// use gen5::metadata::{GenerationSettings, ModelInfo};
///
/// let mut model = ModelInfo::new("Stable Diffusion 3", "3.0");
/// model.generation_settings = Some(GenerationSettings::new(42, 50, "ddim"));
/// let metadata = Metadata::new(&model)?;
/// assert_eq!(metadata.model_info().generation_settings.as_ref().unwrap().seed, 42);
/// # Ok::<(), gen5::Error>(())
/// ```
pub mod metadata {
    pub use crate::manifest::{
        Extra, GenerationSettings, Gpu, HardwareInfo, MetadataBuilder, ModelInfo, Outline,
    };
}

/// Reports on the integrity of a file, which [`Reader::verify`](crate::Reader::verify) and
/// [`Reader::verify_chunks`](crate::Reader::verify_chunks) return.
pub mod verify {
    pub use crate::reader::{ChunkReport, VerifyReport};
}

/// Compiles and runs the programs in the guide to the library, as those in the README.
#[cfg(all(doctest, feature = "capture"))]
#[doc = include_str!("../docs/library.md")]
mod library_guide {}
