//! `gen5 man`: the manual, one page per command.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap_mangen::Man;

use crate::interrupt;
use crate::output::Output;
use crate::output::file::OutputFile;
use crate::output::folder::refuse_dash;
use crate::terminal::shown;
use clap::Args;
use gen5_picture::text::count;

/// Write the manual pages: gen5.1, and one page per command.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  gen5 man -o ~/.local/share/man/man1 && man gen5-pack")]
pub(crate) struct ManArgs {
    /// Folder to write to; it is created if it does not exist
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Replace pages that exist
    #[arg(long, short)]
    pub(crate) force: bool,
}

/// `gen5` is the command line to document.
pub(crate) fn run(args: &ManArgs, gen5: clap::Command, output: &mut Output<'_>) -> Result<()> {
    refuse_dash(&args.output)?;
    let pages = pages(gen5)?;
    let was_there = args.output.exists();
    interrupt::arm();
    fs::create_dir_all(&args.output).with_context(|| format!("could not create {}", shown(&args.output)))?;
    write(&pages, args).inspect_err(|_| {
        if !was_there {
            // Only fails if pages were published, which stay with their folder.
            let _ = fs::remove_dir(&args.output);
        }
    })?;
    Ok(writeln!(output.out, "{}: {}", shown(&args.output), count(pages.len(), "page"))?)
}

fn write(pages: &[(String, String)], args: &ManArgs) -> Result<()> {
    let paths: Vec<PathBuf> = pages.iter().map(|(name, _)| args.output.join(name)).collect();
    // All are created before the first is published, so an existing page stops the command before
    // it publishes anything.
    let files = paths.iter().map(|path| OutputFile::create(path, args.force)).collect::<Result<Vec<_>>>()?;
    files.into_iter().zip(pages).try_for_each(|(file, (_, page))| file.publish(page.as_bytes()))
}

/// File names and pages: `gen5.1`, and one per command, such as `gen5-pack.1`.
fn pages(gen5: clap::Command) -> Result<Vec<(String, String)>> {
    let mut gen5 = gen5.disable_help_subcommand(true);
    gen5.build();
    let commands = std::iter::once(gen5.clone()).chain(gen5.get_subcommands().cloned());
    commands
        .map(|mut command| {
            let usage = command.render_usage().to_string();
            let man = Man::new(command).source(concat!("gen5 ", env!("CARGO_PKG_VERSION")));
            let mut page = Vec::new();
            man.render(&mut page)?;
            Ok((man.get_filename(), with_examples(&with_usage(&String::from_utf8(page)?, &usage))))
        })
        .collect()
}

/// A page that starts like `--help`: clap's own synopsis omits the values of options.
fn with_usage(page: &str, usage: &str) -> String {
    const SYNOPSIS: &str = ".SH SYNOPSIS\n";
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    match page.split_once(SYNOPSIS).and_then(|(head, rest)| Some((head, rest.split_once("\n.SH ")?))) {
        Some((head, (_, rest))) => format!("{head}{SYNOPSIS}{usage}\n.SH {rest}"),
        None => page.to_owned(),
    }
}

/// A page with its examples under the usual heading of manuals.
fn with_examples(page: &str) -> String {
    [".SH EXTRA\nExamples:\n", ".SH EXTRA\nExample:\n"]
        .iter()
        .fold(page.to_owned(), |page, heading| page.replace(heading, ".SH EXAMPLES\n"))
}
