//! A GEN5 file that a command writes: where it may be, and what is told of it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gen5::{Dtype, Summary, WriteOptions, Writer};
use tempfile::TempDir;

use super::input::is_dash;
use super::{Output, hint_at_force, storage};
use crate::failure::UsageError;
use crate::interrupt;
use crate::terminal::{count, dimensions, human_size, shown};

/// Where a file goes: to its path, or by way of a temporary folder to standard output.
pub(super) struct Destination<'a> {
    asked: &'a Path,
    spool: Option<TempDir>,
}

impl<'a> Destination<'a> {
    /// At this path, which has to end in `.gen5`, or to standard output.
    pub(super) fn of(asked: &'a Path, output: &Output<'_>) -> Result<Self> {
        if !is_dash(asked) && asked.extension().is_none_or(|extension| extension != "gen5") {
            let problem = format!("{} has to end in .gen5, so that it is known for what it is", shown(asked));
            return Err(UsageError(problem).into());
        }
        Self::in_place_of(asked, output)
    }

    /// In the place of a file, whatever its name, or to standard output.
    pub(super) fn in_place_of(asked: &'a Path, output: &Output<'_>) -> Result<Self> {
        if !is_dash(asked) {
            return Ok(Self { asked, spool: None });
        }
        output.refuse_terminal("the file is")?;
        // From here on there is something to clean up.
        interrupt::arm();
        // The header is written last, so it cannot be sent as it comes.
        let spool = tempfile::tempdir().context("could not create a temporary folder")?;
        Ok(Self { asked, spool: Some(spool) })
    }

    /// Where it is written.
    pub(super) fn path(&self) -> PathBuf {
        self.spool.as_ref().map_or_else(|| self.asked.to_owned(), |spool| spool.path().join("out.gen5"))
    }

    /// Starts the file. Options that are out of range are the caller's mistake; everything else is not.
    pub(super) fn create(&self, options: WriteOptions, force: bool) -> Result<Writer<'static>> {
        let options = options.sync(self.spool.is_none());
        let writer = if force { options.create(self.path()) } else { options.create_new(self.path()) };
        writer.map_err(|error| match error {
            gen5::Error::Argument { .. } => UsageError(error.to_string()).into(),
            _ => hint_at_force(error),
        })
    }

    /// Delivers what is complete, and tells of it in a line.
    pub(super) fn deliver(self, told: &str, output: &mut Output<'_>) -> Result<()> {
        let path = self.path();
        if self.spool.is_none() {
            return Ok(writeln!(output.out, "{}: {told}", shown(self.asked))?);
        }
        let mut file = File::open(&path).with_context(|| format!("could not open {}", shown(&path)))?;
        io::copy(&mut file, output.out)?;
        output.detail(|| told.to_owned());
        Ok(())
    }

    /// [Delivers](Self::deliver) what was written, and tells what the caller may want to know of it.
    pub(super) fn finish(self, summary: &Summary, more: &str, output: &mut Output<'_>) -> Result<()> {
        for note in &summary.notes {
            output.note(&format!("{}: {note}", shown(self.asked)));
        }
        if summary.version > (1, 0) {
            let (major, minor) = summary.version;
            output.note(&format!(
                "{} is of version {major}.{minor}, which the Python package gen5 cannot read: it has {}",
                shown(self.asked),
                newer_features(summary)
            ));
        }
        for latent in &summary.latents {
            output.detail(|| {
                let (key, shape) =
                    (latent.key.as_deref().unwrap_or_default(), dimensions(&latent.shape, "x"));
                let how = storage(latent.compressed, latent.shuffled);
                format!("{key}: {} {shape}, {}, {how}", latent.dtype, human_size(latent.stored_size))
            });
        }
        self.deliver(&format!("{}{more}", described(summary)), output)
    }
}

/// What was written, in a line.
fn described(summary: &Summary) -> String {
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
