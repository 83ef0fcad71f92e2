//! The latents of a file to draw, as selected by options.

use std::path::Path;

use anyhow::{Result, bail};
use gen5::{Latent, Reader};
use gen5_picture::text::count;
use gen5_picture::{Clues, Layout, Medium, Preview, Previews, ViewOptions};

use super::latents::find;
use crate::failure::usage_error;
use crate::options::{RowRange, ViewArgs};

/// The requested view, checked against the file.
pub(crate) fn view_options(
    args: &ViewArgs,
    width: u32,
    reader: &Reader,
    clues: &Clues,
    path: &Path,
) -> Result<ViewOptions> {
    let named: Vec<Latent> = args.latents.iter().map(|key| find(reader, key, path)).collect::<Result<_>>()?;
    let previews = args.preview.previews();
    if args.rows.is_some() || matches!(previews, Previews::By(_)) {
        let all: Vec<Latent> = if named.is_empty() { reader.latents().collect() } else { named.clone() };
        let layout = |latent: &Latent| Layout::guess(latent.shape(), clues.hints(latent));
        let layouts: Vec<(&Latent, Layout)> = all.iter().map(|latent| (latent, layout(latent))).collect();
        if let Some(rows) = args.rows {
            check_rows(rows, &layouts)?;
        }
        if let Previews::By(preview) = previews {
            check_preview(preview, &layouts)?;
        }
    }
    Ok(ViewOptions {
        latents: (!named.is_empty()).then(|| named.iter().map(Latent::index).collect()),
        rows: args.rows.map(|rows| (rows.start, rows.end)),
        previews,
        columns: args.columns,
        width,
        medium: Medium::Pixels,
    })
}

/// Rejects rows that no latent has.
fn check_rows(rows: RowRange, layouts: &[(&Latent, Layout)]) -> Result<()> {
    // Latents whose rows are not pictures are shown whole.
    for (latent, _) in layouts.iter().filter(|(_, layout)| layout.items_in_row().is_some()) {
        let rows_of = latent.row_axis().and_then(|axis| latent.shape().get(axis)).copied().unwrap_or(0);
        let end = rows.end.unwrap_or(rows_of);
        if rows.start >= end || end > rows_of {
            let name = latent.key().unwrap_or("without a key");
            let there = count(rows_of, "row");
            let problem = format!("--rows {rows}: latent {name} has {there}, counted from 0");
            return Err(usage_error(problem));
        }
    }
    Ok(())
}

/// Rejects a preview that none of the latents can have.
fn check_preview(preview: Preview, layouts: &[(&Latent, Layout)]) -> Result<()> {
    if !layouts.is_empty() && !layouts.iter().any(|(_, layout)| preview.fits(layout)) {
        let name = preview.name();
        let channels = preview.channels();
        bail!("--preview {name} is for latents of {channels} channels, and there are none to show");
    }
    Ok(())
}
