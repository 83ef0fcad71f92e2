//! An allocator that counts the memory that `malloc` takes, including its overhead. glibc adds 8
//! bytes to each allocation and rounds up to 32, 48, 64 and so on (`malloc/malloc.c`,
//! `request2size`). Many small allocations therefore take twice the size of their contents.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use peak_alloc::PeakAlloc;

#[global_allocator]
pub(crate) static MEMORY: Memory = Memory(PeakAlloc);

pub(crate) struct Memory(PeakAlloc);

impl Memory {
    /// Bytes currently allocated.
    pub(crate) fn now(&self) -> usize {
        self.0.current_usage()
    }

    /// Resets the maximum.
    pub(crate) fn start(&self) {
        self.0.reset_peak_usage();
    }

    /// The peak of allocated bytes since the start.
    pub(crate) fn most(&self) -> usize {
        self.0.peak_usage()
    }
}

// SAFETY: The inner allocator keeps the contract. It gets a layout that is at least as large as the
// caller's. `piece` returns the same layout for the same argument, so allocation and release agree.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: The piece is not empty.
        unsafe { self.0.alloc(piece(layout)) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `alloc` got this layout, so the inner allocator got this piece.
        unsafe { self.0.dealloc(at, piece(layout)) }
    }
}

/// The size of the block that `malloc` uses for a layout. On overflow the layout stays the same,
/// and allocation fails.
fn piece(layout: Layout) -> Layout {
    let size = layout.size().checked_add(8).and_then(|size| size.checked_next_multiple_of(16));
    size.and_then(|size| Layout::from_size_align(size.max(32), layout.align()).ok()).unwrap_or(layout)
}
