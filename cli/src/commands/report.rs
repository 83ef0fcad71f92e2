//! `gen5 report`: an HTML page that shows files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Result;
use gen5::Limits;
use gen5_picture::IMAGE_MEMORY;
use rayon::prelude::*;
use serde::Serialize;

use crate::budget::{SIDE_BY_SIDE, Shared, beside_others, is_for_alone};
use crate::context::Context;
use crate::failure::usage_error;
use crate::input::files::Files;
use crate::interrupt;
use crate::options::{CaptureArgs, FilesArgs, PreviewArg};
use crate::output::environment::capture;
use crate::output::file::OutputFile;
use crate::output::path_text;
use crate::page::{Content, HtmlPage, Integrity, Reading, ShownFile, render};
use crate::streams::is_dash;
use crate::terminal::{shown, shown_file_name};
use clap::Args;
use gen5_picture::text::{count, human_size};

/// Create an HTML page with the images, latents, statistics, settings, environments and hashes of
/// files.
///
/// The page is one self-contained HTML file: open it from disk, send it, or put it on a server as
/// it is. Several files become cards that can be filtered and sorted, with the details of each
/// file. A file that cannot be read gets a card with the reason.
#[derive(Debug, Args)]
#[command(override_usage = "gen5 report <FILE>... -o <OUT.html> [OPTIONS]")]
#[command(after_help = "Examples:
  gen5 report run.gen5 -o run.html
  gen5 report -r runs -o gallery.html --title 'Lighthouses, 50 seeds'
  gen5 report huge.gen5 -o - --no-verify > huge.html")]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) files: FilesArgs,

    /// HTML file to write; the name must end in .html, or be - for standard output
    #[arg(long, short, value_name = "OUT.html")]
    pub(crate) output: PathBuf,

    /// Title of the page [default: the file's name, or the number of files]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,

    /// Skip the hash check, which requires reading every file in full. The page reports that it was
    /// skipped
    #[arg(long)]
    pub(crate) no_verify: bool,

    /// Do not compare the files' environments with this machine's
    #[arg(long, conflicts_with = "python")]
    pub(crate) no_environment_check: bool,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,

    /// Model whose published factors turn latents into colours. auto guesses it for each file from
    /// the number of channels and the model's name, and the page reports the guess
    #[arg(long, value_enum, value_name = "MODEL", default_value_t = PreviewArg::Auto)]
    pub(crate) preview: PreviewArg,

    /// Limit on pictures and long texts in the page, in MiB, shared evenly among the files. Content
    /// over the limit is made smaller or left out, and the page says so
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) room: u16,

    /// Replace the page if it exists
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Print the summary as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The JSON report of a page.
#[derive(Serialize)]
struct PageReport<'a> {
    file_size: usize,
    files: Vec<PageFileReport<'a>>,
}

/// The page's content for one file, or the reason why there is none.
#[derive(Serialize)]
struct PageFileReport<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    content: Option<ContentReport<'a>>,
}

#[derive(Serialize)]
struct ContentReport<'a> {
    /// `verified`, `damaged` or `unchecked`.
    integrity: &'static str,
    /// Errors found in chunks, if hashes were checked.
    damaged: &'a [String],
    /// Number of latents in the file, and of those whose values are shown.
    latents: usize,
    shown: usize,
    /// Omitted parts, with reasons.
    left_out: Vec<String>,
}

impl<'a> PageFileReport<'a> {
    fn of(file: &'a ShownFile) -> Self {
        let (content, error) = match &file.content {
            Ok(content) => (Some(ContentReport::of(content)), None),
            Err(error) => (None, Some(error.as_str())),
        };
        Self { path: path_text(&file.path), error, content }
    }
}

impl<'a> ContentReport<'a> {
    fn of(content: &'a Content) -> Self {
        let (integrity, damaged) = match &content.integrity {
            Integrity::Unchecked => ("unchecked", &[][..]),
            Integrity::Verified => ("verified", &[][..]),
            Integrity::Damaged(damaged) => ("damaged", damaged.as_slice()),
        };
        let image = content.image.iter().filter_map(|image| image.embedded.as_ref().err());
        let values =
            content.latents.iter().filter_map(|latent| Some((latent, latent.values.as_ref().err()?)));
        let image = image.map(|why| format!("image: {why}"));
        let values = values.map(|(latent, why)| format!("latent {}: {why}", latent.name));
        Self {
            integrity,
            damaged,
            latents: content.latents.len(),
            shown: content.latents.iter().filter(|latent| latent.values.is_ok()).count(),
            left_out: image.chain(values).chain(content.problems.iter().cloned()).collect(),
        }
    }
}

/// A file to read: its size, its path, and whether it was found.
type QueuedFile = (u64, PathBuf, Result<()>);

pub(crate) fn run(args: &ReportArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let is_page = |extension: &OsStr| ["html", "htm"].iter().any(|page| extension.eq_ignore_ascii_case(page));
    if is_dash(&args.output) {
        output.refuse_json()?;
        output.refuse_terminal("a page is for a browser, and would flood the terminal", "")?;
    } else if !args.output.extension().is_some_and(is_page) {
        // For example the first match of a pattern that the shell expanded after -o.
        let problem = format!("{} must end in .html, the format of the page", shown(&args.output));
        return Err(usage_error(problem));
    }
    let found = Files::find(&args.files)?.found;
    if found.iter().any(|(path, _)| is_dash(path)) {
        input.keep()?;
    }
    // An empty page must not replace an existing one.
    if found.iter().all(|(_, found)| found.is_err()) {
        let mut errors: Vec<_> = found.into_iter().filter_map(|(_, found)| found.err()).collect();
        let last = errors.pop();
        errors.iter().for_each(|error| output.report(error));
        return last.map_or(Ok(()), Err);
    }
    let output_file = OutputFile::create(&args.output, args.force)?;
    let machine =
        if args.no_environment_check { None } else { Some(capture(&args.capture, output)?.environment) };
    let title = args.title.clone().unwrap_or_else(|| title(&found));
    let reading = Reading {
        machine: machine.as_ref(),
        verify: !args.no_verify,
        with_card: found.len() > 1,
        room: (usize::from(args.room) << 20) / found.len().max(1),
        previews: args.preview.previews(),
        images: Shared::new(IMAGE_MEMORY),
    };
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let found: Vec<QueuedFile> = found.into_iter().map(|(path, found)| (size(&path), path, found)).collect();
    let bytes = found.iter().map(|(size, ..)| size * reading.passes()).sum();
    let progress = output.progress("reading", bytes);
    let read = |(size, path, found): QueuedFile, limits: &Limits| -> io::Result<_> {
        interrupt::check()?;
        let opened = found.and_then(|()| input.open_within(limits.clone(), &path));
        match opened {
            Ok(reader) if *limits != Limits::default() && reading.is_for_alone(&reader) => {
                Ok(Err((size, path, Ok(()))))
            }
            Err(error) if *limits != Limits::default() && is_for_alone(&error) => {
                Ok(Err((size, path, Ok(()))))
            }
            opened => reading.file(&path, opened, &progress.share(size)).map(Ok),
        }
    };
    let mut read_files = Vec::new();
    let mut rest = found;
    while !rest.is_empty() {
        let later = rest.split_off(rest.len().min(SIDE_BY_SIDE));
        let all = Limits::default();
        let beside = beside_others();
        let is_only = rest.len() == 1;
        let limits = |path: &Path| if is_only || is_dash(path) { &all } else { &beside };
        let read_beside = rest.into_par_iter().map(|file| {
            let limits = limits(&file.1);
            read(file, limits)
        });
        for found in read_beside.collect::<io::Result<Vec<_>>>()? {
            read_files.extend(match found {
                Ok(read) => Some(read),
                Err(alone) => read(alone, &all)?.ok(),
            });
        }
        rest = later;
    }
    let (files, failures): (Vec<_>, Vec<_>) = read_files.into_iter().unzip();
    drop(progress);
    for failure in failures.iter().flatten() {
        output.complain(&failure.message, failure.status);
    }
    let number = count(files.len(), "file");
    let page = HtmlPage { title, files, is_verified: !args.no_verify };
    let html = render(&page);
    let report =
        PageReport { file_size: html.len(), files: page.files.iter().map(PageFileReport::of).collect() };
    output_file.deliver(
        html.as_bytes(),
        &format!("{number}, {}", human_size(html.len() as u64)),
        &report,
        output,
    )
}

/// The default title of a page.
fn title(found: &[(PathBuf, Result<()>)]) -> String {
    match found {
        [(only, _)] => shown_file_name(only),
        several => count(several.len(), "file"),
    }
}
