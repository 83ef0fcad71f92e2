//! Options of `gen5 unpack`.

use std::path::PathBuf;

use clap::Args;

use super::PythonArg;

/// Take a file apart: latents as .npy, image, metadata and environment.
///
/// DIR gets latents/*.npy (bfloat16 as float32), index.json (which file is which latent), image.<ext>, metadata.json (the
/// manifest as it is stored) and environment.json. Every hash is checked on the way.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  gen5 unpack run.gen5 -o run")]
pub(crate) struct UnpackArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The folder to write; it has to be new or empty
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Write into a folder that has files already, replacing those of the same names
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Do not compare the file's environment with this machine's, of which standard error tells else
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_environment_check: bool,

    #[command(flatten)]
    pub(crate) python: PythonArg,
}
