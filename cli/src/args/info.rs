//! Options of `gen5 info`.

use std::path::PathBuf;

use clap::Args;

use super::FileArgs;

/// What `info` shows.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,

    /// Tell how the environment of each file differs from this machine's, too
    #[arg(long)]
    pub(crate) check_environment: bool,

    /// The Python interpreter to check with, as that of `env`
    #[arg(long, value_name = "PATH", requires = "check_environment")]
    pub(crate) python: Option<PathBuf>,
}
