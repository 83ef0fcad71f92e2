//! Options shared by several or all commands. The options of a single command are in its own
//! module.

mod compress;
mod metadata;
mod rows;
mod view;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(crate) use self::compress::Compress;
pub(crate) use self::metadata::MetadataArgs;
pub(crate) use self::rows::RowRange;
pub(crate) use self::view::{PreviewArg, ThemeArg, ViewArgs};
use crate::budget::most_threads;

/// Options of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct CommonArgs {
    /// Number of threads [default: one per core]
    #[arg(long, short, global = true, value_name = "N", value_parser = jobs)]
    pub(crate) jobs: Option<usize>,

    /// Print only results and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print more detail, including timings
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,

    /// How to show progress: auto draws a bar on a terminal and otherwise prints a line every 10
    /// seconds; plain always prints lines
    #[arg(long, global = true, value_enum, value_name = "HOW", default_value_t)]
    pub(crate) progress: ProgressMode,

    /// When to use colours: auto uses them on terminals, subject to NO_COLOR, CLICOLOR and
    /// CLICOLOR_FORCE
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) color: ColorMode,
}

/// How to show progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    #[default]
    Auto,
    Plain,
    None,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorMode {
    #[default]
    Auto,
    Always,
    Never,
}

/// Parses a number of threads.
fn jobs(text: &str) -> Result<usize, String> {
    let most = most_threads();
    match text.parse() {
        Ok(jobs) if (1..=most).contains(&jobs) => Ok(jobs),
        _ => Err(format!("expected a number from 1 to {most}")),
    }
}

/// Input files, by name, pattern or folder.
#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// Files to read, or patterns such as 'runs/*.gen5' or '**/final.gen5', which gen5 expands if
    /// the shell does not. With -r, folders are also accepted. - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Read every .gen5 file in the given folders and their subfolders, except hidden ones
    #[arg(long, short)]
    pub(crate) recursive: bool,
}

/// Input files, with a choice of text or JSON output.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    #[command(flatten)]
    pub(crate) files: FilesArgs,

    /// Print JSON: one object, or for several files JSON Lines, with one object per file
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to capture the environment of this machine.
#[derive(Debug, Args)]
pub(crate) struct CaptureArgs {
    /// Python interpreter that makes images on this machine. Its packages are listed without
    /// importing them [default: the interpreter of the active virtual or conda environment,
    /// otherwise python3 on PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,

    /// Do not start a Python interpreter; its packages are left out
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_python: bool,

    /// Do not load the NVIDIA library; all GPUs are left out
    #[arg(long)]
    pub(crate) no_gpus: bool,
}
