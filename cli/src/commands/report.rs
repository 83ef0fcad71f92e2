//! `gen5 report`: a page of files.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use super::{Output, path_text};
use crate::args::ReportArgs;
use crate::environment::capture;
use crate::page::{Page, Reading, render};
use crate::progress;
use crate::terminal::{count, human_size, shown};

pub(crate) fn run(args: &ReportArgs, output: &mut Output<'_>) -> Result<()> {
    let to_stdout = args.output.as_os_str() == "-";
    // What is in the way is said before an hour of reading; that nothing is replaced is seen to at the end.
    ensure!(to_stdout || args.force || !args.output.exists(), in_the_way(&args.output));
    let machine = match args.no_environment_check {
        true => None,
        false => Some(capture(args.python.python.as_deref(), output).environment),
    };
    let reading = Reading {
        machine: machine.as_ref(),
        verify: !args.no_verify,
        with_card: args.files.len() > 1,
        room: (usize::from(args.room) << 20) / args.files.len().max(1),
        preview: None,
        bar: progress::bytes(0),
    };
    let (files, failures): (Vec<_>, Vec<_>) = args.files.par_iter().map(|path| reading.file(path)).unzip();
    reading.bar.finish_and_clear();
    for failure in failures.iter().flatten() {
        output.note(&failure.message);
        output.remember(failure.status);
    }
    let page = render(&Page { title: title(args), files, is_verified: !args.no_verify });
    if to_stdout {
        return Ok(output.out.write_all(page.as_bytes())?);
    }
    write(&args.output, &page, args.force).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::anyhow!(in_the_way(&args.output)),
        _ => anyhow::Error::new(error).context(format!("could not write {}", shown(&args.output))),
    })?;
    let (files, size) = (count(args.files.len(), "file"), human_size(page.len() as u64));
    writeln!(output.out, "{}: {files}, {size}", shown(&args.output)).context("could not write the results")
}

fn in_the_way(path: &Path) -> String {
    format!("{} is there already; --force replaces it", shown(path))
}

fn title(args: &ReportArgs) -> String {
    match (&args.title, &*args.files) {
        (Some(title), _) => title.clone(),
        (None, [only]) => {
            only.file_name().map_or_else(|| path_text(only), |name| name.to_string_lossy().into_owned())
        }
        (None, several) => count(several.len(), "file"),
    }
}

/// Writes a page beside its place, and puts it there in one step.
fn write(path: &Path, page: &str, replace: bool) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gen5-report.");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(page.as_bytes())?;
    match replace {
        true => file.persist(path)?,
        false => file.persist_noclobber(path)?,
    };
    Ok(())
}
