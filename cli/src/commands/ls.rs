//! `gen5 ls`: a line for each latent, for pipes.

use std::path::Path;

use anyhow::Result;
use gen5::{ChunkRecord, Latent, Reader};
use serde::Serialize;

use super::{Failed, Output, of_file, path_text};
use crate::args::LsArgs;
use crate::terminal::{dimensions, escape, escape_json, shown};

/// A latent, for programs.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    index: usize,
    key: Option<&'a str>,
    dtype: &'static str,
    shape: &'a [usize],
    payload_size: u64,
    stored_size: u64,
    compressed: bool,
    shuffled: bool,
    parts: usize,
}

pub(crate) fn run(args: &LsArgs, output: &mut Output<'_>) -> Result<()> {
    let several = args.files.len() > 1;
    for path in &args.files {
        match Reader::open(path) {
            Ok(reader) => {
                for latent in reader.latents() {
                    list(path, &latent, args.json, several, output)?;
                }
            }
            Err(error) => {
                if args.json {
                    json_line(&Failed { path: path_text(path), error: error.to_string() }, output)?;
                }
                output.report(&of_file(error, path));
            }
        }
    }
    Ok(())
}

fn list(path: &Path, latent: &Latent, json: bool, several: bool, output: &mut Output<'_>) -> Result<()> {
    let stored_size = latent.chunks().map(ChunkRecord::stored_size).sum();
    let compressed = latent.chunks().any(ChunkRecord::is_compressed);
    let shuffled = latent.chunks().any(ChunkRecord::is_shuffled);
    if json {
        let line = Line {
            path: &path.to_string_lossy(),
            index: latent.index(),
            key: latent.key(),
            dtype: latent.dtype().name(),
            shape: latent.shape(),
            payload_size: latent.payload_size(),
            stored_size,
            compressed,
            shuffled,
            parts: latent.chunks().count(),
        };
        return json_line(&line, output);
    }
    if several {
        write!(output.out, "{}\t", shown(path))?;
    }
    let (key, dtype) = (escape(latent.key().unwrap_or_default()), latent.dtype());
    let (shape, size) = (dimensions(latent.shape(), "x"), latent.payload_size());
    let how = match (shuffled, compressed) {
        (true, _) => "shuffled",
        (false, true) => "zstd",
        (false, false) => "raw",
    };
    Ok(writeln!(output.out, "{key}\t{dtype}\t{shape}\t{size}\t{stored_size}\t{how}")?)
}

fn json_line(line: &impl Serialize, output: &mut Output<'_>) -> Result<()> {
    Ok(writeln!(output.out, "{}", escape_json(&serde_json::to_string(line)?))?)
}
