//! A latent that comes piece by piece.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use half::f16;

use super::array::{Plan, check_values};
use super::encode::{Job, Payload, memory_budget, write_jobs};
use super::session::{BLOCK, LatentChunk, NewRecord, Placement, Session, Waiting, chunk_header};
use crate::codec::Hasher;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::wire::{CHUNK_HEADER_SIZE, ChunkType};

/// A latent of known shape whose values come piece by piece: it may be larger than memory.
///
/// Several may be filled in turn, or from several threads. One that is dropped, or does not get all its values, makes
/// [`Writer::finish`](crate::Writer::finish) fail and name it.
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
    /// Space for the whole was set aside when the stream was opened.
    Raw { place: Placement, hasher: Hasher },
    /// The values of the part to come.
    Parts { next: usize, payload: Vec<u8> },
}

impl<T: Element> fmt::Debug for LatentWriter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatentWriter")
            .field("key", &self.plan.key)
            .field("shape", &self.plan.shape)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

impl<'w, T: Element> LatentWriter<'w, T> {
    pub(super) fn open(session: &Arc<Session<'w>>, plan: Plan) -> Result<Self> {
        let total = plan.len() as u64;
        let body = if plan.compressed {
            Body::Parts { next: 0, payload: Vec::new() }
        } else {
            let size = total * plan.dtype.size() as u64;
            let header = chunk_header(ChunkType::LATENT, Some(plan.dtype), size)?;
            let alignment = Some(session.options.alignment);
            let place = session.state().place(size + CHUNK_HEADER_SIZE, alignment)?;
            session.write_head(place, &header)?;
            Body::Raw { place, hasher: Hasher::default() }
        };
        let id = session.state().open_stream(&plan.key, total);
        Ok(Self { session: Arc::clone(session), id, plan, pushed: 0, body, elements: PhantomData })
    }

    /// How many elements are still to come.
    pub fn remaining(&self) -> u64 {
        (self.plan.len() - self.pushed) as u64
    }

    /// Adds the next values, in C order: any number of them, whole rows or not.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if these are more than are to come, [`Error::NonFinite`] and [`Error::Float16Overflow`]: then
    /// none of the values was taken, and others can be pushed. After [`Error::Io`], [`Error::Memory`] or
    /// [`Error::TooLarge`] the file cannot be finished, and further calls give [`Error::WriterFailed`].
    pub fn push(&mut self, values: &[T]) -> Result<()> {
        self.session.check_usable()?;
        if values.len() as u64 > self.remaining() {
            return Err(Error::Argument {
                what: format!("values pushed to latent {:?}", self.plan.key),
                expected: format!("at most {} more, for shape {:?}", self.remaining(), self.plan.shape),
                found: values.len().to_string(),
            });
        }
        let (dtype, options) = (self.plan.dtype, &self.session.options);
        check_values(T::erase(values), &self.plan.key, self.pushed, dtype, options)?;

        let session = Arc::clone(&self.session);
        let _guard = session.guard();
        let mut scratch: Vec<f16> = Vec::new();
        let mut rest = values;
        while !rest.is_empty() {
            let (block, behind) = rest.split_at(self.room().min(rest.len()));
            let bytes = T::erase(block).bytes_as(dtype, &mut scratch);
            self.take(bytes).inspect_err(|error| session.fail(error))?;
            self.pushed += block.len();
            rest = behind;
            self.complete_part()?;
        }
        if let Some(stream) = self.session.state().streams.get_mut(&self.id) {
            stream.found = self.pushed as u64;
        }
        Ok(())
    }

    /// How many elements can be taken in one step.
    fn room(&self) -> usize {
        let block = BLOCK / self.plan.dtype.size();
        match &self.body {
            Body::Raw { .. } => block,
            Body::Parts { next, .. } => block.min(self.plan.piece(*next).elements.end - self.pushed),
        }
    }

    /// Adds bytes to the file, or to the part to come.
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.body {
            Body::Raw { place, hasher } => {
                hasher.update(bytes);
                let at = place.payload_offset() + (self.pushed * self.plan.dtype.size()) as u64;
                self.session.write(bytes, at)?;
                self.session.progress(bytes.len());
            }
            Body::Parts { next, payload } => {
                if payload.is_empty() {
                    let size = self.plan.piece(*next).elements.len() * self.plan.dtype.size();
                    payload.try_reserve_exact(size).map_err(|_| Error::Memory {
                        what: format!("a part of latent {:?}", self.plan.key),
                        bytes: size as u64,
                    })?;
                }
                payload.extend_from_slice(bytes);
            }
        }
        Ok(())
    }

    /// Hands a part on that has all its values.
    fn complete_part(&mut self) -> Result<()> {
        let Body::Parts { next, payload } = &mut self.body else { return Ok(()) };
        if *next == self.plan.piece_count() {
            return Ok(());
        }
        let piece = self.plan.piece(*next);
        if piece.elements.end > self.pushed {
            return Ok(());
        }
        *next += 1;
        let chunk = LatentChunk::new(&self.plan, &piece);
        let waiting = Waiting { chunk, payload: std::mem::take(payload) };
        let (count, bytes) = {
            let mut state = self.session.state();
            state.waiting.push(waiting);
            (state.waiting.len(), state.waiting.iter().map(|part| part.payload.len() as u64).sum::<u64>())
        };
        let enough = count >= rayon::current_num_threads() || bytes >= memory_budget(&self.session);
        if enough { flush_waiting(&self.session) } else { Ok(()) }
    }

    /// Ends the latent, which has all its values now.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] if values are missing; [`Error::WriterFailed`], and as [`push`](Self::push) after [`Error::Io`].
    pub fn finish(mut self) -> Result<()> {
        self.session.check_usable()?;
        if self.remaining() > 0 {
            return Err(Error::Incomplete {
                key: self.plan.key.clone(),
                expected: self.plan.len() as u64,
                found: self.pushed as u64,
            });
        }
        if self.plan.len() == 0 {
            self.complete_part()?; // no push has done so
        }
        let piece = self.plan.piece(0);
        let mut state = self.session.state();
        if let Body::Raw { place, hasher } = &mut self.body {
            state.records.push(NewRecord {
                kind: ChunkType::LATENT,
                flags: self.plan.dtype.flags(),
                place: *place,
                payload_size: (self.plan.len() * self.plan.dtype.size()) as u64,
                compressed: false,
                sha256: std::mem::take(hasher).finish(),
                latent: Some(LatentChunk::new(&self.plan, &piece)),
            });
        }
        state.streams.remove(&self.id);
        Ok(())
    }
}

/// Compresses and writes the parts that wait, of all streams, in the order in which they were completed.
pub(super) fn flush_waiting(session: &Session<'_>) -> Result<()> {
    let waiting = std::mem::take(&mut session.state().waiting);
    let jobs: Vec<Job<'_>> = waiting
        .iter()
        .map(|part| Job {
            chunk: part.chunk.clone(),
            compressed: true,
            first: 0,
            payload: Payload::Ready(&part.payload),
        })
        .collect();
    // These parts were taken over from their streams: without them the file is not whole.
    write_jobs(session, &jobs).inspect_err(|error| session.fail(error))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::element::Dtype;
    use crate::manifest::Extra;
    use crate::writer::WriteOptions;
    use crate::writer::sink::SeekSink;

    /// The stream of a part that waits may have been finished, with success, long before the part finds no place.
    #[test]
    fn a_part_that_finds_no_place_spoils_the_file() {
        let sink = SeekSink::new(Cursor::new(Vec::new())).unwrap();
        let session = Session::start(Box::new(sink), "test".into(), WriteOptions::new()).unwrap();
        let chunk = LatentChunk {
            key: "k".into(),
            shape: vec![2],
            dtype: Dtype::F32,
            part: None,
            extra: Extra::new(),
        };
        session.state().cursor = u64::from(u32::MAX);
        session.state().waiting.push(Waiting { chunk, payload: vec![0; 8] });
        assert!(matches!(flush_waiting(&session), Err(Error::TooLarge { .. })));
        assert!(matches!(session.check_usable(), Err(Error::WriterFailed { .. })));
    }
}
