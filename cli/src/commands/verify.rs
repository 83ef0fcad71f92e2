//! `gen5 verify`: every hash, in parallel.

use std::path::Path;

use anyhow::Result;
use gen5::{ReadOptions, Reader, VerifyReport};
use serde::Serialize;

use super::{Output, of_file, path_text};
use crate::args::ReportArgs;
use crate::colour::{BAD, GOOD};
use crate::failure::{Status, is_closed_pipe};
use crate::files::{Files, open};
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

pub(crate) fn run(args: &ReportArgs, output: &mut Output<'_>) -> Result<()> {
    let files = Files::of(&args.files)?;
    // One after the other: the chunks of each are hashed side by side.
    for path in files.paths {
        if let Err(error) = path.and_then(|path| verify(&path, args.json, files.several, output)) {
            if is_closed_pipe(&error) {
                return Err(error);
            }
            output.report(&error);
        }
    }
    Ok(())
}

fn verify(path: &Path, json: bool, several: bool, output: &mut Output<'_>) -> Result<()> {
    let reader = match open(path, ReadOptions::new()) {
        Ok(reader) => reader,
        Err(error) => {
            if json {
                let (path, error) = (path_text(path), Some(error.to_string()));
                output.json(&FileReport { path, ok: false, error, chunks: Vec::new() }, several)?;
            }
            return Err(of_file(error, path));
        }
    };
    let bar = progress::bytes(reader.chunks().iter().map(gen5::ChunkRecord::payload_size).sum());
    let report = reader.verify_chunks(|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let errors = report.damaged().filter_map(|chunk| chunk.error.as_ref());
    errors.map(Status::of_library).for_each(|status| output.remember(status));
    match json {
        true => output.json(&file_report(path, &reader, &report), several),
        false => print(path, &report, output),
    }
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
            writeln!(output.out, "{path}: {}, {chunks}, {size}", output.painted("fine", GOOD))?;
        }
        damaged => {
            let word = output.painted("damaged", BAD);
            writeln!(output.out, "{path}: {word}, {damaged} of {chunks}")?;
        }
    }
    Ok(())
}
