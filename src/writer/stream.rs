//! A latent whose values arrive in pieces, of any dtype.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::array::Plan;
use super::auto;
use super::buffers::Filled;
use super::input::{Input, Payload};
use super::options::{DEFAULT_PART_SIZE, Storage};
use super::pipeline::flush_waiting;
use super::raw::write_values;
use super::session::{Session, Waiting};
use crate::codec::Hasher;
use crate::element::{Scratch, Values};
use crate::error::{Error, Result};
use crate::manifest::ChunkRecord;
use crate::wire::CHUNK_HEADER_SIZE;

/// A latent of known shape whose values arrive in pieces.
pub(super) struct Stream<'w> {
    session: Arc<Session<'w>>,
    id: u64,
    plan: Plan,
    pushed: usize,
    body: StreamBody,
}

enum StreamBody {
    /// Raw storage, with space reserved for the whole latent. The record lacks only its hash.
    Raw { record: Box<ChunkRecord>, hasher: Hasher },
    /// Compressed storage, with the values of the next part.
    Parts { next: usize, payload: Filled },
    /// Undecided storage, with the first values, until there are enough to decide.
    Undecided { payload: Filled },
}

/// Bytes to check and convert at a time on the way into a part.
const BLOCK: usize = 256 << 10;

impl<'w> Stream<'w> {
    /// Opens a stream for this plan. With `undecided`, the first part decides whether the latent
    /// stays as planned or is stored raw.
    pub(super) fn open(session: &Arc<Session<'w>>, plan: Plan, undecided: bool) -> Result<Self> {
        let body = match plan.storage {
            Storage::Raw => place_raw(session, &plan)?,
            _ if undecided => StreamBody::Undecided { payload: Filled::default() },
            _ => StreamBody::Parts { next: 0, payload: Filled::default() },
        };
        let id = session.state().open_stream(plan.entry.key(), plan.len() as u64);
        Ok(Self { session: Arc::clone(session), id, plan, pushed: 0, body })
    }

    /// Writes its description for debugging.
    pub(super) fn describe(&self, f: &mut fmt::DebugStruct<'_, '_>) -> fmt::Result {
        f.field("key", &self.plan.entry.key)
            .field("shape", &self.plan.shape)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }

    /// Returns the number of elements that are still missing.
    pub(super) fn remaining(&self) -> u64 {
        (self.plan.len() - self.pushed) as u64
    }

    /// Returns whether the latent is compressed, or `None` if that is undecided.
    pub(super) fn is_compressed(&self) -> Option<bool> {
        match self.body {
            StreamBody::Raw { .. } => Some(false),
            StreamBody::Parts { .. } => Some(true),
            StreamBody::Undecided { .. } => None,
        }
    }

    /// Adds the next values. If one is rejected, none is added.
    pub(super) fn push(&mut self, values: Values<'_>) -> Result<()> {
        self.session.check_usable()?;
        if values.len() as u64 > self.remaining() {
            return Err(self.too_many("values", self.remaining(), values.len()));
        }
        let session = Arc::clone(&self.session);
        let _guard = session.guard();
        if let StreamBody::Raw { .. } = self.body {
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

    /// Returns the error for more values or bytes than are missing.
    pub(super) fn too_many(&self, unit: &str, most: u64, found: usize) -> Error {
        Error::argument(
            format!("{unit} pushed to latent {}", self.plan.entry.name()),
            format!("at most {most} more, for shape {:?}", self.plan.shape),
            found.to_string(),
        )
    }

    /// Returns an error if values that follow the next `skipped` ones must not be written.
    pub(super) fn check(&self, values: Values<'_>, skipped: usize) -> Result<()> {
        let input = self.input(values);
        Input { first: input.first + skipped, ..input }.check(&self.session.options)
    }

    /// Returns the next values as input for checking and conversion.
    fn input<'a>(&'a self, values: Values<'a>) -> Input<'a> {
        let payload = Payload::Values(values);
        Input { key: self.plan.entry.key(), dtype: self.plan.dtype, first: self.pushed, payload }
    }

    /// Writes values to their place in the file. If one is rejected, the next call overwrites the
    /// values of this one.
    fn write_raw(&mut self, values: Values<'_>) -> Result<()> {
        let StreamBody::Raw { record, hasher } = &self.body else { return Ok(()) };
        let offset = record.payload_offset() + (self.pushed * self.plan.dtype.size()) as u64;
        let mut hashed = hasher.clone();
        write_values(&self.session, &self.input(values), offset, &mut hashed)?;
        if let StreamBody::Raw { hasher, .. } = &mut self.body {
            *hasher = hashed;
        }
        self.pushed += values.len();
        Ok(())
    }

    /// Adds checked values to the current part, and submits each part that is complete.
    fn collect(&mut self, mut values: Values<'_>) -> Result<()> {
        let mut scratch = Scratch::default();
        while values.len() > 0 {
            let Range { start, end } = match &self.body {
                StreamBody::Raw { .. } => return self.write_raw(values),
                StreamBody::Parts { next, .. } => self.plan.elements_of(*next),
                StreamBody::Undecided { .. } => 0..self.decisive(),
            };
            let room = (end - self.pushed).min(BLOCK / self.plan.dtype.size());
            let len = room.min(values.len());
            let block = values.slice(0..len);
            let bytes = block.converted(self.plan.dtype, &mut scratch).as_bytes();
            if let StreamBody::Parts { payload, .. } | StreamBody::Undecided { payload } = &mut self.body {
                payload.reserve((end - start) * self.plan.dtype.size(), &self.session.options.buffers)?;
                payload.extend(bytes);
            }
            self.pushed += block.len();
            values = values.slice(len..values.len());
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
        let StreamBody::Undecided { payload } = &mut self.body else { return Ok(()) };
        if self.pushed < decisive {
            return Ok(());
        }
        let payload = std::mem::take(payload);
        let input = Input::ready(self.plan.dtype, payload.bytes());
        if auto::choose(&input, self.plan.payload_size()) != Storage::Raw {
            self.body = StreamBody::Parts { next: 0, payload };
            return Ok(());
        }
        let mut raw = self.plan.clone();
        raw.make_raw();
        self.session.state().release_parts(&self.plan);
        flush_waiting(&self.session)?;
        self.body = place_raw(&self.session, &raw)?;
        if let StreamBody::Raw { record, hasher } = &mut self.body {
            write_values(&self.session, &input, record.payload_offset(), hasher)?;
        }
        self.plan = raw;
        Ok(())
    }

    /// Submits a part that has all its values.
    fn complete_part(&mut self) -> Result<()> {
        let StreamBody::Parts { next, payload } = &mut self.body else { return Ok(()) };
        if *next == self.plan.chunk_count() {
            return Ok(());
        }
        if self.plan.elements_of(*next).end > self.pushed {
            return Ok(());
        }
        let waiting = Waiting { record: self.plan.record(*next), payload: std::mem::take(payload) };
        *next += 1;
        let count = {
            let mut state = self.session.state();
            state.waiting.push(waiting);
            state.waiting.len()
        };
        if count >= rayon::current_num_threads() { flush_waiting(&self.session) } else { Ok(()) }
    }

    /// Finishes the latent after all its values were pushed.
    pub(super) fn finish(mut self) -> Result<()> {
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
        let mut state = self.session.state();
        if let StreamBody::Raw { mut record, hasher } = self.body {
            record.sha256 = hasher.finish();
            state.records.push(*record);
        }
        state.streams.remove(&self.id);
        Ok(())
    }
}

/// Reserves space for a latent that is stored raw.
fn place_raw(session: &Session<'_>, plan: &Plan) -> Result<StreamBody> {
    let mut record = Box::new(plan.record(0));
    let stored_size = record.payload_size.saturating_add(CHUNK_HEADER_SIZE);
    let space = session.state().place(stored_size, Some(session.options.alignment))?;
    session.write_head(&space, &record)?;
    record.set_place(&space);
    Ok(StreamBody::Raw { record, hasher: Hasher::default() })
}
