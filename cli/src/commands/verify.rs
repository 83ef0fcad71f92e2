//! `gen5 verify`: every hash, in parallel.

use std::path::Path;

use anyhow::Result;
use gen5::{Reader, VerifyReport};
use serde::Serialize;

use super::{Output, of_file, path_text};
use crate::args::FileArgs;
use crate::failure::Status;
use crate::progress;
use crate::terminal::{count, escape, human_size, shown};

#[derive(Serialize)]
struct FileReport {
    path: String,
    ok: bool,
    /// Why the file could not be checked at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    chunks: Vec<ChunkReport>,
}

#[derive(Serialize)]
struct ChunkReport {
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

pub(crate) fn run(args: &FileArgs, output: &mut Output<'_>) -> Result<()> {
    let mut reports = Vec::new();
    for path in &args.files {
        let checked = Reader::open(path).map(|reader| {
            let bar = progress::bytes(reader.chunks().iter().map(gen5::ChunkRecord::payload_size).sum());
            let report = reader.verify_chunks(|bytes| bar.inc(bytes));
            bar.finish_and_clear();
            (reader, report)
        });
        match checked {
            Ok((reader, report)) => {
                let errors = report.damaged().filter_map(|chunk| chunk.error.as_ref());
                errors.map(Status::of_library).for_each(|status| output.remember(status));
                if args.json {
                    reports.push(file_report(path, &reader, &report));
                } else {
                    print(path, &report, output)?;
                }
            }
            Err(error) => {
                let message = error.to_string();
                output.report(&of_file(error, path));
                let path = path_text(path);
                reports.push(FileReport { path, ok: false, error: Some(message), chunks: Vec::new() });
            }
        }
    }
    if args.json {
        output.json(&reports, args.files.len() > 1)?;
    }
    Ok(())
}

fn file_report(path: &Path, reader: &Reader, report: &VerifyReport) -> FileReport {
    let chunks = reader.chunks().iter().zip(report.chunks()).map(|(record, chunk)| ChunkReport {
        index: chunk.index,
        kind: record.kind().to_string(),
        key: record.key().map(str::to_owned),
        offset: record.offset(),
        payload_size: chunk.payload_size,
        ok: chunk.error.is_none(),
        error: chunk.error.as_ref().map(ToString::to_string),
    });
    FileReport { path: path_text(path), ok: report.is_ok(), error: None, chunks: chunks.collect() }
}

fn print(path: &Path, report: &VerifyReport, output: &mut Output<'_>) -> Result<()> {
    let path = shown(path);
    let chunks = count(report.chunks().len(), "chunk");
    for error in report.damaged().filter_map(|chunk| chunk.error.as_ref()) {
        writeln!(output.out, "{path}: {}", escape(&error.to_string()))?;
    }
    match report.damaged().count() {
        0 => {
            let size = human_size(report.payload_size());
            writeln!(output.out, "{path}: fine, {chunks}, {size}")?;
        }
        damaged => writeln!(output.out, "{path}: damaged, {damaged} of {chunks}")?,
    }
    Ok(())
}
