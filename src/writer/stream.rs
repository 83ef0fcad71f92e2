//! A latent whose values arrive in pieces.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use super::array::Plan;
use super::auto;
use super::buffers::Filled;
use super::encode::Job;
use super::input::{Input, Payload};
use super::options::{DEFAULT_PART_SIZE, Storage};
use super::pipeline::write_jobs;
use super::raw::write_values;
use super::session::{LatentChunk, Placement, Session, Waiting};
use crate::codec::Hasher;
use crate::element::{Element, Scratch};
use crate::error::{Error, Result};
use crate::wire::CHUNK_HEADER_SIZE;

/// A latent of known shape whose values arrive in pieces, so it can be larger than memory.
///
/// Several can be filled in turn or from several threads. If one is dropped or does not get all its
/// values, [`Writer::finish`](crate::Writer::finish) fails and names it.
///
/// ```
/// use gen5::{Metadata, WriteOptions};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("steps.gen5");
/// let mut writer = WriteOptions::new().create(&path)?;
/// let mut steps = writer.stream::<f32>("steps", &[3, 2])?;
/// for step in [[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]] {
///     steps.push(&step)?;
/// }
/// steps.finish()?;
/// writer.finish(&Metadata::builder("Stable Diffusion 3", "3.0").build()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct LatentWriter<'w, T: Element> {
    session: Arc<Session<'w>>,
    id: u64,
    plan: Plan,
    pushed: usize,
    body: Body,
    elements: PhantomData<fn(&[T])>,
}

enum Body {
    /// Raw storage, with space reserved for the whole latent.
    Raw { place: Placement, hasher: Hasher },
    /// Compressed storage, with the values of the next part.
    Parts { next: usize, payload: Filled },
    /// Undecided storage, with the first values, until there are enough to decide.
    Undecided { payload: Filled },
}

/// Bytes to check and convert at a time on the way into a part.
const BLOCK: usize = 256 << 10;

impl<T: Element> fmt::Debug for LatentWriter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatentWriter")
            .field("key", &self.plan.entry.key)
            .field("shape", &self.plan.shape)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

impl<'w, T: Element> LatentWriter<'w, T> {
    /// Opens a stream for this plan. With `undecided`, the first part decides whether the latent
    /// stays as planned or is stored raw.
    pub(super) fn open(session: &Arc<Session<'w>>, plan: Plan, undecided: bool) -> Result<Self> {
        let body = match plan.storage {
            Storage::Raw => place_raw(session, &plan)?,
            _ if undecided => Body::Undecided { payload: Filled::default() },
            _ => Body::Parts { next: 0, payload: Filled::default() },
        };
        let id = session.state().open_stream(plan.entry.key(), plan.len() as u64);
        Ok(Self { session: Arc::clone(session), id, plan, pushed: 0, body, elements: PhantomData })
    }

    /// Returns the number of elements that are still missing.
    pub fn remaining(&self) -> u64 {
        (self.plan.len() - self.pushed) as u64
    }

    /// Returns whether the latent is compressed, or `None` while
    /// [`Compression::Auto`](crate::Compression::Auto) has too few values to decide. The decision
    /// needs the first part, or all values if there are fewer.
    pub fn is_compressed(&self) -> Option<bool> {
        match self.body {
            Body::Raw { .. } => Some(false),
            Body::Parts { .. } => Some(true),
            Body::Undecided { .. } => None,
        }
    }

    /// Adds the next values, in C order. The slice can have any length and need not end at a row
    /// boundary.
    ///
    /// Values stored raw are written immediately, with one system call per push. If values arrive a
    /// few hundred at a time, collect some (64 KiB, say) before pushing them.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are more values than are missing, [`Error::NonFinite`] and
    /// [`Error::Overflow`]: in these cases none of the values is added, and other values can be
    /// pushed. After [`Error::Io`], [`Error::Memory`] or [`Error::TooLarge`] the file cannot be
    /// finished, and further calls return [`Error::WriterFailed`].
    pub fn push(&mut self, values: &[T]) -> Result<()> {
        self.session.check_usable()?;
        if values.len() as u64 > self.remaining() {
            return Err(Error::Argument {
                what: format!("values pushed to latent {}", self.plan.entry.name()),
                expected: format!("at most {} more, for shape {:?}", self.remaining(), self.plan.shape),
                found: values.len().to_string(),
            });
        }
        let session = Arc::clone(&self.session);
        let _guard = session.guard();
        if let Body::Raw { .. } = self.body {
            self.write_raw(values)?;
        } else {
            self.input(values).check(&session.options)?;
            self.collect(values).inspect_err(|error| session.fail(error))?;
        }
        if let Some(stream) = session.state().streams.get_mut(&self.id) {
            stream.found = self.pushed as u64;
        }
        Ok(())
    }

    /// Returns the next values as input for checking and conversion.
    fn input<'a>(&'a self, values: &'a [T]) -> Input<'a> {
        let payload = Payload::Values(T::erase(values));
        Input { key: self.plan.entry.key(), dtype: self.plan.dtype, first: self.pushed, payload }
    }

    /// Writes values to their place in the file. If one is rejected, the next call overwrites the
    /// values of this one.
    fn write_raw(&mut self, values: &[T]) -> Result<()> {
        let Body::Raw { place, hasher } = &self.body else { return Ok(()) };
        let offset = place.payload_offset() + (self.pushed * self.plan.dtype.size()) as u64;
        let mut hashed = hasher.clone();
        write_values(&self.session, &self.input(values), offset, &mut hashed)?;
        if let Body::Raw { hasher, .. } = &mut self.body {
            *hasher = hashed;
        }
        self.pushed += values.len();
        Ok(())
    }

    /// Adds checked values to the current part, and submits each part that is complete.
    fn collect(&mut self, mut values: &[T]) -> Result<()> {
        let mut scratch = Scratch::default();
        while !values.is_empty() {
            let Range { start, end } = match &self.body {
                Body::Raw { .. } => return self.write_raw(values),
                Body::Parts { next, .. } => self.plan.elements_of(*next),
                Body::Undecided { .. } => 0..self.decisive(),
            };
            let room = (end - self.pushed).min(BLOCK / self.plan.dtype.size());
            let (block, rest) = values.split_at(room.min(values.len()));
            let bytes = T::erase(block).converted(self.plan.dtype, &mut scratch).as_bytes();
            if let Body::Parts { payload, .. } | Body::Undecided { payload } = &mut self.body {
                payload.reserve((end - start) * self.plan.dtype.size(), &self.session.options.buffers)?;
                payload.extend(bytes);
            }
            self.pushed += block.len();
            values = rest;
            self.decide()?;
            self.complete_part()?;
        }
        Ok(())
    }

    /// Returns the number of elements needed to decide on compression: those of the first part, or
    /// of a part of the default size.
    fn decisive(&self) -> usize {
        let part = usize::try_from(DEFAULT_PART_SIZE).unwrap_or(usize::MAX) / self.plan.dtype.size();
        self.plan.elements_of(0).end.min(part)
    }

    /// Decides how the latent is stored, if there are enough values.
    fn decide(&mut self) -> Result<()> {
        let decisive = self.decisive();
        let Body::Undecided { payload } = &mut self.body else { return Ok(()) };
        if self.pushed < decisive {
            return Ok(());
        }
        let payload = std::mem::take(payload);
        let ready = Payload::Ready(payload.bytes());
        let input = Input { key: self.plan.entry.key(), dtype: self.plan.dtype, first: 0, payload: ready };
        if auto::choose(&input, self.plan.payload_size()) != Storage::Raw {
            self.body = Body::Parts { next: 0, payload };
            return Ok(());
        }
        let mut raw = self.plan.clone();
        raw.make_raw();
        self.session.state().release_parts(&self.plan);
        flush_waiting(&self.session)?;
        self.body = place_raw(&self.session, &raw)?;
        if let Body::Raw { place, hasher } = &mut self.body {
            write_values(&self.session, &input, place.payload_offset(), hasher)?;
        }
        self.plan = raw;
        Ok(())
    }

    /// Submits a part that has all its values.
    fn complete_part(&mut self) -> Result<()> {
        let Body::Parts { next, payload } = &mut self.body else { return Ok(()) };
        if *next == self.plan.piece_count() {
            return Ok(());
        }
        if self.plan.elements_of(*next).end > self.pushed {
            return Ok(());
        }
        let piece = self.plan.piece(*next);
        *next += 1;
        let chunk = LatentChunk::new(&self.plan, &piece);
        let waiting = Waiting { chunk, payload: std::mem::take(payload) };
        let count = {
            let mut state = self.session.state();
            state.waiting.push(waiting);
            state.waiting.len()
        };
        if count >= rayon::current_num_threads() { flush_waiting(&self.session) } else { Ok(()) }
    }

    /// Finishes the latent after all its values were pushed.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] if values are missing; [`Error::WriterFailed`]; and the same errors as
    /// [`push`](Self::push), starting with [`Error::Io`].
    pub fn finish(mut self) -> Result<()> {
        self.session.check_usable()?;
        if self.remaining() > 0 {
            return Err(Error::Incomplete {
                key: self.plan.entry.key().map(str::to_owned),
                expected: self.plan.len() as u64,
                found: self.pushed as u64,
            });
        }
        if self.plan.len() == 0 {
            // No push completes a latent without elements.
            let session = Arc::clone(&self.session);
            self.decide().and_then(|()| self.complete_part()).inspect_err(|error| session.fail(error))?;
        }
        let chunk = LatentChunk::new(&self.plan, &self.plan.piece(0));
        let mut state = self.session.state();
        if let Body::Raw { place, hasher } = &mut self.body {
            let sha256 = std::mem::take(hasher).finish();
            state.records.push(chunk.into_record(*place, self.plan.payload_size(), sha256));
        }
        state.streams.remove(&self.id);
        Ok(())
    }
}

/// Reserves space for a latent that is stored raw.
fn place_raw(session: &Session<'_>, plan: &Plan) -> Result<Body> {
    let size = plan.payload_size();
    let stored = size.saturating_add(CHUNK_HEADER_SIZE);
    let place = session.state().place(stored, Some(session.options.alignment))?;
    session.write_head(place, &LatentChunk::new(plan, &plan.piece(0)).header(size))?;
    Ok(Body::Raw { place, hasher: Hasher::default() })
}

/// Compresses and writes the waiting parts of all streams, in the order in which they were
/// completed.
pub(super) fn flush_waiting(session: &Session<'_>) -> Result<()> {
    let waiting = std::mem::take(&mut session.state().waiting);
    let jobs: Vec<Job<'_>> = waiting
        .iter()
        .map(|part| Job {
            chunk: part.chunk.clone(),
            input: Input {
                key: part.chunk.latent_key(),
                dtype: part.chunk.dtype,
                first: 0,
                payload: Payload::Ready(part.payload.bytes()),
            },
        })
        .collect();
    // The streams have already handed over these parts, so without them the file is incomplete.
    write_jobs(session, &jobs).inspect_err(|error| session.fail(error))?;
    drop(jobs);
    waiting.into_iter().for_each(|part| part.payload.recycle(&session.options.buffers));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::element::Dtype;
    use crate::manifest::Extra;
    use crate::writer::WriteOptions;
    use crate::writer::sink::SeekSink;

    /// The stream of a waiting part may have finished successfully long before the part finds no
    /// space.
    #[test]
    fn a_part_that_finds_no_place_spoils_the_file() {
        let sink = SeekSink::new(Cursor::new(Vec::new())).unwrap();
        let session = Session::start(Box::new(sink), "test".into(), WriteOptions::new()).unwrap();
        let chunk = LatentChunk {
            key: Some("k".into()),
            shape: [2].into(),
            dtype: Dtype::F32,
            storage: Storage::Zstd,
            part: None,
            extra: Extra::new(),
            unknown: Extra::new(),
        };
        let mut payload = Filled::default();
        payload.reserve(8, &session.options.buffers).unwrap();
        payload.extend(&[0; 8]);
        session.state().cursor = u64::MAX;
        session.state().waiting.push(Waiting { chunk, payload });
        assert!(matches!(flush_waiting(&session), Err(Error::TooLarge { .. })));
        assert!(matches!(session.check_usable(), Err(Error::WriterFailed { .. })));
    }
}
