//! `gen5 render`: a contact sheet of a file.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gen5::{Latent, Reader};

use super::cat::find;
use super::input::is_dash;
use super::put::put;
use super::{Output, of_file};
use crate::args::{LookArgs, RenderArgs};
use crate::convert::layouts::Source;
use crate::failure::UsageError;
use crate::picture::{Hints, Layout, Medium, Wish, png, sheet};
use crate::terminal::{count, shown};

pub(crate) fn run(args: &RenderArgs, output: &mut Output<'_>) -> Result<()> {
    let to_stdout = is_dash(&args.output);
    if to_stdout && output.is_terminal {
        let hint = "a picture would upset the terminal; send it to a file (-o OUT.png), or use gen5 show";
        return Err(UsageError(hint.into()).into());
    }
    if !to_stdout {
        if args.output.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("png")) {
            let problem = format!("{} has to end in .png, which is what is written", shown(&args.output));
            return Err(UsageError(problem).into());
        }
        // Seen before the work; it is made sure of when the file is put there.
        let is_free = args.force || args.output.symlink_metadata().is_err();
        ensure!(is_free, "{} is there already; --force replaces it", shown(&args.output));
    }
    let reader = output.inputs.open(&args.file)?;
    let wish = wish(&args.look, args.width, &reader, &args.file)?;
    let sheet = sheet(&reader, &name(&args.file), &wish, &args.theme.colors());
    let file = png(&sheet.picture).context("could not encode the picture")?;
    match to_stdout {
        true => output.out.write_all(&file)?,
        false => put(&args.output, &file, args.force)?,
    }
    if let Some(problem) = &sheet.image {
        output.note(&format!("{}: the image is not shown: {problem}", shown(&args.file)));
    }
    for error in sheet.damaged {
        output.report(&of_file(error, &args.file));
    }
    if !to_stdout {
        let (width, height) = sheet.picture.dimensions();
        let (latents, left_out) = sheet.latents;
        let latents = match left_out {
            0 => count(latents, "latent"),
            _ => format!("{latents} of {}", count(latents + left_out, "latent")),
        };
        writeln!(output.out, "{}: {width}x{height}, {latents}", shown(&args.output))?;
    }
    Ok(())
}

/// A file's name, without its folder.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| shown(path), |name| shown(Path::new(name)))
}

/// The keys of latents whose values are as a decoder takes them.
fn unscaled(reader: &Reader) -> HashSet<String> {
    let metadata = reader.metadata().ok();
    Source::unscaled(metadata.as_ref().and_then(|metadata| metadata.model_info().extra.get(Source::MEMBER)))
}

/// What is asked for, checked against the file.
pub(super) fn wish(args: &LookArgs, width: u32, reader: &Reader, path: &Path) -> Result<Wish> {
    let named: Vec<Latent> = args.latents.iter().map(|key| find(reader, key, path)).collect::<Result<_>>()?;
    if let Some(rows) = args.rows {
        let all: Vec<Latent> = if named.is_empty() { reader.latents().collect() } else { named.clone() };
        // Others are shown whole.
        let has_pictures = |latent: &Latent| {
            let hints = Hints { key: latent.key().unwrap_or_default(), ..Hints::default() };
            Layout::guess(latent.shape(), hints).items_in_row().is_some()
        };
        for latent in all.iter().filter(|latent| has_pictures(latent)) {
            let rows_of = latent.row_axis().and_then(|axis| latent.shape().get(axis)).copied().unwrap_or(0);
            let end = rows.end.unwrap_or(rows_of);
            if rows.start >= end || end > rows_of {
                let (name, there) = (latent.key().unwrap_or("without a key"), count(rows_of, "row"));
                let problem = format!("--rows {rows}: latent {name} has {there}, counted from 0");
                return Err(UsageError(problem).into());
            }
        }
    }
    Ok(Wish {
        latents: (!named.is_empty()).then(|| named.iter().map(Latent::index).collect()),
        rows: args.rows.map(|rows| (rows.start, rows.end)),
        previews: args.preview.previews(),
        columns: args.columns,
        width,
        medium: Medium::Pixels,
        unscaled: unscaled(reader),
    })
}
