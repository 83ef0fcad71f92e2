//! A GEN5 file that a command writes: checks its path, and reports it.

use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

use anyhow::{Context, Result};
use gen5::{Dtype, Summary, Version, WriteOptions, Writer};
use gen5_picture::text::{count, dimensions, human_size, shown_key};
use serde::Serialize;

use crate::failure::usage_error;
use crate::interrupt;
use crate::options::Compress;
use crate::output::latent_row::StoredLatent;
use crate::output::{Output, hint_at_force};
use crate::streams::is_dash;
use crate::terminal::shown;

/// The JSON report of a written file.
#[derive(Serialize)]
struct WrittenFileReport<'a, T> {
    version: String,
    file_size: u64,
    latents: Vec<StoredLatent<'a>>,
    #[serde(flatten)]
    more: &'a T,
}

/// A destination of a GEN5 file: a path, or standard output through an unnamed temporary file,
/// which the system removes in every case.
pub(crate) struct Destination<'a> {
    asked: &'a Path,
    spool: Option<File>,
}

impl<'a> Destination<'a> {
    /// A new file at a path, which must end in `.gen5`, or standard output.
    pub(crate) fn of(asked: &'a Path, output: &Output<'_>) -> Result<Self> {
        if !is_dash(asked) && asked.extension().is_none_or(|extension| extension != "gen5") {
            let problem = format!("{} must end in .gen5", shown(asked));
            return Err(usage_error(problem));
        }
        Self::in_place_of(asked, output)
    }

    /// A file that replaces another, under any name, or standard output.
    pub(crate) fn in_place_of(asked: &'a Path, output: &Output<'_>) -> Result<Self> {
        if !is_dash(asked) {
            return Ok(Self { asked, spool: None });
        }
        output.refuse_json()?;
        output.refuse_terminal("the file is binary, and would garble the terminal", "")?;
        // The header is written last, so the file cannot be streamed.
        let spool = tempfile::tempfile().context("could not create a temporary file")?;
        Ok(Self { asked, spool: Some(spool) })
    }

    pub(crate) fn create(&self, options: WriteOptions, force: bool) -> Result<Writer<'static>> {
        let writer = match self.spool()? {
            Some(file) => options.to_file(file),
            None if force => options.create(self.asked),
            None => options.create_new(self.asked),
        };
        writer.map_err(refused)
    }

    /// The unnamed file, for standard output. For a path, this arms the signal handler, since from
    /// now on a temporary file exists.
    fn spool(&self) -> Result<Option<File>> {
        match &self.spool {
            Some(file) => Ok(Some(file.try_clone().context("could not write to a temporary file")?)),
            None => {
                interrupt::arm();
                Ok(None)
            }
        }
    }

    /// Publishes the complete file, and reports it as a line of text or as JSON.
    pub(crate) fn deliver<T: Serialize>(
        self,
        summary_line: &str,
        report: &T,
        output: &mut Output<'_>,
    ) -> Result<()> {
        let Some(mut file) = self.spool else {
            return output.summarize(self.asked, summary_line, report);
        };
        file.rewind().context("could not read a temporary file")?;
        io::copy(&mut file, output.out)?;
        output.detail(|| summary_line.to_owned());
        Ok(())
    }

    /// [Delivers](Self::deliver) the written file and reports it. The line ends with
    /// `summary_line`; `more` adds members to the JSON.
    pub(crate) fn finish<T: Serialize>(
        self,
        summary: &Summary,
        summary_line: &str,
        more: &T,
        output: &mut Output<'_>,
    ) -> Result<()> {
        for note in &summary.notes {
            output.note(&format!("{}: {note}", shown(self.asked)));
        }
        let version = summary.version;
        if summary.version > Version::V1_0 {
            output.note(&format!(
                "{} has version {version}, which the Python package gen5 cannot read: it has {}",
                shown(self.asked),
                newer_features(summary)
            ));
        }
        let latents: Vec<StoredLatent<'_>> =
            summary.latents.iter().enumerate().map(StoredLatent::written).collect();
        for latent in &latents {
            output.detail(|| {
                let key = latent.key.map(shown_key).unwrap_or_default();
                let shape = dimensions(latent.shape, "x");
                let size = human_size(latent.stored_size);
                let how = latent.how();
                format!("{key}: {} {shape}, {size}, {how}", latent.dtype)
            });
        }
        let report =
            WrittenFileReport { version: version.to_string(), file_size: summary.file_size, latents, more };
        self.deliver(&format!("{}{summary_line}", described(summary)), &report, output)
    }
}

/// Rejects a zstd level without compression.
pub(crate) fn check_level(compress: Option<Compress>, level: Option<i32>) -> Result<()> {
    match (compress, level) {
        (Some(Compress::None), Some(level)) => {
            let problem = format!(
                "--level {level}: with --compress none no latent is compressed; leave one of them out"
            );
            Err(usage_error(problem))
        }
        _ => Ok(()),
    }
}

/// The error of a failed write. Options out of range are usage errors.
fn refused(error: gen5::Error) -> anyhow::Error {
    match error {
        gen5::Error::Argument { .. } => usage_error(error.to_string()),
        _ => hint_at_force(error),
    }
}

/// A one-line description of the written file.
fn described(summary: &Summary) -> String {
    let values: u64 = summary.latents.iter().map(|latent| latent.payload_size).sum();
    let compressed = summary.latents.iter().filter(|latent| latent.compressed).count();
    let choice = match (compressed, summary.latents.len()) {
        (_, 0) => String::new(),
        (0, _) => " (stored raw)".to_owned(),
        (some, all) if some == all => " (compressed)".to_owned(),
        (some, _) => format!(" ({some} of them compressed)"),
    };
    format!(
        "{}{choice}, {} of values, {} in all",
        count(summary.latents.len(), "latent"),
        human_size(values),
        human_size(summary.file_size),
    )
}

/// The features of a file that version 1.0 lacks.
fn newer_features(summary: &Summary) -> String {
    let features = [
        ("4 GiB or more", summary.file_size > u64::from(u32::MAX)),
        ("latents of bfloat16", summary.latents.iter().any(|latent| latent.dtype == Dtype::BF16)),
        ("shuffled bytes", summary.latents.iter().any(|latent| latent.shuffled)),
    ];
    let there: Vec<&str> = features.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
    if there.is_empty() { "chunks of unknown types".into() } else { there.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::refused;
    use crate::failure::Status;

    #[test]
    fn options_out_of_range_are_wrong_usage() {
        let error = gen5::WriteOptions::new().level(99).create("x.gen5").unwrap_err();
        assert_eq!(Status::of(&refused(error)), Status::Usage);
        assert_eq!(Status::of(&refused(gen5::Error::Cancelled)), Status::Failed);
    }
}
