//! Writes chunks in parallel. Each is encoded by any free thread, gets its place after all chunks
//! before it have theirs, and is written while others are still encoded.
//!
//! So a file's bytes do not depend on the number of threads. File systems accept writes from one
//! thread at a time, so writing overlaps with computation.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::buffers::Filled;
use super::encode::{Encoded, Job, encode_chunk};
use super::input::Input;
use super::options::DEFAULT_PART_SIZE;
use super::raw::write_values;
use super::session::Session;
use crate::codec::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::manifest::ChunkRecord;
use crate::wire::CHUNK_HEADER_SIZE;

/// Writes chunks of latents. If one is rejected, none of them is in the file. If the reason is a
/// value, the next chunk gets the place that the first of these had.
pub(super) fn write_jobs(session: &Session<'_>, mut jobs: Vec<Job<'_>>) -> Result<()> {
    let _guard = session.guard();
    if !session.sink.is_positional() {
        // This sink cannot be truncated, so nothing is written before all values are known to be
        // valid.
        let checked: Vec<Result<()>> = jobs.par_iter().map(|job| job.input.check(&session.options)).collect();
        checked.into_iter().collect::<Result<()>>()?;
    }
    let mut spaces = Vec::with_capacity(jobs.len());
    let mut rest = jobs.as_mut_slice();
    while !rest.is_empty() {
        let (window, later) = rest.split_at_mut(window_len(session, rest));
        let done = Pipeline::new(session, window).run();
        spaces.extend_from_slice(&done.spaces);
        if let Some((_, error)) = done.failed {
            if !matches!(error, Error::Io { .. }) {
                session.take_back(spaces)?;
            }
            return Err(error);
        }
        for ((job, space), sha256) in window.iter_mut().zip(&done.spaces).zip(done.digests) {
            job.record.set_place(space);
            job.record.sha256 = sha256;
        }
        rest = later;
    }
    session.state().records.extend(jobs.into_iter().map(|job| job.record));
    Ok(())
}

/// Compresses and writes the waiting parts of all streams, in the order in which they were
/// completed.
pub(super) fn flush_waiting(session: &Session<'_>) -> Result<()> {
    let waiting = std::mem::take(&mut session.state().waiting);
    let (records, payloads): (Vec<ChunkRecord>, Vec<Filled>) =
        waiting.into_iter().map(|part| (part.record, part.payload)).unzip();
    let jobs = records
        .into_iter()
        .zip(&payloads)
        .filter_map(|(record, payload)| {
            let input = Input::ready(record.dtype()?, payload.bytes());
            Some(Job { record, input })
        })
        .collect();
    // The streams have already handed over these parts, so without them the file is incomplete.
    write_jobs(session, jobs).inspect_err(|error| session.fail(error))?;
    payloads.into_iter().for_each(|payload| payload.recycle(&session.options.buffers));
    Ok(())
}

/// Returns how many of the jobs to process together. Compressed chunks may have to wait in memory
/// for those before them: two for each thread, or more if their total size is at most two parts for
/// each thread.
fn window_len(session: &Session<'_>, jobs: &[Job<'_>]) -> usize {
    let most = 2 * rayon::current_num_threads();
    let part = session.options.part_size.unwrap_or(DEFAULT_PART_SIZE).max(1 << 20);
    let budget = part.saturating_mul(most as u64);
    let mut held = 0_u64;
    let mut count = 0;
    let fits = jobs.iter().take_while(|job| {
        if job.record.compressed {
            held = held.saturating_add(job.record.payload_size);
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
    /// The space in the file of the first jobs, in order.
    spaces: Vec<Range<u64>>,
    /// The hashes of the payloads that are written.
    digests: Vec<Digest>,
    /// The number and error of the first failed job, in job order.
    failed: Option<(usize, Error)>,
}

impl<'p, 'w> Pipeline<'p, 'w> {
    fn new(session: &'p Session<'w>, jobs: &'p [Job<'p>]) -> Self {
        let digests = vec![Digest([0; 32]); jobs.len()];
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
                self.jobs.par_iter().map(|job| encode_chunk(self.session, job)).collect();
            for (number, encoded) in encoded.into_iter().enumerate() {
                for (number, encoded, space) in self.place(number, encoded) {
                    self.write(number, encoded, space);
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
            let encoded = encode_chunk(self.session, job);
            // Many raw chunks may have waited for this one.
            let placed = self.place(number, encoded);
            placed.into_par_iter().for_each(|(number, encoded, space)| self.write(number, encoded, space));
        }
    }

    /// Assigns places to this chunk and the chunks that waited for it, if all before it have
    /// theirs.
    fn place(&self, number: usize, encoded: Result<Encoded>) -> Vec<(usize, Encoded, Range<u64>)> {
        let mut placed = Vec::new();
        let mut ordered = self.ordered();
        match encoded {
            Ok(encoded) => _ = ordered.waiting.insert(number, encoded),
            Err(error) => self.fail(&mut ordered, number, error),
        }
        loop {
            let next = ordered.spaces.len();
            let (Some(encoded), Some(job)) = (ordered.waiting.remove(&next), self.jobs.get(next)) else {
                break;
            };
            let (size, alignment) = match &encoded {
                Encoded::Frame(frame, _) => (frame.bytes().len() as u64, None),
                Encoded::Raw => {
                    let size = job.record.payload_size.saturating_add(CHUNK_HEADER_SIZE);
                    (size, Some(self.session.options.alignment))
                }
            };
            match self.session.state().place(size, alignment) {
                Ok(space) => {
                    ordered.spaces.push(space.clone());
                    placed.push((next, encoded, space));
                }
                Err(error) => {
                    self.fail(&mut ordered, next, error);
                    break;
                }
            }
        }
        placed
    }

    fn write(&self, number: usize, encoded: Encoded, space: Range<u64>) {
        let Some(job) = self.jobs.get(number) else { return };
        let written = self.write_chunk(job, encoded, &space);
        let mut ordered = self.ordered();
        match written {
            Ok(sha256) => {
                if let Some(digest) = ordered.digests.get_mut(number) {
                    *digest = sha256;
                }
            }
            Err(error) => self.fail(&mut ordered, number, error),
        }
    }

    fn write_chunk(&self, job: &Job<'_>, encoded: Encoded, space: &Range<u64>) -> Result<Digest> {
        match encoded {
            Encoded::Frame(frame, sha256) => {
                self.session.write(frame.bytes(), space.start)?;
                frame.recycle(&self.session.options.buffers);
                Ok(sha256)
            }
            Encoded::Raw => {
                let offset = self.session.write_head(space, &job.record)?;
                let mut hasher = Hasher::default();
                write_values(self.session, &job.input, offset, &mut hasher)?;
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::element::Dtype;
    use crate::writer::WriteOptions;
    use crate::writer::array::Plan;
    use crate::writer::options::Storage;
    use crate::writer::session::Waiting;
    use crate::writer::sink::SeekSink;

    /// The stream of a waiting part may have finished successfully long before the part finds no
    /// space.
    #[test]
    fn a_part_that_finds_no_place_spoils_the_file() {
        let sink = SeekSink::new(Cursor::new(Vec::new())).unwrap();
        let session = Session::start(Box::new(sink), None, WriteOptions::new()).unwrap();
        let plan = Plan::new("k".into(), vec![2], Dtype::F32, &session.options, Storage::Zstd).unwrap();
        let mut payload = Filled::default();
        payload.reserve(8, &session.options.buffers).unwrap();
        payload.extend(&[0; 8]);
        session.state().cursor = u64::MAX;
        session.state().waiting.push(Waiting { record: plan.record(0), payload });
        assert!(matches!(flush_waiting(&session), Err(Error::TooLarge { .. })));
        assert!(matches!(session.check_usable(), Err(Error::WriterFailed { .. })));
    }
}
