//! The command line as it is typed: what all commands share here, and a file for the options of each.

mod cat;
mod diff;
mod env;
mod help;
mod info;
mod ls;
mod pack;
mod render;
mod report;
mod set;
mod show;
mod unpack;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use cat::{CatArgs, Rows};
pub(crate) use diff::DiffArgs;
pub(crate) use env::EnvArgs;
pub(crate) use help::{CompletionsArgs, ManArgs, Shell};
pub(crate) use info::InfoArgs;
pub(crate) use ls::LsArgs;
pub(crate) use pack::{Compress, MetadataArgs, PackArgs};
pub(crate) use render::{LookArgs, PreviewArg, RenderArgs};
pub(crate) use report::ReportArgs;
pub(crate) use set::SetArgs;
pub(crate) use show::{ProtocolArg, ShowArgs};
pub(crate) use unpack::UnpackArgs;

/// Keep generated images with the latents, settings and environment that made them.
///
/// Exit codes: 0 fine, 1 could not be done, 2 wrong usage, 3 the file is damaged or no GEN5 file, 4 what was
/// compared differs (env, diff).
#[derive(Debug, Parser)]
#[command(name = "gen5", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Threads to work on; all cores if it is not given
    #[arg(long, short, global = true, value_name = "N", value_parser = jobs)]
    pub(crate) jobs: Option<usize>,
}

/// A number of threads.
fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=MAX_JOBS) => Ok(jobs),
        _ => Err(format!("expected a number from 1 to {MAX_JOBS}")),
    }
}

/// More threads than this are a slip of the finger.
const MAX_JOBS: usize = 4096;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pack(Box<PackArgs>),
    Unpack(UnpackArgs),
    /// Show what files hold.
    #[command(after_help = "Examples:
  gen5 info run.gen5
  gen5 info --json *.gen5")]
    Info(InfoArgs),
    Ls(LsArgs),
    Cat(CatArgs),
    Diff(DiffArgs),
    Show(ShowArgs),
    Render(RenderArgs),
    Report(ReportArgs),
    /// Check every hash of files.
    #[command(after_help = "Examples:
  gen5 verify run.gen5
  gen5 verify --json *.gen5")]
    Verify(FileArgs),
    /// Print a digest for each file that stands for all it holds: to be cited, or signed.
    ///
    /// It is the SHA-256 of the file's header and chunk table, which has the hash of every payload: together with `gen5
    /// verify` it tells that a file is the one that was cited.
    #[command(after_help = "Examples:
  gen5 fingerprint run.gen5
  gen5 verify run.gen5 && gen5 fingerprint run.gen5")]
    Fingerprint(FileArgs),
    Env(EnvArgs),
    Set(SetArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PythonArg {
    /// The Python interpreter that makes images here, which tells its packages without importing them [default: that of
    /// the active virtual or conda environment, or else python3 on PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
}

/// Files to look at.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// As JSON: an object, or an array of them for several files
    #[arg(long)]
    pub(crate) json: bool,
}
