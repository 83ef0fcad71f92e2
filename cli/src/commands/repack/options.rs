//! Options of `gen5 repack`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gen5::Dtype;

use crate::options::Compress;

/// Write a file anew: compressed otherwise, in another type, with other keys or fewer latents.
///
/// All that the file has stays unless it is asked otherwise: metadata, image, environment, the order of the latents, and
/// what this program knows nothing of. Every hash is checked on the way; latents go through block by block, however large
/// they are. Raw ones start at a multiple of 64 bytes afterwards, so that they can be mapped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 repack run.gen5 small.gen5 --compress shuffled
  gen5 repack run.gen5 mapped.gen5 --compress none
  gen5 repack run.gen5 half.gen5 --dtype float16 --rename noise=initial_noise --drop trajectory
  gen5 repack new.gen5 old.gen5 --compatible")]
pub(crate) struct RepackArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The file to write, which may be the same with --force; its name ends in .gen5, or it is - for standard output
    pub(crate) out: PathBuf,

    /// Whether latents are compressed: none has them raw, so that they can be mapped; auto, zstd and shuffled are as for
    /// `pack` [default: as they are]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) compress: Option<Compress>,

    /// Level of zstd, from -131072 (fastest) to 22 (smallest for most data) [default: 3, and -100 for shuffled]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) level: Option<i32>,

    /// Convert the values: to float32 exactly, else rounded; values that would become infinite are refused
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) dtype: Option<StoredType>,

    /// Have raw latents start at a multiple of N bytes, a power of two from 4 to 2097152 [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) align: Option<u64>,

    /// Give a latent another key; OLD may be #N, the one at position N, from 0
    #[arg(long, value_name = "OLD=NEW")]
    pub(crate) rename: Vec<String>,

    /// Leave a latent out; give it as often as you like
    #[arg(long, value_name = "KEY")]
    pub(crate) drop: Vec<String>,

    /// Keep this latent and leave the others out; give it as often as you like
    #[arg(long, value_name = "KEY", conflicts_with = "drop")]
    pub(crate) only: Vec<String>,

    /// Leave the image out
    #[arg(long)]
    pub(crate) no_image: bool,

    /// Leave the environment out
    #[arg(long)]
    pub(crate) no_environment: bool,

    /// Write version 1.0, which the Python package reads: bfloat16 becomes float32, shuffled bytes plain zstd, and what
    /// does not fit is refused
    #[arg(long)]
    pub(crate) compatible: bool,

    /// Replace OUT if it is there
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Tell what was written as JSON: an object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A type that values can be stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoredType {
    Float32,
    Float16,
    Bfloat16,
}

impl From<StoredType> for Dtype {
    fn from(stored: StoredType) -> Self {
        match stored {
            StoredType::Float32 => Self::F32,
            StoredType::Float16 => Self::F16,
            StoredType::Bfloat16 => Self::BF16,
        }
    }
}
