//! `gen5 ls`: a line for each latent, for pipes.

use std::path::Path;

use anyhow::Result;
use gen5::{ChunkRecord, Latent};
use serde::Serialize;

use super::each::{Seen, each};
use super::{Output, storage};
use crate::args::LsArgs;
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
    let inputs = output.inputs;
    each(
        &args.files,
        None,
        output,
        |path, _| inputs.open(path),
        |seen, output| {
            let Seen { path, several, result, .. } = seen;
            match result {
                Ok(reader) => {
                    reader.latents().try_for_each(|latent| list(path, &latent, args.json, several, output))
                }
                // Lines, also of one file.
                Err(error) => output.failed(path, &error, args.json, true),
            }
        },
    )
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
        return output.json_line(&line);
    }
    if several {
        write!(output.out, "{}\t", shown(path))?;
    }
    let (key, dtype) = (escape(latent.key().unwrap_or_default()), latent.dtype());
    let (shape, size) = (dimensions(latent.shape(), "x"), latent.payload_size());
    let how = storage(compressed, shuffled);
    Ok(writeln!(output.out, "{key}\t{dtype}\t{shape}\t{size}\t{stored_size}\t{how}")?)
}
