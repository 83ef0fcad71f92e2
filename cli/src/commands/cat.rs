//! `gen5 cat`: the values of one latent, for pipes.

use std::io;
use std::path::Path;

use anyhow::{Result, bail};
use gen5::{Latent, ReadOptions, Reader};

use super::{Output, of_file};
use crate::args::{CatArgs, Rows};
use crate::convert::npy;
use crate::convert::recast::Recast;
use crate::convert::write::Container;
use crate::failure::UsageError;
use crate::names::likely_meant;
use crate::terminal::{self, shown};

pub(crate) fn run(args: &CatArgs, output: &mut Output<'_>) -> Result<()> {
    output.refuse_terminal("a latent is binary, and would upset the terminal", "")?;
    let reader = output.inputs.open_with(ReadOptions::new().check_hashes(true), &args.file)?;
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

/// The latent of this key, or at this position.
pub(super) fn find(reader: &Reader, key: &str, path: &Path) -> Result<Latent> {
    let found = match key.strip_prefix('#').and_then(|position| position.parse().ok()) {
        Some(position) if position >= reader.latents().len() => {
            let latents = terminal::count(reader.latents().len(), "latent");
            bail!("{}: there is no latent {key}: it has {latents}, counted from #0", shown(path))
        }
        Some(position) => reader.latent_at(position),
        None => reader.latent(key),
    };
    found.map_err(|error| {
        let latents: Vec<Latent> = reader.latents().collect();
        let likely = likely_meant(key, latents.iter().filter_map(Latent::key));
        match likely.filter(|_| matches!(error, gen5::Error::NoSuchLatent { .. })) {
            Some(likely) => {
                anyhow::anyhow!("{}: no latent is called {key:?}; is {likely:?} meant?", shown(path))
            }
            None => of_file(error, path),
        }
    })
}

/// These rows of a latent, which errors call so.
pub(super) fn select(latent: &Latent, rows: Rows, key: &str) -> Result<Latent> {
    let Some(count) = latent.row_axis().and_then(|axis| latent.shape().get(axis)).copied() else {
        return Err(UsageError(format!("--rows {rows}: latent {key} is a scalar, and has no rows")).into());
    };
    let (start, end) = (rows.start, rows.end.unwrap_or(count));
    if start > end || end > count {
        let there = terminal::count(count, "row");
        return Err(UsageError(format!("--rows {rows}: latent {key} has {there}, counted from 0")).into());
    }
    Ok(latent.rows(start..end)?)
}
