//! `gen5 report`: a page of files.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::input::is_dash;
use super::put::put;
use super::{Output, path_text};
use crate::args::ReportArgs;
use crate::environment::capture;
use crate::files::Files;
use crate::page::{Page, Reading, render};
use crate::terminal::{count, human_size, shown};

pub(crate) fn run(args: &ReportArgs, output: &mut Output<'_>) -> Result<()> {
    let to_stdout = is_dash(&args.output);
    // Seen before the work; it is made sure of when the page is put there.
    let is_free = to_stdout || args.force || args.output.symlink_metadata().is_err();
    ensure!(is_free, "{} is there already; --force replaces it", shown(&args.output));
    let machine = match args.no_environment_check {
        true => None,
        false => Some(capture(args.python.python.as_deref(), output).environment),
    };
    let found = Files::find(&args.files).found;
    let title = args.title.clone().unwrap_or_else(|| title(&found));
    let reading = Reading {
        machine: machine.as_ref(),
        verify: !args.no_verify,
        with_card: found.len() > 1,
        room: (usize::from(args.room) << 20) / found.len().max(1),
        previews: args.preview.previews(),
        progress: output.reading("reading", 0),
    };
    let (files, failures): (Vec<_>, Vec<_>) = found
        .into_par_iter()
        .map(|(path, found)| reading.file(&path, found.and_then(|()| output.inputs.open(&path))))
        .unzip();
    drop(reading);
    for failure in failures.iter().flatten() {
        output.complain(&failure.message, failure.status);
    }
    let told = count(files.len(), "file");
    let page = render(&Page { title, files, is_verified: !args.no_verify });
    if to_stdout {
        return Ok(output.out.write_all(page.as_bytes())?);
    }
    put(&args.output, page.as_bytes(), args.force)?;
    Ok(writeln!(output.out, "{}: {told}, {}", shown(&args.output), human_size(page.len() as u64))?)
}

/// What a page is called if nobody says it.
fn title(found: &[(PathBuf, Result<()>)]) -> String {
    match found {
        [(only, _)] => {
            only.file_name().map_or_else(|| path_text(only), |name| name.to_string_lossy().into_owned())
        }
        several => count(several.len(), "file"),
    }
}
