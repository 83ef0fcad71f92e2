//! What commands read: files by their paths, or standard input, once, where `-` stands for one.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use gen5::{ReadOptions, Reader};

use super::of_file;
use crate::failure::UsageError;
use crate::terminal::shown;

/// Where commands read.
pub(crate) struct Inputs<'a> {
    /// Standard input, until it is read.
    stdin: Mutex<Option<&'a mut (dyn Read + Send)>>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(stdin: &'a mut (dyn Read + Send)) -> Self {
        Self { stdin: Mutex::new(Some(stdin)) }
    }

    /// Opens a GEN5 file.
    pub(crate) fn open(&self, path: &Path) -> Result<Reader> {
        self.open_with(ReadOptions::new(), path)
    }

    /// Opens a GEN5 file. Standard input becomes a file without a name first, since values are not read in their order.
    pub(crate) fn open_with(&self, options: ReadOptions, path: &Path) -> Result<Reader> {
        let opened = match is_dash(path) {
            true => options.from_file(self.spool()?),
            false => options.open(path),
        };
        opened.map_err(|error| of_file(error, path))
    }

    /// A file, whole.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let failed = || format!("could not read {}", shown(path));
        if !is_dash(path) {
            return fs::read(path).with_context(failed);
        }
        let mut bytes = Vec::new();
        self.stdin()?.read_to_end(&mut bytes).with_context(failed)?;
        Ok(bytes)
    }

    /// A file that is text.
    pub(crate) fn read_text(&self, path: &Path) -> Result<String> {
        String::from_utf8(self.read(path)?).with_context(|| format!("{} is not UTF-8", shown(path)))
    }

    fn spool(&self) -> Result<File> {
        let stdin = self.stdin()?;
        let mut spooled = || {
            let mut file = tempfile::tempfile()?;
            io::copy(stdin, &mut file)?;
            file.rewind()?;
            Ok(file)
        };
        spooled().map_err(|error: io::Error| {
            anyhow::anyhow!("could not keep standard input in a temporary file: {error}")
        })
    }

    fn stdin(&self) -> Result<&'a mut (dyn Read + Send)> {
        let taken = self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| UsageError("- is standard input, which can be read once".into()).into())
    }
}

/// Whether a path stands for standard input, or output.
pub(super) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}
