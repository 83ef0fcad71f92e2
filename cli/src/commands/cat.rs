//! `gen5 cat`: the values of one latent, for pipes.

use std::io;

use anyhow::Result;
use gen5::ReadOptions;

use crate::args::CatArgs;
use crate::context::Context;
use crate::convert::npy;
use crate::convert::recast::Recast;
use crate::convert::write::Container;
use crate::failure::of_file;
use crate::input::latents::{find, select};

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
