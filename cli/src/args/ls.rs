//! Options of `gen5 ls`.

use clap::Args;

use super::FilesArgs;

/// List the latents of files, one a line, for pipes.
///
/// A line has, separated by tabs: key (nothing if the latent has none), dtype, shape (1x4x64x64, or scalar), bytes, bytes
/// as stored, and how it is stored (raw, zstd or shuffled). With several files the path comes first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 ls run.gen5
  gen5 ls run.gen5 | cut -f1
  gen5 ls -r runs --json | jq -r 'select(.compressed) | .key'")]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) files: FilesArgs,

    /// As JSON lines: an object for each latent
    #[arg(long)]
    pub(crate) json: bool,
}
