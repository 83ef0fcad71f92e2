//! `gen5 verify`: every hash, in parallel.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use gen5::verify::VerifyReport;
use gen5::{Limits, Reader};
use gen5_picture::text::{count, escape, human_size};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Status;
use crate::input::each_file::{FileResult, each};
use crate::options::FileArgs;
use crate::output::{Output, path_text};
use crate::progress::FileShare;
use crate::terminal::{Tone, shown};

#[derive(Serialize)]
struct FileReport {
    path: String,
    ok: bool,
    /// The reason why the file could not be checked at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    chunks: Vec<ChunkCheck>,
}

#[derive(Serialize)]
struct ChunkCheck {
    index: usize,
    #[serde(rename = "type")]
    kind: String,
    key: Option<String>,
    offset: u64,
    payload_size: u64,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(args: &FileArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let look = |path: &Path, limits: Limits, share: &FileShare<'_>| {
        let reader = input.open_within(limits, path)?;
        let start = Instant::now();
        let total = reader.chunks().iter().map(gen5::chunk::ChunkRecord::payload_size).sum();
        let report = reader.verify_chunks(share.of(total));
        Ok((reader, report, start.elapsed()))
    };
    each(&args.files, Some("verifying"), output, look, |file, output| {
        let FileResult { path, several, result, .. } = file;
        match result {
            Ok((reader, report, time)) => {
                errors(&report).map(Status::of_library).for_each(|status| output.remember(status));
                output.detail(|| format!("{}: read in {:.1} ms", shown(path), time.as_secs_f64() * 1e3));
                if args.json {
                    output.json_of(&file_report(path, &reader, &report), several)
                } else {
                    print(path, &report, output)
                }
            }
            Err(error) => {
                output.report(&error);
                if !args.json {
                    return Ok(());
                }
                let report = FileReport {
                    path: path_text(path),
                    ok: false,
                    error: Some(format!("{error:#}")),
                    chunks: Vec::new(),
                };
                output.json_of(&report, several)
            }
        }
    })
}

/// All errors found, except those of chunks that were skipped.
fn errors(report: &VerifyReport) -> impl Iterator<Item = &gen5::Error> {
    let errors = report.chunks().iter().filter_map(|chunk| chunk.error.as_ref());
    errors.filter(|error| !matches!(error, gen5::Error::Cancelled))
}

fn file_report(path: &Path, reader: &Reader, report: &VerifyReport) -> FileReport {
    let chunks = reader.chunks().iter().zip(report.chunks()).map(|(record, chunk)| ChunkCheck {
        index: chunk.index,
        kind: record.kind().to_string(),
        key: record.key().map(str::to_owned),
        offset: record.offset(),
        payload_size: chunk.payload_size,
        ok: chunk.error.is_none(),
        error: chunk.error.as_ref().map(|error| format!("{error:#}")),
    });
    FileReport { path: path_text(path), ok: report.is_ok(), error: None, chunks: chunks.collect() }
}

fn print(path: &Path, report: &VerifyReport, output: &mut Output<'_>) -> Result<()> {
    let path = shown(path);
    let chunks = count(report.chunks().len(), "chunk");
    for error in errors(report) {
        writeln!(output.out, "{path}: {}", escape(&format!("{error:#}")))?;
    }
    if report.is_ok() {
        let fine = output.painted(Tone::Good, "fine");
        let size = human_size(report.payload_size());
        writeln!(output.out, "{path}: {fine}, {chunks}, {size}")?;
    }
    for (state, number) in
        [("damaged", report.damaged().count()), ("not checked", report.unchecked().count())]
    {
        if number > 0 {
            let state = output.painted(Tone::Bad, state);
            writeln!(output.out, "{path}: {state}, {number} of {chunks}")?;
        }
    }
    Ok(())
}
