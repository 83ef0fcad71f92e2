//! Positioned reads that return only a few bytes and are sometimes interrupted.

use std::cell::Cell;
use std::ffi::c_void;
use std::os::fd::BorrowedFd;

thread_local! {
    /// The maximum number of bytes for each read, and the number of reads so far.
    static SHORT: Cell<Option<(usize, u64)>> = const { Cell::new(None) };
}

/// Runs a function while positioned reads of this thread return at most `most` bytes, and every
/// third one fails with EINTR. Also returns the number of reads.
pub(crate) fn with_short_reads<T>(most: usize, run: impl FnOnce() -> T) -> (T, u64) {
    SHORT.set(Some((most, 0)));
    let result = run();
    (result, SHORT.take().map_or(0, |(_, reads)| reads))
}

/// Replaces the C library's function, which the standard library calls for positioned reads.
///
/// # Safety
///
/// The same as for `pread64`: `buffer` has room for `count` bytes, and `file` is open.
#[unsafe(no_mangle)]
unsafe extern "C" fn pread64(file: i32, buffer: *mut c_void, count: usize, offset: i64) -> isize {
    let short = SHORT.get();
    SHORT.set(short.map(|(most, reads)| (most, reads + 1)));
    let (count, interrupted) =
        short.map_or((count, false), |(most, reads)| (count.min(most), reads % 3 == 2));
    if interrupted {
        return failed(rustix::io::Errno::INTR);
    }
    // SAFETY: the caller guarantees that the buffer has room for `count` bytes and that the file is
    // open.
    let (file, buffer) = unsafe {
        (
            BorrowedFd::borrow_raw(file),
            std::slice::from_raw_parts_mut(buffer.cast::<std::mem::MaybeUninit<u8>>(), count),
        )
    };
    match rustix::io::pread(file, buffer, offset as u64) {
        Ok((read, _)) => read.len() as isize,
        Err(error) => failed(error),
    }
}

fn failed(error: rustix::io::Errno) -> isize {
    errno::set_errno(errno::Errno(error.raw_os_error()));
    -1
}
