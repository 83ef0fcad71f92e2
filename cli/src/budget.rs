//! Limits on a command's resources, whatever the files claim: memory, threads, and bytes written
//! repeatedly.
//!
//! Values of latents are not counted: they are read in blocks and batches of some MiB, however many
//! there are. Images and the pictures of latents have limits in the crate that makes them:
//! [`IMAGE_MEMORY`](gen5_picture::IMAGE_MEMORY), [`LATENT_MEMORY`](gen5_picture::LATENT_MEMORY) and
//! [`VIEW_MEMORY`](gen5_picture::VIEW_MEMORY).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use gen5::Limits;

/// Memory used per byte of a table's text.
const MEMORY_FOR_TEXT: u64 = 8;

/// Memory used for everything except tables, images and pictures of latents: the program, its
/// threads, blocks of latents.
const MEMORY_BESIDE: u64 = 192 << 20;

/// Maximum memory of a command that holds tables with `text` bytes of text at a time, decodes no
/// image and shows no large latents. zstd windows are not counted.
pub fn memory(text: u64) -> u64 {
    MEMORY_BESIDE + MEMORY_FOR_TEXT * text
}

/// Maximum number of files read in parallel.
pub(crate) const SIDE_BY_SIDE: usize = 256;

/// Limits for a file read in parallel with others: together, their tables have no more text than a
/// single file may have. A file with a larger table is read alone.
pub(crate) fn beside_others() -> Limits {
    let limits = Limits::default();
    let share = limits.table_bytes / SIDE_BY_SIDE as u64;
    limits.table_bytes(share)
}

/// Whether an error means that a table is too large for reading in parallel with others.
pub(crate) fn is_for_alone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(gen5::Error::Limit { name: "table_bytes", .. }))
}

/// Memory for the pictures of a latent whose file is read in parallel with others.
pub(crate) const PICTURES_BESIDE_OTHERS: u64 = 32 << 20;

/// Memory shared by several threads.
pub(crate) struct Shared {
    left: Mutex<u64>,
    given_back: Condvar,
    all: u64,
}

/// A share of the memory, returned on drop.
pub(crate) struct Taken<'a> {
    from: &'a Shared,
    bytes: u64,
}

impl Shared {
    /// A budget of this many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { left: Mutex::new(bytes), given_back: Condvar::new(), all: bytes }
    }

    /// Waits until this many bytes are available, or all if the budget is smaller, and takes them.
    pub(crate) fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.all);
        let wait = self.given_back.wait_while(self.left(), |left| *left < bytes);
        *wait.unwrap_or_else(PoisonError::into_inner) -= bytes;
        Taken { from: self, bytes }
    }

    fn left(&self) -> MutexGuard<'_, u64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.from.left() += self.bytes;
        self.from.given_back.notify_all();
    }
}

/// Limit on the bytes of text in the tables of merged files, which are all open at the same time.
pub(crate) const MERGED_TEXT: u64 = 256 << 20;

/// Limit on the header of a `.safetensors` file in bytes. The format allows 100 MB, but the parsed
/// header takes up to 40 times its size. A file with the maximum number of latents of a GEN5 file
/// has about 25 MB.
pub(crate) const HEADER_OF_TENSORS: u64 = 32 << 20;

/// A number of threads above both this and the number of cores is a typing error. Idle threads look
/// for work at all others, so a thousand waste ten seconds on two cores.
const MOST_THREADS: usize = 512;

/// The maximum number of threads of a command.
pub(crate) fn most_threads() -> usize {
    thread::available_parallelism().map_or(MOST_THREADS, |cores| MOST_THREADS.max(cores.get()))
}

/// Limit on the files that a command creates. More are a mistake or an attack.
pub(crate) const MADE_FILES: usize = 100_000;

/// Limit in MiB on the metadata, images and other data that the files of `split` repeat; `--room`
/// changes it.
pub(crate) const REPEATED_BY_SPLIT: u32 = 4096;

/// Limit on the bytes of keys and texts that the files of `unpack --format` repeat.
pub(crate) const REPEATED_BY_UNPACK: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is() {
        let shared = Shared::new(10);
        let now = AtomicU64::new(0);
        let most = AtomicU64::new(0);
        thread::scope(|scope| {
            for bytes in [1, 4, 6, 10, 99, 3, 7, 10, 5] {
                let shared = &shared;
                let now = &now;
                let most = &most;
                scope.spawn(move || {
                    for _ in 0..200 {
                        let taken = shared.take(bytes);
                        let all = now.fetch_add(taken.bytes, Ordering::SeqCst) + taken.bytes;
                        most.fetch_max(all, Ordering::SeqCst);
                        thread::yield_now();
                        now.fetch_sub(taken.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), *shared.left()), (10, 10));
    }

    #[test]
    fn files_that_are_looked_at_side_by_side_have_no_more_text_than_one_may_have() {
        let each = beside_others().table_bytes;
        assert_eq!(each * SIDE_BY_SIDE as u64, Limits::default().table_bytes);
    }
}
