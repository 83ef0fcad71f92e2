//! `gen5 show`: a file's contents on the terminal.

mod json;
mod options;

use std::env;

use anyhow::Result;
use gen5::Reader;
use gen5_picture::text::{count, escape};
use gen5_picture::{Clues, Medium, Thumbnail, View, ViewOptions, describe_file, view_latents};
use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::context::Context;
use crate::convert::layouts::SourceFile;
use crate::failure::of_file;
use crate::input::view::view_options;
use crate::output::Output;

pub(crate) use self::options::ProtocolArg;
pub(crate) use self::options::ShowArgs;
use crate::graphics::{Colors, Protocol};
use crate::terminal::{shown, shown_file_name};

/// Default width in characters.
const COLUMNS: u16 = 80;

/// Default width of a character in pixels, for terminals that do not report it.
const CELL: u32 = 9;

/// Maximum width of a picture in pixels: wider pictures are hard to take in at once.
const WIDEST: u32 = 1600;

/// Length of the image's longer side: in screen pixels, and in half cells.
const IMAGE: u32 = 360;
const IMAGE_IN_CELLS: u32 = 64;

pub(crate) fn run(args: &ShowArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    if args.json {
        return json::print(args, input, output);
    }
    let reader = input.open(&args.file)?;
    let protocol = protocol(args.protocol, output.is_terminal);
    let (columns, pixels) = size(args.width);
    let medium = match protocol {
        Some(protocol) if !protocol.is_in_cells() => Medium::Pixels,
        _ => Medium::Cells,
    };
    let width = if medium == Medium::Cells { u32::from(columns) } else { pixels.min(WIDEST) };
    let clues = Clues::of(&reader, SourceFile::origins);
    let options = ViewOptions { medium, ..view_options(&args.view, width, &reader, &clues, &args.file)? };
    let page = TerminalView { args, protocol, options: &options };
    page.header(&reader, output)?;
    let (views, left_out) = view_latents(&reader, &clues, &options);
    for view in views {
        page.latent(&view, output)?;
        if let Err(error) = view.scan {
            output.report(&of_file(error, &args.file));
        }
    }
    if left_out > 0 {
        writeln!(output.out, "\n{} not shown; --latent KEY shows it", count(left_out, "more latent"))?;
    }
    if args.view.latents.is_empty() {
        output.note_unknown(&reader, &args.file, "not shown");
    }
    if protocol.is_none() {
        let why = if output.is_terminal {
            "according to TERM, the terminal shows only text"
        } else {
            "the output is not a terminal"
        };
        output.note(&format!("pictures are left out because {why}; --protocol blocks writes them anyway"));
    }
    Ok(())
}

/// The protocol for pictures; `None` if none are drawn.
fn protocol(asked: ProtocolArg, is_terminal: bool) -> Option<Protocol> {
    match asked {
        ProtocolArg::Auto if !is_terminal => None,
        ProtocolArg::Auto => Protocol::of_terminal(|name| env::var(name).ok()),
        ProtocolArg::Kitty => Some(Protocol::Kitty),
        ProtocolArg::Iterm2 => Some(Protocol::Iterm2),
        ProtocolArg::Sixel => Some(Protocol::Sixel),
        ProtocolArg::Blocks => Some(Protocol::Blocks(Colors::All)),
        ProtocolArg::Blocks256 => Some(Protocol::Blocks(Colors::Palette)),
    }
}

/// Width in characters and in pixels.
fn size(asked: Option<u16>) -> (u16, u32) {
    let there = terminal_size::terminal_size().map_or(COLUMNS, |(width, _)| width.0).max(1);
    let columns = asked.unwrap_or(there);
    let cell = pixels_across()
        .filter(|pixels| *pixels > 0)
        .map_or(CELL, |pixels| (pixels / u32::from(there)).max(1));
    (columns, u32::from(columns) * cell)
}

/// Width of the terminal in pixels, if it reports it.
#[cfg(unix)]
fn pixels_across() -> Option<u32> {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_xpixel.into())
}

#[cfg(not(unix))]
fn pixels_across() -> Option<u32> {
    None
}

struct TerminalView<'a> {
    args: &'a ShowArgs,
    protocol: Option<Protocol>,
    options: &'a ViewOptions,
}

impl TerminalView<'_> {
    fn header(&self, reader: &Reader, output: &mut Output<'_>) -> Result<()> {
        let side = if self.options.medium == Medium::Cells { IMAGE_IN_CELLS } else { IMAGE };
        let image = match reader.image() {
            Ok(bytes) => bytes.map(|bytes| Thumbnail::decode(&bytes, side.min(self.options.width))),
            Err(error) => {
                output.report(&of_file(error, &self.args.file));
                None
            }
        };
        let decoded = image.as_ref().and_then(|image| image.as_ref().ok());
        let (facts, prompt) = describe_file(reader, decoded);
        writeln!(output.out, "{}", shown_file_name(&self.args.file))?;
        for line in facts.iter().chain(Some(&prompt)).filter(|line| !line.is_empty()) {
            writeln!(output.out, "  {line}")?;
        }
        if let Some(Thumbnail { picture, .. }) = decoded {
            self.picture(picture, output)?;
        }
        if let Some(Err(problem)) = &image {
            let problem = escape(&format!("{problem:#}")).into_owned();
            output.note(&format!("{}: the image is not shown: {problem}", shown(&self.args.file)));
        }
        Ok(())
    }

    fn latent(&self, view: &View, output: &mut Output<'_>) -> Result<()> {
        writeln!(output.out, "\n{}  {}", view.name(), view.kind())?;
        let figures: Vec<String> =
            view.figures().iter().map(|(name, value)| format!("{name} {value}")).collect();
        let mut notes = view.notes();
        if self.protocol.is_some() {
            notes.extend(view.picture_notes());
        }
        let legend = view.legend().filter(|_| self.protocol.is_some());
        let legend = legend.map(|(order, scales)| format!("{order}: {}", scales.join("  ")));
        for line in [figures.join("  "), notes.join("; "), legend.unwrap_or_default()]
            .iter()
            .filter(|line| !line.is_empty())
        {
            writeln!(output.out, "  {line}")?;
        }
        match self.protocol.and_then(|_| view.paint(&self.args.theme.colors())) {
            Some(picture) => self.picture(&picture, output),
            None => Ok(()),
        }
    }

    /// Prints a picture, scaled down to the available width.
    fn picture(&self, picture: &RgbImage, output: &mut Output<'_>) -> Result<()> {
        let Some(protocol) = self.protocol else { return Ok(()) };
        let (width, height) = picture.dimensions();
        if width <= self.options.width {
            return Ok(protocol.write(picture, output.out)?);
        }
        let height = u64::from(height) * u64::from(self.options.width) / u64::from(width);
        let height = u32::try_from(height).unwrap_or(u32::MAX).max(1);
        let picture = imageops::resize(picture, self.options.width, height, FilterType::Triangle);
        Ok(protocol.write(&picture, output.out)?)
    }
}
