//! An allocator that counts what memory takes, not only what is asked for: glibc's `malloc` has 8 bytes for itself in each
//! piece, and pieces are of 32 bytes, 48, and so on (`malloc/malloc.c`, `request2size`). Very many small pieces take twice
//! what is in them.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use peak_alloc::PeakAlloc;

#[global_allocator]
pub(crate) static MEMORY: Memory = Memory(PeakAlloc);

pub(crate) struct Memory(PeakAlloc);

impl Memory {
    /// Bytes that are allocated now.
    pub(crate) fn now(&self) -> usize {
        self.0.current_usage()
    }

    /// Starts to look for the most.
    pub(crate) fn start(&self) {
        self.0.reset_peak_usage();
    }

    /// The most bytes that were allocated at one time since the start.
    pub(crate) fn most(&self) -> usize {
        self.0.peak_usage()
    }
}

// SAFETY: The inner allocator keeps the contract. It is asked for no less than the caller asks for, and gets back what it
// was asked for, since `piece` gives the same for the same layout.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: The piece is not empty.
        unsafe { self.0.alloc(piece(layout)) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: It was allocated with this layout here, so with this piece there.
        unsafe { self.0.dealloc(at, piece(layout)) }
    }
}

/// What `malloc` takes for it. Where that cannot be said, the allocator fails as it does without.
fn piece(layout: Layout) -> Layout {
    let size = layout.size().checked_add(8).and_then(|size| size.checked_next_multiple_of(16));
    size.and_then(|size| Layout::from_size_align(size.max(32), layout.align()).ok()).unwrap_or(layout)
}
