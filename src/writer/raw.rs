//! Raw payloads: each block is checked, converted, hashed and written while it is in cache.

use super::input::Input;
use super::session::Session;
use crate::codec::Hasher;
use crate::element::Scratch;
use crate::error::Result;

/// Bytes to process at a time. They stay in cache, and hashing them takes much longer than passing
/// a task to another thread. With half this size, values that one core converts and another hashes
/// took a sixth longer in measurements.
const STEP: usize = 1 << 20;

/// Writes values at `offset`, and adds them to `hasher`.
///
/// If another thread is idle, it hashes a block while this one writes it and prepares the next.
pub(super) fn write_values(
    session: &Session<'_>,
    input: &Input<'_>,
    offset: u64,
    hasher: &mut Hasher,
) -> Result<()> {
    // A sink for one thread at a time is the caller's code. It is called only from the caller's
    // thread, so it can use rayon itself.
    if input.size() <= STEP || !session.sink.is_positional() {
        return write_blocks(session, input, offset, hasher, |hash, write| {
            hash();
            write()
        });
    }
    // Enter the pool once, because entering it for every block takes time.
    rayon::scope(|_| write_blocks(session, input, offset, hasher, |hash, write| rayon::join(hash, write).1))
}

type Hash<'h> = &'h mut (dyn FnMut() + Send);
type Write<'w> = &'w mut (dyn FnMut() -> Result<()> + Send);

fn write_blocks(
    session: &Session<'_>,
    input: &Input<'_>,
    offset: u64,
    hasher: &mut Hasher,
    both: impl Fn(Hash<'_>, Write<'_>) -> Result<()>,
) -> Result<()> {
    let mut current = Scratch::default();
    let mut next = Scratch::default();
    let mut steps = input.steps(STEP).peekable();
    let mut at = offset;
    if let Some(first) = steps.peek() {
        input.prepare(first.clone(), &session.options, &mut current)?;
    }
    while let Some(step) = steps.next() {
        let bytes = input.bytes(step, &current);
        let mut hash = || hasher.update(bytes);
        let mut write = || {
            session.write(bytes, at)?;
            match steps.peek() {
                Some(step) => input.prepare(step.clone(), &session.options, &mut next),
                None => Ok(()),
            }
        };
        both(&mut hash, &mut write)?;
        at += bytes.len() as u64;
        session.progress(bytes.len());
        std::mem::swap(&mut current, &mut next);
    }
    Ok(())
}
