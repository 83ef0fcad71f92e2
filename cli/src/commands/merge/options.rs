//! Options of `gen5 merge`.

use std::path::PathBuf;

use clap::Args;

use crate::options::FilesArgs;

/// Merge the latents of several files into one file.
///
/// Metadata, image and environment come from the first file. The member merged_from of the new
/// metadata records which latent, or which rows of it, came from which file, with that file's
/// fingerprint and, if different, its metadata. Every hash is checked. Latents keep their dtype and
/// compression.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 merge noise.gen5 final.gen5 -o run.gen5
  gen5 merge --stack batch-*.gen5 -o batch.gen5
  gen5 merge --prefix monday.gen5 tuesday.gen5 -o both.gen5
  gen5 merge --prefix -r runs -o all.gen5 --json | jq -r '.files[]'")]
pub(crate) struct MergeArgs {
    #[command(flatten)]
    pub(crate) files: FilesArgs,

    /// File to write; the name must end in .gen5, or be - for standard output
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: PathBuf,

    /// Join latents of the same key along their first axis, in the order of the files; their dtypes
    /// and all other axes must match
    #[arg(long)]
    pub(crate) stack: bool,

    /// Prefix each key with the name of its file, without .gen5, and a /
    #[arg(long, conflicts_with = "stack")]
    pub(crate) prefix: bool,

    /// Replace OUT if it exists
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Print the summary as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
