//! `gen5 man`: the manual, a page for each command.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::CommandFactory;
use clap_mangen::Man;

use super::Output;
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
        write(&path, page, args.force).with_context(|| format!("could not write {}", shown(&path)))?;
    }
    Ok(writeln!(output.out, "{}: {}", shown(&args.output), count(pages.len(), "page"))?)
}

/// Writes a page beside its place, and puts it there in one step.
fn write(path: &Path, page: &str, replace: bool) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gen5-man.");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    let mut file = builder.tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(page.as_bytes())?;
    match replace {
        true => file.persist(path)?,
        false => file.persist_noclobber(path)?,
    };
    Ok(())
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
