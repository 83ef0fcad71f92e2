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
use crate::options::RowRange;
use clap::Args;
use std::path::PathBuf;

/// Write the values of a latent to standard output.
///
/// Values are written in their stored dtype, as little-endian bytes in C order, or with --npy as a
/// .npy array. Latents can be of any size. Hashes are checked while values are written: the output
/// is known to be correct only if the exit code is 0.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 cat run.gen5 noise > noise.f32
  gen5 cat run.gen5 trajectory --rows 49.. --npy > last.npy
  gen5 cat run.gen5 '#0' | sha256sum")]
pub(crate) struct CatArgs {
    /// File to read
    pub(crate) file: PathBuf,

    /// Key of the latent, or #N for the latent at position N, counting from 0
    pub(crate) key: String,

    /// Write only rows A to B-1, counting from 0; 2.. and ..5 leave one end open. Rows count along
    /// the first axis that is longer than 1
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    pub(crate) rows: Option<RowRange>,

    /// Write a .npy array; bfloat16 becomes float32, which represents it exactly
    #[arg(long)]
    pub(crate) npy: bool,
}

pub(crate) fn run(args: &CatArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    output.refuse_terminal("a latent is binary, and would garble the terminal", "")?;
    let reader = input.open_with(ReadOptions::new().check_hashes(true), &args.file)?;
    let whole = find(&reader, &args.key, &args.file)?;
    let latent = match args.rows {
        Some(rows) => select(&whole, rows, &args.key)?,
        None => whole,
    };
    let progress = output.progress("reading", latent.payload_size());
    let written = if args.npy {
        let kind = Container::Npy.holds(latent.dtype());
        npy::write_header(output.out, kind, latent.shape())?;
        let recast = Recast::new(&mut *output.out, latent.dtype(), kind, None);
        latent.write_to(&mut progress.writer(recast))
    } else {
        latent.write_to(&mut progress.writer(&mut *output.out))
    };
    written.map_err(|error| match error {
        // The only pipe here is standard output.
        gen5::Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => source.into(),
        other => of_file(other, &args.file),
    })
}
