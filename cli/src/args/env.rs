//! Options of `gen5 env`.

use std::path::PathBuf;

use clap::Args;

use super::CaptureArgs;

/// Show the environment of this machine, or how that of a file differs.
///
/// Without FILE, what `pack` would store: versions of Python packages, operating system, GPUs, processor. With
/// FILE, how its environment differs from this machine's, in the words of the Python package, with OTHER from that of
/// another file. The exit code is 0 if they are the same, 4 if they differ.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 env
  gen5 env run.gen5; test $? = 4 && echo 'not as it was made'
  gen5 env run.gen5 other.gen5 --json")]
pub(crate) struct EnvArgs {
    /// The file whose environment is compared
    pub(crate) file: Option<PathBuf>,

    /// The file it is compared with, instead of this machine
    #[arg(conflicts_with_all = ["python", "no_python", "no_gpus"])]
    pub(crate) other: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
