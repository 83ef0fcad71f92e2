//! `gen5 render`: a contact sheet of a file.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use gen5::{Latent, Reader};
use serde::Serialize;

use super::cat::find;
use super::placed::Placed;
use super::{Output, of_file};
use crate::args::{LookArgs, RenderArgs, Rows};
use crate::failure::UsageError;
use crate::files::is_dash;
use crate::interrupt;
use crate::picture::{Clues, Layout, Medium, Preview, Previews, Wish, png, sheet};
use crate::terminal::{count, shown, shown_file_name};

/// What was painted, for programs.
#[derive(Serialize)]
struct Facts {
    file_size: usize,
    width: u32,
    height: u32,
    /// Latents on the sheet, and those for which it had no room.
    shown: usize,
    left_out: usize,
    /// What is wrong with image and latents that could not be read.
    damaged: Vec<String>,
}

pub(crate) fn run(args: &RenderArgs, output: &mut Output<'_>) -> Result<()> {
    let is_png = |extension: &OsStr| extension.eq_ignore_ascii_case("png");
    match is_dash(&args.output) {
        true => {
            output.refuse_json()?;
            output
                .refuse_terminal("a picture is binary, and would upset the terminal", ", or use gen5 show")?;
        }
        false if args.output.extension().is_some_and(is_png) => {}
        false => {
            let problem = format!("{} has to end in .png, which is what is written", shown(&args.output));
            return Err(UsageError(problem).into());
        }
    }
    let reader = output.inputs.open(&args.file)?;
    let placed = Placed::create(&args.output, args.force)?;
    let wish = wish(&args.look, args.width, &reader, &args.file)?;
    let sheet = sheet(&reader, &shown_file_name(&args.file), &wish, &args.theme.colors());
    // Latents that were not read for that are not damaged.
    interrupt::check()?;
    let file = png(&sheet.picture).context("could not encode the picture")?;
    if let Some(problem) = &sheet.image {
        output.note(&format!("{}: the image is not shown: {problem}", shown(&args.file)));
    }
    if args.look.latents.is_empty() {
        output.note_unknown(&reader, &args.file, "not shown");
    }
    if sheet.has_boxes {
        let hint = "gen5 info and gen5 report show them";
        output
            .note(&format!("{}: boxes stand for characters that the fonts lack; {hint}", shown(&args.file)));
    }
    let mut damaged = Vec::new();
    for error in sheet.damaged {
        let error = of_file(error, &args.file);
        output.report(&error);
        damaged.push(format!("{error:#}"));
    }
    let (width, height) = sheet.picture.dimensions();
    let (shown, left_out) = sheet.latents;
    let latents = match left_out {
        0 => count(shown, "latent"),
        _ => format!("{shown} of {}", count(shown + left_out, "latent")),
    };
    let facts = Facts { file_size: file.len(), width, height, shown, left_out, damaged };
    placed.deliver(&file, &format!("{width}x{height}, {latents}"), &facts, output)
}

/// What is asked for, checked against the file.
pub(super) fn wish(args: &LookArgs, width: u32, reader: &Reader, path: &Path) -> Result<Wish> {
    let named: Vec<Latent> = args.latents.iter().map(|key| find(reader, key, path)).collect::<Result<_>>()?;
    let previews = args.preview.previews();
    if args.rows.is_some() || matches!(previews, Previews::By(_)) {
        let all: Vec<Latent> = if named.is_empty() { reader.latents().collect() } else { named.clone() };
        let clues = Clues::of(reader);
        let layout = |latent: &Latent| Layout::guess(latent.shape(), clues.hints(latent));
        let layouts: Vec<(&Latent, Layout)> = all.iter().map(|latent| (latent, layout(latent))).collect();
        if let Some(rows) = args.rows {
            check_rows(rows, &layouts)?;
        }
        if let Previews::By(preview) = previews {
            check_preview(preview, &layouts)?;
        }
    }
    Ok(Wish {
        latents: (!named.is_empty()).then(|| named.iter().map(Latent::index).collect()),
        rows: args.rows.map(|rows| (rows.start, rows.end)),
        previews,
        columns: args.columns,
        width,
        medium: Medium::Pixels,
    })
}

/// Refuses rows that a latent does not have.
fn check_rows(rows: Rows, layouts: &[(&Latent, Layout)]) -> Result<()> {
    // Those whose rows are no pictures are shown whole.
    for (latent, _) in layouts.iter().filter(|(_, layout)| layout.items_in_row().is_some()) {
        let rows_of = latent.row_axis().and_then(|axis| latent.shape().get(axis)).copied().unwrap_or(0);
        let end = rows.end.unwrap_or(rows_of);
        if rows.start >= end || end > rows_of {
            let (name, there) = (latent.key().unwrap_or("without a key"), count(rows_of, "row"));
            let problem = format!("--rows {rows}: latent {name} has {there}, counted from 0");
            return Err(UsageError(problem).into());
        }
    }
    Ok(())
}

/// Refuses a preview that none of the latents can have.
fn check_preview(preview: Preview, layouts: &[(&Latent, Layout)]) -> Result<()> {
    if !layouts.is_empty() && !layouts.iter().any(|(_, layout)| preview.fits(layout)) {
        let (name, channels) = (preview.name(), preview.channels());
        bail!("--preview {name} is for latents of {channels} channels, and there is none to be shown");
    }
    Ok(())
}
