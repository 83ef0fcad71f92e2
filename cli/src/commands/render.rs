//! `gen5 render`: a contact sheet of a file.

use std::ffi::OsStr;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::context::Context;
use crate::convert::layouts::SourceFile;
use crate::failure::of_file;
use crate::failure::usage_error;
use crate::input::view::view_options;
use crate::interrupt;
use crate::options::{ThemeArg, ViewArgs};
use crate::output::file::OutputFile;
use crate::streams::is_dash;
use crate::terminal::{shown, shown_file_name};
use clap::Args;
use gen5_picture::text::count;
use gen5_picture::{Clues, Sheet, encode_png};
use std::path::PathBuf;

/// Render a file's image and latents as a contact sheet in PNG format.
///
/// Each latent is drawn with its statistics and as tiles, one per channel, each on its own scale:
/// blue is negative, white is zero, red is positive, magenta is NaN. A preview approximates the
/// decoder's output. The meaning of a latent's axes is guessed from its shape and printed on the
/// sheet. Large latents are drawn in part, and the sheet says so.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 render run.gen5 -o run.png
  gen5 render run.gen5 -o steps.png --latent trajectory --preview sdxl --theme dark
  gen5 render batch.gen5 -o - --rows 0..16 --width 800 | feh -")]
pub(crate) struct RenderArgs {
    /// File to render
    pub(crate) file: PathBuf,

    /// PNG file to write; the name must end in .png, or be - for standard output
    #[arg(long, short, value_name = "OUT.png")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) view: ViewArgs,

    /// Width of the picture in pixels
    #[arg(long, value_name = "PX", default_value_t = 1200, value_parser = clap::value_parser!(u32).range(320..=16_384))]
    pub(crate) width: u32,

    /// Colours of the sheet: dark on white (light), or light on dark (dark)
    #[arg(long, value_enum, value_name = "THEME", default_value_t = ThemeArg::Light)]
    pub(crate) theme: ThemeArg,

    /// Replace the picture if it exists
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Print the summary as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The JSON report of a sheet.
#[derive(Serialize)]
struct RenderReport {
    file_size: usize,
    width: u32,
    height: u32,
    /// Number of latents on the sheet, and number left out for lack of room.
    shown: usize,
    left_out: usize,
    /// Errors of the image and of unreadable latents.
    damaged: Vec<String>,
}

pub(crate) fn run(args: &RenderArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let is_png = |extension: &OsStr| extension.eq_ignore_ascii_case("png");
    if is_dash(&args.output) {
        output.refuse_json()?;
        output.refuse_terminal("a picture is binary, and would garble the terminal", ", or use gen5 show")?;
    } else if !args.output.extension().is_some_and(is_png) {
        let problem = format!("{} must end in .png, the format of the picture", shown(&args.output));
        return Err(usage_error(problem));
    }
    let reader = input.open(&args.file)?;
    let output_file = OutputFile::create(&args.output, args.force)?;
    let clues = Clues::of(&reader, SourceFile::origins);
    let options = view_options(&args.view, args.width, &reader, &clues, &args.file)?;
    let name = shown_file_name(&args.file);
    let sheet = Sheet::paint(&reader, &name, &clues, &options, &args.theme.colors());
    // Latents left unread because of a signal are not damaged.
    interrupt::check()?;
    let file = encode_png(&sheet.picture).context("could not encode the picture")?;
    if let Some(problem) = &sheet.image {
        output.note(&format!("{}: the image is not shown: {problem}", shown(&args.file)));
    }
    if args.view.latents.is_empty() {
        output.note_unknown(&reader, &args.file, "not shown");
    }
    if sheet.has_boxes {
        let hint = "gen5 info and gen5 report show them";
        output.note(&format!("{}: boxes replace characters that the fonts lack; {hint}", shown(&args.file)));
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
    let report = RenderReport { file_size: file.len(), width, height, shown, left_out, damaged };
    output_file.deliver(&file, &format!("{width}x{height}, {latents}"), &report, output)
}
