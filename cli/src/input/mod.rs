//! Input of commands: files by path, or standard input, once, for the path `-`.

pub(crate) mod each_file;
pub(crate) mod files;
pub(crate) mod latents;
pub(crate) mod own;
pub(crate) mod view;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use gen5::{Limits, ReadOptions, Reader};
use gen5_picture::text::human_size;

use crate::convert::starts_arrays;
use crate::failure::of_file;
use crate::input::files::read_once;
use crate::interrupt;
use crate::streams::is_dash;
use crate::suggest::of_path;
use crate::terminal::shown;

/// Size limit for text files: far above any prompt, and below the limit on tables.
const MOST_TEXT: u64 = 64 << 20;

/// Limit on the bytes of standard input kept in a temporary file. It equals the limit on latents
/// read in one call.
const MOST_KEPT: u64 = 64 << 30;

/// The number of bytes that identify the content of standard input: the header of a GEN5 file, and
/// more than array formats need.
const START: u64 = 32;

/// The expected content of standard input.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    Gen5,
    Arrays,
}

impl Expected {
    /// The maximum number of bytes to read, given the first ones. Reading stops at other content,
    /// which may be endless.
    fn most(self, start: &[u8]) -> u64 {
        let is_expected = match self {
            Self::Gen5 => start.starts_with(b"GEN5"),
            Self::Arrays => starts_arrays(start),
        };
        match (is_expected, self) {
            (false, _) => START,
            (true, Self::Gen5) => gen5_length(start).unwrap_or(START),
            (true, Self::Arrays) => MOST_KEPT,
        }
    }
}

/// The maximum size of a GEN5 file with this header (docs/format.md, sections 3 and 12.1):
/// `file_size`, or for a large file the offset of its table plus the largest table that is read.
fn gen5_length(header: &[u8]) -> Option<u64> {
    const LARGE: u8 = 1;

    let file_size = header.get(20..)?.first_chunk().copied().map(u32::from_le_bytes)?;
    let is_large = header.get(6)? & LARGE != 0 && file_size == u32::MAX;
    if !is_large {
        return Some(file_size.into());
    }
    let table = header.get(24..)?.first_chunk().copied().map(u64::from_le_bytes)?;
    Some(table.saturating_add(Limits::default().table_bytes))
}

/// The input of a command.
pub(crate) struct Inputs<'a> {
    /// Standard input, until it is read.
    stdin: Mutex<Option<&'a mut (dyn Read + Send)>>,
    /// All of standard input, if [`keep`](Self::keep) read it.
    kept: Mutex<Option<File>>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(stdin: &'a mut (dyn Read + Send)) -> Self {
        Self { stdin: Mutex::new(Some(stdin)), kept: Mutex::default() }
    }

    /// Reads all of standard input and keeps it for a later open. A signal still ends the process
    /// immediately at this point.
    pub(crate) fn keep(&self) -> Result<()> {
        let all = self.spool(Expected::Gen5)?;
        *lock(&self.kept) = Some(all);
        Ok(())
    }

    /// Opens a GEN5 file. Reads fail once a signal has arrived.
    pub(crate) fn open(&self, path: &Path) -> Result<Reader> {
        self.open_with(ReadOptions::new(), path)
    }

    /// Opens a GEN5 file within limits.
    pub(crate) fn open_within(&self, limits: Limits, path: &Path) -> Result<Reader> {
        self.open_with(ReadOptions::new().limits(limits), path)
    }

    /// Opens a GEN5 file. Standard input is first copied to an unnamed file, since values are not
    /// read in order.
    pub(crate) fn open_with(&self, options: ReadOptions, path: &Path) -> Result<Reader> {
        let options = options.cancel_when(interrupt::is_due);
        let opened =
            if is_dash(path) { options.from_file(self.spool(Expected::Gen5)?) } else { options.open(path) };
        opened.map_err(|error| of_file(error, path))
    }

    /// An image in its encoded form.
    pub(crate) fn read_image(&self, path: &Path) -> Result<Vec<u8>> {
        self.read(path, "an image", Limits::default().image_bytes)
    }

    /// The contents of a file of at most `most` bytes. Devices and pipes may be endless.
    fn read(&self, path: &Path, what: &str, most: u64) -> Result<Vec<u8>> {
        let failed = || format!("could not read {}", shown(path));
        let mut bytes = Vec::new();
        let most_read = most.saturating_add(1);
        let read = if is_dash(path) {
            self.stdin()?.take(most_read).read_to_end(&mut bytes)
        } else {
            File::open(path).and_then(|file| file.take(most_read).read_to_end(&mut bytes))
        };
        read.map_err(|error| of_path(error, path, failed()))?;
        if bytes.len() as u64 > most {
            bail!("{} has more than {}, the limit on {what}", shown(path), human_size(most));
        }
        Ok(bytes)
    }

    /// The contents of a text file.
    pub(crate) fn read_text(&self, path: &Path) -> Result<String> {
        String::from_utf8(self.read(path, "a text", MOST_TEXT)?)
            .with_context(|| format!("{} is not UTF-8", shown(path)))
    }

    /// All of standard input as an unnamed file. Reading stops one byte past the limit for the
    /// expected content.
    pub(crate) fn spool(&self, expected: Expected) -> Result<File> {
        if let Some(kept) = lock(&self.kept).take() {
            return Ok(kept);
        }
        let stdin = self.stdin()?;
        let failed =
            |error: io::Error| anyhow::anyhow!("could not keep standard input in a temporary file: {error}");
        let mut start = Vec::new();
        stdin.take(START).read_to_end(&mut start).map_err(failed)?;
        // A header can claim more than may be kept. Such input is rejected before it is copied.
        let most = expected.most(&start);
        ensure!(most <= MOST_KEPT, too_large());
        let mut file = tempfile::tempfile().map_err(failed)?;
        let rest = most.saturating_add(1).saturating_sub(start.len() as u64);
        let copied = io::copy(&mut start.as_slice().chain(stdin.take(rest)), &mut file).map_err(failed)?;
        ensure!(copied <= MOST_KEPT, too_large());
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    fn stdin(&self) -> Result<&'a mut (dyn Read + Send)> {
        let taken = lock(&self.stdin).take();
        taken.ok_or_else(read_once)
    }
}

/// The refusal of standard input that is larger than a temporary file may be.
fn too_large() -> String {
    format!(
        "standard input has more than {}, the limit on temporary files; save it to a file, and \
         name that file",
        human_size(MOST_KEPT)
    )
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
