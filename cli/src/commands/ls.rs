//! `gen5 ls`: a line for each latent, for pipes.

use std::path::Path;

use anyhow::Result;
use gen5::{ChunkRecord, Latent, ReadOptions};
use serde::Serialize;

use super::{Failed, Output, of_file, path_text};
use crate::args::LsArgs;
use crate::files::{Files, open};
use crate::terminal::{dimensions, escape, shown};

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
    let files = Files::of(&args.files)?;
    let several = files.several;
    output.for_each(files, |_, path, output| match open(path, ReadOptions::new()) {
        Ok(reader) => reader.latents().try_for_each(|latent| list(path, &latent, args.json, several, output)),
        Err(error) => {
            if args.json {
                output.json(&Failed { path: path_text(path), error: error.to_string() }, true)?;
            }
            Err(of_file(error, path))
        }
    })
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
        return output.json(&line, true);
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
