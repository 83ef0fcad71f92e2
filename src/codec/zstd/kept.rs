//! Values that a thread keeps from one frame to the next, since creating them takes longer than
//! decoding a small chunk.

use std::cell::Cell;
use std::thread::LocalKey;

/// The most memory that a thread keeps: enough for the default level, but not for a window of 128
/// MiB.
pub(super) const MAX_KEPT: usize = 16 << 20;

/// Takes the value that the thread keeps here. A thread that is ending keeps nothing.
pub(super) fn take<T>(place: &'static LocalKey<Cell<Option<T>>>) -> Option<T> {
    place.try_with(Cell::take).ok().flatten()
}

/// Keeps a value for the thread, unless the thread is ending.
pub(super) fn keep<T>(place: &'static LocalKey<Cell<Option<T>>>, value: T) {
    // If the storage is gone, the value is dropped with the closure.
    let _ = place.try_with(|place| place.set(Some(value)));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    thread_local! {
        static PLACE: Cell<Option<String>> = const { Cell::new(None) };
        static LAST: Cell<Option<AtTheEnd>> = const { Cell::new(None) };
    }

    static LATE_USES: AtomicUsize = AtomicUsize::new(0);

    /// Uses [`PLACE`] when the thread ends.
    struct AtTheEnd;

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            if PLACE.try_with(|_| ()).is_err() {
                keep(&PLACE, "late".to_owned());
                assert_eq!(take(&PLACE), None);
                LATE_USES.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn a_value_is_kept_until_it_is_taken() {
        assert_eq!(take(&PLACE), None);
        keep(&PLACE, "first".to_owned());
        keep(&PLACE, "second".to_owned());
        assert_eq!(take(&PLACE).as_deref(), Some("second"));
        assert_eq!(take(&PLACE), None);
    }

    #[test]
    fn a_thread_that_ends_keeps_nothing() {
        // The drop order of two values depends on the system.
        let orders: [fn(); 2] = [
            || {
                keep(&PLACE, "early".to_owned());
                keep(&LAST, AtTheEnd);
            },
            || {
                keep(&LAST, AtTheEnd);
                keep(&PLACE, "early".to_owned());
            },
        ];
        for order in orders {
            std::thread::spawn(order).join().unwrap();
        }
        assert_eq!(LATE_USES.load(Ordering::Relaxed), 1);
    }
}
