//! A GEN5 file that a command writes: where it may be, and what is told of it.

use std::path::Path;

use anyhow::Result;
use gen5::{Dtype, Summary, WriteOptions, Writer};

use super::{Output, hint_at_force};
use crate::failure::UsageError;
use crate::terminal::{count, human_size, shown};

/// Refuses a file that would not be known for what it is.
pub(super) fn refuse_other_name(path: &Path) -> Result<()> {
    if path.extension().is_some_and(|extension| extension == "gen5") {
        return Ok(());
    }
    let problem = format!("{} has to end in .gen5, so that it is known for what it is", shown(path));
    Err(UsageError(problem).into())
}

/// Starts a file. Options that are out of range are the caller's mistake; everything else is not.
pub(super) fn create(options: WriteOptions, path: &Path, force: bool) -> Result<Writer<'static>> {
    let writer = if force { options.create(path) } else { options.create_new(path) };
    writer.map_err(|error| match error {
        gen5::Error::Argument { .. } => UsageError(error.to_string()).into(),
        _ => hint_at_force(error),
    })
}

/// Tells what was written.
pub(super) fn tell(path: &Path, summary: &Summary, output: &mut Output<'_>) -> Result<()> {
    warn(path, summary, output);
    Ok(writeln!(output.out, "{}: {}", shown(path), described(summary))?)
}

/// Tells what the caller may want to know of a file that was written.
pub(super) fn warn(path: &Path, summary: &Summary, output: &mut Output<'_>) {
    for note in &summary.notes {
        output.note(&format!("{}: {note}", shown(path)));
    }
    if summary.version > (1, 0) {
        let (major, minor) = summary.version;
        output.note(&format!(
            "{} is of version {major}.{minor}, which the Python package gen5 cannot read: it has {}",
            shown(path),
            newer_features(summary)
        ));
    }
}

/// What was written, in a line.
pub(super) fn described(summary: &Summary) -> String {
    let values: u64 = summary.latents.iter().map(|latent| latent.payload_size).sum();
    let compressed = summary.latents.iter().filter(|latent| latent.compressed).count();
    let choice = match compressed {
        0 => "stored raw".to_owned(),
        all if all == summary.latents.len() => "compressed".to_owned(),
        some => format!("{some} of them compressed"),
    };
    format!(
        "{} ({choice}), {} of values, {} in all",
        count(summary.latents.len(), "latent"),
        human_size(values),
        human_size(summary.file_size),
    )
}

/// What a file has that version 1.0 does not know.
fn newer_features(summary: &Summary) -> String {
    let features = [
        ("4 GiB or more", summary.file_size > u64::from(u32::MAX)),
        ("latents of bfloat16", summary.latents.iter().any(|latent| latent.dtype == Dtype::BF16)),
        ("shuffled bytes", summary.latents.iter().any(|latent| latent.shuffled)),
    ];
    let there: Vec<&str> = features.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
    if there.is_empty() { "chunks of unknown types".into() } else { there.join(", ") }
}
