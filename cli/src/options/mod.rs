//! Options that several commands share, or all. Those of one command are beside it.

mod compress;
mod look;
mod metadata;
mod rows;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(crate) use self::compress::Compress;
pub(crate) use self::look::{LookArgs, PreviewArg, Theme};
pub(crate) use self::metadata::MetadataArgs;
pub(crate) use self::rows::Rows;
use crate::budget::most_threads;

/// How a command works and speaks: options of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct CommonArgs {
    /// Threads to work on; all cores if it is not given
    #[arg(long, short, global = true, value_name = "N", value_parser = jobs)]
    pub(crate) jobs: Option<usize>,

    /// Say nothing but results and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more of what is done, and how long it takes
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,

    /// How far long work is: auto is a bar on a terminal and else a line every 10 seconds
    #[arg(long, global = true, value_enum, value_name = "HOW", default_value_t)]
    pub(crate) progress: ProgressMode,

    /// Colours: auto is on terminals, as NO_COLOR, CLICOLOR and CLICOLOR_FORCE ask for
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) color: ColorMode,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    #[default]
    Auto,
    Plain,
    None,
}

/// When there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorMode {
    #[default]
    Auto,
    Always,
    Never,
}

/// A number of threads.
fn jobs(text: &str) -> Result<usize, String> {
    let most = most_threads();
    match text.parse() {
        Ok(jobs) if (1..=most).contains(&jobs) => Ok(jobs),
        _ => Err(format!("expected a number from 1 to {most}")),
    }
}

/// Files to look at, however they are named.
#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// Files; patterns such as 'runs/*.gen5' or '**/final.gen5', which the shell need not expand; with -r folders; - for
    /// standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Take every .gen5 file below the folders that are given; hidden ones are passed over
    #[arg(long, short)]
    pub(crate) recursive: bool,
}

/// Files to look at, for people or programs.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    #[command(flatten)]
    pub(crate) files: FilesArgs,

    /// As JSON: an object, or for several files JSON lines, an object for each
    #[arg(long)]
    pub(crate) json: bool,
}

/// How this machine is captured.
#[derive(Debug, Args)]
pub(crate) struct CaptureArgs {
    /// The Python interpreter that makes images here, which tells its packages without importing them [default: that of
    /// the active virtual or conda environment, or else python3 on PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,

    /// Start no Python interpreter; its packages are left out
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_python: bool,

    /// Load no NVIDIA library, and leave out all GPUs
    #[arg(long)]
    pub(crate) no_gpus: bool,
}
