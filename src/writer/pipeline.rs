//! Writes chunks in parallel. Each is encoded by any free thread, gets its place after all chunks
//! before it have theirs, and is written while others are still encoded.
//!
//! So a file's bytes do not depend on the number of threads. File systems accept writes from one
//! thread at a time, so writing overlaps with computation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::encode::{Encoded, Job, encode};
use super::options::DEFAULT_PART_SIZE;
use super::raw::write_values;
use super::session::{Placement, Session};
use crate::codec::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::wire::CHUNK_HEADER_SIZE;

/// Writes chunks of latents. If one is rejected, none of them is in the file. If the reason is a
/// value, the next chunk gets the place that the first of these had.
pub(super) fn write_jobs(session: &Session<'_>, jobs: &[Job<'_>]) -> Result<()> {
    let _guard = session.guard();
    if !session.sink.is_positional() {
        // This sink cannot be truncated, so nothing is written before all values are known to be
        // valid.
        let checked: Vec<Result<()>> = jobs.par_iter().map(|job| job.input.check(&session.options)).collect();
        checked.into_iter().collect::<Result<()>>()?;
    }
    let (mut places, mut records) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
    let mut rest = jobs;
    while !rest.is_empty() {
        let (window, behind) = rest.split_at(window_len(session, rest));
        let done = Pipeline::new(session, window).run();
        places.extend_from_slice(&done.places);
        if let Some((_, error)) = done.failed {
            if !matches!(error, Error::Io { .. }) {
                session.take_back(places)?;
            }
            return Err(error);
        }
        let written = window.iter().zip(done.places).zip(done.digests.into_iter().flatten());
        records.extend(
            written.map(|((job, place), sha256)| job.chunk.clone().into_record(place, job.size(), sha256)),
        );
        rest = behind;
    }
    session.state().records.append(&mut records);
    Ok(())
}

/// Returns how many of the jobs to process together. Compressed chunks may have to wait in memory
/// for those before them: two for each thread, or more if their total size is at most two parts for
/// each thread.
fn window_len(session: &Session<'_>, jobs: &[Job<'_>]) -> usize {
    let most = 2 * rayon::current_num_threads();
    let part = session.options.part_size.unwrap_or(DEFAULT_PART_SIZE).max(1 << 20);
    let budget = part.saturating_mul(most as u64);
    let (mut held, mut count) = (0_u64, 0);
    let fits = jobs.iter().take_while(|job| {
        if !job.is_raw() {
            held = held.saturating_add(job.size());
            count += 1;
        }
        count <= most || held <= budget
    });
    fits.count().max(1)
}

/// Jobs in progress.
struct Pipeline<'p, 'w> {
    session: &'p Session<'w>,
    jobs: &'p [Job<'p>],
    /// The first job that no thread has taken.
    next: AtomicUsize,
    /// Whether a job has failed, so that no more are taken.
    stopped: AtomicBool,
    ordered: Mutex<Ordered>,
}

/// State that follows the order of the jobs.
#[derive(Default)]
struct Ordered {
    /// Chunks that wait for a place, by job number.
    waiting: BTreeMap<usize, Encoded>,
    /// The places of the first jobs, in order.
    places: Vec<Placement>,
    /// The hashes of the written payloads.
    digests: Vec<Option<Digest>>,
    /// The number and error of the first failed job, in job order.
    failed: Option<(usize, Error)>,
}

impl<'p, 'w> Pipeline<'p, 'w> {
    fn new(session: &'p Session<'w>, jobs: &'p [Job<'p>]) -> Self {
        let digests = vec![None; jobs.len()];
        let ordered = Mutex::new(Ordered { digests, ..Ordered::default() });
        Self { session, jobs, next: AtomicUsize::new(0), stopped: AtomicBool::new(false), ordered }
    }

    fn ordered(&self) -> MutexGuard<'_, Ordered> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs all the jobs, or fails with the error of the first rejected job, whichever finishes
    /// first.
    fn run(self) -> Ordered {
        if self.session.sink.is_positional() {
            let workers = rayon::current_num_threads().min(self.jobs.len());
            (0..workers).into_par_iter().with_max_len(1).for_each(|_| self.work());
        } else {
            // Such a sink is the caller's code, and is called only from this thread.
            let encoded: Vec<Result<Encoded>> =
                self.jobs.par_iter().map(|job| encode(self.session, job)).collect();
            for (number, encoded) in encoded.into_iter().enumerate() {
                for (number, encoded, place) in self.place(number, encoded) {
                    self.write(number, encoded, place);
                }
            }
        }
        self.ordered.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes jobs one after the other, until there are no more.
    fn work(&self) {
        while !self.stopped.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.jobs.get(number) else { return };
            let encoded = encode(self.session, job);
            // Many raw chunks may have waited for this one.
            let placed = self.place(number, encoded);
            placed.into_par_iter().for_each(|(number, encoded, place)| self.write(number, encoded, place));
        }
    }

    /// Assigns places to this chunk and the chunks that waited for it, if all before it have
    /// theirs.
    fn place(&self, number: usize, encoded: Result<Encoded>) -> Vec<(usize, Encoded, Placement)> {
        let mut placed = Vec::new();
        let mut ordered = self.ordered();
        match encoded {
            Ok(encoded) => _ = ordered.waiting.insert(number, encoded),
            Err(error) => self.fail(&mut ordered, number, error),
        }
        loop {
            let next = ordered.places.len();
            let (Some(encoded), Some(job)) = (ordered.waiting.remove(&next), self.jobs.get(next)) else {
                break;
            };
            let (size, alignment) = match &encoded {
                Encoded::Frame(frame, _) => (frame.bytes().len() as u64, None),
                Encoded::Raw => {
                    (job.size().saturating_add(CHUNK_HEADER_SIZE), Some(self.session.options.alignment))
                }
            };
            match self.session.state().place(size, alignment) {
                Ok(place) => {
                    ordered.places.push(place);
                    placed.push((next, encoded, place));
                }
                Err(error) => {
                    self.fail(&mut ordered, next, error);
                    break;
                }
            }
        }
        placed
    }

    fn write(&self, number: usize, encoded: Encoded, place: Placement) {
        let Some(job) = self.jobs.get(number) else { return };
        let written = self.write_chunk(job, encoded, place);
        let mut ordered = self.ordered();
        match written {
            Ok(sha256) => {
                if let Some(digest) = ordered.digests.get_mut(number) {
                    *digest = Some(sha256);
                }
            }
            Err(error) => self.fail(&mut ordered, number, error),
        }
    }

    fn write_chunk(&self, job: &Job<'_>, encoded: Encoded, place: Placement) -> Result<Digest> {
        match encoded {
            Encoded::Frame(frame, sha256) => {
                self.session.write(frame.bytes(), place.offset)?;
                frame.recycle(&self.session.options.buffers);
                Ok(sha256)
            }
            Encoded::Raw => {
                self.session.write_head(place, &job.chunk.header(job.size()))?;
                let mut hasher = Hasher::default();
                write_values(self.session, &job.input, place.payload_offset(), &mut hasher)?;
                Ok(hasher.finish())
            }
        }
    }

    /// Records an error. Every job before this one was taken and will be completed, so the reported
    /// first error does not depend on timing.
    fn fail(&self, ordered: &mut Ordered, number: usize, error: Error) {
        self.stopped.store(true, Ordering::Relaxed);
        if ordered.failed.as_ref().is_none_or(|(first, _)| number < *first) {
            ordered.failed = Some((number, error));
        }
    }
}
