//! An output file in another format than GEN5. Its path is checked before the work, and it appears
//! once it is complete.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use gen5_publish::Draft;
use serde::Serialize;

use crate::interrupt;
use crate::output::{Output, hint_at_force};
use crate::streams::is_dash;
use crate::terminal::shown;

/// An output file: at a path, or standard output.
pub(crate) struct OutputFile<'a> {
    path: &'a Path,
    draft: Option<Draft>,
}

impl<'a> OutputFile<'a> {
    /// Creates an output file. An existing file is only replaced with `force`.
    pub(crate) fn create(path: &'a Path, force: bool) -> Result<Self> {
        if is_dash(path) {
            return Ok(Self { path, draft: None });
        }
        interrupt::arm();
        let draft = if force { Draft::create(path) } else { Draft::create_new(path) };
        Ok(Self { path, draft: Some(draft.map_err(hint_at_force)?) })
    }

    /// Publishes the complete file, and reports it as a line of text or as JSON.
    pub(crate) fn deliver<T: Serialize>(
        self,
        bytes: &[u8],
        summary_line: &str,
        report: &T,
        output: &mut Output<'_>,
    ) -> Result<()> {
        let path = self.path;
        if is_dash(path) {
            return Ok(output.out.write_all(bytes)?);
        }
        self.publish(bytes)?;
        output.summarize(path, summary_line, report)
    }

    /// Writes the whole file and publishes it under its path.
    pub(crate) fn publish(self, bytes: &[u8]) -> Result<()> {
        let Some(mut draft) = self.draft else { return Ok(()) };
        draft.write_all(bytes).with_context(|| format!("could not write {}", shown(self.path)))?;
        interrupt::check()?;
        draft.publish().map_err(hint_at_force)
    }
}
