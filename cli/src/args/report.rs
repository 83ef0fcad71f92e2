//! Options of `gen5 report`.

use std::path::PathBuf;

use clap::Args;

use super::{CaptureArgs, FilesArgs, PreviewArg};

/// Make a page of files: images beside latents, statistics, settings, environment, hashes.
///
/// It is one HTML file that needs nothing from elsewhere: it can be opened from disk, sent, and put on a server as it is.
/// Several files become cards that can be filtered and sorted, each with its details. A file that cannot be read has a
/// card that says why.
#[derive(Debug, Args)]
#[command(override_usage = "gen5 report <FILE>... -o <OUT.html> [OPTIONS]")]
#[command(after_help = "Examples:
  gen5 report run.gen5 -o run.html
  gen5 report -r runs -o gallery.html --title 'Lighthouses, 50 seeds'
  gen5 report huge.gen5 -o - --no-verify > huge.html")]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) files: FilesArgs,

    /// The page to write; - for standard output
    #[arg(long, short, value_name = "OUT.html")]
    pub(crate) output: PathBuf,

    /// What the page is called [default: the file's name, or how many files there are]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,

    /// Do not check the hashes, which takes reading all of every file; the page says so
    #[arg(long)]
    pub(crate) no_verify: bool,

    /// Do not compare the files' environments with this machine's
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_environment_check: bool,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,

    /// The model whose published factors turn latents into colours; auto guesses it for each file from the channels and
    /// the model's name, and the page says so
    #[arg(long, value_enum, value_name = "MODEL", default_value_t = PreviewArg::Auto)]
    pub(crate) preview: PreviewArg,

    /// Room for pictures and long texts in the page, in MiB, shared evenly among the files. What does not fit is made
    /// smaller or left out, and the page says so
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) room: u16,

    /// Replace the page if it is there
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Tell what was written as JSON: an object
    #[arg(long)]
    pub(crate) json: bool,
}
