//! Cancellation and progress of one call.

use crate::cancelled::Cancelled;
use crate::error::Result;
use crate::progress::Progress;

/// The caller's functions, for a call that reads.
#[derive(Clone, Copy)]
pub(super) struct Watch<'a> {
    pub(super) cancelled: &'a Cancelled,
    pub(super) progress: &'a Progress,
}

impl Watch<'_> {
    /// Reports that this many more bytes were read. Returns an error if the call is cancelled.
    pub(super) fn add(self, bytes: usize) -> Result<()> {
        self.progress.add(bytes as u64);
        self.cancelled.check()
    }
}
