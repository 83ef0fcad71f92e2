//! Options of `gen5 info`.

use clap::Args;

use super::{CaptureArgs, FileArgs};

/// What `info` shows.
#[derive(Debug, Args)]
#[command(mut_group("CaptureArgs", |group| group.requires("check_environment")))]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,

    /// Tell how the environment of each file differs from this machine's, too
    #[arg(long)]
    pub(crate) check_environment: bool,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
}
