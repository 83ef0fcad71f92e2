//! `gen5 render`: a contact sheet of a file.

use std::ffi::OsStr;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::RenderArgs;
use crate::context::Context;
use crate::failure::UsageError;
use crate::failure::of_file;
use crate::input::look::wish;
use crate::interrupt;
use crate::output::file::Placed;
use crate::picture::{png, sheet};
use crate::streams::is_dash;
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

pub(crate) fn run(args: &RenderArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
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
    let reader = input.open(&args.file)?;
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
