//! What commands read: files by their paths, or standard input, once, where `-` stands for one.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use gen5::{Limits, ReadOptions, Reader};

use super::of_file;
use crate::files::{is_dash, read_once};
use crate::interrupt;
use crate::names::of_path;
use crate::terminal::{human_size, shown};

/// Bytes of a text that is read: far more than any prompt, and less than a table may have.
const MOST_TEXT: u64 = 64 << 20;

/// Where commands read.
pub(crate) struct Inputs<'a> {
    /// Standard input, until it is read.
    stdin: Mutex<Option<&'a mut (dyn Read + Send)>>,
    /// All of it, if it was waited for.
    kept: Mutex<Option<File>>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(stdin: &'a mut (dyn Read + Send)) -> Self {
        Self { stdin: Mutex::new(Some(stdin)), kept: Mutex::default() }
    }

    /// Waits for all of standard input, and keeps it for who opens it: while a signal still ends the process at once.
    pub(crate) fn keep(&self) -> Result<()> {
        let all = self.spool()?;
        *lock(&self.kept) = Some(all);
        Ok(())
    }

    /// Opens a GEN5 file, of which no more is read once a signal has come.
    pub(crate) fn open(&self, path: &Path) -> Result<Reader> {
        self.open_with(ReadOptions::new(), path)
    }

    /// Opens a GEN5 file. Standard input becomes a file without a name first, since values are not read in their order.
    pub(crate) fn open_with(&self, options: ReadOptions, path: &Path) -> Result<Reader> {
        let options = options.cancel_when(interrupt::is_due);
        let opened = match is_dash(path) {
            true => options.from_file(self.spool()?),
            false => options.open(path),
        };
        opened.map_err(|error| of_file(error, path))
    }

    /// An image, as it is encoded.
    pub(crate) fn read_image(&self, path: &Path) -> Result<Vec<u8>> {
        self.read(path, "an image", Limits::default().image_bytes)
    }

    /// A file, whole, if it has no more than `most` bytes. Devices and pipes may have no end.
    fn read(&self, path: &Path, what: &str, most: u64) -> Result<Vec<u8>> {
        let failed = || format!("could not read {}", shown(path));
        let (mut bytes, most_read) = (Vec::new(), most.saturating_add(1));
        let read = match is_dash(path) {
            true => self.stdin()?.take(most_read).read_to_end(&mut bytes),
            false => File::open(path).and_then(|file| file.take(most_read).read_to_end(&mut bytes)),
        };
        read.map_err(|error| of_path(error, path, failed()))?;
        if bytes.len() as u64 > most {
            bail!("{} has more than {}, the most that {what} may have", shown(path), human_size(most));
        }
        Ok(bytes)
    }

    /// A file that is text.
    pub(crate) fn read_text(&self, path: &Path) -> Result<String> {
        String::from_utf8(self.read(path, "a text", MOST_TEXT)?)
            .with_context(|| format!("{} is not UTF-8", shown(path)))
    }

    /// All of standard input, as a file without a name.
    pub(crate) fn spool(&self) -> Result<File> {
        if let Some(kept) = lock(&self.kept).take() {
            return Ok(kept);
        }
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
        let taken = lock(&self.stdin).take();
        taken.ok_or_else(|| read_once().into())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
