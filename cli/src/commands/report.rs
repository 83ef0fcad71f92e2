//! `gen5 report`: a page of files.

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::put::put;
use super::{Output, path_text};
use crate::args::ReportArgs;
use crate::environment::capture;
use crate::page::{Page, Reading, render};
use crate::progress;
use crate::terminal::{count, human_size, shown};

pub(crate) fn run(args: &ReportArgs, output: &mut Output<'_>) -> Result<()> {
    let to_stdout = args.output.as_os_str() == "-";
    // Seen before the work; it is made sure of when the page is put there.
    let is_free = to_stdout || args.force || args.output.symlink_metadata().is_err();
    ensure!(is_free, "{} is there already; --force replaces it", shown(&args.output));
    let machine = match args.no_environment_check {
        true => None,
        false => Some(capture(args.python.python.as_deref(), output).environment),
    };
    let reading = Reading {
        machine: machine.as_ref(),
        verify: !args.no_verify,
        with_card: args.files.len() > 1,
        room: (usize::from(args.room) << 20) / args.files.len().max(1),
        previews: args.preview.previews(),
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
    put(&args.output, page.as_bytes(), args.force)?;
    let (files, size) = (count(args.files.len(), "file"), human_size(page.len() as u64));
    Ok(writeln!(output.out, "{}: {files}, {size}", shown(&args.output))?)
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
