//! `gen5 report`: a page of files.

use std::path::PathBuf;
use std::sync::Mutex;
use std::{fs, io};

use anyhow::Result;
use rayon::prelude::*;

use super::input::is_dash;
use super::placed::Placed;
use super::{Output, file_name};
use crate::args::ReportArgs;
use crate::environment::capture;
use crate::files::Files;
use crate::interrupt;
use crate::page::{Page, Reading, render};
use crate::terminal::{count, human_size};

pub(crate) fn run(args: &ReportArgs, output: &mut Output<'_>) -> Result<()> {
    let found = Files::find(&args.files).found;
    if found.iter().any(|(path, _)| is_dash(path)) {
        output.inputs.keep()?;
    }
    let placed = Placed::create(&args.output, args.force)?;
    let machine = match args.no_environment_check {
        true => None,
        false => Some(capture(args.python.python.as_deref(), output).environment),
    };
    let title = args.title.clone().unwrap_or_else(|| title(&found));
    let reading = Reading {
        machine: machine.as_ref(),
        verify: !args.no_verify,
        with_card: found.len() > 1,
        room: (usize::from(args.room) << 20) / found.len().max(1),
        previews: args.preview.previews(),
        large_image: Mutex::new(()),
    };
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let found: Vec<_> = found.into_iter().map(|(path, found)| (size(&path), path, found)).collect();
    let bytes = found.iter().map(|(size, ..)| size * reading.passes()).sum();
    let progress = output.progress("reading", bytes);
    let read = |(size, path, found): (u64, PathBuf, Result<()>)| {
        interrupt::check()?;
        reading.file(&path, found.and_then(|()| output.inputs.open(&path)), &progress.share(size))
    };
    let read: Vec<_> = found.into_par_iter().map(read).collect::<io::Result<_>>()?;
    let (files, failures): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    drop(progress);
    for failure in failures.iter().flatten() {
        output.complain(&failure.message, failure.status);
    }
    let told = count(files.len(), "file");
    let page = render(&Page { title, files, is_verified: !args.no_verify });
    placed.deliver(page.as_bytes(), &format!("{told}, {}", human_size(page.len() as u64)), output)
}

/// What a page is called if nobody says it.
fn title(found: &[(PathBuf, Result<()>)]) -> String {
    match found {
        [(only, _)] => file_name(only),
        several => count(several.len(), "file"),
    }
}
