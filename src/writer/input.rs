//! Values on their way into the file: checked, converted, and viewed as bytes, one step at a time.

use std::ops::Range;

use super::options::{NonFinite, WriteOptions};
use crate::element::{Dtype, Scratch, Values};
use crate::error::{Error, Result, latent_name};

/// Values of a latent, or of some part of it.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    /// The latent's key, for error messages.
    pub(super) key: Option<&'a str>,
    /// The stored dtype.
    pub(super) dtype: Dtype,
    /// Position of the first value in the latent, for error messages.
    pub(super) first: usize,
    pub(super) payload: Payload<'a>,
}

/// The form of the values.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// Values as given by the caller.
    Values(Values<'a>),
    /// Bytes that are already checked and converted.
    Ready(&'a [u8]),
}

impl<'a> Input<'a> {
    /// Returns an input of bytes that are already checked and converted.
    pub(super) fn ready(dtype: Dtype, bytes: &'a [u8]) -> Self {
        Self { key: None, dtype, first: 0, payload: Payload::Ready(bytes) }
    }

    /// Returns the size of the stored payload in bytes.
    pub(super) fn size(&self) -> usize {
        match self.payload {
            Payload::Values(values) => values.len() * self.dtype.size(),
            Payload::Ready(bytes) => bytes.len(),
        }
    }

    /// Returns ranges of elements with `bytes` bytes each, except the last one, which may be
    /// shorter.
    pub(super) fn steps(&self, bytes: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let step = bytes / self.dtype.size();
        let count = self.size() / self.dtype.size();
        (0..count).step_by(step).map(move |start| start..(start + step).min(count))
    }

    /// Converts elements into `scratch`, if their type is not the stored one.
    pub(super) fn convert(&self, range: Range<usize>, scratch: &mut Scratch) {
        if let Payload::Values(values) = self.payload {
            values.slice(range).converted(self.dtype, scratch);
        }
    }

    /// Returns an error for elements that must not be written, and converts the others into
    /// `scratch` if their type is not the stored one.
    pub(super) fn prepare(
        &self,
        range: Range<usize>,
        options: &WriteOptions,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Payload::Values(values) = self.payload else { return Ok(()) };
        let first = self.first + range.start;
        let values = values.slice(range);
        let stored = values.converted(self.dtype, scratch);
        // Conversion keeps NaN and infinity, and turns values that are too large into infinity. So
        // only values that are not finite afterwards can be at fault.
        let is_checked = options.non_finite == NonFinite::Refuse || stored.dtype() != values.dtype();
        if is_checked && stored.first_non_finite().is_some() {
            check_values(values, self.key, first, self.dtype, options)?;
        }
        Ok(())
    }

    /// Returns the stored bytes of elements that were [prepared](Self::prepare) or
    /// [converted](Self::convert) with this scratch.
    pub(super) fn bytes<'s>(&'s self, range: Range<usize>, scratch: &'s Scratch) -> &'s [u8] {
        match self.payload {
            Payload::Values(values) if values.dtype() == self.dtype => values.slice(range).as_bytes(),
            Payload::Values(_) => scratch.values(self.dtype).as_bytes(),
            Payload::Ready(bytes) => {
                let size = self.dtype.size();
                bytes.get(range.start * size..range.end * size).unwrap_or_default()
            }
        }
    }

    /// Returns an error for values that must not be written, without converting any for output.
    pub(super) fn check(&self, options: &WriteOptions) -> Result<()> {
        match self.payload {
            Payload::Values(values) => check_values(values, self.key, self.first, self.dtype, options),
            Payload::Ready(_) => Ok(()),
        }
    }
}

/// Returns an error for values that must not be written. `first` is the position of the first value
/// in the latent.
fn check_values(
    values: Values<'_>,
    key: Option<&str>,
    first: usize,
    dtype: Dtype,
    options: &WriteOptions,
) -> Result<()> {
    if options.non_finite == NonFinite::Refuse
        && let Some((at, value)) = values.first_non_finite()
    {
        return Err(Error::NonFinite { key: key.map(str::to_owned), index: (first + at) as u64, value });
    }
    if let Some((at, value)) = values.first_overflow(dtype) {
        let latent = latent_name(key);
        return Err(Error::Overflow { latent, index: (first + at) as u64, value, dtype });
    }
    Ok(())
}
