//! Options of `gen5 merge`.

use std::path::PathBuf;

use clap::Args;

use crate::options::FilesArgs;

/// Put the latents of several files into one.
///
/// Metadata, image and environment are those of the first file. The member merged_from of its metadata tells which latent,
/// or which rows of it, came from which file, with the fingerprint of that file and its metadata where they are others.
/// Every hash is checked on the way; latents are stored as they are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 merge noise.gen5 final.gen5 -o run.gen5
  gen5 merge --stack batch-*.gen5 -o batch.gen5
  gen5 merge --prefix monday.gen5 tuesday.gen5 -o both.gen5
  gen5 merge --prefix -r runs -o all.gen5 --json | jq -r '.files[]'")]
pub(crate) struct MergeArgs {
    #[command(flatten)]
    pub(crate) files: FilesArgs,

    /// The file to write; its name ends in .gen5, or it is - for standard output
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: PathBuf,

    /// Join latents of one key along their first axis, in the order of the files; types and all other axes have to agree
    #[arg(long)]
    pub(crate) stack: bool,

    /// Put the name of its file, without .gen5, and a / before each key
    #[arg(long, conflicts_with = "stack")]
    pub(crate) prefix: bool,

    /// Replace OUT if it is there
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Tell what was written as JSON: an object
    #[arg(long)]
    pub(crate) json: bool,
}
