//! Limits on a command's resources, whatever the files claim: memory, threads, and bytes written
//! repeatedly.
//!
//! Values of latents are not counted: they are read in blocks and batches of some MiB, however many
//! there are.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use gen5::Limits;

/// Memory that a command takes for each byte of the text of a table.
const MEMORY_FOR_TEXT: u64 = 8;

/// Memory of a command apart from tables, images and pictures of latents: the program, its threads, blocks of latents.
const MEMORY_BESIDE: u64 = 192 << 20;

/// Memory that a command takes at most that has tables with so many bytes of text in memory at one time, if it decodes no image
/// and shows no large latents. The windows of zstd are not counted.
pub fn memory(text: u64) -> u64 {
    MEMORY_BESIDE + MEMORY_FOR_TEXT * text
}

/// Files that are looked at side by side.
pub(crate) const SIDE_BY_SIDE: usize = 256;

/// Limits for a file that is looked at beside others: all of their tables together have no more text than one file may have.
/// A file with a larger table is looked at alone.
pub(crate) fn beside_others() -> Limits {
    let limits = Limits::default();
    Limits { table_bytes: limits.table_bytes / SIDE_BY_SIDE as u64, ..limits }
}

/// Whether an error says that a table is too large to be looked at beside others.
pub(crate) fn is_for_alone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(gen5::Error::Limit { name: "table_bytes", .. }))
}

/// Memory for the images that are decoded at one time.
pub(crate) const IMAGES: u64 = 1 << 30;

/// Memory for the pictures of a latent, and for those of all latents of a file that are shown together.
pub(crate) const PICTURES: u64 = 256 << 20;
pub(crate) const ALL_PICTURES: u64 = 512 << 20;

/// Memory for the pictures of a latent whose file is looked at beside others.
pub(crate) const PICTURES_BESIDE_OTHERS: u64 = 32 << 20;

/// Memory that several threads share.
pub(crate) struct Shared {
    left: Mutex<u64>,
    given_back: Condvar,
    all: u64,
}

/// Some of it, which is given back when this is dropped.
pub(crate) struct Taken<'a> {
    from: &'a Shared,
    bytes: u64,
}

impl Shared {
    /// So many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { left: Mutex::new(bytes), given_back: Condvar::new(), all: bytes }
    }

    /// Waits until so many bytes are left, or all, and takes them.
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

/// Bytes of text in the tables of all files that are merged, which are open at one time.
pub(crate) const MERGED_TEXT: u64 = 256 << 20;

/// Bytes of the header of a `.safetensors` file, of which the format allows 100 MB. What is made of it takes up to 40 times as
/// much. A file of as many latents as a GEN5 file may have has some 25 MB.
pub(crate) const HEADER_OF_TENSORS: u64 = 32 << 20;

/// More threads than this, and than there are cores, are a slip of the finger. Those without work look for some at all
/// others, so that a thousand take ten seconds for nothing on two cores.
const MOST_THREADS: usize = 512;

/// The most threads that a command is run on.
pub(crate) fn most_threads() -> usize {
    thread::available_parallelism().map_or(MOST_THREADS, |cores| MOST_THREADS.max(cores.get()))
}

/// Files that a command makes. More are a slip, or a trap.
pub(crate) const MADE_FILES: usize = 100_000;

/// Bytes of metadata, image and the like that the files of `split` repeat, in MiB; `--room` is another number.
pub(crate) const REPEATED_BY_SPLIT: u32 = 4096;

/// Bytes of keys and texts that the files of `unpack --format` repeat.
pub(crate) const REPEATED_BY_UNPACK: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is() {
        let (shared, now, most) = (Shared::new(10), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for bytes in [1, 4, 6, 10, 99, 3, 7, 10, 5] {
                let (shared, now, most) = (&shared, &now, &most);
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
