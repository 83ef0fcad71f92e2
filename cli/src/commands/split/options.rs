//! Options of `gen5 split`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::budget::REPEATED_BY_SPLIT;

/// Take a file apart into GEN5 files: one for each latent, or for some rows of them.
///
/// Each file has the metadata, image and environment of the whole; the member part_of of its metadata tells what it is a
/// part of. DIR gets an index.json, too: which file holds what. Every hash is checked; latents are stored as they are.
/// `gen5 merge --stack` puts rows together again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 split run.gen5 -o latents
  gen5 split batch.gen5 -o parts --rows 16
  gen5 merge --stack parts/*.gen5 -o again.gen5")]
pub(crate) struct SplitArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The folder to write; it has to be new or empty
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// A file for each latent, which is the default
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "rows")]
    pub(crate) by: Option<By>,

    /// A file for each N rows of the latents, counted along the first axis. A latent with fewer rows than others is not in
    /// the last files; one whose first axis is 1 is whole in the first file
    #[arg(long, value_name = "N", value_parser = rows)]
    pub(crate) rows: Option<NonZeroUsize>,

    /// Leave image, environment and chunks of unknown types out of the files
    #[arg(long)]
    pub(crate) latents_only: bool,

    /// Room for what the files repeat, in MiB: metadata, image, environment and chunks of unknown types. More is refused
    #[arg(long, value_name = "MIB", default_value_t = REPEATED_BY_SPLIT, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) room: u32,

    /// Write into a folder that has files already, replacing those of the same names
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Tell what was written as JSON: an object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A number of rows.
fn rows(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected how many rows a file is to have, from 1 on, such as 16".into())
}

/// What files are made by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum By {
    Key,
}
