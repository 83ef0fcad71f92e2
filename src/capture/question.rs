//! Queries to the system that may never return. Each runs on its own thread, which is abandoned if
//! it hangs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::POLL;
use super::silence::Silence;
use crate::cancelled::Cancelled;

/// A query of the whole process. At most one thread runs it, however often it is requested.
pub(super) struct Question<T: 'static> {
    /// Computes the answer and passes it on. No caller waits for its later work, such as closing a
    /// library.
    find: fn(&dyn Fn(T)),
    latest: Mutex<Weak<Asked<T>>>,
}

/// A query in progress.
pub(super) struct Asked<T> {
    since: Instant,
    answer: Mutex<Option<T>>,
    answered: Condvar,
}

/// The thread's end of a query. If the thread panics, the answer is the default.
struct Finder<T: Default>(Arc<Asked<T>>);

impl<T: Clone + Default + Send> Question<T> {
    pub(super) const fn new(find: fn(&dyn Fn(T))) -> Self {
        Self { find, latest: Mutex::new(Weak::new()) }
    }

    /// Starts the query, or joins the one that an earlier call started and that still runs.
    pub(super) fn ask(&'static self) -> Result<Arc<Asked<T>>, Silence> {
        let mut latest = lock(&self.latest);
        if let Some(asked) = latest.upgrade() {
            return Ok(asked);
        }
        let asked =
            Arc::new(Asked { since: Instant::now(), answer: Mutex::new(None), answered: Condvar::new() });
        let finder = Finder(Arc::clone(&asked));
        let find = move || (self.find)(&|answer| finder.tell(answer));
        thread::Builder::new().spawn(find).map_err(Silence::NotStarted)?;
        *latest = Arc::downgrade(&asked);
        Ok(asked)
    }
}

impl<T: Clone> Asked<T> {
    /// Waits for the answer until `limit` has passed since the start of the query. So a query that
    /// hangs for longer costs later callers no time.
    pub(super) fn answer(&self, limit: Duration, cancelled: &Cancelled) -> Result<T, Silence> {
        let mut answer = lock(&self.answer);
        loop {
            if let Some(answer) = &*answer {
                return Ok(answer.clone());
            }
            let left = limit.saturating_sub(self.since.elapsed());
            if left.is_zero() {
                return Err(Silence::TooLate(limit));
            }
            if cancelled.check().is_err() {
                return Err(Silence::Cancelled);
            }
            let waited = self.answered.wait_timeout(answer, left.min(POLL));
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T: Default> Finder<T> {
    fn tell(&self, answer: T) {
        *lock(&self.0.answer) = Some(answer);
        self.0.answered.notify_all();
    }
}

impl<T: Default> Drop for Finder<T> {
    fn drop(&mut self) {
        lock(&self.0.answer).get_or_insert_default();
        self.0.answered.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(60);

    fn answer<T: Clone + Default + Send>(question: &'static Question<T>, limit: Duration) -> Option<T> {
        match question.ask().unwrap().answer(limit, &Cancelled::default()) {
            Ok(answer) => Some(answer),
            Err(Silence::TooLate(late)) if late == limit => None,
            Err(silence) => panic!("{silence}"),
        }
    }

    fn hang() -> ! {
        loop {
            thread::park();
        }
    }

    #[test]
    fn each_capture_asks_again() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static COUNTS: Question<usize> = Question::new(|tell| tell(COUNT.fetch_add(1, Ordering::SeqCst)));
        let first = answer(&COUNTS, LONG).unwrap();
        let deadline = Instant::now() + LONG;
        while answer(&COUNTS, LONG).unwrap() == first {
            assert!(Instant::now() < deadline);
        }
    }

    #[test]
    fn a_question_that_hangs_has_one_thread_and_is_waited_for_once() {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        static HANGS: Question<u8> = Question::new(|_| {
            THREADS.fetch_add(1, Ordering::SeqCst);
            hang();
        });
        let start = Instant::now();
        assert_eq!(answer(&HANGS, SHORT), None);
        assert!(start.elapsed() >= SHORT);
        let again = Instant::now();
        for _ in 0..100 {
            assert_eq!(answer(&HANGS, SHORT), None);
        }
        assert!(again.elapsed() < LONG / 10, "{:?}", again.elapsed());
        assert_eq!(THREADS.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_hangs_after_its_answer_has_one_thread_too() {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        static CLOSES_SLOWLY: Question<u8> = Question::new(|tell| {
            THREADS.fetch_add(1, Ordering::SeqCst);
            tell(7);
            hang();
        });
        for _ in 0..3 {
            assert_eq!(answer(&CLOSES_SLOWLY, LONG), Some(7));
        }
        assert_eq!(THREADS.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_question_that_panics_has_learned_nothing() {
        static PANICS: Question<u8> = Question::new(|_| panic!("as the test wants it"));
        assert_eq!(answer(&PANICS, LONG), Some(0));
    }

    #[test]
    fn a_wait_ends_when_it_is_cancelled() {
        static HANGS: Question<u8> = Question::new(|_| hang());
        static CANCELLED: AtomicBool = AtomicBool::new(false);
        let cancelled = Cancelled::when(|| CANCELLED.load(Ordering::SeqCst));
        let asked = HANGS.ask().unwrap();
        let start = Instant::now();
        thread::spawn(|| {
            thread::sleep(SHORT);
            CANCELLED.store(true, Ordering::SeqCst);
        });
        assert!(matches!(asked.answer(LONG, &cancelled), Err(Silence::Cancelled)));
        assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    }
}
