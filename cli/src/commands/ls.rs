//! `gen5 ls`: one line per latent, for pipes.

use std::path::Path;

use anyhow::Result;
use gen5::Latent;
use serde::Serialize;

use crate::context::Context;
use crate::input::each_file::{FileResult, each};
use crate::options::FilesArgs;
use crate::output::Output;
use crate::output::latent_row::StoredLatent;
use crate::terminal::shown;
use clap::Args;
use gen5_picture::text::{dimensions, shown_key};

/// List the latents of files, one per line.
///
/// Each line has tab-separated fields: key (empty if the latent has none), dtype, shape (1x4x64x64,
/// or scalar), size in bytes, stored size in bytes, and storage (raw, zstd or shuffled). With
/// several files, the path comes first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gen5 ls run.gen5
  gen5 ls run.gen5 | cut -f1
  gen5 ls -r runs --json | jq -r 'select(.compressed) | .key'")]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) files: FilesArgs,

    /// Print JSON Lines, with one object per latent
    #[arg(long)]
    pub(crate) json: bool,
}

/// The JSON line of a latent.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    #[serde(flatten)]
    latent: StoredLatent<'a>,
}

pub(crate) fn run(args: &LsArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    each(
        &args.files,
        None,
        output,
        |path, limits, _| input.open_within(limits, path),
        |file, output| {
            let FileResult { path, several, result, .. } = file;
            match result {
                Ok(reader) => {
                    output.note_unknown(&reader, path, "not listed; gen5 info shows such chunks");
                    reader.latents().try_for_each(|latent| list(path, &latent, args.json, several, output))
                }
                // JSON Lines, even for one file.
                Err(error) => output.failed(path, &error, args.json, true),
            }
        },
    )
}

fn list(path: &Path, latent: &Latent, json: bool, several: bool, output: &mut Output<'_>) -> Result<()> {
    let stored = StoredLatent::of(latent);
    if json {
        return output.json_line(&Line { path: &path.to_string_lossy(), latent: stored });
    }
    if several {
        write!(output.out, "{}\t", shown(path))?;
    }
    let key = stored.key.map(shown_key).unwrap_or_default();
    let shape = dimensions(stored.shape, "x");
    let StoredLatent { dtype, payload_size, stored_size, .. } = stored;
    Ok(writeln!(output.out, "{key}\t{dtype}\t{shape}\t{payload_size}\t{stored_size}\t{}", stored.how())?)
}
