//! Latents named on the command line: by key or position, and by rows.

use std::path::Path;

use anyhow::{Result, bail};
use gen5::{Latent, Reader};
use gen5_picture::text;

use crate::failure::of_file;
use crate::failure::usage_error;
use crate::options::RowRange;
use crate::suggest::likely_meant;
use crate::terminal::shown;

/// The latent with this key, or at this position.
pub(crate) fn find(reader: &Reader, key: &str, path: &Path) -> Result<Latent> {
    let found = match key.strip_prefix('#').and_then(|position| position.parse().ok()) {
        Some(position) if position >= reader.latents().len() => {
            let latents = text::count(reader.latents().len(), "latent");
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
                anyhow::anyhow!("{}: no latent is called {key:?}; did you mean {likely:?}?", shown(path))
            }
            None => of_file(error, path),
        }
    })
}

/// Some rows of a latent. Errors call the latent `key`.
pub(crate) fn select(latent: &Latent, rows: RowRange, key: &str) -> Result<Latent> {
    let Some(count) = latent.row_axis().and_then(|axis| latent.shape().get(axis)).copied() else {
        return Err(usage_error(format!("--rows {rows}: latent {key} is a scalar, and has no rows")));
    };
    let start = rows.start;
    let end = rows.end.unwrap_or(count);
    if start > end || end > count {
        let there = text::count(count, "row");
        return Err(usage_error(format!("--rows {rows}: latent {key} has {there}, counted from 0")));
    }
    Ok(latent.rows(start..end)?)
}
