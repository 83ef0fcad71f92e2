//! Options of `gen5 repack`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gen5::Dtype;

use crate::options::Compress;

/// Rewrite a file with different compression, dtypes or keys, or without some of its contents.
///
/// Everything is preserved unless an option changes it: metadata, image, environment, the order of
/// the latents, and any data that this program does not know. Every hash is checked. Latents are
/// processed block by block, so they can be of any size. Raw latents in the new file start at a
/// multiple of 64 bytes by default, so that they can be memory-mapped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 repack run.gen5 small.gen5 --compress shuffled
  gen5 repack run.gen5 mapped.gen5 --compress none
  gen5 repack run.gen5 half.gen5 --dtype float16 --rename noise=initial_noise --drop trajectory
  gen5 repack new.gen5 old.gen5 --compatible")]
pub(crate) struct RepackArgs {
    /// File to rewrite
    pub(crate) file: PathBuf,

    /// File to write, which can be FILE itself with --force; the name must end in .gen5, or be -
    /// for standard output
    pub(crate) out: PathBuf,

    /// How to compress latents. none stores them raw, so that they can be memory-mapped; auto, zstd
    /// and shuffled work as in `pack` [default: keep the compression of each latent]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) compress: Option<Compress>,

    /// zstd compression level, from -131072 (fastest) to 22 (smallest for most data) [default: 3,
    /// or -100 for shuffled]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) level: Option<i32>,

    /// Convert values to another dtype. Conversion to float32 is exact, other conversions round; a
    /// value that would become infinite is an error
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) dtype: Option<StoredType>,

    /// Align raw latents to a multiple of N bytes, a power of two from 4 to 2097152 [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) align: Option<u64>,

    /// Change the key of a latent; OLD can be #N for the latent at position N, counting from 0
    #[arg(long, value_name = "OLD=NEW")]
    pub(crate) rename: Vec<String>,

    /// Leave out a latent; can be repeated
    #[arg(long, value_name = "KEY")]
    pub(crate) drop: Vec<String>,

    /// Keep this latent and leave out the others; can be repeated
    #[arg(long, value_name = "KEY", conflicts_with = "drop")]
    pub(crate) only: Vec<String>,

    /// Leave out the image
    #[arg(long)]
    pub(crate) no_image: bool,

    /// Leave out the environment
    #[arg(long)]
    pub(crate) no_environment: bool,

    /// Write version 1.0, which the Python package reads. bfloat16 becomes float32, and shuffled
    /// latents become plain zstd; anything else that version 1.0 cannot represent is an error
    #[arg(long)]
    pub(crate) compatible: bool,

    /// Replace OUT if it exists
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Print the summary as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A dtype that latents can be stored in.
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
