//! Options of `gen5 split`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::budget::REPEATED_BY_SPLIT;

/// Split a file into several GEN5 files, one for each latent or for every N rows.
///
/// Each file has the metadata, image and environment of the original; the member part_of of its
/// metadata records which part of the original it is. DIR also receives an index.json, which lists
/// the contents of each file. Every hash is checked. Latents keep their dtype and compression.
/// `gen5 merge --stack` joins the rows again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 split run.gen5 -o latents
  gen5 split batch.gen5 -o parts --rows 16
  gen5 merge --stack parts/*.gen5 -o again.gen5")]
pub(crate) struct SplitArgs {
    /// File to split
    pub(crate) file: PathBuf,

    /// Folder to write; it must be new or empty unless --force is given
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// How to split the file: key writes one file for each latent, the default
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "rows")]
    pub(crate) by: Option<By>,

    /// Write one file for every N rows of the latents, counted along the first axis. A latent with
    /// fewer rows than others is missing from the last files; a latent whose first axis is 1 is
    /// stored whole in the first file
    #[arg(long, value_name = "N", value_parser = rows)]
    pub(crate) rows: Option<NonZeroUsize>,

    /// Leave the image, environment and chunks of unknown types out of the files
    #[arg(long)]
    pub(crate) latents_only: bool,

    /// Limit on the data that the files repeat, in MiB: metadata, image, environment and chunks of
    /// unknown types. Exceeding it is an error
    #[arg(long, value_name = "MIB", default_value_t = REPEATED_BY_SPLIT, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) room: u32,

    /// Write into a folder that already contains files, replacing files of the same name
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Print the summary as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses the number of rows for each file.
fn rows(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected the number of rows in each file, 1 or more, such as 16".into())
}

/// How to divide latents among files.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum By {
    Key,
}
