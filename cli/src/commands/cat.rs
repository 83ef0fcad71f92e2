//! `gen5 cat`: the values of one latent, for pipes.

use std::io;

use anyhow::Result;
use gen5::ReadOptions;

use crate::context::Context;
use crate::convert::npy;
use crate::convert::recast::Recast;
use crate::convert::write::Container;
use crate::failure::of_file;
use crate::input::latents::{find, select};
use crate::options::Rows;
use clap::Args;
use std::path::PathBuf;

/// Write the values of a latent to standard output.
///
/// They come as they are, little-endian and in C order, or as a .npy array, however large the latent is. Hashes are
/// checked on the way: only when the exit code is 0 are all values those that were stored.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 cat run.gen5 noise > noise.f32
  gen5 cat run.gen5 trajectory --rows 49.. --npy > last.npy
  gen5 cat run.gen5 '#0' | sha256sum")]
pub(crate) struct CatArgs {
    /// The file
    pub(crate) file: PathBuf,

    /// The latent's key, or #N for the one at position N, from 0
    pub(crate) key: String,

    /// Only these rows, from 0, the end not included; 2.. and ..5 leave out an end. Rows count along the first axis that
    /// is longer than 1
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    pub(crate) rows: Option<Rows>,

    /// As a .npy array; bfloat16 as float32, which holds it exactly
    #[arg(long)]
    pub(crate) npy: bool,
}

pub(crate) fn run(args: &CatArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    output.refuse_terminal("a latent is binary, and would upset the terminal", "")?;
    let reader = input.open_with(ReadOptions::new().check_hashes(true), &args.file)?;
    let whole = find(&reader, &args.key, &args.file)?;
    let latent = match args.rows {
        Some(rows) => select(&whole, rows, &args.key)?,
        None => whole,
    };
    let progress = output.progress("reading", latent.payload_size());
    let written = match args.npy {
        true => {
            let kind = Container::Npy.holds(latent.dtype());
            npy::write_header(output.out, kind, latent.shape())?;
            let recast = Recast::new(&mut *output.out, latent.dtype(), kind, None);
            latent.write_to(&mut progress.writer(recast))
        }
        false => latent.write_to(&mut progress.writer(&mut *output.out)),
    };
    written.map_err(|error| match error {
        // The one pipe that there is: that of the results.
        gen5::Error::Io { error, .. } if error.kind() == io::ErrorKind::BrokenPipe => error.into(),
        other => of_file(other, &args.file),
    })
}
