//! The ways to open a file.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use gen5::{Error, ReadOptions};

use crate::content::{self, Content};
use crate::trickle::with_short_reads;

/// Every way to read a file returns the same content or the same error: from memory, with
/// positioned reads, with positioned reads of one byte (or, for large files, a few bytes) each, and
/// mapped. An accepted file meets the invariants in [`content`].
pub fn backends_agree(data: &[u8]) {
    let (file, path) = file_of(data);
    let options = || ReadOptions::new().limits(content::limits());
    let opened = options().open(&path);
    // SAFETY: nothing modifies the file while it is mapped.
    let mapped = unsafe { options().map(&path) };
    let ((trickled, content), reads) = with_short_reads(1 + data.len() / 1024, || {
        let reader = options().from_file(file);
        let content = reader.as_ref().ok().map(Content::of);
        (reader, content)
    });
    assert_eq!(reads > 0, !data.is_empty(), "the reads are those that were to be made short");

    let in_memory = options().from_bytes(data.to_vec());
    let expected = in_memory.as_ref().map(Content::of).map_err(Error::to_string);
    for other in [opened, mapped] {
        assert_eq!(other.as_ref().map(Content::of).map_err(Error::to_string), expected);
    }
    assert_eq!(trickled.map_err(|error| error.to_string()).map(|_| content).transpose(), Some(expected));
    if let Ok(reader) = in_memory {
        content::check(&reader, data);
    }
}

/// Creates a file in memory. Returns it with a path that opens it.
pub(crate) fn file_of(data: &[u8]) -> (File, PathBuf) {
    let file = rustix::fs::memfd_create("gen5", rustix::fs::MemfdFlags::CLOEXEC).expect("a file in memory");
    let mut file = File::from(file);
    file.write_all(data).expect("room for it");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    (file, path.into())
}
