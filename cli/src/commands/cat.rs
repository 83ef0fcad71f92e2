//! `gen5 cat`: the values of one latent, for pipes.

use std::io;

use anyhow::Result;
use gen5::{Latent, ReadOptions, Reader};

use super::{Output, of_file};
use crate::args::{CatArgs, Rows};
use crate::convert::npy;
use crate::failure::UsageError;

pub(crate) fn run(args: &CatArgs, output: &mut Output<'_>) -> Result<()> {
    if output.is_terminal {
        let hint = "the values are binary, and would upset the terminal; send them to a file (> FILE) or a program (|)";
        return Err(UsageError(hint.into()).into());
    }
    let reader = ReadOptions::new().check_hashes(true).open(&args.file);
    let reader = reader.map_err(|error| of_file(error, &args.file))?;
    let whole = find(&reader, &args.key).map_err(|error| of_file(error, &args.file))?;
    let latent = match args.rows {
        Some(rows) => select(&whole, rows, &args.key)?,
        None => whole,
    };
    let written = match args.npy {
        true => latent.write_to(&mut npy::begin(output.out, &latent)?),
        false => latent.write_to(output.out),
    };
    written.map_err(|error| match error {
        // The one pipe that there is: that of the results.
        gen5::Error::Io { error, .. } if error.kind() == io::ErrorKind::BrokenPipe => error.into(),
        other => of_file(other, &args.file),
    })
}

/// The latent of this key, or at this position.
pub(super) fn find(reader: &Reader, key: &str) -> gen5::Result<Latent> {
    match key.strip_prefix('#').and_then(|position| position.parse().ok()) {
        Some(position) => reader.latent_at(position),
        None => reader.latent(key),
    }
}

fn select(latent: &Latent, rows: Rows, key: &str) -> Result<Latent> {
    let Some(count) = latent.row_axis().and_then(|axis| latent.shape().get(axis)).copied() else {
        return Err(UsageError(format!("--rows {rows}: latent {key} is a scalar, and has no rows")).into());
    };
    let (start, end) = (rows.start, rows.end.unwrap_or(count));
    if start > end || end > count {
        let count = crate::terminal::count(count, "row");
        return Err(UsageError(format!("--rows {rows}: latent {key} has {count}, counted from 0")).into());
    }
    Ok(latent.rows(start..end)?)
}
