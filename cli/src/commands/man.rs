//! `gen5 man`: the manual, a page for each command.

use std::fs;

use anyhow::{Context, Result, ensure};
use clap::CommandFactory;
use clap_mangen::Man;

use super::Output;
use super::put::put;
use crate::args::{Cli, ManArgs};
use crate::terminal::{count, shown};

pub(crate) fn run(args: &ManArgs, output: &mut Output<'_>) -> Result<()> {
    let pages = pages()?;
    fs::create_dir_all(&args.output).with_context(|| format!("could not create {}", shown(&args.output)))?;
    for (name, _) in &pages {
        let path = args.output.join(name);
        ensure!(args.force || !path.exists(), "{} is there already; --force replaces it", shown(&path));
    }
    for (name, page) in &pages {
        let path = args.output.join(name);
        put(&path, page.as_bytes(), args.force)?;
    }
    Ok(writeln!(output.out, "{}: {}", shown(&args.output), count(pages.len(), "page"))?)
}

/// File names and pages: `gen5.1`, and one for each command, such as `gen5-pack.1`.
fn pages() -> Result<Vec<(String, String)>> {
    let mut gen5 = Cli::command().disable_help_subcommand(true);
    gen5.build();
    let commands = std::iter::once(gen5.clone()).chain(gen5.get_subcommands().cloned());
    commands
        .map(|command| {
            let man = Man::new(command).source(concat!("gen5 ", env!("CARGO_PKG_VERSION")));
            let mut page = Vec::new();
            man.render(&mut page)?;
            Ok((man.get_filename(), with_examples(&String::from_utf8(page)?)))
        })
        .collect()
}

/// A page whose examples stand under a heading of the name that manuals have for them.
fn with_examples(page: &str) -> String {
    [".SH EXTRA\nExamples:\n", ".SH EXTRA\nExample:\n"]
        .iter()
        .fold(page.to_owned(), |page, heading| page.replace(heading, ".SH EXAMPLES\n"))
}
